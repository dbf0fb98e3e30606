//! What belongs to another tenant does not exist: no answer of the store tells it from what never was.

use std::{collections::BTreeSet, fmt::Debug, path::Path, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use model::{
    ApiKey, Author, Identity, LeaseNumber, NewTask, Permission, Place, Priority, Role, ScanRequest, Schedule,
    Scope, Stage, TaskId, TenantId, Token, Topic, Work,
    audit::AuditKey,
    comment::NewComment,
    finding::{Decision, Verdict},
    record::{ScheduleChange, TenantChange, TenantSettings},
    schedule::Rhythm,
};
use store::{
    AssetFilter, AuditFilter, ConversationFilter, Credentials, Ending, Expected, FindingFilter,
    FirstPassword, Introduction, Lease, MentionFilter, NewAnalysis, NewRole, NewScan, NewSchedule, NewUser,
    PackageResult, Remarks, SecondFactor, Settlement, Store, StoreError, TaskFilter, Vouched,
};

use super::{lists, scan, things::Things, webhooks};
use crate::{
    ground::{Ground, LEASE, Worker, exercise, failure},
    keys::{key, named},
};
use model::task::Retry;

/// A package that the tenant has analysed.
const PACKAGE: &str = "pkg:npm/left-pad@1.3.0";

pub(super) fn text<T: Debug>(answer: &Result<T, StoreError>) -> String {
    format!("{answer:?}")
}

/// Every method that takes a tenant, asked about things. A method that is missing here fails the test below.
async fn ask(store: &Store, method: &str, tenant: TenantId, things: Things) -> String {
    let by = || "intruder".to_owned();
    let under_key = || {
        Some(match method {
            // The tenant has a scan under it, in the same name.
            "submit_scan_once" => "of the tenant".to_owned(),
            method => method.to_owned(),
        })
    };
    let task = TaskFilter::one(things.task);
    let of_scan = TaskFilter::of_scan(things.scan);
    let rule = || Schedule::new(Rhythm::Every("1h".parse().unwrap()));
    let request = || ScanRequest::within(things.scope);
    let targets = || vec!["127.0.0.1".parse().unwrap()];
    let new = || NewScan {
        request: request(),
        targets: targets(),
        by: by().into(),
        checks: "1".to_owned(),
        price: None,
    };
    let filter = || FindingFilter { scan: Some(things.scan), ..FindingFilter::default() };
    let later = Timestamp::now() + SignedDuration::from_hours(24);
    match method {
        "put_scope" => text(&store.put_scope(tenant, "home of the intruder", Scope::loopback(), by()).await),
        "replace_scope" => {
            // That an intruder has seen it is no way in either.
            let seen = store.scopes(tenant).await.unwrap().into_iter().find(|(name, _)| name == things.scope);
            let seen = seen.map(|(_, scope)| scope).or(Some(Scope::loopback()));
            text(&store.replace_scope(tenant, things.scope, seen, Scope::loopback(), by()).await)
        }
        "tenant" => text(&store.tenant(tenant).await.map(|record| record.name)),
        "audit" => text(&store.audit(tenant, AuditFilter::default(), 1_000).await.map(|entries| {
            // What the intruder does, it sees.
            entries.into_iter().filter(|entry| entry.by != "intruder").collect::<Vec<_>>()
        })),
        "audit_chain" => text(&store.audit_chain(tenant, 0).await.map(|page| {
            page.entries
                .into_iter()
                .filter(|entry| entry.by != "intruder")
                .map(|entry| entry.subject)
                .collect::<Vec<_>>()
        })),
        "audit_refusal" => {
            text(&store.audit_refusal(tenant, by().into(), things.scan.to_string(), String::new()).await)
        }
        "happenings" => {
            let begin = Place { position: 0, at: Timestamp::UNIX_EPOCH };
            // What happens to the intruder, it is told.
            text(&store.happenings(tenant, begin, 1_000).await.map(|all| {
                let told = all.into_iter().filter_map(|(_, happening)| happening);
                told.filter(|told| serde_json::to_string(told).unwrap().contains(&things.scan.to_string()))
                    .collect::<Vec<_>>()
            }))
        }
        "latest_happening" => text(&store.latest_happening(tenant).await.map(drop)),
        "create_user" => {
            // Nobody has that name here, whoever else has it elsewhere.
            let name = format!("somebody-{}", uuid::Uuid::now_v7()).parse().unwrap();
            let new = NewUser { name, role: Role::Owner };
            let made = store.create_user(tenant, new, FirstPassword::Hashed("kept".to_owned()), by()).await;
            text(&made.map(|user| user.role))
        }
        "create_user_once" => {
            let new = NewUser { name: "owner-of-the-tenant".parse().unwrap(), role: Role::Owner };
            let first = FirstPassword::Hashed("kept".to_owned());
            let made = store.create_user_once(tenant, new, first, by(), under_key()).await;
            text(&made.map(|made| made.record.role))
        }
        "account_of" => {
            text(&store.account_of(tenant, things.user).await.map(|found| found.map(|one| one.password)))
        }
        "user" => text(&store.user(tenant, things.user).await),
        "change_user" => {
            text(&store.change_user(tenant, things.user, None, Some(Role::Viewer), None, by()).await)
        }
        "delete_user" => text(&store.delete_user(tenant, things.user, None, by()).await),
        "set_password" => {
            text(&store.set_password(tenant, things.user, Expected::Anything, "kept".to_owned(), by()).await)
        }
        "set_second_factor" => {
            let factor = SecondFactor { sealed: "sealed".to_owned(), last_step: 0, recovery: Vec::new() };
            let seen = Credentials { password: "kept".to_owned(), second_factor: None };
            let (user, session) = (things.user, things.session);
            text(&store.set_second_factor(tenant, user, seen, Some(factor), session, by()).await)
        }
        "invite_again" => {
            let invitation = Token::from_random([7; 32]);
            text(
                &store.invite_again(tenant, things.user, None, &invitation, by()).await.map(|user| user.name),
            )
        }
        "end_vouched_sessions" => {
            let identity =
                Identity { issuer: "https://id.test".to_owned(), subject: "of the tenant".to_owned() };
            text(&store.end_vouched_sessions(tenant, identity, by()).await)
        }
        "begin_vouched_session" => {
            let identity = Identity { issuer: "https://id.test".to_owned(), subject: "intruder".to_owned() };
            let vouched =
                Vouched { identity, name: "intruder.vouched".parse().unwrap(), roles: [Role::Viewer].into() };
            let token = Token::from_random(rand::random());
            let begun = store.begin_vouched_session(tenant, vouched, &token, None, by()).await;
            text(&begun.map(|begun| begun.user.name))
        }
        "roles" => text(&store.roles(tenant).await.map(|roles| {
            roles
                .into_iter()
                .filter(|role| role.created_by.as_deref() != Some("intruder"))
                .collect::<Vec<_>>()
        })),
        "role" => text(&store.role(tenant, things.role.parse().unwrap()).await),
        "create_role" => {
            let name = format!("made-{:08x}", rand::random::<u32>()).parse().unwrap();
            let new = NewRole { name, permissions: [Permission::ScansRead].into() };
            text(&store.create_role(tenant, new, by()).await.map(|role| role.permissions))
        }
        "create_role_once" => {
            let new = NewRole { name: "made".parse().unwrap(), permissions: [Permission::ScansRead].into() };
            let made = store.create_role_once(tenant, new, by(), under_key()).await;
            text(&made.map(|made| made.record.permissions))
        }
        "change_role" => {
            let all = [Permission::AuditRead].into();
            text(&store.change_role(tenant, things.role.parse().unwrap(), None, all, by()).await)
        }
        "delete_role" => text(&store.delete_role(tenant, things.role.parse().unwrap(), None, by()).await),
        "used_session" => text(&store.used_session(tenant, things.session).await),
        "sessions" => text(&store.sessions(tenant, things.user).await),
        "end_session" => text(&store.end_session(tenant, things.session, by()).await),
        "key" => text(&store.key(tenant, key(things.key).prefix()).await.map(|key| key.name)),
        "verify_audit" => {
            text(&store.verify_audit(Some(tenant), &[], None).await.map(|walked| walked.is_ok()))
        }
        "audit_checkpoints" => text(&store.audit_checkpoints(Some(tenant), None, 1_000).await),
        "walk_checkpoints" => text(
            &store
                .walk_checkpoints(Some(tenant), &[])
                .await
                .map(|walked| walked.map(|checkpoints| checkpoints.last().cloned())),
        ),
        "sign_audit" => {
            let key = Arc::new(AuditKey::from_random([7; 32]));
            text(&store.sign_audit(Some(tenant), &key, None).await.map(|signed| signed.map(drop)))
        }
        "purge_audit" => {
            let key = Arc::new(AuditKey::from_random([7; 32]));
            text(&store.purge_audit(Some(tenant), Duration::ZERO, &key).await)
        }
        "set_tenant" => text(&store.set_tenant(tenant, TenantChange::default(), None, None, by()).await),
        "settings" => text(&store.settings(tenant).await),
        "change_settings" => {
            let change = |before| before;
            let seen = store.settings(tenant).await.unwrap();
            text(&store.change_settings(tenant, Some(seen), change, by()).await)
        }
        "usage" => {
            let usage = store.usage(tenant, Timestamp::UNIX_EPOCH, later).await;
            text(&usage.map(|usage| (usage.scans, usage.units, usage.traffic, usage.new_findings)))
        }
        "enqueue" => {
            let new = NewTask { scan: Some(things.scan), ..exercise() };
            text(&store.enqueue(tenant, vec![new]).await)
        }
        "task" => text(&store.task(tenant, things.task).await),
        "task_counts" => text(&store.task_counts(tenant).await),
        "dead_tasks" => text(&store.dead_tasks(tenant).await),
        "cancel_tasks" => {
            let one = store.cancel_tasks(tenant, task, u64::MAX, by()).await;
            format!("{} {}", text(&one), text(&store.cancel_tasks(tenant, of_scan, u64::MAX, by()).await))
        }
        "redrive_tasks" => {
            let one = store.redrive_tasks(tenant, task, 10, by()).await;
            format!("{} {}", text(&one), text(&store.redrive_tasks(tenant, of_scan, 10, by()).await))
        }
        "purge_tasks" => {
            let one = store.purge_tasks(tenant, task, later, u64::MAX, by()).await;
            format!(
                "{} {}",
                text(&one),
                text(&store.purge_tasks(tenant, of_scan, later, u64::MAX, by()).await)
            )
        }
        "submit_scan" => text(&store.submit_scan(tenant, new()).await),
        "submit_scan_once" => text(&store.submit_scan_once(tenant, new(), under_key()).await),
        "scan" => text(&store.scan(tenant, things.scan).await),
        "scan_settings" => text(&store.scan_settings(tenant, things.scan).await),
        "targets" => text(&store.targets(tenant, things.scan, 0, 10).await),
        "unit_results" => {
            let all = store.unit_results(tenant, things.scan, None, 10).await;
            format!(
                "{} {}",
                text(&all),
                text(&store.unit_results(tenant, things.scan, Some(things.task), 10).await)
            )
        }
        "grant_packets" => text(&store.grant_packets(tenant, things.scan, 5).await),
        "return_packets" => text(&store.return_packets(tenant, things.scan, 1).await),
        "end_for_packets" => text(&store.end_for_packets(tenant, things.scan).await),
        "remarks" => {
            let mut answers = String::new();
            for (which, after) in
                [(Remarks::Undetermined, None), (Remarks::LeftOut, None), (Remarks::All, Some(things.task))]
            {
                answers += &text(&store.remarks(tenant, things.scan, which, after, 10).await);
            }
            answers
        }
        "gaps" => text(&store.gaps(tenant, things.scan, 10).await),
        "delete_scope" => text(&store.delete_scope(tenant, things.scope, None, by()).await),
        "cancel_scans" => text(&store.cancel_scans(tenant, Some(things.scope.to_owned()), 10, by()).await),
        "cancel_scan" => text(&store.cancel_scan(tenant, things.scan, by()).await),
        "difference" => {
            let one = store.difference(tenant, things.scan, things.other_scan).await;
            format!(
                "{} {}",
                text(&one),
                text(&store.difference(tenant, things.other_scan, things.scan).await)
            )
        }
        "analyze_package" => {
            let new = NewAnalysis {
                purl: PACKAGE.parse().unwrap(),
                priority: Priority::Normal,
                deadline: Duration::from_secs(60),
            };
            // What the tenant has of it would be an answer.
            text(&store.analyze_package(tenant, new, by(), None).await)
        }
        "package_result" => text(&store.package_result(tenant, things.analysis).await),
        "findings" => {
            let after = FindingFilter { after: Some(things.finding.into()), ..FindingFilter::default() };
            let worst = FindingFilter { worst_first: true, ..after.clone() };
            let open = FindingFilter { states: vec!["open"], ..FindingFilter::default() };
            let mut answers = String::new();
            for filter in [filter(), after, worst, open] {
                answers += &text(&store.findings(tenant, filter, 10).await);
            }
            answers
        }
        "finding" => text(&store.finding(tenant, things.finding).await),
        "evidence" => text(&store.evidence(tenant, things.finding).await),
        "finding_documents" => text(&store.finding_documents(tenant, vec![things.finding]).await),
        "assets" => text(&store.assets(tenant, things.scan, None, 10).await),
        "asset_counts" => text(&store.asset_counts(tenant, things.scan).await),
        "decide" => {
            let decision = Decision { at: Timestamp::now(), verdict: Verdict::FalsePositive };
            text(&store.decide(tenant, [things.finding].into(), decision, by(), "because".to_owned()).await)
        }
        "comments" => {
            let about = [Topic::Finding(things.finding), Topic::Scan(things.scan)];
            format!(
                "{} {}",
                text(&store.comments(tenant, about[0], 0, 10).await),
                text(&store.comments(tenant, about[1], 0, 10).await)
            )
        }
        "comment" => text(&store.comment(tenant, things.comment).await),
        "comment_edits" => text(&store.comment_edits(tenant, things.comment, 0, 10).await),
        "add_comment" | "add_comment_once" => {
            let author = || Author::Operator { name: by() };
            let new = || NewComment { text: "true".parse().unwrap(), answers: Some(things.comment) };
            let (finding, scan) = (Topic::Finding(things.finding), Topic::Scan(things.scan));
            let say = async |on| match method {
                "add_comment" => text(&store.add_comment(tenant, on, new(), author(), by()).await),
                _ => {
                    let under = Some(format!("about {on}"));
                    text(&store.add_comment_once(tenant, on, new(), author(), by(), under).await)
                }
            };
            format!("{} {}", say(finding).await, say(scan).await)
        }
        "edit_comment" => {
            let words = "in other words".parse().unwrap();
            text(&store.edit_comment(tenant, things.comment, None, words, by()).await)
        }
        "delete_comment" => text(&store.delete_comment(tenant, things.comment, None, by()).await),
        "reading" => text(&store.reading(tenant, things.user, Topic::Finding(things.finding)).await),
        "mark_read" => {
            let on = Topic::Finding(things.finding);
            text(&store.mark_read(tenant, things.user, on, things.comment).await)
        }
        "mentions" => text(&store.mentions(tenant, things.user, MentionFilter::default(), 10).await),
        "conversations" => {
            let (filter, user) = (ConversationFilter::default(), Some(things.user));
            let all = store.conversations(tenant, None, filter, 10).await;
            format!("{} {}", text(&all), text(&store.conversations(tenant, user, filter, 10).await))
        }
        "create_schedule" | "create_schedule_once" => {
            let new = NewSchedule {
                name: "nightly".to_owned(),
                rule: rule(),
                request: request(),
                targets: targets(),
            };
            match method {
                "create_schedule" => text(&store.create_schedule(tenant, new, by()).await),
                _ => text(&store.create_schedule_once(tenant, new, by(), under_key()).await),
            }
        }
        "change_schedule" => {
            let change = ScheduleChange { enabled: Some(false), ..ScheduleChange::default() };
            text(&store.change_schedule(tenant, things.schedule, change, None, by()).await)
        }
        "delete_schedule" => text(&store.delete_schedule(tenant, things.schedule, None, by()).await),
        "first_key" => text(&store.first_key(tenant, key(8), named("other"), by()).await),
        "create_key" => {
            // Another one each time, and nobody else's.
            let secret = ApiKey::from_random(rand::random(), rand::random());
            let made = store.create_key(tenant, secret, named("other"), by()).await;
            text(&made.map(|made| made.role))
        }
        "create_key_once" => {
            let secret = ApiKey::from_random(rand::random(), rand::random());
            let made = store.create_key_once(tenant, secret, named("other"), by(), under_key()).await;
            text(&made.map(|made| made.record.role))
        }
        "rotate_key" => text(&store.rotate_key(tenant, key(things.key).prefix(), key(10), LEASE, by()).await),
        "rotate_key_once" => {
            let prefix = key(things.key).prefix();
            text(&store.rotate_key_once(tenant, prefix, key(10), LEASE, by(), under_key()).await)
        }
        "revoke_key" => text(&store.revoke_key(tenant, key(things.key).prefix(), by()).await),
        "used_key" => text(&store.used_key(tenant, key(things.key).prefix()).await),
        // They take the tenant within a lease.
        "settle" => {
            let mut answers = String::new();
            for scan in [None, Some(things.scan)] {
                for ending in
                    [Ending::Completed, Ending::HandedBack { not_before: None }, failure(Retry::Never)]
                {
                    let number = LeaseNumber::from_stored(1);
                    let lease = Lease { tenant, task: things.task, number, scan };
                    answers += &text(&store.settle(vec![Settlement::silent(lease, ending)]).await);
                }
            }
            answers
        }
        "at_work" => text(&store.at_work(tenant, things.scan).await),
        "heartbeat" => {
            let number = LeaseNumber::from_stored(1);
            let lease = Lease { tenant, task: things.task, number, scan: None };
            text(&store.heartbeat(vec![lease], Duration::from_secs(60)).await)
        }
        other => lists::ask(store, other, tenant, things, later).await,
    }
}

/// The methods of the store as its source has them.
fn methods() -> BTreeSet<String> {
    let mut methods: BTreeSet<String> = ["settle", "heartbeat"].map(str::to_owned).into();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in std::fs::read_dir(sources).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let source = std::fs::read_to_string(&path).unwrap();
            let public = source.split("    pub async fn ").skip(1).filter_map(|rest| rest.split_once('('));
            let of_tenants = public.filter(|(_, rest)| {
                rest.split("->").next().is_some_and(|parameters| {
                    ["tenant: TenantId", "tenant: Option<TenantId>"]
                        .iter()
                        .any(|one| parameters.contains(one))
                })
            });
            methods.extend(of_tenants.map(|(name, _)| name.to_owned()));
        }
    }
    assert!(methods.len() >= 25, "only {methods:?}");
    methods
}

