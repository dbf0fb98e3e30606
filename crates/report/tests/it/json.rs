//! JSON and JSON Lines read back to exactly what was written.

use model::{Asset, Finding, Summary};
use report::Format;
use serde_json::Value;

use crate::{
    estate::Estate,
    reports::{read_back, report},
};

#[test]
fn one_document_holds_everything() {
    for estate in [Estate::full(), Estate::empty()] {
        reads_back(&report(Format::Json, &estate), &estate);
    }
}

#[test]
fn each_line_says_what_it_is() {
    for estate in [Estate::full(), Estate::empty()] {
        lines_read_back(&report(Format::JsonLines, &estate), &estate);
    }
}

pub(crate) fn reads_back(document: &str, estate: &Estate) {
    let (summary, findings, assets) = read_back(document);
    assert_eq!(serde_json::to_value(&summary).unwrap(), serde_json::to_value(&estate.summary).unwrap());
    assert_eq!(findings, estate.findings);
    assert_eq!(assets, estate.assets);
}

pub(crate) fn lines_read_back(text: &str, estate: &Estate) {
    let (mut summaries, mut findings, mut assets) = (Vec::new(), Vec::new(), Vec::new());
    for line in text.lines() {
        let mut value: Value = serde_json::from_str(line).unwrap();
        let members = value.as_object_mut().unwrap();
        assert_eq!(members.remove("schema"), Some(1.into()));
        match members.remove("type").unwrap().as_str().unwrap() {
            "summary" => summaries.push(serde_json::from_value::<Summary>(value).unwrap()),
            "finding" => findings.push(serde_json::from_value::<Finding>(value).unwrap()),
            "asset" => assets.push(serde_json::from_value::<Asset>(value).unwrap()),
            other => panic!("a line of type {other}"),
        }
    }
    assert_eq!(serde_json::to_value(&summaries).unwrap(), serde_json::to_value([&estate.summary]).unwrap());
    assert_eq!(findings, estate.findings);
    assert_eq!(assets, estate.assets);
}
