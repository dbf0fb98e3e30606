//! `rampart.toml`, the environment and flags become one configuration, once; nobody else reads them.

mod audit;
mod changes;
mod identity;
mod logging;
mod opening;
mod passwords;
mod server;
mod traces;
mod webhooks;

use std::{
    fmt, fs,
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use gateway::{IdentityProviders, Rates};
use ipnet::IpNet;
use model::{SecretUrl, WorkerPrice};
use reqwest::header::HeaderMap;
use serde::Deserialize;
use store::{Retention, Terms};
use url::Url;
use worker::orchestrator::Keeping;

pub(crate) use self::{
    audit::public_key,
    changes::Process,
    logging::Logging,
    server::{ServerArguments, Whereabouts},
};
use self::{
    passwords::{PasswordFile, PasswordsArguments},
    traces::TracesArguments,
    webhooks::{Webhooks, WebhooksArguments},
};
use crate::{
    cli::{between, duration},
    library,
};

/// To one server, of one process.
const MOST_CONNECTIONS: u64 = 1_000;
/// Longer than replicas are behind that nothing is wrong with.
const REPLICA_LAG: Duration = Duration::from_secs(10);

/// How log lines look
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// Where the platform is: the same for every command that works with it.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ConfigurationArguments {
    /// Configuration file; `rampart.toml` in this directory when there is one
    #[arg(long, value_name = "FILE", env = "RAMPART_CONFIG", help_heading = "Platform", global = true)]
    pub(crate) config: Option<PathBuf>,

    /// Directory for the database file, and for the reports unless --objects says otherwise [default: rampart-data]
    #[arg(long, value_name = "DIR", env = "RAMPART_DATA", help_heading = "Platform", global = true)]
    pub(crate) data: Option<PathBuf>,

    /// Database: `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/NAME` [default: a file in --data]
    #[arg(
        long,
        value_name = "URL",
        env = "RAMPART_DATABASE",
        hide_env_values = true,
        help_heading = "Platform",
        global = true
    )]
    pub(crate) database: Option<String>,

    /// Connections to a PostgreSQL server, at most [default: 10]
    #[arg(
        long,
        value_name = "N",
        env = "RAMPART_DATABASE_CONNECTIONS",
        value_parser = between::<usize, 1, MOST_CONNECTIONS>,
        help_heading = "Platform",
        global = true
    )]
    pub(crate) database_connections: Option<usize>,

    /// Replica of a PostgreSQL database, for lists that may be some seconds old: `postgres://USER:PASSWORD@HOST/NAME`
    #[arg(
        long,
        value_name = "URL",
        env = "RAMPART_REPLICA",
        hide_env_values = true,
        help_heading = "Platform",
        global = true
    )]
    pub(crate) replica: Option<String>,

    /// How old what the replica knows may be; the database itself is asked instead [default: 10s]
    #[arg(
        long,
        value_name = "TIME",
        env = "RAMPART_REPLICA_LAG",
        value_parser = duration,
        help_heading = "Platform",
        global = true
    )]
    pub(crate) replica_lag: Option<Duration>,

    /// Where evidence and reports are kept: `file:DIR`, `s3://BUCKET/PREFIX` or `gs://BUCKET/PREFIX` [default: evidence in
    /// the database, reports in --data]
    #[arg(
        long,
        value_name = "URL",
        env = "RAMPART_OBJECTS",
        hide_env_values = true,
        help_heading = "Platform",
        global = true
    )]
    pub(crate) objects: Option<String>,

    /// Doorbell: `none`, or the URL of a Redis or RabbitMQ server [default: none]
    #[arg(
        long,
        value_name = "URL",
        env = "RAMPART_DOORBELL",
        hide_env_values = true,
        help_heading = "Platform",
        global = true
    )]
    pub(crate) doorbell: Option<String>,

    /// Tenant that a command is about [default: default]
    #[arg(long, value_name = "NAME", env = "RAMPART_TENANT", help_heading = "Platform", global = true)]
    pub(crate) tenant: Option<String>,

    /// What an hour of one task's worker costs, such as 0.05: scans are told what they cost, and may have a budget of it
    #[arg(
        long,
        value_name = "PRICE",
        env = "RAMPART_PRICE_PER_WORKER_HOUR",
        help_heading = "Platform",
        global = true
    )]
    pub(crate) price_per_worker_hour: Option<WorkerPrice>,

    /// How long scans are kept after their end, such as 400d: the orchestrator forgets older ones with their reports, but for the
    /// last of each kind [default: for good]
    #[arg(
        long,
        value_name = "TIME",
        env = "RAMPART_KEEP_SCANS",
        value_parser = duration,
        help_heading = "Platform",
        global = true
    )]
    pub(crate) keep_scans: Option<Duration>,

    /// Key that the orchestrator signs the audit with, in PEM [default: audit.key in --data, when there is one]
    #[arg(long, value_name = "FILE", env = "RAMPART_AUDIT_KEY", help_heading = "Platform", global = true)]
    pub(crate) audit_key: Option<PathBuf>,

    /// How long the audit is kept, such as 400d, at least a day: the orchestrator purges what is older, and signs that it did
    /// [default: for good]
    #[arg(
        long,
        value_name = "TIME",
        env = "RAMPART_KEEP_AUDIT",
        value_parser = duration,
        help_heading = "Platform",
        global = true
    )]
    pub(crate) keep_audit: Option<Duration>,

    /// What is logged, such as `info` or `worker=debug` [default: info]
    #[arg(long, value_name = "FILTER", env = "RAMPART_LOG", help_heading = "Platform", global = true)]
    pub(crate) log: Option<String>,

    /// How log lines look [default: text]
    #[arg(long, value_name = "FORMAT", env = "RAMPART_LOG_FORMAT", help_heading = "Platform", global = true)]
    pub(crate) log_format: Option<LogFormat>,

    #[command(flatten)]
    pub(crate) passwords: PasswordsArguments,

    #[command(flatten)]
    pub(crate) traces: TracesArguments,

    #[command(flatten)]
    pub(crate) webhooks: WebhooksArguments,
}

