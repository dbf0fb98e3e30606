//! Tenants, for people and programs of the one that runs the platform.

use model::{
    TenantId, UserName,
    record::{TenantChange, TenantRecord},
};
use serde::Deserialize;
use serde_json::json;

use crate::{Client, ClientError, Invited, Page, users::Answer};

#[derive(Deserialize)]
struct Tenants {
    tenants: Vec<TenantRecord>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct MadeTenant {
    #[serde(flatten)]
    tenant: TenantRecord,
    owner: Option<Answer>,
}

impl Client {
    /// So many tenants by name, from one on.
    pub async fn tenants(
        &self,
        limit: usize,
        after: Option<String>,
    ) -> Result<Page<TenantRecord, String>, ClientError> {
        let request = self.get(&["tenants"]).query("limit", limit).query_if("after", after);
        let Tenants { tenants, next } = request.answer().await?;
        Ok(Page { items: tenants, next })
    }

    /// Makes a tenant, and invites its owner. Asked once: an invitation that is lost is told nobody again.
    pub async fn create_tenant(
        &self,
        name: &str,
        share: TenantChange,
        owner: Option<&UserName>,
    ) -> Result<(TenantRecord, Option<Invited>), ClientError> {
        let TenantChange { weight, most_in_flight } = share;
        let body =
            json!({ "name": name, "weight": weight, "most_in_flight": most_in_flight, "owner": owner });
        let MadeTenant { tenant, owner } = self.post(&["tenants"]).body(&body).answer().await?;
        let invited =
            owner.map(|owner| owner.invited(|why| self.post(&["tenants"]).unreadable(why))).transpose()?;
        Ok((tenant, invited))
    }

    /// Says what a tenant may take; what is not given stays.
    pub async fn change_tenant(
        &self,
        tenant: TenantId,
        change: TenantChange,
    ) -> Result<TenantRecord, ClientError> {
        self.request(reqwest::Method::PATCH, &["tenants", &tenant.to_string()]).body(&change).answer().await
    }
}
