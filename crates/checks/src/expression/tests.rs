mod hostile;
mod marks;
mod operators;

use super::*;
use crate::pattern::tests::corpus::scalars_under;

/// What the tests look variables up in.
fn variable(name: &str) -> Option<Value<'static>> {
    Some(match name {
        "status_code" => Value::Number(200.0),
        "body" => "Hello World {{md5('x')}}".into(),
        "header.server" | "odd name-1" | "user-token" | "naïve" | "_x" | "body_1" => "found".into(),
        "zero" => Value::Number(0.0),
        "port_text" => "8080".into(),
        "yes" => Value::Bool(true),
        "no" => Value::Bool(false),
        "nothing" => Value::Null,
        "names" => Value::List(vec!["a".into(), Value::Number(1.0)]),
        "index" => Value::Number(3.0),
        "raw" => (b"\xFF\xFE" as &'static [u8]).into(),
        "user" => "admin".into(),
        "evil" => "{{user}}§user§".into(),
        _ => return None,
    })
}

fn ambient() -> Ambient {
    Ambient::new(jiff::Timestamp::from_second(1_700_000_000).unwrap(), 1)
}

fn evaluate(source: &str) -> Result<Value<'static>, EvaluationError> {
    let parsed = Expression::parse(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    parsed.evaluate(&variable, &ambient())
}

#[test]
fn expressions_are_shared_between_threads() {
    fn shared<T: Send + Sync + Clone + std::fmt::Debug>() {}
    fn sent<T: Send>() {}
    shared::<Expression>();
    shared::<Interpolated>();
    sent::<Ambient>();
}

#[test]
fn variables_are_listed_once_and_in_order() {
    let expression = Expression::parse("contains(body, user) && body != x[a b] ? '{{z}}§w§' : status_code");
    assert!(expression.is_err(), "two operands without an operator");
    let expression =
        Expression::parse("contains(body, user) && body != [a b] ? '{{z}}§w§' : status_code").unwrap();
    assert_eq!(expression.variables().collect::<Vec<_>>(), ["body", "user", "a b", "z", "w", "status_code"]);
    assert_eq!(expression.source(), "contains(body, user) && body != [a b] ? '{{z}}§w§' : status_code");
}

#[test]
fn a_borrowed_value_is_not_copied() {
    let body = vec![b'a'; 1000];
    let lookup: &Lookup<'_, '_> = &|_: &str| Some(Value::from(body.as_slice()));
    let value = Expression::parse("body").unwrap().evaluate(lookup, &ambient()).unwrap();
    let Value::Bytes(std::borrow::Cow::Borrowed(same)) = value else { panic!("a borrowed value") };
    assert_eq!(same.as_ptr(), body.as_ptr());
}

#[test]
fn values_render_as_the_public_language_does() {
    for (value, text) in [
        (Value::Null, ""),
        (Value::Bool(true), "true"),
        (Value::Number(200.0), "200"),
        (Value::Number(-0.5), "-0.5"),
        (Value::Number(1e21), "1000000000000000000000"),
        (Value::Number(1e-7), "0.0000001"),
        (Value::Number(f64::NAN), "NaN"),
        (Value::Number(f64::NEG_INFINITY), "-Inf"),
        (Value::from("é"), "é"),
        (Value::List(vec!["a".into(), 1.0.into(), Value::List(vec![])]), "[a 1 []]"),
    ] {
        assert_eq!(value.text(), text.as_bytes());
        assert_eq!(value.clone().into_text(), text.as_bytes());
        assert_eq!(value.text_lossy(), text);
    }
}

#[test]
fn only_truth_is_a_match() {
    assert!(Value::Bool(true).truthy() && Value::from("true").truthy());
    for value in
        [Value::Null, Value::Bool(false), 1.0.into(), "yes".into(), "".into(), Value::List(vec![true.into()])]
    {
        assert!(!value.truthy(), "{value:?}");
    }
}

#[test]
fn the_public_templates_parse() {
    let Some(sources) = scalars_under(&["dsl"]) else {
        println!("the public templates are not here, so nothing was parsed");
        return;
    };
    let failures: Vec<ExpressionError> =
        sources.iter().filter_map(|source| Expression::parse(source).err()).collect();
    // What is left out on purpose, and what the public engine refuses too, only later, is no failure to parse.
    let malformed = failures.iter().filter(|error| {
        !matches!(error, ExpressionError::UnsupportedFunction { .. } | ExpressionError::Arity { .. })
    });
    println!("{} of {} expressions parse", sources.len() - failures.len(), sources.len());
    assert!(sources.len() > 200);
    assert_eq!(malformed.collect::<Vec<_>>(), Vec::<&ExpressionError>::new());
    assert!(failures.len() * 50 <= sources.len(), "too many are refused: {failures:#?}");

    let texts = scalars_under(&[]).unwrap();
    let mut literal = Vec::new();
    for text in &texts {
        match Interpolated::parse(text) {
            Ok(parsed) => literal.extend(parsed.literal_marks().map(str::to_owned)),
            Err(error) => literal.push(format!("{text}: {error}")),
        }
    }
    println!("{} texts, of which these look like marks and are not:\n{}", texts.len(), literal.join("\n"));
    assert!(literal.len() * 100 <= texts.len());
}
