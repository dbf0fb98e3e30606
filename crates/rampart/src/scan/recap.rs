//! What a scan came to: read from the journal, written as reports.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, hash_map::Entry},
    io::{BufWriter, Write},
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::Context;
use model::{CheckId, Event, Finding, Fingerprint, Ledger, Stage, Summary, Traffic};
use report::{Format, Source, SourceError, Stream};
use scanner::pipeline::End;
use sha2::{Digest, Sha256};

use super::{
    Engine,
    journal::{Header, Reader},
    place::{Place, private_file},
    settings::Settings,
    targets::Targets,
};

/// How many undetermined things, and how many that were left out, a report names.
const NAMED_REMARKS: usize = 1_000;
/// How many of one unit are kept until it is done.
const NAMED_OF_UNIT: usize = 30;

/// The frame of the report, and where in the journal its findings and assets stand.
pub(super) struct Recap {
    pub(super) summary: Summary,
    /// Most severe first.
    findings: Vec<u64>,
    assets: Vec<u64>,
    machines: HashMap<Fingerprint, BTreeSet<IpAddr>>,
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
    seen_findings: HashMap<Fingerprint, Option<IpAddr>>,
    /// Of findings that were seen on several machines, all of them.
    machines: HashMap<Fingerprint, BTreeSet<IpAddr>>,
    assets: Vec<u64>,
    seen_assets: HashSet<[u8; 16]>,
    asset_kinds: BTreeMap<String, u64>,
    severities: BTreeMap<model::Severity, u64>,
    ledger: Ledger,
    /// Of units that were stopped in the middle, until a later run does them.
    partial: HashMap<(Stage, String), Ledger>,
    undetermined: Remarks,
    left_out: Remarks,
    traffic: Traffic,
}

/// What was said of units. It counts once the unit is done; as long as it is not, a later run may find something else.
#[derive(Default)]
struct Remarks {
    named: Vec<String>,
    count: u64,
    /// About units that this run has not finished.
    open: HashMap<(Stage, String), OfUnit>,
    /// About units that an earlier run did not finish, until a later one comes to them.
    earlier: HashMap<(Stage, String), OfUnit>,
}

#[derive(Default)]
struct OfUnit {
    /// The first of them.
    named: Vec<String>,
    count: u64,
}

impl Remarks {
    fn say(&mut self, stage: Stage, unit: String, remark: String) {
        let unit = (stage, unit);
        self.earlier.remove(&unit);
        let of_unit = self.open.entry(unit).or_default();
        of_unit.count += 1;
        if of_unit.named.len() < NAMED_OF_UNIT {
            of_unit.named.push(remark);
        }
    }

    fn settle(&mut self, unit: &(Stage, String)) {
        self.earlier.remove(unit);
        if let Some(of_unit) = self.open.remove(unit) {
            self.count(unit, of_unit);
        }
    }

    fn count(&mut self, (stage, unit): &(Stage, String), of_unit: OfUnit) {
        self.count += of_unit.count;
        let room = NAMED_REMARKS.saturating_sub(self.named.len());
        self.named
            .extend(of_unit.named.into_iter().take(room).map(|remark| format!("{stage}: {unit}: {remark}")));
    }

    fn resumed(&mut self) {
        self.earlier.extend(self.open.drain());
    }

    /// What no run came to the end of counts as it stands.
    fn settle_all(&mut self) {
        self.resumed();
        let mut left: Vec<_> = self.earlier.drain().collect();
        left.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (unit, of_unit) in left {
            self.count(&unit, of_unit);
        }
    }
}

