//! `rampart scan submit`, `list`, `show`, `diff`, `cancel`: scans of the platform.

use std::{io::Write, path::Path, process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use model::{Finding, ScanId, ScanLife, Severity, Stage, TenantId, finding::Life, scan::Difference};
use report::terminal;
use serde_json::json;
use store::{
    FindingFilter, NewScan, ObjectKey, ScanFilter, ScanRecord, StoreError, Submission, TaskFilter, Terms,
};
use tempfile::NamedTempFile;
use worker::REPORT_FORMATS;

use super::{
    Desk,
    account::{Account, stopped, where_reports_are},
    attendance::Watch,
    findings::standing,
    operate, operator, print_json, print_table, put, put_bytes, short_time, targets, with_way_out,
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
/// Where findings stand that make a scan exit as one that found something. What is fixed by now was there when it looked.
const COUNTED: [&str; 4] = ["open", "reopened", "triaged", "fixed"];

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
            let tenant = desk.tenant().await?;
            let record = desk.stale_reads().await?.scan(tenant, *id).await?;
            let account = Account::of(&desk, tenant, record).await?;
            if *json {
                account.print_json()?
            } else {
                account.show(&desk).await?
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
            match reads.scan(tenant, baseline).await {
                Err(StoreError::Missing { .. }) if with.is_none() => bail!(
                    "scan {baseline}, the one before scan {id}, is forgotten (--keep-scans): --with names another to compare with"
                ),
                compared => compared?,
            };
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
            if reached {
                desk.tell_workers().await;
            }
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
        by: operator().into(),
        checks,
        price,
    };
    let Submission { scan: id, is_new, planned } =
        begin(desk, tenant, new, arguments.idempotency_key.clone())
            .await
            .map_err(with_way_out)
            .context("the scan was not begun")?;
    if !is_new {
        say(&format!("scan {id} was asked for under this key before: it is the same one\n"));
    }
    desk.wake(planned).await;
    let mut stages = arguments.request.request().stages;
    stages.insert(Stage::Report);
    let mut watch = Watch::begin(desk, stages).await?;
    if !arguments.wait {
        for stop in stopped(desk, &desk.store.scan(tenant, id).await?).await? {
            say(&format!("an emergency stop holds, the scan waits: {stop}\n"));
        }
        match arguments.json {
            true => print_json(&json!({ "scan": id }))?,
            false => put(&format!("{id}\n"))?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    say(&format!("scan {id}: `rampart scan show {id}` tells how far it is\n"));
    let record = wait(desk, tenant, id, &mut watch).await?;
    let account = Account::of(desk, tenant, record).await?;
    if arguments.json {
        account.print_json()?;
    } else {
        print_findings(desk, tenant, id).await?;
        account.show(desk).await?;
        if let Some(baseline) = account.record.baseline
            && is_known(desk, tenant, baseline).await?
        {
            tell(baseline, &desk.store.difference(tenant, id, baseline).await?)?;
        }
    }
    exit_code(desk, tenant, &account).await
}

async fn begin(
    desk: &Desk,
    tenant: TenantId,
    new: NewScan,
    key: Option<String>,
) -> Result<Submission, StoreError> {
    match key {
        Some(key) => desk.store.submit_scan_once(tenant, new, key).await,
        None => {
            let (scan, planned) = desk.store.submit_scan(tenant, new).await?;
            Ok(Submission { scan, is_new: true, planned })
        }
    }
}

/// It may be forgotten by now.
async fn is_known(desk: &Desk, tenant: TenantId, id: ScanId) -> anyhow::Result<bool> {
    match desk.store.scan(tenant, id).await {
        Err(StoreError::Missing { .. }) => Ok(false),
        found => found.map(|_| true).map_err(Into::into),
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
        if !told_stop {
            for stop in stopped(desk, &record).await? {
                told_stop = true;
                say(&format!("an emergency stop holds, the scan waits: {stop}\n"));
            }
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
        found.extend(page.into_iter().map(|known| (known.finding, known.life)));
    }
    found.sort_by_cached_key(|(finding, _)| {
        (std::cmp::Reverse(finding.severity), finding.check.clone(), finding.location.to_string())
    });
    let line = |(finding, life): &(Finding, Life)| {
        let stands = match life {
            Life::Open => String::new(),
            life => format!("  ({})", standing(life)),
        };
        terminal::finding_line(finding, false) + &stands + "\n"
    };
    let lines: Vec<String> = found.iter().map(line).collect();
    put(&lines.concat())
}

/// As a scan in this process would exit, but for what somebody decided to be no problem.
async fn exit_code(desk: &Desk, tenant: TenantId, account: &Account) -> anyhow::Result<ExitCode> {
    let filter = FindingFilter {
        scan: Some(account.record.id),
        at_least: Some(Severity::Low),
        states: COUNTED.to_vec(),
        ..FindingFilter::default()
    };
    Ok(if !desk.store.findings(tenant, filter, 1).await?.is_empty() {
        ExitCode::FAILURE
    } else if !account.is_without_gaps() {
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
