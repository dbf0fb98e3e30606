//! Variables: where they come from, which wins, when they are evaluated.

use checks::exchange::Request;
use model::{Outcome, SkipReason};

use crate::server::{Seen, given, http, ok, run, run_with, template, web};

fn echo(seen: &Seen<'_>) -> checks::exchange::HttpResponse {
    let mut text = seen.target.clone();
    for (name, value) in &seen.headers {
        text.push_str(&format!("\n{name}={value}"));
    }
    ok(&text)
}

#[test]
fn the_command_line_beats_variables_and_constants_beat_both() {
    let variables = template(
        "variables:\n  a1: one\n  a2: \"{{base64(Host)}}\"\nhttp:\n  - raw:\n      - |\n        GET / HTTP/1.1\n        Host: {{Hostname}}\n        Test: {{a1}}\n        Another: {{a2}}\n        Email: {{user}}\n    payloads:\n      user: [\"jon.doe@{{FQDN}}\"]\n    matchers-condition: and\n    matchers:\n      - {type: word, words: ['test=one', 'another={{a2}}', 'email=jon.doe@site.test'], condition: and}\n",
    );
    let site = web("http://site.test/");
    let ran = run(&variables, &site, http(echo));
    assert_eq!(ran.verdict.outcome, Outcome::Matched, "{:?}", ran.verdict);
    let overruled = run_with(&variables, &site, &given(&[("a1", "failed")]), http(echo));
    assert_eq!(overruled.verdict.outcome, Outcome::NotMatched);

    let constant = template(
        "constants: {test: fromtemplate}\nhttp:\n  - path: ['{{BaseURL}}/?p={{test}}']\n    threads: 5\n    matchers:\n      - {type: word, words: ['p=fromtemplate']}\n",
    );
    let ran = run_with(&constant, &site, &given(&[("test", "fromcli")]), http(echo));
    assert_eq!(ran.verdict.outcome, Outcome::Matched);
}

#[test]
fn random_values_are_the_same_in_all_requests_of_a_run() {
    let template = template(
        "variables:\n  v: \"{{to_lower(rand_base(5))}}\"\nhttp:\n  - path: ['{{BaseURL}}/{{v}}?{{randstr}}&{{randstr_1}}', '{{BaseURL}}/{{v}}?{{randstr}}&{{randstr_1}}']\n    matchers:\n      - {type: status, status: [500]}\n",
    );
    let ran = run(&template, &web("http://site.test/"), http(echo));
    let targets = ran.targets();
    assert_eq!(targets[0], targets[1]);
    let (_, texts) = targets[0].split_once('?').unwrap();
    let (first, second) = texts.split_once('&').unwrap();
    assert!(first.len() >= 25 && first.chars().all(|c| c.is_ascii_alphanumeric()), "{first}");
    assert_ne!(first, second);
}

#[test]
fn a_variable_may_wait_for_an_extracted_value() {
    let template = template(
        "variables:\n  path: \"/found/{{to_lower(key)}}\"\nhttp:\n  - raw:\n      - |\n        GET / HTTP/1.1\n        Host: {{Hostname}}\n      - |\n        GET {{path}} HTTP/1.1\n        Host: {{Hostname}}\n    extractors:\n      - {type: regex, name: key, internal: true, regex: ['KEY[0-9]']}\n    matchers:\n      - {type: word, words: [/found/key7]}\n",
    );
    let ran = run(
        &template,
        &web("http://site.test/"),
        http(|seen| if seen.target == "/" { ok("KEY7") } else { echo(seen) }),
    );
    assert_eq!(ran.targets(), ["/", "/found/key7"]);
    assert_eq!(ran.verdict.outcome, Outcome::Matched);
}

#[test]
fn what_only_the_user_can_give_is_asked_for() {
    let template = template(
        "http:\n  - path: ['{{BaseURL}}/{{tenant}}']\n    matchers:\n      - {type: status, status: [200]}\n",
    );
    let site = web("http://site.test/");
    let ran = run(&template, &site, http(echo));
    assert_eq!((ran.sent.len(), ran.verdict.outcome), (0, Outcome::Skipped(SkipReason::Precondition)));
    assert!(ran.verdict.failure.as_deref().unwrap().contains("--var tenant=VALUE"));
    let ran = run_with(&template, &site, &given(&[("tenant", "acme")]), http(echo));
    assert_eq!(ran.verdict.outcome, Outcome::Matched);
}

