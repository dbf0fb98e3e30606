//! A batch of results is stored as a whole, or nothing of it is.

use std::collections::BTreeMap;

use model::{
    Asset, CheckId, Outcome, ScanLife, ScanRequest, Severity, Stage, UnitResult, Work, scan::ScanEnd,
};
use serde_json::Value;
use store::{Ending, FindingFilter, Location, Settlement};

use crate::{
    findings::finding,
    ground::{Ground, Worker, exercise},
    scans::submit_of,
    stored,
};

crate::contract! {
    a_batch_of_which_one_row_is_refused_leaves_nothing_and_can_be_said_again
}

const SITES: [&str; 2] = ["http://127.0.0.9:8080/", "http://127.0.0.10:8080/"];
const OF_EACH: usize = 3;

/// What a tenant has.
const TABLES: [&str; 13] = [
    "scans",
    "scan_knowledge",
    "scan_units",
    "unit_results",
    "unit_looks",
    "unit_visits",
    "tasks",
    "assets",
    "findings",
    "sightings",
    "observations",
    "evidence",
    "audit",
];

async fn everything(ground: &Ground) -> BTreeMap<&'static str, Vec<BTreeMap<String, Value>>> {
    let mut tables = BTreeMap::new();
    for table in TABLES {
        let mut rows = stored::rows(ground, table).await;
        rows.sort_by_key(|row| format!("{row:?}"));
        tables.insert(table, rows);
    }
    tables
}

/// As somebody does who may change the schema.
async fn change(ground: &Ground, sqlite: &str, postgres: &str) {
    if let Location::Sqlite(file) = &ground.location {
        rusqlite::Connection::open(file).unwrap().execute_batch(sqlite).unwrap();
        return;
    }
    let (owner, connection) = tokio_postgres::connect(&ground.owner, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(async move { connection.await.ok() });
    owner.batch_execute(postgres).await.unwrap();
}

/// The results of both units of a scan: the first findings are of one, the others of the other.
async fn results(ground: &Ground) -> (model::ScanId, Vec<Settlement>) {
    let request = ScanRequest { stages: [Stage::Check].into(), ..ScanRequest::within("loopback") };
    let scan = submit_of(ground, request, &SITES).await.unwrap();
    let mut tasks = Worker::new(1).claim_of(ground, &[Stage::Check], 10).await;
    tasks.sort_by_key(|task| task.lease.task);
    let settlement = |(number, task): (usize, store::Claimed)| {
        let Work::Unit(unit) = &task.work else { panic!("{task:?}") };
        let mut result = UnitResult::default();
        for place in number * OF_EACH..(number + 1) * OF_EACH {
            let check = format!("check-{place}");
            result.findings.push(finding(&check, Severity::High));
            result.ledger.plan(&CheckId::new(&check), 1);
            result.ledger.end(&CheckId::new(&check), Outcome::Matched);
        }
        let address = unit.address().unwrap();
        result.assets.push(Asset::Host { address, names: Vec::new(), ports: Default::default() });
        Settlement::silent(task.lease, Ending::Unit(Box::new(result)))
    };
    (scan, tasks.into_iter().enumerate().map(settlement).collect())
}

async fn a_batch_of_which_one_row_is_refused_leaves_nothing_and_can_be_said_again(ground: Ground) {
    // The second finding of the second unit.
    let middle = finding(&format!("check-{}", OF_EACH + 1), Severity::High);
    let key: String = middle.fingerprint.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let check = format!("NEW.check_id = '{}'", middle.check);
    let unit = "NEW.unit LIKE '%127.0.0.10%'".to_owned();
    let refuse = "CREATE FUNCTION rampart.refuse() RETURNS trigger LANGUAGE plpgsql AS \
                  $$ BEGIN RAISE EXCEPTION 'refused by the test'; END $$";
    change(&ground, "", refuse).await;
    for (table, event, condition) in [
        ("tasks", "UPDATE", unit.clone()),
        ("assets", "INSERT", "NEW.identity = 'host 127.0.0.9'".to_owned()),
        ("findings", "INSERT", check.clone()),
        ("evidence", "INSERT", "NEW.fingerprint = KEY".to_owned()),
        ("sightings", "INSERT", check),
        ("observations", "INSERT", "NEW.subject = KEY".to_owned()),
        ("unit_results", "INSERT", unit),
        ("scans", "UPDATE", "1 = 1".to_owned()),
    ] {
        let ground = ground.of(ground.another_tenant(table).await);
        let (scan, settlements) = results(&ground).await;
        let of_sqlite = condition.replace("KEY", &format!("x'{key}'"));
        let of_postgres = condition.replace("KEY", &format!("'\\x{key}'::bytea"));
        change(
            &ground,
            &format!(
                "CREATE TRIGGER refuse BEFORE {event} ON {table} WHEN {of_sqlite} \
                 BEGIN SELECT RAISE(ABORT, 'refused by the test'); END"
            ),
            &format!(
                "CREATE TRIGGER refuse BEFORE {event} ON rampart.{table} FOR EACH ROW WHEN ({of_postgres}) \
                 EXECUTE FUNCTION rampart.refuse()"
            ),
        )
        .await;
        let before = everything(&ground).await;
        // Somebody else writes at the same time: what is taken back is not theirs.
        let other = ground.another_tenant(&format!("beside {table}")).await;
        let (refused, beside) = tokio::join!(
            ground.store.settle(settlements.clone()),
            ground.store.enqueue(other, vec![exercise()])
        );
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("refused by the test"), "{table}: {refused}");
        assert!(beside.unwrap()[0].is_new, "{table}");
        assert_eq!(everything(&ground).await, before, "{table}");

        change(&ground, "DROP TRIGGER refuse", &format!("DROP TRIGGER refuse ON rampart.{table}")).await;
        for answer in ground.store.settle(settlements).await.unwrap() {
            assert_eq!(answer.map(|settled| (settled.state, settled.again)), Ok(("completed", false)));
        }
        let known = ground.store.findings(ground.tenant, FindingFilter::default(), 100).await.unwrap();
        assert_eq!(known.len(), 2 * OF_EACH, "{table}");
        let record = ground.store.scan(ground.tenant, scan).await.unwrap();
        assert_eq!((record.findings, record.assets), (2 * OF_EACH as u64, 2), "{table}");
        assert!(matches!(record.life, ScanLife::Ended { end: ScanEnd::Complete, .. }), "{record:?}");
    }
}