/// A tenant that has one of everything.
pub(super) async fn furnished(ground: &Ground) -> Things {
    let (store, tenant) = (&ground.store, ground.tenant);
    let worker = Worker::new(1);
    let scan = scan::begin(store, tenant).await;
    let claimed = worker.claim_of(ground, &Stage::SCANNING, 100).await;
    for claim in &claimed {
        ground.store.settle(vec![scan::settlement(claim.lease)]).await.unwrap().remove(0).unwrap();
    }
    let other_scan = scan::begin_under(store, tenant, "of the tenant").await;
    let task = ground.enqueue([NewTask { priority: Priority::High, ..exercise() }]).await[0];
    assert_eq!(worker.claim(ground, 1).await[0].lease.task, task);
    let analysis = analysed(ground, &worker).await;
    let own = |_| TenantSettings { keep_scans_days: Some(1_234) };
    store.change_settings(tenant, None, own, "test").await.unwrap();
    let new = NewSchedule {
        name: "hourly".to_owned(),
        rule: Schedule::new(Rhythm::Every("1h".parse().unwrap())),
        request: ScanRequest::within("home"),
        targets: vec!["127.0.0.1".parse().unwrap()],
    };
    let schedule = store.create_schedule(tenant, new, "test".to_owned()).await.unwrap().id;
    assert!(store.first_key(tenant, key(7), named("secret of the tenant"), "test".to_owned()).await.unwrap());
    let new = NewRole { name: "watch".parse().unwrap(), permissions: [Permission::ScansRead].into() };
    store.create_role(tenant, new, "secret of the tenant").await.unwrap();
    let new = NewUser { name: "owner-of-the-tenant".parse().unwrap(), role: Role::Owner };
    let user =
        store.create_user(tenant, new, FirstPassword::Hashed("kept".to_owned()), "test").await.unwrap();
    let token = Token::from_random([7; 32]);
    let session = store.begin_session(&user, "kept", None, &token, None, "test").await.unwrap().id;
    let finding = scan::finding().fingerprint;
    let words = "secret of the tenant, for @owner-of-the-tenant".parse().unwrap();
    let (new, author) =
        (NewComment { text: words, answers: None }, Author::Operator { name: "test".to_owned() });
    let comment = store.add_comment(tenant, Topic::Finding(finding), new, author, "test").await.unwrap().id;
    // The running one first: there is something to cancel.
    Things {
        scan: other_scan,
        other_scan: scan,
        task,
        analysis,
        finding,
        webhook: webhooks::webhook(store, tenant).await,
        asset: store.inventory(tenant, AssetFilter::default(), 1, 1).await.unwrap().0[0].id,
        schedule,
        key: 7,
        user: user.id,
        session,
        comment,
        scope: "home",
        role: "watch",
    }
}

