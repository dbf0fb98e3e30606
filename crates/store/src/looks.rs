//! What looks at units saw and missed, merged into what is known. What counts is when a look began, not when it is committed: one
//! that comes late overturns nothing that a later one said, and nothing depends on which of them came first.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
};

use jiff::Timestamp;
use model::{Asset, CheckId, Finding, Fingerprint, Happening, Ledger, ScanId, TaskId, finding::Look};

use crate::{
    ObjectKey, StoreError,
    scans::{RunningScan, digest},
    session::{Dialect, TenantTx},
    settling::EndedUnit,
    value::{Value, json, places, rows_of_places},
    visits::Seen,
};

/// Findings of one transaction that are told one by one.
const MOST_TOLD: usize = 100;

/// When a look began. A worker that claims many tasks begins with all of them at once: then the later task counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    pub(crate) at: Timestamp,
    pub(crate) task: TaskId,
}

/// Something that one look saw, or several.
pub(crate) struct Sight<T> {
    pub(crate) first: Timestamp,
    pub(crate) last: Moment,
    /// As the last of them saw it.
    pub(crate) what: T,
}

/// One statement changes a row once, and rows are changed in the order of their keys: two transactions that wait for each other
/// never end.
pub(crate) fn see<K: Ord, T>(sights: &mut BTreeMap<K, Sight<T>>, key: K, moment: Moment, what: T) {
    match sights.entry(key) {
        Entry::Vacant(place) => _ = place.insert(Sight { first: moment.at, last: moment, what }),
        Entry::Occupied(place) => {
            let sight = place.into_mut();
            sight.first = sight.first.min(moment.at);
            if sight.last <= moment {
                (sight.last, sight.what) = (moment, what);
            }
        }
    }
}

/// Keeps these columns of a row as the latest look saw them.
fn merged(table: &str, key: &str, columns: &[&str]) -> String {
    let later = format!("(excluded.last_seen, excluded.task_id) >= ({table}.last_seen, {table}.task_id)");
    let latest = |column: &&str| {
        format!("{column} = CASE WHEN {later} THEN excluded.{column} ELSE {table}.{column} END")
    };
    let latest: Vec<String> = columns.iter().chain(&["last_seen", "task_id"]).map(latest).collect();
    format!(
        "ON CONFLICT (tenant_id, {key}) DO UPDATE SET first_seen = CASE WHEN excluded.first_seen < {table}.first_seen \
         THEN excluded.first_seen ELSE {table}.first_seen END, {}",
        latest.join(", ")
    )
}

fn seen_finding(finding: &Finding) -> Seen {
    let looks = digest(&format!("{} {}", finding.severity, finding.name));
    ("finding".to_owned(), finding.fingerprint.bytes(), looks)
}

/// What a look says about what it did not find.
struct Account<'l> {
    at: Timestamp,
    ledger: Cow<'l, Ledger>,
    found: BTreeSet<[u8; 16]>,
}

impl Account<'_> {
    fn misses(&self, check: &CheckId, fingerprint: [u8; 16]) -> bool {
        let account = self.ledger.checks.get(check);
        !self.found.contains(&fingerprint) && account.map(Look::of_missing) == Some(Look::Missed)
    }
}

/// What is known at so many units. Left to itself SQLite walks through all that the tenant ever had, and below, too.
fn known_at(dialect: Dialect, units: usize) -> String {
    let index = match dialect {
        Dialect::Sqlite => "INDEXED BY sightings_at_unit",
        Dialect::Postgres => "",
    };
    format!(
        "SELECT unit_key, fingerprint, check_id, first_seen, last_missed FROM sightings {index} WHERE tenant_id = $1 \
         AND unit_key IN ({})",
        places(2, units)
    )
}

/// What came of looks at so many units that began after a time.
fn later_looks(dialect: Dialect, units: usize) -> String {
    let index = match dialect {
        Dialect::Sqlite => "INDEXED BY unit_results_at_unit",
        Dialect::Postgres => "",
    };
    format!(
        "SELECT unit_key, looked_at, ledger, found FROM unit_results {index} WHERE tenant_id = $1 AND looked_at > $2 \
         AND unit_key IN ({})",
        places(3, units)
    )
}

