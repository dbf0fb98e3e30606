//! Whoever goes away before they have an answer: at each point at which something is waited for, what was asked for is done wholly or
//! not at all, and nothing of it stays behind.

use std::{
    num::NonZeroU32,
    path::Path,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::{Method, StatusCode},
};
use model::{ApiKey, Password, Role, Scope, TenantId, UserName};
use serde_json::{Value, json};
use store::{AuditFilter, FirstPassword, Location, NewKey, NewTenant, NewUser, Objects, Store, Terms};
use testkit::postgres::{Database, Server};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::{Gateway, Rates, Rules, Surroundings, guesses::Guessed};

/// Connections to the database: fewer than those who go away.
const CONNECTIONS: usize = 2;
/// Who ask at once.
const AT_ONCE: usize = 4;
/// More points than any answer waits at.
const MOST_POINTS: usize = 200;
/// How long an answer may take afterwards: not as long as somebody waits for a connection that does not come back.
const PROMPT: Duration = Duration::from_secs(20);

/// A gateway above a store, for tests that look at it from within.
pub(crate) fn gateway(store: Store, directory: &Path) -> Gateway {
    let rate = NonZeroU32::new(100_000).unwrap();
    let around = Surroundings {
        terms: Terms { checks: "1".to_owned(), price: None },
        checks: Default::default(),
        resolvers: Vec::new(),
        reports: Objects::directory(directory).unwrap(),
        tell: Box::new(|_| {}),
        counting: None,
        registry: crate::registry(),
        ending: CancellationToken::new(),
    };
    let rates = Rates { address: rate, key: rate, tenant: rate, ..Rates::default() };
    Gateway::new(store, around, Rules { rates, ..Rules::default() })
}

/// Goes on so many times, and is then given up.
struct GivenUp<F> {
    answering: Pin<Box<F>>,
    left: usize,
}

impl<F: Future> Future for GivenUp<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<F::Output>> {
        match self.answering.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending if self.left == 0 => Poll::Ready(None),
            Poll::Pending => {
                self.left -= 1;
                Poll::Pending
            }
        }
    }
}

struct Ground {
    gateway: Gateway,
    router: Router,
    store: Store,
    tenant: TenantId,
    key: ApiKey,
    database: Database,
    _directory: tempfile::TempDir,
}

impl Ground {
    async fn new() -> Ground {
        let making = tokio::task::spawn_blocking(|| Server::shared().create_database_with_user());
        let database = making.await.unwrap();
        store::migrate(&database.owner_url, std::slice::from_ref(&database.user)).await.unwrap();
        let url = database.url_at(Server::shared().address());
        let location = Location::Postgres { url, connections: CONNECTIONS, replica: None };
        let store = Store::open(&location).await.unwrap();
        let tenant = store.create_tenant(NewTenant::named("own"), "test").await.unwrap().id;
        let key = ApiKey::from_random(rand::random(), rand::random());
        let new =
            NewKey { name: "test".to_owned(), role: Role::Owner, networks: Vec::new(), expires_at: None };
        store.create_key(tenant, key.clone(), new, "test").await.unwrap();
        store.put_scope(tenant, "loopback", Scope::loopback(), "test".to_owned()).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let gateway = gateway(store.clone(), directory.path());
        let router = gateway.clone().router();
        Ground { gateway, router, store, tenant, key, database, _directory: directory }
    }

    async fn answer(&self, asked: &Asked) -> (StatusCode, Bytes) {
        let mut request = Request::builder().method(asked.method.clone()).uri(&asked.path);
        // Who logs in is nobody yet.
        if asked.path != "/api/v1/session" {
            request = request.header("authorization", format!("Bearer {}", self.key.expose()));
        }
        if let Some(once) = &asked.once {
            request = request.header("idempotency-key", once);
        }
        let body = match &asked.body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        (head.status, to_bytes(body, 1 << 24).await.unwrap())
    }

    /// Some ask at once, so that they also wait for one another, and go away; each time one point later, until all have an answer. How
    /// many asked.
    async fn go_away(&self, asks: impl Fn(usize) -> Asked) -> usize {
        for points in 0..MOST_POINTS {
            // Nobody here remembers that the key was seen just now, as with each first request.
            self.gateway.keys.forget(|_, _| true);
            let first = points * AT_ONCE;
            let asking = (first..first + AT_ONCE).map(async |number| {
                let asked = asks(number);
                let answering = GivenUp { answering: Box::pin(self.answer(&asked)), left: points };
                let answered = answering.await;
                if let Some((status, body)) = &answered {
                    assert!(status.is_success(), "{asked:?}: {status} {body:?}");
                }
                answered.is_some()
            });
            let answered = futures_util::future::join_all(asking).await;
            if answered.into_iter().all(|answered| answered) {
                return first + AT_ONCE;
            }
        }
        panic!("there is no end to it: {:?}", asks(0));
    }

