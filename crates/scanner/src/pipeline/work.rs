//! Does one unit, tells what happened, and returns what it taught.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
};

use checks::exchange::{Failure, HttpResponse};
use model::{
    Account, Asset, DomainName, Endpoint, Event, FailReason, Finding, FoundName, Learned, Ledger, Outcome,
    Site, SkipReason, Source, Stage, Unit,
};
use tokio::{sync::mpsc, time::Instant};
use url::Url;

use super::Scan;
use crate::{
    check::{Checked, OncePerSite},
    crawl::{self, Budget, CrawlItem, LookAt, RobotsAnswer, RobotsPolicy},
    discover::{self, Discovery},
    ports::{self, PortScan},
    services::{self, Identified},
};

/// Failures of a crawl that are told one by one; the others are counted.
const NAMED_FAILURES: usize = 20;

/// Tells what happens within one unit.
struct Reporter<'a> {
    unit: &'a Unit,
    events: &'a mpsc::Sender<Event>,
}

impl Reporter<'_> {
    async fn send(&self, event: Event) {
        // The receiver is gone only when the whole scan is being dropped.
        let _ = self.events.send(event).await;
    }

    async fn undetermined(&self, reason: String) {
        let event = Event::Undetermined { stage: self.unit.stage(), unit: self.unit.to_string(), reason };
        self.send(event).await;
    }

    async fn left_out(&self, why: String) {
        let event = Event::LeftOut { stage: self.unit.stage(), unit: self.unit.to_string(), why };
        self.send(event).await;
    }

    async fn done(&self, ledger: Ledger, learned: &Learned) {
        let (stage, unit) = (self.unit.stage(), self.unit.to_string());
        self.send(Event::Done { stage, unit, ledger, learned: learned.clone() }).await;
    }
}

/// Until when something may go on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Until {
    /// The unit's host has no more time; never later than the scan.
    pub(super) host: Instant,
    /// The scan has no more time.
    pub(super) scan: Instant,
}

/// What ended a unit in the middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The scan was stopped, or its time is up.
    Scan,
    /// The time of its host is up.
    HostDeadline,
}

/// A unit that had its turn.
pub(super) struct Performed {
    pub(super) learned: Learned,
    pub(super) cut: Option<Cut>,
}

pub(super) async fn perform(
    scan: &Scan,
    unit: &Unit,
    until: Until,
    events: &mpsc::Sender<Event>,
) -> Performed {
    let deadline = until.host;
    let reporter = Reporter { unit, events };
    let (sender, found) = mpsc::unbounded_channel();
    let (ledger, learned) = match unit {
        Unit::Discover { name, source, brute_force } => {
            (Ledger::default(), discover_name(scan, name, *source, *brute_force, deadline, &reporter).await)
        }
        Unit::Ports { address, name, expected } => {
            let wanted = scan.options.ports.clone();
            let port_scan = PortScan { address: *address, name: name.clone(), ports: wanted };
            (Ledger::default(), open_ports(scan, &port_scan, *expected, deadline, &reporter).await)
        }
        Unit::Identify(endpoint) => {
            (Ledger::default(), identify(scan, endpoint, false, deadline, &reporter).await)
        }
        Unit::Knock(endpoint) => {
            (Ledger::default(), identify(scan, endpoint, true, deadline, &reporter).await)
        }
        Unit::Crawl(site) => pages(scan, site, deadline, &reporter).await,
        Unit::CheckName { name, aspect } => {
            checks(&reporter, found, scan.checker.name(name, *aspect, deadline, sender)).await
        }
        Unit::CheckService(service) => {
            checks(&reporter, found, scan.checker.service(service, deadline, sender)).await
        }
        Unit::CheckSite(site) => checks(&reporter, found, scan.checker.site(site, deadline, sender)).await,
    };
    scan.dialer.counters().most_held.fetch_max(scan.dialer.allowance().peak(), Ordering::Relaxed);
    let cut = if scan.dialer.stop().is_cancelled() || Instant::now() >= until.scan {
        Some(Cut::Scan)
    } else {
        (Instant::now() >= until.host).then_some(Cut::HostDeadline)
    };
    match cut {
        // Not journalled as done, so that a resumed scan does it again. Its account stands in this run's report.
        Some(_) => {
            reporter.send(Event::Partial { stage: unit.stage(), unit: unit.to_string(), ledger }).await;
        }
        None => reporter.done(ledger, &learned).await,
    }
    Performed { learned, cut }
}

