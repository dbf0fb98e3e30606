//! Bad input gets an error that names the value and the way out; nothing is scanned.

use crate::run::{assert_exit, rampart, text};

/// Arguments, and what the error must say.
const BAD_INPUT: &[(&[&str], &[&str])] = &[
    (&["scan"], &["TARGET"]),
    (&["scan", "192.0.2.1"], &["192.0.2.1", "not in scope", "--scope"]),
    (&["scan", "http://169.254.169.254/"], &["169.254.169.254", "never scanned"]),
    (&["scan", "10.0.0.0/33"], &["10.0.0.0/33", "192.0.2.0/24"]),
    (&["scan", "10.0.0.0/8"], &["10.0.0.0", "not in scope"]),
    (&["scan", "127.0.0.1:70000"], &["127.0.0.1:70000", "65535"]),
    (&["scan", "ftp://127.0.0.1/"], &["ftp", "http and https"]),
    (&["scan", "two words"], &["two words"]),
    (&["scan", "127.0.0.1", "--ports", "70000"], &["70000", "65535"]),
    (&["scan", "127.0.0.1", "--ports", "90-80"], &["90-80", "backwards"]),
    (&["scan", "127.0.0.1", "--ports", "top-0"], &["top-0", "top-1"]),
    (&["scan", "127.0.0.1", "--stages", "guess"], &["guess", "discover, ports, crawl or check"]),
    (&["scan", "127.0.0.1", "--profile", "huge"], &["huge", "quick, standard or deep"]),
    (&["scan", "127.0.0.1", "--fail-on", "bad"], &["bad", "critical"]),
    (&["scan", "127.0.0.1", "--format", "pdf"], &["pdf", "html"]),
    (&["scan", "127.0.0.1", "--format", "html,json"], &["--output"]),
    (&["scan", "127.0.0.1", "--timeout", "soon"], &["soon", "500ms"]),
    (&["scan", "127.0.0.1", "--rate", "0"], &["--rate"]),
    (&["scan", "127.0.0.1", "--var", "novalue"], &["novalue", "NAME=VALUE"]),
    (&["scan", "127.0.0.1", "--only", "no-such-check"], &["no-such-check", "checks list"]),
    (&["scan", "127.0.0.1", "--checks", "missing.yaml"], &["missing.yaml"]),
    (&["scan", "127.0.0.1", "--checks", "empty"], &["empty", ".yaml"]),
    (&["scan", "127.0.0.1", "--checks", "broken.yaml"], &["broken.yaml"]),
    (&["scan", "127.0.0.1", "--scope", "missing.toml"], &["missing.toml"]),
    (&["scan", "127.0.0.1", "--scope", "misspelt.toml"], &["misspelt.toml", "unknown field", "netwroks"]),
    (&["scan", "127.0.0.1", "--resolver", "dns.example"], &["dns.example", "127.0.0.1:5353"]),
    (&["scan", "127.0.0.1", "--resolver", "192.0.2.53"], &["192.0.2.53", "scope file"]),
    (&["scan", "--list", "missing.txt"], &["missing.txt"]),
    (&["scan", "--list", "bad-list.txt"], &["bad-list.txt", "line 3", "192.0.2.9"]),
    (&["scan", "--list", "empty.txt"], &["no target"]),
    (&["scan", "--resume", "nowhere"], &["nowhere"]),
    (&["scan", "127.0.0.1", "--output", "a-file"], &["a-file"]),
    (&["scan", "127.0.0.1", "--words", "missing-words.txt"], &["missing-words.txt"]),
    (&["scan", "127.0.0.1", "--contact", "a\nb"], &["--contact"]),
    (&["checks", "show", "no-such-check"], &["no-such-check", "checks list"]),
    (&["scope", "show", "missing.toml"], &["missing.toml"]),
    (&["simulate", "--requests", "0"], &["requests", "0", "give 1 to"]),
    (&["simulate", "--peak", "1000"], &["20000 requests in 8.0 hours", "2500 or more", "1000"]),
    (&["simulate", "--flood", "many"], &["--flood", "many", "3@4h30m", "none"]),
    (&["simulate", "--flood", "10@9h"], &["flood", "9 h", "8 h", "earlier"]),
    (&["simulate", "--lose-nodes", "3@later"], &["--lose-nodes", "3@later", "3@4h30m"]),
    (&["simulate", "--service-median", "soon"], &["soon", "90s"]),
    (&["simulate", "--service-p95", "10s"], &["10 s", "median, 90 s"]),
    (&["simulate", "--workers", "1001"], &["workers", "1001", "1000"]),
    (&["simulate", "--workers", "1"], &["1 workers", "days", "give more workers"]),
    (&["simulate", "--price-per-worker-hour", "free"], &["free"]),
    (&["simulate", "--requests", "50", "--flood", "none", "--svg", "missing/day.svg"], &["missing/day.svg"]),
    (
        &["schedule", "create", "s", "127.0.0.1", "--every", "6h", "--zone", "Atlantis"],
        &["Atlantis", "Europe/Berlin"],
    ),
    (&["schedule", "create", "s", "127.0.0.1", "--every", "6h", "--overlap", "run"], &["run", "queue"]),
    (
        &["schedule", "create", "s", "127.0.0.1", "--every", "6h", "--during-blackout", "wait"],
        &["wait", "postpone"],
    ),
    (&["task", "purge", "--older-than", "30 days"], &["30 days", "30d", "2w"]),
    (&["task", "purge", "--older-than", "4000d"], &["4000d", "at most 3650d"]),
    (&["task", "list", "--limit", "0"], &["--limit", "from 1 to 100000"]),
    (&["task", "redrive", "--all", "--rate", "0"], &["--rate", "from 1 to 1000000"]),
    (&["task", "exercise", "--count", "99999999999999999999"], &["--count", "from 1 to 10000000"]),
    (&["scan", "submit", "127.0.0.1", "--most-packets", "0"], &["--most-packets", "from 1 to"]),
    (&["scan", "list", "--limit", "18446744073709551615"], &["--limit", "from 1 to 100000"]),
    (&["tenant", "create", "acme", "--weight", "1001"], &["--weight", "from 1 to 1000"]),
    (&["tenant", "create", "acme", "--most-in-flight", "18446744073709551615"], &["from 1 to 1000000"]),
    (&["tenant", "create", ""], &["1 to 100 characters"]),
    (&["up", "--concurrency", "0"], &["--concurrency", "from 1 to 100000"]),
    (&["worker", "--lease", "2h"], &["--lease", "from 1s to 1h"]),
    (&["doctor", "--database-connections", "0"], &["--database-connections", "from 1 to 1000"]),
    (&["frobnicate"], &["frobnicate"]),
];

