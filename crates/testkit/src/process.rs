//! A server as a child process: its directory, its port, and its end.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::File,
    io::Write,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Output, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Generous: the machine may be busy. What has failed is noticed at once.
const READY_WITHIN: Duration = Duration::from_secs(180);
const FRESH: &str = "a fresh directory is writable";

/// A port of 127.0.0.1 that no other server of any test takes while this value lives.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    /// Nobody but these tests claims a TCP port by its UDP namesake.
    _claim: UdpSocket,
}

impl Port {
    /// Below the range from which the kernel takes ports for outgoing connections, so that a server which was killed finds its port
    /// free when it comes back.
    pub(crate) fn claim() -> Port {
        const FIRST: u32 = 20_000;
        const COUNT: u32 = 10_000;
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let start = std::process::id().wrapping_mul(37);
        for _ in 0..COUNT {
            let step = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
            let number = u16::try_from(FIRST + step % COUNT).expect("the range ends below 2^16");
            let at = (Ipv4Addr::LOCALHOST, number);
            if let (Ok(claim), Ok(_)) = (UdpSocket::bind(at), TcpListener::bind(at)) {
                return Port { number, _claim: claim };
            }
        }
        panic!("none of {COUNT} ports is free")
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}

/// A temporary directory for one server and the processes that belong to it. The directory and the processes go when the value
/// does, or when the process of the tests ends, in whatever way.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    groups: Mutex<BTreeSet<u32>>,
    sweeper: Child,
    telling: Mutex<Option<ChildStdin>>,
}

/// Reads lists of process groups, one list a line, until the tests are gone; then kills the last list and removes the directory.
const SWEEPER: &str = r#"
groups=
while read -r line; do groups=$line; done
for group in $groups; do kill -s KILL -- "-$group"; done
for try in 1 2 3 4 5 6 7 8 9; do rm -rf -- "$1" && break; done
"#;

impl Place {
    pub(crate) fn new(name: &str) -> Arc<Place> {
        let directory = tempfile::Builder::new().prefix(&format!("rampart-{name}-")).tempdir();
        let path = directory.expect("the directory for temporary files is writable").keep();
        open_to_everybody(&path);
        let mut sweeper = Command::new("/bin/sh")
            .args(["-c", SWEEPER, "sweeper"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // An interrupt at the terminal ends the tests, not what cleans up after them.
            .process_group(0)
            .spawn()
            .expect("every system has a shell");
        let telling = Mutex::new(sweeper.stdin.take());
        Arc::new(Place { path, groups: Mutex::default(), sweeper, telling })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A directory that servers may write to, whoever they run as.
    pub(crate) fn directory(&self, name: &str) -> PathBuf {
        let path = self.path.join(name);
        std::fs::create_dir_all(&path).expect(FRESH);
        open_to_everybody(&path);
        path
    }

    /// A file that servers may read and, as Sentinel does with its configuration, write.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path.join(name);
        std::fs::write(&path, text).expect(FRESH);
        open_to_everybody(&path);
        path
    }

    fn change_groups(&self, change: impl FnOnce(&mut BTreeSet<u32>)) {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut groups);
        let line: Vec<String> = groups.iter().map(u32::to_string).collect();
        if let Some(stdin) = &mut *self.telling.lock().unwrap_or_else(PoisonError::into_inner) {
            writeln!(stdin, "{}", line.join(" ")).expect("the sweeper lives until its input ends");
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(self.telling.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        let _ = self.sweeper.wait();
    }
}

fn open_to_everybody(path: &Path) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o777)).expect(FRESH);
}

/// The folder of another PostgreSQL's server programs than Debian's, to see the tests pass on its version too.
const OTHER_POSTGRESQL: &str = "RAMPART_TEST_POSTGRESQL";

/// Finds a program of a Debian package, outside of PATH too.
#[track_caller]
pub(crate) fn program(package: &str, name: &str) -> PathBuf {
    let other = std::env::var_os(OTHER_POSTGRESQL).filter(|_| package == "postgresql").map(PathBuf::from);
    // The script of the same name in /usr/sbin insists on being root or `rabbitmq`.
    let folders = ["/usr/lib/rabbitmq/bin", "/usr/bin", "/usr/sbin"].map(PathBuf::from);
    other
        .iter()
        .chain(&folders)
        .chain(&postgresql_folders())
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| {
            panic!(
                "{name} is not installed: apt-get install --no-install-recommends {package} (test.sh does)"
            )
        })
}

