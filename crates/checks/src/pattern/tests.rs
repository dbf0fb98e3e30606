use super::*;

pub(crate) mod corpus;

use corpus::scalars_under;

fn matches(pattern: &str, text: &[u8]) -> bool {
    compile(pattern, false).unwrap_or_else(|error| panic!("{pattern}: {error}")).is_match(text)
}

#[test]
fn go_spelling_keeps_its_meaning() {
    for (pattern, text, expected) in [
        (r#"{"a":"b"}"#, r#"{"a":"b"}"#, true),
        ("a{2}", "aa", true),
        ("^a{2,}$", "aaaa", true),
        ("^a{2,3}$", "aaaa", false),
        ("a{,3}", "a{,3}", true),
        ("a{,3}", "aa", false),
        ("a{x}", "a{x}", true),
        ("a{1", "a{1", true),
        (r"^\d$", "٣", false),
        (r"^\w$", "é", false),
        (r"^\W$", "é", true),
        (r"^\s$", "\u{A0}", false),
        (r"^\S\D$", "éé", true),
        (r"^[\w.-]+$", "a-b.c", true),
        (r"^[\w-.]+$", "a-b.c", true),
        (r"^[^\S]$", " ", true),
        (r"^[^\S]$", "a", false),
        (r"^[\D]$", "7", false),
        (r"é\b", "é ", false),
        (r"a\b", "a ", true),
        (r"\Qa.b{\E+", "a.b{{{", true),
        (r"\Qa.b", "axb", false),
        (r"a\z", "a", true),
        (r"(?P<name>a)", "a", true),
        (r"\<a\>", "<a>", true),
        (r"\<a\>", "a", false),
        (r"\_\-\/\!\ \%", "_-/! %", true),
        (r"\101\x42\x{43}\0", "ABC\0", true),
        (r"\pL\p{Greek}\P{^Nd}\p{^L}", "aα11", true),
        ("[[:alpha:]][[:^alpha:]]", "a1", true),
        ("^[]a]+$", "]a", true),
        ("^[^]a]$", "b", true),
        ("^[a&&b]+$", "a&b", true),
        ("^[+--~~c]+$", ",~c", true),
        ("^[[a]+$", "[a", true),
        (r"^[\]\\\x41-\x43]+$", r"]\B", true),
        (r"^[+-]$", "-", true),
        (r"^[a-c-z]+$", "b-z", true),
        ("a]b}", "a]b}", true),
        ("(?i)ABC", "aBc", true),
        ("(?i:a)b", "Ab", true),
        ("(?i)a(?-i)B", "aB", true),
        ("(?i)a(?-i)B", "ab", false),
        ("(?s)a.b", "a\nb", true),
        ("a.b", "a\nb", false),
        ("(?m)^b$", "a\nb\nc", true),
        ("^b$", "a\nb", false),
        ("b$", "b\n", false),
        ("(?U)^(a+)", "aaa", true),
        ("||", "", true),
        ("控制中心", "x控制中心", true),
        ("^[控é]$", "é", true),
    ] {
        assert_eq!(matches(pattern, text.as_bytes()), expected, "{pattern} on {text}");
    }
}

#[test]
fn a_byte_that_is_not_utf_8_is_one_odd_character() {
    assert!(matches("<title>([^<]+)</title>", b"<title>caf\xE9</title>"));
    assert!(matches("^.$", b"\xE9"));
    assert!(matches("^.{2}$", "éé".as_bytes()));
    assert!(!matches("^.$", "éé".as_bytes()));
    assert!(matches(r"^\W\S\D$", b"\xFF\xFE\x80"));
    assert!(!matches("^[a-z]$", b"\xE9"));
    assert!(!matches("é", b"\xE9"));
    let groups = compile("'([^']*)'", false).unwrap();
    let groups = groups.captures(b"x='a\xE9\xE8b'").unwrap();
    assert_eq!(&groups[1], b"a\xE9\xE8b");
}

#[test]
fn case_is_ignored_where_asked() {
    assert!(compile("[a-c]x", true).unwrap().is_match(b"BX"));
    assert!(!compile("[a-c]x", false).unwrap().is_match(b"BX"));
}

#[test]
fn groups_keep_their_numbers_and_names() {
    let regex = compile(r"(?P<major>\d+)\.(?:x|(\d+))", false).unwrap();
    assert_eq!(regex.captures_len(), 3);
    let groups = regex.captures(b"v12.7").unwrap();
    assert_eq!((&groups["major"], &groups[2]), (b"12" as &[u8], b"7" as &[u8]));
}

#[test]
fn what_go_refuses_is_refused() {
    for pattern in [
        r"(?=a)",
        r"(?!a)",
        r"(?<=a)",
        r"(?<!a)",
        r"(a)\1",
        r"\C",
        r"a\",
        r"[a",
        r"(a",
        r"a)",
        r"*a",
        r"\q",
        r"\8",
        r"(?x) a",
        r"(?u)a",
        r"[[:foo:]]",
        r"[b-a]",
        r"[a-\d]",
        r"\x{110000}",
        r"\xg0",
        r"\p",
        r"\p{Nonsense}",
        "[]",
        "[^]",
        r"[\b]",
        "a{3,2}",
    ] {
        assert!(compile(pattern, false).is_err(), "{pattern}");
    }
    assert_eq!(compile("(?=a)", false).unwrap_err(), PatternError::Unsupported("look-ahead"));
    assert_eq!(compile("(a", false).unwrap_err().to_string(), "the pattern is malformed: unclosed group");
}

#[test]
fn what_is_too_large_is_refused() {
    assert_eq!(
        compile(&"a".repeat(MAX_PATTERN + 1), false).unwrap_err(),
        PatternError::TooLong(MAX_PATTERN + 1)
    );
    assert_eq!(compile(r"(\pL{1000}){1000}", false).unwrap_err(), PatternError::TooBig);
    assert_eq!(compile(&r"(?i)\pL".repeat(2000), false).unwrap_err(), PatternError::TooBig);
    assert!(compile(&"(".repeat(MAX_PATTERN), false).is_err());
    let nested = format!("{}a{}", "(".repeat(500), ")".repeat(500));
    assert!(matches!(compile(&nested, false), Err(PatternError::Syntax(_))));
}

#[test]
fn the_public_templates_compile() {
    let Some(patterns) = scalars_under(&["regex"]) else {
        println!("the public templates are not here, so nothing was compiled");
        return;
    };
    let patterns: std::collections::BTreeSet<String> = patterns.into_iter().collect();
    let failures: Vec<String> = patterns
        .iter()
        .filter_map(|pattern| {
            // Marks are replaced by values before a pattern is compiled.
            let substituted = pattern.replace("{{", "<").replace("}}", ">");
            compile(&substituted, false).err().map(|error| format!("{pattern}: {error}"))
        })
        .collect();
    println!("{} of {} patterns compile", patterns.len() - failures.len(), patterns.len());
    assert!(patterns.len() > 100);
    assert!(failures.len() * 200 <= patterns.len(), "too many do not compile:\n{}", failures.join("\n"));
    println!("{}", failures.join("\n"));
}

proptest::proptest! {
    #[test]
    fn compiling_never_panics(pattern in r"(?s)[\\\[\]{}()^$|*+?.,:\-&~a-z0-9QEpPxdDwé ]{0,40}", insensitive: bool) {
        let _ = compile(&pattern, insensitive);
    }

    #[test]
    fn any_text_at_all_never_panics(pattern: String) {
        let _ = compile(&pattern, false);
    }

    #[test]
    fn an_escaped_text_matches_itself(text in "(?s).{0,30}") {
        let quoted = compile(&format!("^{}$", regex::escape(&text)), false).unwrap();
        proptest::prop_assert!(quoted.is_match(text.as_bytes()));
    }
}
