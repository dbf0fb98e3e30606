//! A release that takes over, in a cluster that the test plays, beside a Prometheus that it plays. What is told to either is not made up.

mod cluster;

use std::{
    io::Read,
    path::Path,
    process::{Child, Output, Stdio},
    time::{Duration, Instant},
};

use ::cluster::promotion::Questions;
use nix::sys::signal::Signal;
use testkit::tools::root;

use self::cluster::{Cluster, Seen};
use crate::run::{THIS, assert_exit, release, send, text as said};

const ONE: &str = "host:5000/rampart@sha256:1";
const TWO: &str = "host:5000/rampart@sha256:2";
const BROKEN: &str = "host:5000/rampart@sha256:3";
const FOUR: &str = "host:5000/rampart@sha256:4";
/// Times that fit a test.
const TIMES: [&str; 4] = ["--every", "50ms", "--patience", "30s"];
/// What has the program, in the order in which it is to change.
const EVERYTHING: [&str; 6] =
    ["orchestrator", "gateway", "archive", "gateway-events", "worker-check", "sleep"];

impl Cluster {
    fn begin(&self, words: &[&str]) -> Child {
        // Whoever runs the tests may ignore that a terminal is gone, as `nohup` does; this is not to inherit that.
        let mut command = release(Path::new("/usr/bin/env"), &root());
        command
            .args(["--default-signal=HUP", THIS, "deploy"])
            .args(words)
            .args(["--context", "ours"])
            .env("PATH", self.path());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn run(&self, words: &[&str]) -> Output {
        self.begin(words).wait_with_output().unwrap()
    }

    fn promote(&self, image: &str, words: &[&str]) -> Output {
        self.run(&[&["promote", image, "--hold", "100ms"], &TIMES[..], words].concat())
    }

    /// Until it waits at its first step.
    fn promote_to_first_step(&self, image: &str) -> Child {
        let child = self.begin(&[&["promote", image, "--unwatched", "--hold", "1h"], &TIMES[..]].concat());
        let until = Instant::now() + Duration::from_secs(60);
        while !self.is_paused() {
            assert!(Instant::now() < until, "it does not come to its first step");
            std::thread::sleep(Duration::from_millis(20));
        }
        child
    }

    /// Everything has this image, and nothing waits or is led anywhere else.
    #[track_caller]
    fn has_all(&self, image: &str) {
        for name in EVERYTHING {
            assert_eq!(self.image(name), image, "{name}");
        }
        assert_eq!((self.is_paused(), self.pinned(), self.counts_after()), (false, None, [10, 600]));
        assert_eq!(self.others(), ["busybox:1", "postgres:17"], "what is of others stays");
    }
}

fn rest(child: &mut Child) -> String {
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    told
}

#[test]
fn a_release_takes_over_in_steps_that_are_looked_at_and_goes_back_when_somebody_says_so() {
    let cluster = Cluster::start(ONE);
    let prometheus = cluster.prometheus();
    cluster.refuses_for_a_while();
    let output = cluster.promote(TWO, &["--prometheus", &prometheus]);
    assert_exit(&output, 0);
    let well = "gateway: 0.20 % errors, one of a hundred waits 1.10 times as long\n";
    let told = format!(
        "orchestrator: all pods have it\ngateway: 1 of 5 pods have it\n{well}gateway: 2 of 5 pods have it\n{well}gateway: all pods have \
         it\narchive: all pods have it\ngateway-events: all pods have it\nworker-check: all pods have it\n{well}promoted\n"
    );
    assert_eq!(said(&output.stderr), told);
    cluster.has_all(TWO);
    assert_eq!(cluster.changed(), EVERYTHING, "in this order");
    assert_eq!(
        cluster.seen_at_looks(),
        [Seen { new: 1, paused: true }, Seen { new: 2, paused: true }, Seen { new: 4, paused: false }]
    );
    // It was asked of the pods of both releases by their names.
    let Questions { errors, latency, comparable, dead } = Questions::of("hash-2", "hash-1");
    let asked = cluster.asked();
    let expected = [&errors, &latency, &comparable, &dead];
    assert!(asked.iter().all(|question| expected.contains(&question)), "{asked:?}");

    // Once more, with nothing to do; and back, once.
    cluster.answers("", "", "");
    let output = cluster.promote(TWO, &["--prometheus", &prometheus]);
    assert_exit(&output, 0);
    let told = said(&output.stderr);
    assert!(
        told.ends_with("worker-check: all pods have it\npromoted\n") && !told.contains("answers"),
        "{told}"
    );
    cluster.has_all(TWO);
    let output = cluster.run(&["rollback"]);
    assert_exit(&output, 0);
    cluster.has_all(ONE);
    assert_eq!(said(&output.stderr).matches(&format!(" is back at {ONE}\n")).count(), 5);
    let again = cluster.run(&["rollback"]);
    assert_exit(&again, 2);
    assert!(said(&again.stderr).contains("nothing to go back to"), "{}", said(&again.stderr));
}

#[test]
fn what_does_worse_or_does_not_come_goes_back_by_itself() {
    let cluster = Cluster::start(ONE);
    let prometheus = cluster.prometheus();
    for (errors, latency, dead, says) in [
        ("0.02", "1", "7", "gateway: 2.00 % errors, one of a hundred waits 1.00 times as long"),
        ("0", "1.3", "7", "one of a hundred waits 1.30 times as long"),
        ("0", "1", "9", "2 more tasks are dead"),
    ] {
        cluster.answers(errors, latency, dead);
        let output = cluster.promote(TWO, &["--prometheus", &prometheus]);
        assert_exit(&output, 1);
        let told = said(&output.stderr);
        assert!(told.contains(says) && told.contains(": it goes back\n"), "{told}");
        cluster.has_all(ONE);
        assert_eq!(cluster.changed(), EVERYTHING[..2], "what comes after the gateway was never touched");
    }
    // Too little to tell is not good.
    cluster.answers("", "", "");
    let words = ["--prometheus", &prometheus, "--hold", "100ms", "--every", "50ms", "--patience", "20s"];
    let output = cluster.run(&[&["promote", TWO], &words[..]].concat());
    assert_exit(&output, 1);
    assert!(said(&output.stderr).contains("nobody knows after 20.1s whether it does well: too few answers"));
    cluster.has_all(ONE);

    cluster.answers("0", "1", "7");
    let output = cluster.promote(BROKEN, &["--prometheus", &prometheus]);
    assert_exit(&output, 1);
    assert!(said(&output.stderr).contains("orchestrator does not come any further: no pod is ready"));
    cluster.has_all(ONE);
    let refused = cluster.run(&["rollback"]);
    assert_exit(&refused, 2);
    assert!(said(&refused.stderr).contains("nothing to go back to"), "it went back by itself");

    // Where there is nothing to compare with, errors alone tell.
    cluster.answers("0", "", "7");
    assert_exit(&cluster.promote(TWO, &["--prometheus", &prometheus]), 0);
    cluster.has_all(TWO);
}

#[test]
fn whoever_interrupts_it_has_what_was_before_and_what_was_killed_goes_on() {
    let cluster = Cluster::start(ONE);
    let mut child = cluster.promote_to_first_step(TWO);
    send(Signal::SIGINT, &child);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(rest(&mut child).contains("interrupted: it goes back\n"));
    cluster.has_all(ONE);

    let mut child = cluster.promote_to_first_step(TWO);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!((cluster.image("gateway"), cluster.image("worker-check")), (TWO.to_owned(), ONE.to_owned()));
    assert_exit(&cluster.promote(TWO, &["--unwatched"]), 0);
    cluster.has_all(TWO);
    assert_exit(&cluster.run(&["rollback"]), 0);
    cluster.has_all(ONE);
}

#[test]
fn nothing_goes_further_back_than_the_last_promotion_went_and_what_others_changed_is_theirs() {
    let cluster = Cluster::start(ONE);
    assert_exit(&cluster.promote(TWO, &["--unwatched"]), 0);
    let mut child = cluster.promote_to_first_step(FOUR);
    child.kill().unwrap();
    child.wait().unwrap();
    // Between two releases there is no third one.
    let refused = cluster.promote(ONE, &["--unwatched"]);
    assert_exit(&refused, 2);
    let between = format!("`rampart deploy rollback` goes back, and `promote {FOUR}` goes on");
    assert!(said(&refused.stderr).contains(&between), "{}", said(&refused.stderr));
    assert_exit(&cluster.run(&["rollback"]), 0);
    cluster.has_all(TWO);
    // What was there before may be promoted, too, and goes back to what it replaced.
    let mut child = cluster.promote_to_first_step(ONE);
    send(Signal::SIGHUP, &child);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    cluster.has_all(TWO);

    // What somebody else has changed meanwhile is theirs.
    let mut child = cluster.promote_to_first_step(FOUR);
    cluster.give("orchestrator", BROKEN);
    send(Signal::SIGINT, &child);
    assert_eq!(child.wait().unwrap().code(), Some(2));
    let told = rest(&mut child);
    assert!(
        told.contains("somebody has given orchestrator another image meanwhile, and it is left alone"),
        "{told}"
    );
    assert!(told.contains("`rampart deploy rollback` tries again"), "{told}");
    assert_eq!(cluster.image("gateway"), TWO);
}

#[test]
fn two_releases_stand_beside_one_another_and_people_are_led_to_one_of_them() {
    let cluster = Cluster::start(ONE);
    let prometheus = cluster.prometheus();
    cluster.make_room();
    let beside = ["--blue-green", "--stand"];
    let output = cluster.promote(TWO, &beside);
    assert_exit(&output, 0);
    assert!(
        said(&output.stderr).contains("gateway: 4 pods stand beside 4 others\n"),
        "{}",
        said(&output.stderr)
    );
    assert_eq!((cluster.pinned().as_deref(), cluster.is_paused()), (Some("hash-1"), false));
    // However long they stand there.
    for _ in 0..20 {
        cluster.passes();
    }
    assert_eq!(cluster.led(), ["hash-1"]);
    // What it is not to be mixed up with.
    for (image, words) in [(TWO, &["--unwatched"][..]), (BROKEN, &beside)] {
        let refused = cluster.promote(image, words);
        assert_exit(&refused, 2);
        assert!(said(&refused.stderr).contains("another release stands beside this one"));
    }
    assert_exit(&cluster.run(&["rollback"]), 0);
    cluster.has_all(ONE);
    assert_eq!(cluster.led(), [""], "to whatever is there");

    // It takes over, does worse, and people are led back before anything else happens.
    assert_exit(&cluster.promote(TWO, &beside), 0);
    cluster.answers("0.5", "1", "7");
    let output = cluster.promote(TWO, &["--blue-green", "--prometheus", &prometheus]);
    assert_exit(&output, 1);
    let told = said(&output.stderr);
    let taken = told.find("gateway: they have taken over\n").unwrap();
    assert!(taken < told.find("gateway: people are led back\n").unwrap(), "{told}");
    cluster.has_all(ONE);
    assert_eq!(cluster.led(), ["hash-1", "hash-2", "hash-1", ""][..], "where people were led, in the end");

    // Its pods die when people come: nobody is asked for that.
    cluster.answers("0", "1", "7");
    cluster.is_frail(true);
    let output = cluster.promote(TWO, &["--blue-green", "--unwatched"]);
    assert_exit(&output, 1);
    assert!(said(&output.stderr).contains("are gone: it goes back"), "{}", said(&output.stderr));
    cluster.has_all(ONE);
    assert_eq!(cluster.led(), ["hash-1", "hash-2", "hash-1", ""]);
    cluster.is_frail(false);

    let output = cluster.promote(TWO, &["--blue-green", "--prometheus", &prometheus]);
    assert_exit(&output, 0);
    cluster.has_all(TWO);
    assert_eq!(cluster.led(), ["hash-1", "hash-2", ""][..]);
    assert_exit(&cluster.run(&["rollback"]), 0);

    // Whoever was cut off before anything stood there goes on, or back.
    cluster.pin("hash-1");
    assert_exit(&cluster.run(&["rollback"]), 0);
    cluster.has_all(ONE);
    cluster.pin("hash-1");
    assert_exit(&cluster.promote(TWO, &beside), 0);
    let refused = cluster.promote(BROKEN, &["--blue-green", "--unwatched"]);
    assert_exit(&refused, 2);
    assert_exit(&cluster.promote(TWO, &["--blue-green", "--unwatched"]), 0);
    cluster.has_all(TWO);
}

#[test]
fn what_cannot_be_promoted_is_refused_before_anything_changes() {
    let cluster = Cluster::start(ONE);
    let prometheus = cluster.prometheus();
    for (image, words, says) in [
        (TWO, &[][..], "--prometheus <URL>"),
        (TWO, &["--unwatched", "--stand"], "cannot be used with"),
        (TWO, &["--stand"], "--blue-green"),
        (TWO, &["--unwatched", "--steps", "50,10,100"], "expected shares that grow"),
        (TWO, &["--unwatched", "--steps", "half"], "expected shares that grow"),
        ("host:5000/another@sha256:1", &["--unwatched"], "comes with an overlay"),
        (TWO, &["--unwatched", "--blue-green"], "needs the component `beside`"),
        (TWO, &["--prometheus", "http://127.0.0.1:1"], "Prometheus does not answer"),
        (TWO, &["--prometheus", &format!("{prometheus}/something")], "what answers there is something else"),
    ] {
        let refused = cluster.promote(image, words);
        assert_exit(&refused, 2);
        assert!(said(&refused.stderr).contains(says), "{words:?}: {}", said(&refused.stderr));
    }
    cluster.make_room();
    let refused = cluster.promote(TWO, &["--unwatched"]);
    assert!(said(&refused.stderr).contains("all gateways come at once, and not in steps"));
    cluster.has_a_rollout();
    for refused in [cluster.promote(TWO, &["--unwatched"]), cluster.run(&["rollback"])] {
        assert_exit(&refused, 2);
        assert!(said(&refused.stderr).contains("kubectl argo rollouts promote gateway"));
    }
    assert_eq!(cluster.changed(), [""; 0]);
    cluster.has_all(ONE);
}
