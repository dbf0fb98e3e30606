//! A target that puts code, formulas, escape sequences, forged lines and template marks wherever it can, against the whole
//! command: nothing of it acts in any report, on the terminal or in the journal, and nothing of it is evaluated or sent back
//! evaluated.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, which Clippy does not see")]

use std::{collections::BTreeSet, net::SocketAddr, path::Path, process::Output};

use serde_json::Value;
use testkit::{
    dns::NameServer,
    http::{HttpServer, Seen, response},
    tcp::TcpServer,
    tls::{Wanted, acceptor, certify},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::run::{assert_balances, assert_exit, rampart, report, text};

/// What would act if it came out of a page as it went in.
const MARKUP: &str = "</title></textarea></script><script>alert(1)</script>\"><img src=x onerror=alert(2)><svg/onload=alert(3)>";
/// What would act in a terminal: clear it, set its title, turn the text round.
const CONTROLS: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}txt.exe\u{2066}\u{feff}\u{8}";
/// What would act in a spreadsheet, at the beginning of a cell or of a line in it.
const FORMULA: &str = "=cmd|'/C calc'!A0";
/// What would look like a line of ours, wherever lines are printed.
const FORGED: &str = "\r\nFORGED critical\t127.0.0.1\r\n\u{85}FORGED\u{2028}FORGED\r";
/// What would be worth something to whoever evaluates it.
const MARKS: &str = "{{7*7}}{{md5(\"planted\")}}{{Hostname}}\u{a7}Hostname\u{a7}${7*7}";
/// And that is what: the digest of `planted`.
const EVALUATED: &str = "08297c071792bd9856adcc8299be428e";

fn everything() -> String {
    format!("{FORMULA} {MARKUP} {CONTROLS} {MARKS} {FORGED}{FORMULA}\r\n")
}

/// For where line breaks would end the thing itself.
fn one_line() -> String {
    format!("{FORMULA} {MARKUP} {CONTROLS} {MARKS}")
}

fn site(seen: &Seen) -> Vec<u8> {
    let target = seen.target();
    let (path, line) = (target.split('?').next().unwrap_or_default().to_owned(), one_line());
    let server = format!("Server: Apache/2.4.{MARKUP}");
    let powered = format!("X-Powered-By: {FORMULA}");
    // Controls other than tabs make a header invalid; some parsers take them all the same.
    let odd = format!("X-Odd: {CONTROLS}");
    let cookie = format!("Set-Cookie: sid={FORMULA}; Path=/\"><img src=x onerror=alert(2)>");
    let kind = format!("Content-Type: text/html; charset=utf-8; x={FORMULA}");
    let headers = [&server, &powered, &odd, &cookie, &kind].map(String::as_str);
    match path.as_str() {
        "/" => {
            let paths = format!(
                "<a href=\"/{FORMULA}\">a</a><a href='/%1b[2J%0d%0aFORGED'>b</a><a href=\"/a\u{202e}b\">c</a><a href='/<script>alert(1)</script>'>d</a>\
                 <form action='/{{{{7*7}}}}'><input name=\"<script>alert(1)</script>\" type='{FORMULA}'></form><script>fetch('/api/{{{{7*7}}}}')</script>"
            );
            let body = format!(
                "<meta name=generator content='WordPress 6.1{line}'><title>{}</title>{paths}<p>{}",
                one_line(),
                everything()
            );
            response("200 OK", &headers, body)
        }
        "/.git/config" => {
            let body = format!(
                "[core]\n\trepositoryformatversion = 0\n\tbare = false\n[remote \"origin\"]\n\turl = {}\n",
                everything()
            );
            response("200 OK", &["Content-Type: text/plain"], body)
        }
        "/moved" => response(
            "302 Found",
            &[&format!("Location: /landed?{MARKS}<script>alert(1)</script>")],
            everything(),
        ),
        "/token" => response("200 OK", &headers, format!("token=[{MARKS}] {}", everything())),
        _ => response("404 Not Found", &headers, format!("<title>{line}</title>{target} {}", everything())),
    }
}

