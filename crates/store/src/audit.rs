//! Who did what, and when: written in the transaction that does it, never changed, and chained.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::{AuditEntry, By, TenantId, audit::ChainEnd, list::TimeOrder};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    Store, StoreError,
    list::{Question, direction},
    session::{Dialect, QueueTx, Session, TenantTx},
    value::{Kind, Row, Value, without_nul},
};

/// Entries that are looked at at once when a chain is walked.
pub(crate) const PAGE: usize = 1_000;

/// Which entries somebody means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only this action, or every one that begins with it and a dot.
    pub action: Option<String>,
    /// Only of those whose name contains this.
    pub by: Option<String>,
    /// Only from then on.
    pub since: Option<Timestamp>,
    /// And only before then.
    pub until: Option<Timestamp>,
    /// Only of what was done in this request.
    pub request: Option<String>,
    /// Only what was refused, or only what was not.
    pub refused: Option<bool>,
    /// Only older than this one.
    pub before: Option<u64>,
    /// Only newer than this one.
    pub after: Option<u64>,
    /// In which order.
    pub order: TimeOrder,
}

impl AuditFilter {
    /// Every entry that is wanted of those that a condition allows.
    fn statement(&self, whose: &str, values: Vec<Value>, at_most: usize) -> (String, Vec<Value>) {
        let mut wanted = Question::new(whose, values);
        if let Some(action) = &self.action {
            wanted.under("action", action);
        }
        if let Some(by) = &self.by {
            wanted.containing("actor", by);
        }
        wanted.with_any("at >= #", self.since);
        wanted.with_any("at < #", self.until);
        wanted.with_any("request = #", self.request.as_deref());
        wanted.with_any("refused = #", self.refused);
        wanted.with_any("sequence < #", self.before);
        wanted.with_any("sequence > #", self.after);
        let Question { condition, values } = wanted;
        let order = direction(self.order);
        let sql =
            format!("SELECT {ENTRY} FROM audit WHERE {condition} ORDER BY sequence {order} LIMIT {at_most}");
        (sql, values)
    }
}

const ENTRY: &str = "sequence, position, at, tenant_id, actor, origin, request, action, refused, subject, detail, before, after, \
     seal";

fn read(row: &Row) -> Result<AuditEntry, StoreError> {
    Ok(AuditEntry {
        id: row.count(0)?,
        position: row.count(1)?,
        at: row.time(2)?,
        tenant: row.maybe_id(3)?.map(TenantId::new),
        by: row.text(4)?.to_owned(),
        origin: row.maybe_text(5)?.map(|_| row.word(5)).transpose()?,
        request: row.maybe_text(6)?.map(str::to_owned),
        action: row.text(7)?.to_owned(),
        refused: row.bool(8)?,
        subject: row.text(9)?.to_owned(),
        detail: row.text(10)?.to_owned(),
        before: row.maybe_json(11)?,
        after: row.maybe_json(12)?,
        seal: row.word(13)?,
    })
}

/// Something that is done in a transaction.
#[derive(Debug)]
pub(crate) struct Act {
    by: By,
    action: &'static str,
    subject: String,
    detail: String,
    refused: bool,
    before: Option<serde_json::Value>,
    after: Option<serde_json::Value>,
}

impl Act {
    pub(crate) fn new(by: &By, action: &'static str, subject: impl ToString) -> Act {
        let (by, subject) = (by.clone(), subject.to_string());
        Act { by, action, subject, detail: String::new(), refused: false, before: None, after: None }
    }

    /// What else there is to say.
    pub(crate) fn detail(self, detail: impl Into<String>) -> Act {
        Act { detail: detail.into(), ..self }
    }

    /// What it was.
    pub(crate) fn before(self, before: &impl Serialize) -> Result<Act, StoreError> {
        Ok(Act { before: document(before)?, ..self })
    }

    /// What it is.
    pub(crate) fn after(self, after: &impl Serialize) -> Result<Act, StoreError> {
        Ok(Act { after: document(after)?, ..self })
    }

    fn entry(self, tenant: Option<TenantId>, at: Timestamp) -> AuditEntry {
        AuditEntry {
            id: 0,
            position: 0,
            at,
            tenant,
            by: without_nul(self.by.name),
            origin: self.by.origin,
            request: self.by.request.map(without_nul),
            action: self.action.to_owned(),
            refused: self.refused,
            subject: without_nul(self.subject),
            detail: without_nul(self.detail),
            before: self.before,
            after: self.after,
            seal: ChainEnd::START.seal,
        }
    }
}

