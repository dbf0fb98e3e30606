//! What tenants say for themselves.

use model::{By, TenantId, record::TenantSettings};

use crate::{Store, StoreError, audit::Act, session::TenantTx, value::Row};

fn read(row: &Row) -> Result<TenantSettings, StoreError> {
    let days = row.maybe_count(0)?.map(u32::try_from).transpose();
    let keep_scans_days =
        days.map_err(|error| StoreError::Damaged(format!("scans are kept for too many days: {error}")))?;
    Ok(TenantSettings { keep_scans_days })
}

impl TenantTx<'_> {
    /// Who has said nothing has the usual ones.
    pub(crate) async fn settings(&mut self, lock: &str) -> Result<TenantSettings, StoreError> {
        let sql = format!("SELECT keep_scans_days FROM tenant_settings WHERE tenant_id = $1{lock}");
        let rows = self.query(&sql, &[self.tenant()]).await?;
        rows.first().map(read).transpose().map(Option::unwrap_or_default)
    }

    async fn change_settings(
        &mut self,
        seen: Option<TenantSettings>,
        change: impl FnOnce(TenantSettings) -> TenantSettings,
        by: &By,
    ) -> Result<TenantSettings, StoreError> {
        // There is a row to hold from now on.
        let sql = "INSERT INTO tenant_settings (tenant_id) VALUES ($1) ON CONFLICT DO NOTHING";
        self.execute(sql, &[self.tenant()]).await?;
        let lock = self.dialect().for_update();
        let before = self.settings(lock).await?;
        StoreError::changed_unless(seen.is_none_or(|seen| seen == before), "settings", self.tenant)?;
        let after = change(before);
        let sql = "UPDATE tenant_settings SET keep_scans_days = $2 WHERE tenant_id = $1";
        let days = after.keep_scans_days.map(u64::from);
        self.execute(sql, &[self.tenant(), days.into()]).await?;
        if after != before {
            let act = Act::new(by, "settings.change", self.tenant);
            self.audit(act.before(&before)?.after(&after)?);
        }
        Ok(after)
    }
}

impl Store {
    /// What a tenant has said for itself.
    pub async fn settings(&self, tenant: TenantId) -> Result<TenantSettings, StoreError> {
        self.read_tenant(tenant, |tx| Box::pin(async move { tx.settings("").await })).await
    }

    /// Changes what a tenant says for itself, as it is after it.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when it is not any more what somebody has seen, if they say what.
    pub async fn change_settings(
        &self,
        tenant: TenantId,
        seen: Option<TenantSettings>,
        change: impl FnOnce(TenantSettings) -> TenantSettings + Send + 'static,
        by: impl Into<By>,
    ) -> Result<TenantSettings, StoreError> {
        let by = by.into();
        self.of_tenant(tenant, move |tx| Box::pin(async move { tx.change_settings(seen, change, &by).await }))
            .await
    }
}
