//! The management interface of RabbitMQ: its title over the Cowboy server.

use super::Page;
use crate::services::engine::Recognised;
#[cfg(test)]
use crate::services::engine::{Sample, sample};

pub(super) fn recognise(page: &Page<'_>) -> Option<Recognised> {
    page.body
        .contains("<title>RabbitMQ Management</title>")
        .then(|| Recognised::product("RabbitMQ management"))
}

#[cfg(test)]
pub(super) const SAMPLES: &[Sample] = &[
    sample(b"HTTP/1.1 200 OK\r\nserver: Cowboy\r\ncontent-type: text/html\r\n\r\n<!DOCTYPE html>\n<html><head><title>RabbitMQ Management</title>", "RabbitMQ management", "", ""),
];
