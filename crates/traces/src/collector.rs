//! The way to the collector, and what is said of it.

use std::{
    error::Error,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{Resource, error::OTelSdkResult, trace::SpanData};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use rustls::ClientConfig;
use tokio::runtime::Handle;
use url::Url;

use crate::{TracesError, outward::outward, queue::Waiting};

/// How long the collector may take for one message.
const ANSWER: Duration = Duration::from_secs(4);
/// What is read of its answer.
const MOST_ANSWER: usize = 64 << 10;
/// How often it is said that it takes nothing.
const TELL: Duration = Duration::from_secs(60);
/// Where OTLP over HTTP has it.
const PATH: &str = "/v1/traces";

/// Where a collector takes traces, of the address that it is known by.
///
/// # Errors
/// When it is no such address.
pub fn endpoint(address: &str) -> Result<Url, TracesError> {
    // What is no URL may be a secret all the same.
    let wrong = |why: &str| TracesError(why.to_owned());
    let mut url: Url =
        address.parse().map_err(|_| wrong("it is no URL: write http://HOST:4318 or https://HOST:4318"))?;
    if !["http", "https"].contains(&url.scheme()) || url.host().is_none() {
        return Err(wrong("write http://HOST:4318 or https://HOST:4318: traces are sent by OTLP over HTTP"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            "there is a name or a password in it: give what the collector wants to be told as a header",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it ends with its path: nothing comes after that"));
    }
    if !url.path().ends_with(PATH) {
        let path = format!("{}{PATH}", url.path().trim_end_matches('/'));
        url.set_path(&path);
    }
    Ok(url)
}

/// Sends by the client that the rest of the platform has. The library's own would need a runtime where there is none.
pub(crate) struct Collector {
    url: Url,
    headers: HeaderMap,
    client: reqwest::Client,
    runtime: Handle,
    /// What was wrong when it was last asked: the library does not tell.
    trouble: Arc<Mutex<Option<String>>>,
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Collector").field(&self.url.as_str()).finish()
    }
}

impl Collector {
    pub(crate) fn new(
        url: Url,
        headers: HeaderMap,
        trusted: ClientConfig,
        runtime: Handle,
    ) -> Result<Collector, TracesError> {
        let builder = reqwest::Client::builder()
            .timeout(ANSWER)
            // Its headers are for the collector, and for nobody whom it names.
            .redirect(reqwest::redirect::Policy::none())
            .tls_backend_preconfigured(trusted)
            .user_agent(concat!("rampart/", env!("CARGO_PKG_VERSION")));
        // What goes out in the clear goes past whatever proxy the environment names.
        let builder = match url.scheme() {
            "https" => builder.https_only(true),
            _ => builder.no_proxy(),
        };
        let client = builder.build().map_err(TracesError::of)?;
        Ok(Collector { url, headers, client, runtime, trouble: Arc::default() })
    }

    fn trouble(&self, trouble: impl fmt::Display) -> HttpError {
        let trouble = trouble.to_string();
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(trouble.clone());
        trouble.into()
    }
}

#[async_trait]
impl HttpClient for Collector {
    /// Of the request only what is to be sent counts: to whom, and with which headers, was said before.
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sending = self
            .client
            .post(self.url.clone())
            .headers(self.headers.clone())
            .header(CONTENT_TYPE, "application/x-protobuf")
            .body(request.into_body());
        // Whoever waits here has no runtime.
        let answer = self.runtime.spawn(async move {
            let mut answer = sending.send().await?;
            let (status, mut body) = (answer.status(), Vec::new());
            while let Some(piece) = answer.chunk().await? {
                if body.len() + piece.len() > MOST_ANSWER {
                    break;
                }
                body.extend_from_slice(&piece);
            }
            Ok::<_, reqwest::Error>((status, body))
        });
        let (status, body) = match answer.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(self.trouble(Chain(&error.without_url()))),
            Err(_) => return Err(self.trouble("this process ends")),
        };
        if !status.is_success() {
            return Err(self.trouble(format!("it answers with {status}")));
        }
        Ok(Response::new(body.into()))
    }
}

