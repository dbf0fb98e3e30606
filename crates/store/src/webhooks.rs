//! Webhooks: kept, and given the messages that go to them.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use model::{
    By, Happening, NewTask, Priority, TenantId, WebhookId, Work,
    task::RetryPolicy,
    webhook::{Delivery, LONGEST_OVERLAP, NewWebhook, WebhookChange, WebhookRecord},
};
use uuid::Uuid;

use crate::{
    Store, StoreError,
    audit::Act,
    list::Question,
    once::{Made, Once},
    session::TenantTx,
    value::{Row, json},
};

/// A tenant has no more than these: each is told of everything.
pub const MOST_WEBHOOKS: u64 = 50;
/// What happened is read so much at once.
const AT_ONCE: usize = 500;
/// Nobody is given more than so much in one round: who is far behind is given the rest in the next.
const MOST_TURNS: usize = 50;
/// A message is tried for about three days: a receiver may be away over a weekend.
const POLICY: RetryPolicy =
    RetryPolicy { attempts: 36, base: Duration::from_secs(5), cap: Duration::from_secs(6 * 60 * 60) };
/// Where nothing has arrived for so long, nobody is there any more: longer than any message is tried.
const GIVEN_UP: SignedDuration = SignedDuration::from_hours(7 * 24);
/// In seconds.
const DAY: u64 = 24 * 60 * 60;
/// What one try may take.
const DEADLINE: Duration = Duration::from_secs(30);

const WEBHOOK: &str = "webhook_id, name, url, events, enabled, created_at, created_by, secret_number, old_secrets, \
     delivered_at, failing_since, failure, missed_until";

/// What came of a message to a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It arrived.
    Arrived,
    /// It did not, and why.
    Failed(String),
    /// It did not, and none ever will: nobody wants any there.
    Gone(String),
}

fn read(row: &Row) -> Result<WebhookRecord, StoreError> {
    Ok(WebhookRecord {
        id: WebhookId::new(row.id(0)?),
        name: row.text(1)?.to_owned(),
        url: row.word(2)?,
        events: row.json(3)?,
        enabled: row.bool(4)?,
        created_at: row.time(5)?,
        created_by: row.text(6)?.to_owned(),
        secret_number: row.small(7)?,
        old_secrets: row.json(8)?,
        delivered_at: row.maybe_time(9)?,
        failing_since: row.maybe_time(10)?,
        failure: row.maybe_text(11)?.map(str::to_owned),
        missed_until: row.maybe_time(12)?,
    })
}

