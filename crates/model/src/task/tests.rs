use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const LEASE: Duration = Duration::from_secs(30);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

fn worker(number: u128) -> WorkerId {
    WorkerId::from_random(number)
}

fn failure(retry: Retry) -> TaskFailure {
    TaskFailure { message: "the name server does not answer".to_owned(), retry }
}

/// A task, a clock, and whoever asks.
struct Bench {
    task: Task,
    now: i64,
    policy: RetryPolicy,
}

impl Bench {
    fn new(attempts: u32) -> Bench {
        Bench { task: Task::new(at(0)), now: 0, policy: RetryPolicy { attempts, ..RetryPolicy::default() } }
    }

    fn ask(&mut self, command: &Command) -> Result<Answer, Refused> {
        let (task, answer) = self.task.apply(command, &self.policy, at(self.now), u32::MAX)?;
        self.task = task;
        Ok(answer)
    }

    fn claim(&mut self, number: u128) -> LeaseNumber {
        match self.ask(&Command::Claim { worker: worker(number), lease: LEASE }) {
            Ok(Answer::Leased(lease)) => lease,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_worker_that_was_replaced_changes_nothing_any_more() {
    let mut bench = Bench::new(5);
    let first = bench.claim(1);
    bench.now = 29;
    assert_eq!(bench.ask(&Command::Reclaim), Err(Refused::Leased(at(30))));
    bench.now = 30;
    bench.ask(&Command::Reclaim).unwrap();
    let Life::Queued { not_before } = bench.task.life else { panic!("{:?}", bench.task) };
    assert_eq!(not_before, at(32), "the whole of the first wait");
    assert_eq!(
        bench.ask(&Command::Claim { worker: worker(2), lease: LEASE }),
        Err(Refused::NotDue(not_before))
    );
    bench.now = 32;
    let second = bench.claim(2);
    assert!(second > first);
    let before = bench.task.clone();
    for late in [
        Command::Heartbeat { lease_number: first, lease: LEASE },
        Command::Complete { lease_number: first },
        Command::Fail { lease_number: first, failure: failure(Retry::Later) },
        Command::HandBack { lease_number: first, not_before: None },
    ] {
        assert!(matches!(bench.ask(&late), Err(Refused::Fenced { .. })), "{late:?}");
        assert_eq!(bench.task, before);
    }
    bench.ask(&Command::Complete { lease_number: second }).unwrap();
    assert_eq!((bench.task.life, bench.task.attempts), (Life::Completed, 2));
}

#[test]
fn a_lease_that_ran_out_still_holds_until_somebody_takes_it_away() {
    let mut bench = Bench::new(5);
    let lease_number = bench.claim(1);
    bench.now = 90;
    assert_eq!(
        bench.ask(&Command::Heartbeat { lease_number, lease: LEASE }),
        Ok(Answer::Leased(lease_number))
    );
    assert_eq!(bench.ask(&Command::Reclaim), Err(Refused::Leased(at(120))));
    bench.ask(&Command::Complete { lease_number }).unwrap();
}

#[test]
fn what_cannot_be_done_yet_waits_until_it_can() {
    let mut bench = Bench::new(5);
    let lease_number = bench.claim(1);
    bench.ask(&Command::HandBack { lease_number, not_before: Some(at(1_000)) }).unwrap();
    assert_eq!((bench.task.life, bench.task.attempts), (Life::Queued { not_before: at(1_000) }, 0));
    let mut bench = Bench::new(5);
    bench.now = 50;
    let lease_number = bench.claim(1);
    bench.ask(&Command::HandBack { lease_number, not_before: Some(at(1)) }).unwrap();
    assert_eq!(bench.task.life, Life::Queued { not_before: at(50) }, "not before now");
}

#[test]
fn workers_that_die_use_attempts_up_and_workers_that_leave_do_not() {
    let mut bench = Bench::new(3);
    for _ in 0..10 {
        let lease_number = bench.claim(1);
        bench.ask(&Command::HandBack { lease_number, not_before: None }).unwrap();
    }
    assert_eq!(bench.task.attempts, 0);
    for attempt in 1..=3 {
        bench.claim(1);
        assert_eq!(bench.task.attempts, attempt);
        bench.now += 10_000;
        bench.ask(&Command::Reclaim).unwrap();
        bench.now += 10_000;
    }
    assert_eq!(bench.task.life, Life::Dead { why: Death::Attempts });
    assert!(bench.task.last_failure.as_ref().unwrap().contains("not heard of"));
    assert!(bench.ask(&Command::Claim { worker: worker(1), lease: LEASE }).is_err());
    bench.ask(&Command::Redrive).unwrap();
    assert_eq!((bench.task.attempts, bench.task.redriven), (0, 1));
    bench.claim(2);
    assert_eq!(bench.task.lease, LeaseNumber(14), "numbers grow over all lives");
}

#[test]
fn a_policy_that_was_lowered_holds_for_whoever_waits() {
    let mut bench = Bench::new(5);
    for _ in 0..2 {
        let lease_number = bench.claim(1);
        bench.ask(&Command::Fail { lease_number, failure: failure(Retry::Later) }).unwrap();
        bench.now += 10_000;
    }
    bench.policy.attempts = 2;
    assert_eq!(bench.ask(&Command::Claim { worker: worker(1), lease: LEASE }), Ok(Answer::Done));
    assert_eq!(bench.task.life, Life::Dead { why: Death::Attempts });
}

#[test]
fn failures_say_when_to_try_again() {
    for (retry, life) in [
        (Retry::Never, Life::Dead { why: Death::Terminal }),
        (Retry::Later, Life::Queued { not_before: at(2) }),
        (Retry::NotBefore(Duration::from_secs(1)), Life::Queued { not_before: at(2) }),
        (Retry::NotBefore(Duration::from_secs(60)), Life::Queued { not_before: at(60) }),
    ] {
        let mut bench = Bench::new(5);
        let lease_number = bench.claim(1);
        bench.ask(&Command::Fail { lease_number, failure: failure(retry) }).unwrap();
        assert_eq!(bench.task.life, life, "{retry:?}");
        assert_eq!(bench.task.last_failure.as_deref(), Some("the name server does not answer"));
    }
}

#[test]
fn waits_double_to_the_cap_and_lie_anywhere_below() {
    let policy = RetryPolicy { attempts: 9, base: Duration::from_secs(2), cap: Duration::from_secs(20) };
    let longest: Vec<u64> = (1..=6).map(|attempts| policy.wait(attempts, u32::MAX).as_secs()).collect();
    assert_eq!(longest, [2, 4, 8, 16, 20, 20]);
    assert_eq!(policy.wait(4, 0), Duration::ZERO);
    assert_eq!(policy.wait(u32::MAX, u32::MAX), policy.cap);
    let half = policy.wait(4, u32::MAX / 2).as_secs_f64();
    assert!((7.9..8.1).contains(&half), "{half}");
}

#[test]
fn what_nobody_wants_is_not_begun_and_stops_at_the_next_heartbeat() {
    let mut queued = Bench::new(5);
    queued.ask(&Command::Cancel).unwrap();
    assert_eq!(queued.task.life, Life::Cancelled);
    assert!(queued.ask(&Command::Claim { worker: worker(1), lease: LEASE }).is_err());

    for end in ["hand back", "fail", "lost"] {
        let mut bench = Bench::new(5);
        let lease_number = bench.claim(1);
        bench.ask(&Command::Cancel).unwrap();
        bench.now = 20;
        assert_eq!(bench.ask(&Command::Heartbeat { lease_number, lease: LEASE }), Ok(Answer::StopWork));
        bench.now = 30;
        let ended = match end {
            "hand back" => bench.ask(&Command::HandBack { lease_number, not_before: None }),
            "fail" => bench.ask(&Command::Fail { lease_number, failure: failure(Retry::Later) }),
            _ => bench.ask(&Command::Reclaim),
        };
        assert_eq!((ended, &bench.task.life), (Ok(Answer::Done), &Life::Cancelled), "{end}");
    }
    let mut quick = Bench::new(5);
    let lease_number = quick.claim(1);
    quick.ask(&Command::Cancel).unwrap();
    quick.ask(&Command::Complete { lease_number }).unwrap();
    assert_eq!(quick.task.life, Life::Completed, "a result is a result");
}

fn commands() -> impl Strategy<Value = Vec<(u8, u8, u8, u32)>> {
    proptest::collection::vec((0_u8..9, 0_u8..4, 0_u8..60, any::<u32>()), 1..200)
}

proptest! {
    /// Three workers, each of which believes in the last claim that it got, a reaper and a person, in any order.
    #[test]
    fn whoever_asks_whatever_the_result_is_committed_once(commands in commands(), attempts in 1_u32..5) {
        let policy = RetryPolicy { attempts, ..RetryPolicy::default() };
        let mut task = Task::new(at(0));
        let (mut now, mut claims, mut completions) = (0_i64, [LeaseNumber::NONE; 3], 0);
        let mut given = BTreeSet::new();
        for (what, who, later, dice) in commands {
            now += i64::from(later);
            let who = usize::from(who % 3);
            let lease_number = claims[who];
            let command = match what {
                0 | 1 => Command::Claim { worker: worker(who as u128), lease: LEASE },
                2 => Command::Heartbeat { lease_number, lease: LEASE },
                3 => Command::Complete { lease_number },
                4 => Command::Fail { lease_number, failure: failure(Retry::Later) },
                5 => Command::HandBack { lease_number, not_before: dice.is_multiple_of(2).then_some(at(now + 9)) },
                6 => Command::Reclaim,
                7 if dice % 8 == 0 => Command::Cancel,
                _ => Command::Redrive,
            };
            let before = task.clone();
            let Ok((after, answer)) = task.apply(&command, &policy, at(now), dice) else { continue };
            if let (Command::Claim { .. }, Answer::Leased(number)) = (&command, answer) {
                prop_assert!(given.insert(number), "lease {number} was given twice");
                prop_assert!(number > before.lease, "leases grow");
                prop_assert_eq!(before.life.word(), "queued", "only what waits is given away");
                claims[who] = number;
            }
            let own = match &command {
                Command::Heartbeat { lease_number, .. }
                | Command::Complete { lease_number }
                | Command::Fail { lease_number, .. }
                | Command::HandBack { lease_number, .. } => *lease_number == before.lease,
                _ => true,
            };
            prop_assert!(own, "{command:?} of an older lease changed {before:?}");
            completions += u32::from(after.life == Life::Completed);
            prop_assert!(after.attempts <= attempts, "{after:?}");
            prop_assert!(after.lease >= before.lease);
            if before.life.has_ended() {
                prop_assert_eq!(&command, &Command::Redrive);
                prop_assert_eq!(before.life.word(), "dead");
            }
            task = after;
        }
        prop_assert!(completions <= 1, "{completions} results");
    }
}
