//! Changing and cutting text.

use std::collections::HashSet;

use memchr::memmem;

use super::{Arguments, Arity, Function, Outcome, bounded, characters};
use crate::expression::{EvaluationError, MAX_VALUE, Value};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("to_upper", Arity::exactly(1), "the text in upper case", |arguments| {
        arguments.map_text(|text| change_case(text, u8::to_ascii_uppercase, upper))
    }),
    Function::new("to_lower", Arity::exactly(1), "the text in lower case", |arguments| {
        arguments.map_text(|text| change_case(text, u8::to_ascii_lowercase, lower))
    }),
    Function::new(
        "to_title",
        Arity::between(1, 2),
        "the text with the first letter of each word in upper case and the rest in lower case; a language is accepted and ignored",
        |arguments| arguments.map_text(title),
    ),
    Function::new("concat", Arity::at_least(0), "all arguments as one text", concat),
    Function::new("repeat", Arity::exactly(2), "the text, so many times", repeat),
    Function::new(
        "replace",
        Arity::exactly(3),
        "the text with every occurrence of the second argument replaced by the third",
        replace,
    ),
    Function::new("reverse", Arity::exactly(1), "the characters from last to first", |arguments| {
        arguments.map_text(reverse)
    }),
    Function::new(
        "trim",
        Arity::exactly(2),
        "the text without the given characters at either end",
        |arguments| trim(arguments, true, true),
    ),
    Function::new(
        "trim_left",
        Arity::exactly(2),
        "the text without the given characters at its start",
        |arguments| trim(arguments, true, false),
    ),
    Function::new(
        "trim_right",
        Arity::exactly(2),
        "the text without the given characters at its end",
        |arguments| trim(arguments, false, true),
    ),
    Function::new(
        "trim_space",
        Arity::exactly(1),
        "the text without blanks at either end",
        |mut arguments| {
            arguments.cut(|text| match str::from_utf8(text) {
                Ok(text) => text.trim().as_bytes(),
                Err(_) => text.trim_ascii(),
            })
        },
    ),
    Function::new(
        "trim_prefix",
        Arity::exactly(2),
        "the text without the second argument at its start",
        |mut arguments| {
            let prefix = arguments.take(1).into_text();
            arguments.cut(|text| text.strip_prefix(prefix.as_ref()).unwrap_or(text))
        },
    ),
    Function::new(
        "trim_suffix",
        Arity::exactly(2),
        "the text without the second argument at its end",
        |mut arguments| {
            let suffix = arguments.take(1).into_text();
            arguments.cut(|text| text.strip_suffix(suffix.as_ref()).unwrap_or(text))
        },
    ),
    Function::new(
        "remove_bad_chars",
        Arity::exactly(2),
        "the text without any of the given characters",
        remove,
    ),
    Function::new(
        "substr",
        Arity::between(2, 3),
        "the bytes from a start up to, but without, an end",
        substring,
    ),
    Function::new(
        "padding",
        Arity::exactly(3),
        "the text, filled up to a length with the bytes of the second argument",
        padding,
    ),
    Function::new("to_string", Arity::exactly(1), "the value as text", |mut arguments| {
        Ok(Value::Bytes(arguments.take(0).into_text()))
    }),
];

/// Changes letters and keeps whatever is not UTF-8.
fn change_case(text: &[u8], ascii: fn(&u8) -> u8, other: fn(char) -> char) -> Vec<u8> {
    if text.is_ascii() {
        return text.iter().map(ascii).collect();
    }
    let mut changed = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            changed.extend_from_slice(other(character).encode_utf8(&mut [0; 4]).as_bytes());
        }
        changed.extend_from_slice(chunk.invalid());
    }
    changed
}

/// One character stays one, as in Go: what has no single upper case form keeps its own.
fn upper(character: char) -> char {
    let mut mapped = character.to_uppercase();
    if mapped.len() == 1 { mapped.next().unwrap_or(character) } else { character }
}

fn lower(character: char) -> char {
    character.to_lowercase().next().unwrap_or(character)
}

fn title(text: &[u8]) -> Vec<u8> {
    let mut titled = Vec::with_capacity(text.len());
    let mut inside = false;
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            let changed = if inside { lower(character) } else { upper(character) };
            titled.extend_from_slice(changed.encode_utf8(&mut [0; 4]).as_bytes());
            inside = character.is_alphanumeric() || inside && matches!(character, '\'' | '’' | '_');
        }
        titled.extend_from_slice(chunk.invalid());
    }
    titled
}

fn concat<'e>(arguments: Arguments<'_, 'e>) -> Outcome<'e> {
    let mut joined = Vec::new();
    for value in &arguments.values {
        let text = value.text();
        bounded(joined.len() + text.len())?;
        joined.extend_from_slice(&text);
    }
    Ok(joined.into())
}

fn repeat<'e>(arguments: Arguments<'_, 'e>) -> Outcome<'e> {
    let text = arguments.text(0);
    let times = arguments.count(1)?;
    bounded(text.len().saturating_mul(times))?;
    Ok(text.repeat(times).into())
}

