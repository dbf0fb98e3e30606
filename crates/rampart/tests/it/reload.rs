//! The configuration is read again while everything goes on.

mod files;
mod rotation;

use std::{
    fs::{self, File},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use crate::telemetry::{Logged, until};

fn status(answer: &str) -> &str {
    answer.split_whitespace().nth(1).unwrap()
}

#[test]
fn what_the_configuration_says_holds_from_sighup_on_and_nobody_is_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rampart.toml");
    let providers = "[[provider]]\nname = 'company'\nissuer = 'http://127.0.0.1:1'\nclient_id = 'rampart'\n\
                     [provider.roles]\nstaff = 'viewer'\n";
    fs::write(directory.path().join("providers.toml"), providers).unwrap();
    fs::write(&file, "log = 'info'\nkey_rate = 1\naddress_rate = 100000\n").unwrap();
    let up = Logged::start(directory.path(), &[]);
    let key = format!("Authorization: Bearer {}", up.key);
    let me = || up.ask("/api/v1/me", &["-H", &key]);
    // Somebody follows what happens, and somebody asks all the time.
    let events = directory.path().join("events");
    let mut follower = Command::new("curl")
        .args(["-sS", "-N", "--max-time", "100", "-H", &key, &format!("{}/api/v1/events", up.url)])
        .stdout(File::create(&events).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let told = |word: &str| fs::read_to_string(&events).unwrap().contains(word);
    until(|| told("begin").then_some(()));
    until(|| (status(&me()) == "429").then_some(()));
    let (ends, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let asking = scope.spawn(|| {
            while !ends.load(Ordering::Relaxed) {
                assert_eq!(status(&up.ask("/api/v1/openapi.json", &["-o", "/dev/null", "-D", "-"])), "200");
                asked.fetch_add(1, Ordering::Relaxed);
            }
        });
        let goes_on = || {
            let before = asked.load(Ordering::Relaxed);
            until(|| (asked.load(Ordering::Relaxed) > before + 3 || asking.is_finished()).then_some(()));
        };
        goes_on();
        let names = "identity_providers = 'providers.toml'\npublic_url = 'http://127.0.0.1:8440'\n";
        fs::write(&file, format!("log = 'debug'\nkey_rate = 10000\naddress_rate = 100000\n{names}")).unwrap();
        assert!(!up.ask("/api/v1/session/providers", &[]).contains("company"));
        up.hang_up("the configuration was read again");
        for _ in 0..20 {
            assert_eq!(status(&me()), "200");
        }
        assert!(up.ask("/api/v1/session/providers", &[]).contains("company"));
        goes_on();
        fs::remove_file(&file).unwrap();
        up.hang_up("the configuration cannot be used, and all goes on as it was");
        for wrong in ["key_rate = 'many'\n", "log = '==='\n", "identity_providers = 'missing.toml'\n"] {
            fs::write(&file, wrong).unwrap();
            up.hang_up("the configuration cannot be used, and all goes on as it was");
        }
        for _ in 0..20 {
            assert_eq!(status(&me()), "200");
        }
        assert!(up.ask("/api/v1/session/providers", &[]).contains("company"));
        goes_on();
        ends.store(true, Ordering::Relaxed);
        asking.join().unwrap();
    });
    let json = "Content-Type: application/json";
    let stop = up.ask("/api/v1/stops", &["-H", &key, "-H", json, "-d", r#"{"reason":"to be told"}"#]);
    assert_eq!(status(&stop), "201", "{stop}");
    until(|| told("stop_ordered").then_some(()));
    follower.kill().unwrap();
    follower.wait().unwrap();
    up.end();
}
