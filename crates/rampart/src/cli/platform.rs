//! The options of the platform's commands.

mod admin;
mod audit;
mod comments;
mod findings;
mod keys;
mod packages;
mod roles;
mod scans;
mod schedules;
mod tasks;
mod usage;
mod users;
mod webhooks;

use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf, time::Duration};

use clap::{ArgGroup, Args, Subcommand};
use ipnet::IpNet;
use model::{ScanId, Stage, UserName, limits::TaskCeilings};
use url::Url;

pub(crate) use self::{
    admin::{AdminCommand, AdminCreateArguments},
    audit::{
        AuditCheckpointsArguments, AuditCommand, AuditKeyCommand, AuditListArguments, AuditVerifyArguments,
    },
    comments::{CommentArguments, CommentListArguments, ScanCommentArguments, ScanCommentListArguments},
    findings::{FindingCommand, FindingDecideArguments, FindingListArguments, Verdict},
    keys::{KeyCommand, KeyCreateArguments},
    packages::PackageCommand,
    roles::{RoleCommand, RolePermissionsArguments},
    scans::{
        DiffArguments, OneScanArguments, ReportArguments, RequestArguments, ScanCommand, ScanListArguments,
        SubmitArguments,
    },
    schedules::{RuleArguments, ScheduleChangeArguments, ScheduleCommand, ScheduleCreateArguments},
    tasks::{TaskCommand, TaskFilterArguments},
    usage::UsageArguments,
    users::{UserChangeArguments, UserCommand},
    webhooks::{WebhookChangeArguments, WebhookCommand},
};
use super::values::{between, duration, lease, name, size};
use crate::configuration::{Configuration, ConfigurationArguments, ServerArguments, Whereabouts};

/// A command that works with the platform: where that is, and what it is asked.
#[derive(Debug, Args)]
pub(crate) struct OnPlatform<T: Args> {
    #[command(flatten)]
    pub(crate) arguments: T,
    #[command(flatten)]
    configuration: ConfigurationArguments,
}

impl<T: Args> OnPlatform<T> {
    pub(crate) fn configuration(&self) -> anyhow::Result<Configuration> {
        Configuration::read(&self.configuration)
    }

    /// Reads it as it is by then, from the same file.
    pub(crate) fn reader(&self) -> impl Fn() -> anyhow::Result<Configuration> + Send + 'static {
        let mut arguments = self.configuration.clone();
        // What was there at the start must be there again: without it everything would be as usual, which nobody has said.
        arguments.config = arguments.config.or_else(Configuration::usual_file);
        move || Configuration::read(&arguments)
    }
}

/// The same for a family of commands.
#[derive(Debug, Args)]
pub(crate) struct FamilyOnPlatform<T: Subcommand> {
    #[command(subcommand)]
    pub(crate) command: T,
    #[command(flatten)]
    configuration: ConfigurationArguments,
}

impl<T: Subcommand> FamilyOnPlatform<T> {
    pub(crate) fn configuration(&self) -> anyhow::Result<Configuration> {
        Configuration::read(&self.configuration)
    }
}

/// A command that a server can be asked for as well.
#[derive(Debug, Args)]
pub(crate) struct Anywhere<T: Args> {
    #[command(flatten)]
    pub(crate) arguments: T,
    #[command(flatten)]
    configuration: ConfigurationArguments,
    #[command(flatten)]
    server: ServerArguments,
}

impl<T: Args> Anywhere<T> {
    pub(crate) fn whereabouts(&self) -> anyhow::Result<Whereabouts> {
        Whereabouts::read(&self.configuration, &self.server)
    }

    /// Is a server named?
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.server.server.is_some()
    }

    /// For who goes on all the same: without the file when that cannot be used, and why it cannot.
    pub(crate) fn configuration_or_why_not(&self) -> (Option<Configuration>, Option<anyhow::Error>) {
        match Configuration::read(&self.configuration) {
            Ok(configuration) => (Some(configuration), None),
            Err(why) => (Configuration::without_file(&self.configuration).ok(), Some(why)),
        }
    }
}

