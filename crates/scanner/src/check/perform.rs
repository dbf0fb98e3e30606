//! Performs the requests of one unit: the usual ones to its own endpoint, others (redirects, absolute URLs) wherever they lead,
//! as far as the scope allows.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use checks::exchange::{Failure, HttpRequest, Request, Response};
use model::{Endpoint, FailReason, Host};

use super::Checker;
use crate::{dialogue, http::HttpSession, tls};

/// Other origins that one unit talks to at once; more are refused, so that a redirecting target cannot fan a scan out.
const OTHER_ORIGINS: usize = 16;

type OriginKey = (Endpoint, bool);

/// The sessions of one unit. Connections close when it is dropped.
pub(super) struct Performer<'a> {
    checker: &'a Checker,
    own: Option<Endpoint>,
    sessions: Mutex<HashMap<OriginKey, Arc<HttpSession>>>,
}

impl<'a> Performer<'a> {
    pub(super) fn new(checker: &'a Checker, endpoint: Endpoint, tls: bool) -> Performer<'a> {
        let session = Arc::new(checker.client.session(endpoint.clone(), tls));
        let sessions = Mutex::new(HashMap::from([((endpoint.clone(), tls), session)]));
        Performer { checker, own: Some(endpoint), sessions }
    }

    /// For a name: there is no endpoint of its own.
    pub(super) fn for_names(checker: &'a Checker) -> Performer<'a> {
        Performer { checker, own: None, sessions: Mutex::default() }
    }

    pub(super) async fn perform(&self, request: &Request) -> Result<Response, Failure> {
        match request {
            Request::Http(http) => self.http(http).await,
            Request::Dns(dns) => {
                self.checker.resolver.query(dns).await.map(|response| Response::Dns(Arc::new(response)))
            }
            Request::Tcp(tcp) => {
                let endpoint = self.locate(&tcp.host, tcp.port).await?;
                let response = dialogue::run(&self.checker.dialer, &endpoint, tcp).await?;
                Ok(Response::Tcp(Arc::new(response)))
            }
            Request::Tls(handshake) => {
                let endpoint = self.locate(&handshake.host, handshake.port).await?;
                let response = tls::handshake(&self.checker.dialer, &endpoint, handshake).await?;
                Ok(Response::Tls(Arc::new(response)))
            }
        }
    }

    async fn http(&self, request: &HttpRequest) -> Result<Response, Failure> {
        let origin = &request.origin;
        let endpoint = self.locate(&origin.host, origin.port).await?;
        let session = {
            let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            let known = sessions.len();
            match sessions.entry((endpoint.clone(), origin.tls)) {
                std::collections::hash_map::Entry::Occupied(session) => Arc::clone(session.get()),
                std::collections::hash_map::Entry::Vacant(_) if known > OTHER_ORIGINS => {
                    let text = format!(
                        "the target leads to more than {OTHER_ORIGINS} other origins; {endpoint} is not followed"
                    );
                    return Err(Failure::Failed(FailReason::Resources, text));
                }
                std::collections::hash_map::Entry::Vacant(place) => {
                    Arc::clone(place.insert(Arc::new(self.checker.client.session(endpoint, origin.tls))))
                }
            }
        };
        session.send(request).await.map(|response| Response::Http(Arc::new(response)))
    }

    /// Where a host of a request is. The unit's own host is where it was found; others are resolved, and the first address that
    /// the scope allows counts.
    async fn locate(&self, host: &str, port: u16) -> Result<Endpoint, Failure> {
        let host: Host = host.parse().map_err(|error| {
            Failure::Failed(FailReason::Evaluation, format!("`{host}` is no host to connect to: {error}"))
        })?;
        if let Some(own) = &self.own
            && own.host() == host
        {
            return Ok(Endpoint { port, ..own.clone() });
        }
        match host {
            Host::Address(address) => Ok(Endpoint { name: None, address, port }),
            Host::Name(name) => {
                self.checker.dialer.permits_name(&name).map_err(|error| error.failure())?;
                let addresses = self.checker.resolver.addresses(&name).await?;
                let scope = self.checker.dialer.scope();
                let mut refusal = None;
                for address in addresses {
                    match scope.permits_address(address, Some(&name)) {
                        Ok(()) => return Ok(Endpoint { name: Some(name), address, port }),
                        Err(reason) => refusal = Some(reason),
                    }
                }
                Err(match refusal {
                    Some(reason) => Failure::OutOfScope(reason.to_string()),
                    None => Failure::Failed(FailReason::Unresolved, format!("{name} has no address")),
                })
            }
        }
    }
}