/// An analysis of a package, when the worker for it has gone again.
async fn analysed(ground: &Ground, worker: &Worker) -> TaskId {
    let (worker_id, stages) = (worker.id(), vec![Stage::Package]);
    let who = Introduction { worker: worker_id, stages, version: "1.2.3", concurrency: 1, machine: None };
    ground.store.worker_is_there(who).await.unwrap();
    let (purl, deadline) = (PACKAGE.parse().unwrap(), Duration::from_secs(60));
    let new = NewAnalysis { purl, priority: Priority::Normal, deadline };
    let asked = ground.store.analyze_package(ground.tenant, new, "test", None).await.unwrap();
    let lease = worker.claim_of(ground, &[Stage::Package], 1).await[0].lease;
    let says = PackageResult::from_iter([("says".to_owned(), "secret of the tenant".into())]);
    let settled = ground.store.settle(vec![Settlement::silent(lease, Ending::Package(says))]).await;
    settled.unwrap().remove(0).unwrap();
    ground.store.worker_left(worker.id()).await.unwrap();
    asked.task.record.id
}

/// Everything that a tenant sees of its own.
async fn sees(ground: &Ground, things: Things) -> Vec<String> {
    let mut seen = Vec::new();
    for method in [
        "audit",
        "audit_chain",
        "audit_checkpoints",
        "happenings",
        "tenant",
        "usage",
        "settings",
        "roles",
        "scopes",
        "list_scopes",
        "tasks",
        "list_tasks",
        "task",
        "task_counts",
        "dead_tasks",
        "scan",
        "scan_settings",
        "targets",
        "unit_results",
        "remarks",
        "gaps",
        "scans",
        "difference",
        "package_result",
        "findings",
        "look_for_findings",
        "finding",
        "finding_documents",
        "comments",
        "comment",
        "comment_edits",
        "reading",
        "mentions",
        "conversations",
        "evidence",
        "assets",
        "inventory",
        "webhook",
        "list_webhooks",
        "asset",
        "asset_counts",
        "schedules",
        "list_schedules",
        "keys",
        "list_keys",
        "key",
        "schedule",
        "scope",
        "list_users",
        "users",
        "user",
        "sessions",
    ] {
        seen.push(ask(&ground.store, method, ground.tenant, things).await);
    }
    seen
}

