//! Listens to a running scan: keeps the journal, prints findings as they come, shows progress.

use std::{
    collections::HashSet,
    io::{IsTerminal, Write},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use model::{Event, Finding, Fingerprint};
use report::{Format, terminal};
use scanner::pipeline::Status;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    Engine,
    journal::Journal,
    place::Place,
    progress::ProgressLine,
    recap::{self, Recap},
    settings::Settings,
    targets::Targets,
};
use crate::cli::{ColorChoice, ScanArguments, say};

/// How findings go to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// For people.
    Lines { color: bool },
    /// Tab-separated: severity, check, where, what, extracted values.
    Columns,
    /// One JSON object a line.
    JsonLines,
    /// A report follows at the end.
    Nothing,
}

pub(super) struct Listener {
    engine: Arc<Engine>,
    journal: Journal,
    shown: Shown,
    /// Colours on standard error.
    color: bool,
    quiet: bool,
    kept: bool,
    progress: Option<ProgressLine>,
    seen: HashSet<Fingerprint>,
}

impl Listener {
    pub(super) fn new(
        arguments: &ScanArguments,
        journal: Journal,
        place: &Place,
        engine: Arc<Engine>,
        status: Arc<Status>,
    ) -> Listener {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        // Such a terminal shows what moves the cursor as text.
        let dumb = std::env::var_os("TERM").is_none_or(|terminal| terminal.is_empty() || terminal == "dumb");
        let wants_color = |terminal: bool| match arguments.color {
            ColorChoice::Auto => terminal && !no_color && !dumb,
            ColorChoice::Always => true,
            ColorChoice::Never => false,
        };
        let (out, error) = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
        let shown = match place.standard_output {
            Some(Format::JsonLines) => Shown::JsonLines,
            Some(_) => Shown::Nothing,
            None if out || arguments.color == ColorChoice::Always => Shown::Lines { color: wants_color(out) },
            None => Shown::Columns,
        };
        let progress =
            (error && !dumb && !arguments.quiet).then(|| ProgressLine::new(Arc::clone(&engine), status));
        Listener {
            engine,
            journal,
            shown,
            color: wants_color(error),
            quiet: arguments.quiet,
            kept: place.is_kept(),
            progress,
            seen: HashSet::new(),
        }
    }

    pub(super) fn say_start(&self, targets: &Targets, engine: &Engine, settings: &Settings) {
        if self.quiet {
            return;
        }
        let what = match targets.first.as_slice() {
            [one] => one.clone(),
            _ => format!("{} targets", targets.count),
        };
        let checks = engine.checker.checks.len();
        say(&format!("rampart {}: scanning {what} with {checks} checks\n", env!("CARGO_PKG_VERSION")));
        let connections = engine.dialer.limits().connections;
        if connections < settings.limits.connections {
            let wished = settings.limits.connections;
            say(&format!(
                "slower than asked for: {connections} connections instead of {wished}, for want of file descriptors (`ulimit -n`)\n"
            ));
        }
        if let Some(gap) = settings.unloaded_templates() {
            say(&format!("undetermined: {gap}\n"));
        }
    }

