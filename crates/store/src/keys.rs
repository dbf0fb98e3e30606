//! Keys of programs. What is kept of one is a digest: it is shown once, to who makes it.

use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use model::{ApiKey, By, KeyPrefix, TenantId, access::Role};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Store, StoreError,
    audit::Act,
    session::{Dialect, Session, TenantTx},
    value::{Row, Value, json},
};

/// A key is said to have been used when that was so long ago: not every request writes.
const USED_EVERY: Duration = Duration::from_secs(60);

/// A key to be made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// For people: what it is for.
    #[schema(min_length = 1, max_length = 64)]
    pub name: String,
    /// What whoever has it may do.
    pub role: Role,
    /// From where it may be used; from anywhere without any.
    #[schema(value_type = Vec<String>, max_items = 64, example = json!(["10.0.0.0/8"]))]
    #[serde(default)]
    pub networks: Vec<IpNet>,
    /// Until when; until it is revoked without.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct KeyRecord {
    /// By which it is found and named; the key begins with it.
    pub prefix: KeyPrefix,
    /// Whose.
    pub tenant: TenantId,
    /// For people: what it is for.
    pub name: String,
    /// What whoever has it may do.
    pub role: Role,
    /// From where it may be used; from anywhere without any.
    #[schema(value_type = Vec<String>)]
    pub networks: Vec<IpNet>,
    /// Since when.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// Until when; until it is revoked without.
    pub expires_at: Option<Timestamp>,
    /// When it was used last, to the minute.
    pub last_used: Option<Timestamp>,
    /// Which key took its place: it ends soon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<KeyPrefix>,
}

const KEY: &str =
    "prefix, tenant_id, name, role, networks, created_at, created_by, expires_at, last_used, replaced";

impl KeyRecord {
    fn read(row: &Row) -> Result<KeyRecord, StoreError> {
        Ok(KeyRecord {
            prefix: row.word(0)?,
            tenant: TenantId::new(row.id(1)?),
            name: row.text(2)?.to_owned(),
            role: row.word(3)?,
            networks: row.json(4)?,
            created_at: row.time(5)?,
            created_by: row.text(6)?.to_owned(),
            expires_at: row.maybe_time(7)?,
            last_used: row.maybe_time(8)?,
            replaced_by: row.maybe_text(9)?.map(|_| row.word(9)).transpose()?,
        })
    }
}

/// Keeps a key, if the condition holds: whether it did.
async fn keep(
    session: &mut dyn Session,
    key: &ApiKey,
    record: &KeyRecord,
    condition: &str,
) -> Result<bool, StoreError> {
    let values = [
        record.prefix.as_str().into(),
        record.tenant.as_uuid().into(),
        record.name.as_str().into(),
        record.role.as_str().into(),
        json(&record.networks)?,
        record.created_at.into(),
        record.created_by.as_str().into(),
        record.expires_at.into(),
        Value::Bytes(key.digest().to_vec()),
    ];
    let sql = format!(
        "INSERT INTO keys (prefix, tenant_id, name, role, networks, created_at, created_by, expires_at, digest) \
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9 {condition}"
    );
    Ok(session.execute(&sql, &values).await? > 0)
}

impl KeyRecord {
    /// When the key that takes its place at this time ends: it is good for as long as this one was.
    pub fn end_of_next(&self, now: Timestamp) -> Option<Timestamp> {
        let length = self.expires_at.map(|at| at.duration_since(self.created_at))?;
        Some(now.saturating_add(length).unwrap_or(Timestamp::MAX))
    }

    fn made_by(&self, by: &By) -> Result<Act, StoreError> {
        let until = self.expires_at.map(|at| format!(", until {at}")).unwrap_or_default();
        let detail = format!("{}: {}{until}", self.name, self.role);
        Act::new(by, "key.create", &self.prefix).detail(detail).after(self)
    }
}

impl NewKey {
    fn made(self, key: &ApiKey, tenant: TenantId, by: &By, now: Timestamp) -> KeyRecord {
        KeyRecord {
            prefix: key.prefix(),
            tenant,
            name: self.name,
            role: self.role,
            networks: self.networks,
            created_at: now,
            created_by: by.name.clone(),
            expires_at: self.expires_at,
            last_used: None,
            replaced_by: None,
        }
    }
}

impl TenantTx<'_> {
    async fn held_key(&mut self, prefix: &KeyPrefix) -> Result<KeyRecord, StoreError> {
        let lock = self.dialect().for_update();
        self.key(prefix, lock).await
    }

    async fn key(&mut self, prefix: &KeyPrefix, lock: &str) -> Result<KeyRecord, StoreError> {
        let sql = format!("SELECT {KEY} FROM keys WHERE tenant_id = $1 AND prefix = $2{lock}");
        let row = self.one(&sql, &[self.tenant(), prefix.as_str().into()], ("key", prefix)).await?;
        KeyRecord::read(&row)
    }

    async fn make_key(&mut self, key: &ApiKey, new: NewKey, by: &By) -> Result<KeyRecord, StoreError> {
        let record = new.made(key, self.tenant, by, self.now);
        if !keep(self.session, key, &record, "WHERE true ON CONFLICT DO NOTHING").await? {
            return Err(StoreError::Exists { kind: "key", name: record.prefix.to_string() });
        }
        self.audit(record.made_by(by)?);
        Ok(record)
    }
}

