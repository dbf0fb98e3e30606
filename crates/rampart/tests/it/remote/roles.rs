//! Roles are made, given, changed and taken back, here and at a server.

use super::Both;
use crate::{
    platform::json,
    run::{assert_exit, text},
};

#[test]
fn roles_are_made_changed_and_taken_back_here_and_there() {
    let both = Both::start(&[]);
    let owner = text(&both.there(&["role", "show", "owner"]).stdout);
    assert!(owner.lines().count() > 30 && owner.lines().any(|line| line == "roles.manage"), "{owner}");
    for (words, wanted) in [
        (&["create", "triage", "findings.decide", "findings.read"][..], "findings.decide"),
        (&["change", "triage", "findings.read", "scans.read"], "scans.read"),
    ] {
        let said = both.said(&[&["role"][..], words].concat());
        assert!(said.starts_with("whoever has the role triage may ") && said.contains(wanted), "{said}");
    }
    let listed = [both.here(&["role", "list", "--json"]), both.there(&["role", "list", "--json"])];
    let [here, there] = listed.map(|listed| json(&listed));
    assert_eq!(here, there);
    assert_eq!(here[7]["permissions"], serde_json::json!(["scans.read", "findings.read"]));
    let table = text(&both.here(&["role", "list"]).stdout);
    let columns = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    assert!(table.lines().any(|line| columns(line) == "triage 2"), "{table}");

    let key = both.key_of("triage");
    assert_exit(&both.there_as(&key, &["finding", "list"]), 0);
    let refused = both.there_as(&key, &["schedule", "list"]);
    assert_exit(&refused, 2);
    assert!(text(&refused.stderr).contains("the role triage has no permission schedules.read"));
    for place in [both.here(&["role", "delete", "triage"]), both.there(&["role", "delete", "triage"])] {
        assert_exit(&place, 2);
        assert!(text(&place.stderr).contains("give them another one first"), "{}", text(&place.stderr));
    }
    let prefix = key.split('_').nth(1).unwrap();
    both.said(&["key", "revoke", prefix]);
    assert_eq!(both.said(&["role", "delete", "triage"]), "the role triage is not there any more\n");

    for (wrong, told) in [
        (&["role", "create", "Triage", "scans.read"][..], "`Triage` cannot be the name of a role"),
        (&["role", "create", "owner", "scans.read"], "`owner` is the name of a role that is built in"),
        (&["role", "create", "triage", "scans.reed"], "`rampart role show owner` lists every one"),
        (&["role", "create", "triage"], "<PERMISSION>..."),
        (&["role", "create", "triage", "keys.manage"], "keys.manage needs keys.read"),
        (&["role", "show", "triage"], "there is no role `triage`"),
        (&["user", "invite", "x@acme.test", "--role", "triage"], "there is no role `triage`"),
    ] {
        for place in [both.here(wrong), both.there(wrong)] {
            assert_exit(&place, 2);
            assert!(text(&place.stderr).contains(told), "{wrong:?}: {}", text(&place.stderr));
        }
    }
    both.up.end();
}
