//! What was found.

use std::{collections::BTreeMap, fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use crate::{DomainName, Host, Source, id::digest_id};

digest_id!(
    /// Makes the same thing seen again the same asset: over its [`identity`](Asset::identity).
    AssetId,
    AssetIdError,
    "the id of an asset"
);

/// What an asset is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AssetKind {
    /// A name that exists.
    Domain,
    /// An address that answered.
    Host,
    /// Something that listens on a port.
    Service,
    /// A page of a web site.
    Page,
    /// A form on a page.
    Form,
    /// A path that scripts name.
    Endpoint,
}

impl AssetKind {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            AssetKind::Domain => "domain",
            AssetKind::Host => "host",
            AssetKind::Service => "service",
            AssetKind::Page => "page",
            AssetKind::Form => "form",
            AssetKind::Endpoint => "endpoint",
        }
    }
}

impl fmt::Display for AssetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One port of one address, and the name it was reached by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct Endpoint {
    /// The name by which the address was found, sent as SNI and Host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<DomainName>,
    /// Where it is.
    #[schema(value_type = String)]
    pub address: IpAddr,
    /// Which port.
    pub port: u16,
}

impl Endpoint {
    /// The name if there is one, else the address.
    pub fn host(&self) -> Host {
        self.name.clone().map_or(Host::Address(self.address), Host::Name)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host() {
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            host => write!(f, "{host}:{}", self.port),
        }
    }
}

/// The protocol that a service speaks, by its usual short name (`http`, `ssh`, `redis`); `unknown` when nothing was recognised.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Protocol(pub std::borrow::Cow<'static, str>);

impl Protocol {
    /// Plain or inside TLS.
    pub const HTTP: Protocol = Protocol(std::borrow::Cow::Borrowed("http"));
    /// Nothing was recognised.
    pub const UNKNOWN: Protocol = Protocol(std::borrow::Cow::Borrowed("unknown"));
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What TLS said about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TlsSummary {
    /// `tls10` to `tls13`, as checks name them.
    pub version: String,
    /// The suite by its IANA name.
    pub cipher: String,
    /// The certificate's subject common name.
    pub subject: Option<String>,
    /// The issuer's common name.
    pub issuer: Option<String>,
    /// Subject alternative names as they stand there.
    pub names: Vec<String>,
    /// End of validity.
    pub not_after: Option<jiff::Timestamp>,
}

/// Something that listens on a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Service {
    /// Where.
    pub endpoint: Endpoint,
    /// What it speaks.
    pub protocol: Protocol,
    /// Product name where the service tells, such as `nginx`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Version where the service tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// CPE 2.3 name (NISTIR 7695) where product and version are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpe: Option<String>,
    /// The first bytes it sent, lossily decoded, at most 512 characters. Hostile text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub banner: String,
    /// Present when the service speaks inside TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSummary>,
}

impl Service {
    /// The root URL, for services that speak HTTP.
    pub fn web_root(&self) -> Option<Url> {
        if self.protocol != Protocol::HTTP {
            return None;
        }
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        Url::parse(&format!("{scheme}://{}/", self.endpoint)).ok()
    }
}

/// An observation about something the organisation exposes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Asset {
    /// A name that exists.
    Domain {
        /// The name.
        name: DomainName,
        /// Its records by type: `A` -> addresses, `MX` -> `10 mail.example.com`, in presentation form. Hostile text.
        records: BTreeMap<String, Vec<String>>,
        /// Where the name was learnt.
        source: Source,
        /// It is an alias of this name, which does not exist: whoever registers that takes this one over.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dangling: Option<DomainName>,
    },
    /// An address that answered.
    Host {
        /// The address.
        #[schema(value_type = String)]
        address: IpAddr,
        /// The names that lead to it.
        names: Vec<DomainName>,
        /// Ports by state.
        ports: PortStates,
    },
    /// An open port.
    Service(Service),
    /// A page or other resource of a web site.
    Page {
        /// Where.
        url: Url,
        /// HTTP status.
        status: u16,
        /// Its title. Hostile text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        /// Media type as sent. Hostile text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content_type: Option<String>,
        /// Bytes of the body.
        length: u64,
        /// Names of technologies seen on it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        technologies: Vec<String>,
    },
    /// A form of a page. It is never submitted.
    Form {
        /// Where it stands.
        page: Url,
        /// Where it would be sent.
        action: Url,
        /// `GET` or `POST`.
        method: String,
        /// Name and kind of each field. Hostile text.
        fields: Vec<(String, String)>,
    },
    /// A URL of a site that no link leads to: named in a script, in data or in robots.txt. It was not necessarily asked for.
    Endpoint {
        /// What.
        url: Url,
        /// Where it is named.
        named_in: Url,
    },
}