/// What is behind an error says more than the error.
struct Chain<'e>(&'e dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut inner = self.0.source();
        while let Some(error) = inner {
            write!(f, ": {error}")?;
            inner = error.source();
        }
        Ok(())
    }
}

/// Sends, and says once in a while that the collector does not take what is sent.
#[derive(Debug)]
pub(crate) struct Reporting {
    exporter: SpanExporter,
    collector: String,
    trouble: Arc<Mutex<Option<String>>>,
    waiting: Arc<Waiting>,
    report: Mutex<Report>,
}

/// What was lost and not said yet, and when something was said.
#[derive(Debug, Default)]
struct Report {
    lost: u64,
    told: Option<Instant>,
    is_open: bool,
}

impl Reporting {
    pub(crate) fn new(collector: Collector) -> Result<Reporting, TracesError> {
        let (address, trouble) = (collector.url.to_string(), Arc::clone(&collector.trouble));
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(collector)
            .with_endpoint(address.clone())
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(ANSWER)
            // It would sleep on the thread that sends, for as long as the collector says.
            .with_retry_policy(RetryPolicy::disabled())
            .build()
            .map_err(TracesError::of)?;
        let (waiting, report) = (Arc::default(), Mutex::default());
        Ok(Reporting { exporter, collector: address, trouble, waiting, report })
    }

    pub(crate) fn waiting(&self) -> Arc<Waiting> {
        Arc::clone(&self.waiting)
    }

    /// So many spans did not arrive, and why; and those for which there was no room.
    fn tell(&self, failed: Option<(u64, String)>) {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        let (dropped, collector) = (self.waiting.take_dropped(), &self.collector);
        let (failed, why) = match failed {
            Some((spans, why)) => (spans, Some(why)),
            None if dropped > 0 => (0, Some("it takes longer than there is room for".to_owned())),
            None => (0, None),
        };
        report.lost += failed + dropped;
        match why {
            Some(why) if report.told.is_none_or(|told| told.elapsed() >= TELL) => {
                let lost = std::mem::take(&mut report.lost);
                (report.told, report.is_open) = (Some(Instant::now()), true);
                tracing::warn!(collector, why, lost, "traces are lost: the collector does not take them");
            }
            None if std::mem::take(&mut report.is_open) => {
                let lost = std::mem::take(&mut report.lost);
                tracing::info!(collector, lost, "the collector takes traces again");
            }
            _ => {}
        }
    }
}

impl opentelemetry_sdk::trace::SpanExporter for Reporting {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.waiting.gone(batch.len());
        let spans: Vec<SpanData> = batch.into_iter().filter_map(outward).collect();
        if spans.is_empty() {
            return Ok(());
        }
        let count = u64::try_from(spans.len()).unwrap_or(u64::MAX);
        let sent = self.exporter.export(spans).await;
        self.tell(sent.as_ref().err().map(|error| {
            let known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take();
            (count, known.unwrap_or_else(|| error.to_string()))
        }));
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_an_address_without_secrets() {
        for (address, sent_to) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("https://collector.test/", "https://collector.test/v1/traces"),
            ("https://collector.test/otlp", "https://collector.test/otlp/v1/traces"),
            ("https://collector.test/v1/traces", "https://collector.test/v1/traces"),
        ] {
            assert_eq!(endpoint(address).unwrap().as_str(), sent_to);
        }
        for address in [
            "",
            "collector.test:4318",
            "grpc://collector.test:4317",
            "https://",
            "https://me@collector.test",
            "https://:s3cret@collector.test",
            "https://collector.test/?token=s3cret",
            "https://collector.test/#s3cret",
        ] {
            let error = endpoint(address).unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{address}: {error}");
        }
    }
}
