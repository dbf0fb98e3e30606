//! What is asked for under a key: whoever got no answer asks again, and nothing is made twice.
//!
//! A key is the asker's own, within their tenant. What is kept of a request is a digest, and the id of what was made: no secret, so that
//! who asks again gets what was made as it is by then, and not what was shown once.

use std::{fmt::Display, str::FromStr};

use jiff::Timestamp;
use model::{By, TenantId};
use serde::Serialize;

use crate::{
    StoreError,
    scans::digest,
    session::{Session, TenantTx},
    tasks::KEYS_LIVE,
    value::Value,
};

/// What came of asking for something to be made, under a key or under none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made<T> {
    /// As it is now.
    pub record: T,
    /// It was made by this request; otherwise by an earlier one under the same key.
    pub is_new: bool,
}

/// A request under a key.
pub(crate) struct Once {
    key: String,
    by: String,
    asked: [u8; 16],
}

impl<T> Made<T> {
    pub(crate) fn now(record: T) -> Made<T> {
        Made { record, is_new: true }
    }
}

impl Once {
    /// What is asked for, when it is under a key. Not with what it happened to be answered: that may be another time or price.
    pub(crate) fn of(
        key: Option<String>,
        by: &By,
        action: &str,
        request: &impl Serialize,
    ) -> Result<Option<Once>, StoreError> {
        let Some(key) = key else { return Ok(None) };
        let text = serde_json::to_string(&(action, request))
            .map_err(|error| StoreError::Invalid(format!("the request cannot be written: {error}")))?;
        Ok(Some(Once { key, by: by.name.clone(), asked: digest(&text) }))
    }

    /// What the same request made before. Without any, it is this that it makes, once the transaction is through; a request that is
    /// refused takes no key.
    pub(crate) async fn before<Id: Display + FromStr<Err: Display>>(
        &self,
        session: &mut dyn Session,
        tenant: TenantId,
        now: Timestamp,
        makes: &Id,
    ) -> Result<Option<Id>, StoreError> {
        let expires = now.saturating_add(KEYS_LIVE).unwrap_or(Timestamp::MAX);
        let mut values = self.place(tenant).to_vec();
        values.extend([self.asked.into(), makes.to_string().into(), expires.into(), now.into()]);
        // Whoever asks at the same time waits here until this one is through.
        let sql = "INSERT INTO request_keys (tenant_id, asked_by, idempotency_key, asked, made, expires_at) \
                   VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant_id, asked_by, idempotency_key) DO UPDATE SET \
                   asked = excluded.asked, made = excluded.made, expires_at = excluded.expires_at \
                   WHERE request_keys.expires_at <= $7";
        if session.execute(sql, &values).await? > 0 {
            return Ok(None);
        }
        // A statement of its own: it sees what was committed while the one before waited.
        let sql = "SELECT asked, made FROM request_keys WHERE tenant_id = $1 AND asked_by = $2 AND idempotency_key = $3";
        let rows = session.query(sql, &values[..3]).await?;
        let gone = || StoreError::Busy(format!("the idempotency key `{}` is being forgotten", self.key));
        let row = rows.first().ok_or_else(gone)?;
        match row.key(0)? == self.asked {
            true => row.word(1).map(Some),
            false => Err(StoreError::KeyTaken(self.key.clone())),
        }
    }

    /// It is another one that the request made: that was there already.
    pub(crate) async fn made_instead(
        &self,
        session: &mut dyn Session,
        tenant: TenantId,
        made: &impl Display,
    ) -> Result<(), StoreError> {
        let mut values = self.place(tenant).to_vec();
        values.push(made.to_string().into());
        let sql = "UPDATE request_keys SET made = $4 WHERE tenant_id = $1 AND asked_by = $2 AND idempotency_key = $3";
        session.execute(sql, &values).await.map(drop)
    }

    fn place(&self, tenant: TenantId) -> [Value; 3] {
        [tenant.as_uuid().into(), self.by.as_str().into(), self.key.as_str().into()]
    }

    /// What was made before, as it is. When it is not there any more it is not made anew: it was asked for once.
    pub(crate) fn as_it_is<T>(&self, found: Result<T, StoreError>) -> Result<Made<T>, StoreError> {
        match found {
            Ok(record) => Ok(Made { record, is_new: false }),
            Err(StoreError::Missing { .. }) => Err(StoreError::KeySpent(self.key.clone())),
            Err(error) => Err(error),
        }
    }
}

impl TenantTx<'_> {
    /// As [`Once::before`], with the request under its key when something was made before.
    pub(crate) async fn made_before<'o, Id: Display + FromStr<Err: Display>>(
        &mut self,
        once: Option<&'o Once>,
        makes: &Id,
    ) -> Result<Option<(&'o Once, Id)>, StoreError> {
        let Some(once) = once else { return Ok(None) };
        let before = once.before(self.session, self.tenant, self.now, makes).await?;
        Ok(before.map(|id| (once, id)))
    }
}
