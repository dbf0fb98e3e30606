//! A schedule as people write it.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use super::{
    Blackout, CatchUp, Cron, DuringBlackout, Interval, Overlap, Rhythm, Schedule, Zone, interval::Length,
};

/// What has a text form is kept and sent as that.
macro_rules! text_form {
    ($type:ty, $error:ty) => {
        impl From<$type> for String {
            fn from(value: $type) -> String {
                value.to_string()
            }
        }

        impl TryFrom<String> for $type {
            type Error = $error;

            fn try_from(text: String) -> Result<$type, $error> {
                text.parse()
            }
        }
    };
}
pub(super) use text_form;

/// The keys of the file, the request or the command line. Unknown ones fail: a misspelt blackout must not be ignored.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Schedule)]
pub(super) struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    /// As `cron` writes it: minute, hour, day of the month, month, day of the week. This or `every`.
    #[schema(value_type = Option<String>, example = "0 3 * * *")]
    cron: Option<Cron>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    /// Every so often. This or `cron`.
    #[schema(value_type = Option<String>, example = "6h")]
    every: Option<Interval>,
    #[serde(default)]
    /// The time zone that `cron` and blackouts are meant in.
    #[schema(value_type = String, example = "Europe/Berlin")]
    zone: Zone,
    /// Each run begins up to so much later.
    #[schema(value_type = String, example = "10m")]
    #[serde(default = "no_jitter", skip_serializing_if = "is_nothing")]
    jitter: Length,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    /// When nothing begins.
    #[schema(value_type = Vec<String>, max_items = 100, example = json!(["mon-fri 08:00-18:00"]))]
    blackouts: Vec<Blackout>,
    /// What becomes of runs whose time lies in a blackout.
    #[serde(default)]
    during_blackout: DuringBlackout,
    /// What becomes of runs that were missed: `skip after 10m`, `once` or `all up to 5`.
    #[serde(default)]
    #[schema(value_type = String, example = "once")]
    catch_up: CatchUp,
    /// What becomes of a run while the one before goes on.
    #[serde(default)]
    overlap: Overlap,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    /// Nothing before.
    starts: Option<Timestamp>,
    /// Nothing from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends: Option<Timestamp>,
}

impl PartialSchema for Schedule {
    fn schema() -> RefOr<Schema> {
        Written::schema()
    }
}

impl ToSchema for Schedule {
    fn name() -> Cow<'static, str> {
        Written::name()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Written::schemas(schemas);
    }
}

fn no_jitter() -> Length {
    Length(std::time::Duration::ZERO)
}

fn is_nothing(length: &Length) -> bool {
    length.0.is_zero()
}

/// Enough for the holidays of several years; each is asked about every planned time.
const MOST_BLACKOUTS: usize = 100;

/// Why what was written is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Neither of both.
    #[error("the schedule does not say when: write `cron = \"0 3 * * *\"` or `every = \"6h\"`")]
    NoRhythm,
    /// Both.
    #[error("the schedule has both `cron = \"{0}\"` and `every = \"{1}\"`: leave one out")]
    TwoRhythms(String, Interval),
    /// More than anybody means.
    #[error(
        "the schedule has {0} blackouts: write at most {MOST_BLACKOUTS}, such as one for several days of the week"
    )]
    Blackouts(usize),
    /// It is over before it begins.
    #[error("`ends` is {ends}, which is not later than `starts`, {starts}: change one of them")]
    Backwards {
        /// Nothing before.
        starts: Timestamp,
        /// Nothing from then on.
        ends: Timestamp,
    },
}

impl TryFrom<Written> for Schedule {
    type Error = ScheduleError;

    fn try_from(written: Written) -> Result<Schedule, ScheduleError> {
        let rhythm = match (written.cron, written.every) {
            (Some(cron), None) => Rhythm::Cron(cron),
            (None, Some(interval)) => Rhythm::Every(interval),
            (None, None) => return Err(ScheduleError::NoRhythm),
            (Some(cron), Some(interval)) => {
                return Err(ScheduleError::TwoRhythms(cron.to_string(), interval));
            }
        };
        if written.blackouts.len() > MOST_BLACKOUTS {
            return Err(ScheduleError::Blackouts(written.blackouts.len()));
        }
        if let (Some(starts), Some(ends)) = (written.starts, written.ends)
            && ends <= starts
        {
            return Err(ScheduleError::Backwards { starts, ends });
        }
        Ok(Schedule {
            rhythm,
            zone: written.zone,
            jitter: written.jitter.0,
            blackouts: written.blackouts,
            during_blackout: written.during_blackout,
            catch_up: written.catch_up,
            overlap: written.overlap,
            starts: written.starts,
            ends: written.ends,
        })
    }
}

impl From<Schedule> for Written {
    fn from(schedule: Schedule) -> Written {
        let (cron, every) = match schedule.rhythm {
            Rhythm::Cron(cron) => (Some(cron), None),
            Rhythm::Every(interval) => (None, Some(interval)),
        };
        Written {
            cron,
            every,
            zone: schedule.zone,
            jitter: Length(schedule.jitter),
            blackouts: schedule.blackouts,
            during_blackout: schedule.during_blackout,
            catch_up: schedule.catch_up,
            overlap: schedule.overlap,
            starts: schedule.starts,
            ends: schedule.ends,
        }
    }
}
