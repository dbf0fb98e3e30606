//! The crawl itself: sends what the frontier gives, as many at once as allowed, and takes the answers in in order.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use checks::exchange::Failure;
use model::{DomainName, FailReason, Limits, SkipReason};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, timeout_at},
};
use url::Url;

use super::{
    Budget, CrawlItem, CrawlOptions, CrawlReport, LookAt, Site, Technology,
    frontier::Frontier,
    link::{LONGEST_URL, LinkKind},
    origin::{self, Origin},
    sieve::{Sieve, worth_reading},
    sources::{Sources, Told, only_the_beginning},
    visit::{Found, Seen, Visit, visit},
};
use crate::http::{HttpClient, HttpSession};

/// Distinct forms, endpoints and external URLs that are told, of each.
const MOST_TOLD: usize = 20_000;
/// Answers that may wait for an earlier one, for each connection: one slow page must not hold up the others, nor may they pile
/// up without end.
const AHEAD: u64 = 16;

pub(super) async fn walk(
    client: &HttpClient,
    site: &Site,
    limits: &Limits,
    options: &CrawlOptions,
    look_at: Option<LookAt>,
    items: mpsc::Sender<CrawlItem>,
) -> CrawlReport {
    let deadline = Instant::now() + limits.crawl_deadline;
    let mut report = CrawlReport { robots: options.robots, ..CrawlReport::default() };
    let Some(origin) = Origin::of(&site.root) else {
        let why = "it is not the address of a web site: use http or https with a host".to_owned();
        report.lose(site.root.clone(), &Failure::Failed(FailReason::Protocol, why));
        return report;
    };
    let session = Arc::new(client.session(site.endpoint.clone(), site.root.scheme() == "https"));
    // What robots.txt and sitemaps name leaves room for the pages to begin with.
    let root = [origin.root().clone()];
    let starts = if site.starts.is_empty() { &root[..] } else { &site.starts };
    let room = starts.iter().map(|start| Frontier::weight(start.as_str())).sum();
    let for_starts = session.allowance().charge_waiting(room);
    let told = match read_sources(&session, &origin, limits, options, deadline, &mut report).await {
        Ok(told) => told,
        Err(stop) => {
            report.stopped_by = Some(stop);
            return report;
        }
    };
    let sieve = Arc::new(Sieve::new(origin, told.robots.clone(), options));
    let allowance = session.allowance().clone();
    let mut walk = Walk {
        session,
        sieve,
        limits,
        options,
        look_at,
        frontier: Frontier::new(limits.crawl_depth, limits.redirects, options, allowance),
        tasks: JoinSet::new(),
        arrived: BTreeMap::new(),
        sent: 0,
        taken_in: 0,
        reserved: 0,
        failures_in_a_row: 0,
        technologies: BTreeSet::new(),
        teller: Teller {
            items,
            deadline,
            own_name: origin::host_name(&site.root),
            seen: HashSet::new(),
            names: 0,
            told: 0,
        },
        report,
    };
    drop(for_starts);
    walk.begin(starts, told).await;
    walk.run(deadline).await;
    walk.finish()
}

async fn read_sources(
    session: &HttpSession,
    origin: &Origin,
    limits: &Limits,
    options: &CrawlOptions,
    deadline: Instant,
    report: &mut CrawlReport,
) -> Result<Told, Budget> {
    let response_bytes = limits.response_bytes.max(1);
    let mut sources = Sources {
        session,
        origin,
        response_bytes,
        bytes_left: limits.crawl_bytes,
        most_urls: options.queue as usize,
        requests: 0,
        bytes: 0,
        failed: Vec::new(),
    };
    let told = timeout_at(deadline, sources.read(options.robots)).await;
    (report.requests, report.bytes) = (sources.requests, sources.bytes);
    for (url, failure) in sources.failed {
        report.lose(url, &failure);
    }
    let told = told.map_err(|_| Budget::Time)?.map_err(|failure| {
        let stop = stop_of(&failure).unwrap_or(Budget::Failures);
        if stop == Budget::Scope {
            report.lose(origin.root().clone(), &failure);
        }
        stop
    })?;
    (report.robots_answer, report.external_untold) = (told.answer, told.external_beyond);
    Ok(told)
}

struct Walk<'a> {
    session: Arc<HttpSession>,
    sieve: Arc<Sieve>,
    limits: &'a Limits,
    options: &'a CrawlOptions,
    look_at: Option<LookAt>,
    frontier: Frontier,
    tasks: JoinSet<(u64, usize, Visit)>,
    /// Answers that came before their turn.
    arrived: BTreeMap<u64, Visit>,
    sent: u64,
    taken_in: u64,
    /// Body bytes that requests under way may still bring.
    reserved: u64,
    failures_in_a_row: u32,
    technologies: BTreeSet<Technology>,
    teller: Teller,
    report: CrawlReport,
}

