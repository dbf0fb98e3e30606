//! A tenant that has some of everything, and what can be read of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use axum::body::Body;
use hyper::{Method, Request, StatusCode};
use model::{
    ApiKey, Asset, DomainName, Location, NewTask, Priority, Role, ScanId, Severity, Source, Stage, TenantId,
    Traffic, UnitResult, Work, WorkerId, audit::AuditKey,
};
use serde_json::{Value, json};
use store::{ClaimRequest, Ending, Introduction, NewAnalysis, NewKey, ObjectKey, PackageResult, Settlement};

use super::places::{encoded, resolved};
use crate::{
    document::DOCUMENT,
    ground::{Answer, Ground, finding, named},
    sessions::{Browser, PASSWORD, user_of},
};

/// The key under which each of them has asked for a scan.
pub(super) const ONCE: &str = "nightly-scan";

/// Who asks, by what they bring.
#[derive(Clone)]
pub(super) struct Asker {
    pub(super) headers: Vec<(&'static str, String)>,
}

/// A tenant that has some of everything; whatever can be named has the marker in its name or text.
pub(super) struct Furnished {
    pub(super) tenant: TenantId,
    /// Its owner, with a key.
    pub(super) program: Asker,
    /// Another owner, with a session.
    pub(super) person: Asker,
}

/// Something that a tenant's things are known by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Known {
    /// The schema of the document that it is said to be of, or none.
    pub(super) schema: String,
    /// The field that it stood in.
    pub(super) field: String,
    pub(super) text: String,
}

/// All that a tenant reads of itself.
#[derive(Default)]
pub(super) struct Harvest {
    /// By path, what was answered.
    pub(super) answers: BTreeMap<String, Value>,
    pub(super) known: BTreeSet<Known>,
    /// Every text in any answer.
    pub(super) texts: BTreeSet<String>,
}

impl Asker {
    pub(super) fn with(key: &ApiKey) -> Asker {
        Asker { headers: vec![("authorization", format!("Bearer {}", key.expose()))] }
    }
}

pub(super) async fn ask(
    ground: &Ground,
    asker: &Asker,
    method: Method,
    path: &str,
    extra: &[(String, String)],
    body: Option<&Value>,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in &asker.headers {
        if !extra.iter().any(|(extra, _)| extra.eq_ignore_ascii_case(name)) {
            request = request.header(*name, value);
        }
    }
    for (name, value) in extra {
        request = request.header(name, value);
    }
    let body = match body {
        Some(body) => {
            request = request.header("content-type", "application/json");
            Body::from(body.to_string())
        }
        None => Body::empty(),
    };
    ground.send(request.body(body).unwrap()).await
}

/// Makes some of everything for a tenant.
pub(super) async fn furnish(ground: &Ground, tenant: TenantId, name: &str, marker: &str) -> Furnished {
    let new = NewKey { role: Role::Owner, ..named(&format!("{marker}-key")) };
    let key = ground.key_of(tenant, new).await;
    let program = Asker::with(&key);
    let user = format!("{marker}-user");
    user_of(ground, tenant, &user, Role::Owner).await;
    let mut browser = Browser::at(ground, "192.0.2.1");
    assert_eq!(browser.log_in_to(name, &user, PASSWORD).await.status, 201);
    let cookie = browser.cookie.clone().unwrap();
    let forgery_token = browser.forgery_token.clone().unwrap();
    let person = Asker { headers: vec![("cookie", cookie), ("x-forgery-token", forgery_token)] };
    let tenant = Furnished { tenant, program, person };

    let scope = json!({ "authorised_by": format!("{marker} legal"), "networks": ["127.0.0.0/8"] });
    // One that only it has, and one of a name that both have.
    for name in [format!("{marker}-scope"), "loopback".to_owned()] {
        tenant.make(ground, Method::PUT, &format!("scopes/{name}"), scope.clone()).await;
    }
    let request = json!({ "scope": format!("{marker}-scope") });
    let scan = json!({ "targets": ["127.0.0.1"], "request": request });
    let running = tenant.make(ground, Method::POST, "scans", scan.clone()).await;
    let finding = settle_finding(ground, &tenant, scan.clone(), marker).await;

    let comments = format!("findings/{finding}/comments");
    let text = json!({ "text": format!("{marker} is here, @{user}") });
    let said = tenant.make(ground, Method::POST, &comments, text.clone()).await;
    let answer = json!({ "text": format!("{marker} answers"), "answers": said["id"] });
    tenant.make(ground, Method::POST, &comments, answer).await;
    let about_scan = format!("scans/{}/comments", running["id"].as_str().unwrap());
    tenant.make(ground, Method::POST, &about_scan, text).await;
    let comment = format!("comments/{}", said["id"].as_str().unwrap());
    let other_words = json!({ "text": format!("{marker} in other words, @{user}") });
    tenant.make(ground, Method::PATCH, &comment, other_words).await;
    let decision = json!({ "findings": [finding], "verdict": "triaged", "reason": format!("{marker} risk") });
    tenant.make(ground, Method::POST, "findings/decide", decision).await;

    let mut schedule = scan;
    schedule["name"] = format!("{marker}-schedule").into();
    schedule["rule"] = json!({ "every": "1h" });
    tenant.make(ground, Method::POST, "schedules", schedule).await;
    let webhook =
        json!({ "name": format!("{marker}-webhook"), "url": format!("https://hooks.acme.test/{marker}") });
    tenant.make(ground, Method::POST, "webhooks", webhook).await;
    let role = format!("{marker}-role");
    let made = json!({ "name": role, "permissions": ["scans.read"] });
    tenant.make(ground, Method::POST, "roles", made).await;
    let invited = json!({ "name": format!("{marker}-invited"), "role": role });
    tenant.make(ground, Method::POST, "users", invited).await;
    let pipeline = json!({ "name": format!("{marker}-pipeline"), "role": "viewer" });
    tenant.make(ground, Method::POST, "keys", pipeline).await;
    tenant.make(ground, Method::PATCH, "settings", json!({ "keep_scans_days": 77 })).await;
    let stop = json!({ "scan": running["id"], "reason": format!("{marker} leaks") });
    tenant.make(ground, Method::POST, "stops", stop).await;
    analyse(ground, tenant.tenant, marker).await;
    let task = NewTask::new(Work::Exercise { hold: Duration::ZERO });
    ground.store.enqueue(tenant.tenant, vec![task]).await.unwrap();
    let key = Arc::new(AuditKey::from_random([1; 32]));
    ground.store.sign_audit(Some(tenant.tenant), &key, None).await.unwrap().unwrap().unwrap();
    tenant
}

