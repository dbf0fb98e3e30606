//! The check stage: templates against names, services and sites, over the wire.

mod drive;
mod finding;
mod page;
mod perform;
mod set;

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use checks::{Run, RunOptions, RunTarget, Template};
use model::{
    CheckId, DomainName, FailReason, Finding, Ledger, Location, NameAspect, Outcome, ScanId, Service, Site,
    SkipReason,
};
use tokio::{sync::mpsc, time::Instant};

pub(crate) use self::page::OncePerSite;
use self::{
    drive::{Drive, drive},
    perform::Performer,
};
pub use self::{
    finding::{Reproduce, shell_quoted},
    set::CheckSet,
};
use crate::{dns::Resolver, http::HttpClient, socket::Dialer};

/// Everything that checks work with.
pub struct Checker {
    /// Opens every socket.
    pub dialer: Dialer,
    /// Answers about names.
    pub resolver: Resolver,
    /// Speaks HTTP.
    pub client: HttpClient,
    /// The templates.
    pub checks: Arc<CheckSet>,
    /// For which scan: random values of templates come from it, so that a resumed scan asks the same.
    pub scan: ScanId,
    /// Values for templates, from the command line.
    pub variables: BTreeMap<String, String>,
    /// How findings say where they come from.
    pub reproduce: Reproduce,
}

/// What the checks of one unit came to.
#[derive(Debug, Clone, Default)]
pub struct Checked {
    /// Every pair planned, and how it ended.
    pub ledger: Ledger,
    /// What somebody should act on; what was told as it was found is not here.
    pub findings: Vec<Finding>,
    /// Pairs that failed: check, reason. At most [`Checked::KEPT_FAILURES`] of them.
    pub failures: Vec<(CheckId, String)>,
    /// What templates wanted to have before they ask anything, and did not have. At most [`Checked::KEPT_FAILURES`] of them.
    pub unmet: Vec<String>,
}

impl Checked {
    const KEPT_FAILURES: usize = 20;

    fn end(&mut self, template: &Template, outcome: Outcome, failure: Option<String>) {
        self.ledger.end(&template.id, outcome);
        if outcome == Outcome::Skipped(SkipReason::Precondition)
            && self.unmet.len() < Checked::KEPT_FAILURES
            && let Some(what) = &failure
        {
            self.unmet.push(what.clone());
        }
        if let Outcome::Failed(reason) = outcome
            && self.failures.len() < Checked::KEPT_FAILURES
        {
            self.failures.push((template.id.clone(), failure.unwrap_or_else(|| reason.to_string())));
        }
    }
}

impl Checker {
    /// The same for one unit, whose answers count against the dialer's allowance.
    pub fn within(&self, dialer: &Dialer) -> Checker {
        Checker {
            dialer: dialer.clone(),
            resolver: self.resolver.clone(),
            client: self.client.within(dialer.allowance().clone()),
            checks: Arc::clone(&self.checks),
            scan: self.scan,
            variables: self.variables.clone(),
            reproduce: self.reproduce.clone(),
        }
    }

    /// Runs the HTTP checks on a site.
    pub async fn site(
        &self,
        site: &Site,
        deadline: Instant,
        found: mpsc::UnboundedSender<Finding>,
    ) -> Checked {
        let address = site.endpoint.address;
        let target = RunTarget::web(site.base.clone(), Some(address));
        let place = Location::Url(site.base.clone());
        let performer = Performer::new(self, site.endpoint.clone(), site.base.scheme() == "https");
        self.run_all(self.checks.sites.iter(), &target, &place, &performer, deadline, found).await
    }

    fn run_options(&self) -> RunOptions {
        RunOptions {
            variables: self.variables.clone(),
            seed: self.scan.bits(),
            now: jiff::Timestamp::now(),
            max_redirects: self.dialer.limits().redirects as usize,
        }
    }

    /// Runs the DNS checks on a name.
    pub async fn name(
        &self,
        name: &DomainName,
        aspect: NameAspect,
        deadline: Instant,
        found: mpsc::UnboundedSender<Finding>,
    ) -> Checked {
        let target = RunTarget::domain(name.clone(), None);
        let place = Location::Domain(name.clone());
        let performer = Performer::for_names(self);
        self.run_all(self.checks.for_name(aspect), &target, &place, &performer, deadline, found).await
    }

    /// Runs the TCP and TLS checks on a service.
    pub async fn service(
        &self,
        service: &Service,
        deadline: Instant,
        found: mpsc::UnboundedSender<Finding>,
    ) -> Checked {
        let host = service.endpoint.host().to_string();
        let tls = service.tls.is_some();
        let target = RunTarget::service(&host, service.endpoint.port, tls, Some(service.endpoint.address));
        let place = Location::Service(service.endpoint.clone());
        let performer = Performer::new(self, service.endpoint.clone(), tls);
        self.run_all(self.checks.for_service(service), &target, &place, &performer, deadline, found).await
    }

    async fn run_all(
        &self,
        templates: impl Iterator<Item = &Arc<Template>>,
        target: &RunTarget,
        place: &Location,
        performer: &Performer<'_>,
        deadline: Instant,
        found: mpsc::UnboundedSender<Finding>,
    ) -> Checked {
        let limits = self.dialer.limits();
        let options = self.run_options();
        let runs: Vec<(Arc<Template>, Run)> = templates
            .map(|template| (Arc::clone(template), Run::new(Arc::clone(template), target, &options)))
            .collect();
        let mut checked = Checked::default();
        // Planned before anything is sent: whatever does not end below is a gap that is seen.
        runs.iter().for_each(|(template, _)| checked.ledger.plan(&template.id, 1));
        let planned: Vec<Arc<Template>> = runs.iter().map(|(template, _)| Arc::clone(template)).collect();
        let settings = Drive {
            concurrency: limits.connections_per_unit() as usize,
            deadline,
            failures_allowed: limits.failures_in_a_row,
            held_bytes: limits.held_bytes,
            counters: self.dialer.counters(),
            stop: self.dialer.stop(),
        };
        let (mut said, mut ended) = (HashSet::new(), HashSet::new());
        drive(runs, performer, &settings, &mut |template, verdict| {
            for hit in verdict.matches {
                let finding = finding::from_match(template, hit, place, target.ip(), &self.reproduce);
                // A template may say the same thing of the same place twice, for example by two paths that redirect to one page.
                if said.insert(finding.fingerprint) {
                    // Whoever listens is gone only when the whole scan is being dropped.
                    let _ = found.send(finding);
                }
            }
            ended.insert(template.id.clone());
            checked.end(template, verdict.outcome, verdict.failure);
        })
        .await;
        for template in planned.iter().filter(|template| !ended.contains(&template.id)) {
            let why = "a defect in Rampart lost it; please report it".to_owned();
            checked.end(template, Outcome::Failed(FailReason::Defect), Some(why));
        }
        checked
    }
}
