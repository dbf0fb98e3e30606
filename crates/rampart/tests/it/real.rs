//! Servers nobody here wrote, from Debian's packages, started with the mistakes people make and with the settings they should have
//! chosen. What an auditor would report is written down in `real/expected/`, one `check location` a line: the scan must find
//! all of that, and nothing else.
//!
//! `127.91.0.N` in those files stands for the Nth address of the network that the test has for itself.

mod audit;
mod ground;
mod mail;
mod memory_stores;
mod mosquitto;
mod names;
mod openssh;
mod postgresql;
mod server;
mod tls;
mod vsftpd;
mod web;
