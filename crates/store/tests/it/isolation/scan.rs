//! A small scan of this machine, and what one of its units finds.

use std::collections::BTreeMap;

use model::{
    Asset, Confidence, Finding, Fingerprint, ScanId, ScanRequest, Scope, Severity, TenantId, Traffic,
    UnitResult,
};
use store::{Ending, Lease, NewScan, Settlement, Store};

pub(super) async fn begin(store: &Store, tenant: TenantId) -> ScanId {
    let new = new(store, tenant).await;
    store.submit_scan(tenant, new).await.unwrap().0
}

/// Under a key, in a name that somebody of another tenant has as well.
pub(super) async fn begin_under(store: &Store, tenant: TenantId, key: &str) -> ScanId {
    let new = NewScan { by: "intruder".into(), ..new(store, tenant).await };
    store.submit_scan_once(tenant, new, Some(key.to_owned())).await.unwrap().scan
}

async fn new(store: &Store, tenant: TenantId) -> NewScan {
    store.put_scope(tenant, "home", Scope::loopback(), "test".to_owned()).await.unwrap();
    NewScan {
        request: ScanRequest::within("home"),
        targets: vec!["127.0.0.1".parse().unwrap()],
        by: "test".into(),
        checks: "1".to_owned(),
        price: None,
    }
}

pub(super) fn finding() -> Finding {
    let check = model::CheckId::new("open-door");
    let location = model::Location::Domain("localhost".parse().unwrap());
    Finding {
        fingerprint: Fingerprint::of(&check, None, &location),
        check,
        name: "An open door".to_owned(),
        severity: Severity::High,
        confidence: Confidence::Firm,
        location,
        addresses: Vec::new(),
        matcher: None,
        extracted: BTreeMap::new(),
        evidence: vec![model::Evidence {
            request: "GET /".to_owned(),
            response: "secret of the tenant".to_owned(),
            matched: Vec::new(),
            truncated: false,
        }],
        description: String::new(),
        impact: String::new(),
        remediation: String::new(),
        references: Vec::new(),
        classification: model::finding::Classification::default(),
        tags: Vec::new(),
        reproduce: String::new(),
        found_at: jiff::Timestamp::UNIX_EPOCH,
    }
}

/// A unit that is done, with something of everything.
pub(super) fn settlement(lease: Lease) -> Settlement {
    let name = "localhost".parse().unwrap();
    let result = UnitResult {
        assets: vec![Asset::Domain {
            name,
            records: BTreeMap::new(),
            source: model::Source::Target,
            dangling: None,
        }],
        findings: vec![finding()],
        ..UnitResult::default()
    };
    let sent = Traffic { requests: 7, ..Traffic::default() };
    Settlement { lease, ending: Ending::Unit(Box::new(result)), sent }
}
