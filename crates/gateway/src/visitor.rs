//! Whoever asks, before it is known who they are: from where, and in which request.

use std::{convert::Infallible, fmt::Display, net::IpAddr};

use axum::{
    extract::FromRequestParts,
    http::{Extensions, request::Parts},
};
use model::By;

use crate::{Gateway, origin::Origin, problem::Problem, request::RequestId, shares::Scarce};

/// Somebody who asks.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    /// From where, where that is known.
    pub(crate) origin: Option<IpAddr>,
    request: RequestId,
}

impl Visitor {
    pub(crate) fn of(extensions: &Extensions) -> Visitor {
        Visitor {
            origin: extensions.get::<Origin>().map(|origin| origin.address),
            request: extensions.get::<RequestId>().cloned().unwrap_or_default(),
        }
    }

    /// As they stand in the audit under that name. What they begin goes on with the trace of their request.
    pub(crate) fn by(&self, name: impl Display) -> By {
        let request = Some(self.request.to_string());
        By { name: name.to_string(), origin: self.origin, request, trace: traces::here() }
    }

    /// One more of what an address may do so often. Somebody of whom nobody knows where they are is counted nowhere.
    pub(crate) async fn take(&self, gateway: &Gateway, what: Scarce) -> Result<(), Problem> {
        let Some(origin) = self.origin else { return Ok(()) };
        let limits = gateway.limits.load_full();
        limits.take_scarce(what, origin).await.map_err(|wait| {
            gateway.metrics.limited();
            Problem::too_many("this address", wait)
        })
    }
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Visitor, Infallible> {
        Ok(Visitor::of(&parts.extensions))
    }
}
