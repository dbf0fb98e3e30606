//! How an operation is asked for at a shell.

use serde_json::{Map, Value, json};

/// Schemas within schemas, at most.
const DEEPEST: usize = 6;

/// With `curl`.
pub(super) fn command(method: &str, path: &str, about: &Value, schemas: &Value) -> String {
    let mut words = vec!["curl".to_owned()];
    if method != "get" {
        words.push(format!("--request {}", method.to_uppercase()));
    }
    words.push("--header \"Authorization: Bearer $RAMPART_KEY\"".to_owned());
    let body = &about["requestBody"]["content"]["application/json"]["schema"];
    if !body.is_null() {
        words.push("--header 'Content-Type: application/json'".to_owned());
        words.push(format!("--data {}", quoted(&of_schema(body, schemas, 0).to_string())));
    }
    // What stands in braces is to be replaced: a shell leaves it as it is.
    words.push(format!("\"$RAMPART_SERVER\"{}", quoted(path)));
    words.join(" \\\n  ")
}

/// As one word of a shell, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A value that the schema allows, with what must be there: the author's own example where there is one.
fn of_schema(schema: &Value, schemas: &Value, depth: usize) -> Value {
    if depth > DEEPEST {
        return Value::Null;
    }
    let within = |schema: &Value| of_schema(schema, schemas, depth + 1);
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return within(&schemas[name]);
    }
    for given in [&schema["example"], &schema["examples"][0], &schema["default"], &schema["enum"][0]] {
        if !given.is_null() {
            return given.clone();
        }
    }
    if let Some(all) = schema["allOf"].as_array() {
        let mut whole = Map::new();
        for one in all.iter().map(within) {
            whole.extend(one.as_object().cloned().unwrap_or_default());
        }
        return Value::Object(whole);
    }
    for word in ["oneOf", "anyOf"] {
        let is_something = |one: &&Value| one["type"] != "null";
        if let Some(one) = schema[word].as_array().and_then(|all| all.iter().find(is_something)) {
            return within(one);
        }
    }
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => Vec::from_iter(kind.as_str()),
    };
    match kinds.iter().find(|kind| **kind != "null").copied() {
        Some("object") => {
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            required.map(|name| (name.to_owned(), within(&schema["properties"][name]))).collect()
        }
        Some("array") => json!([within(&schema["items"])]),
        Some("integer" | "number") => schema["minimum"].as_i64().map_or(json!(1), Value::from),
        Some("boolean") => json!(true),
        Some("string") => match schema["format"].as_str() {
            Some("date-time") => json!("2030-01-01T00:00:00Z"),
            Some("uuid") => json!("00000000-0000-7000-8000-000000000000"),
            _ => json!("…"),
        },
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_one_that_a_shell_takes_as_it_is() {
        let about = json!({ "requestBody": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/It" } } } } });
        let schemas = json!({ "It": {
            "type": "object",
            "required": ["name", "size", "parts"],
            "properties": {
                "name": { "type": "string", "example": "it's $HOME" },
                "size": { "type": ["integer", "null"], "minimum": 3 },
                "parts": { "type": "array", "items": { "oneOf": [{ "type": "null" }, { "$ref": "#/components/schemas/It" }] } },
                "left_out": { "type": "string" },
            },
        } });
        let command = command("post", "/api/v1/things/{thing}", &about, &schemas);
        let lines: Vec<&str> = command.split(" \\\n  ").collect();
        assert_eq!(lines[..3], ["curl", "--request POST", "--header \"Authorization: Bearer $RAMPART_KEY\""]);
        assert!(lines[4].starts_with(r#"--data '{"name":"it'\''s $HOME","#), "{command}");
        assert!(lines[4].contains(r#""parts":[{"#) && !lines[4].contains("left_out"), "{command}");
        assert_eq!(lines[5], "\"$RAMPART_SERVER\"'/api/v1/things/{thing}'");
    }
}
