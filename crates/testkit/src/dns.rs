//! An authoritative name server with a zone of a few lines, that can also misbehave.

mod zone;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hickory_proto::op::{Message, MessageType, ResponseCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
    task::JoinHandle,
};

use self::zone::{Answer, Zone};

/// What the line and the server do to every message.
#[derive(Debug, Clone, Default)]
pub struct Behaviour {
    /// Share of datagrams lost, each way.
    pub loss: f64,
    /// Before each answer.
    pub delay: Duration,
    /// The same answer again, that many times.
    pub copies: usize,
    /// Before each answer, forged ones: with another id, for another name, for another type, as a query, and cut short.
    pub forgeries: bool,
    /// Does not know EDNS: answers such queries with FORMERR.
    pub without_edns: bool,
    /// Answers REFUSED to everything.
    pub refuses: bool,
}

/// A name server on loopback, UDP and TCP on one port. It ends when dropped.
#[derive(Debug)]
pub struct NameServer {
    address: SocketAddr,
    queries: Arc<AtomicU64>,
    streams: Arc<AtomicU64>,
    asked: Arc<Mutex<Vec<String>>>,
    tasks: Vec<JoinHandle<()>>,
}

impl NameServer {
    /// Serves a zone on a free port of 127.0.0.1. The text has one record a line, owner, type and data:
    ///
    /// ```text
    /// example.test      SOA                       the zone; comes first, once
    /// www               A      127.0.0.1
    /// mail              MX     10 mail.example.test.
    /// *.wild            CNAME  www.example.test.
    /// pool              POOL   2 127.0.0.1 127.0.0.2 127.0.0.3     two of them, others each time
    /// broken            RCODE  SERVFAIL
    /// shy               DROP   2                  the first two queries go unanswered, then the next line holds
    /// shy               A      127.0.0.4
    /// elsewhere         REFER  ns.elsewhere.test.
    /// rubbish           BYTES  answer section     a header, the question, and these bytes as its one record
    /// ```
    ///
    /// # Panics
    /// When the zone has a line that says nothing of the kind.
    pub async fn start(zone: &str) -> NameServer {
        NameServer::behaving(zone, Behaviour::default()).await
    }

