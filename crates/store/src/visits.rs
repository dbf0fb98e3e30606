//! What was looked at not long ago, and looks the same now, is not looked at again: what it taught and showed then still counts.

use std::collections::{BTreeMap, BTreeSet};

use model::{Learned, SkipReason, Stage, Unit, UnitKey, UnitResult};

use crate::{
    StoreError,
    looks::{Sight, see},
    scans::{RunningScan, digest},
    session::TenantTx,
    settling::EndedUnit,
    value::{Value, json, places},
};

/// Something that was seen: its kind, which it is, and what it looked like.
pub(crate) type Seen = (String, [u8; 16], [u8; 16]);

/// A unit whose earlier result still counts.
pub(crate) struct Visit {
    pub(crate) learned: Learned,
    seen: Vec<Seen>,
    /// For people: when it was looked at, and by which scan.
    pub(crate) told: String,
}

/// Only what costs much: whether something is there at all is asked each time.
fn can_be_spared(unit: &Unit) -> bool {
    matches!(unit.stage(), Stage::Crawl | Stage::Check)
}

/// Is nothing missing from it? That a check does not apply, or may not be made, is an answer; what a limit left out, it leaves out
/// again.
fn is_whole(result: &UnitResult) -> bool {
    let total = result.ledger.total();
    let by_choice = [SkipReason::Precondition, SkipReason::OutOfScope, SkipReason::Limit];
    let unlooked = |reason: &SkipReason| !by_choice.contains(reason);
    result.undetermined.is_empty() && total.failed_total() == 0 && !total.skipped.keys().any(unlooked)
}

/// What the unit depends on, as this scan saw it: the service behind a site, the records of a name.
fn depends_on(unit: &Unit) -> Option<(&'static str, String)> {
    match unit {
        Unit::Crawl(site) | Unit::CheckSite(site) => {
            Some(("service", format!("service {}:{}", site.endpoint.address, site.endpoint.port)))
        }
        Unit::CheckService(service) => {
            Some(("service", format!("service {}:{}", service.endpoint.address, service.endpoint.port)))
        }
        Unit::CheckName { name, .. } => Some(("domain", format!("domain {name}"))),
        Unit::Discover { .. } | Unit::Ports { .. } | Unit::Identify(_) | Unit::Knock(_) => None,
    }
}

