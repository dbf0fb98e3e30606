//! Debian's Redis, alone or with a replica and Sentinel.

mod sentinel;

use std::{
    net::SocketAddr,
    process::Command,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

pub use sentinel::Sentinel;

use crate::{
    process::{Place, Port, Process, command, program, run},
    tls::Certified,
};

/// How the server is to run.
#[derive(Debug, Default)]
pub struct Options<'a> {
    /// Every write is on disk before it is answered. Without it, everything is gone after [`Server::kill`].
    pub append_only: bool,
    /// TLS only, with that certificate.
    pub tls: Option<&'a Certified>,
    /// What clients must authenticate with.
    pub password: Option<&'a str>,
    /// Further settings, each as in the configuration file.
    pub settings: Vec<String>,
}

/// A server on 127.0.0.1.
#[derive(Debug)]
pub struct Server {
    place: Arc<Place>,
    port: Port,
    url: String,
    process: Mutex<Option<Process>>,
}

impl Server {
    /// Starts one that keeps nothing on disk and lets everybody in.
    #[track_caller]
    pub fn start() -> Server {
        Server::start_with(&Options::default())
    }

    /// Starts one.
    #[track_caller]
    pub fn start_with(options: &Options<'_>) -> Server {
        let (place, port) = (Place::new("redis"), Port::claim());
        let mut lines = vec!["bind 127.0.0.1".to_owned(), format!("dir {}", place.path().display())];
        lines.extend(["save \"\"".to_owned(), "logfile \"\"".to_owned()]);
        if options.append_only {
            lines.extend(["appendonly yes".to_owned(), "appendfsync always".to_owned()]);
        }
        let mut scheme = "redis";
        if let Some(certified) = options.tls {
            let chain = place.file("chain.pem", &certified.chain_pem).display().to_string();
            let key = place.file("key.pem", &certified.key_pem).display().to_string();
            lines.push(format!("port 0\ntls-port {}", port.number()));
            lines.push(format!("tls-cert-file {chain}\ntls-ca-cert-file {chain}\ntls-key-file {key}"));
            lines.push("tls-auth-clients no".to_owned());
            scheme = "rediss";
        } else {
            lines.push(format!("port {}", port.number()));
        }
        let mut user = String::new();
        if let Some(password) = options.password {
            lines.push(format!("requirepass {password}"));
            user = format!(":{password}@");
        }
        lines.extend(options.settings.iter().cloned());
        place.file("redis.conf", &lines.join("\n"));
        let url = format!("{scheme}://{user}{}", port.address());
        let server = Server { place, port, url, process: Mutex::default() };
        server.start_again();
        server
    }

    /// The server that the tests of one process share. Who stops servers, or wipes them, starts one of their own.
    #[track_caller]
    pub fn shared() -> &'static Server {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(Server::start)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// How a client reaches its database 0.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Runs a command, such as `["LLEN", "a"]`, and gives the answer as `redis-cli` prints it.
    #[track_caller]
    pub fn ask(&self, words: &[&str]) -> String {
        run(self.client().args(words))
    }

    /// Forgets everything.
    #[track_caller]
    pub fn flush(&self) {
        assert_eq!(self.ask(&["FLUSHALL"]).trim(), "OK");
    }

    /// Kills it with SIGKILL.
    pub fn kill(&self) {
        drop(self.process().take());
    }

    /// Starts it on the same port, when it does not run.
    #[track_caller]
    pub fn start_again(&self) {
        let mut running = self.process();
        if running.is_some() {
            return;
        }
        let mut redis = command(&program("redis-server", "redis-server"));
        redis.arg(self.place.path().join("redis.conf"));
        let mut process = Process::start(&self.place, redis);
        process.wait_until(|said| said.contains("Ready to accept connections"));
        *running = Some(process);
    }

    fn client(&self) -> Command {
        let mut client = command(&program("redis-tools", "redis-cli"));
        // Not the certificate, but what the server does is what is asked for here.
        client.args(["--insecure", "--no-auth-warning", "-u", &self.url]);
        client
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
