//! `rampart deploy promote` and `rollback`: a release comes to people step by step, and goes back when it does worse.

mod namespace;

use std::{process::ExitCode, time::Instant};

use anyhow::{Context, bail};
use cluster::{
    prometheus::Prometheus,
    promotion::{Changed, Course, GATEWAY, Hold, Look, Questions, Release, Standing, Verdict, Way},
};
use report::terminal::sanitise;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use self::namespace::{Namespace, POLL};
use crate::{
    cli::{DeployPromoteArguments, DeployRollbackArguments, say},
    platform::{interrupted, operators_runtime},
};

/// A release was taken back.
const EXIT_WENT_BACK: u8 = 1;
/// Looks that are bad, until it goes back: one may be bad by chance.
const BAD: u32 = 2;

pub(super) fn promote(asked: &DeployPromoteArguments) -> anyhow::Result<ExitCode> {
    operators_runtime()?.block_on(async {
        let mut promotion = Promotion {
            asked,
            namespace: Namespace::new(
                asked.context.as_deref(),
                asked.patience,
                asked.every,
                interrupted_or_hung_up()?,
            ),
            prometheus: asked.prometheus.as_ref().map(Prometheus::at).transpose()?,
            dead_before: None,
            changed: Vec::new(),
        };
        promotion.check().await?;
        match promotion.run().await {
            Ok(Came::ToAll) => {
                say("promoted\n");
                Ok(ExitCode::SUCCESS)
            }
            Ok(Came::Beside) => Ok(ExitCode::SUCCESS),
            Err(why) => {
                say(&format!("{}: it goes back\n", sanitise(&format!("{why:#}"))));
                let Promotion { namespace, changed, .. } = promotion;
                let back = namespace.heedless().go_back(&changed).await;
                back.context("not everything went back: `rampart deploy rollback` tries again")?;
                Ok(ExitCode::from(EXIT_WENT_BACK))
            }
        }
    })
}

