//! A primary, its replica, and a Sentinel that watches them.

use std::{
    net::SocketAddr,
    process::Command,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Options, Server};
use crate::process::{Place, Port, Process, command, program, run, wait_for};

const NAME: &str = "rampart";

/// Two servers, one of them a replica of the other, and one Sentinel that decides alone.
#[derive(Debug)]
pub struct Sentinel {
    process: Mutex<Option<Process>>,
    place: Arc<Place>,
    port: Port,
    servers: [Server; 2],
}

impl Sentinel {
    /// Starts the three; ready when Sentinel would promote the replica.
    #[track_caller]
    pub fn start() -> Sentinel {
        let first = Server::start();
        let second = Server::start_with(&Options {
            settings: vec![format!("replicaof 127.0.0.1 {}", first.address().port())],
            ..Options::default()
        });
        let (place, port) = (Place::new("sentinel"), Port::claim());
        let settings = format!(
            "bind 127.0.0.1\n\
             port {}\n\
             dir {}\n\
             logfile \"\"\n\
             sentinel monitor {NAME} 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds {NAME} 1000\n\
             sentinel failover-timeout {NAME} 10000\n",
            port.number(),
            place.path().display(),
            first.address().port(),
        );
        // Sentinel writes what it learns into its configuration, by replacing the file.
        place.directory("configuration");
        place.file("configuration/sentinel.conf", &settings);
        let started = Sentinel { process: Mutex::default(), place, port, servers: [first, second] };
        started.start_again();
        started
    }

    /// Kills all three with SIGKILL.
    pub fn kill(&self) {
        // First who would make a primary of the one that is killed last.
        drop(self.process().take());
        for server in &self.servers {
            server.kill();
        }
    }

    /// Starts those of the three that do not run; each is what it was when Sentinel ended.
    #[track_caller]
    pub fn start_again(&self) {
        for server in &self.servers {
            server.start_again();
        }
        let mut running = self.process();
        if running.is_none() {
            let mut sentinel = command(&program("redis-sentinel", "redis-sentinel"));
            sentinel.arg(self.place.path().join("configuration/sentinel.conf"));
            let mut process = Process::start(&self.place, sentinel);
            process.wait_until(|said| said.contains("+monitor"));
            *running = Some(process);
        }
        drop(running);
        self.wait_until_replicated();
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where Sentinel listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The name under which the primary is known.
    pub fn name(&self) -> &'static str {
        NAME
    }

    /// How clients find the primary: `redis+sentinel://host:port/name`.
    pub fn url(&self) -> String {
        format!("redis+sentinel://{}/{NAME}", self.address())
    }

    /// The server that is the primary now, by Sentinel's word.
    #[track_caller]
    pub fn primary(&self) -> &Server {
        let answer = self.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME]);
        let port = answer.lines().nth(1).and_then(|port| port.trim().parse::<u16>().ok());
        let server = self.servers.iter().find(|server| Some(server.address().port()) == port);
        server.unwrap_or_else(|| panic!("sentinel knows no primary of ours: {answer:?}"))
    }

    /// Makes the replica the primary, in good order. When this returns, the former primary is its replica.
    #[track_caller]
    pub fn failover(&self) {
        let before = self.primary().address();
        wait_for("the beginning of a failover", || {
            (self.ask(&["SENTINEL", "FAILOVER", NAME]).trim() == "OK").then_some(())
        });
        wait_for("the end of a failover", || (self.primary().address() != before).then_some(()));
        self.wait_until_replicated();
    }

    /// Kills the primary and waits until Sentinel has noticed and the replica has become the primary. There is no replica then.
    #[track_caller]
    pub fn lose_primary(&self) {
        let primary = self.primary();
        primary.kill();
        wait_for("a failover", || {
            let now = self.primary();
            (now.address() != primary.address() && is_primary(now)).then_some(())
        });
    }

    #[track_caller]
    fn wait_until_replicated(&self) {
        wait_for("a replica that sentinel would promote", || {
            let primary = self.primary();
            let replicas = self.ask(&["SENTINEL", "REPLICAS", NAME]);
            let lines: Vec<&str> = replicas.lines().collect();
            let field = |name: &str| Some(lines[lines.iter().position(|line| *line == name)? + 1]);
            let is_well = field("flags") == Some("slave") && field("master-link-status") == Some("ok");
            (is_well && is_primary(primary)).then_some(())
        });
    }

    #[track_caller]
    fn ask(&self, words: &[&str]) -> String {
        let mut client: Command = command(&program("redis-tools", "redis-cli"));
        run(client.args(["-p", &self.port.number().to_string()]).args(words))
    }
}

fn is_primary(server: &Server) -> bool {
    server.ask(&["ROLE"]).starts_with("master")
}
