//! What whoever watches sees of backups and drills, by the names that OpenMetrics gives them.

use std::{fmt, sync::Arc, time::Duration};

use backup::{ArchiveFigures, Shipped};
use jiff::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

/// Shown as they are when somebody asks.
#[derive(Debug)]
struct Shown(Arc<ArchiveFigures>);

pub(super) fn register(registry: &mut Registry, figures: Arc<ArchiveFigures>) {
    registry.register_collector(Box::new(Shown(figures)));
}

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let now = self.0.now();
        let seconds = |time: Timestamp| time.as_millisecond() as f64 / 1_000.0;
        let drill = now.drill.as_ref();
        // What is not known is not shown: zero would be a time and a length.
        let gauges = [
            (
                "archive_current_timestamp_seconds",
                "When everything written ahead was in the place",
                now.current_at.map(seconds),
            ),
            (
                "archive_waiting_files",
                "Files of what is written ahead that wait in the spool",
                Some(now.waiting as f64),
            ),
            (
                "archive_gap",
                "1 when something is missing since the newest backup",
                Some(f64::from(u8::from(now.gap))),
            ),
            (
                "backup_last_success_timestamp_seconds",
                "When the newest backup was done",
                now.backup_at.map(seconds),
            ),
            (
                "drill_last_success_timestamp_seconds",
                "When the newest drill without trouble was done",
                now.drill_passed_at.map(seconds),
            ),
            (
                "drill_rpo_seconds",
                "What the newest drill would have lost",
                drill.map(|drill| drill.rpo_seconds),
            ),
            (
                "drill_rto_seconds",
                "How long the newest drill took until the database took writes",
                drill.map(|drill| drill.rto_seconds),
            ),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                ConstGauge::new(value).encode(encoder.encode_descriptor(
                    name,
                    help,
                    None,
                    MetricType::Gauge,
                )?)?;
            }
        }
        let counters = [
            ("archive_files", "Files of what is written ahead that were put in the place", now.files),
            ("archive_bytes", "Bytes of them", now.bytes),
            ("archive_failures", "Times that something could not be put there", now.failures),
        ];
        for (name, help, value) in counters {
            ConstCounter::new(value).encode(encoder.encode_descriptor(
                name,
                help,
                None,
                MetricType::Counter,
            )?)?;
        }
        Ok(())
    }
}

/// How long nothing may come to the place until something is wrong.
pub(super) fn patience(every: Duration) -> Duration {
    (every * 3).max(Duration::from_secs(60))
}

/// Why nothing is kept, if so.
pub(super) fn trouble(now: &Shipped, patience: Duration, at: Timestamp) -> Option<&'static str> {
    let is_late = |kept: Timestamp| at.duration_since(kept).unsigned_abs() > patience;
    match now.current_at {
        None => Some("nothing has come to the place for backups yet"),
        Some(kept) if is_late(kept) => Some("nothing comes to the place for backups any more"),
        Some(_) => None,
    }
}
