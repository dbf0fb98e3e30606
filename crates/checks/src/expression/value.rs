//! What an expression computes with.

use std::borrow::Cow;

/// A value. Text is bytes, because a response body is: it need not be UTF-8, and it is not copied to be looked at.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// A truth value.
    Bool(bool),
    /// Every number is a double, as in the public language.
    Number(f64),
    /// Text or binary data.
    Bytes(Cow<'a, [u8]>),
    /// Several values.
    List(Vec<Value<'a>>),
}

impl<'a> Value<'a> {
    /// The value as text, rendered as the public language does: `200` and not `200.0`, `[a b]` for a list, nothing for null.
    pub fn text(&self) -> Cow<'_, [u8]> {
        match self {
            Value::Bytes(bytes) => Cow::Borrowed(bytes),
            other => Cow::Owned(other.rendered()),
        }
    }

    /// [`Value::text`] for people and logs, with U+FFFD where it is not UTF-8.
    pub fn text_lossy(&self) -> String {
        String::from_utf8_lossy(&self.text()).into_owned()
    }

    /// [`Value::text`], without a copy when the value is text already.
    pub fn into_text(self) -> Cow<'a, [u8]> {
        match self {
            Value::Bytes(bytes) => bytes,
            other => Cow::Owned(other.rendered()),
        }
    }

    fn rendered(&self) -> Vec<u8> {
        match self {
            Value::Null => Vec::new(),
            Value::Bool(flag) => flag.to_string().into_bytes(),
            Value::Number(number) => number_text(*number).into_bytes(),
            Value::Bytes(bytes) => bytes.to_vec(),
            Value::List(elements) => {
                let mut rendered = vec![b'['];
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        rendered.push(b' ');
                    }
                    rendered.extend_from_slice(&element.text());
                }
                rendered.push(b']');
                rendered
            }
        }
    }

    /// Whether a matcher takes this as a match: true, or the text `true` that a variable holds. Nothing else is, so that an
    /// expression which forgot to compare never matches everything.
    pub fn truthy(&self) -> bool {
        match self {
            Value::Bool(flag) => *flag,
            Value::Bytes(bytes) => bytes.as_ref() == b"true",
            Value::Null | Value::Number(_) | Value::List(_) => false,
        }
    }

    /// The number, or the number that the text spells.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Value::Number(number) => Some(*number),
            Value::Bytes(bytes) => parse_number(bytes),
            Value::Null | Value::Bool(_) | Value::List(_) => None,
        }
    }

    /// What kind of value it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a truth value",
            Value::Number(_) => "a number",
            Value::Bytes(_) => "text",
            Value::List(_) => "a list",
        }
    }

    /// The same value, owning its bytes.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Null => Value::Null,
            Value::Bool(flag) => Value::Bool(flag),
            Value::Number(number) => Value::Number(number),
            Value::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes.into_owned())),
            Value::List(elements) => Value::List(elements.into_iter().map(Value::into_owned).collect()),
        }
    }

    /// A second value that borrows from this one.
    pub(super) fn reborrow(&self) -> Value<'_> {
        match self {
            Value::Null => Value::Null,
            Value::Bool(flag) => Value::Bool(*flag),
            Value::Number(number) => Value::Number(*number),
            Value::Bytes(bytes) => Value::Bytes(Cow::Borrowed(bytes)),
            Value::List(elements) => Value::List(elements.iter().map(Value::reborrow).collect()),
        }
    }

    /// How much memory of its own it takes, about; borrowed bytes are free.
    pub(super) fn owned_size(&self) -> usize {
        match self {
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Bytes(Cow::Borrowed(_)) => 0,
            Value::Bytes(Cow::Owned(bytes)) => bytes.len(),
            Value::List(elements) => {
                elements.len() * size_of::<Value<'_>>()
                    + elements.iter().map(Value::owned_size).sum::<usize>()
            }
        }
    }
}

/// A double without an exponent and without a needless fraction, and Go's words for what is not finite.
pub(super) fn number_text(number: f64) -> String {
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        number.to_string()
    }
}

/// A finite decimal number and nothing else: `inf`, `nan`, hexadecimal and surrounding blanks are no numbers.
pub(super) fn parse_number(bytes: &[u8]) -> Option<f64> {
    // The longest exact decimal spelling of a double is below 1100 digits; what is longer is not a number somebody wrote.
    if bytes.is_empty() || bytes.len() > 1100 {
        return None;
    }
    let spelled =
        bytes.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'));
    let number: f64 = if spelled { str::from_utf8(bytes).ok()?.parse().ok()? } else { return None };
    number.is_finite().then_some(number)
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Bytes(Cow::Borrowed(text.as_bytes()))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Value::Bytes(Cow::Owned(text.into_bytes()))
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Value::Bytes(Cow::Borrowed(bytes))
    }
}

impl From<Vec<u8>> for Value<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Value::Bytes(Cow::Owned(bytes))
    }
}

impl<'a> From<Cow<'a, [u8]>> for Value<'a> {
    fn from(bytes: Cow<'a, [u8]>) -> Self {
        Value::Bytes(bytes)
    }
}

impl From<f64> for Value<'_> {
    fn from(number: f64) -> Self {
        Value::Number(number)
    }
}

impl From<u16> for Value<'_> {
    fn from(number: u16) -> Self {
        Value::Number(f64::from(number))
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Value::Number(number as f64)
    }
}

impl From<usize> for Value<'_> {
    fn from(number: usize) -> Self {
        Value::Number(number as f64)
    }
}

impl From<bool> for Value<'_> {
    fn from(flag: bool) -> Self {
        Value::Bool(flag)
    }
}

impl<'a> From<Vec<Value<'a>>> for Value<'a> {
    fn from(elements: Vec<Value<'a>>) -> Self {
        Value::List(elements)
    }
}
