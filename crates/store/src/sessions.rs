//! Sessions of people who have logged in: what is kept of a token is its digest. They go on while they are used, and for so long.

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;
use jiff::Timestamp;
use model::{By, SessionId, TenantId, Token, UserId};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    Store, StoreError, UserRecord,
    audit::Act,
    identities::Vouched,
    roles::{self, Known},
    second_factor::Shown,
    session::{QueueTx, TenantTx},
    users,
    value::{Row, Value},
};

/// For how long a session goes on that nobody uses.
pub const IDLE: Duration = Duration::from_secs(2 * 60 * 60);
/// For how long it goes on at most.
pub const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// It is written down that it was used when that was so long ago: not every request writes.
const USED_EVERY: Duration = Duration::from_secs(60);
/// Sessions of one user: the one that was used longest ago makes room.
const OF_ONE: usize = 20;

/// Somebody who has logged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SessionRecord {
    /// Which.
    pub id: SessionId,
    /// Who.
    pub user: UserRecord,
    /// Since when.
    pub created_at: Timestamp,
    /// When it was used last, to the minute.
    pub last_used: Timestamp,
    /// Until when it goes on at most.
    pub ends_at: Timestamp,
    /// From where they logged in.
    #[schema(value_type = Option<String>)]
    pub origin: Option<IpAddr>,
}

const SESSION: &str = "users.user_id, users.name, users.tenant_id, users.role, users.invited_until, users.disabled_at, \
     users.created_at, users.created_by, users.last_login, users.issuer, users.second_factor IS NOT NULL, sessions.session_id, sessions.created_at, sessions.last_used, \
     sessions.ends_at, sessions.origin";

fn read(row: &Row) -> Result<SessionRecord, StoreError> {
    Ok(SessionRecord {
        id: SessionId::new(row.id(11)?),
        user: users::read(row)?,
        created_at: row.time(12)?,
        last_used: row.time(13)?,
        ends_at: row.time(14)?,
        origin: row.maybe_text(15)?.map(|_| row.word(15)).transpose()?,
    })
}

/// Of IPv6 a machine has 64 bits, and changes its address within them; of IPv4 whoever is given another address is mostly given one of
/// the same 256.
fn network(origin: IpAddr) -> IpNet {
    let length = if origin.is_ipv4() { 24 } else { 64 };
    IpNet::new(origin, length).map_or_else(|_| origin.into(), |network| network.trunc())
}

impl QueueTx<'_> {
    pub(crate) async fn sessions_that_go_on(&mut self) -> Result<u64, StoreError> {
        let idle = self.now.saturating_sub(IDLE).unwrap_or(Timestamp::MIN);
        let sql = "SELECT count(*) FROM sessions WHERE ends_at > $1 AND last_used > $2";
        let rows = self.session.query(sql, &[self.now.into(), idle.into()]).await?;
        rows.first().map_or(Ok(0), |row| row.count(0))
    }

    /// Those that nobody can use any more. How many that were.
    pub(crate) async fn forget_sessions(&mut self) -> Result<u64, StoreError> {
        let idle = self.now.saturating_sub(IDLE).unwrap_or(Timestamp::MIN);
        let sql = "DELETE FROM sessions WHERE ends_at < $1 OR last_used < $2";
        self.session.execute(sql, &[self.now.into(), idle.into()]).await
    }
}

impl TenantTx<'_> {
    /// For whoever has what hashes to this.
    async fn open_session(
        &mut self,
        user: UserRecord,
        digest: [u8; 32],
        origin: Option<IpAddr>,
        by: &By,
    ) -> Result<SessionRecord, StoreError> {
        let id = SessionId::new(Uuid::now_v7());
        let ends_at = self.now.saturating_add(LONGEST).unwrap_or(Timestamp::MAX);
        let values = [
            self.tenant(),
            id.as_uuid().into(),
            user.id.as_uuid().into(),
            Value::Bytes(digest.to_vec()),
            self.now.into(),
            ends_at.into(),
            origin.map(|origin| origin.to_string()).into(),
        ];
        let sql = "INSERT INTO sessions (tenant_id, session_id, user_id, digest, created_at, last_used, ends_at, origin) \
                   VALUES ($1, $2, $3, $4, $5, $5, $6, $7)";
        self.execute(sql, &values).await?;
        let sql = format!(
            "DELETE FROM sessions WHERE tenant_id = $1 AND user_id = $2 AND session_id NOT IN (SELECT session_id \
             FROM sessions WHERE tenant_id = $1 AND user_id = $2 ORDER BY last_used DESC, session_id DESC LIMIT {OF_ONE})"
        );
        self.execute(&sql, &[self.tenant(), user.id.as_uuid().into()]).await?;
        self.audit(Act::new(by, "session.begin", id).detail(user.name.as_str()));
        let user = UserRecord { last_login: Some(self.now), ..user };
        Ok(SessionRecord { id, user, created_at: self.now, last_used: self.now, ends_at, origin })
    }
}

