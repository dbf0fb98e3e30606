//! The emergency stop.

use jiff::Timestamp;
use model::{Authority, By, Happening, Reach, Stop, StopId, TenantId};
use uuid::Uuid;

use crate::{
    Store, StoreError,
    audit::Act,
    once::{Made, Once},
    session::QueueTx,
    value::{Row, json},
};

fn read(row: &Row) -> Result<Stop, StoreError> {
    Ok(Stop {
        id: StopId::new(row.id(0)?),
        reach: row.json(1)?,
        authority: match row.text(2)? {
            word if word == Authority::Tenant.as_str() => Authority::Tenant,
            // What is not understood is not lifted by just anybody.
            _ => Authority::Installation,
        },
        reason: row.text(3)?.to_owned(),
        by: row.text(4)?.to_owned(),
        at: row.time(5)?,
    })
}

impl QueueTx<'_> {
    pub(crate) async fn stops_in_force(&mut self) -> Result<Vec<Stop>, StoreError> {
        let sql = "SELECT stop_id, reach, authority, reason, ordered_by, ordered_at FROM stops WHERE lifted_at IS NULL \
                   ORDER BY ordered_at";
        self.session.query(sql, &[]).await?.iter().map(read).collect()
    }

    /// Those that were lifted before a time. How many that were.
    pub(crate) async fn forget_stops(&mut self, lifted_before: Timestamp) -> Result<u64, StoreError> {
        let sql = "DELETE FROM stops WHERE lifted_at IS NOT NULL AND lifted_at < $1";
        self.session.execute(sql, &[lifted_before.into()]).await
    }
}

impl Store {
    /// What is stopped now.
    pub async fn stops(&self) -> Result<Vec<Stop>, StoreError> {
        self.read_queue(|tx| Box::pin(async move { tx.stops_in_force().await })).await
    }

    /// Orders a stop: from the next look of each role on, nothing that it covers is sent. When the same holds already in the same
    /// name, it is that one which goes on.
    pub async fn order_stop(
        &self,
        authority: Authority,
        reach: Reach,
        reason: String,
        by: impl Into<By>,
    ) -> Result<Stop, StoreError> {
        self.order_stop_once(authority, reach, reason, by, None, None).await.map(|made| made.record)
    }

    /// The same, by somebody of a tenant, whose audit is told, too; of that one whom it stops without. Under a key the same order of the
    /// same asker within that tenant is the same stop for a day. One that was lifted meanwhile is not ordered again.
    pub async fn order_stop_once(
        &self,
        authority: Authority,
        reach: Reach,
        reason: String,
        by: impl Into<By>,
        of: Option<TenantId>,
        key: Option<String>,
    ) -> Result<Made<Stop>, StoreError> {
        let by = by.into();
        let once = Once::of(key, &by, "stop.order", &(authority.as_str(), reach, &reason))?;
        let once = match (once, of.or(tenant_of(&reach))) {
            (Some(_), None) => {
                return Err(StoreError::Invalid("only what somebody of a tenant orders has keys".to_owned()));
            }
            (once, tenant) => once.zip(tenant),
        };
        let ordered = self.of_queue(move |tx| {
            Box::pin(async move {
                let id = StopId::new(Uuid::now_v7());
                if let Some((once, tenant)) = &once
                    && let Some(before) = once.before(tx.session, *tenant, tx.now, &id).await?
                {
                    let held = tx.stops_in_force().await?.into_iter().find(|stop| stop.id == before);
                    let lifted = || StoreError::Missing { kind: "stop", name: before.to_string() };
                    return once.as_it_is(held.ok_or_else(lifted)).map(|made| (made, false));
                }
                let stop = Stop { id, reach, authority, reason, by: by.name.clone(), at: tx.now };
                let values = [
                    stop.id.as_uuid().into(),
                    json(&stop.reach)?,
                    stop.authority.as_str().into(),
                    stop.reason.as_str().into(),
                    stop.by.as_str().into(),
                    stop.at.into(),
                ];
                let sql = "INSERT INTO stops (stop_id, reach, authority, reason, ordered_by, ordered_at) \
                           VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
                let is_new = tx.session.execute(sql, &values).await? > 0;
                for told in told_of(&reach, of) {
                    let act = Act::new(&by, "stop.order", reach).detail(&stop.reason);
                    // Otherwise another one holds already.
                    tx.audit(told, if is_new { act.after(&stop)? } else { act });
                }
                if is_new {
                    return Ok((Made::now(stop), true));
                }
                let same = |held: &Stop| (held.reach, held.authority) == (reach, authority);
                // Without one somebody lifted it in between: whoever orders it tries again.
                let held = tx.stops_in_force().await?.into_iter().find(same);
                let held =
                    held.ok_or_else(|| StoreError::Busy("the same stop is being lifted".to_owned()))?;
                if let Some((once, tenant)) = &once {
                    once.made_instead(tx.session, *tenant, &held.id).await?;
                }
                Ok((Made::now(held), false))
            })
        });
        let (made, begins) = ordered.await?;
        if begins {
            let happening = Happening::StopOrdered { stop: made.record.clone() };
            self.tell_of_stops(vec![(tenant_of(&reach), happening)]).await;
        }
        Ok(made)
    }

