//! The operators: their precedence, and what they do to values.

use std::cmp::Ordering;

use super::value::parse_number;
use super::{EvaluationError, MAX_VALUE, Value};
use crate::pattern;

/// An operator between two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Coalesce,
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Matches,
    NotMatches,
    In,
    BitAnd,
    BitOr,
    BitXor,
    ShiftLeft,
    ShiftRight,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
}

/// Operators that bind equally share a level; a higher level binds tighter. All group from the left, `**` too, and the
/// bitwise operators bind tighter than comparisons: both as in govaluate, unlike C.
const OPERATORS: &[(&str, Binary, u8)] = &[
    ("??", Binary::Coalesce, 0),
    ("||", Binary::Or, 1),
    ("&&", Binary::And, 2),
    ("==", Binary::Equal, 3),
    ("!=", Binary::NotEqual, 3),
    ("<", Binary::Less, 3),
    ("<=", Binary::LessOrEqual, 3),
    (">", Binary::Greater, 3),
    (">=", Binary::GreaterOrEqual, 3),
    ("=~", Binary::Matches, 3),
    ("!~", Binary::NotMatches, 3),
    ("in", Binary::In, 3),
    ("&", Binary::BitAnd, 4),
    ("|", Binary::BitOr, 4),
    ("^", Binary::BitXor, 4),
    ("<<", Binary::ShiftLeft, 5),
    (">>", Binary::ShiftRight, 5),
    ("+", Binary::Add, 6),
    ("-", Binary::Subtract, 6),
    ("*", Binary::Multiply, 7),
    ("/", Binary::Divide, 7),
    ("%", Binary::Remainder, 7),
    ("**", Binary::Power, 8),
];

impl Binary {
    pub(super) fn from_symbol(symbol: &str) -> Option<Binary> {
        OPERATORS.iter().find(|(spelling, ..)| *spelling == symbol).map(|(_, operator, _)| *operator)
    }

