//! JSON queries: the part of jq's language that templates use, with a bound on the work.
//!
//! Paths (`.a."b-c"[0][].d?`), `..`, `|`, `,`, `select(.a == "x")`, `keys`, `length`, `first`, `last`, `tostring`. All of jq
//! would let a template loop for ever.

use serde_json::Value;

use super::MAX_EXTRACTED;

/// Longest query, in bytes.
const MAX_SOURCE: usize = 4096;
/// Deepest nesting of `select`.
const MAX_DEPTH: usize = 16;
/// Most values a query may visit.
const FUEL: usize = 100_000;
/// Longest JSON that is queried, in bytes.
const MAX_DOCUMENT: usize = 8 * 1024 * 1024;

/// A compiled query.
#[derive(Debug, Clone)]
pub struct JsonQuery {
    /// Stages joined by `|`, each with alternatives joined by `,`, each a chain of steps.
    stages: Vec<Vec<Vec<Step>>>,
}

/// Why a text is no query that can be run here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct JsonQueryError {
    /// jq has it, Rampart does not.
    pub unsupported: bool,
    /// What is wrong.
    pub message: String,
}

#[derive(Debug, Clone)]
enum Step {
    Key(String),
    Index(i64),
    Each,
    Descend,
    Select { path: JsonQuery, test: Option<(bool, Value)> },
    Keys,
    Length,
    First,
    Last,
    ToString,
    Literal(Value),
}

impl JsonQuery {
    /// Compiles a query.
    ///
    /// # Errors
    /// When it is malformed or uses more of jq than is supported.
    pub fn parse(source: &str) -> Result<JsonQuery, JsonQueryError> {
        if source.len() > MAX_SOURCE {
            return Err(wrong(format!("longer than {MAX_SOURCE} bytes")));
        }
        let mut parser = QueryParser { rest: source, depth: 0 };
        let query = parser.query()?;
        match parser.rest.trim() {
            "" => Ok(query),
            rest => Err(unsupported(rest)),
        }
    }

    /// The values it selects as text: strings bare, everything else as JSON. Text that is not JSON yields nothing.
    pub fn select(&self, document: &[u8]) -> Vec<String> {
        if document.len() > MAX_DOCUMENT {
            return Vec::new();
        }
        let Ok(document) = serde_json::from_slice::<Value>(document) else { return Vec::new() };
        let mut fuel = FUEL;
        let selected = self.run(vec![document], &mut fuel);
        let text = |value: Value| match value {
            Value::Null => None,
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        };
        selected.into_iter().filter_map(text).take(MAX_EXTRACTED).collect()
    }

    fn run(&self, mut inputs: Vec<Value>, fuel: &mut usize) -> Vec<Value> {
        for stage in &self.stages {
            let mut outputs = Vec::new();
            for input in inputs {
                for chain in stage {
                    let mut values = vec![input.clone()];
                    for step in chain {
                        values = values.into_iter().flat_map(|value| step.apply(value, fuel)).collect();
                    }
                    outputs.append(&mut values);
                }
            }
            inputs = outputs;
        }
        inputs
    }
}

impl Step {
    fn apply(&self, value: Value, fuel: &mut usize) -> Vec<Value> {
        // The clone of an alternative's input costs what the input holds; spending by value is near enough because chains
        // only ever narrow.
        let mut spend = |amount: usize| {
            let enough = *fuel >= amount;
            *fuel = fuel.saturating_sub(amount);
            enough
        };
        if !spend(1) {
            return Vec::new();
        }
        match (self, value) {
            (Step::Key(key), Value::Object(mut fields)) => fields.remove(key).into_iter().collect(),
            (Step::Index(index), Value::Array(mut items)) => {
                let at = if *index < 0 { items.len() as i64 + index } else { *index };
                match usize::try_from(at) {
                    Ok(at) if at < items.len() => vec![items.swap_remove(at)],
                    _ => Vec::new(),
                }
            }
            (Step::Each, Value::Array(items)) if spend(items.len()) => items,
            (Step::Each, Value::Object(fields)) if spend(fields.len()) => {
                fields.into_iter().map(|(_, value)| value).collect()
            }
            (Step::Descend, value) => {
                let mut all = vec![value];
                let mut next = 0;
                while next < all.len() {
                    let children: Vec<Value> = match &all[next] {
                        Value::Array(items) => items.clone(),
                        Value::Object(fields) => fields.values().cloned().collect(),
                        _ => Vec::new(),
                    };
                    // Each level holds copies of what is below it: deep documents cost what they would take.
                    if !spend(1 + children.iter().map(weight).sum::<usize>()) {
                        break;
                    }
                    all.extend(children);
                    next += 1;
                }
                all
            }
            (Step::Select { path, test }, value) => {
                let found = path.run(vec![value.clone()], fuel);
                let holds = found.iter().any(|found| match test {
                    Some((equal, wanted)) => (found == wanted) == *equal,
                    None => !matches!(found, Value::Null | Value::Bool(false)),
                });
                if holds { vec![value] } else { Vec::new() }
            }
            (Step::Keys, Value::Object(fields)) => {
                let mut keys: Vec<String> = fields.into_iter().map(|(key, _)| key).collect();
                keys.sort();
                vec![Value::from(keys)]
            }
            (Step::Length, value) => {
                let length = match value {
                    Value::Array(items) => items.len(),
                    Value::Object(fields) => fields.len(),
                    Value::String(text) => text.chars().count(),
                    Value::Null => 0,
                    _ => return Vec::new(),
                };
                vec![Value::from(length)]
            }
            (Step::First, Value::Array(items)) => items.into_iter().take(1).collect(),
            (Step::Last, Value::Array(mut items)) => items.pop().into_iter().collect(),
            (Step::ToString, Value::String(text)) => vec![Value::String(text)],
            (Step::ToString, value) => vec![Value::String(value.to_string())],
            (Step::Literal(literal), _) => vec![literal.clone()],
            _ => Vec::new(),
        }
    }
}

