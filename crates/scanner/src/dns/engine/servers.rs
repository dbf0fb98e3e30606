//! The name servers: their sockets, and how well they answer.

use std::{
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use checks::exchange::Failure;
use model::FailReason;

use super::window::{RoundTrip, Window};
use crate::socket::{DialError, Dialer};

/// Questions in a row without a useful answer after which a server gets a rest.
const TOO_MANY: u32 = 16;
/// Without a useful answer for that long too, and the only server, it is asked once only.
const TOO_LONG: Duration = Duration::from_secs(10);
const SHORTEST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(60);
/// Sockets per server: several source ports, as long as there are few servers.
const SOCKETS: usize = 2;
const FEW_SERVERS: usize = 16;
/// Questions sent from one socket before the other has its turn: they leave in one batch.
const RUN: usize = 32;

pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) sockets: Vec<Channel>,
    pub(super) window: Window,
    pub(super) round_trip: RoundTrip,
    /// Questions that wait for its answer.
    pub(super) asked: usize,
    /// Does not know EDNS.
    pub(super) plain: bool,
    turn: usize,
    useless: u32,
    rest: Duration,
    resting_until: Option<Instant>,
    /// When it gave a useful answer, at first when it was named.
    useful_at: Instant,
    /// Why no socket leads there.
    broken: Option<Failure>,
}

/// A socket and what is to be sent over it.
pub(super) struct Channel {
    pub(super) socket: UdpSocket,
    /// Transaction ids of the questions.
    pub(super) outgoing: Vec<u16>,
}

impl Server {
    fn new(address: SocketAddr, now: Instant) -> Server {
        Server {
            address,
            sockets: Vec::new(),
            window: Window::new(now),
            round_trip: RoundTrip::default(),
            asked: 0,
            plain: false,
            turn: 0,
            useless: 0,
            rest: SHORTEST_REST,
            resting_until: None,
            useful_at: now,
            broken: None,
        }
    }

    fn has_room(&self) -> bool {
        self.asked < self.window.size()
    }

    /// The socket whose turn it is.
    pub(super) fn next_socket(&mut self) -> usize {
        self.turn = self.turn.wrapping_add(1);
        self.turn / RUN % self.sockets.len()
    }

    pub(super) fn answered(&mut self, now: Instant) {
        self.useful_at = now;
        self.useless = 0;
        self.rest = SHORTEST_REST;
        self.resting_until = None;
    }

    /// Silence, or an answer that says nothing about the question.
    pub(super) fn was_useless(&mut self, now: Instant) {
        self.useless = self.useless.saturating_add(1);
        if self.useless >= TOO_MANY && self.resting_until.is_none_or(|until| until <= now) {
            self.resting_until = Some(now + self.rest);
            self.rest = (self.rest * 2).min(LONGEST_REST);
        }
    }

    pub(super) fn is_hopeless(&self, now: Instant) -> bool {
        self.useless >= 2 * TOO_MANY && now.saturating_duration_since(self.useful_at) > TOO_LONG
    }
}

/// Where a question goes.
pub(super) enum Choice {
    /// There.
    Server(usize),
    /// Nowhere yet: every window is used up.
    Later,
    /// Nowhere at all.
    Never(Failure),
}

pub(super) struct Servers {
    pub(super) all: Vec<Server>,
    turn: usize,
}

impl Servers {
    pub(super) fn new(addresses: &[SocketAddr], now: Instant) -> Servers {
        Servers { all: addresses.iter().map(|address| Server::new(*address, now)).collect(), turn: 0 }
    }

    /// Room in all windows together.
    pub(super) fn room(&self) -> usize {
        let usable = self.all.iter().filter(|server| server.broken.is_none());
        usable.map(|server| server.window.size().saturating_sub(server.asked)).sum()
    }

    /// Is there no server to which a socket leads?
    pub(super) fn none_works(&self) -> bool {
        self.all.iter().all(|server| server.broken.is_some())
    }

    pub(super) fn window(&self) -> usize {
        self.all.iter().map(|server| server.window.size()).sum()
    }

    /// The next server that works and has room, not the one asked last if another works.
    pub(super) fn choose(&mut self, last: Option<usize>, now: Instant) -> Choice {
        if let [only] = self.all.as_slice()
            && only.broken.is_none()
        {
            return if only.has_room() { Choice::Server(0) } else { Choice::Later };
        }
        let count = self.all.len();
        let usable = |index: usize| self.all[index].broken.is_none();
        let rests = |index: usize| self.all[index].resting_until.is_some_and(|until| until > now);
        let in_turn = || (1..=count).map(|ahead| (self.turn + ahead) % count).filter(|index| usable(*index));
        let awake = |index: &usize| !rests(*index);
        let others: Vec<usize> = in_turn().filter(awake).filter(|index| Some(*index) != last).collect();
        let candidates = match (others.is_empty(), in_turn().any(|index| awake(&index))) {
            (false, _) => others,
            (true, true) => in_turn().filter(awake).collect(),
            // All rest: the one that has rested longest is tried rather than nobody.
            (true, false) => {
                in_turn().min_by_key(|index| self.all[*index].resting_until).into_iter().collect()
            }
        };
        if candidates.is_empty() {
            let broken = self.all.iter().find_map(|server| server.broken.clone());
            let none = || {
                Failure::Failed(
                    FailReason::Unresolved,
                    "there is no name server to ask: `rampart scan TARGET` takes one by --resolver (and a scope file by --scope, if it is not on loopback), a scope of the platform has those of the machine on which `rampart scope put` was run".to_owned(),
                )
            };
            return Choice::Never(broken.unwrap_or_else(none));
        }
        match candidates.into_iter().find(|index| self.all[*index].has_room()) {
            Some(index) => {
                self.turn = index;
                Choice::Server(index)
            }
            None => Choice::Later,
        }
    }

    /// Does another server than this one work?
    pub(super) fn has_other(&self, than: usize, now: Instant) -> bool {
        let works = |server: &Server| {
            server.broken.is_none() && server.resting_until.is_none_or(|until| until <= now)
        };
        self.all.iter().enumerate().any(|(index, server)| index != than && works(server))
    }

    /// Opens the sockets of a server; what was opened is handed to `opened` with its place.
    pub(super) fn open(
        &mut self,
        index: usize,
        dialer: &Dialer,
        mut opened: impl FnMut(usize, &UdpSocket),
    ) -> Result<(), Failure> {
        let count = if self.all.len() <= FEW_SERVERS { SOCKETS } else { 1 };
        let server = &mut self.all[index];
        while server.sockets.len() < count {
            match dialer.resolver_socket(server.address) {
                Ok(socket) => {
                    opened(server.sockets.len(), &socket);
                    server.sockets.push(Channel { socket, outgoing: Vec::new() });
                }
                Err(_) if !server.sockets.is_empty() => break,
                Err(error) => {
                    let failure = error.failure();
                    if !matches!(error, DialError::Stopped) {
                        server.broken = Some(failure.clone());
                    }
                    return Err(failure);
                }
            }
        }
        Ok(())
    }
}
