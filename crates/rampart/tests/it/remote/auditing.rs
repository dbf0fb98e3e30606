//! The audit of a server is brought, and looked at by somebody who believes seals and signatures, and not the server.

use std::time::Instant;

use super::Both;
use crate::{
    platform::{PATIENCE, json},
    run::{assert_exit, text},
};

#[test]
fn whoever_changes_the_audit_of_a_server_is_found_out_from_elsewhere() {
    let both = Both::start(&["--platform-tenant", "default"]);
    for reason in ["first", "second"] {
        assert_exit(&both.there(&["stop", "--reason", reason]), 0);
        assert_exit(&both.there(&["resume", "--reason", "it was nothing"]), 0);
    }
    let shown = both.here(&["audit", "key", "show"]);
    let public = both.path().join("audit.pub");
    std::fs::write(&public, &shown.stdout).unwrap();
    let signed_by = ["--signed-by", public.to_str().unwrap()];

    let (here, there) = (both.here(&["audit", "export"]), both.there(&["audit", "export"]));
    assert_exit(&there, 0);
    assert_eq!(text(&there.stdout), text(&here.stdout));
    assert!(text(&there.stdout).lines().count() > 4, "{}", text(&there.stdout));
    let rest = both.there(&["audit", "export", "--after", "2"]);
    let lines: Vec<String> = text(&there.stdout).lines().skip(2).map(str::to_owned).collect();
    assert_eq!(text(&rest.stdout).lines().collect::<Vec<_>>(), lines);

    // The orchestrator has signed when it began to lead.
    let verify = |more: &[&str]| both.there(&[&["audit", "verify"], &signed_by[..], more].concat());
    let deadline = Instant::now() + PATIENCE;
    let verified = loop {
        let verified = verify(&[]);
        if verified.status.code() == Some(0) {
            break text(&verified.stdout);
        }
        assert!(Instant::now() < deadline, "{}{}", text(&verified.stdout), text(&verified.stderr));
    };
    assert!(verified.starts_with("whole: ") && verified.contains("signed: up to entry "), "{verified}");
    let end = verified.lines().last().unwrap();
    assert_exit(&verify(&["--contains", end]), 0);
    let own = text(&both.here(&["audit", "verify"]).stdout);
    assert_eq!((own.lines().next(), own.lines().last()), (verified.lines().next(), Some(end)));
    // Whom nobody has told who signs cannot tell.
    let unknown = both.there(&["audit", "verify"]);
    assert_exit(&unknown, 3);
    assert!(text(&unknown.stdout).contains("--signed-by"), "{}", text(&unknown.stdout));
    let kept = both.path().join("kept.jsonl");
    std::fs::write(&kept, &there.stdout).unwrap();
    assert_exit(&verify(&["--export", kept.to_str().unwrap()]), 0);

    // What was done to all at once is read by who runs the platform.
    assert_exit(&both.there(&["stop", "--reason", "of all", "--everything"]), 0);
    assert_exit(&both.there(&["resume", "--reason", "it was nothing", "--everything"]), 0);
    for words in [
        &["audit", "list", "--all", "--json"][..],
        &["audit", "list", "--all", "--oldest-first", "--limit", "3", "--json"],
        &["audit", "export", "--installation"],
        &["audit", "checkpoints", "--installation", "--json"],
    ] {
        let (here, there) = (both.here(words), both.there(words));
        assert_exit(&there, 0);
        assert_eq!(text(&there.stdout), text(&here.stdout), "{words:?}");
    }
    let all = text(&both.there(&["audit", "export", "--installation"]).stdout);
    assert!(all.contains("of all") && !all.contains("\"first\""), "{all}");
    // It may be signed by now, or soon.
    let verified = verify(&["--installation"]);
    assert!([Some(0), Some(3)].contains(&verified.status.code()), "{}", text(&verified.stderr));
    let of_all = format!("whole: {} entries", all.lines().count());
    assert!(text(&verified.stdout).starts_with(&of_all), "{}", text(&verified.stdout));

    let database = rusqlite::Connection::open(both.path().join("rampart-data/rampart.db")).unwrap();
    let forged =
        "DROP TRIGGER audit_is_not_changed; UPDATE audit SET detail = 'nothing' WHERE detail = 'first'";
    database.execute_batch(forged).unwrap();
    let found = verify(&[]);
    assert_exit(&found, 1);
    assert!(text(&found.stdout).contains("is not as it was sealed"), "{}", text(&found.stdout));
    assert_eq!(json(&verify(&["--json"]))["whole"], false);
}
