//! What a tenant has used, wherever that is kept.

use anyhow::bail;
use jiff::{SignedDuration, Timestamp};
use model::{TenantId, usage::Usage};

use super::Place;
use crate::platform::Desk;

impl Place {
    /// Of the tenant that is asked about; 30 days until now where nobody says which time.
    pub(in crate::platform) async fn usage(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> anyhow::Result<Usage> {
        match self {
            Place::Here(desk) => desk.usage(desk.tenant().await?, since, until).await,
            Place::There(client) => Ok(client.usage(since, until).await?),
        }
    }
}

impl Desk {
    pub(in crate::platform) async fn usage(
        &self,
        tenant: TenantId,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> anyhow::Result<Usage> {
        let until = match until {
            Some(until) => until,
            None => self.store.clock().await?,
        };
        let since = since.unwrap_or_else(|| Usage::usually_since(until));
        if until.duration_since(since) <= SignedDuration::ZERO {
            bail!("nothing is used within no time: {since} is not before {until}");
        }
        Ok(self.store.usage(tenant, since, until).await?)
    }
}
