//! What a scan came to: read from the journal, written as reports.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap, HashSet},
    fs::File,
    io::{BufWriter, Write},
    path::PathBuf,
};

use anyhow::Context;
use model::{Asset, CheckId, Event, Finding, Fingerprint, Ledger, Stage, Summary};
use report::{Format, Source, SourceError, Stream};
use scanner::pipeline::End;
use sha2::{Digest, Sha256};

use super::{
    Engine,
    journal::Reader,
    place::Place,
    settings::Settings,
    targets::Targets,
};

/// How many undetermined things a report names.
const NAMED_UNDETERMINED: usize = 1_000;

/// The frame of the report, and where in the journal its findings and assets stand.
pub(super) struct Recap {
    pub(super) summary: Summary,
    /// Most severe first.
    findings: Vec<u64>,
    assets: Vec<u64>,
}

/// What a finding is sorted by, without keeping the finding: 100,000 of them take a few megabytes.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    severity: std::cmp::Reverse<model::Severity>,
    confidence: std::cmp::Reverse<model::Confidence>,
    check: CheckId,
    location: Box<str>,
    offset: u64,
}

#[derive(Default)]
struct Tally {
    ranks: Vec<Rank>,
    seen_findings: HashSet<Fingerprint>,
    assets: Vec<u64>,
    seen_assets: HashSet<[u8; 16]>,
    asset_kinds: BTreeMap<String, u64>,
    severities: BTreeMap<model::Severity, u64>,
    ledger: Ledger,
    /// Of units that were stopped in the middle, until a later run does them.
    partial: HashMap<(Stage, String), Ledger>,
    undetermined: Vec<String>,
    undetermined_count: u64,
    left_out: Vec<String>,
    left_out_count: u64,
}

impl Tally {
    fn take(&mut self, event: Event, offset: u64) {
        match event {
            Event::Finding { finding } => {
                if self.seen_findings.insert(finding.fingerprint) {
                    *self.severities.entry(finding.severity).or_default() += 1;
                    self.ranks.push(Rank {
                        severity: std::cmp::Reverse(finding.severity),
                        confidence: std::cmp::Reverse(finding.confidence),
                        location: finding.location.to_string().into_boxed_str(),
                        check: finding.check,
                        offset,
                    });
                }
            }
            Event::Asset { asset } => {
                let (kind, identity) = asset_identity(&asset);
                let digest = Sha256::digest(identity.as_bytes());
                let mut key = [0; 16];
                key.copy_from_slice(&digest[..16]);
                if self.seen_assets.insert(key) {
                    *self.asset_kinds.entry(kind.to_owned()).or_default() += 1;
                    self.assets.push(offset);
                }
            }
            Event::Done { stage, unit, ledger, .. } => {
                add(&mut self.ledger, &ledger);
                self.partial.remove(&(stage, unit));
            }
            Event::Partial { stage, unit, ledger } => {
                self.partial.insert((stage, unit), ledger);
            }
            Event::Undetermined { stage, unit, reason } => {
                self.undetermined_count += 1;
                if self.undetermined.len() < NAMED_UNDETERMINED {
                    self.undetermined.push(format!("{stage}: {unit}: {reason}"));
                }
            }
            Event::LeftOut { stage, unit, why } => {
                self.left_out_count += 1;
                if self.left_out.len() < NAMED_UNDETERMINED {
                    self.left_out.push(format!("{stage}: {unit}: {why}"));
                }
            }
        }
    }
}

/// The same thing seen twice is one asset.
fn asset_identity(asset: &Asset) -> (&'static str, String) {
    match asset {
        Asset::Domain { name, .. } => ("domain", format!("domain {name}")),
        Asset::Host { address, .. } => ("host", format!("host {address}")),
        Asset::Service(service) => ("service", format!("service {}:{}", service.endpoint.address, service.endpoint.port)),
        Asset::Page { url, .. } => ("page", format!("page {url}")),
        Asset::Form { action, method, fields, .. } => ("form", format!("form {method} {action} {fields:?}")),
        Asset::Endpoint { url, .. } => ("endpoint", format!("endpoint {url}")),
    }
}

fn add(ledger: &mut Ledger, more: &Ledger) {
    for (check, account) in &more.checks {
        ledger.checks.entry(check.clone()).or_default().add(account);
    }
}

