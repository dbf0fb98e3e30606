//! SARIF against the official schema, which a crate of SARIF types ships.

use std::{collections::BTreeSet, path::PathBuf, process::Command, sync::LazyLock};

use model::Severity;
use report::Format;
use serde_json::Value;

use crate::{estate::Estate, reports::report};

static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    let text = std::fs::read_to_string(schema_file()).unwrap();
    let mut schema: Value = serde_json::from_str(&text).unwrap();
    // Its pattern for languages ends in `]?$` with no opening bracket, which only some regular expression engines take; we write
    // no language.
    for object in ["run", "toolComponent"] {
        let language = &mut schema["definitions"][object]["properties"]["language"];
        language.as_object_mut().unwrap().remove("pattern").unwrap();
    }
    assert_eq!(schema["title"], "Static Analysis Results Format (SARIF) Version 2.1.0 JSON Schema");
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
});

/// Cargo knows where it put the crate; asking for one platform keeps it from wanting crates of others.
fn schema_file() -> PathBuf {
    let cargo = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO"))
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let version = cargo(&["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let metadata = cargo(&["metadata", "--format-version=1", "--offline", "--filter-platform", host]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let package = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .find(|package| package["name"] == "serde-sarif")
        .unwrap();
    PathBuf::from(package["manifest_path"].as_str().unwrap()).with_file_name("src").join("schema.json")
}

#[test]
fn reports_are_valid_by_the_official_schema() {
    for estate in [Estate::full(), Estate::empty()] {
        is_sound(&report(Format::Sarif, &estate), estate.findings.len());
    }
}

#[test]
fn the_schema_test_would_notice() {
    let mut document: Value = serde_json::from_str(&report(Format::Sarif, &Estate::full())).unwrap();
    document["runs"][0]["results"][0]["level"] = "terrible".into();
    assert!(!SCHEMA.is_valid(&document));
    document["runs"][0]["results"][0]["level"] = "error".into();
    assert!(SCHEMA.is_valid(&document));
    document["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] =
        "not a uri".into();
    assert!(!SCHEMA.is_valid(&document));
}

#[test]
fn a_result_says_how_bad_where_and_which_rule() {
    let estate = Estate::full();
    let document: Value = serde_json::from_str(&report(Format::Sarif, &estate)).unwrap();
    let run = &document["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let checks: BTreeSet<_> = estate.findings.iter().map(|finding| finding.check.as_str()).collect();
    assert_eq!(rules.len(), checks.len());
    for (result, finding) in run["results"].as_array().unwrap().iter().zip(&estate.findings) {
        let rule = &rules[usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()];
        assert_eq!(result["ruleId"], finding.check.as_str());
        assert_eq!(rule["id"], finding.check.as_str());
        assert_eq!(result["partialFingerprints"]["rampart/v1"], finding.fingerprint.to_string());
        let level = match finding.severity {
            Severity::Critical | Severity::High => "error",
            Severity::Medium => "warning",
            _ => "note",
        };
        assert_eq!(
            (&result["level"], &rule["defaultConfiguration"]["level"]),
            (&level.into(), &level.into())
        );
        assert!(result["message"]["text"].as_str().unwrap().contains(&finding.location.to_string()));
    }
    assert_eq!(rules[0]["properties"]["security-severity"], "9.8");
    assert_eq!(
        rules[0]["helpUri"],
        "https://redis.io/docs/latest/operate/oss_and_stack/management/security/"
    );
    let uri =
        |index: usize| &run["results"][index]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
    assert_eq!(uri(0), "tcp://cache.shop.test:6379");
    assert_eq!(uri(1), "http://shop.test:8080/backup/shop.sql");
    let domain =
        estate.findings.iter().position(|finding| finding.check.as_str() == "dangling-cname").unwrap();
    assert_eq!(uri(domain), "dns:promo.shop.test");
    let invocation = &run["invocations"][0];
    assert_eq!(invocation["executionSuccessful"], true);
    let notified: Vec<_> = invocation["toolExecutionNotifications"]
        .as_array()
        .unwrap()
        .iter()
        .map(|note| &note["descriptor"]["id"])
        .collect();
    let expected = [
        "failed-checks",
        "failed-checks",
        "skipped-checks",
        "skipped-checks",
        "undetermined",
        "undetermined",
    ];
    assert_eq!(notified, expected);
    assert_eq!(invocation["toolConfigurationNotifications"][0]["descriptor"]["id"], "refused-check");
}

/// Valid by the schema and by the crate's types, and every reference inside leads somewhere.
pub(crate) fn is_sound(text: &str, findings: usize) {
    let document: Value = serde_json::from_str(text).unwrap();
    let errors: Vec<String> =
        SCHEMA.iter_errors(&document).map(|error| format!("{error} at {}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    serde_json::from_value::<serde_sarif::sarif::Sarif>(document.clone()).unwrap();
    let run = &document["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), findings);
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        let message = result["message"]["text"].as_str().unwrap();
        assert!(
            !message.replace("{{", "").replace("}}", "").contains(['{', '}']),
            "a placeholder in {message:?}"
        );
        let bare = message.replace("\\\\", "").replace("\\[", "").replace("\\]", "");
        assert!(!bare.contains(['[', ']']), "a link in {message:?}");
    }
}
