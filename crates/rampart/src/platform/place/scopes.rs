//! Scopes, wherever they are.

use client::{Expected, NamedScope};
use model::{Scope, scope::ScopeFile};

use super::{Place, pages, shown_by};
use crate::platform::operator;

impl Place {
    /// They may be some seconds old.
    pub(in crate::platform) async fn stale_scopes(&self) -> anyhow::Result<Vec<(String, Scope)>> {
        Ok(match self {
            Place::Here(desk) => desk.stale_reads().await?.scopes(desk.tenant().await?).await?,
            Place::There(client) => {
                let ask = async |limit, after| client.scopes(limit, after).await;
                let scopes = pages(usize::MAX, None, ask).await?.into_iter();
                scopes.map(|NamedScope { name, scope }| (name, scope)).collect()
            }
        })
    }

    /// Writes a scope down. Its name servers are those of the machine that does.
    pub(in crate::platform) async fn put_scope(
        &self,
        name: &str,
        written: &ScopeFile,
        mut scope: Scope,
    ) -> anyhow::Result<()> {
        match self {
            Place::Here(desk) => {
                if scope.resolvers.is_empty() {
                    scope.resolvers = scanner::dns::system_servers();
                }
                desk.store.put_scope(desk.tenant().await?, name, scope, operator()).await?;
            }
            Place::There(client) => {
                client.put_scope(name, written, Expected::Whatever).await?;
            }
        }
        Ok(())
    }

    pub(in crate::platform) async fn delete_scope(&self, name: &str) -> anyhow::Result<()> {
        let (command, what) = ("rampart scope list", "tenant's scopes");
        match self {
            Place::Here(desk) => {
                let tenant = desk.tenant().await?;
                shown_by(desk.store.delete_scope(tenant, name, None, operator()).await, command, what)
            }
            Place::There(client) => shown_by(client.delete_scope(name).await, command, what),
        }
    }
}
