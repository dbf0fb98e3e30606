//! A doorbell with a broker of its own, or with names of its own at one that the tests share.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use testkit::{rabbitmq, redis, tls};
use worker::doorbell::{Bell, Doorbell, Settings, connect};

use crate::patience::{DEADLINE, eventually};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    InProcess,
    Redis,
    RedisTls,
    Sentinel,
    RabbitMq,
}

pub(crate) enum Server {
    None,
    Redis(redis::Server),
    Sentinel(redis::Sentinel),
    SharedRedis(&'static redis::Server),
    SharedRabbitMq(&'static rabbitmq::Server),
    RabbitMq(rabbitmq::Server),
}

pub(crate) struct Ground {
    pub(crate) server: Server,
    pub(crate) url: String,
    settings: Settings,
    /// One for all within the process; brokers get a new one each time.
    in_process: Arc<dyn Doorbell>,
}

impl Ground {
    /// For cases that leave the broker alone.
    pub(crate) fn new(kind: Kind) -> Ground {
        match kind {
            Kind::RabbitMq => {
                let server = tokio::task::block_in_place(rabbitmq::Server::shared);
                Ground::with(Server::SharedRabbitMq(server), server.url(), None)
            }
            kind => Ground::private(kind),
        }
    }

    /// With names of its own at brokers that all tests share.
    pub(crate) fn shared(kind: Kind) -> Ground {
        match kind {
            Kind::Redis => {
                let server = tokio::task::block_in_place(redis::Server::shared);
                Ground::with(Server::SharedRedis(server), server.url(), None)
            }
            kind => Ground::new(kind),
        }
    }

    /// For cases that do something to the broker.
    pub(crate) fn private(kind: Kind) -> Ground {
        tokio::task::block_in_place(|| match kind {
            Kind::InProcess => Ground::with(Server::None, "none".to_owned(), None),
            Kind::Redis => {
                let server = redis::Server::start();
                let url = server.url();
                Ground::with(Server::Redis(server), url, None)
            }
            Kind::RedisTls => {
                let certified = tls::certify(&tls::Wanted::default());
                let server = redis::Server::start_with(&redis::Options {
                    tls: Some(&certified),
                    ..redis::Options::default()
                });
                let (url, authority) = (server.url(), certified.authority_pem().to_owned());
                Ground::with(Server::Redis(server), url, Some(authority))
            }
            Kind::Sentinel => {
                let server = redis::Sentinel::start();
                let url = server.url();
                Ground::with(Server::Sentinel(server), url, None)
            }
            Kind::RabbitMq => {
                let server = rabbitmq::Server::start();
                let url = server.url();
                Ground::with(Server::RabbitMq(server), url, None)
            }
        })
    }

    pub(crate) fn with(server: Server, url: String, authorities: Option<String>) -> Ground {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let namespace = format!("rampart-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let settings = Settings { namespace, authorities, ring_within: DEADLINE };
        let in_process = connect("none", &settings).unwrap();
        Ground { server, url, settings, in_process }
    }

    /// The same broker through something that listens at another address.
    pub(crate) fn through(&mut self, address: SocketAddr) {
        self.url = self.url.replace(&self.address().to_string(), &address.to_string());
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match &self.server {
            Server::None => panic!("there is no broker"),
            Server::Redis(server) => server.address(),
            Server::Sentinel(server) => server.address(),
            Server::SharedRedis(server) => server.address(),
            Server::SharedRabbitMq(server) => server.address(),
            Server::RabbitMq(server) => server.address(),
        }
    }

    /// Another process's doorbell, as it were; patient, as the machine may be busy.
    pub(crate) fn doorbell(&self) -> Arc<dyn Doorbell> {
        match self.server {
            Server::None => Arc::clone(&self.in_process),
            _ => connect(&self.url, &self.settings).unwrap(),
        }
    }

    /// A doorbell with that deadline.
    pub(crate) fn impatient(&self, ring_within: Duration) -> Arc<dyn Doorbell> {
        connect(&self.url, &Settings { ring_within, ..self.settings.clone() }).unwrap()
    }

    /// Kills the broker, which has heard of `bell` only a moment ago.
    pub(crate) fn kill(&self, bell: Bell) {
        tokio::task::block_in_place(|| match &self.server {
            Server::Redis(server) => server.kill(),
            Server::Sentinel(server) => server.kill(),
            Server::RabbitMq(server) => {
                server.wait_until_written_down(&self.queue_name(bell));
                server.kill();
            }
            Server::None | Server::SharedRedis(_) | Server::SharedRabbitMq(_) => panic!("not for this case"),
        });
    }

    /// Kills the broker before it wrote down what its queues are called.
    pub(crate) fn kill_before_it_wrote_down(&self, bell: Bell) {
        let Server::RabbitMq(server) = &self.server else { panic!("not for this case") };
        tokio::task::block_in_place(|| {
            server.wait_until_written_down(&self.queue_name(bell));
            server.kill_before_it_wrote_down();
        });
    }

    fn queue_name(&self, bell: Bell) -> String {
        format!("{}.bell.{bell}", self.settings.namespace)
    }

    pub(crate) fn start_again(&self) {
        tokio::task::block_in_place(|| match &self.server {
            Server::Redis(server) => server.start_again(),
            Server::Sentinel(server) => server.start_again(),
            Server::RabbitMq(server) => server.start_again(),
            Server::None | Server::SharedRedis(_) | Server::SharedRabbitMq(_) => panic!("not for this case"),
        });
    }

    fn redis(&self) -> Option<&redis::Server> {
        match &self.server {
            Server::Redis(server) => Some(server),
            Server::Sentinel(server) => Some(server.primary()),
            _ => None,
        }
    }

    /// Makes the broker forget everything about this ground's bells.
    pub(crate) async fn wipe(&self, bell: Bell) {
        match self.redis() {
            Some(server) => server.flush(),
            None => {
                let channel = self.channel().await;
                channel.queue_delete(self.queue_name(bell).into(), Default::default()).await.unwrap();
                channel
                    .exchange_delete(self.queue_name(Bell::Stop).into(), Default::default())
                    .await
                    .unwrap();
            }
        }
    }

    /// Waits until the broker knows of that many who wait for the bell. Within the process it is known at once.
    pub(crate) async fn until_waiting(&self, bell: Bell, count: usize) {
        if matches!(self.server, Server::None) {
            return;
        }
        eventually(format!("{count} wait for {bell}"), async || {
            (self.queue(bell).await.1 == count).then_some(())
        })
        .await;
    }

    /// How many rings the broker keeps for the bell, and how many wait there.
    pub(crate) async fn queue(&self, bell: Bell) -> (usize, usize) {
        if let Some(server) = self.redis() {
            let key = format!("{}:bell:{bell}", self.settings.namespace);
            let kept = server.ask(&["LLEN", &key]).trim().parse().unwrap();
            let clients = server.ask(&["CLIENT", "LIST"]);
            let is_waiting = |line: &&str| line.contains("cmd=blpop") && line.contains("flags=b");
            return (kept, clients.lines().filter(is_waiting).count());
        }
        let name = format!("{}.bell.{bell}", self.settings.namespace);
        let options = lapin::options::QueueDeclareOptions { passive: true, ..Default::default() };
        let channel = self.channel().await;
        // Nobody may have declared it yet.
        let Ok(queue) = channel.queue_declare(name.into(), options, Default::default()).await else {
            return (0, 0);
        };
        (queue.message_count().try_into().unwrap(), queue.consumer_count().try_into().unwrap())
    }

    async fn channel(&self) -> lapin::Channel {
        let connection = lapin::Connection::connect(&self.url, Default::default()).await.unwrap();
        connection.create_channel().await.unwrap()
    }
}