impl Asset {
    /// `domain`, `host`, `service`, `page`, `form` or `endpoint`.
    pub fn kind(&self) -> AssetKind {
        match self {
            Asset::Domain { .. } => AssetKind::Domain,
            Asset::Host { .. } => AssetKind::Host,
            Asset::Service(_) => AssetKind::Service,
            Asset::Page { .. } => AssetKind::Page,
            Asset::Form { .. } => AssetKind::Form,
            Asset::Endpoint { .. } => AssetKind::Endpoint,
        }
    }

    /// What of it is worth telling somebody when it changes: not what differs from one look to the next, such as a banner with the
    /// time in it or the length of a page.
    pub fn looks(&self) -> String {
        match self {
            Asset::Domain { records, dangling, .. } => {
                let sorted: BTreeMap<&String, std::collections::BTreeSet<&String>> =
                    records.iter().map(|(kind, values)| (kind, values.iter().collect())).collect();
                format!("{sorted:?} {dangling:?}")
            }
            Asset::Host { ports, .. } => format!("{:?}", ports.open),
            Asset::Service(service) => {
                let Service { protocol, product, version, tls, .. } = service;
                // The suite is a matter of who asks; another certificate is not.
                let tls = tls.as_ref().map(|tls| {
                    let TlsSummary { version, cipher: _, subject, issuer, names, not_after } = tls;
                    (version, subject, issuer, names, not_after)
                });
                format!("{protocol} {product:?} {version:?} {tls:?}")
            }
            Asset::Page { status, title, content_type, technologies, .. } => {
                format!("{status} {title:?} {content_type:?} {technologies:?}")
            }
            Asset::Form { .. } | Asset::Endpoint { .. } => String::new(),
        }
    }

    /// What it is known by: the same thing seen twice is one asset.
    pub fn identity(&self) -> String {
        let kind = self.kind();
        match self {
            Asset::Domain { name, .. } => format!("{kind} {name}"),
            Asset::Host { address, .. } => format!("{kind} {address}"),
            Asset::Service(service) => {
                format!("{kind} {}:{}", service.endpoint.address, service.endpoint.port)
            }
            Asset::Page { url, .. } | Asset::Endpoint { url, .. } => format!("{kind} {url}"),
            Asset::Form { action, method, fields, .. } => format!("{kind} {method} {action} {fields:?}"),
        }
    }
}

/// How the scanned ports of one address answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PortStates {
    /// Accepted a connection.
    pub open: Vec<u16>,
    /// Refused one.
    pub closed: u32,
    /// Never answered, or answered that it is filtered.
    pub filtered: u32,
    /// Could not be asked, for example for want of file descriptors or time.
    pub undetermined: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_or_certificate_is_a_change_and_another_banner_is_not() {
        let tls = TlsSummary {
            version: "tls13".to_owned(),
            cipher: "TLS_AES_128_GCM_SHA256".to_owned(),
            subject: Some("site.test".to_owned()),
            issuer: Some("authority".to_owned()),
            names: vec!["site.test".to_owned()],
            not_after: "2027-01-01T00:00:00Z".parse().ok(),
        };
        let service = Service {
            endpoint: Endpoint { name: None, address: IpAddr::from([127, 0, 0, 1]), port: 443 },
            protocol: Protocol::HTTP,
            product: Some("nginx".to_owned()),
            version: Some("1.22.1".to_owned()),
            cpe: None,
            banner: "HTTP/1.1 200 OK".to_owned(),
            tls: Some(tls.clone()),
        };
        let with = |tls: TlsSummary| Service { tls: Some(tls), ..service.clone() };
        let looks = |service: &Service| Asset::Service(service.clone()).looks();
        for (other, changed) in [
            (Service { banner: "HTTP/1.1 302 Found".to_owned(), ..service.clone() }, false),
            (with(TlsSummary { cipher: "TLS_AES_256_GCM_SHA384".to_owned(), ..tls.clone() }), false),
            (Service { version: Some("1.24.0".to_owned()), ..service.clone() }, true),
            (Service { tls: None, ..service.clone() }, true),
            (with(TlsSummary { version: "tls12".to_owned(), ..tls.clone() }), true),
            (with(TlsSummary { subject: None, ..tls.clone() }), true),
            (with(TlsSummary { issuer: Some("another".to_owned()), ..tls.clone() }), true),
            (with(TlsSummary { names: Vec::new(), ..tls.clone() }), true),
            (with(TlsSummary { not_after: None, ..tls.clone() }), true),
        ] {
            assert_eq!(looks(&other) != looks(&service), changed, "{other:?}");
        }
    }
}
