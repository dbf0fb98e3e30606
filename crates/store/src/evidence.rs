//! What was sent and what came back: in the database, or in object storage with the key in the database.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use model::{
    Evidence, Finding, Fingerprint, ScanId, TaskId, TenantId,
    finding::{EvidenceId, EvidenceRecord},
};
use tokio::time::Instant;

use crate::{
    Ending, ObjectKey, Objects, Settlement, Store, StoreError,
    looks::Moment,
    objects::LONGEST_PUT,
    session::TenantTx,
    value::{Row, Value, json, places},
};

/// Objects on their way there at once.
const AT_ONCE: usize = 16;
/// Objects on their way here at once: each is held as a whole.
const READ_AT_ONCE: usize = 4;
/// Objects that the sweep looks at in one transaction.
const SWEPT_AT_ONCE: usize = 1_000;

/// What an object holds: of each finding of one unit.
type Document = BTreeMap<Fingerprint, Vec<Evidence>>;

/// Where the evidence of a finding is.
enum Kept {
    Here(Vec<Evidence>),
    There(ObjectKey),
}

impl TenantTx<'_> {
    /// The evidence of the latest look at these findings, or the name of the object that has it.
    pub(crate) async fn write_evidence(
        &mut self,
        scan: ScanId,
        findings: &[(&Finding, Option<&ObjectKey>, Moment)],
    ) -> Result<(), StoreError> {
        let mut rows = Vec::with_capacity(findings.len());
        for (finding, object, taken) in findings {
            let body = match object {
                Some(_) => None::<String>.into(),
                None => json(&finding.evidence)?,
            };
            rows.push(vec![
                self.tenant(),
                finding.fingerprint.bytes().into(),
                scan.to_string().into(),
                body,
                object.map(|key| key.as_str().to_owned()).into(),
                taken.at.into(),
                taken.task.as_uuid().into(),
            ]);
        }
        let head = "INSERT INTO evidence (tenant_id, fingerprint, scan_id, body, object, taken_at, task_id)";
        let tail = "ON CONFLICT (tenant_id, fingerprint) DO UPDATE SET scan_id = excluded.scan_id, body = excluded.body, \
                    object = excluded.object, taken_at = excluded.taken_at, task_id = excluded.task_id \
                    WHERE (excluded.taken_at, excluded.task_id) >= (evidence.taken_at, evidence.task_id)";
        self.session.insert(head, &rows, tail).await.map(drop)
    }

    fn kept(&self, row: &Row, body: usize, object: usize) -> Result<Kept, StoreError> {
        match row.maybe_text(object)? {
            Some(key) => ObjectKey::of_tenants_evidence(self.tenant, key).map(Kept::There),
            None => Ok(Kept::Here(row.maybe_json(body)?.unwrap_or_default())),
        }
    }

    /// Findings with every machine on which they are seen, and where their evidence is.
    async fn read_documents(
        &mut self,
        fingerprints: &[Fingerprint],
    ) -> Result<Vec<(Finding, Kept)>, StoreError> {
        let mut values = vec![self.tenant()];
        values.extend(fingerprints.iter().map(|fingerprint| Value::from(fingerprint.bytes())));
        let wanted = places(2, fingerprints.len());
        let sql = format!(
            "SELECT fingerprint, address FROM sightings WHERE tenant_id = $1 AND fingerprint IN ({wanted}) \
             AND address IS NOT NULL AND (last_missed IS NULL OR last_missed <= last_seen)"
        );
        let mut machines: BTreeMap<[u8; 16], BTreeSet<std::net::IpAddr>> = BTreeMap::new();
        for row in self.query(&sql, &values).await? {
            machines.entry(row.key(0)?).or_default().insert(row.word(1)?);
        }
        let sql = format!(
            "SELECT findings.fingerprint, findings.body, evidence.body, evidence.object FROM findings LEFT JOIN evidence \
             ON evidence.tenant_id = findings.tenant_id AND evidence.fingerprint = findings.fingerprint \
             WHERE findings.tenant_id = $1 AND findings.fingerprint IN ({wanted})"
        );
        let mut found = BTreeMap::new();
        for row in self.query(&sql, &values).await? {
            let key = row.key(0)?;
            let mut finding: Finding = row.json(1)?;
            if let Some(machines) = machines.remove(&key) {
                finding.addresses = machines.into_iter().collect();
            }
            found.insert(key, (finding, self.kept(&row, 2, 3)?));
        }
        Ok(fingerprints.iter().filter_map(|fingerprint| found.remove(&fingerprint.bytes())).collect())
    }

    /// Those of these objects that no finding names.
    async fn unnamed(&mut self, keys: Vec<ObjectKey>) -> Result<Vec<ObjectKey>, StoreError> {
        let sql = format!(
            "SELECT object FROM evidence WHERE tenant_id = $1 AND object IN ({})",
            places(2, keys.len())
        );
        let mut values = vec![self.tenant()];
        values.extend(keys.iter().map(|key| Value::from(key.as_str())));
        let mut named = BTreeSet::new();
        for row in self.query(&sql, &values).await? {
            named.insert(row.text(0)?.to_owned());
        }
        Ok(keys.into_iter().filter(|key| !named.contains(key.as_str())).collect())
    }
}

