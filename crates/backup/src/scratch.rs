//! A server that nobody else can reach, on a restored database: to see that it is one.

use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use nix::sys::signal::Signal;
use tokio::runtime::Handle;
use tokio_postgres::{Client, Config, NoTls};

use crate::{
    BackupError, Place,
    postgres::{Running, tool},
};

/// How often it is asked whether it has recovered.
const ASK: Duration = Duration::from_millis(100);
/// How long its end is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// The name of a socket has room for so much, and `/.s.PGSQL.5432` is part of it.
const LONGEST_SOCKET: usize = 90;

/// Nothing of how the database ran elsewhere: neither what it loads and whom it asks, nor how large it was there.
const SETTINGS: [&str; 24] = [
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "hot_standby=off",
    "archive_mode=off",
    "archive_command=",
    "archive_cleanup_command=",
    "recovery_end_command=",
    "primary_conninfo=",
    "primary_slot_name=",
    "synchronous_standby_names=",
    "shared_preload_libraries=",
    "session_preload_libraries=",
    "local_preload_libraries=",
    "ssl=off",
    "logging_collector=off",
    "log_destination=stderr",
    "lc_messages=C",
    "external_pid_file=",
    "huge_pages=off",
    "shared_buffers=128MB",
    "max_connections=20",
    "max_prepared_transactions=64",
    "max_wal_senders=0",
    "jit=off",
];

/// A running server. It is killed when this is dropped; its files belong to whoever made them.
pub(crate) struct Scratch {
    running: Running,
    socket: PathBuf,
    superuser: String,
    runtime: Handle,
}

/// Said before everything was restored in vain.
pub(crate) fn require_no_root() -> Result<(), BackupError> {
    match nix::unistd::geteuid().is_root() {
        false => Ok(()),
        true => Err(BackupError::Invalid(
            "PostgreSQL does not run as root: run the drill as another user, who may read the key".to_owned(),
        )),
    }
}

impl Scratch {
    /// Starts the major version that fits on what was restored into `data`, and waits until it has recovered. Its own files go
    /// into `beside`.
    pub(crate) fn start(
        place: &Place,
        data: &Path,
        beside: &Path,
        version: u32,
        superuser: &str,
    ) -> Result<Scratch, BackupError> {
        let socket = beside.join("socket");
        if socket.as_os_str().len() > LONGEST_SOCKET {
            return Err(BackupError::file(
                "the name is too long for a socket",
                &socket,
                "name a shorter directory with --scratch",
            ));
        }
        let made = fs::DirBuilder::new().mode(0o700).create(&socket);
        made.map_err(|why| BackupError::file("cannot make", &socket, why))?;
        let [access, users, settings] =
            ["pg_hba.conf", "pg_ident.conf", "postgresql.conf"].map(|name| beside.join(name));
        // Whoever can look into the directory of the socket is this user.
        for (file, text) in [(&access, "local all all trust\n"), (&users, ""), (&settings, "")] {
            fs::write(file, text).map_err(|why| BackupError::file("cannot write", file, why))?;
        }
        let mut command = tool("postgres", version)?;
        command.arg("-D").arg(data).args(["-p", "5432"]);
        for (name, value) in [
            ("config_file", &settings),
            ("hba_file", &access),
            ("ident_file", &users),
            ("unix_socket_directories", &socket),
        ] {
            command.arg(format!("--{name}={}", value.display()));
        }
        command.args(SETTINGS.map(|setting| format!("--{setting}")));
        let hear = |line: &str| tracing::debug!(line, "the restored database");
        let running = Running::start("postgres", command.stdout(Stdio::null()), hear)?;
        let mut scratch =
            Scratch { running, socket, superuser: superuser.to_owned(), runtime: place.runtime().clone() };
        // It answers once it has recovered, and ends when it cannot.
        while scratch.connect("postgres").is_err() {
            place.go_on()?;
            if scratch.running.ends_within(ASK) {
                let ended = scratch.running.finish();
                return Err(ended.err().unwrap_or_else(|| {
                    BackupError::Invalid("the server of the restored database ended by itself".to_owned())
                }));
            }
        }
        Ok(scratch)
    }

    /// How its superuser, or somebody else, reaches one of its databases.
    pub(crate) fn url(&self, user: Option<&str>, database: &str) -> String {
        let encoded = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
        };
        let socket = encoded(&self.socket.display().to_string());
        format!("postgres://{}@{socket}/{}", encoded(user.unwrap_or(&self.superuser)), encoded(database))
    }

    pub(crate) fn connect(&self, database: &str) -> Result<Client, BackupError> {
        let asks = |why: tokio_postgres::Error| {
            let why = why.as_db_error().map_or_else(|| why.to_string(), |error| error.message().to_owned());
            BackupError::Invalid(format!("the restored database does not answer: {why}"))
        };
        let mut config = Config::new();
        config.host_path(&self.socket).port(5432).user(&self.superuser).dbname(database);
        self.runtime.block_on(async {
            let (client, connection) = config.connect(NoTls).await.map_err(asks)?;
            // What breaks it is told to whoever waits for an answer.
            tokio::spawn(async move { connection.await.ok() });
            Ok(client)
        })
    }

    /// The runtime in which its clients live.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Ends it, throwing its clients out.
    pub(crate) fn end(mut self) -> Result<(), BackupError> {
        // "Fast shutdown".
        self.running.tell(Signal::SIGINT);
        if self.running.ends_within(PATIENCE) { self.running.finish() } else { Ok(()) }
    }
}
