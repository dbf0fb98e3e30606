//! Who did what, as an operator reads it.

use std::{
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use model::{
    AuditEntry, Scope,
    audit::{AuditKey, ChainEnd},
};
use serde_json::Value;
use store::{Location, Store};

use crate::{
    platform::{PATIENCE, Up, json, run},
    run::{assert_exit, text},
};

#[test]
fn the_audit_tells_who_did_what_to_whom() {
    let directory = tempfile::tempdir().unwrap();
    let ask = |words: &[&str]| run(directory.path(), words);
    Up::start(directory.path(), &[]).end();
    assert_exit(&ask(&["tenant", "create", "acme"]), 0);
    assert_exit(&ask(&["stop", "--reason", "everything", "--stage", "ports"]), 0);
    assert_exit(&ask(&["stop", "--reason", "of one", "--of-tenant", "acme"]), 0);
    let resume = ["resume", "--reason", "cleared", "--by", "J. Doe", "--stage", "ports"];
    assert_exit(&ask(&resume), 0);
    let actions = |words: &[&str]| {
        let listed = json(&ask(&[&["audit", "list", "--json"], words].concat()));
        let entries = listed.as_array().unwrap().iter();
        entries.map(|entry| entry["action"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let own = ["stop.order", "scope.put", "tenant.create"];
    assert_eq!(actions(&["--tenant", "acme"]), own);
    let all = actions(&["--tenant", "acme", "--all"]);
    assert_eq!(all, ["stop.lift", "stop.order", "stop.order", "scope.put", "tenant.create"]);
    assert_eq!(actions(&["--tenant", "acme", "--all", "--limit", "2"]), all[..2]);
    assert_eq!(actions(&["--tenant", "acme", "--all", "--by", "J. Doe"]), all[..1]);
    assert_eq!(actions(&["--tenant", "acme", "--action", "scope", "--since", "1h"]), ["scope.put"]);
    assert_eq!(actions(&["--since", "1ms"]), [""; 0]);
    assert_eq!(actions(&["--action", "stop"]), [""; 0], "it was done to another tenant, or to all");

    let listed = ask(&["audit", "list", "--tenant", "acme", "--limit", "1"]);
    let said = text(&listed.stderr);
    let table = text(&listed.stdout);
    let row: Vec<&str> = table.lines().nth(1).unwrap().split("  ").filter(|cell| !cell.is_empty()).collect();
    assert_eq!(row.len(), 6, "{table}");
    assert_eq!((row[3].trim(), row[5].trim()), ("stop.order", "of one"), "{table}");
    let before = said.trim().rsplit(' ').next().unwrap();
    assert_eq!(before, row[0]);
    assert_eq!(actions(&["--tenant", "acme", "--before", before]), own[1..]);
}

/// As somebody would who has the file, the chain and no wish to be found out.
fn forge(directory: &Path, sql: &str) {
    let database = rusqlite::Connection::open(directory.join("rampart-data/rampart.db")).unwrap();
    database.execute_batch(sql).unwrap();
}

/// Up until all that was done is signed. What it said.
fn up_and_signed(directory: &Path) -> String {
    let up = Up::start(directory, &[]);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let told = json(&run(directory, &["audit", "verify", "--json"]));
        if told["unsigned"] == 0 {
            return up.said.clone() + &up.end();
        }
        assert!(Instant::now() < deadline, "{told}");
    }
}

#[test]
fn whoever_changes_the_audit_is_found_out() {
    let directory = tempfile::tempdir().unwrap();
    let ask = |words: &[&str]| run(directory.path(), words);
    up_and_signed(directory.path());
    for stop in ["first", "second"] {
        assert_exit(&ask(&["stop", "--reason", stop, "--of-tenant", "default"]), 0);
    }
    let verified = ask(&["audit", "verify"]);
    assert_exit(&verified, 0);
    let end = text(&verified.stdout).lines().last().unwrap().to_owned();
    assert_exit(&ask(&["stop", "--reason", "third", "--of-tenant", "default"]), 0);
    assert_exit(&ask(&["audit", "verify", "--contains", &end]), 0);
    assert_exit(&ask(&["audit", "verify", "--installation"]), 0);
    let exported = ask(&["audit", "export", "--after", "1"]);
    let lines: Vec<Value> =
        text(&exported.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let positions: Vec<u64> = lines.iter().map(|line| line["position"].as_u64().unwrap()).collect();
    assert_eq!(positions, (2..=positions.len() as u64 + 1).collect::<Vec<_>>());
    assert_eq!(lines.last().unwrap()["detail"], "third");
    assert_eq!(lines.last().unwrap()["seal"], json(&ask(&["audit", "verify", "--json"]))["seal"]);

    forge(
        directory.path(),
        "DROP TRIGGER audit_is_not_changed; UPDATE audit SET detail = 'nothing' WHERE detail = 'second'",
    );
    let found = ask(&["audit", "verify"]);
    assert_exit(&found, 1);
    assert!(text(&found.stdout).contains("is not as it was sealed"), "{}", text(&found.stdout));
    assert_eq!(json(&ask(&["audit", "verify", "--json"]))["whole"], false);
}

/// What `verify` says of the default tenant's chain, and how it ends.
fn verified(directory: &Path, arguments: &[&str], code: i32) -> String {
    let verified = run(directory, &[&["audit", "verify"], arguments].concat());
    assert_exit(&verified, code);
    text(&verified.stdout)
}

/// Makes everything anew from an entry on, as somebody would who has the file and not the key.
fn make_anew(directory: &Path, from: usize) {
    let exported = text(&run(directory, &["audit", "export"]).stdout);
    let entries = exported.lines().map(|line| serde_json::from_str::<AuditEntry>(line).unwrap());
    let mut end = ChainEnd::START;
    let mut sql = "DROP TRIGGER audit_is_not_changed;".to_owned();
    for (number, mut entry) in entries.enumerate() {
        if number == from {
            entry.by = "somebody else".to_owned();
        }
        end.append(&mut entry);
        let AuditEntry { by, seal, id, .. } = entry;
        sql += &format!("UPDATE audit SET actor = '{by}', seal = '{seal}' WHERE sequence = {id};");
    }
    let (position, seal) = (end.position, end.seal);
    forge(directory, &format!("{sql} UPDATE audit_ends SET seal = '{seal}' WHERE position = {position}"));
}

#[test]
fn whoever_makes_the_audit_anew_is_found_out_without_a_line_that_was_kept() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let ask = |words: &[&str]| run(directory, words);
    let said = up_and_signed(directory);
    let file = directory.join("rampart-data/audit.key");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(said.contains("rampart-data/audit.key"), "{said}");
    for stop in ["first", "second"] {
        assert_exit(&ask(&["stop", "--reason", stop, "--of-tenant", "default"]), 0);
    }
    let said = up_and_signed(directory);
    assert!(!said.contains("audit key"), "it is made once: {said}");
    assert_exit(&ask(&["stop", "--reason", "third", "--of-tenant", "default"]), 0);
    let signed = verified(directory, &[], 0);
    assert!(signed.contains("signed: up to entry ") && signed.contains("; 1 after it are not"), "{signed}");
    let told = json(&ask(&["audit", "verify", "--json"]));
    assert_eq!((&told["unsigned"], &told["undetermined"]), (&1.into(), &Value::Array(vec![])));

    // With the public half that somebody has kept, and with the key of somebody else.
    let shown = ask(&["audit", "key", "show"]);
    std::fs::write(directory.join("audit.pub"), &shown.stdout).unwrap();
    assert_exit(&ask(&["audit", "key", "create", "other.key"]), 0);
    let refused = ask(&["audit", "key", "create", "other.key"]);
    assert_exit(&refused, 2);
    assert!(text(&refused.stderr).contains("never overwritten"), "{}", text(&refused.stderr));
    verified(directory, &["--signed-by", "audit.pub"], 0);
    verified(directory, &["--signed-by", "other.key", "--signed-by", "audit.pub"], 0);
    let strange = verified(directory, &["--signed-by", "other.key"], 3);
    assert!(strange.contains("which is not known") && strange.contains("signed: nothing"), "{strange}");

    // Others can check it, too.
    let listed = json(&ask(&["audit", "checkpoints", "--json"]));
    let newest: model::audit::Checkpoint = serde_json::from_value(listed[0].clone()).unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(directory.join(name), bytes).unwrap();
    write("statement", newest.statement().as_bytes());
    let digits = newest.signature.to_string();
    let digit = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    write("signature", &(0..64).map(|byte| digit(2 * byte)).collect::<Vec<u8>>());
    let asked = ["pkeyutl", "-verify", "-pubin", "-inkey", "audit.pub", "-rawin"];
    let files = ["-in", "statement", "-sigfile", "signature"];
    let openssl = Command::new("openssl").current_dir(directory).args(asked).args(files).output().unwrap();
    assert!(openssl.status.success(), "{openssl:?}");
    let asked = ["pkey", "-in", "rampart-data/audit.key", "-pubout"];
    let public = Command::new("openssl").current_dir(directory).args(asked).output().unwrap();
    assert_eq!(text(&public.stdout), text(&shown.stdout));

    // What was exported is what was signed, whatever becomes of what is there.
    write("exported.jsonl", &ask(&["audit", "export"]).stdout);
    let exported = verified(directory, &["--export", "exported.jsonl"], 0);
    assert!(
        exported.starts_with("whole: entries 1 to ") && exported.contains("1 after it are not"),
        "{exported}"
    );
    make_anew(directory, 1);
    let found = verified(directory, &[], 1);
    assert!(found.contains("was made anew"), "{found}");
    verified(directory, &["--export", "exported.jsonl"], 0);
    write("exported.jsonl", &ask(&["audit", "export"]).stdout);
    assert!(verified(directory, &["--export", "exported.jsonl"], 1).contains("was made anew"));

    // Who takes away everything that was signed leaves nothing that is: with a key that is not well, and without it is said.
    forge(
        directory,
        "DROP TRIGGER checkpoints_are_not_deleted; DELETE FROM audit_checkpoints; UPDATE audit_ends SET checkpoints = 0",
    );
    let nothing = verified(directory, &[], 3);
    assert!(
        nothing.contains("nothing is signed with a key that is known, although there is one"),
        "{nothing}"
    );
    std::fs::remove_file(file).unwrap();
    assert!(verified(directory, &[], 0).contains("signed: nothing"));
}

#[test]
fn what_the_audit_is_signed_with_and_how_long_it_is_kept_must_make_sense() {
    let directory = tempfile::tempdir().unwrap();
    let ask = |words: &[&str]| run(directory.path(), words);
    Up::start(directory.path(), &[]).end();
    std::fs::remove_file(directory.path().join("rampart-data/audit.key")).unwrap();
    std::fs::write(directory.path().join("no.key"), "nothing\n").unwrap();
    for (words, says) in [
        (&["orchestrator", "--keep-audit", "1h"][..], "less than a day"),
        (&["orchestrator", "--keep-audit", "400d"], "there is no key to sign with"),
        (&["orchestrator", "--audit-key", "nowhere"], "`rampart audit key create nowhere` makes one"),
        (&["orchestrator", "--audit-key", "no.key"], "not an Ed25519 private key"),
        (&["up", "--audit-key", "nowhere"], "`rampart audit key create nowhere` makes one"),
        (&["audit", "verify", "--signed-by", "no.key"], "neither a public nor a private Ed25519 key"),
        (&["audit", "verify", "--export", "no.key"], "line 1 of `no.key` is no entry"),
    ] {
        let refused = ask(words);
        assert_exit(&refused, 2);
        assert!(text(&refused.stderr).contains(says), "{words:?}: {}", text(&refused.stderr));
    }
}

/// Three days pass, and the orchestrator purges what is older than one.
async fn purge(directory: &Path) -> u64 {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let key = std::fs::read_to_string(directory.join("audit.key")).unwrap();
    let key = Arc::new(AuditKey::from_pem(&key).unwrap());
    let store = Store::open(&Location::Sqlite(directory.join("rampart.db"))).await.unwrap();
    let tenant = store.tenant_named("default").await.unwrap().id;
    store.advance_clock("", DAY * 3).await.unwrap();
    store.put_scope(tenant, "more", Scope::loopback(), "test").await.unwrap();
    store.sign_audit(Some(tenant), &key, None).await.unwrap().unwrap().unwrap();
    store.purge_audit(Some(tenant), DAY, &key).await.unwrap().unwrap().unwrap().purged
}

#[test]
fn what_was_purged_is_told_with_its_proof() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    up_and_signed(directory);
    let export = |name: &str| {
        let exported = run(directory, &["audit", "export"]).stdout;
        std::fs::write(directory.join(name), &exported).unwrap();
        text(&exported).lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<AuditEntry>>()
    };
    let before = export("before.jsonl");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let purged = runtime.block_on(purge(&directory.join("rampart-data")));
    assert_eq!(purged, before.len() as u64);
    let after = export("after.jsonl");
    let actions: Vec<&str> = after.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!((actions, after[0].position), (vec!["scope.put", "audit.purge"], purged + 1));

    let told = verified(directory, &[], 0);
    let says = format!("purged: entries 1 to {purged}, at last on ");
    assert!(told.contains(&says) && told.contains(", kept for 1 day; checkpoint "), "{told}");
    let document = json(&run(directory, &["audit", "verify", "--json"]));
    assert_eq!(document["purged"]["entries"], purged);
    // Whoever has kept it can still prove what it was, and nobody anything else.
    verified(directory, &["--export", "before.jsonl"], 0);
    verified(directory, &["--export", "after.jsonl"], 0);
    let text = std::fs::read_to_string(directory.join("before.jsonl")).unwrap();
    std::fs::write(directory.join("edited.jsonl"), text.replace("rampart up", "somebody else")).unwrap();
    verified(directory, &["--export", "edited.jsonl"], 1);
    let first = format!("1:{}", before[0].seal);
    let open = verified(directory, &["--contains", &first], 3);
    assert!(open.contains("entry 1 was purged, and no checkpoint is of it"), "{open}");
    let last = before.last().unwrap();
    verified(directory, &["--contains", &format!("{purged}:{}", last.seal)], 0);
}
