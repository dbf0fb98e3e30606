//! What a tenant has used, from what is kept of it.

use jiff::Timestamp;
use model::{Severity, TenantId, usage::Usage};

use crate::{
    Store, StoreError,
    scans::{KNOWN, price},
    session::TenantTx,
    value::Value,
};

/// Scans that are read at once.
const AT_ONCE: usize = 1_000;

impl TenantTx<'_> {
    async fn usage(&mut self, since: Timestamp, until: Timestamp) -> Result<Usage, StoreError> {
        let mut usage = Usage::nothing(since, until);
        let within = [self.tenant(), since.into(), until.into()];
        let mut after: Option<(Timestamp, String)> = None;
        loop {
            let mut values = within.to_vec();
            let beyond = match after.take() {
                Some((at, id)) => {
                    values.extend([Value::from(at), id.into()]);
                    "AND (submitted_at, scan_id) > ($4, $5)"
                }
                None => "",
            };
            let sql = format!(
                "SELECT submitted_at, scan_id, traffic, worked, price FROM scans WHERE tenant_id = $1 AND submitted_at >= $2 \
                 AND submitted_at < $3 AND {KNOWN} {beyond} ORDER BY submitted_at, scan_id LIMIT {AT_ONCE}"
            );
            let rows = self.query(&sql, &values).await?;
            for row in &rows {
                let worked = std::time::Duration::from_micros(row.count(3)?);
                usage.add_scan(row.json(2)?, worked, price(row, 4)?);
            }
            match rows.last() {
                Some(last) if rows.len() == AT_ONCE => {
                    after = Some((last.time(0)?, last.text(1)?.to_owned()))
                }
                _ => break,
            }
        }
        let sql = "SELECT unit_results.stage, count(*) FROM scans JOIN unit_results ON unit_results.tenant_id = scans.tenant_id \
                   AND unit_results.scan_id = scans.scan_id WHERE scans.tenant_id = $1 AND scans.submitted_at >= $2 \
                   AND scans.submitted_at < $3 AND scans.state <> 'forgotten' GROUP BY unit_results.stage";
        for row in self.query(sql, &within).await? {
            usage.units.insert(row.word(0)?, row.count(1)?);
        }
        let sql = "SELECT severity, count(*) FROM findings WHERE tenant_id = $1 AND first_seen >= $2 AND first_seen < $3 \
                   GROUP BY severity";
        for row in self.query(sql, &within).await? {
            let level = row.int(0)?;
            let severity = Severity::DESCENDING.into_iter().find(|severity| *severity as i64 == level);
            let unknown = || StoreError::Damaged("a finding has a severity that there is not".to_owned());
            usage.new_findings.insert(severity.ok_or_else(unknown)?, row.count(1)?);
        }
        Ok(usage)
    }
}

impl Store {
    /// What a tenant has used from a time on and until another one.
    pub async fn usage(
        &self,
        tenant: TenantId,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Usage, StoreError> {
        self.read_tenant(tenant, move |tx| Box::pin(async move { tx.usage(since, until).await })).await
    }
}
