//! All of the Internet in one network namespace: every address there is belongs to this machine there (AnyIP), so that whoever opens
//! a connection to anywhere is answered, and seen with the address that was meant. Nothing can leave; everything that would is counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata},
};
use testkit::http::{read_request, response};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream, UdpSocket},
};

use super::destinations::{Destination, Dice, PORTS, destination, v4, v6};
use crate::namespace::{Namespace, ip};

/// Links on each page of the hostile site.
pub(crate) const LINKS: u64 = 200;

/// A namespace that all addresses lead to.
pub(crate) fn everything_is_here(purpose: &str) -> Option<Namespace> {
    let namespace = Namespace::new(purpose)?;
    ip(&format!("-n {} route add local 0.0.0.0/0 dev lo", namespace.name)).unwrap();
    ip(&format!("-n {} -6 route add local ::/0 dev lo", namespace.name)).unwrap();
    Some(namespace)
}

/// What was seen.
#[derive(Debug, Default)]
struct Seen {
    /// Connections by where they went.
    contacted: BTreeMap<SocketAddr, u64>,
    /// Numbers of the destinations that were asked for.
    requested: BTreeSet<u64>,
    /// Names that were asked about.
    asked: BTreeSet<String>,
    /// How often each rebinding name was asked about.
    turns: BTreeMap<String, u64>,
}

/// Web servers on every address, and a name server.
#[derive(Clone, Default)]
pub(crate) struct Internet {
    seen: Arc<Mutex<Seen>>,
}

impl Internet {
    /// Call it inside the namespace.
    pub(crate) async fn start() -> Internet {
        let internet = Internet::default();
        for port in PORTS {
            let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await.unwrap();
            tokio::spawn(internet.clone().accept(listener));
        }
        let socket = UdpSocket::bind(Internet::name_server()).await.unwrap();
        tokio::spawn(internet.clone().resolve(socket));
        internet
    }

    pub(crate) fn name_server() -> SocketAddr {
        "127.0.0.53:53".parse().unwrap()
    }

    /// Where connections went, and how many.
    pub(crate) fn contacted(&self) -> BTreeMap<SocketAddr, u64> {
        self.seen.lock().unwrap().contacted.clone()
    }

    /// Numbers of the destinations that were asked for, wherever.
    pub(crate) fn requested(&self) -> BTreeSet<u64> {
        self.seen.lock().unwrap().requested.clone()
    }

    /// Names that were asked about, in lower case without trailing dot.
    pub(crate) fn asked(&self) -> BTreeSet<String> {
        self.seen.lock().unwrap().asked.clone()
    }

