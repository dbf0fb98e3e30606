//! People who may log in. What is kept of a password is what Argon2id makes of it; what is kept of an invitation is a digest.

use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use model::{
    By, Role, SessionId, TenantId, Token, UserId, UserName,
    list::{ListOrder, UserCursor},
    record::{NewUser, UserRecord},
    user::Standing,
};
use uuid::Uuid;

use crate::{
    Store, StoreError,
    audit::Act,
    list::{Columns, Question},
    once::{Made, Once},
    second_factor::{Credentials, SecondFactor, Shown},
    session::{Session, TenantTx},
    value::{Kind, Row, Value, json},
};

/// For how long somebody may take up an invitation.
pub const INVITED_FOR: Duration = Duration::from_secs(72 * 60 * 60);
/// Networks that are remembered of one user.
const NETWORKS: usize = 10;

/// By what somebody is let in for the first time.
#[derive(Debug, Clone)]
pub enum FirstPassword {
    /// What Argon2id made of it, as a PHC string.
    Hashed(String),
    /// Whoever has this says it, once.
    Invited(Token),
}

/// Which people somebody means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserFilter {
    /// Only those of this role.
    pub role: Option<Role>,
    /// Only those who stand so.
    pub standing: Option<Standing>,
    /// Only those who have not logged in since then.
    pub away_since: Option<Timestamp>,
    /// In which order.
    pub order: ListOrder,
    /// Only who comes behind that place.
    pub after: Option<UserCursor>,
}

const COLUMNS: Columns = Columns { name: "name", time: "created_at", id: "user_id" };

/// What must still be so when a password is set: it was looked at before, and hashing takes a while.
#[derive(Debug, Clone)]
pub enum Expected {
    /// Whoever runs the platform says so.
    Anything,
    /// The old one was shown.
    Password {
        /// As it is kept.
        seen: Credentials,
        /// The same second factor, which goes on with the new password.
        sealed_anew: Option<SecondFactor>,
    },
    /// They were invited with this, and may still take it up.
    Invitation(Token),
}

/// What is needed to let somebody in.
#[derive(Debug, Clone)]
pub struct Account {
    /// Who it is.
    pub user: UserRecord,
    /// What Argon2id made of the password, as a PHC string; none before an invitation was taken up.
    pub password: Option<String>,
    /// From where they have logged in.
    pub networks: Vec<IpNet>,
    /// What is kept of their second factor.
    pub second_factor: Option<SecondFactor>,
}

pub(crate) const USER: &str = "user_id, name, tenant_id, role, invited_until, disabled_at, created_at, created_by, last_login, issuer, \
     second_factor IS NOT NULL";

pub(crate) fn read(row: &Row) -> Result<UserRecord, StoreError> {
    Ok(UserRecord {
        id: UserId::new(row.id(0)?),
        name: row.word(1)?,
        tenant: TenantId::new(row.id(2)?),
        role: row.word(3)?,
        invited_until: row.maybe_time(4)?,
        disabled_at: row.maybe_time(5)?,
        created_at: row.time(6)?,
        created_by: row.text(7)?.to_owned(),
        last_login: row.maybe_time(8)?,
        issuer: row.maybe_text(9)?.map(str::to_owned),
        second_factor: row.bool(10)?,
    })
}

async fn account(
    session: &mut dyn Session,
    condition: &str,
    values: &[Value],
) -> Result<Option<Account>, StoreError> {
    let sql = format!("SELECT {USER}, password, networks, second_factor FROM users WHERE {condition}");
    let rows = session.query(&sql, values).await?;
    let read = |row: &Row| {
        Ok(Account {
            user: read(row)?,
            password: row.maybe_text(11)?.map(str::to_owned),
            networks: row.json(12)?,
            second_factor: row.maybe_json(13)?,
        })
    };
    rows.first().map(read).transpose()
}

