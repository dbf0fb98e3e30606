//! Network namespaces of one's own: nobody else listens there, and nothing leaves them.
//!
//! Needs root and iproute2. Where namespaces are not permitted, set RAMPART_TEST_WITHOUT_NETNS to leave these tests out.

use std::{fs::File, process::Command, thread};

use nix::sched::{CloneFlags, setns};

/// A namespace with a loopback device; gone when dropped.
pub(crate) struct Namespace {
    pub(crate) name: String,
}

impl Namespace {
    /// None when the tests are to do without. The name tells whose it is.
    pub(crate) fn new(purpose: &str) -> Option<Namespace> {
        if std::env::var_os("RAMPART_TEST_WITHOUT_NETNS").is_some() {
            return None;
        }
        let namespace = Namespace { name: format!("rampart-{purpose}-{}", std::process::id()) };
        let advice = "run the tests as root on a machine that permits network namespaces, or set RAMPART_TEST_WITHOUT_NETNS=1";
        ip(&format!("netns add {}", namespace.name)).unwrap_or_else(|error| panic!("{error}; {advice}"));
        ip(&format!("-n {} link set lo up", namespace.name)).unwrap();
        Some(namespace)
    }

    /// Runs on a thread inside; sockets made there, and threads started there, stay there.
    pub(crate) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let file = File::open(format!("/run/netns/{}", self.name)).unwrap();
        let inside = thread::spawn(move || {
            setns(file, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        });
        inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // What is left behind has a name that says whose it was.
        let _ = ip(&format!("netns delete {}", self.name));
    }
}

/// Runs a program; the error says what it said.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let done = Command::new(program).args(arguments).output();
    let done =
        done.map_err(|error| format!("`{program}` cannot be run: {error}; install iproute2 and nftables"))?;
    if done.status.success() {
        Ok(())
    } else {
        let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        Err(format!("`{program} {}` failed: {said}", arguments.join(" ")))
    }
}

/// `ip`, with arguments that hold no spaces.
pub(crate) fn ip(arguments: &str) -> Result<(), String> {
    run("ip", &arguments.split_whitespace().collect::<Vec<_>>())
}