    /// There is an answer, and soon.
    async fn must_answer(&self, asked: &Asked) -> Value {
        let begun = Instant::now();
        let (status, body) = self.answer(asked).await;
        assert!(status.is_success(), "{asked:?}: {status} {body:?}");
        assert!(begun.elapsed() < PROMPT, "{asked:?}: {:?}", begun.elapsed());
        serde_json::from_slice(&body).unwrap_or(Value::Null)
    }

    /// How many there are in all pages of a list.
    async fn count(&self, path: &str, list: &str) -> usize {
        let (mut counted, mut place) = (0, String::new());
        loop {
            let page = self.must_answer(&get(&format!("/api/v1/{path}?limit=500{place}"))).await;
            counted += page[list].as_array().unwrap().len();
            place = match &page["next"] {
                Value::Null => return counted,
                Value::String(next) => format!("&after={next}"),
                next => format!("&after={next}"),
            };
        }
    }

    async fn require_rest(&self) {
        let database = self.database.name.clone();
        let resting = tokio::task::spawn_blocking(move || Server::shared().wait_for_rest(&database));
        let connected = resting.await.unwrap();
        assert!(connected <= CONNECTIONS, "{connected} connections");
    }

    async fn audited(&self, action: &str) -> usize {
        let filter = AuditFilter { action: Some(action.to_owned()), ..AuditFilter::default() };
        self.store.audit(self.tenant, filter, 1_000).await.unwrap().len()
    }
}

#[derive(Debug, Clone)]
struct Asked {
    method: Method,
    path: String,
    body: Option<Value>,
    once: Option<String>,
}

fn get(path: &str) -> Asked {
    Asked { method: Method::GET, path: path.to_owned(), body: None, once: None }
}

