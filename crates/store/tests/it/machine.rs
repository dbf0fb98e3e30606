//! The life of tasks as the store keeps it, against the function that decides it: whatever is asked, in whatever order, by whom.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use model::{
    LeaseNumber, NewTask, Priority, Task, TaskId, WorkerId,
    task::{Answer, Command, Life, Refused, Retry, RetryPolicy, TaskFailure},
};
use proptest::{prelude::*, sample::Index, test_runner::TestRunner};
use store::{Beat, Ending, Lease, Settlement, TaskFilter};

use crate::ground::{Ground, LEASE, Worker, exercise};

/// Which lease is shown: one of those that hold, or any that there ever was.
#[derive(Debug, Clone)]
struct Shown {
    holds: bool,
    which: Index,
}

#[derive(Debug, Clone)]
enum End {
    Completed,
    Failed(Retry),
    HandedBack { wait: Option<u64> },
}

#[derive(Debug, Clone)]
enum Step {
    Enqueue {
        attempts: u32,
        delay: u64,
        priority: Priority,
    },
    Claim {
        worker: u8,
        most: usize,
    },
    Heartbeat(Vec<Shown>),
    Settle(Vec<(Shown, End)>),
    Reclaim,
    /// One, or all.
    Cancel(Option<Index>),
    Redrive(Option<Index>),
    Advance {
        seconds: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let shown = || {
        let holds = proptest::bool::weighted(0.7);
        (holds, any::<Index>()).prop_map(|(holds, which)| Shown { holds, which })
    };
    let end = prop_oneof![
        2 => Just(End::Completed),
        3 => Just(End::Failed(Retry::Later)),
        1 => Just(End::Failed(Retry::Never)),
        1 => Just(End::Failed(Retry::NotBefore(Duration::from_secs(90)))),
        1 => Just(End::HandedBack { wait: None }),
        1 => Just(End::HandedBack { wait: Some(45) }),
    ];
    let priority = prop_oneof![Just(Priority::Low), Just(Priority::Normal), Just(Priority::Urgent)];
    let delay = prop_oneof![3 => Just(0), 1 => Just(60)];
    let one = || proptest::option::weighted(0.7, any::<Index>());
    prop_oneof![
        4 => (1..4_u32, delay, priority)
            .prop_map(|(attempts, delay, priority)| Step::Enqueue { attempts, delay, priority }),
        6 => (1..4_u8, 1..4_usize).prop_map(|(worker, most)| Step::Claim { worker, most }),
        2 => proptest::collection::vec(shown(), 1..4).prop_map(Step::Heartbeat),
        6 => proptest::collection::vec((shown(), end), 1..4).prop_map(Step::Settle),
        3 => Just(Step::Reclaim),
        1 => one().prop_map(Step::Cancel),
        2 => one().prop_map(Step::Redrive),
        4 => prop_oneof![Just(1), Just(20), Just(31), Just(700)].prop_map(|seconds| Step::Advance { seconds }),
    ]
}

/// As a store keeps it.
fn in_microseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap()
}

/// What may become of a task: nobody knows when between two looks at the clock the store decided, nor how its dice fell. The least
/// and the most of it.
#[derive(Debug, Clone, PartialEq)]
struct Outcome {
    least: Task,
    most: Task,
}

impl Outcome {
    fn sure(task: &Task) -> Outcome {
        Outcome { least: task.clone(), most: task.clone() }
    }

    fn allows(&self, task: &Task) -> bool {
        let within = |least: Timestamp, time: Timestamp, most: Timestamp| {
            in_microseconds(least) <= time && time <= most
        };
        let alike = |expected: &Task| Task { life: task.life.clone(), ..expected.clone() } == *task;
        let life = match (&self.least.life, &task.life, &self.most.life) {
            (
                Life::Queued { not_before: least },
                Life::Queued { not_before },
                Life::Queued { not_before: most },
            ) => within(*least, *not_before, *most),
            (
                Life::Running { worker: expected, until: least, cancelling: told },
                Life::Running { worker, until, cancelling },
                Life::Running { until: most, .. },
            ) => (worker, cancelling) == (expected, told) && within(*least, *until, *most),
            (least, life, most) => least == life && most == life,
        };
        life && alike(&self.least) && alike(&self.most)
    }
}

