//! Templates that are refused: the reason and its line.

use checks::{DiagnosticCode, template};

const HEAD: &str = "id: t\ninfo:\n  name: T\n  author: t\n  severity: info\n";
const MATCHER: &str = "    matchers:\n      - {type: word, words: [x]}\n";

/// Refused with exactly one diagnostic.
fn refused(text: &str) -> checks::Diagnostic {
    let mut diagnostics = template::parse(text, "t.yaml").map(|_| ()).unwrap_err();
    assert_eq!(diagnostics.len(), 1, "{diagnostics:?}");
    diagnostics.remove(0)
}

#[test]
fn fields_are_refused_at_their_line() {
    use DiagnosticCode::{
        Expression, InvalidValue, Limit, MissingField, Pattern, UnknownField, Unsupported,
        UnsupportedFunction, WrongType,
    };
    let http = |fields: &str| format!("{HEAD}http:\n  - path: ['{{{{BaseURL}}}}']\n{fields}{MATCHER}");
    let matcher = |matcher: &str| {
        format!("{HEAD}http:\n  - path: ['{{{{BaseURL}}}}']\n    matchers:\n      - {matcher}\n")
    };
    for (text, line, code, says) in [
        (http("    host-redirect: true\n"), 8, UnknownField, "did you mean `host-redirects`?"),
        (http("    race: true\n"), 8, Unsupported, "`race`"),
        (http("    method: FETCH\n"), 8, InvalidValue, "`FETCH`"),
        (http("    max-redirects: many\n"), 8, InvalidValue, "`many`"),
        (http("    payloads: {user: users.txt}\n"), 8, Unsupported, "users.txt"),
        (http("    unsafe: true\n"), 8, Unsupported, "`raw`"),
        (http("    headers: [a]\n"), 8, WrongType, "`headers`"),
        (http("    body: '{{resolve(1)}}'\n"), 8, UnsupportedFunction, "resolve"),
        (matcher("{type: wrod, words: [x]}"), 9, InvalidValue, "word"),
        (matcher("{type: word, word: [x]}"), 9, MissingField, "words"),
        (matcher("{type: regex, regex: ['(']}"), 9, Pattern, "`(`"),
        (matcher("{type: dsl, dsl: ['status_code ==']}"), 9, Expression, "status_code"),
        (matcher("{type: dsl, dsl: ['resolve(\"a\")']}"), 9, UnsupportedFunction, "resolve"),
        (matcher("{type: status, status: [ok]}"), 9, InvalidValue, "`ok`"),
        (matcher("{type: binary, binary: [xyz]}"), 9, InvalidValue, "xyz"),
        (matcher("{type: word, words: ['']}"), 9, InvalidValue, "empty"),
        (matcher("{type: word, part: interactsh_protocol, words: [dns]}"), 9, Unsupported, "callbacks"),
        (matcher("{type: word, words: [x], status: [200]}"), 9, UnknownField, "`status`"),
        (format!("{HEAD}flow: http(2)\nhttp:\n  - path: [/]\n{MATCHER}"), 6, InvalidValue, "http(2)"),
        (
            format!("{HEAD}flow: |\n  for (let x of y) http(1)\nhttp:\n  - path: [/]\n{MATCHER}"),
            7,
            Unsupported,
            "script",
        ),
        (format!("{HEAD}code:\n  - engine: [sh]\n"), 7, Unsupported, "never run"),
        (format!("{HEAD}headless:\n  - steps: []\n"), 7, Unsupported, "browser"),
        (format!("{HEAD}workflows:\n  - template: a.yaml\n"), 7, Unsupported, "workflows"),
        (
            format!("{HEAD}self-contained: true\nhttp:\n  - path: [/]\n{MATCHER}"),
            6,
            Unsupported,
            "self-contained",
        ),
        (format!("{HEAD}http:\n  - raw: ['']\n{MATCHER}"), 7, InvalidValue, "empty"),
        (format!("{HEAD}http:\n  - path: [/]\n"), 7, MissingField, "matchers"),
        (HEAD.to_owned(), 1, MissingField, "sends nothing"),
        (
            HEAD.replace("severity: info", "severity: bad") + "http:\n  - path: [/]\n" + MATCHER,
            5,
            InvalidValue,
            "bad",
        ),
        (HEAD.replace("id: t", "id: a b") + "http:\n  - path: [/]\n" + MATCHER, 1, InvalidValue, "a b"),
        (
            format!(
                "{HEAD}http:\n  - path: [/]\n    attack: clusterbomb\n    payloads: {{a: [1,2,3,4,5,6,7,8,9,0], b: [1,2,3,4,5,6,7,8,9,0], c: [1,2,3,4,5,6,7,8,9,0], d: [1,2]}}\n{MATCHER}"
            ),
            9,
            Limit,
            "2000",
        ),
    ] {
        let diagnostic = match template::parse(&text, "t.yaml") {
            Ok(_) => panic!("accepted:\n{text}"),
            Err(mut diagnostics) => diagnostics.remove(0),
        };
        assert_eq!((diagnostic.line, diagnostic.code), (line, code), "{diagnostic}\n{text}");
        assert!(diagnostic.to_string().contains(says), "{diagnostic}");
        assert!(diagnostic.to_string().starts_with(&format!("t.yaml:{line}:")), "{diagnostic}");
    }
}

#[test]
fn all_reasons_are_told_at_once_in_order() {
    let text = format!(
        "{HEAD}http:\n  - path: [/]\n    race: true\n    matchers:\n      - {{type: regex, regex: ['(', ')']}}\n"
    );
    let diagnostics = template::parse(&text, "t.yaml").unwrap_err();
    let lines: Vec<usize> = diagnostics.iter().map(|diagnostic| diagnostic.line).collect();
    assert_eq!(lines, [8, 10, 10]);
}

#[test]
fn broken_yaml_is_one_reason() {
    assert_eq!(refused("id: [").code, DiagnosticCode::Yaml);
    assert_eq!(refused("id: a\nid: b\n").code, DiagnosticCode::DuplicateKey);
    assert_eq!(refused("- a\n").code, DiagnosticCode::WrongType);
}