impl TenantTx<'_> {
    /// Whoever commits looks at the same units waits until this transaction ends: neither of two would know what the other one saw.
    pub(crate) async fn hold_units(&mut self, ended: &[EndedUnit]) -> Result<(), StoreError> {
        let mut units: BTreeMap<[u8; 16], Timestamp> = BTreeMap::new();
        for ended in ended {
            let latest = units.entry(ended.unit.key().0).or_insert(ended.looked_at);
            *latest = ended.looked_at.max(*latest);
        }
        let rows: Vec<Vec<Value>> =
            units.into_iter().map(|(unit, at)| vec![self.tenant(), unit.into(), at.into()]).collect();
        let head = "INSERT INTO unit_looks (tenant_id, unit_key, looked_at)";
        let tail = "ON CONFLICT (tenant_id, unit_key) DO UPDATE SET looked_at = CASE \
                    WHEN excluded.looked_at > unit_looks.looked_at THEN excluded.looked_at ELSE unit_looks.looked_at END";
        self.session.insert(head, &rows, tail).await.map(drop)
    }

    /// Merges what units saw and missed into what is known. What each of them saw.
    pub(crate) async fn record(
        &mut self,
        running: &mut RunningScan,
        ended: &[EndedUnit],
    ) -> Result<Vec<Vec<Seen>>, StoreError> {
        let mut seen = vec![Vec::new(); ended.len()];
        running.assets += self.record_assets(running.id, ended, &mut seen).await?;
        running.findings += self.record_findings(running.id, ended, &mut seen).await?;
        self.record_missed(ended).await?;
        Ok(seen)
    }

    async fn record_assets(
        &mut self,
        scan: ScanId,
        ended: &[EndedUnit],
        all_seen: &mut [Vec<Seen>],
    ) -> Result<u64, StoreError> {
        let mut distinct = BTreeMap::new();
        let mut observed = Vec::new();
        for (ended, seen) in ended.iter().zip(all_seen) {
            let mut of_unit: BTreeMap<String, (&Asset, [u8; 16])> = BTreeMap::new();
            for asset in &ended.result.assets {
                let looks = digest(&asset.looks());
                let least = of_unit.entry(asset.identity()).or_insert((asset, looks));
                if looks < least.1 {
                    *least = (asset, looks);
                }
            }
            for (identity, (asset, looks)) in of_unit {
                observed.push((asset.kind().as_str().to_owned(), digest(&identity), looks));
                seen.extend(observed.last().cloned());
                see(&mut distinct, identity, ended.moment(), asset);
            }
        }
        let mut rows = Vec::with_capacity(distinct.len());
        for (identity, Sight { first, last, what: asset }) in distinct {
            rows.push(vec![
                self.tenant(),
                digest(&identity).into(),
                asset.kind().as_str().into(),
                identity.into(),
                json(asset)?,
                first.into(),
                last.at.into(),
                last.task.as_uuid().into(),
            ]);
        }
        let head =
            "INSERT INTO assets (tenant_id, asset_key, kind, identity, body, first_seen, last_seen, task_id)";
        let tail = merged("assets", "asset_key", &["body"]);
        self.session.insert(head, &rows, &tail).await?;
        self.observe(scan, observed).await
    }

    /// How many of these the scan had not seen before. What is seen twice in one scan and looks different is remembered the same
    /// way whichever came first.
    async fn observe(&mut self, scan: ScanId, observed: Vec<Seen>) -> Result<u64, StoreError> {
        let mut least: BTreeMap<(String, [u8; 16]), [u8; 16]> = BTreeMap::new();
        for (kind, subject, looks) in observed {
            let least = least.entry((kind, subject)).or_insert(looks);
            *least = looks.min(*least);
        }
        let rows: Vec<Vec<Value>> = least
            .into_iter()
            .map(|((kind, subject), looks)| {
                vec![self.tenant(), scan.to_string().into(), kind.into(), subject.into(), looks.into()]
            })
            .collect();
        let head = "INSERT INTO observations (tenant_id, scan_id, kind, subject, looks)";
        let new = self.session.insert(head, &rows, "ON CONFLICT DO NOTHING").await?;
        if new < rows.len() as u64 {
            let tail = "ON CONFLICT (tenant_id, scan_id, kind, subject) DO UPDATE SET looks = excluded.looks \
                        WHERE excluded.looks < observations.looks";
            self.session.insert(head, &rows, tail).await?;
        }
        Ok(new)
    }

    async fn record_findings(
        &mut self,
        scan: ScanId,
        ended: &[EndedUnit],
        all_seen: &mut [Vec<Seen>],
    ) -> Result<u64, StoreError> {
        let mut distinct: BTreeMap<Fingerprint, Sight<(&Finding, Option<&ObjectKey>)>> = BTreeMap::new();
        let mut places: BTreeMap<(Fingerprint, [u8; 16]), Sight<&Finding>> = BTreeMap::new();
        let mut observed = Vec::new();
        for (ended, seen) in ended.iter().zip(all_seen) {
            let (moment, unit) = (ended.moment(), ended.unit.key().0);
            let mut of_unit = BTreeMap::new();
            for finding in &ended.result.findings {
                see(&mut distinct, finding.fingerprint, moment, (finding, ended.evidence.as_ref()));
                see(&mut places, (finding.fingerprint, unit), moment, finding);
                of_unit.insert(finding.fingerprint, finding);
            }
            for finding in of_unit.into_values() {
                observed.push(seen_finding(finding));
                seen.extend(observed.last().cloned());
            }
        }
        let sightings: Vec<Vec<Value>> = places
            .into_iter()
            .map(|((fingerprint, unit), Sight { first, last, what: finding })| {
                vec![
                    self.tenant(),
                    fingerprint.bytes().into(),
                    unit.into(),
                    finding.check.as_str().into(),
                    finding.addresses.first().map(ToString::to_string).into(),
                    first.into(),
                    last.at.into(),
                    last.task.as_uuid().into(),
                ]
            })
            .collect();
        self.tell_of_findings(scan, &distinct).await?;
        let (mut rows, mut evidence) = (vec![], Vec::with_capacity(distinct.len()));
        for (fingerprint, Sight { first, last, what: (finding, object) }) in distinct {
            evidence.push((finding, object, last));
            let body = Finding { evidence: Vec::new(), ..finding.clone() };
            rows.push(vec![
                self.tenant(),
                fingerprint.bytes().into(),
                finding.check.as_str().into(),
                (finding.severity as u8).into(),
                finding.location.to_string().into(),
                json(&body)?,
                first.into(),
                last.at.into(),
                last.task.as_uuid().into(),
            ]);
        }
        let head = "INSERT INTO findings (tenant_id, fingerprint, check_id, severity, location, body, first_seen, last_seen, \
                    task_id)";
        let tail = merged("findings", "fingerprint", &["severity", "body"]);
        self.session.insert(head, &rows, &tail).await?;
        self.write_evidence(scan, &evidence).await?;
        let head = "INSERT INTO sightings (tenant_id, fingerprint, unit_key, check_id, address, first_seen, last_seen, task_id)";
        let tail = merged("sightings", "fingerprint, unit_key", &["address"]);
        self.session.insert(head, &sightings, &tail).await?;
        self.observe(scan, observed).await
    }

    /// Before they are written: what is there was known already.
    async fn tell_of_findings<O>(
        &mut self,
        scan: ScanId,
        seen: &BTreeMap<Fingerprint, Sight<(&Finding, O)>>,
    ) -> Result<(), StoreError> {
        if seen.len() > MOST_TOLD {
            self.tell(Happening::FindingsMany { scan, count: seen.len() as u64 });
            return Ok(());
        }
        if seen.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "SELECT fingerprint FROM findings WHERE tenant_id = $1 AND fingerprint IN ({})",
            places(2, seen.len())
        );
        let values: Vec<Value> = std::iter::once(self.tenant())
            .chain(seen.keys().map(|fingerprint| Value::from(fingerprint.bytes())))
            .collect();
        let known = self.query(&sql, &values).await?;
        let known: BTreeSet<[u8; 16]> = known.iter().map(|row| row.key(0)).collect::<Result<_, _>>()?;
        for (fingerprint, Sight { what: (finding, _), .. }) in seen {
            if !known.contains(&fingerprint.bytes()) {
                self.tell(Happening::FindingNew {
                    finding: *fingerprint,
                    scan,
                    check: finding.check.clone(),
                    severity: finding.severity,
                    location: finding.location.to_string(),
                });
            }
        }
        Ok(())
    }

    /// What was seen at these units, and not by a later look, although its check looked.
    async fn record_missed(&mut self, ended: &[EndedUnit]) -> Result<(), StoreError> {
        let mut missed: BTreeMap<([u8; 16], [u8; 16]), Timestamp> = BTreeMap::new();
        for chunk in ended.chunks(1_000) {
            let mut looks: BTreeMap<[u8; 16], Vec<Account<'_>>> = BTreeMap::new();
            for EndedUnit { unit, looked_at, result, .. } in chunk {
                let found = result.findings.iter().map(|finding| finding.fingerprint.bytes()).collect();
                let look = Account { at: *looked_at, ledger: Cow::Borrowed(&result.ledger), found };
                looks.entry(unit.key().0).or_default().push(look);
            }
            self.recall_later(&mut looks).await?;
            let sql = known_at(self.dialect(), looks.len());
            let mut values = vec![self.tenant()];
            values.extend(looks.keys().map(|unit| Value::from(*unit)));
            for row in self.query(&sql, &values).await? {
                let (unit, fingerprint, check) = (row.key(0)?, row.key(1)?, CheckId::new(row.text(2)?));
                let (first_seen, last_missed) = (row.time(3)?, row.maybe_time(4)?);
                // From before it was there for the first time it says nothing.
                let misses = |look: &&Account<'_>| look.at > first_seen && look.misses(&check, fingerprint);
                let last = looks.get(&unit).into_iter().flatten().filter(misses).map(|look| look.at).max();
                if let Some(at) = last.filter(|at| last_missed.is_none_or(|missed| missed < *at)) {
                    missed.insert((unit, fingerprint), at);
                }
            }
        }
        let missed: Vec<_> = missed.into_iter().collect();
        for chunk in missed.chunks(1_000) {
            let sql = format!(
                "WITH missed (unit_key, fingerprint, missed_at) AS (VALUES {}) UPDATE sightings SET last_missed = missed_at \
                 FROM missed WHERE sightings.tenant_id = ${} AND sightings.unit_key = missed.unit_key \
                 AND sightings.fingerprint = missed.fingerprint",
                rows_of_places(chunk.len(), 3),
                chunk.len() * 3 + 1,
            );
            let mut values: Vec<Value> = chunk
                .iter()
                .flat_map(|((unit, fingerprint), at)| {
                    [Value::from(*unit), (*fingerprint).into(), (*at).into()]
                })
                .collect();
            values.push(self.tenant());
            self.execute(&sql, &values).await?;
        }
        Ok(())
    }

    /// Adds what was committed of later looks at the same units: what they did not find was not known yet.
    async fn recall_later(
        &mut self,
        looks: &mut BTreeMap<[u8; 16], Vec<Account<'_>>>,
    ) -> Result<(), StoreError> {
        let Some(earliest) = looks.values().flatten().map(|look| look.at).min() else { return Ok(()) };
        let sql = later_looks(self.dialect(), looks.len());
        let mut values = vec![self.tenant(), earliest.into()];
        values.extend(looks.keys().map(|unit| Value::from(*unit)));
        for row in self.query(&sql, &values).await? {
            let found: Vec<Fingerprint> = row.json(3)?;
            let found = found.into_iter().map(Fingerprint::bytes).collect();
            let look = Account { at: row.time(1)?, ledger: Cow::Owned(row.json(2)?), found };
            looks.entry(row.key(0)?).or_default().push(look);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use model::TenantId;
    use uuid::Uuid;

    use super::*;
    use crate::{Location, Store};

    #[tokio::test]
    async fn sqlite_looks_only_at_the_units_that_were_looked_at() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&Location::Sqlite(directory.path().join("rampart.db"))).await.unwrap();
        let statements: [fn(Dialect, usize) -> String; 2] = [known_at, later_looks];
        for (statement, units) in statements.into_iter().flat_map(|sql| [1, 2, 256].map(|units| (sql, units)))
        {
            let told = store.read_tenant(TenantId::new(Uuid::nil()), move |tx| {
                Box::pin(async move {
                    let sql = statement(tx.dialect(), units);
                    let mut values = vec![tx.tenant()];
                    values.extend(sql.contains("looked_at >").then_some(Value::from(tx.now)));
                    values.extend((0..units).map(|_| Value::from([0; 16])));
                    let rows = tx.query(&format!("EXPLAIN QUERY PLAN {sql}"), &values).await?;
                    rows.iter().map(|row| row.text(3).map(str::to_owned)).collect::<Result<Vec<_>, _>>()
                })
            });
            let plan = told.await.unwrap();
            let by_unit = |step: &String| step.contains("USING INDEX") && step.contains("unit_key=?");
            assert!(matches!(&plan[..], [step] if by_unit(step)), "{units}: {plan:?}");
        }
    }
}
