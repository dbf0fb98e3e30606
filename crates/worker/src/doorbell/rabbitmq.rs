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
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
        ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
    },
    tcp::OwnedTLSConfig,
    types::{AMQPValue, FieldTable, ShortString},
    uri::AMQPUri,
};
use model::SecretUrl;
use tokio::{sync::Mutex, time::timeout};

use super::{
    Bell, BrokerError, KEPT, Settings,
    backoff::Backoff,
    desk::{Desk, Ear},
    remote::{Broker, answered},
};

/// In seconds. A line that died without a word is noticed after two of them.
const HEARTBEAT: u16 = 5;

/// How long an answer may take. Quorum queues elect a leader first.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How often consumers, and the binding that stops come by, are made anew: nobody is told when an exchange is deleted, and not
/// everybody when a queue is.
const RENEW: Duration = Duration::from_secs(5);

/// "OK" (AMQP 0-9-1, 1.3).
const REPLY_SUCCESS: u16 = 200;

/// How often a ring is published before it is given up, if time allows.
const TRIES: usize = 5;

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
            name: SecretUrl::new(address).to_string(),
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
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        arguments.insert(
            "x-max-length".into(),
            AMQPValue::LongLongInt(KEPT.try_into().expect("it is a small number")),
        );
        arguments.insert("x-overflow".into(), AMQPValue::LongString("drop-head".into()));
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
    connection: Connection,
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
        Ok(Line { channel, declared: Mutex::default(), connection })
    }

    fn is_well(&self, line: &Line) -> bool {
        // Saves the attempt on a line that the heartbeat has given up.
        line.connection.status().connected()
    }

    async fn ring(&self, line: &Line, bell: Bell, count: usize) -> Result<(), BrokerError> {
        let mut left = if bell == Bell::Stop { 1 } else { count.min(KEPT) };
        let mut backoff = Backoff::new();
        for _ in 0..TRIES {
            self.declare_once(line, bell).await?;
            left = self.publish(&line.channel, bell, left).await?;
            if left == 0 {
                return Ok(());
            }
            line.declared.lock().await.remove(&bell);
            backoff.pause().await;
        }
        Err(format!("the broker did not take {left} of {count}").into())
    }

    fn ears(&self, bells: &[Bell]) -> Vec<Box<dyn Ear>> {
        let place = &self.place;
        let mut ears: Vec<Box<dyn Ear>> = Vec::new();
        let queues: Vec<Bell> = bells.iter().copied().filter(|bell| *bell != Bell::Stop).collect();
        if !queues.is_empty() {
            ears.push(Box::new(Queues { place: Arc::clone(place), bells: queues, silent: None }));
        }
        if bells.contains(&Bell::Stop) {
            // On a connection of its own: trouble with a queue must not cost a stop.
            ears.push(Box::new(Stops { place: Arc::clone(place) }));
        }
        ears
    }
}

impl RabbitMq {
    async fn declare_once(&self, line: &Line, bell: Bell) -> Result<(), BrokerError> {
        let mut declared = line.declared.lock().await;
        if !declared.contains(&bell) {
            self.place.declare(&line.channel, bell).await?;
            declared.insert(bell);
        }
        Ok(())
    }

    /// Gives how many the broker did not take: the queue may have been deleted, and it refuses for a moment when several declare a new
    /// quorum queue at once.
    async fn publish(&self, channel: &Channel, bell: Bell, count: usize) -> Result<usize, BrokerError> {
        let (exchange, key) = match bell {
            Bell::Stop => (self.place.name_of(bell), ShortString::default()),
            _ => (ShortString::default(), self.place.name_of(bell)),
        };
        // That nobody listens for a stop is none of our business.
        let options = BasicPublishOptions { mandatory: bell != Bell::Stop, ..BasicPublishOptions::default() };
        let mut confirms = Vec::with_capacity(count);
        for _ in 0..count {
            let properties = BasicProperties::default();
            let publish = channel.basic_publish(exchange.clone(), key.clone(), options, &[], properties);
            confirms.push(publish.await?);
        }
        let confirmations = try_join_all(confirms).await?;
        Ok(confirmations
            .iter()
            .filter(|confirmation| !matches!(confirmation, Confirmation::Ack(None)))
            .count())
    }
}

/// Consumes from the queues while somebody waits.
struct Queues {
    place: Arc<Place>,
    bells: Vec<Bell>,
    /// Of the queues, the one that did not answer when it was last asked to deliver, while the broker itself did.
    silent: Option<Bell>,
}

