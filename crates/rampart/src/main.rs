//! Rampart: finds what an organisation exposes, says what matters first, and helps to fix it safely.

mod backup;
mod checks_command;
mod cli;
mod configuration;
mod demo;
mod deploy;
mod key_file;
mod library;
mod platform;
mod scan;
mod scope_command;
mod simulate;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

/// Something went wrong: bad input, no permission, a full disk.
const EXIT_ERROR: u8 = 2;

fn main() -> ExitCode {
    let done = run(Cli::parse().command);
    match done {
        Ok(code) => code,
        Err(error) if cli::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            cli::print_error(&error);
            ExitCode::from(EXIT_ERROR)
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Scan(arguments) => match &arguments.command {
            Some(command) => platform::scan(command),
            None => scan::run(*arguments),
        },
        Command::Checks(command) => checks_command::run(&command),
        Command::Scope(command) => scope_command::run(&command),
        Command::Platform(command) => platform::run(&command),
        Command::Backup(command) => backup::run(&command),
        Command::Deploy(command) => deploy::run(&command),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Completions { shell } => cli::print_completions(shell),
        Command::Man { directory } => cli::write_manual(directory.as_deref()),
    }
}
