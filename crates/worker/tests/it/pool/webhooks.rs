//! Messages to webhooks arrive, signed, where they may go, and nowhere else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use model::{
    Happening, HappeningKind, NewTask, Stage, TaskId, TenantId, Work,
    webhook::{NewWebhook, WebhookChange, WebhookKeys, WebhookRecord},
};
use store::{AuditFilter, Retention, StoreError, TaskFilter, TaskRecord, Told};
use testkit::{
    http::{HttpServer, ok, response},
    tls::{Wanted, acceptor, certify},
};
use worker::deliver::{Sender, Sending};

use super::ground::{Brokers, Ground, everywhere};
use crate::{broker::Kind, patience::eventually};

const KEY: &str = "0123456789abcdef0123456789abcdef";

fn keys(text: &str) -> WebhookKeys {
    WebhookKeys::new(text).unwrap()
}

/// To these, and that authority is believed.
fn sending(receivers: &str, authority: &str) -> Sending {
    let trusted = client::Trusted::Only(authority.as_bytes().to_vec()).configuration().unwrap();
    Sending { keys: keys(KEY), receivers: receivers.parse().unwrap(), tls: Arc::new(trusted) }
}

fn sender(receivers: &str, authority: &str) -> Arc<Sender> {
    Arc::new(Sender::new(sending(receivers, authority), "rampart/test".to_owned()))
}

async fn made(ground: &Ground, url: &str, events: &[HappeningKind]) -> WebhookRecord {
    let new = NewWebhook {
        name: format!("to {url}"),
        url: url.parse().unwrap(),
        events: events.iter().copied().collect(),
    };
    ground.store.create_webhook_once(ground.tenant, new, "test", None).await.unwrap().record
}

async fn given(ground: &Ground, how_many: usize) -> Vec<TaskId> {
    assert_eq!(ground.store.give_to_webhooks().await.unwrap(), how_many);
    assert_eq!(ground.store.give_to_webhooks().await.unwrap(), 0, "each once");
    let filter = TaskFilter { stage: Some(Stage::Deliver), ..TaskFilter::default() };
    let mut tasks = ground.tasks(filter).await;
    tasks.split_off(tasks.len() - how_many).into_iter().map(|task| task.id).collect()
}

/// The header of a request, and its body.
fn parts(text: &str) -> (impl Fn(&str) -> String + '_, &str) {
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let header = move |name: &str| {
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name}: {head}")).split_once(": ").unwrap().1.to_owned()
    };
    (header, body)
}