impl Store {
    /// Keeps the first key that there is: false, and nothing is kept, when there is one already.
    pub async fn first_key(
        &self,
        tenant: TenantId,
        key: ApiKey,
        new: NewKey,
        by: impl Into<By>,
    ) -> Result<bool, StoreError> {
        let by = by.into();
        self.of_queue(move |tx| {
            Box::pin(async move {
                // The lock makes two that ask at once one after the other.
                if tx.session.dialect() == Dialect::Postgres {
                    tx.session.execute("SELECT pg_advisory_xact_lock(7233112)", &[]).await?;
                }
                let record = new.made(&key, tenant, &by, tx.now);
                let kept = keep(tx.session, &key, &record, "WHERE NOT EXISTS (SELECT 1 FROM keys)").await?;
                if kept {
                    tx.audit(Some(tenant), record.made_by(&by)?);
                }
                Ok(kept)
            })
        })
        .await
    }

    /// Keeps a key. One whose prefix is taken is refused: another one will do.
    pub async fn create_key(
        &self,
        tenant: TenantId,
        key: ApiKey,
        new: NewKey,
        by: impl Into<By>,
    ) -> Result<KeyRecord, StoreError> {
        let by = by.into();
        self.of_tenant(tenant, move |tx| Box::pin(async move { tx.make_key(&key, new, &by).await })).await
    }

    /// Another key in the place of one, which goes on for a while: whoever uses it has time to change. The new one is good for as long
    /// as the old one was.
    pub async fn rotate_key(
        &self,
        tenant: TenantId,
        prefix: KeyPrefix,
        key: ApiKey,
        overlap: Duration,
        by: impl Into<By>,
    ) -> Result<KeyRecord, StoreError> {
        let by = by.into();
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let old = tx.held_key(&prefix).await?;
                if let Some(other) = old.replaced_by {
                    return Err(StoreError::Invalid(format!(
                        "the key {prefix} was rotated: {other} took its place"
                    )));
                }
                let ends = tx.now.saturating_add(overlap).unwrap_or(Timestamp::MAX);
                let ends = old.expires_at.map_or(ends, |earlier| earlier.min(ends));
                let expires_at = old.end_of_next(tx.now);
                let new = NewKey { name: old.name, role: old.role, networks: old.networks, expires_at };
                let made = tx.make_key(&key, new, &by).await?;
                let sql =
                    "UPDATE keys SET expires_at = $3, replaced = $4 WHERE tenant_id = $1 AND prefix = $2";
                let values = [tx.tenant(), prefix.as_str().into(), ends.into(), made.prefix.as_str().into()];
                tx.execute(sql, &values).await?;
                let detail = format!("{} takes its place, it ends {ends}", made.prefix);
                tx.audit(Act::new(&by, "key.rotate", &prefix).detail(detail));
                Ok(made)
            })
        })
        .await
    }

    /// Takes a key back: from the next request on it is not known.
    pub async fn revoke_key(
        &self,
        tenant: TenantId,
        prefix: KeyPrefix,
        by: impl Into<By>,
    ) -> Result<(), StoreError> {
        let by = by.into();
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let old = tx.held_key(&prefix).await?;
                let sql = "DELETE FROM keys WHERE tenant_id = $1 AND prefix = $2";
                tx.execute(sql, &[tx.tenant(), prefix.as_str().into()]).await?;
                tx.audit(Act::new(&by, "key.revoke", &prefix).detail(&old.name).before(&old)?);
                Ok(())
            })
        })
        .await
    }

    /// The keys of a tenant, by name.
    pub async fn keys(&self, tenant: TenantId) -> Result<Vec<KeyRecord>, StoreError> {
        self.read_tenant(tenant, |tx| {
            Box::pin(async move {
                let sql = format!("SELECT {KEY} FROM keys WHERE tenant_id = $1 ORDER BY name, prefix");
                tx.query(&sql, &[tx.tenant()]).await?.iter().map(KeyRecord::read).collect()
            })
        })
        .await
    }

    /// What is known of one key of a tenant.
    pub async fn key(&self, tenant: TenantId, prefix: KeyPrefix) -> Result<KeyRecord, StoreError> {
        self.read_tenant(tenant, move |tx| Box::pin(async move { tx.key(&prefix, "").await })).await
    }

    /// Whose key this is, when it is known and has not expired by the store's clock.
    pub async fn known_key(&self, key: &ApiKey) -> Result<Option<KeyRecord>, StoreError> {
        let (prefix, digest) = (key.prefix(), key.digest());
        self.read_queue(move |tx| {
            Box::pin(async move {
                let sql = format!(
                    "SELECT {KEY} FROM keys WHERE prefix = $1 AND digest = $2 AND (expires_at IS NULL OR expires_at > $3)"
                );
                let values = [prefix.as_str().into(), Value::Bytes(digest.to_vec()), tx.now.into()];
                tx.session.query(&sql, &values).await?.first().map(KeyRecord::read).transpose()
            })
        })
        .await
    }

    /// Somebody used it.
    pub async fn used_key(&self, tenant: TenantId, prefix: KeyPrefix) -> Result<(), StoreError> {
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let before = tx.now.saturating_sub(USED_EVERY).unwrap_or(Timestamp::MIN);
                let sql = "UPDATE keys SET last_used = $3 WHERE tenant_id = $1 AND prefix = $2 \
                           AND (last_used IS NULL OR last_used < $4)";
                let values = [tx.tenant(), prefix.as_str().into(), tx.now.into(), before.into()];
                tx.execute(sql, &values).await.map(drop)
            })
        })
        .await
    }
}
