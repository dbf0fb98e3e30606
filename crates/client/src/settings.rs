//! What the tenant says for itself.

use model::record::TenantSettings;
use reqwest::Method;

use crate::{Client, ClientError};

impl Client {
    /// What the tenant says for itself.
    pub async fn settings(&self) -> Result<TenantSettings, ClientError> {
        self.get(&["settings"]).answer().await
    }

    /// Says all of it anew.
    pub async fn change_settings(&self, settings: &TenantSettings) -> Result<TenantSettings, ClientError> {
        self.request(Method::PATCH, &["settings"]).body(settings).answer().await
    }
}
