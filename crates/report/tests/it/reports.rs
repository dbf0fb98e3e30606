//! Writes estates to reports, and changes one text in them at a time.

use model::{Asset, Finding, Summary};
use report::{Format, Source};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::estate::Estate;

/// One report as text.
pub(crate) fn report(format: Format, estate: &Estate) -> String {
    let mut out = Vec::new();
    let source = Source {
        summary: &estate.summary,
        findings: &|| Ok(Box::new(estate.findings.iter().cloned().map(Ok))),
        assets: &|| Ok(Box::new(estate.assets.iter().cloned().map(Ok))),
    };
    report::write(format, &source, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// An estate as small as it can be with every text field of the model filled: `payload` everywhere it is taken.
pub(crate) struct Poisoned {
    pub(crate) estate: Estate,
    /// Where the payload is now, as JSON pointers.
    pub(crate) fields: Vec<String>,
}

/// Puts the payload in every text field at once whose type takes it, and says which those are.
pub(crate) fn poisoned(payload: &str) -> Poisoned {
    let mut estate = Estate::full();
    estate.findings.truncate(6);
    let mut fields = Vec::new();
    for finding in &mut estate.findings {
        finding.matcher = Some("matcher".into());
        finding.classification.cve = vec!["CVE-2026-0001".into()];
        *finding = poison(finding, "/findings", payload, &mut fields);
    }
    for asset in &mut estate.assets {
        if let Asset::Service(service) = asset {
            service.banner = "banner".into();
        }
        *asset = poison(asset, "/assets", payload, &mut fields);
    }
    estate.summary.incomplete_because = Some("stopped".into());
    estate.summary.complete = false;
    estate.summary.ledger.checks.clear();
    estate.summary.ledger.plan(&model::CheckId::new("planned"), 1);
    estate.summary = poison(&estate.summary, "/summary", payload, &mut fields);
    fields.sort();
    fields.dedup();
    Poisoned { estate, fields }
}

/// Changes each string and each key in turn, and keeps the change when the type still takes the value: names, addresses and
/// times refuse it.
fn poison<T: Serialize + DeserializeOwned>(
    value: &T,
    at: &str,
    payload: &str,
    fields: &mut Vec<String>,
) -> T {
    let mut value = serde_json::to_value(value).unwrap();
    for pointer in texts(&value) {
        let mut changed = value.clone();
        let was = changed.pointer(&pointer).unwrap().clone();
        let replacements = match &was {
            Value::String(text) if text.starts_with("http://") => {
                vec![format!("http://a.test/{payload}"), payload.to_owned()]
            }
            _ => vec![payload.to_owned()],
        };
        for replacement in replacements {
            *changed.pointer_mut(&pointer).unwrap() = replacement.into();
            if serde_json::from_value::<T>(changed.clone()).is_ok() {
                value = changed;
                fields.push(format!("{at}{}", without_numbers(&pointer)));
                break;
            }
        }
    }
    if let Some(extracted) = value.get_mut("extracted").and_then(Value::as_object_mut) {
        extracted.insert(payload.to_owned(), vec![payload].into());
        fields.push(format!("{at}/extracted/(key)"));
    }
    serde_json::from_value(value).unwrap()
}

/// The JSON pointers of all strings.
fn texts(value: &Value) -> Vec<String> {
    let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match value {
        Value::String(_) => vec![String::new()],
        Value::Array(items) => items
            .iter()
            .enumerate()
            .flat_map(|(index, item)| texts(item).into_iter().map(move |rest| format!("/{index}{rest}")))
            .collect(),
        Value::Object(members) => members
            .iter()
            .flat_map(|(key, item)| {
                texts(item).into_iter().map(move |rest| format!("/{}{rest}", escaped(key)))
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn without_numbers(pointer: &str) -> String {
    pointer.split('/').filter(|part| part.parse::<usize>().is_err()).collect::<Vec<_>>().join("/")
}

/// What a JSON report holds.
pub(crate) fn read_back(document: &str) -> (Summary, Vec<Finding>, Vec<Asset>) {
    let mut value: Value = serde_json::from_str(document).unwrap();
    assert_eq!(value["schema"], 1);
    let mut take = |name: &str| value[name].take();
    (
        serde_json::from_value(take("summary")).unwrap(),
        serde_json::from_value(take("findings")).unwrap(),
        serde_json::from_value(take("assets")).unwrap(),
    )
}
