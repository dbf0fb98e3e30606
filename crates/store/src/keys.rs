//! Keys of programs. What is kept of one is a digest: it is shown once, to who makes it.

use std::time::Duration;

use jiff::Timestamp;
use model::{
    ApiKey, By, KeyPrefix, Role, TenantId,
    list::{KeyCursor, ListOrder},
    record::{KeyRecord, NewKey},
};

use crate::{
    Store, StoreError,
    audit::Act,
    list::{Columns, Question},
    once::{Made, Once},
    roles::{self, Known},
    session::{Dialect, Session, TenantTx},
    value::{Row, Value, json},
};

/// A key is said to have been used when that was so long ago: not every request writes.
const USED_EVERY: Duration = Duration::from_secs(60);

/// Which keys somebody means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyFilter {
    /// Only those of this role.
    pub role: Option<Role>,
    /// Only those that are good for nothing any more, or only those that are.
    pub expired: Option<bool>,
    /// Only those that nobody has used since then.
    pub unused_since: Option<Timestamp>,
    /// In which order.
    pub order: ListOrder,
    /// Only what comes behind that place.
    pub after: Option<KeyCursor>,
}

const COLUMNS: Columns = Columns { name: "name", time: "created_at", id: "prefix" };

const KEY: &str =
    "prefix, tenant_id, name, role, networks, created_at, created_by, expires_at, last_used, replaced";

fn read_key(row: &Row) -> Result<KeyRecord, StoreError> {
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

/// What the audit is told of it.
fn made_by(record: &KeyRecord, by: &By) -> Result<Act, StoreError> {
    let until = record.expires_at.map(|at| format!(", until {at}")).unwrap_or_default();
    let detail = format!("{}: {}{until}", record.name, record.role);
    Act::new(by, "key.create", &record.prefix).detail(detail).after(record)
}

fn made(new: NewKey, key: &ApiKey, tenant: TenantId, by: &By, now: Timestamp) -> KeyRecord {
    KeyRecord {
        prefix: key.prefix(),
        tenant,
        name: new.name,
        role: new.role,
        networks: new.networks,
        created_at: now,
        created_by: by.name.clone(),
        expires_at: new.expires_at,
        last_used: None,
        replaced_by: None,
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
        read_key(&row)
    }

    async fn make_key(&mut self, key: &ApiKey, new: NewKey, by: &By) -> Result<KeyRecord, StoreError> {
        self.given_role(&new.role).await?;
        let record = made(new, key, self.tenant, by, self.now);
        if !keep(self.session, key, &record, "WHERE true ON CONFLICT DO NOTHING").await? {
            return Err(StoreError::Exists { kind: "key", name: record.prefix.to_string() });
        }
        self.audit(made_by(&record, by)?);
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
                let record = made(new, &key, tenant, &by, tx.now);
                let kept = keep(tx.session, &key, &record, "WHERE NOT EXISTS (SELECT 1 FROM keys)").await?;
                if kept {
                    tx.audit(Some(tenant), made_by(&record, &by)?);
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
        self.create_key_once(tenant, key, new, by, None).await.map(|made| made.record)
    }

    /// The same; under an idempotency key the same request of the same asker is the same key for a day, which only the first was shown.
    pub async fn create_key_once(
        &self,
        tenant: TenantId,
        key: ApiKey,
        new: NewKey,
        by: impl Into<By>,
        idempotency_key: Option<String>,
    ) -> Result<Made<KeyRecord>, StoreError> {
        let by = by.into();
        let once = Once::of(idempotency_key, &by, "key.create", &new)?;
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                if let Some((once, before)) = tx.made_before(once.as_ref(), &key.prefix()).await? {
                    return once.as_it_is(tx.held_key(&before).await);
                }
                tx.make_key(&key, new, &by).await.map(Made::now)
            })
        })
        .await
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
        self.rotate_key_once(tenant, prefix, key, overlap, by, None).await.map(|made| made.record)
    }

    /// The same; under an idempotency key the same request of the same asker makes one key within a day, which only the first was
    /// shown.
    pub async fn rotate_key_once(
        &self,
        tenant: TenantId,
        prefix: KeyPrefix,
        key: ApiKey,
        overlap: Duration,
        by: impl Into<By>,
        idempotency_key: Option<String>,
    ) -> Result<Made<KeyRecord>, StoreError> {
        let by = by.into();
        let once = Once::of(idempotency_key, &by, "key.rotate", &(&prefix, overlap))?;
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                if let Some((once, before)) = tx.made_before(once.as_ref(), &key.prefix()).await? {
                    return once.as_it_is(tx.held_key(&before).await);
                }
                let old = tx.held_key(&prefix).await?;
                let before = old.clone();
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
                let act = Act::new(&by, "key.rotate", &prefix).detail(detail);
                tx.audit(act.before(&before)?.after(&made)?);
                Ok(Made::now(made))
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
                tx.query(&sql, &[tx.tenant()]).await?.iter().map(read_key).collect()
            })
        })
        .await
    }

    /// So many of them: those that are meant, in the order that is meant.
    pub async fn list_keys(
        &self,
        tenant: TenantId,
        filter: KeyFilter,
        at_most: usize,
    ) -> Result<Vec<KeyRecord>, StoreError> {
        self.read_tenant(tenant, move |tx| {
            Box::pin(async move {
                let KeyFilter { role, expired, unused_since, order, after } = filter;
                let mut wanted = Question::of(tx.tenant());
                wanted.with_any("role = #", role.as_ref().map(Role::as_str));
                match expired {
                    Some(true) => wanted.with("expires_at <= #", tx.now),
                    Some(false) => wanted.with("(expires_at IS NULL OR expires_at > #)", tx.now),
                    None => {}
                }
                wanted.with_any("(last_used IS NULL OR last_used < #)", unused_since);
                let order = wanted.ordered(&COLUMNS, order, after);
                let Question { condition, values } = wanted;
                let sql = format!("SELECT {KEY} FROM keys WHERE {condition} {order} LIMIT {at_most}");
                tx.query(&sql, &values).await?.iter().map(read_key).collect()
            })
        })
        .await
    }

    /// What is known of one key of a tenant.
    pub async fn key(&self, tenant: TenantId, prefix: KeyPrefix) -> Result<KeyRecord, StoreError> {
        self.read_tenant(tenant, move |tx| Box::pin(async move { tx.key(&prefix, "").await })).await
    }

    /// Whose key this is and what it lets them do, when it is known and has not expired by the store's clock.
    pub async fn known_key(&self, key: &ApiKey) -> Result<Option<Known<KeyRecord>>, StoreError> {
        let (prefix, digest) = (key.prefix(), key.digest());
        self.read_queue(move |tx| {
            Box::pin(async move {
                let sql = format!(
                    "SELECT {KEY}, (SELECT permissions FROM roles WHERE roles.tenant_id = keys.tenant_id AND roles.name = keys.role) \
                     FROM keys WHERE prefix = $1 AND digest = $2 AND (expires_at IS NULL OR expires_at > $3)"
                );
                let values = [prefix.as_str().into(), Value::Bytes(digest.to_vec()), tx.now.into()];
                let rows = tx.session.query(&sql, &values).await?;
                let Some(row) = rows.first() else { return Ok(None) };
                let record = read_key(row)?;
                let access = roles::access(record.role.clone(), row.maybe_text(10)?)?;
                Ok(Some(Known { record, access }))
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
