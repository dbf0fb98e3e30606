//! The emergency stop, as far as a tenant reaches: all of it, or one scan. Who runs the platform reaches everything.

use model::{ScanId, Stage, Stop, TenantId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Client, ClientError};

/// What to stop, or to let go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReach {
    /// Everything of the key's tenant.
    Own,
    /// One scan of it.
    Scan(ScanId),
    /// Everything of that tenant, by who runs the platform.
    Tenant(TenantId),
    /// That stage of everybody, by who runs the platform.
    Stage(Stage),
    /// Everything of everybody, by who runs the platform.
    Everything,
}

#[derive(Default, Serialize)]
struct Order<'o> {
    #[serde(skip_serializing_if = "Option::is_none")]
    scan: Option<ScanId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<TenantId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<Stage>,
    everything: bool,
    reason: &'o str,
}

impl StopReach {
    fn order(self, reason: &str) -> Order<'_> {
        let order = Order { reason, ..Order::default() };
        match self {
            StopReach::Own => order,
            StopReach::Scan(scan) => Order { scan: Some(scan), ..order },
            StopReach::Tenant(tenant) => Order { tenant: Some(tenant), ..order },
            StopReach::Stage(stage) => Order { stage: Some(stage), ..order },
            StopReach::Everything => Order { everything: true, ..order },
        }
    }
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

    /// Every stop there is, for who runs the platform.
    pub async fn all_stops(&self) -> Result<Vec<Stop>, ClientError> {
        self.get(&["stops"]).query("all", true).answer().await.map(|Stops { stops }| stops)
    }

    /// Orders a stop. A connection that breaks does not lose it.
    pub async fn order_stop(&self, reach: StopReach, reason: &str) -> Result<Stop, ClientError> {
        let own = Uuid::now_v7().to_string();
        self.post(&["stops"]).body(&reach.order(reason)).once(&own)?.answer().await
    }

    /// Lifts what was stopped in the same way: what was lifted.
    pub async fn lift_stops(&self, reach: StopReach, reason: &str) -> Result<Vec<Stop>, ClientError> {
        let request = self.post(&["stops", "lift"]).body(&reach.order(reason));
        request.answer().await.map(|Stops { stops }| stops)
    }
}
