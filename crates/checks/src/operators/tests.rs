//! Matchers and extractors on parts, without a run around them.

use crate::{
    expression::{Ambient, Value},
    operators::{Examined, JsonQuery, Truth, Xpath, decode_hex},
    template::{self, Template},
};

fn template(operators: &str) -> Template {
    let text = format!(
        "id: t\ninfo: {{name: T, author: t, severity: info}}\nhttp:\n  - path: ['{{{{BaseURL}}}}']\n{operators}"
    );
    template::parse(&text, "t.yaml").unwrap_or_else(|diagnostics| panic!("{diagnostics:?}\n{text}"))
}

fn examine(operators: &str, body: &[u8]) -> Examined {
    let template = template(operators);
    let ambient = Ambient::new(jiff::Timestamp::UNIX_EPOCH, 0);
    let lookup = |name: &str| match name {
        "body" => Some(Value::from(body)),
        "status_code" => Some(Value::from(200_u16)),
        "known" => Some(Value::from("Value")),
        _ => None,
    };
    template.blocks[0].operators.examine(&lookup, &ambient)
}

fn holds(matcher: &str, body: &str) -> bool {
    match examine(&format!("    matchers:\n      - {matcher}\n"), body.as_bytes()).matched {
        Truth::Yes => true,
        Truth::No => false,
        Truth::Unknown(error) => panic!("{matcher}: {error}"),
    }
}

#[test]
fn matchers_as_a_table() {
    for (matcher, body, wanted) in [
        ("{type: word, words: [a, b]}", "xbx", true),
        ("{type: word, words: [a, b], condition: and}", "xbx", false),
        ("{type: word, words: [a, b], condition: and}", "ba", true),
        ("{type: word, words: [ABC], case-insensitive: true}", "xabCx", true),
        ("{type: word, words: [ABC]}", "xabCx", false),
        ("{type: word, words: ['<{{known}}>']}", "<Value>", true),
        ("{type: word, words: ['<{{known}}>'], case-insensitive: true}", "<vALUE>", true),
        ("{type: word, words: ['{{unknown}}']}", "{{unknown}}", true),
        ("{type: word, words: [a], negative: true}", "b", true),
        ("{type: word, words: [a], negative: true, part: nothing}", "b", false),
        ("{type: word, words: ['6162'], encoding: hex}", "ab", true),
        ("{type: regex, regex: ['a+b']}", "xaab", true),
        ("{type: regex, regex: ['A+B'], case-insensitive: true}", "xaab", true),
        ("{type: regex, regex: ['a', 'c'], condition: and}", "ab", false),
        ("{type: binary, binary: ['61 62']}", "xab", true),
        ("{type: status, status: [404, 200]}", "", true),
        ("{type: status, status: [404]}", "", false),
        ("{type: status, status: [404], negative: true}", "", true),
        ("{type: size, size: [3, 4]}", "abc", true),
        ("{type: size, size: [4]}", "abc", false),
        ("{type: dsl, dsl: ['len(body) == 3', 'status_code == 404']}", "abc", true),
        ("{type: dsl, dsl: ['len(body) == 3', 'status_code == 404'], condition: and}", "abc", false),
        ("{type: dsl, dsl: ['!contains(absent, \"x\")']}", "abc", false),
        ("{type: dsl, dsl: ['contains(absent, \"x\")'], negative: true}", "abc", false),
        ("{type: dsl, dsl: ['len(body)']}", "abc", false),
        ("{type: dsl, dsl: ['len(body) == 4'], negative: true}", "abc", true),
        ("{type: xpath, xpath: ['//a[@href=\"x\"]']}", "<p><a href=x>y</a>", true),
        ("{type: xpath, xpath: ['//a[@href=\"z\"]']}", "<p><a href=x>y</a>", false),
    ] {
        assert_eq!(holds(matcher, body), wanted, "{matcher} on {body:?}");
    }
}

#[test]
fn what_cannot_be_evaluated_decides_only_when_nothing_else_does() {
    let broken = "{type: dsl, dsl: ['hex_decode(body) == \"x\"']}";
    let with = |condition: &str, other: &str| {
        let operators = format!(
            "    matchers-condition: {condition}\n    matchers:\n      - {broken}\n      - {{type: word, words: [{other}]}}\n"
        );
        examine(&operators, b"zz").matched
    };
    assert_eq!(with("and", "absent"), Truth::No);
    assert!(matches!(with("and", "zz"), Truth::Unknown(_)));
    assert_eq!(with("or", "zz"), Truth::Yes);
    assert!(matches!(with("or", "absent"), Truth::Unknown(_)));
}

#[test]
fn pieces_that_matched_are_kept() {
    let operators = "    matchers-condition: and\n    matchers:\n      - {type: word, words: [one, two], condition: and}\n      - {type: regex, name: n, regex: ['t[a-z]+e']}\n";
    let examined = examine(operators, b"one two three");
    let pieces: Vec<Vec<&[u8]>> =
        examined.hits.iter().map(|hit| hit.pieces.iter().map(Vec::as_slice).collect()).collect();
    assert_eq!(pieces, [vec![&b"one"[..], b"two"], vec![b"three"]]);
    assert_eq!(examined.hits[1].name.as_deref(), Some("n"));
}

