//! Numbers and how they are written.

use super::{Arguments, Arity, Function, Outcome, shown};
use crate::expression::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("to_number", Arity::exactly(1), "the number that a text spells in decimal", |arguments| {
        Ok(Value::Number(arguments.number(0)?))
    }),
    Function::new(
        "to_bool",
        Arity::exactly(1),
        "the truth value of a number, or of a text such as `true` or `0`",
        |arguments| Ok(Value::Bool(arguments.flag(0)?)),
    ),
    Function::new("dec_to_hex", Arity::exactly(1), "the whole number in hexadecimal", |arguments| {
        let number = arguments.integer(0)?;
        let sign = if number < 0 { "-" } else { "" };
        Ok(format!("{sign}{:x}", number.unsigned_abs()).into())
    }),
    Function::new(
        "hex_to_dec",
        Arity::exactly(1),
        "the number that a text spells in hexadecimal, `0x` or not",
        |arguments| from_base(&arguments, "0x", 16),
    ),
    Function::new(
        "oct_to_dec",
        Arity::exactly(1),
        "the number that a text spells in octal, `0o` or not",
        |arguments| from_base(&arguments, "0o", 8),
    ),
    Function::new(
        "bin_to_dec",
        Arity::exactly(1),
        "the number that a text spells in binary, `0b` or not",
        |arguments| from_base(&arguments, "0b", 2),
    ),
    Function::new(
        "unpack",
        Arity::exactly(2),
        "the first number in binary data, in a format such as `>I` (Python's struct module)",
        unpack,
    ),
];

fn from_base<'e>(arguments: &Arguments<'_, '_>, prefix: &str, base: u32) -> Outcome<'e> {
    let text = arguments.text(0);
    let digits = str::from_utf8(&text).unwrap_or_default();
    let digits = digits.strip_prefix(prefix).unwrap_or(digits);
    match i64::from_str_radix(digits, base) {
        Ok(number) => Ok(Value::from(number)),
        Err(_) => Err(arguments.error(format!("{} is no number in base {base}", shown(&text)))),
    }
}

fn unpack<'e>(arguments: Arguments<'_, 'e>) -> Outcome<'e> {
    let (format, data) = (arguments.text(0), arguments.text(1));
    let (order, code) = match format.as_ref() {
        [order @ (b'@' | b'=' | b'<' | b'>' | b'!'), code] => (*order, *code),
        [code] => (b'@', *code),
        _ => {
            return Err(
                arguments.error(format!("{} is not a byte order and one format letter", shown(&format)))
            );
        }
    };
    let size = match code {
        b'b' | b'B' | b'?' => 1,
        b'h' | b'H' => 2,
        b'i' | b'I' | b'l' | b'L' | b'f' => 4,
        b'q' | b'Q' | b'd' => 8,
        _ => {
            return Err(
                arguments.error(format!("{} has a format letter that is not supported", shown(&format)))
            );
        }
    };
    let Some(bytes) = data.get(..size) else {
        return Err(arguments.error(format!(
            "{} needs {size} bytes, and there are {}",
            shown(&format),
            data.len()
        )));
    };
    // Native order is little-endian, so that a check gives one result on every machine.
    let mut wide = [0; 8];
    wide[8 - size..].copy_from_slice(bytes);
    if !matches!(order, b'>' | b'!') {
        wide[8 - size..].reverse();
    }
    let unsigned = u64::from_be_bytes(wide);
    let unused = 64 - 8 * size as u32;
    let signed = ((unsigned << unused) as i64) >> unused;
    Ok(match code {
        b'?' => Value::Bool(unsigned != 0),
        b'f' => Value::Number(f64::from(f32::from_bits(unsigned as u32))),
        b'd' => Value::Number(f64::from_bits(unsigned)),
        b'b' | b'h' | b'i' | b'l' | b'q' => Value::Number(signed as f64),
        _ => Value::Number(unsigned as f64),
    })
}
