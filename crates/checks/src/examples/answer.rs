//! From a request to the answer of an example.

use std::{sync::Arc, time::Duration};

use super::{CannedDns, CannedExchange, CannedHttp, CannedTls, NOW};
use crate::exchange::{
    DnsRequest, DnsResponse, HttpForm, HttpRequest, HttpResponse, Request, Response, TcpRequest, TcpResponse,
    TlsRequest, TlsResponse,
};

/// What an example answers.
///
/// # Errors
/// When the exchanges cannot belong to such a request.
pub(super) fn to(request: &Request, exchanges: &[CannedExchange]) -> Result<Response, String> {
    Ok(match request {
        Request::Http(request) => Response::Http(Arc::new(http(request, exchanges))),
        Request::Dns(request) => Response::Dns(Arc::new(dns(request, exchanges))),
        Request::Tcp(request) => Response::Tcp(Arc::new(tcp(request, exchanges)?)),
        Request::Tls(request) => Response::Tls(Arc::new(tls(request, exchanges))),
    })
}

fn http(request: &HttpRequest, exchanges: &[CannedExchange]) -> HttpResponse {
    let line = match &request.form {
        HttpForm::Structured { method, target, .. } => format!("{method} {target}"),
        HttpForm::Verbatim(bytes) => {
            let line = bytes.split(|byte| *byte == b'\r' || *byte == b'\n').next().unwrap_or_default();
            String::from_utf8_lossy(line)
                .rsplit_once(' ')
                .map(|(line, _)| line.to_owned())
                .unwrap_or_default()
        }
    };
    let canned = exchanges.iter().find_map(|exchange| match exchange {
        CannedExchange::Http { request, answer } if *request == line => Some(answer),
        _ => None,
    });
    match canned {
        Some(answer) => response(answer, &line),
        None => response(&not_found(), &line),
    }
}

fn not_found() -> CannedHttp {
    CannedHttp {
        status: 404,
        headers: vec![("Content-Type".to_owned(), "text/html".to_owned())],
        body: b"<html><head><title>404 Not Found</title></head><body><h1>Not Found</h1></body></html>"
            .to_vec(),
    }
}

fn response(answer: &CannedHttp, line: &str) -> HttpResponse {
    let mut head = format!("HTTP/1.1 {} \r\n", answer.status);
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    HttpResponse {
        status: answer.status,
        head: head.into_bytes(),
        headers: answer
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone().into_bytes()))
            .collect(),
        body: answer.body.clone(),
        duration: Duration::from_millis(1),
        request: format!("{line} HTTP/1.1\r\n\r\n").into_bytes(),
        ..HttpResponse::default()
    }
}

fn dns(request: &DnsRequest, exchanges: &[CannedExchange]) -> DnsResponse {
    let canned = exchanges.iter().find_map(|exchange| match exchange {
        CannedExchange::Dns { request: wanted, answer } if asks(wanted, request) => Some(answer),
        _ => None,
    });
    let CannedDns { rcode, answers, authority } = canned.cloned().unwrap_or_else(|| CannedDns {
        rcode: "NXDOMAIN".to_owned(),
        answers: Vec::new(),
        authority: Vec::new(),
    });
    DnsResponse {
        rcode,
        question: format!("{}.\t{}\t{}", request.name, request.class, request.record_type),
        answers,
        authority,
        additional: Vec::new(),
        flags: "qr rd ra".to_owned(),
        resolver: None,
    }
}

/// Is this `TYPE name` the question, with `*` for one label or several?
fn asks(wanted: &str, request: &DnsRequest) -> bool {
    let Some((record_type, name)) = wanted.split_once(' ') else { return false };
    let asked = request.name.trim_end_matches('.');
    let fits = match name.strip_prefix('*') {
        Some(end) => asked.len() > end.len() && asked.ends_with(end),
        None => asked.eq_ignore_ascii_case(name),
    };
    fits && record_type.eq_ignore_ascii_case(&request.record_type)
}

fn tcp(request: &TcpRequest, exchanges: &[CannedExchange]) -> Result<TcpResponse, String> {
    let canned = exchanges.iter().find_map(|exchange| match exchange {
        CannedExchange::Tcp(reads) => Some(reads.as_slice()),
        _ => None,
    });
    let mut canned = canned.unwrap_or_default().iter();
    let mut reads = Vec::new();
    for input in &request.inputs {
        let read = if input.read > 0 { canned.next().cloned() } else { None };
        reads.push((input.name.clone(), read.unwrap_or_default()));
    }
    reads.push((None, canned.next().cloned().unwrap_or_default()));
    match canned.count() {
        0 => Ok(TcpResponse {
            reads,
            request: request.inputs.iter().flat_map(|input| input.data.iter().copied()).collect(),
            ..TcpResponse::default()
        }),
        left => Err(format!("the example has {left} reads more than the dialogue")),
    }
}

fn tls(request: &TlsRequest, exchanges: &[CannedExchange]) -> TlsResponse {
    let canned = exchanges.iter().find_map(|exchange| match exchange {
        CannedExchange::Tls(answer) => answer.as_deref(),
        _ => None,
    });
    let Some(CannedTls { version, cipher, certificate, self_signed, mismatched }) = canned.cloned() else {
        return TlsResponse { sni: Some(request.host.clone()), ..TlsResponse::default() };
    };
    let now = NOW.as_second();
    TlsResponse {
        certificates_unread: false,
        established: true,
        version: Some(version),
        cipher,
        mismatched,
        expired: now < certificate.not_before || certificate.not_after < now,
        self_signed,
        untrusted: Some(self_signed),
        certificates: vec![certificate],
        sni: Some(request.host.clone()),
        remote: None,
    }
}
