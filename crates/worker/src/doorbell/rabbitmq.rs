//! RabbitMQ: a bounded quorum queue for each bell, and a fanout exchange for stops.
//!
//! The client's own recovery is not used: it gives up after a number of attempts. Whatever fails here makes a new connection.

use std::{collections::BTreeSet, convert::Infallible, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{
    Stream, StreamExt,
    future::try_join_all,
    stream::{SelectAll, once},
};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer, ExchangeKind,
    message::Delivery,
    options::{
        BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicPublishOptions,
        BasicQosOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    },
    tcp::OwnedTLSConfig,
    types::{AMQPValue, FieldTable, ShortString},
    uri::AMQPUri,
};
use tokio::sync::Mutex;

use super::{
    Bell, BrokerError, KEPT, KEPT_FOR, Settings,
    desk::{Desk, Ear},
    remote::{Broker, answered},
    without_credentials,
};

/// In seconds. A line that died without a word is noticed after two of them.
const HEARTBEAT: u16 = 5;

/// How long connecting and declaring may take. Quorum queues elect a leader first.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How often the connection is asked whether it still is one, in case nothing told those who consume.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct RabbitMq {
    place: Arc<Place>,
}

struct Place {
    name: String,
    uri: AMQPUri,
    authorities: Option<String>,
    namespace: String,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Place").field(&self.name).finish()
    }
}

impl RabbitMq {
    pub(super) fn new(address: &str, settings: &Settings) -> Result<RabbitMq, String> {
        if address.contains(['?', '#']) {
            return Err("options are not known here".to_owned());
        }
        let mut uri: AMQPUri = address.parse()?;
        uri.query.heartbeat = Some(HEARTBEAT);
        let place = Place {
            name: without_credentials(address),
            uri,
            authorities: settings.authorities.clone(),
            namespace: settings.namespace.clone(),
        };
        Ok(RabbitMq { place: Arc::new(place) })
    }
}

impl Place {
    async fn connect(&self) -> Result<Connection, BrokerError> {
        let tls = OwnedTLSConfig { identity: None, cert_chain: self.authorities.clone() };
        let properties = ConnectionProperties::default().with_connection_name("rampart doorbell".into());
        let connection = Connection::connect_uri_with_config(
            self.uri.clone(),
            properties,
            tls,
            lapin::runtime::default_runtime()?,
        );
        Ok(connection.await?)
    }

    /// Of the queue, or for stops of the exchange.
    fn name_of(&self, bell: Bell) -> ShortString {
        format!("{}.bell.{bell}", self.namespace).into()
    }

    /// The arguments must be the same in everything that ever declares it.
    async fn declare(&self, channel: &Channel, bell: Bell) -> Result<(), BrokerError> {
        let name = self.name_of(bell);
        if bell == Bell::Stop {
            let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
            channel.exchange_declare(name, ExchangeKind::Fanout, options, FieldTable::default()).await?;
            return Ok(());
        }
        let number = |number: u128| AMQPValue::LongLongInt(number.try_into().expect("it is a small number"));
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        arguments.insert("x-max-length".into(), number(KEPT as u128));
        arguments.insert("x-overflow".into(), AMQPValue::LongString("drop-head".into()));
        arguments.insert("x-message-ttl".into(), number(KEPT_FOR.as_millis()));
        channel.queue_declare(name, QueueDeclareOptions::durable(), arguments).await?;
        Ok(())
    }
}

/// Where all who ring publish.
pub(super) struct Line {
    channel: Channel,
    /// What was declared on this connection.
    declared: Mutex<BTreeSet<Bell>>,
    /// Closed when dropped.
    _connection: Connection,
}

#[async_trait]
impl Broker for RabbitMq {
    type Line = Line;

    fn name(&self) -> &str {
        &self.place.name
    }

    async fn connect(&self) -> Result<Line, BrokerError> {
        let connection = self.place.connect().await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Line { channel, declared: Mutex::default(), _connection: connection })
    }

    async fn ring(&self, line: &Line, bell: Bell, count: usize) -> Result<(), BrokerError> {
        {
            let mut declared = line.declared.lock().await;
            if !declared.contains(&bell) {
                self.place.declare(&line.channel, bell).await?;
                declared.insert(bell);
            }
        }
        let (exchange, key, count) = match bell {
            Bell::Stop => (self.place.name_of(bell), ShortString::default(), 1),
            _ => (ShortString::default(), self.place.name_of(bell), count.min(KEPT)),
        };
        // A queue that somebody deleted is noticed; a stop that nobody listens for is none of our business.
        let options = BasicPublishOptions { mandatory: bell != Bell::Stop, ..BasicPublishOptions::default() };
        let mut confirms = Vec::with_capacity(count);
        for _ in 0..count {
            let properties = BasicProperties::default();
            let publish = line.channel.basic_publish(exchange.clone(), key.clone(), options, &[], properties);
            confirms.push(publish.await?);
        }
        for confirmation in try_join_all(confirms).await? {
            match confirmation {
                Confirmation::Ack(None) => {}
                Confirmation::Ack(Some(_)) => return Err("the queue is gone".into()),
                Confirmation::Nack(_) | Confirmation::NotRequested => {
                    return Err("the broker did not take it".into());
                }
            }
        }
        Ok(())
    }

    fn ears(&self, bells: &[Bell]) -> Vec<Box<dyn Ear>> {
        vec![Box::new(Queues { place: Arc::clone(&self.place), bells: bells.to_vec() })]
    }
}