async fn what_happens_is_told_signed_and_once(ground: Ground) {
    let certified = certify(&Wanted::default());
    let authority = certified.authority_pem().to_owned();
    let server = HttpServer::start_tls(acceptor(certified), |_| ok("thanks")).await;
    let url = format!("https://localhost:{}/hook?token=1", server.address().port());
    let all = made(&ground, &url, &[]).await;
    made(&ground, &format!("{url}2"), &[HappeningKind::ScanEnded]).await;
    let sender_here = sender("localhost:*,127.0.0.0/8:*", &authority);
    let pool = ground.start_sending(Arc::clone(&sender_here));
    let scan = ground.submit(ground.tenant, Stage::Ports, "127.0.0.9").await;
    let task = given(&ground, 1).await[0];
    ground.until_state(task, "completed").await;

    let seen = server.seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
    let text = seen[0].text();
    let (header, body) = parts(&text);
    assert!(text.starts_with("POST /hook?token=1 HTTP/1.1\r\n"), "{text}");
    assert_eq!(header("host"), format!("localhost:{}", server.address().port()));
    assert_eq!(
        (header("content-type"), header("user-agent")),
        ("application/json".into(), "rampart/test".into())
    );
    assert_eq!(header("webhook-id"), format!("msg_{}", task.as_uuid().simple()));
    let sent = jiff::Timestamp::from_second(header("webhook-timestamp").parse().unwrap()).unwrap();
    let secret = keys(KEY).secret(ground.tenant, all.id, 0);
    assert_eq!(header("webhook-signature"), secret.sign(&header("webhook-id"), sent, body.as_bytes()));
    let told: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(told["type"], "scan_begun");
    let happening: Happening = serde_json::from_value(told["data"].clone()).unwrap();
    assert_eq!(happening, Happening::ScanBegun { scan });
    // Whoever may read tasks is told that something was sent, not what.
    let shown = serde_json::to_string(&ground.task(task).await).unwrap();
    assert!(shown.contains("scan_begun") && !shown.contains(&scan.to_string()), "{shown}");
    let record = ground.store.webhook(ground.tenant, all.id).await.unwrap();
    assert!(record.delivered_at.is_some() && record.failure.is_none(), "{record:?}");

    // With another secret it is signed with both, for a while.
    let day = Duration::from_secs(24 * 60 * 60);
    ground.store.rotate_webhook_once(ground.tenant, all.id, day, "test", None).await.unwrap();
    ground.submit(ground.tenant, Stage::Ports, "127.0.0.9").await;
    ground.until_state(given(&ground, 1).await[0], "completed").await;
    let text = server.seen()[1].text();
    let (header, body) = parts(&text);
    let sent = jiff::Timestamp::from_second(header("webhook-timestamp").parse().unwrap()).unwrap();
    let signatures = [1, 0].map(|number| {
        keys(KEY).secret(ground.tenant, all.id, number).sign(&header("webhook-id"), sent, body.as_bytes())
    });
    assert_eq!(header("webhook-signature"), signatures.join(" "));

    // With another key, too, for as long as the one before is there.
    let other = "fedcba9876543210fedcba9876543210";
    let both = keys(&format!("{other}\n{KEY}"));
    sender_here.follow(Sending { keys: both, ..sending("localhost:*,127.0.0.0/8:*", &authority) });
    ground.submit(ground.tenant, Stage::Ports, "127.0.0.9").await;
    ground.until_state(given(&ground, 1).await[0], "completed").await;
    let text = server.seen()[2].text();
    let (header, body) = parts(&text);
    let sent = jiff::Timestamp::from_second(header("webhook-timestamp").parse().unwrap()).unwrap();
    let signatures = [(other, 1), (KEY, 1), (other, 0), (KEY, 0)].map(|(key, number)| {
        keys(key).secret(ground.tenant, all.id, number).sign(&header("webhook-id"), sent, body.as_bytes())
    });
    assert_eq!(header("webhook-signature"), signatures.join(" "));

    // What happens while it is disabled is not sent later, and what is on its way to one that is forgotten goes nowhere.
    let switch = async |enabled| {
        let change = WebhookChange { enabled: Some(enabled), ..WebhookChange::default() };
        ground.store.change_webhook(ground.tenant, all.id, change, None, "test").await.unwrap()
    };
    switch(false).await;
    ground.submit(ground.tenant, Stage::Ports, "127.0.0.9").await;
    given(&ground, 0).await;
    switch(true).await;
    given(&ground, 0).await;
    pool.end().await;
    ground.submit(ground.tenant, Stage::Ports, "127.0.0.9").await;
    let task = given(&ground, 1).await[0];
    ground.store.delete_webhook(ground.tenant, all.id, None, "test").await.unwrap();
    let pool = ground.start_sending(sender("localhost:*,127.0.0.0/8:*", &authority));
    ground.until_state(task, "completed").await;
    assert_eq!(server.seen().len(), 3);
    pool.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everywhere_what_happens_is_told_signed_and_once() {
    everywhere(Brokers::Shared, what_happens_is_told_signed_and_once).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_where_nobody_allowed_it() {
    let ground = Ground::new("sqlite", Kind::InProcess, Brokers::Shared).await;
    let certified = certify(&Wanted::default());
    let authority = certified.authority_pem().to_owned();
    let server = HttpServer::start_tls(acceptor(certified), |_| ok("")).await;
    let elsewhere = HttpServer::start(|_| ok("")).await;
    let port = server.address().port();
    // The name is allowed, and leads inside: the address is not.
    let url = format!("https://localhost:{port}/");
    made(&ground, &url, &[]).await;
    ground.submit(ground.tenant, Stage::Ports, "127.0.0.9").await;
    let task = given(&ground, 1).await[0];
    let pool = ground.start_sending(sender("localhost:*", &authority));
    let failed = ground.until(task, |task| task.task.last_failure.is_some()).await;
    let why = failed.task.last_failure.unwrap();
    assert!(
        why.contains("leads to no address that messages may go to") && !why.contains("127.0.0.1"),
        "{why}"
    );
    pool.end().await;
    // Nor is what was allowed once and is not any more.
    let pool = ground.start_sending(sender("hooks.test", &authority));
    ground.advance(Duration::from_secs(60 * 60)).await;
    let why = |task: &TaskRecord| task.task.last_failure.clone().unwrap_or_default();
    let failed =
        ground.until(task, |task| task.task.attempts > 1 && why(task).contains("not among those")).await;
    assert!(why(&failed).contains("--webhook-receivers"), "{failed:?}");
    // Nor is another port.
    pool.end().await;
    let pool = ground.start_sending(sender("localhost,127.0.0.0/8", &authority));
    ground.advance(Duration::from_secs(60 * 60)).await;
    ground.until(task, |task| why(task).contains(&format!("localhost:{port} is not"))).await;
    pool.end().await;
    assert_eq!((server.connections(), elsewhere.connections()), (0, 0));
    // Workers may be told one after the other who may be told: nothing is lost by that.
    let pool = ground.start_sending(sender("localhost:*,127.0.0.0/8:*", &authority));
    ground.advance(Duration::from_secs(60 * 60)).await;
    ground.until_state(task, "completed").await;
    assert_eq!((server.seen().len(), elsewhere.connections()), (1, 0));
    pool.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_lead_nowhere_and_who_is_not_trusted_gets_nothing() {
    let ground = Ground::new("sqlite", Kind::InProcess, Brokers::Shared).await;
    let inside = HttpServer::start(|_| ok("secret of the inside")).await;
    let to = format!("Location: http://{}/latest/meta-data", inside.address());
    let outside = HttpServer::start(move |_| response("307 Temporary Redirect", &[&to], "")).await;
    let certified = certify(&Wanted::default());
    let stranger = HttpServer::start_tls(acceptor(certified), |_| ok("")).await;
    made(&ground, &format!("http://{}/", outside.address()), &[]).await;
    let of_stranger = made(&ground, &format!("https://{}/", stranger.address()), &[]).await;
    ground.submit(ground.tenant, Stage::Ports, "127.0.0.9").await;
    given(&ground, 2).await;
    // Another authority than the one that the stranger has.
    let other = certify(&Wanted::default()).authority_pem().to_owned();
    let pool = ground.start_sending(sender("127.0.0.0/8:*", &other));
    let filter = || TaskFilter { stage: Some(Stage::Deliver), ..TaskFilter::default() };
    let failures = eventually("both fail", async || {
        let tasks = ground.tasks(filter()).await;
        let failures: Vec<String> = tasks.into_iter().filter_map(|task| task.task.last_failure).collect();
        (failures.len() == 2).then_some(failures.join(" | "))
    })
    .await;
    assert!(failures.contains("307 Temporary Redirect and leads elsewhere"), "{failures}");
    assert!(failures.contains("certificate"), "{failures}");
    assert!(!failures.contains("secret of the inside"), "{failures}");
    assert_eq!(inside.connections(), 0);
    assert!(stranger.seen().is_empty());
    let record = ground.store.webhook(ground.tenant, of_stranger.id).await.unwrap();
    assert!(record.failing_since.is_some() && record.failure.unwrap().contains("certificate"));
    pool.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_away_is_told_later_and_who_asks_for_time_gets_it() {
    let ground = Ground::new("sqlite", Kind::InProcess, Brokers::Shared).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let server = HttpServer::start(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 => response("500 Internal Server Error", &[], "what the receiver says is told nobody"),
        1 => response("429 Too Many Requests", &["Retry-After: 3600"], ""),
        _ => response("204 No Content", &[], ""),
    })
    .await;
    let webhook = made(&ground, &format!("http://{}/", server.address()), &[]).await;
    ground.submit(ground.tenant, Stage::Ports, "127.0.0.9").await;
    let task = given(&ground, 1).await[0];
    let pool = ground.start_sending(sender("127.0.0.0/8:*", certify(&Wanted::default()).authority_pem()));
    let first = ground.until(task, |task| task.task.last_failure.is_some()).await;
    assert_eq!(first.task.last_failure.as_deref(), Some("the receiver answered 500 Internal Server Error"));
    ground.advance(Duration::from_secs(60)).await;
    let second = ground
        .until(task, |task| task.task.last_failure.as_deref().is_some_and(|why| why.contains("429")))
        .await;
    let model::task::Life::Queued { not_before } = second.task.life else { panic!("{second:?}") };
    let now = ground.store.clock().await.unwrap();
    assert!(not_before > now + jiff::SignedDuration::from_mins(59), "{not_before} at {now}");
    ground.advance(Duration::from_secs(3_700)).await;
    ground.until_state(task, "completed").await;
    let seen = server.seen();
    let ids: Vec<String> = seen.iter().map(|seen| parts(&seen.text()).0("webhook-id")).collect();
    assert_eq!((ids.len(), ids.iter().all(|id| *id == ids[0])), (3, true), "one message: {ids:?}");
    let record = ground.store.webhook(ground.tenant, webhook.id).await.unwrap();
    assert_eq!((record.failing_since, record.failure), (None, None));
    pool.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_is_any_more_nothing_is_sent() {
    let ground = Ground::new("sqlite", Kind::InProcess, Brokers::Shared).await;
    let server = HttpServer::start(|_| response("410 Gone", &[], "")).await;
    let webhook = made(&ground, &format!("http://{}/", server.address()), &[]).await;
    ground.submit(ground.tenant, Stage::Ports, "127.0.0.9").await;
    let task = given(&ground, 1).await[0];
    let pool = ground.start_sending(sender("127.0.0.0/8:*", certify(&Wanted::default()).authority_pem()));
    ground.until_state(task, "dead").await;
    let stands = async || ground.store.webhook(ground.tenant, webhook.id).await.unwrap();
    let gone = stands().await;
    assert_eq!((gone.enabled, gone.failure.as_deref()), (false, Some("the receiver answered 410 Gone")));
    // A message that nobody takes is none of what happens: it would be told, too.
    ground.submit(ground.tenant, Stage::Ports, "127.0.0.9").await;
    given(&ground, 0).await;
    pool.end().await;

    // As when nothing arrives for a week.
    let enabled = WebhookChange { enabled: Some(true), ..WebhookChange::default() };
    let again = ground.store.change_webhook(ground.tenant, webhook.id, enabled, None, "test").await.unwrap();
    assert_eq!((again.enabled, again.failing_since), (true, None));
    let fails = async |days: u64| {
        ground.advance(Duration::from_secs(days * 24 * 60 * 60)).await;
        let told = Told::Failed("no connection could be made".to_owned());
        ground.store.webhook_was_told(ground.tenant, webhook.id, told).await.unwrap();
        stands().await.enabled
    };
    assert_eq!((fails(0).await, fails(6).await, fails(1).await), (true, true, false));
    let filter = AuditFilter { action: Some("webhook.given_up".to_owned()), ..AuditFilter::default() };
    let entries = ground.store.audit(ground.tenant, filter, 10).await.unwrap();
    assert_eq!((entries.len(), entries[0].by.as_str()), (2, &*format!("webhook {}", webhook.name)));

    // What could not be sent is kept for as long as other tasks, and no longer.
    ground.store.forget(Retention::default()).await.unwrap();
    assert!(matches!(ground.store.task(ground.tenant, task).await, Err(StoreError::Missing { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_forgotten_before_it_was_sent_is_owned_up_to() {
    let ground = Ground::new("sqlite", Kind::InProcess, Brokers::Shared).await;
    let webhook = made(&ground, "http://127.0.0.1:9/", &[]).await;
    let missed = async || ground.store.webhook(ground.tenant, webhook.id).await.unwrap().missed_until;
    ground.submit(ground.tenant, Stage::Ports, "127.0.0.9").await;
    given(&ground, 1).await;
    assert_eq!(missed().await, None);
    let forget = async || {
        ground.advance(Duration::from_secs(2 * 60 * 60)).await;
        ground.store.forget(Retention::default()).await.unwrap();
    };
    ground.submit(ground.tenant, Stage::Ports, "127.0.0.9").await;
    forget().await;
    given(&ground, 0).await;
    let first = missed().await.unwrap();
    // The next is not missed with it.
    ground.submit(ground.tenant, Stage::Ports, "127.0.0.9").await;
    given(&ground, 1).await;
    assert_eq!(missed().await, Some(first));
    // Nor what is still there.
    ground.submit(ground.tenant, Stage::Ports, "127.0.0.9").await;
    forget().await;
    ground.submit(ground.tenant, Stage::Ports, "127.0.0.9").await;
    given(&ground, 1).await;
    assert!(missed().await.unwrap() > first);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_made_while_somebody_sends_them() {
    let ground = Ground::new("sqlite", Kind::InProcess, Brokers::Shared).await;
    let server = HttpServer::start(|_| ok("")).await;
    made(&ground, &format!("http://{}/", server.address()), &[]).await;
    let filter = || TaskFilter { stage: Some(Stage::Deliver), ..TaskFilter::default() };
    ground.submit(ground.tenant, Stage::Ports, "127.0.0.9").await;
    let old = ground.enqueue([NewTask::new(Work::Exercise { hold: Duration::ZERO })]).await[0];
    ground.store.cancel_tasks(ground.tenant, TaskFilter::one(old), u64::MAX, "test").await.unwrap();
    ground.advance(Duration::from_secs(8 * 24 * 60 * 60)).await;
    let orchestrator = ground.orchestrate();
    // That comes after webhooks in its first round.
    eventually("what is old is forgotten", async || {
        ground.store.task(ground.tenant, old).await.is_err().then_some(())
    })
    .await;
    assert_eq!(ground.tasks(filter()).await.len(), 0, "nobody would send it");
    let pool = ground.start_sending(sender("127.0.0.0/8:*", certify(&Wanted::default()).authority_pem()));
    ground.submit(ground.tenant, Stage::Ports, "127.0.0.9").await;
    eventually("it is told", async || {
        let tasks = ground.tasks(filter()).await;
        tasks.iter().any(|task| task.task.life.word() == "completed").then_some(())
    })
    .await;
    pool.end().await;
    orchestrator.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_told_of_nothing_of_another() {
    let ground = Ground::new("sqlite", Kind::InProcess, Brokers::Shared).await;
    let other: TenantId = ground.another_tenant("other").await;
    let server = HttpServer::start(|_| ok("")).await;
    made(&ground, &format!("http://{}/", server.address()), &[]).await;
    ground.submit(other, Stage::Ports, "127.0.0.9").await;
    given(&ground, 0).await;
    assert_eq!(server.connections(), 0);
}
