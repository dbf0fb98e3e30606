//! Where the document lets somebody write a text: in a path, a query, a header or a body.

use std::sync::Arc;

use jsonschema::Validator;
use rand::RngExt;
use serde_json::{Map, Value, json};

use crate::document::DOCUMENT;

/// How deep a body is looked into.
const DEEPEST: usize = 6;

/// A place of an operation.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The schema that the document names for what stands there, or none.
    pub(super) of: String,
    pub(super) field: String,
    schema: Value,
    pub(super) at: At,
    validator: Arc<Validator>,
}

#[derive(Debug, Clone)]
pub(super) enum At {
    Path,
    Query,
    Header,
    /// The way there; with nothing beside it that need not be, or with all that is usually sent.
    Body {
        steps: Vec<String>,
        alone: bool,
    },
}

/// A request that is made of a usual one.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) path: String,
    /// The usual values of what stands in the path.
    pub(super) in_path: Vec<(String, String)>,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<Value>,
}

/// A schema without references to others, and the name of the last.
pub(super) fn resolved(schema: &Value, of: &str) -> (Value, String) {
    match schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        Some(name) => resolved(&DOCUMENT["components"]["schemas"][name], name),
        None => (schema.clone(), of.to_owned()),
    }
}

/// Every place of an operation at which an identifier could stand.
pub(super) fn places(operation: &Value) -> Vec<Place> {
    let mut places = Vec::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let at = match parameter["in"].as_str().unwrap() {
            "path" => At::Path,
            "query" => At::Query,
            "header" => At::Header,
            other => panic!("parameters in {other} are not known here"),
        };
        let field = parameter["name"].as_str().unwrap();
        texts(&parameter["schema"], "", field, 0, &mut |of, schema, _| {
            places.push(Place::new(of, field, schema, at.clone()));
        });
    }
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    texts(body, "", "", 0, &mut |of, schema, steps| {
        let field = steps.iter().rfind(|step| *step != "0").cloned().unwrap_or_default();
        for alone in [false, true] {
            let at = At::Body { steps: steps.clone(), alone };
            places.push(Place::new(of.clone(), &field, schema.clone(), at));
        }
    });
    places
}

/// Gives each text of a schema that is not one of a few words, a time or a password.
fn texts(
    schema: &Value,
    of: &str,
    way: &str,
    depth: usize,
    found: &mut impl FnMut(String, Value, Vec<String>),
) {
    // The way is one text, with what no name of a field has between its steps.
    let (schema, of) = resolved(schema, of);
    if depth > DEEPEST {
        return;
    }
    for word in ["allOf", "oneOf", "anyOf"] {
        for part in schema[word].as_array().into_iter().flatten() {
            texts(part, &of, way, depth + 1, found);
        }
    }
    let further = |step: &str| format!("{way}\n{step}");
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        texts(schema, "", &further(name), depth + 1, found);
    }
    if !schema["items"].is_null() {
        texts(&schema["items"], "", &further("0"), depth + 1, found);
    }
    let is_text = schema["type"] == "string"
        || schema["type"].as_array().is_some_and(|all| all.contains(&json!("string")));
    let is_other =
        !schema["enum"].is_null() || ["date-time", "password"].iter().any(|other| schema["format"] == *other);
    if is_text && !is_other {
        found(of, schema, way.split('\n').filter(|step| !step.is_empty()).map(str::to_owned).collect());
    }
}

impl Place {
    fn new(of: String, field: &str, schema: Value, at: At) -> Place {
        let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
        Place { of, field: field.to_owned(), schema, at, validator: Arc::new(validator) }
    }

    /// May that stand there, by the document?
    pub(super) fn fits(&self, text: &str) -> bool {
        self.validator.is_valid(&Value::String(text.to_owned()))
    }

    /// Is nothing said of what it must look like, but that it is a text?
    pub(super) fn is_free(&self) -> bool {
        (self.schema["pattern"].is_null() && self.schema["format"].is_null()) || self.is_once()
    }

    /// Is what stands there asked for once under it?
    pub(super) fn is_once(&self) -> bool {
        self.field == "Idempotency-Key"
    }

    /// Puts a text there.
    pub(super) fn put(&self, asked: &mut Asked, text: &str, operation: &Value) {
        let named = (self.field.clone(), text.to_owned());
        match &self.at {
            At::Path => asked
                .in_path
                .iter_mut()
                .filter(|(name, _)| *name == self.field)
                .for_each(|place| place.1 = text.to_owned()),
            At::Query => asked.query.push(named),
            At::Header => asked.headers.push(named),
            At::Body { steps, alone } => {
                let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
                let body = asked.body.get_or_insert_with(|| json!({}));
                set(body, schema, steps, *alone, text);
            }
        }
    }
}

fn set(body: &mut Value, schema: &Value, steps: &[String], alone: bool, text: &str) {
    let (schema, _) = resolved(schema, "");
    let Some((step, rest)) = steps.split_first() else {
        *body = text.into();
        return;
    };
    if step == "0" {
        let mut item = body.get(0).cloned().unwrap_or(Value::Null);
        set(&mut item, &schema["items"], rest, alone, text);
        *body = json!([item]);
        return;
    }
    let part = [&schema["allOf"], &schema["oneOf"], &schema["anyOf"]].into_iter().find_map(|parts| {
        parts.as_array()?.iter().find(|part| !resolved(part, "").0["properties"][step].is_null())
    });
    if let Some(part) = part {
        return set(body, part, steps, alone, text);
    }
    if !body.is_object() {
        *body = Value::Object(Map::new());
    }
    let fields = body.as_object_mut().unwrap();
    if alone {
        let is_required =
            |name: &str| schema["required"].as_array().is_some_and(|all| all.contains(&json!(name)));
        fields.retain(|name, _| is_required(name));
    }
    set(fields.entry(step).or_insert(Value::Null), &schema["properties"][step], rest, alone, text);
}

impl Asked {
    /// What stands in the request line.
    pub(super) fn uri(&self) -> String {
        let mut uri = self.path.clone();
        for (name, value) in &self.in_path {
            uri = uri.replace(&format!("{{{name}}}"), &encoded(value));
        }
        for (number, (name, value)) in self.query.iter().enumerate() {
            uri.push(if number == 0 { '?' } else { '&' });
            uri.push_str(&format!("{name}={}", encoded(value)));
        }
        uri
    }
}

/// As it stands in a URL (RFC 3986).
pub(super) fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// Of the same shape, and nobody's.
pub(super) fn nobodys(text: &str) -> String {
    // Of a package URL the name alone.
    if let Some((kind, name)) = text.strip_prefix("pkg:").and_then(|rest| rest.split_once('/')) {
        return format!("pkg:{kind}/{}", nobodys(name));
    }
    // Of a receiver what stands behind its name: to whom messages may go is the same for all tenants.
    if let Some((receiver, path)) = text.strip_prefix("https://").and_then(|rest| rest.split_once('/')) {
        return format!("https://{receiver}/{}", nobodys(path));
    }
    let mut random = rand::rng();
    let mut other = |character: char| match character {
        '0'..='9' => char::from(random.random_range(b'0'..=b'9')),
        'a'..='f' => char::from(random.random_range(b'a'..=b'f')),
        'g'..='z' => char::from(random.random_range(b'g'..=b'z')),
        same => same,
    };
    text.chars().map(&mut other).collect()
}
