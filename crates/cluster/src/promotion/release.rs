//! What a release changes in an installation, what keeps it from beginning, and what the last one leaves to go back from.

use super::{Hold, Installation, Kind, Workload, image_name};

/// It prepares the database, which both releases can work with from then on.
const FIRST: &str = "orchestrator";
/// What people ask, and so what is looked at; and the Service that leads there.
pub const GATEWAY: &str = "gateway";

/// How a release comes to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// By more and more of the gateway's pods.
    InSteps,
    /// All of them stand beside the others, and then people are led to them.
    BlueGreen,
    /// They stand there, and that is all for now.
    Stand,
}

/// Which image something is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// That of the release, and what it had is written down.
    On,
    /// What it had.
    Back,
}

/// Why a release does not begin, or does not go back.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "each says itself what it is")]
pub enum Refusal {
    #[error("there is no Deployment {GATEWAY}: --context names another cluster")]
    NoGateway,
    #[error(
        "the gateway's pods are of a Rollout: `kubectl argo rollouts promote {GATEWAY}` takes it on, and `undo` back"
    )]
    OfARollout,
    #[error(
        "`{0}` is no other one of what the gateway has: an image with another name comes with an overlay"
    )]
    AnotherProgram(String),
    #[error(
        "another release stands beside this one: `rampart deploy rollback` removes it, and `promote --blue-green` with its image goes on"
    )]
    AnotherStands,
    #[error(
        "the gateway waits between two releases: `rampart deploy rollback` goes back, and `promote {0}` goes on"
    )]
    Waits(String),
    #[error("the gateway is replacing its pods just now: wait until it has, or see why it does not")]
    NotAtRest,
    #[error("people are led to this release already: without --stand it goes on")]
    IsThere,
    #[error(
        "two releases of the gateway do not stand beside one another: the overlay needs the component `beside`"
    )]
    NoRoom,
    #[error(
        "with the component `beside` all gateways come at once, and not in steps: promote --blue-green, or take it out of the overlay"
    )]
    NoSteps,
    #[error("the gateway has no pods, and there is nothing to look at: is everything asleep?")]
    Asleep,
    #[error(
        "there is nothing to go back to: `rampart deploy promote` says at each Deployment what it had before, and it has that"
    )]
    NothingBefore,
    #[error("the {kind} {name} is not there any more", kind = kind.as_str())]
    Gone { kind: Kind, name: String },
    #[error("somebody has given {name} another image meanwhile, and it is left alone: {image}")]
    Given { name: String, image: String },
}

/// Something that a release changes, what it had before, and what it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// What it is.
    pub kind: Kind,
    /// How it is called.
    pub name: String,
    /// The image it goes back to.
    pub before: String,
    /// The release's.
    pub to: String,
}

impl Changed {
    fn of(workload: &Workload<'_>, before: &str, to: &str) -> Changed {
        let (before, to) = (before.to_owned(), to.to_owned());
        Changed { kind: workload.kind, name: workload.name().to_owned(), before, to }
    }

    /// Are there pods of it to wait for?
    pub fn has_pods(&self) -> bool {
        self.kind == Kind::Deployment
    }

    /// The image for one way or the other.
    pub fn image(&self, way: Way) -> &str {
        match way {
            Way::On => &self.to,
            Way::Back => &self.before,
        }
    }

    /// It, as long as nobody else has given it another image.
    pub fn among<'a>(&self, installation: &'a Installation) -> Result<Workload<'a>, Refusal> {
        let Changed { kind, name, before, to } = self;
        let mut workloads = installation.workloads();
        let found = workloads.find(|workload| workload.name() == name && workload.kind == *kind);
        let found = found.ok_or_else(|| Refusal::Gone { kind: *kind, name: name.clone() })?;
        match found.image(image_name(to)) {
            Some(image) if image == before || image == to => Ok(found),
            other => Err(Refusal::Given {
                name: name.clone(),
                image: other.unwrap_or("of another name").to_owned(),
            }),
        }
    }
}

/// What of an installation a release changes, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Where there is an orchestrator.
    pub first: Option<Changed>,
    /// What is looked at.
    pub gateway: Changed,
    /// Everything else, once the gateway has done well.
    pub rest: Vec<Changed>,
    /// Is there anything that does not have it to the end? Otherwise there is nothing to compare it with.
    pub is_new: bool,
}

