//! What workers may send for scans that may only send so much: they ask before they send, so that no scan sends more.

use model::{
    ScanId, ScanRequest, TenantId,
    scan::{Budget, Exhausted, ScanEnd},
};

use crate::{Store, StoreError, scans::KNOWN, session::TenantTx};

impl TenantTx<'_> {
    /// What a scan may take, and how many packets of that were granted: held until the transaction ends.
    async fn granted(&mut self, scan: ScanId) -> Result<(Budget, u64), StoreError> {
        let lock = self.dialect().for_update();
        let sql = format!(
            "SELECT request, granted FROM scans WHERE tenant_id = $1 AND scan_id = $2 AND {KNOWN}{lock}"
        );
        let row = self.one(&sql, &[self.tenant(), scan.to_string().into()], ("scan", scan)).await?;
        let request: ScanRequest = row.json(0)?;
        Ok((request.budget, row.count(1)?))
    }

    async fn set_granted(&mut self, scan: ScanId, granted: u64) -> Result<(), StoreError> {
        let sql = "UPDATE scans SET granted = $3 WHERE tenant_id = $1 AND scan_id = $2";
        self.execute(sql, &[self.tenant(), scan.to_string().into(), granted.into()]).await.map(drop)
    }
}

impl Store {
    /// Lets a worker send so many more packets for a scan, or fewer, or none: how many ([`Budget::grant`]).
    pub async fn grant_packets(
        &self,
        tenant: TenantId,
        scan: ScanId,
        wanted: u64,
    ) -> Result<u64, StoreError> {
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let (budget, before) = tx.granted(scan).await?;
                let more = budget.grant(wanted, before);
                if more > 0 {
                    tx.set_granted(scan, before.saturating_add(more)).await?;
                }
                Ok(more)
            })
        })
        .await
    }

    /// Gives back what was granted and not sent.
    pub async fn return_packets(
        &self,
        tenant: TenantId,
        scan: ScanId,
        packets: u64,
    ) -> Result<(), StoreError> {
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let (_, before) = tx.granted(scan).await?;
                tx.set_granted(scan, before.saturating_sub(packets)).await
            })
        })
        .await
    }

    /// Somebody could send more for a scan, and nothing is left to be granted: it ends.
    pub async fn end_for_packets(&self, tenant: TenantId, scan: ScanId) -> Result<bool, StoreError> {
        self.of_tenant(tenant, move |tx| {
            Box::pin(
                async move { tx.stop_scan(scan, ScanEnd::Budget { exhausted: Exhausted::Packets }).await },
            )
        })
        .await
    }
}
