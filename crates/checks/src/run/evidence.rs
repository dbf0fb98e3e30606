//! What is kept of an exchange for the report.

use model::Evidence;

use super::exchange::Exchange;
use crate::exchange::Response;

/// Most bytes kept of a request, and of a response.
pub const MAX_EVIDENCE: usize = 4096;
/// How much is kept before the first piece that matched.
const BEFORE: usize = 512;

/// The exchange, cut to what surrounds the first piece that matched.
pub(super) fn evidence(exchange: &Exchange, pieces: &[Vec<u8>]) -> Evidence {
    let (head, body) = exchange.shown();
    let whole = head.len() + body.len();
    let mut response = Vec::with_capacity(whole.min(MAX_EVIDENCE));
    if whole <= MAX_EVIDENCE {
        response.extend_from_slice(head);
        response.extend_from_slice(body);
    } else {
        let head = &head[..head.len().min(MAX_EVIDENCE / 2)];
        response.extend_from_slice(head);
        let room = MAX_EVIDENCE - head.len();
        let hit = pieces.iter().find_map(|piece| memchr::memmem::find(body, piece));
        let from = hit.map_or(0, |at| at.saturating_sub(BEFORE)).min(body.len().saturating_sub(room));
        response.extend_from_slice(&body[from..body.len().min(from + room)]);
    }
    let request = exchange.request();
    let cut_by_scanner = matches!(&exchange.response, Response::Http(http) if http.truncated);
    Evidence {
        request: lossy(&request[..request.len().min(MAX_EVIDENCE)]),
        response: lossy(&response),
        matched: pieces.iter().map(|piece| lossy(piece)).collect(),
        truncated: cut_by_scanner || whole > MAX_EVIDENCE || request.len() > MAX_EVIDENCE,
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
