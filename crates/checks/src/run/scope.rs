//! The variables of one run.

use std::borrow::Cow;

use super::{RunOptions, RunTarget};
use crate::{
    expression::{Ambient, EvaluationError, Value},
    operators::list_value,
    template::{Template, Text},
};

/// Most values that extractors of one run may leave for later requests.
const MAX_DYNAMIC: usize = 200;

/// Constants, values that extractors left, payloads, values from the command line, variables, and what the target gives, in
/// that order.
pub(super) struct Scope {
    target: RunTarget,
    constants: Vec<(String, Vec<u8>)>,
    dynamic: Vec<(String, Vec<Vec<u8>>)>,
    payloads: Vec<(String, Vec<u8>)>,
    given: std::collections::BTreeMap<String, String>,
    variables: Vec<(String, Vec<u8>)>,
    /// Variables and constants whose expressions failed, and why.
    broken: Vec<(String, EvaluationError)>,
    seed: u64,
}

impl Scope {
    pub(super) fn new(
        template: &Template,
        target: &RunTarget,
        options: &RunOptions,
        ambient: &Ambient,
    ) -> Scope {
        let mut scope = Scope {
            target: target.clone(),
            constants: Vec::new(),
            dynamic: Vec::new(),
            payloads: Vec::new(),
            given: options.variables.clone(),
            variables: Vec::new(),
            broken: Vec::new(),
            seed: options.seed,
        };
        for (name, text) in &template.constants {
            match scope.render(text, ambient) {
                Ok(value) => {
                    let value = value.into_owned();
                    scope.constants.push((name.clone(), value));
                }
                Err(error) => scope.broken.push((name.clone(), error)),
            }
        }
        scope.settle(template, ambient);
        scope
    }

    /// Evaluates the variables that have no value yet and now can have one. A value once found stays.
    pub(super) fn settle(&mut self, template: &Template, ambient: &Ambient) {
        for (name, text) in &template.variables {
            if self.variables.iter().any(|(known, _)| known == name) {
                continue;
            }
            self.broken.retain(|(known, _)| known != name);
            match self.render(text, ambient) {
                Ok(value) => {
                    let value = value.into_owned();
                    self.variables.push((name.clone(), value));
                }
                Err(error) => self.broken.push((name.clone(), error)),
            }
        }
    }

    fn render<'t>(&self, text: &'t Text, ambient: &Ambient) -> Result<Cow<'t, [u8]>, EvaluationError> {
        text.render(&|name: &str| self.lookup(name), ambient)
    }

    /// The payload values of the requests that come now.
    pub(super) fn set_payloads(
        &mut self,
        set: &[(&str, &Text)],
        ambient: &Ambient,
    ) -> Result<(), EvaluationError> {
        self.payloads.clear();
        for (name, text) in set {
            let value = self.render(text, ambient)?.into_owned();
            self.payloads.push(((*name).to_owned(), value));
        }
        Ok(())
    }

    /// What an extractor left. It replaces an earlier value of that name.
    pub(super) fn learn(&mut self, name: &str, values: Vec<Vec<u8>>) {
        if let Some((_, known)) = self.dynamic.iter_mut().find(|(known, _)| known == name) {
            *known = values;
        } else if self.dynamic.len() < MAX_DYNAMIC {
            self.dynamic.push((name.to_owned(), values));
        }
    }

    /// Why a name has no value: the variable at the root of it, or the expression that failed.
    pub(super) fn why_missing(&self, name: &str) -> EvaluationError {
        let mut name = name.to_owned();
        // A variable may need another, which may need another; longer chains are cycles.
        for _ in 0..=self.broken.len() {
            match self.broken.iter().find(|(known, _)| *known == name) {
                Some((_, EvaluationError::UnknownVariable { name: needed })) => name.clone_from(needed),
                Some((_, error)) => return error.clone(),
                None => break,
            }
        }
        EvaluationError::UnknownVariable { name }
    }

    /// A value for an expression: several extracted ones are a list.
    pub(super) fn lookup(&self, name: &str) -> Option<Value<'_>> {
        let constant = self.constants.iter().find(|(known, _)| known == name);
        if let Some((_, value)) = constant {
            return Some(Value::from(value.as_slice()));
        }
        if let Some((_, values)) = self.dynamic.iter().find(|(known, _)| known == name) {
            return Some(list_value(values));
        }
        if let Some((_, value)) = self.payloads.iter().find(|(known, _)| known == name) {
            return Some(Value::from(value.as_slice()));
        }
        if let Some(value) = self.given.get(name) {
            return Some(Value::from(value.as_str()));
        }
        if let Some((_, value)) = self.variables.iter().find(|(known, _)| known == name) {
            return Some(Value::from(value.as_slice()));
        }
        self.target.lookup(name).or_else(|| random_text(name, self.seed).map(Value::from))
    }

    /// A value for a request: of several extracted ones the first.
    pub(super) fn first(&self, name: &str) -> Option<Value<'_>> {
        match self.lookup(name)? {
            Value::List(values) => values.into_iter().next(),
            value => Some(value),
        }
    }
}

/// `randstr` and `randstr_N`: the same text everywhere in a run.
fn random_text(name: &str, seed: u64) -> Option<String> {
    let number: u64 = match name.strip_prefix("randstr")? {
        "" => 0,
        rest => rest.strip_prefix('_')?.parse().ok()?,
    };
    const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut state = seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut text = String::with_capacity(27);
    while text.len() < 27 {
        // SplitMix64: one multiplication chain per letter is plenty for a marker text.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        text.push(char::from(DIGITS[(bits % 32) as usize]));
    }
    Some(text)
}
