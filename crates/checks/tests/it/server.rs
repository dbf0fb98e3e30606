//! Servers that answer from a function, and runs against them.

use std::{collections::BTreeMap, sync::Arc};

use checks::{
    Run, RunOptions, RunTarget, Step, Template, Verdict,
    exchange::{Failure, HttpForm, HttpRequest, HttpResponse, Request, Response},
    template,
};

/// A template whose blocks are given, with the fields that every template needs.
pub(crate) fn template(blocks: &str) -> Arc<Template> {
    let text =
        format!("id: under-test\ninfo:\n  name: Under test\n  author: tests\n  severity: info\n{blocks}");
    match template::parse(&text, "under-test.yaml") {
        Ok(template) => Arc::new(template),
        Err(diagnostics) => {
            let lines: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
            panic!("refused:\n{}\n{text}", lines.join("\n"));
        }
    }
}

/// A web site or page without a known address.
pub(crate) fn web(url: &str) -> RunTarget {
    RunTarget::web(url.parse().unwrap(), None)
}

/// What a run sent, and how it ended.
pub(crate) struct Ran {
    pub(crate) sent: Vec<Request>,
    pub(crate) verdict: Verdict,
}

impl Ran {
    /// `METHOD target` of each structured HTTP request, the first line of each verbatim one.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.sent.iter().map(line).collect()
    }

    /// Only the targets.
    pub(crate) fn targets(&self) -> Vec<String> {
        let target =
            |line: String| line.split_once(' ').map_or(String::new(), |(_, target)| target.to_owned());
        self.lines().into_iter().map(target).collect()
    }

    /// Matcher names, empty for nameless matches.
    pub(crate) fn names(&self) -> Vec<String> {
        self.verdict.matches.iter().map(|found| found.matcher.clone().unwrap_or_default()).collect()
    }

    /// Places of the matches.
    pub(crate) fn places(&self) -> Vec<&str> {
        self.verdict.matches.iter().map(|found| found.matched_at.as_str()).collect()
    }
}

fn line(request: &Request) -> String {
    match request {
        Request::Http(HttpRequest { form: HttpForm::Structured { method, target, .. }, .. }) => {
            format!("{method} {target}")
        }
        Request::Http(HttpRequest { form: HttpForm::Verbatim(bytes), .. }) => {
            String::from_utf8_lossy(bytes.split(|byte| *byte == b'\r').next().unwrap_or_default())
                .into_owned()
        }
        other => format!("{other:?}"),
    }
}

/// Runs to the end with everything at its default.
pub(crate) fn run(
    template: &Arc<Template>,
    target: &RunTarget,
    answer: impl FnMut(&Request) -> Result<Response, Failure>,
) -> Ran {
    run_with(template, target, &RunOptions::default(), answer)
}

/// Runs to the end.
pub(crate) fn run_with(
    template: &Arc<Template>,
    target: &RunTarget,
    options: &RunOptions,
    mut answer: impl FnMut(&Request) -> Result<Response, Failure>,
) -> Ran {
    let mut run = Run::new(Arc::clone(template), target, options);
    let mut sent = Vec::new();
    loop {
        match run.next() {
            Step::Send(request) => {
                assert!(sent.len() < 20_000, "the run does not end");
                let response = answer(&request);
                sent.push(request);
                run.receive(response);
            }
            Step::Done(verdict) => return Ran { sent, verdict },
        }
    }
}

/// Values from the command line.
pub(crate) fn given(pairs: &[(&str, &str)]) -> RunOptions {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    RunOptions { variables: pairs.iter().map(pair).collect::<BTreeMap<_, _>>(), ..RunOptions::default() }
}

/// An HTTP server that sees method, target, headers (lower-case names) and body.
pub(crate) fn http(
    mut answer: impl FnMut(&Seen<'_>) -> HttpResponse,
) -> impl FnMut(&Request) -> Result<Response, Failure> {
    move |request| {
        let Request::Http(request) = request else { panic!("not HTTP: {request:?}") };
        let seen = match &request.form {
            HttpForm::Structured { method, target, headers, body } => Seen {
                request,
                method: method.clone(),
                target: target.clone(),
                headers: headers
                    .iter()
                    .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
                    .collect(),
                body: String::from_utf8_lossy(body).into_owned(),
            },
            HttpForm::Verbatim(bytes) => {
                let text = String::from_utf8_lossy(bytes).into_owned();
                let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
                let mut words = head.split(' ');
                let method = words.next().unwrap_or_default().to_owned();
                let target = words.next().unwrap_or_default().to_owned();
                let headers = head.lines().skip(1).filter_map(|line| line.split_once(": "));
                let headers =
                    headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
                Seen { request, method, target, headers, body: body.to_owned() }
            }
        };
        Ok(Response::Http(Arc::new(answer(&seen))))
    }
}

/// One request as a server sees it.
pub(crate) struct Seen<'r> {
    pub(crate) request: &'r HttpRequest,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Seen<'_> {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// A response with a status, headers and a body.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> HttpResponse {
    let mut head = format!("HTTP/1.1 {status} Reason\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    HttpResponse {
        status,
        reason: "Reason".to_owned(),
        head: head.into_bytes(),
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
            .collect(),
        body: body.as_bytes().to_vec(),
        ..HttpResponse::default()
    }
}

/// 200 with a body.
pub(crate) fn ok(body: &str) -> HttpResponse {
    answer(200, &[], body)
}

/// 404.
pub(crate) fn missing() -> HttpResponse {
    answer(404, &[], "nothing here")
}

/// A redirect.
pub(crate) fn moved(status: u16, to: &str) -> HttpResponse {
    answer(status, &[("Location", to)], "moved")
}