/// Accounts for a unit that had no turn, or that a defect ended: its pairs were planned all the same.
pub(super) async fn not_done(
    scan: &Scan,
    unit: &Unit,
    outcome: Outcome,
    reason: String,
    events: &mpsc::Sender<Event>,
) {
    let reporter = Reporter { unit, events };
    reporter.undetermined(reason).await;
    let mut ledger = Ledger::default();
    for check in scan.checker.checks.of_unit(unit) {
        ledger.plan(check, 1);
        ledger.end(check, outcome);
    }
    reporter.send(Event::Partial { stage: unit.stage(), unit: unit.to_string(), ledger }).await;
}

/// Waits for checks; findings leave as they come.
async fn checks(
    reporter: &Reporter<'_>,
    mut findings: mpsc::UnboundedReceiver<Finding>,
    running: impl Future<Output = Checked>,
) -> (Ledger, Learned) {
    let forward = async {
        while let Some(finding) = findings.recv().await {
            reporter.send(Event::Finding { finding: Box::new(finding) }).await;
        }
    };
    let (checked, ()) = tokio::join!(running, forward);
    let mut left_out: BTreeMap<&str, u64> = BTreeMap::new();
    for reason in &checked.unmet {
        *left_out.entry(reason).or_default() += 1;
    }
    for (reason, count) in left_out {
        reporter
            .left_out(if count == 1 { reason.to_owned() } else { format!("{reason} ({count} checks)") })
            .await;
    }
    // A port that nobody answers on fails every check for one reason: it is said once.
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (check, reason) in &checked.failures {
        by_reason.entry(reason).or_default().push(check.as_str());
    }
    for (reason, checks) in by_reason {
        let text = match checks.as_slice() {
            [first, second, third, _, ..] => {
                format!("{reason}: {} checks, such as {first}, {second}, {third}", checks.len())
            }
            few => format!("{}: {reason}", few.join(", ")),
        };
        reporter.undetermined(text).await;
    }
    (checked.ledger, Learned::default())
}

