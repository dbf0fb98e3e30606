use super::evaluate;
use crate::expression::{EvaluationError, Expression, ExpressionError, MAX_DEPTH, MAX_SOURCE, Value};

#[test]
fn every_operator_computes() {
    let number = |number: f64| Value::Number(number);
    let truth = Value::Bool;
    for (source, expected) in [
        // Literals.
        ("1", number(1.0)),
        ("1.5", number(1.5)),
        (".5", number(0.5)),
        ("0x1F", number(31.0)),
        ("2e3", number(2000.0)),
        ("2E-1", number(0.2)),
        ("true", truth(true)),
        ("false", truth(false)),
        ("'it\"s'", "it\"s".into()),
        ("\"it's\"", "it's".into()),
        (r#"'a\r\n\t\\\'\"\x41\q\xZ'"#, "a\r\n\t\\'\"AqxZ".into()),
        (r"'\xff'", (b"\xFF" as &'static [u8]).into()),
        ("''", "".into()),
        ("(1, 'a', true)", Value::List(vec![1.0.into(), "a".into(), true.into()])),
        ("1, 2", Value::List(vec![1.0.into(), 2.0.into()])),
        // Variables.
        ("body_1", "found".into()),
        ("header.server", "found".into()),
        ("[odd name-1]", "found".into()),
        ("naïve + _x", "foundfound".into()),
        ("index", number(3.0)),
        // Arithmetic.
        ("1 + 2", number(3.0)),
        ("1-2-3", number(-4.0)),
        ("2*3", number(6.0)),
        ("7 / 2", number(3.5)),
        ("1 / 0", number(f64::INFINITY)),
        ("7 % 4", number(3.0)),
        ("-7 % 4", number(-3.0)),
        ("2 ** 10", number(1024.0)),
        ("2 ** 3 ** 2", number(64.0)),
        ("-2 ** 2", number(4.0)),
        ("1 + 2 * 3", number(7.0)),
        ("(1 + 2) * 3", number(9.0)),
        ("10 - 2 - 3 * 2 ** 2 / 4", number(5.0)),
        ("-(1)", number(-1.0)),
        ("--1", number(1.0)),
        // Text.
        ("'a' + 'b'", "ab".into()),
        ("'a' + 1", "a1".into()),
        ("1.0 + 'a'", "1a".into()),
        ("1 + 2 + 'a'", "3a".into()),
        ("'a' + true + nothing", "atrue".into()),
        ("'a' + names", "a[a 1]".into()),
        // Bits.
        ("6 & 3", number(2.0)),
        ("6 | 3", number(7.0)),
        ("6 ^ 3", number(5.0)),
        ("~0", number(-1.0)),
        ("1 << 4", number(16.0)),
        ("256 >> 4", number(16.0)),
        ("1 << 99", number(0.0)),
        ("1 >> -1", number(0.0)),
        ("6 & 3 == 2", truth(true)),
        ("1 + 1 << 2", number(8.0)),
        // Comparison.
        ("1 == 1.0", truth(true)),
        ("'a' == 'a'", truth(true)),
        ("'a' != 'b'", truth(true)),
        ("true == yes", truth(true)),
        ("1 == true", truth(false)),
        ("'true' == true", truth(false)),
        ("status_code == '200'", truth(true)),
        ("status_code != '200 OK'", truth(true)),
        ("'0200' == status_code", truth(true)),
        ("nothing == nothing", truth(true)),
        ("nothing == ''", truth(false)),
        ("names == ('a', '1')", truth(true)),
        ("1 < 2", truth(true)),
        ("2 <= 2", truth(true)),
        ("3 > 2", truth(true)),
        ("2 >= 3", truth(false)),
        ("'a' < 'b'", truth(true)),
        ("'10' < '9'", truth(true)),
        ("port_text > 443", truth(true)),
        ("10 < '9'", truth(false)),
        ("1 < 2 == true", truth(true)),
        // Patterns.
        ("body =~ 'W[a-z]+'", truth(true)),
        ("body !~ 'W[a-z]+'", truth(false)),
        ("body =~ '^Hel' + 'lo'", truth(true)),
        ("raw =~ '^..$'", truth(true)),
        // Membership.
        ("status_code in (200, 201)", truth(true)),
        ("'200' IN (200, 201)", truth(true)),
        ("404 in (200, 201)", truth(false)),
        ("'a' in names", truth(true)),
        ("'a' in 'a'", truth(true)),
        ("'a' in 'abc'", truth(false)),
        // Logic.
        ("true && false", truth(false)),
        ("true || false", truth(true)),
        ("!true", truth(false)),
        ("!!true", truth(true)),
        ("!no && yes", truth(true)),
        ("false && false || true", truth(true)),
        ("true || false && false", truth(true)),
        ("!contains(body, 'x)') && status_code==200", truth(true)),
        // Choice.
        ("yes ? 1 : 2", number(1.0)),
        ("no ? 1 : 2", number(2.0)),
        ("no ? 1", Value::Null),
        ("yes ? 1", number(1.0)),
        ("no ? 1 : no ? 2 : 3", number(3.0)),
        ("no ? 1 : yes ? 2 : 3", number(2.0)),
        ("yes ? no ? 1 : 2 : 3", number(2.0)),
        ("1 < 2 ? 'a' + 'b' : 'c'", "ab".into()),
        ("nothing ?? 1", number(1.0)),
        ("2 ?? 1", number(2.0)),
        ("missing ?? nothing ?? 3", number(3.0)),
        ("nothing ?? missing ?? 3", number(3.0)),
        ("zero ?? 1", number(0.0)),
        // Marks.
        ("'user={{user}};' + '§user§'", "user=admin;admin".into()),
        ("{{status_code}} == 200", truth(true)),
        ("md5({{user}}) == md5('admin')", truth(true)),
        ("contains(body, '{{7*7}}')", truth(false)),
        ("'{{evil}}'", "{{user}}§user§".into()),
    ] {
        assert_eq!(evaluate(source), Ok(expected), "{source}");
    }
}

#[test]
fn what_is_not_needed_is_not_evaluated() {
    for (source, expected) in [
        ("false && missing", false),
        ("true || missing", true),
        ("true || 5", true),
        ("false && 5", false),
        ("yes ? true : missing", true),
        ("no ? missing : false", false),
        ("yes ?? missing", true),
        ("1 in (1, missing)", true),
    ] {
        assert_eq!(evaluate(source), Ok(Value::Bool(expected)), "{source}");
    }
}

#[test]
fn an_unknown_variable_is_named() {
    for source in [
        "missing",
        "missing && true",
        "true && missing",
        "'a{{missing}}'",
        "nothing ?? missing",
        "len(missing)",
    ] {
        let expected = EvaluationError::UnknownVariable { name: "missing".to_owned() };
        assert_eq!(evaluate(source), Err(expected), "{source}");
    }
    assert_eq!(evaluate("missing").unwrap_err().to_string(), "there is no variable `missing` here");
}

#[test]
fn operands_of_the_wrong_kind_are_refused() {
    for source in [
        "1 && true",
        "true && 'true'",
        "false || 1",
        "!1",
        "!'a'",
        "-'a'",
        "~true",
        "1 - 'a'",
        "'2' * 2",
        "true + 1",
        "nothing + 1",
        "1 < 'a'",
        "true < false",
        "nothing < 1",
        "5 =~ '5'",
        "1 ? 2 : 3",
        "names - 1",
        "1 & 'a'",
    ] {
        assert!(
            matches!(evaluate(source), Err(EvaluationError::Type { .. })),
            "{source}: {:?}",
            evaluate(source)
        );
    }
    assert_eq!(
        evaluate("status_code && true").unwrap_err().to_string(),
        "`&&` needs truth values, not a number"
    );
    assert_eq!(evaluate("1 - 'a'").unwrap_err().to_string(), "`-` needs two numbers, not a number and text");
}

#[test]
fn malformed_source_is_refused_where_it_is_wrong() {
    for (source, offset, what) in [
        ("", 0, "the expression ends where a value should stand"),
        ("1 +", 3, "the expression ends where a value should stand"),
        ("a = 1", 2, "a single `=`, write `==` to compare,"),
        ("a b", 2, "the name `b` where an operator or the end should stand"),
        ("(1", 2, "the expression ends where `)` should stand"),
        ("1)", 1, "`)` where an operator or the end should stand"),
        ("()", 1, "`)` where a value should stand"),
        ("len(1,)", 6, "`)` where a value should stand"),
        ("'abc", 0, "a text without its closing quote"),
        ("1 + \"abc\\\"", 4, "a text without its closing quote"),
        ("[abc", 0, "a name without its closing `]`"),
        ("[]", 0, "a variable name that is empty or not UTF-8"),
        ("1.2.3", 0, "a malformed number"),
        ("0x", 0, "a malformed number"),
        ("12abc", 0, "a malformed number"),
        ("a # b", 2, "the character `#`"),
        ("a }}", 2, "`}}` without its `{{`"),
        ("{{a", 3, "the expression ends where `}}` should stand"),
        ("in", 0, "the name `in` where a value should stand"),
        ("a : b", 2, "`:` where an operator or the end should stand"),
    ] {
        let expected = ExpressionError::Syntax { offset, what: what.to_owned() };
        assert_eq!(Expression::parse(source).unwrap_err(), expected, "{source}");
    }
    assert_eq!(
        Expression::parse("a b").unwrap_err().to_string(),
        "the name `b` where an operator or the end should stand at byte 2 of the expression"
    );
}

#[test]
fn a_bad_constant_regex_is_found_when_parsing_and_a_computed_one_later() {
    for source in ["regex('(', body)", "body =~ '('", "replace_regex(body, '(', '')"] {
        assert!(matches!(Expression::parse(source), Err(ExpressionError::BadRegex { .. })), "{source}");
    }
    for source in ["regex('(' + '', body)", "body =~ ('(' + '')"] {
        assert!(matches!(evaluate(source), Err(EvaluationError::BadRegex(_))), "{source}");
    }
}

#[test]
fn nesting_has_a_limit_and_chains_have_not() {
    let nested =
        |open: &str, close: &str, levels: usize| format!("{}1{}", open.repeat(levels), close.repeat(levels));
    for (open, close) in
        [("(", ")"), ("len(", ")"), ("1 + (2 * (", "))"), ("true ? ", " : 2"), ("1 ** 1 * (1 + 1 << ", ")")]
    {
        assert!(Expression::parse(&nested(open, close, 2)).is_ok(), "{open}");
        let error = Expression::parse(&nested(open, close, 5 * MAX_DEPTH)).unwrap_err();
        assert_eq!(error, ExpressionError::TooDeep, "{open}");
    }
    // From the left, where the parser itself does not recurse.
    let leftward = format!("{}1{}", "(".repeat(40), "**1*1+1<<1&1==1)".repeat(40));
    assert_eq!(Expression::parse(&leftward).unwrap_err(), ExpressionError::TooDeep);
    for operator in ["+", "-", "==", "&&", "**", ", ", "??", "? 1 :"] {
        let long = vec!["1"; 10_000].join(operator);
        assert!(Expression::parse(&long).is_ok(), "{operator}");
    }
    assert_eq!(evaluate(&vec!["1"; 10_000].join("+")), Ok(Value::Number(10_000.0)));
    assert_eq!(evaluate(&format!("{}1", "-".repeat(10_000))), Ok(Value::Number(1.0)));
    let too_long = " ".repeat(MAX_SOURCE + 1);
    assert!(matches!(Expression::parse(&too_long), Err(ExpressionError::TooLong { .. })));
}

#[test]
fn values_have_limits() {
    let grown = "repeat('a', 9000000) + repeat('b', 9000000)";
    assert!(matches!(evaluate(grown), Err(EvaluationError::Limit { .. })));
    let many = vec!["len(repeat('a', 9000000))"; 100].join(" + ");
    assert!(matches!(evaluate(&many), Err(EvaluationError::Limit { .. })));
    let text = Expression::parse("'{{big}}{{big}}'").unwrap();
    let big = |_: &str| Some(Value::from(vec![b'a'; 6_000_000]));
    assert!(matches!(text.evaluate(&big, &super::ambient()), Err(EvaluationError::Limit { .. })));
}
