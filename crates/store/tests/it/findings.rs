//! Findings: merged by fingerprint, in whatever order, and fixed only by a check that looked.

use std::{collections::BTreeMap, time::Duration};

use model::{
    CheckId, Confidence, Finding, Fingerprint, Ledger, Location, Outcome, ScanId, ScanRequest, Scope,
    Severity, Site, Stage, UnitResult,
    account::FailReason,
    finding::{Decision, Life, Verdict},
};
use store::{Ending, FindingFilter, KnownFinding, NewScan, Settlement};

use crate::ground::{Ground, Worker, settle};

crate::contract! {
    a_finding_is_opened_fixed_and_reopened
    only_a_check_that_looked_fixes_anything
    what_people_say_is_kept
    findings_are_found_by_where_they_stand
    who_looks_for_few_among_many_goes_on_from_where_the_look_ended
    hostile_text_comes_back_as_it_was
    evidence_and_machines_are_in_the_documents
}

pub(crate) const SITE: &str = "http://127.0.0.9:8080/";

pub(crate) fn finding(check: &str, severity: Severity) -> Finding {
    let check = CheckId::new(check);
    let location = Location::Url(SITE.parse().unwrap());
    Finding {
        fingerprint: Fingerprint::of(&check, None, &location),
        name: format!("{check} is there"),
        check,
        severity,
        confidence: Confidence::Certain,
        location,
        addresses: vec!["127.0.0.9".parse().unwrap()],
        matcher: None,
        extracted: BTreeMap::new(),
        evidence: vec![model::Evidence {
            request: "GET / HTTP/1.1".to_owned(),
            response: "HTTP/1.1 200 OK".to_owned(),
            ..Default::default()
        }],
        description: String::new(),
        impact: String::new(),
        remediation: String::new(),
        references: Vec::new(),
        classification: Default::default(),
        tags: Vec::new(),
        reproduce: String::new(),
        found_at: jiff::Timestamp::UNIX_EPOCH,
    }
}

/// A scan of the site in which the checks end like this.
pub(crate) async fn scan(ground: &Ground, findings: Vec<Finding>, ends: &[(&str, Outcome)]) -> ScanId {
    let (scan, settlement) = almost(ground, findings, ends).await;
    ground.store.settle(vec![settlement]).await.unwrap().remove(0).unwrap();
    let report = Worker::new(1).claim_of(ground, &[Stage::Report], 1).await.remove(0);
    settle(ground, report.lease, Ending::Completed).await.unwrap();
    scan
}

/// The same, and its result is still to be committed.
pub(crate) async fn almost(
    ground: &Ground,
    findings: Vec<Finding>,
    ends: &[(&str, Outcome)],
) -> (ScanId, Settlement) {
    ground.advance(Duration::from_secs(60)).await;
    ground.store.put_scope(ground.tenant, "loopback", Scope::loopback(), "test".to_owned()).await.unwrap();
    let request = ScanRequest { stages: [Stage::Check].into(), ..ScanRequest::within("loopback") };
    let new = NewScan {
        request,
        targets: vec![SITE.parse().unwrap()],
        by: "test".into(),
        checks: "1".to_owned(),
        price: None,
    };
    let (scan, _) = ground.store.submit_scan(ground.tenant, new).await.unwrap();
    let worker = Worker::new(1);
    let task = worker.claim_of(ground, &[Stage::Check], 1).await.remove(0);
    let site = Site {
        base: SITE.parse().unwrap(),
        endpoint: model::Endpoint { name: None, address: "127.0.0.9".parse().unwrap(), port: 8080 },
    };
    assert_eq!(task.work, model::Work::Unit(model::Unit::CheckSite(site)));
    let mut ledger = Ledger::default();
    for (check, outcome) in ends {
        ledger.plan(&CheckId::new(check), 1);
        ledger.end(&CheckId::new(check), *outcome);
    }
    let result = UnitResult { findings, ledger, ..UnitResult::default() };
    (scan, Settlement::silent(task.lease, Ending::Unit(Box::new(result))))
}

async fn known(ground: &Ground) -> Vec<KnownFinding> {
    ground.store.findings(ground.tenant, FindingFilter::default(), 100).await.unwrap()
}

async fn life(ground: &Ground) -> Life {
    known(ground).await.remove(0).life
}

