//! Crawling one web site: pages, links, forms, the endpoints its scripts name, what it is made with.
//!
//! What holds:
//! - **One origin.** Only path and query of a found link are ever used; the connection goes to the site's endpoint. Links to
//!   other origins are reported. [`origin::Origin`] decides.
//! - **Nothing is changed.** GET only; no form is sent; links whose words say that they change something (`logout`,
//!   `delete`, …, see [`trap::may_change_state`]) are reported and counted, not followed.
//! - **It ends.** Pages, depth, bytes, time, queue and URL length are capped; similar pages are folded ([`CrawlOptions::fold_after`]);
//!   paths that echo themselves, calendars, growing queries, session identifiers and redirect loops are cut off.
//! - **The same site gives the same pages.** Answers are taken in in the order of their requests, however fast they come, so a
//!   budget cuts at the same page each time.
//! - **It is accounted for.** Every distinct URL found is fetched, failed, or passed over for a counted reason.

mod charset;
mod folding;
mod frontier;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod header;
mod html;
mod identity;
mod link;
mod literal;
pub mod origin;
pub mod page;
pub mod robots;
mod shape;
mod sieve;
pub mod sitemap;
mod sources;
mod style;
pub mod technologies;
pub mod trap;
mod visit;
mod walk;

use std::{fmt, sync::Arc};

use checks::exchange::{Failure, HttpResponse};
use model::{Account, Asset, DomainName, Endpoint, FailReason, Limits, Outcome, Profile, SkipReason};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use url::Url;

pub use self::{link::FormMethod, technologies::Technology};
use crate::{check::Checked, http::HttpClient};

/// Failures that are told one by one.
const MOST_FAILURES: usize = 1_000;

/// One origin, and where to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Any URL of the origin: http or https.
    pub root: Url,
    /// Where its server is; the port is the root's.
    pub endpoint: Endpoint,
    /// Pages to begin with; the root when there are none. Those of other origins are reported, not fetched.
    pub starts: Vec<Url>,
}

/// Something the crawl came upon. Everything in it comes from the site and is hostile.
#[derive(Debug, Clone)]
pub enum CrawlItem {
    /// A resource that answered, whatever it said ([`Asset::Page`]).
    Page(Asset),
    /// What the checks about every page say of one, if there is anybody to ask ([`LookAt`]).
    Checked {
        /// Which.
        page: Url,
        /// What.
        checked: Checked,
    },
    /// A form; each distinct one once.
    Form {
        /// Where it stands.
        page: Url,
        /// Where it is sent, on whatever origin.
        action: Url,
        /// How it is sent.
        method: FormMethod,
        /// Name and kind of each field.
        fields: Vec<(String, String)>,
    },
    /// A URL of the site that no link leads to, or that is not followed: named in a script, in JSON, in a comment, forbidden by
    /// robots.txt, or state-changing. Each once.
    Endpoint {
        /// What.
        url: Url,
        /// Where it is named.
        source: Url,
    },
    /// A URL of another origin, once.
    External(Url),
    /// A host name in a link, form, redirect or policy, once; not the site's own.
    Name(DomainName),
}

/// Looks at every page as it comes, beside the crawl: its address, and the answer.
pub type LookAt = Arc<dyn Fn(&Url, &Arc<HttpResponse>) -> Checked + Send + Sync>;

/// What robots.txt is to the crawl.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RobotsPolicy {
    /// Links that it forbids are not followed (RFC 9309); what it allows and its sitemaps are sources of URLs.
    #[default]
    Obey,
    /// It is not asked for.
    Ignore,
    /// It forbids nothing, and all its paths and sitemaps are sources of URLs. For sites whose owner asked for the scan.
    UseAsSource,
}

impl fmt::Display for RobotsPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            RobotsPolicy::Obey => "obeyed",
            RobotsPolicy::Ignore => "ignored",
            RobotsPolicy::UseAsSource => "used as a source",
        })
    }
}

/// How to crawl, beside the limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrawlOptions {
    /// What robots.txt is.
    pub robots: RobotsPolicy,
    /// Pages of one shape (`/item/#`) that are fetched before the rest is folded if they look the same; none folds nothing.
    pub fold_after: Option<u32>,
    /// Fetch images, fonts, sound and video too.
    pub media: bool,
    /// Follow paths named in scripts, JSON and `data-` attributes. They are reported in any case.
    pub follow_scripts: bool,
    /// URLs that may wait.
    pub queue: u32,
    /// Distinct queries followed on one path.
    pub queries_per_path: u32,
    /// Pages followed of one shape that looks like a calendar.
    pub pages_per_calendar: u32,
}

impl CrawlOptions {
    /// What a profile means. Only the deep one fetches every similar page.
    pub fn of(profile: Profile) -> CrawlOptions {
        let standard = CrawlOptions {
            robots: RobotsPolicy::Obey,
            fold_after: Some(30),
            media: false,
            follow_scripts: true,
            queue: 50_000,
            queries_per_path: 200,
            pages_per_calendar: 48,
        };
        match profile {
            Profile::Quick => CrawlOptions { fold_after: Some(10), queue: 10_000, ..standard },
            Profile::Standard => standard,
            Profile::Deep => CrawlOptions {
                fold_after: None,
                media: true,
                queue: 200_000,
                queries_per_path: 5_000,
                pages_per_calendar: 400,
                ..standard
            },
        }
    }
}

