//! Roles that tenants make, beside those that every tenant has. What they let somebody do is looked up with whoever comes.

use std::collections::BTreeSet;

use model::{
    Access, By, Permission, Role, RoleName, TenantId,
    access::require_useful,
    record::{NewRole, RoleRecord},
};

use crate::{
    Store, StoreError,
    audit::Act,
    once::{Made, Once},
    session::TenantTx,
    value::{Row, json},
};

/// Roles of a tenant beside those that are built in, at most.
pub const MOST_ROLES: u64 = 100;

/// Somebody who is known, and what they may do at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known<T> {
    /// By what they are known.
    pub record: T,
    /// What it lets them do.
    pub access: Access,
}

const ROLE: &str = "name, permissions, created_at, created_by";

fn read(row: &Row) -> Result<RoleRecord, StoreError> {
    let Access { role: name, permissions, unknown } = kept(row.word(0)?, row.text(1)?)?;
    Ok(RoleRecord {
        name,
        permissions,
        unknown,
        created_at: Some(row.time(2)?),
        created_by: Some(row.text(3)?.to_owned()),
    })
}

fn kept(role: Role, permissions: &str) -> Result<Access, StoreError> {
    let words: BTreeSet<String> = serde_json::from_str(permissions)
        .map_err(|error| StoreError::Damaged(format!("the permissions of a role: {error}")))?;
    let (permissions, unknown): (Vec<_>, Vec<_>) =
        words.into_iter().map(|word| word.parse::<Permission>().map_err(|_| word)).partition(Result::is_ok);
    Ok(Access {
        role,
        permissions: permissions.into_iter().flatten().collect(),
        unknown: unknown.into_iter().filter_map(Result::err).collect(),
    })
}

/// What a role lets somebody do, with what is kept of it beside whoever has it.
pub(crate) fn access(role: Role, permissions: Option<&str>) -> Result<Access, StoreError> {
    match (role.built_in(), permissions) {
        (Ok(access), _) => Ok(access),
        (Err(_), Some(permissions)) => kept(role, permissions),
        (Err(name), None) => {
            Err(StoreError::Damaged(format!("somebody has the role `{name}`, which is not there")))
        }
    }
}

/// One that every tenant has, as it is shown.
fn built_in(Access { role, permissions, unknown }: Access) -> RoleRecord {
    RoleRecord { name: role, permissions, unknown, created_at: None, created_by: None }
}

impl TenantTx<'_> {
    async fn role(&mut self, name: &RoleName, lock: &str) -> Result<RoleRecord, StoreError> {
        let sql = format!("SELECT {ROLE} FROM roles WHERE tenant_id = $1 AND name = $2{lock}");
        read(&self.one(&sql, &[self.tenant(), name.as_str().into()], ("role", name)).await?)
    }

    /// What a role lets somebody do who is given it now: it stays until the transaction ends.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when the tenant has made none of that name.
    pub(crate) async fn given_role(&mut self, role: &Role) -> Result<Access, StoreError> {
        match role.built_in() {
            Ok(access) => Ok(access),
            Err(name) => {
                let lock = self.dialect().for_key_share();
                Ok(self.role(name, lock).await?.into())
            }
        }
    }

    async fn held_role(
        &mut self,
        name: &RoleName,
        seen: Option<&BTreeSet<Permission>>,
    ) -> Result<RoleRecord, StoreError> {
        let lock = self.dialect().for_update();
        let role = self.role(name, lock).await?;
        let is_as_seen = seen.is_none_or(|seen| *seen == role.permissions);
        StoreError::changed_unless(is_as_seen, "role", name)?;
        Ok(role)
    }

    async fn make_role(&mut self, new: NewRole, by: &By) -> Result<RoleRecord, StoreError> {
        let NewRole { name, permissions } = new;
        let made = RoleRecord {
            name: Role::Custom(name.clone()),
            permissions,
            unknown: BTreeSet::new(),
            created_at: Some(self.now),
            created_by: Some(by.name.clone()),
        };
        let values = [
            self.tenant(),
            name.as_str().into(),
            json(&made.permissions)?,
            self.now.into(),
            by.name.as_str().into(),
        ];
        let sql = "INSERT INTO roles (tenant_id, name, permissions, created_at, created_by) VALUES ($1, $2, $3, $4, $5) \
                   ON CONFLICT DO NOTHING";
        if self.execute(sql, &values).await? == 0 {
            return Err(StoreError::Exists { kind: "role", name: name.to_string() });
        }
        let sql = "SELECT count(*) FROM roles WHERE tenant_id = $1";
        let count = self.query(sql, &[self.tenant()]).await?.first().map_or(Ok(0), |row| row.count(0))?;
        if count > MOST_ROLES {
            return Err(StoreError::Invalid(format!("a tenant makes at most {MOST_ROLES} roles")));
        }
        self.audit(Act::new(by, "role.create", &name).after(&made)?);
        Ok(made)
    }

    /// Nobody is to have a role that is not there.
    async fn require_nobody_has(&mut self, name: &RoleName) -> Result<(), StoreError> {
        for (table, who) in [("users", "a user"), ("keys", "a key")] {
            let sql = format!("SELECT 1 FROM {table} WHERE tenant_id = $1 AND role = $2 LIMIT 1");
            if !self.query(&sql, &[self.tenant(), name.as_str().into()]).await?.is_empty() {
                return Err(StoreError::RoleInUse { role: name.to_string(), by: who });
            }
        }
        Ok(())
    }
}