struct World {
    ground: Ground,
    tasks: BTreeMap<TaskId, Task>,
    policies: BTreeMap<TaskId, RetryPolicy>,
    /// All that there ever were.
    leases: Vec<Lease>,
}

/// What each task may have become.
type Expected = BTreeMap<TaskId, Vec<Outcome>>;

impl World {
    fn new(ground: Ground) -> World {
        World { ground, tasks: BTreeMap::new(), policies: BTreeMap::new(), leases: Vec::new() }
    }

    async fn now(&self) -> Timestamp {
        self.ground.store.clock().await.unwrap()
    }

    fn apply(
        &self,
        id: TaskId,
        task: &Task,
        command: &Command,
        [earliest, latest]: [Timestamp; 2],
    ) -> Result<(Outcome, Answer), Refused> {
        let policy = &self.policies[&id];
        let (least, answer) = task.apply(command, policy, earliest, 0)?;
        let (most, _) = task.apply(command, policy, latest, u32::MAX)?;
        Ok((Outcome { least, most }, answer))
    }

    fn unchanged(&self) -> Expected {
        self.tasks.iter().map(|(id, task)| (*id, vec![Outcome::sure(task)])).collect()
    }

    fn find(&self, shown: &Shown) -> Option<Lease> {
        let holds = |lease: &&Lease| {
            let task = &self.tasks[&lease.task];
            !shown.holds || task.lease == lease.number && matches!(task.life, Life::Running { .. })
        };
        let leases: Vec<&Lease> = self.leases.iter().filter(holds).collect();
        (!leases.is_empty()).then(|| **shown.which.get(&leases))
    }

    fn some(&self, one: &Option<Index>) -> Option<TaskFilter> {
        let ids: Vec<TaskId> = self.tasks.keys().copied().collect();
        match one {
            None => Some(TaskFilter::default()),
            Some(_) if ids.is_empty() => None,
            Some(which) => Some(TaskFilter::one(*which.get(&ids))),
        }
    }

    /// Asks the same of all that somebody means. How many that were, and what they may be now.
    fn command(&self, filter: &TaskFilter, command: &Command, window: [Timestamp; 2]) -> (u64, Expected) {
        let (mut reached, mut expected) = (0, self.unchanged());
        for (id, task) in &self.tasks {
            if !filter.ids.is_empty() && !filter.ids.contains(id) {
                continue;
            }
            if let Ok((outcome, _)) = self.apply(*id, task, command, window) {
                expected.insert(*id, vec![outcome]);
                // Whoever is cancelled already is not cancelled twice.
                let is_done = matches!(
                    (command, &task.life),
                    (Command::Cancel, Life::Running { cancelling: true, .. })
                );
                reached += u64::from(!is_done);
            }
        }
        (reached, expected)
    }