/// As it is read again: nothing is as if it were not there.
fn document(of: &impl Serialize) -> Result<Option<serde_json::Value>, StoreError> {
    let written = serde_json::to_value(of);
    let written =
        written.map_err(|error| StoreError::Damaged(format!("a document cannot be written: {error}")))?;
    Ok(Some(written).filter(|document| !document.is_null()))
}

/// What is done in a transaction, for each chain that tells of it.
///
/// It is written when everything else is: each chain has one end, and who has taken that waits for nobody any more.
#[derive(Debug, Default)]
pub(crate) struct Acts(BTreeMap<Option<TenantId>, Vec<Act>>);

impl Acts {
    pub(crate) fn add(&mut self, tenant: Option<TenantId>, act: Act) {
        self.0.entry(tenant).or_default().push(act);
    }

    pub(crate) async fn write(
        &mut self,
        session: &mut dyn Session,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for (tenant, acts) in std::mem::take(&mut self.0) {
            let mut end = hold_end(session, tenant).await?;
            let mut rows = Vec::with_capacity(acts.len());
            for act in acts {
                let mut entry = act.entry(tenant, now);
                end.append(&mut entry);
                rows.push(values_of(entry));
            }
            let head = "INSERT INTO audit (tenant_id, position, at, actor, origin, request, action, refused, subject, detail, \
                        before, after, seal)";
            session.insert(head, &rows, "").await?;
            let values = [chain_of(tenant).into(), end.position.into(), end.seal.to_string().into()];
            let sql = "UPDATE audit_ends SET position = $2, seal = $3 WHERE tenant_id = $1";
            session.execute(sql, &values).await?;
        }
        Ok(())
    }
}

fn values_of(entry: AuditEntry) -> Vec<Value> {
    let text =
        |document: Option<serde_json::Value>| Value::from(document.map(|document| document.to_string()));
    vec![
        entry.tenant.map(TenantId::as_uuid).into(),
        entry.position.into(),
        entry.at.into(),
        entry.by.into(),
        entry.origin.map_or(Value::Null(Kind::Text), |origin| origin.to_string().into()),
        entry.request.into(),
        entry.action.into(),
        entry.refused.into(),
        entry.subject.into(),
        entry.detail.into(),
        text(entry.before),
        text(entry.after),
        entry.seal.to_string().into(),
    ]
}

/// What the ends of chains, and their checkpoints, name a chain by.
pub(crate) fn chain_of(tenant: Option<TenantId>) -> Uuid {
    tenant.map_or(Uuid::nil(), TenantId::as_uuid)
}

/// Entries of a chain, as the index by their position has them.
pub(crate) fn in_chain(dialect: Dialect, tenant: Option<TenantId>) -> String {
    match (dialect, tenant) {
        (Dialect::Sqlite, tenant) => {
            let nobody = "x'00000000000000000000000000000000'";
            format!("coalesce(tenant_id, {nobody}) = x'{}'", chain_of(tenant).simple())
        }
        (Dialect::Postgres, Some(tenant)) => format!("tenant_id = '{tenant}'"),
        (Dialect::Postgres, None) => "tenant_id IS NULL".to_owned(),
    }
}

/// The end of a chain, which nobody else moves until the transaction is over.
async fn hold_end(session: &mut dyn Session, tenant: Option<TenantId>) -> Result<ChainEnd, StoreError> {
    let start = ChainEnd::START;
    let values = [chain_of(tenant).into(), start.position.into(), start.seal.to_string().into()];
    let sql = "INSERT INTO audit_ends (tenant_id, position, seal) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    session.execute(sql, &values).await?;
    let lock = session.dialect().for_update();
    read_end(session, tenant, lock).await
}

pub(crate) async fn read_end(
    session: &mut dyn Session,
    tenant: Option<TenantId>,
    lock: &str,
) -> Result<ChainEnd, StoreError> {
    let sql = format!("SELECT position, seal FROM audit_ends WHERE tenant_id = $1{lock}");
    let rows = session.query(&sql, &[chain_of(tenant).into()]).await?;
    let Some(row) = rows.first() else { return Ok(ChainEnd::START) };
    Ok(ChainEnd { position: row.count(0)?, seal: row.word(1)? })
}

