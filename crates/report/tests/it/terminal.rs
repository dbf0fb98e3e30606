//! What a terminal is shown.

use model::{Confidence, Severity};
use report::terminal::{finding_details, finding_line, sanitise, summary_table};

use crate::{estate::Estate, hostile::PAYLOADS, reports::poisoned};

#[test]
fn a_finding_is_one_line() {
    let finding = &Estate::full().findings[0];
    assert_eq!(
        finding_line(finding, false),
        "critical cache.shop.test:6379  Redis answers without a password  [keys=18233]  [version=7.0.15]  redis-unauthenticated"
    );
    assert!(
        finding_line(finding, true)
            .starts_with("\x1b[1;95mcritical\x1b[0m \x1b[1mcache.shop.test:6379\x1b[0m  Redis")
    );
    let mut hint = finding.clone();
    hint.confidence = Confidence::Tentative;
    hint.matcher = Some("info".into());
    hint.severity = Severity::Low;
    assert!(finding_line(&hint, false).ends_with("  (tentative)  redis-unauthenticated:info"));
}

#[test]
fn nothing_a_target_sends_reaches_the_terminal_as_it_is() {
    for payload in PAYLOADS {
        let poisoned = poisoned(payload);
        for finding in &poisoned.estate.findings {
            let line = finding_line(finding, false);
            assert!(!line.chars().any(report::visible::acts), "{line:?}");
            // With colours, only our own sequences.
            let colourless = finding_line(finding, true)
                .split("\x1b[")
                .enumerate()
                .map(|(index, part)| if index == 0 { part } else { part.split_once('m').unwrap().1 })
                .collect::<String>();
            assert_eq!(colourless, line);
            let details = finding_details(finding);
            let acting = |character: char| report::visible::acts(character) && !"\n\t".contains(character);
            assert!(!details.chars().any(acting), "{details:?}");
        }
        let table = summary_table(&poisoned.estate.summary, false);
        assert!(
            !table.chars().any(|character| report::visible::acts(character) && character != '\n'),
            "{table:?}"
        );
    }
    assert_eq!(sanitise("a\u{1b}[31m\nb\u{202e}"), "a\\x1b[31m\\nb\\u{202e}");
}

#[test]
fn what_a_target_sent_passes_for_no_line_of_ours() {
    let mut finding = Estate::full().findings[0].clone();
    let [evidence, ..] = &mut finding.evidence[..] else { panic!("there is no evidence") };
    evidence.response = "-ERR\r\nleads to: nothing\r\n".to_owned();
    evidence.matched = vec!["-ERR\r\nleads".to_owned()];
    evidence.truncated = true;
    finding.extracted.insert("banner".to_owned(), vec!["a\nsee it again:".to_owned()]);
    let details = finding_details(&finding);
    for lines in [
        "\nresponse:\n    -ERR\n    leads to: nothing\nmatched:\n    -ERR\n    leads\nonly a part of the evidence is kept\n",
        "banner:\n    a\n    see it again:\n",
    ] {
        assert!(details.contains(lines), "{details}");
    }
    let labels = details.lines().filter(|line| line.starts_with("leads to: "));
    assert_eq!(labels.count(), usize::from(!finding.impact.is_empty()));
}

#[test]
fn the_end_of_a_scan_in_a_few_lines() {
    assert_eq!(
        summary_table(&Estate::full().summary, false),
        "5 findings to act on today\n\
         \x20 findings      1 critical  4 high  11 medium  3 low  5 info\n\
         \x20 seen          6 domains  1 endpoint  1 form  5 hosts  5 pages  8 services\n\
         \x20 looks         3,655 planned = 24 matched + 3,523 not matched + 42 failed + 66 skipped\n\
         \x20 failed        28 timed out, 14 connection broken\n\
         \x20 skipped       22 host stopped answering, 44 precondition not met\n\
         \x20 undetermined  2 things could not be found out\n\
         \x20 refused       1 check was not loaded\n\
         \x20 sent          4,812 requests (2,207 shared), 9,990 port probes, 12,405 DNS queries\n\
         \x20 took          3 min 12 s\n"
    );
    let mut unfinished = Estate::empty().summary;
    unfinished.complete = false;
    unfinished.incomplete_because = Some("stopped by Ctrl-C".into());
    unfinished.ledger.plan(&model::CheckId::new("x"), 1);
    let table = summary_table(&unfinished, true);
    assert!(table.starts_with("\x1b[1mNothing found by these checks\x1b[0m\n"), "{table}");
    assert!(table.contains("(does not balance)") && table.contains("stopped by Ctrl-C"), "{table}");
}
