//! Scans that are asked for under a key: whoever got no answer asks again, and nothing is begun twice.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::{ScanId, Stage, TenantId};

use crate::{NewScan, Store, StoreError, scans::digest, session::TenantTx, tasks::KEYS_LIVE};

/// A scan that was asked for under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Which.
    pub scan: ScanId,
    /// It was begun now; otherwise somebody had asked for it with the same key.
    pub is_new: bool,
    /// Which stages to wake, and for how many tasks.
    pub planned: BTreeMap<Stage, usize>,
}

/// What was asked for, but not by whom, and not with what it happened to be answered.
fn asked(new: &NewScan) -> Result<[u8; 16], StoreError> {
    let text = serde_json::to_string(&(&new.request, &new.targets))
        .map_err(|error| StoreError::Invalid(format!("the request cannot be written: {error}")))?;
    Ok(digest(&text))
}

impl TenantTx<'_> {
    async fn submit_once(&mut self, new: &NewScan, key: &str) -> Result<Submission, StoreError> {
        let asked = asked(new)?;
        let id = ScanId::from_random(rand::random());
        let expires = self.now.saturating_add(KEYS_LIVE).unwrap_or(Timestamp::MAX);
        let values =
            [self.tenant(), key.into(), asked.into(), id.to_string().into(), expires.into(), self.now.into()];
        // Whoever asks at the same time waits here until this one is through.
        let sql = "INSERT INTO scan_keys (tenant_id, idempotency_key, asked, scan_id, expires_at) \
                   VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant_id, idempotency_key) DO UPDATE SET \
                   asked = excluded.asked, scan_id = excluded.scan_id, expires_at = excluded.expires_at \
                   WHERE scan_keys.expires_at <= $6";
        if self.execute(sql, &values).await? == 0 {
            // A statement of its own: it sees what was committed while the one before waited.
            let lock = self.dialect().for_update();
            let sql = format!(
                "SELECT asked, scan_id FROM scan_keys WHERE tenant_id = $1 AND idempotency_key = $2{lock}"
            );
            let row = self.one(&sql, &values[..2], ("idempotency key", key)).await?;
            let (of, scan) = (row.key(0)?, row.word(1)?);
            match self.one_scan(scan).await {
                Ok(_) if of == asked => {
                    return Ok(Submission { scan, is_new: false, planned: BTreeMap::new() });
                }
                Ok(_) => return Err(StoreError::KeyTaken(key.to_owned())),
                // It is forgotten, and its key with it.
                Err(StoreError::Missing { .. }) => {}
                Err(error) => return Err(error),
            }
            let sql = "UPDATE scan_keys SET asked = $3, scan_id = $4, expires_at = $5 \
                       WHERE tenant_id = $1 AND idempotency_key = $2";
            self.execute(sql, &values[..5]).await?;
        }
        let planned = self.submit_as(id, new).await?;
        Ok(Submission { scan: id, is_new: true, planned })
    }
}

impl Store {
    /// As [`Store::submit_scan`], but the same request under the same key is the same scan for a day, whoever asks. A request that
    /// is refused uses no key up.
    pub async fn submit_scan_once(
        &self,
        tenant: TenantId,
        new: NewScan,
        key: String,
    ) -> Result<Submission, StoreError> {
        self.of_tenant(tenant, move |tx| Box::pin(async move { tx.submit_once(&new, &key).await })).await
    }
}
