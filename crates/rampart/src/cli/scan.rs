//! The options of `rampart scan`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, ValueEnum};
use model::{Profile, Severity, Stage};

use super::{platform::ScanCommand, values::duration};

/// When to use colours
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What to do with robots.txt (RFC 9309)
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RobotsChoice {
    /// Do not follow what it disallows; use what it allows and its sitemaps as sources
    Obey,
    /// Do not read it
    Ignore,
    /// Use every path it names as a source, disallowed ones too (the scope's author has authorised that)
    Source,
}

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct ScanArguments {
    /// Scans of the platform that `rampart up` runs
    #[command(subcommand)]
    pub(crate) command: Option<ScanCommand>,

    /// Names, addresses, networks (192.0.2.0/24), host:port, URLs; `-` reads them from standard input
    #[arg(value_name = "TARGET", required_unless_present_any = ["demo", "list", "resume"])]
    pub(crate) targets: Vec<String>,

    /// Read targets from a file, one a line; `#` begins a comment
    #[arg(long, value_name = "FILE", help_heading = "Targets and scope")]
    pub(crate) list: Vec<PathBuf>,

    /// Start a small misconfigured estate on loopback inside this process, and scan it
    #[arg(long, conflicts_with_all = ["targets", "list", "scope", "resolver", "resume"], help_heading = "Targets and scope")]
    pub(crate) demo: bool,

    /// Scope file: what may be scanned and who authorised it; without one only loopback is scanned
    #[arg(long, value_name = "FILE", help_heading = "Targets and scope")]
    pub(crate) scope: Option<PathBuf>,

    /// Name servers to ask, ADDRESS or ADDRESS:PORT; the system's by default
    #[arg(long, value_name = "ADDR", value_delimiter = ',', help_heading = "Targets and scope")]
    pub(crate) resolver: Vec<String>,

    /// Go on with an earlier scan, from its output directory; only --format, --fail-on, rates, connections and deadlines may be
    /// given anew
    #[arg(long, value_name = "DIR", conflicts_with_all = SETTLED, help_heading = "Targets and scope")]
    pub(crate) resume: Option<PathBuf>,

    /// Stages to run: discover, ports, crawl, check
    #[arg(
        long,
        value_name = "STAGES",
        value_delimiter = ',',
        value_parser = scanning_stage,
        default_value = "discover,ports,crawl,check",
        help_heading = "What to do"
    )]
    pub(crate) stages: Vec<Stage>,

    /// How far to go: quick, standard or deep
    #[arg(long, default_value = "standard", help_heading = "What to do")]
    pub(crate) profile: Profile,

    /// Ports to look at: `80,443,8000-8100`, `top-100`, `all`; the profile's by default
    #[arg(long, value_name = "PORTS", help_heading = "What to do")]
    pub(crate) ports: Option<String>,

    /// Find open ports only; do not find out what listens on them
    #[arg(long, help_heading = "What to do")]
    pub(crate) no_identify: bool,

    /// Word list for names below a target, one a line; the built-in one by default
    #[arg(long, value_name = "FILE", help_heading = "What to do")]
    pub(crate) words: Option<PathBuf>,

    /// What to do with robots.txt
    #[arg(long, value_enum, default_value = "obey", help_heading = "What to do")]
    pub(crate) robots: RobotsChoice,

    /// Templates to run instead of the built-in checks: files or directories
    #[arg(long, value_name = "PATH", num_args = 1.., help_heading = "Checks")]
    pub(crate) checks: Vec<PathBuf>,

    /// Run only these checks, by id
    #[arg(long, value_name = "ID", value_delimiter = ',', help_heading = "Checks")]
    pub(crate) only: Vec<String>,

    /// Run these checks although they are tagged intrusive, dos, fuzz or brute force: named one by one
    #[arg(long, value_name = "ID", value_delimiter = ',', help_heading = "Checks")]
    pub(crate) allow: Vec<String>,

    /// Give templates a value
    #[arg(long = "var", value_name = "NAME=VALUE", help_heading = "Checks")]
    pub(crate) variables: Vec<String>,

    /// Reports to write: html, json, jsonl, sarif, csv, markdown; one goes to standard output unless --output is given
    #[arg(long, value_name = "FORMAT", value_delimiter = ',', help_heading = "Output")]
    pub(crate) format: Vec<report::Format>,

    /// Directory for reports and the scan's journal [default: rampart-reports/TIME-ID, with html and json]
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,

    /// Exit with 1 when a finding is at least this severe [default: low]
    #[arg(long, value_name = "SEVERITY", help_heading = "Output")]
    fail_on: Option<Severity>,

    /// Only findings and errors, no progress and no summary
    #[arg(long, short, help_heading = "Output")]
    pub(crate) quiet: bool,

    /// When to use colours
    #[arg(long, value_enum, default_value = "auto", help_heading = "Output")]
    pub(crate) color: ColorChoice,

    /// Who is behind the scan: an address or URL that goes into the User-Agent
    #[arg(long, value_name = "TEXT", help_heading = "Output")]
    pub(crate) contact: Option<String>,

    /// Requests a second, in all [default: the profile's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    pub(crate) rate: Option<u32>,

    /// Requests a second to one address
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    pub(crate) host_rate: Option<u32>,

    /// Port probes a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    pub(crate) probe_rate: Option<u32>,

    /// DNS queries a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    pub(crate) query_rate: Option<u32>,

    /// Open connections, in all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    pub(crate) connections: Option<u32>,

    /// Open connections to one address
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    pub(crate) host_connections: Option<u32>,

    /// Time for one request, such as 500ms, 10s
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Limits")]
    pub(crate) timeout: Option<Duration>,

    /// Time for everything on one host, such as 10m
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Limits")]
    pub(crate) host_deadline: Option<Duration>,

    /// Time for the whole scan, such as 2h
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Limits")]
    pub(crate) deadline: Option<Duration>,

    /// Pages crawled on one site
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub(crate) pages: Option<u32>,

    /// Links followed from a site's first page
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub(crate) depth: Option<u32>,
}

