//! Examples of a check: what a server answers, and whether the check must match it.
//!
//! Each check is kept with a file of examples. They are run offline: the real engine asks, the example answers. An exchange is
//! found by the first `request` that fits; what no exchange answers gets a plain 404 page, NXDOMAIN, silence or a refused
//! handshake.

mod answer;
mod parse;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use model::Outcome;
use url::Url;

use crate::{
    diagnostic::Diagnostic,
    exchange::{Certificate, DnsRecord, TlsVersion},
    run::{Run, RunOptions, RunTarget, Step, Verdict},
    template::{ProtocolKind, Template},
};

/// The instant at which examples run: 2025-06-01T00:00:00Z. A certificate that is valid in an example stays so.
pub const NOW: jiff::Timestamp = jiff::Timestamp::constant(1_748_736_000, 0);

/// The host of targets that an example does not name.
const HOST: &str = "target.test";
/// Most requests one example may cause; checks that need more than this are no good neighbours either.
const MAX_REQUESTS: usize = 200;

/// The examples of one check.
#[derive(Debug)]
pub struct Examples {
    /// The file, as the caller called it.
    pub origin: String,
    /// The check must match each.
    pub matches: Vec<Example>,
    /// The check must match none.
    pub does_not_match: Vec<Example>,
}

/// One answering server.
#[derive(Debug)]
pub struct Example {
    /// What it shows; unique among the examples of a check.
    pub name: String,
    /// Instead of the usual target of the protocol: a URL, a name, or `host:port`.
    pub target: Option<String>,
    /// What the server answers.
    pub exchanges: Vec<CannedExchange>,
    /// What a match must look like.
    pub expect: Expectation,
}

/// What a match must look like, beyond being one.
#[derive(Debug, Default)]
pub struct Expectation {
    /// The matcher that names it.
    pub matcher: Option<String>,
    /// Values that extractors must have found, by extractor name.
    pub extracted: BTreeMap<String, Vec<String>>,
}

/// One answer and what it answers.
#[derive(Debug)]
pub enum CannedExchange {
    /// To `METHOD target`.
    Http {
        /// Method and request target as sent.
        request: String,
        /// What comes back.
        answer: CannedHttp,
    },
    /// To `TYPE name`; a `*` in front of the name stands for any labels.
    Dns {
        /// Type and name.
        request: String,
        /// What comes back.
        answer: CannedDns,
    },
    /// To any dialogue: what is read, in order, after each input that reads and at the end.
    Tcp(Vec<Vec<u8>>),
    /// To any handshake; none refuses it.
    Tls(Option<Box<CannedTls>>),
}

/// An HTTP response.
#[derive(Debug, Clone)]
pub struct CannedHttp {
    /// Status code.
    pub status: u16,
    /// In order.
    pub headers: Vec<(String, String)>,
    /// As sent.
    pub body: Vec<u8>,
}

/// A DNS response.
#[derive(Debug, Clone)]
pub struct CannedDns {
    /// `NOERROR`, `NXDOMAIN`, …
    pub rcode: String,
    /// Answer section.
    pub answers: Vec<DnsRecord>,
    /// Authority section.
    pub authority: Vec<DnsRecord>,
}

/// An accepted handshake.
#[derive(Debug, Clone)]
pub struct CannedTls {
    /// Version chosen.
    pub version: TlsVersion,
    /// Suite chosen.
    pub cipher: String,
    /// The leaf.
    pub certificate: Certificate,
    /// The leaf is signed by its own key.
    pub self_signed: bool,
    /// The leaf is for another name.
    pub mismatched: bool,
}

/// How one example ended.
#[derive(Debug)]
pub struct ExampleResult {
    /// The example's name.
    pub name: String,
    /// It is one that the check must match.
    pub must_match: bool,
    /// Nothing, or what is wrong.
    pub outcome: Result<(), String>,
}

impl Examples {
    /// Reads a file of examples. `origin` is how the diagnostics call it.
    ///
    /// # Errors
    /// All reasons for which the file is refused, in its order.
    pub fn parse(text: &str, origin: &str) -> Result<Examples, Vec<Diagnostic>> {
        parse::parse(text, origin)
    }
}

