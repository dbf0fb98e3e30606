//! The command line: every option once, with its help.

mod backup;
mod deploy;
mod output;
mod platform;
mod scan;
mod simulate;
mod values;

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};

pub(crate) use self::{
    backup::{
        BackupArchiveArguments, BackupCommand, BackupCreateArguments, BackupDrillArguments,
        BackupListArguments, BackupRestoreArguments, BackupVerifyArguments, KeptArguments, MomentArguments,
        RecipientArguments,
    },
    deploy::{
        DeployCheckArguments, DeployCommand, DeployDiffArguments, DeployOverlayArguments,
        DeployPromoteArguments, DeployRollbackArguments, DeployScaleArguments,
    },
    output::{print_json, put, put_bytes},
    platform::{
        AdminCommand, AdminCreateArguments, Anywhere, AuditCheckpointsArguments, AuditCommand,
        AuditKeyCommand, AuditListArguments, AuditVerifyArguments, CommentArguments, CommentListArguments,
        DiffArguments, FindingCommand, FindingDecideArguments, FindingListArguments, GatewayArguments,
        JsonArguments, KeyCommand, KeyCreateArguments, ListenArguments, MigrateArguments, OnPlatform,
        OneScanArguments, OrchestratorArguments, PackageCommand, PlatformCommand, ReachArguments,
        ReportArguments, ResumeArguments, RoleCommand, RolePermissionsArguments, RuleArguments, ScanCommand,
        ScanListArguments, ScheduleChangeArguments, ScheduleCommand, ScheduleCreateArguments,
        ScopeDeleteArguments, ScopePutArguments, StartArguments, StopArguments, SubmitArguments, TaskCommand,
        TaskFilterArguments, TenantCommand, TenantSetArguments, UpArguments, UsageArguments,
        UserChangeArguments, UserCommand, Verdict, WatchArguments, WebhookChangeArguments, WebhookCommand,
        WorkerArguments,
    },
    scan::{ColorChoice, RobotsChoice, ScanArguments},
    simulate::SimulateArguments,
    values::{between, duration},
};

