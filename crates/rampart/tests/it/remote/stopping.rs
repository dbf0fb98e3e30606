//! Emergency stops that somebody orders at a server, servers that are away for a while, and servers that encrypt.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use nix::sys::signal::Signal;
use testkit::tls::{Wanted, certify};

use super::Both;
use crate::{
    platform::{Up, json, wait_for},
    run::{assert_exit, rampart, send, text},
};

#[test]
fn a_stop_reaches_what_is_the_keys_and_is_lifted_as_it_says() {
    let both = Both::start(&[]);
    assert_exit(&both.here(&["tenant", "create", "acme"]), 0);
    assert_exit(&both.here(&["task", "exercise", "--count", "2", "--hold", "1h"]), 0);
    wait_for(both.path(), "running", 2);
    let stopped = json(&both.there(&["stop", "--reason", "wrong customer", "--json"]));
    assert_eq!(stopped["reach"], "tenant", "not everybody's: {stopped}");
    let way_out = format!("rampart resume --server {} --reason TEXT", both.url());
    assert_eq!(stopped["lifted_by"], way_out.as_str());
    wait_for(both.path(), "queued", 2);
    let submitted = both.there(&["scan", "submit", "127.0.0.1:9"]);
    let said = text(&submitted.stderr);
    assert!(said.contains("tenant default, by first (key ") && said.contains(&way_out), "{said}");
    let scan = text(&submitted.stdout).trim().to_owned();
    let of_scan = both.said(&["stop", "--reason", "this one, too", "--scan", &scan]);
    assert!(of_scan.starts_with(&format!("stopped: scan {scan} of tenant default; ")), "{of_scan}");
    assert_exit(&both.here(&["stop", "--reason", "all of it"]), 0);

    let resumed = json(&both.there(&["resume", "--reason", "cleared", "--json"]));
    assert_eq!(resumed["lifted"].as_array().unwrap().len(), 1, "{resumed}");
    let still = resumed["still_hold"].as_array().unwrap();
    let commands: Vec<&str> = still.iter().map(|stop| stop["lifted_by"].as_str().unwrap()).collect();
    let of_scan = format!("rampart resume --server {} --scan {scan} --reason TEXT", both.url());
    assert_eq!(commands, [&of_scan, "rampart resume --reason TEXT --by PERSON"]);
    let lifted = both.said(&["resume", "--reason", "cleared", "--scan", &scan]);
    assert!(lifted.contains(&format!("lifted: scan {scan} of tenant default")), "{lifted}");
    assert!(lifted.contains("these stops still hold:\neverything"), "{lifted}");
    both.up.end();
}

#[test]
fn a_stop_waits_for_a_server_that_is_away() {
    let Both { directory, up, key, .. } = Both::start(&[]);
    let address = up.address.clone();
    up.end();
    let mut stop = rampart(directory.path())
        .args(["stop", "--reason", "wrong customer", "--server", &format!("http://{address}")])
        .env("RAMPART_KEY", key)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(stop.stderr.take().unwrap()).lines();
    let first = said.next().unwrap().unwrap();
    assert!(first.contains(&address) && first.contains("cannot be reached"), "{first}");
    let second = said.next().unwrap().unwrap();
    assert!(second.starts_with("nothing is stopped yet"), "{second}");
    let mut gateway = rampart(directory.path())
        .args(["gateway", "--listen", &address])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let ordered = said.next().unwrap().unwrap();
    assert!(ordered.starts_with("stopped: tenant default; "), "{ordered}");
    assert!(stop.wait().unwrap().success());
    send(Signal::SIGTERM, &gateway);
    gateway.wait().unwrap();
}

#[test]
fn who_waits_for_a_scan_waits_for_a_server_that_is_away() {
    let both = Both::start(&[]);
    let start = |address: &str| {
        let mut gateway = rampart(both.path())
            .args(["gateway", "--listen", address, "--linger", "1ms"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(gateway.stderr.take().unwrap()).lines();
        let listens = said.next().unwrap().unwrap();
        let address = listens.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap().to_owned();
        // What it logs is read to its end: nobody waits for room in the pipe.
        std::thread::spawn(move || said.for_each(drop));
        (gateway, address)
    };
    let (mut gateway, address) = start("127.0.0.1:0");
    assert_exit(&both.here(&["stop", "--reason", "hold it"]), 0);
    let mut waiting = both
        .elsewhere(&["scan", "submit", "127.0.0.1:9", "--stages", "ports", "--wait", "--json"])
        .args(["--server", &format!("http://{address}")])
        .env("RAMPART_KEY", &both.key)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(waiting.stderr.take().unwrap()).lines();
    let mut until = |text: &str| while !said.next().unwrap().unwrap().contains(text) {};
    until("an emergency stop holds");
    send(Signal::SIGTERM, &gateway);
    gateway.wait().unwrap();
    until("cannot be reached");
    let (mut gateway, _) = start(&address);
    assert_exit(&both.here(&["resume", "--reason", "go on", "--by", "J. Doe"]), 0);
    let output = waiting.wait_with_output().unwrap();
    assert_exit(&output, 3);
    assert_eq!(json(&output)["end"], "complete");
    send(Signal::SIGTERM, &gateway);
    gateway.wait().unwrap();
    both.up.end();
}

#[test]
fn a_server_that_encrypts_is_believed_by_who_signed_its_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let certified = certify(&Wanted::default());
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write("chain.pem", &certified.chain_pem);
    write("key.pem", &certified.key_pem);
    write("authority.pem", certified.authority_pem());
    write("stranger.pem", certify(&Wanted::default()).authority_pem());
    let up = Up::start(directory.path(), &["--tls-certificate", "chain.pem", "--tls-key", "key.pem"]);
    let (key, url) = (up.key(), format!("https://{}", up.address));
    let ask = |authority: &str| {
        let mut command = rampart(directory.path());
        command.args(["scope", "list", "--server", &url]).env("RAMPART_KEY", &key);
        command.env("RAMPART_SERVER_CA", authority).output().unwrap()
    };
    let believed = ask("authority.pem");
    assert_exit(&believed, 0);
    assert!(text(&believed.stdout).contains("loopback"), "{}", text(&believed.stdout));
    for (authority, says) in [("stranger.pem", "certificate"), ("key.pem", "there is no certificate")] {
        let refused = ask(authority);
        assert_exit(&refused, 2);
        assert!(text(&refused.stderr).contains(says), "{authority}: {}", text(&refused.stderr));
    }
    up.end();
}