/// Checks that take everything they are given, and send it on.
const CHECKS: [(&str, &str); 5] = [
    (
        "hostile-page",
        "http:\n  - path: ['{{BaseURL}}/', '{{BaseURL}}/moved']\n    redirects: true\n    matchers: [{type: status, status: [200, 302, 404]}]\n    extractors:\n      - {type: regex, name: body, part: body, regex: ['(?s).+']}\n      - {type: regex, name: head, part: header, regex: ['(?s).+']}\n      - {type: kval, kval: [server, x_powered_by, set_cookie]}\n",
    ),
    (
        "hostile-token",
        "http:\n  - raw:\n      - |\n        GET /token HTTP/1.1\n        Host: {{Hostname}}\n      - |\n        GET /echo?{{token}} HTTP/1.1\n        Host: {{Hostname}}\n        X-Token: {{token}}\n    matchers: [{type: dsl, dsl: ['contains(body_1, \"token\") && len(token) > 3']}]\n    extractors:\n      - {type: regex, name: token, internal: true, group: 1, regex: ['token=\\[([^\\]]+)\\]']}\n      - {type: dsl, dsl: ['token', 'base64(token)']}\n",
    ),
    (
        "hostile-banner",
        "tcp:\n  - host: ['{{Hostname}}']\n    inputs: [{data: \"HELP\\r\\n\"}]\n    read-size: 4096\n    matchers: [{type: word, words: [calc]}]\n    extractors: [{type: regex, name: banner, regex: ['(?s).+']}]\n",
    ),
    (
        "hostile-certificate",
        "ssl:\n  - address: '{{Host}}:{{Port}}'\n    matchers: [{type: dsl, dsl: ['len(subject_cn) > 0']}]\n    extractors:\n      - {type: json, json: ['.subject_cn', '.subject_dn', '.subject_an[]', '.issuer_dn']}\n",
    ),
    (
        "hostile-records",
        "dns:\n  - name: '{{FQDN}}'\n    type: TXT\n    matchers: [{type: word, words: [calc]}]\n    extractors: [{type: regex, name: text, regex: ['.+']}]\n",
    ),
];

struct Target {
    web: HttpServer,
    secure: HttpServer,
    _banners: Vec<TcpServer>,
    names: NameServer,
    /// As given on the command line.
    all: Vec<String>,
}

async fn banner(greeting: String) -> TcpServer {
    TcpServer::start(move |mut stream, _| {
        let greeting = greeting.clone();
        async move {
            stream.write_all(greeting.as_bytes()).await?;
            let mut asked = [0; 4_096];
            while stream.read(&mut asked).await? > 0 {
                stream.write_all(format!("500 {greeting}").as_bytes()).await?;
            }
            Ok(())
        }
    })
    .await
}

async fn target() -> Target {
    let web = HttpServer::start(site).await;
    let wanted = Wanted {
        common_name: &one_line(),
        names: &["<script>alert(1)</script>.inject.test", "127.0.0.1"],
        ..Wanted::default()
    };
    let secure = HttpServer::start_tls(acceptor(certify(&wanted)), site).await;
    let zone = format!(
        "inject.test  SOA\n@  A  127.0.0.1\n@  TXT  \"{FORMULA} <script>alert(1)</script> {{{{7*7}}}} \\027[2J\"\n@  MX  10 mail.inject.test.\n"
    );
    let names = NameServer::start(&zone).await;
    let greetings = [
        format!("220 {} ESMTP Postfix\r\n", one_line()),
        format!("SSH-2.0-OpenSSH_9.2p1 {}\r\n", one_line()),
        format!("220 (vsFTPd 3.0.3{MARKUP})\r\n"),
        everything(),
    ];
    let mut banners = Vec::new();
    for greeting in greetings {
        banners.push(banner(greeting).await);
    }
    let url = |scheme: &str, host: &str, at: SocketAddr| format!("{scheme}://{host}:{}/", at.port());
    let mut all = vec![
        url("http", "127.0.0.1", web.address()),
        url("http", "inject.test", web.address()),
        secure.address().to_string(),
    ];
    all.extend(banners.iter().map(|banner| banner.address().to_string()));
    Target { web, secure, _banners: banners, names, all }
}

impl Target {
    fn scan(&self, directory: &Path, arguments: &[&str]) -> Output {
        let resolver = self.names.address().to_string();
        let mut command = rampart(directory);
        command.args([
            "scan",
            "--color",
            "always",
            "--profile",
            "quick",
            "--robots",
            "ignore",
            "--resolver",
            &resolver,
        ]);
        command.args(arguments).args(["--"]).args(&self.all).output().unwrap()
    }

