//! URLs that a site tells by itself: robots.txt and sitemaps.

use std::collections::{HashSet, VecDeque};

use checks::exchange::{Failure, HttpResponse};
use model::{Charge, FailReason, allowance::Exceeded};
use url::Url;

use super::{
    RobotsAnswer, RobotsPolicy,
    link::LONGEST_URL,
    origin::{Origin, Reference, target},
    page,
    robots::Robots,
    sitemap, visit,
};
use crate::http::HttpSession;

/// Redirects of robots.txt that are followed (RFC 9309, 2.3.1.2).
const ROBOTS_HOPS: usize = 5;
/// Sitemaps read, those of an index included; and redirects of them that are followed.
const MOST_SITEMAPS: usize = 16;

/// Fetches beside the crawl itself, in the same account.
pub(super) struct Sources<'a> {
    pub(super) session: &'a HttpSession,
    pub(super) origin: &'a Origin,
    /// Body bytes of one answer.
    pub(super) response_bytes: usize,
    /// Body bytes that are left.
    pub(super) bytes_left: u64,
    /// URLs that are kept, of the site and of others each.
    pub(super) most_urls: usize,
    pub(super) requests: u64,
    pub(super) bytes: u64,
    /// What could not be had, or not as a whole: pages that only it names are not known.
    pub(super) failed: Vec<(Url, Failure)>,
}

/// What came of a request.
enum Got {
    Answer(HttpResponse),
    Failed(Failure),
    /// No byte is left of the budget.
    NoMoreBytes,
}

/// A URL that waits until it is offered or told.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) url: Url,
    /// The room that it takes meanwhile.
    _held: Charge,
}

/// What robots.txt and sitemaps told.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) robots: Robots,
    pub(super) answer: RobotsAnswer,
    /// To be offered to the crawl.
    pub(super) pages: Vec<Kept>,
    /// URLs of other origins in sitemaps.
    pub(super) external: Vec<Kept>,
    /// Forbidden paths, to be reported.
    pub(super) disallowed: Vec<Kept>,
    /// URLs of the site beyond those that are kept.
    pub(super) beyond: u64,
    /// URLs of other origins beyond those that are kept, each as often as it is named.
    pub(super) external_beyond: u64,
}

/// Sitemaps that wait to be read, each once.
#[derive(Default)]
struct Maps {
    waiting: VecDeque<Url>,
    known: HashSet<Url>,
    named: usize,
    redirects: usize,
    /// Named beyond those that are read.
    beyond: u64,
}

impl Maps {
    fn name(&mut self, url: Url) {
        if self.known.contains(&url) {
            return;
        }
        if self.named == MOST_SITEMAPS {
            self.beyond += 1;
            return;
        }
        self.named += 1;
        self.known.insert(url.clone());
        self.waiting.push_back(url);
    }

    /// Where redirects have no end there is no sitemap.
    fn redirect(&mut self, url: Url) {
        if self.redirects < MOST_SITEMAPS && self.known.insert(url.clone()) {
            self.redirects += 1;
            self.waiting.push_front(url);
        }
    }
}

/// URLs for which there was no room.
#[derive(Default)]
struct Refused {
    count: u64,
    why: Option<Exceeded>,
}

