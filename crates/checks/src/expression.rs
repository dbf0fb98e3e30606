//! The expression language of check templates: `contains(body, "x") && status_code == 200`, and text with marks: `{{BaseURL}}/a`.
//!
//! An [`Expression`] is parsed once (constant regexes are compiled then) and evaluated often. It has the operators and
//! precedence of the Go library govaluate, which the public language is built on, and its helper functions
//! ([`functions()`] lists them). Evaluation is pure: variables come from a [`Lookup`], time and randomness from an [`Ambient`].
//!
//! Where this differs from govaluate, on purpose:
//! - text in quotes is never read as a date, `'` does not end a `"` text, and `\n`, `\r`, `\t`, `\xHH` are the usual escapes
//!   (any other escaped character stands for itself, as there);
//! - a name is a function only where `(` follows it, so a variable may be called `index`;
//! - a number and a text that spells a number compare as numbers;
//! - an unknown variable on the left of `??` is null instead of an error;
//! - `{{...}}` inside a quoted text, or bare as an operand, is evaluated in place; its value is never parsed again.
//!
//! Both the template and what it looks at may be hostile, so everything is bounded: source length, nesting, size of any
//! value, and the sum of all that one evaluation makes.

mod ambient;
mod error;
mod evaluate;
mod functions;
mod interpolation;
mod lexer;
mod operator;
mod parser;
#[cfg(test)]
mod tests;
mod value;

pub use ambient::Ambient;
pub use error::{EvaluationError, ExpressionError};
pub use functions::{Arity, FunctionInfo, functions};
pub use interpolation::Interpolated;
pub use value::Value;

use parser::Node;

/// Longest expression that is parsed, in bytes.
pub const MAX_SOURCE: usize = 64 * 1024;
/// Longest text with marks that is parsed, in bytes.
pub const MAX_INTERPOLATED: usize = 1024 * 1024;
/// Deepest nesting of operators, parentheses, calls and marks.
pub const MAX_DEPTH: usize = 64;
/// Largest single value an expression may make, in bytes.
pub const MAX_VALUE: usize = 10 * 1024 * 1024;
/// Longest list an expression may make, in elements.
pub const MAX_LIST: usize = 100_000;
/// Sum of the sizes of all values that one evaluation may make, in bytes.
pub const MAX_PRODUCED: usize = 512 * 1024 * 1024;

/// Where an expression gets its variables: the value of a name, or `None` when there is no such variable.
pub type Lookup<'l, 'a> = dyn Fn(&str) -> Option<Value<'a>> + 'l;

/// A parsed expression.
#[derive(Clone, Debug)]
pub struct Expression {
    source: String,
    root: Node,
    variables: Vec<String>,
}

impl Expression {
    /// Parses an expression, resolves its functions and compiles its constant regexes.
    ///
    /// # Errors
    /// When it is malformed, too long or too deep, or names a function that does not exist here.
    pub fn parse(source: &str) -> Result<Expression, ExpressionError> {
        let (root, variables) = parser::parse(source)?;
        Ok(Expression { source: source.to_owned(), root, variables })
    }

    /// The value of the expression.
    ///
    /// # Errors
    /// When a variable that is needed is unknown, types do not fit an operator, a function refuses its arguments or a limit
    /// is passed. An error is neither a match nor the absence of one.
    pub fn evaluate<'a>(
        &self,
        lookup: &Lookup<'_, 'a>,
        ambient: &Ambient,
    ) -> Result<Value<'a>, EvaluationError> {
        evaluate::expression(&self.root, lookup, ambient)
    }

    /// The variables it names, each once, in order of appearance.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(String::as_str)
    }

    /// The text it was parsed from.
    pub fn source(&self) -> &str {
        &self.source
    }
}
