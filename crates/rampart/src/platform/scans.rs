//! `rampart scan submit`, `list`, `show`, `diff`, `cancel`: scans of the platform.

use std::{io::Write, path::Path, process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use model::{Finding, ScanId, ScanLife, Severity, Stage, Topic, finding::Life, scan::Difference};
use report::terminal;
use serde_json::json;
use store::{FindingFilter, ScanRecord, TaskFilter};
use tempfile::NamedTempFile;
use tokio::time::Instant;
use worker::REPORT_FORMATS;

use super::{
    account::{Account, stopped},
    attendance::Watch,
    comments,
    findings::standing,
    operate,
    place::{Place, is_passing, known},
    print_json, print_table, put, put_bytes, short_time, targets,
};
use crate::{
    cli::{
        DiffArguments, OneScanArguments, ReportArguments, ScanCommand, ScanListArguments, SubmitArguments,
        say,
    },
    scan::EXIT_UNDETERMINED,
};

/// How often somebody who waits looks.
const LOOK: Duration = Duration::from_millis(250);
/// And at a server, which many ask.
const LOOK_THERE: Duration = Duration::from_secs(1);
/// How long a server may be away while somebody waits.
const AWAY: Duration = Duration::from_secs(10 * 60);
const PAGE: usize = 500;
/// Where findings stand that make a scan exit as one that found something. What is fixed by now was there when it looked.
const COUNTED: [&str; 4] = ["open", "reopened", "triaged", "fixed"];

pub(crate) fn scan(command: &ScanCommand) -> anyhow::Result<ExitCode> {
    operate(&command.whereabouts()?, async |place| match command {
        ScanCommand::Submit(asked) => submit(&place, &asked.arguments).await,
        ScanCommand::List(asked) => {
            let ScanListArguments { running, limit, json } = &asked.arguments;
            let scans = place.stale_scans(*running, *limit).await?;
            if *json {
                print_json(&scans)?
            } else {
                list(&scans)?
            }
            Ok(ExitCode::SUCCESS)
        }
        ScanCommand::Show(asked) => {
            let OneScanArguments { id, json } = &asked.arguments;
            let account = Account::of(&place, place.stale_scan(*id).await?).await?;
            if *json {
                account.print_json()?
            } else {
                account.show(&place).await?
            }
            Ok(ExitCode::SUCCESS)
        }
        ScanCommand::Diff(asked) => {
            compare(&place, &asked.arguments).await?;
            Ok(ExitCode::SUCCESS)
        }
        ScanCommand::Report(asked) => {
            report(&place, &asked.arguments).await?;
            Ok(ExitCode::SUCCESS)
        }
        ScanCommand::Cancel(asked) => {
            cancel(&place, &asked.arguments).await?;
            Ok(ExitCode::SUCCESS)
        }
        ScanCommand::Comment(asked) => {
            let (on, comment) = (Topic::Scan(asked.arguments.id), &asked.arguments.comment);
            comments::comment(&place, on, comment).await?;
            Ok(ExitCode::SUCCESS)
        }
        ScanCommand::Comments(asked) => {
            comments::list(&place, Topic::Scan(asked.arguments.id), &asked.arguments.list).await?;
            Ok(ExitCode::SUCCESS)
        }
    })
}

async fn compare(place: &Place, arguments: &DiffArguments) -> anyhow::Result<()> {
    let DiffArguments { id, with, json } = arguments;
    let record = place.stale_scan(*id).await?;
    let Some(baseline) = with.or(record.baseline) else {
        bail!("scan {id} is the first of its kind: --with names one to compare with");
    };
    let compared = place.stale_scan(baseline).await;
    if with.is_some() {
        compared?;
    } else if known(compared)?.is_none() {
        bail!(
            "scan {baseline}, the one before scan {id}, is forgotten (--keep-scans): --with names another to compare with"
        );
    }
    let difference = place.stale_difference(*id, baseline).await?;
    if *json {
        return print_json(&json!({ "scan": id, "baseline": baseline, "difference": difference }));
    }
    tell(baseline, &difference)
}

async fn cancel(place: &Place, arguments: &OneScanArguments) -> anyhow::Result<()> {
    let OneScanArguments { id, json } = arguments;
    let (reached, record) = place.cancel_scan(*id).await?;
    let (state, open) = (record.life.word(), record.open_tasks);
    let running = record.life == ScanLife::Running;
    if *json {
        let asked = reached && running;
        return print_json(&json!({
            "cancelled": reached && !running, "asked_to_stop": asked, "state": state, "open_tasks": open,
        }));
    }
    say(&match (reached, running) {
        (true, true) => {
            format!("asked to stop: {open} tasks still run, each until its worker hears of it\n")
        }
        (true, false) => "cancelled\n".to_owned(),
        (false, true) => format!("it is ending already: {open} tasks still run\n"),
        (false, false) => format!("it had ended already: {state}\n"),
    });
    Ok(())
}

async fn submit(place: &Place, arguments: &SubmitArguments) -> anyhow::Result<ExitCode> {
    let (request, targets) = (arguments.request.request(), targets(&arguments.targets)?);
    let key = arguments.idempotency_key.as_deref();
    let (id, is_new) = place.submit_scan(request, targets, key).await?;
    if is_new == Some(false) {
        say(&format!("scan {id} was asked for under this key before: it is the same one\n"));
    }
    let mut stages = arguments.request.request().stages;
    stages.insert(Stage::Report);
    let mut watch = Watch::begin(place, stages).await?;
    if !arguments.wait {
        for stop in stopped(place, &place.scan(id).await?).await? {
            say(&format!("an emergency stop holds, the scan waits: {stop}\n"));
        }
        match arguments.json {
            true => print_json(&json!({ "scan": id }))?,
            false => put(&format!("{id}\n"))?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    say(&format!("scan {id}: `rampart scan show {id}` tells how far it is\n"));
    let record = wait(place, id, &mut watch).await?;
    let account = Account::of(place, record).await?;
    if arguments.json {
        account.print_json()?;
    } else {
        print_findings(place, id).await?;
        account.show(place).await?;
        if let Some(baseline) = account.record.baseline
            // It may be forgotten by now.
            && known(place.scan(baseline).await)?.is_some()
        {
            tell(baseline, &place.difference(id, baseline).await?)?;
        }
    }
    exit_code(place, &account).await
}

/// Until the scan has ended and its reports are written.
async fn wait(place: &Place, id: ScanId, watch: &mut Watch) -> anyhow::Result<ScanRecord> {
    let pause = if place.server().is_some() { LOOK_THERE } else { LOOK };
    let (mut told_stop, mut answered) = (false, Instant::now());
    let mut told_away = false;
    loop {
        match look(place, id, &mut told_stop).await {
            Ok(Some(record)) => return Ok(record),
            Ok(None) => (answered, told_away) = (Instant::now(), false),
            // A server that is replaced by another is away for a moment; the scan goes on.
            Err(error) if place.server().is_some() && is_passing(&error) && answered.elapsed() < AWAY => {
                if !told_away {
                    say(&format!("{error:#}; it is asked again\n"));
                }
                told_away = true;
            }
            Err(error) => return Err(error),
        }
        watch.look_again(place).await?;
        tokio::time::sleep(pause).await;
    }
}

/// The scan, if it has ended and its reports are written.
async fn look(place: &Place, id: ScanId, told_stop: &mut bool) -> anyhow::Result<Option<ScanRecord>> {
    let record = place.scan(id).await?;
    if record.life != ScanLife::Running {
        let filter = TaskFilter { stage: Some(Stage::Report), ..TaskFilter::of_scan(id) };
        let reports = place.tasks(filter, None, 1).await?;
        if reports.iter().all(|task| task.task.life.has_ended()) {
            return Ok(Some(record));
        }
    }
    if !*told_stop {
        for stop in stopped(place, &record).await? {
            *told_stop = true;
            say(&format!("an emergency stop holds, the scan waits: {stop}\n"));
        }
    }
    Ok(None)
}

async fn print_findings(place: &Place, id: ScanId) -> anyhow::Result<()> {
    let mut after = None;
    let mut found = Vec::new();
    loop {
        let filter = FindingFilter { scan: Some(id), after, ..FindingFilter::default() };
        let page = place.findings(filter, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.finding.fingerprint.into());
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
async fn exit_code(place: &Place, account: &Account) -> anyhow::Result<ExitCode> {
    let filter = FindingFilter {
        scan: Some(account.record.id),
        at_least: Some(Severity::Low),
        states: COUNTED.to_vec(),
        ..FindingFilter::default()
    };
    if !place.findings(filter, 1).await?.is_empty() {
        return Ok(ExitCode::FAILURE);
    }
    Ok(match account.is_without_gaps() {
        false => ExitCode::from(EXIT_UNDETERMINED),
        true => ExitCode::SUCCESS,
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
async fn report(place: &Place, arguments: &ReportArguments) -> anyhow::Result<()> {
    let ReportArguments { id, format, output } = arguments;
    if !REPORT_FORMATS.contains(format) {
        let kept: Vec<&str> = REPORT_FORMATS.iter().map(|format| format.as_str()).collect();
        bail!("reports of the platform's scans are kept as {}, not as {format}", kept.join(" and "));
    }
    let mut download = place.report(*id, *format).await?;
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
        if changes.more > 0 {
            text.push_str(&format!("… {kind}: {} more\n", changes.more));
        }
    }
    put(&text)
}