/// Runs every example of a check.
pub fn run(template: &Arc<Template>, examples: &Examples) -> Vec<ExampleResult> {
    let matching = examples.matches.iter().map(|example| (example, true));
    let others = examples.does_not_match.iter().map(|example| (example, false));
    matching
        .chain(others)
        .map(|(example, must_match)| ExampleResult {
            name: example.name.clone(),
            must_match,
            outcome: verdict(template, example).and_then(|verdict| judge(&verdict, example, must_match)),
        })
        .collect()
}

/// Plays one example to its end.
fn verdict(template: &Arc<Template>, example: &Example) -> Result<Verdict, String> {
    let target = target(template, example)?;
    let options = RunOptions { now: NOW, ..RunOptions::default() };
    let mut run = Run::new(Arc::clone(template), &target, &options);
    for _ in 0..MAX_REQUESTS {
        match run.next() {
            Step::Send(request) => run.receive(Ok(answer::to(&request, &example.exchanges)?)),
            Step::Done(verdict) => return Ok(verdict),
        }
    }
    Err(format!("the check sends more than {MAX_REQUESTS} requests"))
}

/// What the example says, else what the check's first block speaks to.
fn target(template: &Template, example: &Example) -> Result<RunTarget, String> {
    let protocol = template.blocks.first().map(|block| block.request.protocol());
    let given = example.target.as_deref();
    match protocol {
        Some(ProtocolKind::Http) | None => {
            let base = given.unwrap_or("http://target.test");
            let base = Url::parse(base).map_err(|error| format!("the target `{base}` is no URL: {error}"))?;
            Ok(RunTarget::web(base, None))
        }
        Some(ProtocolKind::Dns) => {
            let name = given.unwrap_or(HOST);
            let name = name.parse().map_err(|error| format!("the target `{name}` is no name: {error}"))?;
            Ok(RunTarget::domain(name, None))
        }
        Some(ProtocolKind::Tcp) => {
            let port = template.tcp_ports().into_iter().next().unwrap_or(1);
            service(given, port, false)
        }
        Some(ProtocolKind::Tls) => service(given, 443, true),
    }
}

fn service(given: Option<&str>, usual_port: u16, tls: bool) -> Result<RunTarget, String> {
    let Some(given) = given else { return Ok(RunTarget::service(HOST, usual_port, tls, None)) };
    let (host, port) =
        given.rsplit_once(':').ok_or_else(|| format!("the target `{given}` is not `host:port`"))?;
    let port = port.parse().map_err(|_| format!("`{port}` in the target `{given}` is no port"))?;
    Ok(RunTarget::service(host, port, tls, None))
}

/// Compares what came out with what the example wants.
fn judge(verdict: &Verdict, example: &Example, must_match: bool) -> Result<(), String> {
    match (verdict.outcome, must_match) {
        (Outcome::Matched, false) => {
            let places = verdict.matches.iter().map(|found| found.matched_at.as_str());
            return Err(format!("the check matches at {}", places.collect::<Vec<_>>().join(", ")));
        }
        (Outcome::NotMatched, false) => return Ok(()),
        (Outcome::Matched, true) => {}
        (Outcome::NotMatched, true) => return Err("the check does not match".to_owned()),
        (outcome, _) => {
            let reason = verdict.failure.as_deref().unwrap_or("no reason given");
            return Err(format!("the check ended as {outcome:?}: {reason}"));
        }
    }
    let wanted = &example.expect;
    if let Some(matcher) = &wanted.matcher
        && !verdict.matches.iter().any(|found| found.matcher.as_ref() == Some(matcher))
    {
        return Err(format!("no match is named `{matcher}`"));
    }
    for (name, values) in &wanted.extracted {
        let found: Vec<&Vec<String>> =
            verdict.matches.iter().filter_map(|found| found.extracted.get(name)).collect();
        if !found.contains(&values) {
            return Err(format!("`{name}` should have extracted {values:?}, not {found:?}"));
        }
    }
    Ok(())
}