    /// Does one step, compares the answer, and says what may have become of the tasks.
    async fn step(&mut self, step: &Step) -> Expected {
        let by = || "test".to_owned();
        let (store, tenant, before) = (self.ground.store.clone(), self.ground.tenant, self.now().await);
        match step {
            Step::Advance { seconds } => {
                self.ground.advance(Duration::from_secs(*seconds)).await;
                self.unchanged()
            }
            Step::Enqueue { attempts, delay, priority } => {
                let policy = RetryPolicy { attempts: *attempts, ..RetryPolicy::default() };
                let delay = Duration::from_secs(*delay);
                let new = NewTask { policy, delay, priority: *priority, ..exercise() };
                let id = self.ground.enqueue([new]).await[0];
                let [least, most] = [before, self.now().await].map(|now| Task::new(now + delay));
                self.policies.insert(id, policy);
                let mut expected = self.unchanged();
                expected.insert(id, vec![Outcome { least, most }]);
                expected
            }
            Step::Claim { worker, most } => {
                let claimed = Worker::new(u128::from(*worker)).claim(&self.ground, *most).await;
                let window = [before, self.now().await];
                let worker = WorkerId::from_random(u128::from(*worker));
                let command = Command::Claim { worker, lease: LEASE };
                let is_due = |(id, task): &(&TaskId, &Task)| {
                    task.apply(&command, &self.policies[*id], before, 0).is_ok()
                };
                let due = self.tasks.iter().filter(is_due).count();
                assert!(claimed.len() >= due.min(*most), "{} of {due}, {most} wanted", claimed.len());
                let mut expected = self.unchanged();
                for claim in claimed {
                    let (id, task) = (claim.lease.task, &self.tasks[&claim.lease.task]);
                    // What became due while the store was asked.
                    let since = match task.life {
                        Life::Queued { not_before } => not_before.max(before),
                        _ => before,
                    };
                    let applied = self.apply(id, task, &command, [since, window[1]]);
                    let (outcome, answer) = applied.unwrap_or_else(|refused| panic!("{claim:?}: {refused}"));
                    assert_eq!(answer, Answer::Leased(claim.lease.number));
                    assert_eq!(claim.attempt, outcome.least.attempts);
                    assert_eq!(expected.insert(id, vec![outcome]), Some(vec![Outcome::sure(task)]), "once");
                    self.leases.push(claim.lease);
                }
                expected
            }
            Step::Heartbeat(shown) => {
                let leases: Vec<Lease> = shown.iter().filter_map(|shown| self.find(shown)).collect();
                let beats = store.heartbeat(leases.clone(), LEASE).await.unwrap();
                let window = [before, self.now().await];
                let mut expected = self.unchanged();
                for (lease, beat) in leases.iter().zip(beats) {
                    let command = Command::Heartbeat { lease_number: lease.number, lease: LEASE };
                    let applied = self.apply(lease.task, &self.tasks[&lease.task], &command, window);
                    let told = match applied {
                        Ok((_, Answer::StopWork)) => Beat::StopWork,
                        Ok((outcome, _)) => {
                            expected.insert(lease.task, vec![outcome]);
                            Beat::Extended
                        }
                        Err(_) => Beat::Lost,
                    };
                    assert_eq!(beat, told, "{lease:?}");
                }
                expected
            }
            Step::Settle(ends) => {
                let settlements: Vec<Settlement> = ends
                    .iter()
                    .filter_map(|(shown, end)| {
                        let lease = self.find(shown)?;
                        Some(Settlement::silent(lease, ending(end, before)))
                    })
                    .collect();
                let answers = store.settle(settlements.clone()).await.unwrap();
                assert_eq!(answers.len(), settlements.len());
                let window = [before, self.now().await];
                // One after the other, though they are said together.
                let mut settled = self.tasks.clone();
                let mut expected = self.unchanged();
                for (Settlement { lease, ending, .. }, answer) in settlements.iter().zip(answers) {
                    let command = command(lease.number, ending);
                    match self.apply(lease.task, &settled[&lease.task], &command, window) {
                        Ok((outcome, _)) => {
                            let answer = answer.unwrap();
                            assert_eq!((answer.state, answer.again), (outcome.least.life.word(), false));
                            settled.insert(lease.task, outcome.least.clone());
                            expected.insert(lease.task, vec![outcome]);
                        }
                        Err(refused) => match answer {
                            Err(told) => assert_eq!(told, refused),
                            Ok(answer) => {
                                // Asked again by whoever did not hear the answer.
                                assert!(matches!(command, Command::Complete { .. }), "{command:?}");
                                assert_eq!((answer.state, answer.again), ("completed", true));
                                let (task, shown) = (&settled[&lease.task], lease.number);
                                assert_eq!((&task.life, task.lease), (&Life::Completed, shown));
                            }
                        },
                    }
                }
                expected
            }
            Step::Reclaim => {
                let reclaimed = store.reclaim(1_000).await.unwrap();
                let window = [before, self.now().await];
                let mut expected = self.unchanged();
                let (mut least, mut most) = (0, 0);
                for (id, task) in &self.tasks {
                    let Life::Running { until, .. } = task.life else { continue };
                    let since = until.max(before);
                    if let Ok((outcome, _)) = self.apply(*id, task, &Command::Reclaim, [since, window[1]]) {
                        let may_be = expected.get_mut(id).unwrap();
                        // Was the lease over before the store was asked?
                        if until <= before {
                            may_be.clear();
                            least += 1;
                        }
                        most += 1;
                        may_be.push(outcome);
                    }
                }
                assert!((least..=most).contains(&reclaimed.tasks), "{reclaimed:?}: {least} to {most}");
                for id in &reclaimed.dead {
                    let dead = |outcome: &Outcome| outcome.least.life.word() == "dead";
                    assert!(expected[id].iter().any(dead), "{id} should not be dead");
                }
                expected
            }
            Step::Cancel(which) => {
                let Some(filter) = self.some(which) else { return self.unchanged() };
                let reached = store.cancel_tasks(tenant, filter.clone(), u64::MAX, by()).await.unwrap();
                let (wanted, expected) = self.command(&filter, &Command::Cancel, [before, self.now().await]);
                assert_eq!(reached, wanted);
                expected
            }
            Step::Redrive(which) => {
                let Some(filter) = self.some(which) else { return self.unchanged() };
                let redriven = store.redrive_tasks(tenant, filter.clone(), u64::MAX, by()).await.unwrap();
                let (wanted, expected) = self.command(&filter, &Command::Redrive, [before, self.now().await]);
                assert_eq!(redriven.tasks, wanted);
                expected
            }
        }
    }

