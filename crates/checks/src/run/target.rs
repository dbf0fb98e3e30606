//! What a run looks at, and the variables that follow from it.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use model::DomainName;
use url::Url;

use crate::{exchange::Origin, expression::Value};

/// What one run looks at. Cheap to clone: prepare it once and give it to every template.
#[derive(Debug, Clone)]
pub struct RunTarget(Arc<Prepared>);

#[derive(Debug)]
struct Prepared {
    kind: TargetKind,
    base: Url,
    ip: Option<IpAddr>,
    cname: Vec<String>,
    inputs: Vec<(&'static str, String)>,
}

/// The kinds of targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetKind {
    /// A web site or a page of one.
    Web,
    /// A name.
    Domain(DomainName),
    /// A port.
    Service {
        /// Name or address, without brackets.
        host: String,
        /// Port.
        port: u16,
        /// It speaks inside TLS.
        tls: bool,
    },
}

impl RunTarget {
    /// A web site or page; http or https. `ip` is its address, where it is known beforehand.
    pub fn web(base: Url, ip: Option<IpAddr>) -> RunTarget {
        RunTarget::prepare(TargetKind::Web, base, ip)
    }

    /// A name.
    pub fn domain(name: DomainName, ip: Option<IpAddr>) -> RunTarget {
        let base = base_url("http", name.as_str(), 80);
        RunTarget::prepare(TargetKind::Domain(name), base, ip)
    }

    /// A port of a host; `host` is a name or an address.
    pub fn service(host: &str, port: u16, tls: bool, ip: Option<IpAddr>) -> RunTarget {
        let host = host.trim_matches(['[', ']']).to_owned();
        let base = base_url(if tls { "https" } else { "http" }, &host, port);
        let ip = ip.or_else(|| host.parse().ok());
        RunTarget::prepare(TargetKind::Service { host, port, tls }, base, ip)
    }

    /// The same with the names that its name is an alias of (`cname` in expressions).
    #[must_use]
    pub fn with_cname(self, cname: Vec<String>) -> RunTarget {
        let prepared = &*self.0;
        RunTarget(Arc::new(Prepared {
            kind: prepared.kind.clone(),
            base: prepared.base.clone(),
            ip: prepared.ip,
            cname,
            inputs: prepared.inputs.clone(),
        }))
    }

    fn prepare(kind: TargetKind, base: Url, ip: Option<IpAddr>) -> RunTarget {
        let inputs = inputs(&kind, &base);
        let literal = base.host_str().and_then(|host| host.trim_matches(['[', ']']).parse().ok());
        RunTarget(Arc::new(Prepared { kind, base, ip: ip.or(literal), cname: Vec::new(), inputs }))
    }

    /// What kind it is.
    pub fn kind(&self) -> &TargetKind {
        &self.0.kind
    }

    /// Its address, where it is known.
    pub fn ip(&self) -> Option<IpAddr> {
        self.0.ip
    }

    /// The URL that `{{BaseURL}}` stands for.
    pub fn base(&self) -> &Url {
        &self.0.base
    }

    /// Where its HTTP requests go.
    pub(super) fn origin(&self) -> Origin {
        origin_of(&self.0.base)
    }

    /// The port, where the target itself names one.
    pub(super) fn own_port(&self) -> Option<u16> {
        match &self.0.kind {
            TargetKind::Service { port, .. } => Some(*port),
            TargetKind::Web => self.0.base.port_or_known_default(),
            TargetKind::Domain(_) => None,
        }
    }