async fn discover_name(
    scan: &Scan,
    name: &DomainName,
    source: Source,
    brute_force: bool,
    deadline: Instant,
    reporter: &Reporter<'_>,
) -> Learned {
    let mut learned = Learned::default();
    if let Some(addresses) = scan.resolver.known_here(name) {
        // Names of this machine, such as localhost, are no name server's business.
        let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = addresses.iter().partition(|address| address.is_ipv4());
        let text = |addresses: Vec<IpAddr>| addresses.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut records = BTreeMap::from([("A".to_owned(), text(v4)), ("AAAA".to_owned(), text(v6))]);
        records.retain(|_, addresses| !addresses.is_empty());
        let (name, related) = (name.clone(), Vec::new());
        let discovery = Discovery { name, records, addresses, source, related, dangling: None };
        take_discovery(scan, discovery, reporter, &mut learned).await;
    } else if brute_force {
        let (sender, mut receiver) = mpsc::channel(256);
        let search = discover::domain(&scan.resolver, name, &scan.options.discover, sender);
        let collect = async {
            while let Some(discovery) = receiver.recv().await {
                take_discovery(scan, discovery, reporter, &mut learned).await;
            }
        };
        let (report, ()) = tokio::join!(tokio::time::timeout_at(deadline, search), collect);
        match report {
            Ok(report) => {
                if report.exists == Some(false) {
                    reporter
                        .undetermined(format!("{name} does not exist: check the spelling, or name the right server with --resolver"))
                        .await;
                }
                if report.exists == Some(true) && learned.found.iter().all(|found| found.addresses.is_empty())
                {
                    reporter
                        .undetermined(format!(
                            "neither {name} nor a name found below it has an address: there is no host to look at"
                        ))
                        .await;
                }
                for parent in report.wildcards {
                    let text = format!(
                        "every name below {parent} seems to exist (a wildcard): those that differ in nothing are not told"
                    );
                    reporter.left_out(text).await;
                }
                for (name, reason) in report.undetermined {
                    reporter.undetermined(format!("{name}: {reason}")).await;
                }
            }
            Err(_) => {
                reporter.undetermined("the deadline passed before every name was asked".to_owned()).await
            }
        }
    } else {
        let late = || {
            Failure::Failed(
                FailReason::Deadline,
                "the deadline passed before the name was looked up".to_owned(),
            )
        };
        let looked_up = tokio::time::timeout_at(deadline, discover::name(&scan.resolver, name, source)).await;
        match looked_up.unwrap_or_else(|_| Err(late())) {
            Ok(discovery)
                if source == Source::Target
                    && discovery.addresses.is_empty()
                    && !discovery.records.is_empty() =>
            {
                take_discovery(scan, discovery, reporter, &mut learned).await;
                reporter
                    .undetermined(format!(
                        "{name} has no address: hosts and sites of that name cannot be looked at"
                    ))
                    .await;
            }
            Ok(discovery) => take_discovery(scan, discovery, reporter, &mut learned).await,
            Err(failure) => refused_or_failed("", &failure, source == Source::Target, reporter).await,
        }
    }
    learned
}

async fn take_discovery(scan: &Scan, discovery: Discovery, reporter: &Reporter<'_>, learned: &mut Learned) {
    let Discovery { name, records, addresses, source, related, dangling } = discovery;
    let has = |kind: &str| records.contains_key(kind);
    if records.is_empty() {
        if source == Source::Target {
            reporter
                .undetermined(format!(
                    "{name} has no records: check the spelling, or name the right server with --resolver"
                ))
                .await;
        }
        return;
    }
    let permits = |address: &IpAddr| scan.dialer.scope().permits_address(*address, Some(&name));
    // A target of which nothing at all may be looked at was not scanned.
    let nothing_is_left =
        source == Source::Target && !addresses.iter().any(|address| permits(address).is_ok());
    for address in &addresses {
        let Err(refusal) = permits(address) else { continue };
        let text = format!("{name} leads to {address}: {refusal}");
        if nothing_is_left { reporter.undetermined(text).await } else { reporter.left_out(text).await }
    }
    learned.found.push(FoundName {
        name: name.clone(),
        source,
        addresses,
        apex: has("SOA") || has("NS"),
        alias: has("CNAME"),
    });
    learned.mentioned.extend(related.into_iter().map(|name| (name, Source::Record)));
    let asset = Asset::Domain { name, records, source, dangling };
    reporter.send(Event::Asset { asset }).await;
}

/// What could not be found out is undetermined; that something merely mentioned does not exist, or lies outside of the scope, is
/// worth a note.
async fn refused_or_failed(what: &str, failure: &Failure, asked_for: bool, reporter: &Reporter<'_>) {
    let text = match failure {
        Failure::Failed(_, reason) | Failure::OutOfScope(reason) => format!("{what}{reason}"),
        Failure::Skipped(reason) => format!("{what}{reason}"),
    };
    let found_out = matches!(
        failure,
        Failure::OutOfScope(_) | Failure::Skipped(_) | Failure::Failed(FailReason::Unresolved, _)
    );
    if asked_for || !found_out {
        reporter.undetermined(text).await;
    } else if !matches!(failure, Failure::Skipped(SkipReason::Cancelled)) {
        reporter.left_out(text).await;
    }
}

