//! The platform in several processes while its broker is emptied, goes silent and dies: what is asked for at the gateway is answered at
//! once and done, only later than with it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use serde_json::Value;
use testkit::proxy::TcpProxy;

use super::PATIENCE;
use crate::{installation::Installation, run::text};

/// How long an answer may take: much longer than it does, and not as long as somebody waits for a broker.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

const SCOPE: &str = "authorised_by = \"test\"\nnetworks = [\"127.0.0.0/8\"]\n";

/// A role that runs until it is dropped.
struct Role(Child);

impl Drop for Role {
    fn drop(&mut self) {
        // It is gone already when it could not bear it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts one, and gives where it says that it listens.
fn start(installation: &Installation, broker: &TcpProxy, words: &[&str]) -> (Role, Receiver<String>) {
    let mut command = installation.command(words);
    command.env("RAMPART_DOORBELL", format!("redis://{}", broker.address()));
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let said = BufReader::new(child.stderr.take().unwrap()).lines();
    let (sender, listens) = channel();
    // What it logs is read to its end: nobody waits for room in the pipe.
    std::thread::spawn(move || {
        for line in said.map_while(Result::ok) {
            if let Some((_, url)) = line.split_once("listens on http://") {
                let end =
                    url.find(|character: char| !character.is_ascii_digit() && !".:".contains(character));
                let _ = sender.send(url[..end.unwrap_or(url.len())].to_owned());
            }
        }
    });
    (Role(child), listens)
}

fn ask(address: &str, key: &str, method: &str, path: &str, body: &str) -> Value {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "{method} /api/v1/{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(begun.elapsed() < ANSWERED_WITHIN, "{path}: {:?}", begun.elapsed());
    assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[test]
fn without_its_broker_nothing_is_lost_and_only_later() {
    let installation = Installation::start(SCOPE);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let broker = runtime.block_on(TcpProxy::start(installation.broker.address()));
    let created = installation.command(&["key", "create", "test", "--role", "owner"]).output().unwrap();
    let key = text(&created.stdout).trim().to_owned();
    let (_gateway, listens) = start(&installation, &broker, &["gateway", "--listen", "127.0.0.1:0"]);
    let address = listens.recv_timeout(PATIENCE).unwrap();
    let _worker = start(&installation, &broker, &["worker"]);
    let _orchestrator = start(&installation, &broker, &["orchestrator"]);
    let submission = r#"{"targets":["127.0.0.1:9"],"request":{"scope":"test","stages":["ports"]}}"#;
    for what in ["nothing", "emptied", "silent", "cut", "dead", "back"] {
        match what {
            "emptied" => installation.broker.flush(),
            "silent" => broker.stall(true),
            "cut" => {
                broker.stall(false);
                runtime.block_on(broker.cut());
            }
            "dead" => installation.broker.kill(),
            "back" => installation.broker.start_again(),
            _ => {}
        }
        let scans: Vec<String> = (0..3)
            .map(|_| ask(&address, &key, "POST", "scans", submission)["id"].as_str().unwrap().to_owned())
            .collect();
        let until = Instant::now() + PATIENCE;
        for scan in &scans {
            if what == "emptied" {
                installation.broker.flush();
            }
            while ask(&address, &key, "GET", &format!("scans/{scan}"), "")["state"] != "ended" {
                assert!(Instant::now() < until, "{what}: scan {scan} does not end");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}
