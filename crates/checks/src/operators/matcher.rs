//! Matchers.

use memchr::memmem::Finder;
use regex::bytes::Regex;

use super::{Truth, Xpath, reads_body};
use crate::{
    expression::{Ambient, EvaluationError, Expression, Lookup},
    template::Text,
};

/// Most pieces one matcher keeps as evidence.
const MAX_PIECES: usize = 16;
/// Longest piece kept as evidence, in bytes.
const MAX_PIECE_BYTES: usize = 1024;

/// One thing to look for.
#[derive(Debug)]
pub struct Matcher {
    /// What to look for.
    pub kind: MatcherKind,
    /// Where: a part of the response, or a variable.
    pub part: String,
    /// All entries must be found instead of one.
    pub all: bool,
    /// Holds when it is not found.
    pub negative: bool,
    /// Names the finding.
    pub name: Option<String>,
    /// Only gates: the match itself is no finding.
    pub internal: bool,
}

/// The kinds of matchers.
#[derive(Debug)]
pub enum MatcherKind {
    /// Texts in a part.
    Words(Vec<Word>),
    /// Regular expressions on a part.
    Regexes(Vec<Regex>),
    /// Bytes in a part.
    Binary(Vec<Finder<'static>>),
    /// Status codes.
    Status(Vec<u32>),
    /// Lengths of a part.
    Size(Vec<usize>),
    /// Expressions.
    Dsl(Vec<Expression>),
    /// XPath on a part.
    Xpath(Vec<Xpath>),
}

/// One word of a word matcher.
#[derive(Debug)]
pub enum Word {
    /// Exactly these bytes.
    Exact(Finder<'static>),
    /// Any case.
    AnyCase(Regex),
    /// Rendered first.
    Rendered {
        /// With marks.
        text: Text,
        /// Any case.
        any_case: bool,
    },
}

impl MatcherKind {
    pub(super) fn variables(&self) -> Vec<&str> {
        match self {
            MatcherKind::Dsl(expressions) => expressions.iter().flat_map(Expression::variables).collect(),
            MatcherKind::Words(words) => words
                .iter()
                .flat_map(|word| match word {
                    Word::Rendered { text, .. } => text.variables(),
                    Word::Exact(_) | Word::AnyCase(_) => Vec::new(),
                })
                .collect(),
            _ => Vec::new(),
        }
    }
}

impl Matcher {
    /// Does it look at the body of an HTTP response?
    pub(super) fn reads_body(&self) -> bool {
        match &self.kind {
            MatcherKind::Status(_) => false,
            MatcherKind::Dsl(_) => self.kind.variables().into_iter().any(reads_body),
            _ => reads_body(&self.part),
        }
    }

    /// Can it hold because something does not stand in the body? Of an expression only this much is known that it denies
    /// something.
    pub(super) fn holds_by_absence_in_body(&self) -> bool {
        let denies = |expression: &Expression| {
            expression.source().split('!').skip(1).any(|after| !after.starts_with('='))
        };
        let denied = match &self.kind {
            MatcherKind::Dsl(expressions) => expressions.iter().any(denies),
            _ => false,
        };
        self.reads_body() && (self.negative || denied)
    }

    /// Does it hold? Adds what it found to `pieces`.
    pub(super) fn examine(
        &self,
        lookup: &Lookup<'_, '_>,
        ambient: &Ambient,
        pieces: &mut Vec<Vec<u8>>,
    ) -> Truth {
        let held = match &self.kind {
            MatcherKind::Dsl(expressions) => return self.dsl(expressions, lookup, ambient),
            MatcherKind::Status(codes) => {
                let code =
                    lookup("status_code").or_else(|| lookup("rcode")).and_then(|code| code.as_number());
                match code {
                    Some(code) => codes.iter().any(|wanted| f64::from(*wanted) == code),
                    None => return Truth::No,
                }
            }
            kind => {
                // A part that is not there is never a match, a negated one neither.
                let Some(part) = lookup(&self.part) else { return Truth::No };
                let part = part.text();
                match self.in_part(kind, &part, lookup, ambient, pieces) {
                    Ok(held) => held,
                    Err(error) => return Truth::Unknown(error),
                }
            }
        };
        if held != self.negative {
            if self.negative {
                pieces.clear();
            }
            Truth::Yes
        } else {
            pieces.clear();
            Truth::No
        }
    }

