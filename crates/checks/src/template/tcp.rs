//! `tcp` blocks.

use super::{
    Text,
    fields::{Fields, Report},
};
use crate::{
    diagnostic::DiagnosticCode,
    operators::decode_hex,
    yaml::{Kind, Node},
};

/// Most bytes a template may ask to read at once.
const MAX_READ: u64 = 16 * 1024 * 1024;
/// Bytes read at the end when the template does not say.
const DEFAULT_READ: usize = 1024;
/// Most steps of a dialogue, hosts and ports of a block.
const MAX_ENTRIES: usize = 64;

/// Dialogues with one or more addresses.
#[derive(Debug)]
pub struct TcpBlock {
    /// Usually `{{Hostname}}`; with `tls://` in front inside TLS.
    pub hosts: Vec<Text>,
    /// Ports the template names; empty takes the target's. A target with a port of its own keeps it.
    pub ports: Vec<u16>,
    /// Ports on which nothing is sent.
    pub excluded_ports: Vec<u16>,
    /// In order.
    pub steps: Vec<TcpStep>,
    /// Bytes to read after all steps.
    pub read_size: usize,
    /// Read until the peer closes or pauses.
    pub read_all: bool,
}

/// One step of a dialogue.
#[derive(Debug)]
pub struct TcpStep {
    /// What is sent.
    pub data: TcpData,
    /// Bytes to read afterwards; 0 reads none.
    pub read: usize,
    /// The part under which the bytes read can be matched.
    pub name: Option<String>,
}

/// What a step sends.
#[derive(Debug)]
pub enum TcpData {
    /// Rendered text.
    Text(Text),
    /// Text that is hexadecimal only after its marks are rendered.
    RenderedHex(Text),
    /// These bytes.
    Bytes(Vec<u8>),
}

impl TcpBlock {
    pub(super) fn texts(&self) -> Vec<&Text> {
        let data = self.steps.iter().filter_map(|step| match &step.data {
            TcpData::Text(text) | TcpData::RenderedHex(text) => Some(text),
            TcpData::Bytes(_) => None,
        });
        self.hosts.iter().chain(data).collect()
    }
}

pub(super) fn read(fields: &Fields<'_>, report: &Report) -> Option<TcpBlock> {
    let hosts = fields.texts("host");
    if hosts.is_empty() {
        fields.missing("host");
    }
    let mut texts: Vec<Text> = Vec::new();
    for (source, at) in hosts {
        let text = Text::read(source.trim(), at, report)?;
        // The same address twice is one connection.
        if !texts.iter().any(|known| known.source() == text.source()) {
            texts.push(text);
        }
    }
    let steps = match fields.get("inputs") {
        None => Vec::new(),
        Some(Node { kind: Kind::Sequence(items), .. }) => {
            items.iter().filter_map(|item| step(item, report)).collect()
        }
        Some(node) => {
            report.wrong_type(node, "`inputs`", "a list of inputs");
            Vec::new()
        }
    };
    let ports = ports(fields, "port", report);
    if texts.len() * ports.len().max(1) > MAX_ENTRIES || steps.len() > MAX_ENTRIES {
        let message = format!("more than {MAX_ENTRIES} addresses or inputs in one tcp request");
        report.add(fields.position(), DiagnosticCode::Limit, message);
    }
    Some(TcpBlock {
        hosts: texts,
        ports,
        excluded_ports: self::ports(fields, "exclude-ports", report),
        steps,
        read_size: fields.number("read-size", 0, MAX_READ).map_or(DEFAULT_READ, |size| size as usize),
        read_all: fields.flag("read-all"),
    })
}

fn ports(fields: &Fields<'_>, name: &str, report: &Report) -> Vec<u16> {
    let mut ports = Vec::new();
    for (text, at) in fields.texts(name) {
        // The target's own port: what holds without `port` too.
        if text.trim() == "{{Port}}" {
            continue;
        }
        for word in text.split(',') {
            match word.trim().parse::<u16>() {
                Ok(port) if port != 0 => {
                    if !ports.contains(&port) {
                        ports.push(port);
                    }
                }
                _ => {
                    let message =
                        format!("`{}` in `{name}` is not a port: ports go from 1 to 65535", word.trim());
                    report.add(at, DiagnosticCode::InvalidValue, message);
                }
            }
        }
    }
    ports
}

fn step(node: &Node, report: &Report) -> Option<TcpStep> {
    let fields = Fields::new(node, "tcp input", report)?;
    let hexadecimal = fields.word("type", &[("hex", true), ("text", false)]).unwrap_or(false);
    let at = fields.position_of("data");
    let data = fields.text("data").unwrap_or_default();
    let data = if hexadecimal {
        match (Text::read(&data, at, report)?, decode_hex(&data)) {
            (text, _) if !text.is_literal() => TcpData::RenderedHex(text),
            (_, Some(bytes)) => TcpData::Bytes(bytes),
            (_, None) => {
                let message = format!("`{}` is not hexadecimal", data.chars().take(60).collect::<String>());
                report.add(at, DiagnosticCode::InvalidValue, message);
                return None;
            }
        }
    } else {
        TcpData::Text(Text::read(&data, at, report)?)
    };
    let read = fields.number("read", 0, MAX_READ).unwrap_or(0) as usize;
    let name = fields.text("name");
    fields.finish();
    Some(TcpStep { data, read, name })
}