impl Store {
    /// Every role: those that are built in, then those that the tenant has made, by name.
    pub async fn roles(&self, tenant: TenantId) -> Result<Vec<RoleRecord>, StoreError> {
        let mut roles: Vec<RoleRecord> =
            Role::BUILT_IN.iter().flat_map(Role::built_in).map(built_in).collect();
        let made = self.read_tenant(tenant, |tx| {
            Box::pin(async move {
                let sql = format!("SELECT {ROLE} FROM roles WHERE tenant_id = $1 ORDER BY name");
                tx.query(&sql, &[tx.tenant()]).await?.iter().map(read).collect::<Result<Vec<_>, _>>()
            })
        });
        roles.extend(made.await?);
        Ok(roles)
    }

    /// One of them.
    pub async fn role(&self, tenant: TenantId, role: Role) -> Result<RoleRecord, StoreError> {
        let name = match role.built_in() {
            Ok(access) => return Ok(built_in(access)),
            Err(name) => name.clone(),
        };
        self.read_tenant(tenant, move |tx| Box::pin(async move { tx.role(&name, "").await })).await
    }

    /// Makes a role. One whose permissions are of no use is refused.
    pub async fn create_role(
        &self,
        tenant: TenantId,
        new: NewRole,
        by: impl Into<By>,
    ) -> Result<RoleRecord, StoreError> {
        self.create_role_once(tenant, new, by, None).await.map(|made| made.record)
    }

    /// The same; under an idempotency key the same request of the same asker is the same role for a day.
    pub async fn create_role_once(
        &self,
        tenant: TenantId,
        new: NewRole,
        by: impl Into<By>,
        key: Option<String>,
    ) -> Result<Made<RoleRecord>, StoreError> {
        let by = by.into();
        require_useful(&new.permissions).map_err(|error| StoreError::Invalid(error.to_string()))?;
        let once = Once::of(key, &by, "role.create", &new)?;
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                if let Some((once, before)) = tx.made_before(once.as_ref(), &new.name).await? {
                    return once.as_it_is(tx.held_role(&before, None).await);
                }
                tx.make_role(new, &by).await.map(Made::now)
            })
        })
        .await
    }

    /// Says what whoever has a role may do from now on.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when it may not do any more what somebody has seen, if they say what.
    pub async fn change_role(
        &self,
        tenant: TenantId,
        name: RoleName,
        seen: Option<BTreeSet<Permission>>,
        permissions: BTreeSet<Permission>,
        by: impl Into<By>,
    ) -> Result<RoleRecord, StoreError> {
        let by = by.into();
        require_useful(&permissions).map_err(|error| StoreError::Invalid(error.to_string()))?;
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let before = tx.held_role(&name, seen.as_ref()).await?;
                if !before.unknown.is_empty() {
                    let why =
                        format!("a later release knows more of what the role `{name}` lets somebody do");
                    return Err(StoreError::SaidElsewhere(why));
                }
                let after = RoleRecord { permissions, ..before.clone() };
                if after != before {
                    let values = [tx.tenant(), name.as_str().into(), json(&after.permissions)?];
                    let sql = "UPDATE roles SET permissions = $3 WHERE tenant_id = $1 AND name = $2";
                    tx.execute(sql, &values).await?;
                    tx.audit(Act::new(&by, "role.change", &name).before(&before)?.after(&after)?);
                }
                Ok(after)
            })
        })
        .await
    }

    /// Takes a role back.
    ///
    /// # Errors
    /// [`StoreError::RoleInUse`] when somebody has it; [`StoreError::Changed`] as in [`Store::change_role`].
    pub async fn delete_role(
        &self,
        tenant: TenantId,
        name: RoleName,
        seen: Option<BTreeSet<Permission>>,
        by: impl Into<By>,
    ) -> Result<(), StoreError> {
        let by = by.into();
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let before = tx.held_role(&name, seen.as_ref()).await?;
                tx.require_nobody_has(&name).await?;
                let sql = "DELETE FROM roles WHERE tenant_id = $1 AND name = $2";
                tx.execute(sql, &[tx.tenant(), name.as_str().into()]).await?;
                tx.audit(Act::new(&by, "role.delete", &name).before(&before)?);
                Ok(())
            })
        })
        .await
    }
}