#[test]
fn extractors_yield_distinct_values_and_feed_one_another() {
    let operators = "    extractors:\n      - {type: regex, name: pair, group: 1, regex: ['k=([a-z]+)']}\n      - {type: regex, name: first, part: pair, internal: true, regex: ['^.']}\n      - {type: dsl, dsl: ['to_upper(first)', 'absent']}\n      - {type: kval, kval: [Known]}\n    matchers:\n      - {type: dsl, dsl: ['first == \"a\"']}\n";
    let examined = examine(operators, b"k=abc");
    assert_eq!(examined.matched, Truth::Yes);
    assert_eq!(examined.extracted["pair"], ["abc"]);
    assert_eq!(examined.extracted[""], ["A", "Value"]);
    assert_eq!(examined.internal, [("first".to_owned(), vec![b"a".to_vec()])]);
    let several = examine(operators, b"k=abc k=abd k=abc");
    assert_eq!(several.extracted["pair"], ["abc", "abd"]);
}

#[test]
fn json_queries_as_a_table() {
    let document = br#"{"a": {"b-c": [1, {"d": "x"}, null]}, "list": [{"k": "1", "v": "one"}, {"k": "2", "v": "two"}], "t": true}"#;
    for (query, wanted) in [
        (".t", &["true"][..]),
        (" .a.\"b-c\"[0]", &["1"]),
        (".a[\"b-c\"][1].d", &["x"]),
        (".a[\"b-c\"][-2]", &[r#"{"d":"x"}"#]),
        (".list[].v", &["one", "two"]),
        (".list[] | select(.k == \"2\") | .v", &["two"]),
        (".list | length, first.v", &[]),
        (".list | length", &["2"]),
        (".list | first | .v", &["one"]),
        (".list[0] | keys", &[r#"["k","v"]"#]),
        (".nothing.at.all?", &[]),
        (".. | .d?", &["x"]),
        (".list[].k, .t", &["1", "2", "true"]),
    ] {
        match JsonQuery::parse(query) {
            Ok(query) => assert_eq!(query.select(document), wanted, "{query:?}"),
            Err(error) => assert!(wanted.is_empty() && error.unsupported, "{query}: {error}"),
        }
    }
    for refused in ["def f: f; f", ".a + 1", "range(10)", "[.a]", "{a: .b}", ".a as $x | $x", ".[", "recurse"]
    {
        assert!(JsonQuery::parse(refused).is_err(), "{refused}");
    }
    assert!(JsonQuery::parse(".a").unwrap().select(b"not json").is_empty());
}

#[test]
fn json_queries_end() {
    let wide = format!("[{}]", vec!["[1,2]"; 2_000].join(","));
    let query = format!(".{}", " | ..".repeat(20));
    let selected = JsonQuery::parse(&query).unwrap().select(wide.as_bytes());
    assert!(selected.len() <= 100);
}

#[test]
fn paths_as_a_table() {
    let document = br#"<html><head><title> T </title></head><body><div id=a class="x y"><p>one<p>two<br><a href="/l">link</a></div><div id=b><A HREF=/m>M</A></div></body></html>"#;
    for (path, attribute, wanted) in [
        ("/html/head/title", None, &["T"][..]),
        ("//a", None, &["link", "M"]),
        ("//a", Some("href"), &["/l", "/m"]),
        ("//a/@href", None, &["/l", "/m"]),
        ("//div[@id='b']/a", None, &["M"]),
        ("//div[contains(@class, 'y')]//a", None, &["link"]),
        ("/html/body/div[2]/a", None, &["M"]),
        ("/html/body/div[last()]/@id", None, &["b"]),
        ("//a[text()='M']/../@id", None, &["b"]),
        ("/body", None, &[]),
        ("//title/text()", None, &["T"]),
        ("//*[@class]", Some("id"), &["a"]),
    ] {
        let selected = Xpath::parse(path).unwrap().select(document, attribute);
        let texts: Vec<&str> = selected.iter().map(|text| str::from_utf8(text).unwrap()).collect();
        assert_eq!(texts, wanted, "{path}");
    }
    for refused in ["//a[position()>1]", "//a/following-sibling::b", "count(//a)", "//a[@b or @c]", "", "//"]
    {
        assert!(Xpath::parse(refused).is_err(), "{refused}");
    }
}

#[test]
fn hexadecimal_is_pairs_of_digits() {
    assert_eq!(decode_hex("00 fF\n10").as_deref(), Some(&[0, 255, 16][..]));
    assert_eq!(decode_hex("0"), None);
    assert_eq!(decode_hex("0g"), None);
    assert_eq!(decode_hex("").as_deref(), Some(&[][..]));
}
