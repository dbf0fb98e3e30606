//! Which server to connect to.

use std::fmt;

use futures_util::future::select_ok;
use model::SecretUrl;
use redis::{AsyncConnectionConfig, Client, TlsCertificates, Value, aio::MultiplexedConnection, cmd};

use super::{ANSWER_WITHIN, BrokerError};
use crate::doorbell::remote::answered;

/// A server, or those who know it.
pub(super) struct Address {
    name: String,
    way: Way,
}

enum Way {
    Direct(Client),
    /// Asked anew for each connection: what was the primary need not be it any more.
    Sentinel {
        sentinels: Vec<Client>,
        primary: String,
        servers: Servers,
    },
}

/// How the servers that Sentinel names are reached.
struct Servers {
    scheme: &'static str,
    /// Name and password as they stand in the address, with the `@`.
    credentials: String,
    database: String,
    authorities: Option<String>,
}

impl Servers {
    fn client(&self, host: &str, port: u16) -> Result<Client, String> {
        let Servers { scheme, credentials, database, authorities } = self;
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let url = format!("{scheme}://{credentials}{host}:{port}/{database}");
        client(&url, authorities.as_deref())
    }
}

impl Address {
    pub(super) fn parse(address: &str, authorities: Option<&str>) -> Result<Address, String> {
        let name = SecretUrl::new(address).to_string();
        let way = match address.split_once("+sentinel://") {
            Some((scheme, rest)) => Address::parse_sentinel(scheme, rest, authorities)?,
            None if address.contains(['?', '#']) => return Err("options are not known here".to_owned()),
            None => Way::Direct(client(address, authorities)?),
        };
        Ok(Address { name, way })
    }

    fn parse_sentinel(scheme: &str, rest: &str, authorities: Option<&str>) -> Result<Way, String> {
        let scheme = if scheme == "rediss" { "rediss" } else { "redis" };
        let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
        let (credentials, rest) = match rest.rsplit_once('@') {
            Some((credentials, rest)) => (format!("{credentials}@"), rest),
            None => (String::new(), rest),
        };
        let (hosts, primary) = rest.split_once('/').unwrap_or((rest, ""));
        if primary.is_empty() || primary.contains('/') {
            return Err("the name of the primary stands after the hosts, as in host:26379/primary".to_owned());
        }
        let (mut database, mut name, mut password) = ("0", "", "");
        for option in options.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("database", value)) => database = value,
                Some(("sentinel_name", value)) => name = value,
                Some(("sentinel_password", value)) => password = value,
                _ => return Err("options are database, sentinel_name and sentinel_password".to_owned()),
            }
        }
        let asking = match (name, password) {
            ("", "") => String::new(),
            (name, password) => format!("{name}:{password}@"),
        };
        let sentinels: Result<Vec<Client>, String> =
            hosts.split(',').map(|host| client(&format!("{scheme}://{asking}{host}"), authorities)).collect();
        let servers = Servers {
            scheme,
            credentials,
            database: database.to_owned(),
            authorities: authorities.map(str::to_owned),
        };
        // What comes later from Sentinel is then only wrong if Sentinel is.
        servers.client("localhost", 6379)?;
        Ok(Way::Sentinel { sentinels: sentinels?, primary: primary.to_owned(), servers })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A new connection to the server, or to the one that is the primary now.
    pub(super) async fn connect(&self) -> Result<MultiplexedConnection, BrokerError> {
        answered::<_, BrokerError>(ANSWER_WITHIN, async {
            let (sentinels, primary, servers) = match &self.way {
                Way::Direct(client) => return Ok(open(client).await?),
                Way::Sentinel { sentinels, primary, servers } => (sentinels, primary, servers),
            };
            // The first that answers: those that are down must not cost the others' time.
            let asked = sentinels.iter().map(|sentinel| Box::pin(ask(sentinel, primary)));
            let ((host, port), _) = select_ok(asked).await?;
            let mut connection = open(&servers.client(&host, port)?).await?;
            // Sentinel may not know yet.
            let role: Vec<Value> = cmd("ROLE").query_async(&mut connection).await?;
            match role.first() {
                Some(Value::BulkString(role)) if role == b"master" => Ok(connection),
                _ => Err(format!("{host}:{port} is not the primary any more").into()),
            }
        })
        .await
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Address").field(&self.name).finish()
    }
}

fn client(url: &str, authorities: Option<&str>) -> Result<Client, String> {
    let made = match authorities {
        Some(authorities) if url.starts_with("rediss:") => Client::build_with_tls(
            url,
            TlsCertificates { client_tls: None, root_cert: Some(authorities.as_bytes().to_vec()) },
        ),
        _ => Client::open(url),
    };
    made.map_err(|error| error.to_string())
}

async fn open(client: &Client) -> Result<MultiplexedConnection, redis::RedisError> {
    // Callers have deadlines of their own, and those of blocking reads are longer than any default.
    let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// Where a Sentinel believes the primary to be.
async fn ask(sentinel: &Client, primary: &str) -> Result<(String, u16), BrokerError> {
    let mut connection = open(sentinel).await?;
    let mut question = cmd("SENTINEL");
    question.arg("GET-MASTER-ADDR-BY-NAME").arg(primary);
    let answer: Option<(String, u16)> = question.query_async(&mut connection).await?;
    answer.ok_or_else(|| format!("sentinel knows no primary `{primary}`").into())
}
