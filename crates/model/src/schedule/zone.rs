//! The time zone of a schedule, and what becomes of a time when clocks are changed.

use std::{fmt, str::FromStr};

use jiff::{
    Timestamp,
    civil::DateTime,
    tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase},
};
use serde::{Deserialize, Serialize};

use super::Cron;

/// A time zone by its IANA name: `Europe/Berlin`, `UTC`.
///
/// The rules are those that were built in: two machines that run the same build agree, whatever they have installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Zone(TimeZone);

/// A name that the database does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no time zone of the IANA database: write a name such as Europe/Berlin, or UTC")]
pub struct ZoneError(String);

/// A text that tells no moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no moment: write a date, 2026-12-24, with a time, 2026-12-24T18:00, or with an offset, 2026-12-24T18:00:00Z"
)]
pub struct MomentError(String);

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Zone = Zone(TimeZone::UTC);

    /// As the database spells it.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// A moment as people write it: with an offset (`2026-12-24T18:00:00+01:00`), as clocks of this zone show it for the first time
    /// (`2026-12-24T18:00`), or a day for its first moment (`2026-12-24`).
    pub fn moment(&self, text: &str) -> Result<Timestamp, MomentError> {
        if let Ok(moment) = text.parse() {
            return Ok(moment);
        }
        let clock: Option<DateTime> = text.parse().ok();
        clock.and_then(|clock| self.first(clock)).ok_or_else(|| MomentError(text.to_owned()))
    }

    pub(super) fn clock(&self, at: Timestamp) -> DateTime {
        self.0.to_datetime(at)
    }

    /// When clocks show this for the first time. What they never show, because they were put forward over it, is the moment
    /// in which they were.
    pub(super) fn first(&self, clock: DateTime) -> Option<Timestamp> {
        self.resolve(clock, |before, _| before)
    }

    /// The same, for the last time.
    pub(super) fn last(&self, clock: DateTime) -> Option<Timestamp> {
        self.resolve(clock, |_, after| after)
    }

    fn resolve(&self, clock: DateTime, of_two: impl FnOnce(Offset, Offset) -> Offset) -> Option<Timestamp> {
        match self.0.to_ambiguous_timestamp(clock).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(clock).ok(),
            AmbiguousOffset::Fold { before, after } => of_two(before, after).to_timestamp(clock).ok(),
            AmbiguousOffset::Gap { after, .. } => {
                // The offset that held only afterwards leads to less than the gap's length before the change.
                let shortly_before = after.to_timestamp(clock).ok()?;
                self.0.following(shortly_before).next().map(|change| change.timestamp())
            }
        }
    }

    /// The next run of a cron pattern.
    pub(super) fn next(&self, cron: &Cron, after: Timestamp) -> Option<Timestamp> {
        if cron.is_of_every_hour() {
            self.next_elapsing(cron, after)
        } else {
            self.next_on_clock(cron, after)
        }
    }

    /// Each time on the clock counts once.
    fn next_on_clock(&self, cron: &Cron, after: Timestamp) -> Option<Timestamp> {
        let mut clock = self.clock(after);
        loop {
            clock = cron.next_after(clock)?;
            let first = self.first(clock)?;
            // During a repeated hour all that is left of it has been.
            if first > after {
                return Some(first);
            }
        }
    }

    /// A repeated hour is an hour like any other.
    fn next_elapsing(&self, cron: &Cron, mut after: Timestamp) -> Option<Timestamp> {
        loop {
            let offset = self.0.to_offset(after);
            let clock = cron.next_after(offset.to_datetime(after))?;
            let next = offset.to_timestamp(clock).ok();
            let change = self.0.following(after).next();
            let Some(change) = change.filter(|change| next.is_none_or(|next| change.timestamp() <= next))
            else {
                return next;
            };
            after = change.timestamp();
            let shown = change.offset().to_datetime(after);
            // Clocks were put forward over it, or show it right after they were put back.
            if clock <= shown || (shown.second() == 0 && shown.subsec_nanosecond() == 0 && cron.fits(shown)) {
                return Some(after);
            }
        }
    }
}

impl Default for Zone {
    fn default() -> Zone {
        Zone::UTC
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(text: &str) -> Result<Zone, ZoneError> {
        let zone = TimeZoneDatabase::bundled().get(text).ok().filter(|zone| !zone.is_unknown());
        zone.filter(|zone| zone.iana_name().is_some()).map(Zone).ok_or_else(|| ZoneError(text.to_owned()))
    }
}

super::written::text_form!(Zone, ZoneError);
