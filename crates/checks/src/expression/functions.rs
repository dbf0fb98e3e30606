//! The functions of the language: one table, in files by what they are about.

mod address;
mod collection;
mod compression;
mod encoding;
mod hashing;
mod html;
mod json;
mod layout;
mod number;
mod pattern;
mod random;
mod search;
#[cfg(test)]
mod tests;
mod text;
mod time;
mod token;
mod unsupported;
mod version;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use regex::bytes::Regex;

use super::{Ambient, EvaluationError, ExpressionError, MAX_VALUE, Value};

/// How many arguments a function takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arity {
    /// At least so many.
    pub least: usize,
    /// At most so many, or any number.
    pub most: Option<usize>,
}

impl Arity {
    const fn exactly(count: usize) -> Arity {
        Arity { least: count, most: Some(count) }
    }

    const fn between(least: usize, most: usize) -> Arity {
        Arity { least, most: Some(most) }
    }

    const fn at_least(least: usize) -> Arity {
        Arity { least, most: None }
    }
}

impl fmt::Display for Arity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        match *self {
            Arity { least, most: None } => write!(formatter, "at least {least} argument{}", plural(least)),
            Arity { least, most: Some(most) } if least == most => {
                write!(formatter, "{least} argument{}", plural(least))
            }
            Arity { least, most: Some(most) } => write!(formatter, "{least} to {most} arguments"),
        }
    }
}

/// What documentation says of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionInfo {
    /// Its name. The same name without underscores calls it too, as in older templates.
    pub name: &'static str,
    /// How many arguments it takes.
    pub arity: Arity,
    /// What it is about.
    pub group: &'static str,
    /// Its arguments and its value, in a sentence.
    pub summary: &'static str,
}

/// Every function that can be called, by group.
pub fn functions() -> impl Iterator<Item = FunctionInfo> {
    GROUPS.iter().flat_map(|(group, functions)| {
        functions.iter().map(|function| FunctionInfo {
            name: function.name,
            arity: function.arity,
            group,
            summary: function.summary,
        })
    })
}

const GROUPS: &[(&str, &[Function])] = &[
    ("text", text::FUNCTIONS),
    ("search", search::FUNCTIONS),
    ("pattern", pattern::FUNCTIONS),
    ("collection", collection::FUNCTIONS),
    ("number", number::FUNCTIONS),
    ("encoding", encoding::FUNCTIONS),
    ("html", html::FUNCTIONS),
    ("json", json::FUNCTIONS),
    ("hashing", hashing::FUNCTIONS),
    ("token", token::FUNCTIONS),
    ("compression", compression::FUNCTIONS),
    ("version", version::FUNCTIONS),
    ("address", address::FUNCTIONS),
    ("time", time::FUNCTIONS),
    ("random", random::FUNCTIONS),
];

type Outcome<'e> = Result<Value<'e>, EvaluationError>;

/// A row of the table.
#[derive(Debug)]
pub(super) struct Function {
    name: &'static str,
    arity: Arity,
    summary: &'static str,
    /// Which argument is a regex, so that a constant one is compiled when the expression is parsed.
    pub(super) pattern: Option<usize>,
    pub(super) call: for<'c, 'e> fn(Arguments<'c, 'e>) -> Outcome<'e>,
}

impl Function {
    const fn new(
        name: &'static str,
        arity: Arity,
        summary: &'static str,
        call: for<'c, 'e> fn(Arguments<'c, 'e>) -> Outcome<'e>,
    ) -> Function {
        Function { name, arity, summary, pattern: None, call }
    }

    const fn with_pattern(self, argument: usize) -> Function {
        Function { pattern: Some(argument), ..self }
    }

    pub(super) fn check_arity(&self, given: usize) -> Result<(), ExpressionError> {
        if given >= self.arity.least && self.arity.most.is_none_or(|most| given <= most) {
            return Ok(());
        }
        let hint = match self.name {
            "contains" if given > 2 => "; use `contains_all` or `contains_any`",
            "regex" if given > 2 => "; use `regex_all` or `regex_any`",
            _ => "",
        };
        Err(ExpressionError::Arity { function: self.name, expected: self.arity, given, hint })
    }
}

/// The function of a name.
pub(super) fn find(name: &str) -> Result<&'static Function, ExpressionError> {
    static BY_NAME: LazyLock<HashMap<String, &'static Function>> = LazyLock::new(|| {
        let all = GROUPS.iter().flat_map(|(_, functions)| functions.iter());
        all.flat_map(|function| {
            [(function.name.to_owned(), function), (function.name.replace('_', ""), function)]
        })
        .collect()
    });
    if let Some(function) = BY_NAME.get(name) {
        return Ok(function);
    }
    match unsupported::reason(name) {
        Some(why) => Err(ExpressionError::UnsupportedFunction { name: name.to_owned(), why }),
        None => Err(ExpressionError::UnknownFunction { name: name.to_owned() }),
    }
}