/// What a scan's first run settles for those that go on with it.
const SETTLED: [&str; 17] = [
    "targets",
    "list",
    "demo",
    "scope",
    "resolver",
    "stages",
    "profile",
    "ports",
    "no_identify",
    "words",
    "robots",
    "checks",
    "only",
    "allow",
    "variables",
    "output",
    "contact",
];

impl ScanArguments {
    /// From which severity on a finding makes the exit status 1.
    pub(crate) fn fail_on(&self) -> Severity {
        self.fail_on.unwrap_or(Severity::Low)
    }

    /// The arguments of a run that goes on with the scan that began with these: what is scanned was settled then, how fast and
    /// how it is shown is for each run to say.
    /// Paths of the first run are meant from the directory in which it was begun.
    pub(crate) fn gone_on_with(self, run: ScanArguments, directory: &Path) -> ScanArguments {
        let from_there = |path: PathBuf| directory.join(path);
        ScanArguments {
            scope: self.scope.map(from_there),
            words: self.words.map(from_there),
            checks: self.checks.into_iter().map(from_there).collect(),
            quiet: run.quiet,
            color: run.color,
            output: run.resume,
            format: if run.format.is_empty() { self.format } else { run.format },
            fail_on: run.fail_on.or(self.fail_on),
            rate: run.rate.or(self.rate),
            host_rate: run.host_rate.or(self.host_rate),
            probe_rate: run.probe_rate.or(self.probe_rate),
            query_rate: run.query_rate.or(self.query_rate),
            connections: run.connections.or(self.connections),
            host_connections: run.host_connections.or(self.host_connections),
            timeout: run.timeout.or(self.timeout),
            // A scan that its deadline ended would only be ended again.
            deadline: run.deadline.or(self.deadline),
            host_deadline: run.host_deadline.or(self.host_deadline),
            pages: run.pages.or(self.pages),
            depth: run.depth.or(self.depth),
            ..self
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  rampart scan --demo                                    see it work, without a network
  rampart scan 127.0.0.1 --profile quick                 this machine
  rampart scan staging.example.com --scope scope.toml    a host, within a scope that you wrote
  rampart scan --list urls.txt --stages check --format jsonl
  rampart scan http://127.0.0.1:8080/ --checks my-checks/ --var token=abc

Findings go to standard output, everything else to standard error. Ctrl-C ends the scan and still writes the report;
`--resume DIR` goes on from there.

Exit status:
  0  nothing at or above --fail-on
  1  at least one finding at or above --fail-on
  2  an error: nothing, or not everything, was done
  3  nothing at or above --fail-on, but something could not be determined";

/// `500ms`, `10s`, `5m`, `2h`.
pub(super) fn scanning_stage(text: &str) -> Result<Stage, String> {
    text.parse()
        .ok()
        .filter(|stage| Stage::SCANNING.contains(stage))
        .ok_or_else(|| format!("`{text}` is not a stage of a scan: use discover, ports, crawl or check"))
}
