//! Following a server by `pg_receivewal`, and again when it was lost.

use std::{
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt,
    path::Path,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    BackupError, Source, System,
    postgres::{self, Running},
};

/// What is refused is refused at once: who has followed for so long does follow.
const STANDS_AFTER: Duration = Duration::from_secs(3);
/// How long it takes until it is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// How long its end is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How a server says that it does not have what comes after what is here: it is gone, or was never written in the history that the
/// server has by now.
const LOST: [&str; 5] = [
    "has already been removed",
    "has been invalidated",
    "is not in this server's history",
    "ahead of the WAL flush position",
    "requested timeline",
];

/// How it stands with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Followed {
    /// What it writes ahead comes here.
    Well,
    /// It does not, or that is not known yet.
    Not,
    /// Nor can it: what comes next is not to be had any more.
    Never,
}

/// A server that is followed into a directory.
pub(crate) struct Following<'a> {
    source: &'a Source,
    system: &'a System,
    directory: &'a Path,
    slot: &'a str,
    running: Option<Running>,
    /// When it was started, or has ended.
    since: Instant,
    /// Why it is not followed, as far as it was told.
    told: Option<String>,
}

impl<'a> Following<'a> {
    pub(crate) fn start(
        source: &'a Source,
        system: &'a System,
        directory: &'a Path,
        slot: &'a str,
    ) -> Result<Following<'a>, BackupError> {
        end_left_behind(directory);
        let mut following =
            Following { source, system, directory, slot, running: None, since: Instant::now(), told: None };
        following.begin()?;
        Ok(following)
    }

    /// The slot may have been there before, or not be there any more; the directory too.
    fn begin(&mut self) -> Result<(), BackupError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(self.directory);
        made.map_err(|why| BackupError::file("cannot make the spool", self.directory, why))?;
        let mut make_slot = self.source.ask("pg_receivewal")?;
        make_slot.args(["--slot", self.slot, "--create-slot", "--if-not-exists"]);
        postgres::run("pg_receivewal", &mut make_slot)?;
        let mut command = self.source.ask("pg_receivewal")?;
        // It ends when it is lost, so that this is known here.
        command
            .args(["--slot", self.slot, "--no-loop", "--status-interval=5", "--directory"])
            .arg(self.directory);
        self.running = Some(Running::start("pg_receivewal", &mut command, |line| tracing::debug!(line))?);
        self.since = Instant::now();
        Ok(())
    }

    /// How it stands; what has ended is begun again. Fails when another server answers by now: what is here is not its.
    pub(crate) fn look(&mut self) -> Result<Followed, BackupError> {
        if let Some(running) = &mut self.running {
            if !running.ends_within(Duration::ZERO) {
                if self.since.elapsed() < STANDS_AFTER {
                    return Ok(Followed::Not);
                }
                if self.told.take().is_some() {
                    tracing::info!("the server is followed again");
                }
                return Ok(Followed::Well);
            }
            let ended = self.running.take().map(Running::finish);
            self.since = Instant::now();
            let why = match ended {
                Some(Err(why)) => why.to_string(),
                _ => "pg_receivewal ended although nobody asked it to".to_owned(),
            };
            let is_lost = LOST.iter().any(|words| why.contains(words));
            self.tell(why);
            return Ok(if is_lost { Followed::Never } else { Followed::Not });
        }
        if self.since.elapsed() >= AGAIN {
            self.since = Instant::now();
            match self.source.identify() {
                Ok(number) if System::of_postgres(number) != *self.system => {
                    return Err(BackupError::Invalid(format!(
                        "another server than {} answers by now: this ends, to begin with that one",
                        self.system
                    )));
                }
                Ok(_) => {
                    if let Err(why) = self.begin() {
                        self.tell(why.to_string());
                    }
                }
                Err(why) => self.tell(why.to_string()),
            }
        }
        Ok(Followed::Not)
    }

    fn tell(&mut self, why: String) {
        if self.told.as_ref() != Some(&why) {
            tracing::warn!(why, "the server is not followed");
        }
        self.told = Some(why);
    }

    /// Lets go of what the server keeps for it: a slot that stays would be set back to what is here.
    pub(crate) fn forget_slot(&mut self) {
        let dropped = self.source.ask("pg_receivewal").and_then(|mut command| {
            postgres::run("pg_receivewal", command.args(["--slot", self.slot, "--drop-slot"]))
        });
        if let Err(why) = dropped {
            tracing::debug!(%why, "there is no slot any more");
        }
    }

    /// Ends it in good order.
    pub(crate) fn end(&mut self) {
        if let Some(running) = &mut self.running {
            running.tell(Signal::SIGINT);
            running.ends_within(PATIENCE);
        }
    }
}

/// Whoever was killed before could not end what it had started: it goes on, and the server takes it for the one who follows.
fn end_left_behind(directory: &Path) {
    let asked = directory.as_os_str().as_encoded_bytes();
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(id) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // Of others nothing can be read, and of those that end meanwhile neither.
        let Ok(command) = std::fs::read(process.path().join("cmdline")) else { continue };
        let mut words = command.split(|byte| *byte == 0);
        let is_ours = words.next().is_some_and(|program| program.ends_with(b"pg_receivewal"));
        if is_ours && words.any(|word| word == asked) {
            tracing::info!(id, "pg_receivewal was left behind by somebody who was killed: it ends");
            if let Err(why) = kill(Pid::from_raw(id), Signal::SIGINT) {
                tracing::debug!(%why, id, "it is gone already");
            }
        }
    }
}
