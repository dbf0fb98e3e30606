//! Codes beside a password: set up, asked for, shown once, and lost.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hyper::Method;
use model::Role;
use serde_json::{Value, json};
use totp_rs::{Algorithm, Secret, TOTP};

use crate::{
    ground::{Answer, Ground},
    sessions::{Browser, PASSWORD, user},
};

/// How long something may take that comes by itself.
const PATIENCE: Duration = Duration::from_secs(60);
const SETUP: &str = "/api/v1/me/second-factor";

/// An application that shows codes.
struct Application(TOTP);

impl Application {
    fn of(secret: &str) -> Application {
        let secret = Secret::Encoded(secret.to_owned()).to_bytes().unwrap();
        Application(TOTP::new(Algorithm::SHA1, 6, 0, 30, secret, None, String::new()).unwrap())
    }

    /// So many half minutes from now.
    fn code(&self, from_now: i64) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        self.0.generate(now.saturating_add_signed(30 * from_now))
    }
}

fn login(password: &str, code: Option<&str>) -> Value {
    json!({ "tenant": "own", "name": "j.doe", "password": password, "code": code })
}

fn recovery(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_value(answer.body["recovery_codes"].clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_are_asked_for_once_somebody_has_shown_one() {
    let ground = Ground::start().await;
    user(&ground, "j.doe", Role::Owner).await;
    let (mut here, mut early) = (Browser::at(&ground, "192.0.2.1"), Browser::at(&ground, "192.0.2.6"));
    assert_eq!(early.log_in("j.doe", PASSWORD).await.status, 201);
    assert_eq!(here.log_in("j.doe", PASSWORD).await.status, 201);
    let made = here.ask(Method::POST, SETUP, None).await;
    let secret = made.body["secret"].as_str().unwrap();
    let address = made.body["address"].as_str().unwrap();
    assert!(address.starts_with("otpauth://totp/Rampart:j.doe?") && address.contains(secret), "{address}");
    let application = Application::of(secret);
    let set = async |password: &str, secret: &str, code: &str| {
        let setup = json!({ "password": password, "secret": secret, "code": code });
        here.ask(Method::PUT, SETUP, Some(setup)).await
    };
    set("another password entirely", secret, &application.code(0)).await.problem(403, "forbidden");
    set(PASSWORD, secret, &application.code(-10)).await.problem(422, "invalid");
    set(PASSWORD, "SECRET", "123456").await.problem(422, "invalid");
    let shows =
        async || here.ask(Method::GET, "/api/v1/session", None).await.body["user"]["second_factor"].clone();
    assert_eq!(shows().await, false);
    let first = application.code(0);
    let codes = recovery(&set(PASSWORD, secret, &first).await);
    assert_eq!((codes.len(), shows().await), (10, json!(true)));

    // Whoever was in before is not any more, and the password does not put another one in its place.
    early.ask(Method::GET, "/api/v1/me", None).await.problem(401, "unauthenticated");
    let other = here.ask(Method::POST, SETUP, None).await.body["secret"].as_str().unwrap().to_owned();
    let replace = async |current: Option<&str>| {
        let code = Application::of(&other).code(0);
        let setup = json!({ "password": PASSWORD, "secret": other, "code": code, "current_code": current });
        here.ask(Method::PUT, SETUP, Some(setup)).await
    };
    replace(None).await.problem(403, "forbidden");
    replace(Some("000000")).await.problem(403, "forbidden");
    replace(Some(&first)).await.problem(403, "forbidden");

    // The password alone does not do any more, and says no more than that it is right.
    let mut there = Browser::at(&ground, "192.0.2.2");
    let without = there.log_in_with(login(PASSWORD, None)).await;
    without.problem(401, "second-factor");
    assert!(!without.headers.contains_key("set-cookie"));
    // It is told after the answer: whoever only has the password need not wait for it.
    let told = async || {
        let refused = here.ask(Method::GET, "/api/v1/audit?action=access.refuse", None).await;
        let entries = refused.body["entries"].as_array().unwrap().clone();
        entries.into_iter().find(|entry| entry["detail"] == "the code of the second factor is missing")
    };
    let until = Instant::now() + PATIENCE;
    let entry = loop {
        if let Some(entry) = told().await {
            break entry;
        }
        assert!(Instant::now() < until, "nobody is told that somebody has the password");
        tokio::task::yield_now().await;
    };
    assert_eq!((&entry["by"], &entry["origin"]), (&json!("j.doe"), &json!("192.0.2.2")), "{entry}");
    there.log_in_with(login("another password entirely", None)).await.problem(401, "unauthenticated");
    // The clock of an application may be half a minute early: that code is another one than the first.
    let code = application.code(1);
    there.log_in_with(login("another password entirely", Some(&code))).await.problem(401, "unauthenticated");
    there.log_in_with(login(PASSWORD, Some("000000"))).await.problem(401, "unauthenticated");
    assert_eq!(there.log_in_with(login(PASSWORD, Some(&code))).await.status, 201);
    // Whoever looked over a shoulder is too late, and so is a code of before.
    let mut other = Browser::at(&ground, "192.0.2.3");
    for late in [&code, &first] {
        other.log_in_with(login(PASSWORD, Some(late))).await.problem(401, "unauthenticated");
    }

    // A code for when they are lost opens once, however it was copied.
    let copied = codes[4].to_uppercase().replace('-', " ");
    assert_eq!(other.log_in_with(login(PASSWORD, Some(&copied))).await.status, 201);
    let mut again = Browser::at(&ground, "192.0.2.4");
    again.log_in_with(login(PASSWORD, Some(&codes[4]))).await.problem(401, "unauthenticated");

    // Another password takes the second factor along.
    let changed = "a password that is new";
    let change = json!({ "current": PASSWORD, "password": changed });
    assert_eq!(other.ask(Method::PUT, "/api/v1/me/password", Some(change)).await.status, 204);
    again.log_in_with(login(changed, None)).await.problem(401, "second-factor");
    let mut back = Browser::at(&ground, "192.0.2.5");
    assert_eq!(back.log_in_with(login(changed, Some(&codes[7]))).await.status, 201);

    // Whoever has the password and somebody's browser cannot take it away.
    let end = async |code: &str| {
        let ending = json!({ "password": changed, "code": code });
        back.ask(Method::POST, "/api/v1/me/second-factor/end", Some(ending)).await
    };
    end("000000").await.problem(403, "forbidden");
    end(&codes[4]).await.problem(403, "forbidden");
    assert_eq!(end(&codes[5]).await.status, 204);
    end(&codes[6]).await.problem(409, "conflict");
    assert_eq!(again.log_in_with(login(changed, None)).await.status, 201);

    let audit = back.ask(Method::GET, "/api/v1/audit?limit=100", None).await.body.to_string();
    for wanted in ["user.second_factor\"", "user.second_factor_end"] {
        assert!(audit.contains(wanted), "{audit}");
    }
    for told in [secret, &codes[0], &code] {
        assert!(!audit.contains(told), "{told}: {audit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_lets_in_one_of_those_who_show_it_at_once() {
    let ground = Ground::start().await;
    user(&ground, "j.doe", Role::Viewer).await;
    let mut here = Browser::at(&ground, "192.0.2.1");
    here.log_in("j.doe", PASSWORD).await;
    let made = here.ask(Method::POST, SETUP, None).await;
    let secret = made.body["secret"].as_str().unwrap();
    let application = Application::of(secret);
    let setup = json!({ "password": PASSWORD, "secret": secret, "code": application.code(0) });
    recovery(&here.ask(Method::PUT, SETUP, Some(setup)).await);
    let code = application.code(1);
    let attempt = async |from: &str| {
        Browser::at(&ground, from).log_in_with(login(PASSWORD, Some(&code))).await.status.as_u16()
    };
    let (first, second) = tokio::join!(attempt("192.0.2.2"), attempt("192.0.2.3"));
    let mut statuses = [first, second];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 401]);
    // Programs show keys.
    let key = ground.key(Role::Owner).await;
    ground.ask(Method::POST, SETUP, Some(key.expose()), None).await.problem(409, "conflict");
}