/// Consumes from a queue of its own that every stop goes to.
struct Stops {
    place: Arc<Place>,
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
        if self.silent.is_none() {
            ready();
        }
        loop {
            tokio::select! {
                () = desk.wanted() => {}
                error = lost(&connection) => return Err(error),
            }
            let (channel, mut consumed) = self.consume(&connection).await?;
            ready();
            tokio::select! {
                Some((bell, delivery)) = consumed.next() => {
                    let delivery = arrived(delivery)?;
                    if desk.offer(bell) {
                        answered(ANSWER_WITHIN, delivery.ack(BasicAckOptions::default())).await?;
                    }
                }
                () = tokio::time::sleep(RENEW) => {}
                error = lost(&connection) => return Err(error),
            }
            // Whatever is not acknowledged goes back to its queue, and to somebody else as nobody consumes here.
            answered(ANSWER_WITHIN, channel.close(REPLY_SUCCESS, "done".into())).await?;
        }
    }
}

#[async_trait]
impl Ear for Stops {
    async fn listen(
        &mut self,
        desk: &Desk,
        ready: &mut (dyn FnMut() + Send),
    ) -> Result<Infallible, BrokerError> {
        let connection = answered(ANSWER_WITHIN, self.place.connect()).await?;
        let channel = answered(ANSWER_WITHIN, connection.create_channel()).await?;
        let (queue, mut stops) = answered(ANSWER_WITHIN, self.consume(&channel)).await?;
        let mut rebind = tokio::time::interval(RENEW);
        ready();
        loop {
            tokio::select! {
                stop = stops.next() => {
                    arrived(stop)?;
                    desk.stop();
                }
                _ = rebind.tick() => answered(ANSWER_WITHIN, self.bind(&channel, &queue)).await?,
                error = lost(&connection) => return Err(error),
            }
        }
    }
}

/// Until the connection is no more.
async fn lost(connection: &Connection) -> BrokerError {
    let mut look = tokio::time::interval(LOOK);
    while connection.status().connected() {
        look.tick().await;
    }
    "the connection is lost".into()
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
    /// Consumes from the queues on a new channel, whose end gives back whatever was delivered and not taken.
    async fn consume(
        &mut self,
        connection: &Connection,
    ) -> Result<(Channel, SelectAll<impl Stream<Item = Delivered> + Send + Unpin + use<>>), BrokerError> {
        let channel = answered(ANSWER_WITHIN, connection.create_channel()).await?;
        // For each consumer: whoever waits takes one ring and leaves the others to the others.
        answered(ANSWER_WITHIN, channel.basic_qos(1, BasicQosOptions::default())).await?;
        let mut consumed = SelectAll::new();
        for bell in self.bells.clone() {
            answered(ANSWER_WITHIN, self.place.declare(&channel, bell)).await?;
            let (queue, tag) = (self.place.name_of(bell), ShortString::from(bell.as_str()));
            let options = BasicConsumeOptions::default();
            let consuming = channel.basic_consume(queue, tag, options, FieldTable::default());
            let Ok(consumer) = timeout(ANSWER_WITHIN, consuming).await else {
                return Err(self.without_leader(connection, bell).await);
            };
            consumed.push(until_the_end(bell, consumer?));
        }
        self.silent = None;
        Ok((channel, consumed))
    }

    /// A broker that dies within half a second after a queue was declared knows the queue afterwards and has lost what would elect its
    /// leader: it takes declarations and answers nothing else, for ever (RabbitMQ 3.10). As rings are only hints, such a queue is
    /// deleted, when it has been silent twice; the next declaration makes it anew.
    async fn without_leader(&mut self, connection: &Connection, bell: Bell) -> BrokerError {
        let queue = self.place.name_of(bell);
        if self.silent.replace(bell) != Some(bell) {
            return format!("the queue {queue} did not answer within {ANSWER_WITHIN:?}").into();
        }
        let delete = async {
            // The other channel still waits for its answer.
            let channel = connection.create_channel().await?;
            channel.queue_delete(queue.clone(), QueueDeleteOptions::default()).await
        };
        match answered(ANSWER_WITHIN, delete).await {
            Ok(_) => {
                self.silent = None;
                format!("the queue {queue} has no leader and was deleted, to be made anew").into()
            }
            Err(error) => format!("the queue {queue} has no leader; deleting it: {error}").into(),
        }
    }
}

impl Stops {
    async fn consume(&self, channel: &Channel) -> Result<(ShortString, Consumer), BrokerError> {
        let mut arguments = FieldTable::default();
        arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(1));
        let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
        let queue = channel.queue_declare(ShortString::default(), options, arguments).await?;
        let queue = queue.name().clone();
        self.bind(channel, &queue).await?;
        let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let tag = ShortString::from(Bell::Stop.as_str());
        let consumer = channel.basic_consume(queue.clone(), tag, options, FieldTable::default()).await?;
        Ok((queue, consumer))
    }

    /// Declares the exchange and binds the queue to it, when that is not so already.
    async fn bind(&self, channel: &Channel, queue: &ShortString) -> Result<(), BrokerError> {
        self.place.declare(channel, Bell::Stop).await?;
        let (exchange, key) = (self.place.name_of(Bell::Stop), ShortString::default());
        let options = QueueBindOptions::default();
        channel.queue_bind(queue.clone(), exchange, key, options, FieldTable::default()).await?;
        Ok(())
    }
}
