//! Handshakes for their own sake: what does the server agree to, and what does it show?
//!
//! TLS 1.3 hides its certificates behind the key exchange, so there rustls shakes hands completely. Everything older is asked
//! with hellos of our own, because rustls speaks neither the old versions nor the weak suites that checks look for.

use std::{io, sync::Arc};

use checks::exchange::{Failure, TlsRequest, TlsResponse, TlsVersion};
use model::{Endpoint, FailReason, Host};
use rustls::crypto::CryptoProvider;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};

use super::{
    certificate,
    connect::{PROVIDER, config, establish, io_failure},
    hello::{self, Offer},
    record::{Answer, Flight},
    suites,
};
use crate::socket::{Connection, DialError, Dialer};

/// A server that closes without a word has refused, or something on the way had enough: it is asked once more.
const MOST_CLOSINGS: u32 = 2;

/// What a server agreed to.
struct Agreed {
    version: TlsVersion,
    suite: u16,
    /// In DER, leaf first.
    /// None when it could not be had.
    chain: Option<Vec<Vec<u8>>>,
}

/// How one attempt ended.
enum Attempt {
    Agreed(Agreed),
    Refused,
    /// The server answered something else than TLS.
    NotTls,
}

/// Shakes hands as the request says. A refusal is an answer (`established` is false); a port that does not speak TLS, silence
/// and broken connections are failures. Costs one request, or two when the server refuses TLS 1.3 and older may do.
pub async fn handshake(
    dialer: &Dialer,
    endpoint: &Endpoint,
    request: &TlsRequest,
) -> Result<TlsResponse, Failure> {
    tokio::select! {
        biased;
        () = dialer.stop().cancelled() => Err(DialError::Stopped.failure()),
        response = attempts(dialer, endpoint, request) => response,
    }
}

async fn attempts(
    dialer: &Dialer,
    endpoint: &Endpoint,
    request: &TlsRequest,
) -> Result<TlsResponse, Failure> {
    let lowest = request.min_version.unwrap_or(TlsVersion::Ssl30);
    let highest = request.max_version.unwrap_or(TlsVersion::Tls13);
    if lowest > highest {
        return Err(unaskable(format!(
            "the lowest version {} is above the highest {}",
            lowest.as_str(),
            highest.as_str()
        )));
    }
    let named = request.cipher_suites.iter().map(|name| {
        suites::number(name)
            .ok_or_else(|| unaskable(format!("`{}` is no cipher suite's IANA name", name.escape_debug())))
    });
    let named: Vec<u16> = named.collect::<Result<_, _>>()?;
    let host = request.host.parse().unwrap_or_else(|_| endpoint.host());
    let server_name = match &host {
        Host::Name(name) => Some(name.as_str().to_owned()),
        Host::Address(_) => None,
    };
    let mut remote = None;
    let mut left = dialer.limits().request_deadline;
    let mut last = Attempt::Refused;

    if highest == TlsVersion::Tls13
        && let Some(config) = modern_config(lowest, &named)
    {
        let (connection, deadline) =
            dialer.connect_in_turn(endpoint, left).await.map_err(|error| error.failure())?;
        remote = connection.remote();
        last = modern(connection, &host, config, deadline).await?;
        left = deadline.saturating_duration_since(Instant::now());
    }
    let old = lowest..=highest.min(TlsVersion::Tls12);
    let offered: Vec<u16> = match named.as_slice() {
        [] => suites::usual(),
        named => named.iter().copied().filter(|suite| !suites::is_tls13(*suite)).collect(),
    };
    if !matches!(last, Attempt::Agreed(_)) && !old.is_empty() && !offered.is_empty() {
        let offer = Offer {
            version: *old.end(),
            suites: &offered,
            server_name: server_name.as_deref(),
            random: rand::random(),
        };
        let mut answer = closed();
        for _ in 0..MOST_CLOSINGS {
            let (mut connection, deadline) =
                dialer.connect_in_turn(endpoint, left).await.map_err(|error| error.failure())?;
            remote = connection.remote();
            let asked = tokio::time::timeout_at(deadline, ask(&mut connection, &offer)).await;
            answer = asked.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(io_failure)?;
            left = deadline.saturating_duration_since(Instant::now());
            if answer != closed() {
                break;
            }
        }
        last = match answer {
            // Asked for at least this, and answered with less: that is a no.
            Answer::Agrees(hello, _) if !old.contains(&hello.version) => Attempt::Refused,
            Answer::Agrees(hello, chain) => {
                Attempt::Agreed(Agreed { version: hello.version, suite: hello.suite, chain })
            }
            Answer::Refuses(_) => Attempt::Refused,
            Answer::IsNotTls => Attempt::NotTls,
        };
    }
    let refused = TlsResponse { sni: server_name, remote, ..TlsResponse::default() };
    match last {
        Attempt::Agreed(agreed) => Ok(response(agreed, &host, jiff::Timestamp::now().as_second(), refused)),
        Attempt::Refused => Ok(refused),
        Attempt::NotTls => Err(Failure::Failed(FailReason::Protocol, "the answer is not TLS".to_owned())),
    }
}

