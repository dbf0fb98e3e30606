//! Manifests as they are applied: what `kustomize build` writes for an overlay.

use std::collections::BTreeMap;

use serde_json::Value;

/// Why a text is no list of manifests.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It cannot be read.
    #[error("no YAML that Kubernetes would take: {0}")]
    Yaml(String),
    /// It says nothing of what it is.
    #[error("document {0} has no kind or no name")]
    Nameless(usize),
    /// One of them would overwrite the other.
    #[error("{0} is there twice")]
    Twice(String),
}

/// All objects of an installation.
#[derive(Debug, Clone)]
pub struct Manifests {
    objects: Vec<Object>,
}

/// One object.
#[derive(Debug, Clone)]
pub struct Object {
    value: Value,
    kind: String,
    name: String,
    namespace: Option<String>,
}

/// A pod that some object makes.
#[derive(Debug, Clone, Copy)]
pub struct Pod<'a> {
    /// Which object.
    pub object: &'a Object,
    /// Its template: `metadata` and `spec`.
    pub template: &'a Value,
}

/// Where objects of a kind keep the template of their pods.
const TEMPLATES: [(&str, &str); 7] = [
    ("Deployment", "/spec/template"),
    ("StatefulSet", "/spec/template"),
    ("DaemonSet", "/spec/template"),
    ("ReplicaSet", "/spec/template"),
    ("Rollout", "/spec/template"),
    ("Job", "/spec/template"),
    ("CronJob", "/spec/jobTemplate/spec/template"),
];

impl Manifests {
    /// Reads documents with `---` between them.
    pub fn parse(text: &str) -> Result<Manifests, ManifestError> {
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(text).map_err(|error| ManifestError::Yaml(error.to_string()))?;
        let mut objects: Vec<Object> = Vec::new();
        for (number, value) in documents.into_iter().filter(|value| !value.is_null()).enumerate() {
            let word = |path| value.pointer(path).and_then(Value::as_str).map(str::to_owned);
            let (Some(kind), Some(name)) = (word("/kind"), word("/metadata/name")) else {
                return Err(ManifestError::Nameless(number + 1));
            };
            let namespace = word("/metadata/namespace");
            let object = Object { value, kind, name, namespace };
            if objects.iter().any(|other| other.path() == object.path() && other.group() == object.group()) {
                return Err(ManifestError::Twice(object.path()));
            }
            objects.push(object);
        }
        Ok(Manifests { objects })
    }

    /// Every object.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.objects.iter()
    }

    /// Those of a kind.
    pub fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Object> {
        self.objects.iter().filter(move |object| object.kind == kind)
    }

    /// One of them.
    pub fn named(&self, kind: &str, name: &str) -> Option<&Object> {
        self.of_kind(kind).find(|object| object.name == name)
    }

    /// Every pod that is made.
    pub fn pods(&self) -> impl Iterator<Item = Pod<'_>> {
        self.objects.iter().filter_map(|object| {
            let (_, path) = TEMPLATES.iter().find(|(kind, _)| *kind == object.kind)?;
            Some(Pod { object, template: object.value.pointer(path)? })
        })
    }
}

impl Object {
    /// All of it.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Its kind.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its namespace, if it has one.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// The group of its API, such as `apps`; nothing for the core.
    pub fn group(&self) -> &str {
        let version = self.text("/apiVersion").unwrap_or_default();
        version.rsplit_once('/').map_or("", |(group, _)| group)
    }

    /// `Deployment/rampart/gateway`.
    pub fn path(&self) -> String {
        format!("{}/{}/{}", self.kind, self.namespace().unwrap_or("-"), self.name)
    }

    /// What stands at a place (RFC 6901).
    pub fn at(&self, pointer: &str) -> Option<&Value> {
        self.value.pointer(pointer)
    }

    /// The text at a place.
    pub fn text(&self, pointer: &str) -> Option<&str> {
        self.at(pointer).and_then(Value::as_str)
    }

    /// The number at a place.
    pub fn number(&self, pointer: &str) -> Option<i64> {
        self.at(pointer).and_then(Value::as_i64)
    }

    /// The items of the list at a place; none where there is no list.
    pub fn list(&self, pointer: &str) -> impl Iterator<Item = &Value> {
        list(&self.value, pointer)
    }

    /// An annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.at("/metadata/annotations")?.get(key)?.as_str()
    }

    /// Its labels.
    pub fn labels(&self) -> BTreeMap<&str, &str> {
        pairs(self.at("/metadata/labels"))
    }

    /// Whether, being a service, it leads to pods with these labels. Without a selector, or with an empty one, others say where it leads.
    pub fn leads_to(&self, labels: &BTreeMap<&str, &str>) -> bool {
        let wanted = pairs(self.at("/spec/selector"));
        !wanted.is_empty() && has_all(labels, &wanted)
    }
}

