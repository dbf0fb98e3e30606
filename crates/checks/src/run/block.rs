//! One block of a template on its way: which request is next, what a response means.

use std::collections::BTreeSet;

use model::FailReason;
use url::Url;

use super::{
    BuildError, MAX_MATCHES, Match, MatchLocation, Run, RunTarget, Seen,
    evidence::evidence,
    exchange::Exchange,
    http::{Builder, Hop, redirected},
    network, tls_parts,
    view::View,
};
use crate::{
    exchange::{DnsRequest, Request, Response, TcpRequest, TlsRequest},
    expression::Value,
    operators::{Examined, Hit, Truth},
    template::{Block, BlockRequest, BlockResult, HttpRequests},
};

/// Most exchanges kept as evidence of one match.
const MAX_EXCHANGES: usize = 5;

/// Where a block stands.
pub(super) struct BlockState {
    slot: usize,
    block: usize,
    set: usize,
    /// Next request of the set.
    request: usize,
    set_is_ready: bool,
    /// `@once` requests that went out.
    once: BTreeSet<usize>,
    outstanding: Option<Outstanding>,
    /// The hops of the request that is under way.
    chain: Vec<Exchange>,
    /// Last responses of this set by request; filled only when matchers look back.
    history: Vec<Option<Exchange>>,
    /// For later blocks; nothing is kept without one, for a response can be large.
    last: Option<Exchange>,
    matched: bool,
    answered: bool,
    stopped: bool,
    /// How many failures the run had when the block began.
    failures_before: usize,
}

/// What was sent and not yet answered.
pub(super) enum Outstanding {
    Http(Hop),
    Dns(DnsRequest),
    Tcp(TcpRequest),
    Tls(TlsRequest),
}

impl BlockState {
    pub(super) fn new(slot: usize, block: usize, failures_before: usize) -> BlockState {
        BlockState {
            slot,
            block,
            set: 0,
            request: 0,
            set_is_ready: false,
            once: BTreeSet::new(),
            outstanding: None,
            chain: Vec::new(),
            history: Vec::new(),
            last: None,
            matched: false,
            answered: false,
            stopped: false,
            failures_before,
        }
    }

    pub(super) fn outstanding(&self) -> Option<Request> {
        Some(match self.outstanding.as_ref()? {
            Outstanding::Http(hop) => Request::Http(hop.request.clone()),
            Outstanding::Dns(dns) => Request::Dns(dns.clone()),
            Outstanding::Tcp(tcp) => Request::Tcp(tcp.clone()),
            Outstanding::Tls(tls) => Request::Tls(tls.clone()),
        })
    }

    pub(super) fn take_outstanding(&mut self) -> Option<Outstanding> {
        self.outstanding.take()
    }
}

impl Run {
    /// Makes the block's next request outstanding, or ends the block.
    pub(super) fn advance(&mut self) {
        let template = std::sync::Arc::clone(&self.template);
        let Some(mut state) = self.current.take() else { return };
        let Some(block) = template.blocks.get(state.block) else { return };
        if !state.stopped && state.request >= block.request.count() {
            self.set_ended(&mut state, block);
        }
        if state.stopped || state.set >= block.payloads.count() {
            self.block_ended(state, block);
            return;
        }
        if !state.set_is_ready {
            state.set_is_ready = true;
            if let Err(error) = self.scope.set_payloads(&block.payloads.set(state.set), &self.ambient) {
                self.not_built(error.into());
                state.request = block.request.count();
                self.current = Some(state);
                return;
            }
        }
        let index = state.request;
        state.request += 1;
        let once = match &block.request {
            BlockRequest::Http(http) => {
                matches!(&http.requests, HttpRequests::Raw(raws) if raws.get(index).is_some_and(|raw| raw.once))
            }
            _ => false,
        };
        if !once || state.once.insert(index) {
            match self.build(block, index, &state.history) {
                Ok(Some(outstanding)) => state.outstanding = Some(outstanding),
                Ok(None) => self.excluded = true,
                Err(error) => self.not_built(error),
            }
        }
        self.current = Some(state);
    }