pub(super) fn build(
    place: &Place,
    settings: &Settings,
    engine: &Engine,
    targets: &Targets,
    end: End,
    resumed_from: Option<jiff::Timestamp>,
) -> anyhow::Result<Recap> {
    let mut tally = Tally::default();
    for entry in Reader::open(place.directory())? {
        let entry = entry?;
        tally.take(entry.event, entry.offset);
    }
    let partial = std::mem::take(&mut tally.partial);
    partial.values().for_each(|ledger| add(&mut tally.ledger, ledger));
    tally.ranks.sort_unstable();
    let counters = engine.dialer.counters();
    let read = |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
    let header = super::journal::Journal::header(place.directory())?;
    let summary = Summary {
        scan: settings.scan,
        tool: format!("rampart {}", env!("CARGO_PKG_VERSION")),
        started_at: resumed_from.unwrap_or(header.started_at),
        ended_at: jiff::Timestamp::now(),
        complete: end == End::Complete,
        incomplete_because: match end {
            End::Complete => None,
            End::Stopped => Some("it was stopped".to_owned()),
            End::Deadline => Some("its deadline passed".to_owned()),
        },
        targets: targets.first.clone(),
        target_count: targets.count,
        authorised_by: settings.scope.authorised_by.clone(),
        scope: settings.scope.describe(),
        profile: settings.profile,
        limits: engine.dialer.limits().clone(),
        stages: settings.stages.iter().copied().collect(),
        checks: settings.library.templates.len(),
        refused_checks: settings.refused.clone(),
        ledger: tally.ledger,
        undetermined: tally.undetermined,
        undetermined_count: tally.undetermined_count,
        left_out: tally.left_out,
        left_out_count: tally.left_out_count,
        findings: tally.severities,
        assets: tally.asset_kinds,
        requests: read(&counters.requests),
        shared_requests: read(&counters.shared),
        probes: read(&counters.probes),
        queries: read(&counters.queries),
    };
    Ok(Recap { summary, findings: tally.ranks.into_iter().map(|rank| rank.offset).collect(), assets: tally.assets })
}

impl Recap {
    /// Writes every report that was asked for.
    pub(super) fn write_reports(&self, place: &Place) -> anyhow::Result<()> {
        for format in &place.files {
            let path = place.report(*format);
            let describe = || format!("cannot write the report `{}`", path.display());
            let temporary = temporary_beside(&path);
            let mut out = BufWriter::new(File::create(&temporary).with_context(describe)?);
            self.write(*format, place, &mut out).with_context(describe)?;
            out.flush().with_context(describe)?;
            // A report is there as a whole or not at all.
            std::fs::rename(&temporary, &path).with_context(describe)?;
        }
        match place.standard_output {
            // Its lines were printed as they came.
            Some(Format::JsonLines) | None => Ok(()),
            Some(format) => {
                let mut out = BufWriter::new(std::io::stdout().lock());
                self.write(format, place, &mut out)?;
                out.flush()?;
                Ok(())
            }
        }
    }

    fn write(&self, format: Format, place: &Place, out: &mut dyn Write) -> anyhow::Result<()> {
        let findings = || self.stream(place, &self.findings, |event| match event {
            Event::Finding { finding } => Some(*finding),
            _ => None,
        });
        let assets = || self.stream(place, &self.assets, |event| match event {
            Event::Asset { asset } => Some(asset),
            _ => None,
        });
        let source = Source { summary: &self.summary, findings: &findings, assets: &assets };
        report::write(format, &source, out)?;
        Ok(())
    }

    fn stream<'a, T: 'a>(
        &'a self,
        place: &Place,
        offsets: &'a [u64],
        pick: impl Fn(Event) -> Option<T> + 'a,
    ) -> Result<Stream<'a, T>, SourceError> {
        let reader = RefCell::new(Reader::open(place.directory()).map_err(SourceError::new)?);
        Ok(Box::new(offsets.iter().filter_map(move |offset| {
            reader.borrow_mut().at(*offset).map(&pick).map_err(SourceError::new).transpose()
        })))
    }
}

fn temporary_beside(path: &std::path::Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

/// For JSON Lines on standard output: findings as they come.
pub(super) fn line_of(finding: &Finding) -> anyhow::Result<Vec<u8>> {
    let mut line = Vec::new();
    report::write_finding_line(finding, &mut line)?;
    Ok(line)
}
