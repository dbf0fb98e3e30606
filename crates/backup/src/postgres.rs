//! PostgreSQL's own programs: where they are, how they are asked, and what they say when they fail.

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, sync_channel},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use url::Url;

use crate::BackupError;

/// Where Debian puts programs that are of one version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// Lines of what a program printed that are told.
const TOLD: usize = 8;

/// A server that is backed up.
#[derive(Clone)]
pub struct Source {
    /// Without the password, which others would see among a process's arguments.
    url: Url,
    password: Option<String>,
    is_here: bool,
}

impl Source {
    /// As every role names its database, `postgres://USER:PASSWORD@HOST:PORT/DATABASE?OPTION=VALUE`; the user may replicate.
    pub fn new(url: &str) -> Result<Source, BackupError> {
        // No error repeats any of it: there is a password in it.
        let unreadable = || BackupError::Invalid("the URL of the database cannot be read".to_owned());
        let mut parsed = Url::parse(url).map_err(|_| unreadable())?;
        let password = match parsed.password() {
            None => None,
            Some(password) => {
                let decoded = percent_encoding::percent_decode_str(password).decode_utf8();
                Some(decoded.map_err(|_| unreadable())?.into_owned())
            }
        };
        parsed.set_password(None).map_err(|()| unreadable())?;
        Ok(Source { is_here: store::is_on_this_machine(url)?, url: parsed, password })
    }

    /// The number that the server gave its databases when it made them.
    pub(crate) fn identify(&self) -> Result<u64, BackupError> {
        // Who may only replicate may ask nothing else.
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair("replication", "true");
        let mut command = self.of("psql", &url)?;
        command.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--command=IDENTIFY_SYSTEM"]);
        let mut running = Running::start("psql", command.stdout(Stdio::piped()), |_| {})?;
        let mut said = String::new();
        if let Some(output) = running.output() {
            output.take(1_000).read_to_string(&mut said).ok();
        }
        running.finish()?;
        let number = said.split('|').next().and_then(|number| number.trim().parse().ok());
        number.ok_or_else(|| BackupError::Invalid("the server does not say which system it is".to_owned()))
    }

    /// A program that works with the server.
    pub(crate) fn ask(&self, program: &'static str) -> Result<Command, BackupError> {
        self.of(program, &self.url)
    }

    fn of(&self, program: &'static str, url: &Url) -> Result<Command, BackupError> {
        let mut command = Command::new(find(program, None)?);
        command.arg(format!("--dbname={url}")).arg("--no-password");
        if let Some(password) = &self.password {
            command.env("PGPASSWORD", password);
        }
        // What a URL says goes before it. Without a word it is as everywhere in Rampart: nothing leaves this machine unencrypted, and
        // who is vouched for is looked at.
        let says = |name: &str| self.url.query_pairs().any(|(said, _)| said == name);
        if says("sslrootcert") {
            command.env("PGSSLMODE", "verify-full");
        } else if !self.is_here && !says("sslmode") {
            command.env("PGSSLMODE", "require").env("PGCHANNELBINDING", "require");
        }
        Ok(plain(command))
    }
}

/// In the language that is read here, and without a terminal.
fn plain(mut command: Command) -> Command {
    command.env("LC_ALL", "C").stdin(Stdio::null());
    command
}

/// A program that works with files, of a major version.
pub(crate) fn tool(program: &'static str, version: u32) -> Result<Command, BackupError> {
    Ok(plain(Command::new(find(program, Some(version))?)))
}

/// Of the version that is asked for where several are installed side by side; otherwise the first on PATH, and then the newest.
fn find(program: &'static str, version: Option<u32>) -> Result<PathBuf, BackupError> {
    let below = |version: u32| Path::new(VERSIONS).join(version.to_string()).join("bin").join(program);
    let mut installed: Vec<u32> = std::fs::read_dir(VERSIONS)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    installed.sort_unstable_by(|one, other| other.cmp(one));
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<PathBuf> = std::env::split_paths(&on_path).map(|folder| folder.join(program)).collect();
    let exact = version.map(below).filter(|path| path.is_file());
    let found = exact
        .or_else(|| on_path.into_iter().chain(installed.into_iter().map(below)).find(|path| path.is_file()));
    let package = match program {
        "postgres" | "pg_controldata" => "server",
        _ => "client programs",
    };
    found.ok_or(BackupError::NoProgram { program, package })
}

/// A program at work. It is killed when this is dropped before it has ended.
pub(crate) struct Running {
    program: &'static str,
    child: Child,
    /// The end of what it says, once it says nothing more.
    says: Receiver<Vec<String>>,
    said: Option<Vec<String>>,
}

impl Running {
    /// Starts it; each line of what it says beside its result is handed to `hear`.
    pub(crate) fn start(
        program: &'static str,
        command: &mut Command,
        mut hear: impl FnMut(&str) + Send + 'static,
    ) -> Result<Running, BackupError> {
        let child = command.stderr(Stdio::piped()).spawn();
        let mut child =
            child.map_err(|why| BackupError::file("cannot start", Path::new(command.get_program()), why))?;
        let (tell, says) = sync_channel(1);
        if let Some(stderr) = child.stderr.take() {
            std::thread::spawn(move || {
                let mut last: Vec<String> = Vec::new();
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    hear(&line);
                    if last.len() == TOLD {
                        last.remove(0);
                    }
                    last.push(line);
                }
                // Who started it may have given up.
                tell.send(last).ok();
            });
        }
        Ok(Running { program, child, says, said: None })
    }

    pub(crate) fn output(&mut self) -> Option<impl Read + use<>> {
        self.child.stdout.take()
    }

    /// Has it ended, or does it end within so long?
    pub(crate) fn ends_within(&mut self, patience: Duration) -> bool {
        if self.said.is_none() {
            match self.says.recv_timeout(patience) {
                Ok(said) => self.said = Some(said),
                Err(RecvTimeoutError::Timeout) => return false,
                Err(RecvTimeoutError::Disconnected) => self.said = Some(Vec::new()),
            }
        }
        true
    }

    /// Asks it to end in good order.
    pub(crate) fn tell(&self, signal: Signal) {
        if let Ok(id) = i32::try_from(self.child.id())
            && let Err(error) = kill(Pid::from_raw(id), signal)
        {
            tracing::debug!(%error, program = self.program, "it is gone already");
        }
    }

    /// Waits for its end, which must be a good one.
    pub(crate) fn finish(mut self) -> Result<(), BackupError> {
        let ended = self.child.wait().map(|status| (status.success(), status.to_string()));
        match ended.unwrap_or_else(|why| (false, why.to_string())) {
            (true, _) => Ok(()),
            (false, status) => {
                let said = self.said.take().or_else(|| self.says.recv().ok()).unwrap_or_default().join("; ");
                Err(BackupError::Program { program: self.program, status, said })
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // It ends, or has ended just now.
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

/// Runs it to its end, which must be a good one.
pub(crate) fn run(program: &'static str, command: &mut Command) -> Result<(), BackupError> {
    Running::start(program, command.stdout(Stdio::null()), |_| {})?.finish()
}