/// The same for a family of commands.
#[derive(Debug, Args)]
pub(crate) struct FamilyAnywhere<T: Subcommand> {
    #[command(subcommand)]
    pub(crate) command: T,
    #[command(flatten)]
    configuration: ConfigurationArguments,
    #[command(flatten)]
    server: ServerArguments,
}

impl<T: Subcommand> FamilyAnywhere<T> {
    pub(crate) fn whereabouts(&self) -> anyhow::Result<Whereabouts> {
        Whereabouts::read(&self.configuration, &self.server)
    }
}

#[derive(Debug, Args)]
pub(crate) struct NoArguments {}

#[derive(Debug, Args)]
pub(crate) struct JsonArguments {
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PlatformCommand {
    /// Run the whole platform in this process: queue, workers, schedules, on one file
    Up(OnPlatform<UpArguments>),
    /// Answer people and programs: the API
    Gateway(OnPlatform<GatewayArguments>),
    /// Work on the platform's tasks
    Worker(OnPlatform<WorkerArguments>),
    /// Look after the platform: schedules, lost workers, deadlines; one leads, others stand by
    Orchestrator(OnPlatform<OrchestratorArguments>),
    /// Emergency stop: nothing more is sent, until a person lifts it
    Stop(Anywhere<StopArguments>),
    /// Lift an emergency stop
    Resume(Anywhere<ResumeArguments>),
    /// List, show, cancel and redrive the platform's tasks
    Task(FamilyAnywhere<TaskCommand>),
    /// Ask what is known of packages of other people's software
    Package(FamilyAnywhere<PackageCommand>),
    /// List and show what was found over all scans, say what you make of it, and speak about it
    Finding(FamilyAnywhere<FindingCommand>),
    /// Begin scans by the clock
    Schedule(FamilyAnywhere<ScheduleCommand>),
    /// Read who did what, and when, and see that nobody has changed it
    Audit(FamilyAnywhere<AuditCommand>),
    /// Make, list, rotate and revoke keys for programs
    Key(FamilyAnywhere<KeyCommand>),
    /// Invite, list, change and forget people who log in
    User(FamilyAnywhere<UserCommand>),
    /// Say what people and keys may do: list, make, change and delete roles
    Role(FamilyAnywhere<RoleCommand>),
    /// Tell other programs what happens: make, list, change and delete webhooks
    Webhook(FamilyAnywhere<WebhookCommand>),
    /// Let people in who administer a tenant
    Admin(FamilyOnPlatform<AdminCommand>),
    /// Make, change, show and list tenants
    Tenant(FamilyAnywhere<TenantCommand>),
    /// Say what was used: scans, how long workers worked, what was sent, what that cost, what was newly found
    Usage(Anywhere<UsageArguments>),
    /// Prepare a PostgreSQL database, or bring it up to date; --database names it as its owner
    Migrate(OnPlatform<MigrateArguments>),
    /// Check configuration, connections, clock and limits, and say what to do
    Doctor(Anywhere<JsonArguments>),
}

#[derive(Debug, Args)]
pub(crate) struct ScopePutArguments {
    /// Its name
    #[arg(value_parser = name)]
    pub(crate) name: String,

    /// The scope file
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ScopeDeleteArguments {
    /// Which
    pub(crate) name: String,
}

/// Where the API is
#[derive(Debug, Clone, Args)]
pub(crate) struct ListenArguments {
    /// Address to listen on [default: 127.0.0.1:8440]
    #[arg(long, value_name = "ADDR", env = "RAMPART_LISTEN")]
    pub(crate) listen: Option<SocketAddr>,

