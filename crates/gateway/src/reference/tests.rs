use std::collections::BTreeSet;

use html5gum::{Token, Tokenizer};
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// The elements and attributes of a page.
fn markup(page: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut elements, mut attributes) = (BTreeSet::new(), BTreeSet::new());
    for token in Tokenizer::new(page) {
        let Ok(token) = token;
        if let Token::StartTag(tag) = token {
            elements.insert(String::from_utf8_lossy(&tag.name).into_owned());
            for name in tag.attributes.keys() {
                attributes.insert(String::from_utf8_lossy(name).into_owned());
            }
        }
    }
    (elements, attributes)
}

/// A document in which one text stands everywhere.
fn document(word: &str) -> Value {
    let schema = json!({
        "type": "object",
        "description": word,
        "required": [word],
        "properties": { word: { "type": "string", "description": word, "pattern": word, "example": word, "default": word } },
        "oneOf": [{ "description": word, "enum": [word] }, { "$ref": format!("#/components/schemas/{word}") }],
    });
    let content = json!({ "application/json": { "schema": { "$ref": format!("#/components/schemas/{word}") } }, word: { "schema": schema } });
    let operation = json!({
        "operationId": word,
        "tags": [word],
        "summary": word,
        "description": word,
        "parameters": [{ "name": word, "in": word, "required": true, "description": word, "schema": schema }],
        "requestBody": { "content": content },
        "responses": { word: { "description": word, "headers": { word: { "description": word } }, "content": content } },
    });
    json!({
        "info": { "title": word, "version": word, "description": word },
        "paths": { word: { "get": operation } },
        "components": { "schemas": { word: schema }, "securitySchemes": { word: { "description": word } } },
    })
}

#[test]
fn every_operation_and_every_body_stands_in_the_page_once() {
    let document = serde_json::to_value(crate::document()).unwrap();
    let page = page(&document);
    let mut operations = 0;
    for (path, methods) in entries(&document["paths"]) {
        for (method, about) in entries(methods) {
            operations += 1;
            let id = text(&about["operationId"]);
            assert_eq!(page.matches(&format!("<article id=\"{id}\">")).count(), 1, "{method} {path}");
            assert!(page.contains(&format!("href=\"#{id}\"")), "{id}");
            let (_, rest) = page.split_once(&format!("<article id=\"{id}\">")).unwrap();
            let (article, _) = rest.split_once("</article>").unwrap();
            assert!(
                article.contains(path) && article.contains("curl") && article.contains("<h4>Answers</h4>"),
                "{id}"
            );
            for parameter in about["parameters"].as_array().into_iter().flatten() {
                assert!(article.contains(&format!("<code>{}</code>", text(&parameter["name"]))), "{id}");
            }
            for (status, _) in entries(&about["responses"]) {
                assert!(article.contains(&format!("<th scope=\"row\">{status}</th>")), "{id}: {status}");
            }
        }
    }
    assert!(operations > 40, "{operations}");
    let links = page.split("href=\"#").skip(1).map(|rest| rest.split_once('"').unwrap().0);
    for link in links {
        assert!(page.contains(&format!("id=\"{link}\"")), "#{link} leads nowhere");
    }
    let (elements, _) = markup(&page);
    assert!(
        !elements.contains("script") && !elements.contains("style") && !elements.contains("img"),
        "{elements:?}"
    );
}

proptest! {
    #[test]
    fn hostile_words_stay_words(
        word in prop_oneof![
            ".{0,40}",
            "[<>\"'&/=! a-z-]{0,30}",
            "(<script>|</code>|</pre>|</title>|<!--|-->|\" onclick=\"|' x='|&lt;|<img src=x onerror=y>|]]>){1,4}",
        ],
    ) {
        let harmless = markup(&page(&document("plain")));
        prop_assert_eq!(markup(&page(&document(&word))), harmless);
    }
}