#[test]
fn bad_input_is_named_with_a_way_out() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| std::fs::write(directory.path().join(name), content).unwrap();
    std::fs::create_dir(directory.path().join("empty")).unwrap();
    write("broken.yaml", "id: [\n");
    write("misspelt.toml", "authorised_by = \"x\"\nnetwroks = []\n");
    write("bad-list.txt", "# targets\n127.0.0.1\n192.0.2.9\n");
    write("empty.txt", "# nothing\n\n");
    write("a-file", "");
    let mut complaints = Vec::new();
    for (arguments, wanted) in BAD_INPUT {
        let output = rampart(directory.path()).args(*arguments).output().unwrap();
        let error = text(&output.stderr);
        if output.status.code() != Some(2) {
            complaints.push(format!("{arguments:?}: exit {:?}, stderr: {error}", output.status.code()));
        }
        for word in *wanted {
            if !error.contains(word) {
                complaints.push(format!("{arguments:?}: no `{word}` in: {error}"));
            }
        }
        if !output.stdout.is_empty() {
            complaints.push(format!("{arguments:?}: printed {}", text(&output.stdout)));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn a_closed_port_is_no_error_and_an_unknown_host_is_undetermined() {
    let directory = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let output =
        rampart(directory.path()).args(["scan", &closed.to_string(), "--format", "jsonl"]).output().unwrap();
    assert_exit(&output, 3);
    assert!(text(&output.stderr).contains("refused"), "{}", text(&output.stderr));
    assert!(output.stdout.is_empty());

    let output =
        rampart(directory.path()).args(["scan", "no-such-host.test", "--format", "jsonl"]).output().unwrap();
    assert_exit(&output, 3);
    assert!(text(&output.stderr).contains("no-such-host.test"), "{}", text(&output.stderr));
}

#[test]
fn help_completions_and_manual_come_out() {
    let directory = tempfile::tempdir().unwrap();
    for (arguments, wanted) in [
        (&["--help"][..], "scan --demo"),
        (&["scan", "--help"], "Exit status:"),
        (&["--version"], "rampart "),
        (&["completions", "bash"], "complete"),
        (&["completions", "zsh"], "#compdef rampart"),
        (&["man"], ".TH rampart"),
        (&["scope", "template"], "authorised_by"),
        (&["checks", "list"], "git-config"),
        (&["checks", "show", "git-config"], "id: git-config"),
    ] {
        let output = rampart(directory.path()).args(arguments).output().unwrap();
        assert_exit(&output, 0);
        assert!(text(&output.stdout).contains(wanted), "{arguments:?}: {}", text(&output.stdout));
    }
    let output = rampart(directory.path()).args(["man", "--output", "pages"]).output().unwrap();
    assert_exit(&output, 0);
    assert!(directory.path().join("pages/rampart-scan.1").is_file());
}

#[test]
fn every_built_in_check_passes_its_examples() {
    let directory = tempfile::tempdir().unwrap();
    for command in ["lint", "test"] {
        let output = rampart(directory.path()).args(["checks", command]).output().unwrap();
        assert_exit(&output, 0);
        assert!(text(&output.stdout).contains(" templates"), "{}", text(&output.stdout));
    }
}

#[test]
fn a_scope_file_answers_for_targets() {
    let directory = tempfile::tempdir().unwrap();
    let scope =
        "authorised_by = \"J. Doe, SEC-1\"\nnames = [\"*.example.com\"]\nnetworks = [\"192.0.2.0/24\"]\n";
    std::fs::write(directory.path().join("scope.toml"), scope).unwrap();
    let ask = |target: &str| {
        rampart(directory.path()).args(["scope", "show", "scope.toml", target]).output().unwrap()
    };
    let inside = ask("www.example.com");
    assert_exit(&inside, 0);
    assert!(text(&inside.stdout).contains("www.example.com: in scope"));
    let outside = ask("example.org");
    assert_exit(&outside, 1);
    assert!(text(&outside.stdout).contains("example.org: refused"));
}
