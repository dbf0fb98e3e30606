//! What of the cluster is seen and changed while a release takes over.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use cluster::{
    kubectl,
    promotion::{self, Changed, GATEWAY, Hold, Installation, Standing, Way, image_name},
};
use report::terminal::sanitise;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::super::NAMESPACE;
use crate::cli::say;

/// How often it is asked how far a Deployment has come, at least. A pod counts for it ten seconds after it is ready at the earliest, so
/// that it does not go further meanwhile than it is to.
pub(super) const POLL: Duration = Duration::from_secs(1);

pub(super) struct Namespace<'a> {
    context: Option<&'a str>,
    /// For how long one step is waited for.
    patience: Duration,
    poll: Duration,
    stop: CancellationToken,
}

impl<'a> Namespace<'a> {
    pub(super) fn new(
        context: Option<&'a str>,
        patience: Duration,
        poll: Duration,
        stop: CancellationToken,
    ) -> Namespace<'a> {
        Namespace { context, patience, poll: poll.min(POLL), stop }
    }

    /// Whoever interrupts a release wants it to go back; only who asks a second time leaves everything as it is.
    pub(super) fn heedless(self) -> Namespace<'a> {
        Namespace { stop: CancellationToken::new(), ..self }
    }

    pub(super) fn look(&self) -> anyhow::Result<Installation> {
        Ok(kubectl::installation(self.context, NAMESPACE)?)
    }

    /// The same once a release is under way.
    pub(super) async fn see(&self) -> anyhow::Result<Installation> {
        self.again(|| self.look()).await
    }

    /// Does something until it succeeds: a cluster that is away for a moment is no reason to go back, and who goes back waits for it.
    async fn again<T>(&self, work: impl Fn() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let until = Instant::now() + self.patience;
        loop {
            match work() {
                Err(_) if Instant::now() < until => self.pause(self.poll).await?,
                done => return done,
            }
        }
    }

    /// Gives something an image, and says how far it may go with it.
    pub(super) async fn give(&self, which: &Changed, way: Way, hold: Hold) -> anyhow::Result<()> {
        let image = which.image(way);
        let until = Instant::now() + self.patience;
        loop {
            let installation = self.see().await?;
            let found = which.among(&installation)?;
            let has_it = found.image(image_name(image)) == Some(image);
            if has_it && (!which.has_pods() || found.hold() == hold) {
                return Ok(());
            }
            let patch = found.change(image, hold, way);
            match self.patch(which.kind.as_str(), &which.name, &patch) {
                // Whether somebody else was faster is seen at the next look.
                Err(_) if Instant::now() < until => self.pause(self.poll).await?,
                done => return done.with_context(|| which.name.clone()),
            }
        }
    }

    fn patch(&self, kind: &str, name: &str, patch: &[Value]) -> anyhow::Result<()> {
        Ok(kubectl::patch(self.context, NAMESPACE, kind, name, patch)?)
    }

    /// Leads people to the pods of one release, or to those of all.
    pub(super) async fn pin(&self, hash: Option<&str>) -> anyhow::Result<()> {
        if self.see().await?.pinned(GATEWAY) == hash {
            return Ok(());
        }
        self.again(|| self.patch("service", GATEWAY, &promotion::pin(hash))).await
    }

    /// Waits until a Deployment has come so far with an image, as long as it thinks itself that it comes further.
    pub(super) async fn until(
        &self,
        name: &str,
        image: &str,
        is_so: impl Fn(&Standing) -> bool,
    ) -> anyhow::Result<Standing> {
        let come = |standing: &Standing| match &standing.stuck {
            _ if is_so(standing) => Ok(true),
            Some(why) => bail!("{name} does not come any further: {why}"),
            None => Ok(false),
        };
        self.wait(name, image, come).await
    }

    /// Waits until all pods of a Deployment have an image and no others are left, whatever it thinks of itself meanwhile.
    pub(super) async fn until_done(&self, name: &str, image: &str) -> anyhow::Result<()> {
        self.wait(name, image, |standing| Ok(standing.is_done())).await.map(drop)
    }

    async fn wait(
        &self,
        name: &str,
        image: &str,
        has_come: impl Fn(&Standing) -> anyhow::Result<bool>,
    ) -> anyhow::Result<Standing> {
        let until = Instant::now() + self.patience;
        loop {
            let standing = self.see().await?.standing(name, image);
            if has_come(&standing)? {
                return Ok(standing);
            }
            if Instant::now() >= until {
                let Standing { ready, wanted, refused, .. } = standing;
                let refused = refused.map_or_else(String::new, |why| format!(": {why}"));
                bail!("{name}: {ready} of {wanted} pods are ready after {:?}{refused}", self.patience);
            }
            self.pause(self.poll).await?;
        }
    }

    /// Lets so much time pass.
    pub(super) async fn pause(&self, length: Duration) -> anyhow::Result<()> {
        tokio::select! {
            () = self.stop.cancelled() => bail!("interrupted"),
            () = tokio::time::sleep(length) => Ok(()),
        }
    }

    /// Gives everything what it had before, all at once, and waits until it has.
    pub(super) async fn go_back(&self, changed: &[Changed]) -> anyhow::Result<()> {
        let mut refused = Vec::new();
        let gateway = changed.iter().find(|changed| changed.name == GATEWAY && changed.has_pods());
        if let Err(why) = self.lead_back(gateway).await {
            refused.push(format!("people are not led back: {why:#}"));
        }
        for which in changed {
            // What one of them is refused keeps no other from going back.
            if let Err(why) = self.give(which, Way::Back, Hold::Free).await {
                refused.push(format!("it does not go back: {why:#}"));
            }
        }
        // What was wrong with the release is no concern of what was there before it.
        for Changed { name, before, .. } in changed.iter().filter(|changed| changed.has_pods()) {
            match self.until_done(name, before).await {
                Ok(()) => say(&format!("{name} is back at {}\n", sanitise(before))),
                Err(why) => {
                    refused.push(format!("{why:#}"));
                    continue;
                }
            }
            if name == GATEWAY
                && let Err(why) = self.pin(None).await
            {
                refused.push(format!("people are led to one release only: {why:#}"));
            }
        }
        if refused.is_empty() {
            // Only now: who tries again is to know what this was.
            return self.forget(changed).await;
        }
        bail!("{}", refused.join("\n"))
    }

    async fn forget(&self, changed: &[Changed]) -> anyhow::Result<()> {
        let installation = self.see().await?;
        for which in changed {
            let workload = which.among(&installation)?;
            let patch = workload.forget();
            if !patch.is_empty() {
                self.again(|| self.patch(which.kind.as_str(), &which.name, &patch)).await?;
            }
        }
        Ok(())
    }

    /// Where the others still stand people are back with them at once.
    async fn lead_back(&self, gateway: Option<&Changed>) -> anyhow::Result<()> {
        let installation = self.see().await?;
        let (Some(gateway), Some(_)) = (gateway, installation.pinned(GATEWAY)) else { return Ok(()) };
        let standing = installation.standing(GATEWAY, &gateway.before);
        let is_whole = standing.is_ready_for(100) && standing.sets == 1;
        self.pin(standing.hash.as_deref().filter(|_| is_whole)).await?;
        say(&format!("{GATEWAY}: people are led back\n"));
        Ok(())
    }
}
