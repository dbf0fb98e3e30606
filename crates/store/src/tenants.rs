//! Tenants and their scopes.

use jiff::Timestamp;
use model::{
    By, Scope, TenantId, UserName,
    record::{TenantChange, TenantRecord},
};
use uuid::Uuid;

use crate::{
    Store, StoreError,
    audit::Act,
    list::Question,
    once::{Made, Once},
    session::{QueueTx, TenantTx},
    value::{Row, json},
};

/// A tenant to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTenant {
    /// For people; nobody else's.
    pub name: String,
    /// Its share against the others'.
    pub weight: u32,
    /// Not more tasks than these at work at once.
    pub most_in_flight: u64,
}

impl NewTenant {
    /// As usual.
    pub fn named(name: &str) -> NewTenant {
        NewTenant { name: name.to_owned(), weight: 1, most_in_flight: 10_000 }
    }
}

fn read_tenant(row: &Row) -> Result<TenantRecord, StoreError> {
    Ok(TenantRecord {
        id: TenantId::new(row.id(0)?),
        name: row.text(1)?.to_owned(),
        weight: row.small(2)?,
        most_in_flight: row.count(3)?,
        created_at: row.time(4)?,
    })
}

const TENANT: &str = "tenant_id, name, weight, most_in_flight, created_at";

impl TenantTx<'_> {
    pub(crate) async fn scope(&mut self, name: &str) -> Result<Scope, StoreError> {
        let sql = "SELECT body FROM scopes WHERE tenant_id = $1 AND name = $2";
        self.one(sql, &[self.tenant(), name.into()], ("scope", name)).await?.json(0)
    }

    /// As it is until this transaction ends.
    async fn hold_scope(&mut self, name: &str) -> Result<Option<Scope>, StoreError> {
        let lock = self.dialect().for_update();
        let sql = format!("SELECT body FROM scopes WHERE tenant_id = $1 AND name = $2{lock}");
        self.query(&sql, &[self.tenant(), name.into()]).await?.first().map(|row| row.json(0)).transpose()
    }

    /// Writes it down unless there is one, or in place of the one that is there. Whether it did.
    async fn write_scope(
        &mut self,
        name: &str,
        scope: &Scope,
        replace: bool,
        by: &By,
    ) -> Result<bool, StoreError> {
        let values = [self.tenant(), name.into(), json(scope)?, self.now.into()];
        let sql = "INSERT INTO scopes (tenant_id, name, body, created_at, updated_at) VALUES ($1, $2, $3, $4, $4) \
                   ON CONFLICT DO NOTHING";
        // First, so that of two who write a new one the second knows what the first wrote.
        let mut written = self.execute(sql, &values).await? > 0;
        let mut before = None;
        if !written && replace {
            before = self.hold_scope(name).await?;
            let sql = "UPDATE scopes SET body = $3, updated_at = $4 WHERE tenant_id = $1 AND name = $2";
            written = self.execute(sql, &values).await? > 0;
            if !written {
                return Err(StoreError::Busy(format!("the scope `{name}` is being deleted")));
            }
        }
        if written {
            self.audit(Act::new(by, "scope.put", name).before(&before)?.after(scope)?);
        }
        Ok(written)
    }

    pub(crate) async fn scopes(&mut self) -> Result<Vec<(String, Scope)>, StoreError> {
        let wanted = Question::of(self.tenant());
        self.read_scopes(wanted, "").await
    }

    async fn read_scopes(
        &mut self,
        wanted: Question,
        limit: &str,
    ) -> Result<Vec<(String, Scope)>, StoreError> {
        let Question { condition, values } = wanted;
        let sql = format!("SELECT name, body FROM scopes WHERE {condition} ORDER BY name {limit}");
        let rows = self.query(&sql, &values).await?;
        rows.iter().map(|row| Ok((row.text(0)?.to_owned(), row.json(1)?))).collect()
    }
}

impl QueueTx<'_> {
    async fn one_tenant(&mut self, id: TenantId, lock: &str) -> Result<TenantRecord, StoreError> {
        let sql = format!("SELECT {TENANT} FROM tenants WHERE tenant_id = $1{lock}");
        let rows = self.session.query(&sql, &[id.as_uuid().into()]).await?;
        let missing = || StoreError::Missing { kind: "tenant", name: id.to_string() };
        read_tenant(rows.first().ok_or_else(missing)?)
    }
}

impl Store {
    /// Makes a tenant.
    pub async fn create_tenant(&self, new: NewTenant, by: impl Into<By>) -> Result<TenantRecord, StoreError> {
        self.make_tenant(new, None, None, by.into()).await.map(|made| made.record)
    }

