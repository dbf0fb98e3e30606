//! Emergency stops, wherever they are ordered.

use anyhow::Context;
use client::{ClientError, StopReach};
use model::{Authority, Reach, Stop, record::TenantRecord};
use scanner::check::shell_quoted;

use super::{Place, on_behalf_of, refuse_person};
use crate::{cli::ReachArguments, platform::operator};

impl Place {
    /// Those that concern the tenant, and where the database is all others, too.
    pub(in crate::platform) async fn stops(&self) -> anyhow::Result<Vec<Stop>> {
        Ok(match self {
            Place::Here(desk) => desk.store.stops().await?,
            Place::There(client) => client.stops().await?,
        })
    }

    /// The same, for who could reach that far.
    pub(in crate::platform) async fn stops_seen_with(&self, reach: &Reach) -> anyhow::Result<Vec<Stop>> {
        match self {
            Place::There(client) if self.is_beyond(reach).await? => Ok(client.all_stops().await?),
            _ => self.stops().await,
        }
    }

    /// The tenants that may be named beside them.
    pub(in crate::platform) async fn tenants_seen_with(
        &self,
        reach: &Reach,
    ) -> anyhow::Result<Vec<TenantRecord>> {
        if !self.is_beyond(reach).await? {
            return self.tenants().await;
        }
        match self.all_tenants().await {
            // Whoever may stop everybody need not see who they are.
            Err(error) if error.downcast_ref().is_some_and(ClientError::is_forbidden) => self.tenants().await,
            tenants => tenants,
        }
    }

    /// Does it reach beyond the tenant of the key? Where the database is nothing does.
    pub(in crate::platform) async fn is_beyond(&self, reach: &Reach) -> anyhow::Result<bool> {
        Ok(match (self, reach) {
            (Place::Here(_), _) | (_, Reach::Scan { .. }) => false,
            (Place::There(_), Reach::Everything | Reach::Stage { .. }) => true,
            (Place::There(_), Reach::Tenant { tenant }) => self.tenant().await? != *tenant,
        })
    }

    /// How far somebody wants to reach. Whoever names nothing stops everything where the database is, and at a server everything of the
    /// key's tenant.
    pub(in crate::platform) async fn reach(&self, arguments: &ReachArguments) -> anyhow::Result<Reach> {
        let ReachArguments { of_tenant, scan, stage, everything } = arguments;
        Ok(match (self, of_tenant, *scan, *stage) {
            (_, _, _, Some(stage)) => Reach::Stage { stage },
            (_, _, Some(scan), _) => Reach::Scan { tenant: self.tenant().await?, scan },
            (Place::Here(desk), Some(name), ..) => {
                Reach::Tenant { tenant: desk.tenant_named(name, "--of-tenant").await? }
            }
            (Place::There(client), Some(name), ..) => {
                let own = client.tenant().await?;
                match own.name == *name {
                    true => Reach::Tenant { tenant: own.id },
                    false => Reach::Tenant { tenant: self.tenant_named(name).await?.id },
                }
            }
            (Place::There(_), None, ..) if !everything => Reach::Tenant { tenant: self.tenant().await? },
            (_, None, ..) => Reach::Everything,
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
            Place::There(client) => Ok(client.order_stop(self.told(reach).await?, reason).await?),
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
                    .lift_stops(Authority::Installation, Some(reach), reason.to_owned(), by, None)
                    .await?;
                // Whoever waits looks again at once.
                desk.tell_workers().await;
                Ok(lifted)
            }
            Place::There(client) => {
                refuse_person(by)?;
                Ok(client.lift_stops(self.told(reach).await?, reason).await?)
            }
        }
    }

    /// As a server is told it.
    async fn told(&self, reach: Reach) -> anyhow::Result<StopReach> {
        Ok(match reach {
            Reach::Scan { scan, .. } => StopReach::Scan(scan),
            Reach::Tenant { tenant } if self.is_beyond(&reach).await? => StopReach::Tenant(tenant),
            Reach::Tenant { .. } => StopReach::Own,
            Reach::Stage { stage } => StopReach::Stage(stage),
            Reach::Everything => StopReach::Everything,
        })
    }
}
