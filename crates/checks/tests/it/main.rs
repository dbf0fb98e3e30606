//! The check language from outside: real templates, whole runs.

mod builtin;
mod samples;
