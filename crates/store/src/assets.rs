//! What exists, as scans saw it.

use std::collections::BTreeMap;

use model::{Asset, ScanId, TenantId};

use crate::{Store, StoreError, session::TenantTx};

impl TenantTx<'_> {
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
