//! What is said about findings and scans: what goes over the wire, and what comes back.

use client::{CommentQuery, Expected};
use model::{Author, ScanId, Topic, comment::NewComment};
use testkit::http::{ok, response};

use crate::answering;

const ID: &str = "019b4a3c-7d10-7000-8000-000000000000";

fn comment() -> String {
    format!(
        r#"{{"id":"{ID}","scan":"0000000000000007","number":1,"by":{{"kind":"key","prefix":"0a1b2c3d","name":"ci"}},"text":"seen",
            "mentions":[],"written_at":"2026-01-01T00:00:00Z","edits":0}}"#
    )
}

#[tokio::test]
async fn what_was_seen_goes_along_with_what_is_to_be_changed() {
    let tagged = response("200 OK", &["Content-Type: application/json", "ETag: \"7\""], comment());
    let edit =
        r#"{"number":1,"text":"x","written_at":"2026-01-01T00:00:00Z","replaced_at":"2026-01-02T00:00:00Z"}"#;
    let answers = vec![
        ok(format!(r#"{{"comments":[{}],"next":1}}"#, comment())),
        ok(comment()),
        tagged,
        ok(comment()),
        response("204 No Content", &[], ""),
        ok(format!(r#"{{"edits":[{edit}]}}"#)),
        ok(format!(
            r#"{{"conversations":[{{"id":"{ID}","scan":"0000000000000007","comments":1,"last_at":"2026-01-01T00:00:00Z"}}],
                "next":"1767225600000000-{ID}"}}"#
        )),
    ];
    let (server, client) = answering(answers).await;
    let (on, id) = (Topic::Scan(ScanId::from_random(7)), ID.parse().unwrap());
    let page = client.comments(on, CommentQuery { limit: Some(1), after: Some(0) }).await.unwrap();
    assert_eq!((page.items.len(), page.next, page.items[0].on), (1, Some(1), on));
    assert!(matches!(&page.items[0].by, Author::Key { name, .. } if name == "ci"));
    let new = NewComment { text: "seen".parse().unwrap(), answers: Some(id) };
    client.add_comment(on, &new).await.unwrap();
    let seen = client.comment(id).await.unwrap();
    let version = Expected::Seen(seen.version.unwrap());
    client.change_comment(id, &"other words".parse().unwrap(), version.clone()).await.unwrap();
    client.delete_comment(id, version).await.unwrap();
    assert_eq!(client.comment_edits(id, CommentQuery::default()).await.unwrap().items[0].text.as_str(), "x");
    let spoken = client.conversations(None, None).await.unwrap();
    assert_eq!(
        (spoken.items[0].on, spoken.next.unwrap().to_string()),
        (on, format!("1767225600000000-{ID}"))
    );
    let asked: Vec<String> = server.seen().iter().map(|seen| seen.text()).collect();
    for (asked, wanted) in asked.iter().zip([
        "GET /api/v1/scans/0000000000000007/comments?limit=1&after=0 ",
        "POST /api/v1/scans/0000000000000007/comments ",
        &format!("GET /api/v1/comments/{ID} "),
        &format!("PATCH /api/v1/comments/{ID} "),
        &format!("DELETE /api/v1/comments/{ID} "),
        &format!("GET /api/v1/comments/{ID}/edits "),
        "GET /api/v1/conversations ",
    ]) {
        assert!(asked.starts_with(wanted), "{asked}");
    }
    assert!(asked[1].ends_with(&format!(r#"{{"text":"seen","answers":"{ID}"}}"#)), "{}", asked[1]);
    for conditional in &asked[3..5] {
        assert!(conditional.to_ascii_lowercase().contains("if-match: \"7\"\r\n"), "{conditional}");
    }
}