    /// The same, for people of another tenant, whose audit is told, too; under a key the same request of the same asker is the same tenant
    /// for a day. Who is to be its owner is part of the request: under a key of before nobody else becomes one.
    pub async fn create_tenant_once(
        &self,
        new: NewTenant,
        owner: Option<&UserName>,
        of: TenantId,
        by: impl Into<By>,
        key: Option<String>,
    ) -> Result<Made<TenantRecord>, StoreError> {
        let by = by.into();
        let asked = (&new.name, new.weight, new.most_in_flight, owner);
        let once = Once::of(key, &by, "tenant.create", &asked)?;
        self.make_tenant(new, Some(of), once, by).await
    }

    async fn make_tenant(
        &self,
        new: NewTenant,
        of: Option<TenantId>,
        once: Option<Once>,
        by: By,
    ) -> Result<Made<TenantRecord>, StoreError> {
        self.of_queue(move |tx| {
            Box::pin(async move {
                let id = TenantId::new(Uuid::now_v7());
                if let Some((once, of)) = once.as_ref().zip(of)
                    && let Some(before) = once.before(tx.session, of, tx.now, &id).await?
                {
                    return once.as_it_is(tx.one_tenant(before, "").await);
                }
                let values = [
                    id.as_uuid().into(),
                    new.name.as_str().into(),
                    new.weight.into(),
                    new.most_in_flight.into(),
                    tx.now.into(),
                ];
                let sql = format!(
                    "INSERT INTO tenants ({TENANT}) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING"
                );
                if tx.session.execute(&sql, &values).await? == 0 {
                    return Err(StoreError::Exists { kind: "tenant", name: new.name });
                }
                let made = TenantRecord {
                    id,
                    name: new.name,
                    weight: new.weight,
                    most_in_flight: new.most_in_flight,
                    created_at: tx.now,
                };
                for told in [Some(id), of].into_iter().flatten() {
                    tx.audit(Some(told), Act::new(&by, "tenant.create", &made.name).after(&made)?);
                }
                Ok(Made::now(made))
            })
        })
        .await
    }

    /// Changes what a tenant may take; what is not given stays as it is. Tasks at work go on. People of another tenant, whose audit is told,
    /// too, may say what they have seen.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when it is not what they have seen.
    pub async fn set_tenant(
        &self,
        tenant: TenantId,
        change: TenantChange,
        seen: Option<TenantRecord>,
        of: Option<TenantId>,
        by: impl Into<By>,
    ) -> Result<TenantRecord, StoreError> {
        let by = by.into();
        self.of_queue(move |tx| {
            Box::pin(async move {
                let lock = tx.session.dialect().for_update();
                let before = tx.one_tenant(tenant, lock).await?;
                let is_as_seen = seen.is_none_or(|seen| seen == before);
                StoreError::changed_unless(is_as_seen, "tenant", &before.name)?;
                let after = TenantRecord {
                    weight: change.weight.unwrap_or(before.weight),
                    most_in_flight: change.most_in_flight.unwrap_or(before.most_in_flight),
                    ..before.clone()
                };
                let sql = "UPDATE tenants SET weight = $2, most_in_flight = $3 WHERE tenant_id = $1";
                let values = [tenant.as_uuid().into(), after.weight.into(), after.most_in_flight.into()];
                tx.session.execute(sql, &values).await?;
                let detail = format!(
                    "weight {}, before {}; most in flight {}, before {}",
                    after.weight, before.weight, after.most_in_flight, before.most_in_flight
                );
                let of = of.filter(|of| *of != tenant);
                for told in [Some(tenant), of].into_iter().flatten() {
                    let act = Act::new(&by, "tenant.set", &after.name).detail(&detail);
                    tx.audit(Some(told), act.before(&before)?.after(&after)?);
                }
                Ok(after)
            })
        })
        .await
    }

    /// So many tenants, by name, from one on.
    pub async fn tenants_after(
        &self,
        after: Option<String>,
        at_most: usize,
    ) -> Result<Vec<TenantRecord>, StoreError> {
        self.read_queue(move |tx| {
            Box::pin(async move {
                let sql =
                    format!("SELECT {TENANT} FROM tenants WHERE name > $1 ORDER BY name LIMIT {at_most}");
                let values = [after.unwrap_or_default().into()];
                tx.session.query(&sql, &values).await?.iter().map(read_tenant).collect()
            })
        })
        .await
    }

    /// Every tenant, by name.
    pub async fn tenants(&self) -> Result<Vec<TenantRecord>, StoreError> {
        self.read_queue(|tx| {
            Box::pin(async move {
                let sql = format!("SELECT {TENANT} FROM tenants ORDER BY name");
                tx.session.query(&sql, &[]).await?.iter().map(read_tenant).collect()
            })
        })
        .await
    }

