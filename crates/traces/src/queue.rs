//! What waits to be sent: so much, and no more.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use opentelemetry::Context;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanProcessor},
};

use crate::collector::Reporting;

/// Spans that wait. Each is less than a kilobyte.
const MOST: usize = 4096;
/// Spans in one message.
const BATCH: usize = 512;
/// How often what is there is sent.
const EVERY: Duration = Duration::from_secs(1);

/// How many wait, and for how many there was no room.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    waiting: AtomicUsize,
    dropped: AtomicU64,
}

impl Waiting {
    /// So many wait no more.
    pub(crate) fn gone(&self, spans: usize) {
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
    }

    /// How many there was no room for since somebody asked.
    pub(crate) fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }
}

/// Sends spans in the background, on a thread of its own. The library would drop as well what it has no room for, and say so once for
/// ever; here it is counted.
#[derive(Debug)]
pub(crate) struct Bounded {
    spans: BatchSpanProcessor,
    waiting: Arc<Waiting>,
}

impl Bounded {
    pub(crate) fn new(exporter: Reporting) -> Bounded {
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(MOST)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(EVERY)
            .build();
        let waiting = exporter.waiting();
        Bounded { spans: BatchSpanProcessor::new(exporter, config), waiting }
    }
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.spans.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.waiting.waiting.fetch_add(1, Ordering::Relaxed) >= MOST {
            self.waiting.gone(1);
            self.waiting.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.spans.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.spans.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.spans.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &opentelemetry_sdk::Resource) {
        self.spans.set_resource(resource);
    }
}
