//! Every route, and who may use it. Both are kept as files, so that a change of the API is seen in review.

use std::{collections::BTreeSet, fmt::Write, num::NonZeroU32};

use gateway::Rates;
use hyper::Method;
use model::{ApiKey, Role, Token};
use serde_json::{Value, json};
use store::{AssetFilter, Expected, NewKey};
use testkit::postgres::Options;

use crate::{
    ground::{Ground, named},
    postgres::Postgres,
};

/// What is sent to a route, and what stands in its path; each time anew, since some routes take things away.
pub(crate) async fn sample(ground: &Ground, route: &str) -> (String, Option<Value>) {
    let path = route.split_once(' ').unwrap().1;
    let body = match route {
        read if read.starts_with("GET ") || read.starts_with("DELETE ") => None,
        "POST /api/v1/scans/{scan}/cancel" => None,
        "POST /api/v1/webhooks" => {
            let name = format!("webhook {}", rand::random::<u64>());
            Some(json!({ "name": name, "url": "https://hooks.acme.test/" }))
        }
        "PATCH /api/v1/webhooks/{webhook}" => Some(json!({ "enabled": false })),
        "POST /api/v1/webhooks/{webhook}/rotate" => Some(json!({})),
        "POST /api/v1/scans/cancel" => Some(json!({ "scope": "nowhere" })),
        "POST /api/v1/scans" => Some(json!({ "targets": ["127.0.0.1"], "request": { "scope": "loopback" } })),
        "POST /api/v1/roles" => {
            let name = format!("made-{:08x}", rand::random::<u32>());
            Some(json!({ "name": name, "permissions": ["scans.read"] }))
        }
        "PATCH /api/v1/roles/{role}" => Some(json!({ "permissions": ["scans.read"] })),
        "POST /api/v1/keys" => Some(json!({ "name": "made", "role": "viewer" })),
        "POST /api/v1/keys/{prefix}/rotate" => Some(json!({})),
        "POST /api/v1/session" => {
            let name = format!("nobody-{}", rand::random::<u64>());
            Some(json!({ "tenant": "own", "name": name, "password": "wrong" }))
        }
        "POST /api/v1/invitations/accept" => Some(json!({ "invitation": "guess", "password": "wrong" })),
        "PUT /api/v1/me/password" => Some(json!({ "current": "wrong", "password": "correct horse battery" })),
        "POST /api/v1/users" => {
            Some(json!({ "name": format!("made-{}", rand::random::<u64>()), "role": "viewer" }))
        }
        "POST /api/v1/users/{user}/invitation" | "POST /api/v1/me/second-factor" => None,
        "PUT /api/v1/me/second-factor" => {
            let secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
            Some(json!({ "password": "wrong", "secret": secret, "code": "guess" }))
        }
        "POST /api/v1/me/second-factor/end" => Some(json!({ "password": "wrong", "code": "guess" })),
        "PATCH /api/v1/users/{user}" => Some(json!({ "disabled": true })),
        "POST /api/v1/schedules" => {
            ground.scan().await;
            let name = format!("made {}", rand::random::<u64>());
            let request = json!({ "scope": "loopback" });
            Some(
                json!({ "name": name, "rule": { "every": "1h" }, "request": request, "targets": ["127.0.0.1"] }),
            )
        }
        "POST /api/v1/tenants" => Some(json!({ "name": format!("made {}", rand::random::<u64>()) })),
        "PATCH /api/v1/tenants/{tenant}" => Some(json!({ "weight": 2 })),
        "PATCH /api/v1/settings" => Some(json!({ "keep_scans_days": 30 })),
        "PATCH /api/v1/schedules/{schedule}" => Some(json!({ "enabled": false })),
        "PUT /api/v1/scopes/{name}" => {
            Some(json!({ "authorised_by": "test", "networks": ["127.0.0.0/8", "::1"] }))
        }
        "POST /api/v1/findings/decide" => {
            let (_, finding) = ground.finding().await;
            Some(json!({ "findings": [finding], "verdict": "triaged", "reason": "true" }))
        }
        "POST /api/v1/findings/{finding}/comments" | "POST /api/v1/scans/{scan}/comments" => {
            Some(json!({ "text": "seen" }))
        }
        "PATCH /api/v1/comments/{comment}" => Some(json!({ "text": "in other words" })),
        "PUT /api/v1/findings/{finding}/comments/read" | "PUT /api/v1/scans/{scan}/comments/read" => {
            Some(json!({ "up_to": "00000000-0000-7000-8000-000000000000" }))
        }
        "POST /api/v1/tasks" => {
            ground.package_worker().await;
            Some(json!({ "purl": "pkg:npm/left-pad@1.3.0" }))
        }
        "POST /api/v1/tasks/cancel" | "POST /api/v1/tasks/redrive" => {
            Some(json!({ "tasks": [ground.task().await] }))
        }
        "POST /api/v1/tasks/purge" => Some(json!({ "which": { "all": true }, "older_than": "PT1H" })),
        "POST /api/v1/stops" | "POST /api/v1/stops/lift" => {
            Some(json!({ "scan": ground.scan().await, "reason": "a test" }))
        }
        other => panic!("a sample of {other} is needed here"),
    };
    let mut path = path.to_owned();
    if route == "GET /api/v1/tasks/{task}/result" {
        path = path.replace("{task}", &ground.analysis().await.to_string());
    }
    for name in PLACES {
        if path.contains(name) {
            path = path.replace(name, &place(ground, name).await);
        }
    }
    (path, body)
}