impl Store {
    /// Somebody has logged in, with the password of which this is kept, and has shown a second factor if they have one.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when it is not their password any more, what was shown was shown before, or they may not log in.
    pub async fn begin_session(
        &self,
        user: &UserRecord,
        kept: &str,
        shown: Option<Shown>,
        token: &Token,
        origin: Option<IpAddr>,
        by: impl Into<By>,
    ) -> Result<SessionRecord, StoreError> {
        let (by, digest, user, kept) = (by.into(), token.digest(), user.clone(), kept.to_owned());
        self.of_tenant(user.tenant, move |tx| {
            Box::pin(async move {
                tx.logged_in(user.id, Some(&kept), shown, origin.map(network)).await?;
                tx.open_session(user, digest, origin, &by).await
            })
        })
        .await
    }

    /// A provider of identities has vouched for somebody: who comes for the first time is known from now on, and what they may do is
    /// what it says now.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when they may not log in here any more; [`StoreError::Exists`] when somebody for whom it does not vouch
    /// has their name; [`StoreError::LastOwner`] when nobody could change the tenant any more; [`StoreError::Missing`] when the tenant has
    /// none of the roles.
    pub async fn begin_vouched_session(
        &self,
        tenant: TenantId,
        vouched: Vouched,
        token: &Token,
        origin: Option<IpAddr>,
        by: impl Into<By>,
    ) -> Result<SessionRecord, StoreError> {
        let (by, digest) = (by.into(), token.digest());
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let user = tx.vouched_user(vouched, &by).await?;
                tx.logged_in(user.id, None, None, origin.map(network)).await?;
                tx.open_session(user, digest, origin, &by).await
            })
        })
        .await
    }

    /// Whose session this is and what they may do, when it goes on by the store's clock.
    pub async fn known_session(&self, token: &Token) -> Result<Option<Known<SessionRecord>>, StoreError> {
        let digest = token.digest();
        self.read_queue(move |tx| {
            Box::pin(async move {
                let idle = tx.now.saturating_sub(IDLE).unwrap_or(Timestamp::MIN);
                let sql = format!(
                    "SELECT {SESSION}, roles.permissions FROM sessions JOIN users ON users.tenant_id = sessions.tenant_id \
                     AND users.user_id = sessions.user_id LEFT JOIN roles ON roles.tenant_id = users.tenant_id \
                     AND roles.name = users.role WHERE sessions.digest = $1 AND sessions.ends_at > $2 \
                     AND sessions.last_used > $3 AND users.disabled_at IS NULL"
                );
                let values = [Value::Bytes(digest.to_vec()), tx.now.into(), idle.into()];
                let rows = tx.session.query(&sql, &values).await?;
                let Some(row) = rows.first() else { return Ok(None) };
                let record = read(row)?;
                let access = roles::access(record.user.role.clone(), row.maybe_text(16)?)?;
                Ok(Some(Known { record, access }))
            })
        })
        .await
    }

    /// Somebody used it: it goes on.
    pub async fn used_session(&self, tenant: TenantId, id: SessionId) -> Result<(), StoreError> {
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let before = tx.now.saturating_sub(USED_EVERY).unwrap_or(Timestamp::MIN);
                let sql = "UPDATE sessions SET last_used = $3 WHERE tenant_id = $1 AND session_id = $2 AND last_used < $4";
                let values = [tx.tenant(), id.as_uuid().into(), tx.now.into(), before.into()];
                tx.execute(sql, &values).await.map(drop)
            })
        })
        .await
    }

    /// The sessions of somebody that go on, the latest first.
    pub async fn sessions(&self, tenant: TenantId, user: UserId) -> Result<Vec<SessionRecord>, StoreError> {
        self.read_tenant(tenant, move |tx| {
            Box::pin(async move {
                let idle = tx.now.saturating_sub(IDLE).unwrap_or(Timestamp::MIN);
                let sql = format!(
                    "SELECT {SESSION} FROM sessions JOIN users ON users.tenant_id = sessions.tenant_id \
                     AND users.user_id = sessions.user_id WHERE sessions.tenant_id = $1 AND sessions.user_id = $2 \
                     AND sessions.ends_at > $3 AND sessions.last_used > $4 ORDER BY sessions.session_id DESC"
                );
                let values = [tx.tenant(), user.as_uuid().into(), tx.now.into(), idle.into()];
                tx.query(&sql, &values).await?.iter().map(read).collect()
            })
        })
        .await
    }

    /// Ends a session: from then on its token is nobody's.
    pub async fn end_session(
        &self,
        tenant: TenantId,
        id: SessionId,
        by: impl Into<By>,
    ) -> Result<(), StoreError> {
        let by = by.into();
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let sql = "DELETE FROM sessions WHERE tenant_id = $1 AND session_id = $2";
                if tx.execute(sql, &[tx.tenant(), id.as_uuid().into()]).await? == 0 {
                    return Err(StoreError::Missing { kind: "session", name: id.to_string() });
                }
                tx.audit(Act::new(&by, "session.end", id));
                Ok(())
            })
        })
        .await
    }
}
