//! A gateway that listens on loopback, and somebody who asks.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    num::NonZeroU32,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::body::{Body, to_bytes};
use gateway::{
    Gateway, IdentityProvider, IdentityProviders, News, Rates, Rules, Surroundings, Tls, Webhooks,
};
use hyper::{HeaderMap, Method, Request, StatusCode, body::Incoming, client::conn::http1::handshake};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use model::{
    ApiKey, Asset, Author, CheckId, CommentId, Confidence, DomainName, Evidence, Finding, Fingerprint,
    Location, NewTask, Permission, Priority, Role, ScanId, ScanRequest, Schedule, ScheduleId, Scope,
    Severity, Source, Stage, TaskId, TenantId, Token, Topic, Traffic, UnitResult, WebhookId, Work, WorkerId,
    comment::NewComment,
    finding::Classification,
    record::CheckRecord,
    schedule::Rhythm,
    webhook::{NewWebhook, WebhookKeys},
};
use serde_json::Value;
use store::{
    ClaimRequest, Ending, FirstPassword, Introduction, NewAnalysis, NewKey, NewRole, NewScan, NewSchedule,
    NewTenant, NewUser, Objects, PackageResult, Settlement, Store, Terms, UserRecord,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::document::assert_documented;

pub(crate) struct Ground {
    pub(crate) store: Store,
    pub(crate) tenant: TenantId,
    pub(crate) address: SocketAddr,
    /// Where the metrics are.
    pub(crate) metrics: SocketAddr,
    /// What workers heard of.
    pub(crate) told: Arc<Mutex<Vec<News>>>,
    /// Somebody asked for the end.
    pub(crate) ending: CancellationToken,
    /// Nothing new is taken.
    pub(crate) closed: CancellationToken,
    pub(crate) answering: JoinHandle<()>,
    pub(crate) reports: Objects,
    _directory: tempfile::TempDir,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The problem that it tells, with the code of its kind.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> &str {
        assert_eq!((self.status.as_u16(), &self.body["code"]), (status, &code.into()), "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert_eq!(self.body["type"], format!("urn:rampart:problem:{code}"));
        assert_eq!(self.body["request_id"], self.header("x-request-id"));
        self.body["detail"].as_str().unwrap()
    }
}

impl Ground {
    pub(crate) async fn start() -> Ground {
        Ground::with(plenty(), None).await
    }

    /// One that answers no more than that, and encrypts with that certificate.
    pub(crate) async fn with(rates: Rates, tls: Option<Arc<Tls>>) -> Ground {
        Ground::assembled(None, rates, tls, Vec::new(), Some("own")).await
    }

    /// One that answers from that store.
    pub(crate) async fn above(store: Store) -> Ground {
        Ground::assembled(Some(store), plenty(), None, Vec::new(), Some("own")).await
    }

    /// One whose people these vouch for.
    pub(crate) async fn with_providers(providers: Vec<IdentityProvider>) -> Ground {
        Ground::assembled(None, plenty(), None, providers, Some("own")).await
    }

    /// One whose tenant is like any other, and knows of none but itself.
    pub(crate) async fn of_one_of_many(store: Option<Store>) -> Ground {
        Ground::assembled(store, plenty(), None, Vec::new(), None).await
    }

    async fn assembled(
        store: Option<Store>,
        rates: Rates,
        tls: Option<Arc<Tls>>,
        identity_providers: Vec<IdentityProvider>,
        platform_tenant: Option<&str>,
    ) -> Ground {
        let directory = tempfile::tempdir().unwrap();
        let store = match store {
            Some(store) => store,
            None => {
                let file = directory.path().join("rampart.db");
                Store::open(&store::Location::Sqlite(file)).await.unwrap()
            }
        };
        let tenant = store.create_tenant(NewTenant::named("own"), "test".to_owned()).await.unwrap().id;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (ending, closed) = (CancellationToken::new(), CancellationToken::new());
        let told = Arc::<Mutex<Vec<News>>>::default();
        let reports = Objects::directory(directory.path()).unwrap();
        let around = Surroundings {
            terms: Terms { checks: "1".to_owned(), price: None },
            checks: checks(),
            resolvers: vec!["127.0.0.53:53".parse().unwrap()],
            reports: reports.clone(),
            tell: Box::new({
                let told = Arc::clone(&told);
                move |news| told.lock().unwrap().push(news)
            }),
            counting: None,
            registry: gateway::registry(),
            ending: ending.clone(),
        };
        let rules = Rules {
            rates,
            // Everybody who says from where they are is believed: by who says nothing it is about themselves.
            proxies: vec!["127.0.0.1/32".parse().unwrap()],
            identity_providers: IdentityProviders::new(identity_providers).unwrap(),
            platform_tenant: platform_tenant.map(str::to_owned),
            webhooks: Some(Webhooks {
                receivers: "hooks.acme.test".parse().unwrap(),
                keys: WebhookKeys::new(WEBHOOK_KEY).unwrap(),
            }),
        };
        let gateway = Gateway::new(store.clone(), around, rules);
        let watched = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let metrics = watched.local_addr().unwrap();
        tokio::spawn(gateway::serve_metrics(watched, gateway.clone(), closed.clone()));
        let drain = Duration::from_secs(10);
        let answering = tokio::spawn(gateway::serve(listener, tls, gateway, closed.clone(), drain));
        Ground {
            store,
            tenant,
            address,
            metrics,
            told,
            ending,
            closed,
            answering,
            reports,
            _directory: directory,
        }
    }

    /// A scan of this tenant, as somebody else began it.
    pub(crate) async fn scan(&self) -> ScanId {
        self.store.put_scope(self.tenant, "loopback", Scope::loopback(), "test".to_owned()).await.unwrap();
        let new = NewScan {
            request: ScanRequest::within("loopback"),
            targets: vec!["127.0.0.1".parse().unwrap()],
            by: "test".into(),
            checks: "1".to_owned(),
            price: None,
        };
        self.store.submit_scan(self.tenant, new).await.unwrap().0
    }

    /// A finding of this tenant, by one scan that has seen it with an asset.
    pub(crate) async fn finding(&self) -> (ScanId, Fingerprint) {
        self.found(Severity::High, "www.acme.test").await
    }

    /// The same, as severe as that and there.
    pub(crate) async fn found(&self, severity: Severity, name: &str) -> (ScanId, Fingerprint) {
        let scan = self.scan().await;
        let request = ClaimRequest {
            worker: WorkerId::from_random(rand::random()),
            stages: Stage::ALL.to_vec(),
            most: 1_000,
            lease: Duration::from_secs(60),
            turns: Arc::default(),
        };
        let claimed = self.store.claim(request).await.unwrap();
        let claimed = claimed.into_iter().find(|claimed| claimed.lease.scan == Some(scan)).unwrap();
        let name: DomainName = name.parse().unwrap();
        let finding = finding(severity, Location::Domain(name.clone()));
        let fingerprint = finding.fingerprint;
        let asset = Asset::Domain { name, records: BTreeMap::new(), source: Source::Target, dangling: None };
        let result = UnitResult { assets: vec![asset], findings: vec![finding], ..UnitResult::default() };
        let (lease, sent) = (claimed.lease, Traffic::default());
        let settled = Settlement { lease, ending: Ending::Unit(Box::new(result)), sent };
        self.store.settle(vec![settled]).await.unwrap().remove(0).unwrap();
        (scan, fingerprint)
    }

    /// Something that was said by nobody who asks.
    pub(crate) async fn comment(&self) -> CommentId {
        let on = Topic::Finding(self.finding().await.1);
        let new = NewComment { text: "seen".parse().unwrap(), answers: None };
        let author = Author::Operator { name: "test".to_owned() };
        self.store.add_comment(self.tenant, on, new, author, "test").await.unwrap().id
    }

    /// A unit of a scan ends, and says that.
    pub(crate) async fn ends_with(&self, scan: &Value, undetermined: &[&str], left_out: &[&str]) {
        let request = ClaimRequest {
            worker: WorkerId::from_random(rand::random()),
            stages: Stage::SCANNING.to_vec(),
            most: 1,
            lease: Duration::from_secs(60),
            turns: Arc::default(),
        };
        let lease = self.store.claim(request).await.unwrap()[0].lease;
        assert_eq!(lease.scan.unwrap().to_string(), scan.as_str().unwrap());
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let result = UnitResult {
            undetermined: words(undetermined),
            left_out: words(left_out),
            ..UnitResult::default()
        };
        let settled = Settlement::silent(lease, Ending::Unit(Box::new(result)));
        self.store.settle(vec![settled]).await.unwrap().remove(0).unwrap();
    }

    pub(crate) async fn task(&self) -> TaskId {
        let task = NewTask::new(Work::Exercise { hold: Duration::ZERO });
        self.store.enqueue(self.tenant, vec![task]).await.unwrap()[0].id
    }

    /// Somebody says that they analyse packages.
    pub(crate) async fn package_worker(&self) -> WorkerId {
        let worker = WorkerId::from_random(rand::random());
        let stages = vec![Stage::Package];
        let who = Introduction { worker, stages, version: "1.2.3", concurrency: 1, machine: None };
        self.store.worker_is_there(who).await.unwrap();
        worker
    }

    /// They end the one analysis that waits.
    pub(crate) async fn analyse(&self, worker: WorkerId, ending: Ending) {
        let request = ClaimRequest {
            worker,
            stages: vec![Stage::Package],
            most: 1,
            lease: Duration::from_secs(60),
            turns: Arc::default(),
        };
        let lease = self.store.claim(request).await.unwrap()[0].lease;
        self.store.settle(vec![Settlement::silent(lease, ending)]).await.unwrap().remove(0).unwrap();
    }

    /// An analysis with a result.
    pub(crate) async fn analysis(&self) -> TaskId {
        let worker = self.package_worker().await;
        let new = NewAnalysis {
            purl: format!("pkg:npm/left-pad@{}", rand::random::<u32>()).parse().unwrap(),
            // Before what others of the test have left.
            priority: Priority::Urgent,
            deadline: Duration::from_secs(60),
        };
        let asked = self.store.analyze_package(self.tenant, new, "test", None).await.unwrap();
        self.analyse(worker, Ending::Package(PackageResult::from_iter([("says".to_owned(), "fine".into())])))
            .await;
        asked.task.record.id
    }

    pub(crate) async fn schedule(&self) -> ScheduleId {
        let by = || "test".to_owned();
        self.store.put_scope(self.tenant, "loopback", Scope::loopback(), by()).await.unwrap();
        let new = NewSchedule {
            name: format!("schedule {}", rand::random::<u64>()),
            rule: Schedule::new(Rhythm::Every("1h".parse().unwrap())),
            request: ScanRequest::within("loopback"),
            targets: vec!["127.0.0.1".parse().unwrap()],
        };
        self.store.create_schedule(self.tenant, new, by()).await.unwrap().id
    }

    /// Where the tenant is told what happens to it.
    pub(crate) async fn webhook(&self) -> WebhookId {
        let new = NewWebhook {
            name: format!("webhook {}", rand::random::<u64>()),
            url: "https://hooks.acme.test/".parse().unwrap(),
            events: BTreeSet::new(),
        };
        self.store.create_webhook_once(self.tenant, new, "test", None).await.unwrap().record.id
    }

    /// Somebody who may log in, once they have taken up their invitation.
    pub(crate) async fn role(&self) -> Role {
        let name = format!("made-{:08x}", rand::random::<u32>());
        let new = NewRole { name: name.parse().unwrap(), permissions: [Permission::ScansRead].into() };
        self.store.create_role(self.tenant, new, "test").await.unwrap().name
    }

    pub(crate) async fn user(&self) -> UserRecord {
        let name = format!("user-{}", rand::random::<u64>()).parse().unwrap();
        let invited = FirstPassword::Invited(Token::from_random(rand::random()));
        let new = NewUser { name, role: Role::Viewer };
        self.store.create_user(self.tenant, new, invited, "test").await.unwrap()
    }

    pub(crate) async fn another_tenant(&self) -> TenantId {
        self.store.create_tenant(NewTenant::named("other"), "test".to_owned()).await.unwrap().id
    }

    pub(crate) async fn key(&self, role: Role) -> ApiKey {
        self.key_of(self.tenant, NewKey { role, ..named("test") }).await
    }

    pub(crate) async fn key_of(&self, tenant: TenantId, new: NewKey) -> ApiKey {
        let key = ApiKey::from_random(rand::random(), rand::random());
        self.store.create_key(tenant, key.clone(), new, "test".to_owned()).await.unwrap();
        key
    }

    pub(crate) async fn get(&self, path: &str, key: &ApiKey) -> Answer {
        self.ask(Method::GET, path, Some(key.expose()), None).await
    }

    /// Under an idempotency key.
    pub(crate) async fn post_once(&self, path: &str, key: &ApiKey, once: &str, body: &Value) -> Answer {
        let asked = Request::post(path)
            .header("authorization", format!("Bearer {}", key.expose()))
            .header("content-type", "application/json")
            .header("idempotency-key", once)
            .body(Body::from(body.to_string()));
        self.send(asked.unwrap()).await
    }

    /// With the version that somebody has seen, if they say it.
    pub(crate) async fn patch(&self, path: &str, key: &ApiKey, seen: Option<&str>, body: Value) -> Answer {
        let mut asked = Request::patch(path)
            .header("authorization", format!("Bearer {}", key.expose()))
            .header("content-type", "application/json");
        if let Some(tag) = seen {
            asked = asked.header("if-match", tag);
        }
        self.send(asked.body(Body::from(body.to_string())).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, key: &ApiKey, body: Value) -> Answer {
        self.ask(Method::POST, path, Some(key.expose()), Some(body)).await
    }

    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<Value>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let body = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        self.send(request.body(body).unwrap()).await
    }

    /// As somebody at another address, who came by a proxy.
    pub(crate) async fn get_from(&self, from: &str, path: &str, key: &ApiKey) -> Answer {
        let request = Request::get(path)
            .header("authorization", format!("Bearer {}", key.expose()))
            .header("x-forwarded-for", from)
            .header("x-forwarded-proto", "https");
        self.send(request.body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn send(&self, mut request: Request<Body>) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().to_string());
        let host = self.address.to_string().parse().unwrap();
        request.headers_mut().insert("host", host);
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        let endless = head.headers.get("content-type").is_some_and(|kind| kind == "text/event-stream");
        let body = match endless {
            true => Value::Null,
            false => document(&head.headers, body).await,
        };
        let answer = Answer { status: head.status, headers: head.headers, body };
        if endless {
            return answer;
        }
        assert_documented(&method, &path, &answer);
        answer
    }
}

/// More than any test asks for.
fn plenty() -> Rates {
    let rate = NonZeroU32::new(100_000).unwrap();
    Rates { address: rate, key: rate, tenant: rate, ..Rates::default() }
}

/// Some checks that there are.
fn checks() -> BTreeMap<CheckId, CheckRecord> {
    let check = |id: &str, name: &str, severity, tags: &[&str]| CheckRecord {
        id: CheckId::new(id),
        name: name.to_owned(),
        severity,
        confidence: Confidence::Firm,
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        description: format!("what {id} finds"),
        impact: String::new(),
        remediation: String::new(),
        references: Vec::new(),
        classification: Classification::default(),
        authors: vec!["rampart".to_owned()],
    };
    let all = [
        check("admin-panel", "A panel of administrators", Severity::Info, &["panel", "exposure"]),
        check("default-login", "A password that everybody knows", Severity::Critical, &["login"]),
        check("git-config", "A configuration of Git", Severity::Medium, &["config", "exposure"]),
    ];
    all.into_iter().map(|check| (check.id.clone(), check)).collect()
}

/// A text is itself.
async fn document(headers: &HeaderMap, body: Incoming) -> Value {
    let bytes = to_bytes(Body::new(body), 2 << 20).await.unwrap();
    let is_page = headers.get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"text/"));
    match (bytes.is_empty(), is_page) {
        (true, _) => Value::Null,
        (_, true) => Value::String(String::from_utf8(bytes.to_vec()).unwrap()),
        _ => serde_json::from_slice(&bytes).unwrap(),
    }
}

