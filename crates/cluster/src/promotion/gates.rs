//! Whether a release does as well as the one before: of errors and latency the questions of
//! `deploy/kubernetes/components/rollouts/analysis`, word for word; of tasks, how many are dead that were not when it began.

use std::fmt;

/// What share of a release's answers may fail by its fault.
const MOST_ERRORS: f64 = 0.01;
/// One of a hundred may wait so many times as long as with the release before.
const MOST_LATENCY: f64 = 1.2;
/// What is quicker than this, in seconds, nobody notices.
const UNNOTICED: &str = "0.05";
/// Answers that are enough to tell.
const LEAST_ANSWERS: &str = "200";
/// What is asked of Prometheus about the pods of a release, beside those of the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Questions {
    /// The share of answers that failed by our fault; no answer where there were too few to tell.
    pub errors: String,
    /// How many times as long one of a hundred waits; no answer where there were too few.
    pub latency: String,
    /// Whether there is something of the release before to compare with; no answer where there is too little.
    pub comparable: String,
    /// How many tasks are dead.
    pub dead: String,
}

impl Questions {
    /// Of the gateway's pods, whose names go on with `canary`, and with `stable` those of the release before.
    pub fn of(canary: &str, stable: &str) -> Questions {
        // Probes are no people.
        let people = r#"route!~"/health|/ready|/startup""#;
        let requests = |and: &str| {
            format!(
                r#"sum(increase(rampart_http_requests_total{{namespace="rampart",pod=~"gateway-{canary}-.+",{people}{and}}}[2m]))"#
            )
        };
        let of_durations = |which: &str, hash: &str| {
            format!(
                r#"rampart_http_request_duration_seconds_{which}{{namespace="rampart",pod=~"gateway-{hash}-.+",{people}}}"#
            )
        };
        let waits = |hash: &str, within: &str| {
            let buckets = of_durations("bucket", hash);
            format!(
                "clamp_min(histogram_quantile(0.99, sum by (le) (rate({buckets}[{within}]))), {UNNOTICED})"
            )
        };
        let enough = |hash: &str, within: &str| {
            format!("(sum(increase({}[{within}])) >= {LEAST_ANSWERS})", of_durations("count", hash))
        };
        Questions {
            errors: format!(
                r#"( {} or vector(0) ) / ( {} >= {LEAST_ANSWERS} )"#,
                requests(r#",status=~"5..""#),
                requests("")
            ),
            // The one before answers less and less: as it was in the last half hour.
            latency: format!(
                "{} / {} and {} and {}",
                waits(canary, "2m"),
                waits(stable, "30m"),
                enough(canary, "2m"),
                enough(stable, "30m")
            ),
            comparable: enough(stable, "30m"),
            // Every gateway tells the same number: the largest is the newest.
            dead: r#"max(sum by (pod) (rampart_tasks{namespace="rampart",component="gateway",state="dead"})) or vector(0)"#
                .to_owned(),
        }
    }
}

/// What was seen of a release at one look. What is not known is not there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// The share of its answers that failed by its fault.
    pub errors: Option<f64>,
    /// How many times as long one of a hundred waits as with the release before.
    pub latency: Option<f64>,
    /// Is there enough of the release before to compare with?
    pub is_comparable: bool,
    /// How many more tasks are dead than when it began.
    pub dead: Option<f64>,
}

/// What one look means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It does as well as the one before.
    Well,
    /// It does worse.
    Badly,
    /// There is too little to tell.
    Open,
}

impl Look {
    /// One thing that is bad is enough. To be well takes what people see, as far as there is something to compare it with; tasks may be few.
    pub fn verdict(&self) -> Verdict {
        let Look { errors, latency, is_comparable, dead } = *self;
        let is_bad = errors.is_some_and(|share| share >= MOST_ERRORS)
            || latency.is_some_and(|times| times > MOST_LATENCY)
            || dead.is_some_and(|tasks| tasks > 0.0);
        match errors {
            _ if is_bad => Verdict::Badly,
            Some(_) if latency.is_some() || !is_comparable => Verdict::Well,
            _ => Verdict::Open,
        }
    }
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errors {
            Some(errors) => write!(f, "{:.2} % errors", errors * 100.0)?,
            None => f.write_str("too few answers to tell")?,
        }
        if let Some(times) = self.latency {
            write!(f, ", one of a hundred waits {times:.2} times as long")?;
        }
        match self.dead.filter(|dead| *dead > 0.0) {
            Some(dead) => write!(f, ", {dead:.0} more tasks are dead"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_bad_is_bad_and_what_is_not_known_is_not_well() {
        let look = |errors, latency, dead| Look { errors, latency, is_comparable: true, dead }.verdict();
        for (errors, latency, dead, expected) in [
            (Some(0.0), Some(1.0), None, Verdict::Well),
            (Some(0.0099), Some(1.2), Some(0.0), Verdict::Well),
            (Some(0.01), Some(1.0), None, Verdict::Badly),
            (Some(0.0), Some(1.21), None, Verdict::Badly),
            (Some(0.0), Some(1.0), Some(1.0), Verdict::Badly),
            (Some(0.5), None, None, Verdict::Badly),
            (None, Some(9.0), None, Verdict::Badly),
            (None, None, Some(1.0), Verdict::Badly),
            (None, None, None, Verdict::Open),
            (Some(0.0), None, Some(0.0), Verdict::Open),
            (None, Some(1.0), None, Verdict::Open),
        ] {
            assert_eq!(look(errors, latency, dead), expected, "{errors:?} {latency:?} {dead:?}");
        }
        let alone = |errors| Look { errors, latency: None, is_comparable: false, dead: None }.verdict();
        assert_eq!([Some(0.0), Some(0.01), None].map(alone), [Verdict::Well, Verdict::Badly, Verdict::Open]);
    }
}
