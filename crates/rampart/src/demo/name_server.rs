//! The estate's name server.

use std::{collections::BTreeMap, io, str::FromStr, sync::Arc};

use anyhow::Context;
use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, CNAME, MX, NS, SOA, TXT},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
};

use super::{Network, ZONE};

const TTL: u32 = 300;
/// Questions answered on one TCP connection.
const QUESTIONS: usize = 100;

/// Names and their records. `*.apps` answers for every name below it.
pub(super) struct Zone {
    apex: Name,
    records: BTreeMap<Name, Vec<RData>>,
    wildcard: (Name, RData),
}

impl Zone {
    pub(super) fn new(network: Network) -> anyhow::Result<Zone> {
        let apex = name("")?;
        let address = |number| RData::A(A(network.host(number)));
        let text = |text: &str| RData::TXT(TXT::new(vec![text.to_owned()]));
        let soa = SOA::new(name("ns1")?, name("hostmaster")?, 2_026_010_101, 7_200, 3_600, 1_209_600, 300);
        let mut records: BTreeMap<Name, Vec<RData>> = BTreeMap::new();
        let mut add = |label: &str, data: RData| -> anyhow::Result<()> {
            records.entry(name(label)?).or_default().push(data);
            Ok(())
        };
        add("", RData::SOA(soa))?;
        add("", RData::NS(NS(name("ns1")?)))?;
        add("", RData::MX(MX::new(10, name("mail")?)))?;
        add("", address(10))?;
        add("", text("v=spf1 mx +all"))?;
        add("ns1", address(53))?;
        add("www", address(10))?;
        add("shop", address(11))?;
        add("intranet", address(12))?;
        add("cache", address(13))?;
        add("mail", address(14))?;
        add("metrics", address(15))?;
        add("api", address(16))?;
        add("files", address(17))?;
        add("status", RData::CNAME(CNAME(name("metrics")?)))?;
        add("beta", RData::CNAME(CNAME(name("launch-2019")?)))?;
        let wildcard = (name("apps")?, address(10));
        Ok(Zone { apex, records, wildcard })
    }

    fn answer(&self, query: &[u8]) -> Option<Vec<u8>> {
        let query = Message::from_vec(query).ok()?;
        let question = query.queries.first()?.clone();
        let mut response = Message::response(query.metadata.id, query.metadata.op_code);
        response.metadata.recursion_desired = query.metadata.recursion_desired;
        response.metadata.authoritative = true;
        response.add_query(question.clone());
        let mut owner = question.name().to_lowercase();
        if !self.apex.zone_of(&owner) {
            response.metadata.response_code = ResponseCode::Refused;
            return response.to_vec().ok();
        }
        // Aliases of the zone are at most two links long; a loop would be a slip in the table above.
        for _ in 0..4 {
            let found = self.records_of(&owner);
            if found.is_empty() {
                let empty_non_terminal =
                    self.records.keys().any(|name| owner.zone_of(name)) || owner == self.wildcard.0;
                if !empty_non_terminal {
                    response.metadata.response_code = ResponseCode::NXDomain;
                }
                break;
            }
            let wanted = |data: &&RData| {
                data.record_type() == question.query_type() || question.query_type() == RecordType::ANY
            };
            let alias = found.iter().find_map(|data| match data {
                RData::CNAME(CNAME(target)) if question.query_type() != RecordType::CNAME => {
                    Some(target.clone())
                }
                _ => None,
            });
            match alias {
                Some(target) => {
                    response.add_answer(Record::from_rdata(
                        owner.clone(),
                        TTL,
                        RData::CNAME(CNAME(target.clone())),
                    ));
                    owner = target;
                }
                None => {
                    let answers = found.iter().filter(wanted);
                    response.add_answers(
                        answers.map(|data| Record::from_rdata(owner.clone(), TTL, data.clone())),
                    );
                    break;
                }
            }
        }
        if response.answers.is_empty() || response.metadata.response_code == ResponseCode::NXDomain {
            let soa = self.records_of(&self.apex).into_iter().filter(|data| matches!(data, RData::SOA(_)));
            response.add_authorities(soa.map(|data| Record::from_rdata(self.apex.clone(), TTL, data)));
        }
        response.to_vec().ok()
    }

    fn records_of(&self, owner: &Name) -> Vec<RData> {
        if let Some(records) = self.records.get(owner) {
            return records.clone();
        }
        let (below, data) = &self.wildcard;
        if below != owner && below.zone_of(owner) { vec![data.clone()] } else { Vec::new() }
    }
}

fn name(label: &str) -> anyhow::Result<Name> {
    let text = if label.is_empty() { format!("{ZONE}.") } else { format!("{label}.{ZONE}.") };
    Name::from_str(&text).with_context(|| format!("`{text}` is no name"))
}

pub(super) async fn serve_datagrams(socket: UdpSocket, zone: Arc<Zone>) {
    let mut buffer = [0; 1_500];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        if let Some(answer) = zone.answer(&buffer[..length]) {
            // Lost answers are asked for again.
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

pub(super) async fn serve_streams(listener: TcpListener, zone: Arc<Zone>) {
    super::accept(listener, move |stream| serve_stream(stream, Arc::clone(&zone))).await;
}

async fn serve_stream(mut stream: TcpStream, zone: Arc<Zone>) -> io::Result<()> {
    for _ in 0..QUESTIONS {
        let length = stream.read_u16().await?;
        let mut query = vec![0; usize::from(length)];
        stream.read_exact(&mut query).await?;
        let Some(answer) = zone.answer(&query) else { break };
        let Ok(length) = u16::try_from(answer.len()) else { break };
        stream.write_u16(length).await?;
        stream.write_all(&answer).await?;
    }
    Ok(())
}
