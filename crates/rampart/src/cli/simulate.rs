//! The options of `rampart simulate`.

use std::{path::PathBuf, str::FromStr, time::Duration};

use clap::{Args, ValueEnum};
use jiff::SignedDuration;
use model::{
    scaling::{PACE, Pace, SLOW_PACE},
    simulation::{Burst, Scenario, Service, Staffing},
};

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct SimulateArguments {
    /// Requests of the day, besides the flood
    #[arg(long, value_name = "N", default_value_t = 20_000, help_heading = "Demand")]
    requests: u32,

    /// How many hours requests come
    #[arg(long, value_name = "HOURS", default_value_t = 8, help_heading = "Demand")]
    hours: u32,

    /// Requests an hour when most come, in the middle of the day [default: twice the average]
    #[arg(long, value_name = "N", help_heading = "Demand")]
    peak: Option<u32>,

    /// Tenants that they come from: the second asks half as often as the first, the third a third
    #[arg(long, value_name = "N", default_value_t = 20, help_heading = "Demand")]
    tenants: u32,

    /// How many urgent requests one more tenant makes at once, and when; `none` for no flood
    #[arg(long, value_name = "N@TIME", default_value = "50000@3h", help_heading = "Demand")]
    flood: OptionalBurst,

    /// Half of the tasks take less than this
    #[arg(long, value_name = "TIME", default_value = "90s", value_parser = length, help_heading = "Workers")]
    service_median: Duration,

    /// 19 of 20 tasks take less than this
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = length, help_heading = "Workers")]
    service_p95: Duration,

    /// Never more workers than these
    #[arg(long, value_name = "N", default_value_t = 1_000, help_heading = "Workers")]
    workers: u64,

    /// How fast workers come: ten or a doubling each minute, whichever is more, or ten and no more
    #[arg(long, value_name = "PACE", value_enum, default_value_t = Speed::Fast, help_heading = "Workers")]
    pace: Speed,

    /// How many nodes are lost, and when; `none` for none
    #[arg(long, value_name = "N@TIME", default_value = "3@4h30m", help_heading = "Workers")]
    lose_nodes: OptionalBurst,

    /// What an hour of a worker costs
    #[arg(long, value_name = "PRICE", default_value_t = 0.05, help_heading = "Workers")]
    price_per_worker_hour: f64,

    /// What is left to chance follows from it: the same seed has the same result
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Output")]
    seed: u64,

    /// Draw the day into this file
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) svg: Option<PathBuf>,

    /// Print everything as JSON, minute by minute, instead of a table
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

const EXAMPLES: &str = "\
Examples:
  rampart simulate                                       a busy day: a flood, lost nodes, up to 1,000 workers
  rampart simulate --flood none --lose-nodes none        the same day without either
  rampart simulate --workers 300 --svg day.svg           what a lower ceiling costs, drawn
  rampart simulate --pace slow                           what it costs when workers come ten a minute
  rampart simulate --json | jq .waiting.others.p95_seconds

Nothing is sent and nothing is started: the functions that choose the next task and the number of workers are run against a
day that is made up.";

impl SimulateArguments {
    pub(crate) fn scenario(&self) -> Scenario {
        let mean = self.requests.div_ceil(self.hours.max(1));
        Scenario {
            requests: self.requests,
            day: Duration::from_secs(u64::from(self.hours) * 3_600),
            peak_an_hour: self.peak.unwrap_or(mean.saturating_mul(2)),
            tenants: self.tenants,
            service: Service::LogNormal { median: self.service_median, p95: self.service_p95 },
            workers: Staffing::Scaled(Pace { most: self.workers, ..self.pace.into() }),
            loss: self.lose_nodes.0,
            flood: self.flood.0,
            price_of_worker_hour: self.price_per_worker_hour,
            seed: self.seed,
            ..Scenario::default()
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Speed {
    Fast,
    Slow,
}

impl From<Speed> for Pace {
    fn from(speed: Speed) -> Pace {
        match speed {
            Speed::Fast => PACE,
            Speed::Slow => SLOW_PACE,
        }
    }
}

/// `3@4h30m`, or `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OptionalBurst(Option<Burst>);

impl FromStr for OptionalBurst {
    type Err = String;

    fn from_str(text: &str) -> Result<OptionalBurst, String> {
        if text == "none" {
            return Ok(OptionalBurst(None));
        }
        let way_out = || format!("`{text}` is not a number and a time: write for example 3@4h30m, or none");
        let (count, at) = text.split_once('@').ok_or_else(way_out)?;
        let count = count.parse().map_err(|_| way_out())?;
        let at = time_of_day(at).ok_or_else(way_out)?;
        Ok(OptionalBurst(Some(Burst { count, at })))
    }
}

fn length(text: &str) -> Result<Duration, String> {
    time_of_day(text)
        .filter(|length| !length.is_zero())
        .ok_or_else(|| format!("`{text}` is not a time: write for example 90s, 10m or 1h30m"))
}

fn time_of_day(text: &str) -> Option<Duration> {
    Duration::try_from(text.parse::<SignedDuration>().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_are_read() {
        let at =
            |count, minutes: u64| OptionalBurst(Some(Burst { count, at: Duration::from_secs(60 * minutes) }));
        assert_eq!("3@4h30m".parse(), Ok(at(3, 270)));
        assert_eq!("50000@0s".parse(), Ok(at(50_000, 0)));
        assert_eq!("none".parse(), Ok(OptionalBurst(None)));
        for bad in ["", "3", "@3h", "3@", "x@3h", "3@-1h", "3@later", "-3@1h"] {
            assert!(bad.parse::<OptionalBurst>().unwrap_err().contains("3@4h30m"), "{bad}");
        }
    }
}
