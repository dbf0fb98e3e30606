//! Base64, hexadecimal and percent encoding.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Arguments, Arity, Function, Outcome, bounded, shown};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("base64", Arity::exactly(1), "the text in base64", |arguments| {
        arguments.map_text(|text| STANDARD.encode(text).into_bytes())
    }),
    Function::new(
        "base64_py",
        Arity::exactly(1),
        "the text in base64 as Python's `encodebytes` writes it: lines of 76 characters, each with its newline",
        |arguments| arguments.map_text(base64_lines),
    ),
    Function::new(
        "base64_decode",
        Arity::exactly(1),
        "the data that the base64 text stands for",
        base64_decode,
    ),
    Function::new(
        "hex_encode",
        Arity::between(1, 2),
        "the data in hexadecimal; with the format `x`, as `\\x41` escapes",
        hex_encode,
    ),
    Function::new(
        "hex_decode",
        Arity::exactly(1),
        "the data that the hexadecimal text stands for",
        |arguments| match from_hex(&arguments.text(0)) {
            Some(data) => Ok(data.into()),
            None => Err(arguments.error(format!("{} is not hexadecimal", shown(&arguments.text(0))))),
        },
    ),
    Function::new(
        "url_encode",
        Arity::between(1, 2),
        "the text with percent escapes; with true, also of punctuation that needs none",
        url_encode,
    ),
    Function::new(
        "url_decode",
        Arity::exactly(1),
        "the text with its percent escapes resolved",
        |arguments| arguments.map_text(url_decode),
    ),
];

/// RFC 2045 lines, with a newline after the last one too, as Python's `base64.encodebytes`; nothing in, one newline out, as
/// in the public language.
fn base64_lines(data: &[u8]) -> Vec<u8> {
    let encoded = STANDARD.encode(data).into_bytes();
    let mut lines = Vec::with_capacity(encoded.len() + encoded.len() / 76 + 1);
    for line in encoded.chunks(76) {
        lines.extend_from_slice(line);
        lines.push(b'\n');
    }
    if lines.is_empty() {
        lines.push(b'\n');
    }
    lines
}

fn base64_decode<'e>(arguments: Arguments<'_, 'e>) -> Outcome<'e> {
    let mut text = arguments.text(0).into_owned();
    text.retain(|byte| !matches!(byte, b'\r' | b'\n'));
    match STANDARD.decode(&text) {
        Ok(data) => Ok(data.into()),
        Err(error) => Err(arguments.error(format!("{} is not base64: {error}", shown(&text)))),
    }
}

fn hex_encode<'e>(arguments: Arguments<'_, 'e>) -> Outcome<'e> {
    let data = arguments.text(0);
    if !arguments.text(1).eq_ignore_ascii_case(b"x") {
        return Ok(hex(&data).into());
    }
    bounded(data.len().saturating_mul(4))?;
    let mut escaped = String::with_capacity(data.len() * 4);
    for digits in hex(&data).as_bytes().chunks(2) {
        escaped.push_str("\\x");
        escaped.extend(digits.iter().map(|digit| char::from(*digit)));
    }
    Ok(escaped.into())
}

/// Data in lower case hexadecimal.
pub(super) fn hex(data: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let nibbles = data.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles.map(|nibble| char::from(DIGITS[usize::from(nibble)])).collect()
}

fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.chunks(2).map(|pair| Some(nibble(pair[0])? << 4 | nibble(pair[1])?)).collect()
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|nibble| u8::try_from(nibble).ok())
}

fn url_encode<'e>(arguments: Arguments<'_, 'e>) -> Outcome<'e> {
    let text = arguments.text(0);
    let everything = arguments.flag(1)?;
    let mut encoded = Vec::with_capacity(text.len());
    for byte in text.iter().copied() {
        // What JavaScript's encodeURIComponent leaves alone.
        let plain = byte.is_ascii_alphanumeric() || !everything && b"-_.!~*'()".contains(&byte);
        if plain {
            encoded.push(byte);
        } else {
            encoded.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    bounded(encoded.len())?;
    Ok(encoded.into())
}

/// Leaves alone what is no escape, `+` included.
fn url_decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let escaped = match rest {
            [b'%', high, low, ..] => nibble(*high).zip(nibble(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                decoded.push(high << 4 | low);
                rest = &rest[3..];
            }
            None => {
                decoded.push(*first);
                rest = after;
            }
        }
    }
    decoded
}
