//! A disk without room: nothing is changed by half, who reads goes on reading, and when there is room again all goes on by itself.

use std::{
    fs::File,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{PATIENCE, Up};
use crate::run::{THIS, send};

/// Room for the database, and for what is written ahead of it.
const KILOBYTES: u32 = 12 << 10;
/// Who ask for something at the same moment: what waits together is written together.
const AT_ONCE: usize = 8;
/// Rounds until there is no room: much fewer are needed.
const ROUNDS: usize = 500;

/// Status and body of an answer.
fn ask(up: &Up, key: &str, method: &str, path: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(&up.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}",
        up.address
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    assert_eq!(status == 503, head.to_ascii_lowercase().contains("\r\nretry-after: "), "{answer}");
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

/// Until nothing goes into it any more.
fn fill(file: &Path) {
    let mut file = File::create(file).unwrap();
    for size in [64 << 10, 4 << 10, 1] {
        let piece = vec![b'x'; size];
        while file.write_all(&piece).is_ok() {}
    }
}

/// Many ask for keys at the same moment; the answers.
fn make_keys(up: &Up, key: &str, made: &mut usize) -> Vec<(u16, Value)> {
    let answers: Vec<(u16, Value)> = std::thread::scope(|scope| {
        let asking = (0..AT_ONCE).map(|number| {
            let body = format!("{{\"name\":\"made {made} {number}\",\"role\":\"viewer\"}}", made = *made);
            scope.spawn(move || ask(up, key, "POST", "/api/v1/keys", &body))
        });
        let asking: Vec<_> = asking.collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    *made += answers.iter().filter(|(status, _)| *status == 201).count();
    answers
}

/// What is on the disk is whole, as it would be found if the power went now.
fn require_as_told(up: &Up, key: &str, disk: &Path, made: usize) {
    let (status, listed) = ask(up, key, "GET", "/api/v1/keys?limit=500", "");
    assert_eq!(status, 200, "{listed}");
    // One more is the administrator's.
    assert_eq!(listed["keys"].as_array().unwrap().len(), made + 1);
    let copy = tempfile::tempdir().unwrap();
    send(Signal::SIGSTOP, &up.child);
    for name in ["rampart.db", "rampart.db-wal"] {
        std::fs::copy(disk.join("rampart-data").join(name), copy.path().join(name)).unwrap();
    }
    send(Signal::SIGCONT, &up.child);
    let database = rusqlite::Connection::open(copy.path().join("rampart.db")).unwrap();
    let ask = |sql: &str| database.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(ask("PRAGMA integrity_check"), "ok");
    let told = ask("SELECT CAST(count(*) AS TEXT) FROM audit WHERE action = 'key.create'");
    assert_eq!(told, (made + 1).to_string());
}

#[test]
fn a_full_disk_refuses_changes_lets_read_and_goes_on_when_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let script = format!(
        "mount -t tmpfs -o size={KILOBYTES}k none . && cd $PWD && exec {THIS} up --listen 127.0.0.1:0 \
         --address-rate 100000 --key-rate 100000 --tenant-rate 100000 --log warn"
    );
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]).current_dir(&directory);
    let up = Up::of(command);
    let key = up.key();
    // The disk as the process sees it.
    let disk = PathBuf::from(format!("/proc/{}/cwd", up.child.id()));
    let filler = disk.join("filler");
    let mut made = 0;
    assert!(make_keys(&up, &key, &mut made).iter().all(|(status, _)| *status == 201));

    for _ in 0..2 {
        fill(&filler);
        let mut refused = Vec::new();
        for _ in 0..ROUNDS {
            let answers = make_keys(&up, &key, &mut made);
            refused.extend(answers.into_iter().filter(|(status, _)| *status != 201));
            if refused.len() > 2 * AT_ONCE {
                break;
            }
        }
        assert!(refused.len() > 2 * AT_ONCE, "there is room for all");
        for (status, told) in &refused {
            assert_eq!((*status, &told["code"]), (503, &"unavailable".into()), "{told}");
            let detail = told["detail"].as_str().unwrap();
            assert!(detail.contains("no room"), "{told}");
            assert!(told["hint"].is_string() && !told.to_string().contains("rampart.db"), "{told}");
        }
        for path in ["/health", "/ready", "/api/v1/me", "/api/v1/scans", "/api/v1/audit", "/api/v1/keys"] {
            let (status, told) = ask(&up, &key, "GET", path, "");
            assert_eq!(status, 200, "{path}: {told}");
        }
        std::fs::remove_file(&filler).unwrap();
        let until = Instant::now() + PATIENCE;
        while !make_keys(&up, &key, &mut made).iter().all(|(status, _)| *status == 201) {
            assert!(Instant::now() < until, "it does not go on");
        }
        require_as_told(&up, &key, &disk, made);
    }
    up.end();
}
