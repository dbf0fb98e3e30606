//! Debian's RabbitMQ.

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use crate::{
    process::{Place, Port, Process, command, program, wait_for},
    tls::Certified,
};

/// A node of its own, with its own data and port mapper, without plugins. Its user is `guest`, password `guest`.
#[derive(Debug)]
pub struct Server {
    // Dropped in this order: the node before the port mapper that it is known to.
    process: Mutex<Option<Process>>,
    _port_mapper: Process,
    place: Arc<Place>,
    port: Port,
    tls_port: Port,
    between_nodes: Port,
    mapper: Port,
}

impl Server {
    /// Starts one. It takes some seconds.
    #[track_caller]
    pub fn start() -> Server {
        Server::start_with(None)
    }

    /// Starts one that speaks TLS too, with that certificate.
    #[track_caller]
    pub fn start_tls(certified: &Certified) -> Server {
        Server::start_with(Some(certified))
    }

    /// The server that the tests of one process share. Who stops servers starts one of their own.
    #[track_caller]
    pub fn shared() -> &'static Server {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(Server::start)
    }

    #[track_caller]
    fn start_with(certified: Option<&Certified>) -> Server {
        let place = Place::new("rabbitmq");
        let (port, tls_port, mapper) = (Port::claim(), Port::claim(), Port::claim());
        let mut settings = format!(
            "listeners.tcp.1 = {}\nlog.console = true\nlog.console.level = info\nlog.file = false\n",
            port.address(),
        );
        if let Some(certified) = certified {
            let (chain, key) =
                (place.file("chain.pem", &certified.chain_pem), place.file("key.pem", &certified.key_pem));
            settings.push_str(&format!(
                "listeners.ssl.1 = {}\nssl_options.cacertfile = {chain}\nssl_options.certfile = {chain}\n\
                 ssl_options.keyfile = {}\nssl_options.verify = verify_none\n",
                tls_port.address(),
                key.display(),
                chain = chain.display(),
            ));
        }
        place.file("rabbitmq.conf", &settings);
        place.file("enabled_plugins", "[].\n");
        // The node would start one that outlives it.
        let mut epmd = command(&program("rabbitmq-server", "epmd"));
        epmd.args(["-address", "127.0.0.1", "-port", &mapper.number().to_string()]);
        let server = Server {
            process: Mutex::default(),
            _port_mapper: Process::start(&place, epmd),
            between_nodes: Port::claim(),
            place,
            port,
            tls_port,
            mapper,
        };
        server.start_again();
        server
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// How `guest` reaches the virtual host `/`.
    pub fn url(&self) -> String {
        self.url_at(self.address())
    }

    /// How `guest` reaches it through something that listens at another address.
    pub fn url_at(&self, address: SocketAddr) -> String {
        format!("amqp://guest:guest@{address}/%2f")
    }

    /// How `guest` reaches it by TLS, when it was started with a certificate.
    pub fn tls_url(&self) -> String {
        format!("amqps://guest:guest@{}/%2f", self.tls_port.address())
    }

    /// Waits until the node would know a new quorum queue again after [`Server::kill`]. It writes the names of new ones down half a
    /// second later, and one that it has lost the name of never elects a leader.
    #[track_caller]
    pub fn wait_until_written_down(&self, queue: &str) {
        let names = self.names();
        wait_for(&format!("the name of the queue {queue} in {}", names.display()), || {
            let bytes = std::fs::read(&names).unwrap_or_default();
            bytes.windows(queue.len()).any(|window| window == queue.as_bytes()).then_some(())
        });
    }

    /// Kills it with SIGKILL as if all its quorum queues had been declared a moment ago: their names are lost.
    #[track_caller]
    pub fn kill_before_it_wrote_down(&self) {
        self.kill();
        std::fs::remove_file(self.names()).expect("there were quorum queues for a while");
    }

    /// Where the node writes the names of its quorum queues down.
    fn names(&self) -> PathBuf {
        let node = self.node();
        self.place.path().join("mnesia").join(&node).join("quorum").join(&node).join("names.dets")
    }

    fn node(&self) -> String {
        format!("rampart-{}@localhost", self.port.number())
    }

    /// Empties every queue, as soon as each has a leader.
    #[track_caller]
    pub fn purge(&self) {
        let expression = "[{ok, _} = rabbit_amqqueue:purge(Queue) || Queue <- rabbit_amqqueue:list()], ok.";
        wait_for("every queue is empty", || {
            let mut purge = command(&program("rabbitmq-server", "rabbitmqctl"));
            self.surround(&mut purge);
            purge.args(["--node", &self.node(), "eval", expression]);
            purge.output().expect("rabbitmqctl can be started").status.success().then_some(())
        });
    }

    /// Kills it with SIGKILL.
    pub fn kill(&self) {
        drop(self.process().take());
    }

    /// Starts it on the same port and data, when it does not run.
    #[track_caller]
    pub fn start_again(&self) {
        let mut running = self.process();
        if running.is_some() {
            return;
        }
        let mut process = Process::start(&self.place, self.command());
        process.wait_until(|said| said.contains("Server startup complete"));
        *running = Some(process);
    }

    fn command(&self) -> Command {
        let path = |name: &str| self.place.path().join(name);
        let mut command = command(&program("rabbitmq-server", "rabbitmq-server"));
        self.surround(&mut command);
        command
            // Without it a shell stays between us and the node.
            .env("RUNNING_UNDER_SYSTEMD", "true")
            .env("RABBITMQ_NODENAME", self.node())
            .env("RABBITMQ_DIST_PORT", self.between_nodes.number().to_string())
            .env("RABBITMQ_CONF_ENV_FILE", path("none"))
            .env("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf"))
            .env("RABBITMQ_GENERATED_CONFIG_DIR", path("generated"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", path("enabled_plugins"))
            .env("RABBITMQ_MNESIA_BASE", path("mnesia"))
            .env("RABBITMQ_LOG_BASE", path("log"))
            .env("RABBITMQ_LOGS", "-")
            // Idle schedulers must not spin: the tests of other crates run beside it.
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none",
            );
        command
    }

    /// What the node and those who speak with it must know.
    fn surround(&self, command: &mut Command) {
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C.UTF-8")
            // The cookie is made there.
            .env("HOME", self.place.path())
            .env("ERL_EPMD_PORT", self.mapper.number().to_string());
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
