//! What a configuration leads to: the database, the object storage and the doorbell, opened.

use std::sync::Arc;

use anyhow::{Context, bail};
use model::SecretUrl;
use store::{Location, Objects, ReplicaLocation, Store, StoreError};
use worker::doorbell::{self, Changing, Counts, Doorbell};

use super::{Configuration, DatabaseUrl, passwords};

impl Configuration {
    pub(crate) fn location(&self) -> Location {
        let complete = |url| passwords::complete(url, self.database_password.as_ref());
        match &self.database {
            DatabaseUrl::Sqlite(path) => Location::Sqlite(path.clone()),
            DatabaseUrl::Postgres(url) => Location::Postgres {
                url: complete(url).reveal().to_owned(),
                connections: self.database_connections,
                replica: self.replica.as_ref().map(|url| ReplicaLocation {
                    url: complete(url).reveal().to_owned(),
                    most_behind: self.replica_lag,
                }),
            },
        }
    }

    /// Opens the database that must be there: an operator who mistypes a path is told, and no empty file is left behind.
    pub(crate) async fn open(&self) -> anyhow::Result<Store> {
        if let DatabaseUrl::Sqlite(path) = &self.database
            && !path.exists()
        {
            bail!(
                "there is no database `{}`: `rampart up` makes one; --data or --database say where it is",
                path.display()
            );
        }
        self.make().await
    }

    /// Opens the database, and makes it when it is a file that is not there.
    pub(crate) async fn make(&self) -> anyhow::Result<Store> {
        Store::open(&self.location())
            .await
            .with_context(|| format!("cannot open the database {}", self.database))
    }

    /// For those who write evidence or sweep it. Nothing else, and least of all an emergency stop, may need object storage.
    pub(crate) fn with_evidence(&self, store: Store) -> anyhow::Result<Store> {
        Ok(match &self.objects {
            Some(_) => store.with_evidence_in(self.objects()?),
            None => store,
        })
    }

    /// Where reports are kept.
    pub(crate) fn objects(&self) -> anyhow::Result<Objects> {
        self.objects_by(Objects::open)
    }

    /// The same for those who write reports: a directory that is not there is made.
    pub(crate) fn make_objects(&self) -> anyhow::Result<Objects> {
        self.objects_by(Objects::open_or_make)
    }

    fn objects_by(&self, open: fn(&str) -> Result<Objects, StoreError>) -> anyhow::Result<Objects> {
        let opened = match &self.objects {
            Some(url) => open(passwords::complete(url, self.objects_password.as_ref()).reveal()),
            None => Objects::directory(&self.data),
        };
        opened.context("--objects says where evidence and reports are kept")
    }

    /// With its password.
    pub(crate) fn doorbell_url(&self) -> SecretUrl {
        passwords::complete(&self.doorbell, self.doorbell_password.as_ref())
    }

    /// Where the processes count together what they give.
    pub(crate) fn counts(&self) -> anyhow::Result<Option<Counts>> {
        Ok(doorbell::counts(self.doorbell_url().reveal(), &doorbell::Settings::default())?)
    }

    /// For processes that go on when it has another password.
    pub(crate) fn changing_doorbell(&self) -> anyhow::Result<Arc<Changing>> {
        Ok(Arc::new(Changing::new(self.doorbell()?)))
    }

    pub(crate) fn doorbell(&self) -> anyhow::Result<Arc<dyn Doorbell>> {
        Ok(doorbell::connect(self.doorbell_url().reveal(), &doorbell::Settings::default())?)
    }
}
