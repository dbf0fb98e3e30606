//! People whom a provider of identities vouches for: Canaille for those who log in, and one that lies.

mod liar;

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use axum::body::Body;
use gateway::IdentityProvider;
use hyper::{Method, Request};
use model::{Password, Role};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use serde_json::{Value, json};
use store::{Expected, FirstPassword, NewUser, StoreError};
use testkit::identity_provider::{Browser, Person, Server};

use crate::ground::{Answer, Ground};

const PASSWORD: &str = "correct horse battery";
const HERE: &str = "http://127.0.0.1:8440";

fn provider(name: &str, issuer: &str, secret: &str, roles: &[(&str, Role)]) -> IdentityProvider {
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let tls =
        tls.with_safe_default_protocol_versions().unwrap().with_root_certificates(RootCertStore::empty());
    IdentityProvider {
        name: name.parse().unwrap(),
        tenant: "own".to_owned(),
        issuer: issuer.to_owned(),
        client_id: "rampart".to_owned(),
        client_secret: Some(secret.to_owned()),
        public_url: HERE.parse().unwrap(),
        groups_claim: "groups".to_owned(),
        roles: roles
            .iter()
            .map(|(group, role)| ((*group).to_owned(), role.clone()))
            .collect::<BTreeMap<_, _>>(),
        trusted: tls.with_no_client_auth(),
    }
}

/// As a browser with that cookie asks. Each time from elsewhere: from one address ten a minute log in.
async fn ask(ground: &Ground, path: &str, cookie: &str) -> Answer {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let from = Ipv4Addr::from(0x0A00_0000 + NUMBER.fetch_add(1, Ordering::Relaxed));
    let request = Request::get(path).header("cookie", cookie).header("x-forwarded-for", from.to_string());
    // The provider sends the browser here: that is another site.
    let request = request.header("sec-fetch-site", "cross-site").header("sec-fetch-mode", "navigate");
    ground.send(request.body(Body::empty()).unwrap()).await
}

fn cookies(answer: &Answer) -> Vec<String> {
    answer.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap().to_owned()).collect()
}

/// Where a browser is sent to log in, and what it holds meanwhile.
async fn begin(ground: &Ground, provider: &str) -> (String, String) {
    let begun = ask(ground, &format!("/api/v1/session/providers/{provider}"), "theme=dark").await;
    assert_eq!(begun.status, 303, "{begun:?}");
    let [cookie] = &cookies(&begun)[..] else { panic!("{begun:?}") };
    let (pair, flags) = cookie.split_once("; ").unwrap();
    assert_eq!(flags, "Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600");
    (begun.header("location").to_owned(), pair.to_owned())
}

/// Logs in at the provider. What the browser holds, and where it is sent back to.
async fn log_in(ground: &Ground, provider: &str, name: &str) -> (String, String) {
    let (url, cookie) = begin(ground, provider).await;
    let back = Browser::default().log_in(&url, name, PASSWORD).await;
    (cookie, back.strip_prefix(HERE).unwrap().to_owned())
}

/// The cookie of the session that somebody has now.
#[track_caller]
fn session(answer: &Answer) -> String {
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (200, "text/html; charset=utf-8"),
        "{answer:?}"
    );
    let [session, taken] = &cookies(answer)[..] else { panic!("{answer:?}") };
    assert!(taken.starts_with("__Host-rampart-login=;") && taken.ends_with("Max-Age=0"), "{taken}");
    let (pair, flags) = session.split_once("; ").unwrap();
    assert_eq!(flags, "Path=/; Secure; HttpOnly; SameSite=Strict");
    pair.to_owned()
}

