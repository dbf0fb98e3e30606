//! The emergency stop: one switch that everybody who sends looks at before sending.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ScanId, Stage, StopId, TenantId};

/// How far a stop reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(tag = "reach", rename_all = "snake_case")]
pub enum Reach {
    /// Nobody sends anything.
    Everything,
    /// Nothing is sent for a tenant.
    Tenant {
        /// Whom.
        tenant: TenantId,
    },
    /// Nothing is sent for a scan.
    Scan {
        /// Whose.
        tenant: TenantId,
        /// Which.
        scan: ScanId,
    },
    /// No task of a stage is worked on.
    Stage {
        /// Which.
        stage: Stage,
    },
}

impl Reach {
    /// Does it stop that work?
    pub fn covers(&self, owner: TenantId, of_scan: Option<ScanId>, of_stage: Stage) -> bool {
        match *self {
            Reach::Everything => true,
            Reach::Tenant { tenant } => tenant == owner,
            Reach::Scan { tenant, scan } => tenant == owner && of_scan == Some(scan),
            Reach::Stage { stage } => stage == of_stage,
        }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reach::Everything => f.write_str("everything"),
            Reach::Tenant { tenant } => write!(f, "tenant {tenant}"),
            Reach::Scan { scan, .. } => write!(f, "scan {scan}"),
            Reach::Stage { stage } => write!(f, "stage {stage}"),
        }
    }
}

/// In whose name a stop is ordered, or lifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Authority {
    /// Of who runs the installation: no tenant lifts it, also where it reaches no further than that tenant.
    Installation,
    /// Of the tenant whom it stops.
    Tenant,
}

impl Authority {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Authority::Installation => "installation",
            Authority::Tenant => "tenant",
        }
    }

    /// May somebody who speaks in this name lift what was ordered in that one?
    pub fn may_lift(self, ordered: Authority) -> bool {
        self == Authority::Installation || self == ordered
    }
}

/// A stop that somebody ordered. It holds until a person lifts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stop {
    /// Which.
    pub id: StopId,
    /// How far.
    #[serde(flatten)]
    pub reach: Reach,
    /// In whose name.
    pub authority: Authority,
    /// Why.
    pub reason: String,
    /// Who ordered it.
    pub by: String,
    /// When, by the store's clock.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_tenant_lifts_only_what_it_ordered() {
        use Authority::{Installation, Tenant};
        for (who, ordered, may) in [
            (Installation, Installation, true),
            (Installation, Tenant, true),
            (Tenant, Tenant, true),
            (Tenant, Installation, false),
        ] {
            assert_eq!(who.may_lift(ordered), may, "{who:?} {ordered:?}");
        }
    }

    #[test]
    fn a_stop_reaches_as_far_as_it_says() {
        let [mine, other] = [1, 2].map(|number| TenantId::new(Uuid::from_u128(number)));
        let [scan, another] = [1, 2].map(ScanId::from_random);
        for (reach, covers) in [
            (Reach::Everything, [true, true, true, true, true]),
            (Reach::Tenant { tenant: mine }, [true, true, true, true, false]),
            (Reach::Scan { tenant: mine, scan }, [true, false, true, false, false]),
            (Reach::Stage { stage: Stage::Crawl }, [false, false, true, false, false]),
        ] {
            let work = [
                (mine, Some(scan), Stage::Check),
                (mine, Some(another), Stage::Check),
                (mine, Some(scan), Stage::Crawl),
                (mine, None, Stage::Exercise),
                (other, Some(scan), Stage::Check),
            ];
            let covered = work.map(|(tenant, scan, stage)| reach.covers(tenant, scan, stage));
            assert_eq!(covered, covers, "{reach}");
        }
    }
}