/// The file: every key has the name of its flag.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    data: Option<PathBuf>,
    database: Option<String>,
    database_connections: Option<usize>,
    replica: Option<String>,
    replica_lag: Option<String>,
    objects: Option<String>,
    doorbell: Option<String>,
    database_password_file: Option<PathBuf>,
    doorbell_password_file: Option<PathBuf>,
    objects_password_file: Option<PathBuf>,
    tenant: Option<String>,
    price_per_worker_hour: Option<WorkerPrice>,
    keep_scans: Option<String>,
    audit_key: Option<PathBuf>,
    keep_audit: Option<String>,
    listen: Option<SocketAddr>,
    metrics: Option<SocketAddr>,
    tls_certificate: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    address_at_once: Option<NonZeroU32>,
    address_rate: Option<NonZeroU32>,
    key_rate: Option<NonZeroU32>,
    tenant_rate: Option<NonZeroU32>,
    login_rate: Option<NonZeroU32>,
    sign_up_rate: Option<NonZeroU32>,
    trusted_proxies: Option<Vec<IpNet>>,
    platform_tenant: Option<String>,
    public_url: Option<String>,
    identity_providers: Option<PathBuf>,
    log: Option<String>,
    log_format: Option<LogFormat>,
    traces: Option<String>,
    traces_headers: Option<String>,
    traces_ratio: Option<f64>,
    webhook_receivers: Option<String>,
    webhook_key: Option<PathBuf>,
    webhook_ca: Option<PathBuf>,
}

/// Everything that the roles and the operators' commands are told.
#[derive(Debug, Clone)]
pub(crate) struct Configuration {
    /// Where it was read from.
    path: Option<PathBuf>,
    pub(crate) data: PathBuf,
    pub(crate) database: DatabaseUrl,
    pub(crate) database_connections: usize,
    pub(crate) replica: Option<SecretUrl>,
    pub(crate) replica_lag: Duration,
    /// Evidence goes into the database, and reports into the data directory, without any.
    pub(crate) objects: Option<SecretUrl>,
    pub(crate) doorbell: SecretUrl,
    /// Of the database and of its replica.
    database_password: Option<PasswordFile>,
    doorbell_password: Option<PasswordFile>,
    objects_password: Option<PasswordFile>,
    pub(crate) tenant: String,
    pub(crate) price_per_worker_hour: Option<WorkerPrice>,
    /// For good without any.
    pub(crate) keep_scans: Option<Duration>,
    /// The one in the data directory, if it is there, without any.
    pub(crate) audit_key: Option<PathBuf>,
    /// For good without any.
    pub(crate) keep_audit: Option<Duration>,
    pub(crate) listen: SocketAddr,
    pub(crate) metrics: Option<SocketAddr>,
    /// Certificate and key.
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    pub(crate) rates: Rates,
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Whose people look after all tenants.
    pub(crate) platform_tenant: Option<String>,
    /// Where people find the platform.
    pub(crate) public_url: Option<String>,
    /// The file that names them.
    pub(crate) identity_providers: Option<PathBuf>,
    pub(crate) log: String,
    pub(crate) log_format: LogFormat,
    /// Nothing is traced without any.
    pub(crate) traces: Option<Url>,
    /// Their values are secrets, and say so.
    pub(crate) traces_headers: HeaderMap,
    pub(crate) traces_ratio: f64,
    pub(crate) webhooks: Webhooks,
}

