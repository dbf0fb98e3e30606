//! PostgreSQL, and PgBouncer in front of it.

use std::{net::TcpStream, process::Command};

use testkit::{pgbouncer, postgres};

fn psql(url: &str, statements: &str) -> String {
    let mut psql = Command::new("psql");
    psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", statements]);
    let output = psql.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn what_was_committed_outlives_kills_and_restarts() {
    let server = postgres::Server::start();
    psql(&server.superuser_url(), "CREATE TABLE kept AS SELECT 1 AS number");
    server.restart();
    psql(&server.superuser_url(), "UPDATE kept SET number = number + 1");
    // A client in the middle of something does not keep the port or the memory.
    let url = server.superuser_url();
    let sleeper = std::thread::spawn(move || {
        Command::new("psql").args(["-X", "-d", &url, "-c", "SELECT pg_sleep(600)"]).output().unwrap()
    });
    let running = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)'";
    while server.sql("postgres", running).trim() != "1" {}
    server.stop_at_once();
    assert!(!sleeper.join().unwrap().status.success());
    TcpStream::connect(server.address()).unwrap_err();
    server.start_again();
    assert_eq!(psql(&server.superuser_url(), "SELECT number FROM kept"), "2");
    assert_eq!(psql(&server.superuser_url(), "SHOW fsync"), "off");
    let address = server.address();
    drop(server);
    TcpStream::connect(address).unwrap_err();
    let durable = postgres::Server::start_with(postgres::Options {
        fsync: true,
        settings: vec!["log_statement=all".to_owned()],
        ..postgres::Options::default()
    });
    assert_eq!(psql(&durable.superuser_url(), "SHOW fsync"), "on");
    assert_eq!(psql(&durable.superuser_url(), "SHOW log_statement"), "all");
}

#[test]
fn databases_are_apart_and_passwords_are_asked_for() {
    let server = postgres::Server::shared();
    let (one, two) = (server.create_database(), server.create_database());
    server.sql(&one, "CREATE TABLE apart (); CREATE ROLE tenant LOGIN PASSWORD 'of-the-tenant'");
    server.sql(&two, "CREATE TABLE apart ()");
    assert_eq!(psql(&server.url("tenant", "of-the-tenant", &one), "SELECT current_user"), "tenant");
    let wrong = server.url("tenant", "another", &one);
    let output = Command::new("psql").args(["-X", "-d", &wrong, "-c", "SELECT 1"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("password authentication failed"));
}

#[test]
fn a_pool_lends_its_connections_for_a_transaction() {
    let server = postgres::Server::start();
    server.sql("postgres", "CREATE ROLE app LOGIN PASSWORD 'of-the-app'");
    let pool = pgbouncer::Server::start(&server, 1);
    let url = pool.url("app", "of-the-app", "postgres");
    // One server connection serves both, one transaction after the other.
    let first = psql(&url, "SELECT pg_backend_pid()");
    assert_eq!(psql(&url, "SELECT pg_backend_pid()"), first);
    // Local settings do not leak to the next client.
    psql(&url, "BEGIN; SELECT set_config('app.tenant_id', 'one', true); COMMIT");
    assert_eq!(psql(&url, "SELECT current_setting('app.tenant_id', true)"), "");
    assert_eq!(psql(&url, "SELECT current_user"), "app");
}