impl TenantTx<'_> {
    pub(crate) async fn held_user(&mut self, id: UserId) -> Result<UserRecord, StoreError> {
        let lock = self.dialect().for_update();
        let sql = format!("SELECT {USER} FROM users WHERE tenant_id = $1 AND user_id = $2{lock}");
        read(&self.one(&sql, &[self.tenant(), id.as_uuid().into()], ("user", id)).await?)
    }

    /// Whoever takes the last owner away leaves a tenant that nobody can change.
    pub(crate) async fn require_another_owner(&mut self, without: &UserRecord) -> Result<(), StoreError> {
        let can_log_in = without.disabled_at.is_none() && without.invited_until.is_none();
        if without.role != Role::Owner || !can_log_in {
            return Ok(());
        }
        let lock = self.dialect().for_update();
        let sql = format!(
            "SELECT user_id FROM users WHERE tenant_id = $1 AND role = 'owner' AND disabled_at IS NULL AND invited_until IS NULL \
             ORDER BY user_id{lock}"
        );
        let owners = self.query(&sql, &[self.tenant()]).await?;
        let ids = owners.iter().map(|row| row.id(0)).collect::<Result<Vec<_>, _>>()?;
        match ids.iter().any(|id| *id != without.id.as_uuid()) {
            true => Ok(()),
            false => Err(StoreError::LastOwner(without.name.to_string())),
        }
    }

    pub(crate) async fn end_sessions_of(&mut self, user: UserId) -> Result<u64, StoreError> {
        let sql = "DELETE FROM sessions WHERE tenant_id = $1 AND user_id = $2";
        self.execute(sql, &[self.tenant(), user.as_uuid().into()]).await
    }

    pub(crate) async fn end_other_sessions(
        &mut self,
        user: UserId,
        but: SessionId,
    ) -> Result<u64, StoreError> {
        let sql = "DELETE FROM sessions WHERE tenant_id = $1 AND user_id = $2 AND session_id <> $3";
        self.execute(sql, &[self.tenant(), user.as_uuid().into(), but.as_uuid().into()]).await
    }
}

impl Store {
    /// Lets somebody in from now on.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when somebody of the tenant has that name already.
    pub async fn create_user(
        &self,
        tenant: TenantId,
        new: NewUser,
        first: FirstPassword,
        by: impl Into<By>,
    ) -> Result<UserRecord, StoreError> {
        self.create_user_once(tenant, new, first, by, None).await.map(|made| made.record)
    }

