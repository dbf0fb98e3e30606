//! Emergency stops, wherever they are ordered.

use anyhow::Context;
use model::{Authority, Reach, Stop};
use scanner::check::shell_quoted;

use super::{Place, on_behalf_of, refuse_person};
use crate::{cli::ReachArguments, platform::operator};

impl Place {
    pub(in crate::platform) async fn stops(&self) -> anyhow::Result<Vec<Stop>> {
        Ok(match self {
            Place::Here(desk) => desk.store.stops().await?,
            Place::There(client) => client.stops().await?,
        })
    }

    /// How far somebody wants to reach. Whoever names nothing stops everything that can be stopped from there: a key reaches its own
    /// tenant.
    pub(in crate::platform) async fn reach(&self, arguments: &ReachArguments) -> anyhow::Result<Reach> {
        let ReachArguments { of_tenant, scan, stage } = arguments;
        match self {
            Place::Here(desk) => Ok(match (of_tenant, *scan, *stage) {
                (Some(name), _, _) => Reach::Tenant { tenant: desk.tenant_named(name, "--of-tenant").await? },
                (_, Some(scan), _) => Reach::Scan { tenant: desk.tenant().await?, scan },
                (_, _, Some(stage)) => Reach::Stage { stage },
                (None, None, None) => Reach::Everything,
            }),
            Place::There(client) => {
                if stage.is_some() {
                    self.here("a key reaches its own tenant, and a stage is everybody's")?;
                }
                let own = client.tenant().await?;
                if of_tenant.as_ref().is_some_and(|name| *name != own.name) {
                    self.here(&format!("a key reaches its own tenant, which is `{}`", own.name))?;
                }
                let tenant = own.id;
                Ok(scan.map_or(Reach::Tenant { tenant }, |scan| Reach::Scan { tenant, scan }))
            }
        }
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

    pub(in crate::platform) async fn order_stop(&self, reach: Reach, reason: &str) -> anyhow::Result<Stop> {
        match self {
            Place::Here(desk) => {
                let stop = desk
                    .store
                    .order_stop(Authority::Installation, reach, reason.to_owned(), operator())
                    .await?;
                desk.tell_workers().await;
                Ok(stop)
            }
            Place::There(client) => Ok(client.order_stop(scan_of(reach), reason).await?),
        }
    }

    /// What was lifted.
    pub(in crate::platform) async fn lift_stops(
        &self,
        reach: Reach,
        reason: &str,
        by: Option<&str>,
    ) -> anyhow::Result<Vec<Stop>> {
        match self {
            Place::Here(desk) => {
                let by = on_behalf_of(by);
                let lifted = desk
                    .store
                    .lift_stops(Authority::Installation, Some(reach), reason.to_owned(), by)
                    .await?;
                // Whoever waits looks again at once.
                desk.tell_workers().await;
                Ok(lifted)
            }
            Place::There(client) => {
                refuse_person(by)?;
                Ok(client.lift_stops(scan_of(reach), reason).await?)
            }
        }
    }
}

/// All of the tenant without one.
fn scan_of(reach: Reach) -> Option<model::ScanId> {
    match reach {
        Reach::Scan { scan, .. } => Some(scan),
        Reach::Everything | Reach::Tenant { .. } | Reach::Stage { .. } => None,
    }
}
