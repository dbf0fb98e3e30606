//! `rampart scan submit`, `list`, `show`, `diff`, `cancel`: scans of the platform.

use std::{io::Write, path::Path, process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use model::{ScanId, ScanLife, Severity, Stage, TenantId, scan::Difference, task::Life};
use report::terminal;
use serde_json::json;
use store::{FindingFilter, NewScan, ObjectKey, ScanFilter, ScanRecord, StoreError, TaskFilter, Terms};
use tempfile::NamedTempFile;
use worker::REPORT_FORMATS;

use super::{
    Desk, attendance::Watch, length, operate, operator, print_json, print_table, put, put_bytes, short_time,
    targets, with_way_out,
};
use crate::{
    cli::{
        DiffArguments, OneScanArguments, ReportArguments, ScanCommand, ScanListArguments, SubmitArguments,
        say,
    },
    library::Library,
    scan::EXIT_UNDETERMINED,
};

/// How often somebody who waits looks.
const LOOK: Duration = Duration::from_millis(250);
const PAGE: usize = 500;

pub(crate) fn scan(command: &ScanCommand) -> anyhow::Result<ExitCode> {
    operate(&command.configuration()?, async |desk| match command {
        ScanCommand::Submit(asked) => submit(&desk, &asked.arguments).await,
        ScanCommand::List(asked) => {
            let ScanListArguments { running, limit, json } = &asked.arguments;
            let filter = ScanFilter { running: *running, before: None };
            let scans = desk.stale_reads().await?.scans(desk.tenant().await?, filter, *limit).await?;
            if *json {
                print_json(&scans)?
            } else {
                list(&scans)?
            }
            Ok(ExitCode::SUCCESS)
        }
        ScanCommand::Show(asked) => {
            let OneScanArguments { id, json } = &asked.arguments;
            let record = desk.stale_reads().await?.scan(desk.tenant().await?, *id).await?;
            if *json {
                print_json(&record)?
            } else {
                show(&desk, &record).await?
            }
            Ok(ExitCode::SUCCESS)
        }
        ScanCommand::Diff(asked) => {
            let DiffArguments { id, with, json } = &asked.arguments;
            let (tenant, reads) = (desk.tenant().await?, desk.stale_reads().await?);
            let record = reads.scan(tenant, *id).await?;
            let Some(baseline) = with.or(record.baseline) else {
                bail!("scan {id} is the first of its kind: --with names one to compare with");
            };
            reads.scan(tenant, baseline).await?;
            let difference = reads.difference(tenant, *id, baseline).await?;
            if *json {
                print_json(&json!({ "scan": id, "baseline": baseline, "difference": difference }))?;
            } else {
                tell(baseline, &difference)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        ScanCommand::Report(asked) => {
            report(&desk, &asked.arguments).await?;
            Ok(ExitCode::SUCCESS)
        }
        ScanCommand::Cancel(asked) => {
            let OneScanArguments { id, json } = &asked.arguments;
            let tenant = desk.tenant().await?;
            let reached = desk.store.cancel_scan(tenant, *id, operator()).await?;
            let record = desk.store.scan(tenant, *id).await?;
            let (state, open) = (record.life.word(), record.open_tasks);
            let running = record.life == ScanLife::Running;
            if *json {
                let asked = reached && running;
                print_json(&json!({
                    "cancelled": reached && !running, "asked_to_stop": asked, "state": state, "open_tasks": open,
                }))?;
            } else {
                say(&match (reached, running) {
                    (true, true) => {
                        format!("asked to stop: {open} tasks still run, each until its worker hears of it\n")
                    }
                    (true, false) => "cancelled\n".to_owned(),
                    (false, true) => format!("it is ending already: {open} tasks still run\n"),
                    (false, false) => format!("it had ended already: {state}\n"),
                });
            }
            Ok(ExitCode::SUCCESS)
        }
    })
}

async fn submit(desk: &Desk, arguments: &SubmitArguments) -> anyhow::Result<ExitCode> {
    let tenant = desk.tenant().await?;
    Library::require_built_in(&arguments.request.only)?;
    let Terms { checks, price } = desk.configuration.terms();
    let new = NewScan {
        request: arguments.request.request(),
        targets: targets(&arguments.targets)?,
        by: operator(),
        checks,
        price,
    };
    let (id, planned) =
        desk.store.submit_scan(tenant, new).await.map_err(with_way_out).context("the scan was not begun")?;
    desk.wake(planned).await;
    let mut stages = arguments.request.request().stages;
    stages.insert(Stage::Report);
    let mut watch = Watch::begin(desk, stages).await?;
    if !arguments.wait {
        match arguments.json {
            true => print_json(&json!({ "scan": id }))?,
            false => put(&format!("{id}\n"))?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    say(&format!("scan {id}: `rampart scan show {id}` tells how far it is\n"));
    let record = wait(desk, tenant, id, &mut watch).await?;
    let gaps = gaps(desk, tenant, &record).await?;
    if arguments.json {
        print_json(&record)?;
    } else {
        print_findings(desk, tenant, id).await?;
        show(desk, &record).await?;
        if let Some(baseline) = record.baseline {
            tell(baseline, &desk.store.difference(tenant, id, baseline).await?)?;
        }
    }
    for gap in gaps.named.iter().filter(|_| !arguments.json) {
        say(&format!("undetermined: {}\n", terminal::sanitise(gap)));
    }
    if gaps.count > gaps.named.len() as u64 && !arguments.json {
        say(&format!("undetermined: {} more\n", gaps.count - gaps.named.len() as u64));
    }
    exit_code(desk, tenant, &record, &gaps).await
}

/// What a scan could not find out.
#[derive(Default)]
struct Gaps {
    /// The first of them.
    named: Vec<String>,
    count: u64,
}

async fn gaps(desk: &Desk, tenant: TenantId, record: &ScanRecord) -> anyhow::Result<Gaps> {
    const NAMED: usize = 20;
    let mut gaps = Gaps::default();
    let mut after = None;
    loop {
        let page = desk.store.unit_results(tenant, record.id, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(gaps) };
        after = Some(last.task);
        for unit in page {
            let failed = unit.ledger.total().failed_total();
            let failed = (failed > 0).then(|| format!("{failed} checks failed"));
            for why in unit.undetermined.into_iter().chain(failed) {
                gaps.count += 1;
                if gaps.named.len() < NAMED {
                    gaps.named.push(format!("{}: {}: {why}", unit.stage, unit.unit));
                }
            }
        }
    }
}

/// Until the scan has ended and its reports are written.
async fn wait(desk: &Desk, tenant: TenantId, id: ScanId, watch: &mut Watch) -> anyhow::Result<ScanRecord> {
    let mut told_stop = false;
    loop {
        let record = desk.store.scan(tenant, id).await?;
        if record.life != ScanLife::Running {
            let filter = TaskFilter { stage: Some(Stage::Report), ..TaskFilter::of_scan(id) };
            let reports = desk.store.tasks(tenant, filter, None, 1).await?;
            if reports.iter().all(|task| task.task.life.has_ended()) {
                return Ok(record);
            }
        }
        if !told_stop && let Some(stop) = desk.store.stops().await?.first() {
            told_stop = true;
            say(&format!("an emergency stop holds ({}): {}\n", stop.reach, stop.reason));
        }
        watch.look_again(desk).await?;
        tokio::time::sleep(LOOK).await;
    }
}

async fn print_findings(desk: &Desk, tenant: TenantId, id: ScanId) -> anyhow::Result<()> {
    let mut after = None;
    let mut found = Vec::new();
    loop {
        let filter = FindingFilter { scan: Some(id), after, ..FindingFilter::default() };
        let page = desk.store.findings(tenant, filter, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.finding.fingerprint);
        found.extend(page.into_iter().map(|known| known.finding));
    }
    found.sort_by_cached_key(|finding| {
        (std::cmp::Reverse(finding.severity), finding.check.clone(), finding.location.to_string())
    });
    let lines: Vec<String> =
        found.iter().map(|finding| terminal::finding_line(finding, false) + "\n").collect();
    put(&lines.concat())
}

/// As a scan in this process would exit.
async fn exit_code(
    desk: &Desk,
    tenant: TenantId,
    record: &ScanRecord,
    gaps: &Gaps,
) -> anyhow::Result<ExitCode> {
    let filter =
        FindingFilter { scan: Some(record.id), at_least: Some(Severity::Low), ..FindingFilter::default() };
    let complete = matches!(record.life, ScanLife::Ended { end, .. } if end.is_complete());
    Ok(if !desk.store.findings(tenant, filter, 1).await?.is_empty() {
        ExitCode::FAILURE
    } else if !complete || gaps.count > 0 {
        ExitCode::from(EXIT_UNDETERMINED)
    } else {
        ExitCode::SUCCESS
    })
}

fn list(scans: &[ScanRecord]) -> anyhow::Result<()> {
    let rows: Vec<Vec<String>> = scans
        .iter()
        .map(|scan| {
            vec![
                scan.id.to_string(),
                scan.life.word().to_owned(),
                short_time(scan.submitted_at),
                scan.request.scope.clone(),
                format!("{}/{}", scan.begun, scan.targets),
                scan.open_tasks.to_string(),
                scan.findings.to_string(),
                scan.submitted_by.clone(),
            ]
        })
        .collect();
    print_table(&["SCAN", "STATE", "SUBMITTED", "SCOPE", "TARGETS", "OPEN", "FINDINGS", "BY"], &rows)
}

async fn show(desk: &Desk, scan: &ScanRecord) -> anyhow::Result<()> {
    let mut rows = vec![
        ("scan", scan.id.to_string()),
        ("state", scan.life.word().to_owned()),
        ("scope", scan.request.scope.clone()),
        ("submitted", format!("{} by {}", short_time(scan.submitted_at), scan.submitted_by)),
        ("deadline", short_time(scan.deadline)),
        ("targets", format!("{} of {} begun", scan.begun, scan.targets)),
        ("units", format!("{} planned, {} open, {} dead", scan.units, scan.open_tasks, scan.dead_tasks)),
        ("assets", scan.assets.to_string()),
        ("findings", scan.findings.to_string()),
        (
            "sent",
            format!(
                "{} requests ({} saved by sharing), {} probes, {} queries",
                scan.traffic.requests,
                scan.traffic.shared_requests,
                scan.traffic.probes,
                scan.traffic.queries
            ),
        ),
    ];
    rows.push(("worked", length(Duration::from_secs(scan.worked.as_secs()))));
    if let (Some(cost), Some(price)) = (scan.cost, scan.price) {
        let most = scan.request.budget.cost.map(|most| format!(" of at most {most}"));
        rows.push(("cost", format!("{cost}{}, at {price} an hour", most.unwrap_or_default())));
    }
    if let ScanLife::Ended { at, .. } = scan.life {
        rows.push(("ended", short_time(at)));
        rows.push(("reports", where_reports_are(desk, scan).await?));
    }
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    print_table(&["", ""], &rows)
}

/// The worker that wrote them knows its directory; from here they can be named if it is the same.
async fn where_reports_are(desk: &Desk, scan: &ScanRecord) -> anyhow::Result<String> {
    let tenant = desk.tenant().await?;
    let filter = TaskFilter { stage: Some(Stage::Report), ..TaskFilter::of_scan(scan.id) };
    let task = desk.store.tasks(tenant, filter, None, PAGE).await?.pop();
    match task.map(|task| (task.id, task.task.life)) {
        Some((id, Life::Queued { .. } | Life::Running { .. })) => {
            return Ok(format!("not written yet: `rampart task show {id}`"));
        }
        Some((id, life @ (Life::Dead { .. } | Life::Cancelled))) => {
            return Ok(format!("not written, the task is {}: `rampart task show {id}`", life.word()));
        }
        // A task that is long over is forgotten.
        Some((_, Life::Completed)) | None => {}
    }
    let reports = ObjectKey::reports(tenant, scan.id);
    let data = &desk.configuration.data;
    Ok(match &desk.configuration.objects {
        Some(_) => desk.configuration.objects()?.describe(&reports),
        None if data.join(&reports).is_dir() => data.join(&reports).display().to_string(),
        None => {
            let data = data.display();
            format!(
                "{reports} in the data directory of the worker that wrote them, which is not `{data}` here"
            )
        }
    })
}

/// Brings a report from where it is kept.
async fn report(desk: &Desk, arguments: &ReportArguments) -> anyhow::Result<()> {
    let ReportArguments { id, format, output } = arguments;
    if !REPORT_FORMATS.contains(format) {
        let kept: Vec<&str> = REPORT_FORMATS.iter().map(|format| format.as_str()).collect();
        bail!("reports of the platform's scans are kept as {}, not as {format}", kept.join(" and "));
    }
    let tenant = desk.tenant().await?;
    let record = desk.store.scan(tenant, *id).await?;
    let key = ObjectKey::report(tenant, *id, format.file_name());
    let elsewhere = desk.configuration.objects.is_none()
        && !desk.configuration.data.join(ObjectKey::reports(tenant, *id)).is_dir();
    if record.life == ScanLife::Running || elsewhere {
        let why = match record.life {
            ScanLife::Running => "it is written when the scan has ended".to_owned(),
            ScanLife::Ended { .. } => where_reports_are(desk, &record).await?,
        };
        bail!("there is no report of scan {id} here: {why}");
    }
    let mut download = match desk.configuration.objects()?.download(&key).await {
        Err(StoreError::Missing { .. }) => {
            let why = where_reports_are(desk, &record).await?;
            bail!("there is no report of scan {id}: {why}")
        }
        download => download?,
    };
    let Some(path) = output else {
        while let Some(piece) = download.next().await? {
            put_bytes(&piece)?;
        }
        return Ok(());
    };
    // For its owner alone, and as a whole or not at all.
    let describe = || format!("cannot write `{}`", path.display());
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(directory).with_context(describe)?;
    while let Some(piece) = download.next().await? {
        file.write_all(&piece).with_context(describe)?;
    }
    file.persist(path).map(drop).with_context(describe)
}

fn tell(baseline: ScanId, difference: &Difference) -> anyhow::Result<()> {
    if difference.is_empty() {
        return put(&format!("nothing changed since scan {baseline}\n"));
    }
    let mut text = format!("changed since scan {baseline}:\n");
    for (kind, changes) in &difference.kinds {
        for (sign, names) in [("+", &changes.appeared), ("-", &changes.disappeared), ("~", &changes.changed)]
        {
            for name in names {
                text.push_str(&format!("{sign} {kind}: {}\n", terminal::sanitise(name)));
            }
        }
    }
    put(&text)
}
