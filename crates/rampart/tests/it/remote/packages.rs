//! Packages are analysed for whoever asks, here or there, when somebody is there who does it.

use std::{sync::Arc, time::Duration};

use model::{Stage, WorkerId};
use serde_json::json as document;
use store::{ClaimRequest, Ending, Introduction, Location, PackageResult, Settlement, Store};

use super::Both;
use crate::{
    platform::json,
    run::{assert_exit, text},
};

const LEFT_PAD: [&str; 3] = ["package", "analyze", "pkg:npm/left-pad@1.3.0"];

/// Somebody who analyses packages.
struct Analyst {
    runtime: tokio::runtime::Runtime,
    store: Store,
    worker: WorkerId,
}

impl Analyst {
    fn come(both: &Both) -> Analyst {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let location = Location::Sqlite(both.path().join("rampart-data/rampart.db"));
        let worker = WorkerId::from_random(7);
        let store = runtime.block_on(async {
            let store = Store::open(&location).await.unwrap();
            let stages = vec![Stage::Package];
            let who = Introduction { worker, stages, version: "1.2.3", concurrency: 1, machine: None };
            store.worker_is_there(who).await.unwrap();
            store
        });
        Analyst { runtime, store, worker }
    }

    /// Does the one that waits, and goes.
    fn analyse(self) {
        let request = ClaimRequest {
            worker: self.worker,
            stages: vec![Stage::Package],
            most: 1,
            lease: Duration::from_secs(60),
            turns: Arc::default(),
        };
        self.runtime.block_on(async {
            let lease = self.store.claim(request).await.unwrap()[0].lease;
            let says = PackageResult::from_iter([("says".to_owned(), "fine".into())]);
            let settled = self.store.settle(vec![Settlement::silent(lease, Ending::Package(says))]).await;
            settled.unwrap().remove(0).unwrap();
            self.store.worker_left(self.worker).await.unwrap();
        });
    }
}

#[test]
fn a_package_is_analysed_once_for_both() {
    let both = Both::start(&[]);
    for refused in [both.here(&LEFT_PAD), both.there(&LEFT_PAD)] {
        assert_exit(&refused, 2);
        let said = text(&refused.stderr);
        assert!(said.contains("nobody is at work in stage package"), "{said}");
    }
    let analyst = Analyst::come(&both);
    let asked = both.there(&[&LEFT_PAD[..], &["--priority", "high", "--timeout", "5m"]].concat());
    assert_exit(&asked, 0);
    let task = text(&asked.stdout).trim().to_owned();
    let stands = json(&both.here(&[&LEFT_PAD[..], &["--json"]].concat()));
    assert_eq!((&stands["task_id"], &stands["status"]), (&document!(task), &document!("queued")));
    let result = ["package", "result", &task];
    for early in [both.here(&result), both.there(&result)] {
        assert_exit(&early, 2);
        assert!(text(&early.stderr).contains("has no result yet"), "{}", text(&early.stderr));
    }
    analyst.analyse();
    let says = document!({ "says": "fine" });
    let wait = [&LEFT_PAD[..], &["--wait"]].concat();
    for known in [both.here(&result), both.there(&result), both.here(&wait), both.there(&wait)] {
        assert_eq!(json(&known), says);
    }
    for wrong in ["left-pad", "pkg:npm"] {
        let refused = both.there(&["package", "analyze", wrong]);
        assert_exit(&refused, 2);
        assert!(text(&refused.stderr).contains("is not a package URL"), "{}", text(&refused.stderr));
    }
    for wrong in ["30s", "5h", "90s"] {
        let refused = both.there(&[&LEFT_PAD[..], &["--timeout", wrong]].concat());
        assert_exit(&refused, 2);
    }
    both.up.end();
}
