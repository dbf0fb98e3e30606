//! The scripts of the doorbell as they are mounted, with Debian's Redis: the password becomes another one, and nobody is started anew.

use std::{
    fs,
    io::{BufRead, BufReader, Lines, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use crate::renders;

const PATIENCE: Duration = Duration::from_secs(180);
const ALL: [&str; 3] = ["doorbell-0", "doorbell-1", "doorbell-2"];

/// A shell among pods that have the configuration of an overlay. They end with this value.
struct Pods {
    shell: Child,
    tells: ChildStdin,
    hears: Lines<BufReader<ChildStdout>>,
    _configuration: tempfile::TempDir,
}

impl Pods {
    fn of(overlay: &str) -> Pods {
        let configuration = tempfile::tempdir().unwrap();
        let maps = renders::overlay(overlay).manifests.of_kind("ConfigMap");
        let map = maps.filter(|map| map.name().starts_with("doorbell-configuration")).last().unwrap();
        for (name, text) in map.at("/data").unwrap().as_object().unwrap() {
            fs::write(configuration.path().join(name), text.as_str().unwrap()).unwrap();
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/rotation/pods.sh");
        let mut shell = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "--net", "--pid", "--fork", "--kill-child"])
            .args(["--mount-proc", "sh"])
            .arg(script)
            .arg(configuration.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let tells = shell.stdin.take().unwrap();
        let hears = BufReader::new(shell.stdout.take().unwrap()).lines();
        Pods { shell, tells, hears, _configuration: configuration }
    }

    /// What a line of shell prints, and how it ends.
    fn tried(&mut self, line: &str) -> (String, String) {
        writeln!(self.tells, "{line}").unwrap();
        let mut said = String::new();
        loop {
            let next =
                self.hears.next().unwrap_or_else(|| panic!("the shell ended at {line}: {said}")).unwrap();
            match next.strip_prefix("ended ") {
                Some(status) => return (said, status.to_owned()),
                None => said.push_str(&format!("{next}\n")),
            }
        }
    }

    #[track_caller]
    fn said(&mut self, line: &str) -> String {
        let (said, status) = self.tried(line);
        assert_eq!(status, "0", "{line}: {said}");
        said
    }

    /// Asks again and again until it is so.
    #[track_caller]
    fn until(&mut self, line: &str, is_so: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (said, _) = self.tried(line);
            if is_so(&said) {
                return said;
            }
            if Instant::now() > deadline {
                panic!("{line}: {said}\n{}", self.tried("tail -n 30 /run/*.log").0);
            }
        }
    }

    fn is_let_in(&mut self, pod: &str, password: &str) -> bool {
        self.tried(&format!("ask {pod} {password} ping")).0 == "PONG\n"
    }

    /// The password becomes another one, with both let in until the one before is not.
    #[track_caller]
    fn rotate(&mut self, pods: &[&str], containers: &[&str], [before, after]: [&str; 2]) {
        self.said(&format!("secret {after}"));
        for pod in pods {
            self.until(&format!("ask {pod} {after} ping"), |said| said == "PONG\n");
            assert!(self.is_let_in(pod, before), "{pod} lets only those in who know {after}");
        }
        for pod in pods {
            for container in containers {
                let told = format!("cat /run/{pod}-{container}.log");
                self.until(&told, |said| said.contains("the password before is taken no more"));
            }
            assert!(!self.is_let_in(pod, before) && self.is_let_in(pod, after), "{pod}");
        }
    }

    /// Ends a process as a kubelet does: what the script became ends in good order.
    #[track_caller]
    fn stop(&mut self, process: &str, pod: &str) {
        let (said, status) = self.tried(&format!("kill -s TERM {process}; wait {process}"));
        assert_eq!(status, "0", "{said}");
        let log = self.said(&format!("cat /run/{pod}-redis.log"));
        assert!(log.contains("Received SIGTERM"), "{log}");
    }
}

impl Drop for Pods {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

#[test]
fn one_redis_takes_another_password_while_it_runs() {
    let mut pods = Pods::of("staging");
    pods.said("secret first");
    pods.said("pod doorbell-0");
    let process = pods.said("container doorbell-0 redis");
    pods.until("ask doorbell-0 first ping", |said| said == "PONG\n");
    pods.rotate(&ALL[..1], &["redis"], ["first", "second"]);
    // What Redis cannot be given stays out, and the one before stays.
    pods.said("secret 'third one'");
    pods.until("cat /run/doorbell-0-redis.log", |said| said.contains("the password stays as it was: ERR "));
    assert!(pods.is_let_in("doorbell-0", "second"));
    pods.said("secret third");
    pods.until("ask doorbell-0 third ping", |said| said == "PONG\n");
    pods.stop(process.trim(), "doorbell-0");
}

#[test]
fn three_redis_with_sentinel_take_another_password_and_go_on_without_the_primary() {
    let mut pods = Pods::of("production");
    pods.said("secret first");
    for pod in ALL {
        pods.said(&format!("pod {pod}"));
    }
    let processes = ALL.map(|pod| {
        pods.said(&format!("container {pod} sentinel"));
        pods.said(&format!("container {pod} redis"))
    });
    pods.until("ask doorbell-0 first info replication", |said| said.contains("connected_slaves:2"));
    for pod in ALL {
        let known =
            |said: &str| said.contains("num-slaves\n2\n") && said.contains("num-other-sentinels\n2\n");
        pods.until(&format!("within {pod} redis-cli -p 26379 sentinel master rampart"), known);
    }
    pods.rotate(&ALL, &["redis", "sentinel"], ["first", "second"]);
    let replicas = pods.said("ask doorbell-0 second info replication");
    assert!(replicas.contains("connected_slaves:2"), "{replicas}");

    // Its replicas, and the Sentinels, come to another one, and it to that.
    pods.tried(&format!("kill -s KILL {}; wait {0}", processes[0].trim()));
    let primary = "within doorbell-1 redis-cli -p 26379 sentinel get-master-addr-by-name rampart";
    let found = pods.until(primary, |said| said.starts_with("doorbell-") && !said.starts_with("doorbell-0"));
    let primary = found.split('.').next().unwrap();
    pods.until(&format!("ask {primary} second set kept yes"), |said| said == "OK\n");
    pods.said("container doorbell-0 redis");
    pods.until(&format!("ask {primary} second info replication"), |said| said.contains("connected_slaves:2"));
    pods.until("ask doorbell-0 second get kept", |said| said == "yes\n");
    let well = |said: &str| said.contains("flags\nslave\n") && !said.contains("disconnected");
    pods.until("within doorbell-1 redis-cli -p 26379 sentinel replicas rampart", well);
    let process = &processes[ALL.iter().position(|pod| *pod == primary).unwrap()];
    pods.stop(process.trim(), primary);
}
