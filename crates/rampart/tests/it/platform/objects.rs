//! Evidence and reports in object storage, as an operator sets it up and looks for them.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::fs::PermissionsExt,
    process::Stdio,
};

use nix::sys::signal::Signal;
use testkit::{
    http::{HttpServer, Seen},
    objects::{Access, Server},
};

use super::{Up, json, run};
use crate::run::{assert_exit, findings, rampart, send, text};

const CONFIGURATION: &str = "[core]\n\trepositoryformatversion = 0\n\tbare = false\n";

fn careless(seen: &Seen) -> Vec<u8> {
    let (status, body) = match seen.target().as_str() {
        "/.git/config" => ("200 OK", CONFIGURATION),
        _ => ("404 Not Found", "nothing here"),
    };
    format!("HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

#[test]
fn evidence_and_reports_go_to_object_storage_and_are_found_there() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let site = runtime.block_on(HttpServer::start(careless));
    let target = format!("http://{}/", site.address());
    let storage = Server::start(Access::Signed);
    let directory = tempfile::tempdir().unwrap();
    let configuration = format!("objects = \"{}\"\n", storage.url());
    fs::write(directory.path().join("rampart.toml"), configuration).unwrap();
    let ask = |words: &[&str]| run(directory.path(), words);

    let up = Up::start(directory.path(), &[]);
    assert!(up.said.contains("reports       s3://rampart/some/prefix/reports\n"), "{}", up.said);
    let submit = ["scan", "submit", &target, "--stages", "check", "--only", "git-config", "--json"];
    let submitted = ask(&[&submit[..], &["--wait"]].concat());
    assert_exit(&submitted, 1);
    let scan = json(&submitted)["id"].as_str().unwrap().to_owned();

    let report = ask(&["scan", "report", &scan, "--format", "json"]);
    assert_exit(&report, 0);
    let report = json(&report);
    assert_eq!(findings(&report), [format!("git-config {target}.git/config")]);
    let evidence = report["findings"][0]["evidence"][0]["response"].as_str().unwrap();
    assert!(evidence.ends_with(CONFIGURATION), "{evidence}");
    let kept = |what: &str| {
        let tenants = fs::read_dir(storage.objects().join(what)).unwrap();
        tenants.map(|tenant| fs::read_dir(tenant.unwrap().path()).unwrap().count()).sum::<usize>()
    };
    assert_eq!((kept("evidence"), kept("reports")), (1, 1));
    assert!(!directory.path().join("rampart-data/reports").exists());
    assert!(!directory.path().join("rampart-data/evidence").exists());
    let database = fs::read(directory.path().join("rampart-data/rampart.db")).unwrap();
    let log = fs::read(directory.path().join("rampart-data/rampart.db-wal")).unwrap_or_default();
    let holds =
        |bytes: &[u8]| bytes.windows(23).any(|window| window == b"repositoryformatversion".as_slice());
    assert!(!holds(&database) && !holds(&log), "evidence is in the database");

    let shown = text(&ask(&["scan", "show", &scan]).stdout);
    assert!(shown.contains("reports       s3://rampart/some/prefix/reports/"), "{shown}");
    assert_exit(&ask(&["scan", "report", &scan, "--output", "report.html"]), 0);
    let mode = fs::metadata(directory.path().join("report.html")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "findings are nobody else's");
    assert!(fs::read_to_string(directory.path().join("report.html")).unwrap().contains("git-config"));
    let refused = ask(&["scan", "report", &scan, "--format", "csv"]);
    assert_exit(&refused, 2);
    assert!(text(&refused.stderr).contains("kept as html and json, not as csv"), "{}", text(&refused.stderr));
    assert_exit(&ask(&["scan", "report", "0123456789abcdef"]), 2);
    let healthy = ask(&["doctor"]);
    assert!(text(&healthy.stdout).contains("written, read and deleted"), "{}", text(&healthy.stdout));

    // Away, and back: no result waits for it, and the report is written when it is there again.
    storage.stop();
    let second = ask(&submit);
    assert_exit(&second, 0);
    let second = json(&second)["scan"].as_str().unwrap().to_owned();
    let broken = ask(&["doctor"]);
    assert_exit(&broken, 1);
    let said = text(&broken.stdout);
    assert!(said.contains("object storage") && said.contains("check --objects"), "{said}");
    let nothing = ask(&["scan", "report", &scan]);
    assert_exit(&nothing, 2);
    assert!(text(&nothing.stderr).contains("the object storage cannot be used"), "{}", text(&nothing.stderr));
    super::wait_for_state(directory.path(), &second, "ended");
    let diff = ask(&["scan", "diff", &second]);
    assert_eq!(text(&diff.stdout), format!("nothing changed since scan {scan}\n"));
    storage.start_again();
    assert_exit(&ask(&["task", "redrive", "--stage", "report"]), 0);
    super::wait_for_end(directory.path(), &second);
    let report = json(&ask(&["scan", "report", &second, "--format", "json"]));
    let evidence = report["findings"][0]["evidence"][0]["response"].as_str().unwrap();
    assert!(evidence.ends_with(CONFIGURATION), "{evidence}");
    let said = up.end();
    for secret in ["s3cret", "AKIDTEST"] {
        for told in [&said, &shown, &text(&broken.stdout), &text(&nothing.stderr), &text(&healthy.stdout)] {
            assert!(!told.contains(secret), "{told}");
        }
    }
}

#[test]
fn only_those_who_keep_evidence_need_the_object_storage() {
    let directory = tempfile::tempdir().unwrap();
    Up::start(directory.path(), &[]).end();
    let ask = |words: &[&str]| {
        let mut command = rampart(directory.path());
        for name in
            ["AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]
        {
            command.env_remove(name);
        }
        command.env_remove("AWS_CONTAINER_CREDENTIALS_FULL_URI");
        command.args(words).args(["--objects", "s3://bucket"]).output().unwrap()
    };
    assert_exit(&ask(&["stop", "--reason", "a test"]), 0);
    assert_exit(&ask(&["scan", "list"]), 0);
    for words in [&["worker"][..], &["orchestrator"], &["up", "--listen", "127.0.0.1:0"]] {
        let refused = ask(words);
        assert_exit(&refused, 2);
        let said = text(&refused.stderr);
        assert!(said.contains("there are no credentials for s3://bucket"), "{words:?}: {said}");
        assert!(said.contains("AWS_ACCESS_KEY_ID") && said.contains("credentials=instance"), "{said}");
    }
    let doctor = ask(&["doctor"]);
    assert_exit(&doctor, 1);
    assert!(text(&doctor.stdout).contains("there are no credentials"), "{}", text(&doctor.stdout));
}

#[test]
fn a_directory_for_objects_is_made_by_who_writes_there_and_missed_by_everybody_else() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path().join("objects");
    let url = format!("file:{}", at.display());
    let first = Up::start(directory.path(), &["--objects", &url]);
    let made = format!("the directory for objects is made directory={}\n", at.display());
    assert!(first.said.contains(&made) && at.is_dir(), "{}", first.said);
    first.end();
    let second = Up::start(directory.path(), &["--objects", &url]);
    assert!(!second.said.contains("is made"), "{}", second.said);
    second.end();
    let mistyped = directory.path().join("objetcs");
    let url = format!("file:{}", mistyped.display());
    for (words, code) in
        [(&["orchestrator"][..], 2), (&["scan", "report", "0123456789abcdef"], 2), (&["doctor"], 1)]
    {
        let refused = run(directory.path(), &[words, &["--objects", &url]].concat());
        assert_exit(&refused, code);
        let said = text(&refused.stdout) + &text(&refused.stderr);
        assert!(
            words[0] == "scan" || said.contains("there is none; `rampart up` and workers make it"),
            "{said}"
        );
        assert!(!mistyped.exists(), "{words:?}");
    }
}

#[test]
fn who_is_started_before_the_directory_is_there_waits_for_it_until_told_to_end() {
    let directory = tempfile::tempdir().unwrap();
    Up::start(directory.path(), &[]).end();
    let at = directory.path().join("objects");
    let url = format!("file:{}", at.display());
    for is_made in [false, true] {
        let mut role = rampart(directory.path())
            .args(["orchestrator", "--database-wait", "10m", "--metrics", "127.0.0.1:0", "--objects", &url])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(role.stderr.take().unwrap());
        let mut line = String::new();
        log.read_line(&mut line).unwrap();
        assert!(line.contains("waiting for a directory: ") && line.contains("there is none"), "{line}");
        let (code, expected) = match is_made {
            true => {
                fs::create_dir(&at).unwrap();
                log.read_line(&mut line).unwrap();
                assert!(line.contains("the metrics are at"), "{line}");
                (0, "")
            }
            false => (2, "told to end while it waited"),
        };
        send(Signal::SIGTERM, &role);
        let mut rest = String::new();
        log.read_to_string(&mut rest).unwrap();
        assert_eq!(role.wait().unwrap().code(), Some(code), "{rest}");
        assert!(rest.contains(expected), "{rest}");
    }
}

#[test]
fn without_object_storage_a_report_is_brought_from_the_data_directory_or_said_to_be_elsewhere() {
    let directory = tempfile::tempdir().unwrap();
    let up = Up::start(directory.path(), &[]);
    let submit = ["scan", "submit", "127.0.0.1:9", "--stages", "ports", "--wait", "--json"];
    let scan = json(&run(directory.path(), &submit))["id"].as_str().unwrap().to_owned();
    up.end();
    let report = json(&run(directory.path(), &["scan", "report", &scan, "--format", "json"]));
    assert_eq!(report["summary"]["scan"], *scan);
    let database = format!("sqlite:{}", directory.path().join("rampart-data/rampart.db").display());
    let elsewhere = ["scan", "report", &scan, "--database", &database, "--data", "elsewhere"];
    let output = run(directory.path(), &elsewhere);
    assert_exit(&output, 2);
    assert!(text(&output.stderr).contains("which is not `elsewhere` here"), "{}", text(&output.stderr));
    assert!(!directory.path().join("elsewhere").exists(), "asking makes nothing");
}
