//! Matchers and extractors: what is looked for in a response.

mod extractor;
mod hex;
mod json;
mod matcher;
mod parse;
#[cfg(test)]
mod tests;
mod xpath;

use std::{cell::RefCell, collections::BTreeMap};

pub use extractor::{Extractor, ExtractorKind};
pub use hex::decode_hex;
pub use json::{JsonQuery, JsonQueryError};
pub use matcher::{Matcher, MatcherKind, Word};
pub use xpath::{Xpath, XpathError};

use crate::expression::{Ambient, EvaluationError, Lookup, Value};

/// Most values one extractor yields for one response.
pub const MAX_EXTRACTED: usize = 100;
/// Longest value an extractor yields, in bytes; longer ones are cut.
pub const MAX_EXTRACTED_BYTES: usize = 4096;

/// All matchers and extractors of a block.
#[derive(Debug, Default)]
pub struct Operators {
    /// In the order of the file.
    pub matchers: Vec<Matcher>,
    /// In the order of the file; they run before the matchers, and those see what they found.
    pub extractors: Vec<Extractor>,
    /// All matchers must hold instead of one.
    pub all: bool,
}

/// What is known about a question: a response on which an expression fails neither matches nor does not.
#[derive(Debug, Clone, PartialEq)]
pub enum Truth {
    /// It holds.
    Yes,
    /// It does not.
    No,
    /// Could not be found out.
    Unknown(EvaluationError),
}

/// One matcher that held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hit {
    /// The matcher's name.
    pub name: Option<String>,
    /// The matcher only gates.
    pub internal: bool,
    /// The pieces of the response that it found.
    pub pieces: Vec<Vec<u8>>,
}

/// What operators make of one response.
#[derive(Debug)]
pub struct Examined {
    /// Do the matchers hold? No when there are none.
    pub matched: Truth,
    /// Those that held.
    pub hits: Vec<Hit>,
    /// Values for people, by extractor name.
    pub extracted: BTreeMap<String, Vec<String>>,
    /// Values for later requests, by extractor name.
    pub internal: Vec<(String, Vec<Vec<u8>>)>,
    /// An extractor could not be evaluated.
    pub failed: Option<EvaluationError>,
}

/// Parts of an HTTP response that hold its body, also numbered ones (`body_2`) and those of other blocks (`http_1_body`).
fn reads_body(part: &str) -> bool {
    let name = part.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('_');
    let last = name.rsplit('_').next().unwrap_or(name);
    matches!(last, "body" | "all" | "response" | "raw" | "data") || name.ends_with("content_length")
}

impl Operators {
    /// Does any of them look at a numbered response such as `body_2`?
    pub fn uses_history(&self) -> bool {
        self.mentions(|name| numbered(name).is_some())
    }

    /// Does any of them look at such a part or variable?
    pub fn mentions(&self, wanted: impl Fn(&str) -> bool) -> bool {
        let mut names: Vec<&str> = Vec::new();
        for matcher in &self.matchers {
            // Expressions name what they look at; their part says nothing.
            if !matches!(matcher.kind, MatcherKind::Dsl(_)) {
                names.push(&matcher.part);
            }
            names.extend(matcher.kind.variables());
        }
        for extractor in &self.extractors {
            names.push(&extractor.part);
            names.extend(extractor.kind.variables());
        }
        names.into_iter().any(wanted)
    }

    /// Are there matchers at all?
    pub fn has_matchers(&self) -> bool {
        !self.matchers.is_empty()
    }

