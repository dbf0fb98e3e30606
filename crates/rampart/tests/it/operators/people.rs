//! People, let in from the command line.

use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::{
    platform::{Up, json, run},
    run::{THIS, assert_exit, rampart, text},
};

const PASSWORD: &str = "correct horse battery";

fn with_input(directory: &Path, words: &[&str], input: &str) -> Output {
    let mut child = Command::new(THIS)
        .current_dir(directory)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read ends before.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[test]
fn the_first_administrator_is_let_in_and_nobody_has_a_usual_password() {
    let directory = tempfile::tempdir().unwrap();
    let ask = |words: &[&str]| run(directory.path(), words);
    let up = Up::start(directory.path(), &[]);
    let listed = json(&ask(&["admin", "list", "--json"]));
    assert_eq!(listed.as_array().unwrap().len(), 0, "nobody is there by itself");

    let made = with_input(
        directory.path(),
        &["admin", "create", "Root@Acme.test", "--password-stdin"],
        &format!("{PASSWORD}\n"),
    );
    assert_exit(&made, 0);
    assert!(made.stdout.is_empty());
    let invited = ask(&["admin", "create", "second@acme.test", "--role", "auditor"]);
    assert_exit(&invited, 0);
    let invitation = text(&invited.stdout).trim().to_owned();
    assert!(invitation.len() == 64 && text(&invited.stderr).contains("accept"), "{invited:?}");
    let listed = json(&ask(&["admin", "list", "--json"]));
    let facts: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|user| (user["name"].as_str().unwrap(), user["role"].as_str().unwrap()))
        .collect();
    assert_eq!(facts, [("root@acme.test", "owner"), ("second@acme.test", "auditor")]);
    assert!(!listed.to_string().contains("argon2"));
    assert!(text(&ask(&["admin", "list"]).stdout).contains("may log in"));

    let log_in = |password: &str| {
        let body = format!("{{\"name\":\"root@acme.test\",\"password\":\"{password}\"}}");
        up.post("/api/v1/session", &body)
    };
    let answer = log_in(PASSWORD);
    assert!(answer.starts_with("HTTP/1.1 201") && answer.contains("__Host-rampart="), "{answer}");
    let changed =
        with_input(directory.path(), &["admin", "password", "root@acme.test"], "another good password");
    assert_exit(&changed, 0);
    assert!(log_in(PASSWORD).starts_with("HTTP/1.1 401"));
    assert!(log_in("another good password").starts_with("HTTP/1.1 201"));

    for (words, input, said) in [
        (&["admin", "create", "root@acme.test", "--password-stdin"][..], PASSWORD, "already"),
        (&["admin", "create", "third", "--password-stdin"], "short", "at least 15 characters"),
        (&["admin", "create", "third", "--password-stdin"], "", "at least 15 characters"),
        (&["admin", "create", "two words"], "", "no spaces"),
        (&["admin", "password", "nobody"], PASSWORD, "admin list"),
    ] {
        let refused = with_input(directory.path(), words, input);
        assert!(!refused.status.success() && text(&refused.stderr).contains(said), "{words:?}: {refused:?}");
    }
    up.end();
}

#[test]
fn identity_providers_that_cannot_be_used_are_told_before_anything_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("providers.toml");
    let provider = |name: &str, issuer: &str, role: &str| {
        format!(
            "[[provider]]\nname = '{name}'\nissuer = '{issuer}'\nclient_id = 'rampart'\nca = 'ca.pem'\n[provider.roles]\nstaff = '{role}'\n"
        )
    };
    let good = provider("company", "http://127.0.0.1:1", "viewer").replace("ca = 'ca.pem'\n", "");
    let (here, away) = ("http://127.0.0.1:8440", "http://rampart.acme.test");
    for (written, public_url, wanted) in [
        (String::new(), here, "there is no [[provider]]"),
        (provider("Company", "https://id.acme.test", "viewer"), here, "line 2: `Company` cannot be the name"),
        (provider("company", "https://id.acme.test", "King"), here, "line 7: `King` is not a role"),
        (provider("company", "https://id.acme.test", "viewer"), here, "cannot read the ca of `company`"),
        (good.replace("127.0.0.1:1", "id.acme.test"), here, "must be reached by https"),
        (good.replace("staff = 'viewer'\n", ""), here, "gives no role to anybody"),
        (good.clone(), away, "write https://HOST"),
    ] {
        std::fs::write(&file, written).unwrap();
        for command in ["up", "gateway"] {
            let mut asked = rampart(directory.path());
            asked.args([command, "--identity-providers", "providers.toml", "--public-url", public_url]);
            let refused = asked.output().unwrap();
            assert_exit(&refused, 2);
            let said = text(&refused.stderr);
            assert!(said.contains(wanted) && !said.contains("is up"), "{command}: {said}");
        }
    }
    std::fs::write(&file, good).unwrap();
    let mut asked = rampart(directory.path());
    let refused = asked.args(["up", "--identity-providers", "providers.toml"]).output().unwrap();
    assert_exit(&refused, 2);
    assert!(text(&refused.stderr).contains("say where with --public-url"));
    assert!(!directory.path().join("rampart-data").exists(), "nothing was made");
}
