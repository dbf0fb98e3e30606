//! Signs what the audit has come to, and purges it of what is old.
//!
//! What it has signed it remembers for as long as it runs: checkpoints that are taken away meanwhile are missed, and nothing that was
//! put in their place is signed.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use model::{
    TenantId,
    audit::{AuditKey, Broken, Checkpoint},
};
use store::{Store, StoreError};
use tokio::sync::Mutex;

/// Signs with a key, and keeps what is signed for a time.
#[derive(Debug)]
pub struct Notary {
    key: Arc<AuditKey>,
    kept_for: Option<Duration>,
    seen: Arc<Mutex<BTreeMap<Option<TenantId>, Checkpoint>>>,
}

impl Notary {
    /// With this key. Entries are kept for good, or for so long.
    pub fn new(key: AuditKey, kept_for: Option<Duration>) -> Notary {
        Notary { key: Arc::new(key), kept_for, seen: Arc::default() }
    }

    /// The same, who knows what the one before has signed.
    pub fn after(&self, before: &Notary) -> Notary {
        Notary { key: Arc::clone(&self.key), kept_for: self.kept_for, seen: Arc::clone(&before.seen) }
    }

    /// Looks after each chain once. What is wrong with one holds up no other.
    pub async fn look_after(&self, store: &Store) {
        let chains = match store.audit_chains().await {
            Ok(chains) => chains,
            Err(error) => return tracing::warn!(%error, "the audit is not signed now; it is tried again"),
        };
        for (tenant, moved) in chains {
            if moved && !told(tenant, self.sign(store, tenant).await) {
                continue;
            }
            if let Some(kept_for) = self.kept_for {
                told(tenant, self.purge(store, tenant, kept_for).await);
            }
        }
    }

    async fn sign(
        &self,
        store: &Store,
        tenant: Option<TenantId>,
    ) -> Result<Result<Option<Checkpoint>, Broken>, StoreError> {
        let mut seen = self.seen.lock().await;
        let signed = store.sign_audit(tenant, &self.key, seen.get(&tenant)).await?;
        if let Ok(Some(checkpoint)) = &signed {
            seen.insert(tenant, checkpoint.clone());
        }
        Ok(signed)
    }

    async fn purge(
        &self,
        store: &Store,
        tenant: Option<TenantId>,
        kept_for: Duration,
    ) -> Result<Result<Option<Checkpoint>, Broken>, StoreError> {
        let mut seen = self.seen.lock().await;
        let purged = store.purge_audit(tenant, kept_for, &self.key).await?;
        if let Ok(Some(checkpoint)) = &purged {
            seen.insert(tenant, checkpoint.clone());
        }
        Ok(purged)
    }
}

/// Is all well with the chain? Lines of the log are witnesses, too: they go where the database is not.
fn told(tenant: Option<TenantId>, done: Result<Result<Option<Checkpoint>, Broken>, StoreError>) -> bool {
    let chain = tenant.map_or_else(|| "installation".to_owned(), |tenant| tenant.to_string());
    match done {
        Ok(Ok(Some(signed))) => {
            let Checkpoint { number, purged, .. } = signed;
            let end = signed.end();
            tracing::info!(chain, checkpoint = number, %end, purged, "the audit was signed");
            true
        }
        Ok(Ok(None)) => true,
        Ok(Err(broken)) => {
            tracing::error!(
                chain,
                %broken,
                "the audit is not whole and is neither signed nor purged: `rampart audit verify` tells more"
            );
            false
        }
        Err(error) => {
            tracing::warn!(chain, %error, "the audit is not signed now; it is tried again");
            false
        }
    }
}
