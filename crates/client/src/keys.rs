//! Keys.

use jiff::Timestamp;
use model::{
    ApiKey, KeyPrefix, Role,
    list::{KeyCursor, ListOrder},
    record::{KeyRecord, NewKey},
};
use serde::Deserialize;
use serde_json::json;

use crate::{Client, ClientError, Page};

/// A key that was made now: it is shown this once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeKey {
    /// The key itself.
    pub key: ApiKey,
    /// What is known of it.
    pub record: KeyRecord,
}

/// Which keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyQuery {
    /// Only those of that role.
    pub role: Option<Role>,
    /// Only those that are good for nothing any more, or only those that are.
    pub expired: Option<bool>,
    /// Only those that nobody has used since then.
    pub unused_since: Option<Timestamp>,
    /// In which order.
    pub order: ListOrder,
    /// How many, at most; as many as the server usually gives without.
    pub limit: Option<usize>,
    /// Only what comes behind that place in that order.
    pub after: Option<KeyCursor>,
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<KeyRecord>,
    next: Option<KeyCursor>,
}

#[derive(Deserialize)]
struct Made {
    secret: String,
    #[serde(flatten)]
    record: KeyRecord,
}

impl Client {
    /// Keys of the tenant.
    pub async fn keys(&self, query: &KeyQuery) -> Result<Page<KeyRecord, KeyCursor>, ClientError> {
        let request = self
            .get(&["keys"])
            .query_if("role", query.role.as_ref())
            .query_if("expired", query.expired)
            .query_if("unused_since", query.unused_since)
            .query("order", query.order)
            .query_if("limit", query.limit)
            .query_if("after", query.after.as_ref());
        request.answer().await.map(|Keys { keys, next }| Page { items: keys, next })
    }

    /// What is known of a key.
    pub async fn key(&self, prefix: &KeyPrefix) -> Result<KeyRecord, ClientError> {
        self.get(&["keys", prefix.as_str()]).answer().await
    }

    /// Makes a key that may do no more than the one that asks for it.
    pub async fn create_key(&self, new: &NewKey) -> Result<MadeKey, ClientError> {
        self.make_key(&["keys"], new).await
    }

    /// Makes another key in the place of one, which goes on for so many seconds; for a day without.
    pub async fn rotate_key(
        &self,
        prefix: &KeyPrefix,
        overlap_seconds: Option<u32>,
    ) -> Result<MadeKey, ClientError> {
        let asked = json!({ "overlap_seconds": overlap_seconds });
        self.make_key(&["keys", prefix.as_str(), "rotate"], &asked).await
    }

    async fn make_key(&self, path: &[&str], asked: &impl serde::Serialize) -> Result<MadeKey, ClientError> {
        let request = self.post(path).body(asked);
        let unreadable = |why: &str| self.post(path).unreadable(why);
        let Made { secret, record } = request.answer().await?;
        let key = secret.parse().map_err(|error: model::key::ApiKeyError| unreadable(&error.to_string()))?;
        Ok(MadeKey { key, record })
    }

    /// Takes a key back: from the next request on it is not known.
    pub async fn revoke_key(&self, prefix: &KeyPrefix) -> Result<(), ClientError> {
        self.delete(&["keys", prefix.as_str()]).done().await
    }
}