/// Consumes from the queues while somebody waits, and from one of its own for stops all the time.
struct Queues {
    place: Arc<Place>,
    bells: Vec<Bell>,
}

type Delivered = (Bell, Option<lapin::Result<Delivery>>);

#[async_trait]
impl Ear for Queues {
    async fn listen(
        &mut self,
        desk: &Desk,
        ready: &mut (dyn FnMut() + Send),
    ) -> Result<Infallible, BrokerError> {
        let connection = answered(ANSWER_WITHIN, self.place.connect()).await?;
        let channel = answered(ANSWER_WITHIN, connection.create_channel()).await?;
        let mut stops = answered(ANSWER_WITHIN, self.prepare(&channel)).await?;
        let has_queues = self.queues().next().is_some();
        let mut consumed = SelectAll::new();
        let mut look = tokio::time::interval(LOOK);
        ready();
        loop {
            tokio::select! {
                Some((_, stop)) = stops.next() => {
                    arrived(stop)?;
                    desk.stop();
                }
                () = desk.wanted(), if has_queues && consumed.is_empty() => {
                    consumed = answered(ANSWER_WITHIN, self.consume(&channel)).await?;
                }
                Some((bell, delivery)) = consumed.next() => {
                    let delivery = arrived(delivery)?;
                    let is_taken = desk.offer(bell);
                    answered(ANSWER_WITHIN, self.settle(&channel, delivery, is_taken, &mut consumed)).await?;
                }
                _ = look.tick() => if !connection.status().connected() {
                    return Err("the connection is lost".into());
                },
            }
        }
    }
}

fn arrived(delivered: Option<lapin::Result<Delivery>>) -> Result<Delivery, BrokerError> {
    match delivered {
        Some(Ok(delivery)) => Ok(delivery),
        Some(Err(error)) => Err(error.into()),
        None => Err("the broker delivers no more".into()),
    }
}

/// What a consumer delivers, and then once that there is no more: the end of one among several would go unnoticed.
fn until_the_end(bell: Bell, consumer: Consumer) -> impl Stream<Item = Delivered> + Send + Unpin {
    let deliveries = consumer.map(move |delivery| (bell, Some(delivery)));
    deliveries.chain(once(std::future::ready((bell, None))))
}

impl Queues {
    fn queues(&self) -> impl Iterator<Item = Bell> {
        self.bells.iter().copied().filter(|bell| *bell != Bell::Stop)
    }

    /// Declares what is needed; gives the consumer of stops, when there is to be one.
    async fn prepare(
        &self,
        channel: &Channel,
    ) -> Result<SelectAll<impl Stream<Item = Delivered> + Send + Unpin + use<>>, BrokerError> {
        // For each consumer: whoever waits takes one ring and leaves the others to the others.
        channel.basic_qos(1, BasicQosOptions::default()).await?;
        let mut stops = SelectAll::new();
        for bell in &self.bells {
            self.place.declare(channel, *bell).await?;
        }
        if self.bells.contains(&Bell::Stop) {
            let exchange = self.place.name_of(Bell::Stop);
            let mut arguments = FieldTable::default();
            arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(1));
            let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
            let queue = channel.queue_declare(ShortString::default(), options, arguments).await?;
            let (bound, empty) = (QueueBindOptions::default(), FieldTable::default());
            channel
                .queue_bind(queue.name().clone(), exchange, ShortString::default(), bound, empty.clone())
                .await?;
            let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
            let tag = ShortString::from(Bell::Stop.as_str());
            let consumer = channel.basic_consume(queue.name().clone(), tag, options, empty).await?;
            stops.push(until_the_end(Bell::Stop, consumer));
        }
        Ok(stops)
    }

    async fn consume(
        &self,
        channel: &Channel,
    ) -> Result<SelectAll<impl Stream<Item = Delivered> + Send + Unpin + use<>>, BrokerError> {
        let mut consumed = SelectAll::new();
        for bell in self.queues() {
            let (queue, tag) = (self.place.name_of(bell), ShortString::from(bell.as_str()));
            let options = BasicConsumeOptions::default();
            let consumer = channel.basic_consume(queue, tag, options, FieldTable::default()).await?;
            consumed.push(until_the_end(bell, consumer));
        }
        Ok(consumed)
    }

    /// Consumes no more, so that what is given back goes to somebody else, and then takes or gives back what was delivered.
    async fn settle(
        &self,
        channel: &Channel,
        delivery: Delivery,
        is_taken: bool,
        consumed: &mut SelectAll<impl Stream<Item = Delivered> + Send + Unpin>,
    ) -> Result<(), BrokerError> {
        for bell in self.queues() {
            channel.basic_cancel(ShortString::from(bell.as_str()), BasicCancelOptions::default()).await?;
        }
        let back = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
        if is_taken {
            delivery.ack(BasicAckOptions::default()).await?;
        } else {
            delivery.nack(back).await?;
        }
        // What other consumers had been delivered.
        while let Some((_, delivered)) = consumed.next().await {
            if let Some(Ok(delivery)) = delivered {
                delivery.nack(back).await?;
            }
        }
        Ok(())
    }
}
