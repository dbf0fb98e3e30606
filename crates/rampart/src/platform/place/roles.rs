//! What people and programs may do, wherever they are.

use std::collections::BTreeSet;

use model::{
    Permission, Role, RoleName,
    record::{NewRole, RoleRecord},
};

use super::Place;
use crate::platform::operator;

impl Place {
    pub(in crate::platform) async fn roles(&self) -> anyhow::Result<Vec<RoleRecord>> {
        Ok(match self {
            Place::Here(desk) => desk.store.roles(desk.tenant().await?).await?,
            Place::There(client) => client.roles().await?,
        })
    }

    pub(in crate::platform) async fn role(&self, name: &Role) -> anyhow::Result<RoleRecord> {
        Ok(match self {
            Place::Here(desk) => desk.store.role(desk.tenant().await?, name.clone()).await?,
            Place::There(client) => client.role(name).await?,
        })
    }

    pub(in crate::platform) async fn create_role(&self, new: NewRole) -> anyhow::Result<RoleRecord> {
        Ok(match self {
            Place::Here(desk) => desk.store.create_role(desk.tenant().await?, new, operator()).await?,
            Place::There(client) => client.create_role(&new).await?,
        })
    }

    pub(in crate::platform) async fn change_role(
        &self,
        name: &RoleName,
        permissions: BTreeSet<Permission>,
    ) -> anyhow::Result<RoleRecord> {
        Ok(match self {
            Place::Here(desk) => {
                let tenant = desk.tenant().await?;
                desk.store.change_role(tenant, name.clone(), None, permissions, operator()).await?
            }
            Place::There(client) => client.change_role(name, &permissions).await?,
        })
    }

    pub(in crate::platform) async fn delete_role(&self, name: &RoleName) -> anyhow::Result<()> {
        match self {
            Place::Here(desk) => {
                desk.store.delete_role(desk.tenant().await?, name.clone(), None, operator()).await?
            }
            Place::There(client) => client.delete_role(name).await?,
        }
        Ok(())
    }
}
