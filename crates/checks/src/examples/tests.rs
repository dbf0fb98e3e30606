use std::sync::Arc;

use super::*;
use crate::template;

const CHECK: &str = r#"
id: welcome
info: {name: Welcome, author: rampart, severity: info}
http:
  - path: ["{{BaseURL}}/"]
    matchers:
      - type: word
        words: ["Welcome"]
    extractors:
      - type: regex
        name: version
        group: 1
        regex: ['version ([0-9.]+)']
"#;

fn results(check: &str, examples: &str) -> Vec<(String, Result<(), String>)> {
    let template = template::parse(check, "check.yaml").expect("the check is valid");
    let examples = Examples::parse(examples, "examples.yaml").expect("the examples are valid");
    run(&Arc::new(template), &examples).into_iter().map(|result| (result.name, result.outcome)).collect()
}

fn diagnostics(examples: &str) -> Vec<String> {
    let refused = Examples::parse(examples, "examples.yaml").expect_err("the examples are refused");
    refused.iter().map(ToString::to_string).collect()
}

#[test]
fn an_example_ends_as_its_list_says() {
    let text = r#"
matches:
  - name: greeted
    exchanges:
      - request: GET /
        body: Welcome to version 1.2
    expect: {extracted: {version: ["1.2"]}}
does_not_match:
  - name: another page
    exchanges:
      - request: GET /
        body: Goodbye
  - name: nothing there
"#;
    let expected = ["greeted", "another page", "nothing there"].map(|name| (name.to_owned(), Ok(())));
    assert_eq!(results(CHECK, text), expected);
}

#[test]
fn what_ends_otherwise_is_told() {
    let text = r#"
matches:
  - name: silent
    exchanges:
      - request: GET /elsewhere
        body: Welcome
  - name: another version
    exchanges:
      - request: GET /
        body: Welcome to version 1.2
    expect: {extracted: {version: ["2.0"]}}
does_not_match:
  - name: greeted
    exchanges:
      - request: GET /
        body: Welcome
"#;
    let outcomes: Vec<String> = results(CHECK, text)
        .into_iter()
        .map(|(name, outcome)| format!("{name}: {}", outcome.expect_err("each is wrong")))
        .collect();
    assert_eq!(
        outcomes,
        [
            "silent: the check does not match",
            r#"another version: `version` should have extracted ["2.0"], not [["1.2"]]"#,
            "greeted: the check matches at http://target.test/",
        ]
    );
}

#[test]
fn bytes_of_a_dialogue_are_written_as_escapes() {
    let check = r#"
id: handshake
info: {name: Handshake, author: rampart, severity: info}
tcp:
  - host: ["{{Hostname}}"]
    port: 9
    inputs: [{data: "01ff", type: hex, read: 4}]
    matchers:
      - type: binary
        part: raw
        binary: ["ff00"]
"#;
    let text = r#"
matches:
  - name: text
    exchanges: [{reads: ["\xff", "\x00"]}]
  - name: hexadecimal
    exchanges: [{read_hex: ["ff00"]}]
does_not_match:
  - name: other bytes
    exchanges: [{reads: ["\x00\xff"]}]
"#;
    assert!(results(check, text).iter().all(|(_, outcome)| outcome.is_ok()));
    let long = "matches: [{name: long, exchanges: [{reads: [a, b, c]}]}]";
    assert_eq!(
        results(check, long),
        [("long".to_owned(), Err("the example has 1 reads more than the dialogue".to_owned()))]
    );
}

#[test]
fn what_cannot_be_an_example_is_refused_with_its_line() {
    assert_eq!(
        diagnostics("matches:\n  - name: one\n    exchange: []\n"),
        ["examples.yaml:3:5: a example has no field `exchange`; did you mean `exchanges`?"]
    );
    assert_eq!(
        diagnostics("matches:\n  - name: one\n    exchanges:\n      - request: home\n"),
        ["examples.yaml:4:9: the request `home` is neither `METHOD /path` nor `TYPE name`"]
    );
    assert_eq!(
        diagnostics("matches:\n  - name: one\n    exchanges:\n      - reads: [\"\\u20ac\"]\n"),
        ["examples.yaml:4:17: the bytes have a character beyond U+00FF; write its bytes as \\xHH"]
    );
    assert_eq!(
        diagnostics("matches:\n  - name: one\n  - name: one\n"),
        ["examples.yaml:3:5: two examples are called `one`"]
    );
    assert_eq!(
        diagnostics(
            "matches:\n  - name: one\n    exchanges:\n      - request: A target.test\n        answers: [nonsense]\n"
        ),
        ["examples.yaml:5:19: a record is `owner seconds class type data`"]
    );
}
