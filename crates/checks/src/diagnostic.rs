//! What is wrong with a template, and where.

use std::fmt;

/// A place in a file. Lines and columns count from 1; columns are characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl Position {
    /// The first character of a file.
    pub const START: Position = Position { line: 1, column: 1 };
}

/// The kinds of reasons for which a template is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DiagnosticCode {
    /// Not YAML.
    Yaml,
    /// The same key twice in one mapping.
    DuplicateKey,
    /// A field that must be there is not.
    MissingField,
    /// The language has no such field.
    UnknownField,
    /// A list where a text belongs, and the like.
    WrongType,
    /// The right type, but not a value the field can have.
    InvalidValue,
    /// The language has it, Rampart does not.
    Unsupported,
    /// An expression or a `{{mark}}` that cannot be read.
    Expression,
    /// The expression language of the public scanners has the function, Rampart does not, or nobody has.
    UnsupportedFunction,
    /// A regular expression, XPath or JSON query that does not compile.
    Pattern,
    /// Larger or deeper than Rampart reads or sends.
    Limit,
}

impl DiagnosticCode {
    /// The word in machine-readable output.
    pub fn as_str(self) -> &'static str {
        match self {
            DiagnosticCode::Yaml => "yaml",
            DiagnosticCode::DuplicateKey => "duplicate-key",
            DiagnosticCode::MissingField => "missing-field",
            DiagnosticCode::UnknownField => "unknown-field",
            DiagnosticCode::WrongType => "wrong-type",
            DiagnosticCode::InvalidValue => "invalid-value",
            DiagnosticCode::Unsupported => "unsupported",
            DiagnosticCode::Expression => "expression",
            DiagnosticCode::UnsupportedFunction => "unsupported-function",
            DiagnosticCode::Pattern => "pattern",
            DiagnosticCode::Limit => "limit",
        }
    }
}

/// One reason why a template is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Diagnostic {
    /// The file, as the caller calls it; empty until the caller names it.
    pub origin: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What kind of reason.
    pub code: DiagnosticCode,
    /// What is wrong, on which value.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// A reason without a hint.
    pub fn new(
        origin: &str,
        position: Position,
        code: DiagnosticCode,
        message: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic {
            origin: origin.to_owned(),
            line: position.line,
            column: position.column,
            code,
            message: message.into(),
            hint: None,
        }
    }

    /// The same with what to do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Diagnostic {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.origin, self.line, self.column, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}
