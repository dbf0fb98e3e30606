//! What can be wrong with an expression, and what can go wrong with a right one.

use super::{Arity, MAX_DEPTH};
use crate::pattern::PatternError;

/// Why a text is no expression that can be evaluated here.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ExpressionError {
    /// It is malformed.
    #[error("{what} at byte {offset} of the expression")]
    Syntax {
        /// Byte offset into the source.
        offset: usize,
        /// What is wrong there, and what to write instead.
        what: String,
    },
    /// A function that the language does not have.
    #[error("there is no function `{name}`, correct the name or remove the call")]
    UnknownFunction {
        /// The name that was called.
        name: String,
    },
    /// A function of the language that is left out on purpose.
    #[error("function `{name}` is not supported: {why}")]
    UnsupportedFunction {
        /// The name that was called.
        name: String,
        /// The exact reason.
        why: &'static str,
    },
    /// Too few or too many arguments.
    #[error("function `{function}` takes {expected}, not {given}{hint}")]
    Arity {
        /// The function called.
        function: &'static str,
        /// How many it takes.
        expected: Arity,
        /// How many it was given.
        given: usize,
        /// What to use instead, or nothing.
        hint: &'static str,
    },
    /// A constant regex that does not compile.
    #[error("the regex `{pattern}` does not compile")]
    BadRegex {
        /// The regex as the template has it.
        pattern: String,
        /// Why it does not compile.
        #[source]
        source: PatternError,
    },
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("the expression nests deeper than {MAX_DEPTH} levels, split it over several variables")]
    TooDeep,
    /// Longer than is parsed.
    #[error("the text has {length} bytes, the longest that is parsed has {limit}")]
    TooLong {
        /// Length of the text.
        length: usize,
        /// Longest allowed.
        limit: usize,
    },
}

/// Why an expression has no value for these variables.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EvaluationError {
    /// A variable that nothing defines.
    #[error("there is no variable `{name}` here")]
    UnknownVariable {
        /// The name looked up.
        name: String,
    },
    /// Operands that an operator cannot take.
    #[error("`{operator}` needs {expected}, not {found}")]
    Type {
        /// The operator as written.
        operator: &'static str,
        /// What it takes.
        expected: &'static str,
        /// The kinds of what it was given.
        found: String,
    },
    /// A value would be too large.
    #[error("{what} would pass the limit of {limit}")]
    Limit {
        /// What grew.
        what: &'static str,
        /// The limit, in bytes, or in elements for a list.
        limit: usize,
    },
    /// A function cannot do what its arguments ask for.
    #[error("{name}: {message}")]
    Function {
        /// The function.
        name: &'static str,
        /// What is wrong with which argument.
        message: String,
    },
    /// A regex that was computed does not compile.
    #[error("a computed regex does not compile")]
    BadRegex(#[from] PatternError),
}
