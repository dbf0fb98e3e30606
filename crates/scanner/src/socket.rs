//! The only room that opens sockets. Everything a scan sends leaves through [`Dialer`], which asks the scope at connect time,
//! keeps the caps on connections and rates, counts, and stops at once when the scan is stopped.
#![expect(clippy::disallowed_methods, reason = "this is the one place that may connect")]

mod connection;
pub(crate) mod datagrams;
mod error;
mod gate;
mod quota;
mod rate;

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use model::{
    Allowance, Destination, DomainName, Endpoint, Limits, Refusal, Scope, Traffic, scope::TimeWindow,
};
use nix::errno::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::{net::TcpStream, sync::OwnedSemaphorePermit, time::Instant};
use tokio_util::sync::CancellationToken;

use self::gate::Gates;
use self::rate::Sharers;
pub use self::{connection::Connection, error::DialError, quota::Quota, rate::RateLimit};

/// Opens sockets, within the scope and the limits. Cheap to clone; all clones share caps and counters.
#[derive(Clone)]
pub struct Dialer {
    shared: Arc<Shared>,
    stop: CancellationToken,
    allowance: Allowance,
    /// What may be sent in all, if that is limited.
    quota: Option<Arc<Quota>>,
}

/// A datagram's turn that has to be asked for again: whoever allows more does it within that time.
const QUOTA_LOOK: Duration = Duration::from_millis(20);

struct Shared {
    scope: Scope,
    limits: Limits,
    gates: Gates,
    probes: RateLimit,
    queries: RateLimit,
    sharers: Sharers,
    counters: Counters,
}

/// What has been sent so far.
#[derive(Debug, Default)]
pub struct Counters {
    /// HTTP requests, TCP dialogues, TLS probes.
    pub requests: AtomicU64,
    /// Port probes.
    pub probes: AtomicU64,
    /// DNS queries.
    pub queries: AtomicU64,
    /// Connections opened.
    pub connections: AtomicU64,
    /// Requests served from another template's identical one.
    pub shared: AtomicU64,
    /// The most bytes of answers that one unit held at once.
    pub most_held: AtomicU64,
}

impl Counters {
    /// What was sent until now.
    pub fn traffic(&self) -> Traffic {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Traffic {
            requests: read(&self.requests),
            shared_requests: read(&self.shared),
            probes: read(&self.probes),
            queries: read(&self.queries),
            most_held_bytes: read(&self.most_held),
        }
    }
}

/// What a port probe found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeEnd {
    /// Accepted.
    Open {
        /// The peer is this machine, so that another socket of the scan may have been what answered.
        own_machine: bool,
    },
    /// Refused.
    Closed,
    /// A router or a firewall answered that it cannot be reached.
    Filtered,
}

/// How a port probe began. On loopback most are decided at once.
#[derive(Debug)]
pub enum ProbeStart {
    /// Answered at once.
    Decided(ProbeEnd),
    /// Under way: wait with [`Dialer::finish_probe`].
    Pending(PendingProbe),
    /// The connection cap is used up, or this machine has no socket left: try again when a probe has ended.
    NoRoom,
}

/// Begins port probes, one after the other.
pub struct Prober {
    dialer: Dialer,
    /// On Linux a socket whose connection was refused is as good as new, and the next probe saves making one.
    spare: Option<(Domain, Socket)>,
}

/// A connection attempt under way; it counts against the cap on connections in all.
#[derive(Debug)]
pub struct PendingProbe {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

impl Dialer {
    /// The connection cap is lowered to what the file descriptor limit allows; call [`raise_descriptor_limit`] before.
    pub fn new(scope: Scope, limits: Limits, stop: CancellationToken) -> Dialer {
        let connections = limits.connections.min(descriptors_for_sockets()).max(1);
        let limits = Limits { connections, ..limits };
        let allowance = Allowance::of(limits.held_bytes);
        let sharers = Sharers::default();
        Dialer {
            shared: Arc::new(Shared {
                gates: Gates::new(&limits, &sharers),
                probes: RateLimit::per_second(limits.probes_per_second).among(&sharers),
                queries: RateLimit::per_second(limits.queries_per_second).among(&sharers),
                sharers,
                counters: Counters::default(),
                scope,
                limits,
            }),
            stop,
            allowance,
            quota: None,
        }
    }

    /// The same, that sends no more than it is allowed to.
    pub fn within(self, quota: Arc<Quota>) -> Dialer {
        Dialer { quota: Some(quota), ..self }
    }

    /// For one unit: the same scope, caps and counters, and an allowance of its own for what it holds.
    pub fn for_unit(&self) -> Dialer {
        Dialer { allowance: Allowance::of(self.shared.limits.held_bytes), ..self.clone() }
    }