/// Something is to be made, under a key that tells whether it was.
fn make(path: &str, number: usize, body: Value) -> Asked {
    let once = Some(format!("{path}-{number}"));
    Asked { method: Method::POST, path: format!("/api/v1/{path}"), body: Some(body), once }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_reads_and_goes_away_leaves_nothing_behind() {
    let ground = Ground::new().await;
    let scan = json!({ "targets": ["127.0.0.1"], "request": { "scope": "loopback" } });
    let scan = ground.must_answer(&make("scans", 0, scan)).await["id"].as_str().unwrap().to_owned();
    let tasks = ground.must_answer(&get("/api/v1/tasks")).await;
    let task = tasks["tasks"][0]["id"].as_str().unwrap();
    let mut asked_for = 0;
    for path in [
        "me",
        "tenant",
        "settings",
        "audit",
        "scans",
        &format!("scans/{scan}"),
        &format!("scans/{scan}/targets"),
        &format!("scans/{scan}/comments"),
        &format!("tasks/{task}"),
        "tasks/totals",
        "findings",
        "users",
        "keys",
        "stops",
    ] {
        let asked = get(&format!("/api/v1/{path}"));
        asked_for += ground.go_away(|_| asked.clone()).await;
        ground.must_answer(&asked).await;
    }
    asked_for += ground.go_away(|_| get("/ready")).await;
    assert!(asked_for >= 15 * 2 * AT_ONCE, "{asked_for} have asked");
    ground.require_rest().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_by_somebody_who_goes_away_is_done_wholly_or_not_at_all() {
    let ground = Ground::new().await;
    let scan = json!({ "targets": ["127.0.0.1"], "request": { "scope": "loopback" } });
    let about =
        ground.must_answer(&make("scans", 1_000, scan.clone())).await["id"].as_str().unwrap().to_owned();
    let comments = format!("scans/{about}/comments");
    type Body = Box<dyn Fn(usize) -> Value>;
    // What is made, where it is listed, how it stands in the audit, and what there is of it before.
    let made: [(&str, &str, &str, usize, Body); 5] = [
        (
            "keys",
            "keys",
            "key.create",
            1,
            Box::new(|number| json!({ "name": format!("key-{number}"), "role": "viewer" })),
        ),
        (
            "users",
            "users",
            "user.create",
            0,
            Box::new(|number| json!({ "name": format!("user-{number}"), "role": "viewer" })),
        ),
        ("scans", "scans", "scan.submit", 1, Box::new(move |_| scan.clone())),
        (
            "schedules",
            "schedules",
            "schedule.create",
            0,
            Box::new(|number| {
                json!({
                    "name": format!("schedule-{number}"),
                    "rule": { "every": "1h" },
                    "request": { "scope": "loopback" },
                    "targets": ["127.0.0.1"],
                })
            }),
        ),
        (
            &comments,
            "comments",
            "comment.add",
            0,
            Box::new(|number| json!({ "text": format!("said {number}") })),
        ),
    ];
    for (path, list, action, before, body) in made {
        let count = async || ground.count(path, list).await;
        let asked = ground.go_away(|number| make(path, number, body(number))).await;
        assert!(asked >= 2 * AT_ONCE, "{path}: {asked} have asked");
        ground.require_rest().await;
        let there = count().await;
        assert_eq!(
            there,
            ground.audited(action).await,
            "{path}: nothing is done and not told, or told and not done"
        );
        assert!(there > before && there <= before + asked, "{path}: {there}");
        // Whoever got no answer asks again, and it is made once.
        for number in 0..asked {
            ground.must_answer(&make(path, number, body(number))).await;
        }
        assert_eq!(count().await, before + asked, "{path}");
        assert_eq!(ground.audited(action).await, before + asked, "{path}");
    }
    ground.require_rest().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_by_somebody_who_goes_away_is_as_it_was_or_as_they_wanted_it() {
    let ground = Ground::new().await;
    type Body = Box<dyn Fn(usize) -> Value>;
    // What is changed, how it stands in the audit, and where in the answer what was said.
    let changed: [(Method, &str, &str, &str, Body); 2] = [
        (
            Method::PUT,
            "scopes/changing",
            "scope.put",
            "/scope/authorised_by",
            Box::new(
                |number| json!({ "authorised_by": format!("number {number}"), "networks": ["127.0.0.0/8"] }),
            ),
        ),
        (
            Method::PATCH,
            "settings",
            "settings.change",
            "/keep_scans_days",
            Box::new(|number| json!({ "keep_scans_days": number + 1 })),
        ),
    ];
    for (method, path, action, place, body) in changed {
        let path = format!("/api/v1/{path}");
        let ask = |number| Asked {
            method: method.clone(),
            path: path.clone(),
            body: Some(body(number)),
            once: None,
        };
        let before = ground.audited(action).await;
        let asked = ground.go_away(ask).await;
        assert!(asked >= 2 * AT_ONCE, "{path}: {asked} have asked");
        ground.require_rest().await;
        let entries = ground.audited(action).await;
        assert!(entries > before && entries <= before + asked, "{path}: {entries}");
        ground.must_answer(&ask(asked)).await;
        let (stands, said) = (ground.must_answer(&get(&path)).await, body(asked));
        let name = place.rsplit('/').next().unwrap();
        assert_eq!(stands.pointer(place), Some(&said[name]), "{path}: {stands}");
        assert_eq!(ground.audited(action).await, entries + 1, "{path}");
    }

    // Of those who log in and go away some have a session that nobody holds; none stands there half.
    let name: UserName = "amy".parse().unwrap();
    let hash = crate::hash_password(&Password::new("correct horse battery")).unwrap();
    let new = NewUser { name, role: Role::Viewer };
    ground.store.create_user(ground.tenant, new, FirstPassword::Hashed(hash), "test").await.unwrap();
    let log_in = || Asked {
        method: Method::POST,
        path: "/api/v1/session".to_owned(),
        body: Some(json!({ "tenant": "own", "name": "amy", "password": "correct horse battery" })),
        once: None,
    };
    // A wrong guess is only counted when it is known to be one.
    let mut points = 0;
    let answered = loop {
        ground.gateway.guesses.forget(Guessed::of("own", "amy", None));
        let asked = log_in();
        let answering = GivenUp { answering: Box::pin(ground.answer(&asked)), left: points };
        match answering.await {
            Some((status, _)) => break status,
            None => points += 1,
        }
        assert!(points < MOST_POINTS);
    };
    assert_eq!(answered, StatusCode::CREATED);
    assert!(points > 1, "{points} points");
    ground.require_rest().await;
    assert!(ground.store.verify_audit(Some(ground.tenant), &[], None).await.unwrap().is_ok());
}
