//! The emergency stop, as far as a tenant reaches: all of it, or one scan.

use model::{ScanId, Stop};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Client, ClientError};

#[derive(Serialize)]
struct Order<'o> {
    scan: Option<ScanId>,
    reason: &'o str,
}

#[derive(Deserialize)]
struct Stops {
    stops: Vec<Stop>,
}

impl Client {
    /// Every stop that concerns the tenant.
    pub async fn stops(&self) -> Result<Vec<Stop>, ClientError> {
        self.get(&["stops"]).answer().await.map(|Stops { stops }| stops)
    }

    /// Stops a scan, or everything of the tenant without one. A connection that breaks does not lose it.
    pub async fn order_stop(&self, scan: Option<ScanId>, reason: &str) -> Result<Stop, ClientError> {
        let own = Uuid::now_v7().to_string();
        self.post(&["stops"]).body(&Order { scan, reason }).once(&own)?.answer().await
    }

    /// Lifts what was stopped in the same way: what was lifted.
    pub async fn lift_stops(&self, scan: Option<ScanId>, reason: &str) -> Result<Vec<Stop>, ClientError> {
        let request = self.post(&["stops", "lift"]).body(&Order { scan, reason });
        request.answer().await.map(|Stops { stops }| stops)
    }
}