    /// Runs extractors, then matchers. `lookup` knows the parts of the response and all variables.
    pub fn examine<'a>(&self, lookup: &Lookup<'_, 'a>, ambient: &Ambient) -> Examined {
        let found: RefCell<Vec<Extracted<'_>>> = RefCell::default();
        let with_found = |name: &str| -> Option<Value<'a>> {
            let found = found.borrow();
            match found.iter().rev().find(|(known, _)| *known == name) {
                Some((_, values)) => Some(list_value(values)),
                None => lookup(name),
            }
        };
        let mut examined = Examined {
            matched: Truth::No,
            hits: Vec::new(),
            extracted: BTreeMap::new(),
            internal: Vec::new(),
            failed: None,
        };
        for extractor in &self.extractors {
            let values = match extractor.extract(&with_found, ambient) {
                Ok(values) => values,
                Err(error) => {
                    // A nameless value is only for show, unless there is nothing else.
                    if extractor.name.is_some() || self.matchers.is_empty() {
                        examined.failed.get_or_insert(error);
                    }
                    continue;
                }
            };
            if values.is_empty() {
                continue;
            }
            let name = extractor.name.as_deref().unwrap_or_default();
            if extractor.internal {
                examined.internal.push((name.to_owned(), values.clone()));
            } else {
                let shown = values.iter().map(|value| String::from_utf8_lossy(value).into_owned());
                let kept = examined.extracted.entry(name.to_owned()).or_default();
                for value in shown {
                    if !kept.contains(&value) && kept.len() < MAX_EXTRACTED {
                        kept.push(value);
                    }
                }
            }
            if !name.is_empty() {
                found.borrow_mut().push((name, values));
            }
        }
        examined.matched = self.decide(&with_found, ambient, &mut examined.hits);
        examined
    }

    /// Could the rest of a body of which only the beginning is known change the verdict on the beginning? What does not hold may
    /// hold on the whole, and what holds because something is absent may not.
    pub fn hang_on_rest_of_body(&self, verdict: &Truth, lookup: &Lookup<'_, '_>, ambient: &Ambient) -> bool {
        let fixed = |matcher: &Matcher| matcher.examine(lookup, ambient, &mut Vec::new());
        // What was found in the beginning stays found.
        let hang = |matcher: &&Matcher| matcher.reads_body() && !matcher.negative;
        match verdict {
            Truth::Unknown(_) => false,
            Truth::No if self.matchers.is_empty() => self.extractors.iter().any(|extractor| {
                reads_body(&extractor.part) || extractor.kind.variables().into_iter().any(reads_body)
            }),
            // Not when another condition that must hold does not.
            Truth::No => {
                let mut others = self.matchers.iter().filter(|matcher| !hang(matcher));
                self.matchers.iter().any(|matcher| hang(&matcher))
                    && !(self.all && others.any(|matcher| fixed(matcher) == Truth::No))
            }
            Truth::Yes => {
                let mut by_absence =
                    self.matchers.iter().filter(|matcher| matcher.holds_by_absence_in_body());
                let mut others = self.matchers.iter().filter(|matcher| !matcher.holds_by_absence_in_body());
                match self.all {
                    true => by_absence.next().is_some(),
                    false => !others.any(|matcher| fixed(matcher) == Truth::Yes),
                }
            }
        }
    }

    /// An unknown matters only when it could change the answer.
    fn decide(&self, lookup: &Lookup<'_, '_>, ambient: &Ambient, hits: &mut Vec<Hit>) -> Truth {
        let mut unknown = None;
        for matcher in &self.matchers {
            let mut pieces = Vec::new();
            match matcher.examine(lookup, ambient, &mut pieces) {
                Truth::Yes => {
                    let (name, internal) = (matcher.name.clone(), matcher.internal);
                    hits.push(Hit { name, internal, pieces });
                }
                Truth::No if self.all => {
                    hits.clear();
                    return Truth::No;
                }
                Truth::No => {}
                Truth::Unknown(error) => {
                    unknown.get_or_insert(error);
                }
            }
        }
        match unknown {
            Some(error) if self.all || hits.is_empty() => {
                hits.clear();
                Truth::Unknown(error)
            }
            _ if hits.is_empty() => Truth::No,
            _ => Truth::Yes,
        }
    }
}

/// The values that an extractor of this name found.
type Extracted<'o> = (&'o str, Vec<Vec<u8>>);

/// One value is a text, several are a list, as in the public language.
pub(crate) fn list_value(values: &[Vec<u8>]) -> Value<'static> {
    match values {
        [single] => Value::from(single.clone()),
        several => Value::from(several.iter().cloned().map(Value::from).collect::<Vec<_>>()),
    }
}

/// `body_2` is the part `body` of the second response.
pub(crate) fn numbered(name: &str) -> Option<(&str, usize)> {
    let (base, digits) = name.rsplit_once('_')?;
    let number = digits.parse().ok().filter(|number| (1..1000).contains(number))?;
    (!base.is_empty() && base != "randstr" && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then_some((base, number))
}