    /// The same, with faults.
    ///
    /// # Panics
    /// As [`NameServer::start`].
    pub async fn behaving(zone: &str, behaviour: Behaviour) -> NameServer {
        let zone = Arc::new(Zone::parse(zone));
        let (listener, socket) = loop {
            let listener =
                TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has a free port");
            let address = listener.local_addr().expect("a bound socket has an address");
            // The port may be taken by somebody's UDP socket: then another one.
            if let Ok(socket) = UdpSocket::bind(address).await {
                break (listener, Arc::new(socket));
            }
        };
        let address = socket.local_addr().expect("a bound socket has an address");
        let (queries, streams) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Log { queries: queries.clone(), asked: asked.clone() };
        let tasks = vec![
            tokio::spawn(serve_datagrams(socket, zone.clone(), behaviour.clone(), log.clone())),
            tokio::spawn(serve_streams(listener, zone, behaviour, log, streams.clone())),
        ];
        NameServer { address, queries, streams, asked, tasks }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Queries that arrived.
    pub fn queries(&self) -> u64 {
        self.queries.load(Ordering::SeqCst)
    }

    /// Of these, over TCP.
    pub fn streams(&self) -> u64 {
        self.streams.load(Ordering::SeqCst)
    }

    /// What was asked, as `name. TYPE`.
    ///
    /// # Panics
    /// When the server has panicked.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("the server did not panic").clone()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

#[derive(Clone)]
struct Log {
    queries: Arc<AtomicU64>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Log {
    fn note(&self, query: &Message) {
        self.queries.fetch_add(1, Ordering::SeqCst);
        let text =
            query.queries.first().map(|query| format!("{} {}", query.name().to_ascii(), query.query_type()));
        self.asked.lock().expect("nobody panics while holding it").extend(text);
    }
}

async fn serve_datagrams(socket: Arc<UdpSocket>, zone: Arc<Zone>, behaviour: Behaviour, log: Log) {
    let mut buffer = vec![0; 4_096];
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    loop {
        // Errors are about peers that have gone.
        let Ok((length, peer)) = socket.recv_from(&mut buffer).await else { continue };
        let Ok(query) = Message::from_vec(&buffer[..length]) else { continue };
        log.note(&query);
        if dice.falls(behaviour.loss) {
            continue;
        }
        let limit = query.edns.as_ref().map_or(512, |edns| usize::from(edns.max_payload()).max(512));
        let Some(answer) = answer(&zone, &query, &behaviour) else { continue };
        let mut packets = Vec::new();
        if behaviour.forgeries {
            packets.extend(forgeries(&query));
        }
        let whole = if answer.len() <= limit { answer } else { truncated(&query) };
        packets.extend(std::iter::repeat_n(whole, 1 + behaviour.copies));
        let lost = dice.falls(behaviour.loss);
        let (socket, delay) = (socket.clone(), behaviour.delay);
        let send = async move {
            for packet in packets {
                // As above.
                let _ = socket.send_to(&packet, peer).await;
            }
        };
        match (lost, delay) {
            (true, _) => {}
            (false, Duration::ZERO) => send.await,
            (false, delay) => drop(tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                send.await;
            })),
        }
    }
}

async fn serve_streams(
    listener: TcpListener,
    zone: Arc<Zone>,
    behaviour: Behaviour,
    log: Log,
    streams: Arc<AtomicU64>,
) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let (zone, behaviour, log, streams) = (zone.clone(), behaviour.clone(), log.clone(), streams.clone());
        tokio::spawn(async move {
            while let Ok(length) = stream.read_u16().await {
                let mut bytes = vec![0; usize::from(length)];
                if stream.read_exact(&mut bytes).await.is_err() {
                    return;
                }
                let Ok(query) = Message::from_vec(&bytes) else { return };
                log.note(&query);
                streams.fetch_add(1, Ordering::SeqCst);
                let Some(answer) = answer(&zone, &query, &behaviour) else { return };
                let length = u16::try_from(answer.len()).expect("zones of tests are small");
                let message = [&length.to_be_bytes()[..], &answer].concat();
                if stream.write_all(&message).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// The answer as bytes; none when the query is to go unanswered.
fn answer(zone: &Zone, query: &Message, behaviour: &Behaviour) -> Option<Vec<u8>> {
    let mut reply = Message::response(query.metadata.id, query.metadata.op_code);
    reply.metadata.recursion_desired = query.metadata.recursion_desired;
    reply.add_queries(query.queries.iter().cloned());
    if behaviour.without_edns && query.edns.is_some() {
        reply.metadata.response_code = ResponseCode::FormErr;
        return Some(bytes(&reply));
    }
    if behaviour.refuses {
        reply.metadata.response_code = ResponseCode::Refused;
        return Some(bytes(&reply));
    }
    match zone.answer(query.queries.first()?, &mut reply) {
        Answer::Nothing => None,
        Answer::Message => Some(bytes(&reply)),
        Answer::Record(raw) => {
            let mut packet = bytes(&reply);
            packet[7] = 1;
            packet.extend(raw);
            Some(packet)
        }
    }
}

fn bytes(message: &Message) -> Vec<u8> {
    message.to_vec().expect("made of records that were read from the zone")
}

fn truncated(query: &Message) -> Vec<u8> {
    let mut reply = Message::response(query.metadata.id, query.metadata.op_code);
    reply.metadata.truncation = true;
    reply.add_queries(query.queries.iter().cloned());
    bytes(&reply)
}

/// Answers that must not be taken for one: they all say that the name does not exist.
fn forgeries(query: &Message) -> Vec<Vec<u8>> {
    let mut denial = Message::response(query.metadata.id, query.metadata.op_code);
    denial.metadata.response_code = ResponseCode::NXDomain;
    denial.add_queries(query.queries.iter().cloned());
    let plain = bytes(&denial);
    let mut other_id = denial.clone();
    other_id.metadata.id = !query.metadata.id;
    let mut other_name = denial.clone();
    let mut other_type = denial.clone();
    if let Some(asked) = query.queries.first() {
        let mut question = asked.clone();
        question.set_name(asked.name().prepend_label("x").unwrap_or_else(|_| asked.name().base_name()));
        other_name.queries = vec![question];
        let mut question = asked.clone();
        question.set_query_type(hickory_proto::rr::RecordType::HINFO);
        other_type.queries = vec![question];
    }
    let mut as_query = denial.clone();
    as_query.metadata.message_type = MessageType::Query;
    let mut without_question = denial;
    without_question.queries.clear();
    let messages = [other_id, other_name, other_type, as_query, without_question];
    messages
        .iter()
        .map(bytes)
        .chain([plain[..11].to_vec(), plain[..plain.len() - 3].to_vec(), Vec::new()])
        .collect()
}

/// The same throws in every run (xorshift64).
struct Dice(u64);

impl Dice {
    fn falls(&mut self, probability: f64) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let share = u32::try_from(self.0 >> 32).expect("half of the bits");
        f64::from(share) < probability * f64::from(u32::MAX)
    }
}
