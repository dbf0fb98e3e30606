//! Regular expressions in Go's dialect (RE2), compiled with Rust's engine, which is linear in time as Go's is.
//!
//! The dialects differ in small things that templates do use: Go takes a `{` that repeats nothing literally, its `\d`, `\w`,
//! `\s` and `\b` know ASCII only, and it has `\Q...\E`. And Go looks at a byte that is not UTF-8 as one odd character, which `.`
//! and `[^"]` match; pages in Latin-1 depend on it. [`compile`] keeps all of this.

mod translate;

#[cfg(test)]
pub(crate) mod tests;

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::hir::{Capture, Class, ClassBytes, ClassBytesRange, Hir, HirKind, Repetition};

/// Longest pattern that is compiled, in bytes.
pub const MAX_PATTERN: usize = 16 * 1024;
/// Largest compiled program, in bytes.
pub const MAX_PROGRAM: usize = 10 * 1024 * 1024;
/// Longest form of a pattern with its classes written out, in bytes.
const MAX_EXPANDED: usize = 4 * 1024 * 1024;
/// Deepest nesting of groups and repetitions.
const MAX_NESTING: u32 = 100;

/// Why a pattern is not compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It is malformed, in Go's dialect too.
    #[error("the pattern is malformed: {0}")]
    Syntax(String),
    /// It uses what linear matching cannot offer, or what has no meaning on bytes.
    #[error("the pattern uses {0}, which is not supported; write it without")]
    Unsupported(&'static str),
    /// It is longer than [`MAX_PATTERN`].
    #[error("the pattern has {0} bytes, the longest that is compiled has {MAX_PATTERN}")]
    TooLong(usize),
    /// Its program would be larger than [`MAX_PROGRAM`]: usually a large repetition of a large class.
    #[error("the compiled pattern would pass {MAX_PROGRAM} bytes, lower its repetitions")]
    TooBig,
}

/// Compiles a pattern of Go's dialect for matching bytes.
///
/// # Errors
/// When the pattern is malformed, needs backtracking, or would be too large.
pub fn compile(go_pattern: &str, case_insensitive: bool) -> Result<Regex, PatternError> {
    if go_pattern.len() > MAX_PATTERN {
        return Err(PatternError::TooLong(go_pattern.len()));
    }
    let translated = translate::translate(go_pattern)?;
    let parsed = regex_syntax::ParserBuilder::new()
        .utf8(false)
        .case_insensitive(case_insensitive)
        .nest_limit(MAX_NESTING)
        .build()
        .parse(&translated)
        .map_err(|error| PatternError::Syntax(reason(&error)))?;
    let mut expanded = Bounded(String::new());
    fmt::write(&mut expanded, format_args!("{}", with_stray_bytes(parsed)))
        .map_err(|_| PatternError::TooBig)?;
    RegexBuilder::new(&expanded.0).size_limit(MAX_PROGRAM).nest_limit(10 * MAX_NESTING).build().map_err(
        |error| match error {
            regex::Error::CompiledTooBig(_) => PatternError::TooBig,
            other => PatternError::Syntax(other.to_string()),
        },
    )
}

fn reason(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(error) => error.kind().to_string(),
        regex_syntax::Error::Translate(error) => error.kind().to_string(),
        other => other.to_string(),
    }
}

/// Lets every class that has U+FFFD match a single byte that is not UTF-8 too: Go reads such a byte as that character.
///
/// A class that leaves out particular characters beyond ASCII, such as `[^é]`, then matches their single bytes; that is the
/// price, and such classes are rare.
fn with_stray_bytes(pattern: Hir) -> Hir {
    match pattern.into_kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(literal) => Hir::literal(literal.0),
        HirKind::Class(Class::Unicode(class)) => {
            let odd = char::REPLACEMENT_CHARACTER;
            let has_odd = class.iter().any(|range| range.start() <= odd && odd <= range.end());
            let class = Hir::class(Class::Unicode(class));
            if !has_odd {
                return class;
            }
            let stray = ClassBytes::new([ClassBytesRange::new(0x80, 0xFF)]);
            Hir::alternation(vec![class, Hir::class(Class::Bytes(stray))])
        }
        HirKind::Class(class @ Class::Bytes(_)) => Hir::class(class),
        HirKind::Look(look) => Hir::look(look),
        HirKind::Repetition(repetition) => {
            let sub = Box::new(with_stray_bytes(*repetition.sub));
            Hir::repetition(Repetition { sub, ..repetition })
        }
        HirKind::Capture(capture) => {
            let sub = Box::new(with_stray_bytes(*capture.sub));
            Hir::capture(Capture { sub, ..capture })
        }
        HirKind::Concat(parts) => Hir::concat(parts.into_iter().map(with_stray_bytes).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.into_iter().map(with_stray_bytes).collect()),
    }
}

/// A text that refuses to grow past [`MAX_EXPANDED`].
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > MAX_EXPANDED {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}
