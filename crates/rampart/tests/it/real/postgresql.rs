//! PostgreSQL with and without TLS.

use super::{
    audit::scan_hosts,
    ground::Ground,
    server::{As, Server, program, run},
    tls::{Authority, write_pair},
};

fn postgresql(ground: &Ground, number: u8, port: u16, settings: &[&str]) -> Server {
    let data = ground.directory(&format!("postgresql-{port}")).join("data");
    let password = ground.file("postgresql.password", "a-long-password-nobody-guesses\n");
    let password = format!("--pwfile={}", password.display());
    let initdb = program("postgresql", "initdb");
    let arguments: [&dyn AsRef<std::ffi::OsStr>; 8] = [
        &"-D",
        &data,
        &"-U",
        &"operator",
        &"--auth=scram-sha-256",
        &password,
        &"--no-sync",
        &"--no-instructions",
    ];
    run(As::Nobody, &initdb, &arguments, ground.path());
    let address = format!("listen_addresses={}", ground.address(number));
    let port_text = port.to_string();
    let mut arguments: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![
        &"-D",
        &data,
        &"-p",
        &port_text,
        &"-c",
        &address,
        &"-c",
        &"unix_socket_directories=",
        &"-c",
        &"fsync=off",
    ];
    for setting in settings {
        arguments.push(&"-c");
        arguments.push(setting);
    }
    Server::start(
        ground,
        As::Nobody,
        &program("postgresql", "postgres"),
        &arguments,
        &[ground.at(number, port)],
    )
}

#[test]
fn postgresql_with_and_without_tls() {
    let ground = Ground::new();
    let certificate = Authority::new().issue(&["database.acme.test"], &[ground.address(2)]);
    let (certificate, key) = write_pair(&ground, "database", &certificate);
    let certificate = format!("ssl_cert_file={}", certificate.display());
    let key = format!("ssl_key_file={}", key.display());
    let _plain = postgresql(&ground, 1, 15_432, &["ssl=off"]);
    let _tls = postgresql(&ground, 2, 15_433, &["ssl=on", &certificate, &key]);
    let audit = scan_hosts(&ground, 2, "15400-15499");
    audit.assert_findings("postgresql");
    // The version is told to those who have logged in.
    audit.assert_services(&[
        "127.91.0.1:15432 postgresql PostgreSQL -",
        "127.91.0.2:15433 postgresql PostgreSQL -",
    ]);
}