#[test]
fn targets_give_their_pieces() {
    let pieces = "{{Host}} {{Port}} {{Hostname}} {{Path}} {{File}} {{Scheme}} {{FQDN}} {{RDN}} {{DN}} {{TLD}} {{SD}} {{RootURL}}";
    let template = template(&format!(
        "http:\n  - path: ['{{{{BaseURL}}}}']\n    headers: {{X-Pieces: '{pieces}'}}\n    matchers:\n      - {{type: status, status: [200]}}\n"
    ));
    for (target, wanted) in [
        (
            "https://a.b.example.co.uk:8443/foo/bar.php",
            "a.b.example.co.uk 8443 a.b.example.co.uk:8443 /foo bar.php https a.b.example.co.uk example.co.uk example co.uk a.b https://a.b.example.co.uk:8443",
        ),
        (
            "http://www.example.com/",
            "www.example.com 80 www.example.com   http www.example.com example.com example com www http://www.example.com",
        ),
    ] {
        let mut sent = String::new();
        run(
            &template,
            &web(target),
            http(|seen| {
                seen.header("x-pieces").clone_into(&mut sent);
                ok("")
            }),
        );
        assert_eq!(sent, wanted);
    }
}

#[test]
fn payloads_combine_as_the_attack_says() {
    let sent = |attack: &str, path: &str| {
        let template = template(&format!(
            "http:\n  - path: ['{{{{BaseURL}}}}/{path}']\n    attack: {attack}\n    payloads:\n      a: ['1', '2']\n      b: [x, y, z]\n    matchers:\n      - {{type: status, status: [404]}}\n"
        ));
        run(&template, &web("http://site.test/"), http(echo)).targets()
    };
    assert_eq!(sent("pitchfork", "{{a}}{{b}}"), ["/1x", "/2y"]);
    assert_eq!(sent("clusterbomb", "{{a}}{{b}}"), ["/1x", "/1y", "/1z", "/2x", "/2y", "/2z"]);
    assert_eq!(sent("batteringram", "§a§"), ["/1", "/2"]);
}

#[test]
fn requests_marked_once_are_not_repeated() {
    let template = template(
        "http:\n  - raw:\n      - |\n        @once\n        GET /login HTTP/1.1\n        Host: {{Hostname}}\n      - |\n        GET /{{word}} HTTP/1.1\n        Host: {{Hostname}}\n    payloads:\n      word: [a, b, c]\n    matchers:\n      - {type: status, status: [404]}\n",
    );
    let ran = run(&template, &web("http://site.test/"), http(echo));
    assert_eq!(ran.targets(), ["/login", "/a", "/b", "/c"]);
    assert!(ran.sent.iter().all(|request| matches!(request, Request::Http(_))));
}

#[test]
fn a_variable_without_a_value_says_why() {
    let outcome = |variables: &str| {
        let template = template(&format!(
            "variables: {{{variables}}}\nhttp:\n  - path: ['{{{{BaseURL}}}}/{{{{a}}}}']\n    matchers:\n      - {{type: status, status: [200]}}\n"
        ));
        let verdict = run(&template, &web("http://site.test/"), http(echo)).verdict;
        (verdict.outcome, verdict.failure.unwrap_or_default())
    };
    let (needs, why) = outcome("a: '{{b}}', b: 'x{{tenant}}'");
    assert_eq!(needs, Outcome::Skipped(SkipReason::Precondition));
    assert!(why.contains("--var tenant=VALUE"), "{why}");
    let (broken, _) = outcome("a: \"{{hex_decode('zz')}}{{Host}}\"");
    assert!(matches!(broken, Outcome::Failed(_)), "{broken:?}");
    let (circular, _) = outcome("a: '{{b}}', b: '{{a}}'");
    assert_eq!(circular, Outcome::Skipped(SkipReason::Precondition));
}