async fn a_finding_is_opened_fixed_and_reopened(ground: Ground) {
    let git = || vec![finding("git-config", Severity::High)];
    let first = scan(&ground, git(), &[("git-config", Outcome::Matched)]).await;
    assert_eq!(life(&ground).await, Life::Open);
    let second = scan(&ground, git(), &[("git-config", Outcome::Matched)]).await;
    let seen = known(&ground).await;
    assert_eq!(seen.len(), 1, "the same thing seen again is the same finding");
    assert!(seen[0].history.first_seen < seen[0].history.last_seen);
    assert!(ground.store.difference(ground.tenant, second, first).await.unwrap().is_empty());
    let third = scan(&ground, vec![], &[("git-config", Outcome::NotMatched)]).await;
    assert!(matches!(life(&ground).await, Life::Fixed { .. }));
    let difference = ground.store.difference(ground.tenant, third, second).await.unwrap();
    assert_eq!(difference.kinds["finding"].disappeared, [format!("git-config at {SITE}")]);
    scan(&ground, git(), &[("git-config", Outcome::Matched)]).await;
    assert!(matches!(life(&ground).await, Life::Reopened { .. }));
}

async fn only_a_check_that_looked_fixes_anything(ground: Ground) {
    let both = vec![finding("git-config", Severity::High), finding("env-file", Severity::Low)];
    scan(&ground, both, &[("git-config", Outcome::Matched), ("env-file", Outcome::Matched)]).await;
    for (outcome, also) in [
        (Outcome::Failed(FailReason::TimedOut), Outcome::Matched),
        (Outcome::Skipped(model::SkipReason::Cancelled), Outcome::NotMatched),
    ] {
        let seen = if also == Outcome::Matched { vec![finding("env-file", Severity::Low)] } else { vec![] };
        scan(&ground, seen, &[("git-config", outcome), ("env-file", also)]).await;
        let git = known(&ground).await.into_iter().find(|known| known.finding.check.as_str() == "git-config");
        assert_eq!(git.unwrap().life, Life::Open, "{outcome:?}");
    }
    let env = known(&ground).await.into_iter().find(|known| known.finding.check.as_str() == "env-file");
    assert!(matches!(env.unwrap().life, Life::Fixed { .. }));
    // A scan without the check says nothing of it.
    scan(&ground, vec![], &[("other", Outcome::NotMatched)]).await;
    let git = known(&ground).await.into_iter().find(|known| known.finding.check.as_str() == "git-config");
    assert_eq!(git.unwrap().life, Life::Open);
}

async fn what_people_say_is_kept(ground: Ground) {
    let git = || vec![finding("git-config", Severity::High)];
    scan(&ground, git(), &[("git-config", Outcome::Matched)]).await;
    let fingerprint = git()[0].fingerprint;
    let now = ground.store.clock().await.unwrap();
    let decide = |verdict, at| {
        let (by, reason) = ("J. Doe".to_owned(), format!("as of {at}"));
        let decided =
            ground.store.decide(ground.tenant, [fingerprint].into(), Decision { at, verdict }, by, reason);
        async move {
            let known = decided.await.unwrap();
            assert_eq!((known.len(), known[0].finding.fingerprint), (1, fingerprint));
            known[0].history.decision == Some(Decision { at, verdict })
        }
    };
    assert!(decide(Verdict::FalsePositive, now).await);
    assert_eq!(life(&ground).await, Life::FalsePositive);
    assert!(!decide(Verdict::Triaged, now - jiff::SignedDuration::from_secs(5)).await);
    assert_eq!(life(&ground).await, Life::FalsePositive, "said before");
    let shown = ground.store.finding(ground.tenant, fingerprint).await.unwrap();
    assert_eq!(shown.finding, git()[0], "with its evidence");
    let told = (shown.decided_by.as_deref(), shown.decided_because);
    assert_eq!(told, (Some("J. Doe"), Some(format!("as of {now}"))));
    scan(&ground, git(), &[("git-config", Outcome::Matched)]).await;
    assert_eq!(life(&ground).await, Life::FalsePositive, "seen again");
    let now = ground.store.clock().await.unwrap();
    let until = now + jiff::SignedDuration::from_secs(600);
    assert!(decide(Verdict::Accepted { until }, now).await);
    assert_eq!(life(&ground).await, Life::Accepted { until });
    ground.advance(Duration::from_secs(700)).await;
    assert_eq!(life(&ground).await, Life::Open);
    let nobody = Fingerprint::of(&CheckId::new("x"), None, &git()[0].location);
    let decision = Decision { at: now, verdict: Verdict::Triaged };
    let by = || "J. Doe".to_owned();
    let both = [fingerprint, nobody].into();
    let refused = ground.store.decide(ground.tenant, both, decision, by(), String::new()).await.unwrap_err();
    assert!(refused.to_string().contains(&nobody.to_string()), "{refused}");
    assert_eq!(life(&ground).await, Life::Open, "of all of them, or of none");
    assert!(ground.store.finding(ground.tenant, nobody).await.is_err());
}

