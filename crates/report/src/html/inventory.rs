//! What is exposed: services, hosts, names, pages.

use std::{collections::BTreeMap, io};

use model::{Asset, DomainName, Endpoint, Service, asset::PortStates};
use url::Url;

use super::markup::{Link, line, put, short};
use crate::{ReportError, Source, words::size};

/// Rows of each kind.
const ROWS: usize = 300;
/// Ports, names, records or technologies in one cell.
const ENTRIES: usize = 24;
/// Characters of a text that a target sent.
const TEXT: usize = 160;

/// The first rows of one kind, in the order of their keys, and how many there are in all.
struct Shelf<K> {
    count: u64,
    rows: BTreeMap<(K, u64), Asset>,
}

impl<K: Ord> Shelf<K> {
    fn new() -> Shelf<K> {
        Shelf { count: 0, rows: BTreeMap::new() }
    }

    fn add(&mut self, key: K, asset: Asset) {
        self.count += 1;
        self.rows.insert((key, self.count), asset);
        if self.rows.len() > ROWS {
            self.rows.pop_last();
        }
    }

    /// Writes the frame of a table around its rows.
    fn table(
        &self,
        title: &'static str,
        columns: &[&'static str],
        open: bool,
        out: &mut dyn io::Write,
        row: impl Fn(&Asset, &mut dyn io::Write) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        put!(
            out,
            "<details class=\"card kind\"",
            if open { " open" } else { "" },
            ">\n<summary><h3>",
            title,
            "</h3>"
        );
        put!(
            out,
            "<span class=\"count\">",
            self.count,
            "</span></summary>\n<div class=\"scroll\"><table class=\"rows\">\n"
        );
        put!(out, "<caption class=\"unseen\">", title, "</caption>\n<thead><tr>");
        for column in columns {
            put!(out, "<th scope=\"col\">", *column, "</th>");
        }
        put!(out, "</tr></thead>\n<tbody>\n");
        for asset in self.rows.values() {
            put!(out, "<tr>");
            row(asset, out)?;
            put!(out, "</tr>\n");
        }
        put!(out, "</tbody>\n</table></div>\n");
        let shown = self.rows.len() as u64;
        if shown < self.count {
            put!(
                out,
                "<p class=\"note\">",
                shown,
                " of ",
                self.count,
                " are shown; the JSON report has all.</p>\n"
            );
        }
        put!(out, "</details>\n");
        Ok(())
    }
}

pub(super) fn write(source: &Source<'_>, out: &mut dyn io::Write) -> Result<(), ReportError> {
    let mut services: Shelf<Endpoint> = Shelf::new();
    let mut hosts: Shelf<std::net::IpAddr> = Shelf::new();
    let mut names: Shelf<DomainName> = Shelf::new();
    let mut pages: Shelf<String> = Shelf::new();
    let mut forms: Shelf<String> = Shelf::new();
    let mut endpoints: Shelf<String> = Shelf::new();
    for asset in (source.assets)()? {
        let asset = asset?;
        match &asset {
            Asset::Service(service) => services.add(service.endpoint.clone(), asset),
            Asset::Host { address, .. } => hosts.add(*address, asset),
            Asset::Domain { name, .. } => names.add(name.clone(), asset),
            Asset::Page { url, .. } => pages.add(url.to_string(), asset),
            Asset::Form { action, .. } => forms.add(action.to_string(), asset),
            Asset::Endpoint { url, .. } => endpoints.add(url.to_string(), asset),
        }
    }
    put!(
        out,
        "<section id=\"inventory\" aria-labelledby=\"inventory-title\">\n<h2 id=\"inventory-title\">What is exposed</h2>\n"
    );
    if services.count + hosts.count + names.count + pages.count == 0 {
        put!(out, "<p class=\"note\">Nothing answered.</p>\n");
    }
    services.table(
        "Services",
        &["Where", "Speaks", "Product", "TLS"],
        true,
        out,
        |asset, out| match asset {
            Asset::Service(found) => service(found, out),
            _ => Ok(()),
        },
    )?;
    hosts.table("Hosts", &["Address", "Names", "Open ports", "Other ports"], false, out, |asset, out| {
        match asset {
            Asset::Host { address, names, ports } => host(&address.to_string(), names, ports, out),
            _ => Ok(()),
        }
    })?;
    names.table("Names", &["Name", "Records", "Learnt from"], false, out, |asset, out| match asset {
        Asset::Domain { name, records, source, dangling } => {
            domain(name, records, source.as_str(), dangling.as_ref(), out)
        }
        _ => Ok(()),
    })?;
    pages.table("Pages", &["Page", "Status", "Type", "Size", "Technologies"], false, out, |asset, out| {
        match asset {
            Asset::Page { .. } => page(asset, out),
            _ => Ok(()),
        }
    })?;
    forms.table(
        "Forms",
        &["Sent to", "Method", "Fields", "Stands on"],
        false,
        out,
        |asset, out| match asset {
            Asset::Form { page, action, method, fields } => form(page, action, method, fields, out),
            _ => Ok(()),
        },
    )?;
    endpoints.table("Endpoints", &["Address", "Named in"], false, out, |asset, out| match asset {
        Asset::Endpoint { url, named_in } => {
            put!(out, "<td data-of=\"Address\">", Link(url.as_str()), "</td>");
            put!(out, "<td data-of=\"Named in\">", Link(named_in.as_str()), "</td>");
            Ok(())
        }
        _ => Ok(()),
    })?;
    put!(out, "</section>\n");
    Ok(())
}

fn form(
    page: &Url,
    action: &Url,
    method: &str,
    fields: &[(String, String)],
    out: &mut dyn io::Write,
) -> io::Result<()> {
    put!(out, "<td data-of=\"Sent to\">", Link(action.as_str()), "</td><td data-of=\"Method\">");
    put!(out, short(method, 20), "</td><td data-of=\"Fields\">");
    list(fields.iter().map(|(name, _)| name.as_str()), out)?;
    put!(out, "</td><td data-of=\"Stands on\">", Link(page.as_str()), "</td>");
    Ok(())
}

fn service(service: &Service, out: &mut dyn io::Write) -> io::Result<()> {
    put!(out, "<td data-of=\"Where\"><code>", short(&service.endpoint.to_string(), TEXT), "</code>");
    if service.endpoint.name.is_some() {
        put!(out, "<small>", line(&service.endpoint.address.to_string()), "</small>");
    }
    put!(
        out,
        "</td>\n<td data-of=\"Speaks\">",
        short(&service.protocol.to_string(), 40),
        "</td><td data-of=\"Product\">"
    );
    let products: Vec<&str> =
        [&service.product, &service.version].into_iter().flatten().map(String::as_str).collect();
    put!(out, short(&products.join(" "), TEXT));
    if let Some(cpe) = &service.cpe {
        put!(out, "<small>", short(cpe, TEXT), "</small>");
    } else if products.is_empty() && !service.banner.trim().is_empty() {
        put!(out, "<small>", short(service.banner.trim(), TEXT), "</small>");
    }
    put!(out, "</td><td data-of=\"TLS\">");
    if let Some(tls) = &service.tls {
        put!(out, short(&tls.version, 20), " <small>", short(&tls.cipher, 60), "</small>");
        if let Some(subject) = &tls.subject {
            put!(out, "<small>", short(subject, TEXT));
            if let Some(issuer) = &tls.issuer {
                put!(out, ", issued by ", short(issuer, TEXT));
            }
            put!(out, "</small>");
        }
        if let Some(end) = tls.not_after {
            put!(out, "<small>until ", line(&end.strftime("%-d %b %Y").to_string()), "</small>");
        }
    }
    put!(out, "</td>");
    Ok(())
}

fn host(address: &str, names: &[DomainName], ports: &PortStates, out: &mut dyn io::Write) -> io::Result<()> {
    put!(out, "<td data-of=\"Address\"><code>", line(address), "</code></td><td data-of=\"Names\">");
    list(names.iter().map(DomainName::as_str), out)?;
    put!(out, "</td><td data-of=\"Open ports\">");
    let open: Vec<String> = ports.open.iter().take(ENTRIES + 1).map(ToString::to_string).collect();
    list(open.iter().map(String::as_str), out)?;
    put!(
        out,
        "</td><td data-of=\"Other ports\">",
        u64::from(ports.closed),
        " closed, ",
        u64::from(ports.filtered),
        " filtered"
    );
    if ports.undetermined > 0 {
        put!(out, ", <b>", u64::from(ports.undetermined), " undetermined</b>");
    }
    put!(out, "</td>");
    Ok(())
}

fn domain(
    name: &DomainName,
    records: &BTreeMap<String, Vec<String>>,
    learnt: &str,
    dangling: Option<&DomainName>,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    put!(
        out,
        "<td data-of=\"Name\"><code>",
        short(name.as_str(), TEXT),
        "</code></td><td data-of=\"Records\">"
    );
    for (kind, values) in records.iter().take(ENTRIES) {
        put!(out, "<span class=\"record\"><b>", short(kind, 20), "</b> ");
        list(values.iter().map(String::as_str), out)?;
        put!(out, "</span>");
    }
    if let Some(end) = dangling {
        put!(out, "<small>leads to ", short(end.as_str(), TEXT), ", which does not exist</small>");
    }
    put!(out, "</td><td data-of=\"Learnt from\">", short(learnt, 60), "</td>");
    Ok(())
}

fn page(asset: &Asset, out: &mut dyn io::Write) -> io::Result<()> {
    let Asset::Page { url, status, title, content_type, length, technologies } = asset else { return Ok(()) };
    put!(out, "<td data-of=\"Page\">", Link(url.as_str()));
    if let Some(title) = title {
        put!(out, "<small>", short(title, TEXT), "</small>");
    }
    put!(out, "</td><td data-of=\"Status\">", u64::from(*status), "</td><td data-of=\"Type\">");
    put!(out, short(content_type.as_deref().unwrap_or_default(), 60), "</td><td data-of=\"Size\">");
    put!(out, line(&size(*length)), "</td><td data-of=\"Technologies\">");
    list(technologies.iter().map(String::as_str), out)?;
    put!(out, "</td>");
    Ok(())
}

fn list<'a>(values: impl Iterator<Item = &'a str>, out: &mut dyn io::Write) -> io::Result<()> {
    for (index, value) in values.enumerate() {
        if index == ENTRIES {
            put!(out, " <span class=\"cut\">and more</span>");
            break;
        }
        put!(out, if index > 0 { ", " } else { "" }, short(value, TEXT));
    }
    Ok(())
}
