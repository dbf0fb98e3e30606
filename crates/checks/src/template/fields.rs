//! Reading a mapping so that no field of it is overlooked.

use std::cell::RefCell;

use crate::{
    diagnostic::{Diagnostic, DiagnosticCode, Position},
    expression::ExpressionError,
    yaml::{Key, Kind, Node},
};

/// Collects what is wrong with one template.
pub(crate) struct Report {
    origin: String,
    found: RefCell<Vec<Diagnostic>>,
}

impl Report {
    pub(crate) fn new(origin: &str) -> Report {
        Report { origin: origin.to_owned(), found: RefCell::default() }
    }

    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    pub(crate) fn has_any(&self) -> bool {
        !self.found.borrow().is_empty()
    }

    pub(crate) fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.found.into_inner()
    }

    pub(crate) fn add(&self, at: Position, code: DiagnosticCode, message: String) {
        self.found.borrow_mut().push(Diagnostic::new(&self.origin, at, code, message));
    }

    pub(crate) fn add_with_hint(
        &self,
        at: Position,
        code: DiagnosticCode,
        message: String,
        hint: impl Into<String>,
    ) {
        self.found.borrow_mut().push(Diagnostic::new(&self.origin, at, code, message).with_hint(hint));
    }

    pub(crate) fn unsupported(&self, at: Position, message: String) {
        self.add(at, DiagnosticCode::Unsupported, message);
    }

    pub(crate) fn wrong_type(&self, node: &Node, what: &str, wanted: &str) {
        let message = format!("{what} must be {wanted}, not {}", node.describe());
        self.add(node.position, DiagnosticCode::WrongType, message);
    }

    pub(crate) fn expression(&self, at: Position, source: &str, error: &ExpressionError) {
        let code = match error {
            ExpressionError::UnknownFunction { .. } | ExpressionError::UnsupportedFunction { .. } => {
                DiagnosticCode::UnsupportedFunction
            }
            ExpressionError::BadRegex { .. } => DiagnosticCode::Pattern,
            ExpressionError::TooDeep | ExpressionError::TooLong { .. } => DiagnosticCode::Limit,
            ExpressionError::Syntax { .. } | ExpressionError::Arity { .. } => DiagnosticCode::Expression,
        };
        let shown: String = source.chars().take(120).collect();
        self.add(at, code, format!("in `{shown}`: {error}"));
    }
}

/// The fields of one mapping, each to be asked for by name; [`Fields::finish`] reports those that nobody asked for.
pub(crate) struct Fields<'t> {
    what: &'static str,
    position: Position,
    entries: &'t [(Key, Node)],
    asked: RefCell<Vec<String>>,
    report: &'t Report,
}

impl<'t> Fields<'t> {
    /// Reports and gives up when the node is no mapping.
    pub(crate) fn new(node: &'t Node, what: &'static str, report: &'t Report) -> Option<Fields<'t>> {
        match &node.kind {
            Kind::Mapping(entries) => {
                Some(Fields { what, position: node.position, entries, asked: RefCell::default(), report })
            }
            _ => {
                report.wrong_type(node, what, "a mapping of fields");
                None
            }
        }
    }

    /// Where the mapping begins.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// Where a field stands; the mapping's place when it is not there.
    pub(crate) fn position_of(&self, name: &str) -> Position {
        let found = self.entries.iter().find(|(key, _)| key.text == name);
        found.map_or(self.position, |(key, _)| key.position)
    }

    /// The value of a field; a field without a value counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&'t Node> {
        self.accept(name);
        let found = self.entries.iter().find(|(key, _)| key.text == name);
        found.map(|(_, node)| node).filter(|node| !node.is_null())
    }

    /// Every key of the mapping, for mappings whose keys are data.
    pub(crate) fn accept(&self, name: &str) {
        let mut asked = self.asked.borrow_mut();
        if !asked.iter().any(|known| known == name) {
            asked.push(name.to_owned());
        }
    }

    /// The language has this field, Rampart does not. `false` is as good as absent.
    pub(crate) fn refuse(&self, name: &str, reason: &str) {
        if let Some(node) = self.get(name)
            && node.text() != Some("false")
        {
            self.report.unsupported(self.position_of(name), format!("`{name}`: {reason}"));
        }
    }