/// Finds what an organisation exposes, says what matters first, and helps to fix it safely
#[derive(Debug, Parser)]
#[command(name = "rampart", version, max_term_width = 110, arg_required_else_help = true)]
#[command(
    after_help = "Begin with:  rampart scan --demo\nThen:        rampart scan TARGET   (loopback needs nothing; anything \
                        else needs a scope file: rampart scope template)"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Scan targets: names, addresses, networks, URLs
    Scan(Box<ScanArguments>),
    /// List, lint, test and show check templates
    #[command(subcommand)]
    Checks(ChecksCommand),
    /// Write and examine scope files: what a scan may touch
    #[command(subcommand)]
    Scope(ScopeCommand),
    #[command(flatten)]
    Platform(PlatformCommand),
    /// Back up the database, restore it to any moment, and practise that
    #[command(subcommand)]
    Backup(BackupCommand),
    /// Take the platform to a Kubernetes cluster: check, compare, make secrets
    #[command(subcommand)]
    Deploy(DeployCommand),
    /// Simulate a day of requests: how long they wait, how many workers there are, what that costs
    Simulate(SimulateArguments),
    /// Print the completion script for a shell
    Completions {
        /// Which shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write one page a command into a directory
    Man {
        /// Where to write the pages; without it the main page goes to standard output
        #[arg(long = "output", value_name = "DIR")]
        directory: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ChecksCommand {
    /// List checks: id, severity, protocol, title
    List {
        /// Files or directories; without any, the built-in checks
        paths: Vec<PathBuf>,
        /// Only checks with this tag
        #[arg(long)]
        tag: Option<String>,
        /// As JSON, one object a line
        #[arg(long)]
        json: bool,
    },
    /// Say for each template whether it loads, and if not why, with file and line
    Lint {
        /// Files or directories; without any, the built-in checks
        paths: Vec<PathBuf>,
    },
    /// Run templates against their examples: bad cases must match, good ones must not
    Test {
        /// Directory with templates, their examples beside them in `examples/`; without it, the built-in checks
        path: Option<PathBuf>,
    },
    /// Print a built-in check
    Show {
        /// The check's id
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScopeCommand {
    /// Print a commented scope file to begin with
    Template,
    /// Say what a scope file allows, and whether it allows given targets
    Show {
        /// The scope file
        file: PathBuf,
        /// Targets to ask about
        targets: Vec<String>,
    },
    /// Give the platform a scope: scans name it with --scope
    Put(Anywhere<ScopePutArguments>),
    /// List the platform's scopes
    List(Anywhere<JsonArguments>),
    /// Take a scope away from the platform: no further scan begins within it
    Delete(Anywhere<ScopeDeleteArguments>),
}

pub(crate) fn print_completions(shell: clap_complete::Shell) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "rampart", &mut script);
    put_bytes(&script)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn write_manual(directory: Option<&Path>) -> anyhow::Result<ExitCode> {
    let command = Cli::command();
    match directory {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            put_bytes(&page)?;
        }
        Some(directory) => {
            std::fs::create_dir_all(directory)
                .and_then(|()| clap_mangen::generate_to(command, directory))
                .with_context(|| format!("cannot write manual pages to `{}`", directory.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `error:`, then what caused it. Further lines of a message are indented: none can pass for one of ours.
pub(crate) fn print_error(error: &anyhow::Error) {
    let mut text = String::new();
    for (depth, cause) in error.chain().enumerate() {
        let (head, indent) = if depth == 0 { ("error: ", "  ") } else { ("  because: ", "    ") };
        for (number, line) in cause.to_string().lines().enumerate() {
            let before = if number == 0 { head } else { indent };
            text.push_str(&format!("{before}{}\n", report::terminal::sanitise(line)));
        }
    }
    say(&text);
}

/// `rampart … | head` closes our output early; that is the reader's right and no error.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = |cause: &(dyn std::error::Error + 'static)| {
        let of_json = || cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
        cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind).or_else(of_json)
    };
    error.chain().any(|cause| kind(cause) == Some(std::io::ErrorKind::BrokenPipe))
}

/// To standard error, where everything but findings and reports goes. That nobody listens there any more (`2>&1 | head`) is no
/// reason to end a scan.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_worker_may_be_silent_for_as_long_as_is_promised() {
        let cli = Cli::try_parse_from(["rampart", "worker"]).unwrap();
        let Command::Platform(PlatformCommand::Worker(worker)) = cli.command else { panic!("{cli:?}") };
        assert_eq!(worker.arguments.lease, worker::pool::LEASE);
    }

    /// Commands without `--server`, which are about this machine, all tenants at once, or a server itself.
    const HERE_ONLY: &[&str] = &[
        "rampart admin create",
        "rampart admin list",
        "rampart admin password",
        "rampart backup archive",
        "rampart backup create",
        "rampart backup drill",
        "rampart backup key",
        "rampart backup list",
        "rampart backup restore",
        "rampart backup verify",
        "rampart checks lint",
        "rampart checks list",
        "rampart checks show",
        "rampart checks test",
        "rampart completions",
        "rampart deploy check",
        "rampart deploy diff",
        "rampart deploy program",
        "rampart deploy promote",
        "rampart deploy rollback",
        "rampart deploy scale",
        "rampart deploy secrets",
        "rampart gateway",
        "rampart man",
        "rampart migrate",
        "rampart orchestrator",
        "rampart scope show",
        "rampart scope template",
        "rampart simulate",
        "rampart up",
        "rampart worker",
    ];

    #[test]
    fn every_command_asks_a_server_or_is_known_not_to() {
        fn walk(command: &clap::Command, path: &str, here_only: &mut Vec<String>) {
            let path = format!("{path} {}", command.get_name()).trim().to_owned();
            if command.has_subcommands() {
                for further in command.get_subcommands().filter(|further| further.get_name() != "help") {
                    walk(further, &path, here_only);
                }
                return;
            }
            let options: Vec<&str> = command.get_arguments().filter_map(clap::Arg::get_long).collect();
            let asks = ["server", "key-file", "server-ca", "without-tls"].map(|name| options.contains(&name));
            match asks {
                [true, true, true, true] => {
                    assert!(!options.contains(&"key"), "{path}: a key is no argument")
                }
                [false, ..] => here_only.push(path),
                partly => panic!("{path}: {partly:?}"),
            }
        }
        let mut command = Cli::command();
        command.build();
        let mut here_only = Vec::new();
        walk(&command, "", &mut here_only);
        here_only.sort_unstable();
        assert_eq!(here_only, HERE_ONLY);
        // `rampart scan TARGET` scans from here.
        let scan = command.find_subcommand("scan").unwrap();
        assert!(scan.get_arguments().all(|argument| argument.get_long() != Some("server")));
    }

    #[test]
    fn every_option_has_help() {
        fn walk(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{} has no help", command.get_name());
            for argument in command.get_arguments() {
                assert!(
                    argument.get_help().is_some(),
                    "{} {} has no help",
                    command.get_name(),
                    argument.get_id()
                );
            }
            command.get_subcommands().for_each(walk);
        }
        walk(&Cli::command());
    }
}
