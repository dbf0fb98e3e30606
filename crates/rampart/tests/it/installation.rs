//! The platform in several processes: roles on PostgreSQL and Redis of the test's own.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use testkit::{postgres, proxy::TcpProxy, redis};

use crate::run::{THIS, assert_exit, release};

/// Servers, with tenant `default` and its scope `test`. Nothing of Rampart runs yet.
pub(crate) struct Installation {
    directory: tempfile::TempDir,
    pub(crate) postgres: postgres::Server,
    pub(crate) broker: redis::Server,
    /// Between Rampart and the database.
    pub(crate) proxy: TcpProxy,
    pub(crate) database: String,
    _runtime: tokio::runtime::Runtime,
}

impl Installation {
    /// With this scope file.
    #[track_caller]
    pub(crate) fn start(scope: &str) -> Installation {
        Installation::of(Path::new(THIS), scope)
    }

    /// As the release left it whose binary that is.
    #[track_caller]
    pub(crate) fn of(program: &Path, scope: &str) -> Installation {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let postgres = postgres::Server::start();
        let database = postgres.create_database();
        postgres.sql(&database, "CREATE ROLE app LOGIN PASSWORD 'of-the-tests'");
        let proxy = runtime.block_on(TcpProxy::start(postgres.address()));
        let installation = Installation {
            directory: tempfile::tempdir().unwrap(),
            postgres,
            broker: redis::Server::start(),
            proxy,
            database,
            _runtime: runtime,
        };
        installation.migrate(program);
        std::fs::write(installation.directory.path().join("scope.toml"), scope).unwrap();
        for words in [&["tenant", "create", "default"][..], &["scope", "put", "test", "scope.toml"]] {
            assert_exit(&installation.command_of(program, words).output().unwrap(), 0);
        }
        installation
    }

    /// The database has what that release needs.
    #[track_caller]
    pub(crate) fn migrate(&self, program: &Path) {
        let (owner, password) = self.postgres.superuser();
        let owner = self.postgres.url(owner, password, &self.database);
        let words = ["migrate", "--grant-to", "app", "--database", &owner];
        assert_exit(&release(program, self.directory.path()).args(words).output().unwrap(), 0);
    }

    /// A command that finds its way through the environment.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        self.command_of(Path::new(THIS), words)
    }

    /// As [`Installation::command`], of whichever release.
    pub(crate) fn command_of(&self, program: &Path, words: &[&str]) -> Command {
        let url = |at: SocketAddr| format!("postgres://app:of-the-tests@{at}/{}", self.database);
        let mut command = release(program, self.directory.path());
        command
            .args(words)
            .env("RAMPART_DATABASE", url(self.proxy.address()))
            .env("RAMPART_DOORBELL", format!("redis://{}", self.broker.address()));
        command
    }

    /// Processes that run until what is returned is dropped.
    pub(crate) fn roles(&self, roles: &[&[&str]]) -> Roles {
        let start = |words: &&[&str]| self.command(words).stderr(Stdio::null()).spawn().unwrap();
        Roles(roles.iter().map(start).collect())
    }
}

pub(crate) struct Roles(Vec<Child>);

impl Drop for Roles {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
