//! Answers made of bytes: whatever a server could say, and an expression that must never be evaluated in every part of it.

use std::sync::Arc;

use model::FailReason;

use crate::exchange::{
    Certificate, DnsRecord, DnsResponse, Failure, HttpResponse, Request, Response, TcpResponse, TlsResponse,
    TlsVersion,
};

/// What a hostile server plants for whoever evaluates what it reads.
pub(super) const PLANTED: &[u8] = b"{{md5('planted')}}";
/// What it would become.
pub(super) const PLANTED_VALUE: &[u8] = b"08297c071792bd9856adcc8299be428e";

/// Names of headers; the rest are made of bytes.
const HEADERS: [&str; 8] = [
    "Location",
    "set-cookie",
    "Content-Length",
    "Content-Type",
    "X-Powered-By",
    "Server",
    "location",
    "Link",
];

/// Bytes that are taken from the front.
pub(super) struct Answers<'a> {
    left: &'a [u8],
    /// Some inputs plant the expression, the others have all room for themselves.
    plants: bool,
}

impl<'a> Answers<'a> {
    pub(super) fn new(data: &'a [u8]) -> Answers<'a> {
        Answers { left: data, plants: data.len() % 2 == 1 }
    }

    fn byte(&mut self) -> u8 {
        let Some((&first, left)) = self.left.split_first() else { return 0 };
        self.left = left;
        first
    }

    fn number(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = usize::from(self.byte()).min(self.left.len());
        let (taken, left) = self.left.split_at(length);
        self.left = left;
        match self.plants {
            true => [taken, PLANTED].concat(),
            false => taken.to_vec(),
        }
    }

    fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// The answer to that request, of its kind; when the bytes are used up, none comes.
    pub(super) fn next(&mut self, request: &Request) -> Result<Response, Failure> {
        if self.left.is_empty() {
            return Err(Failure::Failed(FailReason::TimedOut, "late".to_owned()));
        }
        Ok(match request {
            Request::Http(_) => Response::Http(Arc::new(self.http()?)),
            Request::Dns(_) => Response::Dns(Arc::new(self.dns())),
            Request::Tcp(tcp) => {
                let reads = tcp.inputs.iter().map(|input| (input.name.clone(), self.bytes())).collect();
                Response::Tcp(Arc::new(TcpResponse { reads, ..TcpResponse::default() }))
            }
            Request::Tls(_) => Response::Tls(Arc::new(self.tls())),
        })
    }

    fn http(&mut self) -> Result<HttpResponse, Failure> {
        let status = self.number();
        if status == 0 {
            return Err(Failure::OutOfScope("elsewhere".to_owned()));
        }
        let mut headers = Vec::new();
        for _ in 0..self.byte() % 5 {
            let kind = usize::from(self.byte());
            let name = HEADERS.get(kind).map_or_else(|| self.text(), |name| (*name).to_owned());
            headers.push((name, self.bytes()));
        }
        let body = self.bytes();
        let head = headers
            .iter()
            .flat_map(|(name, value)| [name.as_bytes(), b": ", value, b"\r\n"].concat())
            .collect();
        Ok(HttpResponse { status, headers, body, head, ..HttpResponse::default() })
    }

    fn dns(&mut self) -> DnsResponse {
        let rcode = self.text();
        let mut answers = Vec::new();
        for _ in 0..self.byte() % 4 {
            let (name, record_type, data) = (self.text(), self.text(), self.text());
            answers.push(DnsRecord {
                name,
                ttl: u32::from(self.number()),
                class: "IN".to_owned(),
                record_type,
                data,
            });
        }
        DnsResponse { rcode, answers, ..DnsResponse::default() }
    }

    fn tls(&mut self) -> TlsResponse {
        let established = self.byte() > 63;
        let leaf = Certificate {
            subject_cn: self.text(),
            subject_an: vec![self.text(), self.text()],
            issuer_dn: self.text(),
            not_after: i64::from_be_bytes([
                self.byte(),
                0,
                0,
                0,
                self.byte(),
                self.byte(),
                self.byte(),
                self.byte(),
            ]),
            ..Certificate::default()
        };
        let version = established.then_some(TlsVersion::Tls12);
        TlsResponse { established, version, certificates: vec![leaf], ..TlsResponse::default() }
    }
}
