//! Several blocks and the conditions between them.

use model::Outcome;

use crate::server::{http, missing, ok, run, template, web};

fn blocks(flow: &str, internal: &str) -> String {
    let block = |path: &str, internal: &str| {
        format!(
            "  - path: ['{{{{BaseURL}}}}/{path}']\n    matchers:\n      - {{type: word, words: [yes]{internal}}}\n"
        )
    };
    format!("{flow}http:\n{}{}{}", block("1", internal), block("2", ""), block("3", ""))
}

#[test]
fn blocks_run_as_far_as_the_condition_needs() {
    // Flow, pages that say yes, pages asked for, pages reported.
    let cases: [(&str, &str, &str, &str); 9] = [
        ("", "13", "123", "13"),
        ("flow: http(1) && http(2)\n", "12", "12", "12"),
        ("flow: http(1) && http(2)\n", "2", "1", ""),
        ("flow: http(1) || http(2)\n", "12", "1", "1"),
        ("flow: http(1) || http(2)\n", "2", "12", "2"),
        ("flow: '!http(1) && http(3)'\n", "3", "13", "3"),
        ("flow: (http(1) || http(2)) && http(3)\n", "23", "123", "23"),
        ("flow: http()\n", "2", "123", "2"),
        ("flow: |\n  http(3) && http(1);\n", "13", "31", "31"),
    ];
    for (flow, pages, asked, reported) in cases {
        let template = template(&blocks(flow, ""));
        let ran = run(
            &template,
            &web("http://site.test/"),
            http(|seen| if pages.contains(&seen.target[1..]) { ok("yes") } else { missing() }),
        );
        let asked_for: String = ran.targets().iter().map(|target| &target[1..]).collect();
        let places: String = ran.places().iter().map(|place| &place[place.len() - 1..]).collect();
        assert_eq!((asked_for.as_str(), places.as_str()), (asked, reported), "{flow} {pages}");
    }
}

#[test]
fn internal_matchers_gate_and_say_nothing() {
    let template = template(&blocks("flow: http(1) && http(2)\n", ", internal: true"));
    let both = run(&template, &web("http://site.test/"), http(|_| ok("yes")));
    assert_eq!(both.places(), ["http://site.test/2"]);
    let first = run(
        &template,
        &web("http://site.test/"),
        http(|seen| if seen.target == "/1" { ok("yes") } else { missing() }),
    );
    assert_eq!((first.sent.len(), first.verdict.outcome), (2, Outcome::NotMatched));
}

#[test]
fn later_blocks_see_earlier_responses() {
    let template = template(
        "http:\n  - id: first\n    path: ['{{BaseURL}}/1']\n    extractors:\n      - {type: regex, name: word, regex: ['w[0-9]+'], internal: true}\n  - path: ['{{BaseURL}}/2/{{word}}']\n    matchers:\n      - {type: dsl, dsl: [\"contains(http_1_body, 'w42') && first_status_code == 200 && contains(http_body, 'w42') && contains(body, 'other')\"]}\n",
    );
    let ran = run(
        &template,
        &web("http://site.test/"),
        http(|seen| if seen.target == "/1" { ok("w42") } else { ok("other") }),
    );
    assert_eq!(ran.targets(), ["/1", "/2/w42"]);
    assert_eq!(ran.places(), ["http://site.test/2/w42"]);
}

#[test]
fn a_template_may_stop_at_its_first_match() {
    let template = template(&blocks("stop-at-first-match: true\n", ""));
    let ran = run(&template, &web("http://site.test/"), http(|_| ok("yes")));
    assert_eq!((ran.sent.len(), ran.places().len()), (1, 1));
}

#[test]
fn what_could_not_be_found_out_is_not_negated() {
    use checks::exchange::Failure;
    use model::FailReason;
    let template = template(&blocks("flow: '!http(1) && http(2)'\n", ""));
    let mut serve = http(|_| ok("yes"));
    let mut first = true;
    let ran = run(&template, &web("http://site.test/"), |request| {
        if std::mem::take(&mut first) {
            Err(Failure::Failed(FailReason::TimedOut, "late".to_owned()))
        } else {
            serve(request)
        }
    });
    assert_eq!((ran.sent.len(), ran.verdict.outcome), (1, Outcome::Failed(FailReason::TimedOut)));
}