    /// The same for a unit that may be stopped by itself: it ends with `stop`, which must end when this one does.
    pub fn with_stop(&self, stop: CancellationToken) -> Dialer {
        Dialer { stop, ..self.for_unit() }
    }

    /// What the unit holds of its targets' answers counts against this.
    pub fn allowance(&self) -> &Allowance {
        &self.allowance
    }

    /// From now on the rates are shared between so many processes, this one among them: each has an equal part. Caps on connections
    /// hold for each process.
    pub fn share_rates_among(&self, processes: u32) {
        self.shared.sharers.set(processes);
    }

    /// The scope in force.
    pub fn scope(&self) -> &Scope {
        &self.shared.scope
    }

    /// The caps in force.
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// What has been sent so far.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Cancelled when the scan is to stop.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// May the name be asked about and connected to, now?
    pub fn permits_name(&self, name: &DomainName) -> Result<(), DialError> {
        self.permits_now()?;
        self.shared.scope.permits_name(name).map_err(DialError::OutOfScope)
    }

    /// May the address be asked about, now?
    pub fn permits_address(&self, address: IpAddr) -> Result<(), DialError> {
        self.permits_now()?;
        self.shared.scope.permits_address(address, None).map_err(DialError::OutOfScope)
    }

    /// Is the scope's time window open? When it closes the scan is stopped: what is not done by then is not out of scope but
    /// open, for a later run.
    pub fn is_open_now(&self) -> bool {
        let scope = &self.shared.scope;
        let open = scope.window == TimeWindow::ALWAYS || scope.permits_time(jiff::Timestamp::now()).is_ok();
        if !open {
            self.stop.cancel();
        }
        open
    }

    /// Waits until so many packets may be sent, if that is limited.
    async fn spend(&self, packets: u32) -> Result<(), DialError> {
        match &self.quota {
            Some(quota) => self.unless_stopped(quota.spend(packets)).await,
            None => Ok(()),
        }
    }

    fn permits_now(&self) -> Result<(), DialError> {
        if self.stop.is_cancelled() || !self.is_open_now() {
            return Err(DialError::Stopped);
        }
        Ok(())
    }

    fn permits(&self, name: Option<&DomainName>, address: IpAddr, port: u16) -> Result<(), DialError> {
        if self.stop.is_cancelled() {
            return Err(DialError::Stopped);
        }
        let destination = Destination { name, address, port };
        self.shared.scope.permits(destination, jiff::Timestamp::now()).map_err(|refusal| match refusal {
            Refusal::Closed(_) => {
                self.stop.cancel();
                DialError::Stopped
            }
            refusal => DialError::OutOfScope(refusal),
        })
    }

