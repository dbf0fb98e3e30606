//! People who may log in.

use jiff::Timestamp;
use model::{
    Role, Token, UserId,
    list::{ListOrder, UserCursor},
    record::{NewUser, UserRecord},
    user::Standing,
};
use serde::Deserialize;
use serde_json::json;

use crate::{Client, ClientError, Page};

/// Somebody who was invited now: the invitation is shown this once.
#[derive(Debug, Clone)]
pub struct Invited {
    /// With it they choose a password.
    pub invitation: Token,
    /// Who.
    pub user: UserRecord,
}

/// Which people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserQuery {
    /// Only those of that role.
    pub role: Option<Role>,
    /// Only those who stand so.
    pub standing: Option<Standing>,
    /// Only those who have not logged in since then.
    pub away_since: Option<Timestamp>,
    /// In which order.
    pub order: ListOrder,
    /// How many, at most; as many as the server usually gives without.
    pub limit: Option<usize>,
    /// Only who comes behind that place in that order.
    pub after: Option<UserCursor>,
}

#[derive(Deserialize)]
struct Users {
    users: Vec<UserRecord>,
    next: Option<UserCursor>,
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
    /// People of the tenant who may log in, or might.
    pub async fn users(&self, query: &UserQuery) -> Result<Page<UserRecord, UserCursor>, ClientError> {
        let request = self
            .get(&["users"])
            .query_if("role", query.role.as_ref())
            .query_if("standing", query.standing)
            .query_if("away_since", query.away_since)
            .query("order", query.order)
            .query_if("limit", query.limit)
            .query_if("after", query.after.as_ref());
        request.answer().await.map(|Users { users, next }| Page { items: users, next })
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
