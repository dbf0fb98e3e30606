//! Debian's PostgreSQL, private to a test or to a test process.

use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use nix::sys::signal::Signal;

use crate::process::{Place, Port, Process, command, output, program, run, wait_for};

const SUPERUSER: &str = "postgres";
const PASSWORD: &str = "superuser-of-the-tests";
const USERS_PASSWORD: &str = "of-the-tests";

/// How the server is to run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Whether a commit waits for the disk. Off, commits survive the death of every process, but not that of the machine.
    pub fsync: bool,
    /// Further settings, each as `name=value`.
    pub settings: Vec<String>,
    /// Certificate chain and key in PEM, when the server is to encrypt.
    pub tls: Option<(String, String)>,
    /// So many megabytes in all for what it keeps, on a disk of its own that goes with its process. It is started again whenever it
    /// has ended in no good order, as by whoever looks after services. Such a one is not restarted; whoever starts it must be let make
    /// namespaces of its own (`unshare --user`).
    pub room: Option<u32>,
}

/// What a later release does to a database of Rampart while this one works with it: a column that may be null and one that may not on
/// every table, a table and an index, each by itself as whoever works holds it up for no longer; and a step that is written down. Who
/// knows as many steps as it `needs` is welcome afterwards: with 1 everybody is.
pub fn later_step(needs: i64) -> String {
    format!(
        "DO $$ DECLARE each record; tables int := 0;
        BEGIN
            FOR each IN SELECT oid::regclass AS name FROM pg_class
                WHERE relnamespace = 'rampart'::regnamespace AND relkind = 'r' LOOP
                EXECUTE format('ALTER TABLE %s ADD COLUMN later_note text DEFAULT %L', each.name, 'of a later release');
                EXECUTE format('ALTER TABLE %s ADD COLUMN later_count bigint NOT NULL DEFAULT 7', each.name);
                COMMIT;
                tables := tables + 1;
            END LOOP;
            ASSERT tables >= 18, format('only %s tables', tables);
            CREATE TABLE rampart.later_things (thing bigint PRIMARY KEY, note text NOT NULL);
            CREATE INDEX tasks_by_note ON rampart.tasks (tenant_id, later_note);
            INSERT INTO public.rampart_steps (number, name, digest, needs)
                VALUES (1, '0002_later', decode(repeat('02', 32), 'hex'), {needs});
        END $$"
    )
}

/// A database and its user, made by [`Server::create_database_with_user`].
#[derive(Debug, Clone)]
pub struct Database {
    /// Its name, which no other has.
    pub name: String,
    /// Who may log in to it.
    pub user: String,
    /// How the superuser reaches it.
    pub owner_url: String,
}

impl Database {
    /// How its user reaches it, at the server or at something that stands before it.
    pub fn url_at(&self, address: SocketAddr) -> String {
        format!("postgres://{}:{USERS_PASSWORD}@{address}/{}", self.user, self.name)
    }
}

/// Somebody with an open transaction, who goes away when it is dropped.
#[derive(Debug)]
pub struct Held {
    client: Child,
    says: Option<ChildStdin>,
}

impl Drop for Held {
    fn drop(&mut self) {
        // At the end of what is said to it the client goes, and the server undoes what was not committed.
        drop(self.says.take());
        let _ = self.client.wait();
    }
}

/// A server on 127.0.0.1 that asks everybody for a password (SCRAM).
#[derive(Debug)]
pub struct Server {
    place: Arc<Place>,
    port: Port,
    options: Options,
    process: Mutex<Option<Process>>,
    databases: AtomicU32,
}

impl Server {
    /// Starts one with an empty data directory and without waiting for the disk.
    #[track_caller]
    pub fn start() -> Server {
        Server::start_with(Options::default())
    }

