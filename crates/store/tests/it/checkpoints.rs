//! Signed checkpoints: whoever may do everything with the database, and has not the key, is found out. And what is purged is proven.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use model::{
    AuditEntry, Scope, TenantId,
    audit::{AuditKey, Broken, ChainEnd, Checkpoint, Verified},
};
use store::{AuditFilter, Location};

use crate::{
    ground::Ground,
    stored::{forge, rows},
};

crate::contract! {
    what_goes_on_is_signed_and_what_does_not_is_not
    every_attack_on_what_was_signed_is_found
    nobody_gets_a_signature_for_a_forgery
    signers_that_are_at_it_together_make_one_row_of_checkpoints
    another_key_goes_on_where_the_first_ended
    what_is_purged_is_proven_by_what_was_signed
    what_is_not_whole_is_not_purged
    nothing_is_deleted_that_was_not_signed_to_be_purged
    what_was_done_to_all_is_signed_and_purged_too
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn key(number: u8) -> Arc<AuditKey> {
    Arc::new(AuditKey::from_random([number; 32]))
}

async fn put(ground: &Ground, names: &[&str]) {
    for name in names {
        ground.store.put_scope(ground.tenant, name, Scope::loopback(), "test").await.unwrap();
    }
}

async fn sign(ground: &Ground) -> Checkpoint {
    ground.store.sign_audit(Some(ground.tenant), &key(1), None).await.unwrap().unwrap().unwrap()
}

/// As somebody verifies who has the public half of the key.
async fn verify(ground: &Ground, tenant: Option<TenantId>) -> Result<Verified, Broken> {
    ground.store.verify_audit(tenant, &[key(1).public()], None).await.unwrap()
}

/// Position of the last entry, and up to which it is signed.
fn covered(verified: &Verified) -> (u64, u64) {
    (verified.end.position, verified.signed())
}

async fn entries(ground: &Ground) -> Vec<AuditEntry> {
    ground.store.audit_chain(ground.tenant, 0).await.unwrap().entries
}

async fn what_goes_on_is_signed_and_what_does_not_is_not(ground: Ground) {
    let tenant = Some(ground.tenant);
    assert_eq!(ground.store.audit_chains().await.unwrap(), [(tenant, true)]);
    let nothing = verify(&ground, tenant).await.unwrap();
    assert_eq!((covered(&nothing), nothing.checkpoints.count()), ((1, 0), 0));
    put(&ground, &["office", "home"]).await;
    let first = sign(&ground).await;
    assert_eq!((first.number, first.position, first.purged, first.tenant), (1, 3, 0, tenant));
    assert!(first.is_signed_by(&key(1).public()) && !first.is_signed_by(&key(2).public()));
    assert_eq!(first.seal, entries(&ground).await[2].seal);
    assert_eq!(ground.store.audit_chains().await.unwrap(), [(tenant, false)]);
    assert_eq!(ground.store.workload().await.unwrap().unsigned, 0);
    let again = ground.store.sign_audit(tenant, &key(1), Some(&first)).await.unwrap();
    assert_eq!(again, Ok(None), "nothing has gone on");
    put(&ground, &["more"]).await;
    assert_eq!(ground.store.workload().await.unwrap().unsigned, 1);
    assert_eq!(covered(&verify(&ground, tenant).await.unwrap()), (4, 3));
    let second = sign(&ground).await;
    assert_eq!((second.number, second.position, second.before), (2, 4, first.digest()));
    assert_eq!(covered(&verify(&ground, tenant).await.unwrap()), (4, 4));
    let listed = ground.store.audit_checkpoints(tenant, None, 10).await.unwrap();
    assert_eq!(listed, [second.clone(), first.clone()]);
    assert_eq!(ground.store.audit_checkpoints(tenant, Some(2), 10).await.unwrap(), [first]);
    // Without the key nobody can tell, and it is said which it was.
    let strange = ground.store.verify_audit(tenant, &[key(2).public()], None).await.unwrap().unwrap();
    assert_eq!(covered(&strange), (4, 0));
    assert_eq!(strange.checkpoints.unknown().iter().collect::<Vec<_>>(), [&second.key]);
}

/// What is found of an attack.
#[derive(Debug, PartialEq)]
enum Found {
    Broken(Broken),
    /// It is whole, as far as anybody can tell: signed up to here, with so many keys that nobody knows.
    Signed(u64, usize),
}

/// Statements by which a chain becomes another, from its first entry that was changed on, and ends as whole as any.
fn written(entries: &[AuditEntry]) -> String {
    let mut sql = String::new();
    for entry in entries {
        let (actor, seal, position) = (&entry.by, entry.seal, entry.position);
        sql += &format!("UPDATE audit SET actor = '{actor}', seal = '{seal}' WHERE position = {position};");
    }
    let last = entries.last().unwrap();
    sql + &format!("UPDATE audit_ends SET position = {}, seal = '{}';", last.position, last.seal)
}

/// Somebody else did what stands at a position, and everything after it is sealed anew.
fn rewritten(entries: &[AuditEntry], position: u64) -> Vec<AuditEntry> {
    let mut end = ChainEnd::START;
    let again = entries.iter().map(|entry| {
        let mut entry = entry.clone();
        if entry.position == position {
            entry.by = "somebody else".to_owned();
        }
        end.append(&mut entry);
        entry
    });
    again.collect()
}

fn inserted(ground: &Ground, checkpoint: &Checkpoint) -> String {
    let Checkpoint { number, purged, position, seal, before, key, signature, at, .. } = checkpoint;
    let (chain, at) = match &ground.location {
        Location::Sqlite(_) => {
            (format!("x'{}'", ground.tenant.as_uuid().simple()), at.as_microsecond().to_string())
        }
        Location::Postgres { .. } => (format!("'{}'", ground.tenant), format!("'{at}'")),
    };
    format!(
        "INSERT INTO audit_checkpoints (tenant_id, number, purged, position, seal, at, before, key, signature) VALUES ({chain}, \
         {number}, {purged}, {position}, '{seal}', {at}, '{before}', '{key}', '{signature}'); \
         UPDATE audit_ends SET checkpoints = {number};"
    )
}

/// Everything that somebody does who may do everything with the database, and what is found then.
fn attacks(
    ground: &Ground,
    entries: &[AuditEntry],
    signed: &[Checkpoint],
) -> Vec<(&'static str, String, Found)> {
    let broken = Found::Broken;
    let (thief, tenant) = (key(9), Some(ground.tenant));
    let again = |key: &AuditKey, entries: &[AuditEntry]| {
        let mut last: Option<Checkpoint> = None;
        let mut sql = "DELETE FROM audit_checkpoints;".to_owned();
        for was in signed {
            let seal = entries[was.position as usize - 1].seal;
            let end = ChainEnd { position: was.position, seal };
            let made = Checkpoint::sign(key, tenant, last.as_ref(), 0, end, was.at);
            sql += &inserted(ground, &made);
            last = Some(made);
        }
        (sql, last.unwrap())
    };
    let forged = rewritten(entries, 2);
    let by_thief = again(&thief, &forged).0;
    let in_the_name = by_thief.replace(&thief.public().id().to_string(), &key(1).public().id().to_string());
    let last = signed.last().unwrap();
    let old_again = Checkpoint { number: 4, ..signed[0].clone() };
    let by_hand = Checkpoint::sign(&thief, tenant, Some(last), 4, entries[9].end(), last.at);
    vec![
        (
            "an entry is edited",
            "UPDATE audit SET actor = 'x' WHERE position = 3".to_owned(),
            broken(Broken::Altered { position: 3 }),
        ),
        (
            "an entry is deleted",
            "DELETE FROM audit WHERE position = 3".to_owned(),
            broken(Broken::Gap { wanted: 3, found: 4 }),
        ),
        (
            "entries are moved",
            "UPDATE audit SET position = position + 100 WHERE position IN (3, 4); UPDATE audit SET position = 107 - position \
             WHERE position > 100"
                .to_owned(),
            broken(Broken::Altered { position: 3 }),
        ),
        (
            "everything is made anew from the first entry on",
            written(&rewritten(entries, 1)),
            broken(Broken::Rewritten { position: 4, number: 1 }),
        ),
        (
            "everything is made anew from an entry on that the first checkpoint does not cover",
            written(&rewritten(entries, 6)),
            broken(Broken::Rewritten { position: 7, number: 2 }),
        ),
        (
            "the last entries are cut off",
            "DELETE FROM audit WHERE position > 8;".to_owned() + &written(&entries[..8]),
            broken(Broken::Cut { position: 9, number: 3, found: 8 }),
        ),
        (
            "a checkpoint is deleted",
            "DELETE FROM audit_checkpoints WHERE number = 2".to_owned(),
            broken(Broken::CheckpointGap { wanted: 2, found: 3 }),
        ),
        (
            "the last checkpoint is deleted",
            "DELETE FROM audit_checkpoints WHERE number = 3".to_owned(),
            broken(Broken::CheckpointEnd { wanted: 3, found: 2 }),
        ),
        (
            "all checkpoints are deleted",
            "DELETE FROM audit_checkpoints".to_owned(),
            broken(Broken::CheckpointEnd { wanted: 3, found: 0 }),
        ),
        (
            "all checkpoints are deleted, also from where they are counted: nothing is signed",
            "DELETE FROM audit_checkpoints; UPDATE audit_ends SET checkpoints = 0".to_owned(),
            Found::Signed(0, 0),
        ),
        (
            "an old checkpoint is put back",
            inserted(ground, &old_again),
            broken(Broken::CheckpointAltered { number: 4 }),
        ),
        (
            "checkpoints are moved",
            "UPDATE audit_checkpoints SET number = number + 100 WHERE number < 3; UPDATE audit_checkpoints SET number = 103 - number \
             WHERE number > 100"
                .to_owned(),
            broken(Broken::CheckpointAltered { number: 1 }),
        ),
        (
            "a checkpoint is made to fit what was made anew",
            format!(
                "{} UPDATE audit_checkpoints SET seal = '{}' WHERE number = 3",
                written(&rewritten(entries, 8)),
                rewritten(entries, 8)[8].seal
            ),
            broken(Broken::Forged { number: 3 }),
        ),
        (
            "everything is made anew and signed with another key",
            written(&forged) + &by_thief,
            Found::Signed(0, 1),
        ),
        (
            "everything is made anew and signed with another key in the name of the right one",
            written(&forged) + &in_the_name,
            broken(Broken::Forged { number: 1 }),
        ),
        (
            "the oldest entries are deleted",
            "DELETE FROM audit WHERE position <= 4".to_owned(),
            broken(Broken::Gap { wanted: 1, found: 5 }),
        ),
        (
            "the oldest entries are deleted, and a checkpoint is made to say so",
            "DELETE FROM audit WHERE position <= 4; UPDATE audit_checkpoints SET purged = 4 WHERE number = 3".to_owned(),
            broken(Broken::Forged { number: 3 }),
        ),
        (
            "the oldest entries are deleted, and a checkpoint of another key says so",
            "DELETE FROM audit WHERE position <= 4;".to_owned() + &inserted(ground, &by_hand),
            Found::Signed(9, 1),
        ),
    ]
}

trait Ends {
    fn end(&self) -> ChainEnd;
}

impl Ends for AuditEntry {
    fn end(&self) -> ChainEnd {
        ChainEnd { position: self.position, seal: self.seal }
    }
}

/// The guards of the database against mistakes are no hindrance to whoever means it.
async fn unguard(ground: &Ground) {
    let sql = match &ground.location {
        Location::Sqlite(_) => {
            "DROP TRIGGER audit_is_not_changed; DROP TRIGGER audit_is_not_deleted; DROP TRIGGER checkpoints_are_not_changed; \
             DROP TRIGGER checkpoints_are_not_deleted"
        }
        Location::Postgres { .. } => "DROP TRIGGER audit_is_not_deleted ON audit",
    };
    forge(ground, sql).await.unwrap();
}

const KEPT: [&str; 3] = ["audit", "audit_ends", "audit_checkpoints"];

async fn every_attack_on_what_was_signed_is_found(ground: Ground) {
    let tenant = Some(ground.tenant);
    let mut signed = Vec::new();
    for names in [&["1", "2", "3"][..], &["4", "5", "6"], &["7", "8"]] {
        put(&ground, names).await;
        signed.push(sign(&ground).await);
    }
    put(&ground, &["9"]).await;
    assert_eq!(covered(&verify(&ground, tenant).await.unwrap()), (10, 9));
    let all = entries(&ground).await;
    unguard(&ground).await;
    for table in KEPT {
        forge(&ground, &format!("CREATE TABLE kept_{table} AS SELECT * FROM {table}")).await.unwrap();
    }
    for (name, sql, wanted) in attacks(&ground, &all, &signed) {
        forge(&ground, &sql).await.unwrap();
        let found = match verify(&ground, tenant).await {
            Ok(verified) => Found::Signed(verified.signed(), verified.checkpoints.unknown().len()),
            Err(broken) => Found::Broken(broken),
        };
        assert_eq!(found, wanted, "{name}");
        for table in KEPT {
            let anyway =
                if matches!(ground.location, Location::Sqlite(_)) { "" } else { "OVERRIDING SYSTEM VALUE" };
            let anyway = if table == "audit" { anyway } else { "" };
            let restore =
                format!("DELETE FROM {table}; INSERT INTO {table} {anyway} SELECT * FROM kept_{table}");
            forge(&ground, &restore).await.unwrap();
        }
        assert_eq!(covered(&verify(&ground, tenant).await.unwrap()), (10, 9), "{name}");
    }
    // What no checkpoint is of yet is found by whoever has seen it, and by nobody else.
    forge(&ground, &("DELETE FROM audit WHERE position > 9;".to_owned() + &written(&all[..9])))
        .await
        .unwrap();
    assert_eq!(covered(&verify(&ground, tenant).await.unwrap()), (9, 9));
    let seen = ground.store.verify_audit(tenant, &[key(1).public()], Some(all[9].end())).await.unwrap();
    assert_eq!(seen.map(|verified| verified.end), Err(Broken::End { wanted: 10, found: 9 }));
}

async fn nobody_gets_a_signature_for_a_forgery(ground: Ground) {
    let tenant = Some(ground.tenant);
    put(&ground, &["1", "2", "3"]).await;
    let first = sign(&ground).await;
    put(&ground, &["4", "5", "6"]).await;
    let second = sign(&ground).await;
    put(&ground, &["7"]).await;
    unguard(&ground).await;
    let all = entries(&ground).await;
    let signing = async |seen| ground.store.sign_audit(tenant, &key(1), seen).await.unwrap();
    // What stands after the last checkpoint does not go on from it.
    forge(&ground, &written(&rewritten(&all, 3))).await.unwrap();
    assert_eq!(signing(None).await, Err(Broken::Altered { position: 8 }));
    forge(&ground, &(written(&all) + "DELETE FROM audit WHERE position = 8")).await.unwrap();
    assert_eq!(signing(None).await, Err(Broken::End { wanted: 8, found: 7 }));
    forge(&ground, "DELETE FROM audit WHERE position > 5").await.unwrap();
    forge(&ground, &written(&all[..5])).await.unwrap();
    assert_eq!(signing(None).await, Err(Broken::Cut { position: 7, number: 2, found: 5 }));
    // Somebody takes a checkpoint away that the signer has seen, and everything back to where it was before.
    forge(
        &ground,
        "DELETE FROM audit_checkpoints WHERE number = 2; UPDATE audit_ends SET checkpoints = 1, signed = 4",
    )
    .await
    .unwrap();
    assert_eq!(signing(Some(&second)).await, Err(Broken::CheckpointAltered { number: 2 }));
    let thief = Checkpoint::sign(&key(9), tenant, Some(&first), 0, all[4].end(), second.at);
    let in_the_name = Checkpoint { key: key(1).public().id(), ..thief };
    forge(&ground, &inserted(&ground, &in_the_name)).await.unwrap();
    assert_eq!(signing(None).await, Err(Broken::Forged { number: 2 }));
    assert_eq!(rows(&ground, "audit_checkpoints").await.len(), 2, "nothing was signed");
}

async fn signers_that_are_at_it_together_make_one_row_of_checkpoints(ground: Ground) {
    let tenant = Some(ground.tenant);
    let key = key(1);
    for round in 0..5_u32 {
        let writing = (0..4).map(|number| {
            let (ground, name) = (&ground, format!("{round} {number}"));
            async move { put(ground, &[&name]).await }
        });
        let signing = (0..4).map(|_| async {
            // Whoever comes too late is told that the database is busy, or finds nothing left to do.
            match ground.store.sign_audit(tenant, &key, None).await {
                Ok(signed) => _ = signed.unwrap(),
                Err(error) => assert!(error.is_passing(), "{error}"),
            }
        });
        tokio::join!(join_all(writing), join_all(signing));
    }
    let _ = ground.store.sign_audit(tenant, &key, None).await.unwrap().unwrap();
    let verified = verify(&ground, tenant).await.unwrap();
    assert_eq!(covered(&verified), (21, 21));
    assert!(verified.checkpoints.count() > 1);
}

async fn another_key_goes_on_where_the_first_ended(ground: Ground) {
    let tenant = Some(ground.tenant);
    sign(&ground).await;
    put(&ground, &["more"]).await;
    let second = ground.store.sign_audit(tenant, &key(2), None).await.unwrap().unwrap().unwrap();
    assert_eq!((second.number, second.key), (2, key(2).public().id()));
    let verify = async |keys: &[u8]| {
        let keys: Vec<_> = keys.iter().map(|number| key(*number).public()).collect();
        let verified = ground.store.verify_audit(tenant, &keys, None).await.unwrap().unwrap();
        (verified.signed(), verified.checkpoints.unknown().len())
    };
    assert_eq!(verify(&[1, 2]).await, (2, 0));
    assert_eq!(verify(&[1]).await, (1, 1));
    assert_eq!(verify(&[2]).await, (2, 1));
    assert_eq!(verify(&[]).await, (0, 2));
}

/// A day of what happens: an entry, and a checkpoint of it.
async fn days(ground: &Ground, count: u32) {
    for _ in 0..count {
        put(ground, &["office"]).await;
        sign(ground).await;
        ground.advance(DAY).await;
    }
}

/// What is kept for so many days and the half of one, which is when nothing happens.
async fn purge(ground: &Ground, days: u32) -> Result<Option<Checkpoint>, Broken> {
    let kept_for = DAY * days + DAY / 2;
    ground.store.purge_audit(Some(ground.tenant), kept_for, &key(1)).await.unwrap()
}

async fn what_is_purged_is_proven_by_what_was_signed(ground: Ground) {
    let tenant = Some(ground.tenant);
    days(&ground, 20).await;
    let before = entries(&ground).await;
    assert_eq!(before.len(), 21);
    assert_eq!(purge(&ground, 30).await, Ok(None), "nothing is so old");
    assert_eq!(purge(&ground, 19).await, Ok(None), "what is purged in a day's time is left until then");
    let seen = Checkpoint::end(&ground.store.audit_checkpoints(tenant, Some(6), 1).await.unwrap()[0]);
    let purged = purge(&ground, 10).await.unwrap().unwrap();
    // The first ten days are gone, and what says so is signed with what is left.
    assert_eq!((purged.purged, purged.position, purged.number), (11, 22, 21));
    let left = entries(&ground).await;
    assert_eq!(left[..10], before[11..]);
    let told = &left[10];
    assert_eq!(
        (told.action.as_str(), told.by.as_str(), told.subject.as_str(), told.detail.as_str()),
        ("audit.purge", "orchestrator", "entries 1 to 11", "kept for 10 days")
    );
    let says = told.before.as_ref().unwrap();
    assert_eq!((says["entries"].as_u64(), says["checkpoint"].as_u64()), (Some(11), Some(10)));
    assert_eq!(says["seal"], before[10].seal.to_string());
    let verified = verify(&ground, tenant).await.unwrap();
    assert_eq!((covered(&verified), verified.checkpoints.purged()), ((22, 22), 11));
    assert_eq!(verified.checkpoints.purge(), Some(&purged));
    assert_eq!(verified.purge.as_ref(), Some(told));
    // Whoever has kept what was there can prove it: the last of it is what was signed.
    let mut walk = ChainEnd::START;
    before[..11].iter().for_each(|entry| walk.follow(entry).unwrap());
    assert_eq!(verified.checkpoints.at(11), Some((10, true)));
    assert_eq!(verified.checkpoints.begin(11), Some(walk));
    // What was seen before is still told from what was not, where a checkpoint is of it.
    let verify_seen =
        async |seen| ground.store.verify_audit(tenant, &[key(1).public()], Some(seen)).await.unwrap();
    assert!(!verify_seen(seen).await.unwrap().is_seen_purged);
    let another = ChainEnd { seal: before[0].seal, ..seen };
    assert_eq!(verify_seen(another).await.unwrap_err(), Broken::Another { position: seen.position });
    assert!(verify_seen(before[0].end()).await.unwrap().is_seen_purged, "no checkpoint is of it");
    // It goes on, and so does purging.
    assert_eq!(purge(&ground, 10).await, Ok(None));
    days(&ground, 3).await;
    let further = purge(&ground, 10).await.unwrap().unwrap();
    assert_eq!((further.purged, verify(&ground, tenant).await.unwrap().end.position), (14, 26));
    let listed = ground.store.audit(ground.tenant, AuditFilter::default(), 100).await.unwrap();
    assert_eq!((listed.len(), listed.last().unwrap().position), (12, 15));
    // What is left can be cut off at its beginning no more than at its end.
    unguard(&ground).await;
    forge(&ground, "DELETE FROM audit WHERE position = 15").await.unwrap();
    let gap = Broken::Gap { wanted: 15, found: 16 };
    assert_eq!(verify(&ground, tenant).await.unwrap_err(), gap);
}

async fn what_is_not_whole_is_not_purged(ground: Ground) {
    days(&ground, 10).await;
    unguard(&ground).await;
    let all = entries(&ground).await;
    for (sql, broken) in [
        ("UPDATE audit SET actor = 'x' WHERE position = 3".to_owned(), Broken::Altered { position: 3 }),
        (written(&rewritten(&all, 3)), Broken::Rewritten { position: 6, number: 5 }),
    ] {
        forge(&ground, &sql).await.unwrap();
        assert_eq!(purge(&ground, 5).await, Err(broken), "{sql}");
        assert_eq!(entries(&ground).await.len(), 11, "it is what somebody will want to look at");
        forge(&ground, &written(&all)).await.unwrap();
    }
    // Somebody makes an old checkpoint of what is new.
    let last = ground.store.audit_checkpoints(Some(ground.tenant), None, 1).await.unwrap().remove(0);
    put(&ground, &["new"]).await;
    let end = entries(&ground).await[11].end();
    let old = Checkpoint::sign(&key(9), last.tenant, Some(&last), 0, end, all[0].at);
    forge(&ground, &inserted(&ground, &old)).await.unwrap();
    assert_eq!(purge(&ground, 5).await, Err(Broken::CheckpointAltered { number: 11 }));
    assert_eq!(entries(&ground).await.len(), 12);
}

/// Also a process that has gone wrong deletes nothing but what a checkpoint says is purged.
async fn nothing_is_deleted_that_was_not_signed_to_be_purged(ground: Ground) {
    days(&ground, 10).await;
    purge(&ground, 5).await.unwrap().unwrap();
    let (kept, checkpoints) = (entries(&ground).await, rows(&ground, "audit_checkpoints").await);
    for sql in [
        "DELETE FROM audit",
        "DELETE FROM audit WHERE position = 7",
        "UPDATE audit SET actor = 'x'",
        "DELETE FROM audit_checkpoints WHERE number = 11",
        "UPDATE audit_checkpoints SET purged = 12",
    ] {
        let refused = match &ground.location {
            Location::Sqlite(_) => forge(&ground, sql).await.is_err(),
            Location::Postgres { url, .. } => as_tenant(url, ground.tenant, sql).await.is_err(),
        };
        assert!(refused, "{sql}");
    }
    assert_eq!(entries(&ground).await, kept);
    assert_eq!(rows(&ground, "audit_checkpoints").await, checkpoints);
}

/// As a process of the platform could.
async fn as_tenant(url: &str, tenant: TenantId, sql: &str) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    // It ends with its client.
    tokio::spawn(async move { connection.await.ok() });
    let sql = format!(
        "BEGIN; SET LOCAL ROLE rampart_tenant; SET LOCAL search_path = rampart; SET LOCAL rampart.tenant = '{tenant}'; {sql}; COMMIT"
    );
    client.batch_execute(&sql).await
}