async fn open_ports(
    scan: &Scan,
    port_scan: &PortScan,
    expected: bool,
    deadline: Instant,
    reporter: &Reporter<'_>,
) -> Learned {
    let (sender, mut receiver) = mpsc::channel(256);
    let mut open = Vec::new();
    let collect = async {
        while let Some(port) = receiver.recv().await {
            open.push(port);
        }
    };
    if port_scan.plan(scan.dialer.scope()).is_empty() {
        let text = "no port is left to look at: the scope, or what is fragile, excludes them all";
        reporter.undetermined(text.to_owned()).await;
    }
    let (states, ()) = tokio::join!(ports::scan(&scan.dialer, port_scan, deadline, sender), collect);
    open.sort_unstable();
    if states.undetermined > 0 {
        reporter.undetermined(format!("{} ports could not be asked", states.undetermined)).await;
    }
    let silent = states.open.is_empty() && states.closed == 0 && states.filtered > 0;
    if silent && expected {
        let text = "no port answered: the host is down, or something on the way drops what is sent to it";
        reporter.undetermined(text.to_owned()).await;
    }
    if !states.open.is_empty() || states.closed > 0 {
        let names = port_scan.name.clone().into_iter().collect();
        let asset = Asset::Host { address: port_scan.address, names, ports: states };
        reporter.send(Event::Asset { asset }).await;
    }
    let mentioned = if open.is_empty() { Vec::new() } else { pointers(scan, port_scan, reporter).await };
    Learned { open, mentioned, ..Learned::default() }
}

/// The names that an address which was named by its number points back at.
async fn pointers(scan: &Scan, port_scan: &PortScan, reporter: &Reporter<'_>) -> Vec<(DomainName, Source)> {
    let wanted = port_scan.name.is_none() && scan.options.stages.contains(&Stage::Discover);
    if !wanted || scan.dialer.scope().resolvers.is_empty() {
        return Vec::new();
    }
    match discover::reverse(&scan.resolver, port_scan.address).await {
        Ok(names) => names.into_iter().map(|name| (name, Source::Pointer)).collect(),
        Err(failure) => {
            let what = format!("the names that {} points back at: ", port_scan.address);
            refused_or_failed(&what, &failure, false, reporter).await;
            Vec::new()
        }
    }
}

/// On a port that was only guessed it is an answer that nobody opens.
async fn identify(
    scan: &Scan,
    endpoint: &Endpoint,
    guessed: bool,
    deadline: Instant,
    reporter: &Reporter<'_>,
) -> Learned {
    let Identified { service, doubt } =
        match services::identify(&scan.dialer, scan.client.identity(), endpoint, deadline).await {
            Ok(identified) => identified,
            Err(Failure::Failed(FailReason::Refused | FailReason::TimedOut | FailReason::Unreachable, _))
                if guessed =>
            {
                return Learned::default();
            }
            Err(failure) => {
                refused_or_failed("", &failure, false, reporter).await;
                return Learned::default();
            }
        };
    if let Some(doubt) = doubt {
        reporter.undetermined(doubt.to_owned()).await;
    }
    let names = service.tls.iter().flat_map(|tls| &tls.names);
    let mentioned = names.filter_map(|name| {
        Some((name.strip_prefix("*.").unwrap_or(name).parse().ok()?, Source::Certificate))
    });
    let learned =
        Learned { mentioned: mentioned.collect(), service: Some(service.clone()), ..Learned::default() };
    reporter.send(Event::Asset { asset: Asset::Service(service) }).await;
    learned
}