/// Which database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DatabaseUrl {
    Sqlite(PathBuf),
    Postgres(SecretUrl),
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DatabaseUrl::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            DatabaseUrl::Postgres(url) => url.fmt(f),
        }
    }
}

impl Configuration {
    /// Flags before the environment before the file before what is usual.
    pub(crate) fn read(arguments: &ConfigurationArguments) -> anyhow::Result<Configuration> {
        let path = arguments.config.clone().or_else(Configuration::usual_file);
        let file = path.as_deref().map(read_file).transpose()?.unwrap_or_default();
        Ok(Configuration { path, ..Configuration::of(arguments, file)? })
    }

    /// It and the files that it names, but for those that are looked at anyway.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let passwords = [&self.database_password, &self.doorbell_password];
        let passwords = passwords.into_iter().flatten().map(|file| file.path().to_owned());
        let Webhooks { key, authorities, .. } = &self.webhooks;
        let named = [&self.path, &self.audit_key, &self.identity_providers, key, authorities];
        named.into_iter().flatten().cloned().chain(passwords).collect()
    }

    /// The file that is read when none is named, if it is there.
    pub(crate) fn usual_file() -> Option<PathBuf> {
        let file = PathBuf::from("rampart.toml");
        file.exists().then_some(file)
    }

    /// As if there were no file.
    pub(crate) fn without_file(arguments: &ConfigurationArguments) -> anyhow::Result<Configuration> {
        Configuration::of(arguments, File::default())
    }

    fn of(arguments: &ConfigurationArguments, file: File) -> anyhow::Result<Configuration> {
        let arguments = arguments.clone();
        let data = arguments.data.or(file.data).unwrap_or_else(|| PathBuf::from("rampart-data"));
        let database = match arguments.database.or(file.database) {
            None => DatabaseUrl::Sqlite(data.join("rampart.db")),
            Some(url) => database_url(&url)?,
        };
        let connections = arguments.database_connections.or(file.database_connections).unwrap_or(10);
        if !(1..=MOST_CONNECTIONS as usize).contains(&connections) {
            bail!("database_connections: {connections} is not a number from 1 to {MOST_CONNECTIONS}");
        }
        let replica =
            arguments.replica.or(file.replica).map(|url| replica_url(&url, &database)).transpose()?;
        let replica_lag =
            time("replica_lag", arguments.replica_lag, file.replica_lag)?.unwrap_or(REPLICA_LAG);
        let objects = arguments.objects.or(file.objects).map(SecretUrl::new);
        let doorbell = arguments.doorbell.or(file.doorbell);
        // Whoever goes on without a doorbell that is away leaves the rest as it is.
        let is_silenced = doorbell.as_deref() == Some("none");
        let doorbell = SecretUrl::new(doorbell.unwrap_or_else(|| "none".to_owned()));
        let passwords = arguments.passwords;
        let server = match &database {
            DatabaseUrl::Postgres(url) => Some(url),
            DatabaseUrl::Sqlite(_) => None,
        };
        let password = |setting, flag: Option<PathBuf>, file, urls: &[Option<&SecretUrl>]| {
            PasswordFile::read(setting, flag.or(file), urls)
        };
        let database_password = password(
            "database_password_file",
            passwords.database_password_file,
            file.database_password_file,
            &[server, replica.as_ref()],
        )?;
        let doorbell_password = password(
            "doorbell_password_file",
            passwords.doorbell_password_file.filter(|_| !is_silenced),
            file.doorbell_password_file.filter(|_| !is_silenced),
            &[Some(&doorbell)],
        )?;
        let objects_password = password(
            "objects_password_file",
            passwords.objects_password_file,
            file.objects_password_file,
            &[objects.as_ref()],
        )?;
        let TracesArguments { traces: collector, traces_headers: headers, traces_ratio: ratio } =
            arguments.traces;
        let collector = collector.or(file.traces);
        let collector = collector.map(|address| traces::collector(&address)).transpose()?;
        let headers = headers.or(file.traces_headers);
        let headers = headers.map(|headers| traces::headers(&headers, collector.as_ref())).transpose()?;
        let usual = Rates::default();
        let rates = Rates {
            at_once: file.address_at_once.unwrap_or(usual.at_once),
            address: file.address_rate.unwrap_or(usual.address),
            key: file.key_rate.unwrap_or(usual.key),
            tenant: file.tenant_rate.unwrap_or(usual.tenant),
            login: file.login_rate.unwrap_or(usual.login),
            sign_up: file.sign_up_rate.unwrap_or(usual.sign_up),
        };
        Ok(Configuration {
            path: None,
            data,
            database,
            database_connections: connections,
            replica,
            replica_lag,
            objects,
            doorbell,
            database_password,
            doorbell_password,
            objects_password,
            tenant: arguments.tenant.or(file.tenant).unwrap_or_else(|| "default".to_owned()),
            price_per_worker_hour: arguments.price_per_worker_hour.or(file.price_per_worker_hour),
            keep_scans: time("keep_scans", arguments.keep_scans, file.keep_scans)?,
            audit_key: arguments.audit_key.or(file.audit_key),
            keep_audit: audit::kept_for(time("keep_audit", arguments.keep_audit, file.keep_audit)?)?,
            metrics: file.metrics,
            tls: match (file.tls_certificate, file.tls_key) {
                (Some(certificate), Some(key)) => Some((certificate, key)),
                (None, None) => None,
                _ => bail!("tls_certificate and tls_key belong together: give both or none"),
            },
            rates,
            trusted_proxies: file.trusted_proxies.unwrap_or_default(),
            platform_tenant: file.platform_tenant,
            public_url: file.public_url,
            identity_providers: file.identity_providers,
            listen: file.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8440))),
            log: arguments.log.or(file.log).unwrap_or_else(|| "info".to_owned()),
            log_format: arguments.log_format.or(file.log_format).unwrap_or(LogFormat::Text),
            traces: collector,
            traces_headers: headers.unwrap_or_default(),
            traces_ratio: traces::ratio(ratio.or(file.traces_ratio))?,
            webhooks: Webhooks::of(
                arguments.webhooks,
                file.webhook_receivers,
                file.webhook_key,
                file.webhook_ca,
            )?,
        })
    }

    /// What the orchestrator keeps, and for how long. Its own directory may be where no reports are.
    pub(crate) fn keeping(&self) -> anyhow::Result<Keeping> {
        let reachable = self.objects.is_some() || self.data.is_dir();
        let reports = reachable.then(|| self.objects()).transpose()?;
        let retention = Retention { scans: self.keep_scans, ..Retention::default() };
        Ok(Keeping { retention, reports, notary: self.notary()?.map(Arc::new) })
    }

    /// By whom people are let in, with what arguments say in the place of what the file says.
    pub(crate) fn identity_providers(
        &self,
        public_url: Option<&str>,
        providers: Option<&Path>,
    ) -> anyhow::Result<IdentityProviders> {
        let public_url = public_url.or(self.public_url.as_deref()).map(identity::public_url).transpose()?;
        match providers.or(self.identity_providers.as_deref()) {
            Some(file) => identity::read(file, public_url.as_ref()),
            None => Ok(IdentityProviders::default()),
        }
    }

    /// On what terms scans are begun.
    pub(crate) fn terms(&self) -> Terms {
        Terms { checks: library::version(), price: self.price_per_worker_hour }
    }
}

