//! The reports of a scan that has ended: streamed from the store to where reports are kept.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    io::BufWriter,
};

use model::{
    Asset, Finding, Fingerprint, Ledger, ScanId, ScanLife, Severity, Summary, TenantId, scan::ScanEnd,
};
use report::{Format, Source, SourceError, Stream};
use store::{FindingFilter, ObjectKey, Objects, ScanRecord, Store, StoreError};
use tokio::runtime::Handle;

use crate::engines::Checks;

/// What one question to the store brings.
const PAGE: usize = 256;
/// How many remarks a report names.
const NAMED: usize = 1_000;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReportsError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("it cannot be written: {0}")]
    Write(std::io::Error),
    #[error(transparent)]
    Report(#[from] report::ReportError),
    #[error("it was given up")]
    Gone,
}

/// The reports that every scan gets.
pub const FORMATS: [Format; 2] = [Format::Html, Format::Json];

/// Writes every report of a scan, each as a whole or not at all.
pub(crate) async fn write(
    store: &Store,
    checks: &Checks,
    objects: &Objects,
    tenant: TenantId,
    scan: ScanId,
) -> Result<(), ReportsError> {
    let frame = Frame::read(store, checks, tenant, scan).await?;
    let (store, objects) = (store.clone(), objects.clone());
    let handle = Handle::current();
    let written = tokio::task::spawn_blocking(move || {
        let pages = Pages { store, tenant, scan, handle };
        for format in FORMATS {
            // Whoever lost the task to another may still be writing, and a thread cannot be stopped: each writes its own, and the
            // last one that is finished stays.
            let upload = objects.begin(&ObjectKey::report(tenant, scan, format.file_name()))?;
            let mut out = BufWriter::new(upload);
            let findings = || Ok(pages.findings(&frame.order));
            let assets = || Ok(pages.assets());
            let source = Source { summary: &frame.summary, findings: &findings, assets: &assets };
            report::write(format, &source, &mut out)?;
            out.into_inner().map_err(|error| ReportsError::Write(error.into_error()))?.finish()?;
        }
        Ok(())
    });
    written.await.unwrap_or(Err(ReportsError::Gone))
}

/// What a report says besides findings and assets, and in which order findings come.
struct Frame {
    summary: Summary,
    order: Vec<Fingerprint>,
}

impl Frame {
    async fn read(
        store: &Store,
        checks: &Checks,
        tenant: TenantId,
        scan: ScanId,
    ) -> Result<Frame, StoreError> {
        let record = store.scan(tenant, scan).await?;
        let (request, scope, limits, _) = store.scan_settings(tenant, scan).await?;
        let (mut ledger, mut undetermined, mut left_out) =
            (Ledger::default(), Remarks::default(), Remarks::default());
        let mut after = None;
        loop {
            let page = store.unit_results(tenant, scan, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.task);
            for unit in page {
                ledger.add(&unit.ledger);
                let about = |remark: String| format!("{}: {}: {remark}", unit.stage, unit.unit);
                unit.undetermined.into_iter().for_each(|remark| undetermined.say(about(remark)));
                unit.left_out.into_iter().for_each(|remark| left_out.say(about(remark)));
            }
        }
        let mut ranks = Vec::new();
        let mut findings: BTreeMap<Severity, u64> = BTreeMap::new();
        let mut after = None;
        loop {
            let filter = FindingFilter { scan: Some(scan), after, ..FindingFilter::default() };
            let page = store.findings(tenant, filter, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.finding.fingerprint.into());
            for known in page {
                let Finding { severity, confidence, check, location, fingerprint, .. } = known.finding;
                *findings.entry(severity).or_default() += 1;
                let order = (std::cmp::Reverse(severity), std::cmp::Reverse(confidence));
                ranks.push((order, check, location.to_string(), fingerprint));
            }
        }
        ranks.sort_unstable();
        let incomplete_because = incomplete_because(&record);
        let ended_at = match record.life {
            ScanLife::Ended { at, .. } => at,
            ScanLife::Running => jiff::Timestamp::now(),
        };
        let summary = Summary {
            scan,
            tool: checks.product.replace('/', " "),
            started_at: record.submitted_at,
            ended_at,
            complete: incomplete_because.is_none(),
            incomplete_because,
            targets: store.targets(tenant, scan, 0, 100).await?.iter().map(ToString::to_string).collect(),
            target_count: record.targets,
            authorised_by: scope.authorised_by.clone(),
            scope: scope.describe(),
            profile: request.profile,
            limits,
            stages: request.stages.iter().copied().collect(),
            checks: checks.set.len(),
            refused_checks: Vec::new(),
            ledger,
            undetermined: undetermined.named,
            undetermined_count: undetermined.count,
            left_out: left_out.named,
            left_out_count: left_out.count,
            findings,
            assets: store.asset_counts(tenant, scan).await?,
            traffic: record.traffic,
        };
        Ok(Frame { summary, order: ranks.into_iter().map(|(_, _, _, fingerprint)| fingerprint).collect() })
    }
}

#[derive(Default)]
struct Remarks {
    named: Vec<String>,
    count: u64,
}

impl Remarks {
    fn say(&mut self, remark: String) {
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push(remark);
        }
    }
}

fn incomplete_because(record: &ScanRecord) -> Option<String> {
    let end = match record.life {
        ScanLife::Ended { end, .. } => end,
        ScanLife::Running => return Some("it is still going on".to_owned()),
    };
    let why = match end {
        ScanEnd::Complete => return None,
        ScanEnd::Failures { units } => format!("{units} units failed for good, or were cancelled"),
        ScanEnd::Cancelled => "it was cancelled".to_owned(),
        ScanEnd::Deadline => "its deadline passed".to_owned(),
        ScanEnd::Budget { exhausted } => {
            format!("its budget of {} was used up", exhausted.as_str())
        }
    };
    Some(match record.targets.saturating_sub(record.begun) {
        0 => why,
        left => format!("{why}; {left} of {} targets were not begun", record.targets),
    })
}

/// Reads page after page, on a thread that may wait.
struct Pages {
    store: Store,
    tenant: TenantId,
    scan: ScanId,
    handle: Handle,
}

impl Pages {
    fn findings<'a>(&'a self, order: &'a [Fingerprint]) -> Stream<'a, Finding> {
        let pages = order.chunks(PAGE / 4).map(|page| {
            let reading = self.store.finding_documents(self.tenant, page.to_vec());
            self.handle.block_on(reading).map_err(SourceError::new)
        });
        Box::new(pages.flat_map(|page| match page {
            Ok(findings) => findings.into_iter().map(Ok).collect::<Vec<_>>(),
            Err(error) => vec![Err(error)],
        }))
    }

    fn assets(&self) -> Stream<'_, Asset> {
        let state = RefCell::new((VecDeque::new(), None, false));
        Box::new(std::iter::from_fn(move || {
            let (page, after, ended) = &mut *state.borrow_mut();
            if page.is_empty() && !*ended {
                let reading = self.store.assets(self.tenant, self.scan, *after, PAGE);
                match self.handle.block_on(reading) {
                    Ok((assets, last)) => {
                        *ended = assets.is_empty();
                        *after = last;
                        page.extend(assets);
                    }
                    Err(error) => {
                        *ended = true;
                        return Some(Err(SourceError::new(error)));
                    }
                }
            }
            page.pop_front().map(Ok)
        }))
    }
}