impl Furnished {
    async fn make(&self, ground: &Ground, method: Method, path: &str, body: Value) -> Value {
        let once = match path {
            // One that is known to whoever asks.
            "scans" => ONCE.to_owned(),
            _ => rand::random::<u64>().to_string(),
        };
        let once = [("idempotency-key".to_owned(), once)];
        let answer = ask(ground, &self.program, method, &format!("/api/v1/{path}"), &once, Some(&body)).await;
        assert!(answer.status.is_success(), "{path}: {answer:?}");
        answer.body
    }

    async fn claim(&self, ground: &Ground, stages: &[Stage], scan: Option<ScanId>) -> store::Lease {
        let request = ClaimRequest {
            worker: WorkerId::from_random(rand::random()),
            stages: stages.to_vec(),
            most: 1_000,
            lease: Duration::from_secs(60),
            turns: Arc::default(),
        };
        let claimed = ground.store.claim(request).await.unwrap();
        let claimed = claimed.iter().find(|claimed| {
            claimed.lease.tenant == self.tenant && (scan.is_none() || claimed.lease.scan == scan)
        });
        claimed.unwrap().lease
    }
}

/// A scan that ends with a finding that only this tenant has, one that both have, and a report.
async fn settle_finding(ground: &Ground, tenant: &Furnished, scan: Value, marker: &str) -> String {
    let scan = {
        let answer = ask(ground, &tenant.program, Method::POST, "/api/v1/scans", &[], Some(&scan)).await;
        answer.body["id"].as_str().unwrap().parse().unwrap()
    };
    let lease = tenant.claim(ground, &Stage::ALL, Some(scan)).await;
    let name: DomainName = format!("{marker}.acme.test").parse().unwrap();
    let mut own = finding(Severity::High, Location::Domain(name.clone()));
    own.evidence[0].response = format!("password={marker}");
    let mut both = finding(Severity::High, Location::Domain("www.acme.test".parse().unwrap()));
    both.description = format!("{marker} sees it too");
    both.evidence[0].response = format!("password={marker}");
    let fingerprint = own.fingerprint;
    let asset = Asset::Domain { name, records: BTreeMap::new(), source: Source::Target, dangling: None };
    let result = UnitResult {
        assets: vec![asset],
        findings: vec![own, both],
        undetermined: vec![format!("{marker} did not answer")],
        ..UnitResult::default()
    };
    let settled = Settlement { lease, ending: Ending::Unit(Box::new(result)), sent: Traffic::default() };
    ground.store.settle(vec![settled]).await.unwrap().remove(0).unwrap();
    for (name, text) in [("report.json", format!("\"{marker}\"")), ("report.html", marker.to_owned())] {
        ground.reports.put(&ObjectKey::report(tenant.tenant, scan, name), text.into_bytes()).await.unwrap();
    }
    fingerprint.to_string()
}

