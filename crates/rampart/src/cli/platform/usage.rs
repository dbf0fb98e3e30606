//! The options of `rampart usage`.

use clap::Args;
use jiff::{Timestamp, ToSpan, Zoned, civil::Date, tz::TimeZone};

#[derive(Debug, Args)]
pub(crate) struct UsageArguments {
    /// Of every tenant, each by itself; where the database is
    #[arg(long)]
    pub(crate) all: bool,

    /// Of scans that were submitted within a month (UTC): 2026-10, or `last` for the one before this
    #[arg(long, value_name = "MONTH", value_parser = month, conflicts_with_all = ["since", "until"])]
    pub(crate) month: Option<Month>,

    /// From then on, such as 2026-11-01T00:00:00Z [default: 30 days before the end]
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Timestamp>,

    /// Until then, without it [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<Timestamp>,

    /// As JSON; with --all a line for each tenant
    #[arg(long)]
    pub(crate) json: bool,
}

/// A month of UTC, from its first moment to that of the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Month {
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
}

fn month(text: &str) -> Result<Month, String> {
    let first = match text {
        "last" => Zoned::now().with_time_zone(TimeZone::UTC).date().first_of_month().checked_sub(1.month()),
        month => format!("{month}-01").parse(),
    };
    let begins = |date: Date| date.to_zoned(TimeZone::UTC).map(|begin| begin.timestamp());
    let month = first.and_then(|first| {
        let next = first.checked_add(1.month())?;
        Ok(Month { since: begins(first)?, until: begins(next)? })
    });
    month.map_err(|_| format!("`{text}` is no month: write one such as 2026-10, or last"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_goes_from_its_first_moment_to_that_of_the_next() {
        let of =
            |since: &str, until: &str| Month { since: since.parse().unwrap(), until: until.parse().unwrap() };
        assert_eq!(month("2026-12"), Ok(of("2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z")));
        assert_eq!(month("2028-02"), Ok(of("2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z")));
        let last = month("last").unwrap();
        let now = Timestamp::now();
        assert!(last.until <= now && now.duration_since(last.until).as_hours() <= 31 * 24, "{last:?}");
        assert!((28..=31).contains(&(last.until.duration_since(last.since).as_hours() / 24)), "{last:?}");
        for wrong in ["", "2026", "2026-13", "2026-10-01", "next", "9999-12"] {
            assert!(month(wrong).unwrap_err().contains("is no month"), "{wrong}");
        }
    }
}