    fn in_part(
        &self,
        kind: &MatcherKind,
        part: &[u8],
        lookup: &Lookup<'_, '_>,
        ambient: &Ambient,
        pieces: &mut Vec<Vec<u8>>,
    ) -> Result<bool, EvaluationError> {
        let held = match kind {
            MatcherKind::Words(words) => {
                let mut failed = None;
                let held = self.combine(words, |word| match find_word(word, part, lookup, ambient) {
                    Ok(found) => found.is_some_and(|range| keep(pieces, &part[range])),
                    Err(error) => {
                        failed.get_or_insert(error);
                        false
                    }
                });
                match failed {
                    Some(error) if !held => return Err(error),
                    _ => held,
                }
            }
            MatcherKind::Regexes(regexes) => self.combine(regexes, |regex| {
                regex.find(part).is_some_and(|found| keep(pieces, found.as_bytes()))
            }),
            MatcherKind::Binary(finders) => self.combine(finders, |finder| {
                finder.find(part).is_some_and(|at| keep(pieces, &part[at..at + finder.needle().len()]))
            }),
            MatcherKind::Size(sizes) => sizes.contains(&part.len()),
            MatcherKind::Xpath(paths) => self.combine(paths, |path| {
                let found = path.select(part, None);
                found.iter().for_each(|value| {
                    keep(pieces, value);
                });
                !found.is_empty()
            }),
            MatcherKind::Status(_) | MatcherKind::Dsl(_) => false,
        };
        Ok(held)
    }

    fn combine<T>(&self, entries: &[T], mut found: impl FnMut(&T) -> bool) -> bool {
        if self.all {
            !entries.is_empty() && entries.iter().all(&mut found)
        } else {
            entries.iter().any(&mut found)
        }
    }

    /// An unknown variable is false, as in the public language; any other failure is unknown unless another entry decides.
    fn dsl(&self, expressions: &[Expression], lookup: &Lookup<'_, '_>, ambient: &Ambient) -> Truth {
        let (mut yes, mut no, mut missing, mut unknown) = (false, false, false, None);
        for expression in expressions {
            match expression.evaluate(lookup, ambient) {
                Ok(value) if value.truthy() => yes = true,
                Ok(_) => no = true,
                Err(EvaluationError::UnknownVariable { .. }) => missing = true,
                Err(error) => {
                    unknown.get_or_insert(error);
                }
            }
            if (self.all && (no || missing)) || (!self.all && yes) {
                break;
            }
        }
        let held = if self.all {
            match unknown {
                _ if no || missing => false,
                Some(error) => return Truth::Unknown(error),
                None => yes,
            }
        } else {
            match unknown {
                _ if yes => true,
                Some(error) => return Truth::Unknown(error),
                None => false,
            }
        };
        // What could not be looked at is no match, negated or not.
        if !held && missing && !no {
            return Truth::No;
        }
        if held == self.negative { Truth::No } else { Truth::Yes }
    }
}

fn find_word(
    word: &Word,
    part: &[u8],
    lookup: &Lookup<'_, '_>,
    ambient: &Ambient,
) -> Result<Option<std::ops::Range<usize>>, EvaluationError> {
    let found = |at: Option<usize>, length: usize| at.map(|at| at..at + length);
    match word {
        Word::Exact(finder) => Ok(found(finder.find(part), finder.needle().len())),
        Word::AnyCase(regex) => Ok(regex.find(part).map(|found| found.range())),
        Word::Rendered { text, any_case } => {
            let rendered = match text.render(lookup, ambient) {
                Ok(rendered) => rendered,
                // A mark that nothing defines stands for itself, as in the public language.
                Err(EvaluationError::UnknownVariable { .. }) => text.source().as_bytes().into(),
                Err(error) => return Err(error),
            };
            if *any_case {
                let (part, word) = (part.to_ascii_lowercase(), rendered.to_ascii_lowercase());
                Ok(found(memchr::memmem::find(&part, &word), word.len()))
            } else {
                Ok(found(memchr::memmem::find(part, &rendered), rendered.len()))
            }
        }
    }
}

/// Keeps a piece as evidence; always true.
fn keep(pieces: &mut Vec<Vec<u8>>, piece: &[u8]) -> bool {
    let piece = &piece[..piece.len().min(MAX_PIECE_BYTES)];
    if pieces.len() < MAX_PIECES && !piece.is_empty() && !pieces.iter().any(|known| known == piece) {
        pieces.push(piece.to_vec());
    }
    true
}