    /// Until the scan lets go of its end of the channel. A journal that cannot be written stops the scan; the error is handed
    /// out at the end.
    pub(super) async fn listen(
        mut self,
        mut events: mpsc::Receiver<Event>,
        stop: CancellationToken,
    ) -> (Listener, Option<anyhow::Error>) {
        let mut tick = tokio::time::interval(Duration::from_millis(200));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut said_stopping = false;
        let mut failed = None;
        loop {
            tokio::select! {
                event = events.recv() => {
                    let Some(event) = event else { break };
                    // After a failure the rest is drained, so that nobody waits for room in the channel.
                    if failed.is_none() && let Err(error) = self.take(event, &stop) {
                        failed = Some(error);
                        stop.cancel();
                    }
                }
                _ = tick.tick() => {
                    if let Some(progress) = &mut self.progress {
                        progress.draw();
                    }
                    if failed.is_none() && let Err(error) = self.journal.flush() {
                        failed = Some(error);
                        stop.cancel();
                    }
                }
                () = stop.cancelled(), if !said_stopping => {
                    said_stopping = true;
                    if failed.is_none() {
                        let why = match self.engine.dialer.is_open_now() {
                            true => "stopping",
                            false => "the scope's time window closed",
                        };
                        self.say(&format!("{why}; the report is written from what there is (Ctrl-C again ends at once)"));
                    }
                }
            }
        }
        if let Some(progress) = &mut self.progress {
            progress.clear();
        }
        if failed.is_none() {
            let traffic = self.engine.dialer.counters().traffic();
            let ended = self.journal.write(&Event::RunEnded { traffic });
            failed = ended.and_then(|()| self.journal.flush()).err();
        }
        (self, failed)
    }

    fn take(&mut self, event: Event, stop: &CancellationToken) -> anyhow::Result<()> {
        self.journal.write(&event)?;
        match &event {
            Event::Finding { finding } => {
                if self.seen.insert(finding.fingerprint) {
                    match self.show(finding) {
                        // `rampart scan … | head`: the reader has heard enough. A scan whose reports are files goes on.
                        Err(error) if crate::cli::is_broken_pipe(&error) => {
                            self.shown = Shown::Nothing;
                            if !self.kept {
                                stop.cancel();
                            }
                        }
                        shown => shown?,
                    }
                }
            }
            Event::Done { .. } => self.journal.flush()?,
            Event::Undetermined { unit, reason, .. } if self.progress.is_none() && !self.quiet => {
                self.say(&format!("undetermined: {unit}: {reason}"));
            }
            Event::Asset { .. }
            | Event::Partial { .. }
            | Event::Undetermined { .. }
            | Event::Resumed
            | Event::RunEnded { .. }
            | Event::LeftOut { .. } => {}
        }
        Ok(())
    }

    fn show(&mut self, finding: &Finding) -> anyhow::Result<()> {
        if let Some(progress) = &mut self.progress {
            progress.findings += 1;
            progress.clear();
        }
        let mut out = std::io::stdout().lock();
        let shown = match self.shown {
            Shown::Lines { color } => writeln!(out, "{}", terminal::finding_line(finding, color)),
            Shown::Columns => writeln!(out, "{}", columns(finding)),
            Shown::JsonLines => out.write_all(&recap::line_of(finding)?),
            Shown::Nothing => Ok(()),
        };
        shown.and_then(|()| out.flush()).context("cannot write findings to standard output")
    }

    fn say(&mut self, text: &str) {
        if let Some(progress) = &mut self.progress {
            progress.clear();
        }
        if !self.quiet {
            say(&format!("{}\n", terminal::sanitise(text)));
        }
    }

    pub(super) fn say_end(mut self, recap: &Recap, place: &Place) {
        if self.quiet {
            return;
        }
        if let Some(progress) = &mut self.progress {
            progress.clear();
        }
        say(&format!("\n{}\n", terminal::summary_table(&recap.summary, self.color).trim_end()));
        for format in &place.files {
            say(&format!("  report        {}\n", place.report(*format).display()));
        }
        if !recap.summary.complete && self.kept {
            say(&format!("  go on         rampart scan --resume {}\n", place.directory().display()));
        } else if !recap.summary.complete {
            say("  go on         not possible: with --output DIR the scan could be resumed\n");
        }
    }
}

fn columns(finding: &Finding) -> String {
    let values: Vec<String> = finding
        .extracted
        .values()
        .flatten()
        .map(|value| terminal::sanitise(value).replace(',', "%2C"))
        .collect();
    let location = finding.location.to_string();
    [
        finding.severity.as_str(),
        &terminal::sanitise(finding.check.as_str()),
        &terminal::sanitise(&location),
        &terminal::sanitise(&finding.name),
        &values.join(","),
    ]
    .join("\t")
}
