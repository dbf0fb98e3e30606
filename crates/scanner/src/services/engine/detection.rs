//! Finding out what listens on one port.

mod steps;
mod summary;

use std::{collections::VecDeque, time::Duration};

use checks::exchange::{Failure, TlsRequest, TlsVersion};
use model::{Confidence, FailReason, Protocol, Service, SkipReason, asset::TlsSummary};
use tokio::time::Instant;

use self::steps::{Layer, Step, steps};
use super::{
    Asker, Opening, Probe, Recognised,
    dialogue::{Answer, listen, send},
    printable::printable,
};
use crate::{
    socket::Dialer,
    tls::{self, Channel, Speaks},
};

/// For the greeting of a protocol that is usual on the port: some servers look up the client's name first.
const LONG_GREETING: Duration = Duration::from_millis(2_500);
/// For a greeting where none is expected.
const SHORT_GREETING: Duration = Duration::from_millis(500);
/// For the answer to a question of a protocol that is not usual on the port; the others have the time of a request.
const ANSWER: Duration = Duration::from_secs(2);
/// Connections in a row that may fail after the first has stood.
const PATIENCE: u32 = 3;
/// An answer that repeats at least so much of the question is an echo.
const SHORTEST_ECHO: usize = 4;

/// What an open port told.
#[derive(Debug, Clone)]
pub struct Identified {
    /// What listens there, as far as it is known.
    pub service: Service,
    /// Why it is not known what listens there, when that could not be found out.
    pub doubt: Option<&'static str>,
}

/// One port under examination.
pub(in crate::services) struct Detection<'a> {
    dialer: &'a Dialer,
    asker: Asker<'a>,
    probes: &'static [Probe],
    deadline: Instant,
    /// A connection has stood.
    reached: bool,
    failed_connections: u32,
    silences: u32,
    first_words: Vec<u8>,
    tls: Option<TlsSummary>,
    tls_tried: bool,
    /// A handshake failed that a TLS server refused or broke.
    sealed: bool,
    /// It is open whether it speaks TLS: it has said so in the clear, or a handshake took too long, and none came to its end.
    tls_open: bool,
}

/// What the port turned out to be.
struct Found {
    protocol: &'static str,
    recognised: Recognised,
    banner: Vec<u8>,
}

/// How far one layer came.
enum Progress {
    Found(Found),
    /// Nothing recognised, or no further questions allowed.
    Nothing,
}

