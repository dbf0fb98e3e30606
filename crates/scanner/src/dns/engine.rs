//! One thread that asks name servers, for everybody.
//!
//! Datagrams leave and arrive in batches, over few sockets; what is under way sits in a slab, found by transaction id; long
//! lists of names are drawn from only as fast as there is room to ask, so that memory does not grow with them.

mod exchange;
mod flights;
mod list;
mod servers;
mod wheel;
mod window;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    os::fd::AsFd,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use checks::exchange::Failure;
use model::{FailReason, SkipReason};
use nix::sys::{
    epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
    eventfd::{EfdFlags, EventFd},
};
use tokio::{
    runtime,
    sync::{Semaphore, oneshot},
};

pub(super) use self::list::List;
use self::{
    flights::{Flights, Owner, Ticket},
    list::Lists,
    servers::Servers,
    wheel::Wheel,
};
use super::{message::Reply, question::Question};
use crate::socket::{
    DialError, Dialer,
    datagrams::{Inbox, Outbox},
};

/// How long a stop of the scan may go unnoticed while something is under way.
const LONGEST_SLEEP: Duration = Duration::from_millis(50);
/// Connections to name servers at a time, for truncated answers.
const STREAMS: usize = 16;
/// The epoll token that means "look at the commands".
const COMMANDS: u64 = u64::MAX;

/// What is asked of the engine.
pub(super) enum Command {
    /// One question for one caller.
    Ask { question: Question, reply: oneshot::Sender<Result<Reply, Failure>> },
    /// A list of names.
    Work(List),
    /// A truncated answer has come in full, or not.
    Streamed { ticket: Ticket, result: Result<Vec<u8>, DialError> },
    /// Nobody is left who could ask.
    Quit,
}

/// The way to the engine's thread; the thread ends with it.
pub(super) struct Engine {
    mailbox: Mailbox,
}

#[derive(Clone)]
struct Mailbox {
    commands: mpsc::Sender<Command>,
    bell: Arc<EventFd>,
}

impl Mailbox {
    /// False when the engine's thread has ended.
    fn post(&self, command: Command) -> bool {
        let sent = self.commands.send(command).is_ok();
        // The bell can only fail to ring when it has been rung 2^64 - 2 times without being heard.
        let _ = self.bell.write(1);
        sent
    }
}

impl Engine {
    /// Starts the thread. Truncated answers are fetched on the runtime.
    pub(super) fn start(
        dialer: Dialer,
        servers: &[SocketAddr],
        runtime: runtime::Handle,
    ) -> Result<Engine, Failure> {
        let failed = |error: std::io::Error| {
            Failure::Failed(FailReason::Resources, format!("name resolution could not be started: {error}"))
        };
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let bell = Arc::new(EventFd::from_flags(flags).map_err(|error| failed(error.into()))?);
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(|error| failed(error.into()))?;
        let rung = EpollEvent::new(EpollFlags::EPOLLIN, COMMANDS);
        epoll.add(&*bell, rung).map_err(|error| failed(error.into()))?;
        let (commands, inbox) = mpsc::channel();
        let mailbox = Mailbox { commands, bell };
        let now = Instant::now();
        let worker = Worker {
            servers: Servers::new(servers, now),
            attempts: dialer.limits().attempts.max(1),
            dialer,
            flights: Flights::new(),
            lists: Lists::default(),
            ready: VecDeque::new(),
            wheel: Wheel::new(now),
            epoll,
            mailbox: mailbox.clone(),
            runtime,
            streams: Arc::new(Semaphore::new(STREAMS)),
        };
        let run = move || worker.run(&inbox);
        thread::Builder::new().name("dns".to_owned()).spawn(run).map_err(failed)?;
        Ok(Engine { mailbox })
    }

    pub(super) fn post(&self, command: Command) -> Result<(), Failure> {
        let gone =
            || Failure::Failed(FailReason::Resources, "name resolution has ended unexpectedly".to_owned());
        if self.mailbox.post(command) { Ok(()) } else { Err(gone()) }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // If the thread has ended already, that is what was wanted.
        let _ = self.mailbox.post(Command::Quit);
    }
}

/// Everything the thread owns.
struct Worker {
    dialer: Dialer,
    servers: Servers,
    attempts: u32,
    flights: Flights,
    lists: Lists,
    /// To be asked as soon as there is room.
    ready: VecDeque<Ticket>,
    wheel: Wheel,
    epoll: Epoll,
    mailbox: Mailbox,
    runtime: runtime::Handle,
    streams: Arc<Semaphore>,
}

impl Worker {
    fn run(mut self, commands: &mpsc::Receiver<Command>) {
        let (mut inbox, mut outbox) = (Inbox::new(), Outbox::new());
        let mut fired = Vec::new();
        let mut events = [EpollEvent::empty(); 64];
        loop {
            let now = Instant::now();
            while let Ok(command) = commands.try_recv() {
                match command {
                    Command::Ask { question, reply } => {
                        let slot = self.flights.add(question, Owner::Caller(reply));
                        self.make_ready(slot);
                    }
                    Command::Work(list) => self.lists.add(list),
                    Command::Streamed { ticket, result } => self.streamed(ticket, result, now),
                    Command::Quit => return,
                }
            }
            if self.dialer.stop().is_cancelled() {
                self.abandon();
            }
            self.wheel.fire(now, &mut fired);
            for ticket in fired.drain(..) {
                self.overdue(ticket, now);
            }
            let due = self.fill(now);
            self.flush(&mut outbox, now);
            // Interrupted or failed, the next look at everything is as good as an event.
            let count = self.epoll.wait(&mut events, self.sleep(due, now)).unwrap_or(0);
            let now = Instant::now();
            for event in &events[..count] {
                if event.data() == COMMANDS {
                    // Empty when the bell was rung twice.
                    let _ = self.mailbox.bell.read();
                    continue;
                }
                let (server, socket) = place_of(event.data());
                self.receive(&mut inbox, server, socket, now);
            }
        }
    }

    /// How long nothing happens without an event.
    fn sleep(&self, due: Option<Instant>, now: Instant) -> EpollTimeout {
        if self.flights.is_empty() && self.lists.is_empty() {
            return EpollTimeout::NONE;
        }
        let unsent = self
            .servers
            .all
            .iter()
            .flat_map(|server| &server.sockets)
            .any(|channel| !channel.outgoing.is_empty());
        let latest = if unsent { now + Duration::from_millis(1) } else { now + LONGEST_SLEEP };
        let next = [due, self.wheel.due()].into_iter().flatten().fold(latest, Instant::min);
        let nanoseconds = next.saturating_duration_since(now).as_nanos();
        u16::try_from(nanoseconds.div_ceil(1_000_000)).unwrap_or(u16::MAX).into()
    }

    /// Ends everything: the scan was stopped.
    fn abandon(&mut self) {
        self.ready.clear();
        for slot in self.flights.all() {
            self.finish(slot, Err(Failure::Skipped(SkipReason::Cancelled)));
        }
        self.lists.drain();
    }

    fn listen(epoll: &Epoll, socket: impl AsFd, server: usize, index: usize) -> nix::Result<()> {
        epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, token_of(server, index)))
    }
}

fn token_of(server: usize, socket: usize) -> u64 {
    (server as u64) << 8 | socket as u64
}

fn place_of(token: u64) -> (usize, usize) {
    let place = |number: u64| usize::try_from(number).expect("made from a usize");
    (place(token >> 8), place(token & 0xff))
}
