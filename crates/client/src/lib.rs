//! Asks the API of a Rampart server, as its own command line does: one file a resource, the records of [`model`] for what is asked and
//! answered.
//!
//! Nothing is waited for without an end, no answer is larger than somebody said, and no key goes where others may read it. What may be
//! asked twice without happening twice is asked again, a few times, when the server says that it has no room.

mod address;
mod assets;
mod audit;
mod checks;
mod comments;
mod error;
mod findings;
mod keys;
mod me;
mod packages;
mod page;
mod reports;
mod request;
mod roles;
mod scans;
mod schedules;
mod scopes;
mod settings;
mod stops;
mod tasks;
mod tenants;
mod tls;
mod users;
mod webhooks;

use std::{fmt, time::Duration};

use model::ApiKey;
use reqwest::header::HeaderValue;

pub use self::{
    address::Address,
    assets::AssetQuery,
    audit::AuditQuery,
    checks::CheckQuery,
    comments::CommentQuery,
    error::{ClientError, Problem},
    findings::{DecidedFindings, FindingDecision, FindingOrder, FindingQuery, FindingVerdict},
    keys::{KeyQuery, MadeKey},
    me::Me,
    packages::AnalysisRequest,
    page::Page,
    reports::{Download, ReportFormat},
    scans::{Compared, ScanQuery},
    scopes::{Expected, NamedScope, Version, Versioned},
    stops::StopReach,
    tasks::{CancelledTasks, PurgedTasks, RedrivenTasks, TaskChoice, TaskQuery, TaskTotals},
    tls::Trusted,
    users::{Invited, UserQuery},
    webhooks::MadeWebhook,
};

/// How long somebody waits for a connection, encrypted if it is to be.
const CONNECT: Duration = Duration::from_secs(30);

/// Which server, and who asks.
#[derive(Debug, Clone)]
pub struct Server {
    /// Where it is.
    pub address: Address,
    /// The key that is shown to it.
    pub key: ApiKey,
    /// Who says that it is that server.
    pub trusted: Trusted,
    /// The key may go to another machine unencrypted: somebody said that nobody is on the way.
    pub in_the_clear: bool,
}

/// Asks a server. Cheap to share.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    address: Address,
    authorization: HeaderValue,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Client {
    /// Gets ready to ask. Nothing is sent yet.
    pub fn new(server: &Server) -> Result<Client, ClientError> {
        let Server { address, key, trusted, in_the_clear } = server;
        if address.is_exposed() && !in_the_clear {
            return Err(ClientError::Exposed { server: address.clone() });
        }
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            // A key is shown to whom it was meant for, and to nobody they name.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("rampart/", env!("CARGO_PKG_VERSION")));
        let builder = match address.is_encrypted() {
            true => builder.https_only(true).tls_backend_preconfigured(trusted.configuration()?),
            // What goes out in the clear goes past whatever proxy the environment names.
            false => builder.no_proxy().tls_backend_preconfigured(Trusted::nobody()?),
        };
        let unusable = |error: reqwest::Error| ClientError::Certificates(error.to_string());
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", key.expose()))
            .expect("a key is made of letters, digits and underscores");
        authorization.set_sensitive(true);
        Ok(Client { http: builder.build().map_err(unusable)?, address: address.clone(), authorization })
    }

    /// Whom it asks.
    pub fn address(&self) -> &Address {
        &self.address
    }
}
