//! Asking name servers: single questions for checks and connections, long lists for discovery.
//!
//! An answer counts only if it comes from the server asked, to the socket and transaction id it was asked with, and repeats the
//! question. What is refused, fails or stays silent is asked again elsewhere, and is undetermined in the end: it is never taken
//! for "does not exist".

mod cache;
mod engine;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod message;
pub(crate) mod presentation;
mod question;
mod stream;
mod system;

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use checks::exchange::{DnsRequest, DnsResponse, Failure};
use hickory_proto::{
    op::{Message, ResponseCode},
    rr::RecordType,
};
use model::{DomainName, FailReason, SkipReason};
use tokio::{runtime::Handle, sync::oneshot};

use self::{
    cache::Cache,
    engine::{Command, Engine, List},
    message::Reply,
    question::Question,
    system::Hosts,
};
pub use self::{
    message::{Chain, Lookup, domain_name},
    system::system_servers,
};
use crate::socket::Dialer;

/// Names asked about on the way from a name to its addresses.
const HOPS: usize = 8;

/// Asks the scan's name servers, within the scope and the caps. Cheap to clone; all clones share one thread and one cache.
#[derive(Clone)]
pub struct Resolver {
    shared: Arc<Shared>,
}

struct Shared {
    dialer: Dialer,
    servers: Vec<SocketAddr>,
    engine: Mutex<Option<Engine>>,
    hosts: OnceLock<Hosts>,
    cache: Cache,
}

impl Resolver {
    /// The servers must be among the scope's resolvers; see [`system_servers`].
    pub fn new(dialer: Dialer, servers: Vec<SocketAddr>) -> Resolver {
        let shared = Shared {
            dialer,
            servers,
            engine: Mutex::default(),
            hosts: OnceLock::new(),
            cache: Cache::default(),
        };
        Resolver { shared: Arc::new(shared) }
    }

    /// Where the questions leave.
    pub fn dialer(&self) -> &Dialer {
        &self.shared.dialer
    }

    /// Asks what a check wants to know. An answer that says SERVFAIL or REFUSED, after all attempts, is an answer here. An
    /// alias whose end the server left out is followed within the scope, as a resolver would.
    pub async fn query(&self, request: &DnsRequest) -> Result<DnsResponse, Failure> {
        let question = Question::of_check(&self.shared.dialer, request)?;
        let (name, record_type) = (question.name.clone(), question.record_type);
        let reply = self.ask(question).await?;
        let mut message = reply.decode()?;
        if matches!(record_type, RecordType::A | RecordType::AAAA) {
            self.complete(&mut message, &name, record_type).await?;
        }
        Ok(presentation::response(&message, reply.server))
    }