    /// Waits until the caps on requests a second, in all and for this address, allow one more, and counts it. Call it once for
    /// every request, also on a connection that already stands.
    pub async fn request_turn(&self, address: IpAddr) -> Result<(), DialError> {
        self.spend(1).await?;
        let turn = self.shared.gates.request_turn(address);
        self.unless_stopped(turn).await?;
        // The wait may have been long: the window may have closed since.
        self.permits_now()?;
        self.shared.counters.requests.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Connects, having asked the scope, within the connection caps. Waiting for a free place counts against `deadline` too;
    /// the connection itself gets at most the connect timeout.
    pub async fn connect(&self, endpoint: &Endpoint, deadline: Instant) -> Result<Connection, DialError> {
        let to = SocketAddr::new(endpoint.address, endpoint.port);
        self.permits(endpoint.name.as_ref(), to.ip(), to.port())?;
        let place =
            tokio::time::timeout_at(deadline, self.unless_stopped(self.shared.gates.connection(to.ip())))
                .await
                .map_err(|_| DialError::TimedOut)??;
        // The wait may have been long: the window may have closed since.
        self.permits(endpoint.name.as_ref(), to.ip(), to.port())?;
        self.shared.counters.connections.fetch_add(1, Ordering::Relaxed);
        let until = deadline.min(Instant::now() + self.shared.limits.connect_timeout);
        let connecting = tokio::time::timeout_at(until, TcpStream::connect(to));
        let stream = self.unless_stopped(connecting).await?.map_err(|_| DialError::TimedOut)?;
        let stream = stream.map_err(DialError::from_io)?;
        if is_self_connection(&stream) {
            return Err(DialError::Refused);
        }
        // Latency matters more than packets: requests are written in one piece.
        stream.set_nodelay(true).map_err(DialError::from_io)?;
        Ok(Connection::new(stream, place))
    }

    /// Connects and takes the turn of one request, as late as can be: turns taken before a slow connection would bunch behind
    /// it. Gives the connection and the time until which the request may last: `limit`, in which waiting for the turn does not
    /// count.
    pub(crate) async fn connect_in_turn(
        &self,
        endpoint: &Endpoint,
        limit: Duration,
    ) -> Result<(Connection, Instant), DialError> {
        let begun = Instant::now();
        let connected = match self.connect(endpoint, begun + limit).await {
            Err(unsent @ (DialError::OutOfScope(_) | DialError::Stopped)) => return Err(unsent),
            attempted => attempted,
        };
        let spent = begun.elapsed();
        // Also for a connection that failed: attempts are rated, not successes.
        self.request_turn(endpoint.address).await?;
        Ok((connected?, Instant::now() + limit.saturating_sub(spent)))
    }

    /// Registers who keeps idle connections. It is called whenever somebody has to wait for a place, with the address whose
    /// places are taken or none when all are; it closes one idle connection if it has one, and returns false when it never will
    /// again.
    pub(crate) fn when_short_of_places(
        &self,
        spare: impl Fn(Option<IpAddr>) -> bool + Send + Sync + 'static,
    ) {
        self.shared.gates.when_short(Box::new(spare));
    }

    /// Does somebody wait for a place that an idle connection to this address takes?
    pub(crate) fn is_short_of_places(&self, address: IpAddr) -> bool {
        self.shared.gates.is_short(address)
    }

    /// Waits until the cap on port probes allows `count` more, and counts them.
    pub async fn probe_turns(&self, count: u32) -> Result<(), DialError> {
        self.spend(count).await?;
        self.unless_stopped(self.shared.probes.turns(count)).await?;
        self.permits_now()?;
        self.shared.counters.probes.fetch_add(u64::from(count), Ordering::Relaxed);
        Ok(())
    }

    /// For a run of port probes.
    pub fn prober(&self) -> Prober {
        Prober { dialer: self.clone(), spare: None }
    }

    /// Waits for the end of a pending probe. A refusal is an answer; silence is [`DialError::TimedOut`].
    pub async fn finish_probe(&self, probe: PendingProbe, deadline: Instant) -> Result<ProbeEnd, DialError> {
        let writable = tokio::time::timeout_at(deadline, probe.stream.writable());
        self.unless_stopped(writable).await?.map_err(|_| DialError::TimedOut)?.map_err(DialError::from_io)?;
        match probe.stream.take_error().map_err(DialError::from_io)? {
            None => Ok(settle(&SockRef::from(&probe.stream))),
            Some(error) => answer(error),
        }
    }

    /// Waits until the cap on DNS queries allows `count` more, and counts them.
    pub async fn query_turns(&self, count: u32) -> Result<(), DialError> {
        self.spend(count).await?;
        self.unless_stopped(self.shared.queries.turns(count)).await?;
        self.permits_now()?;
        self.shared.counters.queries.fetch_add(u64::from(count), Ordering::Relaxed);
        Ok(())
    }

    /// As many turns as the cap on DNS queries allows now, at most `most`, and counts them; else when the next is due. For the
    /// one thread that must not wait.
    pub fn query_turns_now(&self, most: u32) -> Result<u32, Instant> {
        let Some(quota) = &self.quota else {
            let given = self.shared.queries.turns_now(most)?;
            return Ok(self.count_queries(given));
        };
        let allowed = quota.spend_now(most);
        if allowed == 0 {
            return Err(Instant::now() + QUOTA_LOOK);
        }
        let given = self.shared.queries.turns_now(allowed).inspect_err(|_| quota.unspend(allowed))?;
        quota.unspend(allowed - given);
        Ok(self.count_queries(given))
    }

    fn count_queries(&self, given: u32) -> u32 {
        self.shared.counters.queries.fetch_add(u64::from(given), Ordering::Relaxed);
        given
    }

    /// A non-blocking UDP socket connected to one of the scan's name servers, so that nobody else's packets reach it.
    pub fn resolver_socket(&self, resolver: SocketAddr) -> Result<UdpSocket, DialError> {
        self.permits_now()?;
        self.shared.scope.permits_resolver(resolver).map_err(DialError::OutOfScope)?;
        let unspecified: IpAddr = if resolver.is_ipv4() { [0, 0, 0, 0].into() } else { [0; 16].into() };
        let socket = UdpSocket::bind((unspecified, 0)).map_err(DialError::from_io)?;
        socket.connect(resolver).map_err(DialError::from_io)?;
        socket.set_nonblocking(true).map_err(DialError::from_io)?;
        Ok(socket)
    }

    /// A TCP connection to one of the scan's name servers, for answers that do not fit a datagram (RFC 7766). It counts against
    /// the connection caps like any other.
    pub async fn resolver_stream(
        &self,
        resolver: SocketAddr,
        deadline: Instant,
    ) -> Result<Connection, DialError> {
        let place = self.unless_stopped(self.shared.gates.connection(resolver.ip()));
        let place = tokio::time::timeout_at(deadline, place).await.map_err(|_| DialError::TimedOut)??;
        self.permits_now()?;
        self.shared.scope.permits_resolver(resolver).map_err(DialError::OutOfScope)?;
        self.shared.counters.connections.fetch_add(1, Ordering::Relaxed);
        let connecting = tokio::time::timeout_at(deadline, TcpStream::connect(resolver));
        let stream = self.unless_stopped(connecting).await?.map_err(|_| DialError::TimedOut)?;
        Ok(Connection::new(stream.map_err(DialError::from_io)?, place))
    }

    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, DialError> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(DialError::Stopped),
            done = work => Ok(done),
        }
    }
}

