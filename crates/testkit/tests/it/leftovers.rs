//! Nothing is left of a server, whatever becomes of the tests.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use testkit::redis;

const INSIDE: &str = "RAMPART_TESTKIT_INSIDE";

#[test]
fn a_killed_test_process_leaves_no_server_and_no_directory() {
    if std::env::var_os(INSIDE).is_some() {
        let server = redis::Server::start();
        let directory = server.ask(&["CONFIG", "GET", "dir"]).lines().nth(1).unwrap().to_owned();
        std::io::stdout().write_all(format!("\nat {} {directory}\n", server.address()).as_bytes()).unwrap();
        // Until killed.
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        unreachable!("the other process kills this one first");
    }
    let mut inside = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "leftovers::a_killed_test_process_leaves_no_server_and_no_directory",
            "--nocapture",
        ])
        .env(INSIDE, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(inside.stdout.take().unwrap()).lines().map_while(Result::ok);
    let told = lines.find_map(|line| line.strip_prefix("at ").map(str::to_owned)).unwrap();
    let (address, directory) = told.split_once(' ').unwrap();
    let address: SocketAddr = address.parse().unwrap();
    TcpStream::connect(address).unwrap();
    assert!(Path::new(directory).is_dir());
    inside.kill().unwrap();
    inside.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(address).is_ok() || Path::new(directory).exists() {
        assert!(Instant::now() < deadline, "{told} is left");
        std::thread::yield_now();
    }
}
