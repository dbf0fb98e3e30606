//! The image, assembled from the program that the tests have, and run as a hardened cluster runs it: by a runtime of containers, with
//! nothing to write to and no privileges.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::Value;
use testkit::tools::root;

use crate::{
    platform::PATIENCE,
    run::{THIS, assert_exit, send, text},
};

/// What a build leaves beside the image.
const FILES: [&str; 4] = ["image.tar", "image.digest", "image.cdx.json", "image.provenance.json"];

fn build(binary: &Path, output: &Path) {
    let mut command = Command::new(root().join("deploy/image/build"));
    command.arg("--binary").arg(binary).arg("--output").arg(output);
    // The tests' own binary is no release: it is larger by far.
    let output =
        command.args(["--tag", "localhost/rampart:test", "--strip", "--budget", "250MB"]).output().unwrap();
    assert_exit(&output, 0);
}

fn container(image: &Path, options: &[&str], words: &[&str]) -> Command {
    let mut command = Command::new(root().join("deploy/image/try"));
    command.args(options).arg(image).arg("--").args(words);
    command
}

fn asked(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn the_image_is_reproducible_says_what_it_is_made_of_and_runs_without_any_privilege() {
    let directory = tempfile::tempdir().unwrap();
    let [one, other] = ["one", "other"].map(|name| directory.path().join(name));
    let binary = PathBuf::from(THIS);
    build(&binary, &one);
    build(&binary, &other);
    for file in FILES {
        let [one, other] = [&one, &other].map(|place| fs::read(place.join(file)).unwrap());
        assert!(one == other, "{file} is another one each time");
    }
    let digest = fs::read_to_string(one.join("image.digest")).unwrap();
    let json = |file: &str| serde_json::from_slice::<Value>(&fs::read(one.join(file)).unwrap()).unwrap();
    let provenance = json("image.provenance.json");
    assert_eq!(
        provenance["subject"][0]["digest"]["sha256"].as_str().map(|hex| format!("sha256:{hex}\n")),
        Some(digest)
    );
    let components = json("image.cdx.json");
    let names: Vec<&str> = components["components"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|component| component["name"].as_str())
        .collect();
    for part in ["tokio", "rustls", "libc6", "ca-certificates"] {
        assert!(names.contains(&part), "{part} is in no list of what it is made of");
    }

    let image = one.join("image.tar");
    let version = container(&image, &[], &["--version"]).output().unwrap();
    assert_exit(&version, 0);
    assert_eq!(text(&version.stdout), format!("rampart {}\n", env!("CARGO_PKG_VERSION")));
    // Where nothing may be written nothing is.
    let nowhere = container(&image, &[], &["up", "--data", "/etc/rampart"]).output().unwrap();
    assert_exit(&nowhere, 2);
    assert!(text(&nowhere.stderr).contains("Read-only file system"), "{}", text(&nowhere.stderr));

    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let pid_file = directory.path().join("pid");
    let options = ["--network", "host", "--pid-file", pid_file.to_str().unwrap()];
    let mut up = container(&image, &options, &["up", "--listen", &address]);
    let mut up = up.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let until = Instant::now() + PATIENCE;
    let ready = loop {
        match asked(&address, "/ready") {
            Some(answer) if answer.starts_with("HTTP/1.1 200 ") => break answer,
            answer => assert!(Instant::now() < until, "{answer:?}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(ready.contains(r#""status":"ready""#), "{ready}");
    assert!(asked(&address, "/health").unwrap().starts_with("HTTP/1.1 200 "));
    let pid = fs::read_to_string(&pid_file).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", pid.trim())).unwrap();
    let fields = |name: &str| {
        let line = status
            .lines()
            .find(|line| line.starts_with(&format!("{name}:")))
            .unwrap_or_else(|| panic!("{name}: {status}"));
        line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!((fields("Uid"), fields("Gid")), (vec!["10001".to_owned(); 4], vec!["10001".to_owned(); 4]));
    for capabilities in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(fields(capabilities), ["0000000000000000"], "{capabilities}");
    }
    assert_eq!((fields("NoNewPrivs"), fields("Seccomp")), (vec!["1".to_owned()], vec!["2".to_owned()]));
    send(Signal::SIGTERM, &up);
    assert!(up.wait().unwrap().success());
}
