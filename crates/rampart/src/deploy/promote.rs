//! `rampart deploy promote` and `rollback`: a release comes to people step by step, and goes back when it does worse.

mod namespace;

use std::{process::ExitCode, time::Instant};

use anyhow::{Context, bail};
use cluster::{
    prometheus::Prometheus,
    promotion::{Look, Questions, Standing, Verdict, image_name},
};
use report::terminal::sanitise;

use self::namespace::{Changed, Namespace, POLL};
use crate::{
    cli::{DeployPromoteArguments, DeployRollbackArguments, say},
    platform::{interrupted, operators_runtime},
};

/// A release was taken back.
const EXIT_WENT_BACK: u8 = 1;
/// It prepares the database, which both releases can work with from then on.
const FIRST: &str = "orchestrator";
/// What people ask, and so what is looked at; and the Service that leads there.
const GATEWAY: &str = "gateway";
/// Looks that are bad, until it goes back: one may be bad by chance.
const BAD: u32 = 2;

pub(super) fn promote(asked: &DeployPromoteArguments) -> anyhow::Result<ExitCode> {
    operators_runtime()?.block_on(async {
        let mut promotion = Promotion {
            asked,
            namespace: Namespace::new(asked.context.as_deref(), asked.patience, asked.every, interrupted()?),
            prometheus: asked.prometheus.as_ref().map(Prometheus::at).transpose()?,
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
        let installation = namespace.look()?;
        let changed: Vec<Changed> = installation
            .workloads()
            .filter_map(|workload| {
                let before = workload.image_before()?;
                let now = workload.image(image_name(before))?;
                (now != before).then(|| Changed::of(&workload, before))
            })
            .collect();
        if changed.is_empty() {
            bail!(
                "there is nothing to go back to: `rampart deploy promote` says at each Deployment what it had before"
            );
        }
        namespace.go_back(&changed).await?;
        Ok(ExitCode::SUCCESS)
    })
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
    /// What has the release by now, or soon.
    changed: Vec<Changed>,
}

impl Promotion<'_> {
    /// Can it be done at all? Nothing was changed yet.
    async fn check(&self) -> anyhow::Result<()> {
        let (installation, image) = (self.namespace.look()?, &self.asked.image);
        let gateway = installation.deployment(GATEWAY);
        let gateway = gateway.with_context(|| {
            format!(
                "there is no Deployment {GATEWAY} in the namespace {}: --context names another cluster",
                super::NAMESPACE
            )
        })?;
        if gateway.is_of_a_rollout() {
            bail!("the gateway is of a Rollout: `kubectl argo rollouts promote {GATEWAY}` takes it on");
        }
        if gateway.image(image_name(image)).is_none() {
            bail!(
                "`{image}` is no other one of what the gateway has: an image with another name comes with an overlay"
            );
        }
        let is_pinned = installation.pinned(GATEWAY).is_some();
        if self.asked.blue_green && !gateway.has_room_beside() {
            bail!(
                "two releases of the gateway do not stand beside one another: the overlay needs the component `beside`"
            );
        }
        if is_pinned && (!self.asked.blue_green || gateway.image(image_name(image)) != Some(image)) {
            bail!(
                "another release stands beside this one: `rampart deploy rollback` removes it, and `promote --blue-green` with its image goes on"
            );
        }
        if installation.standing(GATEWAY, image).wanted == 0 {
            bail!("the gateway has no pods, and there is nothing to look at: is everything asleep?");
        }
        if let Some(prometheus) = &self.prometheus {
            // Whether it is one, and answers.
            prometheus.ask("vector(1)").await?.context("Prometheus does not know that 1 is 1")?;
        }
        Ok(())
    }

    async fn run(&mut self) -> anyhow::Result<Came> {
        let installation = self.namespace.see().await?;
        let program = image_name(&self.asked.image);
        let mut rest = Vec::new();
        for workload in installation.workloads() {
            let Some(now) = workload.image(program) else { continue };
            // Of one that was interrupted this is what comes first again.
            let before = if now == self.asked.image { workload.image_before().unwrap_or(now) } else { now };
            if workload.name() != FIRST && workload.name() != GATEWAY {
                rest.push(Changed::of(&workload, before));
                continue;
            }
            self.changed.push(Changed::of(&workload, before));
        }
        let first = self.changed.iter().find(|changed| changed.name == FIRST).cloned();
        if let Some(orchestrator) = first {
            self.take(&[orchestrator]).await?;
        }
        let came = match self.asked.blue_green {
            true => self.take_beside().await?,
            false => self.take_in_steps().await?,
        };
        if came == Came::ToAll {
            self.changed.extend(rest.iter().cloned());
            self.take(&rest).await?;
            let standing = self.namespace.see().await?.standing(GATEWAY, &self.asked.image);
            self.watch(&standing).await?;
        }
        Ok(came)
    }

    /// All at once, each as it replaces its pods by itself.
    async fn take(&self, which: &[Changed]) -> anyhow::Result<()> {
        for changed in which {
            self.namespace.give(changed, &self.asked.image, false).await?;
        }
        for changed in which.iter().filter(|changed| changed.has_pods()) {
            self.namespace.until(&changed.name, &self.asked.image, Standing::is_done).await?;
            say(&format!("{}: all pods have it\n", changed.name));
        }
        Ok(())
    }

    async fn pause(&self, paused: bool) -> anyhow::Result<()> {
        let gateway = self.changed.iter().find(|changed| changed.name == GATEWAY);
        self.namespace.give(gateway.context("the gateway is gone")?, &self.asked.image, paused).await
    }

    async fn until(&self, is_so: impl Fn(&Standing) -> bool) -> anyhow::Result<Standing> {
        self.namespace.until(GATEWAY, &self.asked.image, is_so).await
    }

    async fn take_in_steps(&self) -> anyhow::Result<Came> {
        for share in self.asked.steps.shares().filter(|share| *share < 100) {
            let standing = self.namespace.see().await?.standing(GATEWAY, &self.asked.image);
            // One that was interrupted may have come further.
            if standing.is_done() {
                continue;
            }
            if !standing.is_asked_for(share) {
                self.pause(false).await?;
                self.until(|standing| standing.is_asked_for(share)).await?;
            }
            // So many are made, and no more: the others that are to come wait for the ones that are looked at.
            self.pause(true).await?;
            let standing = self.until(|standing| standing.is_ready_for(share)).await?;
            let Standing { ready, others, .. } = standing;
            say(&format!("{GATEWAY}: {ready} of {} pods have it\n", ready + others));
            self.watch(&standing).await?;
        }
        self.pause(false).await?;
        self.until(Standing::is_done).await?;
        say(&format!("{GATEWAY}: all pods have it\n"));
        Ok(Came::ToAll)
    }

    async fn take_beside(&self) -> anyhow::Result<Came> {
        let standing = self.namespace.see().await?.standing(GATEWAY, &self.asked.image);
        if standing.is_done() {
            return Ok(Came::ToAll);
        }
        if !standing.is_asked_for(100) {
            self.pause(false).await?;
        }
        let standing = self.until(|standing| standing.is_asked_for(100)).await?;
        // First this: were it the other way round, and this broke off here, the pods that people are led to would go.
        self.pause(true).await?;
        let before = standing.hash_before.context("no other release is there beside which it could stand")?;
        if self.namespace.see().await?.pinned(GATEWAY).is_none() {
            self.namespace.pin(Some(&before))?;
        }
        let standing = self.until(|standing| standing.is_ready_for(100)).await?;
        let hash = standing.hash.as_deref().context("its pods have no names")?;
        say(&format!("{GATEWAY}: {} pods stand beside {} others\n", standing.ready, standing.others));
        if self.asked.stand {
            say(&format!(
                "nobody is led to them: look at one of `kubectl get pods --namespace {} --selector pod-template-hash={hash}`, then go \
                 on without --stand, or back by `rampart deploy rollback`\n",
                super::NAMESPACE
            ));
            return Ok(Came::Beside);
        }
        self.namespace.pin(Some(hash))?;
        say(&format!("{GATEWAY}: they have taken over\n"));
        self.watch(&standing).await?;
        self.namespace.pin(None)?;
        self.pause(false).await?;
        self.until(Standing::is_done).await?;
        Ok(Came::ToAll)
    }

    /// Holds it as it is for as long as is wanted, and longer until there is enough to tell.
    async fn watch(&self, standing: &Standing) -> anyhow::Result<()> {
        let asked = self.asked;
        let Some(prometheus) = &self.prometheus else { return self.namespace.pause(asked.hold).await };
        let hash = standing.hash.as_deref().context("its pods have no names")?;
        // Of what was never there nothing is known.
        let questions = Questions::of(hash, standing.hash_before.as_deref().unwrap_or("none"));
        let begun = Instant::now();
        let (mut bad, mut is_well, mut told) = (0, false, String::new());
        while begun.elapsed() < asked.hold || !is_well {
            let (verdict, says) = match look(prometheus, &questions).await {
                Ok(look) => (look.verdict(), look.to_string()),
                // What cannot be seen now may be seen soon.
                Err(error) => (Verdict::Open, sanitise(&error.to_string()).to_string()),
            };
            if told != says {
                say(&format!("{GATEWAY}: {says}\n"));
            }
            told = says;
            is_well = verdict == Verdict::Well;
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
}

async fn look(prometheus: &Prometheus, questions: &Questions) -> anyhow::Result<Look> {
    Ok(Look {
        errors: prometheus.ask(&questions.errors).await?,
        latency: prometheus.ask(&questions.latency).await?,
        dead: prometheus.ask(&questions.dead).await?,
    })
}