    /// An authoritative server answers with an alias and leaves its end, in somebody else's zone, to whoever asked.
    async fn complete(
        &self,
        message: &mut Message,
        name: &DomainName,
        record_type: RecordType,
    ) -> Result<(), Failure> {
        for _ in 0..HOPS {
            let chain = Chain::follow(message, name);
            let open = chain.addresses.is_empty() && !chain.endless;
            let Some(end) =
                chain.end().filter(|_| open && message.metadata.response_code == ResponseCode::NoError)
            else {
                return Ok(());
            };
            let Ok(question) = Question::about(&self.shared.dialer, end, record_type) else { return Ok(()) };
            let further = self.ask(question).await?.decode()?;
            let code = further.metadata.response_code;
            let leads_on = further.answers.iter().any(|record| record.record_type() == RecordType::CNAME);
            if !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
                return Ok(());
            }
            message.metadata.response_code = code;
            message.answers.extend(further.answers);
            message.authorities = further.authorities;
            if !leads_on {
                return Ok(());
            }
        }
        Ok(())
    }

    /// One question about a name of the Internet. What cannot be found out is [`Lookup::Undetermined`].
    pub async fn lookup(&self, name: &DomainName, record_type: RecordType) -> Lookup {
        match Question::about(&self.shared.dialer, name.clone(), record_type) {
            Ok(question) => self.lookup_question(question).await,
            Err(failure) => Lookup::Undetermined(failure),
        }
    }

    /// The names an address says it has. The address must be in scope.
    pub async fn lookup_reverse(&self, address: IpAddr) -> Lookup {
        match Question::reverse(&self.shared.dialer, address) {
            Ok(question) => self.lookup_question(question).await,
            Err(failure) => Lookup::Undetermined(failure),
        }
    }

    async fn lookup_question(&self, question: Question) -> Lookup {
        let found = async {
            let of = format!("{} ({})", question.name, question.record_type);
            let reply = self.ask(question).await?;
            let malformed = |why| {
                let text = format!("the answer of {} about {of} is not a DNS message: {why}", reply.server);
                Failure::Failed(FailReason::Protocol, text)
            };
            let header = message::Header::read(&reply.packet)
                .ok_or_else(|| malformed("it is too short".to_owned()))?;
            if header.rcode() != 0 && header.rcode() != message::NXDOMAIN {
                let code = presentation::code(ResponseCode::from(0, header.rcode()));
                let text = format!("name server {} answered {code} about {of}", reply.server);
                return Err(Failure::Failed(FailReason::Unresolved, text));
            }
            Lookup::read(header, &reply.packet).map_err(malformed)
        };
        found.await.unwrap_or_else(Lookup::Undetermined)
    }

    /// What this machine's own table (`/etc/hosts`) says of a name.
    pub fn known_here(&self, name: &DomainName) -> Option<Vec<IpAddr>> {
        self.shared.hosts.get_or_init(Hosts::of_this_machine).addresses(name)
    }

    /// The addresses of a name, by this machine's own table or by A and AAAA records, IPv4 first; never empty. Aliases are
    /// followed through what the server sent along; further names are asked about only if they are in scope.
    pub async fn addresses(&self, name: &DomainName) -> Result<Vec<IpAddr>, Failure> {
        self.shared.dialer.permits_name(name).map_err(|error| error.failure())?;
        if let Ok(address) = name.as_str().parse::<IpAddr>() {
            return Ok(vec![address]);
        }
        if let Some(addresses) = self.known_here(name) {
            return Ok(addresses);
        }
        if let Some(known) = self.shared.cache.get(name) {
            return known;
        }
        let (found, lifetime) = match self.follow(name).await {
            Ok((addresses, lifetime)) => (Ok(addresses), lifetime),
            Err(failure) => (Err(failure), Duration::ZERO),
        };
        if !matches!(found, Err(Failure::Skipped(_))) {
            self.shared.cache.put(name.clone(), &found, lifetime);
        }
        found
    }

    async fn follow(&self, start: &DomainName) -> Result<(Vec<IpAddr>, Duration), Failure> {
        let unresolved = |why: String| Failure::Failed(FailReason::Unresolved, why);
        let endless = || unresolved(format!("the aliases of `{start}` lead in a circle or are too many"));
        let (mut at, mut lifetime) = (start.clone(), Duration::MAX);
        for _ in 0..HOPS {
            let (v4, v6) = tokio::join!(self.lookup(&at, RecordType::A), self.lookup(&at, RecordType::AAAA));
            let (mut addresses, mut next, mut trouble, mut missing) = (Vec::new(), None, None, false);
            for lookup in [v4, v6] {
                match lookup {
                    Lookup::Found(message) => {
                        let chain = Chain::follow(&message, &at);
                        if chain.endless {
                            return Err(endless());
                        }
                        lifetime = lifetime.min(chain.lifetime);
                        missing |= message.metadata.response_code == ResponseCode::NXDomain;
                        if chain.addresses.is_empty() {
                            next = next.or(chain.end());
                        }
                        addresses.extend(chain.addresses);
                    }
                    Lookup::Empty => {}
                    Lookup::Missing => missing = true,
                    Lookup::Referred(_) => {
                        trouble = Some(unresolved(format!(
                            "the name server does not know `{at}`, it delegates it: name its servers with --resolver"
                        )));
                    }
                    Lookup::Undetermined(failure) => trouble = Some(failure),
                }
            }
            if !addresses.is_empty() {
                return Ok((addresses, lifetime));
            }
            if let Some(failure) = trouble {
                return Err(failure);
            }
            let alias_of = |name: &DomainName| {
                if name == start { String::new() } else { format!(", to which `{start}` leads,") }
            };
            if missing {
                let name = next.as_ref().unwrap_or(&at);
                return Err(unresolved(format!("`{name}`{} does not exist", alias_of(name))));
            }
            let Some(target) = next else {
                return Err(unresolved(format!("`{at}`{} has no address", alias_of(&at))));
            };
            if target == *start || target == at {
                return Err(endless());
            }
            at = target;
        }
        Err(endless())
    }

    /// Asks about every name of a list, as fast as the servers answer and the cap on queries allows. Names are drawn, and
    /// answers handed over, on the resolver's thread: neither may block. Dropping the future ends it.
    pub async fn bulk(
        &self,
        names: impl Iterator<Item = DomainName> + Send + 'static,
        record_type: RecordType,
        sink: impl FnMut(DomainName, Lookup) + Send + 'static,
    ) -> Result<(), Failure> {
        let (done, ended) = oneshot::channel();
        self.post(Command::Work(List { names: Box::new(names), record_type, sink: Box::new(sink), done }))?;
        let ended = ended.await.map_err(|_| self.gone());
        if self.shared.dialer.stop().is_cancelled() {
            Err(Failure::Skipped(SkipReason::Cancelled))
        } else {
            ended
        }
    }

    async fn ask(&self, question: Question) -> Result<Reply, Failure> {
        if self.shared.servers.is_empty() {
            let text = format!(
                "there is no name server to ask about {}: `rampart scan TARGET` takes one by --resolver (and a scope file by --scope, if it is not on loopback), a scope of the platform has those of the machine on which `rampart scope put` was run",
                question.name
            );
            return Err(Failure::Failed(FailReason::Unresolved, text));
        }
        let (reply, answer) = oneshot::channel();
        self.post(Command::Ask { question, reply })?;
        answer.await.map_err(|_| self.gone())?
    }

    /// The thread starts with the first question.
    fn post(&self, command: Command) -> Result<(), Failure> {
        let mut engine = self.shared.engine.lock().unwrap_or_else(PoisonError::into_inner);
        let engine = match &mut *engine {
            Some(engine) => engine,
            none => none.insert(Engine::start(
                self.shared.dialer.clone(),
                &self.shared.servers,
                Handle::current(),
            )?),
        };
        engine.post(command)
    }

    fn gone(&self) -> Failure {
        Failure::Failed(FailReason::Resources, "name resolution has ended unexpectedly".to_owned())
    }
}
