//! People who may log in.

use model::{
    Role, Token, UserId,
    record::{NewUser, UserRecord},
};
use serde::Deserialize;
use serde_json::json;

use crate::{Client, ClientError};

/// Somebody who was invited now: the invitation is shown this once.
#[derive(Debug, Clone)]
pub struct Invited {
    /// With it they choose a password.
    pub invitation: Token,
    /// Who.
    pub user: UserRecord,
}

#[derive(Deserialize)]
struct Users {
    users: Vec<UserRecord>,
}

#[derive(Deserialize)]
pub(crate) struct Answer {
    invitation: String,
    #[serde(flatten)]
    user: UserRecord,
}

impl Answer {
    pub(crate) fn invited(
        self,
        unreadable: impl FnOnce(&str) -> ClientError,
    ) -> Result<Invited, ClientError> {
        let Answer { invitation, user } = self;
        let invitation =
            invitation.parse().map_err(|error: model::user::TokenError| unreadable(&error.to_string()))?;
        Ok(Invited { invitation, user })
    }
}

impl Client {
    /// Everybody of the tenant who may log in, by name.
    pub async fn users(&self) -> Result<Vec<UserRecord>, ClientError> {
        self.get(&["users"]).answer().await.map(|Users { users }| users)
    }

    /// Invites somebody. Asked once: an answer that is lost is told nobody again.
    pub async fn invite_user(&self, new: &NewUser) -> Result<Invited, ClientError> {
        self.invited(&["users"], Some(new)).await
    }

    /// Invites somebody again: what they logged in with is good for nothing any more.
    pub async fn invite_user_again(&self, user: UserId) -> Result<Invited, ClientError> {
        self.invited(&["users", &user.to_string(), "invitation"], None).await
    }

    async fn invited(&self, path: &[&str], new: Option<&NewUser>) -> Result<Invited, ClientError> {
        let request = self.post(path);
        let request = match new {
            Some(new) => request.body(new),
            None => request,
        };
        request.answer::<Answer>().await?.invited(|why| self.post(path).unreadable(why))
    }

    /// Says what somebody may do, and whether they may log in; what is not given stays.
    pub async fn change_user(
        &self,
        user: UserId,
        role: Option<Role>,
        disabled: Option<bool>,
    ) -> Result<UserRecord, ClientError> {
        let change = json!({ "role": role, "disabled": disabled });
        self.request(reqwest::Method::PATCH, &["users", &user.to_string()]).body(&change).answer().await
    }

    /// Forgets somebody.
    pub async fn delete_user(&self, user: UserId) -> Result<(), ClientError> {
        self.delete(&["users", &user.to_string()]).done().await
    }
}