impl Tally {
    fn take(&mut self, event: Event, offset: u64) {
        match event {
            Event::Finding { finding } => {
                let address = finding.addresses.first().copied();
                let first = match self.seen_findings.entry(finding.fingerprint) {
                    Entry::Vacant(place) => {
                        place.insert(address);
                        true
                    }
                    Entry::Occupied(seen) => {
                        if *seen.get() != address {
                            let machines = self.machines.entry(finding.fingerprint).or_default();
                            machines.extend(seen.get().iter().chain(&address));
                        }
                        false
                    }
                };
                if first {
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
                let identity = asset.identity();
                let digest = Sha256::digest(identity.as_bytes());
                let mut key = [0; 16];
                key.copy_from_slice(&digest[..16]);
                if self.seen_assets.insert(key) {
                    *self.asset_kinds.entry(asset.kind().as_str().to_owned()).or_default() += 1;
                    self.assets.push(offset);
                }
            }
            Event::Done { stage, unit, ledger, .. } => {
                self.ledger.add(&ledger);
                let unit = (stage, unit);
                self.partial.remove(&unit);
                self.undetermined.settle(&unit);
                self.left_out.settle(&unit);
            }
            Event::Partial { stage, unit, ledger } => {
                self.partial.insert((stage, unit), ledger);
            }
            Event::Undetermined { stage, unit, reason } => self.undetermined.say(stage, unit, reason),
            Event::LeftOut { stage, unit, why } => self.left_out.say(stage, unit, why),
            Event::RunEnded { traffic } => self.traffic += traffic,
            Event::Resumed => {
                self.undetermined.resumed();
                self.left_out.resumed();
            }
        }
    }
}

/// How a run ended.
pub(super) struct Ending {
    pub(super) end: End,
    /// How many targets were taken from the list.
    pub(super) begun: u64,
    /// Why the journal could not be written to the end.
    pub(super) broken: Option<String>,
    /// Why the list of targets could not be read to the end.
    pub(super) unread: Option<String>,
}

impl Ending {
    /// Why there is more to do, when there is.
    fn incomplete_because(&self, targets: u64) -> Option<String> {
        let why = match (&self.broken, self.end) {
            (Some(broken), _) => broken.clone(),
            (None, End::Complete) => return None,
            (None, End::Stopped) => "it was stopped".to_owned(),
            (None, End::Deadline) => "its deadline passed".to_owned(),
            (None, End::WindowClosed) => "the scope's time window closed".to_owned(),
            (None, End::HostDeadline(units)) => {
                format!("the time of a host was used up {units} times (--host-deadline)")
            }
        };
        Some(match targets.saturating_sub(self.begun) {
            0 => why,
            left => format!("{why}; {left} of {targets} targets were not begun"),
        })
    }
}

pub(super) fn build(
    place: &Place,
    header: &Header,
    settings: &Settings,
    engine: &Engine,
    targets: &Targets,
    ending: &Ending,
) -> anyhow::Result<Recap> {
    // This run's own end is not in the journal when that could not be written.
    let traffic =
        if ending.broken.is_some() { engine.dialer.counters().traffic() } else { Traffic::default() };
    let mut tally = Tally { traffic, ..Tally::default() };
    for entry in Reader::open(place.directory())? {
        let entry = entry?;
        tally.take(entry.event, entry.offset);
    }
    let partial = std::mem::take(&mut tally.partial);
    partial.values().for_each(|ledger| tally.ledger.add(ledger));
    tally.undetermined.settle_all();
    tally.left_out.settle_all();
    for reason in settings.unloaded_templates().into_iter().chain(ending.unread.clone()) {
        tally.undetermined.count += 1;
        tally.undetermined.named.insert(0, reason);
    }
    tally.ranks.sort_unstable();
    for remark in targets.cut.iter().chain(&settings.left_out) {
        tally.left_out.count += 1;
        tally.left_out.named.insert(0, remark.clone());
    }
    let planned: u64 = tally.ledger.checks.values().map(|account| account.planned).sum();
    if planned == 0
        && ending.end == End::Complete
        && settings.stages.contains(&Stage::Check)
        && !settings.stages.contains(&Stage::Ports)
        && tally.undetermined.count == 0
    {
        tally.undetermined.count += 1;
        tally.undetermined.named.push(
            "check: there was nothing to look at: without the stage `ports` only URLs, services and the usual web ports are checked"
                .to_owned(),
        );
    }
    let incomplete_because = ending.incomplete_because(targets.count);
    let summary = Summary {
        scan: settings.scan,
        tool: format!("rampart {}", env!("CARGO_PKG_VERSION")),
        started_at: header.started_at,
        ended_at: jiff::Timestamp::now(),
        complete: incomplete_because.is_none(),
        incomplete_because,
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
        undetermined: tally.undetermined.named,
        undetermined_count: tally.undetermined.count,
        left_out: tally.left_out.named,
        left_out_count: tally.left_out.count,
        findings: tally.severities,
        assets: tally.asset_kinds,
        traffic: tally.traffic,
    };
    Ok(Recap {
        summary,
        findings: tally.ranks.into_iter().map(|rank| rank.offset).collect(),
        assets: tally.assets,
        machines: tally.machines,
    })
}

impl Recap {
    /// Writes every report that was asked for.
    pub(super) fn write_reports(&self, place: &Place) -> anyhow::Result<()> {
        for format in &place.files {
            let path = place.report(*format);
            let describe = || format!("cannot write the report `{}`", path.display());
            let temporary = temporary_beside(&path);
            let written = self.write_file(*format, place, &temporary);
            // A report is there as a whole or not at all.
            if let Err(error) = written.and_then(|()| Ok(std::fs::rename(&temporary, &path)?)) {
                // It is of no use, and takes room; why there is none is the error to tell.
                let _ = std::fs::remove_file(&temporary);
                return Err(error).with_context(describe);
            }
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

    fn write_file(&self, format: Format, place: &Place, path: &Path) -> anyhow::Result<()> {
        let mut out = BufWriter::new(private_file(path)?);
        self.write(format, place, &mut out)?;
        out.flush()?;
        Ok(())
    }

    fn write(&self, format: Format, place: &Place, out: &mut dyn Write) -> anyhow::Result<()> {
        let findings = || {
            self.stream(place, &self.findings, |event| match event {
                Event::Finding { mut finding } => {
                    if let Some(machines) = self.machines.get(&finding.fingerprint) {
                        finding.addresses = machines.iter().copied().collect();
                    }
                    Some(*finding)
                }
                _ => None,
            })
        };
        let assets = || {
            self.stream(place, &self.assets, |event| match event {
                Event::Asset { asset } => Some(asset),
                _ => None,
            })
        };
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

fn temporary_beside(path: &Path) -> PathBuf {
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