impl Walk<'_> {
    async fn begin(&mut self, starts: &[Url], told: Told) {
        for start in starts {
            match self.sieve.origin.resolve(start, start.as_str(), LONGEST_URL) {
                origin::Reference::Inside(url) => {
                    self.frontier.offer(self.sieve.start(&url), 0, 0);
                }
                _ => self.teller.external(&self.sieve, start.clone()).await,
            }
        }
        for kept in told.pages {
            let candidate = self.sieve.candidate(LinkKind::Page, &kept.url);
            // It takes room in one place only.
            drop(kept);
            self.frontier.offer(candidate, 1, 0);
        }
        self.frontier.pass_over(told.beyond);
        let source = self.sieve.origin.url("/robots.txt");
        for kept in told.disallowed {
            self.teller.endpoint(&self.sieve, kept.url, &source).await;
        }
        for kept in told.external {
            self.teller.external(&self.sieve, kept.url).await;
        }
    }

    async fn run(&mut self, deadline: Instant) {
        while self.report.stopped_by.is_none() {
            if Instant::now() >= deadline {
                self.report.stopped_by = Some(Budget::Time);
                return;
            }
            self.dispatch();
            if self.tasks.is_empty() {
                return;
            }
            let joined = match timeout_at(deadline, self.tasks.join_next()).await {
                Ok(Some(joined)) => joined,
                Ok(None) => return,
                Err(_) => {
                    self.report.stopped_by = Some(Budget::Time);
                    return;
                }
            };
            // Tasks are never cancelled while the walk runs: what is left is a panic, which must not pass for an answer.
            let (number, reserved, visit) =
                joined.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
            self.reserved -= reserved as u64;
            if let Ok(seen) = &visit.outcome {
                self.report.bytes += seen.body_bytes;
            }
            self.arrived.insert(number, visit);
            while self.report.stopped_by.is_none()
                && let Some(visit) = self.arrived.remove(&self.taken_in)
            {
                self.taken_in += 1;
                self.take_in(visit).await;
            }
        }
    }

    /// Sends as much as may be under way now.
    fn dispatch(&mut self) {
        let width = self.limits.connections_per_host.max(1) as usize;
        while self.tasks.len() < width
            && self.sent < self.taken_in + AHEAD * width as u64
            && !self.frontier.is_empty()
            // What waits for an earlier answer leaves the room to that one.
            && (self.arrived.is_empty() || !self.session.allowance().is_half_taken())
        {
            if self.sent >= u64::from(self.limits.crawl_pages) {
                // What is under way may still show that the rest is to be folded.
                if self.tasks.is_empty() {
                    self.report.stopped_by = Some(Budget::Pages);
                }
                return;
            }
            let left = self.limits.crawl_bytes.saturating_sub(self.report.bytes + self.reserved);
            let whole = self.limits.response_bytes.max(1);
            let room = usize::try_from(left).unwrap_or(usize::MAX).min(whole);
            // Near the end of the budget one at a time, so that no page is cut while another may leave it room.
            if room < whole && !self.tasks.is_empty() {
                return;
            }
            if room == 0 {
                self.report.stopped_by = Some(Budget::Bytes);
                return;
            }
            let Some(entry) = self.frontier.next() else { return };
            let room = worth_reading(&entry.target, room);
            let (session, sieve, number) = (Arc::clone(&self.session), Arc::clone(&self.sieve), self.sent);
            let look_at = self.look_at.clone();
            self.sent += 1;
            self.report.requests += 1;
            self.reserved += room as u64;
            self.tasks
                .spawn(async move { (number, room, visit(&session, &sieve, look_at, entry, room).await) });
        }
    }

    async fn take_in(&mut self, visit: Visit) {
        let Visit { entry, url, outcome } = visit;
        match outcome {
            Ok(seen) => {
                self.failures_in_a_row = 0;
                self.report.pages += 1;
                if seen.cut {
                    self.report.lose(url.clone(), &only_the_beginning());
                }
                self.frontier.settle(entry.shape, entry.variable, seen.skeleton);
                self.offer(&seen, &url, entry.depth, entry.hops).await;
                self.tell(seen, url).await;
            }
            Err(failure) => {
                let stop = stop_of(&failure);
                if stop != Some(Budget::Stopped) {
                    self.report.failed += 1;
                    self.failures_in_a_row =
                        if failure.says_host_is_gone() { self.failures_in_a_row + 1 } else { 0 };
                    self.report.lose(url, &failure);
                }
                self.frontier.settle(entry.shape, entry.variable, 0);
                let too_many = self.failures_in_a_row >= self.limits.failures_in_a_row.max(1);
                self.report.stopped_by = stop.or(too_many.then_some(Budget::Failures));
            }
        }
        if self.teller.items.is_closed() {
            self.report.stopped_by = Some(Budget::Stopped);
        }
    }

    async fn offer(&mut self, seen: &Seen, url: &Url, depth: u32, hops: u32) {
        if let Some(target) = &seen.redirect {
            // A redirect is no further link: its target is as deep as the page would have been.
            self.frontier.offer(target.clone(), depth, hops + 1);
        }
        for Found { kind, candidate } in &seen.links {
            let named = matches!(kind, LinkKind::Script | LinkKind::Hint);
            let followed = match kind {
                LinkKind::Page | LinkKind::Resource | LinkKind::Media => true,
                LinkKind::Script => self.options.follow_scripts,
                LinkKind::Hint => false,
            };
            if followed {
                self.frontier.offer(candidate.clone(), depth + 1, 0);
            }
            let is_refused = matches!(
                candidate.refusal,
                Some(super::sieve::Refusal::Disallowed | super::sieve::Refusal::StateChanging)
            );
            if named || is_refused {
                self.teller.endpoint(&self.sieve, self.sieve.origin.url(&candidate.target), url).await;
            }
        }
    }

    async fn tell(&mut self, seen: Seen, url: Url) {
        self.technologies.extend(seen.technologies);
        self.teller.send(CrawlItem::Page(seen.page)).await;
        if let Some(checked) = seen.checked {
            self.teller.send(CrawlItem::Checked { page: url.clone(), checked }).await;
        }
        for form in seen.forms {
            if self.teller.is_new(&self.sieve, ("form", &form.action, form.method, &form.fields)) {
                let (action, method, fields) = (form.action, form.method, form.fields);
                self.teller.send(CrawlItem::Form { page: url.clone(), action, method, fields }).await;
            }
        }
        for external in seen.external {
            self.teller.external(&self.sieve, external).await;
        }
        for name in seen.names {
            self.teller.name(&self.sieve, name, self.limits.discovered_names).await;
        }
    }

    fn finish(mut self) -> CrawlReport {
        self.tasks.abort_all();
        let mut report = self.report;
        report.found = self.frontier.found();
        report.passed_over = self.frontier.close(report.pages + report.failed);
        // What tells its version somewhere is listed with it only.
        let versioned: BTreeSet<&str> =
            self.technologies.iter().filter(|one| one.version.is_some()).map(|one| one.name).collect();
        let all =
            self.technologies.iter().filter(|one| one.version.is_some() || !versioned.contains(one.name));
        report.technologies = all.cloned().collect();
        report
    }
}

