//! What of the cluster is seen and changed while a release takes over.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use cluster::{
    kubectl,
    promotion::{self, Installation, Kind, Standing, Workload},
};
use report::terminal::sanitise;
use tokio_util::sync::CancellationToken;

use super::{super::NAMESPACE, GATEWAY};
use crate::cli::say;

/// How often it is asked how far a Deployment has come, at least. A pod counts for it ten seconds after it is ready at the earliest, so
/// that it does not go further meanwhile than it is to.
pub(super) const POLL: Duration = Duration::from_secs(1);

/// Something that a release changes, and what it had before.
#[derive(Debug, Clone)]
pub(super) struct Changed {
    kind: Kind,
    pub(super) name: String,
    before: String,
}

impl Changed {
    pub(super) fn of(workload: &Workload<'_>, before: &str) -> Changed {
        Changed { kind: workload.kind, name: workload.name().to_owned(), before: before.to_owned() }
    }

    pub(super) fn has_pods(&self) -> bool {
        self.kind == Kind::Deployment
    }
}

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

    /// The same once a release is under way: a cluster that is away for a moment is no reason to go back, and who goes back waits for it.
    pub(super) async fn see(&self) -> anyhow::Result<Installation> {
        let until = Instant::now() + self.patience;
        loop {
            match self.look() {
                Err(_) if Instant::now() < until => self.pause(self.poll).await?,
                seen => return seen,
            }
        }
    }

    /// Gives something an image.
    pub(super) async fn give(&self, which: &Changed, image: &str, paused: bool) -> anyhow::Result<()> {
        let installation = self.see().await?;
        let mut workloads = installation.workloads();
        let found = workloads.find(|workload| workload.name() == which.name && workload.kind == which.kind);
        let Changed { kind, name, .. } = which;
        let found = found.with_context(|| format!("the {} {name} is not there any more", kind.as_str()))?;
        let is_there = found.image(promotion::image_name(image)) == Some(image);
        if is_there && (found.is_paused() == paused || !which.has_pods()) {
            return Ok(());
        }
        let patch = found.change(image, paused);
        kubectl::patch(self.context, NAMESPACE, kind.as_str(), name, &patch).with_context(|| name.clone())
    }

    /// Leads people to the pods of one release, or to those of all.
    pub(super) fn pin(&self, hash: Option<&str>) -> anyhow::Result<()> {
        Ok(kubectl::patch(self.context, NAMESPACE, "service", GATEWAY, &promotion::pin(hash))?)
    }

    /// Waits until a Deployment has come so far with an image.
    pub(super) async fn until(
        &self,
        name: &str,
        image: &str,
        is_so: impl Fn(&Standing) -> bool,
    ) -> anyhow::Result<Standing> {
        let until = Instant::now() + self.patience;
        loop {
            let standing = self.see().await?.standing(name, image);
            if is_so(&standing) {
                return Ok(standing);
            }
            if let Some(why) = standing.stuck {
                bail!("{name} does not come any further: {why}");
            }
            if Instant::now() >= until {
                let Standing { ready, wanted, .. } = standing;
                bail!("{name}: {ready} of {wanted} pods are ready after {:?}", self.patience);
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
        let installation = self.see().await?;
        let is_pinned = installation.pinned(GATEWAY).is_some();
        if let Some(gateway) = changed.iter().find(|changed| changed.name == GATEWAY && is_pinned) {
            // Where the others still stand people are back with them at once.
            let standing = installation.standing(GATEWAY, &gateway.before);
            self.pin(standing.hash.as_deref().filter(|_| standing.ready > 0))?;
            say(&format!("{GATEWAY}: people are led back\n"));
        }
        for which in changed.iter().rev() {
            // What one of them is refused keeps no other from going back.
            if let Err(why) = self.give(which, &which.before, false).await {
                refused.push(format!("it does not go back: {why:#}"));
            }
        }
        for Changed { name, before, .. } in changed.iter().filter(|changed| changed.has_pods()) {
            match self.until(name, before, Standing::is_done).await {
                Ok(_) => say(&format!("{name} is back at {}\n", sanitise(before))),
                Err(why) => refused.push(format!("{why:#}")),
            }
        }
        if is_pinned && refused.is_empty() {
            self.pin(None)?;
        }
        match refused.is_empty() {
            true => Ok(()),
            false => bail!("{}", refused.join("\n")),
        }
    }
}