async fn analyse(ground: &Ground, tenant: TenantId, marker: &str) {
    let worker = WorkerId::from_random(rand::random());
    let stages = vec![Stage::Package];
    let who =
        Introduction { worker, stages: stages.clone(), version: "1.2.3", concurrency: 1, machine: None };
    ground.store.worker_is_there(who).await.unwrap();
    let new = NewAnalysis {
        purl: format!("pkg:npm/{marker}@1.0.0").parse().unwrap(),
        priority: Priority::Urgent,
        deadline: Duration::from_secs(60),
    };
    ground.store.analyze_package(tenant, new, "test", None).await.unwrap();
    let request =
        ClaimRequest { worker, stages, most: 1, lease: Duration::from_secs(60), turns: Arc::default() };
    let lease = ground.store.claim(request).await.unwrap()[0].lease;
    let result = PackageResult::from_iter([("says".to_owned(), marker.into())]);
    let settled = Settlement::silent(lease, Ending::Package(result));
    ground.store.settle(vec![settled]).await.unwrap().remove(0).unwrap();
}

/// Reads whatever there is to read for the tenant, by the document: lists first, then each thing that they name.
pub(super) async fn harvest(ground: &Ground, tenant: &Furnished) -> Harvest {
    let mut harvest = Harvest::default();
    let operations: Vec<(&String, &Value)> = DOCUMENT["paths"]
        .as_object()
        .unwrap()
        .iter()
        .filter_map(|(path, item)| Some((path, item.get("get")?)))
        // Streams do not end; a login by a provider begins elsewhere; who asks for tenants is refused, which their audit tells.
        .filter(|(path, _)| {
            ["/api/v1/events", "/api/v1/session/providers", "/api/v1/tenants"]
                .iter()
                .all(|aside| !path.starts_with(aside))
        })
        .collect();
    loop {
        let before = harvest.answers.len();
        for (path, operation) in &operations {
            for path in paths(path, operation, &harvest) {
                for asker in [&tenant.program, &tenant.person] {
                    let answer = ask(ground, asker, Method::GET, &path, &[], None).await;
                    if answer.status == StatusCode::OK {
                        harvest.take(&path, operation, &answer);
                    }
                }
            }
        }
        if harvest.answers.len() == before {
            return harvest;
        }
    }
}

/// The path with each thing that is known and could stand in it.
fn paths(path: &str, operation: &Value, harvest: &Harvest) -> Vec<String> {
    let mut paths = vec![path.to_owned()];
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        if parameter["in"] != "path" {
            continue;
        }
        let name = parameter["name"].as_str().unwrap();
        let (schema, of) = resolved(&parameter["schema"], "");
        let known = |known: &&Known| match of.is_empty() {
            true => known.field == name,
            false => known.schema == of,
        };
        let values: Vec<String> = match schema["enum"].as_array() {
            Some(words) => words.iter().map(|word| word.as_str().unwrap().to_owned()).collect(),
            None => harvest.known.iter().filter(known).map(|known| encoded(&known.text)).collect(),
        };
        let place = format!("{{{name}}}");
        paths = paths
            .iter()
            .flat_map(|path| values.iter().map(|value| path.replace(&place, value)).collect::<Vec<_>>())
            .collect();
    }
    // Nothing of the audit is on another page.
    if path == "/api/v1/audit" { vec![format!("{path}?limit=500")] } else { paths }
}

impl Harvest {
    fn take(&mut self, path: &str, operation: &Value, answer: &Answer) {
        let kind = answer.header("content-type").to_owned();
        let schema = &operation["responses"]["200"]["content"][&kind]["schema"];
        self.walk(schema, &answer.body, "", "");
        if !answer.header("etag").is_empty() {
            let text = answer.header("etag").to_owned();
            self.known.insert(Known { schema: String::new(), field: "etag".to_owned(), text });
        }
        let mut body = answer.body.clone();
        without_times_of_asking(&mut body);
        texts(&body, &mut self.texts);
        self.answers.insert(path.to_owned(), body);
    }

    fn walk(&mut self, schema: &Value, value: &Value, of: &str, field: &str) {
        let (schema, of) = resolved(schema, of);
        for word in ["allOf", "oneOf", "anyOf"] {
            for part in schema[word].as_array().into_iter().flatten() {
                self.walk(part, value, &of, field);
            }
        }
        match value {
            Value::String(text) if schema.to_string().contains("\"string\"") && schema["oneOf"].is_null() => {
                let known = Known { schema: of, field: field.to_owned(), text: text.clone() };
                self.known.insert(known);
            }
            Value::Array(items) => {
                for item in items {
                    self.walk(&schema["items"], item, "", field);
                }
            }
            Value::Object(fields) => {
                for (name, value) in fields {
                    let schema = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
                    self.walk(schema, value, "", name);
                }
            }
            _ => {}
        }
    }
}

/// When something was asked for last is another time whenever it is asked.
fn without_times_of_asking(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for name in ["last_used", "since", "until"] {
                fields.remove(name);
            }
            fields.values_mut().for_each(without_times_of_asking);
        }
        Value::Array(items) => items.iter_mut().for_each(without_times_of_asking),
        _ => {}
    }
}

pub(super) fn texts(value: &Value, all: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => drop(all.insert(text.clone())),
        Value::Array(items) => items.iter().for_each(|item| texts(item, all)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, all)),
        _ => {}
    }
}