    async fn accept(self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(local) = stream.local_addr() else { continue };
            let went_to = SocketAddr::new(local.ip().to_canonical(), local.port());
            *self.seen.lock().unwrap().contacted.entry(went_to).or_default() += 1;
            tokio::spawn(self.clone().serve(stream));
        }
    }

    async fn serve(self, mut stream: TcpStream) {
        // No TLS here: a hello gets no answer, at once.
        let mut first = [0];
        if !matches!(stream.peek(&mut first).await, Ok(1)) || first == [22] {
            return;
        }
        while let Ok(Some(request)) = read_request(&mut stream).await {
            let text = String::from_utf8_lossy(&request);
            let path = text.split([' ', '?']).nth(1).unwrap_or_default();
            let (_, last) = path.rsplit_once('/').unwrap_or_default();
            let number = |letter: char| last.strip_prefix(letter)?.parse::<u64>().ok();
            if let Some(number) = number('x') {
                self.seen.lock().unwrap().requested.insert(number);
            }
            let answer = match (number('r'), number('p')) {
                (Some(number), _) => {
                    response("302 Found", &[&format!("Location: {}", destination(number).text)], "")
                }
                (_, Some(page)) => {
                    response("200 OK", &["Content-Type: text/html; charset=utf-8"], links(page))
                }
                _ => response("200 OK", &["Content-Type: text/html"], "<title>Landed</title>"),
            };
            if stream.write_all(&answer).await.is_err() {
                return;
            }
        }
    }

    async fn resolve(self, socket: UdpSocket) {
        let mut buffer = vec![0; 4_096];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
            let Ok(query) = Message::from_vec(&buffer[..length]) else { continue };
            let answer = self.answer(&query).to_vec().unwrap();
            // Whoever asked may have gone.
            let _ = socket.send_to(&answer, peer).await;
        }
    }

    fn answer(&self, query: &Message) -> Message {
        let mut reply = Message::response(query.metadata.id, query.metadata.op_code);
        reply.add_queries(query.queries.iter().cloned());
        reply.metadata.authoritative = true;
        let Some(asked) = query.queries.first() else { return reply };
        let name = asked.name().to_ascii().to_ascii_lowercase().trim_end_matches('.').to_owned();
        self.seen.lock().unwrap().asked.insert(name.clone());
        let first = name.split('.').next().unwrap_or_default();
        let number = |prefix: &str| first.strip_prefix(prefix)?.parse::<u64>().ok();
        let records = match (number("n"), number("rebind"), number("h")) {
            (Some(number), ..) => hostile_records(number, asked.query_type()),
            (_, Some(_), _) => {
                let mut seen = self.seen.lock().unwrap();
                let turn = seen.turns.entry(format!("{name} {}", asked.query_type())).or_default();
                *turn += 1;
                let first = *turn == 1;
                match asked.query_type() {
                    RecordType::A if first => vec![RData::A(rdata::A::new(127, 0, 0, 1))],
                    RecordType::A => vec![RData::A(rdata::A::new(169, 254, 169, 254))],
                    _ => Vec::new(),
                }
            }
            (.., Some(_)) if asked.query_type() == RecordType::A => {
                vec![RData::A(rdata::A::new(93, 184, 215, 14))]
            }
            (.., Some(_)) => Vec::new(),
            _ => {
                if name != "zone.test" {
                    reply.metadata.response_code = ResponseCode::NXDomain;
                }
                Vec::new()
            }
        };
        for data in records {
            reply.add_answer(Record::from_rdata(asked.name().clone(), 0, data));
        }
        reply
    }
}

/// The addresses and neighbours of `n<number>.zone.test`: all kinds, mixed.
pub(crate) fn hostile_records(number: u64, kind: RecordType) -> Vec<RData> {
    let mut dice = Dice::of(number ^ 0xd15e_a5ed);
    let (first, second, third) = (v4(&mut dice), v4(&mut dice), v6(&mut dice));
    let elsewhere = Name::from_ascii(format!("h{number}.elsewhere.test.")).unwrap();
    match kind {
        RecordType::A if number % 10 != 9 => vec![RData::A(first.into()), RData::A(second.into())],
        RecordType::AAAA if number.is_multiple_of(3) => vec![RData::AAAA(third.into())],
        RecordType::A | RecordType::CNAME if number % 10 == 9 => vec![RData::CNAME(rdata::CNAME(elsewhere))],
        RecordType::MX => vec![RData::MX(rdata::MX::new(10, elsewhere))],
        RecordType::NS => vec![RData::NS(rdata::NS(elsewhere))],
        _ => Vec::new(),
    }
}

/// Every address that the records of a name give away.
pub(crate) fn addresses(number: u64) -> Vec<IpAddr> {
    let all = [RecordType::A, RecordType::AAAA].into_iter().flat_map(|kind| hostile_records(number, kind));
    let address = |data| match data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    };
    all.filter_map(address).collect()
}

/// A page that leads to the destinations of its number, by every means a page has.
fn links(page: u64) -> String {
    let mut html = String::from("<!doctype html><title>Links</title>");
    for number in page * LINKS..(page + 1) * LINKS {
        let Destination { text, .. } = destination(number);
        html.push_str(&match number % 8 {
            0 => format!("<a href=\"{text}\">a</a>"),
            1 => format!("<area href='{text}'>"),
            2 => format!("<iframe src=\"{text}\"></iframe>"),
            3 => format!("<script src=\"{text}\"></script>"),
            4 => format!("<link rel=stylesheet href=\"{text}\">"),
            5 => format!("<meta http-equiv=refresh content=\"{number}; url={text}\">"),
            6 => format!("<form action=\"{text}\"><input name=q></form>"),
            _ => format!("<a href=\"{text}\" target=_blank>b</a>"),
        });
    }
    html
}
