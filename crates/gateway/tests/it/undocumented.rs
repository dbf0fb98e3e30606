//! Routes that the document does not tell of: few, and each is named here. Whoever adds one beside the document adds it here, too.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use axum::body::Body;
use hyper::{Request, client::conn::http1::handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::{document::DOCUMENT, ground::Ground};

/// By which a router is given something that it answers.
const WORDS: [&str; 8] = [
    "route",
    "route_service",
    "nest",
    "nest_service",
    "merge",
    "fallback",
    "fallback_service",
    "method_not_allowed_fallback",
];

/// What is answered beside the document: in which file of the source that is said, by which word, and for what.
const KNOWN: [(&str, &str, &str); 17] = [
    // All that the document describes is below it.
    ("api.rs", "nest", "/api/v1"),
    ("lib.rs", "fallback", "problem::no_such_route"),
    ("lib.rs", "method_not_allowed_fallback", "problem::no_such_method"),
    ("lib.rs", "route", "/api/v1"),
    ("lib.rs", "route", "/api/v1/"),
    ("lib.rs", "route", "/api/v1/openapi.json"),
    ("lib.rs", "route", "/api/v1/reference.css"),
    ("lib.rs", "route", "/health"),
    ("lib.rs", "route", "/ready"),
    ("lib.rs", "route", "/startup"),
    ("metrics.rs", "route", "/health"),
    ("metrics.rs", "route", "/metrics"),
    ("metrics.rs", "route", "/ready"),
    ("metrics.rs", "route", "/workers/{stages}"),
    ("watch.rs", "route", "/health"),
    ("watch.rs", "route", "/metrics"),
    ("watch.rs", "route", "/ready"),
];

/// Every file below a directory that is no test.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
    found
}

/// The first argument of each call of one of the words, wherever its line is broken. The tests of a file stand at its end.
fn registered(source: &str) -> Vec<(&'static str, String)> {
    let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let mut found = Vec::new();
    for word in WORDS {
        for rest in code.split(&format!(".{word}(")).skip(1) {
            let argument = rest.split([',', ')']).next().unwrap().trim();
            found.push((word, argument.trim_matches('"').to_owned()));
        }
    }
    found
}

#[test]
fn whoever_adds_a_route_beside_the_document_says_so_here() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut there = BTreeSet::new();
    for path in sources(&root) {
        let file = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        for (word, argument) in registered(&std::fs::read_to_string(&path).unwrap()) {
            let line = format!("{file} {word} {argument}");
            assert!(there.insert(line.clone()), "{line} is there twice");
        }
    }
    let known: BTreeSet<String> =
        KNOWN.iter().map(|(file, word, argument)| format!("{file} {word} {argument}")).collect();
    assert_eq!(there, known);
}

async fn status(address: SocketAddr, path: &str) -> u16 {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get(path).header("host", "here").body(Body::empty()).unwrap();
    sender.send_request(request).await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_answered_beside_the_document_is_there_and_not_in_it() {
    let ground = Ground::start().await;
    for (file, _, path) in KNOWN.iter().filter(|(_, word, _)| *word == "route") {
        // What is in `watch.rs` is answered by roles that are no gateway.
        let address = if *file == "lib.rs" { ground.address } else { ground.metrics };
        let status = status(address, &path.replace("{stages}", "check,crawl")).await;
        assert!(status < 400, "{path} of {file}: {status}");
        assert!(DOCUMENT["paths"].get(path).is_none(), "{path} is in the document");
    }
    for address in [ground.address, ground.metrics] {
        assert_eq!(status(address, "/nowhere").await, 404, "what is no route is nothing");
    }
}
