//! The reports of a scan that has ended: streamed from the store into files.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    fs::{self, DirBuilder, OpenOptions},
    io::{BufWriter, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use model::{
    Asset, Finding, Fingerprint, Ledger, ScanId, ScanLife, Severity, Summary, TenantId,
    scan::{Exhausted, ScanEnd},
};
use report::{Format, Source, SourceError, Stream};
use store::{FindingFilter, ScanRecord, Store, StoreError};
use tokio::runtime::Handle;

use crate::engines::Checks;

/// What one question to the store brings.
const PAGE: usize = 256;
/// How many remarks a report names.
const NAMED: usize = 1_000;

/// How the name of a report ends while it is written.
const UNFINISHED: &str = "part";
/// Who has not written for so long will not go on.
const LEFT: Duration = Duration::from_secs(60 * 60);

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReportsError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("`{path}`: {why}")]
    File { path: String, why: std::io::Error },
    #[error(transparent)]
    Report(#[from] report::ReportError),
    #[error("it was given up")]
    Gone,
}

/// Writes every report of a scan, each as a whole or not at all.
pub(crate) async fn write(
    store: &Store,
    checks: &Checks,
    directory: &Path,
    tenant: TenantId,
    scan: ScanId,
) -> Result<(), ReportsError> {
    let frame = Frame::read(store, checks, tenant, scan).await?;
    let directory = directory.join(tenant.to_string()).join(scan.to_string());
    let store = store.clone();
    let handle = Handle::current();
    let written = tokio::task::spawn_blocking(move || {
        let pages = Pages { store, tenant, scan, handle };
        let file = |path: &Path, why| ReportsError::File { path: path.display().to_string(), why };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(|why| file(&directory, why))?;
        sweep(&directory);
        for format in [Format::Html, Format::Json] {
            let path = directory.join(format.file_name());
            // Of its own: whoever lost the task to another may still be writing, and a thread cannot be stopped.
            let temporary = Temporary(directory.join(format!(
                "{}.{:016x}.{UNFINISHED}",
                format.file_name(),
                rand::random::<u64>()
            )));
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600);
            let mut out = BufWriter::new(options.open(&temporary.0).map_err(|why| file(&temporary.0, why))?);
            let findings = || Ok(pages.findings(&frame.order));
            let assets = || Ok(pages.assets());
            let source = Source { summary: &frame.summary, findings: &findings, assets: &assets };
            report::write(format, &source, &mut out)?;
            out.flush().map_err(|why| file(&temporary.0, why))?;
            fs::rename(&temporary.0, &path).map_err(|why| file(&path, why))?;
        }
        Ok(())
    });
    written.await.unwrap_or(Err(ReportsError::Gone))
}

/// A file that is gone with this value, unless it got another name.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // It has got its name, or was never made.
        let _ = fs::remove_file(&self.0);
    }
}

/// Removes what somebody left who was killed. Whoever is alive writes all the time.
fn sweep(directory: &Path) {
    let is_left = |path: &Path| {
        let silent = || fs::metadata(path).ok()?.modified().ok()?.elapsed().ok();
        path.extension().is_some_and(|end| end == UNFINISHED) && silent().is_some_and(|since| since > LEFT)
    };
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()).filter(|path| is_left(path)) {
        if let Err(error) = fs::remove_file(&path) {
            tracing::debug!(path = %path.display(), %error, "an unfinished report is left");
        }
    }
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
            after = Some(last.finding.fingerprint);
            for known in page {
                let Finding { severity, confidence, check, location, fingerprint, .. } = known.finding;
                *findings.entry(severity).or_default() += 1;
                let order = (std::cmp::Reverse(severity), std::cmp::Reverse(confidence));
                ranks.push((order, check, location.to_string(), fingerprint));
            }
        }
        ranks.sort_unstable();
        let mut assets: BTreeMap<String, u64> = BTreeMap::new();
        let mut after = None;
        loop {
            let (page, last) = store.assets(tenant, scan, after, PAGE).await?;
            if page.is_empty() {
                break;
            }
            after = last;
            for asset in page {
                *assets.entry(asset.kind().to_owned()).or_default() += 1;
            }
        }
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
            targets: store.targets(tenant, scan, 100).await?.iter().map(ToString::to_string).collect(),
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
            assets,
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
        ScanEnd::Failures { units } => format!("{units} units failed for good"),
        ScanEnd::Cancelled => "it was cancelled".to_owned(),
        ScanEnd::Deadline => "its deadline passed".to_owned(),
        ScanEnd::Budget { exhausted } => {
            let of = match exhausted {
                Exhausted::Packets => "packets",
                Exhausted::Assets => "assets",
                Exhausted::Units => "units",
            };
            format!("its budget of {of} was used up")
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