    fn requests(&self) -> Vec<String> {
        let seen = self.web.seen().into_iter().chain(self.secure.seen());
        seen.map(|seen| seen.text()).collect()
    }
}

/// Characters that do something: controls but line breaks and tabs, what reorders text, what cannot be seen.
fn acting(text: &str) -> BTreeSet<char> {
    text.chars()
        .filter(|character| report::visible::acts(*character) && !matches!(character, '\n' | '\t'))
        .collect()
}

/// What a terminal gets: our own colours, whole lines of ours, and nothing else that acts.
#[track_caller]
fn is_safe_on_a_terminal(text: &str) {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        let end = after.find(|c: char| !(c.is_ascii_digit() || c == ';')).unwrap_or(after.len());
        assert!(
            after[end..].starts_with('m'),
            "not a colour: {:?}",
            after.chars().take(40).collect::<String>()
        );
        rest = &after[end + 1..];
    }
    plain.push_str(rest);
    assert_eq!(acting(&plain), BTreeSet::new(), "{plain:?}");
    no_line_is_forged(&plain);
}

#[track_caller]
fn no_line_is_forged(text: &str) {
    let forged: Vec<&str> =
        text.split(['\n', '\r', '\u{85}', '\u{2028}']).filter(|line| line.starts_with("FORGED")).collect();
    assert_eq!(forged, Vec::<&str>::new());
}

/// Rows of cells (RFC 4180).
fn cells(csv: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut characters = csv.trim_start_matches('\u{feff}').chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            other => cell.push(other),
        }
    }
    assert!(!quoted && cell.is_empty() && row.is_empty(), "the file ends within a row");
    rows
}

/// Every file of the scan, and both streams.
fn nothing_acts(output: &Output, directory: &Path) {
    is_safe_on_a_terminal(&text(&output.stdout));
    is_safe_on_a_terminal(&text(&output.stderr));
    let mut files = BTreeSet::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let content = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let raw: BTreeSet<u8> =
            content.bytes().filter(|byte| byte.is_ascii_control() && !b"\n\t\r".contains(byte)).collect();
        assert_eq!(raw, BTreeSet::new(), "{name}");
        assert!(!content.contains(EVALUATED), "{name}: a mark of the target was evaluated");
        match path.extension().and_then(|extension| extension.to_str()).unwrap_or_default() {
            "html" => {
                assert_eq!(acting(&content), BTreeSet::new());
                for piece in
                    ["<script>alert", "<img", "<svg/onload", "</textarea", "onerror=alert(2)>", "<iframe"]
                {
                    assert!(!content.contains(piece), "{name}: {piece}");
                }
                let scripts = content.matches("<script").count();
                assert_eq!(
                    scripts,
                    content.matches("</script").count(),
                    "{name}: a script's end was brought forward"
                );
                assert!(scripts <= 2, "{name}: {scripts} scripts");
            }
            "csv" => {
                let rows = cells(&content);
                assert!(
                    rows.len() > 3 && rows.iter().all(|row| row.len() == rows[0].len()),
                    "{name}: rows of unequal length"
                );
                for cell in rows.iter().flatten().flat_map(|cell| cell.split(['\n', '\r', '\t', ';'])) {
                    assert!(
                        !cell.trim_start().trim_start_matches('"').starts_with(['=', '+', '-', '@']),
                        "{name}: {cell:?}"
                    );
                }
            }
            "json" | "sarif" => {
                serde_json::from_str::<Value>(&content).unwrap_or_else(|error| panic!("{name}: {error}"));
                no_line_is_forged(&content);
            }
            "jsonl" => {
                for line in content.lines() {
                    serde_json::from_str::<Value>(line)
                        .unwrap_or_else(|error| panic!("{name}: {error}: {line}"));
                }
            }
            "md" => {
                assert_eq!(acting(&content), BTreeSet::new());
            }
            _ => {}
        }
        files.insert(name);
    }
    for name in [
        "findings.csv",
        "findings.jsonl",
        "journal.jsonl",
        "report.html",
        "report.json",
        "report.md",
        "report.sarif",
    ] {
        assert!(files.contains(name), "{name} is not among {files:?}");
    }
}

const FORMATS: [&str; 4] = ["--format", "html,json,jsonl,sarif,csv,markdown", "--output", "out"];

