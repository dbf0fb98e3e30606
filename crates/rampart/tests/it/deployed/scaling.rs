//! What an autoscaler makes of what a real gateway tells it, by the figures of the manifests: bursts, drains, flapping, and a gateway that
//! is away. The autoscaler is made up, and so is its clock; the gateway, its database and the tasks are not.

use std::time::Duration;

use cluster::manifests::{Manifests, Object, text};
use jiff::{SignedDuration, Timestamp};
use model::scaling::{Decision, PACE, Pace, SLOW_PACE, paced_workers};
use serde_json::Value;
use testkit::tools::root;
use url::Url;

use super::{on_top, overlay};
use crate::{
    installation::Installation,
    platform::watched::{SCOPE, Watched},
    run::assert_exit,
};

/// What KEDA asks a gateway, and where in its answer the number is.
struct Question {
    path: String,
    pointer: String,
}

impl Question {
    fn of(manifests: &Manifests, trigger: &Value) -> Question {
        let of = |place: &str| text(trigger, place).unwrap_or_else(|| panic!("{place}: {trigger}"));
        assert_eq!(
            (of("/type"), of("/metricType"), of("/metadata/format")),
            ("metrics-api", "AverageValue", "json"),
            "a number by pod, and there is no fallback for any other"
        );
        let url = Url::parse(of("/metadata/url")).unwrap();
        let service = url.host_str().unwrap().strip_suffix(".rampart").unwrap();
        let service = manifests.named("Service", service).unwrap();
        let port =
            service.list("/spec/ports").find(|port| port["port"].as_u64() == url.port().map(u64::from));
        assert_eq!(port.unwrap()["targetPort"], "metrics", "{url}");
        let pointer = format!("/{}", of("/metadata/valueLocation").replace('.', "/"));
        Question { path: url.path().to_owned(), pointer }
    }

    /// The answer, as soon as it is that many workers.
    fn asked(&self, gateway: &Watched, workers: u64) -> Option<u64> {
        let number = |answer: &str| {
            let answer: Value = serde_json::from_str(answer).ok()?;
            answer.pointer(&self.pointer)?.as_u64()
        };
        number(&gateway.until(&self.path, |answer| number(answer) == Some(workers)))
    }
}

/// As KEDA (2.17 and later) and a HorizontalPodAutoscaler together: looks each `polling`, and keeps as many as the manifest lets it.
struct Autoscaler {
    question: Question,
    /// So much of what is told is one worker, and no more than so much is nothing to do.
    target: u64,
    activation: u64,
    polling: Duration,
    cooldown: Duration,
    least: u64,
    /// Answers that may fail before it falls back, on how many, and whether on these or on others.
    failures: u64,
    fallback: u64,
    behavior: String,
    pace: Pace,
    now: Timestamp,
    active_at: Timestamp,
    failed: u64,
    past: Vec<Decision>,
    workers: u64,
}

impl Autoscaler {
    fn of(manifests: &Manifests, scaled: &Object) -> Autoscaler {
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
        let trigger = scaled.at("/spec/triggers/0").unwrap();
        let told = |field: &str| text(trigger, &format!("/metadata/{field}")).unwrap().parse().unwrap();
        Autoscaler {
            question: Question::of(manifests, trigger),
            target: told("targetValue"),
            activation: told("activationTargetValue"),
            polling: Duration::from_secs(number("/spec/pollingInterval")),
            cooldown: pace.cooldown(),
            least: number("/spec/minReplicaCount"),
            failures: number("/spec/fallback/failureThreshold"),
            fallback: number("/spec/fallback/replicas"),
            behavior: scaled.text("/spec/fallback/behavior").unwrap_or("static").to_owned(),
            pace,
            now: Timestamp::UNIX_EPOCH,
            // Nobody has had anything to do for long.
            active_at: Timestamp::UNIX_EPOCH - SignedDuration::from_hours(1),
            failed: 0,
            past: Vec::new(),
            workers: number("/spec/minReplicaCount"),
        }
    }

    /// One look; `told` is what the gateway says, if it does. How many workers there are then.
    fn look(&mut self, told: Option<u64>) -> u64 {
        self.now += SignedDuration::try_from(self.polling).unwrap();
        self.failed = if told.is_some() { 0 } else { self.failed + 1 };
        if told.is_some_and(|told| told > self.activation) {
            self.active_at = self.now;
        }
        let idle =
            self.now.duration_since(self.active_at) >= SignedDuration::try_from(self.cooldown).unwrap();
        let (wanted, to) = match (told, self.workers) {
            // Whoever is told nothing lets nobody come where nobody is (kedacore/keda#7239), and nobody go.
            (None, 0) => (0, 0),
            (None, from) => {
                let wanted = if self.failed > self.failures { self.fall_back() } else { from };
                (wanted, paced_workers(from, wanted, &self.past, self.now, &self.pace))
            }
            (Some(told), 0) => (told, u64::from(told > self.activation)),
            (Some(_), _) if idle => (0, 0),
            (Some(told), from) => {
                let wanted = told.div_ceil(self.target).max(1);
                (wanted, paced_workers(from, wanted, &self.past, self.now, &self.pace))
            }
        };
        let to = to.max(self.least);
        let memory = SignedDuration::try_from(self.pace.memory()).unwrap();
        self.past.retain(|past| self.now.duration_since(past.at) <= memory);
        self.past.push(Decision { at: self.now, wanted, from: self.workers, to });
        self.workers = to;
        to
    }

