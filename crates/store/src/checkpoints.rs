//! Signed checkpoints of the audit: made, walked, and what they allow to be purged.
//!
//! What is signed was walked before, from the last checkpoint on: nobody's forgery gets a signature. And what is purged was walked, too.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use model::{
    AuditEntry, By, TenantId,
    audit::{AuditKey, AuditPublicKey, Broken, ChainEnd, Checkpoint, Checkpoints, PURGE, Verified, Walk},
};
use serde_json::json;

use crate::{
    Access, InSession, Store, StoreError, Whose,
    audit::{Act, Acts, PAGE, chain_of, in_chain, read_chain, read_end},
    session::Session,
    value::Row,
};

/// How often a chain is looked at, at most, because some of it was purged meanwhile.
const LOOKS: usize = 3;
/// Entries that one transaction deletes: others wait for it.
const AT_ONCE: u64 = 5_000;
/// How much older than they need be entries become before they are purged: each time is an entry, too.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// Who purges.
const BY: &str = "orchestrator";

const CHECKPOINT: &str = "tenant_id, number, purged, position, seal, at, before, key, signature";

fn read(row: &Row) -> Result<Checkpoint, StoreError> {
    let chain = row.id(0)?;
    Ok(Checkpoint {
        tenant: (!chain.is_nil()).then(|| TenantId::new(chain)),
        number: row.count(1)?,
        purged: row.count(2)?,
        position: row.count(3)?,
        seal: row.word(4)?,
        at: row.time(5)?,
        before: row.word(6)?,
        key: row.word(7)?,
        signature: row.word(8)?,
    })
}

/// How many checkpoints there are to be.
async fn read_count(session: &mut dyn Session, tenant: Option<TenantId>) -> Result<u64, StoreError> {
    let sql = "SELECT checkpoints FROM audit_ends WHERE tenant_id = $1";
    let rows = session.query(sql, &[chain_of(tenant).into()]).await?;
    rows.first().map_or(Ok(0), |row| row.count(0))
}

async fn read_last(
    session: &mut dyn Session,
    tenant: Option<TenantId>,
) -> Result<Option<Checkpoint>, StoreError> {
    let sql = format!(
        "SELECT {CHECKPOINT} FROM audit_checkpoints WHERE tenant_id = $1 ORDER BY number DESC LIMIT 1"
    );
    session.query(&sql, &[chain_of(tenant).into()]).await?.first().map(read).transpose()
}

async fn write(session: &mut dyn Session, checkpoint: &Checkpoint) -> Result<(), StoreError> {
    let chain = chain_of(checkpoint.tenant);
    let row = vec![
        chain.into(),
        checkpoint.number.into(),
        checkpoint.purged.into(),
        checkpoint.position.into(),
        checkpoint.seal.to_string().into(),
        checkpoint.at.into(),
        checkpoint.before.to_string().into(),
        checkpoint.key.to_string().into(),
        checkpoint.signature.to_string().into(),
    ];
    session.insert(&format!("INSERT INTO audit_checkpoints ({CHECKPOINT})"), &[row], "").await?;
    let values = [chain.into(), checkpoint.number.into(), checkpoint.position.into()];
    let sql = "UPDATE audit_ends SET checkpoints = $2, signed = $3 WHERE tenant_id = $1";
    session.execute(sql, &values).await.map(drop)
}

/// Holds the end of a chain, if nobody has made a checkpoint since this one.
async fn hold(
    session: &mut dyn Session,
    tenant: Option<TenantId>,
    last: Option<&Checkpoint>,
) -> Result<bool, StoreError> {
    let lock = session.dialect().for_update();
    read_end(session, tenant, lock).await?;
    Ok(read_last(session, tenant).await?.as_ref() == last)
}

/// What there is of a chain's checkpoints.
struct Standing {
    last: Option<Checkpoint>,
    /// How many there are to be.
    count: u64,
    end: ChainEnd,
}

