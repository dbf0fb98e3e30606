//! What an autoscaler makes of what a real gateway tells it, by the figures of the manifests: bursts, drains, flapping, and a gateway that
//! is away. The autoscaler is made up, and so is its clock; the gateway, its database and the tasks are not.

use std::time::Duration;

use cluster::manifests::{Manifests, Object, text};
use jiff::{SignedDuration, Timestamp};
use model::scaling::{Decision, Pace, paced_workers};
use serde_json::Value;
use testkit::tools::root;

use super::overlay;
use crate::{
    installation::Installation,
    platform::watched::Watched,
    run::{assert_exit, text as said},
};

const SCOPE: &str = "authorised_by = \"test\"\nnetworks = [\"127.0.0.0/8\"]\n";

/// As KEDA and a HorizontalPodAutoscaler together: looks each `polling`, and keeps as many as the manifest lets it.
struct Autoscaler {
    polling: Duration,
    cooldown: Duration,
    least: u64,
    /// Answers that may fail before it falls back, and on how many.
    failures: u64,
    fallback: u64,
    pace: Pace,
    now: Timestamp,
    active_at: Timestamp,
    failed: u64,
    past: Vec<Decision>,
    workers: u64,
}

impl Autoscaler {
    fn of(scaled: &Object) -> Autoscaler {
        let number = |place: &str| scaled.number(place).unwrap_or_else(|| panic!("{place}")) as u64;
        let behavior = "/spec/advanced/horizontalPodAutoscalerConfig/behavior";
        let policy = |direction: &str, kind: &str| -> Option<&Value> {
            let place = format!("{behavior}/{direction}/policies");
            scaled.list(&place).find(|policy| text(policy, "/type") == Some(kind))
        };
        let value =
            |policy: Option<&Value>, field: &str| policy.map_or(0, |policy| policy[field].as_u64().unwrap());
        let (pods, percent, down) =
            (policy("scaleUp", "Pods"), policy("scaleUp", "Percent"), policy("scaleDown", "Pods"));
        let pace = Pace {
            up_workers: value(pods, "value"),
            up_percent: value(percent, "value"),
            up_seconds: value(pods, "periodSeconds") as u32,
            down_workers: value(down, "value"),
            down_seconds: value(down, "periodSeconds") as u32,
            hold_seconds: number(&format!("{behavior}/scaleDown/stabilizationWindowSeconds")) as u32,
            cooldown_seconds: number("/spec/cooldownPeriod") as u32,
            most: number("/spec/maxReplicaCount"),
        };
        Autoscaler {
            polling: Duration::from_secs(number("/spec/pollingInterval")),
            cooldown: pace.cooldown(),
            least: number("/spec/minReplicaCount"),
            failures: number("/spec/fallback/failureThreshold"),
            fallback: number("/spec/fallback/replicas"),
            pace,
            now: Timestamp::UNIX_EPOCH,
            // Nobody has had anything to do for long.
            active_at: Timestamp::UNIX_EPOCH - SignedDuration::from_hours(1),
            failed: 0,
            past: Vec::new(),
            workers: number("/spec/minReplicaCount"),
        }
    }

    /// One look; `told` is how many are wanted, if somebody tells. How many workers there are then.
    fn look(&mut self, told: Option<u64>) -> u64 {
        self.now += SignedDuration::try_from(self.polling).unwrap();
        self.failed = if told.is_some() { 0 } else { self.failed + 1 };
        let wanted = match told {
            Some(wanted) => wanted,
            // Whoever works goes on.
            None if self.failed >= self.failures => self.fallback.max(self.workers),
            None => self.workers,
        };
        if wanted > 0 {
            self.active_at = self.now;
        }
        let idle =
            self.now.duration_since(self.active_at) >= SignedDuration::try_from(self.cooldown).unwrap();
        let wanted = if idle { 0 } else { wanted.max(1) };
        let to = match self.workers {
            0 if wanted > 0 => 1,
            from => paced_workers(from, wanted, &self.past, self.now, &self.pace),
        };
        let to = to.max(self.least);
        self.past.push(Decision { at: self.now, wanted, from: self.workers, to });
        self.workers = to;
        to
    }