impl<'a> Pod<'a> {
    /// What stands at a place of its specification.
    pub fn at(&self, pointer: &str) -> Option<&'a Value> {
        self.template.get("spec")?.pointer(pointer)
    }

    /// Its labels.
    pub fn labels(&self) -> BTreeMap<&'a str, &'a str> {
        pairs(self.template.pointer("/metadata/labels"))
    }

    /// The containers that go on.
    pub fn containers(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        list(self.template, "/spec/containers")
    }

    /// And those that begin before them.
    pub fn all_containers(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        list(self.template, "/spec/initContainers").chain(self.containers())
    }

    /// Its volumes.
    pub fn volumes(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        list(self.template, "/spec/volumes")
    }

    /// Whether it ends by itself.
    pub fn is_job(&self) -> bool {
        matches!(self.object.kind(), "Job" | "CronJob")
    }

    /// The container of a role of this program, if it is one.
    pub fn role(&self) -> Option<&'a Value> {
        self.containers().find(|container| text(container, "/name") == Some("rampart"))
    }
}

/// The items of the list at a place.
pub fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// The text at a place.
pub fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

fn pairs(value: Option<&Value>) -> BTreeMap<&str, &str> {
    let object = value.and_then(Value::as_object).into_iter().flatten();
    object.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect()
}

fn has_all(labels: &BTreeMap<&str, &str>, wanted: &BTreeMap<&str, &str>) -> bool {
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// Whether a label selector chooses what has these labels. An empty one chooses everything, no selector at all nothing.
pub fn selects(selector: Option<&Value>, labels: &BTreeMap<&str, &str>) -> bool {
    let Some(selector) = selector else { return false };
    has_all(labels, &pairs(selector.get("matchLabels")))
        && list(selector, "/matchExpressions").all(|expression| is_met(expression, labels))
}

fn is_met(expression: &Value, labels: &BTreeMap<&str, &str>) -> bool {
    let there = text(expression, "/key").and_then(|key| labels.get(key));
    let is_one_of = |value: &&str| list(expression, "/values").any(|one| one.as_str() == Some(value));
    match text(expression, "/operator") {
        Some("In") => there.is_some_and(is_one_of),
        Some("NotIn") => !there.is_some_and(is_one_of),
        Some("Exists") => there.is_some(),
        Some("DoesNotExist") => there.is_none(),
        _ => false,
    }
}

/// A quantity such as `250m`, `2Gi` or `4`, in thousandths.
pub fn quantity(value: &Value) -> Option<u128> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale: u128 = match unit {
        "m" => 1,
        "" => 1_000,
        "k" => 1_000_000,
        "M" => 1_000_000_000,
        "G" => 1_000_000_000_000,
        "T" => 1_000_000_000_000_000,
        "Ki" => 1_000 << 10,
        "Mi" => 1_000 << 20,
        "Gi" => 1_000 << 30,
        "Ti" => 1_000 << 40,
        _ => return None,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let whole: u128 = whole.parse().ok()?;
    let part = match part {
        "" => 0,
        digits => digits.parse::<u128>().ok()? * scale / 10_u128.checked_pow(digits.len() as u32)?,
    };
    Some(whole.checked_mul(scale)? + part)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_does() {
        for (text, thousandths) in [
            (json!("250m"), Some(250)),
            (json!(2), Some(2_000)),
            (json!("0.5"), Some(500)),
            (json!("1.5Gi"), Some(1_610_612_736_000)),
            (json!("64Mi"), Some(67_108_864_000)),
            (json!("1G"), Some(1_000_000_000_000)),
            (json!("much"), None),
            (json!("1X"), None),
            (json!(null), None),
        ] {
            assert_eq!(quantity(&text), thousandths, "{text}");
        }
    }

    #[test]
    fn selectors_choose_as_kubernetes_does() {
        let labels = BTreeMap::from([("a", "1"), ("b", "2")]);
        let expression = |operator: &str, values: &[&str]| json!({ "matchExpressions": [{ "key": "a", "operator": operator, "values": values }] });
        for (selector, chooses) in [
            (json!({}), true),
            (json!({ "matchLabels": { "a": "1" } }), true),
            (json!({ "matchLabels": { "a": "1", "c": "3" } }), false),
            (expression("In", &["1", "2"]), true),
            (expression("In", &["2"]), false),
            (expression("NotIn", &["2"]), true),
            (expression("Exists", &[]), true),
            (expression("DoesNotExist", &[]), false),
            (expression("Gt", &["0"]), false),
        ] {
            assert_eq!(selects(Some(&selector), &labels), chooses, "{selector}");
        }
        assert!(!selects(None, &labels));
    }

    #[test]
    fn services_lead_where_kubernetes_says() {
        let labels = BTreeMap::from([("a", "1"), ("b", "2")]);
        for (specification, leads) in [
            ("{selector: {a: '1'}}", true),
            ("{selector: {a: '1', b: '2'}}", true),
            ("{selector: {a: '1', c: '3'}}", false),
            ("{selector: {}}", false),
            ("{}", false),
        ] {
            let text = format!("kind: Service\nmetadata: {{name: a}}\nspec: {specification}\n");
            let manifests = Manifests::parse(&text).unwrap();
            let service = manifests.named("Service", "a").unwrap();
            assert_eq!(service.leads_to(&labels), leads, "{specification}");
        }
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        for (text, why) in [
            ("kind: A\n", "document 1 has no kind or no name"),
            ("kind: A\nkind: B\nmetadata: {name: a}\n", "no YAML"),
            ("kind: A\nmetadata: {name: a}\n---\nkind: A\nmetadata: {name: a}\n", "A/-/a is there twice"),
            ("a: [", "no YAML"),
        ] {
            let error = Manifests::parse(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert_eq!(Manifests::parse("---\n---\n").unwrap().objects().count(), 0);
    }
}
