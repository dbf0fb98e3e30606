//! Debian's PgBouncer in front of a PostgreSQL.

use std::{net::SocketAddr, sync::Arc};

use crate::{
    postgres,
    process::{Place, Port, Process, command, program},
};

/// A pool in transaction mode: a client has a server connection only from the begin to the end of a transaction.
#[derive(Debug)]
pub struct Server {
    port: Port,
    _process: Process,
}

impl Server {
    /// Starts it in front of the server, for every user and database of it, with at most `pool_size` server connections a
    /// user and database.
    #[track_caller]
    pub fn start(upstream: &postgres::Server, pool_size: u16) -> Server {
        let (place, port): (Arc<Place>, _) = (Place::new("pgbouncer"), Port::claim());
        let (user, password) = upstream.superuser();
        let users = place.file("users.txt", &format!("\"{user}\" \"{password}\"\n"));
        let settings = format!(
            "[databases]\n\
             * = host=127.0.0.1 port={upstream}\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\n\
             listen_port = {port}\n\
             unix_socket_dir =\n\
             auth_type = scram-sha-256\n\
             auth_file = {users}\n\
             auth_user = {user}\n\
             auth_query = SELECT usename, passwd FROM pg_shadow WHERE usename = $1\n\
             pool_mode = transaction\n\
             default_pool_size = {pool_size}\n\
             max_client_conn = 1000\n\
             server_idle_timeout = 10\n\
             ignore_startup_parameters = extra_float_digits,options\n\
             admin_users = {user}\n",
            upstream = upstream.address().port(),
            port = port.number(),
            users = users.display(),
        );
        let mut pgbouncer = command(&program("pgbouncer", "pgbouncer"));
        pgbouncer.arg(place.file("pgbouncer.ini", &settings));
        let mut process = Process::start(&place, pgbouncer);
        process.wait_until(|said| said.contains("process up"));
        Server { port, _process: process }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// How a user reaches a database; see [`postgres::Server::url`].
    pub fn url(&self, user: &str, password: &str, database: &str) -> String {
        format!("postgres://{user}:{password}@{}/{database}", self.address())
    }
}
