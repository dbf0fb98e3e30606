//! What was found, merged into what is known: assets, findings, and where they were seen and missed.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use model::{Asset, Finding, Fingerprint, ScanId, TenantId, UnitResult, finding::Look};

use crate::{
    ObjectKey, Store, StoreError,
    scans::{RunningScan, digest},
    session::{TenantTx, insert_rows},
    settling::EndedUnit,
    value::{Value, json, places, rows_of_places},
    visits::Seen,
};

fn seen_finding(finding: &Finding) -> Seen {
    let looks = digest(&format!("{} {}", finding.severity, finding.name));
    ("finding".to_owned(), finding.fingerprint.bytes(), looks)
}

impl TenantTx<'_> {
    /// Merges what units saw and missed into what is known. What each of them saw.
    pub(crate) async fn record(
        &mut self,
        running: &mut RunningScan,
        ended: &[EndedUnit],
    ) -> Result<Vec<Vec<Seen>>, StoreError> {
        let (scan, at) = (running.id, self.now);
        let mut seen = vec![Vec::new(); ended.len()];
        for EndedUnit { result, .. } in ended {
            running.traffic += result.traffic;
        }
        running.assets += self.record_assets(scan, ended, at, &mut seen).await?;
        running.findings += self.record_findings(scan, ended, at, &mut seen).await?;
        self.record_missed(ended, at).await?;
        Ok(seen)
    }

    async fn record_assets(
        &mut self,
        scan: ScanId,
        ended: &[EndedUnit],
        at: Timestamp,
        all_seen: &mut [Vec<Seen>],
    ) -> Result<u64, StoreError> {
        // One statement changes a row once.
        let mut distinct = BTreeMap::new();
        for (EndedUnit { result, .. }, seen) in ended.iter().zip(all_seen) {
            let mut of_unit = BTreeMap::new();
            for asset in &result.assets {
                let (identity, looks) = (asset.identity(), digest(&asset.looks()));
                let least = of_unit.entry(identity.clone()).or_insert((asset, looks));
                if looks < least.1 {
                    *least = (asset, looks);
                }
                let least = distinct.entry(identity).or_insert((asset, looks));
                if looks < least.1 {
                    *least = (asset, looks);
                }
            }
            let found = |(identity, (asset, looks)): (String, (&model::Asset, _))| {
                (asset.kind().to_owned(), digest(&identity), looks)
            };
            seen.extend(of_unit.into_iter().map(found));
        }
        let mut rows = Vec::with_capacity(distinct.len());
        let mut observed = Vec::with_capacity(distinct.len());
        for (identity, (asset, looks)) in distinct {
            let key = digest(&identity);
            observed.push((asset.kind().to_owned(), key, looks));
            rows.push(vec![
                self.tenant(),
                key.into(),
                asset.kind().into(),
                identity.into(),
                json(asset)?,
                at.into(),
                at.into(),
            ]);
        }
        let head = "INSERT INTO assets (tenant_id, asset_key, kind, identity, body, first_seen, last_seen)";
        let tail = "ON CONFLICT (tenant_id, asset_key) DO UPDATE SET \
                    body = CASE WHEN excluded.last_seen >= assets.last_seen THEN excluded.body ELSE assets.body END, \
                    first_seen = CASE WHEN excluded.first_seen < assets.first_seen THEN excluded.first_seen ELSE assets.first_seen END, \
                    last_seen = CASE WHEN excluded.last_seen > assets.last_seen THEN excluded.last_seen ELSE assets.last_seen END";
        insert_rows(self.session, head, 7, rows, tail).await?;
        self.observe(scan, &observed).await
    }

    /// How many of these the scan had not seen before. What is seen twice in one scan and looks different is remembered the same
    /// way whichever came first.
    async fn observe(&mut self, scan: ScanId, observed: &[Seen]) -> Result<u64, StoreError> {
        let rows: Vec<Vec<Value>> = observed
            .iter()
            .map(|(kind, subject, looks)| {
                vec![
                    self.tenant(),
                    scan.to_string().into(),
                    kind.as_str().into(),
                    (*subject).into(),
                    (*looks).into(),
                ]
            })
            .collect();
        let head = "INSERT INTO observations (tenant_id, scan_id, kind, subject, looks)";
        let new = insert_rows(self.session, head, 5, rows.clone(), "ON CONFLICT DO NOTHING").await?;
        if new < rows.len() as u64 {
            let tail = "ON CONFLICT (tenant_id, scan_id, kind, subject) DO UPDATE SET looks = excluded.looks \
                        WHERE excluded.looks < observations.looks";
            insert_rows(self.session, head, 5, rows, tail).await?;
        }
        Ok(new)
    }

    async fn record_findings(
        &mut self,
        scan: ScanId,
        ended: &[EndedUnit],
        at: Timestamp,
        all_seen: &mut [Vec<Seen>],
    ) -> Result<u64, StoreError> {
        // One statement changes a row once, and rows are changed in the order of their keys: two transactions that wait for each
        // other never end.
        let mut distinct: BTreeMap<Fingerprint, (&Finding, Option<&ObjectKey>)> = BTreeMap::new();
        let mut places: BTreeMap<(Fingerprint, [u8; 16]), &Finding> = BTreeMap::new();
        for (EndedUnit { unit, result, evidence, .. }, seen) in ended.iter().zip(all_seen) {
            let mut of_unit = BTreeMap::new();
            let unit = unit.key().0;
            for finding in &result.findings {
                distinct.insert(finding.fingerprint, (finding, evidence.as_ref()));
                places.insert((finding.fingerprint, unit), finding);
                of_unit.insert(finding.fingerprint, finding);
            }
            seen.extend(of_unit.into_values().map(seen_finding));
        }
        let (mut rows, mut evidence, mut observed) = (vec![], Vec::with_capacity(distinct.len()), vec![]);
        let sightings = places
            .into_iter()
            .map(|((fingerprint, unit), finding)| {
                vec![
                    self.tenant(),
                    fingerprint.bytes().into(),
                    unit.into(),
                    finding.check.as_str().into(),
                    finding.addresses.first().map(ToString::to_string).into(),
                    at.into(),
                    at.into(),
                ]
            })
            .collect();
        for (fingerprint, (finding, object)) in distinct {
            let key = fingerprint.bytes();
            observed.push(seen_finding(finding));
            evidence.push((finding, object));
            let body = Finding { evidence: Vec::new(), ..finding.clone() };
            rows.push(vec![
                self.tenant(),
                key.into(),
                finding.check.as_str().into(),
                (finding.severity as u8).into(),
                finding.location.to_string().into(),
                json(&body)?,
                at.into(),
                at.into(),
            ]);
        }
        let head = "INSERT INTO findings (tenant_id, fingerprint, check_id, severity, location, body, first_seen, last_seen)";
        let tail = "ON CONFLICT (tenant_id, fingerprint) DO UPDATE SET \
                    severity = CASE WHEN excluded.last_seen >= findings.last_seen THEN excluded.severity ELSE findings.severity END, \
                    body = CASE WHEN excluded.last_seen >= findings.last_seen THEN excluded.body ELSE findings.body END, \
                    first_seen = CASE WHEN excluded.first_seen < findings.first_seen THEN excluded.first_seen ELSE findings.first_seen END, \
                    last_seen = CASE WHEN excluded.last_seen > findings.last_seen THEN excluded.last_seen ELSE findings.last_seen END";
        insert_rows(self.session, head, 8, rows, tail).await?;
        self.write_evidence(scan, &evidence).await?;
        let head = "INSERT INTO sightings (tenant_id, fingerprint, unit_key, check_id, address, first_seen, last_seen)";
        let tail = "ON CONFLICT (tenant_id, fingerprint, unit_key) DO UPDATE SET \
                    first_seen = CASE WHEN excluded.first_seen < sightings.first_seen THEN excluded.first_seen ELSE sightings.first_seen END, \
                    last_seen = CASE WHEN excluded.last_seen > sightings.last_seen THEN excluded.last_seen ELSE sightings.last_seen END";
        insert_rows(self.session, head, 7, sightings, tail).await?;
        self.observe(scan, &observed).await
    }

    /// What was seen at these units before, and now was not, although its check looked.
    async fn record_missed(&mut self, ended: &[EndedUnit], at: Timestamp) -> Result<(), StoreError> {
        let mut missed = BTreeSet::new();
        for chunk in ended.chunks(1_000) {
            let by_key: BTreeMap<[u8; 16], &UnitResult> =
                chunk.iter().map(|ended| (ended.unit.key().0, &ended.result)).collect();
            let sql = format!(
                "SELECT unit_key, fingerprint, check_id FROM sightings WHERE tenant_id = $1 AND unit_key IN ({})",
                places(2, by_key.len())
            );
            let mut values = vec![self.tenant()];
            values.extend(by_key.keys().map(|key| Value::from(*key)));
            let known = self.query(&sql, &values).await?;
            let mut found = BTreeSet::new();
            for (unit, result) in &by_key {
                found.extend(result.findings.iter().map(|finding| (*unit, finding.fingerprint.bytes())));
            }
            for row in known {
                let (unit, fingerprint, check) =
                    (row.key(0)?, row.key(1)?, model::CheckId::new(row.text(2)?));
                let account = by_key.get(&unit).and_then(|result| result.ledger.checks.get(&check));
                if !found.contains(&(unit, fingerprint))
                    && account.map(Look::of_missing) == Some(Look::Missed)
                {
                    missed.insert((unit, fingerprint));
                }
            }
        }
        let missed: Vec<([u8; 16], [u8; 16])> = missed.into_iter().collect();
        for chunk in missed.chunks(1_000) {
            let sql = format!(
                "WITH missed (unit_key, fingerprint) AS (VALUES {}) UPDATE sightings SET last_missed = ${at} FROM missed \
                 WHERE sightings.tenant_id = ${tenant} AND sightings.unit_key = missed.unit_key \
                 AND sightings.fingerprint = missed.fingerprint AND (last_missed IS NULL OR last_missed < ${at})",
                rows_of_places(chunk.len(), 2),
                at = chunk.len() * 2 + 1,
                tenant = chunk.len() * 2 + 2,
            );
            let mut values: Vec<Value> = chunk
                .iter()
                .flat_map(|(unit, fingerprint)| [Value::from(*unit), (*fingerprint).into()])
                .collect();
            values.extend([at.into(), self.tenant()]);
            self.execute(&sql, &values).await?;
        }
        Ok(())
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
}
