//! What is said about findings and scans, here and there: one conversation.

use std::{
    io::{ErrorKind, Write},
    process::{Output, Stdio},
};

use super::{Both, Careless, first};
use crate::{
    platform::json,
    run::{assert_exit, text},
};

/// With a text on standard input.
fn fed(both: &Both, words: &[&str], input: &str) -> Output {
    let mut command = both.elsewhere(words);
    command.env("RAMPART_SERVER", both.url()).env("RAMPART_KEY", &both.key);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let written = child.stdin.take().unwrap().write_all(input.as_bytes());
    // Who refuses before they have read it all is gone by then.
    assert!(!matches!(&written, Err(error) if error.kind() != ErrorKind::BrokenPipe), "{written:?}");
    child.wait_with_output().unwrap()
}

#[test]
fn what_is_said_here_is_answered_there() {
    let site = Careless::start();
    let both = Both::start(&[]);
    assert_exit(&both.here(&site.submit(&["--wait"])), 1);
    let scan = first(&both.here(&["scan", "list", "--json"]), "id");
    let finding = first(&both.here(&["finding", "list", "--json"]), "fingerprint");

    let said = both.here(&["finding", "comment", &finding, "Is this ours?", "--by", "J. Doe", "--json"]);
    assert_exit(&said, 0);
    let said = json(&said);
    let id = said["id"].as_str().unwrap();
    assert_eq!((&said["by"]["kind"], &said["finding"]), (&"operator".into(), &finding.as_str().into()));
    assert!(said["by"]["name"].as_str().unwrap().starts_with("J. Doe ("), "{said}");
    let answer = ["finding", "comment", &finding, "-", "--answer", id];
    let answered = fed(&both, &answer, "It is.\n\n\tSee \u{202e}the wiki.\n");
    assert_exit(&answered, 0);
    assert!(text(&answered.stderr).starts_with(&format!("comment 2 of finding {finding}: ")));
    assert_exit(&both.there(&["scan", "comment", &scan, "all of it is old"]), 0);

    for listed in
        [both.here(&["finding", "comments", &finding]), both.there(&["finding", "comments", &finding])]
    {
        assert_exit(&listed, 0);
        let shown = text(&listed.stdout);
        for says in [
            "  J. Doe (",
            "    Is this ours?\n",
            "  answers 1\n",
            "    It is.\n\n        See \\u{202e}the wiki.\n",
        ] {
            assert!(shown.contains(says), "{says}: {shown}");
        }
        assert!(shown.contains(" (key ") && !shown.contains('\u{202e}'), "{shown}");
    }
    let rest = ["finding", "comments", &finding, "--after", "1", "--json"];
    let (here, there) = (both.here(&rest), both.there(&rest));
    assert_eq!(text(&here.stdout), text(&there.stdout));
    assert_eq!(json(&here)[0]["text"], "It is.\n\n\tSee \u{202e}the wiki.");
    let some = both.there(&["finding", "comments", &finding, "--limit", "1"]);
    assert!(text(&some.stderr).contains("there may be more: --after 1"), "{}", text(&some.stderr));
    let of_scan = text(&both.here(&["scan", "comments", &scan]).stdout);
    assert!(of_scan.contains("    all of it is old\n") && !of_scan.contains("ours"), "{of_scan}");

    // What is asked in a wrong way says nothing.
    let nobody = "00112233445566778899aabbccddeeff";
    for (words, says) in [
        (["finding", "comment", nobody, "x"].as_slice(), nobody),
        (&["finding", "comment", &finding, " "], "not only spaces"),
        (&["finding", "comment", &finding, "bell \u{7}"], "U+0007"),
        (&["finding", "comment", &finding, "x", "--answer", "x"], "--answer"),
        (&["scan", "comment", &scan, "x", "--answer", id], id),
        (&["scan", "comments", "0123456789abcdef"], "0123456789abcdef"),
    ] {
        for refused in [both.here(words), both.there(words)] {
            assert_exit(&refused, 2);
            assert!(text(&refused.stderr).contains(says), "{words:?}: {}", text(&refused.stderr));
        }
    }
    let named = both.there(&["scan", "comment", &scan, "x", "--by", "J. Doe"]);
    assert_exit(&named, 2);
    assert!(text(&named.stderr).contains("--by is for a database"), "{}", text(&named.stderr));
    let long = fed(&both, &["scan", "comment", &scan, "-"], &"é".repeat(50_000));
    assert_exit(&long, 2);
    assert!(text(&long.stderr).contains("at most 10000 characters"), "{}", text(&long.stderr));
    let viewer = both.key_of("viewer");
    assert_exit(&both.there_as(&viewer, &["scan", "comments", &scan]), 0);
    let refused = both.there_as(&viewer, &["scan", "comment", &scan, "x"]);
    assert_exit(&refused, 2);
    assert!(text(&refused.stderr).contains("comments.write"), "{}", text(&refused.stderr));
    assert_eq!(json(&both.here(&["scan", "comments", &scan, "--json"])).as_array().unwrap().len(), 1);

    let audit = json(&both.here(&["audit", "list", "--action", "comment", "--json"]));
    let told: Vec<&str> =
        audit.as_array().unwrap().iter().map(|entry| entry["detail"].as_str().unwrap()).collect();
    assert_eq!(told[0], format!("on scan {scan}, 16 characters"));
    assert_eq!(told[2], format!("on finding {finding}, 13 characters"));
    assert_eq!(told.len(), 3, "{audit}");
    both.up.end();
}
