//! `flow`: which blocks run, as a condition over the blocks: `http(1) && (dns() || !tcp(2))`.
//!
//! The public language allows any JavaScript here; nearly all templates use only this much of it.

use super::{Block, ProtocolKind, fields::Report};
use crate::{diagnostic::DiagnosticCode, yaml::Node};

/// Most calls in one flow.
pub const MAX_FLOW_CALLS: usize = 64;
/// Deepest nesting of parentheses and negations.
const MAX_FLOW_DEPTH: usize = 32;

/// A condition over blocks. Blocks run as far as the condition needs them, from left to right.
#[derive(Debug, Clone)]
pub struct Flow {
    root: Condition,
    /// Block index of each slot; the same block may be called twice.
    slots: Vec<usize>,
}

#[derive(Debug, Clone)]
enum Condition {
    /// True when one of the slots matched; all of them run.
    Call(std::ops::Range<usize>),
    Not(Box<Condition>),
    And(Vec<Condition>),
    Or(Vec<Condition>),
}

impl Flow {
    /// What to run next, or how the whole ended. `results` has one entry a slot, none for what has not run.
    pub fn decide(&self, results: &[Option<BlockResult>]) -> Decision {
        match decide(&self.root, results) {
            Ok(result) => Decision::Ended(result),
            Err(slot) => self
                .slots
                .get(slot)
                .map_or(Decision::Ended(BlockResult::Unknown), |block| Decision::Run { slot, block: *block }),
        }
    }

    /// How many slots `results` needs.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The block of each call.
    pub fn calls(&self) -> impl Iterator<Item = usize> + '_ {
        self.slots.iter().copied()
    }
}

/// What a flow wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Run this block and put its result into this slot.
    Run {
        /// Index into the results.
        slot: usize,
        /// Index into the template's blocks.
        block: usize,
    },
    /// The condition is known.
    Ended(BlockResult),
}

/// What a block found out. What could not be found out does not become true by negation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockResult {
    /// Its matchers held.
    Held,
    /// They did not.
    NotHeld,
    /// Something failed, so nobody knows.
    Unknown,
}

fn decide(condition: &Condition, results: &[Option<BlockResult>]) -> Result<BlockResult, usize> {
    use BlockResult::{Held, NotHeld, Unknown};
    match condition {
        Condition::Call(slots) => {
            let mut any = NotHeld;
            for slot in slots.clone() {
                any = either(any, results.get(slot).copied().flatten().ok_or(slot)?);
            }
            Ok(any)
        }
        Condition::Not(inner) => Ok(match decide(inner, results)? {
            Held => NotHeld,
            NotHeld => Held,
            Unknown => Unknown,
        }),
        Condition::And(parts) => {
            for part in parts {
                // What comes after an unknown could not make it true.
                let result = decide(part, results)?;
                if result != Held {
                    return Ok(result);
                }
            }
            Ok(Held)
        }
        Condition::Or(parts) => {
            let mut any = NotHeld;
            for part in parts {
                any = either(any, decide(part, results)?);
                if any == Held {
                    break;
                }
            }
            Ok(any)
        }
    }
}

fn either(left: BlockResult, right: BlockResult) -> BlockResult {
    use BlockResult::{Held, NotHeld, Unknown};
    match (left, right) {
        (Held, _) | (_, Held) => Held,
        (Unknown, _) | (_, Unknown) => Unknown,
        (NotHeld, NotHeld) => NotHeld,
    }
}

pub(super) fn read(node: &Node, blocks: &[Block], report: &Report) -> Option<Flow> {
    let Some(source) = node.text() else {
        report.wrong_type(node, "`flow`", "a condition such as `http(1) && http(2)`");
        return None;
    };
    let mut parser = FlowParser { rest: source, blocks, slots: Vec::new(), depth: 0 };
    let parsed = parser.condition().and_then(|root| parser.end().map(|()| root));
    match parsed {
        Ok(root) => Some(Flow { root, slots: parser.slots }),
        Err(Wrong::Script(at)) => {
            let at: String = at.chars().take(40).collect();
            let message = format!("`flow` is a script, not a condition, from `{}` on", at.trim());
            let hint = "only calls such as http(1) combined by &&, ||, ! and parentheses are run";
            report.add_with_hint(node.position, DiagnosticCode::Unsupported, message, hint);
            None
        }
        Err(Wrong::Block(message)) => {
            report.add(node.position, DiagnosticCode::InvalidValue, message);
            None
        }
        Err(Wrong::Limit) => {
            let message =
                format!("`flow` has more than {MAX_FLOW_CALLS} calls or {MAX_FLOW_DEPTH} levels of nesting");
            report.add(node.position, DiagnosticCode::Limit, message);
            None
        }
    }
}