impl Store {
    /// Brings the evidence of these results to object storage, when that is where it goes, before anything names it. Its key for
    /// each of them; none when the storage is away or slow: then it goes into the database, since results wait for it for some seconds,
    /// all of them together, and no longer. Who says the same again writes the same again.
    pub(crate) async fn keep_evidence(
        &self,
        settlements: &[Settlement],
    ) -> Result<Vec<Option<ObjectKey>>, StoreError> {
        let Some(objects) = &self.evidence else { return Ok(vec![None; settlements.len()]) };
        let begin_by = Instant::now() + LONGEST_PUT;
        let keeping = settlements.iter().map(|Settlement { lease, ending, .. }| async move {
            let findings = match ending {
                Ending::Unit(result) if !result.findings.is_empty() => &result.findings,
                _ => return Ok(None),
            };
            let document: BTreeMap<Fingerprint, &Vec<Evidence>> =
                findings.iter().map(|finding| (finding.fingerprint, &finding.evidence)).collect();
            let body = serde_json::to_vec(&document)
                .map_err(|error| StoreError::Invalid(format!("evidence cannot be written: {error}")))?;
            let key = ObjectKey::evidence(lease);
            Ok(objects.try_to_put(&key, body, begin_by).await.then_some(key))
        });
        // Not a stream over the closure: such a one is not `Send` for every lifetime.
        let keeping: Vec<_> = keeping.collect();
        stream::iter(keeping).buffered(AT_ONCE).try_collect().await
    }

    fn objects_of_evidence(&self) -> Result<&Objects, StoreError> {
        self.evidence.as_ref().ok_or_else(|| {
            StoreError::Invalid("the evidence is in object storage, and it was not said in which".to_owned())
        })
    }

    async fn read_document(&self, key: &ObjectKey) -> Result<Document, StoreError> {
        let body = self.objects_of_evidence()?.get(key).await?;
        serde_json::from_slice(&body)
            .map_err(|error| StoreError::Damaged(format!("the object `{key}` is no evidence: {error}")))
    }

    /// These findings as a report shows them: with evidence, and with every machine on which they are seen. In the order in which they
    /// are asked for; what is gone in the meantime is left out.
    pub async fn finding_documents(
        &self,
        tenant: TenantId,
        fingerprints: Vec<Fingerprint>,
    ) -> Result<Vec<Finding>, StoreError> {
        let found = self
            .read_tenant(tenant, move |tx| Box::pin(async move { tx.read_documents(&fingerprints).await }))
            .await?;
        let mut asked: BTreeMap<&ObjectKey, BTreeSet<Fingerprint>> = BTreeMap::new();
        for (finding, kept) in &found {
            if let Kept::There(key) = kept {
                asked.entry(key).or_default().insert(finding.fingerprint);
            }
        }
        let reading = asked.into_iter().map(|(key, wanted)| async move {
            match self.read_document(key).await {
                // A rule of the bucket, or a person, removed it. What was found remains true, and that something is missing is said.
                Err(StoreError::Missing { .. }) => {
                    tracing::warn!(%key, "evidence is gone from the object storage");
                    Ok((key.clone(), None))
                }
                read => read.map(|mut document| {
                    document.retain(|fingerprint, _| wanted.contains(fingerprint));
                    (key.clone(), Some(document))
                }),
            }
        });
        let reading: Vec<_> = reading.collect();
        let mut documents: BTreeMap<ObjectKey, Option<Document>> =
            stream::iter(reading).buffer_unordered(READ_AT_ONCE).try_collect().await?;
        Ok(found
            .into_iter()
            .map(|(mut finding, kept)| {
                finding.evidence = match kept {
                    Kept::Here(evidence) => evidence,
                    Kept::There(key) => match documents.get_mut(&key) {
                        Some(Some(document)) => document.remove(&finding.fingerprint).unwrap_or_default(),
                        _ => vec![Evidence { truncated: true, ..Evidence::default() }],
                    },
                };
                finding
            })
            .collect())
    }