/// Sends items, each once, as long as somebody listens and the deadline allows.
struct Teller {
    items: mpsc::Sender<CrawlItem>,
    deadline: Instant,
    own_name: Option<DomainName>,
    seen: HashSet<u64>,
    names: u32,
    told: usize,
}

impl Teller {
    async fn send(&self, item: CrawlItem) {
        // A listener that is gone ends the crawl after this page; one that is slow holds it up to the deadline.
        let _ = timeout_at(self.deadline, self.items.send(item)).await;
    }

    fn is_new(&mut self, sieve: &Sieve, value: impl std::hash::Hash) -> bool {
        let is_new = self.told < MOST_TOLD * 3 && self.seen.insert(sieve.hash(value));
        self.told += usize::from(is_new);
        is_new
    }

    async fn endpoint(&mut self, sieve: &Sieve, url: Url, source: &Url) {
        if self.is_new(sieve, ("endpoint", &url)) {
            self.send(CrawlItem::Endpoint { url, source: source.clone() }).await;
        }
    }

    async fn external(&mut self, sieve: &Sieve, url: Url) {
        if self.is_new(sieve, ("external", &url)) {
            self.send(CrawlItem::External(url)).await;
        }
    }

    async fn name(&mut self, sieve: &Sieve, name: DomainName, most: u32) {
        if self.names < most
            && self.own_name.as_ref() != Some(&name)
            && self.seen.insert(sieve.hash(("name", &name)))
        {
            self.names += 1;
            self.send(CrawlItem::Name(name)).await;
        }
    }
}

/// Failures after which nothing more can be sent.
fn stop_of(failure: &Failure) -> Option<Budget> {
    match failure {
        Failure::OutOfScope(_) => Some(Budget::Scope),
        Failure::Skipped(SkipReason::Cancelled) => Some(Budget::Stopped),
        Failure::Skipped(SkipReason::OutOfScope) => Some(Budget::Scope),
        Failure::Skipped(_) => Some(Budget::Time),
        Failure::Failed(..) => None,
    }
}