const PLACES: [&str; 17] = [
    "{webhook}",
    "{asset}",
    "{tenant}",
    "{role}",
    "{evidence}",
    "{check}",
    "{provider}",
    "{user}",
    "{session}",
    "{prefix}",
    "{scan}",
    "{format}",
    "{schedule}",
    "{name}",
    "{finding}",
    "{comment}",
    "{task}",
];

/// Something of the tenant's.
async fn place(ground: &Ground, name: &str) -> String {
    match name {
        "{tenant}" => ground.tenant.to_string(),
        "{webhook}" => ground.webhook().await.to_string(),
        "{asset}" => {
            ground.finding().await;
            let there = ground.store.inventory(ground.tenant, AssetFilter::default(), 1, 1).await;
            there.unwrap().0[0].id.to_string()
        }
        "{prefix}" => ground.key(Role::Viewer).await.prefix().to_string(),
        "{scan}" => ground.scan().await.to_string(),
        "{check}" => "git-config".to_owned(),
        "{evidence}" => {
            let finding = ground.finding().await.1;
            ground.store.evidence(ground.tenant, finding).await.unwrap()[0].0.id.to_string()
        }
        "{format}" => "json".to_owned(),
        // There is none here, for anybody.
        "{provider}" => "company".to_owned(),
        "{schedule}" => ground.schedule().await.to_string(),
        "{name}" => {
            ground.scan().await;
            "loopback".to_owned()
        }
        "{finding}" => ground.finding().await.1.to_string(),
        "{comment}" => ground.comment().await.to_string(),
        "{task}" => ground.task().await.to_string(),
        "{role}" => ground.role().await.to_string(),
        "{user}" => ground.user().await.id.to_string(),
        "{session}" => {
            let token = Token::from_random(rand::random());
            let user = ground.user().await;
            let (kept, any) = ("kept", Expected::Anything);
            ground.store.set_password(ground.tenant, user.id, any, kept.to_owned(), "test").await.unwrap();
            ground.store.begin_session(&user, kept, None, &token, None, "test").await.unwrap().id.to_string()
        }
        other => panic!("something for {other} is needed here"),
    }
}

