//! Findings committed a second, as a worker commits them: units of a scan that end, many in one transaction.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;
use model::{
    CheckId, Confidence, Evidence, Finding, Fingerprint, Ledger, Location, Outcome as Ended, ScanId,
    ScanRequest, Scope, Severity, Stage, Target, TenantId, Unit, UnitResult, Work,
};
use store::{Ending, NewScan, Settlement, Store};

use crate::{
    Outcome,
    ground::{Claimant, open, tenant},
};

/// Findings of one unit, which is one web site.
const OF_UNIT: usize = 20;
/// Units in one transaction: as many as a worker's settler takes at most.
const UNITS: usize = 256;
/// Scans at once.
const SCANS: usize = 2;
/// Tasks in one claim: all that both scans may have open.
const CLAIM: usize = 1_024;
/// Findings for each figure.
const SAMPLE: usize = 40_000;
/// What stands in the evidence of one: an answer's head and the beginning of its body.
const EVIDENCE: usize = 1_024;

pub(crate) async fn measure(database: &str, sizes: &[usize]) -> Outcome<()> {
    let store = open(database).await?;
    let tenant = tenant(&store, "measured").await?;
    store.put_scope(tenant, "loopback", Scope::loopback(), "measuring".to_owned()).await?;
    let mut sites = 0;
    for size in sizes {
        let wanted = u32::try_from(size / OF_UNIT)?;
        while sites < wanted {
            let next = wanted.min(sites + 10_000);
            scan(&store, tenant, (sites..next).collect()).await?;
            sites = next;
        }
        let count = u32::try_from(SAMPLE / OF_UNIT)?;
        // Spread over all that are known.
        let step = (sites / count).max(1);
        let again = scan(&store, tenant, (0..count.min(sites)).map(|place| place * step).collect()).await?;
        let new = scan(&store, tenant, (sites..sites + count).collect()).await?;
        println!("{{\"known\": {size}, \"new_per_second\": {new:.0}, \"again_per_second\": {again:.0}}}");
        sites += count;
    }
    Ok(())
}

/// Scans of these sites, as many as there are cores, whose results are committed at the same time: how many findings a second.
async fn scan(store: &Store, tenant: TenantId, sites: Vec<u32>) -> Outcome<f64> {
    let wanted = (sites.len() * OF_UNIT) as u64;
    let mut scans = Vec::new();
    for part in sites.chunks(sites.len().div_ceil(SCANS)) {
        let targets: Result<Vec<Target>, _> = part.iter().map(|site| address(*site).parse()).collect();
        let request = ScanRequest { stages: [Stage::Check].into(), ..ScanRequest::within("loopback") };
        let new = NewScan {
            request,
            targets: targets?,
            by: "measuring".into(),
            checks: "measured".to_owned(),
            price: None,
        };
        scans.push(store.submit_scan(tenant, new).await?.0);
    }
    let (checking, reporting) = (Claimant::of(Stage::Check), Claimant::of(Stage::Report));
    let mut taken = Duration::ZERO;
    loop {
        let claimed = checking.claim(store, CLAIM).await?;
        if claimed.is_empty() {
            break;
        }
        let mut of_scans: BTreeMap<Option<ScanId>, Vec<Settlement>> = BTreeMap::new();
        for task in claimed {
            let Work::Unit(Unit::CheckSite(site)) = &task.work else {
                return Err("no unit of a site".into());
            };
            let ending = Ending::Unit(Box::new(result(site)));
            of_scans.entry(task.lease.scan).or_default().push(Settlement::silent(task.lease, ending));
        }
        let begun = Instant::now();
        try_join_all(of_scans.into_values().map(|settlements| settle(store, settlements))).await?;
        taken += begun.elapsed();
    }
    for report in reporting.claim(store, SCANS).await? {
        store.settle(vec![Settlement::silent(report.lease, Ending::Completed)]).await?;
    }
    let mut committed = 0;
    for id in scans {
        committed += store.scan(tenant, id).await?.findings;
    }
    if committed != wanted {
        return Err(format!("{committed} findings were committed instead of {wanted}").into());
    }
    Ok(wanted as f64 / taken.as_secs_f64())
}

async fn settle(store: &Store, settlements: Vec<Settlement>) -> Outcome<()> {
    for some in settlements.chunks(UNITS) {
        for answer in store.settle(some.to_vec()).await? {
            answer?;
        }
    }
    Ok(())
}

/// Each on an address of its own.
fn address(site: u32) -> String {
    format!("http://{}:8080/", Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 0).to_bits() + site))
}

fn result(site: &model::Site) -> UnitResult {
    let mut ledger = Ledger::default();
    let mut findings = Vec::with_capacity(OF_UNIT);
    for number in 0..OF_UNIT {
        let check = CheckId::new(&format!("measured-check-{number}"));
        ledger.plan(&check, 1);
        ledger.end(&check, Ended::Matched);
        findings.push(finding(check, site));
    }
    UnitResult { findings, ledger, ..UnitResult::default() }
}

fn finding(check: CheckId, site: &model::Site) -> Finding {
    let location = Location::Url(site.base.clone());
    let head = "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/html\r\n\r\n";
    Finding {
        fingerprint: Fingerprint::of(&check, None, &location),
        name: "A file that nobody should see can be read".to_owned(),
        check,
        severity: Severity::High,
        confidence: Confidence::Certain,
        location,
        addresses: vec![site.endpoint.address],
        matcher: None,
        extracted: Default::default(),
        evidence: vec![Evidence {
            request: format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", site.base.path(), site.endpoint.address),
            response: format!("{head}{}", body(site, EVIDENCE)),
            ..Evidence::default()
        }],
        description: "The web server answers with a file that belongs to nobody but its owner.".to_owned(),
        impact: "Whoever reads it learns secrets of the application.".to_owned(),
        remediation: "Take it away, or let the web server refuse it.".to_owned(),
        references: vec!["https://owasp.org/".to_owned()],
        classification: Default::default(),
        tags: vec!["exposure".to_owned()],
        reproduce: format!("curl -i {}", site.base),
        found_at: jiff::Timestamp::UNIX_EPOCH,
    }
}

/// A page that is another on every site.
fn body(site: &model::Site, length: usize) -> String {
    let line = format!("<p>The page of {} at {}</p>\n", site.base, site.endpoint.address);
    line.chars().cycle().take(length).collect()
}