    /// One tenant.
    pub async fn tenant(&self, tenant: TenantId) -> Result<TenantRecord, StoreError> {
        self.read_tenant(tenant, move |tx| {
            Box::pin(async move {
                let sql = format!("SELECT {TENANT} FROM tenants WHERE tenant_id = $1");
                let row = tx.one(&sql, &[tx.tenant()], ("tenant", &tenant.to_string())).await?;
                read_tenant(&row)
            })
        })
        .await
    }

    /// The tenant of that name.
    pub async fn tenant_named(&self, name: &str) -> Result<TenantRecord, StoreError> {
        let name = name.to_owned();
        self.read_queue(move |tx| {
            Box::pin(async move {
                let sql = format!("SELECT {TENANT} FROM tenants WHERE name = $1");
                let rows = tx.session.query(&sql, &[name.as_str().into()]).await?;
                rows.first().map(read_tenant).unwrap_or(Err(StoreError::Missing { kind: "tenant", name }))
            })
        })
        .await
    }

    /// What time it is for the store.
    pub async fn clock(&self) -> Result<Timestamp, StoreError> {
        self.read_queue(|tx| {
            let now = tx.now;
            Box::pin(async move { Ok(now) })
        })
        .await
    }

    /// Writes a scope down, in place of the one of that name.
    pub async fn put_scope(
        &self,
        tenant: TenantId,
        name: &str,
        scope: Scope,
        by: impl Into<By>,
    ) -> Result<(), StoreError> {
        let by = by.into();
        let name = name.to_owned();
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move { tx.write_scope(&name, &scope, true, &by).await.map(drop) })
        })
        .await
    }

    /// Writes a scope down in place of the one that somebody has seen there, or where they have seen none.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when something else is there by now.
    pub async fn replace_scope(
        &self,
        tenant: TenantId,
        name: &str,
        seen: Option<Scope>,
        scope: Scope,
        by: impl Into<By>,
    ) -> Result<(), StoreError> {
        let by = by.into();
        let name = name.to_owned();
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let is_there = seen.is_some();
                let unchanged = !is_there || tx.hold_scope(&name).await? == seen;
                match unchanged && tx.write_scope(&name, &scope, is_there, &by).await? {
                    true => Ok(()),
                    false => Err(StoreError::Changed { kind: "scope", name }),
                }
            })
        })
        .await
    }

    /// Forgets a scope: what names it is refused from now on. Scans that were begun keep what it allowed then.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when it is not the one that somebody has seen, if they say which.
    pub async fn delete_scope(
        &self,
        tenant: TenantId,
        name: &str,
        seen: Option<Scope>,
        by: impl Into<By>,
    ) -> Result<(), StoreError> {
        let by = by.into();
        let name = name.to_owned();
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let before = tx.hold_scope(&name).await?;
                if before.is_some() && seen.is_some() && before != seen {
                    return Err(StoreError::Changed { kind: "scope", name });
                }
                let sql = "DELETE FROM scopes WHERE tenant_id = $1 AND name = $2";
                if tx.execute(sql, &[tx.tenant(), name.as_str().into()]).await? == 0 {
                    return Err(StoreError::Missing { kind: "scope", name });
                }
                tx.audit(Act::new(&by, "scope.delete", name).before(&before)?);
                Ok(())
            })
        })
        .await
    }

    /// So many scopes of a tenant, by name.
    pub async fn list_scopes(
        &self,
        tenant: TenantId,
        after: Option<String>,
        at_most: usize,
    ) -> Result<Vec<(String, Scope)>, StoreError> {
        self.read_tenant(tenant, move |tx| {
            Box::pin(async move {
                let mut wanted = Question::of(tx.tenant());
                wanted.with_any("name > #", after);
                tx.read_scopes(wanted, &format!("LIMIT {at_most}")).await
            })
        })
        .await
    }

    /// One of them, if there is one of that name.
    pub async fn scope(&self, tenant: TenantId, name: &str) -> Result<Option<Scope>, StoreError> {
        let name = name.to_owned();
        self.read_tenant(tenant, move |tx| {
            Box::pin(async move {
                let mut wanted = Question::of(tx.tenant());
                wanted.with("name = #", name);
                Ok(tx.read_scopes(wanted, "").await?.pop().map(|(_, scope)| scope))
            })
        })
        .await
    }

    /// Every scope of a tenant, by name.
    pub async fn scopes(&self, tenant: TenantId) -> Result<Vec<(String, Scope)>, StoreError> {
        self.read_tenant(tenant, |tx| Box::pin(async move { tx.scopes().await })).await
    }
}
