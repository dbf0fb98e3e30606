//! Rampart: finds what an organisation exposes, says what matters first, and helps to fix it safely.

mod checks_command;
mod cli;
mod demo;
mod library;
mod scan;
mod scope_command;
mod simulate;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

/// Something went wrong: bad input, no permission, a full disk.
const EXIT_ERROR: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Scan(arguments) => scan::run(*arguments),
        Command::Checks(command) => checks_command::run(&command),
        Command::Scope(command) => scope_command::run(&command),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Completions { shell } => cli::print_completions(shell),
        Command::Man { directory } => cli::write_manual(directory.as_deref()),
    };
    match done {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            cli::print_error(&error);
            ExitCode::from(EXIT_ERROR)
        }
    }
}

/// `rampart … | head` closes our output early; that is the reader's right and no error.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}