    fn fall_back(&self) -> u64 {
        match self.behavior.as_str() {
            "static" => self.fallback,
            "currentReplicas" => self.workers,
            "currentReplicasIfHigher" => self.fallback.max(self.workers),
            "currentReplicasIfLower" => self.fallback.min(self.workers),
            other => panic!("KEDA knows no {other}"),
        }
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

/// The workers of checks, as if up to 1,000 of them and none were allowed, as packages are to be, and as if they held tasks.
fn scaled(manifests: &Manifests) -> Autoscaler {
    let mut autoscaler = Autoscaler::of(manifests, manifests.named("ScaledObject", "worker-check").unwrap());
    (autoscaler.least, autoscaler.workers, autoscaler.pace.most) = (0, 0, 1_000);
    autoscaler.question.path = autoscaler.question.path.replace("check", "exercise");
    autoscaler
}

fn begin(installation: &Installation) -> Watched {
    let words = ["gateway", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--log", "warn"];
    Watched::start(installation.command(&words))
}

fn told(installation: &Installation, words: &[&str]) {
    assert_exit(&installation.command(words).output().unwrap(), 0);
}

#[test]
fn an_autoscaler_follows_what_a_gateway_tells() {
    let installation = Installation::start(SCOPE);
    let gateway = begin(&installation);
    let production = overlay("production");
    let mut workers = 0;
    for scaled in production.of_kind("ScaledObject").filter(|scaled| scaled.name().starts_with("worker-")) {
        let mut autoscaler = Autoscaler::of(&production, scaled);
        let nobody = autoscaler.question.asked(&gateway, 0);
        assert_eq!(autoscaler.look(nobody), autoscaler.least, "{}", scaled.path());
        workers += 1;
    }
    assert_eq!(workers, 5);

    // A burst: somebody works within a minute, and all come in minutes.
    let mut autoscaler = scaled(&production);
    told(&installation, &["task", "exercise", "--count", "2000", "--hold", "1h"]);
    let many = autoscaler.question.asked(&gateway, 1_000);
    assert!(autoscaler.until(many, 1) < Duration::from_secs(60));
    let up = autoscaler.until(many, 1_000);
    assert!(up <= Duration::from_secs(9 * 60), "{up:?}");

    // It is done: a while later all go, and not before.
    told(&installation, &["task", "cancel", "--all"]);
    let none = autoscaler.question.asked(&gateway, 0);
    let begun = autoscaler.now;
    let down = autoscaler.until(none, 0);
    assert!(
        down >= autoscaler.cooldown && down < autoscaler.cooldown + Duration::from_secs(60),
        "{down:?} since {begun}"
    );

    // A little, and nothing, and a little: they stay.
    told(&installation, &["task", "exercise", "--count", "60", "--hold", "1h"]);
    let few = autoscaler.question.asked(&gateway, 12);
    autoscaler.until(few, 12);
    for number in 0..200 {
        let told = if number % 2 == 0 { Some(0) } else { few };
        assert!(autoscaler.look(told) >= 11, "at {number} there are {}", autoscaler.workers);
    }
    // An emergency stop wants nobody, and they go as if there were nothing to do.
    told(&installation, &["stop", "--stage", "exercise", "--reason", "an exercise"]);
    let nobody = autoscaler.question.asked(&gateway, 0);
    autoscaler.until(nobody, 0);
}

/// Whoever works goes on, nobody goes, and what was begun is gone on with when it is back.
#[test]
fn without_an_answer_everybody_stays_and_nobody_comes() {
    let installation = Installation::start(SCOPE);
    told(&installation, &["task", "exercise", "--count", "2000", "--hold", "1h"]);
    let production = overlay("production");
    // As they are in production, where some are kept all the time.
    let mut kept = Autoscaler::of(&production, production.named("ScaledObject", "worker-check").unwrap());
    let mut autoscaler = scaled(&production);
    for _ in 0..200 {
        assert_eq!((kept.look(None), autoscaler.look(None)), (3, 0));
    }
    let gateway = begin(&installation);
    let many = autoscaler.question.asked(&gateway, 1_000);
    assert!(autoscaler.until(many, 1) < Duration::from_secs(60));

    // While they come, and when all are there.
    autoscaler.until(many, 44);
    drop(gateway);
    for _ in 0..200 {
        assert_eq!(autoscaler.look(None), 44);
    }
    let gateway = begin(&installation);
    let many = autoscaler.question.asked(&gateway, 1_000);
    let up = autoscaler.until(many, 1_000);
    assert!(up <= Duration::from_secs(6 * 60), "{up:?}");
    for _ in 0..200 {
        assert_eq!(autoscaler.look(None), 1_000);
    }
    // Longer than it takes to go: the queue is empty by then, and they go at once.
    told(&installation, &["task", "cancel", "--all"]);
    let none = autoscaler.question.asked(&gateway, 0);
    assert_eq!(autoscaler.look(none), 0);
}

/// The figures of docs/kubernetes.md.
#[test]
fn from_none_to_a_thousand_and_back_takes_as_long_as_the_guide_says() {
    let mut fast = scaled(&overlay("production"));
    let mut slow = scaled(&on_top("production", "autoscaling-slow"));
    assert_eq!((fast.pace, slow.pace), (PACE, SLOW_PACE), "as `rampart simulate` has them");
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
