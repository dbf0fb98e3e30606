//! What a check asks to be sent, and what came back. The language core is pure: it hands out these requests, the scanner
//! performs them, and hands back these responses.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use model::{Charge, FailReason};
use serde::{Deserialize, Serialize};

/// One thing to send.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Request {
    /// One HTTP hop; redirects come as further requests.
    Http(HttpRequest),
    /// One DNS question.
    Dns(DnsRequest),
    /// One TCP (or TLS) dialogue.
    Tcp(TcpRequest),
    /// One TLS handshake.
    Tls(TlsRequest),
}

/// Where an HTTP request goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// https.
    pub tls: bool,
    /// Name, IPv4 address, or IPv6 address without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// One HTTP/1.1 request, as it goes onto the wire.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpRequest {
    /// Where to connect.
    pub origin: Origin,
    /// Server name for TLS, when not the origin's host (`@tls-sni`).
    pub sni: Option<String>,
    /// What to send.
    pub form: HttpForm,
    /// Overrides the request deadline downwards (`@timeout`).
    pub timeout: Option<Duration>,
    /// Keep at most this many body bytes (`max-size`); the scanner's own cap holds too.
    pub max_body: Option<usize>,
}

/// How the bytes of a request are made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HttpForm {
    /// Request line and headers by the scanner: it adds Host, User-Agent, Accept, Connection and Content-Length where `headers`
    /// does not bring them.
    Structured {
        /// As in the template.
        method: String,
        /// Request target as it goes onto the wire: path and query, or whatever the template insists on.
        target: String,
        /// In order, as written.
        headers: Vec<(String, String)>,
        /// May be empty.
        body: Vec<u8>,
    },
    /// `unsafe: true`: these bytes and nothing else.
    Verbatim(Vec<u8>),
}

/// One DNS question.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DnsRequest {
    /// Fully qualified or not; without trailing dot.
    pub name: String,
    /// `A`, `TXT`, …
    pub record_type: String,
    /// `IN`, `CH`, …
    pub class: String,
    /// Ask for recursion.
    pub recursion: bool,
}

/// One dialogue: connect, then for each input send and read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TcpRequest {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Speak inside TLS.
    pub tls: bool,
    /// In order; may be empty, then only the banner is read.
    pub inputs: Vec<TcpInput>,
    /// Bytes to read at the end, after all inputs.
    pub read_size: usize,
    /// Read until the peer closes or pauses.
    pub read_all: bool,
}

/// One step of a dialogue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TcpInput {
    /// Bytes to send; may be empty.
    pub data: Vec<u8>,
    /// Bytes to read afterwards; 0 reads none.
    pub read: usize,
    /// The part under which the bytes read can be matched.
    pub name: Option<String>,
}

/// One TLS handshake, to learn what the peer accepts and shows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TlsRequest {
    /// Name or address; also the server name when it is a name.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Lowest version offered.
    pub min_version: Option<TlsVersion>,
    /// Highest version offered.
    pub max_version: Option<TlsVersion>,
    /// IANA names of the suites offered; empty offers the usual ones.
    pub cipher_suites: Vec<String>,
}

/// Versions in the language's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsVersion {
    /// SSL 3.0 (RFC 6101).
    Ssl30,
    /// TLS 1.0 (RFC 2246).
    Tls10,
    /// TLS 1.1 (RFC 4346).
    Tls11,
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

impl TlsVersion {
    /// The word in templates and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            TlsVersion::Ssl30 => "ssl30",
            TlsVersion::Tls10 => "tls10",
            TlsVersion::Tls11 => "tls11",
            TlsVersion::Tls12 => "tls12",
            TlsVersion::Tls13 => "tls13",
        }
    }
}

/// What came back.
#[derive(Debug, Clone)]
pub enum Response {
    /// To [`Request::Http`].
    Http(Arc<HttpResponse>),
    /// To [`Request::Dns`].
    Dns(Arc<DnsResponse>),
    /// To [`Request::Tcp`].
    Tcp(Arc<TcpResponse>),
    /// To [`Request::Tls`].
    Tls(Arc<TlsResponse>),
}

/// Why nothing came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Could not find out.
    Failed(FailReason, String),
    /// The scope does not allow it.
    OutOfScope(String),
    /// The deadline passed or somebody stopped the scan before it was sent.
    Skipped(model::SkipReason),
}

impl Failure {
    /// Does it say that nobody answers? Enough of these in a row, and a host counts as unresponsive.
    pub fn says_host_is_gone(&self) -> bool {
        use FailReason::{Refused, Reset, TimedOut, Unreachable};
        matches!(self, Failure::Failed(TimedOut | Refused | Unreachable | Reset, _))
    }
}

