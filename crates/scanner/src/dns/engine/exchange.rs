//! From a question to its answer: asking, hearing, asking again, giving up.

use std::time::{Duration, Instant};

use checks::exchange::Failure;
use hickory_proto::op::ResponseCode;
use model::FailReason;

use super::{
    Command, Worker,
    flights::{Flight, MOST_FLIGHTS, Owner, State, Ticket},
    servers::Choice,
    window::LONGEST_WAIT,
};
use crate::{
    dns::{
        message::{FORMERR, Header, Lookup, NOTIMP, NXDOMAIN, REFUSED, Reply, SERVFAIL},
        presentation,
        question::Question,
        stream,
    },
    socket::{
        DialError,
        datagrams::{BATCH, Inbox, Outbox},
    },
};

/// The last attempt waits at least this long: nothing comes after it.
const LAST_WAIT: Duration = Duration::from_millis(1_500);
/// Before a server is asked again that said no, when there is no other; doubled with each attempt.
const REST: Duration = Duration::from_millis(100);
/// How long to leave a full house alone.
const FULL: Duration = Duration::from_millis(5);

/// Why an attempt brought nothing.
pub(super) enum Trouble {
    Silence,
    /// The server cannot or will not say; this is the whole answer.
    Code(u8, Vec<u8>),
    Malformed(String),
    Unreachable(DialError),
}

impl Worker {
    /// Asks as much as the servers' windows and the cap on queries allow. Says when the cap allows more.
    pub(super) fn fill(&mut self, now: Instant) -> Option<Instant> {
        if self.servers.none_works() {
            self.refuse(now);
            return None;
        }
        loop {
            let room = self.servers.room();
            // Not a few at a time: the system calls would cost more than the wait.
            let worth_while = (self.servers.window() / 4).min(BATCH / 2);
            if room == 0 || (self.ready.is_empty() && room < worth_while) {
                return None;
            }
            let wanted = room.min(BATCH);
            while self.ready.len() < wanted && self.flights.len() < MOST_FLIGHTS && self.draw() {}
            let wanted = u32::try_from(wanted.min(self.ready.len())).expect("at most a batch");
            if wanted == 0 {
                return None;
            }
            let given = match self.dialer.query_turns_now(wanted) {
                Ok(given) => given,
                Err(due) => return Some(due.into_std()),
            };
            for _ in 0..given {
                let Some(ticket) = self.ready.pop_front() else { break };
                if self.flights.honours(ticket) && !self.ask(ticket, now) {
                    self.ready.push_front(ticket);
                    return Some(now + FULL);
                }
            }
        }
    }

    /// No server can be asked any more: there will never be room, so that whoever waits for it is told at once.
    fn refuse(&mut self, now: Instant) {
        while !self.ready.is_empty() || self.draw() {
            let Some(ticket) = self.ready.pop_front() else { continue };
            if self.flights.honours(ticket) {
                self.ask(ticket, now);
            }
        }
    }

    /// Takes one name off a list. False when there is none.
    fn draw(&mut self) -> bool {
        let Some((place, name, record_type)) = self.lists.draw() else { return false };
        match Question::about(&self.dialer, name.clone(), record_type) {
            Ok(question) => {
                let slot = self.flights.add(question, Owner::List(place));
                self.make_ready(slot);
            }
            Err(failure) => self.lists.deliver(place, name, Lookup::Undetermined(failure)),
        }
        true
    }

    pub(super) fn make_ready(&mut self, slot: u32) {
        self.flights.get(slot).state = State::Ready;
        let ticket = self.flights.ticket(slot);
        self.ready.push_back(ticket);
    }

