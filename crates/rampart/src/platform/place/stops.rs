//! Emergency stops, wherever they are ordered.

use anyhow::Context;
use client::StopReach;
use model::{Authority, Reach, Stop, record::TenantRecord};
use scanner::check::shell_quoted;

use super::{Place, on_behalf_of, refuse_person};
use crate::{cli::ReachArguments, platform::operator};

/// What somebody names.
pub(in crate::platform) struct Meant {
    pub(in crate::platform) reach: Reach,
    /// The same as a server is told it.
    told: StopReach,
    /// By what those are known who may be named beside it.
    pub(in crate::platform) tenants: Vec<TenantRecord>,
}

impl Meant {
    /// Does it reach beyond the tenant of the key? Where the database is nothing does.
    pub(in crate::platform) fn is_beyond(&self) -> bool {
        match self.told {
            StopReach::Own | StopReach::Scan(_) => false,
            StopReach::Tenant(_) | StopReach::Stage(_) | StopReach::Everything => true,
        }
    }
}

impl Place {
    /// Those that concern the tenant, and where the database is all others, too.
    pub(in crate::platform) async fn stops(&self) -> anyhow::Result<Vec<Stop>> {
        Ok(match self {
            Place::Here(desk) => desk.store.stops().await?,
            Place::There(client) => client.stops().await?,
        })
    }

    /// Every stop there is, for who runs the platform.
    pub(in crate::platform) async fn all_stops(&self) -> anyhow::Result<Vec<Stop>> {
        match self {
            Place::There(client) => Ok(client.all_stops().await?),
            Place::Here(_) => self.stops().await,
        }
    }

    /// How far somebody wants to reach. Whoever names nothing stops everything where the database is, and at a server everything of the
    /// key's tenant. For a stop of everything or of a stage nothing is asked: what is not there cannot hold it up.
    pub(in crate::platform) async fn meant(&self, arguments: &ReachArguments) -> anyhow::Result<Meant> {
        let ReachArguments { of_tenant, scan, stage, everything } = arguments;
        if let Place::Here(desk) = self {
            let reach = match (of_tenant, *scan, *stage) {
                (Some(name), ..) => Reach::Tenant { tenant: desk.tenant_named(name, "--of-tenant").await? },
                (_, Some(scan), _) => Reach::Scan { tenant: desk.tenant().await?, scan },
                (_, _, Some(stage)) => Reach::Stage { stage },
                (None, None, None) => Reach::Everything,
            };
            return Ok(Meant { reach, told: StopReach::Own, tenants: self.tenants().await? });
        }
        if *everything {
            return Ok(Meant { reach: Reach::Everything, told: StopReach::Everything, tenants: Vec::new() });
        }
        if let Some(stage) = *stage {
            let (reach, told) = (Reach::Stage { stage }, StopReach::Stage(stage));
            return Ok(Meant { reach, told, tenants: Vec::new() });
        }
        let tenants = self.tenants().await?;
        if let Some(name) = of_tenant.as_ref().filter(|name| tenants.iter().all(|own| own.name != **name)) {
            let other = self.tenant_named(name).await?;
            let (reach, told) = (Reach::Tenant { tenant: other.id }, StopReach::Tenant(other.id));
            return Ok(Meant { reach, told, tenants: vec![other] });
        }
        let tenant = self.tenant().await?;
        Ok(match *scan {
            Some(scan) => Meant { reach: Reach::Scan { tenant, scan }, told: StopReach::Scan(scan), tenants },
            None => Meant { reach: Reach::Tenant { tenant }, told: StopReach::Own, tenants },
        })
    }

    /// A stop of a scan that is not there would stop nothing, and who ordered it would believe that it did.
    pub(in crate::platform) async fn require_scan(&self, reach: &Reach) -> anyhow::Result<()> {
        let Reach::Scan { scan, .. } = reach else { return Ok(()) };
        let way_out = match self {
            Place::Here(desk) => {
                let name = shell_quoted(&desk.configuration.tenant);
                format!("`rampart scan list --tenant {name}` shows its scans, --tenant names another")
            }
            Place::There(_) => "`rampart scan list` shows its scans".to_owned(),
        };
        let describe =
            || format!("nothing is stopped: {} was asked for scan {scan}; {way_out}", self.whose());
        self.scan(*scan).await.map(drop).with_context(describe)
    }

    pub(in crate::platform) async fn order_stop(&self, meant: &Meant, reason: &str) -> anyhow::Result<Stop> {
        match self {
            Place::Here(desk) => {
                let stop = desk
                    .store
                    .order_stop(Authority::Installation, meant.reach, reason.to_owned(), operator())
                    .await?;
                desk.tell_workers().await;
                Ok(stop)
            }
            Place::There(client) => Ok(client.order_stop(meant.told, reason).await?),
        }
    }

    /// What was lifted.
    pub(in crate::platform) async fn lift_stops(
        &self,
        meant: &Meant,
        reason: &str,
        by: Option<&str>,
    ) -> anyhow::Result<Vec<Stop>> {
        match self {
            Place::Here(desk) => {
                let by = on_behalf_of(by);
                let lifted = desk
                    .store
                    .lift_stops(Authority::Installation, Some(meant.reach), reason.to_owned(), by, None)
                    .await?;
                // Whoever waits looks again at once.
                desk.tell_workers().await;
                Ok(lifted)
            }
            Place::There(client) => {
                refuse_person(by)?;
                Ok(client.lift_stops(meant.told, reason).await?)
            }
        }
    }
}
