//! A browser, as people use one: what its pages may do with a session, and what they may not.

use std::{sync::Arc, time::Duration};

use axum::body::{Body, to_bytes};
use gateway::{Rates, Tls};
use hyper::{Method, Request, client::conn::http1::handshake};
use hyper_util::rt::TokioIo;
use model::Role;
use serde_json::{Value, json};
use testkit::{
    browser::Driver,
    tls::{Wanted, certify},
};
use tokio::{net::TcpStream, time::timeout};

use crate::{
    ground::Ground,
    sessions::{PASSWORD, user},
};

/// How long a browser may take for anything.
const PATIENCE: Duration = Duration::from_secs(120);

/// A browser's window.
struct Window {
    driver: Driver,
    session: String,
}

impl Window {
    async fn open() -> Window {
        let driver = tokio::task::spawn_blocking(Driver::start).await.unwrap();
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "acceptInsecureCerts": true,
            "timeouts": { "script": 60_000 },
            "goog:chromeOptions": { "args": driver.arguments() },
        } } });
        let mut window = Window { driver, session: String::new() };
        let opened = window.command(Method::POST, "", Some(wanted)).await;
        window.session = format!("/{}", opened["sessionId"].as_str().unwrap());
        window
    }

    /// A command of WebDriver (W3C), and what it gives.
    async fn command(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let asking = async {
            let stream = TcpStream::connect(self.driver.address()).await.unwrap();
            let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            let request = Request::builder()
                .method(method)
                .uri(format!("/session{}{path}", self.session))
                .header("host", self.driver.address().to_string())
                .header("content-type", "application/json; charset=utf-8");
            let body = body.map_or(Body::empty(), |body| Body::from(body.to_string()));
            let (head, body) = sender.send_request(request.body(body).unwrap()).await.unwrap().into_parts();
            (head.status, to_bytes(Body::new(body), 1 << 24).await.unwrap())
        };
        let (status, body) = timeout(PATIENCE, asking).await.unwrap();
        let answer: Value = serde_json::from_slice(&body).unwrap();
        assert!(status.is_success(), "{path}: {answer}");
        answer["value"].clone()
    }

    async fn go(&self, url: &str) {
        self.command(Method::POST, "/url", Some(json!({ "url": url }))).await;
    }

    /// What becomes of the promise that a page's script makes, whose first argument is `told`.
    async fn run(&self, script: &str, told: Value) -> Value {
        let script = format!(
            "const done = arguments[1]; (async told => {{ {script} }})(arguments[0]).then(done, error => done('failed: ' + error));"
        );
        self.command(Method::POST, "/execute/async", Some(json!({ "script": script, "args": [told] }))).await
    }

    /// Whether pages may do more than their policy says: as somebody who looks at them with the tools for developers.
    async fn bypass_policies(&self, enabled: bool) {
        let body = json!({ "cmd": "Page.setBypassCSP", "params": { "enabled": enabled } });
        self.command(Method::POST, "/goog/cdp/execute", Some(body)).await;
    }
}

/// Asks as a page does, with whatever cookies belong to it: status and body.
const ASK: &str = "const options = { method: told.method, headers: told.headers, credentials: 'include' };
    if (told.body !== undefined) options.body = JSON.stringify(told.body);
    const answer = await fetch(told.url, options);
    const text = await answer.text();
    return { status: answer.status, body: text ? JSON.parse(text) : null };";

async fn ask(window: &Window, method: &str, url: &str, token: Option<&str>, body: Value) -> Value {
    let mut headers = json!({ "content-type": "application/json" });
    if let Some(token) = token {
        headers["x-forgery-token"] = token.into();
    }
    let mut told = json!({ "method": method, "url": url, "headers": headers });
    if !body.is_null() {
        told["body"] = body;
    }
    window.run(ASK, told).await
}