    /// A single value as text.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let node = self.get(name)?;
        match node.text() {
            Some(text) => Some(text.to_owned()),
            None => {
                self.report.wrong_type(node, &format!("`{name}`"), "a single value");
                None
            }
        }
    }

    /// The same, and its absence is reported.
    pub(crate) fn required_text(&self, name: &str) -> Option<String> {
        match self.text(name).filter(|text| !text.trim().is_empty()) {
            Some(text) => Some(text),
            None => {
                self.missing(name);
                None
            }
        }
    }

    /// Reports that a field is absent.
    pub(crate) fn missing(&self, name: &str) {
        let message = format!("the {} has no `{name}`", self.what);
        self.report.add(self.position, DiagnosticCode::MissingField, message);
    }

    /// A truth value, false when absent.
    pub(crate) fn flag(&self, name: &str) -> bool {
        let Some(node) = self.get(name) else { return false };
        match node.text().map(str::trim) {
            Some("true" | "True" | "TRUE") => true,
            Some("false" | "False" | "FALSE") => false,
            _ => {
                let message = format!("`{name}` must be true or false");
                self.report.add(node.position, DiagnosticCode::InvalidValue, message);
                false
            }
        }
    }

    /// A whole number in a range.
    pub(crate) fn number(&self, name: &str, least: u64, most: u64) -> Option<u64> {
        let node = self.get(name)?;
        let number = node.text().and_then(|text| text.trim().parse::<u64>().ok());
        match number.filter(|number| (least..=most).contains(number)) {
            Some(number) => Some(number),
            None => {
                let given = node.text().unwrap_or("a list or mapping");
                let message = format!("`{name}` must be a number from {least} to {most}, not `{given}`");
                self.report.add(node.position, DiagnosticCode::InvalidValue, message);
                None
            }
        }
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Option<T> {
        let node = self.get(name)?;
        let given = node.text().unwrap_or_default().trim();
        let found = words.iter().find(|(word, _)| given.eq_ignore_ascii_case(word));
        if found.is_none() {
            let choices: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let message = format!("`{name}` cannot be `{given}`");
            let hint = format!("use one of: {}", choices.join(", "));
            self.report.add_with_hint(node.position, DiagnosticCode::InvalidValue, message, hint);
        }
        found.map(|(_, value)| *value)
    }

    /// A list of single values, or one single value, each with its place.
    pub(crate) fn texts(&self, name: &str) -> Vec<(&'t str, Position)> {
        let Some(node) = self.get(name) else { return Vec::new() };
        match &node.kind {
            Kind::Scalar { text, .. } => vec![(text.as_str(), node.position)],
            Kind::Sequence(items) => {
                let mut texts = Vec::with_capacity(items.len());
                for item in items {
                    match item.text() {
                        Some(text) => texts.push((text, item.position)),
                        None => {
                            let what = format!("every entry of `{name}`");
                            self.report.wrong_type(item, &what, "a single value");
                        }
                    }
                }
                texts
            }
            Kind::Mapping(_) => {
                self.report.wrong_type(node, &format!("`{name}`"), "a list of values");
                Vec::new()
            }
        }
    }

    /// Reports every field that nobody asked for.
    pub(crate) fn finish(&self) {
        let asked = self.asked.borrow();
        for (key, _) in self.entries {
            if asked.contains(&key.text) {
                continue;
            }
            let message = format!("a {} has no field `{}`", self.what, key.text);
            match nearest(&key.text, &asked) {
                Some(name) => {
                    let hint = format!("did you mean `{name}`?");
                    self.report.add_with_hint(key.position, DiagnosticCode::UnknownField, message, hint);
                }
                None => self.report.add(key.position, DiagnosticCode::UnknownField, message),
            }
        }
    }
}

/// The known name that a misspelt one most likely means.
fn nearest<'a>(given: &str, known: &'a [String]) -> Option<&'a str> {
    if given.len() > 64 {
        return None;
    }
    let given = given.to_ascii_lowercase().replace('_', "-");
    let scored = known.iter().map(|name| (distance(&given, &name.replace('_', "-")), name));
    let (score, name) = scored.min()?;
    (score <= given.len() / 3).then_some(name.as_str())
}

/// Levenshtein distance over bytes.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}
