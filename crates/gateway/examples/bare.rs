//! What is the most that the same library does on this machine: one route that asks nobody and answers with a text. `bench/run gateway`
//! puts the gateway beside it.
//!
//! `bare ADDRESS FILE`: listens there and answers `GET /` with what stands in the file.

use std::{error::Error, future::ready};

use axum::{Router, body::Bytes, http::header, routing::get};
use tokio::net::TcpListener;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, file] = &arguments[..] else { return Err("usage: bare ADDRESS FILE".into()) };
    let body = Bytes::from(std::fs::read(file)?);
    let answer = move || ready(([(header::CONTENT_TYPE, "application/json")], body.clone()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        Ok(axum::serve(listener, Router::new().route("/", get(answer))).await?)
    })
}
