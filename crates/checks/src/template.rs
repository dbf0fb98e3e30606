//! One check as a value: everything in it is compiled, everything the language has is honoured or was refused.

mod dns;
pub(crate) mod fields;
mod flow;
mod http;
mod info;
mod payloads;
mod raw;
mod ssl;
mod tcp;
#[cfg(test)]
mod tests;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use model::{CheckId, Confidence, Severity, finding::Classification};

pub use dns::DnsBlock;
pub use flow::{BlockResult, Decision, Flow, MAX_FLOW_CALLS};
pub use http::{HttpBlock, HttpRequests, Redirects};
pub use payloads::{MAX_PAYLOAD_SETS, Payloads};
pub use raw::RawRequest;
pub use ssl::SslBlock;
pub use tcp::{TcpBlock, TcpData, TcpStep};
pub use text::Text;

use crate::{
    diagnostic::{Diagnostic, DiagnosticCode, Position},
    operators::Operators,
    yaml::{self, Kind, Node},
};
use fields::{Fields, Report};

/// Most requests that one block may send, redirects not counted.
pub const MAX_BLOCK_REQUESTS: usize = 2_000;
/// Most blocks in one template.
pub const MAX_BLOCKS: usize = 64;
/// Most diagnostics reported for one template.
pub const MAX_DIAGNOSTICS: usize = 50;

/// One check.
#[derive(Debug)]
pub struct Template {
    /// Unique among the checks of a scan.
    pub id: CheckId,
    /// The file, as the caller called it.
    pub origin: String,
    /// What people read.
    pub info: Info,
    /// Evaluated once per run, in order; a value from the command line wins.
    pub variables: Vec<(String, Text)>,
    /// Like variables, but nothing wins over them.
    pub constants: Vec<(String, Text)>,
    /// After the first match nothing more is sent.
    pub stop_at_first_match: bool,
    /// Which blocks run, and in which case; without one all run in order.
    pub flow: Option<Flow>,
    /// In the order of the file.
    pub blocks: Vec<Block>,
}

/// What people read about a check.
#[derive(Debug, Clone)]
pub struct Info {
    /// One line.
    pub name: String,
    /// Who wrote it.
    pub author: Vec<String>,
    /// How bad a match is.
    pub severity: Severity,
    /// How sure a match is: `metadata.confidence`, else firm.
    pub confidence: Confidence,
    /// What it finds.
    pub description: String,
    /// What that leads to.
    pub impact: String,
    /// How to mend it.
    pub remediation: String,
    /// Where to read on.
    pub references: Vec<String>,
    /// For selection.
    pub tags: Vec<String>,
    /// Catalogue numbers.
    pub classification: Classification,
    /// Everything else, as text.
    pub metadata: BTreeMap<String, String>,
}

/// What a block speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProtocolKind {
    /// `http` or `requests`.
    Http,
    /// `dns`.
    Dns,
    /// `tcp` or `network`.
    Tcp,
    /// `ssl`.
    Tls,
}

impl ProtocolKind {
    /// The prefix under which later blocks see what a block of this kind received.
    pub fn as_str(self) -> &'static str {
        match self {
            ProtocolKind::Http => "http",
            ProtocolKind::Dns => "dns",
            ProtocolKind::Tcp => "tcp",
            ProtocolKind::Tls => "ssl",
        }
    }
}

/// Requests of one kind and what is looked for in their responses.
#[derive(Debug)]
pub struct Block {
    /// From 1, among the blocks of the same protocol.
    pub number: usize,
    /// The name under which later blocks see its responses.
    pub id: Option<String>,
    /// What is sent.
    pub request: BlockRequest,
    /// What is looked for.
    pub operators: Operators,
    /// Values that the requests are repeated with.
    pub payloads: Payloads,
    /// After the first match nothing more of this block is sent.
    pub stop_at_first_match: bool,
    /// Matchers look at several responses by number (`body_2`), so they run after the last.
    pub uses_history: bool,
    /// Where it begins.
    pub position: Position,
}

