//! What was used, as who has a key is told it, and who has the database.

use serde_json::Value;

use super::Both;
use crate::{
    platform::json,
    run::{assert_exit, text},
};

#[test]
fn what_was_used_is_told_here_and_there_and_of_everybody_where_the_database_is() {
    let both = Both::start(&["--price-per-worker-hour", "360"]);
    assert_exit(&both.here(&["tenant", "create", "acme"]), 0);
    let submit = ["scan", "submit", "127.0.0.1", "--ports", "9", "--stages", "ports", "--wait"];
    assert_exit(&both.there(&submit), 0);
    let scan = &json(&both.here(&["scan", "list", "--json"]))[0];
    let month = scan["submitted_at"].as_str().unwrap()[..7].to_owned();
    let cost = scan["cost"].clone();

    let asked = ["usage", "--month", &month, "--json"];
    let here = json(&both.here(&asked));
    assert_eq!(here, json(&both.there(&asked)));
    assert_eq!(
        (&here["scans"], &here["unpriced_scans"], &here["units"]["ports"]),
        (&1.into(), &0.into(), &1.into())
    );
    assert_eq!(
        (here["since"].as_str().unwrap(), &here["cost"]),
        (format!("{month}-01T00:00:00Z").as_str(), &cost)
    );

    // Of everybody a line for each, in the order of their names.
    let all = both.here(&["usage", "--all", "--month", &month, "--json"]);
    assert_exit(&all, 0);
    let mut lines: Vec<Value> =
        text(&all.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["name"], &lines[0]["scans"]), (2, &"acme".into(), &0.into()));
    let own = lines[1].as_object_mut().unwrap();
    assert_eq!(own.remove("name"), Some("default".into()));
    assert!(own.remove("tenant").is_some());
    assert_eq!(lines[1], here);

    let table = text(&both.here(&["usage", "--all"]).stdout);
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0][..5], ["TENANT", "SCANS", "WORKED", "SENT", "COST"], "{table}");
    assert_eq!((rows[1][0], rows[1][1], rows[2][0], rows[2][1]), ("acme", "0", "default", "1"), "{table}");
    assert!(table.contains(cost.as_str().unwrap()), "{table}");
    assert!(text(&both.there(&["usage"]).stdout).starts_with("SCANS"), "it is of one");

    for (refused, says) in [
        (both.there(&["usage", "--all"]), "where the database is"),
        (both.here(&["usage", "--month", "soon"]), "`soon` is no month"),
        (both.here(&["usage", "--month", &month, "--until", "2026-01-01T00:00:00Z"]), "cannot be used with"),
        (
            both.here(&["usage", "--since", "2026-02-01T00:00:00Z", "--until", "2026-01-01T00:00:00Z"]),
            "no time",
        ),
    ] {
        assert_exit(&refused, 2);
        assert!(text(&refused.stderr).contains(says), "{}", text(&refused.stderr));
    }
}
