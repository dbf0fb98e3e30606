use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::{
    Confidence, Evidence, Fingerprint, LeaseNumber, Location, Severity, Stage, WorkerId,
    finding::{Classification, Decision, Verdict},
    scan::{Budget, Exhausted, ScanEnd},
    task::{Death, Life as TaskLife},
};

/// What is written is read again as it was, also by who gets it as a text.
#[track_caller]
fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(record: &T) -> Value {
    let text = serde_json::to_string(record).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), record, "{text}");
    serde_json::from_str(&text).unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::new(second, 123_456_000).unwrap()
}

fn uuid(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn request() -> ScanRequest {
    ScanRequest {
        stages: [Stage::Ports, Stage::Check].into(),
        ports: Some("80,8000-8100".parse().unwrap()),
        only: [crate::CheckId::new("git-config")].into(),
        priority: Priority::High,
        unchanged_for: Duration::from_millis(1_500),
        budget: Budget {
            packets: Some(7),
            time: Some(Duration::from_secs(90)),
            cost: Some("2.50".parse().unwrap()),
            ..Budget::default()
        },
        ..ScanRequest::within("office")
    }
}

#[test]
fn scans_come_back_wherever_they_stand() {
    let mut scan = ScanRecord {
        id: ScanId::from_random(7),
        request: request(),
        life: ScanLife::Running,
        submitted_by: "somebody".to_owned(),
        request_id: Some("of-somebody".to_owned()),
        submitted_at: at(1),
        deadline: at(2),
        baseline: None,
        targets: 3,
        begun: 2,
        open_tasks: 1,
        dead_tasks: 0,
        units: 9,
        assets: u64::from(u32::MAX) + 1,
        findings: 4,
        traffic: Traffic { requests: 5, most_held_bytes: 6, ..Traffic::default() },
        worked: Duration::from_micros(1_000_001),
        price: None,
        cost: None,
    };
    assert_eq!(comes_back(&scan)["state"], "running");
    for end in [
        ScanEnd::Complete,
        ScanEnd::Failures { units: 2 },
        ScanEnd::Cancelled,
        ScanEnd::Deadline,
        ScanEnd::Budget { exhausted: Exhausted::Cost },
    ] {
        scan.life = ScanLife::Ended { at: at(3), end };
        comes_back(&scan);
    }
    scan.baseline = Some(ScanId::from_random(8));
    (scan.price, scan.cost) = (Some("0.05".parse().unwrap()), Some("0.000001".parse().unwrap()));
    assert_eq!(comes_back(&scan)["price_per_worker_hour"], "0.05");
}

#[test]
fn findings_come_back_wherever_they_stand() {
    let location = Location::Url("https://example.com/.git/config".parse().unwrap());
    let check = crate::CheckId::new("git-config");
    let finding = Finding {
        fingerprint: Fingerprint::of(&check, Some("m"), &location),
        check,
        name: "a name".to_owned(),
        severity: Severity::High,
        confidence: Confidence::Certain,
        location,
        addresses: vec!["2001:db8::1".parse().unwrap()],
        matcher: Some("m".to_owned()),
        extracted: [("version".to_owned(), vec!["1".to_owned()])].into(),
        evidence: vec![Evidence { request: "GET /".to_owned(), truncated: true, ..Evidence::default() }],
        description: "what".to_owned(),
        impact: String::new(),
        remediation: String::new(),
        references: vec!["https://example.com/".to_owned()],
        classification: Classification { cvss_score: Some(7.5), ..Classification::default() },
        tags: vec!["git".to_owned()],
        reproduce: "curl".to_owned(),
        found_at: at(1),
    };
    let decision = |verdict| Some(Decision { at: at(4), verdict });
    for (life, decision) in [
        (Life::Open, None),
        (Life::Triaged, decision(Verdict::Triaged)),
        (Life::Accepted { until: at(9) }, decision(Verdict::Accepted { until: at(9) })),
        (Life::FalsePositive, decision(Verdict::FalsePositive)),
        (Life::Fixed { since: at(5) }, decision(Verdict::Withdrawn)),
        (Life::Reopened { after: at(5) }, None),
    ] {
        let decided = decision.map(|_| "somebody".to_owned());
        comes_back(&KnownFinding {
            finding: finding.clone(),
            history: History { first_seen: at(1), last_seen: at(2), last_missed: Some(at(3)), decision },
            life,
            decided_by: decided.clone(),
            decided_because: decided,
        });
    }
}

#[test]
fn tasks_come_back_wherever_they_stand() {
    let mut task = TaskRecord {
        tenant: TenantId::new(uuid(1)),
        id: TaskId::new(uuid(2)),
        scan: None,
        work: Work::Exercise { hold: Duration::from_millis(5) },
        priority: Priority::Low,
        task: Task {
            life: TaskLife::Queued { not_before: at(1) },
            lease: LeaseNumber::from_stored(3),
            attempts: 1,
            redriven: 2,
            last_failure: None,
        },
        policy: RetryPolicy::default(),
        deadline: Duration::from_secs(3_600),
        due: at(1),
        created_at: at(1),
        started_at: None,
        ended_at: None,
        request_id: None,
    };
    comes_back(&task);
    task.scan = Some(ScanId::from_random(7));
    task.work = Work::Report;
    task.task.last_failure = Some("refused".to_owned());
    task.request_id = Some("of-somebody".to_owned());
    (task.started_at, task.ended_at) = (Some(at(2)), Some(at(3)));
    for life in [
        TaskLife::Running { worker: WorkerId::from_random(9), until: at(5), cancelling: true },
        TaskLife::Completed,
        TaskLife::Cancelled,
        TaskLife::Dead { why: Death::Attempts },
        TaskLife::Dead { why: Death::Terminal },
    ] {
        task.task.life = life;
        comes_back(&task);
    }
    assert_eq!(task.held_for(at(12)), Duration::from_secs(10));
    assert_eq!(task.held_for(at(1)), Duration::ZERO, "the clock went backwards");
}

#[test]
fn schedules_keys_and_tenants_come_back() {
    let written =
        json!({ "cron": "0 3 * * 1-5", "zone": "Europe/Berlin", "jitter": "20m", "overlap": "queue" });
    let rule: Schedule = serde_json::from_value(written).unwrap();
    let targets: Vec<Target> = ["example.com", "192.0.2.0/28", "192.0.2.1:443", "https://example.com/x"]
        .map(|target| target.parse().unwrap())
        .into();
    let mut schedule = ScheduleRecord {
        id: ScheduleId::new(uuid(1)),
        name: "nightly".to_owned(),
        rule: rule.clone(),
        request: request(),
        targets: targets.clone(),
        enabled: true,
        progress: Progress::since(at(1)),
        look_again: None,
        last_scan: None,
        refused: None,
    };
    comes_back(&schedule);
    (schedule.look_again, schedule.last_scan) = (Some(at(2)), Some(ScanId::from_random(1)));
    schedule.refused = Some(RefusedRun { at: at(3), reason: "no scope".to_owned() });
    comes_back(&schedule);
    let new = NewSchedule { name: "nightly".to_owned(), rule, request: request(), targets };
    let written = serde_json::to_value(&new).unwrap();
    let read: NewSchedule = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), written);

    let mut key = KeyRecord {
        prefix: "0a1b2c3d".parse().unwrap(),
        tenant: TenantId::new(uuid(1)),
        name: "pipeline".to_owned(),
        role: Role::Scanner,
        networks: vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
        created_at: at(1),
        created_by: "somebody".to_owned(),
        expires_at: None,
        last_used: None,
        replaced_by: None,
    };
    comes_back(&key);
    (key.expires_at, key.last_used) = (Some(at(2)), Some(at(3)));
    key.replaced_by = Some("ffffffff".parse().unwrap());
    let mut written = comes_back(&key);
    written["prefix"] = "no prefix".into();
    assert!(serde_json::from_value::<KeyRecord>(written).is_err());
    comes_back(&NewKey {
        name: key.name,
        role: key.role,
        networks: key.networks,
        expires_at: key.expires_at,
    });

    let tenant = TenantRecord {
        id: TenantId::new(uuid(1)),
        name: "acme".to_owned(),
        weight: 3,
        most_in_flight: 10_000,
        created_at: at(1),
    };
    comes_back(&tenant);
}

#[test]
fn a_tenant_keeps_scans_no_longer_than_the_installation() {
    let days = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
    for (own, installation, kept) in [
        (None, None, None),
        (None, Some(30), Some(30)),
        (Some(7), None, Some(7)),
        (Some(7), Some(30), Some(7)),
        (Some(90), Some(30), Some(30)),
    ] {
        let settings = TenantSettings { keep_scans_days: own };
        assert_eq!(
            settings.keep_scans(installation.map(days)),
            kept.map(days),
            "{own:?} of {installation:?}"
        );
    }
}