    /// The same; under a key the same request of the same asker is the same user for a day. What lets them in is that of the first.
    pub async fn create_user_once(
        &self,
        tenant: TenantId,
        new: NewUser,
        first: FirstPassword,
        by: impl Into<By>,
        key: Option<String>,
    ) -> Result<Made<UserRecord>, StoreError> {
        let by = by.into();
        let once = Once::of(key, &by, "user.create", &new)?;
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let id = UserId::new(Uuid::now_v7());
                if let Some((once, before)) = tx.made_before(once.as_ref(), &id).await? {
                    return once.as_it_is(tx.held_user(before).await);
                }
                let (password, digest) = match &first {
                    FirstPassword::Hashed(hash) => (Some(hash.clone()), None),
                    FirstPassword::Invited(token) => (None, Some(token.digest())),
                };
                tx.given_role(&new.role).await?;
                let until = tx.now.saturating_add(INVITED_FOR).unwrap_or(Timestamp::MAX);
                let made = UserRecord {
                    id,
                    name: new.name,
                    tenant: tx.tenant,
                    role: new.role,
                    invited_until: digest.map(|_| until),
                    disabled_at: None,
                    created_at: tx.now,
                    created_by: by.name.clone(),
                    last_login: None,
                    issuer: None,
                    second_factor: false,
                };
                let values = [
                    tx.tenant(),
                    made.id.as_uuid().into(),
                    made.name.as_str().into(),
                    made.role.as_str().into(),
                    password.into(),
                    digest.map_or(Value::Null(Kind::Bytes), |digest| Value::Bytes(digest.to_vec())),
                    made.invited_until.into(),
                    made.created_at.into(),
                    made.created_by.as_str().into(),
                ];
                let sql = "INSERT INTO users (tenant_id, user_id, name, role, password, invitation, invited_until, created_at, \
                           created_by, networks) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, '[]') ON CONFLICT DO NOTHING";
                if tx.execute(sql, &values).await? == 0 {
                    return Err(StoreError::Exists { kind: "user", name: made.name.to_string() });
                }
                let detail = format!("{}: {}", made.name, made.role);
                tx.audit(Act::new(&by, "user.create", made.id).detail(detail).after(&made)?);
                Ok(Made::now(made))
            })
        })
        .await
    }

    /// The people of a tenant, by name.
    pub async fn users(&self, tenant: TenantId) -> Result<Vec<UserRecord>, StoreError> {
        self.read_tenant(tenant, |tx| {
            Box::pin(async move {
                let sql = format!("SELECT {USER} FROM users WHERE tenant_id = $1 ORDER BY name");
                tx.query(&sql, &[tx.tenant()]).await?.iter().map(read).collect()
            })
        })
        .await
    }

    /// So many of them: those who are meant, in the order that is meant.
    pub async fn list_users(
        &self,
        tenant: TenantId,
        filter: UserFilter,
        at_most: usize,
    ) -> Result<Vec<UserRecord>, StoreError> {
        self.read_tenant(tenant, move |tx| {
            Box::pin(async move {
                let UserFilter { role, standing, away_since, order, after } = filter;
                let mut wanted = Question::of(tx.tenant());
                wanted.with_any("role = #", role.as_ref().map(Role::as_str));
                match standing {
                    Some(Standing::Active) => wanted.also("disabled_at IS NULL AND invited_until IS NULL"),
                    Some(Standing::Invited) => {
                        wanted.also("disabled_at IS NULL AND invited_until IS NOT NULL")
                    }
                    Some(Standing::Disabled) => wanted.also("disabled_at IS NOT NULL"),
                    None => {}
                }
                wanted.with_any("(last_login IS NULL OR last_login < #)", away_since);
                let order = wanted.ordered(&COLUMNS, order, after);
                let Question { condition, values } = wanted;
                let sql = format!("SELECT {USER} FROM users WHERE {condition} {order} LIMIT {at_most}");
                tx.query(&sql, &values).await?.iter().map(read).collect()
            })
        })
        .await
    }

    /// One of them.
    pub async fn user(&self, tenant: TenantId, id: UserId) -> Result<UserRecord, StoreError> {
        self.read_tenant(tenant, move |tx| {
            Box::pin(async move {
                let sql = format!("SELECT {USER} FROM users WHERE tenant_id = $1 AND user_id = $2");
                read(&tx.one(&sql, &[tx.tenant(), id.as_uuid().into()], ("user", id)).await?)
            })
        })
        .await
    }

    /// Says what somebody may do, or that they may not log in any more: their sessions end. What is not given stays.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when they are not any more what somebody has seen, if they say what.
    pub async fn change_user(
        &self,
        tenant: TenantId,
        id: UserId,
        seen: Option<UserRecord>,
        role: Option<Role>,
        disabled: Option<bool>,
        by: impl Into<By>,
    ) -> Result<UserRecord, StoreError> {
        let by = by.into();
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let before = tx.held_user(id).await?;
                require_seen(&before, seen)?;
                let role = role.unwrap_or_else(|| before.role.clone());
                if role != before.role {
                    require_own(&before, "their role")?;
                    tx.given_role(&role).await?;
                }
                let disabled_at = match disabled {
                    None => before.disabled_at,
                    Some(true) => before.disabled_at.or(Some(tx.now)),
                    Some(false) => None,
                };
                let after = UserRecord { role, disabled_at, ..before.clone() };
                if after.role != Role::Owner || after.disabled_at.is_some() {
                    tx.require_another_owner(&before).await?;
                }
                let sql =
                    "UPDATE users SET role = $3, disabled_at = $4 WHERE tenant_id = $1 AND user_id = $2";
                let values =
                    [tx.tenant(), id.as_uuid().into(), after.role.as_str().into(), after.disabled_at.into()];
                tx.execute(sql, &values).await?;
                if after != before {
                    // What they were let in as, they are not any more.
                    tx.end_sessions_of(id).await?;
                    let act = Act::new(&by, "user.change", id).detail(after.name.as_str());
                    tx.audit(act.before(&before)?.after(&after)?);
                }
                Ok(after)
            })
        })
        .await
    }

    /// Invites somebody again, who has lost their password or let an invitation pass. What they have logged in with until now, and what
    /// they showed beside it, is good for nothing any more; their sessions end.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when they are not any more what somebody has seen, if they say what.
    pub async fn invite_again(
        &self,
        tenant: TenantId,
        id: UserId,
        seen: Option<UserRecord>,
        invitation: &Token,
        by: impl Into<By>,
    ) -> Result<UserRecord, StoreError> {
        let invited = self.invite_again_once(tenant, id, seen, invitation, by, None).await?;
        Ok(invited.record)
    }

    /// The same; under a key the same request of the same asker is one invitation within a day, which only the first was shown.
    ///
    /// # Errors
    /// As without a key.
    pub async fn invite_again_once(
        &self,
        tenant: TenantId,
        id: UserId,
        seen: Option<UserRecord>,
        invitation: &Token,
        by: impl Into<By>,
        key: Option<String>,
    ) -> Result<Made<UserRecord>, StoreError> {
        let (by, digest) = (by.into(), invitation.digest());
        let once = Once::of(key, &by, "user.invite", &id)?;
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                if let Some((once, before)) = tx.made_before(once.as_ref(), &id).await? {
                    return once.as_it_is(tx.held_user(before).await);
                }
                let before = tx.held_user(id).await?;
                require_seen(&before, seen)?;
                require_own(&before, "how they log in")?;
                tx.require_another_owner(&before).await?;
                let until = tx.now.saturating_add(INVITED_FOR).unwrap_or(Timestamp::MAX);
                let sql = "UPDATE users SET password = NULL, second_factor = NULL, invitation = $3, invited_until = $4 \
                           WHERE tenant_id = $1 AND user_id = $2";
                let values =
                    [tx.tenant(), id.as_uuid().into(), Value::Bytes(digest.to_vec()), until.into()];
                tx.execute(sql, &values).await?;
                tx.end_sessions_of(id).await?;
                let after = UserRecord { invited_until: Some(until), second_factor: false, ..before.clone() };
                let act = Act::new(&by, "user.invite", id).detail(after.name.as_str());
                tx.audit(act.before(&before)?.after(&after)?);
                Ok(Made::now(after))
            })
        })
        .await
    }

    /// Forgets somebody: they cannot log in, and their sessions end. The audit still tells what they did.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when they are not any more what somebody has seen, if they say what.
    pub async fn delete_user(
        &self,
        tenant: TenantId,
        id: UserId,
        seen: Option<UserRecord>,
        by: impl Into<By>,
    ) -> Result<(), StoreError> {
        let by = by.into();
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let before = tx.held_user(id).await?;
                require_seen(&before, seen)?;
                if let (Some(issuer), Some(_)) = (&before.issuer, before.disabled_at) {
                    let name = &before.name;
                    let why = format!(
                        "here `{name}` is kept out, and forgotten they would be let in again: that they may come is said at {issuer}"
                    );
                    return Err(StoreError::SaidElsewhere(why));
                }
                tx.require_another_owner(&before).await?;
                tx.end_sessions_of(id).await?;
                let sql = "DELETE FROM users WHERE tenant_id = $1 AND user_id = $2";
                tx.execute(sql, &[tx.tenant(), id.as_uuid().into()]).await?;
                tx.audit(Act::new(&by, "user.delete", id).detail(before.name.as_str()).before(&before)?);
                Ok(())
            })
        })
        .await
    }

    /// Somebody with a password of their own: all their sessions end, as somebody else may have one.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when what must still be so is not any more.
    pub async fn set_password(
        &self,
        tenant: TenantId,
        id: UserId,
        expected: Expected,
        hash: String,
        by: impl Into<By>,
    ) -> Result<(), StoreError> {
        let by = by.into();
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let user = tx.held_user(id).await?;
                require_own(&user, "how they log in")?;
                let mut values = vec![tx.tenant(), id.as_uuid().into(), hash.into()];
                // Whoever has lost the password may have lost what showed the second factor.
                let mut goes_on = None;
                let condition = match expected {
                    Expected::Anything => "",
                    Expected::Password { seen, sealed_anew } => {
                        goes_on = sealed_anew.as_ref().map(json).transpose()?;
                        let Credentials { password, second_factor } = seen;
                        let factor = second_factor.as_ref().map(json).transpose()?;
                        values.extend([password.into(), factor.unwrap_or(Value::Null(Kind::Text))]);
                        " AND password = $5 AND second_factor IS NOT DISTINCT FROM $6 AND disabled_at IS NULL"
                    }
                    Expected::Invitation(token) => {
                        values.extend([Value::Bytes(token.digest().to_vec()), tx.now.into()]);
                        " AND invitation = $5 AND invited_until > $6 AND disabled_at IS NULL"
                    }
                };
                values.insert(3, goes_on.unwrap_or(Value::Null(Kind::Text)));
                let sql = format!(
                    "UPDATE users SET password = $3, second_factor = $4, invitation = NULL, invited_until = NULL \
                     WHERE tenant_id = $1 AND user_id = $2{condition}"
                );
                if tx.execute(&sql, &values).await? == 0 {
                    return Err(StoreError::Changed { kind: "user", name: user.name.to_string() });
                }
                tx.end_sessions_of(id).await?;
                tx.audit(Act::new(&by, "user.password", id).detail(user.name.as_str()));
                Ok(())
            })
        })
        .await
    }

    /// Whose name that is in a tenant of that name, with what is needed to let them in.
    pub async fn account(&self, tenant: String, name: UserName) -> Result<Option<Account>, StoreError> {
        self.read_queue(move |tx| {
            Box::pin(async move {
                let condition = "tenant_id = (SELECT tenant_id FROM tenants WHERE name = $1) AND name = $2";
                account(tx.session, condition, &[tenant.into(), name.as_str().into()]).await
            })
        })
        .await
    }

    /// One of a tenant's people, with what is needed to let them in again.
    pub async fn account_of(&self, tenant: TenantId, id: UserId) -> Result<Option<Account>, StoreError> {
        self.read_tenant(tenant, move |tx| {
            Box::pin(async move {
                let values = [tx.tenant(), id.as_uuid().into()];
                account(tx.session, "tenant_id = $1 AND user_id = $2", &values).await
            })
        })
        .await
    }

    /// Who was invited with this, if they may still take it up.
    pub async fn invited(&self, token: &Token) -> Result<Option<Account>, StoreError> {
        let digest = token.digest();
        self.read_queue(move |tx| {
            Box::pin(async move {
                let found = account(tx.session, "invitation = $1", &[Value::Bytes(digest.to_vec())]).await?;
                let now = tx.now;
                let is_open = |account: &Account| {
                    account.user.disabled_at.is_none()
                        && account.user.invited_until.is_some_and(|until| until > now)
                };
                Ok(found.filter(is_open))
            })
        })
        .await
    }
}