impl Installation {
    /// Can a release begin, or go on?
    pub fn may_take(&self, image: &str, course: Course) -> Result<(), Refusal> {
        self.is_ours()?;
        let gateway = self.deployment(GATEWAY).ok_or(Refusal::NoGateway)?;
        let now =
            gateway.image(image_name(image)).ok_or_else(|| Refusal::AnotherProgram(image.to_owned()))?;
        let (is_new, beside) = (now != image, course != Course::InSteps);
        let (pinned, standing) = (self.pinned(GATEWAY), self.standing(GATEWAY, now));
        let is_pinned_to_it = pinned.is_some() && pinned == standing.hash.as_deref();
        let is_settled = pinned.is_none() || (is_pinned_to_it && gateway.hold() == Hold::Free);
        let stands = gateway.hold() == Hold::Beside || !is_settled;
        let refusals = [
            (stands && (!beside || is_new), Refusal::AnotherStands),
            (is_new && gateway.hold() == Hold::Paused, Refusal::Waits(now.to_owned())),
            (is_new && !standing.is_at_rest(), Refusal::NotAtRest),
            (course == Course::Stand && is_pinned_to_it && !is_new, Refusal::IsThere),
            (beside && !gateway.has_room_beside(), Refusal::NoRoom),
            (!beside && gateway.has_room_beside(), Refusal::NoSteps),
            (standing.wanted == 0, Refusal::Asleep),
        ];
        refusals.into_iter().find(|(is_so, _)| *is_so).map_or(Ok(()), |(_, why)| Err(why))
    }

    /// What an image changes.
    pub fn release(&self, image: &str) -> Result<Release, Refusal> {
        let (mut first, mut gateway, mut rest) = (None, None, Vec::new());
        let mut is_new = self.pinned(GATEWAY).is_some();
        for workload in self.workloads() {
            let Some(now) = workload.image(image_name(image)) else { continue };
            is_new |= now != image || workload.hold() != Hold::Free;
            // Of one that was interrupted this is what comes first again.
            let before = if now == image { workload.image_before(image).unwrap_or(now) } else { now };
            let changed = Changed::of(&workload, before, image);
            match (workload.kind, workload.name()) {
                (Kind::Deployment, FIRST) => first = Some(changed),
                (Kind::Deployment, GATEWAY) => gateway = Some(changed),
                _ => rest.push(changed),
            }
        }
        Ok(Release { first, gateway: gateway.ok_or(Refusal::NoGateway)?, rest, is_new })
    }

    /// What goes back to where it was before the last promotion.
    pub fn way_back(&self) -> Result<Vec<Changed>, Refusal> {
        self.is_ours()?;
        let mut back = self.last_promotion();
        let gateway = self.deployment(GATEWAY);
        let is_left =
            self.pinned(GATEWAY).is_some() || gateway.is_some_and(|gateway| gateway.hold() != Hold::Free);
        if back.is_empty() && !is_left {
            return Err(Refusal::NothingBefore);
        }
        let is_among = back.iter().any(|changed| changed.name == GATEWAY);
        // What was left of going back before: it has its image, and is to go on with it.
        let left = gateway.filter(|_| is_left && !is_among);
        if let Some((gateway, image)) = left.and_then(|gateway| Some((gateway, gateway.first_image()?))) {
            back.push(Changed::of(&gateway, image, image));
        }
        Ok(back)
    }

    /// What the last promotion has changed, and has not gone back yet. Of a gateway that waits for the rest of it it is known which that
    /// was; otherwise the orchestrator tells, which is changed before anything else: what was promoted before that, and not by that, has
    /// gone as far back as it may.
    fn last_promotion(&self) -> Vec<Changed> {
        let is_pinned = self.pinned(GATEWAY).is_some();
        let of = |name| self.deployment(name).filter(|workload| workload.image_promoted().is_some());
        let waiting = of(GATEWAY).filter(|gateway| {
            let promoted = gateway.image_promoted().unwrap_or_default();
            (is_pinned || gateway.hold() != Hold::Free)
                && gateway.image(image_name(promoted)) == Some(promoted)
        });
        let first = waiting.or_else(|| of(FIRST)).or_else(|| of(GATEWAY));
        // It has forgotten what it went back from.
        let to = first.and_then(|first| first.image_promoted()).filter(|to| !to.is_empty());
        let Some(to) = to else { return Vec::new() };
        let of_it = self.workloads().filter_map(|workload| {
            let before = workload.image_before(to)?;
            // What somebody else has given another image is among them, and is refused there.
            (workload.image(image_name(to)) != Some(before)).then(|| Changed::of(&workload, before, to))
        });
        of_it.collect()
    }