    pub(super) fn lookup(&self, name: &str) -> Option<Value<'_>> {
        match name {
            "ip" => self.0.ip.map(|ip| Value::from(ip.to_string())),
            "cname" => match self.0.cname.as_slice() {
                [] => None,
                [single] => Some(Value::from(single.as_str())),
                several => Some(Value::from(
                    several.iter().map(|name| Value::from(name.as_str())).collect::<Vec<_>>(),
                )),
            },
            _ => {
                let found = self.0.inputs.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| Value::from(value.as_str()))
            }
        }
    }

    /// Names that [`RunTarget::lookup`] may know, for telling which variables a user has to give.
    pub(super) fn knows(name: &str) -> bool {
        const NAMES: [&str; 17] = [
            "BaseURL", "RootURL", "Hostname", "Host", "Port", "Path", "Query", "File", "Scheme", "Input",
            "FQDN", "RDN", "DN", "TLD", "SD", "ip", "cname",
        ];
        NAMES.contains(&name)
    }
}

/// The origin of an http or https URL.
pub(super) fn origin_of(url: &Url) -> Origin {
    Origin {
        tls: url.scheme() == "https",
        host: url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned(),
        port: url.port_or_known_default().unwrap_or(80),
    }
}

fn base_url(scheme: &str, host: &str, port: u16) -> Url {
    let host = bracketed(host);
    Url::parse(&format!("{scheme}://{host}:{port}/"))
        .unwrap_or_else(|_| Url::parse("http://invalid.invalid/").expect("a constant URL"))
}

/// IPv6 addresses need brackets before a port.
pub(super) fn bracketed(host: &str) -> String {
    if host.parse::<Ipv6Addr>().is_ok() { format!("[{host}]") } else { host.to_owned() }
}

fn inputs(kind: &TargetKind, base: &Url) -> Vec<(&'static str, String)> {
    let host = base.host_str().unwrap_or_default().to_owned();
    let port = base.port_or_known_default().map_or_else(String::new, |port| port.to_string());
    let hostname = match (kind, base.port()) {
        (TargetKind::Service { port, .. }, _) => format!("{host}:{port}"),
        (_, Some(port)) => format!("{host}:{port}"),
        (_, None) => host.clone(),
    };
    let root = format!("{}://{}", base.scheme(), base_authority(base));
    let whole = base.as_str().trim_end_matches('/').to_owned();
    let (directory, file) = base.path().rsplit_once('/').unwrap_or(("", base.path()));
    let input = match kind {
        TargetKind::Web => whole.clone(),
        TargetKind::Domain(name) => name.to_string(),
        TargetKind::Service { .. } => hostname.clone(),
    };
    let query = base.query().map_or_else(String::new, |query| format!("?{query}"));
    let mut inputs = vec![
        ("BaseURL", whole),
        ("RootURL", root),
        ("Hostname", hostname),
        ("Port", port),
        ("Path", directory.to_owned()),
        ("Query", query),
        ("File", file.to_owned()),
        ("Scheme", base.scheme().to_owned()),
        ("Input", input),
    ];
    inputs.extend(name_parts(&host));
    inputs.push(("Host", host));
    inputs
}

/// Host and, unless it is the scheme's usual one, port.
fn base_authority(base: &Url) -> String {
    let host = base.host_str().unwrap_or_default();
    base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Second-level labels under which country registries give out names.
const REGISTRY_LABELS: [&str; 10] = ["ac", "co", "com", "edu", "gov", "gob", "ne", "net", "or", "org"];

/// `FQDN` and its pieces. Which labels a registry owns follows a rule of thumb, not the Public Suffix List.
fn name_parts(host: &str) -> Vec<(&'static str, String)> {
    let mut parts = vec![("FQDN", host.to_owned())];
    let labels: Vec<&str> = host.split('.').collect();
    if host.starts_with('[') || host.parse::<IpAddr>().is_ok() || labels.len() < 2 {
        return parts;
    }
    let last = labels.len() - 1;
    let country = labels[last].len() == 2 && labels.len() > 2 && REGISTRY_LABELS.contains(&labels[last - 1]);
    let registry = if country { last - 1 } else { last };
    parts.push(("TLD", labels[registry..].join(".")));
    parts.push(("RDN", labels[registry - 1..].join(".")));
    parts.push(("DN", labels[registry - 1].to_owned()));
    parts.push(("SD", labels[..registry - 1].join(".")));
    parts
}