async fn answers_as_if_it_were_not_there(ground: Ground) {
    let things = furnished(&ground).await;
    let nothing = things.that_never_were();
    let intruder = ground.another_tenant("intruder").await;
    // A tenant with a task of its own: an empty queue could hide a difference.
    ground.store.enqueue(intruder, vec![NewTask::new(Work::Report)]).await.unwrap();
    let own = sees(&ground, things).await;
    assert!(own.iter().any(|text| text.contains("secret of the tenant")), "there is something to see");
    for method in methods() {
        let of_nothing = nothing.unnamed(ask(&ground.store, &method, intruder, nothing).await);
        let of_others = things.unnamed(ask(&ground.store, &method, intruder, things).await);
        assert_eq!(of_others, of_nothing, "{method}");
        assert!(!of_others.contains("Statement") && !of_others.contains("Damaged"), "{method}: {of_others}");
        assert!(!of_others.contains("secret"), "{method}: {of_others}");
    }
    assert_eq!(sees(&ground, things).await, own, "and nothing has changed for whoever it belongs to");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_sqlite_what_is_anothers_is_not_there() {
    answers_as_if_it_were_not_there(Ground::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_postgres_what_is_anothers_is_not_there() {
    answers_as_if_it_were_not_there(Ground::postgres().await).await;
}

/// A lease says whose and of which scan; what is said with a wrong one changes nothing.
async fn a_result_goes_to_its_own_scan_once(ground: Ground) {
    let scan = scan::begin(&ground.store, ground.tenant).await;
    let another = scan::begin(&ground.store, ground.tenant).await;
    let claimed = Worker::new(1).claim_of(&ground, &Stage::SCANNING, 100).await;
    let claim = claimed.iter().find(|claim| claim.lease.scan == Some(scan)).unwrap();
    for wrong in [None, Some(another)] {
        let lease = Lease { scan: wrong, ..claim.lease };
        ground.store.settle(vec![scan::settlement(lease)]).await.unwrap().remove(0).unwrap_err();
        assert_eq!(ground.state(claim.lease.task).await, "running");
    }
    let before = ground.store.scan(ground.tenant, scan).await.unwrap();
    let twice = vec![scan::settlement(claim.lease); 2];
    let answers = ground.store.settle(twice).await.unwrap();
    let again: Vec<bool> = answers.into_iter().map(|answer| answer.unwrap().again).collect();
    assert_eq!(again, [false, true]);
    let after = ground.store.scan(ground.tenant, scan).await.unwrap();
    assert_eq!((after.traffic.requests, after.findings, after.assets), (7, 1, 1));
    assert_eq!(after.open_tasks + 1, before.open_tasks);
    assert_eq!(ground.store.scan(ground.tenant, another).await.unwrap().traffic.requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_sqlite_a_result_goes_to_its_own_scan_once() {
    a_result_goes_to_its_own_scan_once(Ground::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_postgres_a_result_goes_to_its_own_scan_once() {
    a_result_goes_to_its_own_scan_once(Ground::postgres().await).await;
}
