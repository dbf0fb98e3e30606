//! Lists: taking apart, putting together, ordering.

use std::borrow::Cow;
use std::collections::HashSet;

use memchr::memmem;

use super::{Arguments, Arity, Function, Outcome, bounded, characters};
use crate::expression::{EvaluationError, MAX_LIST, Value};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        "index",
        Arity::exactly(2),
        "the element of a list, or the byte of a text, at a position counted from zero",
        index,
    ),
    Function::new(
        "split",
        Arity::between(2, 3),
        "a list of what stands between separators, at most so many parts; or, given a number, of pieces that many characters long",
        split,
    ),
    Function::new(
        "join",
        Arity::at_least(2),
        "the other arguments as one text, with the first between them",
        join,
    ),
    Function::new(
        "sort",
        Arity::at_least(1),
        "the characters of a text, or the elements of a list, in order",
        sort,
    ),
    Function::new(
        "uniq",
        Arity::at_least(1),
        "the characters of a text, or the elements of a list, each once",
        unique,
    ),
    Function::new("xor", Arity::at_least(2), "the exclusive or of texts of one length", xor),
];

fn index<'e>(mut arguments: Arguments<'_, 'e>) -> Outcome<'e> {
    let position = arguments.count(1)?;
    let length = match arguments.value(0) {
        Value::List(elements) => elements.len(),
        other => other.text().len(),
    };
    if position >= length {
        return Err(arguments.error(format!("there are {length} elements, so there is none at {position}")));
    }
    match arguments.take(0) {
        Value::List(mut elements) => Ok(elements.swap_remove(position)),
        text => Ok(part(&text.into_text(), position..position + 1)),
    }
}

fn split<'e>(mut arguments: Arguments<'_, 'e>) -> Outcome<'e> {
    let text = arguments.take(0).into_text();
    let separator = arguments.text(1);
    let pieces = if arguments.len() == 2
        && let Ok(number) = String::from_utf8_lossy(&separator).parse::<i64>()
    {
        chunks(&text, usize::try_from(number).unwrap_or(0))?
    } else {
        let most = if arguments.len() > 2 { arguments.integer(2)? } else { -1 };
        // Zero parts is an empty list, and a negative number no limit.
        separated(&text, &separator, usize::try_from(most).unwrap_or(usize::MAX))?
    };
    Ok(Value::List(pieces.into_iter().map(|range| part(&text, range)).collect()))
}

type Range = std::ops::Range<usize>;

/// A part of a text, which is not copied where the text is borrowed.
fn part<'e>(text: &Cow<'e, [u8]>, range: Range) -> Value<'e> {
    Value::Bytes(match text {
        Cow::Borrowed(bytes) => Cow::Borrowed(bytes.get(range).unwrap_or_default()),
        Cow::Owned(bytes) => Cow::Owned(bytes.get(range).unwrap_or_default().to_vec()),
    })
}

fn push(ranges: &mut Vec<Range>, range: Range) -> Result<(), EvaluationError> {
    if ranges.len() >= MAX_LIST {
        return Err(EvaluationError::Limit { what: "a list", limit: MAX_LIST });
    }
    ranges.push(range);
    Ok(())
}

fn chunks(text: &[u8], size: usize) -> Result<Vec<Range>, EvaluationError> {
    let mut ranges = Vec::new();
    let (mut start, mut end, mut count) = (0, 0, 0);
    for character in characters(text) {
        if size > 0 && count == size {
            push(&mut ranges, start..end)?;
            (start, count) = (end, 0);
        }
        end += character.len();
        count += 1;
    }
    push(&mut ranges, start..text.len())?;
    Ok(ranges)
}

fn separated(text: &[u8], separator: &[u8], most: usize) -> Result<Vec<Range>, EvaluationError> {
    let mut ranges = Vec::new();
    if most == 0 {
        return Ok(ranges);
    }
    let mut start = 0;
    if separator.is_empty() {
        for character in characters(text) {
            if ranges.len() + 1 == most {
                break;
            }
            push(&mut ranges, start..start + character.len())?;
            start += character.len();
        }
        if start < text.len() {
            push(&mut ranges, start..text.len())?;
        }
        return Ok(ranges);
    }
    for found in memmem::find_iter(text, separator) {
        if ranges.len() + 1 == most {
            break;
        }
        push(&mut ranges, start..found)?;
        start = found + separator.len();
    }
    push(&mut ranges, start..text.len())?;
    Ok(ranges)
}

fn join<'e>(arguments: Arguments<'_, 'e>) -> Outcome<'e> {
    let separator = arguments.text(0);
    let mut joined = Vec::new();
    for (position, element) in arguments.spread(1).enumerate() {
        if position > 0 {
            joined.extend_from_slice(&separator);
        }
        joined.extend_from_slice(&element.text());
        bounded(joined.len())?;
    }
    Ok(joined.into())
}

/// Whether the call is about the characters of one text, or about elements.
fn of_characters(arguments: &Arguments<'_, '_>) -> bool {
    arguments.len() == 1 && !matches!(arguments.value(0), Value::List(_))
}

fn sort<'e>(arguments: Arguments<'_, 'e>) -> Outcome<'e> {
    if of_characters(&arguments) {
        let text = arguments.text(0);
        let mut sorted: Vec<char> = String::from_utf8_lossy(&text).chars().collect();
        sorted.sort_unstable();
        return Ok(sorted.into_iter().collect::<String>().into());
    }
    let mut sorted: Vec<Vec<u8>> = arguments.spread(0).map(|value| value.text().into_owned()).collect();
    sorted.sort_unstable();
    Ok(Value::List(sorted.into_iter().map(Value::from).collect()))
}

fn unique<'e>(arguments: Arguments<'_, 'e>) -> Outcome<'e> {
    if of_characters(&arguments) {
        let text = arguments.text(0);
        let mut seen = HashSet::new();
        let kept: Vec<u8> =
            characters(&text).filter(|character| seen.insert(*character)).flatten().copied().collect();
        return Ok(kept.into());
    }
    let mut seen = HashSet::new();
    let texts = arguments.spread(0).map(|value| value.text().into_owned());
    Ok(Value::List(texts.filter(|text| seen.insert(text.clone())).map(Value::from).collect()))
}

fn xor<'e>(arguments: Arguments<'_, 'e>) -> Outcome<'e> {
    let mut mixed = arguments.text(0).into_owned();
    for value in arguments.spread(1) {
        let text = value.text();
        if text.len() != mixed.len() {
            return Err(arguments.error(format!(
                "all arguments must have one length, but one has {} bytes and another {}",
                mixed.len(),
                text.len()
            )));
        }
        for (mixed, byte) in mixed.iter_mut().zip(text.iter()) {
            *mixed ^= byte;
        }
    }
    Ok(mixed.into())
}
