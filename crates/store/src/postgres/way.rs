//! The way to a server: as whom connections are made, which may be said anew while everything goes on.

use std::{sync::Arc, time::Instant};

use arc_swap::ArcSwap;
use deadpool_postgres::{Connect, Hook, HookError, Metrics};
use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, Error};

use super::tls::Server;

/// Shared by all pools that lead there.
pub(super) struct Way(ArcSwap<Taken>);

struct Taken {
    server: Server,
    since: Instant,
}

impl Way {
    pub(super) fn new(server: Server) -> Arc<Way> {
        Arc::new(Way(ArcSwap::from_pointee(Taken { server, since: Instant::now() })))
    }

    /// Connections are made so from now on. Those that are there have their say, and are not lent again.
    pub(super) fn turn_to(&self, server: Server) {
        self.0.store(Arc::new(Taken { server, since: Instant::now() }));
    }

    /// Whether a connection with these dates was made as connections are made now.
    pub(super) fn still_holds(&self, connection: &Metrics) -> bool {
        connection.created >= self.0.load().since
    }

    /// Whether somebody who goes there comes to the same database.
    pub(super) fn leads_to(&self, server: &Server) -> bool {
        let place = |config: &Config| {
            let hosts = (config.get_hosts().to_vec(), config.get_hostaddrs().to_vec());
            (hosts, config.get_ports().to_vec(), config.get_dbname().map(str::to_owned))
        };
        place(&self.0.load().server.config) == place(&server.config)
    }

    /// Lets nothing be lent that was made before.
    pub(super) fn hook(self: &Arc<Way>) -> Hook {
        let way = Arc::clone(self);
        Hook::sync_fn(move |_, connection| match way.still_holds(connection) {
            true => Ok(()),
            false => Err(HookError::message("connections are made in another way by now")),
        })
    }
}

/// Connects by the way as it is then.
pub(super) struct Along(pub(super) Arc<Way>);

impl Connect for Along {
    fn connect(&self, _: &Config) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), Error>> {
        Box::pin(async move {
            let (client, connection) = loop {
                let taken = self.0.0.load_full();
                let Server { config, tls } = &taken.server;
                let made = config.connect(tls.clone()).await?;
                // Its date is that of its end: one that was begun in the way of before would look like one of now.
                if Arc::ptr_eq(&taken, &self.0.0.load()) {
                    break made;
                }
            };
            let talking = tokio::spawn(async move {
                if let Err(error) = connection.await {
                    // Whoever asks something on it is told as well.
                    tracing::debug!(%error, "a connection to the database broke");
                }
            });
            Ok((client, talking))
        })
    }
}
