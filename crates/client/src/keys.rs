//! Keys.

use model::{
    ApiKey, KeyPrefix,
    record::{KeyRecord, NewKey},
};
use serde::Deserialize;
use serde_json::json;

use crate::{Client, ClientError};

/// A key that was made now: it is shown this once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeKey {
    /// The key itself.
    pub key: ApiKey,
    /// What is known of it.
    pub record: KeyRecord,
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<KeyRecord>,
}

#[derive(Deserialize)]
struct Made {
    secret: String,
    #[serde(flatten)]
    record: KeyRecord,
}

impl Client {
    /// Every key of the tenant, by name.
    pub async fn keys(&self) -> Result<Vec<KeyRecord>, ClientError> {
        self.get(&["keys"]).answer().await.map(|Keys { keys }| keys)
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