async fn findings_are_found_by_where_they_stand(ground: Ground) {
    let severities = [Severity::Low, Severity::Critical, Severity::Medium, Severity::High, Severity::High];
    let all: Vec<Finding> = severities
        .iter()
        .enumerate()
        .map(|(number, severity)| finding(&format!("check-{number}"), *severity))
        .collect();
    let names: Vec<String> = all.iter().map(|finding| finding.check.to_string()).collect();
    let ends = |outcome| names.iter().map(|name| (name.as_str(), outcome)).collect::<Vec<_>>();
    scan(&ground, all.clone(), &ends(Outcome::Matched)).await;
    let now = ground.store.clock().await.unwrap();
    let until = now + jiff::SignedDuration::from_hours(1);
    for (number, verdict) in
        [(0, Verdict::FalsePositive), (1, Verdict::Accepted { until }), (2, Verdict::Triaged)]
    {
        let decision = Decision { at: now, verdict };
        let (by, why) = ("J. Doe".to_owned(), "seen".to_owned());
        ground
            .store
            .decide(ground.tenant, [all[number].fingerprint].into(), decision, by, why)
            .await
            .unwrap();
    }
    // The last is gone.
    let mut ended = ends(Outcome::Matched);
    ended[4].1 = Outcome::NotMatched;
    let second = scan(&ground, all[..4].to_vec(), &ended).await;
    let found = async |filter: FindingFilter, at_most| {
        let found = ground.store.findings(ground.tenant, filter, at_most).await.unwrap();
        found.iter().map(|known| known.finding.check.to_string()).collect::<Vec<_>>()
    };
    let worst = |states: &[&'static str]| FindingFilter {
        states: states.to_vec(),
        worst_first: true,
        ..FindingFilter::default()
    };
    for (state, check) in [
        ("false-positive", "check-0"),
        ("accepted", "check-1"),
        ("triaged", "check-2"),
        ("open", "check-3"),
        ("fixed", "check-4"),
    ] {
        assert_eq!(found(worst(&[state]), 10).await, [check], "{state}");
    }
    assert_eq!(found(worst(&["reopened"]), 10).await, [""; 0]);
    let order = found(worst(&[]), 10).await;
    assert_eq!([&order[0], &order[3], &order[4]], ["check-1", "check-2", "check-0"]);
    // One after the other, by either way of reading.
    for states in [&[][..], &Life::WORDS] {
        let (mut after, mut seen) = (None, Vec::new());
        while let Some(known) = ground
            .store
            .findings(ground.tenant, FindingFilter { after, ..worst(states) }, 1)
            .await
            .unwrap()
            .pop()
        {
            after = Some(known.finding.fingerprint.into());
            seen.push(known.finding.check.to_string());
        }
        assert_eq!(seen, order);
        // From where a page ended, and by a place that says where its last one stood.
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let filter = FindingFilter { after, ..worst(states) };
            let (page, next) = ground.store.look_for_findings(ground.tenant, filter, 2, 500).await.unwrap();
            seen.extend(page.iter().map(|known| known.finding.check.to_string()));
            after = next;
            let Some(next) = next else { break };
            assert!(next.stood.is_some(), "{next}");
        }
        assert_eq!(seen, order);
    }
    let of_second = FindingFilter { scan: Some(second), ..worst(&["open", "fixed"]) };
    assert_eq!(found(of_second, 10).await, ["check-3"]);
    let check = Some(CheckId::new("check-2"));
    assert_eq!(found(FindingFilter { check, ..worst(&[]) }, 10).await, ["check-2"]);
    assert_eq!(found(worst(&["open", "accepted", "fixed"]), 2).await.len(), 2);
    // What was accepted for an hour is open afterwards.
    ground.advance(Duration::from_secs(3_600)).await;
    assert_eq!(found(worst(&["accepted"]), 10).await, [""; 0]);
}

