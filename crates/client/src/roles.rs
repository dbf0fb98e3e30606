//! What people and programs may do.

use std::collections::BTreeSet;

use model::{
    Permission, Role, RoleName,
    record::{NewRole, RoleRecord},
};
use serde::Deserialize;
use serde_json::json;

use crate::{Client, ClientError};

#[derive(Deserialize)]
struct Roles {
    roles: Vec<RoleRecord>,
}

impl Client {
    /// Every role: those that are built in, then those that the tenant has made, by name.
    pub async fn roles(&self) -> Result<Vec<RoleRecord>, ClientError> {
        self.get(&["roles"]).answer().await.map(|Roles { roles }| roles)
    }

    /// One of them.
    pub async fn role(&self, name: &Role) -> Result<RoleRecord, ClientError> {
        self.get(&["roles", name.as_str()]).answer().await
    }

    /// Makes a role. Asked once: of two of a name the second is refused.
    pub async fn create_role(&self, new: &NewRole) -> Result<RoleRecord, ClientError> {
        self.post(&["roles"]).body(new).answer().await
    }

    /// Says what whoever has it may do from now on, and nothing else.
    pub async fn change_role(
        &self,
        name: &RoleName,
        permissions: &BTreeSet<Permission>,
    ) -> Result<RoleRecord, ClientError> {
        let change = json!({ "permissions": permissions });
        self.request(reqwest::Method::PATCH, &["roles", name.as_str()]).body(&change).answer().await
    }

    /// Takes a role back that nobody has any more.
    pub async fn delete_role(&self, name: &RoleName) -> Result<(), ClientError> {
        self.delete(&["roles", name.as_str()]).done().await
    }
}
