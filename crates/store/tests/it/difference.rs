//! Scans of the same question compared: what one saw that the other did not.

use model::{ScanRequest, Stage, UnitResult};
use store::Ending;

use crate::{
    ground::{Ground, Worker, settle},
    scans::{claim, submit_of},
};

crate::contract! {
    two_scans_of_one_question_are_compared
}

async fn two_scans_of_one_question_are_compared(ground: Ground) {
    let worker = Worker::new(1);
    let mut scans = Vec::new();
    // Of the last more than are named.
    for ports in [vec![22, 80], vec![80, 443], (1..=10_012).collect()] {
        let scan = submit_of(
            &ground,
            ScanRequest { stages: [Stage::Ports].into(), ..ScanRequest::within("loopback") },
            &["127.0.0.9"],
        )
        .await
        .unwrap();
        scans.push(scan);
        let task = claim(&ground, &worker).await.remove("ports of 127.0.0.9").unwrap();
        let states = model::asset::PortStates { open: ports.clone(), ..Default::default() };
        let host = model::Asset::Host { address: "127.0.0.9".parse().unwrap(), names: vec![], ports: states };
        let page = |port: u16| model::Asset::Page {
            url: format!("http://127.0.0.9:{port}/").parse().unwrap(),
            status: 200,
            title: None,
            content_type: None,
            length: u64::from(port),
            technologies: vec![],
        };
        let assets = std::iter::once(host).chain(ports.into_iter().map(page)).collect();
        settle(&ground, task.lease, Ending::Unit(Box::new(UnitResult { assets, ..UnitResult::default() })))
            .await
            .unwrap();
        claim(&ground, &worker).await;
    }
    let record = ground.store.scan(ground.tenant, scans[1]).await.unwrap();
    assert_eq!((record.baseline, record.assets), (Some(scans[0]), 3));
    let difference = ground.store.difference(ground.tenant, scans[1], scans[0]).await.unwrap();
    assert_eq!(difference.kinds["host"].changed, ["host 127.0.0.9"]);
    let pages = &difference.kinds["page"];
    assert_eq!(pages.appeared, ["page http://127.0.0.9:443/"]);
    assert_eq!(pages.disappeared, ["page http://127.0.0.9:22/"]);
    assert_eq!((pages.changed.len(), pages.same, pages.more), (0, 1, 0));
    let difference = ground.store.difference(ground.tenant, scans[2], scans[1]).await.unwrap();
    let pages = &difference.kinds["page"];
    assert_eq!((pages.appeared.len(), pages.same, pages.more), (10_000, 2, 10));
    let difference = ground.store.difference(ground.tenant, scans[1], scans[2]).await.unwrap();
    let pages = &difference.kinds["page"];
    assert_eq!((pages.disappeared.len(), pages.same, pages.more), (10_000, 2, 10));
    assert!(ground.store.difference(ground.tenant, scans[1], scans[1]).await.unwrap().is_empty());
}
