//! People for whom a provider of identities vouches: they have no password here, and what they may do follows from what it says at
//! each login.

use std::collections::BTreeSet;

use jiff::Timestamp;
use model::{Access, By, Identity, Role, TenantId, UserId, UserName};
use uuid::Uuid;

use crate::{
    Store, StoreError, UserRecord,
    audit::Act,
    session::TenantTx,
    users::{self, USER},
};

/// Somebody for whom a provider vouches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    /// Who they are to it: they stay the same whatever they are called.
    pub identity: Identity,
    /// What they are called now.
    pub name: UserName,
    /// What they are by their groups: of several roles that which may do the most counts, and one that the tenant has not made does not.
    pub roles: BTreeSet<Role>,
}

impl Store {
    /// A provider knows somebody, and says nothing of them by which they might come: if they came before, they are not here any more.
    pub async fn end_vouched_sessions(
        &self,
        tenant: TenantId,
        identity: Identity,
        by: impl Into<By>,
    ) -> Result<Option<UserId>, StoreError> {
        let by = by.into();
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let Some(user) = tx.known_by(&identity).await? else { return Ok(None) };
                if tx.end_sessions_of(user.id).await? > 0 {
                    tx.audit(Act::new(&by, "user.unvouched", user.id).detail(user.name.as_str()));
                }
                Ok(Some(user.id))
            })
        })
        .await
    }
}

impl TenantTx<'_> {
    /// As they are here now that somebody vouches for them.
    pub(crate) async fn vouched_user(&mut self, vouched: Vouched, by: &By) -> Result<UserRecord, StoreError> {
        let role = self.most_of(&vouched.roles).await?;
        let before = match self.known_by(&vouched.identity).await? {
            Some(before) => before,
            None => match self.know(&vouched, &role, by).await? {
                Some(made) => return Ok(made),
                // They came twice at once: this is a statement of its own, and sees what the other did.
                None => self
                    .known_by(&vouched.identity)
                    .await?
                    .ok_or_else(|| StoreError::Exists { kind: "user", name: vouched.name.to_string() })?,
            },
        };
        let Vouched { name, .. } = vouched;
        if before.disabled_at.is_some() {
            return Err(StoreError::Changed { kind: "user", name: before.name.to_string() });
        }
        let after = UserRecord { name, role, ..before.clone() };
        if after == before {
            return Ok(after);
        }
        if after.role != Role::Owner {
            self.require_another_owner(&before).await?;
        }
        let sql = "UPDATE users SET name = $3, role = $4 WHERE tenant_id = $1 AND user_id = $2 \
                   AND NOT EXISTS (SELECT 1 FROM users AS others WHERE others.tenant_id = $1 AND others.name = $3 AND others.user_id <> $2)";
        let id = after.id;
        let values =
            [self.tenant(), id.as_uuid().into(), after.name.as_str().into(), after.role.as_str().into()];
        if self.execute(sql, &values).await? == 0 {
            return Err(StoreError::Exists { kind: "user", name: after.name.to_string() });
        }
        if after.role != before.role {
            // What they were let in as, they are not any more.
            self.end_sessions_of(id).await?;
        }
        let act = Act::new(by, "user.change", id).detail(after.name.as_str());
        self.audit(act.before(&before)?.after(&after)?);
        Ok(after)
    }

    async fn most_of(&mut self, roles: &BTreeSet<Role>) -> Result<Role, StoreError> {
        let mut most: Option<Access> = None;
        for role in roles {
            match self.given_role(role).await {
                Ok(access) => {
                    let less = |most: &Access| most.permissions.len() < access.permissions.len();
                    if most.as_ref().is_none_or(less) {
                        most = Some(access);
                    }
                }
                Err(StoreError::Missing { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let names = || roles.iter().map(Role::as_str).collect::<Vec<_>>().join(", ");
        most.map(|access| access.role).ok_or_else(|| StoreError::Missing { kind: "role", name: names() })
    }

    async fn known_by(&mut self, identity: &Identity) -> Result<Option<UserRecord>, StoreError> {
        let lock = self.dialect().for_update();
        let sql =
            format!("SELECT {USER} FROM users WHERE tenant_id = $1 AND issuer = $2 AND subject = $3{lock}");
        let values = [self.tenant(), identity.issuer.as_str().into(), identity.subject.as_str().into()];
        self.query(&sql, &values).await?.first().map(users::read).transpose()
    }

    /// Somebody who comes for the first time; nothing when they or their name are there. Whoever has the same name and logs in with
    /// a password is somebody else.
    async fn know(
        &mut self,
        vouched: &Vouched,
        role: &Role,
        by: &By,
    ) -> Result<Option<UserRecord>, StoreError> {
        let Vouched { identity, name, .. } = vouched.clone();
        let made = UserRecord {
            id: UserId::new(Uuid::now_v7()),
            name,
            tenant: self.tenant,
            role: role.clone(),
            invited_until: None,
            disabled_at: None,
            created_at: self.now,
            created_by: identity.issuer.clone(),
            last_login: None::<Timestamp>,
            issuer: Some(identity.issuer),
            second_factor: false,
        };
        let values = [
            self.tenant(),
            made.id.as_uuid().into(),
            made.name.as_str().into(),
            made.role.as_str().into(),
            made.created_at.into(),
            made.created_by.as_str().into(),
            identity.subject.into(),
        ];
        let sql = "INSERT INTO users (tenant_id, user_id, name, role, created_at, created_by, networks, issuer, subject) \
                   VALUES ($1, $2, $3, $4, $5, $6, '[]', $6, $7) ON CONFLICT DO NOTHING";
        if self.execute(sql, &values).await? == 0 {
            return Ok(None);
        }
        let detail = format!("{}: {}", made.name, made.role);
        self.audit(Act::new(by, "user.create", made.id).detail(detail).after(&made)?);
        Ok(Some(made))
    }
}
