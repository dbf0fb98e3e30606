use super::{ambient, variable};
use crate::expression::{EvaluationError, ExpressionError, Interpolated, MAX_INTERPOLATED};

fn render(source: &str) -> Result<String, EvaluationError> {
    let parsed = Interpolated::parse(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    parsed.render(&variable, &ambient()).map(|text| String::from_utf8(text).unwrap())
}

#[test]
fn marks_become_values() {
    for (source, expected) in [
        ("", ""),
        ("plain", "plain"),
        ("{{user}}", "admin"),
        ("a{{user}}b{{ user }}c", "aadminbadminc"),
        ("{{user}}{{user}}", "adminadmin"),
        ("/{{base64(\"y\")}}?x={{status_code + 1}}", "/eQ==?x=201"),
        ("{{to_upper(user)}}", "ADMIN"),
        ("{{base64('a}}b')}}", "YX19Yg=="),
        ("{{base64('{{user}}:x')}}", "YWRtaW46eA=="),
        ("{{md5({{user}})}}", "21232f297a57a5a743894a0e4a801fc3"),
        ("{{user-token}}", "found"),
        ("{{[odd name-1]}}", "found"),
        ("§user§", "admin"),
        ("a§user§§user-token§b", "aadminfoundb"),
        ("{{{user}}}", "{admin}"),
        ("{{{{user}}}}", "admin"),
        ("{{nothing}}", ""),
        ("{{names}}", "[a 1]"),
        ("{\"a\":{\"b\":\"{{user}}\"}}", "{\"a\":{\"b\":\"admin\"}}"),
        ("é{{user}}é§user§é", "éadminéadminé"),
    ] {
        assert_eq!(render(source).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn a_value_is_never_parsed_again() {
    assert_eq!(render("{{evil}}").unwrap(), "{{user}}§user§");
    assert_eq!(render("{{body}}").unwrap(), "Hello World {{md5('x')}}");
    assert_eq!(render("{{concat('{', '{user}}')}}").unwrap(), "{{user}}");
    assert_eq!(render("{{to_lower('{{evil}}')}}").unwrap(), "{{user}}§user§");
}

#[test]
fn what_is_no_expression_stays_and_is_listed() {
    for (source, marks) in [
        ("{{something odd}}", vec!["{{something odd}}"]),
        ("{{}}", vec!["{{}}"]),
        ("{{7*7}} {{'7'*7}}", vec!["{{7*7}}", "{{'7'*7}}"]),
        ("{{constructor.constructor('return 1')()}}", vec!["{{constructor.constructor('return 1')()}}"]),
        ("{{#each x}}", vec!["{{#each x}}"]),
        ("{{range(5)}}", vec!["{{range(5)}}"]),
        ("{{", vec![]),
        ("{{{{{{{{{{", vec![]),
        ("}}{{", vec![]),
        ("{{'unclosed}}", vec!["{{'unclosed}}"]),
        ("{{a", vec![]),
        ("§", vec![]),
        ("§ 5 and §", vec![]),
        ("§§", vec![]),
        ("§5§", vec![]),
        ("{%raw%}", vec![]),
    ] {
        let parsed = Interpolated::parse(source).unwrap();
        assert_eq!(parsed.is_literal(), Some(source));
        assert_eq!(parsed.literal_marks().collect::<Vec<_>>(), marks, "{source}");
        assert_eq!(render(source).as_deref(), Ok(source));
    }
    let mixed = Interpolated::parse("{{odd one}}{{user}}{{{user}}}{{odd two}}").unwrap();
    assert_eq!(mixed.literal_marks().collect::<Vec<_>>(), ["{{odd one}}", "{{odd two}}"]);
    assert_eq!(mixed.is_literal(), None);
    assert_eq!(mixed.source(), "{{odd one}}{{user}}{{{user}}}{{odd two}}");
}

#[test]
fn what_cannot_be_rendered_is_an_error() {
    let unknown = |name: &str| Err(EvaluationError::UnknownVariable { name: name.to_owned() });
    assert_eq!(render("a{{missing}}"), unknown("missing"));
    assert_eq!(render("{{interactsh-url}}"), unknown("interactsh-url"));
    assert_eq!(render("§missing§"), unknown("missing"));
    assert!(matches!(
        Interpolated::parse("{{jarm(host)}}"),
        Err(ExpressionError::UnsupportedFunction { .. })
    ));
    assert!(matches!(Interpolated::parse("{{md5()}}"), Err(ExpressionError::Arity { .. })));
    assert!(matches!(Interpolated::parse("{{regex('(', x)}}"), Err(ExpressionError::BadRegex { .. })));
    let long = "a".repeat(MAX_INTERPOLATED + 1);
    assert!(matches!(Interpolated::parse(&long), Err(ExpressionError::TooLong { .. })));
}

#[test]
fn variables_are_those_of_the_marks() {
    let parsed = Interpolated::parse("{{BaseURL}}/{{md5(a + b_1)}}§c§{{x-y}}{{BaseURL}}{{7*7}}").unwrap();
    assert_eq!(parsed.variables().collect::<Vec<_>>(), ["BaseURL", "a", "b_1", "c", "x-y"]);
}

/// Each of these is quadratic or worse where every `{{` is followed to the end of the text; then this would not end.
#[test]
fn many_braces_are_read_once() {
    for piece in [
        "{{", "{{'", "{{\"", "{{a ", "{{a(", "{{[", "{{'\\", "{{{{'", "§a", "{{\"{{'", "{{a}}", "{{(",
        "{{ }}",
    ] {
        let text = piece.repeat(MAX_INTERPOLATED / 4 / piece.len());
        let parsed = Interpolated::parse(&text).unwrap();
        assert_eq!(parsed.source().len(), text.len());
    }
}
