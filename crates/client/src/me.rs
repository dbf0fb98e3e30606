//! Who asks, and whose they are.

use jiff::Timestamp;
use model::{
    Permission, Role,
    record::{KeyRecord, TenantRecord},
    usage::Usage,
};
use serde::Deserialize;

use crate::{Client, ClientError};

/// Who asks, and what they may.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Me {
    /// What they are.
    pub role: Role,
    /// What that lets them do.
    pub permissions: Vec<Permission>,
    /// The key that they have shown.
    pub key: KeyRecord,
}

impl Client {
    /// What the tenant has used within a time; within the last 30 days without.
    pub async fn usage(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Result<Usage, ClientError> {
        self.get(&["usage"]).query_if("since", since).query_if("until", until).answer().await
    }

    /// Says who asks, and what they may.
    pub async fn me(&self) -> Result<Me, ClientError> {
        self.get(&["me"]).answer().await
    }

    /// The tenant that who asks belongs to.
    pub async fn tenant(&self) -> Result<TenantRecord, ClientError> {
        self.get(&["tenant"]).answer().await
    }
}
