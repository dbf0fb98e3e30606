//! Redis and memcached.

use super::{
    audit::{clean_scan, package_version, scan, scan_hosts},
    ground::Ground,
    server::{As, Server, program},
};

fn redis(ground: &Ground, number: u8, port: u16, settings: &str) -> Server {
    let configuration = ground.file(
        &format!("redis-{port}.conf"),
        &format!("bind {{{number}}}\nport {port}\ndir {{dir}}\nsave \"\"\nappendonly no\nlogfile \"\"\n{settings}\n"),
    );
    let program = program("redis-server", "redis-server");
    Server::start(ground, As::Nobody, &program, &[&configuration], &[ground.at(number, port)])
}

#[test]
fn redis_with_and_without_a_password() {
    let ground = Ground::new();
    let version = package_version("redis-server");
    let _open = redis(&ground, 1, 16_379, "protected-mode no");
    let _closed = redis(&ground, 2, 16_380, "requirepass a-long-password-nobody-guesses");
    let _protected = redis(&ground, 3, 16_381, "protected-mode yes");
    let audit = scan_hosts(&ground, 3, "16300-16400");
    audit.assert_findings("redis");
    // Only the one that lets everybody in tells its version.
    audit.assert_services(&[
        &format!("127.91.0.1:16379 redis Redis {version}"),
        "127.91.0.2:16380 redis Redis -",
        // On loopback protected mode does not object.
        &format!("127.91.0.3:16381 redis Redis {version}"),
    ]);
    assert_eq!(audit.extracted("redis-without-password", "version"), [version]);
}

fn memcached(ground: &Ground, number: u8, port: u16, more: &[&str]) -> Server {
    let (address, text) = (ground.address(number).to_string(), port.to_string());
    let mut arguments: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&"-l", &address, &"-p", &text, &"-U", &"0"];
    arguments.extend(more.iter().map(|argument| argument as &dyn AsRef<std::ffi::OsStr>));
    let program = program("memcached", "memcached");
    Server::start(ground, As::Nobody, &program, &arguments, &[ground.at(number, port)])
}

#[test]
fn memcached_open_and_with_accounts() {
    let ground = Ground::new();
    let accounts = ground.file("memcached.accounts", "operator:a-long-password-nobody-guesses\n");
    let accounts = accounts.to_str().unwrap();
    let _open = memcached(&ground, 1, 21_211, &[]);
    let _closed = memcached(&ground, 2, 21_212, &["-Y", accounts]);
    let audit = scan(
        &ground,
        &[
            &format!("{}:21211", ground.address(1)),
            &format!("{}:21212", ground.address(2)),
            &"--stages",
            &"ports,check",
        ],
    );
    audit.assert_findings("memcached");
    let version = package_version("memcached");
    audit.assert_services(&[
        &format!("127.91.0.1:21211 memcached memcached {version}"),
        "127.91.0.2:21212 memcached memcached -",
    ]);
    assert_eq!(audit.extracted("memcached-open", "version"), [version]);
}

#[test]
fn an_address_where_nothing_listens_is_clean() {
    let ground = Ground::new();
    let target = ground.address(9).to_string();
    let audit = clean_scan(&ground, &[&target, &"--ports", &"20000-20999", &"--stages", &"ports,check"]);
    assert_eq!((audit.findings.len(), audit.services.len()), (0, 0));
}
