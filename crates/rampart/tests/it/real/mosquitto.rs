//! The MQTT broker Mosquitto.

use super::{
    audit::scan_hosts,
    ground::Ground,
    server::{As, Server, program, run},
    tls::{Authority, write_pair},
};

fn mosquitto(ground: &Ground, number: u8, port: u16, settings: &str) -> Server {
    let configuration = ground
        .file(&format!("mosquitto-{port}.conf"), &format!("listener {port} {{{number}}}\n{settings}\n"));
    let program = program("mosquitto", "mosquitto");
    Server::start(ground, As::Nobody, &program, &[&"-c", &configuration], &[ground.at(number, port)])
}

#[test]
fn mosquitto_for_everybody_with_accounts_and_inside_tls() {
    let ground = Ground::new();
    let accounts = ground.directory("mqtt").join("accounts");
    let arguments: [&dyn AsRef<std::ffi::OsStr>; 5] =
        [&"-b", &"-c", &accounts, &"operator", &"a-long-password-nobody-guesses"];
    run(As::Nobody, &program("mosquitto", "mosquitto_passwd"), &arguments, ground.path());
    let accounts = format!("allow_anonymous false\npassword_file {}", accounts.display());
    let (certificate, key) =
        write_pair(&ground, "broker", &Authority::new().issue(&[], &[ground.address(3)]));
    let tls = format!("certfile {}\nkeyfile {}", certificate.display(), key.display());
    let _open = mosquitto(&ground, 1, 11_883, "allow_anonymous true");
    let _closed = mosquitto(&ground, 2, 11_884, &accounts);
    let _tls = mosquitto(&ground, 3, 11_885, &format!("{accounts}\n{tls}"));
    let _open_tls = mosquitto(&ground, 3, 11_886, &format!("allow_anonymous true\n{tls}"));
    let audit = scan_hosts(&ground, 3, "11800-11899");
    audit.assert_findings("mosquitto");
    // MQTT has no greeting: the broker tells its version only to those who subscribe to its statistics.
    audit.assert_services(&[
        "127.91.0.1:11883 mqtt - -",
        "127.91.0.2:11884 mqtt - -",
        "127.91.0.3:11885 mqtt+tls - -",
        "127.91.0.3:11886 mqtt+tls - -",
    ]);
}