impl<'a> Detection<'a> {
    pub(in crate::services) fn new(
        dialer: &'a Dialer,
        asker: Asker<'a>,
        probes: &'static [Probe],
        deadline: Instant,
    ) -> Detection<'a> {
        Detection {
            dialer,
            asker,
            probes,
            deadline,
            reached: false,
            failed_connections: 0,
            silences: 0,
            first_words: Vec::new(),
            tls: None,
            tls_tried: false,
            sealed: false,
            tls_open: false,
        }
    }

    /// Fails only when not even a connection could be had, or when the scan was stopped.
    pub(in crate::services) async fn run(mut self) -> Result<Identified, Failure> {
        let progress = self.layer(Layer::Plain).await?;
        let (protocol, recognised, banner) = match progress {
            Progress::Found(Found { protocol, recognised, banner }) => {
                (Protocol(protocol.into()), recognised, banner)
            }
            Progress::Nothing => {
                (Protocol::UNKNOWN, Recognised::protocol(), std::mem::take(&mut self.first_words))
            }
        };
        let cpe = recognised.cpe_name();
        let silent = banner.is_empty() && (self.silences > 0 || Instant::now() >= self.deadline);
        let tls_open = self.tls.is_none() && self.tls_open && (banner.is_empty() || asks_for_tls(&banner));
        let doubt = match protocol == Protocol::UNKNOWN {
            true if tls_open && !silent => Some(
                "no handshake of TLS came to its end: whether it speaks that, and what listens inside, is not known",
            ),
            true if self.tls.is_some() && self.sealed => {
                Some("it speaks TLS, but no handshake came to its end: what listens inside is not known")
            }
            true if silent => Some(
                "the port is open and nothing that was asked there was answered: what listens is not known",
            ),
            _ => None,
        };
        let service = Service {
            endpoint: self.asker.endpoint.clone(),
            protocol,
            product: recognised.product,
            version: recognised.version,
            cpe,
            banner: printable(&banner),
            tls: self.tls,
        };
        Ok(Identified { service, doubt })
    }

    async fn layer(&mut self, layer: Layer) -> Result<Progress, Failure> {
        let steps = steps(self.probes, self.asker.endpoint.port, layer, self.dialer.limits().attempts);
        let mut steps = VecDeque::from(steps);
        // Open, and nothing was sent on it.
        let mut unused: Option<(Channel, Vec<u8>)> = None;
        let mut greeted = false;
        while let Some(step) = steps.pop_front() {
            if Instant::now() >= self.deadline || self.silences > self.dialer.limits().attempts {
                break;
            }
            match step {
                Step::Tls => {
                    unused = None;
                    if let Some(found) = self.inside_tls().await? {
                        return Ok(Progress::Found(found));
                    }
                    if self.tls.is_some() {
                        // It speaks TLS, so in the clear there is nothing to learn.
                        break;
                    }
                }
                Step::Listen { usual } => {
                    let Some(mut channel) = self.open(layer).await? else { continue };
                    let answer =
                        self.listen(&mut channel, if usual { LONG_GREETING } else { SHORT_GREETING }).await;
                    greeted = !answer.bytes.is_empty();
                    if let Some(found) = self.judge(layer, &answer.bytes, None, &[]).await? {
                        return Ok(Progress::Found(found));
                    }
                    unused = (!answer.closed).then_some((channel, answer.bytes));
                }
                Step::Ask(probe) if probe.opening.listens() && !greeted => {}
                Step::Ask(probe) => {
                    let (mut channel, mut words) = match unused.take() {
                        Some((channel, words)) if words.is_empty() || probe.opening.listens() => {
                            (channel, words)
                        }
                        _ => match self.open(layer).await? {
                            Some(channel) => (channel, Vec::new()),
                            None => continue,
                        },
                    };
                    if probe.opening.listens() && words.is_empty() {
                        words = self.listen(&mut channel, LONG_GREETING).await.bytes;
                    }
                    let question = probe.opening.bytes(&self.asker);
                    if !send(&mut channel, &question, self.deadline.min(Instant::now() + ANSWER)).await {
                        continue;
                    }
                    let usual = match layer {
                        Layer::Plain => probe.ports,
                        Layer::Tls => probe.tls_ports,
                    };
                    let patience = match usual.contains(&self.asker.endpoint.port) {
                        true => self.dialer.limits().request_deadline.max(ANSWER),
                        false => ANSWER,
                    };
                    let answer = self.listen(&mut channel, patience).await;
                    self.silences += u32::from(answer.is_silence());
                    words.extend_from_slice(&answer.bytes);
                    if let Some(found) = self.judge(layer, &words, Some(probe), &question).await? {
                        return Ok(Progress::Found(found));
                    }
                    hinted_first(&mut steps, &words);
                }
            }
            if self.failed_connections > PATIENCE {
                break;
            }
        }
        Ok(Progress::Nothing)
    }

    async fn inside_tls(&mut self) -> Result<Option<Found>, Failure> {
        if std::mem::replace(&mut self.tls_tried, true) {
            return Ok(None);
        }
        let progress = Box::pin(self.layer(Layer::Tls)).await?;
        self.failed_connections = 0;
        match progress {
            Progress::Found(found) => Ok(Some(found)),
            Progress::Nothing => Ok(None),
        }
    }

    /// None when this connection failed and others may still stand.
    async fn open(&mut self, layer: Layer) -> Result<Option<Channel>, Failure> {
        let endpoint = self.asker.endpoint;
        let limit = self
            .dialer
            .limits()
            .request_deadline
            .min(self.deadline.saturating_duration_since(Instant::now()));
        let (connection, until) = match self.dialer.connect_in_turn(endpoint, limit).await {
            Ok(connected) => connected,
            Err(error) => {
                let failure = error.failure();
                self.failed_connections += 1;
                let stopped =
                    matches!(failure, Failure::Skipped(SkipReason::Cancelled) | Failure::OutOfScope(_));
                return if stopped || !self.reached { Err(failure) } else { Ok(None) };
            }
        };
        self.reached = true;
        let channel = match layer {
            Layer::Plain => Ok(Channel::Plain(connection)),
            Layer::Tls => tls::connect(connection, &endpoint.host(), Speaks::Anything, until).await,
        };
        match channel {
            Ok(channel) => {
                self.failed_connections = 0;
                self.tls = self.tls.take().or_else(|| summary::of_channel(&channel));
                Ok(Some(channel))
            }
            Err(failure) => {
                // One refused handshake settles it: no other question inside TLS will be answered.
                self.failed_connections = PATIENCE + 1;
                if matches!(failure, Failure::Failed(FailReason::Tls, _)) && self.tls.is_none() {
                    self.tls = self.old_tls().await?;
                    self.sealed = self.tls.is_some();
                } else {
                    self.tls_open |= is_late(&failure);
                }
                Ok(None)
            }
        }
    }

    /// A server may know only versions of TLS that are too old to be spoken; what it shows is kept.
    async fn old_tls(&mut self) -> Result<Option<TlsSummary>, Failure> {
        let endpoint = self.asker.endpoint;
        let request = TlsRequest {
            host: endpoint.host().to_string(),
            port: endpoint.port,
            min_version: None,
            max_version: Some(TlsVersion::Tls12),
            cipher_suites: Vec::new(),
        };
        match tls::handshake(self.dialer, endpoint, &request).await {
            Ok(response) => Ok(summary::of_handshake(&response)),
            Err(stopped @ Failure::Skipped(SkipReason::Cancelled)) => Err(stopped),
            Err(failure) => {
                // Otherwise it does not speak TLS at all.
                self.tls_open |= is_late(&failure);
                Ok(None)
            }
        }
    }

    async fn listen(&mut self, channel: &mut Channel, wait: Duration) -> Answer {
        let until = self.deadline.min(Instant::now() + wait);
        let probes = self.probes;
        let told_all = |bytes: &[u8]| {
            bytes.ends_with(b"\n")
                && recognise(probes, bytes, None).is_some_and(|(_, told)| told.version.is_some())
        };
        let answer = listen(channel, until, told_all).await;
        if self.first_words.is_empty() {
            self.first_words.clone_from(&answer.bytes);
        }
        answer
    }

    /// What the words mean; goes into TLS when they ask for it.
    async fn judge(
        &mut self,
        layer: Layer,
        words: &[u8],
        asked: Option<&Probe>,
        question: &[u8],
    ) -> Result<Option<Found>, Failure> {
        if words.is_empty() {
            return Ok(None);
        }
        let found = |protocol, recognised| Some(Found { protocol, recognised, banner: words.to_vec() });
        if words.len() >= SHORTEST_ECHO
            && (words.starts_with(question) || question.starts_with(words))
            && !question.is_empty()
        {
            return Ok(found("echo", Recognised::protocol()));
        }
        self.tls_open |= asks_for_tls(words);
        if layer == Layer::Plain
            && asks_for_tls(words)
            && let Some(inside) = Box::pin(self.inside_tls()).await?
        {
            return Ok(Some(inside));
        }
        Ok(recognise(self.probes, words, asked)
            .and_then(|(probe, recognised)| found(probe.protocol, recognised)))
    }
}

