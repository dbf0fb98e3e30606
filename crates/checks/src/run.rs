//! One template against one target, without I/O: a request comes out, its response goes in, until a verdict falls.
//!
//! Redirects come out as requests of their own, so that whoever sends them applies scope, limits and sharing to each hop.

mod block;
mod cookies;
mod dns_parts;
mod evidence;
mod exchange;
mod http;
mod key;
mod network;
mod request_target;
mod scope;
mod target;
#[cfg(test)]
mod tests;
mod tls_parts;
mod view;

use std::{
    collections::{BTreeMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use model::{DomainName, Evidence, FailReason, Outcome, SkipReason};
use url::Url;

pub use evidence::MAX_EVIDENCE;
pub use key::request_key;
pub use target::{RunTarget, TargetKind};

use crate::{
    exchange::{Failure, Request, Response},
    expression::{Ambient, EvaluationError},
    template::{BlockResult, Template, flow_decision},
};
use block::BlockState;
use cookies::CookieJar;
use exchange::Exchange;
use scope::Scope;

/// Most requests one run sends, redirects included.
pub const MAX_RUN_REQUESTS: usize = 5_000;
/// Most findings of one run.
pub const MAX_MATCHES: usize = 200;

/// What holds for all runs of a scan.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Values from the command line.
    pub variables: BTreeMap<String, String>,
    /// Fixes the random values of the run.
    pub seed: u64,
    /// The instant that expressions see.
    pub now: jiff::Timestamp,
    /// Most redirects in a row, whatever a template wants; 0 follows none.
    pub max_redirects: usize,
}

impl Default for RunOptions {
    fn default() -> RunOptions {
        RunOptions {
            variables: BTreeMap::new(),
            seed: 0,
            now: jiff::Timestamp::UNIX_EPOCH,
            max_redirects: 10,
        }
    }
}

/// What a run wants.
#[derive(Debug)]
pub enum Step {
    /// Send this, then call [`Run::receive`].
    Send(Request),
    /// It is over; the same verdict again and again.
    Done(Verdict),
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// For the account.
    pub outcome: Outcome,
    /// What was found; not empty exactly when the outcome is a match.
    pub matches: Vec<Match>,
    /// Why something could not be found out, or was not looked at.
    pub failure: Option<String>,
}

/// One finding of a run.
#[derive(Debug, Clone)]
pub struct Match {
    /// The matcher that names it.
    pub matcher: Option<String>,
    /// Values for people, by extractor name; empty name for nameless ones.
    pub extracted: BTreeMap<String, Vec<String>>,
    /// The exact place, as text.
    pub matched_at: String,
    /// The place as a value.
    pub location: MatchLocation,
    /// The exchanges that show it, each capped at [`MAX_EVIDENCE`] bytes a side.
    pub evidence: Vec<Evidence>,
}

/// Where a match is, as far as the language core knows; the caller knows addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MatchLocation {
    /// A web resource.
    Url(Url),
    /// A name.
    Domain(DomainName),
    /// A port of a host.
    Service {
        /// Name or address, without brackets.
        host: String,
        /// Port.
        port: u16,
        /// Address that answered, where known.
        address: Option<IpAddr>,
    },
}

/// Why a request of a block is not sent.
#[derive(Debug)]
pub(crate) enum BuildError {
    /// A variable has no value.
    Missing(String),
    /// An expression failed.
    Evaluation(EvaluationError),
    /// What comes out is no request.
    Invalid(String),
}

impl From<EvaluationError> for BuildError {
    fn from(error: EvaluationError) -> BuildError {
        match error {
            EvaluationError::UnknownVariable { name } => BuildError::Missing(name),
            error => BuildError::Evaluation(error),
        }
    }
}

/// What later blocks see of an earlier one.
struct Seen {
    block: usize,
    exchange: Exchange,
}

/// One template on its way through one target.
pub struct Run {
    template: Arc<Template>,
    target: RunTarget,
    max_redirects: usize,
    ambient: Ambient,
    scope: Scope,
    cookies: CookieJar,
    /// Flow slots, or one entry a block without a flow; none has not run.
    results: Vec<Option<BlockResult>>,
    current: Option<BlockState>,
    seen: Vec<Seen>,
    matches: Vec<Match>,
    known: HashSet<(Option<String>, String)>,
    sent: usize,
    answered: usize,
    /// The first thing that could not be found out.
    failed: Option<(FailReason, String)>,
    failures: usize,
    out_of_scope: Option<String>,
    /// A variable that only the user can give.
    missing: Option<String>,
    excluded: bool,
    verdict: Option<Verdict>,
}

