//! People who may log in, wherever they are.

use client::{Invited, UserQuery};
use model::{
    Role, Token, UserId,
    record::{NewUser, UserRecord},
};
use store::FirstPassword;

use super::{Place, pages};
use crate::platform::operator;

impl Place {
    pub(in crate::platform) async fn users(&self) -> anyhow::Result<Vec<UserRecord>> {
        Ok(match self {
            Place::Here(desk) => desk.store.users(desk.tenant().await?).await?,
            Place::There(client) => {
                let ask = async |limit, after| {
                    client.users(&UserQuery { limit: Some(limit), after, ..UserQuery::default() }).await
                };
                pages(usize::MAX, None, ask).await?
            }
        })
    }

    pub(in crate::platform) async fn invite_user(&self, new: NewUser) -> anyhow::Result<Invited> {
        Ok(match self {
            Place::Here(desk) => {
                let (tenant, invitation) = (desk.tenant().await?, Token::from_random(rand::random()));
                let first = FirstPassword::Invited(invitation.clone());
                let user = desk.store.create_user(tenant, new, first, operator()).await?;
                Invited { invitation, user }
            }
            Place::There(client) => client.invite_user(&new).await?,
        })
    }

    pub(in crate::platform) async fn invite_user_again(&self, id: UserId) -> anyhow::Result<Invited> {
        Ok(match self {
            Place::Here(desk) => {
                let (tenant, invitation) = (desk.tenant().await?, Token::from_random(rand::random()));
                let user = desk.store.invite_again(tenant, id, None, &invitation, operator()).await?;
                Invited { invitation, user }
            }
            Place::There(client) => client.invite_user_again(id).await?,
        })
    }

    pub(in crate::platform) async fn change_user(
        &self,
        id: UserId,
        role: Option<Role>,
        disabled: Option<bool>,
    ) -> anyhow::Result<UserRecord> {
        Ok(match self {
            Place::Here(desk) => {
                desk.store.change_user(desk.tenant().await?, id, None, role, disabled, operator()).await?
            }
            Place::There(client) => client.change_user(id, role, disabled).await?,
        })
    }

    pub(in crate::platform) async fn delete_user(&self, id: UserId) -> anyhow::Result<()> {
        match self {
            Place::Here(desk) => desk.store.delete_user(desk.tenant().await?, id, None, operator()).await?,
            Place::There(client) => client.delete_user(id).await?,
        }
        Ok(())
    }
}