    fn build(
        &self,
        block: &Block,
        index: usize,
        history: &[Option<Exchange>],
    ) -> Result<Option<Outstanding>, BuildError> {
        let view = self.view(None, history);
        let lookup = |name: &str| view.for_request(name);
        Ok(Some(match &block.request {
            BlockRequest::Http(http) => {
                let (target, ambient, cookies) = (&self.target, &self.ambient, &self.cookies);
                Outstanding::Http(
                    Builder { block: http, target, lookup: &lookup, ambient, cookies }.build(index)?,
                )
            }
            BlockRequest::Dns(dns) => Outstanding::Dns(network::dns(dns, &lookup, &self.ambient)?),
            BlockRequest::Tcp(tcp) => match network::tcp(tcp, index, &self.target, &lookup, &self.ambient)? {
                Some(tcp) => Outstanding::Tcp(tcp),
                None => return Ok(None),
            },
            BlockRequest::Ssl(ssl) => {
                Outstanding::Tls(network::tls(ssl, &self.target, &lookup, &self.ambient)?)
            }
        }))
    }

    fn view<'v>(&'v self, exchange: Option<&'v Exchange>, history: &'v [Option<Exchange>]) -> View<'v> {
        View { exchange, history, seen: &self.seen, blocks: &self.template.blocks, scope: &self.scope }
    }

    /// A request that needs what an earlier response did not have is not sent; that is an answer. One that needs a value from
    /// the user is not.
    fn not_built(&mut self, error: BuildError) {
        let error = match error {
            BuildError::Missing(name) => BuildError::from(self.scope.why_missing(&name)),
            error => error,
        };
        match error {
            BuildError::Missing(name) if self.template.may_learn(&name) || RunTarget::knows(&name) => {}
            BuildError::Missing(name) => {
                self.missing.get_or_insert(name);
            }
            BuildError::Evaluation(error) => self.fail(FailReason::Evaluation, error.to_string()),
            BuildError::Invalid(message) => self.fail(FailReason::Evaluation, message),
        }
    }

    /// A response came. Either a redirect is followed, or the request is over.
    pub(super) fn responded(&mut self, outstanding: Outstanding, response: Response) {
        let template = std::sync::Arc::clone(&self.template);
        let Some(mut state) = self.current.take() else { return };
        state.answered = true;
        let mut next = None;
        match (outstanding, response) {
            (Outstanding::Http(hop), Response::Http(http)) => {
                self.cookies.store(&hop.request.origin, &hop.target, &http);
                if let Some(BlockRequest::Http(block)) =
                    template.blocks.get(state.block).map(|block| &block.request)
                    && state.chain.len() < block.max_redirects.unwrap_or(usize::MAX).min(self.max_redirects)
                {
                    next = redirected(block, &hop, &http, &self.cookies);
                }
                let url = hop.url();
                let location = Url::parse(&url).unwrap_or_else(|_| self.target.base().clone());
                let sent = request_text(&hop);
                let port = hop.request.origin.port;
                let input = self.input();
                let location = MatchLocation::Url(location);
                state.chain.push(Exchange::new(Response::Http(http), input, url, location, port, sent));
            }
            (Outstanding::Dns(dns), Response::Dns(answer)) => {
                let location = match dns.name.parse() {
                    Ok(name) => MatchLocation::Domain(name),
                    Err(_) => MatchLocation::Service { host: dns.name.clone(), port: 53, address: None },
                };
                let sent = format!("{} {} {}", dns.name, dns.class, dns.record_type).into_bytes();
                let (host, at) = (dns.name.clone(), dns.name);
                state.chain.push(Exchange::new(Response::Dns(answer), host, at, location, 53, sent));
            }
            (Outstanding::Tcp(tcp), Response::Tcp(answer)) => {
                let sent = tcp.inputs.iter().flat_map(|input| input.data.iter().copied()).collect();
                let address = answer.remote.map(|remote| remote.ip());
                state.chain.push(service(Response::Tcp(answer), tcp.host, tcp.port, address, sent));
            }
            (Outstanding::Tls(_), Response::Tls(answer))
                if answer.certificates_unread
                    && template
                        .blocks
                        .get(state.block)
                        .is_some_and(|block| block.operators.mentions(tls_parts::is_of_certificate)) =>
            {
                self.fail(FailReason::Incomplete, "the certificate could not be read".to_owned());
            }
            (Outstanding::Tls(tls), Response::Tls(answer)) => {
                let versions =
                    [tls.min_version, tls.max_version].map(|version| version.map_or("any", |v| v.as_str()));
                let sent = format!(
                    "ClientHello to {}:{}, versions {} to {}",
                    tls.host, tls.port, versions[0], versions[1]
                );
                let address = answer.remote.map(|remote| remote.ip());
                state.chain.push(service(
                    Response::Tls(answer),
                    tls.host,
                    tls.port,
                    address,
                    sent.into_bytes(),
                ));
            }
            _ => self
                .fail(FailReason::Protocol, "the answer is of another protocol than the request".to_owned()),
        }
        match next {
            Some(hop) if self.sent < super::MAX_RUN_REQUESTS => {
                state.outstanding = Some(Outstanding::Http(hop));
                self.current = Some(state);
            }
            _ => {
                self.current = Some(state);
                self.chain_ended();
            }
        }
    }

    fn input(&self) -> String {
        self.target.lookup("Input").map_or_else(String::new, |input| input.text_lossy())
    }

    /// Looks at what the request and its redirects brought, the last hop first.
    pub(super) fn chain_ended(&mut self) {
        let template = std::sync::Arc::clone(&self.template);
        let Some(mut state) = self.current.take() else { return };
        let mut chain = std::mem::take(&mut state.chain);
        if let Some(block) = template.blocks.get(state.block) {
            if block.uses_history {
                if let Some(exchange) = chain.pop() {
                    let number = state.request.saturating_sub(1);
                    if state.history.len() <= number {
                        state.history.resize_with(number + 1, || None);
                    }
                    state.history[number] = Some(exchange);
                    // Values that later requests need; matchers wait for the last response.
                    let exchange = state.history[number].as_ref();
                    let examined = self.examine(block, exchange, &state.history);
                    self.learn(examined.internal);
                }
            } else {
                for exchange in chain.iter().rev() {
                    let examined = self.examine(block, Some(exchange), &[]);
                    self.conclude(&mut state, block, examined, &[exchange]);
                    if state.stopped {
                        break;
                    }
                }
                if template.blocks.len() > 1 {
                    state.last = chain.pop().or(state.last);
                }
            }
        }
        self.current = Some(state);
    }

    fn examine(&self, block: &Block, exchange: Option<&Exchange>, history: &[Option<Exchange>]) -> Examined {
        let view = self.view(exchange, history);
        let lookup = |name: &str| -> Option<Value<'_>> { view.lookup(name) };
        block.operators.examine(&lookup, &self.ambient)
    }

    /// All requests of one set of payloads went out.
    fn set_ended(&mut self, state: &mut BlockState, block: &Block) {
        if block.uses_history && state.history.iter().any(Option::is_some) {
            let history = std::mem::take(&mut state.history);
            let last = history.iter().rev().find_map(Option::as_ref);
            let examined = self.examine(block, last, &history);
            let shown: Vec<&Exchange> = history.iter().rev().flatten().take(MAX_EXCHANGES).collect();
            self.conclude(state, block, examined, &shown);
            state.last = history.into_iter().rev().flatten().next();
        }
        state.set += 1;
        state.request = 0;
        state.set_is_ready = false;
    }

    fn block_ended(&mut self, state: BlockState, block: &Block) {
        let held = state.matched || (!block.operators.has_matchers() && state.answered);
        let known = state.answered && self.failures == state.failures_before;
        if let Some(result) = self.results.get_mut(state.slot) {
            *result = Some(match (held, known) {
                (true, _) => BlockResult::Held,
                (false, true) => BlockResult::NotHeld,
                (false, false) => BlockResult::Unknown,
            });
        }
        if self.template.blocks.len() > 1
            && let Some(exchange) = state.last
        {
            self.seen.retain(|seen| seen.block != state.block);
            self.seen.push(Seen { block: state.block, exchange });
        }
        if self.template.stop_at_first_match && !self.matches.is_empty() {
            self.end();
        }
    }

    /// Is only the beginning of the answer known, so that the rest may have changed the verdict? What the template itself does not
    /// want to read does not count.
    fn hangs_on_rest(&self, block: &Block, verdict: &Truth, shown: &[&Exchange]) -> bool {
        let own_limit = match &block.request {
            BlockRequest::Http(http) => http.max_body.unwrap_or(usize::MAX),
            _ => return false,
        };
        let cut = |exchange: &&&Exchange| matches!(&exchange.response, Response::Http(http) if http.truncated && http.body.len() < own_limit);
        shown.iter().find(cut).is_some_and(|exchange| {
            let view = self.view(Some(exchange), &[]);
            let lookup = |name: &str| -> Option<Value<'_>> { view.lookup(name) };
            block.operators.hang_on_rest_of_body(verdict, &lookup, &self.ambient)
        })
    }

    fn learn(&mut self, values: Vec<(String, Vec<Vec<u8>>)>) {
        if values.is_empty() {
            return;
        }
        for (name, values) in values {
            if !name.is_empty() {
                self.scope.learn(&name, values);
            }
        }
        let template = std::sync::Arc::clone(&self.template);
        self.scope.settle(&template, &self.ambient);
    }

    /// Turns what operators say about a response into findings. `shown` begins with the response.
    fn conclude(&mut self, state: &mut BlockState, block: &Block, examined: Examined, shown: &[&Exchange]) {
        let Examined { matched, hits, extracted, internal, failed } = examined;
        let learnt = !internal.is_empty();
        self.learn(internal);
        if let Some(error) = failed {
            self.fail(FailReason::Evaluation, error.to_string());
        }
        if self.template.blocks.len() > 1 {
            let named = hits.iter().filter_map(|hit| Some((hit.name.clone()?, hit.pieces.clone())));
            let values = extracted.iter().map(|(name, values)| {
                (name.clone(), values.iter().map(|value| value.clone().into_bytes()).collect())
            });
            self.learn(named.filter(|(_, pieces)| !pieces.is_empty()).chain(values).collect());
        }
        let found: Vec<(Option<String>, Vec<Vec<u8>>)> = match matched {
            Truth::Unknown(error) => {
                self.fail(FailReason::Evaluation, error.to_string());
                return;
            }
            verdict if self.hangs_on_rest(block, &verdict, shown) => {
                let so_far = if verdict == Truth::No {
                    "it did not match so far"
                } else {
                    "the rest could contradict"
                };
                self.fail(
                    FailReason::Incomplete,
                    format!("only the beginning of the answer is known, and {so_far}"),
                );
                return;
            }
            Truth::No if block.operators.has_matchers() => return,
            Truth::No if extracted.is_empty() => {
                state.matched |= learnt;
                return;
            }
            Truth::No => {
                state.matched = true;
                let pieces = extracted.values().flatten().map(|value| value.clone().into_bytes()).collect();
                vec![(None, pieces)]
            }
            Truth::Yes => {
                state.matched = true;
                state.stopped |= block.stop_at_first_match || self.template.stop_at_first_match;
                findings(block.operators.all, hits)
            }
        };
        let Some(first) = shown.first() else { return };
        for (matcher, pieces) in found {
            let key = (matcher.clone(), first.matched_at.clone());
            if self.matches.len() >= MAX_MATCHES || !self.known.insert(key) {
                continue;
            }
            self.matches.push(Match {
                matcher,
                extracted: extracted.clone(),
                matched_at: first.matched_at.clone(),
                location: first.location.clone(),
                evidence: shown.iter().map(|exchange| evidence(exchange, &pieces)).collect(),
            });
        }
    }
}