pub(super) fn rollback(asked: &DeployRollbackArguments) -> anyhow::Result<ExitCode> {
    operators_runtime()?.block_on(async {
        let namespace = Namespace::new(asked.context.as_deref(), asked.patience, POLL, interrupted()?);
        namespace.go_back(&namespace.look()?.way_back()?).await?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Whose connection to this machine is gone can say nothing more: it goes back as by Ctrl-C, but for those who have said by `nohup` that
/// it is to go on without them.
fn interrupted_or_hung_up() -> anyhow::Result<CancellationToken> {
    let stop = interrupted()?;
    // The signals that are ignored, as bits from the first one on (proc_pid_status(5)); SIGHUP is the first.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    if ignored.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).is_some_and(|bits| bits & 1 == 1) {
        return Ok(stop);
    }
    let mut hung_up = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    let stops = stop.clone();
    tokio::spawn(async move {
        hung_up.recv().await;
        stops.cancel();
    });
    Ok(stop)
}

/// How far a release has come.
#[derive(PartialEq)]
enum Came {
    /// It stands beside the one before, and nobody is led to it.
    Beside,
    ToAll,
}

struct Promotion<'a> {
    asked: &'a DeployPromoteArguments,
    namespace: Namespace<'a>,
    /// None where nobody looks.
    prometheus: Option<Prometheus>,
    /// How many tasks were dead when it began, if that is known.
    dead_before: Option<f64>,
    /// What has the release by now, or soon.
    changed: Vec<Changed>,
}

impl Promotion<'_> {
    /// Can it be done at all? Nothing was changed yet.
    async fn check(&mut self) -> anyhow::Result<()> {
        self.namespace.look()?.may_take(&self.asked.image, self.asked.course())?;
        if let Some(prometheus) = &self.prometheus {
            // Whether it is one, and answers.
            prometheus.ask("vector(1)").await?.context("Prometheus does not know that 1 is 1")?;
            self.dead_before = prometheus.ask(&Questions::of("", "").dead).await?;
        }
        Ok(())
    }

    async fn run(&mut self) -> anyhow::Result<Came> {
        let Release { first, gateway, rest, is_new } =
            self.namespace.see().await?.release(&self.asked.image)?;
        if !is_new {
            // Whether it does well was looked at when it came, or by nobody: there may be nothing to compare it with any more.
            self.changed = [gateway].into_iter().chain(first).chain(rest).collect();
            self.take(&self.changed).await?;
            return Ok(Came::ToAll);
        }
        // In this order it goes back: people first.
        self.changed = [&gateway].into_iter().chain(&first).cloned().collect();
        self.take(first.as_slice()).await?;
        let came = match self.asked.course() {
            Course::InSteps => self.take_in_steps(&gateway).await?,
            Course::BlueGreen | Course::Stand => self.take_beside(&gateway).await?,
        };
        if came == Came::ToAll {
            self.changed.extend(rest.iter().cloned());
            self.take(&rest).await?;
            let standing = self.namespace.see().await?.standing(GATEWAY, &gateway.to);
            self.watch(&standing).await?;
        }
        Ok(came)
    }

    /// All at once, each as it replaces its pods by itself.
    async fn take(&self, which: &[Changed]) -> anyhow::Result<()> {
        for changed in which {
            self.namespace.give(changed, Way::On, Hold::Free).await?;
        }
        for changed in which.iter().filter(|changed| changed.has_pods()) {
            self.namespace.until(&changed.name, &changed.to, Standing::is_done).await?;
            say(&format!("{}: all pods have it\n", changed.name));
        }
        Ok(())
    }

    async fn until(&self, is_so: impl Fn(&Standing) -> bool) -> anyhow::Result<Standing> {
        self.namespace.until(GATEWAY, &self.asked.image, is_so).await
    }

    async fn take_in_steps(&self, gateway: &Changed) -> anyhow::Result<Came> {
        for share in self.asked.steps.shares() {
            let standing = self.namespace.see().await?.standing(GATEWAY, &self.asked.image);
            // One that was interrupted may have come further; and as many as all of them are no step.
            if standing.is_done() || !standing.is_a_part(share) {
                continue;
            }
            if !standing.is_asked_for(share) {
                self.namespace.give(gateway, Way::On, Hold::Free).await?;
                self.until(|standing| standing.is_asked_for(share)).await?;
            }
            // So many are made, and no more: the others that are to come wait for the ones that are looked at.
            self.namespace.give(gateway, Way::On, Hold::Paused).await?;
            let standing = self.until(|standing| standing.is_ready_for(share)).await?;
            let Standing { ready, others, .. } = standing;
            say(&format!("{GATEWAY}: {ready} of {} pods have it\n", ready + others));
            self.watch(&standing).await?;
        }
        self.namespace.give(gateway, Way::On, Hold::Free).await?;
        self.until(Standing::is_done).await?;
        say(&format!("{GATEWAY}: all pods have it\n"));
        Ok(Came::ToAll)
    }

    async fn take_beside(&self, gateway: &Changed) -> anyhow::Result<Came> {
        let namespace = &self.namespace;
        let installation = namespace.see().await?;
        let standing = installation.standing(GATEWAY, &gateway.to);
        if !standing.is_done() {
            if installation.pinned(GATEWAY).is_none() {
                let before = installation.standing(GATEWAY, &gateway.before);
                let hash = before.hash.as_deref().filter(|_| before.is_ready_for(100));
                namespace
                    .pin(Some(hash.context("no other release is there beside which it could stand")?))
                    .await?;
            }
            namespace.give(gateway, Way::On, Hold::Beside).await?;
            let standing = self.until(|standing| standing.is_ready_for(100)).await?;
            let hash = standing.hash.as_deref().context("its pods have no names")?;
            say(&format!("{GATEWAY}: {} pods stand beside {} others\n", standing.ready, standing.others));
            if self.asked.course() == Course::Stand {
                say(&format!(
                    "nobody is led to them: look at one of `kubectl get pods --namespace {} --selector pod-template-hash={hash}`, then \
                     go on without --stand, or back by `rampart deploy rollback`\n",
                    super::NAMESPACE
                ));
                return Ok(Came::Beside);
            }
            namespace.pin(Some(hash)).await?;
            say(&format!("{GATEWAY}: they have taken over\n"));
            self.watch(&standing).await?;
        }
        // First this: were it the other way round, and this broke off here, the next release would be one that nobody is led to.
        namespace.pin(None).await?;
        namespace.give(gateway, Way::On, Hold::Free).await?;
        // It may have stood for longer than a pod may take, and the Deployment thinks for a moment that it is stuck.
        namespace.until_done(GATEWAY, &gateway.to).await?;
        say(&format!("{GATEWAY}: all pods have it\n"));
        Ok(Came::ToAll)
    }

    /// Holds it as it is for as long as is wanted, and longer until there is enough to tell.
    async fn watch(&self, standing: &Standing) -> anyhow::Result<()> {
        let asked = self.asked;
        let hash = standing.hash.as_deref().context("its pods have no names")?;
        // Of what was never there nothing is known.
        let questions = Questions::of(hash, standing.hash_before.as_deref().unwrap_or("none"));
        let begun = Instant::now();
        let (mut bad, mut was_well, mut told) = (0, false, String::new());
        while begun.elapsed() < asked.hold || !was_well {
            let now = self.namespace.see().await?.standing(GATEWAY, &self.asked.image);
            if now.ready == 0 || now.hash != standing.hash {
                bail!("the pods that were looked at are gone");
            }
            let (verdict, says) = if now.ready < standing.ready.min(now.asked) {
                (Verdict::Badly, format!("{} of {} pods are ready", now.ready, now.asked))
            } else {
                self.look(&questions).await
            };
            if told != says && !says.is_empty() {
                say(&format!("{GATEWAY}: {says}\n"));
            }
            told = says;
            was_well |= verdict == Verdict::Well;
            bad += u32::from(verdict == Verdict::Badly);
            if bad >= BAD {
                bail!("{told}");
            }
            if begun.elapsed() >= asked.hold + asked.patience {
                bail!("nobody knows after {:?} whether it does well: {told}", asked.hold + asked.patience);
            }
            self.namespace.pause(asked.every).await?;
        }
        Ok(())
    }

    /// How it does, and what to say of that.
    async fn look(&self, questions: &Questions) -> (Verdict, String) {
        // Where nobody is asked its pods are there, and that is all.
        let Some(prometheus) = &self.prometheus else { return (Verdict::Well, String::new()) };
        let ask = async || -> anyhow::Result<Look> {
            let dead = prometheus.ask(&questions.dead).await?;
            Ok(Look {
                errors: prometheus.ask(&questions.errors).await?,
                latency: prometheus.ask(&questions.latency).await?,
                is_comparable: prometheus.ask(&questions.comparable).await?.is_some(),
                dead: dead.zip(self.dead_before).map(|(now, before)| now - before),
            })
        };
        match ask().await {
            Ok(look) => (look.verdict(), look.to_string()),
            // What cannot be seen now may be seen soon.
            Err(error) => (Verdict::Open, sanitise(&error.to_string()).to_string()),
        }
    }
}
