//! One request and everything that is made of its answer, up to the point where the crawl as a whole has to decide.

use std::sync::Arc;

use checks::exchange::{self, Failure, HttpForm, HttpRequest, HttpResponse};
use model::{Asset, Charge, DomainName, FailReason, allowance::Exceeded};
use url::Url;

use super::{
    LookAt, Technology,
    folding::Entry,
    link::LinkKind,
    origin::Origin,
    page::{self, Form, PageFacts},
    sieve::{Candidate, Sieve},
    technologies::technologies,
};
use crate::{check::Checked, http::HttpSession};

/// A request and how it ended.
pub(super) struct Visit {
    pub(super) entry: Entry,
    pub(super) url: Url,
    pub(super) outcome: Result<Seen, Failure>,
}

/// A link, judged.
pub(super) struct Found {
    pub(super) kind: LinkKind,
    pub(super) candidate: Candidate,
}

/// What an answer said.
pub(super) struct Seen {
    pub(super) page: Asset,
    pub(super) body_bytes: u64,
    pub(super) links: Vec<Found>,
    pub(super) redirect: Option<Candidate>,
    pub(super) external: Vec<Url>,
    pub(super) names: Vec<DomainName>,
    pub(super) forms: Vec<Form>,
    pub(super) technologies: Vec<Technology>,
    /// What the checks about every page say.
    pub(super) checked: Option<Checked>,
    /// It may link to more than that.
    pub(super) cut: bool,
    /// Equal for pages that look the same.
    pub(super) skeleton: u64,
    /// The room that it takes until it is taken in.
    pub(super) held: Charge,
}

impl Seen {
    /// About the bytes that it takes. One page can name others without end, and many pages may wait for an earlier one.
    fn weight(&self) -> usize {
        let links = self.links.iter().map(|link| size_of::<Found>() + link.candidate.target.len());
        let external = self.external.iter().map(|url| size_of::<Url>() + url.as_str().len());
        let names = self.names.iter().map(|name| size_of::<DomainName>() + name.as_str().len());
        let fields =
            self.forms.iter().flat_map(|form| &form.fields).map(|(name, kind)| 48 + name.len() + kind.len());
        let findings = self.checked.iter().flat_map(|checked| &checked.findings);
        let evidence =
            findings.flat_map(|finding| &finding.evidence).map(|one| one.request.len() + one.response.len());
        links.chain(external).chain(names).chain(fields).chain(evidence).sum()
    }
}

/// A GET for a target of the origin.
pub(super) fn request(origin: &Origin, target: &str, max_body: usize) -> HttpRequest {
    let root = origin.root();
    let host = root.host_str().unwrap_or_default();
    HttpRequest {
        origin: exchange::Origin {
            tls: root.scheme() == "https",
            host: host.trim_matches(['[', ']']).to_owned(),
            port: root.port_or_known_default().unwrap_or_default(),
        },
        sni: None,
        form: HttpForm::Structured {
            method: "GET".to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        },
        timeout: None,
        max_body: Some(max_body),
    }
}

/// Fetches an entry and reads the answer.
pub(super) async fn visit(
    session: &HttpSession,
    sieve: &Sieve,
    look_at: Option<LookAt>,
    entry: Entry,
    max_body: usize,
) -> Visit {
    let url = sieve.origin.url(&entry.target);
    // Boxed: an exchange holds its buffers, and there are many visits.
    let response = Box::pin(session.send(&request(&sieve.origin, &entry.target, max_body))).await;
    let outcome = response.and_then(|response| {
        let response = Arc::new(response);
        let checked = look_at.map(|look_at| look_at(&url, &response));
        let mut seen =
            Seen { checked, held: session.allowance().charge(), ..see(sieve, &entry, &url, &response) };
        drop(response);
        let no_memory = |exceeded: Exceeded| Failure::Failed(FailReason::Memory, exceeded.to_string());
        seen.held.cover(seen.weight() as u64).map_err(no_memory)?;
        Ok(seen)
    });
    Visit { entry, url, outcome }
}

fn see(sieve: &Sieve, entry: &Entry, url: &Url, response: &HttpResponse) -> Seen {
    let mut facts = page::read(&sieve.origin, url, response);
    let technologies = technologies(response, &facts);
    let content_type = response
        .header("content-type")
        .map(|value| String::from_utf8_lossy(value).trim().chars().take(128).collect());
    let page = Asset::Page {
        url: url.clone(),
        status: response.status,
        title: facts.title.take(),
        content_type,
        length: response.body.len() as u64,
        technologies: technologies.iter().map(ToString::to_string).collect(),
    };
    // An error page made of the asked path would breed links to more error pages. The start is what a person wants looked at.
    let is_error = response.status >= 400 && entry.depth > 0 && !matches!(response.status, 401 | 403);
    let links = if is_error { Vec::new() } else { std::mem::take(&mut facts.links) };
    let links: Vec<Found> = links
        .iter()
        .map(|link| Found { kind: link.kind, candidate: sieve.candidate(link.kind, &link.url) })
        .collect();
    Seen {
        page,
        body_bytes: response.body.len() as u64,
        cut: facts.cut && !is_error,
        redirect: facts.redirect.as_ref().map(|url| sieve.candidate(LinkKind::Page, url)),
        checked: None,
        skeleton: skeleton(sieve, response, &facts, &links),
        links,
        external: facts.external,
        names: facts.names,
        forms: facts.forms,
        technologies,
        held: Charge::default(),
    }
}

/// Status, media type, the set of elements and the set of shapes linked. Sets, so that a list of nine and a list of ten rows
/// are the same.
fn skeleton(sieve: &Sieve, response: &HttpResponse, facts: &PageFacts, links: &[Found]) -> u64 {
    let mut shapes: Vec<u64> =
        links.iter().filter(|link| link.kind != LinkKind::Media).map(|link| link.candidate.shape).collect();
    shapes.sort_unstable();
    shapes.dedup();
    sieve.hash((response.status, response.header("content-type"), &facts.elements, shapes))
}
