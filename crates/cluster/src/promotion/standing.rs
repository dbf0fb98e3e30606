//! How far a Deployment has come with an image.

use serde_json::Value;

use crate::manifests::{list, text};

/// How far a Deployment has come with an image.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Standing {
    /// Pods that are wanted.
    pub wanted: u64,
    /// Pods with the image that are to be made.
    pub asked: u64,
    /// Of those the ones that are ready.
    pub ready: u64,
    /// ReplicaSets with the image that have pods: another setting makes another one.
    pub sets: usize,
    /// Pods with another image that are still there.
    pub others: u64,
    /// How the names of the pods with the image go on after that of the Deployment, once there are any.
    pub hash: Option<String>,
    /// The same of the release before.
    pub hash_before: Option<String>,
    /// Why it does not come any further, if so.
    pub stuck: Option<String>,
    /// Why a pod could not be made, the last time; it is tried again.
    pub refused: Option<String>,
}

impl Standing {
    /// Of a Deployment with the ReplicaSets that it has made, each with the image of its program.
    pub(super) fn of(deployment: &Value, sets: &[(&Value, Option<&str>)], image: &str) -> Standing {
        let (mut new, mut others): (Vec<&Value>, Vec<&Value>) = Default::default();
        for (set, has) in sets {
            if *has == Some(image) { new.push(set) } else { others.push(set) }
        }
        // Where people can be led comes first, then what is to come.
        let newest = |sets: &[&Value]| {
            let set = sets.iter().max_by_key(|set| {
                (number(set, "/status/readyReplicas"), number(set, "/spec/replicas"), revision(set))
            })?;
            text(set, "/metadata/labels/pod-template-hash").map(str::to_owned)
        };
        let sum = |sets: &[&Value], path| sets.iter().map(|set| number(set, path)).sum();
        // What it says of a change that it has not seen is of the one before.
        let has_seen =
            number(deployment, "/status/observedGeneration") >= number(deployment, "/metadata/generation");
        let condition = |is_it: &dyn Fn(&Value) -> bool| {
            let found = list(deployment, "/status/conditions").find(|condition| is_it(condition));
            Some(text(found?, "/message").unwrap_or("it does not say why").to_owned())
        };
        let stuck = condition(&|condition| text(condition, "/reason") == Some("ProgressDeadlineExceeded"));
        let refused = condition(&|condition| {
            text(condition, "/type") == Some("ReplicaFailure") && text(condition, "/status") == Some("True")
        });
        Standing {
            wanted: deployment.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1),
            asked: sum(&new, "/spec/replicas"),
            ready: sum(&new, "/status/readyReplicas"),
            sets: new.iter().filter(|set| number(set, "/status/replicas") > 0).count(),
            others: sum(&others, "/status/replicas"),
            hash: newest(&new),
            hash_before: newest(&others),
            stuck: stuck.filter(|_| has_seen),
            refused,
        }
    }

    /// Is such a share of the pods, in percent, to have the image?
    pub fn is_asked_for(&self, share: u32) -> bool {
        self.asked * 100 >= self.wanted * u64::from(share)
    }

    /// Is such a share of the pods ready that have it?
    pub fn is_ready_for(&self, share: u32) -> bool {
        self.ready * 100 >= self.wanted * u64::from(share)
    }

    /// Is such a share of the pods, rounded up, fewer than all of them?
    pub fn is_a_part(&self, share: u32) -> bool {
        (self.wanted * u64::from(share)).div_ceil(100) < self.wanted
    }

    /// Are as many ready as are wanted, of one kind, and no others there?
    pub fn is_at_rest(&self) -> bool {
        self.is_done() && self.sets <= 1
    }

    /// Have all of them come, and all others gone?
    pub fn is_done(&self) -> bool {
        self.is_ready_for(100) && self.others == 0
    }
}

fn number(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

/// Which one after which it was made: <https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#checking-rollout-history-of-a-deployment>.
fn revision(set: &Value) -> u64 {
    let revision = text(set, "/metadata/annotations/deployment.kubernetes.io~1revision");
    revision.and_then(|revision| revision.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(hash: &str, revision: u32, asked: u64, ready: u64) -> Value {
        json!({
            "metadata": {
                "labels": { "pod-template-hash": hash },
                "annotations": { "deployment.kubernetes.io/revision": revision.to_string() },
            },
            "spec": { "replicas": asked },
            "status": { "readyReplicas": ready, "replicas": asked },
        })
    }

    #[test]
    fn it_counts_what_has_the_image_and_what_has_not() {
        let deployment = json!({ "spec": { "replicas": 4 } });
        let sets = [set("aaa", 3, 3, 3), set("bbb", 4, 2, 1), set("ccc", 2, 0, 0)];
        let sets = [(&sets[0], Some("one")), (&sets[1], Some("two")), (&sets[2], Some("none"))];
        let standing = Standing::of(&deployment, &sets, "two");
        let expected = Standing {
            wanted: 4,
            asked: 2,
            ready: 1,
            sets: 1,
            others: 3,
            hash: Some("bbb".to_owned()),
            hash_before: Some("aaa".to_owned()),
            stuck: None,
            refused: None,
        };
        assert_eq!(standing, expected);
        assert!(standing.is_asked_for(50) && !standing.is_asked_for(51));
        assert!(standing.is_ready_for(25) && !standing.is_ready_for(26));
        let all = Standing { asked: 4, ready: 4, ..standing };
        assert!(all.is_ready_for(100) && !all.is_done(), "one of the others is still there");
        assert!(Standing { others: 0, ..all }.is_done());
    }

    #[test]
    fn the_release_before_is_known_when_none_of_its_pods_is_left() {
        let sets = [set("old", 7, 0, 0), set("new", 9, 4, 4), set("before", 8, 0, 0)];
        let sets = [(&sets[0], Some("a")), (&sets[1], Some("two")), (&sets[2], Some("b"))];
        let standing = Standing::of(&json!({ "spec": { "replicas": 4 } }), &sets, "two");
        assert_eq!(standing.hash_before.as_deref(), Some("before"));
    }

    #[test]
    fn what_was_said_of_the_change_before_says_nothing() {
        let deployment = |observed: u64| {
            json!({
                "metadata": { "generation": 5 },
                "status": {
                    "observedGeneration": observed,
                    "conditions": [{ "type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "no" }],
                },
            })
        };
        let stuck = |observed| Standing::of(&deployment(observed), &[], "two").stuck;
        assert_eq!((stuck(4), stuck(5).as_deref()), (None, Some("no")));
    }
}
