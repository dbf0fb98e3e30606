//! URLs that a site tells by itself: robots.txt and sitemaps.

use std::collections::{HashSet, VecDeque};

use checks::exchange::{Failure, HttpResponse};
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
/// Sitemaps read, those of an index included.
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
}

/// What robots.txt and sitemaps told.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) robots: Robots,
    pub(super) answer: RobotsAnswer,
    /// To be offered to the crawl.
    pub(super) pages: Vec<Url>,
    /// URLs of other origins in sitemaps.
    pub(super) external: Vec<Url>,
    /// Forbidden paths, to be reported.
    pub(super) disallowed: Vec<Url>,
}

impl Sources<'_> {
    /// Reads them. An error only when nothing more may be sent.
    pub(super) async fn read(&mut self, policy: RobotsPolicy) -> Result<Told, Failure> {
        let mut told = Told::default();
        if policy != RobotsPolicy::Ignore {
            (told.robots, told.answer) = self.robots().await?;
        }
        let path = |path: &String| match self.origin.resolve(self.origin.root(), path, LONGEST_URL) {
            Reference::Inside(url) => Some(url),
            _ => None,
        };
        told.pages.extend(told.robots.allowed.iter().filter_map(path));
        told.disallowed = told.robots.disallowed.iter().filter_map(path).collect();
        if policy == RobotsPolicy::UseAsSource {
            told.pages.append(&mut told.disallowed.clone());
        }
        self.sitemaps(&mut told).await?;
        Ok(told)
    }

    async fn get(&mut self, target: &str) -> Result<Option<HttpResponse>, Failure> {
        let room = usize::try_from(self.bytes_left).unwrap_or(usize::MAX).min(self.response_bytes);
        if room == 0 {
            return Ok(None);
        }
        self.requests += 1;
        match Box::pin(self.session.send(&visit::request(self.origin, target, room))).await {
            Ok(response) => {
                self.bytes += response.body.len() as u64;
                self.bytes_left = self.bytes_left.saturating_sub(response.body.len() as u64);
                Ok(Some(response))
            }
            Err(failure @ (Failure::OutOfScope(_) | Failure::Skipped(_))) => Err(failure),
            Err(Failure::Failed(..)) => Ok(None),
        }
    }

    async fn robots(&mut self) -> Result<(Robots, RobotsAnswer), Failure> {
        let mut url = self.origin.root().join("/robots.txt").unwrap_or_else(|_| self.origin.root().clone());
        // What hangs on this one answer is worth asking twice for.
        let mut again = true;
        let mut hops = 0;
        while hops <= ROBOTS_HOPS {
            let Some(response) = self.get(target(&url)).await? else {
                if std::mem::take(&mut again) {
                    continue;
                }
                return Ok((Robots::forbid_all(), RobotsAnswer::Unreachable));
            };
            hops += 1;
            match response.status {
                200..=299 => return Ok((Robots::parse(&response.body), RobotsAnswer::Found)),
                300..=399 => match page::read(self.origin, &url, &response).redirect {
                    Some(next) => url = next,
                    None => break,
                },
                500..=599 => return Ok((Robots::forbid_all(), RobotsAnswer::Unreachable)),
                _ => break,
            }
        }
        Ok((Robots::allow_all(), RobotsAnswer::Absent))
    }

    /// Those that robots.txt names, or the one in the usual place.
    async fn sitemaps(&mut self, told: &mut Told) -> Result<(), Failure> {
        let mut waiting: VecDeque<String> = told.robots.sitemaps.iter().cloned().collect();
        if waiting.is_empty() {
            waiting.push_back("/sitemap.xml".to_owned());
        }
        let mut known = HashSet::new();
        while let Some(location) = waiting.pop_front() {
            let Reference::Inside(url) = self.origin.resolve(self.origin.root(), &location, LONGEST_URL)
            else {
                continue;
            };
            if known.len() >= MOST_SITEMAPS || !known.insert(url.clone()) {
                continue;
            }
            let Some(response) = self.get(target(&url)).await? else { continue };
            if let Some(next) = page::read(self.origin, &url, &response).redirect {
                waiting.push_front(next.into());
            }
            if response.status != 200 {
                continue;
            }
            let map = sitemap::parse(&response.body, self.response_bytes);
            waiting.extend(map.sitemaps);
            for page in map.pages {
                match self.origin.resolve(&url, &page, LONGEST_URL) {
                    Reference::Inside(url) if told.pages.len() < self.most_urls => told.pages.push(url),
                    Reference::Outside(url) if told.external.len() < self.most_urls => {
                        told.external.push(url);
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}
