//! Where what operators ask about is: in a database that this process opens, or at a server. A command is written once, and asks here.

mod audit;
mod comments;
mod findings;
mod keys;
mod packages;
mod roles;
mod scans;
mod schedules;
mod scopes;
mod stops;
mod tasks;
mod tenants;
mod usage;
mod users;
mod webhooks;

use anyhow::{Context, bail};
use client::{Address, Client, ClientError, Page};
use jiff::Timestamp;
use model::{TenantId, record::TenantRecord};
use store::StoreError;

pub(super) use self::{scans::Details, tasks::Redriven};
use super::{Desk, operator};
use crate::configuration::Whereabouts;

/// What a server gives at once, at most.
const PAGE: usize = 500;

/// Where it is.
pub(super) enum Place {
    /// In this database.
    Here(Box<Desk>),
    /// At this server.
    There(Client),
}

impl Place {
    pub(super) async fn open(whereabouts: &Whereabouts) -> anyhow::Result<Place> {
        Ok(match whereabouts {
            Whereabouts::Here(configuration) => {
                Place::Here(Box::new(Desk::open((**configuration).clone()).await?))
            }
            Whereabouts::There(client) => Place::There(client.clone()),
        })
    }

    /// For what no server can be asked for, and why not.
    pub(super) fn here(&self, why_not_there: &str) -> anyhow::Result<&Desk> {
        match self {
            Place::Here(desk) => Ok(desk),
            Place::There(client) => bail!(
                "{} cannot be asked for this, {why_not_there}: leave --server out, and RAMPART_SERVER unset, where the database is",
                client.address()
            ),
        }
    }

    /// Which server, if it is at one.
    pub(super) fn server(&self) -> Option<&Address> {
        match self {
            Place::Here(_) => None,
            Place::There(client) => Some(client.address()),
        }
    }

    /// The clock by which things are timed where they are.
    pub(super) async fn clock(&self) -> anyhow::Result<Timestamp> {
        Ok(match self {
            Place::Here(desk) => desk.store.clock().await?,
            Place::There(client) => client.clock().await?,
        })
    }

    /// The tenant that is meant.
    pub(super) async fn tenant(&self) -> anyhow::Result<TenantId> {
        match self {
            Place::Here(desk) => desk.tenant().await,
            Place::There(client) => Ok(client.me().await?.key.tenant),
        }
    }

    /// The tenants that may be named.
    pub(super) async fn tenants(&self) -> anyhow::Result<Vec<TenantRecord>> {
        Ok(match self {
            Place::Here(desk) => desk.store.tenants().await?,
            Place::There(client) => match client.tenant().await {
                Err(error) if error.is_forbidden() => Vec::new(),
                tenant => vec![tenant?],
            },
        })
    }

    /// Whose things are meant, for people.
    pub(super) fn whose(&self) -> String {
        match self {
            Place::Here(desk) => format!("tenant {}", desk.configuration.tenant),
            Place::There(_) => "the tenant of the key".to_owned(),
        }
    }

    /// Workers look at once for what is stopped and for what nobody wants any more. A server tells them itself.
    pub(super) async fn tell_workers(&self) {
        if let Place::Here(desk) = self {
            desk.tell_workers().await;
        }
    }
}

/// The person that an option names, and the user of this machine.
fn on_behalf_of(person: Option<&str>) -> String {
    person.map_or_else(operator, |person| format!("{person} ({})", operator()))
}

/// A server knows who asks, and believes nobody else.
fn refuse_person(person: Option<&str>) -> anyhow::Result<()> {
    if person.is_some() {
        bail!(
            "--by is for a database that is opened here: a server writes down whose key it was asked with, so leave it out"
        );
    }
    Ok(())
}

/// None when there is no such thing.
pub(super) fn known<T>(found: anyhow::Result<T>) -> anyhow::Result<Option<T>> {
    let is_missing = |error: &anyhow::Error| {
        let of_store = || matches!(error.downcast_ref(), Some(StoreError::Missing { .. }));
        error.downcast_ref::<ClientError>().map_or_else(of_store, ClientError::is_missing)
    };
    match found {
        Err(error) if is_missing(&error) => Ok(None),
        found => found.map(Some),
    }
}

/// May it be otherwise in a moment?
pub(super) fn is_passing(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let of_store = cause.downcast_ref().is_some_and(StoreError::is_passing);
        of_store || cause.downcast_ref().is_some_and(ClientError::is_passing)
    })
}

/// Turns pages until there is enough or no more.
async fn pages<T, At>(
    at_most: usize,
    from: Option<At>,
    ask: impl AsyncFn(usize, Option<At>) -> Result<Page<T, At>, ClientError>,
) -> anyhow::Result<Vec<T>> {
    Ok(some_pages(at_most, from, ask).await?.0)
}

/// The same, and where to go on when there may be more.
async fn some_pages<T, At>(
    at_most: usize,
    mut from: Option<At>,
    ask: impl AsyncFn(usize, Option<At>) -> Result<Page<T, At>, ClientError>,
) -> anyhow::Result<(Vec<T>, Option<At>)> {
    let mut found = Vec::new();
    while found.len() < at_most {
        let page = ask(PAGE.min(at_most - found.len()), from).await?;
        // A page of what was looked for among much may be empty, and not the last.
        found.extend(page.items);
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    found.truncate(at_most);
    Ok((found, from))
}

/// The way out of what somebody named wrongly.
fn shown_by<T, E>(done: Result<T, E>, command: &str, what: &str) -> anyhow::Result<T>
where
    Result<T, E>: Context<T, E>,
{
    done.with_context(|| format!("`{command}` shows the {what}"))
}
