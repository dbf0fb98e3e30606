//! What goes wrong is told as what it is.

use client::{ClientError, Expected, FindingQuery};
use model::ScanId;
use testkit::http::{ok, response};

use crate::{answering, client_of, problem};

#[tokio::test]
async fn a_problem_is_told_with_what_failed_the_hint_and_the_request() {
    let (_server, client) = answering(vec![problem("404 Not Found", &[], "not-found")]).await;
    let error = client.scan(ScanId::from_random(7)).await.unwrap_err();
    assert!(error.is_missing() && !error.is_forbidden() && !error.is_passing());
    assert_eq!(error.to_string(), "there is no scan `7`: look elsewhere (request 0af7)");
    let ClientError::Refused(told) = error else { panic!("{error:?}") };
    assert_eq!((told.status, &told.code[..], &told.title[..]), (404, "not-found", "a title"));
    let (_server, client) = answering(vec![problem("403 Forbidden", &[], "forbidden")]).await;
    assert!(client.keys(&client::KeyQuery::default()).await.unwrap_err().is_forbidden());
}

#[tokio::test]
async fn whoever_is_no_rampart_is_told_from_one() {
    let page = response("502 Bad Gateway", &["Content-Type: text/html"], "<h1>Bad Gateway</h1>");
    let (_server, client) = answering(vec![page, ok("<h1>Welcome</h1>"), ok(r#"{"scans":7}"#)]).await;
    let proxy = client.stops().await.unwrap_err();
    assert!(
        matches!(&proxy, ClientError::Unexplained { status: 502, .. }) && proxy.is_passing(),
        "{proxy:?}"
    );
    for _ in 0..2 {
        let strange = client.findings(&FindingQuery::default()).await.unwrap_err();
        assert!(matches!(strange, ClientError::Unreadable { .. }) && !strange.is_passing(), "{strange:?}");
        let said = strange.to_string();
        assert!(said.contains("GET /api/v1/findings") && said.contains("no Rampart"), "{said}");
    }
}

#[tokio::test]
async fn an_answer_without_an_end_is_not_read_to_it() {
    let (_server, client) = answering(vec![ok(vec![b' '; 65 << 20])]).await;
    let large = client.keys(&client::KeyQuery::default()).await.unwrap_err();
    assert!(matches!(large, ClientError::TooLarge { .. }) && large.to_string().contains("64 MiB"), "{large}");
    // Of what went wrong less is read.
    let long = response("500 Internal Server Error", &[], vec![b' '; 65 << 10]);
    let (_server, client) = answering(vec![long]).await;
    let large = client.keys(&client::KeyQuery::default()).await.unwrap_err();
    assert!(matches!(large, ClientError::Unexplained { status: 500, .. }), "{large:?}");
}

#[tokio::test]
async fn nobody_is_told_from_somebody_and_what_has_no_name_is_not_asked_about() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = client_of(listener.local_addr().unwrap());
    drop(listener);
    let away = client.schedules(5, None).await.unwrap_err();
    assert!(matches!(away, ClientError::Unreachable { passing: true, .. }), "{away:?}");
    for name in ["", ".", ".."] {
        let nameless = client.delete_scope(name).await.unwrap_err();
        assert!(matches!(nameless, ClientError::Nameless(_)), "{nameless:?}");
    }
    let written = serde_json::from_str(r#"{"authorised_by":"J. Doe"}"#).unwrap();
    let nameless = client.put_scope("..", &written, Expected::Nothing).await.unwrap_err();
    assert!(matches!(nameless, ClientError::Nameless(_)), "{nameless:?}");
}
