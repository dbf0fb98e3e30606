//! What came of the units of scans: how each check ended, what could not be found out, what was left out.

use std::collections::BTreeSet;

use jiff::Timestamp;
use model::{Fingerprint, Ledger, ScanId, Stage, TaskId, TenantId, Unit, UnitResult};
use serde::Serialize;

use crate::{
    Store, StoreError,
    session::TenantTx,
    value::{Row, json},
};

/// What came of one unit of a scan, besides what it found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnitRecord {
    /// The task that it was.
    pub task: TaskId,
    /// Its stage.
    pub stage: Stage,
    /// Its name.
    pub unit: String,
    /// How each check ended.
    pub ledger: Ledger,
    /// What could not be found out.
    pub undetermined: Vec<String>,
    /// What was left out on purpose.
    pub left_out: Vec<String>,
}

impl UnitRecord {
    /// Everything that is undetermined about it, in words.
    pub fn gaps(self) -> impl Iterator<Item = String> {
        let failed = self.ledger.gap();
        self.undetermined.into_iter().chain(failed)
    }
}

/// Of which units somebody wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remarks {
    /// Those that could not find something out.
    Undetermined,
    /// Those that left something out on purpose.
    LeftOut,
    /// Both.
    All,
}

const UNIT: &str = "task_id, stage, unit, ledger, undetermined, left_out";

fn read_unit(row: &Row) -> Result<UnitRecord, StoreError> {
    Ok(UnitRecord {
        task: TaskId::new(row.id(0)?),
        stage: row.word(1)?,
        unit: row.text(2)?.to_owned(),
        ledger: row.json(3)?,
        undetermined: row.json(4)?,
        left_out: row.json(5)?,
    })
}

/// What is to be kept of a unit.
pub(crate) struct Kept<'k> {
    pub(crate) task: TaskId,
    pub(crate) unit: &'k Unit,
    pub(crate) result: &'k UnitResult,
    /// None when nobody did.
    pub(crate) looked_at: Option<Timestamp>,
}

impl TenantTx<'_> {
    /// Of a unit that nobody looked at.
    pub(crate) async fn keep_result(
        &mut self,
        scan: ScanId,
        task: TaskId,
        unit: &Unit,
        result: &UnitResult,
    ) -> Result<(), StoreError> {
        self.keep_results(scan, [Kept { task, unit, result, looked_at: None }]).await
    }

    pub(crate) async fn keep_results(
        &mut self,
        scan: ScanId,
        results: impl IntoIterator<Item = Kept<'_>>,
    ) -> Result<(), StoreError> {
        let mut rows = Vec::new();
        for Kept { task, unit, result, looked_at } in results {
            let found: BTreeSet<Fingerprint> =
                result.findings.iter().map(|finding| finding.fingerprint).collect();
            rows.push(vec![
                self.tenant(),
                scan.to_string().into(),
                task.as_uuid().into(),
                unit.stage().as_str().into(),
                unit.to_string().into(),
                unit.key().0.into(),
                looked_at.into(),
                json(&result.ledger)?,
                json(&found)?,
                json(&result.undetermined)?,
                json(&result.left_out)?,
                (result.undetermined.len() as u64 + u64::from(result.ledger.gap().is_some())).into(),
                self.now.into(),
            ]);
        }
        let head = "INSERT INTO unit_results (tenant_id, scan_id, task_id, stage, unit, unit_key, looked_at, ledger, found, \
                    undetermined, left_out, gaps, done_at)";
        // A unit that was dead and was brought back is told anew.
        let tail = "ON CONFLICT (tenant_id, scan_id, task_id) DO UPDATE SET looked_at = excluded.looked_at, \
                    ledger = excluded.ledger, found = excluded.found, undetermined = excluded.undetermined, \
                    left_out = excluded.left_out, gaps = excluded.gaps, done_at = excluded.done_at";
        self.session.insert(head, &rows, tail).await.map(drop)
    }
}

impl Store {
    /// What came of the units of a scan, from after one on.
    pub async fn unit_results(
        &self,
        tenant: TenantId,
        scan: ScanId,
        after: Option<TaskId>,
        at_most: usize,
    ) -> Result<Vec<UnitRecord>, StoreError> {
        self.read_tenant(tenant, move |tx| {
            Box::pin(async move {
                let mut values = vec![tx.tenant(), scan.to_string().into()];
                let beyond = match after {
                    Some(after) => {
                        values.push(after.as_uuid().into());
                        "AND task_id > $3"
                    }
                    None => "",
                };
                let sql = format!(
                    "SELECT {UNIT} FROM unit_results WHERE tenant_id = $1 AND scan_id = $2 {beyond} \
                     ORDER BY task_id LIMIT {at_most}"
                );
                tx.query(&sql, &values).await?.iter().map(read_unit).collect()
            })
        })
        .await
    }

    /// Units of a scan of which there is something to be said, from after one on.
    pub async fn remarks(
        &self,
        tenant: TenantId,
        scan: ScanId,
        which: Remarks,
        after: Option<TaskId>,
        at_most: usize,
    ) -> Result<Vec<UnitRecord>, StoreError> {
        self.read_tenant(tenant, move |tx| {
            Box::pin(async move {
                let mut values = vec![tx.tenant(), scan.to_string().into()];
                let beyond = match after {
                    Some(after) => {
                        values.push(after.as_uuid().into());
                        "AND task_id > $3"
                    }
                    None => "",
                };
                let condition = match which {
                    Remarks::Undetermined => "gaps > 0",
                    Remarks::LeftOut => "left_out <> '[]'",
                    Remarks::All => "(gaps > 0 OR left_out <> '[]')",
                };
                let sql = format!(
                    "SELECT {UNIT} FROM unit_results WHERE tenant_id = $1 AND scan_id = $2 AND {condition} {beyond} \
                     ORDER BY task_id LIMIT {at_most}"
                );
                tx.query(&sql, &values).await?.iter().map(read_unit).collect()
            })
        })
        .await
    }

    /// How many things a scan could not find out, and the first units of which there is something to be said.
    pub async fn gaps(
        &self,
        tenant: TenantId,
        scan: ScanId,
        at_most: usize,
    ) -> Result<(u64, Vec<UnitRecord>), StoreError> {
        self.read_tenant(tenant, move |tx| {
            Box::pin(async move {
                let values = [tx.tenant(), scan.to_string().into()];
                let of_scan = "FROM unit_results WHERE tenant_id = $1 AND scan_id = $2 AND gaps > 0";
                let sql = format!("SELECT CAST(COALESCE(SUM(gaps), 0) AS bigint) {of_scan}");
                let count = tx.one(&sql, &values, ("scan", scan)).await?.count(0)?;
                let sql = format!("SELECT {UNIT} {of_scan} ORDER BY task_id LIMIT {at_most}");
                let units: Result<Vec<UnitRecord>, StoreError> =
                    tx.query(&sql, &values).await?.iter().map(read_unit).collect();
                Ok((count, units?))
            })
        })
        .await
    }
}