impl QueueTx<'_> {
    /// Entries of all chains.
    pub(crate) async fn audited(&mut self) -> Result<u64, StoreError> {
        let sql = "SELECT CAST(coalesce(sum(position), 0) AS bigint) FROM audit_ends";
        let rows = self.session.query(sql, &[]).await?;
        rows.first().map_or(Ok(0), |row| row.count(0))
    }

    /// Entries of all chains after the last checkpoint of each.
    pub(crate) async fn unsigned(&mut self) -> Result<u64, StoreError> {
        let sql = "SELECT CAST(coalesce(sum(CASE WHEN position > signed THEN position - signed ELSE 0 END), 0) AS bigint) FROM audit_ends";
        let rows = self.session.query(sql, &[]).await?;
        rows.first().map_or(Ok(0), |row| row.count(0))
    }

    /// Something is done to a tenant, or to all.
    pub(crate) fn audit(&mut self, tenant: Option<TenantId>, act: Act) {
        self.acts.add(tenant, act);
    }
}

impl TenantTx<'_> {
    /// Something is done to the tenant.
    pub(crate) fn audit(&mut self, act: Act) {
        self.acts.add(Some(self.tenant), act);
    }
}

/// Entries of a chain in their order, and where it is said to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainPage {
    /// From after the place that was asked for on; none when that is the last.
    pub entries: Vec<AuditEntry>,
    /// The end of the chain, a moment later.
    pub end: ChainEnd,
}

impl Store {
    /// What was done to a tenant.
    pub async fn audit(
        &self,
        tenant: TenantId,
        filter: AuditFilter,
        at_most: usize,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        self.read_tenant(tenant, move |tx| {
            Box::pin(async move {
                let (sql, values) = filter.statement("tenant_id = $1", vec![tx.tenant()], at_most);
                tx.query(&sql, &values).await?.iter().map(read).collect()
            })
        })
        .await
    }

    /// What was done to all and not to one.
    pub async fn audit_of_nobody(
        &self,
        filter: AuditFilter,
        at_most: usize,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        self.read_queue(move |tx| {
            Box::pin(async move {
                let (sql, values) = filter.statement("tenant_id IS NULL", Vec::new(), at_most);
                tx.session.query(&sql, &values).await?.iter().map(read).collect()
            })
        })
        .await
    }

    /// Somebody wanted to do something to a tenant and may not.
    pub async fn audit_refusal(
        &self,
        tenant: TenantId,
        by: By,
        subject: String,
        detail: String,
    ) -> Result<(), StoreError> {
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let act = Act::new(&by, "access.refuse", subject).detail(detail);
                tx.audit(Act { refused: true, ..act });
                Ok(())
            })
        })
        .await
    }

    /// People or programs that nobody knows wanted something.
    pub async fn audit_strangers(&self, by: By, subject: String, detail: String) -> Result<(), StoreError> {
        self.of_queue(move |tx| {
            Box::pin(async move {
                let act = Act::new(&by, "access.refuse", subject).detail(detail);
                tx.audit(None, Act { refused: true, ..act });
                Ok(())
            })
        })
        .await
    }

    /// Entries of a tenant's chain in their order, from after a position on.
    pub async fn audit_chain(&self, tenant: TenantId, after: u64) -> Result<ChainPage, StoreError> {
        self.read_tenant(tenant, move |tx| {
            Box::pin(async move { read_chain(tx.session, Some(tenant), after).await })
        })
        .await
    }

    /// The same of what was done to all and not to one.
    pub async fn audit_chain_of_nobody(&self, after: u64) -> Result<ChainPage, StoreError> {
        self.read_queue(move |tx| Box::pin(async move { read_chain(tx.session, None, after).await })).await
    }
}

pub(crate) async fn read_chain(
    session: &mut dyn Session,
    tenant: Option<TenantId>,
    after: u64,
) -> Result<ChainPage, StoreError> {
    let whose = in_chain(session.dialect(), tenant);
    let sql =
        format!("SELECT {ENTRY} FROM audit WHERE {whose} AND position > $1 ORDER BY position LIMIT {PAGE}");
    let rows = session.query(&sql, &[after.into()]).await?;
    // After the entries: what stands behind the end was put there by somebody else.
    let end = read_end(session, tenant, "").await?;
    Ok(ChainPage { entries: rows.iter().map(read).collect::<Result<_, _>>()?, end })
}
