//! What was found: assets, findings and their life.

use std::collections::BTreeMap;

use model::{
    Asset, Finding, Fingerprint, ScanId, Severity, TenantId,
    finding::{Decision, History, Life},
};
use serde::Serialize;

use crate::{
    Store, StoreError,
    session::TenantTx,
    value::{Value, json, places},
};

/// A finding with its history.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KnownFinding {
    /// What and where; its evidence only when one finding was asked for.
    #[serde(flatten)]
    pub finding: Finding,
    /// When it was seen and missed, and what somebody made of it.
    pub history: History,
    /// Where it stands now.
    #[serde(flatten)]
    pub life: Life,
}

/// Which findings somebody means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FindingFilter {
    /// Only those that this scan saw.
    pub scan: Option<ScanId>,
    /// Only as severe as this, or more.
    pub at_least: Option<Severity>,
    /// From after this one on.
    pub after: Option<Fingerprint>,
}

impl TenantTx<'_> {
    async fn read_findings(
        &mut self,
        filter: &FindingFilter,
        at_most: usize,
    ) -> Result<Vec<KnownFinding>, StoreError> {
        let mut values = vec![self.tenant()];
        let mut sql =
            "SELECT findings.fingerprint, body, verdict, decided_at FROM findings WHERE tenant_id = $1"
                .to_owned();
        let mut also = |condition: &str, value: Value, values: &mut Vec<Value>| {
            values.push(value);
            sql.push_str(&condition.replace('#', &values.len().to_string()));
        };
        if let Some(scan) = filter.scan {
            let seen = " AND EXISTS (SELECT 1 FROM observations WHERE observations.tenant_id = $1 AND scan_id = $# \
                        AND kind = 'finding' AND subject = findings.fingerprint)";
            also(seen, scan.to_string().into(), &mut values);
        }
        if let Some(severity) = filter.at_least {
            also(" AND severity >= $#", (severity as u8).into(), &mut values);
        }
        if let Some(after) = filter.after {
            also(" AND fingerprint > $#", after.bytes().into(), &mut values);
        }
        sql.push_str(&format!(" ORDER BY fingerprint LIMIT {at_most}"));
        let rows = self.query(&sql, &values).await?;
        let mut looks =
            self.looks(&rows.iter().map(|row| row.key(0)).collect::<Result<Vec<_>, _>>()?).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            let decision = match (row.maybe_json(2)?, row.maybe_time(3)?) {
                (Some(verdict), Some(at)) => Some(Decision { at, verdict }),
                _ => None,
            };
            let places = looks.remove(&row.key(0)?).unwrap_or_default();
            let Some(history) = History::over(&places, decision) else { continue };
            found.push(KnownFinding { finding: row.json(1)?, history, life: history.life(self.now) });
        }
        Ok(found)
    }

    /// The looks at each place of these findings.
    async fn looks(
        &mut self,
        fingerprints: &[[u8; 16]],
    ) -> Result<BTreeMap<[u8; 16], Vec<History>>, StoreError> {
        let mut looks: BTreeMap<[u8; 16], Vec<History>> = BTreeMap::new();
        for chunk in fingerprints.chunks(1_000) {
            let mut values = vec![self.tenant()];
            values.extend(chunk.iter().map(|key| Value::from(*key)));
            let sql = format!(
                "SELECT fingerprint, first_seen, last_seen, last_missed FROM sightings WHERE tenant_id = $1 \
                 AND fingerprint IN ({})",
                places(2, chunk.len())
            );
            for row in self.query(&sql, &values).await? {
                looks.entry(row.key(0)?).or_default().push(History {
                    first_seen: row.time(1)?,
                    last_seen: row.time(2)?,
                    last_missed: row.maybe_time(3)?,
                    decision: None,
                });
            }
        }
        Ok(looks)
    }

    async fn assets_of(
        &mut self,
        scan: ScanId,
        after: Option<[u8; 16]>,
        at_most: usize,
    ) -> Result<(Vec<Asset>, Option<[u8; 16]>), StoreError> {
        let mut values = vec![self.tenant(), scan.to_string().into()];
        let beyond = match after {
            Some(after) => {
                values.push(after.into());
                "AND assets.asset_key > $3"
            }
            None => "",
        };
        let sql = format!(
            "SELECT assets.asset_key, assets.body FROM assets JOIN observations ON \
             observations.tenant_id = assets.tenant_id AND observations.kind = assets.kind \
             AND observations.subject = assets.asset_key WHERE assets.tenant_id = $1 \
             AND observations.scan_id = $2 {beyond} ORDER BY assets.asset_key LIMIT {at_most}"
        );
        let rows = self.query(&sql, &values).await?;
        let last = rows.last().map(|row| row.key(0)).transpose()?;
        let assets = rows.iter().map(|row| row.json(1)).collect::<Result<_, _>>()?;
        Ok((assets, last))
    }
}

