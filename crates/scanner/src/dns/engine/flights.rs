//! Questions under way, found by their transaction id.

use std::time::Instant;

use checks::exchange::Failure;
use rand::{Rng, rngs::StdRng};
use tokio::sync::oneshot;

use crate::dns::{message::Reply, question::Question};

/// Questions taken on at a time, whatever the windows of the servers.
pub(super) const MOST_FLIGHTS: usize = 16_384;
const FREE: u32 = u32::MAX;

/// One question on its way to an answer.
pub(super) struct Flight {
    pub(super) question: Question,
    pub(super) owner: Owner,
    pub(super) state: State,
    /// Attempts begun before this one.
    pub(super) attempt: u32,
    /// The server it was asked at last.
    pub(super) last: Option<usize>,
    /// Where an answer may still come from.
    pub(super) line: Option<Line>,
    /// Without EDNS, for a server that does not know it.
    pub(super) plain: bool,
    /// An earlier attempt at the same server went unanswered: round-trip times would be ambiguous (Karn).
    pub(super) resent: bool,
    generation: u32,
}

/// Who waits for the answer.
pub(super) enum Owner {
    /// One caller.
    Caller(oneshot::Sender<Result<Reply, Failure>>),
    /// A list, by its place.
    List(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Waits for room at a server.
    Ready,
    /// Sent, or about to be; counts against the server's window.
    Asked(Instant),
    /// Waits before it is tried again.
    Resting,
    /// Asked again over TCP.
    Streaming,
}

/// The socket and transaction id a question was asked with. Answers count from there only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) server: usize,
    pub(super) socket: usize,
    pub(super) id: u16,
}

/// A flight as it was when the ticket was made: it is void once the flight has moved on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dns) struct Ticket {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

/// All flights. Ids are unique over all sockets, so that one small table finds them.
pub(super) struct Flights {
    slots: Vec<Option<Flight>>,
    free: Vec<u32>,
    ids: Box<[u32]>,
    random: StdRng,
    generation: u32,
}

impl Flights {
    pub(super) fn new() -> Flights {
        Flights {
            slots: Vec::new(),
            free: Vec::new(),
            ids: vec![FREE; 1 << 16].into_boxed_slice(),
            random: rand::make_rng(),
            generation: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn add(&mut self, question: Question, owner: Owner) -> u32 {
        let flight = Flight {
            question,
            owner,
            state: State::Ready,
            attempt: 0,
            last: None,
            line: None,
            plain: false,
            resent: false,
            generation: 0,
        };
        if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = Some(flight);
            return slot;
        }
        self.slots.push(Some(flight));
        u32::try_from(self.slots.len() - 1).expect("far fewer flights than that")
    }

    pub(super) fn get(&mut self, slot: u32) -> &mut Flight {
        self.slots[slot as usize].as_mut().expect("slots are handed out for flights that exist")
    }

    /// Ends the flight.
    pub(super) fn remove(&mut self, slot: u32) -> Flight {
        self.hang_up(slot);
        self.free.push(slot);
        self.slots[slot as usize].take().expect("a flight ends once")
    }

    /// Gives the flight a fresh unpredictable id for asking there.
    pub(super) fn assign(&mut self, slot: u32, server: usize, socket: usize) {
        self.hang_up(slot);
        // At most a quarter of the ids is taken: a few draws find a free one.
        let id = loop {
            let [low, high, ..] = self.random.next_u32().to_le_bytes();
            let id = u16::from_le_bytes([low, high]);
            if self.ids[usize::from(id)] == FREE {
                break id;
            }
        };
        self.ids[usize::from(id)] = slot;
        self.get(slot).line = Some(Line { server, socket, id });
    }

    /// Answers to what was asked so far count no more.
    pub(super) fn hang_up(&mut self, slot: u32) {
        if let Some(line) = self.get(slot).line.take() {
            self.ids[usize::from(line.id)] = FREE;
        }
    }

    /// The flight that was asked with this id over this socket.
    pub(super) fn find(&mut self, id: u16, server: usize, socket: usize) -> Option<u32> {
        let slot = self.ids[usize::from(id)];
        let line = self.slots.get(slot as usize)?.as_ref()?.line?;
        (line == Line { server, socket, id }).then_some(slot)
    }

    /// Voids all earlier tickets of the flight.
    pub(super) fn ticket(&mut self, slot: u32) -> Ticket {
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        self.get(slot).generation = generation;
        Ticket { slot, generation }
    }

    /// Is the ticket still good?
    pub(super) fn honours(&self, ticket: Ticket) -> bool {
        let flight = self.slots.get(ticket.slot as usize).and_then(Option::as_ref);
        flight.is_some_and(|flight| flight.generation == ticket.generation)
    }

    /// All that were asked over a server's sockets and wait for an answer.
    pub(super) fn asked_of(&self, server: usize, socket: usize) -> Vec<u32> {
        let waits = |flight: &Flight| {
            matches!(flight.state, State::Asked(_))
                && flight.line.is_some_and(|line| line.server == server && line.socket == socket)
        };
        self.occupied().filter(|(_, flight)| waits(flight)).map(|(slot, _)| slot).collect()
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<u32> {
        self.occupied().map(|(slot, _)| slot).collect()
    }

    fn occupied(&self) -> impl Iterator<Item = (u32, &Flight)> {
        (0..).zip(&self.slots).filter_map(|(slot, flight)| flight.as_ref().map(|flight| (slot, flight)))
    }
}
