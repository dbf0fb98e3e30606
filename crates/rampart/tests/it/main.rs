//! The binary through its front door.

mod command_line;
mod demo;
mod endings;
mod interrupt;
mod real;
mod run;
mod tidy;