/// What was never there.
fn nothing(name: &str) -> &'static str {
    match name {
        "{prefix}" => "00000000",
        "{scan}" => "0000000000000000",
        "{format}" => "json",
        "{provider}" => "company",
        "{tenant}" | "{schedule}" | "{webhook}" | "{task}" | "{user}" | "{session}" | "{comment}" => {
            "00000000-0000-7000-8000-000000000000"
        }
        "{name}" | "{check}" | "{role}" => "nowhere",
        "{evidence}" => "00112233445566778899aabbccddeeff.00000000-0000-7000-8000-000000000000.0",
        "{finding}" | "{asset}" => "00112233445566778899aabbccddeeff",
        other => panic!("what is not there for {other} is needed here"),
    }
}

/// The path of a route with what was never there.
fn nowhere(route: &str) -> String {
    let path = route.split_once(' ').unwrap().1.to_owned();
    PLACES.iter().fold(path, |path, name| match path.contains(name) {
        true => path.replace(name, nothing(name)),
        false => path,
    })
}

pub(crate) fn routes() -> Vec<(Method, String)> {
    let document = serde_json::to_value(gateway::document()).unwrap();
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let method = method.to_uppercase();
            routes.push((method.parse().unwrap(), format!("{method} {path}")));
        }
    }
    routes
}

/// What a database was asked since the last reset: how often, how many rows it gave, and what.
const ASKED: &str = "SELECT calls, rows, query FROM pg_stat_statements JOIN pg_database ON pg_database.oid = dbid \
                     WHERE datname = current_database() AND query NOT LIKE '%pg_stat_statements%' ORDER BY query";

#[track_caller]
pub(crate) fn assert_golden(name: &str, now: &str, golden: &str) {
    assert!(
        now == golden,
        "the API changed: if that is meant, crates/gateway/tests/it/{name} is to be:\n{now}"
    );
}

#[test]
fn the_document_is_as_it_was() {
    let now = serde_json::to_string_pretty(&gateway::document()).unwrap() + "\n";
    assert_golden("openapi.json", &now, include_str!("openapi.json"));
}

