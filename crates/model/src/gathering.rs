//! What one unit gives back, kept within limits as it comes: what is over is left out, counted and said, never silently lost.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    io::{self, Write},
};

use serde::Serialize;

use crate::{Asset, CheckId, FailReason, Finding, Learned, Ledger, Limits, Severity, UnitResult};

/// How much one unit may give back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResultLimits {
    /// Of each kind: findings, assets, names, remarks.
    pub items: u32,
    /// Of all of them, as they are stored: half of it for findings, a quarter for assets, a quarter for names and remarks.
    pub bytes: u64,
}

impl From<&Limits> for ResultLimits {
    fn from(limits: &Limits) -> ResultLimits {
        ResultLimits { items: limits.result_items, bytes: limits.result_bytes }
    }
}

/// Room for one kind of thing.
#[derive(Debug)]
struct Room {
    items: u64,
    bytes: u64,
    missing: u64,
}

impl Room {
    fn of(items: u32, bytes: u64) -> Room {
        Room { items: u64::from(items), bytes, missing: 0 }
    }

    fn fits(&self, bytes: u64) -> bool {
        self.items > 0 && bytes <= self.bytes
    }

    fn take(&mut self, bytes: u64) -> bool {
        let fits = self.fits(bytes);
        if fits {
            self.items -= 1;
            self.bytes -= bytes;
        } else {
            self.missing += 1;
        }
        fits
    }

    fn give_back(&mut self, bytes: u64) {
        self.items += 1;
        self.bytes += bytes;
    }

    fn keep<T: Serialize>(&mut self, things: &mut Vec<T>) {
        things.retain(|thing| self.take(size(thing)));
    }
}

/// Gathers what comes of a unit.
#[derive(Debug)]
pub struct Gathering {
    limits: ResultLimits,
    result: UnitResult,
    /// The least severe first, and of those the latest.
    findings: BTreeMap<(Severity, Reverse<u64>), (u64, Finding)>,
    seen: u64,
    /// Findings that were left out, by check.
    lost: BTreeMap<CheckId, u64>,
    of_findings: Room,
    of_assets: Room,
    of_names: Room,
    of_remarks: Room,
}

/// Bytes that are kept for saying what is missing.
const TO_SAY: u64 = 512;

impl Gathering {
    /// Nothing yet.
    pub fn within(limits: ResultLimits) -> Gathering {
        let ResultLimits { items, bytes } = limits;
        let eighth = bytes.saturating_sub(TO_SAY) / 8;
        Gathering {
            limits,
            result: UnitResult::default(),
            findings: BTreeMap::new(),
            seen: 0,
            lost: BTreeMap::new(),
            of_findings: Room::of(items, 4 * eighth),
            of_assets: Room::of(items, 2 * eighth),
            of_names: Room::of(items, eighth),
            of_remarks: Room::of(items, eighth),
        }
    }

    /// Something exists.
    pub fn asset(&mut self, asset: Asset) {
        if self.of_assets.take(size(&asset)) {
            self.result.assets.push(asset);
        }
    }

    /// Somebody should act on this. A severe one takes the place of others: a flood of trifles hides nothing.
    pub fn finding(&mut self, finding: Finding) {
        let bytes = size(&finding);
        self.seen += 1;
        let key = (finding.severity, Reverse(self.seen));
        while !self.of_findings.fits(bytes) && self.lesser_make_room(finding.severity, bytes) {
            let Some((_, (freed, lesser))) = self.findings.pop_first() else { break };
            self.of_findings.give_back(freed);
            self.lose(lesser.check);
        }
        if self.of_findings.fits(bytes) {
            self.of_findings.take(bytes);
            self.findings.insert(key, (bytes, finding));
        } else {
            self.lose(finding.check);
        }
    }

    fn lose(&mut self, check: CheckId) {
        self.of_findings.missing += 1;
        *self.lost.entry(check).or_default() += 1;
    }

    /// Would there be room without those that matter less?
    fn lesser_make_room(&self, severity: Severity, bytes: u64) -> bool {
        let mut room = self.of_findings.bytes;
        for ((other, _), (freed, _)) in &self.findings {
            if *other >= severity {
                break;
            }
            room += freed;
            if bytes <= room {
                return true;
            }
        }
        false
    }

    /// Something could not be found out.
    pub fn undetermined(&mut self, why: String) {
        if self.of_remarks.take(size(&why)) {
            self.result.undetermined.push(why);
        }
    }

    /// Something was left out on purpose.
    pub fn left_out(&mut self, why: String) {
        if self.of_remarks.take(size(&why)) {
            self.result.left_out.push(why);
        }
    }

    /// How each check ended.
    pub fn ledger(&mut self, ledger: Ledger) {
        self.result.ledger = ledger;
    }

    /// What it teaches about further units.
    pub fn learned(&mut self, mut learned: Learned) {
        self.of_names.keep(&mut learned.found);
        self.of_names.keep(&mut learned.mentioned);
        self.result.learned = learned;
    }

    /// The result. A check of which a finding is missing has not found everything out: what it saw at other times is not gone.
    pub fn result(self) -> UnitResult {
        let Gathering {
            limits,
            mut result,
            findings,
            lost,
            of_findings,
            of_assets,
            of_names,
            of_remarks,
            ..
        } = self;
        let mut findings: Vec<(u64, Finding)> =
            findings.into_iter().map(|((_, Reverse(number)), (_, finding))| (number, finding)).collect();
        findings.sort_unstable_by_key(|(number, _)| *number);
        result.findings = findings.into_iter().map(|(_, finding)| finding).collect();
        for (check, count) in lost {
            if let Some(account) = result.ledger.checks.get_mut(&check) {
                account.retract(count, FailReason::TooMuch);
            }
        }
        let missing: Vec<String> =
            [(of_findings, "findings"), (of_assets, "assets"), (of_names, "names"), (of_remarks, "remarks")]
                .into_iter()
                .filter(|(room, _)| room.missing > 0)
                .map(|(room, what)| format!("{} {what}", room.missing))
                .collect();
        if !missing.is_empty() {
            let ResultLimits { items, bytes } = limits;
            result.undetermined.push(format!(
                "more came of it than a unit may give back ({items} of a kind, {bytes} bytes in all), and is left out: {}",
                missing.join(", ")
            ));
        }
        result
    }
}

/// As it is stored.
fn size(thing: &impl Serialize) -> u64 {
    let mut counted = Counted(0);
    // What cannot be written cannot be stored: it never fits.
    serde_json::to_writer(&mut counted, thing).map_or(u64::MAX, |()| counted.0)
}

struct Counted(u64);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
