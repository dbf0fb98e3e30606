//! What was not looked at, or could not be found out, never passes for clean.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::Output,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use serde_json::Value;
use testkit::dns::NameServer;

use crate::run::{THIS, assert_balances, assert_exit, rampart, report, text};

/// A web site on an address of its own that notes when it was asked; its connections stay open.
struct Site {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<SystemTime>>>,
}

impl Site {
    fn start(host: Ipv4Addr, port: u16, body: &'static str) -> Site {
        let listener = TcpListener::bind((host, port)).unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<SystemTime>>> = Arc::default();
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, log) = (stream.unwrap(), Arc::clone(&log));
                std::thread::spawn(move || {
                    let (mut heard, mut piece) = (Vec::new(), [0; 4_096]);
                    while let Ok(count @ 1..) = stream.read(&mut piece) {
                        heard.extend_from_slice(&piece[..count]);
                        while let Some(end) = heard.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                            heard.drain(..end + 4);
                            log.lock().unwrap().push(SystemTime::now());
                            let length = body.len();
                            let answer = format!(
                                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\r\n{body}"
                            );
                            if stream.write_all(answer.as_bytes()).is_err() {
                                return;
                            }
                        }
                    }
                });
            }
        });
        Site { address, asked }
    }
}

fn scan(directory: &Path, arguments: &[&str]) -> Output {
    rampart(directory).arg("scan").args(arguments).output().unwrap()
}

fn summary(directory: &Path) -> Value {
    report(&directory.join("out/report.json"))["summary"].clone()
}

const LISTING: &str = "<html><title>Index of /</title><body><a href=\"/\">up</a></body></html>";

