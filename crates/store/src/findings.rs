//! Findings as people look at them: where each stands, and what somebody makes of it.

use std::collections::{BTreeMap, BTreeSet};

use model::{
    By, CheckId, Finding, Fingerprint, Happening, ScanId, Severity, TenantId,
    finding::{Decision, History},
    list::FindingCursor,
    record::KnownFinding,
};

use crate::{
    Store, StoreError,
    audit::Act,
    list::Question,
    session::TenantTx,
    value::{Row, Value, json, places},
};

/// Findings that are read at once while those that stand somewhere are looked for.
const PAGE: usize = 500;

/// Which findings somebody means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FindingFilter {
    /// Only those that this scan saw.
    pub scan: Option<ScanId>,
    /// Only as severe as this, or more.
    pub at_least: Option<Severity>,
    /// Only of this check.
    pub check: Option<CheckId>,
    /// Only those that stand somewhere among these, in [`model::finding::Life::WORDS`]; anywhere without any.
    pub states: Vec<&'static str>,
    /// The most severe first and of these the newest, instead of in the order of their fingerprints.
    pub worst_first: bool,
    /// From after this one on.
    pub after: Option<FindingCursor>,
}

const FINDING: &str = "findings.fingerprint, body, verdict, decided_at, decided_by, reason, first_seen";

/// Nobody decided anything about what stands elsewhere.
const DECIDED: [&str; 3] = ["triaged", "accepted", "false-positive"];

impl FindingFilter {
    /// Right behind that one, in this order.
    fn place(&self, row: &Row) -> Result<FindingCursor, StoreError> {
        let alone = FindingCursor::from(Fingerprint::from_stored(row.key(0)?));
        let finding: Finding = row.json(1)?;
        let stood = (row.time(6)?, finding.severity);
        Ok(FindingCursor { stood: self.worst_first.then_some(stood), ..alone })
    }
}

fn decision(row: &Row, verdict: usize, at: usize) -> Result<Option<Decision>, StoreError> {
    Ok(match (row.maybe_json(verdict)?, row.maybe_time(at)?) {
        (Some(verdict), Some(at)) => Some(Decision { at, verdict }),
        _ => None,
    })
}

impl TenantTx<'_> {
    async fn read_findings(
        &mut self,
        filter: &FindingFilter,
        at_most: usize,
        looks: usize,
    ) -> Result<(Vec<KnownFinding>, Option<FindingCursor>), StoreError> {
        let mut after = filter.after;
        if filter.states.is_empty() {
            let rows = self.finding_rows(filter, after, at_most).await?;
            let found = self.known(&rows).await?;
            let next = rows.last().filter(|_| found.len() >= at_most).map(|last| filter.place(last));
            return Ok((found, next.transpose()?));
        }
        // Where one stands is the model's to say, not a statement's.
        let (mut found, mut looked_at) = (Vec::new(), 0);
        loop {
            let rows = self.finding_rows(filter, after, PAGE).await?;
            let Some(last) = rows.last() else { return Ok((found, None)) };
            let last = filter.place(last)?;
            after = Some(last);
            looked_at += rows.len();
            let known = self.known(&rows).await?;
            found.extend(known.into_iter().filter(|known| filter.states.contains(&known.life.word())));
            if found.len() >= at_most {
                found.truncate(at_most);
                let last = found.last().map(|known| known.finding.fingerprint.bytes());
                let place = rows.iter().find(|row| row.key(0).ok() == last).map(|row| filter.place(row));
                return Ok((found, place.transpose()?));
            }
            if looked_at >= looks {
                return Ok((found, Some(last)));
            }
        }
    }

    async fn finding_rows(
        &mut self,
        filter: &FindingFilter,
        after: Option<FindingCursor>,
        at_most: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let mut wanted = Question::of(self.tenant());
        let seen = "EXISTS (SELECT 1 FROM observations WHERE observations.tenant_id = $1 AND scan_id = # \
                    AND kind = 'finding' AND subject = findings.fingerprint)";
        wanted.with_any(seen, filter.scan.map(|scan| scan.to_string()));
        wanted.with_any("severity >= #", filter.at_least.map(|severity| severity as u8));
        wanted.with_any("check_id = #", filter.check.as_ref().map(CheckId::as_str));
        let at = after.map(|after| after.fingerprint.bytes());
        match (filter.worst_first, after.and_then(|after| after.stood)) {
            (false, _) => wanted.with_any("fingerprint > #", at),
            (true, Some((first_seen, severity))) => {
                wanted.values.extend([(severity as u8).into(), first_seen.into()]);
                let last = wanted.values.len();
                let beyond =
                    format!("(severity, first_seen, fingerprint) < (${}, ${last}, #)", last - 1);
                wanted.with_any(&beyond, at);
            }
            (true, None) => wanted.with_any(
                "(severity, first_seen, fingerprint) < (SELECT severity, first_seen, fingerprint FROM findings \
                 WHERE tenant_id = $1 AND fingerprint = #)",
                at,
            ),
        }
        if !filter.states.is_empty() && filter.states.iter().all(|state| DECIDED.contains(state)) {
            wanted.also("verdict IS NOT NULL");
        }
        let order = if filter.worst_first {
            "severity DESC, first_seen DESC, fingerprint DESC"
        } else {
            "fingerprint"
        };
        let Question { condition, values } = wanted;
        let sql =
            format!("SELECT {FINDING} FROM findings WHERE {condition} ORDER BY {order} LIMIT {at_most}");
        self.query(&sql, &values).await
    }

    async fn decide(
        &mut self,
        fingerprints: &BTreeSet<Fingerprint>,
        decision: Decision,
        by: &By,
        reason: &str,
    ) -> Result<Vec<KnownFinding>, StoreError> {
        let mut values = vec![self.tenant()];
        values.extend(fingerprints.iter().map(|fingerprint| Value::from(fingerprint.bytes())));
        // In the order of their keys: two who decide about the same never wait for each other.
        let lock = self.dialect().for_update();
        let sql = format!(
            "SELECT {FINDING} FROM findings WHERE tenant_id = $1 AND fingerprint IN ({}) ORDER BY fingerprint{lock}",
            places(2, fingerprints.len())
        );
        let rows = self.query(&sql, &values).await?;
        let held = self.known(&rows).await?;
        let there: BTreeSet<Fingerprint> = held.iter().map(|known| known.finding.fingerprint).collect();
        if let Some(missing) = fingerprints.difference(&there).next() {
            return Err(StoreError::Missing { kind: "finding", name: missing.to_string() });
        }
        let Decision { at, verdict } = decision;
        for known in held.iter().filter(|known| known.history.decision.max(Some(decision)) == Some(decision))
        {
            let fingerprint = known.finding.fingerprint;
            let values = [
                self.tenant(),
                fingerprint.bytes().into(),
                json(&verdict)?,
                at.into(),
                by.name.as_str().into(),
                reason.into(),
            ];
            let sql = "UPDATE findings SET verdict = $3, decided_at = $4, decided_by = $5, reason = $6 \
                       WHERE tenant_id = $1 AND fingerprint = $2";
            self.execute(sql, &values).await?;
            let act = Act::new(by, "finding.decide", fingerprint).detail(format!("{verdict}: {reason}"));
            self.audit(act.before(&known.history.decision)?.after(&decision)?);
            self.tell(Happening::FindingDecided { finding: fingerprint, verdict, by: by.name.clone() });
        }
        let rows = self.query(&sql, &values).await?;
        self.known(&rows).await
    }

    /// With their histories; without those that nobody ever saw.
    async fn known(&mut self, rows: &[Row]) -> Result<Vec<KnownFinding>, StoreError> {
        let fingerprints = rows.iter().map(|row| row.key(0)).collect::<Result<Vec<_>, _>>()?;
        let mut looks = self.looks(&fingerprints).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            let places = looks.remove(&row.key(0)?).unwrap_or_default();
            let Some(history) = History::over(&places, decision(row, 2, 3)?) else { continue };
            found.push(KnownFinding {
                finding: row.json(1)?,
                history,
                life: history.life(self.now),
                decided_by: row.maybe_text(4)?.map(str::to_owned),
                decided_because: row.maybe_text(5)?.map(str::to_owned),
            });
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
}