/// As the flag says, or else the file.
fn time(key: &str, flag: Option<Duration>, file: Option<String>) -> anyhow::Result<Option<Duration>> {
    let of_file = || file.map(|text| duration(&text).map_err(|why| anyhow::anyhow!("{key}: {why}")));
    flag.map(Ok).or_else(of_file).transpose()
}

fn read_file(path: &Path) -> anyhow::Result<File> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("cannot read the configuration `{}`", path.display()))?;
    toml::from_str(&text)
        .map_err(|error| anyhow::anyhow!("the configuration {}", toml_trouble(path, &text, &error)))
}

/// File, line and what is wrong there; not the line itself, which may hold a password.
pub(crate) fn toml_trouble(path: &Path, text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    format!("`{}`, line {line}: {}", path.display(), error.message())
}

fn database_url(text: &str) -> anyhow::Result<DatabaseUrl> {
    match text.split_once(':') {
        Some(("sqlite", path)) if !path.is_empty() => Ok(DatabaseUrl::Sqlite(PathBuf::from(path))),
        Some(("postgres" | "postgresql", _)) => Ok(DatabaseUrl::Postgres(SecretUrl::new(text))),
        _ => bail!(
            "database `{}`: write sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME",
            SecretUrl::new(text)
        ),
    }
}

