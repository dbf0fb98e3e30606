//! Which value a name has at some point of a run.

use super::{Seen, exchange::Exchange, scope::Scope};
use crate::{
    expression::Value,
    operators::numbered,
    template::{Block, ProtocolKind},
};

/// Everything a name may mean.
pub(super) struct View<'a> {
    /// The response that is looked at.
    pub(super) exchange: Option<&'a Exchange>,
    /// Responses of the same block by number, the first at 0.
    pub(super) history: &'a [Option<Exchange>],
    /// The last response of each block that has ended.
    pub(super) seen: &'a [Seen],
    pub(super) blocks: &'a [Block],
    pub(super) scope: &'a Scope,
}

impl<'a> View<'a> {
    /// For matchers and extractors: what the protocol defines, then what the template and the user define, and what the
    /// target may name freely last.
    pub(super) fn lookup(&self, name: &str) -> Option<Value<'a>> {
        self.exchange
            .and_then(|exchange| exchange.part(name))
            .or_else(|| self.scope.lookup(name))
            .or_else(|| self.earlier(name))
            .or_else(|| self.exchange.and_then(|exchange| exchange.header(name)))
    }

    /// For requests.
    pub(super) fn for_request(&self, name: &str) -> Option<Value<'a>> {
        self.scope.first(name).or_else(|| self.earlier(name))
    }

    /// `body_2`, `http_1_body`, `dns_cname`, `<id>_body`.
    fn earlier(&self, name: &str) -> Option<Value<'a>> {
        if let Some((base, number)) = numbered(name)
            && let Some(Some(exchange)) = self.history.get(number - 1)
        {
            return exchange.part(base).or_else(|| exchange.header(base));
        }
        self.seen.iter().rev().find_map(|seen| {
            let rest = strip(name, self.blocks.get(seen.block)?)?;
            seen.exchange.part(rest).or_else(|| seen.exchange.header(rest))
        })
    }
}

/// What follows the prefix under which a block's response is known.
fn strip<'n>(name: &'n str, block: &Block) -> Option<&'n str> {
    let after = |prefix: &str| name.strip_prefix(prefix)?.strip_prefix('_');
    if let Some(rest) = block.id.as_deref().and_then(after) {
        return Some(rest);
    }
    let protocol = block.request.protocol();
    let words: &[&str] = match protocol {
        ProtocolKind::Tcp => &["tcp", "network"],
        _ => &[protocol.as_str()],
    };
    let rest = words.iter().find_map(|word| after(word))?;
    match rest.split_once('_') {
        Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            (number.parse() == Ok(block.number)).then_some(rest)
        }
        _ => Some(rest),
    }
}