/// Newest first.
fn postgresql_folders() -> Vec<PathBuf> {
    let mut versions: Vec<u32> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions.iter().map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin"))).collect()
}

/// A command that runs as `nobody` when the tests run as root, as many servers refuse to be root.
pub(crate) fn command(program: &Path) -> Command {
    let mut command = if nix::unistd::geteuid().is_root() {
        let mut command = Command::new("/usr/bin/setpriv");
        command.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.stdin(Stdio::null());
    command
}

/// Runs a command to its end, which must be a good one.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    let output = output(command);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}{err}", output.status);
    out
}

#[track_caller]
pub(crate) fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Looks again and again until there is something to see.
#[track_caller]
#[expect(
    clippy::disallowed_methods,
    reason = "the pause between two looks at another process; nothing depends on its length"
)]
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "{what}: not within {READY_WITHIN:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Process {
    place: Arc<Place>,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts the command in the place; what it prints goes to a log, which is a new one for every start.
    pub(crate) fn start(place: &Arc<Place>, mut command: Command) -> Process {
        let name = command.get_args().chain([command.get_program()]).find_map(|part| {
            Path::new(part).is_absolute().then(|| Path::new(part).file_name().map(OsStr::to_owned))?
        });
        let log = place.path().join(format!("{}.log", name.unwrap_or_default().display()));
        let output = File::create(&log).expect(FRESH);
        let child = command
            .current_dir(place.path())
            .stdout(output.try_clone().expect("an open file can be opened twice"))
            .stderr(output)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        place.change_groups(|groups| _ = groups.insert(child.id()));
        Process { place: Arc::clone(place), child, log }
    }

    pub(crate) fn said(&self) -> String {
        text(&std::fs::read(&self.log).unwrap_or_default())
    }

    /// Waits until the condition holds of what the process has printed so far. It must not end before that.
    #[track_caller]
    pub(crate) fn wait_until(&mut self, mut ready: impl FnMut(&str) -> bool) {
        wait_for(&format!("readiness in {}", self.log.display()), || {
            let ended = self.child.try_wait().expect("a child can be waited for");
            assert!(ended.is_none(), "the server ended: {ended:?}\n{}", self.said());
            ready(&self.said()).then_some(())
        });
    }

    /// Lets it end by itself upon a signal.
    pub(crate) fn end(mut self, signal: Signal) {
        let _ = kill(self.pid(), signal);
        wait_for("the end of the server", || {
            self.child.try_wait().expect("a child can be waited for").is_some().then_some(())
        });
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().expect("process numbers are positive"))
    }
}

impl Drop for Process {
    /// Kills it and everything that it has started, as the end of the machine would: PostgreSQL's servers for its clients are in
    /// groups of their own, and their memory must be free when the next start asks for it.
    fn drop(&mut self) {
        let group = self.child.id();
        if matches!(self.child.try_wait(), Ok(None)) {
            // What stands still starts nothing more.
            let _ = kill(self.pid(), Signal::SIGSTOP);
            let below = descendants(group);
            for process in std::iter::once(group).chain(below.iter().copied()) {
                let process = Pid::from_raw(process.try_into().expect("process numbers are positive"));
                let _ = kill(process, Signal::SIGKILL);
            }
            let _ = self.child.wait();
            let deadline = Instant::now() + READY_WITHIN;
            while below.iter().any(|process| is_running(*process)) && Instant::now() < deadline {
                std::thread::yield_now();
            }
        }
        self.place.change_groups(|groups| _ = groups.remove(&group));
    }
}

/// State letter and parent of a process (`proc_pid_stat(5)`); the name between parentheses may hold anything.
fn state(process: u32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

fn is_running(process: u32) -> bool {
    state(process).is_some_and(|(letter, _)| !matches!(letter, 'Z' | 'X'))
}

fn descendants(ancestor: u32) -> BTreeSet<u32> {
    let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|process| Some((process, state(process)?.1)))
        .collect();
    let mut found = BTreeSet::from([ancestor]);
    loop {
        let below: Vec<u32> = parents
            .iter()
            .filter(|(process, parent)| found.contains(parent) && !found.contains(process))
            .map(|(process, _)| *process)
            .collect();
        if below.is_empty() {
            break;
        }
        found.extend(below);
    }
    found.remove(&ancestor);
    found
}