/// Under `or` each named matcher is a finding of its own; under `and` there is one, and none when a matcher only gates.
fn findings(all: bool, hits: Vec<Hit>) -> Vec<(Option<String>, Vec<Vec<u8>>)> {
    if all {
        if hits.iter().any(|hit| hit.internal) {
            return Vec::new();
        }
        let name = hits.iter().find_map(|hit| hit.name.clone());
        return vec![(name, hits.into_iter().flat_map(|hit| hit.pieces).collect())];
    }
    let shown: Vec<Hit> = hits.into_iter().filter(|hit| !hit.internal).collect();
    let mut found: Vec<(Option<String>, Vec<Vec<u8>>)> = Vec::new();
    let any_named = shown.iter().any(|hit| hit.name.is_some());
    for hit in shown.into_iter().filter(|hit| hit.name.is_some() == any_named) {
        match found.iter_mut().find(|(name, _)| *name == hit.name) {
            Some((_, pieces)) => pieces.extend(hit.pieces),
            None => found.push((hit.name, hit.pieces)),
        }
    }
    found
}

fn service(
    response: Response,
    host: String,
    port: u16,
    address: Option<std::net::IpAddr>,
    sent: Vec<u8>,
) -> Exchange {
    let at = format!("{}:{port}", super::target::bracketed(&host));
    let location = MatchLocation::Service { host: host.clone(), port, address };
    Exchange::new(response, host, at, location, port, sent)
}

/// For evidence, when whoever sent the request does not say what went out.
fn request_text(hop: &Hop) -> Vec<u8> {
    match &hop.request.form {
        crate::exchange::HttpForm::Verbatim(bytes) => bytes.clone(),
        crate::exchange::HttpForm::Structured { method, target, headers, body } => {
            let mut text = format!(
                "{method} {target} HTTP/1.1\r\nHost: {}\r\n",
                super::http::authority(&hop.request.origin)
            );
            for (name, value) in headers {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
            text.push_str("\r\n");
            [text.as_bytes(), body].concat()
        }
    }
}