/// One HTTP response. Everything in it is hostile.
#[derive(Debug, Clone, Default)]
pub struct HttpResponse {
    /// 100 to 999.
    pub status: u16,
    /// Text after the status; may be empty.
    pub reason: String,
    /// Status line and headers as received, up to and including the empty line.
    pub head: Vec<u8>,
    /// In order, names as received.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Decoded (transfer and content encoding), capped.
    pub body: Vec<u8>,
    /// Only the beginning of the body is known: the cap cut it, or it broke off.
    pub truncated: bool,
    /// First byte of the connection or request to the last byte of the response.
    pub duration: Duration,
    /// Who answered.
    pub remote: Option<SocketAddr>,
    /// The request as it went onto the wire.
    pub request: Vec<u8>,
    /// The room that it takes, for as long as somebody has it.
    pub held: Arc<Charge>,
}

impl HttpResponse {
    /// The first header of that name, case-insensitively.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers
            .iter()
            .find(|(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
    }
}

/// One DNS response.
#[derive(Debug, Clone, Default)]
pub struct DnsResponse {
    /// `NOERROR`, `NXDOMAIN`, …
    pub rcode: String,
    /// The question in presentation form.
    pub question: String,
    /// Answer section.
    pub answers: Vec<DnsRecord>,
    /// Authority section.
    pub authority: Vec<DnsRecord>,
    /// Additional section, without OPT.
    pub additional: Vec<DnsRecord>,
    /// Header flags, in words: `qr aa rd ra`.
    pub flags: String,
    /// Who answered.
    pub resolver: Option<SocketAddr>,
}

/// One resource record in presentation form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsRecord {
    /// Owner, with trailing dot.
    pub name: String,
    /// Seconds.
    pub ttl: u32,
    /// `IN`, `CH`, …
    pub class: String,
    /// `A`, `TXT`, …
    pub record_type: String,
    /// Data in presentation form; TXT strings are quoted.
    pub data: String,
}

/// What a dialogue read.
#[derive(Debug, Clone, Default)]
pub struct TcpResponse {
    /// Bytes read after each input, with the input's name; the last entry is the read at the end.
    pub reads: Vec<(Option<String>, Vec<u8>)>,
    /// All bytes sent.
    pub request: Vec<u8>,
    /// Who answered.
    pub remote: Option<SocketAddr>,
    /// The room that it takes, for as long as somebody has it.
    pub held: Arc<Charge>,
}

/// What a handshake showed. A peer that refuses the offer is an answer too: `established` is false.
#[derive(Debug, Clone, Default)]
pub struct TlsResponse {
    /// Did the peer accept the offer (at least sent its ServerHello)?
    pub established: bool,
    /// Version chosen.
    pub version: Option<TlsVersion>,
    /// Suite chosen, IANA name.
    pub cipher: String,
    /// Leaf first.
    pub certificates: Vec<Certificate>,
    /// The peer agreed, but its certificate could not be had or read: nothing that follows from it is known.
    pub certificates_unread: bool,
    /// Is the leaf valid for the host asked for (RFC 6125)?
    pub mismatched: bool,
    /// Leaf is outside its validity period.
    pub expired: bool,
    /// Leaf is signed by its own key.
    pub self_signed: bool,
    /// Chain does not end in itself or is incomplete; none when not examined.
    pub untrusted: Option<bool>,
    /// Server name sent.
    pub sni: Option<String>,
    /// Who answered.
    pub remote: Option<SocketAddr>,
}

/// The facts of one certificate. Everything in it is hostile.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Certificate {
    /// Subject common name.
    pub subject_cn: String,
    /// Subject organisations.
    pub subject_org: Vec<String>,
    /// Subject, RFC 4514 form.
    pub subject_dn: String,
    /// Subject alternative names: names and addresses.
    pub subject_an: Vec<String>,
    /// Issuer common name.
    pub issuer_cn: String,
    /// Issuer organisations.
    pub issuer_org: Vec<String>,
    /// Issuer, RFC 4514 form.
    pub issuer_dn: String,
    /// Colon-separated upper-case hexadecimal.
    pub serial: String,
    /// Seconds since 1970.
    pub not_before: i64,
    /// Seconds since 1970.
    pub not_after: i64,
    /// Lower-case hexadecimal.
    pub sha256: String,
    /// Lower-case hexadecimal.
    pub sha1: String,
    /// Lower-case hexadecimal.
    pub md5: String,
    /// Signature algorithm, such as `SHA256-RSA`.
    pub signature_algorithm: String,
    /// Key algorithm and size in bits, such as `RSA`, 2048.
    pub key_algorithm: String,
    /// Bits.
    pub key_bits: u32,
}
