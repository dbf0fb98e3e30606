//! The API's document as a page for people: made of the document alone, without any script.

mod sample;

use axum::{
    body::Bytes,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use maud::{DOCTYPE, Markup, html};
use serde_json::{Map, Value};

/// The page may use its stylesheet, and nothing else: what somebody smuggled into it could neither run nor tell anybody.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const STYLE: &str = include_str!("reference/style.css");

/// The page, for whoever looks at it with a browser.
pub(crate) fn show(page: Bytes) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    ];
    (headers, page).into_response()
}

/// The document itself, for programs.
pub(crate) fn document(document: Bytes) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], document).into_response()
}

/// How the page looks.
pub(crate) async fn style() -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8"))], STYLE).into_response()
}

/// To where the page is: its links begin there, whatever a proxy puts before it.
pub(crate) async fn to_page() -> Response {
    (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, HeaderValue::from_static("v1/"))]).into_response()
}

/// One operation of the document.
struct Operation<'d> {
    method: &'d str,
    path: &'d str,
    about: &'d Value,
}

impl Operation<'_> {
    fn id(&self) -> &str {
        text(&self.about["operationId"])
    }

    fn tag(&self) -> &str {
        text(&self.about["tags"][0])
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

/// The page about a document (OpenAPI 3.1).
pub(crate) fn page(document: &Value) -> String {
    let operations: Vec<Operation<'_>> = entries(&document["paths"])
        .flat_map(|(path, methods)| {
            entries(methods).map(move |(method, about)| Operation { method, path, about })
        })
        .collect();
    let mut tags: Vec<&str> = operations.iter().map(Operation::tag).collect();
    tags.sort_unstable();
    tags.dedup();
    let (title, schemas) = (text(&document["info"]["title"]), &document["components"]["schemas"]);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " API" }
                link rel="stylesheet" href="reference.css";
            }
            body {
                a class="skip" href="#operations" { "To the operations" }
                header {
                    h1 { (title) " API, version " (text(&document["info"]["version"])) }
                    p { (text(&document["info"]["description"])) }
                    p { "For programs: " a href="openapi.json" { "openapi.json" } }
                    h2 id="who" { "Who asks" }
                    ul {
                        @for (name, scheme) in entries(&document["components"]["securitySchemes"]) {
                            li { strong { (name) } ": " (text(&scheme["description"])) }
                        }
                    }
                }
                nav aria-label="Operations" {
                    h2 { "Operations" }
                    ul {
                        @for operation in &operations {
                            li { a href={ "#" (operation.id()) } { (operation.method.to_uppercase()) " " (operation.path) } }
                        }
                    }
                }
                main id="operations" {
                    @for tag in tags {
                        section {
                            h2 id={ "tag-" (tag) } { (tag) }
                            @for operation in operations.iter().filter(|operation| operation.tag() == tag) {
                                (about(operation, schemas))
                            }
                        }
                    }
                    section {
                        h2 id="bodies" { "Bodies" }
                        @for (name, schema) in entries(schemas) { (body(name, schema)) }
                    }
                }
            }
        }
    };
    page.into_string()
}

