//! People: invited, let in by name and password, with a session that a browser holds, and out again.

use axum::body::Body;
use hyper::{Method, Request};
use model::{Password, Role, TenantId, Token, UserId};
use serde_json::{Value, json};
use store::{FirstPassword, NewUser};

use crate::ground::{Answer, Ground};

pub(crate) const PASSWORD: &str = "correct horse battery";

/// Somebody with a browser: where they are, and what it holds.
pub(crate) struct Browser<'g> {
    ground: &'g Ground,
    from: String,
    pub(crate) cookie: Option<String>,
    pub(crate) forgery_token: Option<String>,
}

impl<'g> Browser<'g> {
    pub(crate) fn at(ground: &'g Ground, from: &str) -> Browser<'g> {
        Browser { ground, from: from.to_owned(), cookie: None, forgery_token: None }
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.ask_with(method, path, body, &[]).await
    }

    pub(crate) async fn ask_with(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("x-forwarded-for", &self.from);
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", format!("theme=dark; {cookie}"));
        }
        if let Some(token) = self
            .forgery_token
            .as_ref()
            .filter(|_| !headers.iter().any(|(name, _)| *name == "x-forgery-token"))
        {
            request = request.header("x-forgery-token", token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or(Body::empty(), |body| Body::from(body.to_string()));
        self.ground.send(request.body(body).unwrap()).await
    }

    pub(crate) async fn log_in(&mut self, name: &str, password: &str) -> Answer {
        self.log_in_to("own", name, password).await
    }

    pub(crate) async fn log_in_to(&mut self, tenant: &str, name: &str, password: &str) -> Answer {
        self.log_in_with(json!({ "tenant": tenant, "name": name, "password": password })).await
    }

    /// The same, with the code of a second factor.
    pub(crate) async fn log_in_with(&mut self, login: Value) -> Answer {
        let answer = self.ask(Method::POST, "/api/v1/session", Some(login)).await;
        if answer.status == 201 {
            let cookie = answer.header("set-cookie").to_owned();
            let (pair, flags) = cookie.split_once("; ").unwrap();
            assert_eq!(flags, "Path=/; Secure; HttpOnly; SameSite=Strict");
            self.cookie = Some(pair.to_owned());
            self.forgery_token = Some(answer.body["forgery_token"].as_str().unwrap().to_owned());
            assert!(
                !answer.body.to_string().contains(pair.split_once('=').unwrap().1),
                "no script learns it"
            );
        }
        answer
    }
}

pub(crate) async fn user(ground: &Ground, name: &str, role: Role) {
    user_of(ground, ground.tenant, name, role).await;
}

/// Somebody who may log in with [`PASSWORD`].
pub(crate) async fn user_of(ground: &Ground, tenant: TenantId, name: &str, role: Role) -> UserId {
    let hash = gateway::hash_password(&Password::new(PASSWORD)).unwrap();
    let new = NewUser { name: name.parse().unwrap(), role };
    ground.store.create_user(tenant, new, FirstPassword::Hashed(hash), "test").await.unwrap().id
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_is_invited_chooses_a_password_and_works_with_a_browser() {
    let ground = Ground::start().await;
    user(&ground, "owner@acme.test", Role::Owner).await;
    let mut owner = Browser::at(&ground, "192.0.2.1");
    let answer = owner.log_in("Owner@ACME.test", PASSWORD).await;
    assert_eq!((answer.status.as_u16(), &answer.body["user"]["name"]), (201, &"owner@acme.test".into()));
    let invited = owner
        .ask(Method::POST, "/api/v1/users", Some(json!({ "name": "analyst@acme.test", "role": "analyst" })))
        .await;
    assert_eq!(invited.status, 201, "{invited:?}");
    let (id, invitation) =
        (invited.body["id"].as_str().unwrap(), invited.body["invitation"].as_str().unwrap());
    let twice = json!({ "name": "ANALYST@acme.test", "role": "viewer" });
    owner.ask(Method::POST, "/api/v1/users", Some(twice)).await.problem(409, "conflict");

    let mut analyst = Browser::at(&ground, "192.0.2.2");
    analyst.log_in("analyst@acme.test", PASSWORD).await.problem(401, "unauthenticated");
    let accept = async |from: &str, invitation: &str, password: &str| {
        let acceptance = json!({ "invitation": invitation, "password": password });
        Browser::at(&ground, from).ask(Method::POST, "/api/v1/invitations/accept", Some(acceptance)).await
    };
    let short = accept("192.0.2.2", invitation, "short").await;
    assert!(short.problem(422, "invalid").contains("15"), "{short:?}");
    let guess = Token::from_random([1; 32]);
    accept("192.0.2.2", guess.expose(), PASSWORD).await.problem(401, "unauthenticated");
    assert_eq!(accept("192.0.2.2", invitation, PASSWORD).await.status, 204);
    accept("192.0.2.2", invitation, "another good password").await.problem(401, "unauthenticated");
    let mut limited = 0;
    for _ in 0..5 {
        limited += u32::from(accept("192.0.2.2", guess.expose(), PASSWORD).await.status == 429);
    }
    assert_eq!(limited, 4, "five an hour");

    assert_eq!(analyst.log_in("analyst@acme.test", PASSWORD).await.status, 201);
    let me = analyst.ask(Method::GET, "/api/v1/me", None).await;
    assert_eq!((&me.body["role"], &me.body["user"]["id"]), (&"analyst".into(), &id.into()), "{me:?}");
    assert!(me.body.get("key").is_none());
    analyst.ask(Method::GET, "/api/v1/users", None).await.problem(403, "forbidden");

    // Who has lost the password is invited again: the old one is good for nothing from then on, and neither is the session.
    let path = format!("/api/v1/users/{id}/invitation");
    let invited = owner.ask(Method::POST, &path, None).await;
    assert_eq!((invited.status.as_u16(), &invited.body["id"]), (201, &id.into()));
    analyst.ask(Method::GET, "/api/v1/me", None).await.problem(401, "unauthenticated");
    analyst.log_in("analyst@acme.test", PASSWORD).await.problem(401, "unauthenticated");
    let (again, chosen) = (invited.body["invitation"].as_str().unwrap(), "another good password");
    assert_eq!(accept("192.0.2.3", again, chosen).await.status, 204);
    analyst.log_in("analyst@acme.test", PASSWORD).await.problem(401, "unauthenticated");
    assert_eq!(analyst.log_in("analyst@acme.test", chosen).await.status, 201);
    let twice = owner.ask(Method::GET, "/api/v1/me", None).await;
    let own = format!("/api/v1/users/{}/invitation", twice.body["user"]["id"].as_str().unwrap());
    owner.ask(Method::POST, &own, None).await.problem(409, "conflict");

    // What somebody is made ends their sessions, here at once.
    let path = format!("/api/v1/users/{id}");
    let changed = owner.ask(Method::PATCH, &path, Some(json!({ "role": "viewer" }))).await;
    assert_eq!((changed.status.as_u16(), &changed.body["role"]), (200, &"viewer".into()));
    analyst.ask(Method::GET, "/api/v1/me", None).await.problem(401, "unauthenticated");
    assert_eq!(analyst.log_in("analyst@acme.test", chosen).await.status, 201);
    owner.ask(Method::PATCH, &path, Some(json!({ "disabled": true }))).await;
    analyst.ask(Method::GET, "/api/v1/me", None).await.problem(401, "unauthenticated");
    analyst.log_in("analyst@acme.test", chosen).await.problem(401, "unauthenticated");
    assert_eq!(owner.ask(Method::DELETE, &path, None).await.status, 204);
    owner.ask(Method::GET, &path, None).await.problem(404, "not-found");

    // Somebody who can change everything is left.
    let own =
        owner.ask(Method::GET, "/api/v1/me", None).await.body["user"]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/users/{own}");
    owner.ask(Method::DELETE, &path, None).await.problem(409, "conflict");
    owner.ask(Method::PATCH, &path, Some(json!({ "role": "viewer" }))).await.problem(409, "conflict");
    owner.ask(Method::PATCH, &path, Some(json!({ "disabled": true }))).await.problem(409, "conflict");
    let audit = owner.ask(Method::GET, "/api/v1/audit?limit=100", None).await;
    let actions: Vec<&str> = audit.body["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    for action in
        ["user.create", "user.password", "user.change", "user.delete", "session.begin", "access.refuse"]
    {
        assert!(actions.contains(&action), "{action}: {actions:?}");
    }
    let text = audit.body.to_string();
    for secret in [PASSWORD, invitation, "argon2"] {
        assert!(!text.contains(secret), "{secret} stands in the audit");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_when_somebody_logs_out_or_changes_the_password() {
    let ground = Ground::start().await;
    user(&ground, "j.doe", Role::Operator).await;
    let (mut here, mut there) = (Browser::at(&ground, "192.0.2.1"), Browser::at(&ground, "192.0.2.2"));
    for browser in [&mut here, &mut there] {
        assert_eq!(browser.log_in("j.doe", PASSWORD).await.status, 201);
    }
    let sessions = here.ask(Method::GET, "/api/v1/sessions", None).await;
    let listed = sessions.body["sessions"].as_array().unwrap();
    assert_eq!(
        listed.iter().map(|session| session["origin"].as_str().unwrap()).collect::<Vec<_>>(),
        ["192.0.2.2", "192.0.2.1"]
    );
    let path = format!("/api/v1/sessions/{}", listed[0]["id"].as_str().unwrap());
    assert_eq!(here.ask(Method::DELETE, &path, None).await.status, 204);
    there.ask(Method::GET, "/api/v1/session", None).await.problem(401, "unauthenticated");
    here.ask(Method::DELETE, &path, None).await.problem(404, "not-found");

    // Nobody's else.
    user(&ground, "other", Role::Operator).await;
    let mut other = Browser::at(&ground, "192.0.2.3");
    other.log_in("other", PASSWORD).await;
    let own = here.ask(Method::GET, "/api/v1/session", None).await;
    let path = format!("/api/v1/sessions/{}", own.body["id"].as_str().unwrap());
    other.ask(Method::DELETE, &path, None).await.problem(404, "not-found");

    let change = async |browser: &Browser<'_>, current: &str, password: &str| {
        let change = json!({ "current": current, "password": password });
        browser.ask(Method::PUT, "/api/v1/me/password", Some(change)).await
    };
    change(&here, "wrong", "a password that is new").await.problem(403, "forbidden");
    change(&here, PASSWORD, "short").await.problem(422, "invalid");
    there.log_in("j.doe", PASSWORD).await;
    let changed = change(&here, PASSWORD, "a password that is new").await;
    assert_eq!((changed.status.as_u16(), changed.header("set-cookie").contains("Max-Age=0")), (204, true));
    for browser in [&mut here, &mut there] {
        browser.ask(Method::GET, "/api/v1/me", None).await.problem(401, "unauthenticated");
        browser.log_in("j.doe", PASSWORD).await.problem(401, "unauthenticated");
    }
    assert_eq!(here.log_in("j.doe", "a password that is new").await.status, 201);
    let out = here.ask(Method::DELETE, "/api/v1/session", None).await;
    assert_eq!((out.status.as_u16(), out.header("set-cookie").contains("Max-Age=0")), (204, true));
    here.ask(Method::GET, "/api/v1/me", None).await.problem(401, "unauthenticated");
    let key = ground.key(Role::Owner).await;
    ground.get("/api/v1/session", &key).await.problem(409, "conflict");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_can_do_nothing_with_a_session() {
    let ground = Ground::start().await;
    user(&ground, "j.doe", Role::Owner).await;
    let mut browser = Browser::at(&ground, "192.0.2.1");
    browser.log_in("j.doe", PASSWORD).await;
    let stop = || Some(json!({ "reason": "a test" }));
    let order = async |headers: &[(&str, &str)]| {
        browser.ask_with(Method::POST, "/api/v1/stops", stop(), headers).await
    };
    let own = format!("http://{}", ground.address);
    let guess = Token::from_random([1; 32]);
    for headers in [
        &[("x-forgery-token", "")][..],
        &[("x-forgery-token", guess.expose())],
        &[("origin", "https://evil.test")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site"), ("origin", &own)],
    ] {
        order(headers).await.problem(403, "forbidden");
    }
    // Nor read by a socket, which no browser holds back.
    let read = browser
        .ask_with(Method::GET, "/api/v1/events/socket", None, &[("origin", "https://evil.test")])
        .await;
    read.problem(403, "forbidden");
    assert_eq!(ground.store.stops().await.unwrap(), []);
    assert_eq!(order(&[("origin", &own), ("sec-fetch-site", "same-origin")]).await.status, 201);
    // Who brings a key is no browser.
    let key = ground.key(Role::Viewer).await;
    let bearer = format!("Bearer {}", key.expose());
    let both = browser.ask_with(Method::GET, "/api/v1/me", None, &[("authorization", &bearer)]).await;
    assert_eq!(both.body["role"], "viewer");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_tries_passwords_waits_and_locks_nobody_out() {
    let ground = Ground::start().await;
    user(&ground, "j.doe", Role::Owner).await;
    let mut owner = Browser::at(&ground, "192.0.2.1");
    assert_eq!(owner.log_in("j.doe", PASSWORD).await.status, 201);
    // From many addresses: no address alone is too fast. A name that is nobody's is treated alike.
    let addresses = std::cell::Cell::new(0);
    let guess = async |name: &str, password: &str| {
        addresses.set(addresses.get() + 1);
        Browser::at(&ground, &format!("198.51.100.{}", addresses.get())).log_in(name, password).await
    };
    let mut failed = 0;
    for name in ["j.doe", "nobody"] {
        let (mut wrong, mut limited) = (0, None);
        while limited.is_none() {
            let answer = guess(name, "a password that is a guess").await;
            if answer.status == 429 {
                limited = Some(answer);
            } else {
                let told = answer.problem(401, "unauthenticated");
                assert_eq!(told, "the name, the password or the code is wrong, or not known any more");
                wrong += 1;
            }
        }
        assert!(limited.unwrap().problem(429, "too-many").contains("this name"));
        // Each has to wait twice as long: the slowest machine is there soon.
        assert!((5..20).contains(&wrong), "{name}: {wrong}");
        // And one who was told to wait.
        failed += if name == "j.doe" { wrong + 1 } else { 0 };
    }
    // Who waits does not get in with what is right either.
    let mut right = guess("j.doe", PASSWORD).await;
    while right.status == 201 {
        failed += 1;
        while guess("j.doe", "a password that is a guess").await.status != 429 {
            failed += 1;
        }
        right = guess("j.doe", PASSWORD).await;
    }
    right.problem(429, "too-many");
    failed += 1;
    assert_eq!(
        owner.log_in("j.doe", PASSWORD).await.status,
        201,
        "who is known there does not wait with them"
    );
    let mut beside = Browser::at(&ground, "192.0.2.77");
    assert_eq!(
        beside.log_in("j.doe", PASSWORD).await.status,
        201,
        "nor with another address of that network"
    );
    let mut thief = Browser::at(&ground, "198.51.100.250");
    let mut tried = 0;
    while thief.log_in(&format!("name {tried}"), "x").await.status != 429 {
        tried += 1;
    }
    assert!((8..=11).contains(&tried), "ten a minute from one address: {tried}");
    let audit = ground.store.audit(ground.tenant, store::AuditFilter::default(), 100).await.unwrap();
    let refused = audit.iter().filter(|entry| entry.refused && entry.by == "j.doe").count();
    assert!(refused >= 5 && refused <= failed, "the tenant is told: {refused} of {failed}");
}
