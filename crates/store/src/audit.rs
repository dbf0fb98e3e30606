//! Who did what, and when: written in the transaction that does it, never changed.

use jiff::Timestamp;
use model::TenantId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Store, StoreError,
    session::{QueueTx, Session, TenantTx},
    value::{Row, Value},
};

/// Something that somebody did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AuditEntry {
    /// Greater than that of everything that was written before it.
    pub id: u64,
    /// When, by the store's clock.
    pub at: Timestamp,
    /// To whom; to all without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// Who.
    pub by: String,
    /// What: `scan.submit`.
    pub action: String,
    /// With which thing.
    pub subject: String,
    /// What else there is to say.
    pub detail: String,
}

/// Which entries somebody means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only this action, or every one that begins with it and a dot.
    pub action: Option<String>,
    /// Only of those whose name contains this.
    pub by: Option<String>,
    /// Only from then on.
    pub since: Option<Timestamp>,
    /// Only older than this one.
    pub before: Option<u64>,
}

impl AuditFilter {
    /// Every entry that is wanted of those that a condition allows, the newest first.
    fn statement(&self, whose: &str, mut values: Vec<Value>, at_most: usize) -> (String, Vec<Value>) {
        let mut sql = format!(
            "SELECT sequence, at, tenant_id, actor, action, subject, detail FROM audit WHERE {whose}"
        );
        let mut also = |condition: &str, value: Value| {
            values.push(value);
            sql.push_str(&condition.replace('#', &values.len().to_string()));
        };
        if let Some(action) = &self.action {
            also(" AND (action = $#", action.as_str().into());
            also(" OR action LIKE $# ESCAPE '\\')", format!("{}.%", literally(action)).into());
        }
        if let Some(by) = &self.by {
            also(" AND actor LIKE $# ESCAPE '\\'", format!("%{}%", literally(by)).into());
        }
        if let Some(since) = self.since {
            also(" AND at >= $#", since.into());
        }
        if let Some(before) = self.before {
            also(" AND sequence < $#", before.into());
        }
        sql.push_str(&format!(" ORDER BY sequence DESC LIMIT {at_most}"));
        (sql, values)
    }
}

/// In a pattern, it stands for itself.
fn literally(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

fn read(row: &Row) -> Result<AuditEntry, StoreError> {
    Ok(AuditEntry {
        id: row.count(0)?,
        at: row.time(1)?,
        tenant: row.maybe_id(2)?.map(TenantId::new),
        by: row.text(3)?.to_owned(),
        action: row.text(4)?.to_owned(),
        subject: row.text(5)?.to_owned(),
        detail: row.text(6)?.to_owned(),
    })
}

async fn write(
    session: &mut dyn Session,
    tenant: Option<TenantId>,
    at: Timestamp,
    words: [&str; 4],
) -> Result<(), StoreError> {
    let mut values = vec![tenant.map(TenantId::as_uuid).into(), Value::from(at)];
    values.extend(words.map(Value::from));
    let sql =
        "INSERT INTO audit (tenant_id, at, actor, action, subject, detail) VALUES ($1, $2, $3, $4, $5, $6)";
    session.execute(sql, &values).await.map(drop)
}

impl QueueTx<'_> {
    pub(crate) async fn audit(
        &mut self,
        tenant: Option<TenantId>,
        actor: &str,
        action: &str,
        subject: &str,
        detail: &str,
    ) -> Result<(), StoreError> {
        write(self.session, tenant, self.now, [actor, action, subject, detail]).await
    }
}

impl TenantTx<'_> {
    pub(crate) async fn audit(
        &mut self,
        actor: &str,
        action: &str,
        subject: &str,
        detail: &str,
    ) -> Result<(), StoreError> {
        write(self.session, Some(self.tenant), self.now, [actor, action, subject, detail]).await
    }
}

impl Store {
    /// What was done to a tenant, the newest first.
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

    /// What was done to all and not to one, the newest first.
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
}