    /// After it holds: whoever tells waits for those who tell something else, and a stop waits for nobody.
    async fn tell_of_stops(&self, happenings: Vec<(Option<TenantId>, Happening)>) {
        let told = self.of_queue(move |tx| {
            for (tenant, happening) in happenings {
                tx.tell(tenant, happening);
            }
            Box::pin(async move { Ok(()) })
        });
        if let Err(error) = told.await {
            tracing::error!(%error, "whoever follows what happens is not told of an emergency stop");
        }
    }

    /// Lifts the stops that reach exactly that far, or all of them, as far as they may be lifted in that name. Those that were lifted.
    /// Somebody of a tenant, whose audit is told, too, lifts what was ordered in the same name and nothing else.
    pub async fn lift_stops(
        &self,
        authority: Authority,
        reach: Option<Reach>,
        reason: String,
        by: impl Into<By>,
        of: Option<TenantId>,
    ) -> Result<Vec<Stop>, StoreError> {
        let by = by.into();
        let lifting = self.of_queue(move |tx| {
            Box::pin(async move {
                let mut held = tx.stops_in_force().await?;
                held.retain(|stop| {
                    reach.is_none_or(|reach| reach == stop.reach)
                        && authority.may_lift(stop.authority)
                        && (of.is_none() || authority == stop.authority)
                });
                let mut lifted = Vec::new();
                for stop in held {
                    let sql = "UPDATE stops SET lifted_at = $2, lifted_by = $3, why_lifted = $4 WHERE stop_id = $1 \
                               AND lifted_at IS NULL";
                    let values = [
                        stop.id.as_uuid().into(),
                        tx.now.into(),
                        by.name.as_str().into(),
                        reason.as_str().into(),
                    ];
                    // Otherwise somebody else has lifted it meanwhile.
                    if tx.session.execute(sql, &values).await? > 0 {
                        for told in told_of(&stop.reach, of) {
                            let act = Act::new(&by, "stop.lift", stop.reach).detail(&reason);
                            tx.audit(told, act.before(&stop)?);
                        }
                        lifted.push(stop);
                    }
                }
                Ok(lifted)
            })
        });
        let lifted = lifting.await?;
        let told = |stop: &Stop| (tenant_of(&stop.reach), Happening::StopLifted { stop: stop.clone() });
        self.tell_of_stops(lifted.iter().map(told).collect()).await;
        Ok(lifted)
    }
}

/// In whose audit it stands: whom it stops, and of whom who says so is.
fn told_of(reach: &Reach, of: Option<TenantId>) -> impl Iterator<Item = Option<TenantId>> {
    let whom = tenant_of(reach);
    std::iter::once(whom).chain(of.map(Some).filter(|of| *of != whom))
}

fn tenant_of(reach: &Reach) -> Option<TenantId> {
    match reach {
        Reach::Tenant { tenant } | Reach::Scan { tenant, .. } => Some(*tenant),
        Reach::Everything | Reach::Stage { .. } => None,
    }
}