fn unaskable(why: String) -> Failure {
    Failure::Failed(FailReason::Evaluation, format!("the handshake cannot be made: {why}"))
}

fn response(agreed: Agreed, host: &Host, now: i64, rest: TlsResponse) -> TlsResponse {
    let chain = agreed.chain.as_deref();
    let readings: Vec<certificate::Reading> =
        chain.unwrap_or_default().iter().map(|der| certificate::read(der)).collect();
    let leaf = readings.first();
    TlsResponse {
        established: true,
        certificates_unread: chain.is_none() || leaf.is_some_and(|leaf| !leaf.is_readable),
        version: Some(agreed.version),
        cipher: suites::name(agreed.suite),
        mismatched: leaf.is_some_and(|leaf| !leaf.covers(host)),
        expired: leaf.is_some_and(|leaf| leaf.is_expired(now)),
        self_signed: leaf.is_some_and(|leaf| leaf.self_signed),
        certificates: readings.into_iter().map(|reading| reading.certificate).collect(),
        ..rest
    }
}

/// What rustls can offer of it; none when there is no suite of TLS 1.3 in it.
fn modern_config(lowest: TlsVersion, named: &[u16]) -> Option<rustls::ClientConfig> {
    let mut provider = CryptoProvider::clone(&PROVIDER);
    if !named.is_empty() {
        provider.cipher_suites.retain(|suite| named.contains(&u16::from(suite.suite())));
    }
    provider.cipher_suites.iter().any(|suite| suite.tls13().is_some()).then(|| match lowest {
        TlsVersion::Tls13 => config(provider, &[&rustls::version::TLS13]),
        _ => config(provider, rustls::ALL_VERSIONS),
    })
}

async fn modern(
    connection: Connection,
    host: &Host,
    config: rustls::ClientConfig,
    deadline: Instant,
) -> Result<Attempt, Failure> {
    let stream = match establish(connection, host, Arc::new(config), deadline).await {
        Ok(stream) => stream,
        Err(error) => return refusal(error),
    };
    let session = stream.get_ref().1;
    let version = match session.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => TlsVersion::Tls13,
        _ => TlsVersion::Tls12,
    };
    let chain = session
        .peer_certificates()
        .unwrap_or_default()
        .iter()
        .map(|certificate| certificate.to_vec())
        .collect();
    let suite = session.negotiated_cipher_suite().map_or(0, |suite| u16::from(suite.suite()));
    Ok(Attempt::Agreed(Agreed { version, suite, chain: Some(chain) }))
}

/// An alert, an answer that rustls cannot use, or a closed connection: no. Silence and a lost connection say nothing.
fn refusal(error: io::Error) -> Result<Attempt, Failure> {
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return Ok(if matches!(error, rustls::Error::InvalidMessage(_)) {
            Attempt::NotTls
        } else {
            Attempt::Refused
        });
    }
    if is_closed(&error) { Ok(Attempt::Refused) } else { Err(io_failure(error)) }
}

/// Old servers close, or reset, where newer ones send an alert.
fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted
    )
}

/// Sends the hello and reads until the server's answer is clear.
async fn ask(connection: &mut Connection, offer: &Offer<'_>) -> io::Result<Answer> {
    let mut flight = Flight::default();
    let mut arrived = [0_u8; 4_096];
    if let Err(error) = connection.write_all(&hello::client_hello(offer)).await {
        return if is_closed(&error) { Ok(closed()) } else { Err(error) };
    }
    let answer = loop {
        match connection.read(&mut arrived).await {
            Ok(0) => return Ok(flight.so_far().unwrap_or_else(closed)),
            Ok(count) => {
                if let Some(answer) = flight.feed(&arrived[..count]) {
                    break answer;
                }
            }
            Err(error) if is_closed(&error) => return Ok(flight.so_far().unwrap_or_else(closed)),
            Err(error) => return Err(error),
        }
    };
    if matches!(answer, Answer::Agrees(..)) {
        // A fatal alert, user_canceled (RFC 5246, 7.2.2), so that the server need not wait for the rest. It has told all it
        // was asked; whether this arrives does not matter.
        let _ = connection.write_all(&[21, 3, 1, 0, 2, 2, 90]).await;
    }
    Ok(answer)
}

fn closed() -> Answer {
    const CLOSE_NOTIFY: u8 = 0;
    Answer::Refuses(CLOSE_NOTIFY)
}