    pub(super) fn symbol(self) -> &'static str {
        self.row().0
    }

    pub(super) fn level(self) -> u8 {
        self.row().2
    }

    fn row(self) -> &'static (&'static str, Binary, u8) {
        OPERATORS.iter().find(|(_, operator, _)| *operator == self).expect("the table lists every operator")
    }

    /// The value of `left operator right` for every operator that looks at both sides.
    pub(super) fn apply<'e>(self, left: Value<'e>, right: Value<'e>) -> Result<Value<'e>, EvaluationError> {
        Ok(match self {
            Binary::Coalesce => match left {
                Value::Null => right,
                left => left,
            },
            Binary::Or => Value::Bool(self.flag(&left)? | self.flag(&right)?),
            Binary::And => Value::Bool(self.flag(&left)? & self.flag(&right)?),
            Binary::Equal => Value::Bool(equal(&left, &right)),
            Binary::NotEqual => Value::Bool(!equal(&left, &right)),
            Binary::Less => Value::Bool(self.order(&left, &right)? == Some(Ordering::Less)),
            Binary::LessOrEqual => {
                let order = self.order(&left, &right)?;
                Value::Bool(matches!(order, Some(Ordering::Less | Ordering::Equal)))
            }
            Binary::Greater => Value::Bool(self.order(&left, &right)? == Some(Ordering::Greater)),
            Binary::GreaterOrEqual => {
                let order = self.order(&left, &right)?;
                Value::Bool(matches!(order, Some(Ordering::Greater | Ordering::Equal)))
            }
            Binary::Matches | Binary::NotMatches => {
                let source = right.text_lossy();
                self.matching(&left, &pattern::compile(&source, false)?)?
            }
            Binary::In => Value::Bool(match &right {
                Value::List(elements) => elements.iter().any(|element| equal(&left, element)),
                single => equal(&left, single),
            }),
            Binary::Add => return self.sum(left, right),
            Binary::Subtract => self.arithmetic(&left, &right, |left, right| left - right)?,
            Binary::Multiply => self.arithmetic(&left, &right, |left, right| left * right)?,
            Binary::Divide => self.arithmetic(&left, &right, |left, right| left / right)?,
            Binary::Remainder => self.arithmetic(&left, &right, |left, right| left % right)?,
            Binary::Power => self.arithmetic(&left, &right, f64::powf)?,
            Binary::BitAnd => self.bitwise(&left, &right, |left, right| left & right)?,
            Binary::BitOr => self.bitwise(&left, &right, |left, right| left | right)?,
            Binary::BitXor => self.bitwise(&left, &right, |left, right| left ^ right)?,
            Binary::ShiftLeft => self.bitwise(&left, &right, |left, right| {
                u32::try_from(right).ok().and_then(|by| left.checked_shl(by)).unwrap_or(0)
            })?,
            Binary::ShiftRight => self.bitwise(&left, &right, |left, right| {
                u32::try_from(right).ok().and_then(|by| left.checked_shr(by)).unwrap_or(0)
            })?,
        })
    }

    /// `left =~ regex` and `left !~ regex`.
    pub(super) fn matching<'e>(
        self,
        left: &Value<'_>,
        regex: &regex::bytes::Regex,
    ) -> Result<Value<'e>, EvaluationError> {
        match left {
            Value::Bytes(text) => Ok(Value::Bool(regex.is_match(text) != (self == Binary::NotMatches))),
            other => Err(self.type_error("a text on the left", other.kind().to_owned())),
        }
    }

    /// The operand of `&&` and `||`. Numbers and texts are refused, not guessed at: a check that forgets a comparison fails.
    pub(super) fn flag(self, value: &Value<'_>) -> Result<bool, EvaluationError> {
        match value {
            Value::Bool(flag) => Ok(*flag),
            other => Err(self.type_error("truth values", other.kind().to_owned())),
        }
    }

    fn sum<'e>(self, left: Value<'e>, right: Value<'e>) -> Result<Value<'e>, EvaluationError> {
        match (left, right) {
            (Value::Number(left), Value::Number(right)) => Ok(Value::Number(left + right)),
            (left, right) if matches!(left, Value::Bytes(_)) || matches!(right, Value::Bytes(_)) => {
                let right = right.into_text();
                let mut joined = left.into_text();
                if joined.len().saturating_add(right.len()) > MAX_VALUE {
                    return Err(EvaluationError::Limit { what: "a text", limit: MAX_VALUE });
                }
                joined.to_mut().extend_from_slice(&right);
                Ok(Value::Bytes(joined))
            }
            (left, right) => {
                Err(self.type_error("two numbers or a text", format!("{} and {}", left.kind(), right.kind())))
            }
        }
    }

    fn arithmetic<'e>(
        self,
        left: &Value<'_>,
        right: &Value<'_>,
        compute: impl Fn(f64, f64) -> f64,
    ) -> Result<Value<'e>, EvaluationError> {
        match (left, right) {
            (Value::Number(left), Value::Number(right)) => Ok(Value::Number(compute(*left, *right))),
            _ => Err(self.type_error("two numbers", format!("{} and {}", left.kind(), right.kind()))),
        }
    }

    fn bitwise<'e>(
        self,
        left: &Value<'_>,
        right: &Value<'_>,
        compute: impl Fn(i64, i64) -> i64,
    ) -> Result<Value<'e>, EvaluationError> {
        self.arithmetic(left, right, |left, right| compute(left as i64, right as i64) as f64)
    }

    /// Numbers by size, texts by their bytes. `None` only where a number is not a number.
    fn order(self, left: &Value<'_>, right: &Value<'_>) -> Result<Option<Ordering>, EvaluationError> {
        if let (Value::Bytes(left), Value::Bytes(right)) = (left, right) {
            return Ok(Some(left.cmp(right)));
        }
        match (left.as_number(), right.as_number()) {
            (Some(left), Some(right)) => Ok(left.partial_cmp(&right)),
            _ => {
                Err(self
                    .type_error("two numbers or two texts", format!("{} and {}", left.kind(), right.kind())))
            }
        }
    }

    fn type_error(self, expected: &'static str, found: String) -> EvaluationError {
        EvaluationError::Type { operator: self.symbol(), expected, found }
    }
}

/// Whether two values are the same; a number equals a text that spells it.
pub(super) fn equal(left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::Number(number), Value::Bytes(text)) | (Value::Bytes(text), Value::Number(number)) => {
            parse_number(text) == Some(*number)
        }
        (Value::List(left), Value::List(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        (left, right) => left == right,
    }
}

/// An operator before its operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefix {
    Negate,
    Not,
    Complement,
}

impl Prefix {
    pub(super) fn from_symbol(symbol: &str) -> Option<Prefix> {
        match symbol {
            "-" => Some(Prefix::Negate),
            "!" => Some(Prefix::Not),
            "~" => Some(Prefix::Complement),
            _ => None,
        }
    }

    pub(super) fn apply<'e>(self, operand: &Value<'_>) -> Result<Value<'e>, EvaluationError> {
        match (self, operand) {
            (Prefix::Negate, Value::Number(number)) => Ok(Value::Number(-number)),
            (Prefix::Not, Value::Bool(flag)) => Ok(Value::Bool(!flag)),
            (Prefix::Complement, Value::Number(number)) => Ok(Value::Number(!(*number as i64) as f64)),
            (_, other) => {
                let (operator, expected) = match self {
                    Prefix::Negate => ("-", "a number"),
                    Prefix::Not => ("!", "a truth value"),
                    Prefix::Complement => ("~", "a number"),
                };
                Err(EvaluationError::Type { operator, expected, found: other.kind().to_owned() })
            }
        }
    }
}
