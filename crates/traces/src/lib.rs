//! Traces: what was done for a request, in whatever processes, as a collector of OpenTelemetry understands it.
//!
//! What is traced are the spans that the log has as well. Gateways and workers say here where they stand in a trace and where they go on;
//! the binary says where traces are sent. Without that everything here does nothing.

mod collector;
mod outward;
mod queue;

use std::{error::Error, time::Duration};

use model::TraceParent;
use opentelemetry::{
    KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceContextExt, TraceState, TracerProvider},
};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider, SpanLimits},
};
use reqwest::header::HeaderMap;
use rustls::ClientConfig;
use tokio::runtime::Handle;
use tracing::{Metadata, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};
use url::Url;

pub use self::collector::endpoint;
use self::{
    collector::{Collector, Reporting},
    outward::{ANSWERED, ENDED},
    queue::Bounded,
};

/// How long the last spans may take when a process ends.
const END: Duration = Duration::from_secs(5);
/// Of these crates the spans are sent. What libraries say of themselves is for nobody else, and the sending itself is not to be sent.
const TRACED: [&str; 2] = ["gateway", "worker"];

/// Where traces are sent, and of how much.
#[derive(Debug, Clone)]
pub struct Settings {
    /// A collector that understands OTLP over HTTP, as [`endpoint`] makes it.
    pub collector: Url,
    /// What it wants to be told with each request: secrets, mostly.
    pub headers: HeaderMap,
    /// Whose word is taken that it is the collector.
    pub trusted: ClientConfig,
    /// Of so many of the traces that begin here, from 0 to 1.
    pub ratio: f64,
    /// Which of the processes of an installation this is.
    pub service: &'static str,
    /// The release.
    pub version: &'static str,
    /// Which of several of them.
    pub instance: String,
}

/// Traces cannot be sent.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TracesError(String);

impl TracesError {
    fn of(error: impl Error) -> TracesError {
        TracesError(error.to_string())
    }
}

/// Sends what is traced until it is ended.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Sends what is left. Blocks for five seconds at most, and must not be called by the runtime that sends.
    ///
    /// # Errors
    /// When the collector has not taken it by then.
    pub fn end(self) -> Result<(), TracesError> {
        self.0.shutdown_with_timeout(END).map_err(TracesError::of)
    }
}

/// Begins to trace: what is to be put beside the log, and what ends it. Nothing waits for the collector: what it does not take is
/// dropped, and said once in a while. The runtime sends, and has to go on for as long as traces are to be sent.
///
/// # Errors
/// When no client can be made for such a collector.
pub fn start<S>(
    settings: Settings,
    runtime: Handle,
) -> Result<(impl Layer<S> + Send + Sync + 'static, Traces), TracesError>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    let Settings { collector, headers, trusted, ratio, service, version, instance } = settings;
    let exporter = Reporting::new(Collector::new(collector, headers, trusted, runtime)?)?;
    // Everything is said here: what the libraries find in the environment is nobody's setting.
    let resource = Resource::builder_empty().with_service_name(service).with_attributes([
        KeyValue::new("service.namespace", "rampart"),
        KeyValue::new("service.version", version),
        KeyValue::new("service.instance.id", instance),
    ]);
    let limits = SpanLimits {
        max_events_per_span: 0,
        max_attributes_per_span: 16,
        max_links_per_span: 1,
        max_attributes_per_event: 0,
        max_attributes_per_link: 0,
    };
    let provider = SdkTracerProvider::builder()
        .with_resource(resource.build())
        .with_span_limits(limits)
        // Whoever began a trace has decided for all of it. That is always one of us: strangers' traces are linked, never gone on with.
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))))
        .with_span_processor(Bounded::new(exporter))
        .build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("rampart"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        // So that a span can be told where it goes on until something follows from it.
        .with_context_activation(false)
        .with_filter(filter_fn(is_traced));
    Ok((layer, Traces(provider)))
}

/// Lines of the log are none of it: they may say anything.
fn is_traced(metadata: &Metadata<'_>) -> bool {
    let room = metadata.target().split("::").next().unwrap_or_default();
    metadata.is_span() && *metadata.level() <= tracing::Level::INFO && TRACED.contains(&room)
}

/// Where this is in a trace, for what follows from it; none when nothing is traced.
pub fn here() -> Option<TraceParent> {
    let context = Span::current().context();
    let context = context.span().span_context().clone();
    context.is_valid().then(|| TraceParent {
        trace: u128::from_be_bytes(context.trace_id().to_bytes()),
        span: u64::from_be_bytes(context.span_id().to_bytes()),
        sampled: context.is_sampled(),
    })
}

/// What is done in the span follows from there. To be said before anything is done in it.
pub fn go_on(span: &Span, from: TraceParent) {
    let parent = opentelemetry::Context::new().with_remote_span_context(context(from));
    if let Err(error) = span.set_parent(parent) {
        // Nothing is traced, or the filter of the log has let nothing of the span be there.
        tracing::trace!(%error, "a span begins a trace of its own");
    }
}

/// What is done in the current span has to do with that: somebody else's trace, of which nothing is believed.
pub fn link(to: TraceParent) {
    Span::current().add_link(context(to));
}

/// Says with which status a request was answered.
pub fn answered(span: &Span, status: u16) {
    span.set_attribute(ANSWERED, i64::from(status));
}

/// Says how a task ended.
pub fn ended(span: &Span, end: &'static str) {
    span.set_attribute(ENDED, end);
}

fn context(at: TraceParent) -> SpanContext {
    let flags = if at.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let (trace, span) = (TraceId::from(at.trace), SpanId::from(at.span));
    SpanContext::new(trace, span, flags, true, TraceState::default())
}