    /// Certificate to encrypt with, in PEM, with what it was signed by behind it; looked at again and again
    #[arg(long, value_name = "FILE", env = "RAMPART_TLS_CERTIFICATE", requires = "tls_key")]
    pub(crate) tls_certificate: Option<PathBuf>,

    /// Its private key, in PEM
    #[arg(long, value_name = "FILE", env = "RAMPART_TLS_KEY", requires = "tls_certificate")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Listen on other addresses than loopback although nothing is encrypted: whoever is on the way reads keys
    #[arg(long)]
    pub(crate) without_tls: bool,

    #[command(flatten)]
    pub(crate) watch: WatchArguments,

    /// Requests of one address that are answered at once [default: 256]
    #[arg(long, value_name = "N", env = "RAMPART_ADDRESS_AT_ONCE", value_parser = rate)]
    pub(crate) address_at_once: Option<NonZeroU32>,

    /// Requests a second that one address gets answered [default: 100]
    #[arg(long, value_name = "N", env = "RAMPART_ADDRESS_RATE", value_parser = rate)]
    pub(crate) address_rate: Option<NonZeroU32>,

    /// Requests a second with one key [default: 100]
    #[arg(long, value_name = "N", env = "RAMPART_KEY_RATE", value_parser = rate)]
    pub(crate) key_rate: Option<NonZeroU32>,

    /// Requests a second of one tenant [default: 1000]
    #[arg(long, value_name = "N", env = "RAMPART_TENANT_RATE", value_parser = rate)]
    pub(crate) tenant_rate: Option<NonZeroU32>,

    /// Passwords a minute that one address may try [default: 10]
    #[arg(long, value_name = "N", env = "RAMPART_LOGIN_RATE", value_parser = rate)]
    pub(crate) login_rate: Option<NonZeroU32>,

    /// Invitations an hour that one address may take up [default: 5]
    #[arg(long, value_name = "N", env = "RAMPART_SIGN_UP_RATE", value_parser = rate)]
    pub(crate) sign_up_rate: Option<NonZeroU32>,

    /// Networks of proxies that are believed when they say for whom they ask
    #[arg(long, value_name = "NETWORKS", env = "RAMPART_TRUSTED_PROXIES", value_delimiter = ',')]
    pub(crate) trusted_proxies: Option<Vec<IpNet>>,

    /// Tenant whose owners and administrators look after all tenants [default: nobody does by the API]
    #[arg(long, value_name = "NAME", env = "RAMPART_PLATFORM_TENANT")]
    pub(crate) platform_tenant: Option<String>,

    /// Where people find this platform, `https://HOST`: identity providers send them back there
    #[arg(long, value_name = "URL", env = "RAMPART_PUBLIC_URL")]
    pub(crate) public_url: Option<String>,

    /// File that names the identity providers by which people log in (OpenID Connect)
    #[arg(long, value_name = "FILE", env = "RAMPART_IDENTITY_PROVIDERS")]
    pub(crate) identity_providers: Option<PathBuf>,
}

impl ListenArguments {
    /// The settings that need a new start and are said here, which goes before the configuration.
    pub(crate) fn given(&self) -> Vec<&'static str> {
        let mut given = self.watch.given();
        given.extend(self.listen.map(|_| "listen"));
        given.extend(self.tls_certificate.iter().flat_map(|_| ["tls_certificate", "tls_key"]));
        given
    }
}

/// Where whoever watches a process asks
#[derive(Debug, Clone, Args)]
pub(crate) struct WatchArguments {
    /// Address for /metrics in the OpenMetrics format, /health and /ready, for whoever watches [default: none]
    #[arg(long, value_name = "ADDR", env = "RAMPART_METRICS")]
    pub(crate) metrics: Option<SocketAddr>,
}

impl WatchArguments {
    /// The settings that need a new start and are said here, which goes before the configuration.
    pub(crate) fn given(&self) -> Vec<&'static str> {
        self.metrics.map(|_| "metrics").into_iter().collect()
    }
}

