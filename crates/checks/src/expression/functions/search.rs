//! Whether, where and how often a text has another.

use memchr::memmem;

use super::{Arguments, Arity, Function, Outcome, characters};
use crate::expression::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        "len",
        Arity::exactly(1),
        "the number of bytes of a text, or of elements of a list",
        |arguments| {
            Ok(match arguments.value(0) {
                Value::List(elements) => elements.len(),
                other => other.text().len(),
            }
            .into())
        },
    ),
    Function::new(
        "contains",
        Arity::exactly(2),
        "whether the text has the second argument in it",
        |arguments| Ok(memmem::find(&arguments.text(0), &arguments.text(1)).is_some().into()),
    ),
    Function::new(
        "contains_all",
        Arity::at_least(2),
        "whether the text has every other argument in it",
        |arguments| {
            let text = arguments.text(0);
            Ok(arguments.spread(1).all(|part| memmem::find(&text, &part.text()).is_some()).into())
        },
    ),
    Function::new(
        "contains_any",
        Arity::at_least(2),
        "whether the text has any other argument in it",
        |arguments| {
            let text = arguments.text(0);
            Ok(arguments.spread(1).any(|part| memmem::find(&text, &part.text()).is_some()).into())
        },
    ),
    Function::new(
        "starts_with",
        Arity::at_least(2),
        "whether the text starts with any other argument",
        |arguments| {
            let text = arguments.text(0);
            Ok(arguments.spread(1).any(|prefix| text.starts_with(&prefix.text())).into())
        },
    ),
    Function::new(
        "ends_with",
        Arity::at_least(2),
        "whether the text ends with any other argument",
        |arguments| {
            let text = arguments.text(0);
            Ok(arguments.spread(1).any(|suffix| text.ends_with(&suffix.text())).into())
        },
    ),
    Function::new(
        "line_starts_with",
        Arity::at_least(2),
        "whether any line starts with any other argument",
        |arguments| any_line(&arguments, |line, prefix| line.starts_with(prefix)),
    ),
    Function::new(
        "line_ends_with",
        Arity::at_least(2),
        "whether any line ends with any other argument",
        |arguments| any_line(&arguments, |line, suffix| line.ends_with(suffix)),
    ),
    Function::new(
        "equals_any",
        Arity::at_least(2),
        "whether the first argument equals any other, as text",
        |arguments| {
            let text = arguments.text(0);
            Ok(arguments.spread(1).any(|other| other.text() == text).into())
        },
    ),
    Function::new(
        "count",
        Arity::exactly(2),
        "how often the text has the second argument, without overlaps",
        |arguments| {
            let (text, part) = (arguments.text(0), arguments.text(1));
            Ok(if part.is_empty() {
                characters(&text).count() + 1
            } else {
                memmem::find_iter(&text, part.as_ref()).count()
            }
            .into())
        },
    ),
];

fn any_line<'e>(arguments: &Arguments<'_, '_>, fits: fn(&[u8], &[u8]) -> bool) -> Outcome<'e> {
    let text = arguments.text(0);
    let found = arguments.spread(1).any(|part| {
        let part = part.text();
        text.split(|byte| *byte == b'\n').any(|line| fits(line, &part))
    });
    Ok(found.into())
}