enum Wrong<'s> {
    Script(&'s str),
    Block(String),
    Limit,
}

struct FlowParser<'s, 'b> {
    rest: &'s str,
    blocks: &'b [Block],
    slots: Vec<usize>,
    depth: usize,
}

impl<'s> FlowParser<'s, '_> {
    fn eat(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn end(&mut self) -> Result<(), Wrong<'s>> {
        while self.eat(";") {}
        if self.rest.trim().is_empty() { Ok(()) } else { Err(Wrong::Script(self.rest)) }
    }

    fn condition(&mut self) -> Result<Condition, Wrong<'s>> {
        let mut parts = vec![self.conjunction()?];
        while self.eat("||") {
            parts.push(self.conjunction()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Condition::Or(parts) })
    }

    fn conjunction(&mut self) -> Result<Condition, Wrong<'s>> {
        let mut parts = vec![self.factor()?];
        while self.eat("&&") {
            parts.push(self.factor()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Condition::And(parts) })
    }

    fn factor(&mut self) -> Result<Condition, Wrong<'s>> {
        self.depth += 1;
        if self.depth > MAX_FLOW_DEPTH {
            return Err(Wrong::Limit);
        }
        let condition = if self.eat("!") {
            Condition::Not(Box::new(self.factor()?))
        } else if self.eat("(") {
            let inner = self.condition()?;
            if !self.eat(")") {
                return Err(Wrong::Script(self.rest));
            }
            inner
        } else {
            self.call()?
        };
        self.depth -= 1;
        Ok(condition)
    }

    fn call(&mut self) -> Result<Condition, Wrong<'s>> {
        self.rest = self.rest.trim_start();
        let whole = self.rest;
        let protocol = [
            ("http", ProtocolKind::Http),
            ("dns", ProtocolKind::Dns),
            ("tcp", ProtocolKind::Tcp),
            ("network", ProtocolKind::Tcp),
            ("ssl", ProtocolKind::Tls),
        ]
        .into_iter()
        .find_map(|(word, protocol)| {
            let rest = self.rest.strip_prefix(word)?.trim_start().strip_prefix('(')?;
            Some((protocol, rest))
        });
        let Some((protocol, rest)) = protocol else { return Err(Wrong::Script(whole)) };
        let Some((arguments, rest)) = rest.split_once(')') else { return Err(Wrong::Script(whole)) };
        self.rest = rest;
        let first = self.slots.len();
        let mut of_protocol = self
            .blocks
            .iter()
            .enumerate()
            .filter(|(_, block)| block.request.protocol() == protocol)
            .map(|(index, block)| (index, block.number, block.id.as_deref()));
        if arguments.trim().is_empty() {
            self.slots.extend(of_protocol.map(|(index, _, _)| index));
            if self.slots.len() == first {
                return Err(missing(protocol, "()"));
            }
        } else {
            let found: Vec<_> = of_protocol.by_ref().collect();
            for argument in arguments.split(',') {
                let argument = argument.trim();
                let name = argument.trim_matches(['"', '\'']);
                let wanted = |(_, number, id): &&(usize, usize, Option<&str>)| {
                    name.parse() == Ok(*number) || *id == Some(name)
                };
                match found.iter().find(wanted) {
                    Some((index, _, _)) => self.slots.push(*index),
                    None if name.parse::<usize>().is_ok() || name != argument => {
                        return Err(missing(protocol, argument));
                    }
                    None => return Err(Wrong::Script(whole)),
                }
            }
        }
        if self.slots.len() > MAX_FLOW_CALLS {
            return Err(Wrong::Limit);
        }
        Ok(Condition::Call(first..self.slots.len()))
    }
}

fn missing(protocol: ProtocolKind, argument: &str) -> Wrong<'static> {
    let argument = argument.trim_matches(['(', ')']);
    Wrong::Block(format!(
        "`flow` calls {}({argument}), and the template has no such block",
        protocol.as_str()
    ))
}