async fn who_looks_for_few_among_many_goes_on_from_where_the_look_ended(ground: Ground) {
    let many: Vec<Finding> =
        (0..1_100).map(|number| finding(&format!("check-{number}"), Severity::Low)).collect();
    let names: Vec<String> = many.iter().map(|finding| finding.check.to_string()).collect();
    let ends: Vec<_> = names.iter().map(|name| (name.as_str(), Outcome::Matched)).collect();
    scan(&ground, many.clone(), &ends).await;
    let look = async |states: &[&'static str], after| {
        let filter = FindingFilter { after, states: states.to_vec(), ..FindingFilter::default() };
        let (found, next) = ground.store.look_for_findings(ground.tenant, filter, 50, 500).await.unwrap();
        (found.len(), next)
    };
    let (mut after, mut looks) = (None, 0);
    loop {
        let (found, next) = look(&["fixed"], after).await;
        assert_eq!(found, 0);
        looks += 1;
        after = next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(looks, 3, "500 are looked at each time");
    let (found, next) = look(&["open"], None).await;
    assert!(found == 50 && next.is_some());
    // The last page is full, or says that it is the last.
    assert_eq!(look(&[], many.iter().map(|one| one.fingerprint).max().map(Into::into)).await, (0, None));
}

async fn hostile_text_comes_back_as_it_was(ground: Ground) {
    let hostile = "\0'; DROP TABLE findings; -- \u{202e}\u{1}\r\n\\ $1 {{7*7}} <script>";
    let mut nasty = finding("git-config", Severity::High);
    nasty.extracted.insert(hostile.to_owned(), vec![hostile.to_owned()]);
    nasty.evidence[0].response = hostile.to_owned();
    nasty.name = hostile.to_owned();
    let scan = scan(&ground, vec![nasty.clone()], &[("git-config", Outcome::Matched)]).await;
    let documents = ground.store.finding_documents(ground.tenant, vec![nasty.fingerprint]).await.unwrap();
    assert_eq!(documents, [nasty.clone()]);
    let of_scan = FindingFilter { scan: Some(scan), ..FindingFilter::default() };
    assert_eq!(ground.store.findings(ground.tenant, of_scan, 10).await.unwrap().len(), 1);
}

async fn evidence_and_machines_are_in_the_documents(ground: Ground) {
    let many: Vec<Finding> = (0..5)
        .map(|number| {
            let severity = if number % 2 == 0 { Severity::High } else { Severity::Info };
            finding(&format!("check-{number}"), severity)
        })
        .collect();
    let ends: Vec<(String, Outcome)> =
        many.iter().map(|finding| (finding.check.to_string(), Outcome::Matched)).collect();
    let ends: Vec<(&str, Outcome)> = ends.iter().map(|(check, outcome)| (check.as_str(), *outcome)).collect();
    scan(&ground, many.iter().chain(&many).cloned().collect(), &ends).await;
    let order: Vec<Fingerprint> = many.iter().rev().map(|finding| finding.fingerprint).collect();
    let documents = ground.store.finding_documents(ground.tenant, order.clone()).await.unwrap();
    assert_eq!(documents.iter().map(|finding| finding.fingerprint).collect::<Vec<_>>(), order);
    for document in &documents {
        assert_eq!((document.evidence.len(), document.addresses.len()), (1, 1));
    }
    let severe = FindingFilter { at_least: Some(Severity::Medium), ..FindingFilter::default() };
    assert_eq!(ground.store.findings(ground.tenant, severe, 10).await.unwrap().len(), 3);
    let first = ground.store.findings(ground.tenant, FindingFilter::default(), 2).await.unwrap();
    let after = Some(first[1].finding.fingerprint);
    let rest = FindingFilter { after: after.map(Into::into), ..FindingFilter::default() };
    assert_eq!(ground.store.findings(ground.tenant, rest, 10).await.unwrap().len(), 3);
    let other = ground.another_tenant("other").await;
    assert_eq!(ground.store.findings(other, FindingFilter::default(), 10).await.unwrap(), []);
    assert_eq!(ground.store.finding_documents(other, order).await.unwrap(), []);
}
