//! How a scan ends when something around it gives way: its output, its directory, its time, its input.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Stdio,
};

use nix::sys::signal::Signal;

use crate::run::{THIS, assert_balances, assert_exit, findings, rampart, report, send, slow_demo, text};

fn names_in(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_scan_that_is_there_already_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let scan = |target: &str| {
        rampart(directory.path())
            .args(["scan", target, "--ports", "1", "--stages", "ports", "--output", "out"])
            .output()
            .unwrap()
    };
    assert_exit(&scan("127.0.0.2"), 0);
    let kept = |name: &str| std::fs::read(directory.path().join("out").join(name)).unwrap();
    let before = ["targets.txt", "scan.json", "journal.jsonl"].map(kept);
    let second = scan("127.0.0.3");
    assert_exit(&second, 2);
    assert!(text(&second.stderr).contains("--resume out"), "{}", text(&second.stderr));
    assert_eq!(["targets.txt", "scan.json", "journal.jsonl"].map(kept), before);
}

#[test]
fn a_list_of_targets_that_changed_is_not_gone_on_with() {
    let directory = tempfile::tempdir().unwrap();
    let first = rampart(directory.path())
        .args(["scan", "127.0.0.2", "--ports", "1", "--stages", "ports", "--output", "out"])
        .output()
        .unwrap();
    assert_exit(&first, 0);
    for (changed, says) in
        [("", "0 targets"), ("127.0.0.2\n127.0.0.3\n", "2 targets"), ("192.0.2.1\n", "not in scope")]
    {
        std::fs::write(directory.path().join("out/targets.txt"), changed).unwrap();
        let resumed = rampart(directory.path()).args(["scan", "--resume", "out"]).output().unwrap();
        assert_exit(&resumed, 2);
        assert!(text(&resumed.stderr).contains(says), "{changed:?}: {}", text(&resumed.stderr));
    }
}

#[test]
fn a_refused_scan_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [&["scan", "300.1.1.1"][..], &["scan", "192.0.2.1", "--output", "out/of/here"]] {
        assert_exit(&rampart(directory.path()).args(arguments).output().unwrap(), 2);
    }
    assert_eq!(names_in(directory.path()), ["out"]);
    assert_eq!(names_in(&directory.path().join("out")), ["of"]);
    assert_eq!(names_in(&directory.path().join("out/of")), Vec::<String>::new());
}

#[test]
fn what_a_scan_writes_is_its_owners_alone_and_goes_where_no_link_leads() {
    let directory = tempfile::tempdir().unwrap();
    let (out, elsewhere) = (directory.path().join("out"), directory.path().join("elsewhere"));
    let scan = || {
        rampart(directory.path())
            .args([
                "scan",
                "127.0.0.2",
                "--ports",
                "1",
                "--stages",
                "ports",
                "--var",
                "token=secret",
                "--output",
                "out",
            ])
            .output()
            .unwrap()
    };
    assert_exit(&scan(), 0);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&out), 0o700);
    for name in names_in(&out) {
        assert_eq!(mode(&out.join(&name)), 0o600, "{name}");
    }
    std::fs::remove_dir_all(&out).unwrap();
    std::fs::create_dir(&out).unwrap();
    std::fs::write(&elsewhere, "precious").unwrap();
    for name in ["targets.txt", "scan.json", "report.html.part"] {
        symlink(&elsewhere, out.join(name)).unwrap();
    }
    assert_exit(&scan(), 0);
    assert_eq!(std::fs::read_to_string(&elsewhere).unwrap(), "precious");
    assert!(!names_in(&out).contains(&"report.html.part".to_owned()));
}

