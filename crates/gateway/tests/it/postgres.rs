//! A database on a PostgreSQL, and what its superuser sees.

use std::{net::SocketAddr, sync::Arc};

use model::TenantId;
use store::{Location, Store};
use testkit::postgres::{Database, Held, Options, Server};

pub(crate) struct Postgres {
    /// Unless it is on the one that the tests share.
    own: Option<Arc<Server>>,
    pub(crate) database: Database,
}

impl Postgres {
    /// On the server that the tests share.
    pub(crate) async fn new() -> Postgres {
        Postgres::on(|| None).await
    }

    /// On a server of its own, which may be stopped.
    pub(crate) async fn alone() -> Postgres {
        Postgres::alone_with(Options::default()).await
    }

    /// The same, with such a server.
    pub(crate) async fn alone_with(options: Options) -> Postgres {
        Postgres::on(|| Some(Arc::new(Server::start_with(options)))).await
    }

    async fn on(server: impl FnOnce() -> Option<Arc<Server>> + Send + 'static) -> Postgres {
        let making = tokio::task::spawn_blocking(|| {
            let own = server();
            let database = own.as_deref().unwrap_or_else(|| Server::shared()).create_database_with_user();
            Postgres { own, database }
        });
        let made = making.await.unwrap();
        store::migrate(&made.database.owner_url, std::slice::from_ref(&made.database.user)).await.unwrap();
        made
    }

    pub(crate) fn server(&self) -> &Server {
        self.own.as_deref().unwrap_or_else(|| Server::shared())
    }

    /// The store in it, with so many connections at once.
    pub(crate) async fn store(&self, connections: usize) -> Store {
        self.store_at(self.server().address(), connections).await
    }

    /// The same, through something that stands before it.
    pub(crate) async fn store_at(&self, address: SocketAddr, connections: usize) -> Store {
        let url = self.database.url_at(address);
        Store::open(&Location::Postgres { url, connections, replica: None }).await.unwrap()
    }

    /// What the superuser is told: unaligned, one row a line.
    pub(crate) async fn sql(&self, statements: &str) -> String {
        let (name, statements) = (self.database.name.clone(), statements.to_owned());
        self.with(move |server| server.sql(&name, &statements)).await
    }

    /// Whoever needs that table waits for as long as this is kept.
    pub(crate) async fn lock(&self, table: &str) -> Held {
        let (name, lock) =
            (self.database.name.clone(), format!("LOCK TABLE rampart.{table} IN ACCESS EXCLUSIVE MODE"));
        self.with(move |server| server.hold(&name, &lock)).await
    }

    /// Until so many wait for a lock.
    pub(crate) async fn wait_for_waiting(&self, count: usize) {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND wait_event_type = 'Lock'",
            self.database.name
        );
        self.with(move |server| server.wait_for_answer(&sql, &count.to_string())).await;
    }

    /// Nothing goes on in it any more, and no more are connected than these.
    pub(crate) async fn require_rest(&self, connections: usize) {
        let name = self.database.name.clone();
        let connected = self.with(move |server| server.wait_for_rest(&name)).await;
        assert!(connected <= connections, "{connected} are connected");
    }

    /// What takes its time, beside whatever else goes on.
    pub(crate) async fn with<T: Send + 'static>(
        &self,
        what: impl FnOnce(&Server) -> T + Send + 'static,
    ) -> T {
        let own = self.own.clone();
        let doing =
            tokio::task::spawn_blocking(move || what(own.as_deref().unwrap_or_else(|| Server::shared())));
        doing.await.unwrap()
    }

    /// Every row of a tenant, as it is written.
    pub(crate) async fn rows_of(&self, tenant: TenantId) -> String {
        let tables = self.sql(
            "SELECT relname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attname = 'tenant_id' \
             WHERE relnamespace = 'rampart'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname",
        );
        let tables = tables.await;
        let of = |table: &str| {
            format!(
                "SELECT '{table}', whole::text FROM rampart.{table} AS whole WHERE tenant_id = '{tenant}'"
            )
        };
        let tables: Vec<String> = tables.lines().map(of).collect();
        assert!(!tables.is_empty());
        self.sql(&format!("{} ORDER BY 1, 2", tables.join(" UNION ALL "))).await
    }
}
