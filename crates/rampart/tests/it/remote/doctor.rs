//! Whether a server can be worked with, before somebody tries.

use super::Both;
use crate::{
    platform::json,
    run::{assert_exit, text},
};

#[test]
fn whoever_has_a_key_is_told_what_is_wrong_there_as_far_as_they_may_know() {
    let both = Both::start(&[]);
    let found = |words: &[&str], key: &str| {
        let output = both.there_as(key, words);
        let found = json(&output);
        let found: Vec<(String, String, String)> = found
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| {
                let part = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
                (part("what"), part("verdict"), part("says"))
            })
            .collect();
        (output.status.code(), found)
    };
    let (code, well) = found(&["doctor", "--json"], &both.key);
    let of = |found: &[(String, String, String)], what: &str| {
        let one = found.iter().find(|(named, ..)| named == what);
        one.map(|(_, verdict, says)| (verdict.clone(), says.clone())).unwrap_or_default()
    };
    assert_eq!((code, of(&well, "server")), (Some(0), ("ok".to_owned(), both.url())), "{well:?}");
    assert!(well.iter().all(|(_, verdict, _)| verdict == "ok"), "{well:?}");
    assert!(of(&well, "key").1.contains("owner"), "{well:?}");
    assert_eq!(of(&well, "scope").1, "loopback");

    assert_exit(&both.there(&["stop", "--reason", "a leak"]), 0);
    let (code, stopped) = found(&["doctor", "--json"], &both.key);
    let (verdict, says) = of(&stopped, "emergency stop");
    assert!(code == Some(0) && verdict == "warning" && says.contains("a leak"), "{stopped:?}");
    let soon = both.here(&["key", "create", "soon", "--role", "viewer", "--for", "1d"]);
    assert_exit(&soon, 0);
    let (_, ends) = found(&["doctor", "--json"], text(&soon.stdout).trim());
    assert_eq!(of(&ends, "key").0, "warning", "{ends:?}");
    let none = ["role", "create", "watcher", "checks.read"];
    assert_exit(&both.here(&none), 0);
    let (code, little) = found(&["doctor", "--json"], &both.key_of("watcher"));
    assert_eq!((code, of(&little, "scope").1.as_str()), (Some(0), "not for this key to see"), "{little:?}");

    // A key that is none, and a server that is none.
    let unknown = "rampart_00000000_".to_owned() + &"0".repeat(40);
    let refused = both.there_as(&unknown, &["doctor"]);
    assert_ne!(refused.status.code(), Some(0), "{}", text(&refused.stdout));
    let away =
        both.elsewhere(&["doctor", "--server", "http://127.0.0.1:9"]).env("RAMPART_KEY", &both.key).output();
    let away = away.unwrap();
    assert_exit(&away, 1);
    let said = text(&away.stdout);
    assert!(said.contains("broken") && said.contains("http://127.0.0.1:9 cannot be reached"), "{said}");
}