/// What a block sends.
#[derive(Debug)]
pub enum BlockRequest {
    /// HTTP requests.
    Http(HttpBlock),
    /// One DNS question.
    Dns(DnsBlock),
    /// TCP dialogues.
    Tcp(TcpBlock),
    /// One TLS handshake.
    Ssl(SslBlock),
}

impl BlockRequest {
    /// What it speaks.
    pub fn protocol(&self) -> ProtocolKind {
        match self {
            BlockRequest::Http(_) => ProtocolKind::Http,
            BlockRequest::Dns(_) => ProtocolKind::Dns,
            BlockRequest::Tcp(_) => ProtocolKind::Tcp,
            BlockRequest::Ssl(_) => ProtocolKind::Tls,
        }
    }

    /// How many requests one set of payload values makes, redirects not counted.
    pub fn count(&self) -> usize {
        match self {
            BlockRequest::Http(http) => http.requests.count(),
            BlockRequest::Tcp(tcp) => tcp.hosts.len() * tcp.ports.len().max(1),
            BlockRequest::Dns(_) | BlockRequest::Ssl(_) => 1,
        }
    }

    /// Everything in it that is rendered before it is sent.
    pub(crate) fn texts(&self) -> Vec<&Text> {
        match self {
            BlockRequest::Http(http) => http.texts(),
            BlockRequest::Dns(dns) => vec![&dns.name],
            BlockRequest::Tcp(tcp) => tcp.texts(),
            BlockRequest::Ssl(ssl) => vec![&ssl.address],
        }
    }
}

/// Tags of templates that may disturb a target.
const RISK_TAGS: [&str; 9] = [
    "intrusive",
    "dos",
    "fuzz",
    "fuzzing",
    "brute-force",
    "bruteforce",
    "default-login",
    "token-spray",
    "local",
];

impl Template {
    /// The tags for which a template runs only when it is named.
    pub fn risk_tags(&self) -> Vec<&str> {
        let risky = |tag: &&str| RISK_TAGS.contains(tag);
        self.info.tags.iter().map(String::as_str).filter(risky).collect()
    }

    /// What a scan must be able to speak to run it.
    pub fn protocol_kinds(&self) -> BTreeSet<ProtocolKind> {
        self.blocks.iter().map(|block| block.request.protocol()).collect()
    }

    /// The ports that its TCP blocks name themselves; empty when they take the target's.
    pub fn tcp_ports(&self) -> BTreeSet<u16> {
        let ports = |block: &Block| match &block.request {
            BlockRequest::Tcp(tcp) => tcp.ports.clone(),
            _ => Vec::new(),
        };
        self.blocks.iter().flat_map(ports).collect()
    }

    /// Can a response of this template give that name a value?
    pub(crate) fn may_learn(&self, name: &str) -> bool {
        self.blocks.iter().any(|block| {
            let matchers = block.operators.matchers.iter().map(|matcher| matcher.name.as_deref());
            let extractors = block.operators.extractors.iter().map(|extractor| extractor.name.as_deref());
            block.payloads.names().any(|known| known == name)
                || matchers.chain(extractors).any(|known| known == Some(name))
        })
    }

    /// Most requests one run may send, redirects not counted.
    pub fn max_requests(&self) -> usize {
        let block = |block: &Block| block.request.count() * block.payloads.count();
        match &self.flow {
            Some(flow) => flow.calls().map(|index| self.blocks.get(index).map_or(0, block)).sum(),
            None => self.blocks.iter().map(block).sum(),
        }
    }
}

