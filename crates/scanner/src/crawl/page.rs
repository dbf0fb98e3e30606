//! What one response says: links, forms, title, and what tells its technologies. Pure: bytes in, facts out.

use checks::exchange::HttpResponse;
use model::DomainName;
use url::Url;

use super::{
    charset, header,
    header::HeaderReference,
    html,
    link::{FormMethod, LONGEST_URL, LinkKind, MOST_REFERENCES, RawLink, script_kind, style_kind},
    literal,
    origin::{Origin, Reference},
    style,
};

/// A link of the site that is crawled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Why.
    pub kind: LinkKind,
    /// Where to.
    pub url: Url,
}

/// A form. Never submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// Where it is sent, on whatever origin.
    pub action: Url,
    /// How.
    pub method: FormMethod,
    /// Name and kind (`text`, `password`, `select` …) of each field. Hostile text.
    pub fields: Vec<(String, String)>,
}

/// The facts of one response.
#[derive(Debug, Clone, Default)]
pub struct PageFacts {
    /// White space collapsed, at most 256 characters. Hostile text.
    pub title: Option<String>,
    /// `meta name=generator` and `application-name`. Hostile text.
    pub generators: Vec<String>,
    /// `src` of scripts as they stand there. Hostile text.
    pub scripts: Vec<String>,
    /// Links of the same origin, in order.
    pub links: Vec<Link>,
    /// Links to other origins.
    pub external: Vec<Url>,
    /// Names in links, of whatever origin, and in policies.
    pub names: Vec<DomainName>,
    /// Forms.
    pub forms: Vec<Form>,
    /// Where a redirect leads, if to the same origin.
    pub redirect: Option<Url>,
    /// Distinct names of elements, sorted: the skeleton by which pages are compared.
    pub elements: Vec<String>,
    /// It names more than that, or may: only its beginning was read.
    pub cut: bool,
}

/// What kind of text a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    Markup,
    Script,
    Style,
    Json,
    Other,
}

/// Reads a response to a request for `url`, which belongs to `origin`.
pub fn read(origin: &Origin, url: &Url, response: &HttpResponse) -> PageFacts {
    let mut reader = Reader { origin, facts: PageFacts::default() };
    for reference in header::references(response) {
        match reference {
            HeaderReference::Location(text) => reader.location(url, &text),
            HeaderReference::Link(text) => reader.link(url, LinkKind::Page, &text),
            HeaderReference::Host(name) => reader.facts.names.extend(name.parse::<DomainName>()),
        }
    }
    let content_type = response.header("content-type");
    let kind = kind(content_type, url, &response.body);
    if kind == Body::Other || response.body.is_empty() {
        return reader.facts;
    }
    reader.facts.cut = response.truncated;
    let text = charset::decode(&response.body, content_type);
    let mut raw = Vec::new();
    let mut push = |kind, reference: &str| {
        if raw.len() < MOST_REFERENCES && reference.len() <= LONGEST_URL {
            raw.push(RawLink { kind, reference: reference.to_owned() });
        }
    };
    match kind {
        Body::Markup => {
            let document = html::read(&text);
            let base = document.base.as_deref().and_then(|base| url.join(base.trim()).ok());
            let base = base.filter(|base| !base.cannot_be_a_base()).unwrap_or_else(|| url.clone());
            reader.document(&base, document);
            return reader.facts;
        }
        Body::Script => literal::scan_script(&text, |text, likeness| push(script_kind(likeness), text)),
        Body::Json => literal::scan_json(&text, |text, likeness| push(script_kind(likeness), text)),
        Body::Style => style::scan_style(&text, |text, imported| push(style_kind(imported), text)),
        Body::Other => {}
    }
    reader.links(url, raw);
    reader.facts
}

struct Reader<'a> {
    origin: &'a Origin,
    facts: PageFacts,
}

impl Reader<'_> {
    fn document(&mut self, base: &Url, document: html::Document) {
        self.facts.title = document.title;
        self.facts.generators = document.generators;
        self.facts.scripts = document.scripts;
        self.facts.elements = document.elements;
        self.links(base, document.links);
        for form in document.forms {
            // A form without an action is sent to the page itself.
            let action = match self.origin.resolve(base, form.action.as_deref().unwrap_or(""), LONGEST_URL) {
                Reference::Inside(action) => action,
                Reference::Outside(action) => {
                    self.outside(action.clone());
                    action
                }
                Reference::Named(_) => continue,
                Reference::Nothing => base.clone(),
            };
            self.facts.forms.push(Form { action, method: form.method, fields: form.fields });
        }
    }

    fn links(&mut self, base: &Url, raw: Vec<RawLink>) {
        self.facts.cut |= raw.len() == MOST_REFERENCES;
        for link in raw {
            self.link(base, link.kind, &link.reference);
        }
    }

    fn link(&mut self, base: &Url, kind: LinkKind, text: &str) {
        match self.origin.resolve(base, text, LONGEST_URL) {
            Reference::Inside(url) => self.facts.links.push(Link { kind, url }),
            Reference::Outside(url) => self.outside(url),
            Reference::Named(name) => self.facts.names.push(name),
            Reference::Nothing => {}
        }
    }

    fn location(&mut self, base: &Url, text: &str) {
        match self.origin.resolve(base, text, LONGEST_URL) {
            Reference::Inside(url) => self.facts.redirect = Some(url),
            Reference::Outside(url) => self.outside(url),
            Reference::Named(_) | Reference::Nothing => {}
        }
    }

    fn outside(&mut self, url: Url) {
        self.facts.names.extend(super::origin::host_name(&url));
        self.facts.external.push(url);
    }
}

fn kind(content_type: Option<&[u8]>, url: &Url, body: &[u8]) -> Body {
    let given =
        content_type.map(|value| String::from_utf8_lossy(value).to_ascii_lowercase()).unwrap_or_default();
    let media = given.split(';').next().unwrap_or("").trim();
    match media {
        "text/html" | "application/xhtml+xml" | "image/svg+xml" => Body::Markup,
        "text/css" => Body::Style,
        _ if media.contains("javascript") || media.contains("ecmascript") => Body::Script,
        _ if media.ends_with("json") || media == "application/manifest+json" => Body::Json,
        _ if media.ends_with("xml") => Body::Markup,
        "" | "text/plain" | "application/octet-stream" => sniff(url, body),
        _ => Body::Other,
    }
}

/// For responses that do not tell what they are, or tell nothing useful.
fn sniff(url: &Url, body: &[u8]) -> Body {
    let start = body[..body.len().min(512)].trim_ascii_start();
    let path = url.path().to_ascii_lowercase();
    match start.first() {
        Some(b'<') => Body::Markup,
        _ if path.ends_with(".js") || path.ends_with(".mjs") => Body::Script,
        _ if path.ends_with(".css") => Body::Style,
        Some(b'{' | b'[') if path.ends_with(".json") || path.ends_with(".map") => Body::Json,
        _ => Body::Other,
    }
}

#[cfg(test)]
mod tests;