async fn what_was_done_to_all_is_signed_and_purged_too(ground: Ground) {
    let stop = async || {
        let (all, by) = (model::Reach::Everything, "test");
        let installation = model::Authority::Installation;
        ground.store.order_stop(installation, all, "wrong".to_owned(), by).await.unwrap();
        ground.store.lift_stops(installation, None, "right".to_owned(), by, None).await.unwrap();
    };
    let signing = async || ground.store.sign_audit(None, &key(1), None).await.unwrap().unwrap();
    stop().await;
    let first = signing().await.unwrap();
    assert_eq!((first.tenant, first.number, first.position), (None, 1, 2));
    ground.advance(DAY * 3).await;
    stop().await;
    signing().await.unwrap();
    let purged = ground.store.purge_audit(None, DAY, &key(1)).await.unwrap().unwrap().unwrap();
    assert_eq!((purged.purged, purged.position), (2, 5));
    let verified = verify(&ground, None).await.unwrap();
    assert_eq!((covered(&verified), verified.checkpoints.purged()), ((5, 5), 2));
    let left = ground.store.audit_of_nobody(AuditFilter::default(), 10).await.unwrap();
    assert_eq!(left.iter().map(|entry| entry.position).collect::<Vec<_>>(), [5, 4, 3]);
    // The tenant's chain is another one, and as it was.
    assert_eq!(covered(&verify(&ground, Some(ground.tenant)).await.unwrap()), (1, 0));
}
