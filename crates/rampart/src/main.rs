//! Rampart: finds what an organisation exposes, says what matters first, and helps to fix it safely.

mod checks_command;
mod cli;
mod configuration;
mod demo;
mod library;
mod platform;
mod scan;
mod scope_command;
mod simulate;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    cli::{Cli, Command},
    configuration::Configuration,
};

/// Something went wrong: bad input, no permission, a full disk.
const EXIT_ERROR: u8 = 2;

fn main() -> ExitCode {
    let done = run(Cli::parse());
    match done {
        Ok(code) => code,
        Err(error) if cli::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            cli::print_error(&error);
            ExitCode::from(EXIT_ERROR)
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let configuration = || Configuration::read(&cli.configuration);
    match cli.command {
        Command::Scan(arguments) => match arguments.command {
            Some(command) => platform::scan(&configuration()?, &command),
            None => scan::run(*arguments),
        },
        Command::Checks(command) => checks_command::run(&command),
        Command::Scope(command) => scope_command::run(&command, configuration),
        Command::Up(arguments) => platform::up(&configuration()?, &arguments),
        Command::Worker(arguments) => platform::worker(&configuration()?, &arguments),
        Command::Orchestrator => platform::orchestrator(&configuration()?),
        Command::Stop(arguments) => platform::stop(&configuration()?, &arguments),
        Command::Resume(arguments) => platform::resume(&configuration()?, &arguments),
        Command::Task(command) => platform::task(&configuration()?, &command),
        Command::Schedule(command) => platform::schedule(&configuration()?, &command),
        Command::Tenant(command) => platform::tenant(&configuration()?, &command),
        Command::Migrate(arguments) => platform::migrate(&configuration()?, &arguments),
        Command::Doctor { json } => platform::doctor(&configuration()?, json),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Completions { shell } => cli::print_completions(shell),
        Command::Man { directory } => cli::write_manual(directory.as_deref()),
    }
}