async fn pages(scan: &Scan, site: &Site, deadline: Instant, reporter: &Reporter<'_>) -> (Ledger, Learned) {
    let (sender, mut receiver) = mpsc::channel(256);
    let mut learned = Learned::default();
    let mut ledger = Ledger::default();
    let mut said = OncePerSite::default();
    let mut elsewhere = 0_u64;
    let collect = async {
        while let Some(item) = receiver.recv().await {
            match item {
                CrawlItem::Page(asset) => reporter.send(Event::Asset { asset }).await,
                CrawlItem::Checked { page, checked } => {
                    let new = checked.findings.into_iter().filter(|finding| said.is_new(finding));
                    if page == site.base {
                        // The checks of the site tell and account for what is true of its first page.
                        new.for_each(drop);
                        continue;
                    }
                    for finding in new {
                        reporter.send(Event::Finding { finding: Box::new(finding) }).await;
                    }
                    ledger.add(&checked.ledger);
                    for (check, reason) in checked.failures {
                        reporter.undetermined(format!("{check} on a page: {reason}")).await;
                    }
                }
                CrawlItem::Name(name) => learned.mentioned.push((name, Source::Page)),
                CrawlItem::Form { page, action, method, fields } => {
                    let asset = Asset::Form { page, action, method: method.to_string(), fields };
                    reporter.send(Event::Asset { asset }).await;
                }
                CrawlItem::Endpoint { url, source } => {
                    reporter.send(Event::Asset { asset: Asset::Endpoint { url, named_in: source } }).await;
                }
                CrawlItem::External(_) => elsewhere += 1,
            }
        }
    };
    let mut limits = scan.dialer.limits().clone();
    limits.connections_per_host = limits.connections_per_unit();
    let start = crawl::Site {
        root: site.base.clone(),
        endpoint: site.endpoint.clone(),
        starts: vec![site.base.clone()],
    };
    let look_at = scan.options.stages.contains(&Stage::Check).then(|| {
        let (checker, address) = (Arc::clone(&scan.checker), site.endpoint.address);
        Arc::new(move |url: &Url, response: &Arc<HttpResponse>| checker.page(url, address, response))
            as LookAt
    });
    let crawling = crawl::site(&scan.client, &start, &limits, &scan.options.crawl, look_at, sender);
    let (report, ()) = tokio::join!(tokio::time::timeout_at(deadline, crawling), collect);
    if let Ok(report) = &report {
        elsewhere += report.external_untold;
    }
    if elsewhere > 0 {
        reporter.left_out(format!("links to other origins are not followed: {elsewhere}")).await;
    }
    let mut unseen = Account::default();
    match report {
        Ok(report) => {
            unseen = report.unseen();
            for (url, reason) in report.failures.iter().take(NAMED_FAILURES) {
                reporter.undetermined(format!("{url}: {reason}")).await;
            }
            let further = report.lost.planned.saturating_sub(NAMED_FAILURES as u64);
            if further > 0 {
                reporter.undetermined(format!("{further} further requests of the crawl failed")).await;
            }
            let left_out = report.passed_over.left_out();
            let left = format!("{left_out} of the {} pages found were not fetched", report.found);
            if report.passed_over.no_room > 0 {
                reporter
                    .undetermined(format!(
                        "{} of the {} pages found were not fetched: there was no room for their addresses in the {} bytes that a \
                         unit may hold of what targets send",
                        report.passed_over.no_room, report.found, limits.held_bytes
                    ))
                    .await;
            }
            if report.robots == RobotsPolicy::Obey && report.robots_answer == RobotsAnswer::Unreachable {
                reporter
                    .undetermined(
                        "robots.txt could not be had, so nothing was followed (RFC 9309): try again, or see --robots"
                            .to_owned(),
                    )
                    .await;
            }
            match report.stopped_by {
                Some(by @ (Budget::Time | Budget::Failures)) => {
                    reporter.undetermined(format!("the crawl was ended by {by}: {left}")).await;
                }
                Some(by) => reporter.left_out(format!("the crawl was ended by {by}: {left}")).await,
                None if left_out > 0 => reporter.left_out(left).await,
                None => {}
            }
        }
        Err(_) => {
            unseen.planned = 1;
            unseen.end(Outcome::Skipped(SkipReason::Deadline));
            reporter.undetermined("the host's deadline passed in the middle of the crawl".to_owned()).await
        }
    }
    if scan.options.stages.contains(&Stage::Check) {
        ledger.add(&scan.checker.unseen_pages(&unseen));
    }
    for (check, count) in said.left_out {
        reporter.left_out(format!("{check} holds on {count} further pages")).await;
    }
    learned.mentioned.sort();
    learned.mentioned.dedup();
    (ledger, learned)
}
