//! Extractors.

use regex::bytes::Regex;

use super::{JsonQuery, MAX_EXTRACTED, MAX_EXTRACTED_BYTES, Xpath};
use crate::expression::{Ambient, EvaluationError, Expression, Lookup, Value};

/// One thing to take out of a response.
#[derive(Debug)]
pub struct Extractor {
    /// How.
    pub kind: ExtractorKind,
    /// From where: a part of the response, or a variable.
    pub part: String,
    /// The name of the values, for people or as a variable.
    pub name: Option<String>,
    /// For later requests and matchers, not for people.
    pub internal: bool,
}

/// The kinds of extractors.
#[derive(Debug)]
pub enum ExtractorKind {
    /// A group of each match.
    Regexes {
        /// Tried in order; all matches count.
        regexes: Vec<Regex>,
        /// 0 is the whole match.
        group: usize,
    },
    /// Headers, cookies and other parts by name, lower case with `_`.
    Kval(Vec<String>),
    /// Queries on JSON.
    Json(Vec<JsonQuery>),
    /// XPath on HTML.
    Xpath {
        /// All selected nodes count.
        paths: Vec<Xpath>,
        /// This attribute instead of the text.
        attribute: Option<String>,
    },
    /// Expressions.
    Dsl(Vec<Expression>),
}

impl ExtractorKind {
    pub(super) fn variables(&self) -> Vec<&str> {
        match self {
            ExtractorKind::Dsl(expressions) => expressions.iter().flat_map(Expression::variables).collect(),
            ExtractorKind::Kval(keys) => keys.iter().map(String::as_str).collect(),
            _ => Vec::new(),
        }
    }
}

impl Extractor {
    /// Distinct values in order of appearance. What is not there yields nothing.
    pub(super) fn extract(
        &self,
        lookup: &Lookup<'_, '_>,
        ambient: &Ambient,
    ) -> Result<Vec<Vec<u8>>, EvaluationError> {
        let mut values = Values::default();
        match &self.kind {
            ExtractorKind::Kval(keys) => {
                for key in keys {
                    if let Some(value) = lookup(key) {
                        values.add_value(&value);
                    }
                }
            }
            ExtractorKind::Dsl(expressions) => {
                for expression in expressions {
                    match expression.evaluate(lookup, ambient) {
                        Ok(value) => values.add_value(&value),
                        Err(EvaluationError::UnknownVariable { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            kind => {
                let Some(part) = lookup(&self.part) else { return Ok(Vec::new()) };
                let part = part.text();
                match kind {
                    ExtractorKind::Regexes { regexes, group } => {
                        for regex in regexes {
                            for captures in regex.captures_iter(&part) {
                                if values.full() {
                                    break;
                                }
                                if let Some(found) = captures.get(*group) {
                                    values.add(found.as_bytes());
                                }
                            }
                        }
                    }
                    ExtractorKind::Json(queries) => {
                        for query in queries {
                            query.select(&part).iter().for_each(|value| values.add(value.as_bytes()));
                        }
                    }
                    ExtractorKind::Xpath { paths, attribute } => {
                        for path in paths {
                            let found = path.select(&part, attribute.as_deref());
                            found.iter().for_each(|value| values.add(value));
                        }
                    }
                    ExtractorKind::Kval(_) | ExtractorKind::Dsl(_) => {}
                }
            }
        }
        Ok(values.0)
    }
}

#[derive(Default)]
struct Values(Vec<Vec<u8>>);

impl Values {
    fn full(&self) -> bool {
        self.0.len() >= MAX_EXTRACTED
    }

    fn add(&mut self, value: &[u8]) {
        let value = &value[..value.len().min(MAX_EXTRACTED_BYTES)];
        if !value.is_empty() && !self.full() && !self.0.iter().any(|known| known == value) {
            self.0.push(value.to_vec());
        }
    }

    fn add_value(&mut self, value: &Value<'_>) {
        match value {
            Value::List(values) => values.iter().for_each(|value| self.add(&value.text())),
            Value::Null => {}
            value => self.add(&value.text()),
        }
    }
}