async fn me(ground: &Ground, session: &str) -> Answer {
    let request = Request::get("/api/v1/me").header("cookie", session).body(Body::empty()).unwrap();
    ground.send(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn people_of_a_real_provider_are_let_in_as_what_their_groups_say() {
    let person = |name, groups| Person { name, password: PASSWORD, groups };
    let people = [
        person("ann", &["security", "platform"][..]),
        person("bob", &["canteen"]),
        person("carol", &["security"]),
        person("dave", &["platform"]),
    ];
    let callback = |name: &str| format!("{HERE}/api/v1/session/providers/{name}/callback");
    let names = ["company", "changed", "again"];
    let clients = names.map(|name| (name, callback(name)));
    let clients: Vec<(&str, &str)> =
        clients.iter().map(|(name, callback)| (*name, callback.as_str())).collect();
    let server = Server::start(&people, &clients);
    let of = |name: &str, roles: &[(&str, Role)]| IdentityProvider {
        client_id: name.to_owned(),
        ..provider(name, &server.issuer(), server.client_secret(), roles)
    };
    // The others are the first, after somebody wrote other roles down.
    let ground = Ground::with_providers(vec![
        of("company", &[("security", Role::Analyst), ("platform", Role::Owner)]),
        of("changed", &[("security", Role::Viewer)]),
        of("again", &[("security", Role::Viewer)]),
    ])
    .await;
    let listed = ground.ask(Method::GET, "/api/v1/session/providers", None, None).await;
    let wanted = ["again", "changed", "company"].map(|name| json!({ "name": name, "tenant": "own" }));
    assert_eq!(listed.body["providers"], json!(wanted));
    ground.ask(Method::GET, "/api/v1/session/providers/other", None, None).await.problem(404, "not-found");

    let (cookie, back) = log_in(&ground, "company", "ann").await;
    let let_in = ask(&ground, &back, &format!("theme=dark; {cookie}")).await;
    let ann = session(&let_in);
    let who = me(&ground, &ann).await;
    assert_eq!((&who.body["role"], &who.body["user"]["name"]), (&"owner".into(), &"ann@acme.test".into()));
    assert_eq!(who.body["user"]["issuer"], server.issuer());
    // What was shown once opens nothing again.
    ask(&ground, &back, &cookie).await.problem(401, "unauthenticated");
    assert_eq!(me(&ground, &ann).await.status, 200);

    // Who has nothing to do here is refused, and the tenant learns of it.
    let (cookie, back) = log_in(&ground, "company", "bob").await;
    let refused = ask(&ground, &back, &cookie).await;
    assert!(refused.problem(403, "forbidden").contains("canteen"), "{refused:?}");
    assert!(cookies(&refused).is_empty());
    assert_eq!(ground.store.users(ground.tenant).await.unwrap().len(), 1);

    // Whoever catches what comes back, or makes somebody else's browser bring it, has nothing.
    let (cookie, back) = log_in(&ground, "company", "carol").await;
    let (_, other) = begin(&ground, "company").await;
    let (_, elsewhere) = begin(&ground, "changed").await;
    for brought in
        ["theme=dark", &other, &elsewhere, &format!("{cookie}; {cookie}"), "__Host-rampart-login=guess"]
    {
        ask(&ground, &back, brought).await.problem(401, "unauthenticated");
    }
    let (path, query) = back.split_once('?').unwrap();
    let state = query.split('&').find(|pair| pair.starts_with("state=")).unwrap();
    for query in [
        state.to_owned(),
        format!("{state}&error=access_denied"),
        format!("{state}&code=guess"),
        query.replace("state=", "other="),
        query.replace("iss=http", "iss=https"),
        String::new(),
    ] {
        let answer = ask(&ground, &format!("{path}?{query}"), &cookie).await;
        assert_eq!(answer.status, 401, "{query}: {answer:?}");
    }
    // All that was wrong was not the code: it is still good.
    let carol = session(&ask(&ground, &back, &cookie).await);
    assert_eq!(me(&ground, &carol).await.body["role"], "analyst");

    // At the next login somebody is what their groups say by then, and what they were ends.
    let (cookie, back) = log_in(&ground, "changed", "carol").await;
    let again = session(&ask(&ground, &back, &cookie).await);
    me(&ground, &carol).await.problem(401, "unauthenticated");
    let who = me(&ground, &again).await;
    assert_eq!(who.body["role"], "viewer");
    let id = serde_json::from_value(who.body["user"]["id"].clone()).unwrap();

    // What the provider says nobody says here; that somebody may not come any more, everybody may.
    let key = ground.key(Role::Owner).await;
    let path = format!("/api/v1/users/{id}");
    let change = async |body: Value| ground.ask(Method::PATCH, &path, Some(key.expose()), Some(body)).await;
    change(json!({ "role": "owner" })).await.problem(409, "conflict");
    let set =
        ground.store.set_password(ground.tenant, id, Expected::Anything, "hash".to_owned(), "test").await;
    assert!(matches!(set, Err(StoreError::SaidElsewhere(_))), "{set:?}");
    assert_eq!(change(json!({ "disabled": true })).await.body["role"], "viewer");
    me(&ground, &again).await.problem(401, "unauthenticated");
    let (cookie, back) = log_in(&ground, "again", "carol").await;
    ask(&ground, &back, &cookie).await.problem(403, "forbidden");

    // A name that somebody with a password has is theirs.
    let hash = gateway::hash_password(&Password::new(PASSWORD)).unwrap();
    let dave = NewUser { name: "dave@acme.test".parse().unwrap(), role: Role::Viewer };
    let dave =
        ground.store.create_user(ground.tenant, dave, FirstPassword::Hashed(hash), "test").await.unwrap();
    let (cookie, back) = log_in(&ground, "company", "dave").await;
    ask(&ground, &back, &cookie).await.problem(409, "conflict");
    assert_eq!(ground.store.user(ground.tenant, dave.id).await.unwrap(), dave);

    let audit = ground.get("/api/v1/audit?limit=100", &key).await;
    let told: Vec<(&str, &str)> = audit.body["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["action"].as_str().unwrap(), entry["by"].as_str().unwrap_or_default()))
        .collect();
    for wanted in [
        ("user.create", "ann@acme.test"),
        ("session.begin", "ann@acme.test"),
        ("access.refuse", "bob@acme.test"),
        ("user.change", "carol@acme.test"),
        ("access.refuse", "carol@acme.test"),
    ] {
        assert!(told.contains(&wanted), "{wanted:?}: {told:?}");
    }
    assert!(!audit.body.to_string().contains(server.client_secret()));
}
