//! Pages that the crawl fetched, looked at without another request.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use checks::{
    Run, RunTarget, Step,
    exchange::{Failure, HttpResponse, Response},
};
use model::{Account, CheckId, Finding, Ledger, Location, SkipReason};
use url::Url;

use super::{Checked, Checker, finding};

impl Checker {
    /// Holds the checks that are about every page against one that was fetched already. Sends nothing.
    pub fn page(&self, url: &Url, address: IpAddr, response: &Arc<HttpResponse>) -> Checked {
        let target = RunTarget::web(url.clone(), Some(address));
        if (300..400).contains(&response.status) {
            // Where it leads is a page of its own.
            return Checked::default();
        }
        let place = Location::Url(url.clone());
        let options = self.run_options();
        let mut checked = Checked::default();
        for template in &self.checks.pages {
            checked.ledger.plan(&template.id, 1);
            let mut run = Run::new(Arc::clone(template), &target, &options);
            let mut answer = Ok(Response::Http(Arc::clone(response)));
            let verdict = loop {
                match run.next() {
                    Step::Done(verdict) => break verdict,
                    // What would have to be sent besides is not part of the page.
                    Step::Send(_) => run.receive(std::mem::replace(
                        &mut answer,
                        Err(Failure::Skipped(SkipReason::Precondition)),
                    )),
                }
            };
            let findings = verdict
                .matches
                .into_iter()
                .map(|hit| finding::from_match(template, hit, &place, Some(address), &self.reproduce));
            checked.findings.extend(findings);
            checked.end(template, verdict.outcome, verdict.failure);
        }
        checked
    }

    /// How the checks about every page end on pages that nobody saw. Without it they would seem to have looked at all of a site.
    pub(crate) fn unseen_pages(&self, unseen: &Account) -> Ledger {
        let accounts = self.checks.pages.iter().map(|template| (template.id.clone(), unseen.clone()));
        Ledger { checks: accounts.filter(|(_, unseen)| unseen.planned > 0).collect() }
    }
}

/// A cookie without a flag is one finding and not one on every page that sets it; and a thousand listings are told by the first
/// of them.
#[derive(Debug, Default)]
pub(crate) struct OncePerSite {
    said: HashSet<Shown>,
    told: HashMap<CheckId, usize>,
    /// Pages of which nothing was told any more, by check.
    pub(crate) left_out: BTreeMap<CheckId, u64>,
}

/// What a finding shows: check, matcher, values.
type Shown = (CheckId, Option<String>, BTreeMap<String, Vec<String>>);

impl OncePerSite {
    /// Findings of one check that are told of one site's pages.
    const MOST: usize = 50;

    /// Is it to be told?
    pub(crate) fn is_new(&mut self, finding: &Finding) -> bool {
        // Findings that show a value are the same when the value is; the others differ by their place.
        let shown = (finding.check.clone(), finding.matcher.clone(), finding.extracted.clone());
        if self.said.contains(&shown) {
            return false;
        }
        let told = self.told.entry(finding.check.clone()).or_default();
        if *told == OncePerSite::MOST {
            *self.left_out.entry(finding.check.clone()).or_default() += 1;
            return false;
        }
        *told += 1;
        if !finding.extracted.is_empty() {
            self.said.insert(shown);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use model::{Profile, ScanId, Scope};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{check::CheckSet, dns::Resolver, http::HttpClient, http::Identity, socket::Dialer};

    fn template(id: &str, path: &str, operators: &str) -> Arc<checks::Template> {
        let text = format!(
            "id: {id}\ninfo:\n  name: N\n  author: t\n  severity: low\n  tags: every-page\nhttp:\n  - path: ['{path}']\n    {operators}\n"
        );
        Arc::new(checks::template::parse(&text, "test.yaml").unwrap())
    }

    fn checker() -> Checker {
        let dialer = Dialer::new(Scope::loopback(), Profile::Standard.limits(), CancellationToken::new());
        let identity = Identity { user_agent: "rampart-test".to_owned() };
        let cookie = "extractors: [{type: regex, part: header, regex: ['Set-Cookie: [a-z]+']}]";
        let listing = "matchers: [{type: word, words: ['Index of']}]";
        Checker {
            resolver: Resolver::new(dialer.clone(), Vec::new()),
            client: HttpClient::new(dialer.clone(), identity),
            dialer,
            checks: Arc::new(CheckSet::new([
                template("cookie", "{{BaseURL}}", cookie),
                template("listing", "{{BaseURL}}", listing),
                template("two-requests", "{{BaseURL}}', '{{BaseURL}}/more", listing),
            ])),
            scan: ScanId::from_random(7),
            variables: BTreeMap::new(),
            reproduce: crate::check::Reproduce::default(),
        }
    }

    fn answer(cookie: &str, body: &str) -> Arc<HttpResponse> {
        Arc::new(HttpResponse {
            status: 200,
            head: format!("HTTP/1.1 200 OK\r\nSet-Cookie: {cookie}\r\n\r\n").into_bytes(),
            headers: vec![("Set-Cookie".to_owned(), cookie.as_bytes().to_vec())],
            body: body.as_bytes().to_vec(),
            ..HttpResponse::default()
        })
    }

    #[test]
    fn a_value_is_told_once_and_a_hundred_places_by_the_first_of_them() {
        let checker = checker();
        let mut once = OncePerSite::default();
        let mut told = Vec::new();
        for number in 0..100 {
            let url = Url::parse(&format!("http://127.0.0.1/{number}/?page=1")).unwrap();
            let cookie = if number < 99 { "session=1" } else { "login=1" };
            let checked = checker.page(&url, [127, 0, 0, 1].into(), &answer(cookie, "Index of /"));
            assert_eq!(checked.ledger.total().planned, 2, "each check of one request, once");
            assert_eq!(checked.ledger.total().matched, 2);
            assert!(checked.findings.iter().all(|finding| finding.location == Location::Url(url.clone())));
            told.extend(checked.findings.into_iter().filter(|finding| once.is_new(finding)));
        }
        let count = |id: &str| told.iter().filter(|finding| finding.check.as_str() == id).count();
        assert_eq!((count("cookie"), count("listing")), (2, OncePerSite::MOST));
        assert_eq!(once.left_out, BTreeMap::from([(CheckId::new("listing"), 50)]));
        let quiet = checker.page(
            &Url::parse("http://127.0.0.1/").unwrap(),
            [127, 0, 0, 1].into(),
            &Arc::new(HttpResponse { status: 302, ..HttpResponse::default() }),
        );
        assert_eq!((quiet.ledger.total().planned, quiet.findings.len()), (0, 0), "a redirect is no page");
    }
}