impl Store {
    /// Findings, without evidence.
    pub async fn findings(
        &self,
        tenant: TenantId,
        filter: FindingFilter,
        at_most: usize,
    ) -> Result<Vec<KnownFinding>, StoreError> {
        let found = self.look_for_findings(tenant, filter, at_most, usize::MAX).await?;
        Ok(found.0)
    }

    /// The same, having looked at no more than about so many, and after which to go on, when there may be more.
    pub async fn look_for_findings(
        &self,
        tenant: TenantId,
        filter: FindingFilter,
        at_most: usize,
        looks: usize,
    ) -> Result<(Vec<KnownFinding>, Option<FindingCursor>), StoreError> {
        self.read_tenant(tenant, move |tx| {
            Box::pin(async move { tx.read_findings(&filter, at_most, looks).await })
        })
        .await
    }

    /// One finding, with its evidence and every machine on which it is seen.
    pub async fn finding(
        &self,
        tenant: TenantId,
        fingerprint: Fingerprint,
    ) -> Result<KnownFinding, StoreError> {
        let missing = || StoreError::Missing { kind: "finding", name: fingerprint.to_string() };
        let known = self
            .read_tenant(tenant, move |tx| {
                Box::pin(async move {
                    let sql =
                        format!("SELECT {FINDING} FROM findings WHERE tenant_id = $1 AND fingerprint = $2");
                    let rows = tx.query(&sql, &[tx.tenant(), fingerprint.bytes().into()]).await?;
                    tx.known(&rows).await
                })
            })
            .await?;
        let known = known.into_iter().next().ok_or_else(missing)?;
        let documents = self.finding_documents(tenant, vec![fingerprint]).await?;
        let finding = documents.into_iter().next().ok_or_else(missing)?;
        Ok(KnownFinding { finding, ..known })
    }

    /// What somebody makes of findings: of each of them, or of none when one is not there. Where a later decision stands this one
    /// changes nothing. As they are then, without evidence: this decision is the one in their history where it holds.
    pub async fn decide(
        &self,
        tenant: TenantId,
        fingerprints: BTreeSet<Fingerprint>,
        decision: Decision,
        by: impl Into<By>,
        reason: String,
    ) -> Result<Vec<KnownFinding>, StoreError> {
        let by = by.into();
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move { tx.decide(&fingerprints, decision, &by, &reason).await })
        })
        .await
    }
}
