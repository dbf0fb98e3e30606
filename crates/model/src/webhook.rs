//! Webhooks: where a tenant is told what happens to it, and how whoever is told knows that it is from here.
//!
//! What is sent follows Standard Webhooks (<https://www.standardwebhooks.com>), so that receivers have libraries for it.

mod receivers;
mod signature;

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

pub use self::{
    receivers::{Receivers, ReceiversError, Unreachable},
    signature::{WebhookKeyError, WebhookKeys, WebhookSecret},
};
use crate::{Happening, WebhookId, happening::HappeningKind};

/// A URL is not longer than that, in bytes.
pub const LONGEST_URL: usize = 2_048;
/// An old secret goes on no longer than that beside the one that took its place.
pub const LONGEST_OVERLAP: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Where a tenant is told what happens to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookRecord {
    /// Which.
    pub id: WebhookId,
    /// For people; one of the tenant's own.
    pub name: String,
    /// Where to.
    pub url: Url,
    /// What of; everything without any.
    pub events: BTreeSet<HappeningKind>,
    /// Is anything sent?
    pub enabled: bool,
    /// Since when.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// How often its secret was made anew.
    pub secret_number: u32,
    /// What is sent is signed with these, too; the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub old_secrets: Vec<OldSecret>,
    /// When something arrived last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<Timestamp>,
    /// Since when nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Of what happened until then it may not have been told: nobody looked after webhooks for too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed_until: Option<Timestamp>,
}

/// A secret that another took the place of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OldSecret {
    /// Which.
    pub number: u32,
    /// Until then it is good.
    pub until: Timestamp,
}

/// A webhook to be made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWebhook {
    /// For people; one of the tenant's own.
    pub name: String,
    /// Where to: `https://…`, and nothing secret in it, since whoever reads webhooks reads that.
    pub url: Url,
    /// What of; everything without any.
    #[serde(default)]
    pub events: BTreeSet<HappeningKind>,
}

/// What of a webhook is to be another way; what is not given stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookChange {
    /// Where to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Url>,
    /// What of; everything with none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<BTreeSet<HappeningKind>>,
    /// Is anything sent? What happens until then is not sent later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// Beside its newest secret a webhook has so many, at most.
const MOST_OLD_SECRETS: usize = 3;

impl WebhookRecord {
    /// With another secret from now on, beside which the one before goes on until then, and none for longer.
    pub fn rotated(self, now: Timestamp, until: Timestamp) -> WebhookRecord {
        // A receiver may still have any of them: whoever never saw one that was made asks for another.
        let before = OldSecret { number: self.secret_number, until };
        let before = std::iter::once(before).chain(self.old_secrets);
        let before = before.map(|old| OldSecret { until: old.until.min(until), ..old });
        let old_secrets = before.filter(|old| now < old.until).take(MOST_OLD_SECRETS).collect();
        WebhookRecord { secret_number: self.secret_number.saturating_add(1), old_secrets, ..self }
    }

    /// The numbers of the secrets that what is sent now is signed with, the newest first.
    pub fn secrets(&self, now: Timestamp) -> impl Iterator<Item = u32> {
        let old = self.old_secrets.iter().filter(move |old| now < old.until);
        std::iter::once(self.secret_number).chain(old.map(|old| old.number))
    }

    /// What somebody may have changed; the rest goes on by itself.
    pub fn settings(&self) -> (&Url, &BTreeSet<HappeningKind>, bool, u32) {
        (&self.url, &self.events, self.enabled, self.secret_number)
    }

    /// Is it told of that?
    pub fn wants(&self, happening: &Happening) -> bool {
        self.enabled && (self.events.is_empty() || self.events.contains(&happening.kind()))
    }
}

/// Something that happened, on its way to a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// To which.
    pub webhook: WebhookId,
    /// When it happened.
    pub at: Timestamp,
    /// What of.
    pub event: HappeningKind,
    /// What happened; nothing where tasks are looked at: who may read tasks may not read everything that happens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub happening: Option<Happening>,
}

/// As it is written in a message.
#[derive(Serialize)]
struct Message<'m> {
    r#type: &'static str,
    timestamp: Timestamp,
    data: &'m Happening,
}

impl Delivery {
    /// To that webhook, of what happened then.
    pub fn new(webhook: WebhookId, at: Timestamp, happening: Happening) -> Delivery {
        Delivery { webhook, at, event: happening.kind(), happening: Some(happening) }
    }

    /// What is sent: JSON, the same each time.
    pub fn body(&self) -> Option<Vec<u8>> {
        let happening = self.happening.as_ref()?;
        let message = Message { r#type: happening.word(), timestamp: self.at, data: happening };
        Some(serde_json::to_vec(&message).expect("words, numbers and times are written as JSON"))
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use uuid::Uuid;

    use super::*;

    fn secrets(webhook: &WebhookRecord, now: Timestamp) -> Vec<u32> {
        webhook.secrets(now).collect()
    }

    #[test]
    fn every_secret_goes_on_as_long_as_was_said_and_no_longer() {
        let now = Timestamp::UNIX_EPOCH;
        let after = |hours| now + SignedDuration::from_hours(hours);
        let webhook = WebhookRecord {
            id: WebhookId::new(Uuid::from_u128(1)),
            name: "chat".to_owned(),
            url: "https://hooks.acme.test/".parse().unwrap(),
            events: BTreeSet::new(),
            enabled: true,
            created_at: now,
            created_by: "test".to_owned(),
            secret_number: 0,
            old_secrets: Vec::new(),
            delivered_at: None,
            failing_since: None,
            failure: None,
            missed_until: None,
        };
        assert_eq!(secrets(&webhook, now), [0]);
        let once = webhook.rotated(now, after(24));
        assert_eq!((secrets(&once, after(23)), secrets(&once, after(24))), (vec![1, 0], vec![1]));
        // The receiver has the first still: nobody ever saw the second.
        let twice = once.clone().rotated(after(1), after(48));
        assert_eq!((secrets(&twice, after(23)), secrets(&twice, after(24))), (vec![2, 1, 0], vec![2, 1]));
        let soon = twice.clone().rotated(after(2), after(3));
        assert_eq!((secrets(&soon, after(2)), secrets(&soon, after(3))), (vec![3, 2, 1, 0], vec![3]));
        let leaked = twice.clone().rotated(after(2), after(2));
        assert_eq!(
            (secrets(&leaked, after(2)), leaked.old_secrets.len()),
            (vec![3], 0),
            "none before is good"
        );
        let later = once.rotated(after(24), after(48));
        assert_eq!(secrets(&later, after(25)), [2, 1], "what has ended does not come back");
        let often = (0..9).fold(twice, |webhook, _| webhook.rotated(after(2), after(24)));
        assert_eq!(secrets(&often, after(3)), [11, 10, 9, 8]);
    }
}