/// The protocol that says this. Tentative answers count only for the protocol that was asked for.
pub(in crate::services) fn recognise<'p>(
    probes: &'p [Probe],
    words: &[u8],
    asked: Option<&Probe>,
) -> Option<(&'p Probe, Recognised)> {
    let was_asked = |probe: &Probe| asked.is_some_and(|asked| asked.protocol == probe.protocol);
    let answers = probes.iter().filter_map(|probe| Some((probe, (probe.recognise)(words)?)));
    let mut believed =
        answers.filter(|(probe, told)| told.confidence > Confidence::Tentative || was_asked(probe));
    believed.next()
}

/// Whoever closes has answered; nothing is known of who did not come to it.
fn is_late(failure: &Failure) -> bool {
    matches!(failure, Failure::Failed(FailReason::TimedOut | FailReason::Deadline, _))
}

/// Words that sound like a protocol, without being proof, make its question the next one.
fn hinted_first(steps: &mut VecDeque<Step>, words: &[u8]) {
    let hinted = |step: &Step| matches!(step, Step::Ask(probe) if (probe.recognise)(words).is_some());
    if let Some(step) = steps.iter().position(hinted).and_then(|index| steps.remove(index)) {
        steps.push_front(step);
    }
}

/// A TLS alert (RFC 8446, 6), or what web servers say to plain HTTP on a TLS port.
fn asks_for_tls(words: &[u8]) -> bool {
    if let [0x15, 3, _, 0, 2, _, _] = words {
        return true;
    }
    let start = &words[..words.len().min(2_048)];
    words.starts_with(b"HTTP/1.")
        && [
            &b"plain HTTP request was sent to HTTPS"[..],
            b"HTTP request to an HTTPS server",
            b"speaking plain HTTP to an SSL",
        ]
        .iter()
        .any(|complaint| memchr::memmem::find(start, complaint).is_some())
}