#[test]
fn every_operation_has_a_name_of_its_own_and_every_answer_a_description() {
    let document = serde_json::to_value(gateway::document()).unwrap();
    let mut names = BTreeSet::new();
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap());
    for (method, operation) in operations {
        let name = operation["operationId"].as_str().unwrap();
        assert!(names.insert(name.to_owned()), "{method} {name} is there twice");
        for (status, answer) in operation["responses"].as_object().unwrap() {
            assert!(answer["description"].as_str().is_some_and(|text| !text.is_empty()), "{name}: {status}");
        }
    }
    assert_eq!(names.len(), routes().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_served() {
    let ground = Ground::start().await;
    let served = ground.ask(Method::GET, "/api/v1/openapi.json", None, None).await;
    assert_eq!(served.body, serde_json::to_value(gateway::document()).unwrap());
    assert_eq!(served.body["openapi"], "3.1.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_read_the_document_as_a_page_that_can_do_nothing() {
    let ground = Ground::start().await;
    let to = ground.ask(Method::GET, "/api/v1", None, None).await;
    assert_eq!((to.status.as_u16(), to.header("location")), (308, "v1/"));
    let page = ground.ask(Method::GET, "/api/v1/", None, None).await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy: Vec<&str> = page.header("content-security-policy").split("; ").collect();
    assert_eq!(policy[..2], ["default-src 'none'", "style-src 'self'"]);
    assert_eq!((page.header("x-content-type-options"), page.header("x-frame-options")), ("nosniff", "DENY"));
    let text = page.body.as_str().unwrap();
    assert!(text.contains("<article id=\"submit_scan\">") && text.contains("href=\"reference.css\""));
    let style = ground.ask(Method::GET, "/api/v1/reference.css", None, None).await;
    assert_eq!((style.status.as_u16(), style.header("content-type")), (200, "text/css; charset=utf-8"));
    ground.ask(Method::POST, "/api/v1/", None, None).await.problem(405, "method-not-allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_asks_who_may() {
    // Nobody is too fast here, not even with passwords and invitations: whoever is refused is refused for who they are.
    let rate = NonZeroU32::new(100_000).unwrap();
    let rates = Rates { at_once: rate, address: rate, key: rate, tenant: rate, login: rate, sign_up: rate };
    let ground = Ground::with(rates, None).await;
    let other = ground.another_tenant().await;
    let mut callers: Vec<(String, Option<ApiKey>)> = vec![("nobody".to_owned(), None)];
    let mut strangers: Vec<(String, ApiKey)> = Vec::new();
    for role in Role::BUILT_IN {
        let key = ground.key(role.clone()).await;
        callers.push((role.to_string(), Some(key)));
        let key = ground.key_of(other, NewKey { role: role.clone(), ..named("other") }).await;
        strangers.push((format!("{role} of another tenant"), key));
    }
    let ask = async |method: &Method, key: Option<&ApiKey>, (path, body): (String, Option<Value>)| {
        ground.ask(method.clone(), &path, key.map(ApiKey::expose), body).await.status.as_u16()
    };
    let mut table = String::new();
    for (method, route) in routes() {
        writeln!(table, "{route}").unwrap();
        for (name, key) in &callers {
            let status = ask(&method, key.as_ref(), sample(&ground, &route).await).await;
            writeln!(table, "  {name:<32}{status}").unwrap();
        }
        // What is named in a path is nothing of theirs: whoever takes it from the next one is seen by their own answer.
        let (mut theirs, shared) = (sample(&ground, &route).await, route.contains('{'));
        for (number, (name, key)) in strangers.iter().enumerate() {
            if number > 0 && !shared {
                theirs = sample(&ground, &route).await;
            }
            let status = ask(&method, Some(key), theirs.clone()).await;
            writeln!(table, "  {name:<32}{status}").unwrap();
        }
    }
    assert_golden("roles.txt", &table, include_str!("roles.txt"));
}

/// It is told in the same way and costs the same: how long it takes tells nothing, as the database is asked for the same and gives as
/// much.
#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_somebody_else_is_as_if_it_were_not_there() {
    let settings = ["shared_preload_libraries=pg_stat_statements"].map(str::to_owned).to_vec();
    let database = Postgres::alone_with(Options { settings, ..Options::default() }).await;
    database.sql("CREATE EXTENSION pg_stat_statements").await;
    let ground = Ground::above(database.store(2).await).await;
    let other = ground.another_tenant().await;
    let owner = ground.key_of(other, named("other")).await;
    let makes = "PUT /api/v1/scopes/{name}";
    // Who has a key has no sessions at all, and has read nothing; checks are everybody's.
    // Only who runs the platform knows of other tenants: whoever does not is told so, whichever is asked about.
    let of_all = |route: &str| route.contains("{tenant}");
    let nobodys = ["DELETE /api/v1/sessions/{session}", "/comments/read", "GET /api/v1/checks/{check}"];
    let about_one = |(_, route): &(Method, String)| {
        route.contains('{')
            && route != makes
            && !of_all(route)
            && !nobodys.iter().any(|end| route.ends_with(end))
    };
    for (method, route) in routes().into_iter().filter(about_one) {
        let (foreign, body) = sample(&ground, &route).await;
        let nowhere = nowhere(&route);
        let told = async |path: &str| {
            database.sql("SELECT pg_stat_statements_reset()").await;
            let answer = ground.ask(method.clone(), path, Some(owner.expose()), body.clone()).await;
            let cost = database.sql(ASKED).await;
            // Who vouches for people stands in no database.
            assert!(cost.contains("SELECT") || route.contains("{provider}"), "{route}: {cost}");
            let detail = answer.problem(404, "not-found").to_owned();
            let id = path.split('/').nth(4).unwrap();
            let mut headers: Vec<&str> = answer.headers.keys().map(|name| name.as_str()).collect();
            headers.sort_unstable();
            (detail.replace(id, "ID"), headers.join(" "), cost)
        };
        let mut both = (told(&foreign).await, told(&nowhere).await);
        // Now and then it is asked who comes, which has nothing to do with what for.
        for _ in 0..10 {
            if both.0 != both.1 {
                both = (told(&foreign).await, told(&nowhere).await);
            }
        }
        assert_eq!(both.0, both.1, "{route}");
    }
}
