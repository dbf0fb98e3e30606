//! All tenants, for who runs the platform, wherever they are.

use client::Invited;
use model::{
    Role, Scope, TenantId, Token, UserName,
    record::{NewUser, TenantChange, TenantRecord},
};
use store::{FirstPassword, NewTenant};

use super::{Place, pages, shown_by};
use crate::platform::operator;

impl Place {
    pub(in crate::platform) async fn all_tenants(&self) -> anyhow::Result<Vec<TenantRecord>> {
        match self {
            Place::Here(desk) => Ok(desk.store.tenants().await?),
            Place::There(client) => {
                pages(usize::MAX, None, async |most, after| client.tenants(most, after).await).await
            }
        }
    }

    pub(in crate::platform) async fn tenant_named(&self, name: &str) -> anyhow::Result<TenantRecord> {
        let found = match self {
            Place::Here(desk) => desk.store.tenant_named(name).await.map_err(anyhow::Error::from),
            Place::There(_) => {
                let mut all = self.all_tenants().await?.into_iter();
                all.find(|tenant| tenant.name == name)
                    .ok_or_else(|| anyhow::anyhow!("there is no tenant `{name}`"))
            }
        };
        shown_by(found, "rampart tenant list", "tenants")
    }

    /// With the scope `loopback` where it is made here; at a server its owner says what it may touch.
    pub(in crate::platform) async fn create_tenant(
        &self,
        new: NewTenant,
        owner: Option<UserName>,
    ) -> anyhow::Result<(TenantRecord, Option<Invited>)> {
        let desk = match self {
            Place::Here(desk) => desk,
            Place::There(client) => {
                let NewTenant { name, weight, most_in_flight } = new;
                let change = TenantChange { weight: Some(weight), most_in_flight: Some(most_in_flight) };
                return Ok(client.create_tenant(&name, change, owner.as_ref()).await?);
            }
        };
        let tenant = desk.store.create_tenant(new, operator()).await?;
        desk.store.put_scope(tenant.id, "loopback", Scope::loopback(), operator()).await?;
        let Some(name) = owner else { return Ok((tenant, None)) };
        let (new, invitation) = (NewUser { name, role: Role::Owner }, Token::from_random(rand::random()));
        let first = FirstPassword::Invited(invitation.clone());
        let user = desk.store.create_user(tenant.id, new, first, operator()).await?;
        Ok((tenant, Some(Invited { invitation, user })))
    }

    pub(in crate::platform) async fn set_tenant(
        &self,
        id: TenantId,
        change: TenantChange,
    ) -> anyhow::Result<TenantRecord> {
        Ok(match self {
            Place::Here(desk) => desk.store.set_tenant(id, change, None, None, operator()).await?,
            Place::There(client) => client.change_tenant(id, change).await?,
        })
    }
}
