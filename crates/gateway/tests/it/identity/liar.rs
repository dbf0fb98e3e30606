//! A provider that does not tell the truth, in one way at a time.

use std::{
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Form, Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use model::Role;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha512};
use tokio::net::TcpListener;

use super::{ask, begin, me, provider, session};
use crate::ground::Ground;

/// In which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    Nothing,
    NoIdentityToken,
    OtherNonce,
    NoNonce,
    OtherAudience,
    OtherIssuer,
    Expired,
    OtherKey,
    NoSignature,
    OtherAccessToken,
    /// Groups are told by who is asked, about somebody else.
    OtherSubject,
    NoGroups,
    /// Whoever asks is sent elsewhere.
    SentOn,
    Endless,
}

/// What it was authorised by, and the form.
type Asked = (Option<String>, Vec<(String, String)>);

struct Liar {
    address: String,
    key: Ed25519KeyPair,
    other: Ed25519KeyPair,
    lie: Mutex<Lie>,
    nonce: Mutex<String>,
    /// What came to the token endpoint.
    asked: Mutex<Vec<Asked>>,
    /// How often somebody came to where nobody should.
    went_on: Mutex<u32>,
}

impl Liar {
    fn tells(&self) -> Lie {
        *self.lie.lock().unwrap()
    }

    fn token(&self) -> String {
        let lie = self.tells();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let heard = if lie == Lie::OtherAccessToken { "another" } else { "access" };
        // Ed25519 goes with SHA-512.
        let hash = &Sha512::digest(heard.as_bytes())[..32];
        let mut claims = json!({
            "iss": if lie == Lie::OtherIssuer { "http://127.0.0.1:1" } else { &self.address },
            "sub": "1234",
            "aud": if lie == Lie::OtherAudience { "another" } else { "rampart" },
            "iat": now - 600,
            "exp": if lie == Lie::Expired { now - 300 } else { now + 300 },
            "nonce": if lie == Lie::OtherNonce { "another".to_owned() } else { self.nonce.lock().unwrap().clone() },
            "at_hash": URL_SAFE_NO_PAD.encode(hash),
            "preferred_username": "mallory",
            "groups": ["security"],
        });
        let claims_object = claims.as_object_mut().unwrap();
        if lie == Lie::NoNonce {
            claims_object.remove("nonce");
        }
        if [Lie::OtherSubject, Lie::NoGroups].contains(&lie) {
            claims_object.remove("groups");
        }
        let algorithm = if lie == Lie::NoSignature { "none" } else { "EdDSA" };
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&json!({ "alg": algorithm, "kid": "1" })), part(&claims));
        let key = if lie == Lie::OtherKey { &self.other } else { &self.key };
        match lie {
            Lie::NoSignature => format!("{signed}."),
            _ => format!("{signed}.{}", URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()))),
        }
    }
}

async fn tokens(
    State(liar): State<Arc<Liar>>,
    headers: HeaderMap,
    Form(form): Form<Vec<(String, String)>>,
) -> Response {
    let secret = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
    liar.asked.lock().unwrap().push((secret, form));
    let mut answer = json!({ "access_token": "access", "token_type": "Bearer", "expires_in": 60 });
    match liar.tells() {
        Lie::SentOn => {
            return (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, "/elsewhere")]).into_response();
        }
        Lie::Endless => return Json(json!({ "access_token": "a".repeat(4 << 20) })).into_response(),
        Lie::NoIdentityToken => {}
        _ => answer["id_token"] = liar.token().into(),
    }
    Json(answer).into_response()
}