/// The arguments of one call; their number fits the function's arity.
pub(super) struct Arguments<'c, 'e> {
    function: &'static str,
    values: Vec<Value<'e>>,
    pattern: Option<&'c Regex>,
    ambient: &'c Ambient,
}

impl<'c, 'e> Arguments<'c, 'e> {
    pub(super) fn new(
        function: &Function,
        values: Vec<Value<'e>>,
        pattern: Option<&'c Regex>,
        ambient: &'c Ambient,
    ) -> Self {
        Arguments { function: function.name, values, pattern, ambient }
    }

    fn len(&self) -> usize {
        self.values.len()
    }

    fn value(&self, index: usize) -> &Value<'e> {
        self.values.get(index).unwrap_or(&Value::Null)
    }

    /// The argument itself, to keep without a copy; null is left in its place.
    fn take(&mut self, index: usize) -> Value<'e> {
        self.values.get_mut(index).map_or(Value::Null, |value| std::mem::replace(value, Value::Null))
    }

    fn text(&self, index: usize) -> Cow<'_, [u8]> {
        self.value(index).text()
    }

    /// The first argument, changed by `change`.
    fn map_text(&self, change: impl FnOnce(&[u8]) -> Vec<u8>) -> Outcome<'e> {
        Ok(Value::from(change(&self.text(0))))
    }

    /// A part of the first argument, which is not copied where it is borrowed.
    fn cut(&mut self, part: impl for<'t> Fn(&'t [u8]) -> &'t [u8]) -> Outcome<'e> {
        Ok(Value::Bytes(match self.take(0).into_text() {
            Cow::Borrowed(bytes) => Cow::Borrowed(part(bytes)),
            Cow::Owned(bytes) => Cow::Owned(part(&bytes).to_vec()),
        }))
    }

    fn number(&self, index: usize) -> Result<f64, EvaluationError> {
        let value = self.value(index);
        value.as_number().ok_or_else(|| {
            self.error(format!("argument {} must be a number, not {}", index + 1, shown(&value.text())))
        })
    }

    fn integer(&self, index: usize) -> Result<i64, EvaluationError> {
        // `as` saturates, and every limit below is far from where doubles stop counting in ones.
        self.number(index).map(|number| number.trunc() as i64)
    }

    /// An argument that is a length or a count.
    fn count(&self, index: usize) -> Result<usize, EvaluationError> {
        let number = self.integer(index)?;
        let count = usize::try_from(number).map_err(|_| {
            self.error(format!("argument {} must not be negative, and is {number}", index + 1))
        })?;
        if count > MAX_VALUE {
            Err(EvaluationError::Limit { what: "a text", limit: MAX_VALUE })
        } else {
            Ok(count)
        }
    }

    /// An optional flag: true, a number other than zero, or a word for one of them.
    fn flag(&self, index: usize) -> Result<bool, EvaluationError> {
        match self.value(index) {
            Value::Null => Ok(false),
            Value::Bool(flag) => Ok(*flag),
            Value::Number(number) => Ok(*number != 0.0),
            other => match other.text().to_ascii_lowercase().as_slice() {
                b"1" | b"t" | b"true" => Ok(true),
                b"0" | b"f" | b"false" | b"" => Ok(false),
                text => Err(self.error(format!("{} is neither true nor false", shown(text)))),
            },
        }
    }

    /// The arguments from `index` on, with lists opened.
    fn spread(&self, index: usize) -> impl Iterator<Item = &Value<'e>> {
        self.values.get(index..).unwrap_or_default().iter().flat_map(|value| match value {
            Value::List(elements) => elements.as_slice(),
            single => std::slice::from_ref(single),
        })
    }

    fn error(&self, message: impl Into<String>) -> EvaluationError {
        EvaluationError::Function { name: self.function, message: message.into() }
    }
}

/// A text that is still within the limit.
fn bounded(length: usize) -> Result<(), EvaluationError> {
    if length > MAX_VALUE { Err(EvaluationError::Limit { what: "a text", limit: MAX_VALUE }) } else { Ok(()) }
}

/// Text for a message: quoted, printable, and not long.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]);
    format!("`{}`", text.escape_debug())
}

/// The characters of a text; where it is not UTF-8, each piece that is not is one.
fn characters(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.utf8_chunks().flat_map(|chunk| {
        let valid = chunk.valid();
        let invalid = Some(chunk.invalid()).filter(|piece| !piece.is_empty());
        let starts = valid
            .char_indices()
            .map(|(at, character)| valid.as_bytes().get(at..at + character.len_utf8()).unwrap_or_default());
        starts.chain(invalid)
    })
}