impl Store {
    /// Findings in the order of their fingerprints, without evidence.
    pub async fn findings(
        &self,
        tenant: TenantId,
        filter: FindingFilter,
        at_most: usize,
    ) -> Result<Vec<KnownFinding>, StoreError> {
        self.read_tenant(tenant, move |tx| Box::pin(async move { tx.read_findings(&filter, at_most).await }))
            .await
    }

    /// What a scan saw, in no particular order, from after a place on; with the place to go on from.
    pub async fn assets(
        &self,
        tenant: TenantId,
        scan: ScanId,
        after: Option<[u8; 16]>,
        at_most: usize,
    ) -> Result<(Vec<Asset>, Option<[u8; 16]>), StoreError> {
        self.read_tenant(tenant, move |tx| Box::pin(async move { tx.assets_of(scan, after, at_most).await }))
            .await
    }

    /// How many things of each kind a scan saw.
    pub async fn asset_counts(
        &self,
        tenant: TenantId,
        scan: ScanId,
    ) -> Result<BTreeMap<String, u64>, StoreError> {
        self.read_tenant(tenant, move |tx| {
            Box::pin(async move {
                let sql = "SELECT kind, count(*) FROM observations WHERE tenant_id = $1 AND scan_id = $2 \
                           AND kind <> 'finding' GROUP BY kind";
                let rows = tx.query(sql, &[tx.tenant(), scan.to_string().into()]).await?;
                rows.iter().map(|row| Ok((row.text(0)?.to_owned(), row.count(1)?))).collect()
            })
        })
        .await
    }

    /// What somebody makes of a finding. An older decision than the one that is there changes nothing.
    pub async fn decide(
        &self,
        tenant: TenantId,
        fingerprint: Fingerprint,
        decision: Decision,
        by: String,
    ) -> Result<(), StoreError> {
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let key = fingerprint.bytes();
                let lock = tx.dialect().for_update();
                let sql = format!(
                    "SELECT verdict, decided_at FROM findings WHERE tenant_id = $1 AND fingerprint = $2{lock}"
                );
                let row = tx.one(&sql, &[tx.tenant(), key.into()], ("finding", fingerprint)).await?;
                let earlier = match (row.maybe_json(0)?, row.maybe_time(1)?) {
                    (Some(verdict), Some(at)) => Some(Decision { at, verdict }),
                    _ => None,
                };
                if earlier.max(Some(decision)) != Some(decision) {
                    return Ok(());
                }
                let sql = "UPDATE findings SET verdict = $3, decided_at = $4 WHERE tenant_id = $1 AND fingerprint = $2";
                let values = [tx.tenant(), key.into(), json(&decision.verdict)?, decision.at.into()];
                tx.execute(sql, &values).await?;
                tx.audit(&by, "finding.decide", &fingerprint.to_string(), &format!("{:?}", decision.verdict)).await
            })
        })
        .await
    }
}
