//! Who asks, and what they may.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{HeaderMap, header, request::Parts},
};
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use model::{ApiKey, Permission, Role, TenantId};
use store::KeyRecord;

use crate::{
    Gateway,
    problem::{Kind, Problem},
};

/// How often it is written down that a key was used: a request that changes nothing should write nothing.
const USED_EVERY: SignedDuration = SignedDuration::from_secs(60);

/// Somebody who has shown a key that is known. Whose tenant that is nobody learns without asking for a permission.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    key: KeyRecord,
}

impl Caller {
    /// The tenant, for who may do that.
    pub(crate) fn may(&self, permission: Permission) -> Result<TenantId, Problem> {
        if self.key.role.may(permission) {
            return Ok(self.key.tenant);
        }
        let detail = format!("the role {} has no permission {permission}", self.key.role);
        Err(Problem::new(Kind::Forbidden, detail))
    }

    /// What they are.
    pub(crate) fn role(&self) -> Role {
        self.key.role
    }

    /// The key that they have shown.
    pub(crate) fn key(&self) -> &KeyRecord {
        &self.key
    }

    /// As they stand in the audit.
    pub(crate) fn name(&self) -> String {
        format!("{} (key {})", self.key.name, self.key.prefix)
    }
}

impl FromRequestParts<Gateway> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Caller, Problem> {
        let key = bearer(&parts.headers)?;
        // Whether it is unknown, expired or revoked is told to nobody: they have no key.
        let unknown =
            || Problem::new(Kind::Unauthenticated, "the key is not known, not any more, or not from here");
        let record = gateway.store.known_key(&key).await?.ok_or_else(unknown)?;
        let from = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|from| from.0.ip());
        if !permits(&record.networks, from) {
            return Err(unknown());
        }
        if record.last_used.is_none_or(|at| Timestamp::now().duration_since(at) > USED_EVERY) {
            gateway.store.used_key(record.tenant, record.prefix.clone()).await?;
        }
        Ok(Caller { key: record })
    }
}

/// From one of the networks, when there are any. Somebody of whom nobody knows where they are is in none.
fn permits(networks: &[IpNet], from: Option<IpAddr>) -> bool {
    let from = from.map(|from| from.to_canonical());
    networks.is_empty() || from.is_some_and(|from| networks.iter().any(|network| network.contains(&from)))
}

/// The key of `Authorization: Bearer …` (RFC 6750).
fn bearer(headers: &HeaderMap) -> Result<ApiKey, Problem> {
    const HINT: &str = "send `Authorization: Bearer rampart_…`; `rampart key create` makes a key";
    let refused = |detail: &str| Problem::new(Kind::Unauthenticated, detail).hint(HINT);
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else {
        return Err(refused("the request has no Authorization, or two"));
    };
    let (scheme, key) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or_else(|| refused("the Authorization is not understood"))?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(refused("the Authorization is of a kind that is not known here"));
    }
    key.trim().parse().map_err(|error: model::key::ApiKeyError| refused(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_somebody_is_counts_when_it_was_said_where_from() {
        let networks: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        for (from, permitted) in [
            (Some("10.1.2.3"), true),
            (Some("::ffff:10.1.2.3"), true),
            (Some("fd00::1"), true),
            (Some("11.1.2.3"), false),
            (Some("::1"), false),
            (None, false),
        ] {
            let from = from.map(|from| from.parse().unwrap());
            assert_eq!(permits(&networks, from), permitted, "{from:?}");
            assert!(permits(&[], from));
        }
    }
}
