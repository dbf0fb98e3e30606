//! The only room that knows Kubernetes: what an installation's manifests say, and whether that is what a careful team would apply.
//!
//! [`manifests`] reads what `kustomize build` writes. [`rules`] are the public rule lists, by their own names; [`network`] compares the
//! edges that network policies leave open with those that the configuration needs; [`capacity`] adds up whether the most that
//! autoscaling asks for fits. All of that is pure, but for
//! [`kustomize`] and [`kubectl`]: text in, defects out. [`api`] is what a process within a cluster tells it. [`promotion`] decides how a
//! release takes over, from what [`kubectl`] and [`prometheus`] tell.

pub mod api;
pub mod capacity;
pub mod checklist;
pub mod difference;
pub mod kubectl;
pub mod kustomize;
pub mod manifests;
pub mod network;
pub mod prometheus;
pub mod promotion;
pub mod rules;

use std::fmt;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Defect {
    /// By which rule, such as `kube-linter/run-as-non-root`.
    pub rule: &'static str,
    /// Of what: `Deployment/rampart/gateway`.
    pub subject: String,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Defect { rule, subject, what } = self;
        write!(f, "{subject}: {what} ({rule})")
    }
}