    /// Puts one question on its way. False when there is no room for it.
    fn ask(&mut self, ticket: Ticket, now: Instant) -> bool {
        let slot = ticket.slot;
        if !self.is_wanted(slot) {
            self.finish(slot, Err(Failure::Skipped(model::SkipReason::Cancelled)));
            return true;
        }
        let flight = self.flights.get(slot);
        let (last, attempt) = (flight.last, flight.attempt);
        let index = match self.servers.choose(last, now) {
            Choice::Server(index) => index,
            Choice::Later => return false,
            Choice::Never(failure) => {
                self.finish(slot, Err(failure));
                return true;
            }
        };
        let epoll = &self.epoll;
        let mut unheard = None;
        let opened = self.servers.open(index, &self.dialer, |place, socket| {
            unheard = unheard.or(Worker::listen(epoll, socket, index, place).err());
        });
        let failure =
            opened.err().or_else(|| unheard.map(|error| DialError::from_io(error.into()).failure()));
        if let Some(failure) = failure {
            if self.servers.has_other(index, now) {
                self.make_ready(slot);
            } else {
                self.finish(slot, Err(failure));
            }
            return true;
        }
        let is_last = attempt + 1 >= self.attempts;
        let server = &mut self.servers.all[index];
        let socket = server.next_socket();
        // Asked again at the same server, it keeps its id: an answer that was only late counts.
        let same = self.flights.get(slot).line.is_some_and(|line| line.server == index);
        if !same {
            self.flights.assign(slot, index, socket);
        }
        let flight = self.flights.get(slot);
        let line = flight.line.expect("assigned just above, or before");
        flight.resent = same;
        flight.last = Some(index);
        flight.plain |= server.plain;
        flight.state = State::Asked(now);
        server.sockets[line.socket].outgoing.push(line.id);
        server.asked += 1;
        if server.asked >= server.window.size() {
            server.window.filled();
        }
        let wait = server.round_trip.wait(attempt);
        let ticket = self.flights.ticket(slot);
        self.wheel.set(ticket, now + if is_last { wait.max(LAST_WAIT) } else { wait });
        true
    }

    fn is_wanted(&mut self, slot: u32) -> bool {
        match &self.flights.get(slot).owner {
            Owner::Caller(reply) => !reply.is_closed(),
            Owner::List(place) => self.lists.is_wanted(*place),
        }
    }

    /// Sends what waits on every socket.
    pub(super) fn flush(&mut self, outbox: &mut Outbox, now: Instant) {
        for server in 0..self.servers.all.len() {
            for socket in 0..self.servers.all[server].sockets.len() {
                while let Some(more) = self.flush_some(outbox, server, socket, now)
                    && more
                {}
            }
        }
    }

    /// One batch. True when there may be more to send; nothing when sending failed.
    fn flush_some(
        &mut self,
        outbox: &mut Outbox,
        server: usize,
        socket: usize,
        now: Instant,
    ) -> Option<bool> {
        let channel = &mut self.servers.all[server].sockets[socket];
        if channel.outgoing.is_empty() {
            return Some(false);
        }
        outbox.clear();
        let flights = &mut self.flights;
        // What has ended in the meantime is not sent any more.
        channel.outgoing.retain(|id| flights.find(*id, server, socket).is_some());
        for id in &channel.outgoing {
            if outbox.is_full() {
                break;
            }
            let slot = flights.find(*id, server, socket).expect("retained just above");
            let flight = flights.get(slot);
            outbox.push(|out| flight.question.write(*id, !flight.plain, out));
        }
        match outbox.send(&channel.socket) {
            Ok(sent) => {
                channel.outgoing.drain(..sent);
                Some(sent > 0 && !channel.outgoing.is_empty())
            }
            Err(error) => {
                self.line_failed(server, socket, &error, now);
                None
            }
        }
    }

    /// Takes everything that has arrived on a socket.
    pub(super) fn receive(&mut self, inbox: &mut Inbox, server: usize, socket: usize, now: Instant) {
        // A flood of strays must not keep the rest waiting.
        for _ in 0..64 {
            match inbox.receive(&self.servers.all[server].sockets[socket].socket) {
                Ok(count) => {
                    for index in 0..count {
                        let (packet, cut) = inbox.datagram(index);
                        self.hear(packet, cut, server, socket, now);
                    }
                    if count < BATCH {
                        return;
                    }
                }
                Err(error) => {
                    self.line_failed(server, socket, &error, now);
                    return;
                }
            }
        }
    }

    /// Nobody listens there, or no route leads there: everything asked over that socket has failed.
    fn line_failed(&mut self, server: usize, socket: usize, error: &std::io::Error, now: Instant) {
        self.servers.all[server].sockets[socket].outgoing.clear();
        for slot in self.flights.asked_of(server, socket) {
            self.leave(slot);
            self.servers.all[server].was_useless(now);
            let copy =
                error.raw_os_error().map_or_else(|| error.kind().into(), std::io::Error::from_raw_os_error);
            self.again(slot, Trouble::Unreachable(DialError::from_io(copy)), now);
        }
    }