fn about(operation: &Operation<'_>, schemas: &Value) -> Markup {
    let Operation { method, path, about } = operation;
    let parameters = about["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    html! {
        article id=(operation.id()) {
            h3 { a href={ "#" (operation.id()) } { span class="method" { (method.to_uppercase()) } " " code { (path) } } }
            p { (text(&about["summary"])) }
            @if let Some(description) = about["description"].as_str() { p { (description) } }
            @if !parameters.is_empty() {
                h4 { "Parameters" }
                table {
                    thead { tr { th scope="col" { "Name" } th scope="col" { "In" } th scope="col" { "Type" } th scope="col" { "Meaning" } } }
                    tbody {
                        @for parameter in parameters {
                            tr {
                                th scope="row" { code { (text(&parameter["name"])) } @if parameter["required"] == true { " (required)" } }
                                td { (text(&parameter["in"])) }
                                td { (kind(&parameter["schema"])) }
                                td { (text(&parameter["description"])) }
                            }
                        }
                    }
                }
            }
            @for (media, content) in entries(&about["requestBody"]["content"]) {
                h4 { "Body" }
                p { (media) ": " (kind(&content["schema"])) }
            }
            h4 { "Answers" }
            table {
                thead { tr { th scope="col" { "Status" } th scope="col" { "Meaning" } th scope="col" { "Body" } } }
                tbody {
                    @for (status, answer) in entries(&about["responses"]) {
                        tr {
                            th scope="row" { (status) }
                            td {
                                (text(&answer["description"]))
                                @for (name, header) in entries(&answer["headers"]) {
                                    br; code { (name) } ": " (text(&header["description"]))
                                }
                            }
                            td {
                                @for (media, content) in entries(&answer["content"]) {
                                    (media) @if !content["schema"].is_null() { ": " (kind(&content["schema"])) } br;
                                }
                            }
                        }
                    }
                }
            }
            h4 { "Example" }
            pre { code { (sample::command(method, path, about, schemas)) } }
        }
    }
}

fn body(name: &str, schema: &Value) -> Markup {
    html! {
        article id={ "schema-" (name) } {
            h3 { a href={ "#schema-" (name) } { code { (name) } } }
            @if let Some(description) = schema["description"].as_str() { p { (description) } }
            (inside(schema))
        }
    }
}

/// What a schema says of what is in it.
fn inside(schema: &Value) -> Markup {
    let required =
        |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
    let parts = ["allOf", "oneOf", "anyOf"].map(|word| (word, schema[word].as_array()));
    html! {
        @if schema["properties"].is_object() {
            table {
                thead { tr { th scope="col" { "Field" } th scope="col" { "Type" } th scope="col" { "Meaning" } } }
                tbody {
                    @for (field, about) in entries(&schema["properties"]) {
                        tr {
                            th scope="row" { code { (field) } @if required(field) { " (required)" } }
                            td { (kind(about)) }
                            td { (text(&about["description"])) }
                        }
                    }
                }
            }
        } @else if schema["oneOf"].is_null() && schema["allOf"].is_null() && schema["anyOf"].is_null() {
            p { (kind(schema)) }
        }
        @for (word, all) in parts {
            @if let Some(all) = all {
                p { @match word { "allOf" => "All of:", _ => "One of:" } }
                ul {
                    @for one in all {
                        li {
                            @if let Some(description) = one["description"].as_str() { (description) " " }
                            @if one["properties"].is_object() { (inside(one)) } @else { (kind(one)) }
                        }
                    }
                }
            }
        }
    }
}

/// What kind of value a schema asks for, in words.
fn kind(schema: &Value) -> Markup {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return html! { a href={ "#schema-" (name) } { (name) } };
    }
    let several: Vec<&Value> =
        ["oneOf", "anyOf", "allOf"].iter().filter_map(|word| schema[*word].as_array()).flatten().collect();
    if !several.is_empty() {
        return html! { @for (place, one) in several.iter().enumerate() { @if place > 0 { " or " } (kind(one)) } };
    }
    if let Some(words) = schema["enum"].as_array() {
        return html! { @for (place, word) in words.iter().enumerate() { @if place > 0 { ", " } code { (plain(word)) } } };
    }
    let types: Vec<String> = match &schema["type"] {
        Value::Array(types) => types.iter().map(plain).collect(),
        one => vec![plain(one)],
    };
    html! {
        (types.join(" or "))
        @if let Some(format) = schema["format"].as_str() { " (" (format) ")" }
        @if schema["items"].is_object() { " of " (kind(&schema["items"])) }
        @for (word, name) in [("minimum", "from"), ("maximum", "to"), ("default", "usually"), ("pattern", "as")] {
            @if !schema[word].is_null() { ", " (name) " " code { (plain(&schema[word])) } }
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "anything".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