/// A file has no replica, and only PostgreSQL follows PostgreSQL.
fn replica_url(text: &str, database: &DatabaseUrl) -> anyhow::Result<SecretUrl> {
    let url = SecretUrl::new(text);
    if !matches!(text.split_once(':'), Some(("postgres" | "postgresql", _))) {
        bail!("replica `{url}`: write postgres://USER:PASSWORD@HOST/NAME");
    }
    match database {
        DatabaseUrl::Postgres(_) => Ok(url),
        DatabaseUrl::Sqlite(_) => {
            bail!("replica `{url}`: the database {database} is a file and has none; leave --replica out")
        }
    }
}

#[cfg(test)]
mod tests {
    use store::Location;

    use super::*;

    #[test]
    fn flags_go_before_the_file_and_unknown_keys_fail() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rampart.toml");
        fs::write(
            &path,
            "tenant = 'file'\nlog = 'debug'\ndatabase = 'postgres://u:p@h/d'\nprice_per_worker_hour = '0.05'\n",
        )
        .unwrap();
        let arguments = ConfigurationArguments {
            config: Some(path.clone()),
            tenant: Some("flag".to_owned()),
            ..ConfigurationArguments::default()
        };
        let configuration = Configuration::read(&arguments).unwrap();
        assert_eq!((configuration.tenant.as_str(), configuration.log.as_str()), ("flag", "debug"));
        assert_eq!(configuration.database.to_string(), "postgres://h/d");
        assert_eq!(configuration.price_per_worker_hour, Some("0.05".parse().unwrap()));
        fs::write(&path, "tenannt = 'file'\n").unwrap();
        let error = format!("{:#}", Configuration::read(&arguments).unwrap_err());
        assert!(error.contains("rampart.toml`, line 1: ") && error.contains("tenannt"), "{error}");
        // What is wrong in a line is told, and nothing else of it.
        fs::write(&path, "tenant = 'file'\n\ndatabase = 'postgres://u:s3cret@h/d\n").unwrap();
        let error = format!("{:#}", Configuration::read(&arguments).unwrap_err());
        assert!(error.contains("rampart.toml`, line 3: ") && !error.contains("s3cret"), "{error}");
    }

    #[test]
    fn only_a_server_has_a_replica() {
        let read = |database: Option<&str>, file: &str| {
            let arguments = ConfigurationArguments {
                database: database.map(str::to_owned),
                ..ConfigurationArguments::default()
            };
            Configuration::of(&arguments, toml::from_str(file).unwrap()).map_err(|error| error.to_string())
        };
        let server = Some("postgres://u:p@h/d");
        let configuration = read(server, "replica = 'postgres://u:s3cret@r/d'\nreplica_lag = '1m'").unwrap();
        let Location::Postgres { replica: Some(replica), .. } = configuration.location() else { panic!() };
        assert_eq!((replica.url.as_str(), replica.most_behind.as_secs()), ("postgres://u:s3cret@r/d", 60));
        assert!(!format!("{configuration:?}").contains("s3cret"), "{configuration:?}");
        let Location::Postgres { replica: None, .. } = read(server, "").unwrap().location() else { panic!() };
        for (database, file, says) in [
            (None, "replica = 'postgres://u:s3cret@r/d'", "is a file and has none"),
            (server, "replica = 'sqlite:r.db'", "write postgres://"),
            (server, "replica_lag = 'soon'", "replica_lag: "),
        ] {
            let error = read(database, file).unwrap_err();
            assert!(error.contains(says) && !error.contains("s3cret"), "{error}");
        }
    }
}