impl Standing {
    /// Can something be added to it?
    fn require(&self, key: &AuditKey) -> Result<(), Broken> {
        let found = self.last.as_ref().map_or(0, |last| last.number);
        if found != self.count {
            return Err(Broken::CheckpointEnd { wanted: self.count, found });
        }
        let Some(last) = &self.last else { return Ok(()) };
        let public = key.public();
        // One by an earlier key is taken as it is: whoever verifies is told of it, and knows that key or does not.
        if last.key == public.id() && !last.is_signed_by(&public) {
            return Err(Broken::Forged { number: last.number });
        }
        if last.position > self.end.position {
            let Checkpoint { position, number, .. } = *last;
            return Err(Broken::Cut { position, number, found: self.end.position });
        }
        Ok(())
    }

    fn place(&self) -> ChainEnd {
        self.last.as_ref().map_or(ChainEnd::START, Checkpoint::end)
    }

    fn purged(&self) -> u64 {
        self.last.as_ref().map_or(0, |last| last.purged)
    }
}

/// What may be purged of a chain.
struct Purge {
    standing: Standing,
    from: ChainEnd,
    /// The checkpoint of the last entry that goes.
    to: Checkpoint,
    /// All that goes is older.
    before: Timestamp,
}

impl Store {
    async fn of_chain<T: Send + 'static>(
        &self,
        tenant: Option<TenantId>,
        access: Access,
        job: impl InSession<T>,
    ) -> Result<T, StoreError> {
        self.run(tenant.map_or(Whose::Queue, Whose::Tenant), access, job).await
    }

    /// Each chain, and whether it has gone on since its last checkpoint.
    pub async fn audit_chains(&self) -> Result<Vec<(Option<TenantId>, bool)>, StoreError> {
        self.read_queue(|tx| {
            Box::pin(async move {
                let sql = "SELECT tenant_id, position > signed FROM audit_ends ORDER BY tenant_id";
                let read = |row: &Row| {
                    let chain = row.id(0)?;
                    Ok(((!chain.is_nil()).then(|| TenantId::new(chain)), row.bool(1)?))
                };
                tx.session.query(sql, &[]).await?.iter().map(read).collect()
            })
        })
        .await
    }

    /// Checkpoints of a chain, the last one first; only those with a smaller number than `before`.
    pub async fn audit_checkpoints(
        &self,
        tenant: Option<TenantId>,
        before: Option<u64>,
        at_most: usize,
    ) -> Result<Vec<Checkpoint>, StoreError> {
        self.of_chain(tenant, Access::Read, move |session, _| {
            Box::pin(async move {
                let sql = format!(
                    "SELECT {CHECKPOINT} FROM audit_checkpoints WHERE tenant_id = $1 AND number < $2 ORDER BY number DESC \
                     LIMIT {at_most}"
                );
                let values = [chain_of(tenant).into(), before.unwrap_or(u64::MAX).into()];
                session.query(&sql, &values).await?.iter().map(read).collect()
            })
        })
        .await
    }

    /// Walks the checkpoints of a chain, which are to be signed with one of these keys.
    pub async fn walk_checkpoints(
        &self,
        tenant: Option<TenantId>,
        keys: &[AuditPublicKey],
    ) -> Result<Result<Checkpoints, Broken>, StoreError> {
        let (mut walked, mut end) = (Checkpoints::new(tenant, keys), None);
        loop {
            let after = walked.count();
            let page = self.of_chain(tenant, Access::Read, move |session, _| {
                Box::pin(async move {
                    let sql = format!(
                        "SELECT {CHECKPOINT} FROM audit_checkpoints WHERE tenant_id = $1 AND number > $2 ORDER BY number \
                         LIMIT {PAGE}"
                    );
                    let rows = session.query(&sql, &[chain_of(tenant).into(), after.into()]).await?;
                    // After them: others make more meanwhile.
                    let count = read_count(session, tenant).await?;
                    Ok((rows.iter().map(read).collect::<Result<Vec<_>, StoreError>>()?, count))
                })
            });
            let (page, count) = page.await?;
            if page.is_empty() && (count == after || end == Some(count)) {
                return Ok(walked.require(count).map(|()| walked));
            }
            end = Some(count).filter(|_| page.is_empty());
            for checkpoint in page {
                if let Err(broken) = walked.follow(checkpoint) {
                    return Ok(Err(broken));
                }
            }
        }
    }

    /// Follows a chain from a place on, to a position or its end, and shows each entry with its place to somebody.
    async fn walk_chain(
        &self,
        tenant: Option<TenantId>,
        from: ChainEnd,
        to: Option<u64>,
        mut look: impl FnMut(&AuditEntry, ChainEnd) -> Result<(), Broken>,
    ) -> Result<Result<ChainEnd, Broken>, StoreError> {
        let (mut walked, mut end) = (from, None);
        loop {
            let page = match tenant {
                Some(tenant) => self.audit_chain(tenant, walked.position).await?,
                None => self.audit_chain_of_nobody(walked.position).await?,
            };
            // The end was looked at after the entries: those up to it that were written in between are there at the next look.
            if page.entries.is_empty() && (walked == page.end || end == Some(page.end)) {
                return Ok(walked.require(page.end).map(|()| walked));
            }
            end = Some(page.end).filter(|_| page.entries.is_empty());
            for entry in &page.entries {
                if let Err(broken) = walked.follow(entry).and_then(|()| look(entry, walked)) {
                    return Ok(Err(broken));
                }
                if to == Some(walked.position) {
                    return Ok(Ok(walked));
                }
            }
        }
    }

    /// Walks a whole chain and its checkpoints, which are to be signed with one of these keys. It must be the chain that somebody has
    /// seen: what is known of it, when it is whole.
    pub async fn verify_audit(
        &self,
        tenant: Option<TenantId>,
        keys: &[AuditPublicKey],
        seen: Option<ChainEnd>,
    ) -> Result<Result<Verified, Broken>, StoreError> {
        let mut looks = 1;
        loop {
            let purged = self.standing(tenant).await?.purged();
            let found = self.look_at_audit(tenant, keys, seen).await?;
            // What is purged in the middle of a walk is missing in it, and nothing is wrong with that.
            if found.is_ok() || looks == LOOKS || self.standing(tenant).await?.purged() == purged {
                return Ok(found);
            }
            looks += 1;
        }
    }

    async fn look_at_audit(
        &self,
        tenant: Option<TenantId>,
        keys: &[AuditPublicKey],
        seen: Option<ChainEnd>,
    ) -> Result<Result<Verified, Broken>, StoreError> {
        let checkpoints = match self.walk_checkpoints(tenant, keys).await? {
            Ok(checkpoints) => checkpoints,
            Err(broken) => return Ok(Err(broken)),
        };
        let mut walk = match Walk::begin(checkpoints, seen) {
            Ok(walk) => walk,
            Err(broken) => return Ok(Err(broken)),
        };
        let beginning = walk.beginning();
        let walked = self.walk_chain(tenant, beginning, None, |entry, place| walk.look(entry, place)).await?;
        Ok(walked.and_then(|end| walk.end(end)))
    }

    async fn standing(&self, tenant: Option<TenantId>) -> Result<Standing, StoreError> {
        self.of_chain(tenant, Access::Read, move |session, _| {
            Box::pin(async move {
                loop {
                    let count = read_count(session, tenant).await?;
                    let last = read_last(session, tenant).await?;
                    let end = read_end(session, tenant, "").await?;
                    // Each statement sees what was committed by then: it is of one moment when nobody has made another one meanwhile.
                    if read_count(session, tenant).await? == count {
                        return Ok(Standing { last, count, end });
                    }
                }
            })
        })
        .await
    }

    /// Signs where a chain stands, if it has gone on since its last checkpoint and is whole from there on. It must have the checkpoint
    /// that somebody has seen.
    pub async fn sign_audit(
        &self,
        tenant: Option<TenantId>,
        key: &Arc<AuditKey>,
        seen: Option<&Checkpoint>,
    ) -> Result<Result<Option<Checkpoint>, Broken>, StoreError> {
        if let Some(seen) = seen {
            let there = self.audit_checkpoints(tenant, Some(seen.number + 1), 1).await?;
            if there.first() != Some(seen) {
                return Ok(Err(Broken::CheckpointAltered { number: seen.number }));
            }
        }
        let standing = self.standing(tenant).await?;
        if let Err(broken) = standing.require(key) {
            return Ok(Err(broken));
        }
        let place = standing.place();
        let walked = match self.walk_chain(tenant, place, None, |_, _| Ok(())).await? {
            Ok(walked) if walked == place => return Ok(Ok(None)),
            Ok(walked) => walked,
            Err(broken) => return Ok(Err(broken)),
        };
        let key = Arc::clone(key);
        let signed = self.of_chain(tenant, Access::Write, move |session, now| {
            Box::pin(async move {
                // Another one was quicker: that is a checkpoint, too.
                if !hold(session, tenant, standing.last.as_ref()).await? {
                    return Ok(None);
                }
                let checkpoint =
                    Checkpoint::sign(&key, tenant, standing.last.as_ref(), standing.purged(), walked, now);
                write(session, &checkpoint).await?;
                Ok(Some(checkpoint))
            })
        });
        signed.await.map(Ok)
    }

    /// Purges a chain of entries that are older than this and a day, up to a checkpoint: they are walked, an entry and a checkpoint say
    /// that they are purged, and then they are deleted. The checkpoint, when there was something to purge.
    pub async fn purge_audit(
        &self,
        tenant: Option<TenantId>,
        kept_for: Duration,
        key: &Arc<AuditKey>,
    ) -> Result<Result<Option<Checkpoint>, Broken>, StoreError> {
        let said = match self.to_purge(tenant, kept_for).await? {
            Some(purge) => match self.walk_what_goes(tenant, &purge).await? {
                Ok(()) => self.say_purged(tenant, purge, kept_for, key).await?,
                Err(broken) => return Ok(Err(broken)),
            },
            None => Ok(None),
        };
        // Also what was left the last time.
        self.delete_purged(tenant, key).await?;
        Ok(said)
    }

    async fn to_purge(
        &self,
        tenant: Option<TenantId>,
        kept_for: Duration,
    ) -> Result<Option<Purge>, StoreError> {
        let standing = self.standing(tenant).await?;
        self.of_chain(tenant, Access::Read, move |session, now| {
            Box::pin(async move {
                let before = now.saturating_sub(kept_for).unwrap_or(Timestamp::MIN);
                let (chain, purged) = (chain_of(tenant), standing.purged());
                let whose = in_chain(session.dialect(), tenant);
                let sql =
                    format!("SELECT at FROM audit WHERE {whose} AND position > $1 ORDER BY position LIMIT 1");
                let rows = session.query(&sql, &[purged.into()]).await?;
                let Some(oldest) = rows.first().map(|row| row.time(0)).transpose()? else { return Ok(None) };
                if oldest >= before.saturating_sub(DAY).unwrap_or(Timestamp::MIN) {
                    return Ok(None);
                }
                let sql = format!(
                    "SELECT {CHECKPOINT} FROM audit_checkpoints WHERE tenant_id = $1 AND position > $2 AND at < $3 \
                     ORDER BY number DESC LIMIT 1"
                );
                let rows = session.query(&sql, &[chain.into(), purged.into(), before.into()]).await?;
                let Some(to) = rows.first().map(read).transpose()? else { return Ok(None) };
                let sql = "SELECT seal FROM audit_checkpoints WHERE tenant_id = $1 AND position = $2";
                let rows = session.query(sql, &[chain.into(), purged.into()]).await?;
                let from = match rows.first() {
                    Some(row) => ChainEnd { position: purged, seal: row.word(0)? },
                    None => ChainEnd::START,
                };
                Ok(Some(Purge { standing, from, to, before }))
            })
        })
        .await
    }

    /// What is not whole is kept: it is what somebody will want to look at.
    async fn walk_what_goes(
        &self,
        tenant: Option<TenantId>,
        purge: &Purge,
    ) -> Result<Result<(), Broken>, StoreError> {
        let (position, number) = (purge.to.position, purge.to.number);
        let walked = self.walk_chain(tenant, purge.from, Some(position), |entry, _| {
            // Nobody makes an entry older than it is by what a checkpoint says.
            if entry.at < purge.before { Ok(()) } else { Err(Broken::CheckpointAltered { number }) }
        });
        Ok(walked.await?.and_then(|place| {
            if place == purge.to.end() { Ok(()) } else { Err(Broken::Rewritten { position, number }) }
        }))
    }

    async fn say_purged(
        &self,
        tenant: Option<TenantId>,
        purge: Purge,
        kept_for: Duration,
        key: &Arc<AuditKey>,
    ) -> Result<Result<Option<Checkpoint>, Broken>, StoreError> {
        let Purge { standing, from, to, .. } = purge;
        if let Err(broken) = standing.require(key) {
            return Ok(Err(broken));
        }
        let key = Arc::clone(key);
        self.of_chain(tenant, Access::Write, move |session, now| {
            Box::pin(async move {
                if !hold(session, tenant, standing.last.as_ref()).await? {
                    return Ok(Ok(None));
                }
                let page = read_chain(session, tenant, standing.place().position).await?;
                if page.entries.len() == PAGE {
                    // They are signed first.
                    return Ok(Ok(None));
                }
                let mut place = standing.place();
                let whole = page.entries.iter().try_for_each(|entry| place.follow(entry));
                if let Err(broken) = whole.and_then(|()| place.require(page.end)) {
                    return Ok(Err(broken));
                }
                let mut acts = Acts::default();
                acts.add(tenant, told(from, &to, kept_for)?);
                acts.write(session, now).await?;
                let end = read_end(session, tenant, "").await?;
                let checkpoint =
                    Checkpoint::sign(&key, tenant, standing.last.as_ref(), to.position, end, now);
                write(session, &checkpoint).await?;
                Ok(Ok(Some(checkpoint)))
            })
        })
        .await
    }

    /// Only what this key has signed to be purged.
    async fn delete_purged(&self, tenant: Option<TenantId>, key: &AuditKey) -> Result<(), StoreError> {
        let Some(last) = self.standing(tenant).await?.last else { return Ok(()) };
        if last.purged == 0 || !last.is_signed_by(&key.public()) {
            return Ok(());
        }
        let deleting = move || {
            self.of_chain(tenant, Access::Write, move |session, _| {
                Box::pin(async move {
                    let whose = in_chain(session.dialect(), tenant);
                    let sql = format!(
                        "DELETE FROM audit WHERE {whose} AND position IN (SELECT position FROM audit WHERE {whose} \
                         AND position <= $1 ORDER BY position LIMIT {AT_ONCE})"
                    );
                    session.execute(&sql, &[last.purged.into()]).await
                })
            })
        };
        while deleting().await? == AT_ONCE {}
        Ok(())
    }
}

/// What is written of a purge.
fn told(from: ChainEnd, to: &Checkpoint, kept_for: Duration) -> Result<Act, StoreError> {
    let (first, last) = (from.position + 1, to.position);
    let days = kept_for.as_secs() / DAY.as_secs().unsigned_abs();
    let gone = json!({
        "first": first, "last": last, "entries": last - from.position, "seal": to.seal, "checkpoint": to.number,
    });
    let act = Act::new(&By::from(BY), PURGE, format!("entries {first} to {last}"));
    let plural = if days == 1 { "" } else { "s" };
    act.detail(format!("kept for {days} day{plural}")).before(&gone)
}
