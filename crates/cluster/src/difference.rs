//! What becomes of objects when others are applied in their place.

use serde_json::{Map, Value};

use crate::{
    kubectl::Live,
    manifests::{Manifests, Object},
};

/// What becomes of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `Deployment/rampart/gateway`.
    pub object: String,
    /// In what way.
    pub kind: ChangeKind,
}

impl Change {
    /// Whether its pods are replaced.
    pub fn replaces_pods(&self) -> bool {
        let ChangeKind::Changed(differences) = &self.kind else { return false };
        differences.iter().any(|difference| difference.place.starts_with("/spec/template/"))
    }
}

/// In what way an object changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is made.
    Added,
    /// It cannot be made: the cluster does not know what it is.
    OfUnknownKind,
    /// It is there and is not applied any more: nothing takes it away by itself.
    Removed,
    /// These places in it say something else.
    Changed(Vec<Difference>),
}

/// One place that says something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where (RFC 6901).
    pub place: String,
    /// What stands there, if anything does.
    pub before: Option<Value>,
    /// What is to stand there, if anything is.
    pub after: Option<Value>,
}

/// What applying `after` changes where `before` holds, in the order of their names.
pub fn between(before: &Manifests, after: &Manifests) -> Vec<Change> {
    let same = |object: &Object, others: &Manifests| {
        others
            .objects()
            .find(|other| other.path() == object.path() && other.group() == object.group())
            .cloned()
    };
    let applied = after.objects().filter_map(|object| {
        let Some(old) = same(object, before) else {
            return Some(Change { object: object.path(), kind: ChangeKind::Added });
        };
        let mut differences = Vec::new();
        compare("", Some(old.value()), Some(object.value()), &mut differences);
        changed(object, differences)
    });
    let removed = before.objects().filter(|object| same(object, after).is_none());
    let removed = removed.map(|object| Change { object: object.path(), kind: ChangeKind::Removed });
    let mut changes: Vec<Change> = applied.chain(removed).collect();
    changes.sort_by(|one, other| one.object.cmp(&other.object));
    changes
}

/// What applying `wanted` changes in a cluster that has this of it. What is there and not wanted any more is not known: others may
/// have made it.
pub fn in_cluster(wanted: &[(&Object, Live)]) -> Vec<Change> {
    let change = |(object, live): &(&Object, Live)| match live {
        Live::There(live) => changed(object, beside(live, object.value())),
        Live::Absent => Some(Change { object: object.path(), kind: ChangeKind::Added }),
        Live::OfUnknownKind => Some(Change { object: object.path(), kind: ChangeKind::OfUnknownKind }),
    };
    wanted.iter().filter_map(change).collect()
}

fn changed(object: &Object, differences: Vec<Difference>) -> Option<Change> {
    let is_any = !differences.is_empty();
    is_any.then(|| Change { object: object.path(), kind: ChangeKind::Changed(differences) })
}

/// What of `live` is said otherwise by `wanted`; what a cluster adds by itself is none of it.
fn beside(live: &Value, wanted: &Value) -> Vec<Difference> {
    let mut differences = Vec::new();
    compare("", Some(&only(live, wanted)), Some(wanted), &mut differences);
    differences
}

/// Of a value what the other speaks of, too. Items of lists are the same by their name, or else by their place.
fn only(live: &Value, wanted: &Value) -> Value {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            let both =
                wanted.iter().filter_map(|(key, wanted)| Some((key.clone(), only(live.get(key)?, wanted))));
            Value::Object(both.collect::<Map<_, _>>())
        }
        (Value::Array(live), Value::Array(wanted)) if live.len() == wanted.len() => {
            let named = |item: &Value| item.get("name").and_then(Value::as_str).map(str::to_owned);
            let twin = |index: usize, wanted: &Value| {
                let by_name = named(wanted)
                    .and_then(|name| live.iter().find(|item| named(item).as_ref() == Some(&name)));
                by_name.or_else(|| live.get(index)).map_or(Value::Null, |live| only(live, wanted))
            };
            Value::Array(wanted.iter().enumerate().map(|(index, wanted)| twin(index, wanted)).collect())
        }
        (live, _) => live.clone(),
    }
}

fn compare(place: &str, before: Option<&Value>, after: Option<&Value>, differences: &mut Vec<Difference>) {
    let inner = |key: &str| format!("{place}/{}", key.replace('~', "~0").replace('/', "~1"));
    match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let gone = before.keys().filter(|key| !after.contains_key(*key));
            for key in after.keys().chain(gone) {
                compare(&inner(key), before.get(key), after.get(key), differences);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            for index in 0..before.len().max(after.len()) {
                compare(&format!("{place}/{index}"), before.get(index), after.get(index), differences);
            }
        }
        (before, after) if before != after => {
            differences.push(Difference {
                place: place.to_owned(),
                before: before.cloned(),
                after: after.cloned(),
            });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_made_changed_and_left_behind_is_told() {
        let read = |text: &str| Manifests::parse(text).unwrap();
        let before = read(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replicas: 1, template: {spec: {x: 1}}}\n---\n\
             kind: Secret\nmetadata: {name: old}\n---\nkind: Service\nmetadata: {name: same}\n",
        );
        let after = read(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replicas: 2, template: {spec: {x: 1, y/z: [3]}}}\n---\n\
             kind: Secret\nmetadata: {name: new}\n---\nkind: Service\nmetadata: {name: same}\n",
        );
        let difference = |place: &str, before, after| Difference { place: place.to_owned(), before, after };
        let changes = between(&before, &after);
        assert_eq!(
            changes,
            [
                Change {
                    object: "Deployment/-/a".to_owned(),
                    kind: ChangeKind::Changed(vec![
                        difference("/spec/replicas", Some(json!(1)), Some(json!(2))),
                        difference("/spec/template/spec/y~1z", None, Some(json!([3]))),
                    ]),
                },
                Change { object: "Secret/-/new".to_owned(), kind: ChangeKind::Added },
                Change { object: "Secret/-/old".to_owned(), kind: ChangeKind::Removed },
            ]
        );
        assert_eq!(changes.iter().map(Change::replaces_pods).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(between(&before, &before), []);
    }

    #[test]
    fn what_a_cluster_adds_is_no_difference() {
        let live = json!({
            "metadata": { "name": "a", "uid": "1" },
            "spec": { "replicas": 3, "containers": [{ "name": "y", "image": "2" }, { "name": "x", "image": "1", "added": true }] },
            "status": {}
        });
        let wanted = json!({
            "metadata": { "name": "a" },
            "spec": { "containers": [{ "name": "x", "image": "1" }, { "name": "y", "image": "3" }] }
        });
        let image = Difference {
            place: "/spec/containers/1/image".to_owned(),
            before: Some(json!("2")),
            after: Some(json!("3")),
        };
        assert_eq!(beside(&live, &wanted), [image]);
    }
}