/// Parses and compiles one template. `origin` is how the diagnostics call the file.
///
/// # Errors
/// All reasons for which the template is refused, in the order of the file, at most [`MAX_DIAGNOSTICS`].
pub fn parse(text: &str, origin: &str) -> Result<Template, Vec<Diagnostic>> {
    let root = yaml::parse(text).map_err(|mut diagnostic| {
        diagnostic.origin = origin.to_owned();
        vec![diagnostic]
    })?;
    let report = Report::new(origin);
    let template = read(&root, &report);
    let mut diagnostics = report.into_diagnostics();
    diagnostics.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
    diagnostics.truncate(MAX_DIAGNOSTICS);
    match template {
        Some(template) if diagnostics.is_empty() => Ok(template),
        _ => Err(diagnostics),
    }
}

/// Protocols and modes that are left out, with the reason a user is told.
const UNSUPPORTED: [(&str, &str); 11] = [
    ("code", "templates that run code on the scanning machine are never run"),
    ("javascript", "templates that run scripts are never run; write the exchange as `tcp` or `http`"),
    ("headless", "templates that drive a browser are not run"),
    ("file", "templates that read local files are not run"),
    ("websocket", "the websocket protocol is not supported"),
    ("whois", "the whois protocol is not supported"),
    ("workflows", "workflows are not supported; name the templates themselves"),
    ("self-contained", "self-contained templates choose their own targets and are not run"),
    ("signature", "signing requests for cloud providers is not supported"),
    ("http-fuzz", "fuzzing is not supported"),
    ("dast", "fuzzing is not supported"),
];

fn read(root: &Node, report: &Report) -> Option<Template> {
    let fields = Fields::new(root, "template", report)?;
    let id = match fields.required_text("id") {
        Some(id) if is_id(&id) => Some(CheckId::new(&id)),
        Some(id) => {
            let at = fields.position_of("id");
            let message = format!("`{id}` is not a template id");
            report.add_with_hint(
                at,
                DiagnosticCode::InvalidValue,
                message,
                "use letters, digits, `-`, `_` and `.`, at most 128",
            );
            None
        }
        None => None,
    };
    let info = info::read(&fields, report);
    for (name, reason) in UNSUPPORTED {
        let wanted = fields.get(name).filter(|node| node.text() != Some("false"));
        if let Some(node) = wanted {
            report.unsupported(node.position, format!("`{name}`: {reason}"));
        }
    }
    let constants = named_texts(&fields, "constants", report);
    let variables = named_texts(&fields, "variables", report);
    let stop_at_first_match = fields.flag("stop-at-first-match");
    let mut blocks = Vec::new();
    for (name, protocol) in [
        ("http", ProtocolKind::Http),
        ("requests", ProtocolKind::Http),
        ("dns", ProtocolKind::Dns),
        ("tcp", ProtocolKind::Tcp),
        ("network", ProtocolKind::Tcp),
        ("ssl", ProtocolKind::Tls),
    ] {
        if let Some(node) = fields.get(name) {
            read_blocks(node, name, protocol, report, &mut blocks);
        }
    }
    blocks.sort_by_key(|block| block.position);
    number(&mut blocks);
    let flow = fields.get("flow").and_then(|node| flow::read(node, &blocks, report));
    fields.finish();
    if blocks.is_empty() && !report.has_any() {
        let hint = "add one of `http`, `dns`, `tcp`, `ssl`";
        report.add_with_hint(
            root.position,
            DiagnosticCode::MissingField,
            "the template sends nothing".to_owned(),
            hint,
        );
    }
    let origin = report.origin().to_owned();
    Some(Template { id: id?, origin, info: info?, variables, constants, stop_at_first_match, flow, blocks })
}

fn read_blocks(node: &Node, name: &str, protocol: ProtocolKind, report: &Report, blocks: &mut Vec<Block>) {
    let Kind::Sequence(items) = &node.kind else {
        report.wrong_type(node, &format!("`{name}`"), "a list of requests");
        return;
    };
    for item in items {
        if blocks.len() >= MAX_BLOCKS {
            let message = format!("more than {MAX_BLOCKS} blocks in one template");
            report.add(item.position, DiagnosticCode::Limit, message);
            return;
        }
        if let Some(block) = read_block(item, protocol, report) {
            blocks.push(block);
        }
    }
}

