//! Regular expressions, in Go's dialect.

use std::borrow::Cow;

use regex::bytes::Regex;

use super::{Arguments, Arity, Function, Outcome, bounded};
use crate::expression::{EvaluationError, Value};
use crate::pattern;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("regex", Arity::exactly(2), "whether the regex matches in the text that follows it", |arguments| {
        let regex = arguments.regex(0)?;
        Ok(regex.is_match(&arguments.text(1)).into())
    })
    .with_pattern(0),
    Function::new("regex_all", Arity::at_least(2), "whether the regex matches in every text that follows it", |arguments| {
        let regex = arguments.regex(0)?;
        Ok(arguments.spread(1).all(|text| regex.is_match(&text.text())).into())
    })
    .with_pattern(0),
    Function::new("regex_any", Arity::at_least(2), "whether the regex matches in any text that follows it", |arguments| {
        let regex = arguments.regex(0)?;
        Ok(arguments.spread(1).any(|text| regex.is_match(&text.text())).into())
    })
    .with_pattern(0),
    Function::new(
        "replace_regex",
        Arity::exactly(3),
        "the text with every match of the regex replaced; `$1` and `${name}` in the replacement are its groups",
        replace,
    )
    .with_pattern(1),
];

impl<'c> Arguments<'c, '_> {
    fn regex(&self, index: usize) -> Result<Cow<'c, Regex>, EvaluationError> {
        match self.pattern {
            Some(constant) => Ok(Cow::Borrowed(constant)),
            None => {
                let source = String::from_utf8_lossy(&self.text(index)).into_owned();
                Ok(Cow::Owned(pattern::compile(&source, false)?))
            }
        }
    }
}

fn replace<'e>(mut arguments: Arguments<'_, 'e>) -> Outcome<'e> {
    let text = arguments.take(0).into_text();
    let regex = arguments.regex(1)?;
    let replacement = arguments.text(2);
    let mut replaced = Vec::new();
    let mut copied = 0;
    for groups in regex.captures_iter(&text) {
        let Some(whole) = groups.get(0) else { continue };
        replaced.extend_from_slice(&text[copied..whole.start()]);
        groups.expand(&replacement, &mut replaced);
        bounded(replaced.len())?;
        copied = whole.end();
    }
    if copied == 0 && replaced.is_empty() {
        return Ok(Value::Bytes(text));
    }
    replaced.extend_from_slice(&text[copied..]);
    Ok(replaced.into())
}
