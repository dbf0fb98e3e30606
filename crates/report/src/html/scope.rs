//! What was asked for, who authorised it, and the caps that held.

use std::io;

use model::{Limits, Summary};

use super::markup::{line, put, short};
use crate::words::{grouped, moment, size, span};

/// Targets on the page.
const TARGETS: usize = 100;

pub(super) fn write(summary: &Summary, out: &mut dyn io::Write) -> io::Result<()> {
    put!(
        out,
        "<section id=\"scope\" aria-labelledby=\"scope-title\">\n<h2 id=\"scope-title\">Scope and limits</h2>\n"
    );
    put!(
        out,
        "<div class=\"pair\">\n<div class=\"card\"><h3>Scope</h3>\n<dl class=\"facts wide-terms\">\n<div><dt>Targets</dt><dd>"
    );
    for (index, target) in summary.targets.iter().take(TARGETS).enumerate() {
        put!(out, if index > 0 { ", " } else { "" }, "<code>", short(target, 200), "</code>");
    }
    let more = summary.target_count.saturating_sub(summary.targets.len().min(TARGETS) as u64);
    if more > 0 {
        put!(out, " and ", more, " more");
    }
    put!(
        out,
        "</dd></div>\n<div><dt>In scope</dt><dd>",
        short(&summary.scope, 2_000),
        "</dd></div>\n<div><dt>Authorised by</dt><dd>"
    );
    match &summary.authorised_by {
        Some(who) => put!(out, short(who, 400)),
        None => put!(out, "nobody: no scope file was given, so only loopback was in scope"),
    }
    put!(out, "</dd></div>\n");
    let stages: Vec<&str> = summary.stages.iter().map(|stage| stage.as_str()).collect();
    for (label, text) in [
        ("Stages", stages.join(", ")),
        ("Began", moment(summary.started_at)),
        ("Ended", moment(summary.ended_at)),
        ("Scan", summary.scan.to_string()),
        ("Tool", summary.tool.clone()),
    ] {
        put!(out, "<div><dt>", label, "</dt><dd>", short(&text, 200), "</dd></div>\n");
    }
    put!(out, "</dl></div>\n<div class=\"card\"><h3>Sent</h3>\n<dl class=\"facts wide-terms\">\n");
    put!(out, "<div><dt>Requests</dt><dd>", summary.traffic.requests, "</dd></div>\n");
    put!(out, "<div><dt>Saved by sharing</dt><dd>", summary.traffic.shared_requests, "</dd></div>\n");
    put!(out, "<div><dt>Port probes</dt><dd>", summary.traffic.probes, "</dd></div>\n");
    put!(out, "<div><dt>DNS queries</dt><dd>", summary.traffic.queries, "</dd></div>\n</dl>\n");
    put!(
        out,
        "<h3>Caps in force <span class=\"count\">",
        summary.profile.as_str(),
        " profile</span></h3>\n<dl class=\"facts wide-terms\">\n"
    );
    for (label, text) in caps(&summary.limits) {
        put!(out, "<div><dt>", label, "</dt><dd>", line(&text), "</dd></div>\n");
    }
    put!(out, "</dl></div>\n</div>\n</section>\n");
    Ok(())
}

/// Every cap. Taken apart without `..`, so that a new one cannot be forgotten here.
fn caps(limits: &Limits) -> Vec<(&'static str, String)> {
    let Limits {
        requests_per_second,
        requests_per_second_per_host,
        probes_per_second,
        queries_per_second,
        connections,
        connections_per_host,
        connect_timeout,
        request_deadline,
        host_deadline,
        scan_deadline,
        response_bytes,
        header_bytes,
        held_bytes,
        result_items,
        result_bytes,
        redirects,
        attempts,
        failures_in_a_row,
        crawl_pages,
        crawl_depth,
        crawl_bytes,
        crawl_deadline,
        discovered_names,
    } = *limits;
    let number = |number: u32| grouped(u64::from(number));
    let both = |all: u32, host: u32| format!("{}, {} to one host", number(all), number(host));
    vec![
        ("Requests a second", both(requests_per_second, requests_per_second_per_host)),
        ("Port probes a second", number(probes_per_second)),
        ("DNS queries a second", number(queries_per_second)),
        ("Connections", both(connections, connections_per_host)),
        ("Time to connect", span(connect_timeout)),
        ("Time for a request", span(request_deadline)),
        ("Time for a host", span(host_deadline)),
        ("Time for the scan", span(scan_deadline)),
        ("Response kept", format!("{}, headers {}", size(response_bytes as u64), size(header_bytes as u64))),
        ("Held of answers by one unit", size(held_bytes)),
        ("Given back by one unit", format!("{}, {} of a kind", size(result_bytes), number(result_items))),
        ("Redirects followed", number(redirects)),
        ("Attempts", number(attempts)),
        ("Failures in a row until a site or service is left alone", number(failures_in_a_row)),
        (
            "Crawl of a site",
            format!(
                "{} pages, {} links deep, {}, {}",
                number(crawl_pages),
                number(crawl_depth),
                size(crawl_bytes),
                span(crawl_deadline)
            ),
        ),
        ("Names followed up", number(discovered_names)),
    ]
}