    /// Starts one with an empty data directory.
    #[track_caller]
    pub fn start_with(options: Options) -> Server {
        let place = Place::new("postgresql");
        // Copied as the user who must own it.
        run(command("/bin/cp".as_ref()).arg("-a").arg(initialised().path().join("data")).arg(place.path()));
        let mut options = options;
        if let Some((chain, key)) = &options.tls {
            for (name, pem) in [("server.crt", chain), ("server.key", key)] {
                // The key must belong to the user of the server, and be nobody else's business.
                let file = place.path().join("data").join(name);
                run(command("/bin/cp".as_ref()).arg(place.file(name, pem)).arg(&file));
                run(command("/bin/chmod".as_ref()).arg("600").arg(&file));
            }
            options.settings.push("ssl=on".to_owned());
        }
        let server = Server {
            place,
            port: Port::claim(),
            options,
            process: Mutex::default(),
            databases: AtomicU32::new(0),
        };
        server.start_again();
        server
    }

    /// The server that the tests of one process share: each takes a database of its own from [`Server::create_database`]. Who
    /// stops servers starts one of their own.
    #[track_caller]
    pub fn shared() -> &'static Server {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(Server::start)
    }

    /// Starts a streaming replica of it, as it is now: it follows, and answers who only reads. Its users and databases are this
    /// server's.
    #[track_caller]
    pub fn start_replica(&self) -> Server {
        let place = Place::new("postgresql-replica");
        let (from, to) = (self.place.path().join("data"), place.path().join("data"));
        // By hand: `pg_basebackup` is not in every package that has a server. In one session, which the backup belongs to.
        let said = run(command(&program("postgresql", "psql"))
            .args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1"])
            .arg("--dbname")
            .arg(self.superuser_url())
            .args(["--command", "SELECT pg_backup_start('replica', true)"])
            .args(["--command", &format!("\\! /bin/cp -a {} {}", from.display(), to.display())])
            .args(["--command", "SELECT labelfile FROM pg_backup_stop(false)"]));
        let (_, label) = said.split_once('\n').expect("where the backup begins, and its label");
        // What is written ahead comes from the server.
        let rest =
            format!("rm -rf {0}/postmaster.pid {0}/pg_wal/* && touch {0}/standby.signal", to.display());
        run(command("/bin/sh".as_ref()).args(["-c", &rest]));
        run(command("/bin/cp".as_ref()).arg(place.file("backup_label", label)).arg(&to));
        let mut settings = self.options.settings.clone();
        settings.push(format!("primary_conninfo={}", self.superuser_url()));
        let options = Options { settings, ..Options::default() };
        let replica = Server {
            place,
            port: Port::claim(),
            options,
            process: Mutex::default(),
            databases: AtomicU32::new(0),
        };
        replica.start_again();
        replica
    }

    /// Starts one on the data directory that `make` makes at a path, as the user of the servers: one that was restored, with the
    /// users and databases of another. It answers once it has recovered.
    #[track_caller]
    pub fn start_on(make: impl FnOnce(&Path)) -> Server {
        let place = Place::new("postgresql-restored");
        make(&place.path().join("data"));
        let server = Server {
            place,
            port: Port::claim(),
            options: Options::default(),
            process: Mutex::default(),
            databases: AtomicU32::new(0),
        };
        server.start_again();
        server
    }

    /// Where what it keeps is.
    pub fn data(&self) -> PathBuf {
        self.place.path().join("data")
    }

    /// Waits until a replica has everything that was committed here.
    #[track_caller]
    pub fn wait_for_replica(&self, replica: &Server) {
        let written = self.sql("postgres", "SELECT pg_current_wal_lsn()");
        replica.wait_for_answer(&format!("SELECT pg_last_wal_replay_lsn() >= '{}'", written.trim()), "t");
    }

    /// Lets a replica know of nothing new, until [`Server::resume_replay`].
    #[track_caller]
    pub fn pause_replay(&self) {
        self.sql("postgres", "SELECT pg_wal_replay_pause()");
        self.wait_for_answer("SELECT pg_get_wal_replay_pause_state()", "paused");
    }

    /// Lets it follow again.
    #[track_caller]
    pub fn resume_replay(&self) {
        self.sql("postgres", "SELECT pg_wal_replay_resume()");
    }

    /// Waits until a question that the superuser asks in the database `postgres` has this answer.
    #[track_caller]
    pub fn wait_for_answer(&self, question: &str, answer: &str) {
        wait_for(question, || (self.sql("postgres", question).trim() == answer).then_some(()));
    }

    /// Lets a replica take writes, and follow nobody any more.
    #[track_caller]
    pub fn promote(&self) {
        self.sql("postgres", "SELECT pg_promote()");
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// How the superuser reaches the database `postgres`.
    pub fn superuser_url(&self) -> String {
        self.url(SUPERUSER, PASSWORD, "postgres")
    }

    /// The superuser's name and password.
    pub fn superuser(&self) -> (&'static str, &'static str) {
        (SUPERUSER, PASSWORD)
    }

    /// How a user reaches a database. Name and password stand in it as they are, so they are made of letters, digits, `-` and `_`.
    pub fn url(&self, user: &str, password: &str, database: &str) -> String {
        format!("postgres://{user}:{password}@{}/{database}", self.address())
    }

    /// Makes an empty database and gives its name, which no other has.
    #[track_caller]
    pub fn create_database(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// Makes an empty database, and a user of its own that may log in and nothing else.
    #[track_caller]
    pub fn create_database_with_user(&self) -> Database {
        let name = self.create_database();
        let user = format!("app_{name}");
        self.sql(&name, &format!("CREATE ROLE {user} LOGIN PASSWORD '{USERS_PASSWORD}'"));
        Database { owner_url: self.url(SUPERUSER, PASSWORD, &name), name, user }
    }

    /// Runs statements as the superuser and gives what they answered: unaligned, one row a line.
    #[track_caller]
    pub fn sql(&self, database: &str, statements: &str) -> String {
        run(command(&program("postgresql", "psql"))
            .args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1"])
            .arg("--dbname")
            .arg(self.url(SUPERUSER, PASSWORD, database))
            .args(["--command", statements]))
    }

    /// Runs statements as the superuser in a transaction that stays open, with the locks that it has taken.
    #[track_caller]
    pub fn hold(&self, database: &str, statements: &str) -> Held {
        let mut psql = command(&program("postgresql", "psql"));
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--set=ON_ERROR_STOP=1", "--dbname"])
            .arg(self.url(SUPERUSER, PASSWORD, database))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut client = psql.spawn().unwrap_or_else(|error| panic!("{psql:?}: {error}"));
        let mut says = client.stdin.take().expect("it is piped");
        writeln!(says, "BEGIN;\n{statements};\n\\! echo held").expect("psql reads what it is to do");
        let told = BufReader::new(client.stdout.take().expect("it is piped")).lines();
        let is_held = told.map_while(Result::ok).any(|line| line == "held");
        assert!(is_held, "{statements}: psql has ended");
        Held { client, says: Some(says) }
    }

    /// Waits until nothing goes on in a database: no transaction is open, no lock is held. Gives how many are connected to it.
    #[track_caller]
    pub fn wait_for_rest(&self, database: &str) -> usize {
        let clients =
            format!("pg_stat_activity WHERE datname = '{database}' AND backend_type = 'client backend'");
        let at_work = format!(
            "SELECT (SELECT count(*) FROM {clients} AND state <> 'idle') + \
             (SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database WHERE datname = '{database}')"
        );
        self.wait_for_answer(&at_work, "0");
        let connected = self.sql("postgres", &format!("SELECT count(*) FROM {clients}"));
        connected.trim().parse().expect("a count is a number")
    }

    /// Kills it and the servers of all its clients with SIGKILL. What was committed is there after [`Server::start_again`].
    pub fn stop_at_once(&self) {
        drop(self.process().take());
    }

    /// Starts it on the same port and data, when it does not run.
    #[track_caller]
    pub fn start_again(&self) {
        let mut running = self.process();
        if running.is_some() {
            return;
        }
        let data = self.place.path().join("data");
        let mut postgres = match self.options.room {
            None => command(&program("postgresql", "postgres")),
            Some(megabytes) => {
                let mut shell = command("/bin/sh".as_ref());
                shell.args(["-c", LIMITED, "limited", &megabytes.to_string()]).arg(&data);
                shell.arg(program("postgresql", "postgres"));
                shell
            }
        };
        postgres.arg("-D").arg(&data).args(["-p", &self.port.number().to_string()]);
        let fsync = format!("fsync={}", if self.options.fsync { "on" } else { "off" });
        let ours = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200", &fsync];
        for setting in ours.into_iter().chain(self.options.settings.iter().map(String::as_str)) {
            postgres.args(["-c", setting]);
        }
        let mut process = Process::start(&self.place, postgres);
        let mut asks = command(&program("postgresql", "pg_isready"));
        asks.args(["-q", "-h", "127.0.0.1", "-p", &self.port.number().to_string()]);
        // It listens long before it has recovered.
        process.wait_until(|_| output(&mut asks).status.success());
        *running = Some(process);
    }

    /// Leaves no room on the disk of a server that has [`Options::room`].
    #[track_caller]
    pub fn fill_disk(&self) {
        // What is written ahead has most of a file that is there already: it is the tables that have no room first.
        self.sql("postgres", "SELECT pg_switch_wal()");
        self.sql("postgres", "CHECKPOINT");
        // Each until nothing goes into it any more: pieces, and then single bytes.
        let fill = "for size in 65536 512 1; do dd if=/dev/zero bs=$size >>\"$0\" 2>/dev/null; done; true";
        run(command("/bin/sh".as_ref()).args(["-c", fill]).arg(self.filler()));
    }

    /// Writes ahead, and nothing else, until it ends for want of room.
    #[track_caller]
    pub fn write_until_it_ends(&self) {
        const SQL: &str = "SELECT count(pg_logical_emit_message(false, '', repeat('x', 1000000))) FROM generate_series(1, 1000)";
        let mut psql = command(&program("postgresql", "psql"));
        psql.args(["--no-psqlrc", "--quiet", "--dbname", &self.superuser_url(), "--command", SQL]);
        let said = output(&mut psql);
        assert!(!said.status.success(), "a gigabyte has room");
    }

    /// Takes back what [`Server::fill_disk`] has done.
    #[track_caller]
    pub fn free_disk(&self) {
        run(command("/bin/rm".as_ref()).arg("--").arg(self.filler()));
    }

    /// As the process sees it.
    fn filler(&self) -> PathBuf {
        let process = self.process();
        let process = process.as_ref().expect("it runs").pid();
        let data = self.place.path().join("data");
        let below = data.strip_prefix("/").expect("a place has a whole path");
        Path::new(&format!("/proc/{process}/root")).join(below).join("filler")
    }

    /// Ends it in good order, throwing its clients out, and starts it again.
    #[track_caller]
    pub fn restart(&self) {
        assert!(self.options.room.is_none(), "what it keeps goes with its process");
        if let Some(process) = self.process().take() {
            // "Fast shutdown".
            process.end(Signal::SIGINT);
        }
        self.start_again();
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Megabytes, the data, the program and its arguments: on a disk that only it sees, for as long as it lives.
const LIMITED: &str = r#"
exec unshare --user --map-user="$(id -u)" --map-group="$(id -g)" --mount --keep-caps /bin/sh -c '
    megabytes=$1 data=$2 program=$3
    shift 3
    set -e
    cp -a "$data" "$data.first"
    mount -t tmpfs -o "size=${megabytes}m,mode=0700" none "$data"
    cp -a "$data.first/." "$data"
    set +e
    # What has no room to recover tries that until there is.
    until setpriv --inh-caps=-all --ambient-caps=-all "$program" "$@"; do sleep 0.1; done
' limited "$@"
"#;

/// Where a fresh data directory is, made once by each test process: making one takes seconds, copying it does not.
fn initialised() -> &'static Place {
    static FRESH: OnceLock<Arc<Place>> = OnceLock::new();
    FRESH.get_or_init(|| {
        let place = Place::new("postgresql-initialised");
        let password = place.file("password", PASSWORD);
        run(command(&program("postgresql", "initdb"))
            .arg("-D")
            .arg(place.path().join("data"))
            .arg(format!("--pwfile={}", password.display()))
            .args(["-U", SUPERUSER, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"])
            .args(["--no-sync", "--no-instructions"])
            .current_dir(place.path()));
        place
    })
}