#[tokio::test(flavor = "multi_thread")]
async fn checks_that_take_everything_make_reports_in_which_nothing_acts() {
    let target = target().await;
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("hostile")).unwrap();
    for (id, blocks) in CHECKS {
        let whole = format!(
            "id: {id}\ninfo:\n  name: What a hostile target says\n  author: tests\n  severity: high\n{blocks}"
        );
        std::fs::write(directory.path().join(format!("hostile/{id}.yaml")), whole).unwrap();
    }
    let output = target.scan(directory.path(), &[&FORMATS[..], &["--checks", "hostile"]].concat());
    assert_exit(&output, 1);
    nothing_acts(&output, &directory.path().join("out"));

    let whole = report(&directory.path().join("out/report.json"));
    assert_balances(&whole);
    let found: BTreeSet<&str> = whole["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["check"].as_str().unwrap())
        .collect();
    assert_eq!(found, CHECKS.map(|(id, _)| id).into_iter().collect(), "{}", text(&output.stderr));
    // The payloads did arrive: as text.
    let as_text = whole.to_string();
    for piece in ["<script>alert(1)</script>", "=cmd|", "{{7*7}}", "FORGED"] {
        assert!(as_text.contains(piece), "{piece}");
    }
    assert!(text(&output.stdout).contains("[2J"), "{}", text(&output.stdout));

    let requests = target.requests();
    let echoes: Vec<&String> = requests.iter().filter(|request| request.starts_with("GET /echo?")).collect();
    assert!(!echoes.is_empty());
    for request in echoes {
        let line = request.lines().next().unwrap();
        assert!(line.contains("7*7") && line.contains("md5("), "sent back as it came: {request}");
    }
    none_is_evaluated(&requests);
}

/// Nothing that only evaluation could have made is sent.
fn none_is_evaluated(requests: &[String]) {
    for request in requests {
        let hosts = request.lines().filter(|line| line.to_ascii_lowercase().starts_with("host:")).count();
        assert_eq!(hosts, 1, "no header was smuggled in: {request}");
        assert!(
            !request.contains(EVALUATED) && !request.contains("{49}") && !request.contains("/49"),
            "{request}"
        );
        assert!(!request.contains("FORGED\t") && !request.contains("\nFORGED"), "{request}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_built_in_checks_make_reports_in_which_nothing_acts() {
    let target = target().await;
    let directory = tempfile::tempdir().unwrap();
    let output = target.scan(directory.path(), &FORMATS);
    assert_exit(&output, 1);
    nothing_acts(&output, &directory.path().join("out"));
    let whole = report(&directory.path().join("out/report.json"));
    assert_balances(&whole);
    let of_kind =
        |kind: &str| whole["assets"].as_array().unwrap().iter().filter(|asset| asset["kind"] == kind).count();
    assert!(
        of_kind("page") > 2 && of_kind("service") >= 4,
        "{} pages, {} services",
        of_kind("page"),
        of_kind("service")
    );
    none_is_evaluated(&target.requests());
}

/// The streams of a scan whose findings go to another program.
#[tokio::test(flavor = "multi_thread")]
async fn piped_findings_are_one_line_each() {
    let target = target().await;
    let directory = tempfile::tempdir().unwrap();
    let template =
        format!("id: {}\ninfo: {{name: N, author: t, severity: high}}\n{}", CHECKS[0].0, CHECKS[0].1);
    std::fs::write(directory.path().join("page.yaml"), template).unwrap();
    let scan = |arguments: &[&str]| {
        let mut command = rampart(directory.path());
        command
            .args(["scan", "--checks", "page.yaml", "--stages", "check"])
            .args(arguments)
            .arg(&target.all[0])
            .output()
            .unwrap()
    };
    let columns = scan(&[]);
    assert_exit(&columns, 1);
    let lines = text(&columns.stdout);
    assert_eq!(acting(&lines), BTreeSet::new());
    assert!(lines.lines().all(|line| line.split('\t').count() == 5 && line.starts_with("high\t")), "{lines}");
    let json = scan(&["--format", "jsonl"]);
    assert_exit(&json, 1);
    let lines = text(&json.stdout);
    assert_eq!(acting(&lines), BTreeSet::new());
    for line in lines.lines() {
        let finding: Value = serde_json::from_str(line).unwrap();
        assert_eq!(finding["check"], "hostile-page", "{line}");
    }
}