async fn start() -> Arc<Liar> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let [key, other] = [1, 2].map(|seed| Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap());
    let liar = Arc::new(Liar {
        address: address.clone(),
        key,
        other,
        lie: Mutex::new(Lie::Nothing),
        nonce: Mutex::default(),
        asked: Mutex::default(),
        went_on: Mutex::default(),
    });
    let keys = json!({ "keys": [{
        "kty": "OKP", "crv": "Ed25519", "kid": "1", "use": "sig", "alg": "EdDSA",
        "x": URL_SAFE_NO_PAD.encode(liar.key.public_key().as_ref()),
    }] });
    let metadata = json!({
        "issuer": address,
        "authorization_endpoint": format!("{address}/authorize"),
        "token_endpoint": format!("{address}/token"),
        "userinfo_endpoint": format!("{address}/userinfo"),
        "jwks_uri": format!("{address}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
    });
    let elsewhere = async |State(liar): State<Arc<Liar>>| *liar.went_on.lock().unwrap() += 1;
    let about = async |State(liar): State<Arc<Liar>>| match liar.tells() {
        Lie::NoGroups => Json(json!({ "sub": "1234" })),
        _ => Json(json!({ "sub": "4321", "groups": ["security"] })),
    };
    let router = Router::new()
        .route("/.well-known/openid-configuration", get(async move || Json(metadata)))
        .route("/keys", get(async move || Json(keys)))
        .route("/token", post(tokens))
        .route("/userinfo", get(about))
        .route("/elsewhere", get(elsewhere).post(elsewhere))
        .with_state(Arc::clone(&liar));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    liar
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_proven_is_not_let_in() {
    let liar = start().await;
    let company = provider("company", &liar.address, "the secret", &[("security", Role::Analyst)]);
    let ground = Ground::with_providers(vec![company]).await;
    let mut came = String::new();
    for (lie, status) in [
        (Lie::Nothing, 200),
        (Lie::NoIdentityToken, 401),
        (Lie::OtherNonce, 401),
        (Lie::NoNonce, 401),
        (Lie::OtherAudience, 401),
        (Lie::OtherIssuer, 401),
        (Lie::Expired, 401),
        (Lie::OtherKey, 401),
        (Lie::NoSignature, 401),
        (Lie::OtherAccessToken, 401),
        (Lie::OtherSubject, 503),
        (Lie::NoGroups, 403),
        (Lie::SentOn, 503),
        (Lie::Endless, 503),
    ] {
        *liar.lie.lock().unwrap() = lie;
        let (url, cookie) = begin(&ground, "company").await;
        let url: url::Url = url.parse().unwrap();
        let of = |name: &str| url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
        *liar.nonce.lock().unwrap() = of("nonce");
        assert_eq!(
            (of("code_challenge_method"), of("response_type")),
            ("S256".to_owned(), "code".to_owned())
        );
        let back = format!("/api/v1/session/providers/company/callback?code=c&state={}", of("state"));
        let answer = ask(&ground, &back, &cookie).await;
        assert_eq!(answer.status, status, "{lie:?}: {answer:?}");
        if status == 200 {
            came = session(&answer);
            assert_eq!(me(&ground, &came).await.body["user"]["name"], "mallory");
        } else {
            assert!(!answer.headers.contains_key("set-cookie"), "{lie:?}: {answer:?}");
        }
        // Who is in no group any more is not here any more. Nothing else ends what goes on.
        let goes_on = me(&ground, &came).await.status == 200;
        let before = ![Lie::NoGroups, Lie::SentOn, Lie::Endless].contains(&lie);
        assert_eq!(goes_on, before, "{lie:?}");
        // The provider can tell that it was this platform, and this browser's question.
        let (secret, form) = liar.asked.lock().unwrap().pop().unwrap();
        let field = |name: &str| &form.iter().find(|(key, _)| key == name).unwrap().1;
        assert!(secret.unwrap().starts_with("Basic "));
        let hashed = URL_SAFE_NO_PAD.encode(Sha256::digest(field("code_verifier").as_bytes()));
        assert_eq!((field("code").as_str(), hashed), ("c", of("code_challenge")));
    }
    assert_eq!(*liar.went_on.lock().unwrap(), 0);
    assert_eq!(ground.store.users(ground.tenant).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_says_to_be_another_or_is_away_lets_nobody_in() {
    let liar = start().await;
    let other = liar.address.replace("127.0.0.1", "127.0.0.2");
    // What it says of itself is not what was written down; and nobody is there.
    let away = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let gone = format!("http://{}", away.local_addr().unwrap());
    drop(away);
    let roles = [("security", Role::Analyst)];
    let below = format!("{}/tenant", liar.address);
    for issuer in [&other, &gone, &below] {
        let ground = Ground::with_providers(vec![provider("company", issuer, "the secret", &roles)]).await;
        let answer = ask(&ground, "/api/v1/session/providers/company", "theme=dark").await;
        answer.problem(503, "unavailable");
        assert!(!answer.headers.contains_key("set-cookie"), "{issuer}");
    }
}
