//! The checks that come with Rampart: every file loads, says what a reader needs, and ends as its examples say.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use checks::{
    Template,
    examples::{self, Examples},
    template,
};

const CATEGORIES: [&str; 8] =
    ["dns", "exposures", "headers", "misconfiguration", "panels", "services", "technologies", "tls"];

/// One file under `checks/`.
pub(crate) struct Builtin {
    pub(crate) category: String,
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) template: Arc<Template>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../checks")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let listed = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = listed.map(|entry| entry.expect("a readable entry").path()).collect();
    paths.sort();
    paths
}

fn file_name(path: &Path) -> String {
    path.file_name().expect("a name").to_str().expect("names are UTF-8").to_owned()
}

/// Every check; fails with all diagnostics when one does not load.
pub(crate) fn load() -> Vec<Builtin> {
    let mut loaded = Vec::new();
    let mut diagnostics = Vec::new();
    for category in CATEGORIES {
        for path in entries(&root().join(category)) {
            let file = file_name(&path);
            let name =
                file.strip_suffix(".yaml").unwrap_or_else(|| panic!("{category}/{file} is no .yaml file"));
            let text = fs::read_to_string(&path).expect("a readable file");
            match template::parse(&text, &format!("{category}/{file}")) {
                Ok(template) => loaded.push(Builtin {
                    category: category.to_owned(),
                    name: name.to_owned(),
                    text,
                    template: Arc::new(template),
                }),
                Err(found) => diagnostics.extend(found.iter().map(ToString::to_string)),
            }
        }
    }
    assert!(diagnostics.is_empty(), "\n{}", diagnostics.join("\n"));
    loaded
}

/// All complaints at once: one run shows everything there is to mend.
pub(crate) fn assert_none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
fn folders_are_the_known_categories() {
    let folders: Vec<String> =
        entries(&root()).iter().filter(|path| path.is_dir()).map(|path| file_name(path)).collect();
    let mut expected: Vec<&str> = CATEGORIES.to_vec();
    expected.push("examples");
    expected.sort_unstable();
    assert_eq!(folders, expected);
}

#[test]
fn a_check_is_called_like_its_file_and_says_what_a_reader_needs() {
    let mut complaints = Vec::new();
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for Builtin { category, name, text, template } in load() {
        let mut complain = |what: &str| complaints.push(format!("{category}/{name}: {what}"));
        let id = template.id.to_string();
        if id != name {
            complain(&format!("its id is `{id}`"));
        }
        if let Some(other) = known.insert(id, format!("{category}/{name}")) {
            complain(&format!("it has the id of {other}"));
        }
        let info = &template.info;
        if info.author != ["rampart"] {
            complain("its author is not rampart");
        }
        for (field, value) in
            [("description", &info.description), ("impact", &info.impact), ("remediation", &info.remediation)]
        {
            if value.trim().len() < 20 {
                complain(&format!("its {field} is missing or says nothing"));
            }
        }
        if !info.references.iter().any(|reference| reference.starts_with("https://")) {
            complain("it has no reference");
        }
        if info.tags.is_empty() {
            complain("it has no tags");
        }
        if !text.contains("    confidence: ") {
            complain("it does not state its confidence");
        }
        if !template.risk_tags().is_empty() {
            complain("it would only run when it is named");
        }
    }
    assert_none(complaints);
}

#[test]
fn a_check_asks_little_and_changes_nothing() {
    use checks::template::{BlockRequest, HttpRequests};

    let mut complaints = Vec::new();
    for Builtin { category, name, template, .. } in load() {
        if template.max_requests() > 8 {
            complaints.push(format!("{category}/{name}: it sends {} requests", template.max_requests()));
        }
        for block in &template.blocks {
            if let BlockRequest::Http(http) = &block.request
                && let HttpRequests::Paths { method, .. } = &http.requests
                && !["GET", "HEAD", "OPTIONS", "TRACE"].contains(&method.as_str())
            {
                complaints.push(format!("{category}/{name}: the method {method} may change something"));
            }
        }
    }
    assert_none(complaints);
}

#[test]
fn a_check_of_every_page_asks_for_the_page_itself() {
    let tagged: Vec<Builtin> = load()
        .into_iter()
        .filter(|check| check.template.info.tags.iter().any(|tag| tag == "every-page"))
        .collect();
    assert!(tagged.len() >= 8, "{} checks of every page", tagged.len());
    let others = tagged.iter().filter(|check| {
        check.template.max_requests() != 1
            || !check.text.contains("  - method: GET\n    path:\n      - \"{{BaseURL}}\"\n")
    });
    assert_none(others.map(|check| format!("{}/{}", check.category, check.name)).collect());
}

#[test]
fn every_check_has_examples_and_every_example_ends_as_written() {
    let folder = root().join("examples");
    let mut complaints = Vec::new();
    let mut expected = Vec::new();
    for Builtin { category, name, template, .. } in load() {
        let file = format!("{category}/{name}.yaml");
        let path = folder.join(&file);
        expected.push(path.clone());
        let Ok(text) = fs::read_to_string(&path) else {
            complaints.push(format!("{file}: no examples"));
            continue;
        };
        let examples = match Examples::parse(&text, &format!("examples/{file}")) {
            Ok(examples) => examples,
            Err(found) => {
                complaints.extend(found.iter().map(ToString::to_string));
                continue;
            }
        };
        if examples.matches.is_empty() || examples.does_not_match.len() < 2 {
            complaints.push(format!("{file}: fewer than one example that matches and two that do not"));
        }
        for result in examples::run(&template, &examples) {
            if let Err(reason) = result.outcome {
                complaints.push(format!("{file}: `{}`: {reason}", result.name));
            }
        }
    }
    let categories = CATEGORIES.iter().flat_map(|category| entries(&folder.join(category)));
    complaints.extend(
        categories
            .filter(|path| !expected.contains(path))
            .map(|path| format!("{}: examples without a check", path.display())),
    );
    assert_none(complaints);
}
