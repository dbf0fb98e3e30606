//! People are let in, changed and forgotten, here and at a server.

use super::Both;
use crate::{
    platform::json,
    run::{assert_exit, text},
};

#[test]
fn people_are_let_in_changed_and_forgotten_here_and_there() {
    let both = Both::start(&[]);
    // Whoever lets people in must not be bound to a place or an end.
    let invite = ["user", "invite", "J.Doe@acme.test", "--role", "analyst"];
    let invited = both.there(&invite);
    assert_exit(&invited, 0);
    let first = text(&invited.stdout).trim().to_owned();
    assert!(first.len() == 64 && first.bytes().all(|byte| byte.is_ascii_hexdigit()), "{first}");
    assert!(text(&invited.stderr).starts_with("j.doe@acme.test: analyst; the invitation is shown once"));
    let twice = both.here(&invite);
    assert_exit(&twice, 2);
    assert!(
        text(&twice.stderr).contains("there is a user `j.doe@acme.test` already"),
        "{}",
        text(&twice.stderr)
    );

    let listed = |place: std::process::Output| json(&place);
    let (here, there) =
        (listed(both.here(&["user", "list", "--json"])), listed(both.there(&["user", "list", "--json"])));
    assert_eq!(here, there);
    assert_eq!((&here[0]["name"], &here[0]["role"]), (&"j.doe@acme.test".into(), &"analyst".into()));
    let table = text(&both.there(&["user", "list"]).stdout);
    assert!(table.contains("invited until") && !table.contains(&first), "{table}");

    let again = json(&both.there(&["user", "invite", "j.doe@acme.test", "--again", "--json"]));
    assert_ne!(again["invitation"].as_str().unwrap(), first);
    for (words, wanted) in [
        (&["--role", "viewer"][..], "j.doe@acme.test: viewer, invited until"),
        (&["--disable"], "j.doe@acme.test: viewer, disabled since"),
        (&["--enable", "--role", "auditor"], "j.doe@acme.test: auditor, invited until"),
    ] {
        let said = both.said(&[&["user", "change", "j.doe@acme.test"][..], words].concat());
        assert!(said.starts_with(wanted), "{said}");
    }
    assert_eq!(
        both.said(&["user", "delete", "j.doe@acme.test"]),
        "j.doe@acme.test is forgotten; their sessions have ended\n"
    );
    let gone = both.there(&["user", "delete", "j.doe@acme.test"]);
    assert_exit(&gone, 2);
    assert!(
        text(&gone.stderr).contains("there is no `j.doe@acme.test`: `rampart user list` shows who there is")
    );
    assert_eq!(json(&both.here(&["user", "list", "--json"])), serde_json::json!([]));

    // Nobody lets somebody in who may do more.
    let operator = both.key_of("operator");
    let refused = both.there_as(&operator, &["user", "invite", "x@acme.test", "--role", "viewer"]);
    assert_exit(&refused, 2);
    assert!(text(&refused.stderr).contains("users.manage"), "{}", text(&refused.stderr));
    for wrong in [
        &["user", "invite", "x@acme.test"][..],
        &["user", "change", "x@acme.test"],
        &["user", "invite", "two words", "--role", "viewer"],
    ] {
        assert_exit(&both.there(wrong), 2);
    }
    both.up.end();
}
