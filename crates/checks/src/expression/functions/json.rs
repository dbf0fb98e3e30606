//! JSON, smaller and larger.

use serde_json::Value as Json;

use super::{Arguments, Arity, Function, Outcome, bounded};
use crate::expression::EvaluationError;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        "json_minify",
        Arity::exactly(1),
        "the JSON text without blanks, and with its keys in order",
        |arguments| {
            let document = parse(&arguments)?;
            Ok(canonical(&document).into())
        },
    ),
    Function::new(
        "json_prettify",
        Arity::exactly(1),
        "the JSON text indented by four blanks a level",
        prettify,
    ),
];

/// The first argument, parsed. The parser's own limit on nesting bounds every recursion below.
pub(super) fn parse(arguments: &Arguments<'_, '_>) -> Result<Json, EvaluationError> {
    serde_json::from_slice(&arguments.text(0)).map_err(|error| arguments.error(format!("not JSON: {error}")))
}

/// JSON as Go's encoder writes a decoded document: keys in order, and `<`, `>`, `&` and the two Unicode line separators as
/// `\u` escapes, which template authors see and match on.
pub(super) fn canonical(document: &Json) -> String {
    let mut written = String::new();
    write(document, &mut written);
    written
}

fn write(document: &Json, written: &mut String) {
    match document {
        Json::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(key, _)| key.as_bytes());
            written.push('{');
            for (position, (key, member)) in members.into_iter().enumerate() {
                if position > 0 {
                    written.push(',');
                }
                write_text(key, written);
                written.push(':');
                write(member, written);
            }
            written.push('}');
        }
        Json::Array(elements) => {
            written.push('[');
            for (position, element) in elements.iter().enumerate() {
                if position > 0 {
                    written.push(',');
                }
                write(element, written);
            }
            written.push(']');
        }
        Json::String(text) => write_text(text, written),
        Json::Number(number) => written.push_str(&number_text(number)),
        Json::Bool(_) | Json::Null => written.push_str(&document.to_string()),
    }
}

/// Go reads every JSON number as a double, and writes it without an exponent from 1e-6 up to 1e21.
fn number_text(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(double) if double == 0.0 || (1e-6..1e21).contains(&double.abs()) => double.to_string(),
        Some(double) => {
            let text = format!("{double:e}");
            if double.abs() >= 1.0 { text.replace('e', "e+") } else { text }
        }
        None => number.to_string(),
    }
}

fn write_text(text: &str, written: &mut String) {
    written.push('"');
    for character in text.chars() {
        match character {
            '"' => written.push_str("\\\""),
            '\\' => written.push_str("\\\\"),
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            '\u{8}' => written.push_str("\\b"),
            '\u{C}' => written.push_str("\\f"),
            '\0'..='\u{1F}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                written.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            other => written.push(other),
        }
    }
    written.push('"');
}

/// Indents the text itself, so that keys keep their order and numbers their spelling.
fn prettify<'e>(arguments: Arguments<'_, 'e>) -> Outcome<'e> {
    parse(&arguments)?;
    let text = arguments.text(0);
    let mut indented: Vec<u8> = Vec::new();
    let mut depth = 0_usize;
    let mut quoted = false;
    let mut escaped = false;
    for byte in text.iter().copied() {
        if quoted {
            indented.push(byte);
            quoted = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        if byte.is_ascii_whitespace() {
            continue;
        }
        let opened = matches!(indented.last(), Some(b'{' | b'['));
        match byte {
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if !opened {
                    break_line(&mut indented, depth);
                }
                indented.push(byte);
            }
            _ => {
                if opened {
                    break_line(&mut indented, depth);
                }
                indented.push(byte);
                match byte {
                    b'{' | b'[' => depth += 1,
                    b',' => break_line(&mut indented, depth),
                    b':' => indented.push(b' '),
                    b'"' => quoted = true,
                    _ => {}
                }
            }
        }
        bounded(indented.len())?;
    }
    Ok(indented.into())
}

fn break_line(indented: &mut Vec<u8>, depth: usize) {
    indented.push(b'\n');
    indented.resize(indented.len() + 4 * depth, b' ');
}
