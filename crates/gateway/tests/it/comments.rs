//! What people and programs say about findings and scans, from the first word to its end.

use hyper::Method;
use model::{Authority, Reach, Role, Severity};
use serde_json::{Value, json};
use store::NewKey;

use crate::{
    ground::{Ground, named},
    live::Follower,
    sessions::{Browser, PASSWORD, user_of},
};

/// Somebody with a browser who has logged in, and their id.
async fn person<'g>(ground: &'g Ground, name: &str, role: Role) -> (Browser<'g>, String) {
    let id = user_of(ground, ground.tenant, name, role).await.to_string();
    let mut browser = Browser::at(ground, "192.0.2.1");
    assert_eq!(browser.log_in(name, PASSWORD).await.status, 201);
    (browser, id)
}

async fn get(browser: &Browser<'_>, path: &str) -> Value {
    let answer = browser.ask(Method::GET, &format!("/api/v1/{path}"), None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

/// Says something there, and tells the comment.
async fn say(browser: &Browser<'_>, path: &str, text: &str) -> Value {
    let said = browser.ask(Method::POST, &format!("/api/v1/{path}"), Some(json!({ "text": text }))).await;
    assert_eq!(said.status, 201, "{said:?}");
    assert_eq!(said.header("location"), format!("/api/v1/comments/{}", said.body["id"].as_str().unwrap()));
    said.body
}

fn texts(page: &Value) -> Vec<&str> {
    page["comments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|comment| comment["text"].as_str().unwrap_or("-"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_is_answered_said_in_other_words_and_taken_back() {
    let ground = Ground::start().await;
    let (scan, finding) = ground.finding().await;
    let path = format!("findings/{finding}/comments");
    let (amy, amys) = person(&ground, "amy@acme.test", Role::Analyst).await;
    let (bob, _) = person(&ground, "bob", Role::Administrator).await;
    let key = ground.key(Role::Operator).await;
    let first = say(&amy, &path, "Is this ours?\n\n`@bob` <b>").await;
    assert_eq!(first["by"], json!({ "kind": "person", "id": amys, "name": "amy@acme.test" }));
    assert_eq!((&first["finding"], &first["number"]), (&finding.to_string().into(), &1.into()));
    let answer = json!({ "text": "it is, @amy@acme.test.", "answers": first["id"] });
    let said = ground.post(&format!("/api/v1/{path}"), &key, answer.clone()).await;
    assert_eq!((said.status.as_u16(), &said.body["answers"]), (201, &first["id"]), "{said:?}");
    assert_eq!(said.body["by"], json!({ "kind": "key", "prefix": key.prefix(), "name": "test" }));
    assert_eq!(said.body["mentions"], json!([amys]));
    let elsewhere = ground.post(&format!("/api/v1/scans/{scan}/comments"), &key, answer).await;
    assert!(elsewhere.problem(404, "not-found").contains(first["id"].as_str().unwrap()), "{elsewhere:?}");
    for (body, says) in [
        (json!({ "text": "" }), "1 to 10000"),
        (json!({ "text": " \n" }), "not only spaces"),
        (json!({ "text": "ü".repeat(10_001) }), "at most 10000"),
        (json!({ "text": "\u{1b}[2J" }), "U+001B"),
        (json!({ "text": "x", "answers": "x" }), "answers"),
        (json!({ "text": "x", "by": "somebody" }), "by"),
        (json!({}), "text"),
    ] {
        let refused = ground.post(&format!("/api/v1/{path}"), &key, body).await;
        assert!(refused.problem(422, "invalid").contains(says), "{says}: {refused:?}");
    }
    let longest = "ü".repeat(10_000);
    assert_eq!(say(&amy, &format!("scans/{scan}/comments"), &longest).await["text"], longest);

    // Only who wrote it, and only what they have seen.
    let id = first["id"].as_str().unwrap();
    let one = format!("/api/v1/comments/{id}");
    let shown = amy.ask(Method::GET, &one, None).await;
    let tag = shown.header("etag").to_owned();
    assert_eq!(shown.body, first);
    let change = async |browser: &Browser<'_>, text: &str, tag: &str| {
        browser.ask_with(Method::PATCH, &one, Some(json!({ "text": text })), &[("if-match", tag)]).await
    };
    let others = change(&bob, "another's words", &tag).await;
    assert!(others.problem(403, "forbidden").contains("was written by amy@acme.test"), "{others:?}");
    let changed = change(&amy, "Is this ours, @bob?", &tag).await;
    assert_eq!((changed.status.as_u16(), &changed.body["edits"]), (200, &1.into()), "{changed:?}");
    assert_ne!(changed.header("etag"), tag);
    change(&amy, "too late", &tag).await.problem(412, "changed");
    let edits = get(&bob, &format!("comments/{id}/edits")).await;
    assert_eq!(edits["edits"][0]["text"], first["text"]);
    assert_eq!(edits["edits"].as_array().unwrap().len(), 1);

    // Who wrote it, or who manages comments; and its place stays.
    let analyst = ground.key(Role::Analyst).await;
    let delete = async |key: &str| ground.ask(Method::DELETE, &one, Some(key), None).await;
    delete(analyst.expose()).await.problem(403, "forbidden");
    bob.ask_with(Method::DELETE, &one, None, &[("if-match", &tag)]).await.problem(412, "changed");
    for _ in 0..2 {
        assert_eq!(bob.ask(Method::DELETE, &one, None).await.status, 204);
    }
    let page = get(&amy, &path).await;
    assert_eq!(texts(&page), ["-", "it is, @amy@acme.test."]);
    assert_eq!(page["comments"][0]["deleted_by"], "bob");
    assert_eq!(get(&amy, &format!("comments/{id}/edits")).await, json!({ "edits": [] }));
    let over = amy.ask(Method::PATCH, &one, Some(json!({ "text": "again" }))).await;
    assert!(over.problem(409, "conflict").contains("was deleted"), "{over:?}");

    let audit = get(&bob, "audit?action=comment&limit=100").await;
    let actions: Vec<&str> =
        audit["entries"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(
        actions,
        ["comment.delete", "comment.edit", "comment.add", "comment.add", "comment.add"],
        "{audit}"
    );
    assert!(!audit.to_string().contains("ours"), "the audit repeats no text");
    let refused = get(&bob, "audit?action=access&limit=100").await;
    assert_eq!(refused["entries"].as_array().unwrap().len(), 2, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_comments_hold_each_once_while_comments_are_added() {
    let ground = Ground::start().await;
    let path = format!("/api/v1/findings/{}/comments", ground.finding().await.1);
    let (writer, viewer) = (ground.key(Role::Analyst).await, ground.key(Role::Viewer).await);
    let say = async |number: usize| {
        let said = ground.post(&path, &writer, json!({ "text": format!("{number}") })).await;
        assert_eq!(said.status, 201);
        said.body["id"].as_str().unwrap().to_owned()
    };
    let third = {
        say(1).await;
        say(2).await;
        say(3).await
    };
    let (mut seen, mut next, mut count) = (Vec::new(), String::new(), 3);
    loop {
        let page = ground.get(&format!("{path}?limit=2{next}"), &viewer).await;
        seen.extend(texts(&page.body).into_iter().map(str::to_owned));
        assert!(page.body["unread"].is_null(), "a key reads nothing");
        let Some(after) = page.body["next"].as_u64() else { break };
        next = format!("&after={after}");
        if count < 5 {
            count += 1;
            say(count).await;
            // What is taken back moves nothing.
            let third = format!("/api/v1/comments/{third}");
            assert_eq!(ground.ask(Method::DELETE, &third, Some(writer.expose()), None).await.status, 204);
        }
    }
    assert_eq!(seen, ["1", "2", "-", "4", "5"]);
    for wrong in ["limit=0", "limit=501", "after=x", "after=-1", "after=9223372036854775808", "colour=red"] {
        ground.get(&format!("{path}?{wrong}"), &viewer).await.problem(400, "malformed");
    }
    ground.post(&path, &viewer, json!({ "text": "x" })).await.problem(403, "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_no_more_than_enough_text_and_a_comment_is_changed_only_so_often() {
    let ground = Ground::start().await;
    let path = format!("/api/v1/findings/{}/comments", ground.finding().await.1);
    let key = ground.key(Role::Analyst).await;
    let text = "\u{1f980}".repeat(10_000);
    let mut id = String::new();
    for _ in 0..28 {
        let said = ground.post(&path, &key, json!({ "text": text })).await;
        assert_eq!(said.status, 201, "{said:?}");
        id = said.body["id"].as_str().unwrap().to_owned();
    }
    let page = ground.get(&format!("{path}?limit=500"), &key).await.body;
    assert_eq!((texts(&page).len(), &page["next"]), (27, &27.into()));
    let rest = ground.get(&format!("{path}?limit=500&after=27"), &key).await.body;
    assert_eq!((texts(&rest).len(), rest.get("next")), (1, None));

    let path = format!("/api/v1/comments/{id}");
    for number in 0..100 {
        let tenant = ground.tenant;
        let text = format!("{number}{}", &text[..39_000]).parse().unwrap();
        ground.store.edit_comment(tenant, id.parse().unwrap(), None, text, "test").await.unwrap();
    }
    let body = json!({ "text": "once more" });
    let over = ground.ask(Method::PATCH, &path, Some(key.expose()), Some(body)).await;
    assert!(over.problem(409, "conflict").contains("100 earlier texts"), "{over:?}");
    let page = ground.get(&format!("{path}/edits?limit=500"), &key).await.body;
    assert_eq!((page["edits"].as_array().unwrap().len(), &page["next"]), (27, &27.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_read_and_are_mentioned_each_for_themselves() {
    let ground = Ground::start().await;
    let (scan, finding) = ground.finding().await;
    let (of_finding, of_scan) = (format!("findings/{finding}/comments"), format!("scans/{scan}/comments"));
    let (amy, _) = person(&ground, "amy", Role::Analyst).await;
    let (bob, _) = person(&ground, "bob", Role::Auditor).await;
    let first = say(&amy, &of_finding, "@bob and @nobody, look").await;
    let second = say(&amy, &of_finding, "again, @Bob!").await;
    let third = say(&amy, &of_scan, "and here").await;
    let counted = async |browser: &Browser<'_>, path: &str| {
        let page = get(browser, path).await;
        [&page["unread"], &page["read_up_to"]].map(|count| count.as_u64().unwrap())
    };
    assert_eq!((counted(&amy, &of_finding).await, counted(&bob, &of_finding).await), ([0, 0], [2, 0]));
    let unread = async |browser: &Browser<'_>| {
        let listed = get(browser, "conversations?unread=true").await;
        let of = listed["conversations"].as_array().unwrap().iter();
        of.map(|one| (one.get("scan").is_some(), one["unread"].as_u64().unwrap())).collect::<Vec<_>>()
    };
    assert_eq!((unread(&amy).await, unread(&bob).await), (vec![], vec![(true, 1), (false, 2)]));
    let mentioned = async |query: &str| {
        let listed = get(&bob, &format!("mentions{query}")).await;
        let of = listed["mentions"].as_array().unwrap().iter();
        let of = of.map(|one| (one["comment"]["number"].as_u64().unwrap(), one["unread"].as_bool().unwrap()));
        (of.collect::<Vec<_>>(), listed["next"].as_str().map(str::to_owned))
    };
    assert_eq!(mentioned("").await, (vec![(2, true), (1, true)], None));
    let (page, next) = mentioned("?limit=1").await;
    assert_eq!(page, [(2, true)]);
    assert_eq!(mentioned(&format!("?before={}", next.unwrap())).await.0, [(1, true)]);
    assert_eq!(get(&amy, "mentions").await, json!({ "mentions": [] }));

    let read = async |browser: &Browser<'_>, path: &str, comment: &Value| {
        let up_to = Some(json!({ "up_to": comment["id"] }));
        browser.ask(Method::PUT, &format!("/api/v1/{path}/read"), up_to).await
    };
    for (comment, wanted) in [(&first, [1, 1]), (&second, [2, 0]), (&first, [2, 0])] {
        let reading = read(&bob, &of_finding, comment).await;
        assert_eq!(reading.body, json!({ "read_up_to": wanted[0], "unread": wanted[1] }), "{reading:?}");
    }
    assert_eq!(counted(&amy, &of_finding).await, [0, 0], "nobody else has");
    assert_eq!(mentioned("").await.0, [(2, false), (1, false)]);
    assert_eq!(mentioned("?unread=true").await.0, []);
    assert_eq!(unread(&bob).await, [(true, 1)]);
    read(&bob, &of_finding, &third).await.problem(404, "not-found");
    assert_eq!(read(&bob, &of_scan, &third).await.status, 200);
    assert_eq!(unread(&bob).await, []);
    let both = get(&bob, "conversations?limit=1").await;
    assert_eq!(
        (&both["conversations"][0]["scan"], &both["conversations"][0]["unread"]),
        (&scan.to_string().into(), &0.into())
    );
    let rest = get(&bob, &format!("conversations?before={}", both["next"].as_str().unwrap())).await;
    assert_eq!(rest["conversations"][0]["finding"], finding.to_string());

    // A program is nobody who reads.
    let key = ground.key(Role::Owner).await;
    for path in ["mentions", "conversations?unread=true"] {
        let refused = ground.get(&format!("/api/v1/{path}"), &key).await;
        assert!(refused.problem(409, "conflict").contains("only people"), "{refused:?}");
    }
    let listed = ground.get("/api/v1/conversations", &key).await;
    assert_eq!(listed.body["conversations"].as_array().unwrap().len(), 2);
    assert!(listed.body["conversations"][0].get("unread").is_none(), "{listed:?}");

    // A person of another tenant finds nothing of it.
    let other = ground.another_tenant().await;
    user_of(&ground, other, "bob", Role::Owner).await;
    let mut stranger = Browser::at(&ground, "192.0.2.9");
    assert_eq!(stranger.log_in_to("other", "bob", PASSWORD).await.status, 201);
    for (path, comment) in [(&of_finding, &second), (&of_scan, &third)] {
        read(&stranger, path, comment).await.problem(404, "not-found");
        stranger.ask(Method::GET, &format!("/api/v1/{path}"), None).await.problem(404, "not-found");
    }
    assert_eq!(get(&stranger, "conversations").await, json!({ "conversations": [] }));
    assert_eq!(get(&stranger, "mentions").await, json!({ "mentions": [] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_read_it_is_told_as_it_is_said() {
    let ground = Ground::start().await;
    let (scan, finding) = ground.finding().await;
    let (amy, _) = person(&ground, "amy", Role::Analyst).await;
    let bobs = user_of(&ground, ground.tenant, "bob", Role::Viewer).await;
    let other = ground.another_tenant().await;
    let intruder = ground.key_of(other, NewKey { role: Role::Owner, ..named("intruder") }).await;
    let (viewer, machine) = (ground.key(Role::Viewer).await, ground.key(Role::Scanner).await);
    let mut follower = Follower::new(&ground, &viewer, None).await;
    let mut unaware = Follower::new(&ground, &machine, None).await;
    let mut foreign = Follower::new(&ground, &intruder, None).await;
    let said = say(&amy, &format!("findings/{finding}/comments"), "secret words for @bob").await;
    let one = format!("/api/v1/comments/{}", said["id"].as_str().unwrap());
    amy.ask(Method::PATCH, &one, Some(json!({ "text": "other words for @bob" }))).await;
    amy.ask(Method::DELETE, &one, None).await;
    say(&amy, &format!("scans/{scan}/comments"), "of the scan").await;
    let event = |word: &str, mentioned: Value| json!({ "event": word, "comment": said["id"], "finding": finding, "mentioned": mentioned });
    assert_eq!(follower.happened().await.2, event("comment_added", json!([bobs])));
    assert_eq!(follower.happened().await.2, event("comment_changed", json!([])));
    let deleted = json!({ "event": "comment_deleted", "comment": said["id"], "finding": finding });
    assert_eq!(follower.happened().await.2, deleted);
    assert_eq!(follower.happened().await.2["scan"], scan.to_string());
    ground.found(Severity::Low, "b.acme.test").await;
    assert_eq!(unaware.happened().await.0, "scan_begun", "a machine is told of scans only");
    let why = || "a test".to_owned();
    let reach = Reach::Tenant { tenant: other };
    ground.store.order_stop(Authority::Installation, reach, why(), "test").await.unwrap();
    assert_eq!(foreign.happened().await.0, "stop_ordered", "and others of nothing of it");
}
