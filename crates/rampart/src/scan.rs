//! `rampart scan`: wires targets, engine, journal, terminal and reports together.

mod journal;
mod listener;
mod place;
mod progress;
mod recap;
mod settings;
mod targets;

use std::{
    collections::HashMap,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use clap::Parser;
use model::{ScanId, SkipReason};
use rand::Rng;
use scanner::{
    pipeline::{self, End, Scan, Status},
    socket,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

use self::{
    journal::{Header, Journal},
    listener::Listener,
    place::Place,
    recap::Ending,
    settings::Settings,
};
use crate::{
    cli::{Cli, Command, ScanArguments},
    demo::Estate,
};

/// Something is undetermined, and nothing worse.
pub(crate) const EXIT_UNDETERMINED: u8 = 3;

/// The scanner's own name for it would read like this command's.
type Engine = Scan;

pub(crate) fn run(arguments: ScanArguments) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let code = runtime.block_on(run_or_resume(arguments))?;
    // Blocking reads of standard input must not hold the end of the process.
    runtime.shutdown_background();
    Ok(code)
}

async fn run_or_resume(arguments: ScanArguments) -> anyhow::Result<ExitCode> {
    let Some(directory) = arguments.resume.clone() else {
        return start(arguments, None).await;
    };
    let header = Journal::header(&directory)?;
    let words = std::iter::once("rampart".to_owned()).chain(header.arguments.iter().cloned());
    let Command::Scan(earlier) = Cli::try_parse_from(words)
        .context("the earlier scan's command line is not understood any more")?
        .command
    else {
        anyhow::bail!("`{}` does not hold a scan", directory.display());
    };
    start(earlier.gone_on_with(arguments, &header.directory), Some(header)).await
}

async fn start(arguments: ScanArguments, resumed: Option<Header>) -> anyhow::Result<ExitCode> {
    // Before anything is written or said: from the first word on an interrupt ends the scan in order.
    let interrupts = Interrupts::listen().context("cannot listen for interrupts")?;
    require_descriptors(socket::raise_descriptor_limit(), arguments.demo)?;
    let estate = if arguments.demo {
        let demo = match resumed.as_ref().and_then(|header| header.demo) {
            Some(network) => Estate::start_again(network).await,
            None => Estate::start().await,
        };
        Some(demo.context("cannot start the demo estate")?)
    } else {
        None
    };
    let scan =
        resumed.as_ref().map_or_else(|| ScanId::from_random(rand::rng().next_u64()), |header| header.scan);
    let settings = Settings::new(&arguments, estate.as_ref(), scan)?;
    settings.scope.permits_time(jiff::Timestamp::now())?;
    let place = Place::choose(&arguments, &settings)?;
    let (journal, done) = match &resumed {
        Some(_) => Journal::reopen(place.directory())?,
        None => (Journal::create(place.directory())?, HashMap::new()),
    };
    let targets = match targets::collect(&arguments, estate.as_ref(), &settings, &place, resumed.as_ref()) {
        Ok(targets) => targets,
        Err(error) => {
            if resumed.is_none() {
                place.leave_nothing();
            }
            return Err(error);
        }
    };
    let header = match resumed {
        Some(header) => header,
        None => {
            let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
            let demo = estate.as_ref().map(Estate::network);
            let header = Header::new(scan, words.collect(), targets.count, demo)?;
            journal.write_header(&header)?;
            header
        }
    };

    let stop = CancellationToken::new();
    let engine = Arc::new(settings.engine(&arguments, stop.clone())?);
    let status = Arc::new(Status::default());
    let listener = Listener::new(&arguments, journal, &place, Arc::clone(&engine), Arc::clone(&status));
    listener.say_start(&targets, &engine, &settings);

    let (events, received) = mpsc::channel(1_024);
    let listening = tokio::spawn(listener.listen(received, stop.clone()));
    let interrupts = tokio::spawn(interrupts.stop(stop));
    let unread = Mutex::new(None);
    let mut begun = 0;
    let readable = targets.iter()?.inspect(|_| begun += 1).filter_map(|target| {
        let keep =
            |why: String| unread.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why).clone();
        target.map_err(keep).ok()
    });
    let end = pipeline::run(Arc::clone(&engine), readable, done, events, status).await;
    let (listened, broken) = listening.await.context("the listener ended early")?;
    drop(estate);

    let ending = Ending {
        end,
        begun,
        broken: broken.as_ref().map(|error| format!("{error:#}")),
        unread: unread.into_inner().unwrap_or_else(PoisonError::into_inner),
    };
    let reported = recap::build(&place, &header, &settings, &engine, &targets, &ending)
        .and_then(|recap| recap.write_reports(&place).map(|()| recap));
    let go_on = match place.is_kept() {
        true => format!("; `rampart scan --resume {}` goes on from there", place.directory().display()),
        false => String::new(),
    };
    if let Some(error) = broken {
        // What was found until then is worth a report; that it could not be written either is no news.
        let reports = if reported.is_ok() { "hold what was found by then" } else { "could not be written" };
        return Err(error.context(format!("the scan could not be finished, its reports {reports}{go_on}")));
    }
    let recap = reported.with_context(|| format!("the scan is done, its reports are not written{go_on}"))?;
    // Until here an interrupt has the meaning that the terminal says it has.
    interrupts.abort();
    listened.say_end(&recap, &place);
    Ok(exit_code(&recap, &arguments, end))
}

/// With fewer a scan would wait for itself, and a demo's servers could not listen.
fn require_descriptors(allowed: u64, demo: bool) -> anyhow::Result<()> {
    let needed = if demo { 256 } else { 128 };
    if allowed < needed {
        anyhow::bail!(
            "only {allowed} file descriptors are allowed, and a scan needs at least {needed}: raise the limit, for example by `ulimit -n 4096`"
        );
    }
    Ok(())
}

/// Ctrl-C and the request to terminate.
struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    fn listen() -> std::io::Result<Interrupts> {
        Ok(Interrupts {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// The first ends the scan in order, the second at once.
    async fn stop(mut self, stop: CancellationToken) {
        for first in [true, false] {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
            }
            if first { stop.cancel() } else { leave_at_once() }
        }
    }
}

#[expect(clippy::exit, reason = "the second interrupt means: now")]
pub(crate) fn leave_at_once() {
    std::process::exit(130);
}

fn exit_code(recap: &recap::Recap, arguments: &ScanArguments, end: End) -> ExitCode {
    let summary = &recap.summary;
    let failing: u64 = summary
        .findings
        .iter()
        .filter(|(severity, _)| **severity >= arguments.fail_on())
        .map(|(_, count)| count)
        .sum();
    let total = summary.ledger.total();
    // Pairs whose turn never came. Out of scope, unmet preconditions and limits are choices, not gaps.
    let unlooked: u64 = [SkipReason::HostUnresponsive, SkipReason::Deadline, SkipReason::Cancelled]
        .iter()
        .filter_map(|reason| total.skipped.get(reason))
        .sum();
    if failing > 0 {
        ExitCode::FAILURE
    } else if end != End::Complete || total.failed_total() + unlooked > 0 || summary.undetermined_count > 0 {
        ExitCode::from(EXIT_UNDETERMINED)
    } else {
        ExitCode::SUCCESS
    }
}