/// What a process begins with
#[derive(Debug, Clone, Args)]
pub(crate) struct StartArguments {
    /// How long to wait at the start for a database that is not there yet, or that nobody has prepared yet [default: not at all]
    #[arg(long, value_name = "TIME", env = "RAMPART_DATABASE_WAIT", value_parser = duration)]
    pub(crate) database_wait: Option<Duration>,

    /// Look at rampart.toml and at the files that it names every five seconds, and take what has changed as with SIGHUP
    #[arg(long, env = "RAMPART_FOLLOW_FILES")]
    pub(crate) follow_files: bool,
}

/// So often within a second, a minute or an hour.
fn rate(text: &str) -> Result<NonZeroU32, String> {
    text.parse().map_err(|_| "it is a number, at least 1".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct GatewayArguments {
    #[command(flatten)]
    pub(crate) listen: ListenArguments,

    #[command(flatten)]
    pub(crate) start: StartArguments,

    /// How long it goes on answering after the request to terminate, while it says that it is not ready
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub(crate) linger: Duration,

    /// How long answers that were begun may take after that
    #[arg(long, value_name = "TIME", default_value = "25s", value_parser = duration)]
    pub(crate) drain: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct UpArguments {
    #[command(flatten)]
    pub(crate) listen: ListenArguments,

    /// Tasks at once
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = between::<usize, 1, 100_000>)]
    pub(crate) concurrency: usize,

    /// How long tasks may go on after Ctrl-C; what is not done by then is done after the next start
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub(crate) drain: Duration,

    #[command(flatten)]
    pub(crate) ceilings: CeilingArguments,

    /// Start the demo estate in this process too, with the scope `demo` that allows it
    #[arg(long)]
    pub(crate) demo: bool,
}

/// A stage that workers of this release can work for.
fn served_stage(text: &str) -> Result<Stage, String> {
    let words = || Stage::SERVED.map(Stage::as_str).join(", ");
    text.parse()
        .ok()
        .filter(|stage| Stage::SERVED.contains(stage))
        .ok_or_else(|| format!("no worker of this release works for `{text}`: use {}", words()))
}

#[derive(Debug, Args)]
pub(crate) struct WorkerArguments {
    /// Stages to work for: discover, ports, crawl, check, report, deliver, exercise
    #[arg(
        long = "stage",
        value_name = "STAGES",
        value_delimiter = ',',
        value_parser = served_stage,
        default_value = "discover,ports,crawl,check,report,deliver"
    )]
    pub(crate) stages: Vec<Stage>,

    /// Tasks at once
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = between::<usize, 1, 100_000>)]
    pub(crate) concurrency: usize,

    /// How long tasks may go on after the request to terminate; what is not done by then is handed back
    #[arg(long, value_name = "TIME", default_value = "25s", value_parser = duration)]
    pub(crate) drain: Duration,

    /// How long this process may be silent before others get its tasks; it is heard of three times as often
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = lease)]
    pub(crate) lease: Duration,

    #[command(flatten)]
    pub(crate) ceilings: CeilingArguments,

    #[command(flatten)]
    pub(crate) watch: WatchArguments,

    #[command(flatten)]
    pub(crate) start: StartArguments,
}

#[derive(Debug, Args)]
pub(crate) struct OrchestratorArguments {
    #[command(flatten)]
    pub(crate) watch: WatchArguments,

    /// Tell the API of the Kubernetes cluster that this process is in which workers are busy: the others go first when there are to be
    /// fewer
    #[arg(
        long,
        value_name = "URL",
        env = "RAMPART_TELL_KUBERNETES",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "https://kubernetes.default.svc"
    )]
    pub(crate) tell_kubernetes: Option<Url>,

    /// Where the files of the pod's service account are
    #[arg(long, value_name = "DIR", default_value = cluster::api::ACCOUNT, requires = "tell_kubernetes")]
    pub(crate) service_account: PathBuf,

    #[command(flatten)]
    pub(crate) start: StartArguments,
}