    /// Looks until there are so many; how long that took.
    fn until(&mut self, told: Option<u64>, workers: u64) -> Duration {
        let begun = self.now;
        for _ in 0..100_000 {
            if self.look(told) == workers {
                return self.now.duration_since(begun).unsigned_abs();
            }
        }
        panic!("there are {} workers, and {workers} never", self.workers);
    }
}

/// The workers of checks, as if up to 1,000 of them and none were allowed: as packages are to be.
fn scaled(manifests: &Manifests) -> Autoscaler {
    let mut autoscaler = Autoscaler::of(manifests.named("ScaledObject", "worker-check").unwrap());
    (autoscaler.least, autoscaler.workers, autoscaler.pace.most) = (0, 0, 1_000);
    autoscaler
}

#[test]
fn an_autoscaler_follows_what_a_gateway_tells() {
    let installation = Installation::start(SCOPE);
    let begin = || {
        let words = ["gateway", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--log", "warn"];
        Watched::start(installation.command(&words))
    };
    let gateway = begin();
    let wanted = |gateway: &Watched, workers: u64| {
        let part = format!("\"desired_workers\":{workers},");
        gateway.comes_to("/workers/exercise", 200, &part);
        Some(workers)
    };
    let command = |words: &[&str]| {
        let output = installation.command(words).output().unwrap();
        assert_exit(&output, 0);
        said(&output.stdout)
    };
    let mut autoscaler = scaled(&overlay("production"));
    assert_eq!(autoscaler.look(wanted(&gateway, 0)), 0, "nothing to do, nobody there");

    // A burst: somebody works within a minute, and all come in minutes.
    command(&["task", "exercise", "--count", "2000", "--hold", "1h"]);
    let told = wanted(&gateway, 1_000);
    assert!(autoscaler.until(told, 1) < Duration::from_secs(60));
    let up = autoscaler.until(told, 1_000);
    assert!(up <= Duration::from_secs(9 * 60), "{up:?}");

    // The gateway is away: whoever works goes on, however long, and nobody comes.
    drop(gateway);
    for _ in 0..200 {
        assert_eq!(autoscaler.look(None), 1_000);
    }
    let gateway = begin();

    // It is done: a while later all go, and not before.
    command(&["task", "cancel", "--all"]);
    let told = wanted(&gateway, 0);
    let begun = autoscaler.now;
    let down = autoscaler.until(told, 0);
    assert!(
        down >= autoscaler.cooldown && down < autoscaler.cooldown + Duration::from_secs(60),
        "{down:?} since {begun}"
    );

    // A little, and nothing, and a little: they stay.
    command(&["task", "exercise", "--count", "60", "--hold", "1h"]);
    let few = wanted(&gateway, 12);
    autoscaler.until(few, 12);
    for number in 0..200 {
        let told = if number % 2 == 0 { Some(0) } else { few };
        assert!(autoscaler.look(told) >= 11, "at {number} there are {}", autoscaler.workers);
    }
    // An emergency stop wants nobody, and they go as if there were nothing to do.
    command(&["stop", "--stage", "exercise", "--reason", "an exercise"]);
    let told = wanted(&gateway, 0);
    autoscaler.until(told, 0);
}

/// The figures of docs/kubernetes.md.
#[test]
fn from_none_to_a_thousand_and_back_takes_as_long_as_the_guide_says() {
    let mut fast = scaled(&overlay("production"));
    let mut slow = scaled(&overlay("production"));
    slow.pace.up_percent = 0;
    let minutes = |time: Duration| time.as_secs().div_ceil(60);
    let [up, slowly] = [&mut fast, &mut slow].map(|autoscaler| minutes(autoscaler.until(Some(1_000), 1_000)));
    // What came within ten minutes may go within them: these have been there for longer.
    for _ in 0..50 {
        fast.look(Some(1_000));
    }
    // One is wanted all the time: they go one by one.
    let down = fast.until(Some(1), 1);
    let guide = std::fs::read_to_string(root().join("docs/kubernetes.md")).unwrap();
    for told in [
        format!("| none to 1,000 | {up} minutes | {slowly} minutes |"),
        format!(
            "| 1,000 to one, while there is something to do | {:.1} days | the same |",
            down.as_secs_f64() / 86_400.0
        ),
        format!(
            "| 1,000 to none, when there is nothing to do | {} minutes | the same |",
            fast.cooldown.as_secs() / 60
        ),
    ] {
        assert!(guide.contains(&told), "{told} is not in the guide");
    }
}
