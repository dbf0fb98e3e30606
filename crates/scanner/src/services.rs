//! What listens on an open port.
//!
//! One file a protocol: `services/<protocol>.rs` says where the protocol usually listens, what to send (something that reads, and never
//! a credential) and how an answer is recognised, and brings answers of real servers as samples. A new protocol is a new
//! file there and a line in [`PROBES`]. Products that speak HTTP have theirs under `services/http/`. The order in which the questions
//! are put, and everything that touches the connection, is in `services/engine/` and knows no protocol.

mod ajp;
mod amqp;
mod asterisk_manager;
mod beanstalkd;
mod bolt;
mod cassandra;
mod clamd;
mod dns;
mod engine;
mod epmd;
mod ftp;
mod git;
mod http;
mod imap;
mod irc;
mod java_rmi;
mod kafka;
mod ldap;
mod lmtp;
mod managesieve;
mod memcached;
mod mongodb;
mod mpd;
mod mqtt;
mod mssql;
mod mysql;
mod nats;
mod nntp;
mod oracle_tns;
mod pop3;
mod postgresql;
mod rdp;
mod redis;
mod rpcbind;
mod rsync;
mod rtsp;
mod sip;
mod smb;
mod smtp;
mod socks5;
mod ssh;
mod stun;
mod svn;
mod telnet;
mod vnc;
mod x11;
mod xmpp;
mod zookeeper;

use checks::exchange::Failure;
use model::Endpoint;
use tokio::time::Instant;

pub use self::engine::Identified;
use self::engine::{Asker, Detection, Probe};
use crate::{http::Identity, socket::Dialer};

/// Every protocol. Where nothing usual is known of a port, they are asked in this order: the common ones first, HTTP before all.
const PROBES: &[Probe] = &[
    http::PROBE,
    ssh::PROBE,
    smtp::PROBE,
    imap::PROBE,
    pop3::PROBE,
    ftp::PROBE,
    dns::PROBE,
    mysql::PROBE,
    postgresql::PROBE,
    redis::PROBE,
    mongodb::PROBE,
    ldap::PROBE,
    smb::PROBE,
    rdp::PROBE,
    mqtt::PROBE,
    amqp::PROBE,
    memcached::PROBE,
    kafka::PROBE,
    cassandra::PROBE,
    mssql::PROBE,
    oracle_tns::PROBE,
    zookeeper::PROBE,
    socks5::PROBE,
    x11::PROBE,
    xmpp::PROBE,
    sip::PROBE,
    rtsp::PROBE,
    ajp::PROBE,
    rpcbind::PROBE,
    epmd::PROBE,
    java_rmi::PROBE,
    bolt::PROBE,
    stun::PROBE,
    git::PROBE,
    beanstalkd::PROBE,
    clamd::PROBE,
    irc::PROBE,
    nntp::PROBE,
    telnet::PROBE,
    vnc::PROBE,
    rsync::PROBE,
    nats::PROBE,
    svn::PROBE,
    managesieve::PROBE,
    lmtp::PROBE,
    mpd::PROBE,
    asterisk_manager::PROBE,
];

/// The names of the protocols that are known.
pub fn protocols() -> impl Iterator<Item = &'static str> {
    PROBES.iter().map(|probe| probe.protocol)
}

/// Finds out what listens: waits for a greeting, puts the questions of the protocols that are usual on the port, then
/// HTTP's, then tries TLS and looks inside, then asks the rest, each question on a fresh connection and bounded in bytes
/// and time. A scan with at most two attempts asks three questions at most in each layer.
///
/// An open port that nothing is recognised on is a service of the protocol `unknown`. Fails when not even a connection could be
/// had, and when the scan was stopped.
pub async fn identify(
    dialer: &Dialer,
    identity: &Identity,
    endpoint: &Endpoint,
    deadline: Instant,
) -> Result<Identified, Failure> {
    Detection::new(dialer, Asker { endpoint, identity }, PROBES, deadline).run().await
}

/// What must hold for any bytes as an answer; see [`crate::fuzzing`].
#[cfg(any(test, fuzzing))]
pub fn answer(bytes: &[u8]) {
    for probe in PROBES {
        let Some(told) = (probe.recognise)(bytes) else { continue };
        for text in [&told.product, &told.version].into_iter().flatten() {
            assert!(!text.is_empty() && text.len() <= 64, "{}: {text:?}", probe.protocol);
            assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{}: {text:?}", probe.protocol);
        }
        if let Some(cpe) = told.cpe_name() {
            let fields = cpe.replace("\\\\", "").replace("\\:", "");
            assert_eq!(fields.split(':').count(), 13, "{}: {cpe}", probe.protocol);
        }
    }
}

#[cfg(test)]
mod tests;