impl Run {
    /// Cheap: nothing is copied but variables.
    pub fn new(template: Arc<Template>, target: &RunTarget, options: &RunOptions) -> Run {
        let ambient = Ambient::new(options.now, options.seed);
        let scope = Scope::new(&template, target, options, &ambient);
        let slots = template.flow.as_ref().map_or(template.blocks.len(), |flow| flow.slots());
        Run {
            target: target.clone(),
            max_redirects: options.max_redirects,
            ambient,
            scope,
            cookies: CookieJar::default(),
            results: vec![None; slots],
            current: None,
            seen: Vec::new(),
            matches: Vec::new(),
            known: HashSet::new(),
            sent: 0,
            answered: 0,
            failed: None,
            failures: 0,
            out_of_scope: None,
            missing: None,
            excluded: false,
            verdict: None,
            template,
        }
    }

    /// The template it runs.
    pub fn template(&self) -> &Arc<Template> {
        &self.template
    }

    /// What to do now. Until [`Run::receive`] is called it stays the same request.
    #[expect(clippy::should_implement_trait, reason = "it gives the same step until an answer comes")]
    pub fn next(&mut self) -> Step {
        loop {
            if let Some(verdict) = &self.verdict {
                return Step::Done(verdict.clone());
            }
            if let Some(request) = self.current.as_ref().and_then(BlockState::outstanding) {
                return Step::Send(request);
            }
            if self.sent >= MAX_RUN_REQUESTS {
                self.fail(FailReason::Resources, format!("more than {MAX_RUN_REQUESTS} requests in one run"));
                self.end();
            } else if self.current.is_none() {
                match flow_decision(self.template.flow.as_ref(), &self.results) {
                    Some((slot, block)) => self.current = Some(BlockState::new(slot, block, self.failures)),
                    None => self.end(),
                }
            } else {
                self.advance();
            }
        }
    }

    /// What came back for the request that [`Run::next`] gave. Without such a request nothing happens.
    pub fn receive(&mut self, result: Result<Response, Failure>) {
        let Some(pending) = self.current.as_mut().and_then(BlockState::take_outstanding) else { return };
        match result {
            Ok(response) => {
                self.sent += 1;
                self.answered += 1;
                self.responded(pending, response);
            }
            Err(Failure::Failed(reason, message)) => {
                self.sent += 1;
                self.fail(reason, message);
                self.chain_ended();
                if is_final(reason) {
                    self.end();
                }
            }
            Err(Failure::OutOfScope(message)) => {
                self.out_of_scope.get_or_insert(message);
                self.chain_ended();
            }
            Err(Failure::Skipped(reason)) => {
                self.chain_ended();
                if self.matches.is_empty() {
                    let failure = Some(reason.as_str().to_owned());
                    self.verdict =
                        Some(Verdict { outcome: Outcome::Skipped(reason), matches: Vec::new(), failure });
                } else {
                    self.end();
                }
            }
        }
    }

    fn fail(&mut self, reason: FailReason, message: String) {
        self.failures += 1;
        self.failed.get_or_insert((reason, message));
    }

    /// Falls the verdict from what is known now.
    fn end(&mut self) {
        self.current = None;
        self.seen.clear();
        let matches = std::mem::take(&mut self.matches);
        let (outcome, failure) = if !matches.is_empty() {
            (Outcome::Matched, self.failed.take().map(|(_, message)| message))
        } else if let Some((reason, message)) = self.failed.take() {
            (Outcome::Failed(reason), Some(message))
        } else if let Some(refusal) = self.out_of_scope.take() {
            // Also when other requests were answered: what the check wanted to see was not looked at, so it is no "not there".
            (Outcome::Skipped(SkipReason::OutOfScope), Some(refusal))
        } else if let Some(name) = self.missing.take() {
            let message = format!("the template needs a value for `{name}`: give it with --var {name}=VALUE");
            (Outcome::Skipped(SkipReason::Precondition), Some(message))
        } else if self.answered == 0 && self.excluded {
            let message = "the template leaves this port alone".to_owned();
            (Outcome::Skipped(SkipReason::Precondition), Some(message))
        } else {
            (Outcome::NotMatched, None)
        };
        self.verdict = Some(Verdict { outcome, matches, failure });
    }
}

/// After these the same host will not answer the next request either.
fn is_final(reason: FailReason) -> bool {
    matches!(
        reason,
        FailReason::Refused
            | FailReason::Unresolved
            | FailReason::Unreachable
            | FailReason::Deadline
            | FailReason::Resources
    )
}
