//! The gates of a release.

use cluster::promotion::Questions;
use testkit::tools::root;

/// Who looks in the cluster and who looks from here ask the same.
#[test]
fn the_questions_are_those_of_the_analysis() {
    let Questions { errors, latency, .. } = Questions::of("NEW", "OLD");
    for (file, question) in [("errors", errors), ("latency", latency)] {
        let file = root().join(format!("deploy/kubernetes/components/rollouts/analysis/{file}.yaml"));
        let template: serde_json::Value =
            serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let mut query = template
            .pointer("/spec/metrics/0/provider/prometheus/query")
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned();
        for argument in template["spec"]["args"].as_array().unwrap() {
            let name = argument["name"].as_str().unwrap();
            let value = match name {
                "canary" => "NEW",
                "stable" => "OLD",
                _ => argument["value"].as_str().unwrap_or_default(),
            };
            query = query.replace(&format!("{{{{args.{name}}}}}"), value);
        }
        let plain = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(plain(&question), plain(&query));
    }
}
