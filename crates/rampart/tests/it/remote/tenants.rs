//! Who runs the platform looks after all tenants from anywhere, and nobody else does.

use super::Both;
use crate::{
    platform::json,
    run::{assert_exit, text},
};

#[test]
fn who_runs_the_platform_makes_tenants_from_anywhere() {
    let both = Both::start(&["--platform-tenant", "default"]);
    let made = both.there(&["tenant", "create", "acme", "--weight", "3", "--owner", "j.doe@acme.test"]);
    assert_exit(&made, 0);
    let invitation = text(&made.stdout).trim().to_owned();
    assert!(
        invitation.len() == 64 && invitation.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{invitation}"
    );
    let twice = both.there(&["tenant", "create", "acme"]);
    assert_exit(&twice, 2);
    assert!(text(&twice.stderr).contains("there is a tenant `acme` already"), "{}", text(&twice.stderr));

    let said = both.said(&["tenant", "set", "acme", "--most-in-flight", "7"]);
    assert_eq!(said, "tenant acme: weight 3, at most 7 tasks at work at once\n");
    let list = ["tenant", "list", "--json"];
    let (here, there) = (json(&both.here(&list)), json(&both.there(&list)));
    assert_eq!(here, there);
    assert_eq!((&there[0]["name"], &there[1]["name"]), (&"acme".into(), &"default".into()));
    let shown = json(&both.there(&["tenant", "show", "acme", "--json"]));
    assert_eq!(shown, there[0], "what is within it is its own");
    let unknown = both.there(&["tenant", "show", "nobody"]);
    assert_exit(&unknown, 2);
    assert!(
        text(&unknown.stderr).contains("`rampart tenant list` shows the tenants"),
        "{}",
        text(&unknown.stderr)
    );

    // Both audits are told; the owner is there, and has accepted nothing yet.
    for tenant in ["default", "acme"] {
        let audit = text(&both.here(&["audit", "list", "--tenant", tenant]).stdout);
        assert!(audit.contains("tenant.create") && audit.contains("tenant.set"), "{audit}");
    }
    let users = json(&both.here(&["user", "list", "--tenant", "acme", "--json"]));
    assert_eq!((&users[0]["name"], &users[0]["role"]), (&"j.doe@acme.test".into(), &"owner".into()));

    // Another tenant's owner, and who may not in this one.
    let key = both.here(&["key", "create", "own", "--role", "owner", "--tenant", "acme"]);
    let of_acme = text(&key.stdout).trim().to_owned();
    for (key, why) in [(of_acme, "does not run the platform"), (both.key_of("operator"), "tenants.read")] {
        let refused = both.there_as(&key, &["tenant", "list"]);
        assert_exit(&refused, 2);
        assert!(text(&refused.stderr).contains(why), "{}", text(&refused.stderr));
    }
}

#[test]
fn nobody_looks_after_tenants_where_nobody_said_who() {
    let both = Both::start(&[]);
    let refused = both.there(&["tenant", "create", "acme"]);
    assert_exit(&refused, 2);
    let said = text(&refused.stderr);
    assert!(said.contains("does not run the platform") && said.contains("--platform-tenant"), "{said}");
    assert_eq!(json(&both.here(&["tenant", "list", "--json"])).as_array().unwrap().len(), 1);
}

#[test]
fn who_runs_the_platform_stops_everybody_from_anywhere() {
    let both = Both::start(&["--platform-tenant", "default"]);
    assert_exit(&both.here(&["tenant", "create", "acme"]), 0);
    let acme = text(&both.here(&["key", "create", "own", "--role", "owner", "--tenant", "acme"]).stdout);
    assert_exit(&both.there_as(acme.trim(), &["stop", "--reason", "our own"]), 0);
    let operator = both.key_of("operator");
    let url = both.url();
    for (reach, named) in [
        (&["--everything"][..], "everything"),
        (&["--stage", "ports"], "stage ports"),
        (&["--of-tenant", "acme"], "tenant acme"),
    ] {
        let order = |key: &str, command: &str| {
            let words = [&[command, "--reason", "a drill"][..], reach].concat();
            both.there_as(key, &words)
        };
        // Whoever may stop their own tenant was not asked to look after the others.
        let refused = order(&operator, "stop");
        assert_exit(&refused, 2);
        assert!(text(&refused.stderr).contains("has no permission tenants."), "{}", text(&refused.stderr));
        let stopped = text(&order(&both.key, "stop").stderr);
        let command = format!("rampart resume --server {url} {} --reason TEXT", reach.join(" "));
        assert_eq!(stopped, format!("stopped: {named}; `{command}` lifts it\n"));
        let lifted = order(&both.key, "resume");
        assert_exit(&lifted, 0);
        let said = text(&lifted.stderr);
        assert!(said.starts_with(&format!("lifted: {named}, ordered by ")), "{said}");
        // What they have ordered themselves is theirs, or of who sits at the database.
        let held = "  rampart resume --of-tenant acme --reason TEXT --by PERSON\n";
        assert!(
            said.contains("these stops still hold:\ntenant acme, since ") && said.ends_with(held),
            "{said}"
        );
    }
    let lifted = both.there_as(acme.trim(), &["resume", "--reason", "over"]);
    assert_exit(&lifted, 0);
}