    /// One datagram. It counts only as the answer to a question that was asked with that id over that socket.
    fn hear(&mut self, packet: &[u8], cut: bool, index: usize, socket: usize, now: Instant) {
        let Some(header) = Header::read(packet) else { return };
        let Some(slot) = self.flights.find(header.id, index, socket) else { return };
        let flight = self.flights.get(slot);
        if flight.state == State::Streaming || !header.is_answer() || !flight.question.is_in(packet) {
            return;
        }
        let resent = flight.resent;
        if let Some(sent) = self.leave(slot) {
            let server = &mut self.servers.all[index];
            if !resent {
                server.round_trip.sample(now.saturating_duration_since(sent));
            }
            server.window.answered(now, server.round_trip.smoothed());
        }
        if header.is_truncated() || cut {
            self.stream(slot, index, now);
        } else {
            self.judge(slot, index, header, packet, now);
        }
    }

    /// The server's answer to the last attempt is no longer waited for: its window has room for another. Says when it was asked.
    fn leave(&mut self, slot: u32) -> Option<Instant> {
        let flight = self.flights.get(slot);
        let State::Asked(sent) = flight.state else { return None };
        flight.state = State::Ready;
        let index = flight.last.expect("it was asked somewhere");
        self.servers.all[index].asked -= 1;
        Some(sent)
    }

    /// What an answer is worth.
    fn judge(&mut self, slot: u32, index: usize, header: Header, packet: &[u8], now: Instant) {
        let flight = self.flights.get(slot);
        let server = &mut self.servers.all[index];
        match header.rcode() {
            // EDNS is not known there (RFC 6891, section 7): without it, and as if nothing had happened.
            FORMERR | NOTIMP if !flight.plain => {
                (flight.plain, server.plain) = (true, true);
                self.flights.hang_up(slot);
                self.make_ready(slot);
            }
            code @ (SERVFAIL | REFUSED) => {
                if code == REFUSED {
                    server.was_useless(now);
                }
                self.again(slot, Trouble::Code(code, packet.to_vec()), now);
            }
            code => {
                server.answered(now);
                let address = server.address;
                match flight.owner {
                    Owner::Caller(_) => {
                        self.finish(slot, Ok(Reply { packet: packet.to_vec(), server: address }))
                    }
                    Owner::List(place) => {
                        if code != 0 && code != NXDOMAIN {
                            let failure = refusal(&address.to_string(), &flight.question, code);
                            return self.finish(slot, Err(failure));
                        }
                        match Lookup::read(header, packet) {
                            Ok(lookup) => {
                                let flight = self.flights.remove(slot);
                                self.lists.deliver(place, flight.question.name, lookup);
                            }
                            Err(why) => self.again(slot, Trouble::Malformed(why), now),
                        }
                    }
                }
            }
        }
    }

    /// Fetches over TCP what did not fit.
    fn stream(&mut self, slot: u32, index: usize, now: Instant) {
        let server = self.servers.all[index].address;
        let flight = self.flights.get(slot);
        flight.state = State::Streaming;
        let id = flight.line.map_or(0, |line| line.id);
        let question = flight.question.clone();
        let ticket = self.flights.ticket(slot);
        self.wheel.set(ticket, now + LONGEST_WAIT);
        let (dialer, mailbox, streams) = (self.dialer.clone(), self.mailbox.clone(), self.streams.clone());
        let deadline = tokio::time::Instant::from_std(now + LONGEST_WAIT);
        self.runtime.spawn(async move {
            let _turn = streams.acquire().await.expect("the semaphore is never closed");
            let result = stream::ask(&dialer, server, &question, id, deadline).await;
            // When the engine has ended, nobody waits for the answer.
            let _ = mailbox.post(Command::Streamed { ticket, result });
        });
    }

