//! Who asks, and what they may.

use std::{net::IpAddr, sync::Arc, time::Instant};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use model::{ApiKey, By, Permission, Role, TenantId};
use store::{KeyRecord, StoreError};

use crate::{
    Gateway,
    metrics::Authentication,
    origin::Origin,
    problem::{Kind, Problem},
    request::RequestId,
};

/// How often it is written down that a key was used: a request that changes nothing should write nothing.
const USED_EVERY: SignedDuration = SignedDuration::from_secs(60);

/// Somebody who has shown a key that is known. Whose tenant that is nobody learns without asking for a permission.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    key: Arc<KeyRecord>,
    origin: Option<IpAddr>,
    request: RequestId,
}

/// Somebody who is known may not do something. It is told in the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) tenant: TenantId,
    pub(crate) by: By,
}

impl Caller {
    /// The tenant, for who may do that.
    pub(crate) fn may(&self, permission: Permission) -> Result<TenantId, Problem> {
        if self.key.role.may(permission) {
            return Ok(self.key.tenant);
        }
        Err(self.refuse(format!("the role {} has no permission {permission}", self.key.role)))
    }

    /// Why they may not do something.
    pub(crate) fn refuse(&self, detail: String) -> Problem {
        let refused = Refusal { tenant: self.key.tenant, by: self.by() };
        Problem { refused: Some(Box::new(refused)), ..Problem::new(Kind::Forbidden, detail) }
    }

    /// The tenant, for who wants to follow what happens: they are told what they may read.
    pub(crate) fn follows(&self) -> Result<TenantId, Problem> {
        self.may(Permission::ScansRead)
    }

    /// What they are by now, if they may still come.
    pub(crate) async fn still_is(&self, gateway: &Gateway) -> Result<Option<Role>, StoreError> {
        let KeyRecord { tenant, prefix, .. } = &*self.key;
        match gateway.store.key(*tenant, prefix.clone()).await {
            Ok(key) if key.expires_at.is_some_and(|at| at <= Timestamp::now()) => Ok(None),
            Ok(key) => Ok(Some(key.role)),
            Err(StoreError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
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
    pub(crate) fn by(&self) -> By {
        By {
            name: format!("{} (key {})", self.key.name, self.key.prefix),
            origin: self.origin,
            request: Some(self.request.to_string()),
        }
    }
}

impl FromRequestParts<Gateway> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Caller, Problem> {
        let known = known(parts, gateway).await;
        let result = match &known {
            Ok(_) => Authentication::Known,
            Err(problem) if problem.kind == Kind::Unauthenticated => Authentication::Unknown,
            Err(_) => return known,
        };
        gateway.metrics.authenticated(result);
        let caller = known?;
        let KeyRecord { prefix, tenant, .. } = &*caller.key;
        if let Err(wait) = gateway.limits.take_of_key(prefix, *tenant) {
            gateway.metrics.limited();
            return Err(Problem::too_many("this key, or its tenant,", wait));
        }
        Ok(caller)
    }
}

async fn known(parts: &Parts, gateway: &Gateway) -> Result<Caller, Problem> {
    let key = bearer(&parts.headers)?;
    let begun = Instant::now();
    let digest = key.digest();
    // Whether it is unknown, expired or revoked is told to nobody: they have no key.
    let unknown =
        || Problem::new(Kind::Unauthenticated, "the key is not known, not any more, or not from here");
    let read = async || gateway.store.known_key(&key).await?.ok_or_else(unknown);
    let record = gateway.keys.get(&digest, begun, read).await?;
    if record.expires_at.is_some_and(|at| at <= Timestamp::now()) {
        return Err(unknown());
    }
    let origin = parts.extensions.get::<Origin>().map(|origin| origin.address);
    if !permits(&record.networks, origin) {
        return Err(unknown());
    }
    let now = Timestamp::now();
    let record = match record.last_used {
        Some(at) if now.duration_since(at) <= USED_EVERY => record,
        _ => {
            // First it is known here: of many who ask at once, one writes it down.
            let used = KeyRecord { last_used: Some(now), ..(*record).clone() };
            let record = gateway.keys.put(digest, used, begun);
            gateway.store.used_key(record.tenant, record.prefix.clone()).await?;
            record
        }
    };
    let request = parts.extensions.get::<RequestId>().cloned().unwrap_or_default();
    Ok(Caller { key: record, origin, request })
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