impl TenantTx<'_> {
    async fn webhook(&mut self, id: WebhookId, lock: &str) -> Result<WebhookRecord, StoreError> {
        let sql = format!("SELECT {WEBHOOK} FROM webhooks WHERE tenant_id = $1 AND webhook_id = $2{lock}");
        read(&self.one(&sql, &[self.tenant(), id.as_uuid().into()], ("webhook", id)).await?)
    }

    async fn held_webhook(&mut self, id: WebhookId) -> Result<WebhookRecord, StoreError> {
        let lock = self.dialect().for_update();
        self.webhook(id, lock).await
    }

    /// The place after everything that has happened so far.
    async fn last_position(&mut self) -> Result<u64, StoreError> {
        let sql = "SELECT position FROM happening_ends WHERE tenant_id = $1";
        let rows = self.query(sql, &[self.tenant()]).await?;
        rows.first().map_or(Ok(0), |row| row.count(0))
    }

    async fn write_webhook(&mut self, webhook: &WebhookRecord) -> Result<(), StoreError> {
        let values = [
            self.tenant(),
            webhook.id.as_uuid().into(),
            webhook.url.as_str().into(),
            json(&webhook.events)?,
            webhook.enabled.into(),
            webhook.secret_number.into(),
            json(&webhook.old_secrets)?,
            webhook.failing_since.into(),
            webhook.failure.as_deref().into(),
        ];
        let sql = "UPDATE webhooks SET url = $3, events = $4, enabled = $5, secret_number = $6, old_secrets = $7, \
                   failing_since = $8, failure = $9 WHERE tenant_id = $1 AND webhook_id = $2";
        self.execute(sql, &values).await.map(drop)
    }

    /// Gives the webhook that is furthest behind what happened since it was given something last. How many messages that are; nothing when
    /// none is behind.
    async fn give_to_one(&mut self) -> Result<Option<usize>, StoreError> {
        let end = self.last_position().await?;
        let lock = self.dialect().for_update();
        let sql = format!(
            "SELECT {WEBHOOK}, followed FROM webhooks WHERE tenant_id = $1 AND enabled AND followed < $2 \
             ORDER BY followed, webhook_id LIMIT 1{lock}"
        );
        let rows = self.query(&sql, &[self.tenant(), end.into()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let (webhook, followed) = (read(row)?, row.count(13)?);
        let sql = format!(
            "SELECT position, at, body FROM happenings WHERE tenant_id = $1 AND position > $2 ORDER BY position LIMIT {AT_ONCE}"
        );
        let happened = self.query(&sql, &[self.tenant(), followed.into()]).await?;
        let (first, given) = match (happened.first(), happened.last()) {
            (Some(first), Some(last)) => (Some((first.count(0)?, first.time(1)?)), last.count(0)?),
            _ => (None, end),
        };
        // What happened is kept for a while only.
        let missed_until = match first {
            Some((first, _)) if first == followed + 1 => None,
            Some((_, at)) => Some(at),
            None => Some(self.now),
        };
        let mut messages = Vec::new();
        for row in &happened {
            // What another release wrote, and this one does not know, is nothing.
            let Ok(happening) = row.json::<Happening>(2) else { continue };
            if webhook.wants(&happening) {
                messages.push(NewTask {
                    priority: Priority::Normal,
                    policy: POLICY,
                    deadline: DEADLINE,
                    ..NewTask::new(Work::Deliver(Box::new(Delivery::new(
                        webhook.id,
                        row.time(1)?,
                        happening,
                    ))))
                });
            }
        }
        let values = [self.tenant(), webhook.id.as_uuid().into(), given.into(), missed_until.into()];
        let sql = "UPDATE webhooks SET followed = $3, missed_until = coalesce($4, missed_until) \
                   WHERE tenant_id = $1 AND webhook_id = $2";
        self.execute(sql, &values).await?;
        self.enqueue(&messages).await?;
        Ok(Some(messages.len()))
    }

    /// Nothing arrives there, and why. Nothing more is sent where nobody is any more.
    async fn webhook_fails(&mut self, id: WebhookId, why: String, is_gone: bool) -> Result<(), StoreError> {
        let before = match self.held_webhook(id).await {
            Err(StoreError::Missing { .. }) => return Ok(()),
            before => before?,
        };
        let since = before.failing_since.unwrap_or(self.now);
        let is_given_up = is_gone || self.now.duration_since(since) >= GIVEN_UP;
        let after = WebhookRecord {
            failing_since: Some(since),
            failure: Some(why),
            enabled: before.enabled && !is_given_up,
            ..before.clone()
        };
        self.write_webhook(&after).await?;
        if before.enabled && !after.enabled {
            let by = By::from(format!("webhook {}", after.name));
            let detail = format!("nothing arrives there since {since}");
            self.audit(Act::new(&by, "webhook.given_up", id).detail(detail).before(&before)?.after(&after)?);
        }
        Ok(())
    }
}

/// It says what somebody has seen: that a message has arrived meanwhile changes nothing.
fn require_seen(webhook: &WebhookRecord, seen: Option<WebhookRecord>) -> Result<(), StoreError> {
    let is_as_seen = seen.is_none_or(|seen| seen.settings() == webhook.settings());
    StoreError::changed_unless(is_as_seen, "webhook", &webhook.name)
}

impl Store {
    /// Keeps a webhook. It is told of what happens from now on. Under a key the same request of the same asker is the same webhook for a
    /// day.
    pub async fn create_webhook_once(
        &self,
        tenant: TenantId,
        new: NewWebhook,
        by: impl Into<By>,
        key: Option<String>,
    ) -> Result<Made<WebhookRecord>, StoreError> {
        let by = by.into();
        let once = Once::of(key, &by, "webhook.create", &new)?;
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let id = WebhookId::new(Uuid::now_v7());
                if let Some((once, before)) = tx.made_before(once.as_ref(), &id).await? {
                    return once.as_it_is(tx.webhook(before, "").await);
                }
                let sql = "SELECT count(*) FROM webhooks WHERE tenant_id = $1";
                let rows = tx.query(sql, &[tx.tenant()]).await?;
                if rows.first().map_or(Ok(0), |row| row.count(0))? >= MOST_WEBHOOKS {
                    let detail = format!("a tenant has at most {MOST_WEBHOOKS} webhooks");
                    return Err(StoreError::Invalid(detail));
                }
                let values = [
                    tx.tenant(),
                    id.as_uuid().into(),
                    new.name.as_str().into(),
                    new.url.as_str().into(),
                    json(&new.events)?,
                    tx.last_position().await?.into(),
                    tx.now.into(),
                    by.name.as_str().into(),
                ];
                let sql = "INSERT INTO webhooks (tenant_id, webhook_id, name, url, events, enabled, followed, created_at, created_by, \
                           secret_number, old_secrets) VALUES ($1, $2, $3, $4, $5, true, $6, $7, $8, 0, '[]') ON CONFLICT DO NOTHING";
                if tx.execute(sql, &values).await? == 0 {
                    return Err(StoreError::Exists { kind: "webhook", name: new.name });
                }
                let made = tx.webhook(id, "").await?;
                tx.audit(Act::new(&by, "webhook.create", id).detail(&made.name).after(&made)?);
                Ok(Made::now(made))
            })
        })
        .await
    }

    /// So many webhooks of a tenant, by name.
    pub async fn list_webhooks(
        &self,
        tenant: TenantId,
        after: Option<String>,
        at_most: usize,
    ) -> Result<Vec<WebhookRecord>, StoreError> {
        self.read_tenant(tenant, move |tx| {
            Box::pin(async move {
                let mut wanted = Question::of(tx.tenant());
                wanted.with_any("name > #", after);
                let Question { condition, values } = wanted;
                let sql =
                    format!("SELECT {WEBHOOK} FROM webhooks WHERE {condition} ORDER BY name LIMIT {at_most}");
                tx.query(&sql, &values).await?.iter().map(read).collect()
            })
        })
        .await
    }

    /// One of them.
    pub async fn webhook(&self, tenant: TenantId, id: WebhookId) -> Result<WebhookRecord, StoreError> {
        self.read_tenant(tenant, move |tx| Box::pin(async move { tx.webhook(id, "").await })).await
    }

    /// Changes a webhook, if what may be changed of it is what somebody has seen. One that is enabled again is told of what happens from
    /// then on.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when it is not what they have seen.
    pub async fn change_webhook(
        &self,
        tenant: TenantId,
        id: WebhookId,
        change: WebhookChange,
        seen: Option<WebhookRecord>,
        by: impl Into<By>,
    ) -> Result<WebhookRecord, StoreError> {
        let by = by.into();
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let before = tx.held_webhook(id).await?;
                require_seen(&before, seen)?;
                let WebhookChange { url, events, enabled } = change;
                let mut after = WebhookRecord {
                    url: url.unwrap_or_else(|| before.url.clone()),
                    events: events.unwrap_or_else(|| before.events.clone()),
                    enabled: enabled.unwrap_or(before.enabled),
                    ..before.clone()
                };
                if after.settings() == before.settings() {
                    return Ok(before);
                }
                if after.enabled && !before.enabled {
                    let last = tx.last_position().await?;
                    let sql = "UPDATE webhooks SET followed = $3 WHERE tenant_id = $1 AND webhook_id = $2";
                    tx.execute(sql, &[tx.tenant(), id.as_uuid().into(), last.into()]).await?;
                }
                if after.url != before.url || after.enabled != before.enabled {
                    after.failing_since = None;
                    after.failure = None;
                }
                tx.write_webhook(&after).await?;
                let act = Act::new(&by, "webhook.change", id).detail(&after.name);
                tx.audit(act.before(&before)?.after(&after)?);
                Ok(after)
            })
        })
        .await
    }

    /// Gives a webhook another secret. For a while what is sent is signed with those before, too. Under a key the same request of the same
    /// asker is done once within a day.
    pub async fn rotate_webhook_once(
        &self,
        tenant: TenantId,
        id: WebhookId,
        overlap: Duration,
        by: impl Into<By>,
        key: Option<String>,
    ) -> Result<Made<WebhookRecord>, StoreError> {
        if overlap > LONGEST_OVERLAP {
            let detail =
                format!("an old secret goes on for {} days at most", LONGEST_OVERLAP.as_secs() / DAY);
            return Err(StoreError::Invalid(detail));
        }
        let by = by.into();
        let once = Once::of(key, &by, "webhook.rotate", &(id, overlap))?;
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                if let Some((once, before)) = tx.made_before(once.as_ref(), &id).await? {
                    return once.as_it_is(tx.webhook(before, "").await);
                }
                let before = tx.held_webhook(id).await?;
                let until = tx.now.saturating_add(overlap).unwrap_or(Timestamp::MAX);
                let after = before.rotated(tx.now, until);
                tx.write_webhook(&after).await?;
                let detail = format!("{}: what went on before ends {until}", after.name);
                tx.audit(Act::new(&by, "webhook.rotate", id).detail(detail));
                Ok(Made::now(after))
            })
        })
        .await
    }

    /// Keeps it no longer. Messages that are on their way are not sent any more.
    pub async fn delete_webhook(
        &self,
        tenant: TenantId,
        id: WebhookId,
        seen: Option<WebhookRecord>,
        by: impl Into<By>,
    ) -> Result<(), StoreError> {
        let by = by.into();
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let webhook = tx.held_webhook(id).await?;
                require_seen(&webhook, seen)?;
                let sql = "DELETE FROM webhooks WHERE tenant_id = $1 AND webhook_id = $2";
                tx.execute(sql, &[tx.tenant(), id.as_uuid().into()]).await?;
                tx.audit(Act::new(&by, "webhook.delete", id).detail(&webhook.name).before(&webhook)?);
                Ok(())
            })
        })
        .await
    }

    /// What came of a message. Where nothing has arrived for a week, or nobody wants any more, nothing is sent any more, until somebody
    /// enables it again.
    pub async fn webhook_was_told(
        &self,
        tenant: TenantId,
        id: WebhookId,
        told: Told,
    ) -> Result<(), StoreError> {
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                match told {
                    Told::Arrived => {
                        let sql = "UPDATE webhooks SET delivered_at = $3, failing_since = NULL, failure = NULL \
                                   WHERE tenant_id = $1 AND webhook_id = $2";
                        tx.execute(sql, &[tx.tenant(), id.as_uuid().into(), tx.now.into()]).await.map(drop)
                    }
                    Told::Failed(why) => tx.webhook_fails(id, why, false).await,
                    Told::Gone(why) => tx.webhook_fails(id, why, true).await,
                }
            })
        })
        .await
    }

    /// Gives every webhook what happened since it was given something last. How many messages that are: so many tasks wait.
    pub async fn give_to_webhooks(&self) -> Result<usize, StoreError> {
        let behind: Vec<TenantId> = self
            .read_queue(|tx| {
                Box::pin(async move {
                    let sql = "SELECT DISTINCT webhooks.tenant_id FROM webhooks JOIN happening_ends \
                               ON happening_ends.tenant_id = webhooks.tenant_id \
                               WHERE webhooks.enabled AND happening_ends.position > webhooks.followed";
                    let rows = tx.session.query(sql, &[]).await?;
                    rows.iter().map(|row| Ok(TenantId::new(row.id(0)?))).collect()
                })
            })
            .await?;
        let (mut given, mut failed) = (0, None);
        for tenant in behind {
            for _ in 0..MOST_TURNS {
                match self.of_tenant(tenant, |tx| Box::pin(async move { tx.give_to_one().await })).await {
                    Ok(Some(messages)) => given += messages,
                    Ok(None) => break,
                    // What is wrong with one tenant holds up no other.
                    Err(reason) => {
                        failed = failed.or(Some(reason));
                        break;
                    }
                }
            }
        }
        failed.map_or(Ok(given), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_tried_for_about_three_days() {
        let waits = |dice| (1..POLICY.attempts).map(|attempts| POLICY.wait(attempts, dice)).sum::<Duration>();
        let days = |time: Duration| time.as_secs_f64() / DAY as f64;
        let usual = days(waits(u32::MAX / 2));
        assert!((2.7..3.3).contains(&usual), "{usual}");
        // Whoever gives up on a receiver does so when no message is tried any more.
        assert!(SignedDuration::try_from(waits(u32::MAX)).unwrap() < GIVEN_UP);
    }
}
