//! Scans compared: what one saw that the other did not.

use model::{ScanId, TenantId, scan::Difference};

use crate::{Store, StoreError, session::TenantTx, value::Value};

/// Of one kind so many are named: what is counted beyond that is found in the lists of both scans.
const MOST_NAMED: usize = 10_000;

/// What one scan saw, beside what the other saw of it.
const SEEN: &str = "(SELECT * FROM observations WHERE tenant_id = $1 AND scan_id = $2) AS seen LEFT JOIN observations AS other \
     ON other.tenant_id = $1 AND other.scan_id = $3 AND other.kind = seen.kind AND other.subject = seen.subject";

/// How something that one scan saw is in the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Appeared,
    Changed,
    Same,
}

impl Change {
    const ALL: [Change; 3] = [Change::Appeared, Change::Changed, Change::Same];

    fn condition(self) -> &'static str {
        match self {
            Change::Appeared => "other.looks IS NULL",
            Change::Changed => "other.looks <> seen.looks",
            Change::Same => "other.looks = seen.looks",
        }
    }
}

impl TenantTx<'_> {
    pub(crate) async fn difference(
        &mut self,
        scan: ScanId,
        baseline: ScanId,
    ) -> Result<Difference, StoreError> {
        let mut difference = Difference::default();
        let pair = [self.tenant(), scan.to_string().into(), baseline.to_string().into()];
        let swapped = [pair[0].clone(), pair[2].clone(), pair[1].clone()];
        for (kind, change, count) in self.changes(&pair).await? {
            let changes = difference.kinds.entry(kind.clone()).or_default();
            match change {
                Change::Same => changes.same = count,
                Change::Changed => {
                    changes.changed = self.names_of(&pair, &kind, change).await?;
                    changes.more += count - changes.changed.len() as u64;
                }
                Change::Appeared => {
                    changes.appeared = self.names_of(&pair, &kind, change).await?;
                    changes.more += count - changes.appeared.len() as u64;
                }
            }
        }
        for (kind, change, count) in self.changes(&swapped).await? {
            if change == Change::Appeared {
                let changes = difference.kinds.entry(kind.clone()).or_default();
                changes.disappeared = self.names_of(&swapped, &kind, change).await?;
                changes.more += count - changes.disappeared.len() as u64;
            }
        }
        Ok(difference)
    }

    /// Of what one scan saw, by kind: how much of it is not in the other, and looks the same there or not.
    async fn changes(&mut self, pair: &[Value]) -> Result<Vec<(String, Change, u64)>, StoreError> {
        let cases = Change::ALL.map(|change| format!("count(CASE WHEN {} THEN 1 END)", change.condition()));
        let sql = format!(
            "SELECT seen.kind, {} FROM {SEEN} GROUP BY seen.kind ORDER BY seen.kind",
            cases.join(", ")
        );
        let rows = self.query(&sql, pair).await?;
        let mut changes = Vec::new();
        for row in &rows {
            for (column, change) in (1..).zip(Change::ALL) {
                let count = row.count(column)?;
                if count > 0 {
                    changes.push((row.text(0)?.to_owned(), change, count));
                }
            }
        }
        Ok(changes)
    }

    async fn names_of(
        &mut self,
        pair: &[Value],
        kind: &str,
        change: Change,
    ) -> Result<Vec<String>, StoreError> {
        let sql = format!(
            "SELECT COALESCE(assets.identity, findings.check_id || ' at ' || findings.location, '') FROM {SEEN} \
             LEFT JOIN assets ON assets.tenant_id = seen.tenant_id AND assets.asset_key = seen.subject \
             AND seen.kind <> 'finding' \
             LEFT JOIN findings ON findings.tenant_id = seen.tenant_id AND findings.fingerprint = seen.subject \
             AND seen.kind = 'finding' \
             WHERE seen.kind = $4 AND {} ORDER BY 1 LIMIT {MOST_NAMED}",
            change.condition()
        );
        let values = [pair, &[kind.into()]].concat();
        self.query(&sql, &values).await?.iter().map(|row| Ok(row.text(0)?.to_owned())).collect()
    }
}

impl Store {
    /// What a scan saw that another one did not, and the other way round.
    pub async fn difference(
        &self,
        tenant: TenantId,
        scan: ScanId,
        baseline: ScanId,
    ) -> Result<Difference, StoreError> {
        self.read_tenant(tenant, move |tx| Box::pin(async move { tx.difference(scan, baseline).await })).await
    }
}
