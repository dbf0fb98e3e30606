//! Which server is asked instead of a database, and with which key.

use std::{fs, path::PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use client::{Address, Client, ClientError, Server, Trusted};
use model::ApiKey;

use super::{Configuration, ConfigurationArguments};

/// A server that is asked instead of a database. The key is no argument: arguments are seen by every user of the machine.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ServerArguments {
    /// Ask this server instead of a database, `https://HOST[:PORT]`, with the key of --key-file or of RAMPART_KEY
    #[arg(
        long,
        value_name = "URL",
        env = "RAMPART_SERVER",
        hide_env_values = true,
        help_heading = "Server",
        global = true
    )]
    pub(crate) server: Option<String>,

    /// File with the key for --server [default: the key in RAMPART_KEY]
    #[arg(long, value_name = "FILE", env = "RAMPART_KEY_FILE", help_heading = "Server", global = true)]
    key_file: Option<PathBuf>,

    /// Who signed the certificate of --server, in PEM [default: whoever this machine trusts]
    #[arg(long, value_name = "FILE", env = "RAMPART_SERVER_CA", help_heading = "Server", global = true)]
    server_ca: Option<PathBuf>,

    /// Send the key to --server although nothing is encrypted: whoever is on the way reads it
    #[arg(long, help_heading = "Server", global = true)]
    without_tls: bool,
}

/// Where what a command is about is.
#[derive(Debug, Clone)]
pub(crate) enum Whereabouts {
    /// In a database that this process opens.
    Here(Box<Configuration>),
    /// At a server that is asked.
    There(Client),
}

impl Whereabouts {
    pub(crate) fn read(
        configuration: &ConfigurationArguments,
        server: &ServerArguments,
    ) -> anyhow::Result<Whereabouts> {
        let Some(address) = &server.server else {
            if server.without_tls {
                bail!("--without-tls is about --server, and none is named");
            }
            return Ok(Whereabouts::Here(Box::new(Configuration::read(configuration)?)));
        };
        // Whoever says both means one of two places, and nobody knows which.
        for (option, variable, given) in [
            ("--database", "RAMPART_DATABASE", configuration.database.is_some()),
            ("--data", "RAMPART_DATA", configuration.data.is_some()),
        ] {
            if given {
                bail!(
                    "--server and {option} both say where to look: leave one out, also in the environment ({variable}, RAMPART_SERVER)"
                );
            }
        }
        if configuration.tenant.is_some() {
            bail!(
                "--server and --tenant both say whose things are meant, as a key belongs to a tenant: leave --tenant out, also in the \
                 environment (RAMPART_TENANT)"
            );
        }
        let address: Address = address.parse().context("--server")?;
        let trusted = match &server.server_ca {
            Some(file) => Trusted::Only(
                fs::read(file)
                    .with_context(|| format!("cannot read `{}` for --server-ca", file.display()))?,
            ),
            None => Trusted::OfThisMachine,
        };
        let server = Server { address, key: key(server)?, trusted, in_the_clear: server.without_tls };
        let client = Client::new(&server).map_err(|error| match error {
            ClientError::Exposed { .. } => {
                anyhow::anyhow!("{error}, or say with --without-tls that nobody else is")
            }
            ClientError::Certificates(_) => {
                anyhow::anyhow!("{error}: --server-ca names a file with the certificate that vouches for it")
            }
            error => error.into(),
        })?;
        Ok(Whereabouts::There(client))
    }
}

/// What is wrong with it is told without any of it.
fn key(server: &ServerArguments) -> anyhow::Result<ApiKey> {
    let (text, place) = match &server.key_file {
        Some(file) => {
            let text = fs::read_to_string(file)
                .with_context(|| format!("cannot read `{}` for --key-file", file.display()))?;
            (text, format!("in `{}`", file.display()))
        }
        None => {
            #[expect(
                clippy::disallowed_methods,
                reason = "an option could be written as an argument, which every user of the machine sees"
            )]
            let key = std::env::var("RAMPART_KEY").context(
                "--server asks who asks: give a key in the environment's RAMPART_KEY, or in a file with --key-file; `rampart key create` \
                 makes one",
            )?;
            (key, "in RAMPART_KEY".to_owned())
        }
    };
    text.trim().parse().with_context(|| format!("there is no key {place}"))
}