#[test]
fn nothing_is_sent_when_the_window_has_closed_and_the_rest_is_for_another_time() {
    let directory = tempfile::tempdir().unwrap();
    let site = Site::start(Ipv4Addr::new(127, 97, 0, 1), 0, LISTING);
    let url = format!("http://{}/", site.address);
    let scope = |seconds: i64| {
        let end = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
        let text = format!(
            "authorised_by = \"a test\"\nnetworks = [\"127.0.0.0/8\"]\n[window]\nnot_after = \"{end}\"\n"
        );
        std::fs::write(directory.path().join("scope.toml"), text).unwrap();
        SystemTime::from(end)
    };
    let arguments = [
        url.as_str(),
        "--scope",
        "scope.toml",
        "--stages",
        "check",
        "--host-rate",
        "10",
        "--output",
        "out",
        "--resolver",
        "127.0.0.1:1",
    ];
    // Far less time than so many requests take, and more where a busy machine needs that to begin.
    let begun = [4, 8, 16].into_iter().find_map(|seconds| {
        let end = scope(seconds);
        let output = scan(directory.path(), &arguments);
        let asked = std::mem::take(&mut *site.asked.lock().unwrap());
        if asked.len() > 3 {
            return Some((end, output, asked));
        }
        // It was closed before it began.
        let _ = std::fs::remove_dir_all(directory.path().join("out"));
        None
    });
    let (end, output, asked) = begun.expect("a scan begins within 16 seconds");
    assert!(matches!(output.status.code(), Some(1 | 3)), "{}", text(&output.stderr));
    // What was sent before may arrive a little later.
    let late = asked.iter().filter(|at| at.duration_since(end).is_ok_and(|by| by > Duration::from_secs(1)));
    assert_eq!(late.count(), 0);
    let stopped = summary(directory.path());
    assert_eq!(stopped["complete"], false);
    assert!(stopped["incomplete_because"].as_str().unwrap().contains("time window"), "{stopped}");

    // Nothing is begun outside of it, and nothing gone on with.
    scope(-1);
    for arguments in [&["127.0.0.2", "--scope", "scope.toml", "--output", "other"][..], &["--resume", "out"]]
    {
        let refused = scan(directory.path(), arguments);
        assert_exit(&refused, 2);
        assert!(text(&refused.stderr).contains("time window is closed"), "{}", text(&refused.stderr));
    }
    scope(600);
    let resumed = scan(directory.path(), &["--resume", "out", "--host-rate", "1000"]);
    assert_exit(&resumed, 1);
    let whole = report(&directory.path().join("out/report.json"));
    assert_eq!(whole["summary"]["complete"], true);
    assert_balances(&whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_does_not_exist_is_no_clean_target() {
    let directory = tempfile::tempdir().unwrap();
    let server = NameServer::start("example.test SOA\n").await;
    let resolver = server.address().to_string();
    let target = |target: &'static str| {
        let (directory, resolver) = (directory.path().to_owned(), resolver.clone());
        tokio::task::spawn_blocking(move || scan(&directory, &[target, "--resolver", &resolver]))
    };
    for name in ["gone.example.test", "gone.example.test:80", "http://gone.example.test/"] {
        let output = target(name).await.unwrap();
        assert_exit(&output, 3);
        assert!(text(&output.stderr).contains("does not exist"), "{name}: {}", text(&output.stderr));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_machines_behind_one_name_are_all_told() {
    let directory = tempfile::tempdir().unwrap();
    let first = Site::start(Ipv4Addr::new(127, 97, 0, 2), 0, LISTING);
    let port = first.address.port();
    let second = Site::start(Ipv4Addr::new(127, 97, 0, 3), port, LISTING);
    let server = NameServer::start("two.test SOA\n@ A 127.97.0.2\n@ A 127.97.0.3\n").await;
    let (resolver, port) = (server.address().to_string(), port.to_string());
    let path = directory.path().to_owned();
    let scanning = tokio::task::spawn_blocking(move || {
        let only = "directory-listing";
        scan(
            &path,
            &["two.test", "--resolver", &resolver, "--ports", &port, "--only", only, "--output", "out"],
        )
    });
    assert_exit(&scanning.await.unwrap(), 1);
    assert!(!first.asked.lock().unwrap().is_empty() && !second.asked.lock().unwrap().is_empty());
    let report = report(&directory.path().join("out/report.json"));
    let findings = report["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0]["addresses"], serde_json::json!(["127.97.0.2", "127.97.0.3"]));
}

#[test]
fn a_port_that_answers_nothing_is_not_known() {
    let directory = tempfile::tempdir().unwrap();
    // Takes connections and says nothing.
    let silent = TcpListener::bind("127.97.0.4:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let output = scan(directory.path(), &[&address, "--stages", "ports", "--profile", "quick"]);
    assert_exit(&output, 3);
    assert!(text(&output.stderr).contains("what listens is not known"), "{}", text(&output.stderr));
}

#[test]
fn nothing_to_look_at_is_said() {
    let directory = tempfile::tempdir().unwrap();
    for (arguments, exit, says) in [
        (&["127.0.0.2", "--ports", "9100"][..], 2, "fragile ports must be named"),
        (&["127.0.0.2", "--stages", "check"], 3, "nothing to look at"),
        (&["::/0"], 2, "not in scope"),
        (&["126.0.0.0/7"], 2, "not in scope"),
        (&["127.0.0.2", "--ports", "1", "--allow", "no-such-check"], 2, "there is no check"),
        (&["a.test", "--words", "/dev/null"], 2, "holds no word"),
    ] {
        let output = scan(directory.path(), arguments);
        assert_exit(&output, exit);
        let said = format!("{}{}", text(&output.stderr), text(&output.stdout));
        let written = said.lines().find_map(|line| line.trim().strip_prefix("report        "));
        let json = written.and_then(|path| {
            std::fs::read_to_string(directory.path().join(path).with_file_name("report.json")).ok()
        });
        assert!(said.contains(says) || json.is_some_and(|json| json.contains(says)), "{arguments:?}: {said}");
    }
    // A scope that somebody wrote cuts a network down, and the report says so.
    let scope = "authorised_by = \"a test\"\nnetworks = [\"127.97.9.0/30\"]\n";
    std::fs::write(directory.path().join("scope.toml"), scope).unwrap();
    let output = scan(
        directory.path(),
        &[
            "127.0.0.0/8",
            "--scope",
            "scope.toml",
            "--ports",
            "1,9100",
            "--stages",
            "ports",
            "--output",
            "out",
            "--resolver",
            "127.0.0.1:1",
        ],
    );
    assert_exit(&output, 0);
    let left_out = summary(directory.path())["left_out"].to_string();
    assert!(left_out.contains("127.0.0.0/8 is larger than the scope"), "{left_out}");
    assert!(left_out.contains("fragile or not in scope: 9100"), "{left_out}");
}

#[test]
fn going_on_takes_speed_anew_and_nothing_that_was_settled() {
    let directory = tempfile::tempdir().unwrap();
    let there = directory.path().join("there");
    std::fs::create_dir(&there).unwrap();
    let scope = |author: &str| format!("authorised_by = \"{author}\"\nnetworks = [\"127.0.0.0/8\"]\n");
    std::fs::write(there.join("scope.toml"), scope("the right one")).unwrap();
    std::fs::write(directory.path().join("scope.toml"), scope("another")).unwrap();
    let begun = scan(
        &there,
        &[
            "127.0.0.2",
            "--ports",
            "1",
            "--stages",
            "ports",
            "--scope",
            "scope.toml",
            "--output",
            "out",
            "--resolver",
            "127.0.0.1:1",
        ],
    );
    assert_exit(&begun, 0);
    for settled in [
        &["--stages", "check"][..],
        &["--profile", "deep"],
        &["--ports", "2"],
        &["--only", "git-config"],
        &["--resolver", "127.0.0.1"],
        &["--output", "elsewhere"],
        &["--var", "a=b"],
        &["127.0.0.3"],
    ] {
        let output = scan(directory.path(), &[&["--resume", "there/out"], settled].concat());
        assert_exit(&output, 2);
        assert!(
            text(&output.stderr).contains("cannot be used with"),
            "{settled:?}: {}",
            text(&output.stderr)
        );
    }
    let resumed =
        scan(directory.path(), &["--resume", "there/out", "--host-rate", "7", "--connections", "9"]);
    assert_exit(&resumed, 0);
    let summary = report(&there.join("out/report.json"))["summary"].clone();
    assert_eq!(summary["limits"]["requests_per_second_per_host"], 7);
    assert_eq!(summary["limits"]["connections"], 9);
    assert_eq!(summary["authorised_by"], "the right one");
}

#[test]
fn too_few_file_descriptors_are_named_with_the_way_out() {
    let directory = tempfile::tempdir().unwrap();
    let binary = THIS;
    for (limit, target) in [(64, "127.0.0.2"), (200, "--demo")] {
        let output = std::process::Command::new("sh")
            .args(["-c", &format!("ulimit -n {limit} && exec {binary} scan {target}")])
            .current_dir(directory.path())
            .output()
            .unwrap();
        assert_exit(&output, 2);
        assert!(text(&output.stderr).contains("ulimit -n 4096"), "{}", text(&output.stderr));
    }
}