/// How much there is to copy: values, and texts by their length.
fn weight(value: &Value) -> usize {
    const BYTES_OF_A_VALUE: usize = 64;
    1 + match value {
        Value::String(text) => text.len() / BYTES_OF_A_VALUE,
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| key.len() / BYTES_OF_A_VALUE + weight(value)).sum()
        }
        _ => 0,
    }
}

struct QueryParser<'s> {
    rest: &'s str,
    depth: usize,
}

impl QueryParser<'_> {
    fn eat(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn query(&mut self) -> Result<JsonQuery, JsonQueryError> {
        let mut stages = Vec::new();
        loop {
            let mut alternatives = vec![self.chain()?];
            while self.eat(",") {
                alternatives.push(self.chain()?);
            }
            stages.push(alternatives);
            if !self.eat("|") {
                return Ok(JsonQuery { stages });
            }
        }
    }

    fn chain(&mut self) -> Result<Vec<Step>, JsonQueryError> {
        self.rest = self.rest.trim_start();
        let mut steps = Vec::new();
        if self.rest.starts_with('"') {
            return Ok(vec![Step::Literal(Value::String(self.string()?))]);
        }
        if !self.rest.starts_with('.') {
            return self.function().map(|step| vec![step]);
        }
        if self.eat("..") {
            steps.push(Step::Descend);
        } else if self.rest.starts_with(".[") || self.rest.starts_with(".\"") {
            self.rest = &self.rest[1..];
            if self.rest.starts_with('"') {
                steps.push(Step::Key(self.string()?));
            }
        } else if self.rest[1..].starts_with(is_name_start) {
            self.rest = &self.rest[1..];
            steps.push(Step::Key(self.name()));
        } else {
            self.rest = &self.rest[1..];
        }
        loop {
            if let Some(rest) = self.rest.strip_prefix('?') {
                self.rest = rest;
            } else if let Some(rest) = self.rest.strip_prefix('[') {
                self.rest = rest;
                steps.push(self.bracket()?);
            } else if let Some(rest) = self.rest.strip_prefix('.') {
                if rest.starts_with(is_name_start) {
                    self.rest = rest;
                    steps.push(Step::Key(self.name()));
                } else if rest.starts_with('"') {
                    self.rest = rest;
                    steps.push(Step::Key(self.string()?));
                } else if rest.starts_with('[') {
                    self.rest = rest;
                } else {
                    return Err(wrong(format!("a name is missing after the dot in `{}`", self.rest)));
                }
            } else {
                return Ok(steps);
            }
        }
    }

    fn bracket(&mut self) -> Result<Step, JsonQueryError> {
        self.rest = self.rest.trim_start();
        let step = if self.rest.starts_with(']') {
            Step::Each
        } else if self.rest.starts_with('"') {
            Step::Key(self.string()?)
        } else {
            let end = self.rest.find(']').ok_or_else(|| wrong("`[` without `]`".to_owned()))?;
            let (index, rest) = self.rest.split_at(end);
            self.rest = rest;
            Step::Index(index.trim().parse().map_err(|_| unsupported(index))?)
        };
        if self.eat("]") { Ok(step) } else { Err(unsupported(self.rest)) }
    }

    fn function(&mut self) -> Result<Step, JsonQueryError> {
        let whole = self.rest;
        let step = match self.name().as_str() {
            "keys" => Step::Keys,
            "length" => Step::Length,
            "first" => Step::First,
            "last" => Step::Last,
            "tostring" => Step::ToString,
            "select" => return self.condition(whole),
            _ => return Err(unsupported(whole)),
        };
        if self.rest.trim_start().starts_with('(') { Err(unsupported(whole)) } else { Ok(step) }
    }

    fn condition(&mut self, whole: &str) -> Result<Step, JsonQueryError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH || !self.eat("(") {
            return Err(unsupported(whole));
        }
        let path = self.query()?;
        let equal = if self.eat("==") {
            Some(true)
        } else if self.eat("!=") {
            Some(false)
        } else {
            None
        };
        let test = match equal {
            Some(equal) => Some((equal, self.literal()?)),
            None => None,
        };
        self.depth -= 1;
        if self.eat(")") { Ok(Step::Select { path, test }) } else { Err(unsupported(self.rest)) }
    }

    fn literal(&mut self) -> Result<Value, JsonQueryError> {
        self.rest = self.rest.trim_start();
        if self.rest.starts_with('"') {
            return self.string().map(Value::String);
        }
        let end = self.rest.find(')').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        let value = serde_json::from_str(word.trim()).map_err(|_| unsupported(word))?;
        self.rest = rest;
        Ok(value)
    }

    fn name(&mut self) -> String {
        let end =
            self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        name.to_owned()
    }

    fn string(&mut self) -> Result<String, JsonQueryError> {
        let mut strings = serde_json::Deserializer::from_str(self.rest).into_iter::<String>();
        match strings.next() {
            Some(Ok(text)) => {
                self.rest = &self.rest[strings.byte_offset()..];
                Ok(text)
            }
            _ => Err(wrong(format!("a text in quotes is not closed in `{}`", self.rest))),
        }
    }
}

fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn wrong(message: String) -> JsonQueryError {
    JsonQueryError { unsupported: false, message }
}

fn unsupported(rest: &str) -> JsonQueryError {
    let rest: String = rest.trim().chars().take(40).collect();
    JsonQueryError {
        unsupported: true,
        message: format!(
            "`{rest}` is not supported; only paths, select, keys, length, first, last and tostring are"
        ),
    }
}