impl Sources<'_> {
    /// Reads them. An error only when nothing more may be sent.
    pub(super) async fn read(&mut self, policy: RobotsPolicy) -> Result<Told, Failure> {
        let mut told = Told::default();
        if policy != RobotsPolicy::Ignore {
            (told.robots, told.answer) = self.robots().await?;
        }
        let mut refused = Refused::default();
        let forbidden = match policy {
            RobotsPolicy::UseAsSource => told.robots.disallowed.as_slice(),
            RobotsPolicy::Obey | RobotsPolicy::Ignore => &[],
        };
        for path in told.robots.allowed.iter().chain(forbidden) {
            self.keep_path(path, &mut told.pages, &mut refused);
        }
        for path in &told.robots.disallowed {
            self.keep_path(path, &mut told.disallowed, &mut refused);
        }
        self.note_refused(self.robots_url(), &refused);
        self.sitemaps(&mut told).await?;
        Ok(told)
    }

    fn robots_url(&self) -> Url {
        self.origin.url("/robots.txt")
    }

    fn keep_path(&self, path: &str, kept: &mut Vec<Kept>, refused: &mut Refused) {
        if let Reference::Inside(url) = self.origin.resolve(self.origin.root(), path, LONGEST_URL) {
            self.keep(url, kept, refused);
        }
    }

    fn keep(&self, url: Url, kept: &mut Vec<Kept>, refused: &mut Refused) {
        let weight = size_of::<Kept>() + url.as_str().len();
        match self.session.allowance().charge_waiting(weight as u64) {
            Ok(held) => kept.push(Kept { url, _held: held }),
            Err(exceeded) => {
                refused.count += 1;
                refused.why = Some(exceeded);
            }
        }
    }

    fn note_refused(&mut self, source: Url, refused: &Refused) {
        if let Some(exceeded) = &refused.why {
            let why = format!("{} of the addresses that it names are left out: {exceeded}", refused.count);
            self.failed.push((source, Failure::Failed(FailReason::Memory, why)));
        }
    }

    async fn get(&mut self, target: &str) -> Result<Got, Failure> {
        let room = usize::try_from(self.bytes_left).unwrap_or(usize::MAX).min(self.response_bytes);
        if room == 0 {
            return Ok(Got::NoMoreBytes);
        }
        self.requests += 1;
        match Box::pin(self.session.send(&visit::request(self.origin, target, room))).await {
            Ok(response) => {
                self.bytes += response.body.len() as u64;
                self.bytes_left = self.bytes_left.saturating_sub(response.body.len() as u64);
                Ok(Got::Answer(response))
            }
            Err(failure @ (Failure::OutOfScope(_) | Failure::Skipped(_))) => Err(failure),
            Err(failure @ Failure::Failed(..)) => Ok(Got::Failed(failure)),
        }
    }

    async fn robots(&mut self) -> Result<(Robots, RobotsAnswer), Failure> {
        let mut url = self.robots_url();
        // What hangs on this one answer is worth asking twice for.
        let mut again = true;
        let mut hops = 0;
        while hops <= ROBOTS_HOPS {
            let response = match self.get(target(&url)).await? {
                Got::Answer(response) => response,
                Got::Failed(_) if std::mem::take(&mut again) => continue,
                Got::Failed(failure) => {
                    self.failed.push((url, failure));
                    return Ok((Robots::forbid_all(), RobotsAnswer::Unreachable));
                }
                Got::NoMoreBytes => return Ok((Robots::forbid_all(), RobotsAnswer::Unreachable)),
            };
            hops += 1;
            match response.status {
                200..=299 => {
                    if response.truncated {
                        self.failed.push((url, only_the_beginning()));
                    }
                    return Ok((Robots::parse(&response.body), RobotsAnswer::Found));
                }
                300..=399 => match page::read(self.origin, &url, &response).redirect {
                    Some(next) => url = next,
                    None => break,
                },
                status @ 500..=599 => {
                    self.failed.push((url, answered_with(status)));
                    return Ok((Robots::forbid_all(), RobotsAnswer::Unreachable));
                }
                _ => break,
            }
        }
        Ok((Robots::allow_all(), RobotsAnswer::Absent))
    }

    /// Those that robots.txt names, or the one in the usual place.
    async fn sitemaps(&mut self, told: &mut Told) -> Result<(), Failure> {
        let mut maps = Maps::default();
        let inside = |location: &str| match self.origin.resolve(self.origin.root(), location, LONGEST_URL) {
            Reference::Inside(url) => Some(url),
            Reference::Outside(_) | Reference::Named(_) | Reference::Nothing => None,
        };
        if told.robots.sitemaps.is_empty() {
            maps.name(self.origin.url("/sitemap.xml"));
        }
        told.robots.sitemaps.iter().filter_map(|location| inside(location)).for_each(|url| maps.name(url));
        while let Some(url) = maps.waiting.pop_front() {
            let response = match self.get(target(&url)).await? {
                Got::Answer(response) => response,
                Got::Failed(failure) => {
                    self.failed.push((url, failure));
                    continue;
                }
                // The crawl ends at its first page for the same reason.
                Got::NoMoreBytes => continue,
            };
            if let Some(next) = page::read(self.origin, &url, &response).redirect {
                maps.redirect(next);
            }
            match response.status {
                200 => {}
                status @ 500..=599 => {
                    self.failed.push((url, answered_with(status)));
                    continue;
                }
                _ => continue,
            }
            let map = sitemap::parse(&response.body, !response.truncated, self.response_bytes);
            drop(response);
            if map.cut {
                self.failed.push((url.clone(), only_the_beginning()));
            }
            map.sitemaps.iter().filter_map(|location| inside(location)).for_each(|url| maps.name(url));
            let mut refused = Refused::default();
            for page in map.pages {
                match self.origin.resolve(&url, &page, LONGEST_URL) {
                    Reference::Inside(url) if told.pages.len() < self.most_urls => {
                        self.keep(url, &mut told.pages, &mut refused);
                    }
                    Reference::Inside(_) => told.beyond += 1,
                    Reference::Outside(url) if told.external.len() < self.most_urls => {
                        self.keep(url, &mut told.external, &mut refused);
                    }
                    Reference::Outside(_) => told.external_beyond += 1,
                    Reference::Named(_) | Reference::Nothing => {}
                }
            }
            self.note_refused(url, &refused);
        }
        told.beyond += maps.beyond;
        Ok(())
    }
}

/// What is named by the rest of it alone is not known.
pub(super) fn only_the_beginning() -> Failure {
    let why = "only its beginning was read: what the rest of it names is not known";
    Failure::Failed(FailReason::Incomplete, why.to_owned())
}

/// As RFC 9309 calls it (2.3.1.4).
fn answered_with(status: u16) -> Failure {
    Failure::Failed(FailReason::Unreachable, format!("the answer was {status}"))
}