/// Of this the secrets of webhooks are made.
pub(crate) const WEBHOOK_KEY: &str = "0123456789abcdef0123456789abcdef";
/// What was sent by whoever is looked at.
pub(crate) const SECRET_OF_THE_TARGET: &str = "password=hunter2";

pub(crate) fn finding(severity: Severity, location: Location) -> Finding {
    let check = CheckId::new("git-config");
    Finding {
        fingerprint: Fingerprint::of(&check, None, &location),
        check,
        name: "A configuration of git".to_owned(),
        severity,
        confidence: Confidence::Firm,
        location,
        addresses: Vec::new(),
        matcher: None,
        extracted: BTreeMap::new(),
        evidence: vec![Evidence {
            request: "GET /.git/config".to_owned(),
            response: SECRET_OF_THE_TARGET.to_owned(),
            ..Evidence::default()
        }],
        description: String::new(),
        impact: String::new(),
        remediation: String::new(),
        references: Vec::new(),
        classification: Classification::default(),
        tags: Vec::new(),
        reproduce: String::new(),
        found_at: Timestamp::UNIX_EPOCH,
    }
}

pub(crate) fn named(name: &str) -> NewKey {
    NewKey { name: name.to_owned(), role: Role::Owner, networks: Vec::new(), expires_at: None }
}