    /// Looks at every task, and goes on from what the store says where there was a choice.
    async fn compare(&mut self, expected: Expected) {
        let store = &self.ground.store;
        let found = store.tasks(self.ground.tenant, TaskFilter::default(), None, 10_000).await.unwrap();
        let found: BTreeMap<TaskId, Task> = found.into_iter().map(|task| (task.id, task.task)).collect();
        assert!(found.keys().eq(expected.keys()), "{found:?}");
        for (id, task) in &found {
            let allowed = expected[id].iter().any(|outcome| outcome.allows(task));
            assert!(allowed, "{id} is {task:#?} instead of {:#?}", expected[id]);
        }
        self.tasks = found;
    }
}

fn ending(end: &End, now: Timestamp) -> Ending {
    match end {
        End::Completed => Ending::Completed,
        End::Failed(retry) => {
            Ending::Failed(TaskFailure { message: "the disk is on fire".to_owned(), retry: *retry })
        }
        End::HandedBack { wait } => {
            let not_before = wait.map(|wait| in_microseconds(now + Duration::from_secs(wait)));
            Ending::HandedBack { not_before }
        }
    }
}

fn command(lease_number: LeaseNumber, ending: &Ending) -> Command {
    match ending {
        Ending::Completed | Ending::Unit(_) | Ending::Package(_) => Command::Complete { lease_number },
        Ending::Failed(failure) => Command::Fail { lease_number, failure: failure.clone() },
        Ending::HandedBack { not_before } => Command::HandBack { lease_number, not_before: *not_before },
    }
}

fn the_store_does_what_the_model_says<G: Future<Output = Ground>>(cases: u32, ground: impl Fn() -> G) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let steps = proptest::collection::vec(step(), 1..60);
    let checked = TestRunner::new(config).run(&steps, |steps| {
        runtime.block_on(async {
            let mut world = World::new(ground().await);
            for step in &steps {
                let expected = world.step(step).await;
                world.compare(expected).await;
            }
        });
        Ok(())
    });
    checked.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn sqlite_does_what_the_model_says() {
    the_store_does_what_the_model_says(96, Ground::sqlite);
}

#[test]
fn postgresql_does_what_the_model_says() {
    the_store_does_what_the_model_says(12, Ground::postgres);
}