/// Two gateways on one machine, which trust nobody by being near.
async fn encrypted(directory: &std::path::Path) -> Ground {
    let certified = certify(&Wanted::default());
    let (chain, key) = (directory.join("chain.pem"), directory.join("key.pem"));
    std::fs::write(&chain, &certified.chain_pem).unwrap();
    std::fs::write(&key, &certified.key_pem).unwrap();
    let tls = Tls::read(&chain, &key).unwrap();
    Ground::with(Rates::default(), Some(Arc::new(tls))).await
}

fn origin(ground: &Ground) -> String {
    format!("https://localhost:{}", ground.address.port())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_logs_in_changes_things_and_follows_and_other_pages_do_not() {
    let directory = tempfile::tempdir().unwrap();
    let (ground, other) = (encrypted(directory.path()).await, encrypted(directory.path()).await);
    user(&ground, "amy", Role::Owner).await;
    let window = Window::open().await;
    let (here, elsewhere) = (origin(&ground), origin(&other));
    let page = format!("{here}/api/v1/");

    // The page of the document may ask for nothing.
    window.go(&page).await;
    let title = window.command(Method::GET, "/title", None).await;
    assert!(title.as_str().unwrap().contains("Rampart"), "{title}");
    let refused = "let broken = null;
        document.addEventListener('securitypolicyviolation', event => { broken = event.effectiveDirective; });
        const asked = await fetch('/api/v1/me').then(() => 'answered', () => 'refused');
        await new Promise(done => setTimeout(done, 0));
        return [asked, broken];";
    assert_eq!(window.run(refused, Value::Null).await, json!(["refused", "connect-src"]));

    // From here on what a page of one's own could do.
    window.bypass_policies(true).await;
    window.go(&page).await;
    assert_eq!(ask(&window, "GET", "/api/v1/me", None, Value::Null).await["status"], 401);
    let login = json!({ "tenant": "own", "name": "amy", "password": PASSWORD });
    let session = ask(&window, "POST", "/api/v1/session", None, login).await;
    assert_eq!(session["status"], 201, "{session}");
    let token = session["body"]["forgery_token"].as_str().unwrap();
    assert_eq!(window.run("return document.cookie;", Value::Null).await, "", "no script reads it");
    let cookies = window.command(Method::GET, "/cookie", None).await;
    let cookie = &cookies[0];
    assert_eq!(cookies.as_array().unwrap().len(), 1, "{cookies}");
    assert_eq!(
        (&cookie["name"], &cookie["httpOnly"], &cookie["secure"], &cookie["sameSite"], &cookie["path"]),
        (&"__Host-rampart".into(), &true.into(), &true.into(), &"Strict".into(), &"/".into()),
        "{cookie}"
    );
    let me = ask(&window, "GET", "/api/v1/me", None, Value::Null).await;
    assert_eq!((&me["status"], &me["body"]["user"]["name"]), (&200.into(), &"amy".into()), "{me}");

    // Something is changed only by who knows the token.
    let scope = json!({ "authorised_by": "test", "networks": ["127.0.0.0/8"] });
    for (brought, status) in [(None, 403), (Some("0".repeat(64)), 403), (Some(token.to_owned()), 200)] {
        let put = ask(&window, "PUT", "/api/v1/scopes/office", brought.as_deref(), scope.clone()).await;
        assert_eq!(put["status"], status, "{put}");
    }

    // What happens is followed as it happens, also what this page does itself.
    window.run("window.seen = []; window.source = new EventSource('/api/v1/events');
        for (const word of ['begin', 'scan_begun', 'stop_ordered', 'stop_lifted', 'missed'])
            window.source.addEventListener(word, event => window.seen.push([word, JSON.parse(event.data)]));
        await new Promise((open, fail) => { window.source.addEventListener('begin', open); window.source.onerror = () => fail('no stream'); });",
        Value::Null).await;
    let scan = ground.scan().await;
    let stop = json!({ "scan": scan, "reason": "a leak" });
    let ordered = ask(&window, "POST", "/api/v1/stops", Some(token), stop.clone()).await;
    assert_eq!(ordered["status"], 201, "{ordered}");
    assert_eq!(ask(&window, "POST", "/api/v1/stops/lift", Some(token), stop).await["status"], 200);
    let seen = window
        .run("while (!window.seen.some(([word]) => word === 'stop_lifted')) await new Promise(done => setTimeout(done, 20));
              return window.seen;", Value::Null)
        .await;
    let words: Vec<&str> = seen.as_array().unwrap().iter().map(|event| event[0].as_str().unwrap()).collect();
    assert_eq!(words, ["begin", "scan_begun", "stop_ordered", "stop_lifted"], "{seen}");
    assert_eq!(
        (&seen[1][1]["scan"], &seen[2][1]["stop"]["reason"]),
        (&scan.to_string().into(), &"a leak".into())
    );

    // A page of another origin: what is asked there goes without an answer, and changes nothing.
    let before = stands(&ground).await;
    window.go(&format!("{elsewhere}/api/v1/")).await;
    for (method, path) in [
        ("GET", "me"),
        ("GET", "scopes"),
        ("PUT", "scopes/office"),
        ("DELETE", "scopes/office"),
        ("POST", "stops"),
    ] {
        let body = if method == "GET" { Value::Null } else { scope.clone() };
        let asked = ask(&window, method, &format!("{here}/api/v1/{path}"), Some(token), body).await;
        assert!(
            asked.as_str().is_some_and(|told| told.starts_with("failed: TypeError")),
            "{method} {path}: {asked}"
        );
    }
    let blind = "for (const kind of ['text/plain', 'application/x-www-form-urlencoded'])
            await fetch(told + '/api/v1/stops', { method: 'POST', mode: 'no-cors', credentials: 'include', headers: { 'content-type': kind },
                body: '{\"reason\":\"forged\"}' }).catch(() => 'nothing is read of the answer');
        const read = await fetch(told + '/api/v1/me', { mode: 'no-cors', credentials: 'include' }).then(answer => answer.text(), () => '');
        const followed = await new Promise(done => {
            const source = new EventSource(told + '/api/v1/events', { withCredentials: true });
            source.onmessage = source.onopen = () => done('followed');
            source.onerror = () => { source.close(); done('refused'); };
        });
        return [read, followed];";
    assert_eq!(window.run(blind, here.clone().into()).await, json!(["", "refused"]));
    // A form takes the whole window there.
    let form = "const form = document.createElement('form');
        Object.assign(form, { method: 'POST', action: told + '/api/v1/stops', enctype: 'text/plain' });
        const field = document.createElement('input');
        Object.assign(field, { name: '{\"reason\":\"forged\",\"x\":\"', value: '\"}' });
        form.append(field); document.body.append(form); form.submit();";
    window.run(form, here.clone().into()).await;
    let told = async {
        loop {
            let url = window.command(Method::GET, "/url", None).await;
            if url.as_str().is_some_and(|url| url.ends_with("/api/v1/stops")) {
                return window.run("return document.body.innerText;", Value::Null).await;
            }
        }
    };
    let told = timeout(PATIENCE, told).await.unwrap();
    assert!(told.as_str().unwrap().contains("forbidden"), "{told}");
    assert_eq!(stands(&ground).await, before, "nothing was changed");

    // Out again: the cookie is gone, and what it was is good for nothing.
    window.go(&page).await;
    assert_eq!(ask(&window, "DELETE", "/api/v1/session", Some(token), Value::Null).await["status"], 204);
    assert_eq!(window.command(Method::GET, "/cookie", None).await, json!([]));
    assert_eq!(ask(&window, "GET", "/api/v1/me", None, Value::Null).await["status"], 401);
}

/// What others could have changed.
async fn stands(ground: &Ground) -> (usize, Vec<String>) {
    let scopes = ground.store.scopes(ground.tenant).await.unwrap();
    let stops = ground.store.stops().await.unwrap().len();
    (stops, scopes.into_iter().map(|(name, scope)| format!("{name} {scope:?}")).collect())
}