/// What ended a crawl before everything found was fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// [`Limits::crawl_pages`].
    Pages,
    /// [`Limits::crawl_bytes`].
    Bytes,
    /// [`Limits::crawl_deadline`].
    Time,
    /// Too many failures in a row ([`Limits::failures_in_a_row`]).
    Failures,
    /// The scope does not allow the site, or no longer.
    Scope,
    /// The scan was stopped, or nobody listens any more.
    Stopped,
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Budget::Pages => "the limit of pages",
            Budget::Bytes => "the limit of bytes",
            Budget::Time => "the deadline of the site",
            Budget::Failures => "too many failures in a row",
            Budget::Scope => "the scope",
            Budget::Stopped => "a stop",
        })
    }
}

/// Distinct URLs of the site that were found and not fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    /// Like others that look the same.
    pub folded: u64,
    /// Forbidden by robots.txt.
    pub disallowed: u64,
    /// Following might change something.
    pub state_changing: u64,
    /// Self-echoing, growing, calendars beyond their cap, redirects beyond theirs.
    pub traps: u64,
    /// Images and the like.
    pub media: u64,
    /// Beyond [`Limits::crawl_depth`].
    pub too_deep: u64,
    /// Found while the queue was full; counted each time they were found.
    pub queue_full: u64,
    /// Found while there was no room for them in what the unit may hold, and not found again when there was.
    pub no_room: u64,
    /// Waiting, or under way, when a budget ended the crawl.
    pub not_reached: u64,
}

impl PassedOver {
    /// All of them.
    pub fn total(&self) -> u64 {
        let PassedOver {
            folded,
            disallowed,
            state_changing,
            traps,
            media,
            too_deep,
            queue_full,
            no_room,
            not_reached,
        } = *self;
        folded + disallowed + state_changing + traps + media + too_deep + queue_full + no_room + not_reached
    }

    /// Those that a rule or a limit left out.
    pub fn left_out(&self) -> u64 {
        self.total() - self.no_room
    }
}

/// How robots.txt was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RobotsAnswer {
    /// Not asked for.
    #[default]
    NotAsked,
    /// There is one.
    Found,
    /// There is none (4xx, or no end of redirects): nothing is forbidden.
    Absent,
    /// 5xx or no answer: everything is forbidden to who obeys.
    Unreachable,
}

/// How a crawl went. `found = pages + failed + passed_over.total()`.
#[derive(Debug, Clone, Default)]
pub struct CrawlReport {
    /// Distinct URLs of the site that were found.
    pub found: u64,
    /// Of those, how many answered.
    pub pages: u64,
    /// Of those, how many failed.
    pub failed: u64,
    /// All requests, robots.txt and sitemaps included.
    pub requests: u64,
    /// Body bytes received, never above [`Limits::crawl_bytes`].
    pub bytes: u64,
    /// URLs found and not fetched.
    pub passed_over: PassedOver,
    /// URLs of other origins that sitemaps name beyond those that were told, each as often as it is named.
    pub external_untold: u64,
    /// What ended the crawl early.
    pub stopped_by: Option<Budget>,
    /// Which policy was used.
    pub robots: RobotsPolicy,
    /// And how robots.txt was answered.
    pub robots_answer: RobotsAnswer,
    /// Everything the site is made with, sorted; for a technology that tells its version somewhere, with the version only.
    pub technologies: Vec<Technology>,
    /// The first failures, of robots.txt and sitemaps too, and answers of which only the beginning was read: URL and reason.
    pub failures: Vec<(Url, String)>,
    /// All failures, by reason.
    pub lost: Account,
}

impl CrawlReport {
    /// What was to be looked at and was not seen, as a check on every page accounts for it: each failure, and one for all that lies
    /// beyond what ended the crawl early. What is passed over at each crawl of the site is not among it.
    pub fn unseen(&self) -> Account {
        let mut unseen = self.lost.clone();
        let beyond = self.stopped_by.map(|by| {
            Outcome::Skipped(match by {
                Budget::Pages | Budget::Bytes => SkipReason::Limit,
                Budget::Time => SkipReason::Deadline,
                Budget::Failures => SkipReason::HostUnresponsive,
                Budget::Scope => SkipReason::OutOfScope,
                Budget::Stopped => SkipReason::Cancelled,
            })
        });
        let no_room = (self.passed_over.no_room > 0).then_some(Outcome::Failed(FailReason::Memory));
        let queue_full = (self.passed_over.queue_full > 0).then_some(Outcome::Skipped(SkipReason::Limit));
        for outcome in [beyond, no_room, queue_full].into_iter().flatten() {
            unseen.planned += 1;
            unseen.end(outcome);
        }
        unseen
    }

    /// Notes a failure; the first of them with their reasons. That of a page to begin with is one, too, though the checks of the site
    /// account for that page: here it stands for all that only this page links to.
    fn lose(&mut self, url: Url, failure: &Failure) {
        let (outcome, why) = match failure {
            Failure::Failed(reason, detail) if detail.is_empty() => {
                (Outcome::Failed(*reason), reason.to_string())
            }
            Failure::Failed(reason, detail) => (Outcome::Failed(*reason), format!("{reason}: {detail}")),
            Failure::OutOfScope(why) => (Outcome::Skipped(SkipReason::OutOfScope), why.clone()),
            Failure::Skipped(reason) => (Outcome::Skipped(*reason), reason.to_string()),
        };
        self.lost.planned += 1;
        self.lost.end(outcome);
        if self.failures.len() < MOST_FAILURES {
            self.failures.push((url, why));
        }
    }
}

/// Crawls one site and tells what it comes upon as it goes. Ends when everything is fetched or a budget is used up, at the
/// latest after [`Limits::crawl_deadline`].
pub async fn site(
    client: &HttpClient,
    site: &Site,
    limits: &Limits,
    options: &CrawlOptions,
    look_at: Option<LookAt>,
    items: mpsc::Sender<CrawlItem>,
) -> CrawlReport {
    walk::walk(client, site, limits, options, look_at, items).await
}