    /// What the latest look at a finding has left, in its order: what is known of it, and what it was, unless somebody removed it.
    pub async fn evidence(
        &self,
        tenant: TenantId,
        finding: Fingerprint,
    ) -> Result<Vec<(EvidenceRecord, Option<Evidence>)>, StoreError> {
        let found = self
            .read_tenant(tenant, move |tx| {
                Box::pin(async move {
                    let sql = "SELECT evidence.scan_id, evidence.taken_at, evidence.task_id, evidence.body, evidence.object \
                               FROM findings LEFT JOIN evidence ON evidence.tenant_id = findings.tenant_id \
                               AND evidence.fingerprint = findings.fingerprint \
                               WHERE findings.tenant_id = $1 AND findings.fingerprint = $2";
                    let values = [tx.tenant(), finding.bytes().into()];
                    let row = tx.one(sql, &values, ("finding", finding)).await?;
                    let Some(taken_at) = row.maybe_time(1)? else { return Ok(None) };
                    let scan: ScanId = row.word(0)?;
                    Ok(Some((scan, taken_at, TaskId::new(row.id(2)?), tx.kept(&row, 3, 4)?)))
                })
            })
            .await?;
        let Some((scan, taken_at, task, kept)) = found else { return Ok(Vec::new()) };
        let id = |number| EvidenceId { finding, task, number };
        let evidence = match kept {
            Kept::Here(evidence) => evidence,
            Kept::There(key) => match self.read_document(&key).await {
                Ok(mut document) => document.remove(&finding).unwrap_or_default(),
                Err(StoreError::Missing { .. }) => {
                    tracing::warn!(%key, "evidence is gone from the object storage");
                    return Ok(vec![(EvidenceRecord::gone(id(0), scan, taken_at), None)]);
                }
                Err(error) => return Err(error),
            },
        };
        let numbered = (0..).zip(evidence);
        Ok(numbered
            .map(|(number, evidence)| {
                (EvidenceRecord::of(id(number), scan, taken_at, &evidence), Some(evidence))
            })
            .collect())
    }

    /// Deletes evidence that no finding names and that was written longer ago than this: of results that came too late, and of what
    /// was looked at again since. How many objects. What belongs to tenants that this database does not know is somebody else's.
    pub async fn sweep_evidence(&self, kept_for: Duration) -> Result<u64, StoreError> {
        let Some(objects) = &self.evidence else { return Ok(0) };
        let before = self.clock().await?.saturating_sub(kept_for).unwrap_or(Timestamp::MIN);
        let tenants: BTreeSet<TenantId> = self.tenants().await?.iter().map(|tenant| tenant.id).collect();
        let mut swept = 0;
        let mut found = objects.evidence_before(before).try_chunks(SWEPT_AT_ONCE);
        while let Some(chunk) = found.next().await {
            let mut of_tenants: BTreeMap<TenantId, Vec<ObjectKey>> = BTreeMap::new();
            for key in chunk.map_err(|error| error.1)? {
                if let Some(tenant) = key.tenant_of_evidence().filter(|tenant| tenants.contains(tenant)) {
                    of_tenants.entry(tenant).or_default().push(key);
                }
            }
            for (tenant, keys) in of_tenants {
                let unnamed = self
                    .read_tenant(tenant, move |tx| Box::pin(async move { tx.unnamed(keys).await }))
                    .await?;
                let deleting: Vec<_> = unnamed.iter().map(|key| objects.delete(key)).collect();
                swept += unnamed.len() as u64;
                stream::iter(deleting).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
            }
        }
        objects.remove_all_unfinished().await?;
        Ok(swept)
    }
}
