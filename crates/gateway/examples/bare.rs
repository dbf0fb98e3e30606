//! What is the most that the same library does on this machine: one route that asks nobody and answers with a text. `bench/run gateway`
//! puts the gateway beside it.
//!
//! `bare ADDRESS FILE`: listens there and answers `GET /` with what stands in the file.
#![allow(clippy::unwrap_used, reason = "a measurement may fail by panicking")]

use axum::{Router, http::header, routing::get};
use tokio::net::TcpListener;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (address, file) = (arguments.next().unwrap(), arguments.next().unwrap());
    let body = axum::body::Bytes::from(std::fs::read(file).unwrap());
    let answer = move || std::future::ready(([(header::CONTENT_TYPE, "application/json")], body.clone()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await.unwrap();
        axum::serve(listener, Router::new().route("/", get(answer))).await.unwrap();
    });
}
