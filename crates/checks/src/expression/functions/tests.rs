//! Known answers for every function. Those of digests, encodings and tokens come from Python's standard library.

mod coding;
mod moment;
mod words;

use std::collections::BTreeSet;

use super::*;
use crate::expression::{Expression, Lookup};

/// What a row of a table expects.
#[derive(Debug)]
enum Expected {
    Is(Value<'static>),
    Fails,
}

type Row = (&'static str, Expected);

fn text(expected: &'static str) -> Expected {
    Expected::Is(expected.into())
}

fn bytes(expected: &'static [u8]) -> Expected {
    Expected::Is(expected.into())
}

fn number(expected: f64) -> Expected {
    Expected::Is(expected.into())
}

fn truth(expected: bool) -> Expected {
    Expected::Is(expected.into())
}

fn list(expected: &[&'static str]) -> Expected {
    Expected::Is(Value::List(expected.iter().map(|element| Value::from(*element)).collect()))
}

/// 29 February 2024, 12:34:56.789 UTC, a Thursday.
fn ambient() -> Ambient {
    Ambient::new("2024-02-29T12:34:56.789Z".parse().unwrap(), 7)
}

fn evaluate(source: &str) -> Result<Value<'static>, EvaluationError> {
    let lookup: &Lookup<'_, 'static> = &|name: &str| match name {
        "page" => Some("<title>Login</title>\nX-Powered-By: PHP/5.4\n".into()),
        "names" => Some(Value::List(vec!["b".into(), "a".into(), "b".into()])),
        "latin" => Some((b"caf\xE9" as &'static [u8]).into()),
        "icon" => Some((0..=255_u8).collect::<Vec<_>>().into()),
        "nothing" => Some(Value::Null),
        _ => None,
    };
    let parsed = Expression::parse(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    parsed.evaluate(lookup, &ambient())
}

fn rows() -> impl Iterator<Item = Row> {
    words::rows().into_iter().chain(coding::rows()).chain(moment::rows())
}

#[test]
fn every_known_answer_is_given() {
    for (source, expected) in rows() {
        match (evaluate(source), expected) {
            (Ok(value), Expected::Is(expected)) => assert_eq!(value, expected, "{source}"),
            (Err(EvaluationError::Function { .. } | EvaluationError::Limit { .. }), Expected::Fails) => {}
            (value, expected) => panic!("{source}: {value:?} instead of {expected:?}"),
        }
    }
}

#[test]
fn every_function_has_a_known_answer() {
    let tested: BTreeSet<&str> = rows()
        .filter(|(_, expected)| matches!(expected, Expected::Is(_)))
        .flat_map(|(source, _)| {
            source.split(|character: char| !character.is_alphanumeric() && character != '_')
        })
        .collect();
    // What is random is tested below, by its properties.
    let untested: Vec<_> = functions()
        .map(|function| function.name)
        .filter(|name| !tested.contains(name) && !name.starts_with("rand_"))
        .collect();
    assert!(untested.is_empty(), "no known answer for {untested:?}");
}

#[test]
fn functions_are_documented_and_named_once() {
    let mut names = BTreeSet::new();
    for function in functions() {
        assert!(names.insert(function.name.replace('_', "")), "{} is listed twice", function.name);
        assert!(function.summary.len() > 10 && !function.summary.ends_with('.'), "{}", function.name);
        assert!(function.arity.most.is_none_or(|most| most >= function.arity.least), "{}", function.name);
    }
    assert!(names.len() >= 75, "only {} functions", names.len());
    assert!(unsupported::names().all(|name| !names.contains(&name.replace('_', ""))));
}

#[test]
fn a_function_is_called_by_its_old_name_too() {
    assert_eq!(evaluate("tolower('ABC') + startswith('abc', 'a')"), Ok("abctrue".into()));
}

#[test]
fn a_function_that_is_left_out_says_why() {
    for name in unsupported::names() {
        let error = Expression::parse(&format!("{name}('x')")).unwrap_err();
        assert!(
            matches!(&error, ExpressionError::UnsupportedFunction { name: named, .. } if named == name),
            "{name}"
        );
    }
    let error = Expression::parse("getnetworkport(1)").unwrap_err();
    assert!(matches!(error, ExpressionError::UnsupportedFunction { .. }));
    assert_eq!(
        Expression::parse("jarm(Hostname) == 'x'").unwrap_err().to_string(),
        "function `jarm` is not supported: an expression is evaluated without network access, and every socket must pass the scope"
    );
    assert!(matches!(
        Expression::parse("rand_first_name()").unwrap_err(),
        ExpressionError::UnsupportedFunction { .. }
    ));
    assert_eq!(
        Expression::parse("frobnicate(1)").unwrap_err(),
        ExpressionError::UnknownFunction { name: "frobnicate".to_owned() }
    );
}

#[test]
fn a_wrong_number_of_arguments_is_found_when_parsing() {
    assert_eq!(
        Expression::parse("contains(body, 'a', 'b')").unwrap_err().to_string(),
        "function `contains` takes 2 arguments, not 3; use `contains_all` or `contains_any`"
    );
    assert_eq!(
        Expression::parse("compare_versions('1')").unwrap_err().to_string(),
        "function `compare_versions` takes at least 2 arguments, not 1"
    );
    for function in functions() {
        let too_few = function.arity.least.checked_sub(1);
        let too_many = function.arity.most.map(|most| most + 1);
        for count in [too_few, too_many].into_iter().flatten() {
            let call = format!("{}({})", function.name, vec!["'1'"; count].join(","));
            assert!(matches!(Expression::parse(&call), Err(ExpressionError::Arity { .. })), "{call}");
        }
        let call = format!("{}({})", function.name, vec!["'1'"; function.arity.least].join(","));
        assert!(Expression::parse(&call).is_ok(), "{call}");
    }
}

#[test]
fn random_values_have_their_form_and_follow_their_seed() {
    for (source, form) in [
        ("rand_char()", "^[a-zA-Z0-9]$"),
        ("rand_char('ab')", "^[ab]$"),
        ("rand_base(8)", "^[a-zA-Z0-9]{8}$"),
        ("rand_base(8, 'xy')", "^[xy]{8}$"),
        ("rand_base('5', '')", "^[a-zA-Z0-9]{5}$"),
        ("rand_text_alphanumeric(9, 'abc123')", "^[d-zA-Z04-9]{9}$"),
        ("rand_text_alpha(6)", "^[a-zA-Z]{6}$"),
        ("rand_text_alpha(0)", "^$"),
        ("rand_text_numeric(6, '01234')", "^[5-9]{6}$"),
        ("rand_int()", "^[0-9]{1,10}$"),
        ("rand_int(5, 9)", "^[5-8]$"),
        ("rand_int(7, 8)", "^7$"),
        ("rand_ip('192.0.2.0/24')", r"^192\.0\.2\.[0-9]{1,3}$"),
        ("rand_ip('192.0.2.7/32', '192.0.2.8/32')", r"^192\.0\.2\.[78]$"),
        ("rand_ip('2001:db8::/64')", "^2001:db8:[0-9a-f:]+$"),
    ] {
        let value = evaluate(source).unwrap().text_lossy();
        assert!(
            crate::pattern::compile(form, false).unwrap().is_match(value.as_bytes()),
            "{source}: {value}"
        );
        assert_eq!(evaluate(source).unwrap().text_lossy(), value, "{source} follows the seed");
    }
    let twice = evaluate("rand_base(20) == rand_base(20)");
    assert_eq!(twice, Ok(Value::Bool(false)), "two calls draw two values");
    for source in [
        "rand_int(9, 5)",
        "rand_text_numeric(3, '0123456789')",
        "rand_text_alpha(-1)",
        "rand_base(99999999)",
        "rand_ip('example')",
        "rand_ip('192.0.2.0/33')",
    ] {
        assert!(evaluate(source).is_err(), "{source}");
    }
}

#[test]
fn what_is_compressed_comes_back() {
    for pair in ["gzip_decode(gzip", "zlib_decode(zlib", "inflate(deflate"] {
        assert_eq!(
            evaluate(&format!("{pair}(repeat('Hello ', 1000))) == repeat('Hello ', 1000)")),
            Ok(true.into())
        );
    }
    let header = evaluate("substr(hex_encode(gzip('Hello')), 0, 20)").unwrap();
    assert_eq!(header.text_lossy(), "1f8b08000000000000ff");
}

#[test]
fn a_small_bomb_does_not_go_off() {
    for (packed, unpack) in [("gzip", "gzip_decode"), ("zlib", "zlib_decode"), ("deflate", "inflate")] {
        // Two streams of 9 MB, one in the other: 18 MB if nobody looked.
        let source = format!("{unpack}({packed}(repeat('a', 9000000)), 100) == repeat('a', 100)");
        assert_eq!(evaluate(&source), Ok(true.into()), "{source}");
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..12 {
        std::io::Write::write_all(&mut encoder, &vec![0; 1024 * 1024]).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    let lookup: &Lookup<'_, '_> = &|_: &str| Some(Value::from(bomb.as_slice()));
    let expanded = Expression::parse("gzip_decode(bomb)").unwrap().evaluate(lookup, &ambient());
    assert_eq!(expanded, Err(EvaluationError::Limit { what: "a text", limit: MAX_VALUE }));
}

#[test]
fn a_zip_archive_has_its_directory_and_files() {
    let Ok(Value::Bytes(archive)) = evaluate("zip('a.txt', 'Hello', 'b/c', '')") else {
        panic!("an archive")
    };
    let end = &archive[archive.len() - 22..];
    assert_eq!(&end[..12], b"PK\x05\x06\0\0\0\0\x02\0\x02\0");
    let field = |at: usize| u32::from_le_bytes(end[at..at + 4].try_into().unwrap()) as usize;
    let (size, start) = (field(12), field(16));
    assert_eq!(start + size + 22, archive.len());
    assert!(archive[start..].starts_with(b"PK\x01\x02"));
    // CRC-32 of "Hello" is 0xF7D18982.
    assert_eq!(&archive[..10], b"PK\x03\x04\x14\0\0\x08\0\0");
    assert_eq!(&archive[14..18], &0xF7D1_8982_u32.to_le_bytes());
    assert_eq!(&archive[30..40], b"a.txtHello");
    assert!(evaluate("zip('a', 'b', 'c')").is_err());
}