#[test]
fn a_reader_that_leaves_early_does_not_end_a_scan_that_writes_files() {
    let _alone = crate::run::alone_with_the_demo();
    let directory = tempfile::tempdir().unwrap();
    let mut child = rampart(directory.path())
        .args(["scan", "--demo", "--output", "out"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    BufReader::new(child.stdout.take().unwrap()).lines().next().expect("a first finding").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_exit(&output, 1);
    let whole = report(&directory.path().join("out/report.json"));
    let expected: Vec<&str> = include_str!("demo-findings.txt").lines().collect();
    assert_eq!(findings(&whole), expected);
}

#[test]
fn a_reader_that_leaves_early_is_not_told_that_all_is_well() {
    let _alone = crate::run::alone_with_the_demo();
    let directory = tempfile::tempdir().unwrap();
    let mut child = rampart(directory.path())
        .args(["scan", "--demo", "--format", "jsonl", "--fail-on", "critical", "--host-rate", "20"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    BufReader::new(child.stdout.take().unwrap()).lines().next().expect("a first finding").unwrap();
    let code = child.wait_with_output().unwrap().status.code();
    assert!(matches!(code, Some(1 | 3)), "{code:?}");
}

#[test]
fn nobody_listening_to_standard_error_does_not_end_a_scan() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = rampart(directory.path())
        .args(["scan", "127.0.0.2", "--ports", "1", "--output", "out"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(report(&directory.path().join("out/report.json"))["summary"]["complete"], true);
}

/// A scan in a directory that has so much room and no more.
fn scan_within(kilobytes: u32, arguments: &str) -> std::process::Output {
    let directory = tempfile::tempdir().unwrap();
    let binary = THIS;
    let script = format!(
        "mount -t tmpfs -o size={kilobytes}k none . && cd $PWD && TMPDIR=$PWD {binary} scan {arguments}; code=$?; ls out >&2; exit $code"
    );
    std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .current_dir(&directory)
        .output()
        .unwrap()
}

#[test]
fn a_full_disk_ends_a_scan_with_the_reason_and_the_way_on() {
    let _alone = crate::run::alone_with_the_demo();
    // Room for a part of the journal, and for the journal but not for the reports.
    for (kilobytes, says) in [(100, "the scan could not be finished"), (500, "out/report.html")] {
        let output = scan_within(kilobytes, "--demo --output out");
        assert_exit(&output, 2);
        let said = text(&output.stderr);
        for says in [says, "No space left on device", "--resume out"] {
            assert!(said.contains(says), "{kilobytes} KiB: {said}");
        }
        assert!(said.ends_with("journal.jsonl\nscan.json\ntargets.txt\n"), "{kilobytes} KiB: {said}");
    }
}

#[test]
fn what_was_found_before_the_disk_was_full_is_reported_where_there_is_room() {
    let _alone = crate::run::alone_with_the_demo();
    // The journal lies in the temporary directory, the report goes to standard output.
    let output = scan_within(100, "--demo --format json");
    assert_exit(&output, 2);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["summary"]["complete"], false);
    assert!(
        report["summary"]["incomplete_because"].as_str().unwrap().contains("No space left on device"),
        "{}",
        report["summary"]["incomplete_because"]
    );
    assert_balances(&report);
    let all = include_str!("demo-findings.txt");
    let found = findings(&report);
    assert!(!found.is_empty() && found.iter().all(|finding| all.contains(finding.as_str())), "{found:?}");
}

#[test]
fn a_template_that_was_refused_is_no_clean_bill() {
    let directory = tempfile::tempdir().unwrap();
    let good = "id: good\ninfo:\n  name: Good\n  author: t\n  severity: info\nhttp:\n  - method: GET\n    path: ['{{BaseURL}}/']\n    \
                matchers:\n      - type: word\n        words: [nothing]\n";
    std::fs::create_dir(directory.path().join("mine")).unwrap();
    std::fs::write(directory.path().join("mine/good.yaml"), good).unwrap();
    let scan = || {
        rampart(directory.path())
            .args(["scan", "127.0.0.2", "--ports", "1", "--checks", "mine", "--format", "json"])
            .output()
            .unwrap()
    };
    assert_exit(&scan(), 0);
    std::fs::write(directory.path().join("mine/typo.yaml"), good.replace("http:", "htpp:")).unwrap();
    let output = scan();
    assert_exit(&output, 3);
    assert!(text(&output.stderr).contains("1 template file was refused"), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("typo.yaml"), "{}", text(&output.stdout));
}

#[test]
fn lists_from_other_systems_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let list = "\u{feff}127.0.0.2\r\n\t# a comment\r\n127.0.0.3 # another\r\nLOCALHOST:1\r\n127.0.0.2\r\n";
    std::fs::write(directory.path().join("list.txt"), list).unwrap();
    let output = rampart(directory.path())
        .args(["scan", "--list", "list.txt", "--ports", "1", "--stages", "ports", "--output", "out"])
        .output()
        .unwrap();
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", text(&output.stderr));
    let targets = std::fs::read_to_string(directory.path().join("out/targets.txt")).unwrap();
    assert_eq!(targets, "127.0.0.2\n127.0.0.3\nlocalhost:1\n127.0.0.2\n");

    let mut child = rampart(directory.path())
        .args(["scan", "-", "--ports", "1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"127.0.0.2\n").unwrap();
    // The scan refuses the line before it has all of it.
    let _ = input.write_all(&vec![b'a'; 1 << 20]);
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert_exit(&output, 2);
    assert!(text(&output.stderr).contains("line 2 of standard input is longer"), "{}", text(&output.stderr));
}

#[test]
fn a_deadline_accounts_for_what_had_no_turn_and_can_be_gone_on_from() {
    let directory = tempfile::tempdir().unwrap();
    // Far more than fits into a millisecond.
    let first = rampart(directory.path())
        .args([
            "scan",
            "127.0.0.0/21",
            "--ports",
            "1",
            "--stages",
            "ports",
            "--deadline",
            "1ms",
            "--output",
            "out",
        ])
        .output()
        .unwrap();
    assert_exit(&first, 3);
    let cut = report(&directory.path().join("out/report.json"));
    assert_eq!(cut["summary"]["complete"], false);
    assert!(cut["summary"]["incomplete_because"].as_str().unwrap().contains("deadline"));

    let resumed =
        rampart(directory.path()).args(["scan", "--resume", "out", "--deadline", "10m"]).output().unwrap();
    assert_exit(&resumed, 0);
    let whole = report(&directory.path().join("out/report.json"));
    assert_eq!(whole["summary"]["complete"], true);
    assert_eq!(whole["summary"]["assets"]["host"], 2046);
}

#[test]
fn sites_that_had_no_turn_are_in_the_account() {
    let _alone = crate::run::alone_with_the_demo();
    let directory = tempfile::tempdir().unwrap();
    let (child, lines) = slow_demo(directory.path(), 60);
    send(Signal::SIGTERM, &child);
    lines.for_each(drop);
    let output = child.wait_with_output().unwrap();
    assert!(matches!(output.status.code(), Some(1 | 3)), "{}", text(&output.stderr));
    let stopped = report(&directory.path().join("out/report.json"));
    assert_balances(&stopped);
    // Every unit that began or was known is either done or said to be cut off.
    let journal = std::fs::read_to_string(directory.path().join("out/journal.jsonl")).unwrap();
    let count = |event: &str| {
        journal.lines().filter(|line| line.contains(&format!("{{\"event\":\"{event}\""))).count()
    };
    assert!(count("partial") > 0 && count("done") > 0, "{journal}");

    let resumed = rampart(directory.path()).args(["scan", "--resume", "out"]).output().unwrap();
    assert_exit(&resumed, 1);
    let whole = report(&directory.path().join("out/report.json"));
    assert_balances(&whole);
    assert_eq!(whole["summary"]["complete"], true);
    let undetermined = whole["summary"]["undetermined"].to_string();
    assert!(!undetermined.contains("before its turn"), "{undetermined}");
}

#[test]
fn a_host_that_answers_nothing_is_no_clean_host() {
    let directory = tempfile::tempdir().unwrap();
    // A listener whose queue is full: further connections get no answer at all.
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let address: std::net::SocketAddr = "127.0.0.5:0".parse().unwrap();
    listener.bind(&address.into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let in_queue: Vec<socket2::Socket> = (0..3)
        .map(|_| {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            // It is under way, and that is all it has to be.
            let _ = socket.connect(&address.into());
            socket
        })
        .collect();
    let scan = |target: &str| {
        rampart(directory.path())
            .args([
                "scan",
                target,
                "--ports",
                &address.port().to_string(),
                "--stages",
                "ports",
                "--format",
                "json",
            ])
            .output()
            .unwrap()
    };
    let output = scan("127.0.0.5");
    assert_exit(&output, 3);
    assert!(text(&output.stderr).contains("no port answered"), "{}", text(&output.stderr));
    // In a network silence is usual.
    assert_exit(&scan("127.0.0.4/30"), 0);
    drop(in_queue);
}
