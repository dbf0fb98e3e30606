//! A server as a child process that is gone when its value is.

use std::{
    ffi::OsStr,
    fs::File,
    net::{SocketAddrV4, TcpStream},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use super::ground::Ground;

/// Generous: the machine may be busy. A server that has ended is noticed at once.
const READY_WITHIN: Duration = Duration::from_secs(60);

pub(super) struct Server {
    child: Child,
    log: PathBuf,
}

/// Finds a program of a Debian package, outside of PATH too.
#[track_caller]
pub(super) fn program(package: &str, name: &str) -> PathBuf {
    let folders = ["/usr/bin", "/usr/sbin", "/usr/lib/postgresql/15/bin", "/usr/lib/postgresql/17/bin"];
    folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file()).unwrap_or_else(
        || {
            panic!(
                "{name} is not installed: apt-get install --no-install-recommends {package} (test.sh does)"
            )
        },
    )
}

/// Who runs servers that must not be root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum As {
    /// Whoever runs the tests.
    Caller,
    /// `nobody`, when the tests run as root.
    Nobody,
}

/// A command that dies with this thread, so that nothing is left over when the tests are killed.
pub(super) fn command(user: As, program: &Path) -> Command {
    let mut command = Command::new("/usr/bin/setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if user == As::Nobody && nix::unistd::geteuid().is_root() {
        command.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]);
    }
    command.arg("--").arg(program).stdin(Stdio::null());
    command
}

/// Runs a program to its end.
#[track_caller]
pub(super) fn run(user: As, program: &Path, arguments: &[&dyn AsRef<OsStr>], directory: &Path) {
    let mut command = command(user, program);
    command.current_dir(directory).args(arguments.iter().map(|argument| argument.as_ref()));
    let output = command.output().unwrap();
    let (out, err) = (crate::run::text(&output.stdout), crate::run::text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}{err}", output.status);
}

impl Server {
    /// Starts a server in the foreground and returns when every address accepts connections.
    #[track_caller]
    pub(super) fn start(
        ground: &Ground,
        user: As,
        program: &Path,
        arguments: &[&dyn AsRef<OsStr>],
        listens_on: &[SocketAddrV4],
    ) -> Server {
        let first = listens_on.first().expect("a server listens somewhere");
        let log =
            ground.path().join(format!("{}-{}.log", program.file_name().unwrap().display(), first.port()));
        let output = File::create(&log).unwrap();
        let child = command(user, program)
            .args(arguments.iter().map(|argument| argument.as_ref()))
            .current_dir(ground.path())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .process_group(0)
            .spawn()
            .expect("setpriv of util-linux starts servers");
        let mut server = Server { child, log };
        for address in listens_on {
            server.wait_for(*address);
        }
        server
    }

    #[track_caller]
    fn wait_for(&mut self, address: SocketAddrV4) {
        let deadline = Instant::now() + READY_WITHIN;
        while TcpStream::connect_timeout(&address.into(), Duration::from_secs(1)).is_err() {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "the server ended: {}\n{}", ended.unwrap(), self.said());
            assert!(Instant::now() < deadline, "nothing listens on {address}\n{}", self.said());
            // Only the pause between two looks; nothing depends on its length.
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn said(&self) -> String {
        crate::run::text(&std::fs::read(&self.log).unwrap_or_default())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The group has the server's own children in it.
        let group = Pid::from_raw(self.child.id().try_into().expect("process numbers are positive"));
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.child.wait();
    }
}
