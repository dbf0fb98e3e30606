use proptest::prelude::*;

use super::{ambient, variable};
use crate::expression::{Expression, Interpolated, Value, functions};

/// Pieces that expressions are made of, so that random text has a chance to be one.
fn piece() -> impl Strategy<Value = String> {
    let names: Vec<&'static str> = functions().map(|function| function.name).collect();
    let symbols = vec![
        "(", ")", ",", "+", "-", "*", "/", "%", "**", "==", "!=", "<", ">=", "=~", "!~", "&&", "||", "!",
        "~", "?", ":", "??", " in ", "&", "|", "^", "<<", ">>", "{{", "}}", "§", " ", "[", "]", "'", "\"",
        "\\",
    ];
    let operands = vec![
        "body",
        "status_code",
        "names",
        "raw",
        "nothing",
        "yes",
        "missing",
        "true",
        "0",
        "1",
        "2.5",
        "-1",
        "1e300",
        "0x7fffffffffffffff",
        "99999999",
        "'a'",
        "'(.*)'",
        "'%Y'",
        "'2006-01-02'",
        "'{{user}}'",
        "'<= 1.2'",
        "'\\xff'",
        "'{\"a\":[1]}'",
        "'127.0.0.1'",
        "'10.0.0.0/8'",
        "''",
    ];
    prop_oneof![
        4 => prop::sample::select(names).prop_map(|name| format!("{name}(")),
        4 => prop::sample::select(symbols).prop_map(str::to_owned),
        4 => prop::sample::select(operands).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

/// Any value that a variable may have, and numbers and texts at the edges.
fn argument() -> impl Strategy<Value = Value<'static>> {
    let numbers = vec![0.0, -1.0, 1.0, 3.0, 8.0, 1e18, -1e18, 1e300, f64::NAN, f64::INFINITY];
    let texts = vec![
        "",
        "a",
        "1.2.3-beta",
        ">= 1.0, < 2",
        "HS256",
        "{\"a\":{}}",
        "::1",
        "10.0.0.0/0",
        "::/0",
        "%Y-%M",
        "Jan _2 2006",
        "2024-02-29",
        "sha256",
        ">I",
        "[[[[",
        "(a|b)*",
        "x",
        "Z07:00.000,999999999",
        "ﬀ\u{130}ß",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<f64>().prop_map(Value::Number),
        prop::sample::select(numbers).prop_map(Value::Number),
        any::<String>().prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::from),
        prop::sample::select(texts).prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(Value::List))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1024) })]

    #[test]
    fn parsing_any_text_never_panics(source: String) {
        let _ = Expression::parse(&source);
        let _ = Interpolated::parse(&source);
    }

    #[test]
    fn evaluating_never_panics(pieces in prop::collection::vec(piece(), 0..24)) {
        let source = pieces.concat();
        if let Ok(expression) = Expression::parse(&source) {
            let _ = expression.evaluate(&variable, &ambient());
        }
        if let Ok(text) = Interpolated::parse(&source) {
            let _ = text.render(&variable, &ambient());
        }
    }

    #[test]
    fn a_call_with_any_arguments_never_panics(
        function in prop::sample::select(functions().map(|function| function.name).collect::<Vec<_>>()),
        arguments in prop::collection::vec(argument(), 0..5),
    ) {
        let names: Vec<String> = (0..arguments.len()).map(|index| format!("v{index}")).collect();
        if let Ok(call) = Expression::parse(&format!("{function}({})", names.join(", "))) {
            let lookup = |name: &str| {
                let index: usize = name.strip_prefix('v')?.parse().ok()?;
                arguments.get(index).cloned()
            };
            let _ = call.evaluate(&lookup, &ambient());
        }
    }

    #[test]
    fn evaluating_twice_gives_one_value(pieces in prop::collection::vec(piece(), 0..12)) {
        if let Ok(expression) = Expression::parse(&pieces.concat()) {
            let first = expression.evaluate(&variable, &ambient());
            let second = expression.evaluate(&variable, &ambient());
            // Not compared as values, because what is not a number does not equal itself.
            prop_assert_eq!(format!("{first:?}"), format!("{second:?}"));
        }
    }

    #[test]
    fn a_text_without_marks_renders_as_itself(source in "(?s)[^{§]{0,200}") {
        let parsed = Interpolated::parse(&source).unwrap();
        prop_assert_eq!(parsed.is_literal(), Some(source.as_str()));
        prop_assert_eq!(parsed.render(&variable, &ambient()).unwrap(), source.as_bytes());
    }

    #[test]
    fn a_value_with_marks_in_it_renders_as_itself(value in "[{}§a-z'()]{0,60}", around in "[a-z ]{0,9}") {
        let parsed = Interpolated::parse(&format!("{around}{{{{x}}}}{around}")).unwrap();
        let lookup = |_: &str| Some(Value::from(value.as_str()));
        let rendered = parsed.render(&lookup, &ambient()).unwrap();
        prop_assert_eq!(rendered, format!("{around}{value}{around}").into_bytes());
    }

    #[test]
    fn a_quoted_text_means_itself(text in "(?s)[^{§\\\\\"]{0,80}") {
        let value = Expression::parse(&format!("\"{text}\"")).unwrap().evaluate(&variable, &ambient()).unwrap();
        prop_assert_eq!(value.text_lossy(), text);
    }
}