fn replace<'e>(mut arguments: Arguments<'_, 'e>) -> Outcome<'e> {
    let text = arguments.take(0).into_text();
    let (old, new) = (arguments.text(1), arguments.text(2));
    if old == new {
        return Ok(Value::Bytes(text));
    }
    let mut replaced = Vec::with_capacity(text.len());
    if old.is_empty() {
        for character in characters(&text) {
            bounded(replaced.len() + new.len() + character.len())?;
            replaced.extend_from_slice(&new);
            replaced.extend_from_slice(character);
        }
        replaced.extend_from_slice(&new);
        return Ok(replaced.into());
    }
    let mut copied = 0;
    for found in memmem::find_iter(&text, old.as_ref()) {
        bounded(replaced.len() + (found - copied) + new.len())?;
        replaced.extend_from_slice(&text[copied..found]);
        replaced.extend_from_slice(&new);
        copied = found + old.len();
    }
    if copied == 0 {
        drop(replaced);
        return Ok(Value::Bytes(text));
    }
    replaced.extend_from_slice(&text[copied..]);
    Ok(replaced.into())
}

/// Turns each character around, then all of it: the characters come out whole and in reverse.
fn reverse(text: &[u8]) -> Vec<u8> {
    let mut reversed = Vec::with_capacity(text.len());
    for character in characters(text) {
        reversed.extend(character.iter().rev());
    }
    reversed.reverse();
    reversed
}

/// Characters to look for: whole ones where they are UTF-8, else bytes.
enum CharacterSet {
    Characters(HashSet<char>),
    Bytes(Box<[bool; 256]>),
}

impl CharacterSet {
    fn new(listed: &[u8]) -> CharacterSet {
        if let Ok(listed) = str::from_utf8(listed)
            && !listed.is_ascii()
        {
            return CharacterSet::Characters(listed.chars().collect());
        }
        let mut bytes = Box::new([false; 256]);
        for byte in listed {
            bytes[usize::from(*byte)] = true;
        }
        CharacterSet::Bytes(bytes)
    }

    fn trim<'t>(&self, text: &'t [u8], start: bool, end: bool) -> &'t [u8] {
        match (self, str::from_utf8(text)) {
            (CharacterSet::Characters(set), Ok(text)) => {
                let belongs = |character: char| set.contains(&character);
                let text = if start { text.trim_start_matches(belongs) } else { text };
                let text = if end { text.trim_end_matches(belongs) } else { text };
                text.as_bytes()
            }
            // A text that is not UTF-8 does not have those characters at its ends, as far as anybody can tell.
            (CharacterSet::Characters(_), Err(_)) => text,
            (CharacterSet::Bytes(set), _) => {
                let stays = |byte: &u8| !set[usize::from(*byte)];
                let Some(first) = text.iter().position(stays) else { return &[] };
                let last = text.iter().rposition(stays).unwrap_or(first);
                &text[if start { first } else { 0 }..if end { last + 1 } else { text.len() }]
            }
        }
    }

    fn without(&self, text: &[u8]) -> Vec<u8> {
        match self {
            CharacterSet::Bytes(set) => {
                text.iter().copied().filter(|byte| !set[usize::from(*byte)]).collect()
            }
            CharacterSet::Characters(set) => {
                let mut kept = Vec::with_capacity(text.len());
                for chunk in text.utf8_chunks() {
                    for character in chunk.valid().chars().filter(|character| !set.contains(character)) {
                        kept.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                    }
                    kept.extend_from_slice(chunk.invalid());
                }
                kept
            }
        }
    }
}

/// `text` without the characters of `unwanted`, for the random texts that must not have some.
pub(super) fn without(text: &[u8], unwanted: &[u8]) -> Vec<u8> {
    CharacterSet::new(unwanted).without(text)
}

fn trim<'e>(mut arguments: Arguments<'_, 'e>, start: bool, end: bool) -> Outcome<'e> {
    let set = CharacterSet::new(&arguments.text(1));
    arguments.cut(|text| set.trim(text, start, end))
}

fn remove<'e>(arguments: Arguments<'_, 'e>) -> Outcome<'e> {
    Ok(without(&arguments.text(0), &arguments.text(1)).into())
}

fn substring<'e>(mut arguments: Arguments<'_, 'e>) -> Outcome<'e> {
    let length = arguments.text(0).len();
    let start = arguments.count(1)?;
    let end = if arguments.len() > 2 { arguments.count(2)? } else { length };
    if start > end || end > length {
        return Err(
            arguments.error(format!("the text has {length} bytes, so {start} to {end} is no part of it"))
        );
    }
    arguments.cut(|text| text.get(start..end).unwrap_or_default())
}

fn padding<'e>(arguments: Arguments<'_, 'e>) -> Outcome<'e> {
    let mut text = arguments.text(0).into_owned();
    let filler = arguments.text(1);
    let length = arguments.count(2)?;
    if length == 0 || filler.is_empty() {
        return Err(arguments.error("the length must be above zero and the filler must not be empty"));
    }
    if length > MAX_VALUE {
        return Err(EvaluationError::Limit { what: "a text", limit: MAX_VALUE });
    }
    // The filler keeps its phase from the start of the text, not from where the filling starts.
    for position in text.len()..length {
        text.push(filler[position % filler.len()]);
    }
    Ok(text.into())
}