/// Enough for common answers and for what is kept of them for other checks.
const LEAST_MEMORY: u64 = 1 << 20;
/// Enough for what a scan of one port says.
const LEAST_OUTPUT: u64 = 64 << 10;

/// What one task may use in this process; nothing raises what its scan's profile says
#[derive(Debug, Args)]
pub(crate) struct CeilingArguments {
    /// What a task may hold of its targets' answers at once, such as 16MiB; at most, and by default, what the profile says
    #[arg(long, value_name = "SIZE", value_parser = size::<LEAST_MEMORY>)]
    pub(crate) task_memory: Option<u64>,

    /// What a task may give back, such as 4MiB; at most, and by default, what the profile says
    #[arg(long, value_name = "SIZE", value_parser = size::<LEAST_OUTPUT>)]
    pub(crate) task_output: Option<u64>,
}

impl CeilingArguments {
    pub(crate) fn of_tasks(&self) -> TaskCeilings {
        TaskCeilings { held_bytes: self.task_memory, result_bytes: self.task_output }
    }
}

/// How far a stop reaches: everything, unless something is named; at a server, everything of the key's tenant
#[derive(Debug, Args)]
pub(crate) struct ReachArguments {
    /// Only what belongs to a tenant
    #[arg(long = "of-tenant", value_name = "NAME", group = "reach")]
    pub(crate) of_tenant: Option<String>,

    /// Only a scan, of the tenant that --tenant names
    #[arg(long, value_name = "SCAN", group = "reach")]
    pub(crate) scan: Option<ScanId>,

    /// Only a stage
    #[arg(long, value_name = "STAGE", group = "reach")]
    pub(crate) stage: Option<Stage>,

    /// Everything of everybody, also at a server
    #[arg(long, group = "reach")]
    pub(crate) everything: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StopArguments {
    /// Why; it is written down
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) reason: String,

    #[command(flatten)]
    pub(crate) reach: ReachArguments,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ResumeArguments {
    /// Why; it is written down
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) reason: String,

    /// The person who lifts it; it is written down. A server writes down whose key it is
    #[arg(
        long,
        value_name = "PERSON",
        value_parser = clap::builder::NonEmptyStringValueParser::new(),
        required_unless_present = "server"
    )]
    pub(crate) by: Option<String>,

    #[command(flatten)]
    pub(crate) reach: ReachArguments,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("shares").args(["weight", "most_in_flight"]).required(true).multiple(true)))]
pub(crate) struct TenantSetArguments {
    /// Which
    pub(crate) name: String,

    /// Its share against the others'
    #[arg(long, value_name = "N", value_parser = between::<u32, 1, 1000>)]
    pub(crate) weight: Option<u32>,

    /// Tasks at work at once, at most
    #[arg(long, value_name = "N", value_parser = between::<u64, 1, 1_000_000>)]
    pub(crate) most_in_flight: Option<u64>,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TenantCommand {
    /// Make a tenant
    Create {
        /// Its name
        #[arg(value_parser = name)]
        name: String,
        /// Its share against the others'
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = between::<u32, 1, 1000>)]
        weight: u32,
        /// Tasks at work at once, at most
        #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = between::<u64, 1, 1_000_000>)]
        most_in_flight: u64,
        /// Invite this person as its owner
        #[arg(long, value_name = "NAME")]
        owner: Option<UserName>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Change what a tenant may take
    Set(TenantSetArguments),
    /// Show a tenant: what it may take, what it has at work, its scopes
    Show {
        /// Which
        name: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// List tenants
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct MigrateArguments {
    /// Who may work with the database: these users get the roles for it
    #[arg(long, value_name = "USER", value_delimiter = ',')]
    pub(crate) grant_to: Vec<String>,

    #[command(flatten)]
    pub(crate) start: StartArguments,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}