/// What may be changed is as somebody has seen it: that somebody has logged in meanwhile changes nothing.
fn require_seen(user: &UserRecord, seen: Option<UserRecord>) -> Result<(), StoreError> {
    StoreError::changed_unless(seen.is_none_or(|seen| seen.settings() == user.settings()), "user", &user.name)
}

/// What a provider of identities says of somebody, nobody says here.
fn require_own(user: &UserRecord, what: &str) -> Result<(), StoreError> {
    match &user.issuer {
        None => Ok(()),
        Some(issuer) => {
            Err(StoreError::SaidElsewhere(format!("{what} of `{}` is said at {issuer}", user.name)))
        }
    }
}

impl TenantTx<'_> {
    /// Somebody has logged in from there: with the password of which this is kept, or because somebody vouches for them.
    pub(crate) async fn logged_in(
        &mut self,
        id: UserId,
        kept: Option<&str>,
        shown: Option<Shown>,
        from: Option<IpNet>,
    ) -> Result<(), StoreError> {
        let lock = self.dialect().for_update();
        let (fits, mut values) = ("password = $3", vec![self.tenant(), id.as_uuid().into()]);
        values.extend(kept.map(Value::from));
        let fits = if kept.is_some() { fits } else { "issuer IS NOT NULL" };
        let sql = format!(
            "SELECT networks, second_factor FROM users WHERE tenant_id = $1 AND user_id = $2 AND {fits} \
             AND disabled_at IS NULL{lock}"
        );
        // It was looked at before: by now it may be another one.
        let rows = self.query(&sql, &values).await?;
        let row = rows.first().ok_or(StoreError::Changed { kind: "user", name: id.to_string() })?;
        let mut networks: Vec<IpNet> = row.json(0)?;
        networks.retain(|known| Some(*known) != from);
        networks.splice(0..0, from);
        networks.truncate(NETWORKS);
        let changed = || StoreError::Changed { kind: "user", name: id.to_string() };
        let factor = row.maybe_json::<SecondFactor>(1)?;
        // What is shown once is shown to nobody again, also not to those who come at the same time.
        let factor = match (factor, shown) {
            (None, None) => None,
            (Some(factor), Some(shown)) => Some(factor.after(&shown).ok_or_else(changed)?),
            (None, Some(_)) | (Some(_), None) => return Err(changed()),
        };
        let factor = factor.as_ref().map(json).transpose()?.unwrap_or(Value::Null(Kind::Text));
        let sql = "UPDATE users SET last_login = $3, networks = $4, second_factor = $5 \
                   WHERE tenant_id = $1 AND user_id = $2";
        let values = [self.tenant(), id.as_uuid().into(), self.now.into(), json(&networks)?, factor];
        self.execute(sql, &values).await.map(drop)
    }
}
