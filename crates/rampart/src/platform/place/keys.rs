//! Keys, wherever they are.

use std::time::Duration;

use client::{KeyQuery, MadeKey};
use model::{
    KeyPrefix,
    record::{KeyRecord, NewKey},
};

use super::{Place, pages, shown_by};
use crate::platform::{keys::random, operator};

impl Place {
    pub(in crate::platform) async fn keys(&self) -> anyhow::Result<Vec<KeyRecord>> {
        Ok(match self {
            Place::Here(desk) => desk.store.keys(desk.tenant().await?).await?,
            Place::There(client) => {
                let ask = async |limit, after| {
                    client.keys(&KeyQuery { limit: Some(limit), after, ..KeyQuery::default() }).await
                };
                pages(usize::MAX, None, ask).await?
            }
        })
    }

    pub(in crate::platform) async fn create_key(&self, new: NewKey) -> anyhow::Result<MadeKey> {
        Ok(match self {
            Place::Here(desk) => {
                let (tenant, key) = (desk.tenant().await?, random());
                let record = desk.store.create_key(tenant, key.clone(), new, operator()).await?;
                MadeKey { key, record }
            }
            Place::There(client) => client.create_key(&new).await?,
        })
    }

    pub(in crate::platform) async fn rotate_key(
        &self,
        prefix: KeyPrefix,
        overlap: Duration,
    ) -> anyhow::Result<MadeKey> {
        let (command, what) = ("rampart key list", "keys");
        match self {
            Place::Here(desk) => {
                let (tenant, key) = (desk.tenant().await?, random());
                let made = desk.store.rotate_key(tenant, prefix, key.clone(), overlap, operator()).await;
                Ok(MadeKey { key, record: shown_by(made, command, what)? })
            }
            Place::There(client) => {
                // Not shorter than was asked for; what is too long the server refuses.
                let seconds = overlap.as_secs() + u64::from(overlap.subsec_nanos() > 0);
                let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
                shown_by(client.rotate_key(&prefix, Some(seconds)).await, command, what)
            }
        }
    }

    pub(in crate::platform) async fn revoke_key(&self, prefix: &KeyPrefix) -> anyhow::Result<()> {
        let (command, what) = ("rampart key list", "keys");
        match self {
            Place::Here(desk) => {
                let tenant = desk.tenant().await?;
                shown_by(
                    desk.store.revoke_key(tenant, prefix.clone(), operator()).await.map(drop),
                    command,
                    what,
                )
            }
            Place::There(client) => shown_by(client.revoke_key(prefix).await, command, what),
        }
    }
}
