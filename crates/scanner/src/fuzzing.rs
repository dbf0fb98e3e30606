//! What must hold for any bytes from the network, as functions of bytes. The targets in `fuzz/` call them for as long as one likes,
//! the tests a few thousand times; built for nothing else. Each stands next to the parsers it is about.

pub use crate::{
    crawl::fuzzing::{page, robots_and_sitemap},
    dns::fuzzing::message,
    http::fuzzing::{coding, response},
    services::answer,
    tls::fuzzing::handshake,
};

#[cfg(test)]
mod tests;