impl Prober {
    /// Begins a connection attempt without waiting. Call [`Dialer::probe_turns`] before. Probes count against the cap on
    /// connections in all, but not against the one per address: that one is about dialogues, and a probe ends when it stands.
    pub fn start(&mut self, to: SocketAddr, name: Option<&DomainName>) -> Result<ProbeStart, DialError> {
        self.dialer.permits(name, to.ip(), to.port())?;
        let Some(place) = self.dialer.shared.gates.probe() else { return Ok(ProbeStart::NoRoom) };
        let started = self.connect(to, place);
        if matches!(started, Err(DialError::Resources(_))) { Ok(ProbeStart::NoRoom) } else { started }
    }

    fn connect(&mut self, to: SocketAddr, place: OwnedSemaphorePermit) -> Result<ProbeStart, DialError> {
        let domain = Domain::for_address(to);
        let socket = match self.spare.take() {
            Some((of_spare, spare)) if of_spare == domain => spare,
            _ => Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))
                .map_err(DialError::from_io)?,
        };
        let to = to.into();
        // The kernel works through what arrives on loopback as soon as the first call has let go of the socket; the second one
        // tells what it was, and makes a refused socket as new (Linux, `__inet_stream_connect`).
        match socket.connect(&to) {
            Ok(()) => return Ok(ProbeStart::Decided(settle(&socket))),
            Err(error) if is(&error, Errno::EINPROGRESS) => {}
            // Nothing was sent: no route, no free port, not permitted.
            Err(error) => return Err(DialError::from_io(error)),
        }
        match socket.connect(&to) {
            Ok(()) => Ok(ProbeStart::Decided(settle(&socket))),
            Err(error) if is(&error, Errno::EALREADY) => {
                let stream = TcpStream::from_std(socket.into()).map_err(DialError::from_io)?;
                Ok(ProbeStart::Pending(PendingProbe { stream, _place: place }))
            }
            Err(error) => {
                let end = answer(error)?;
                self.spare = Some((domain, socket));
                Ok(ProbeStart::Decided(end))
            }
        }
    }
}

/// A connection that stands is closed with a reset, so that a scan of many ports leaves no TIME_WAIT behind.
fn settle(socket: &Socket) -> ProbeEnd {
    let address = |end: std::io::Result<socket2::SockAddr>| end.ok().and_then(|address| address.as_socket());
    let (local, peer) = (address(socket.local_addr()), address(socket.peer_addr()));
    // Without it the socket closes the ordinary way; only TIME_WAIT entries are at stake.
    let _ = socket.set_linger(Some(Duration::ZERO));
    match (local, peer) {
        (Some(local), Some(peer)) if local == peer => ProbeEnd::Closed,
        (Some(local), Some(peer)) => {
            ProbeEnd::Open { own_machine: local.ip() == peer.ip() || peer.ip().to_canonical().is_loopback() }
        }
        // The peer closed in the meantime, so it had accepted.
        _ => ProbeEnd::Open { own_machine: true },
    }
}

fn is(error: &std::io::Error, number: Errno) -> bool {
    error.raw_os_error() == Some(number as i32)
}

/// What an error that came from the network says about the port.
fn answer(error: std::io::Error) -> Result<ProbeEnd, DialError> {
    match DialError::from_io(error) {
        DialError::Refused | DialError::Reset => Ok(ProbeEnd::Closed),
        DialError::Unreachable => Ok(ProbeEnd::Filtered),
        other => Err(other),
    }
}

/// On loopback the kernel may pick the destination port as the source port, and TCP's simultaneous open (RFC 9293, 3.5) then
/// connects the socket to itself: a port that only the scan opened.
fn is_self_connection(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(local), Ok(peer)) if local == peer)
}

/// Raises the soft limit on file descriptors to the hard one, and says what it is now.
pub fn raise_descriptor_limit() -> u64 {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1_024 };
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    }
}

/// File descriptors that sockets may take, leaving some for files, the runtime and the standard streams.
pub fn descriptors_for_sockets() -> u32 {
    use nix::sys::resource::{Resource, getrlimit};
    let soft = getrlimit(Resource::RLIMIT_NOFILE).map_or(1_024, |(soft, _)| soft);
    u32::try_from(soft.saturating_sub(64)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