fn read_block(node: &Node, protocol: ProtocolKind, report: &Report) -> Option<Block> {
    let what = match protocol {
        ProtocolKind::Http => "http request",
        ProtocolKind::Dns => "dns request",
        ProtocolKind::Tcp => "tcp request",
        ProtocolKind::Tls => "ssl request",
    };
    let fields = Fields::new(node, what, report)?;
    let request = match protocol {
        ProtocolKind::Http => http::read(&fields, report).map(BlockRequest::Http),
        ProtocolKind::Dns => dns::read(&fields, report).map(BlockRequest::Dns),
        ProtocolKind::Tcp => tcp::read(&fields, report).map(BlockRequest::Tcp),
        ProtocolKind::Tls => ssl::read(&fields, report).map(BlockRequest::Ssl),
    };
    let operators = Operators::read(&fields, protocol, report);
    let payloads = payloads::read(&fields, report);
    let id = fields.text("id");
    // Only a label in the public language.
    fields.accept("name");
    let stop_at_first_match = fields.flag("stop-at-first-match");
    fields.finish();
    let request = request?;
    for text in request.texts() {
        refuse_callbacks(text, node.position, report);
    }
    let total = request.count().saturating_mul(payloads.count());
    if total > MAX_BLOCK_REQUESTS {
        let message =
            format!("the block would send {total} requests, more than the {MAX_BLOCK_REQUESTS} allowed");
        report.add(node.position, DiagnosticCode::Limit, message);
    }
    let uses_history = operators.uses_history() && request.count() > 1;
    let position = node.position;
    Some(Block { number: 0, id, request, operators, payloads, stop_at_first_match, uses_history, position })
}

fn number(blocks: &mut [Block]) {
    let mut counts: BTreeMap<ProtocolKind, usize> = BTreeMap::new();
    for block in blocks {
        let count = counts.entry(block.request.protocol()).or_default();
        *count += 1;
        block.number = *count;
    }
}

fn named_texts(fields: &Fields<'_>, name: &str, report: &Report) -> Vec<(String, Text)> {
    let Some(node) = fields.get(name) else { return Vec::new() };
    let Kind::Mapping(entries) = &node.kind else {
        if !node.is_null() {
            report.wrong_type(node, &format!("`{name}`"), "a mapping of names to values");
        }
        return Vec::new();
    };
    let mut texts = Vec::new();
    for (key, value) in entries {
        match value.text() {
            Some(text) => {
                if let Some(text) = Text::read(text, value.position, report) {
                    refuse_callbacks(&text, value.position, report);
                    texts.push((key.text.clone(), text));
                }
            }
            None => report.wrong_type(value, &format!("`{}`", key.text), "a single value"),
        }
    }
    texts
}

/// A scan has no server that a target could call back.
fn refuse_callbacks(text: &Text, at: Position, report: &Report) {
    if text.variables().iter().any(|name| name.starts_with("interactsh")) {
        let shown: String = text.source().trim().chars().take(80).collect();
        let message = format!("`{shown}`: callbacks to a server of one's own are not supported");
        report.unsupported(at, message);
    }
}

fn is_id(id: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !id.is_empty() && id.len() <= 128 && id.chars().all(allowed)
}

/// The next slot and block to run, or none at the end. Without a flow every block runs once.
pub(crate) fn flow_decision(flow: Option<&Flow>, results: &[Option<BlockResult>]) -> Option<(usize, usize)> {
    match flow {
        Some(flow) => match flow.decide(results) {
            flow::Decision::Run { slot, block } => Some((slot, block)),
            flow::Decision::Ended(_) => None,
        },
        None => results.iter().position(Option::is_none).map(|index| (index, index)),
    }
}