impl TenantTx<'_> {
    /// How what the unit depends on looked to this scan; none when it has not seen it.
    async fn looks_for(
        &mut self,
        running: &RunningScan,
        unit: &Unit,
    ) -> Result<Option<[u8; 16]>, StoreError> {
        let Some((kind, identity)) = depends_on(unit) else { return Ok(None) };
        let sql = "SELECT looks FROM observations WHERE tenant_id = $1 AND scan_id = $2 AND kind = $3 AND subject = $4";
        let values = [self.tenant(), running.id.to_string().into(), kind.into(), digest(&identity).into()];
        self.query(sql, &values).await?.first().map(|row| row.key(0)).transpose()
    }

    /// How what units depend on looked to this scan, by [`depends_on`].
    async fn looks_for_many(
        &mut self,
        running: &RunningScan,
        wanted: &BTreeSet<[u8; 16]>,
    ) -> Result<BTreeMap<(String, [u8; 16]), [u8; 16]>, StoreError> {
        let wanted: Vec<Value> = wanted.iter().map(|subject| Value::from(*subject)).collect();
        let mut looks = BTreeMap::new();
        for chunk in wanted.chunks(1_000) {
            let sql = format!(
                "SELECT kind, subject, looks FROM observations WHERE tenant_id = $1 AND scan_id = $2 \
                 AND kind IN ('service', 'domain') AND subject IN ({})",
                places(3, chunk.len())
            );
            let mut values = vec![self.tenant(), running.id.to_string().into()];
            values.extend_from_slice(chunk);
            for row in self.query(&sql, &values).await? {
                looks.insert((row.text(0)?.to_owned(), row.key(1)?), row.key(2)?);
            }
        }
        Ok(looks)
    }

    /// Remembers the units that were looked at as a whole: one that could not find something out is looked at again.
    pub(crate) async fn remember_visits(
        &mut self,
        running: &RunningScan,
        ended: &[EndedUnit],
        seen: &[Vec<Seen>],
    ) -> Result<(), StoreError> {
        let spared: Vec<_> = ended
            .iter()
            .zip(seen)
            .filter(|(ended, _)| can_be_spared(&ended.unit) && is_whole(&ended.result))
            .filter_map(|(ended, seen)| {
                depends_on(&ended.unit)
                    .map(|(kind, identity)| (ended, seen, (kind.to_owned(), digest(&identity))))
            })
            .collect();
        let wanted = spared.iter().map(|(_, _, (_, subject))| *subject).collect();
        let looks = self.looks_for_many(running, &wanted).await?;
        let mut latest = BTreeMap::new();
        for (ended, seen, on) in spared {
            let Some(looks) = looks.get(&on) else { continue };
            see(&mut latest, ended.unit.key(), ended.moment(), (ended, seen, looks));
        }
        let mut rows = Vec::with_capacity(latest.len());
        for (key, Sight { last, what: (ended, seen, looks), .. }) in latest {
            rows.push(vec![
                self.tenant(),
                key.0.into(),
                (*looks).into(),
                running.checks.as_str().into(),
                last.at.into(),
                last.task.as_uuid().into(),
                running.id.to_string().into(),
                json(&ended.result.learned)?,
                json(seen)?,
            ]);
        }
        let head = "INSERT INTO unit_visits (tenant_id, unit_key, looks, checks, looked_at, task_id, scan_id, learned, seen)";
        let tail = "ON CONFLICT (tenant_id, unit_key) DO UPDATE SET looks = excluded.looks, checks = excluded.checks, \
                    looked_at = excluded.looked_at, task_id = excluded.task_id, scan_id = excluded.scan_id, \
                    learned = excluded.learned, seen = excluded.seen \
                    WHERE (excluded.looked_at, excluded.task_id) >= (unit_visits.looked_at, unit_visits.task_id)";
        self.session.insert(head, &rows, tail).await.map(drop)
    }

    /// The result that still counts, when the request allows that and there is one.
    pub(crate) async fn visit(
        &mut self,
        running: &RunningScan,
        unit: &Unit,
    ) -> Result<Option<Visit>, StoreError> {
        let window = running.request.unchanged_for;
        if window.is_zero() || !can_be_spared(unit) {
            return Ok(None);
        }
        let Some(looks) = self.looks_for(running, unit).await? else { return Ok(None) };
        let UnitKey(key) = unit.key();
        let since = self.now.saturating_sub(window).unwrap_or(jiff::Timestamp::MIN);
        let values = [self.tenant(), key.into(), looks.into(), running.checks.as_str().into(), since.into()];
        let sql = "SELECT learned, seen, looked_at, scan_id FROM unit_visits WHERE tenant_id = $1 AND unit_key = $2 \
                   AND looks = $3 AND checks = $4 AND looked_at >= $5";
        let rows = self.query(sql, &values).await?;
        rows.first()
            .map(|row| {
                let told = format!(
                    "it looks as it did for scan {} at {}, and was not looked at again",
                    row.text(3)?,
                    row.time(2)?
                );
                Ok(Visit { learned: row.json(0)?, seen: row.json(1)?, told })
            })
            .transpose()
    }

    /// What was seen then counts as seen by this scan.
    pub(crate) async fn see_again(
        &mut self,
        running: &mut RunningScan,
        visit: &Visit,
    ) -> Result<(), StoreError> {
        for is_finding in [false, true] {
            let rows: Vec<Vec<Value>> = visit
                .seen
                .iter()
                .filter(|(kind, _, _)| (kind == "finding") == is_finding)
                .map(|(kind, subject, looks)| {
                    vec![
                        self.tenant(),
                        running.id.to_string().into(),
                        kind.as_str().into(),
                        (*subject).into(),
                        (*looks).into(),
                    ]
                })
                .collect();
            let head = "INSERT INTO observations (tenant_id, scan_id, kind, subject, looks)";
            let new = self.session.insert(head, &rows, "ON CONFLICT DO NOTHING").await?;
            if is_finding { running.findings += new } else { running.assets += new }
        }
        Ok(())
    }
}
