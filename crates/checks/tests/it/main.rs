//! The check language from outside: real templates, whole runs, hostile input.

mod builtin;
mod flow;
mod hostile;
mod http;
mod look_alikes;
mod network;
mod refusals;
mod samples;
mod server;
mod variables;