    pub(super) fn streamed(&mut self, ticket: Ticket, result: Result<Vec<u8>, DialError>, now: Instant) {
        if !self.flights.honours(ticket) {
            return;
        }
        let index = self.flights.get(ticket.slot).last.expect("a truncated answer came from somewhere");
        match result {
            Ok(packet) => match Header::read(&packet) {
                Some(header) => self.judge(ticket.slot, index, header, &packet, now),
                None => self.again(ticket.slot, Trouble::Malformed("it is too short".to_owned()), now),
            },
            Err(error) => self.again(ticket.slot, Trouble::Unreachable(error), now),
        }
    }

    /// A deadline has passed.
    pub(super) fn overdue(&mut self, ticket: Ticket, now: Instant) {
        if !self.flights.honours(ticket) {
            return;
        }
        let slot = ticket.slot;
        match self.flights.get(slot).state {
            State::Asked(_) => {
                self.leave(slot);
                let index = self.flights.get(slot).last.expect("it was asked somewhere");
                let server = &mut self.servers.all[index];
                server.was_useless(now);
                server.window.lost(now, server.round_trip.smoothed());
                self.again(slot, Trouble::Silence, now);
            }
            State::Resting => self.make_ready(slot),
            State::Streaming => self.again(slot, Trouble::Silence, now),
            State::Ready => {}
        }
    }

    /// Another attempt, if there is one left.
    fn again(&mut self, slot: u32, trouble: Trouble, now: Instant) {
        let flight = self.flights.get(slot);
        let index = flight.last.expect("there was an attempt");
        flight.attempt += 1;
        let has_other = self.servers.has_other(index, now);
        let attempts = if !has_other && self.servers.all[index].is_hopeless(now) { 1 } else { self.attempts };
        if flight.attempt >= attempts {
            return self.give_up(slot, index, trouble);
        }
        let attempt = flight.attempt;
        if matches!(trouble, Trouble::Silence) {
            return self.make_ready(slot);
        }
        self.flights.hang_up(slot);
        if has_other {
            return self.make_ready(slot);
        }
        self.flights.get(slot).state = State::Resting;
        let ticket = self.flights.ticket(slot);
        self.wheel.set(ticket, now + REST * (1 << attempt.min(5)));
    }

    fn give_up(&mut self, slot: u32, index: usize, trouble: Trouble) {
        let flight = self.flights.get(slot);
        let address = self.servers.all[index].address;
        let of = format!("{} ({})", flight.question.name, flight.question.record_type);
        let attempts = match flight.attempt {
            1 => "once".to_owned(),
            count => format!("{count} times"),
        };
        let outcome = match trouble {
            // A caller may want to know the answer, also when it says nothing.
            Trouble::Code(_, packet) if matches!(flight.owner, Owner::Caller(_)) => {
                Ok(Reply { packet, server: address })
            }
            Trouble::Code(code, _) => Err(refusal(&address.to_string(), &flight.question, code)),
            Trouble::Silence => {
                let text = format!("name server {address} did not answer about {of}, asked {attempts}");
                Err(Failure::Failed(FailReason::TimedOut, text))
            }
            Trouble::Malformed(why) => {
                let text =
                    format!("name server {address} answered about {of} with what is no DNS message: {why}");
                Err(Failure::Failed(FailReason::Protocol, text))
            }
            Trouble::Unreachable(error) => Err(match error.failure() {
                Failure::Failed(reason, why) => Failure::Failed(
                    reason,
                    format!("name server {address} could not be asked about {of}: {why}"),
                ),
                other => other,
            }),
        };
        self.finish(slot, outcome);
    }

    /// Tells whoever waits, and forgets the question.
    pub(super) fn finish(&mut self, slot: u32, outcome: Result<Reply, Failure>) {
        self.leave(slot);
        let Flight { question, owner, .. } = self.flights.remove(slot);
        match owner {
            // Who no longer waits is not told.
            Owner::Caller(reply) => drop(reply.send(outcome)),
            Owner::List(place) => {
                if let Err(failure) = outcome {
                    self.lists.deliver(place, question.name, Lookup::Undetermined(failure));
                }
            }
        }
    }
}

/// The server does not say. Never to be taken for "does not exist".
fn refusal(server: &str, question: &Question, code: u8) -> Failure {
    let code = presentation::code(ResponseCode::from(0, code));
    let text =
        format!("name server {server} answered {code} about {} ({})", question.name, question.record_type);
    Failure::Failed(FailReason::Unresolved, text)
}