    /// Pods that Argo Rollouts makes are led by that.
    fn is_ours(&self) -> Result<(), Refusal> {
        if self.is_of_a_rollout(GATEWAY) { Err(Refusal::OfARollout) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: &str = "host/rampart:1";
    const NEXT: &str = "host/rampart:2";

    /// A gateway with so many pods of what it has now, and how the rest is different.
    fn installation(pods: u64, change: impl FnOnce(&mut Value)) -> Installation {
        let template = json!({ "spec": { "containers": [{ "name": "rampart", "image": NOW }] } });
        let mut all = json!({
            "gateway": {
                "kind": "Deployment",
                "metadata": { "name": "gateway", "uid": "g", "annotations": {} },
                "spec": {
                    "replicas": pods,
                    "strategy": { "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": 0 } },
                    "template": template,
                },
            },
            "set": {
                "kind": "ReplicaSet",
                "metadata": { "ownerReferences": [{ "uid": "g" }], "labels": { "pod-template-hash": "now" } },
                "spec": { "replicas": pods, "template": template },
                "status": { "readyReplicas": pods, "replicas": pods },
            },
            "service": { "kind": "Service", "metadata": { "name": "gateway" }, "spec": { "selector": {} } },
        });
        change(&mut all);
        let Value::Object(all) = all else { unreachable!("it is one") };
        Installation::of(all.into_iter().map(|(_, object)| object).collect())
    }

    fn beside(all: &mut Value) {
        all["gateway"]["spec"]["strategy"]["rollingUpdate"]["maxSurge"] = json!("100%");
    }

    fn pinned(all: &mut Value, to: &str) {
        all["service"]["spec"]["selector"]["pod-template-hash"] = json!(to);
    }

    #[test]
    fn a_release_begins_only_where_it_can() {
        use Course::{BlueGreen, InSteps, Stand};
        let paused = |all: &mut Value| all["gateway"]["spec"]["paused"] = json!(true);
        let stands = |all: &mut Value| {
            beside(all);
            pinned(all, "before");
        };
        let is_there = |all: &mut Value| {
            beside(all);
            pinned(all, "now");
        };
        let elsewhere = |all: &mut Value| all["gateway"]["metadata"]["name"] = json!("portal");
        let rollout = |all: &mut Value| {
            all["set"]["metadata"]["ownerReferences"] = json!([{ "kind": "Rollout", "name": "gateway" }]);
        };
        let unready = |all: &mut Value| all["set"]["status"]["readyReplicas"] = json!(1);
        let as_it_is = |_: &mut Value| {};
        type Case<'a> = (&'a dyn Fn(&mut Value), u64, &'a str, Course, Result<(), Refusal>);
        let cases: [Case<'_>; 16] = [
            (&as_it_is, 3, NEXT, InSteps, Ok(())),
            (&as_it_is, 3, NOW, InSteps, Ok(())),
            (&beside, 3, NEXT, BlueGreen, Ok(())),
            (&stands, 3, NOW, BlueGreen, Ok(())),
            (&paused, 3, NOW, InSteps, Ok(())),
            (&elsewhere, 3, NEXT, InSteps, Err(Refusal::NoGateway)),
            (&rollout, 3, NEXT, InSteps, Err(Refusal::OfARollout)),
            (&as_it_is, 3, "host/other:2", InSteps, Err(Refusal::AnotherProgram("host/other:2".to_owned()))),
            (&stands, 3, NEXT, BlueGreen, Err(Refusal::AnotherStands)),
            (&stands, 3, NOW, InSteps, Err(Refusal::AnotherStands)),
            (&paused, 3, NEXT, InSteps, Err(Refusal::Waits(NOW.to_owned()))),
            (&unready, 3, NEXT, InSteps, Err(Refusal::NotAtRest)),
            (&is_there, 3, NOW, Stand, Err(Refusal::IsThere)),
            (&as_it_is, 3, NEXT, BlueGreen, Err(Refusal::NoRoom)),
            (&beside, 3, NEXT, InSteps, Err(Refusal::NoSteps)),
            (&as_it_is, 0, NEXT, InSteps, Err(Refusal::Asleep)),
        ];
        for (number, (change, pods, image, course, expected)) in cases.into_iter().enumerate() {
            assert_eq!(installation(pods, change).may_take(image, course), expected, "case {number}");
        }
    }

    #[test]
    fn who_was_never_promoted_has_no_way_back_and_who_was_left_between_has_one() {
        assert_eq!(installation(3, |_| {}).way_back(), Err(Refusal::NothingBefore));
        let left = installation(3, |all| all["gateway"]["spec"]["paused"] = json!(true)).way_back().unwrap();
        let [left] = &left[..] else { panic!("{left:?}") };
        assert_eq!((left.name.as_str(), left.image(Way::Back)), ("gateway", NOW));
    }
}
