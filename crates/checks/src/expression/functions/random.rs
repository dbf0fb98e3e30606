//! Random texts and numbers, which a seed fixes.

use super::text::without;
use super::{Arguments, Arity, Function, Outcome};
use crate::expression::Value;

const DIGITS: &[u8] = b"0123456789";
const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LETTERS_AND_DIGITS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        "rand_char",
        Arity::between(0, 1),
        "a letter or digit, or a character of the given ones",
        |arguments| {
            let set = chosen_set(&arguments, 0);
            Ok(draw(&arguments, &set, 1).into())
        },
    ),
    Function::new(
        "rand_base",
        Arity::between(1, 2),
        "so many letters and digits, or of the given characters",
        |arguments| {
            let set = chosen_set(&arguments, 1);
            Ok(draw(&arguments, &set, arguments.count(0)?).into())
        },
    ),
    Function::new(
        "rand_text_alphanumeric",
        Arity::between(1, 2),
        "so many letters and digits, without the given ones",
        |arguments| draw_without(&arguments, LETTERS_AND_DIGITS),
    ),
    Function::new(
        "rand_text_alpha",
        Arity::between(1, 2),
        "so many letters, without the given ones",
        |arguments| draw_without(&arguments, LETTERS),
    ),
    Function::new(
        "rand_text_numeric",
        Arity::between(1, 2),
        "so many digits, without the given ones",
        |arguments| draw_without(&arguments, DIGITS),
    ),
    Function::new(
        "rand_int",
        Arity::between(0, 2),
        "a whole number from the first up to, but without, the second",
        between,
    ),
];

fn chosen_set(arguments: &Arguments<'_, '_>, index: usize) -> Vec<u8> {
    let given = arguments.text(index);
    if given.trim_ascii().is_empty() { LETTERS_AND_DIGITS.to_vec() } else { given.into_owned() }
}

fn draw(arguments: &Arguments<'_, '_>, set: &[u8], length: usize) -> Vec<u8> {
    let size = set.len() as u64;
    // The drawn number is below the size, so the index fits and exists.
    (0..length).filter_map(|_| set.get(arguments.ambient.below(size) as usize).copied()).collect()
}

fn draw_without<'e>(arguments: &Arguments<'_, '_>, set: &[u8]) -> Outcome<'e> {
    let set = without(set, &arguments.text(1));
    if set.is_empty() {
        return Err(arguments.error("no characters are left to draw from"));
    }
    Ok(draw(arguments, &set, arguments.count(0)?).into())
}

fn between<'e>(arguments: Arguments<'_, 'e>) -> Outcome<'e> {
    let least = if arguments.len() > 0 { arguments.integer(0)? } else { 0 };
    let most = if arguments.len() > 1 { arguments.integer(1)? } else { i64::from(i32::MAX) };
    let size = match most.checked_sub(least).map(u64::try_from) {
        Some(Ok(size)) if size > 0 => size,
        _ => {
            return Err(
                arguments.error(format!("there is no number from {least} up to, but without, {most}"))
            );
        }
    };
    // Below the size, so the sum stays below the upper end.
    Ok(Value::from(least.saturating_add_unsigned(arguments.ambient.below(size))))
}
