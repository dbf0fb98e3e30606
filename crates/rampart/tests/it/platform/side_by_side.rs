//! A thousand scans at the same moment in one process.

use std::{
    collections::BTreeSet,
    io,
    net::Ipv4Addr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use model::{CheckId, Profile, ScanId, ScanLife, ScanRequest, Stage, TenantId, scan::ScanEnd};
use store::{Location, NewScan, ScanFilter, Store};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use super::{PATIENCE, Up};

const SCANS: usize = 1_000;
/// What each of them finds, in one request.
const CHECK: &str = "apache-server-status";
const PAGE: &str = "<h1>Apache Server Status for a</h1>Server Version: Apache/2.4.1 Server uptime: 1 day";

#[derive(Debug, Default)]
struct State {
    /// Scans that wait for an answer now.
    waiting: BTreeSet<String>,
    /// The most at one moment, as long as nobody was answered.
    most: usize,
    open: bool,
}

/// Sites that answer nobody until a thousand different scans wait for them at the same moment.
struct Barrier {
    port: u16,
    state: Arc<watch::Sender<State>>,
    _sites: JoinSet<()>,
}

impl Barrier {
    /// One address for each scan, all with the same port.
    async fn start() -> Barrier {
        let state = Arc::<watch::Sender<State>>::default();
        let mut sites = JoinSet::new();
        let mut port = 0;
        for number in 0..SCANS {
            let listener = TcpListener::bind((address(number), port)).await.unwrap();
            port = listener.local_addr().unwrap().port();
            let state = Arc::clone(&state);
            sites.spawn(async move {
                let mut talks = JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    talks.spawn(talk(stream, Arc::clone(&state)));
                    while talks.try_join_next().is_some() {}
                }
            });
        }
        Barrier { port, state, _sites: sites }
    }

    fn most(&self) -> usize {
        self.state.borrow().most
    }
}

fn address(number: usize) -> Ipv4Addr {
    let [.., high, low] = u32::try_from(number + 1).unwrap().to_be_bytes();
    Ipv4Addr::new(127, 97, high, low)
}

/// Which scan it is stands in the `User-Agent`.
fn scan_of(head: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(head);
    Some(head.split("(security scan ").nth(1)?.split(')').next()?.to_owned())
}

async fn talk(mut stream: TcpStream, state: Arc<watch::Sender<State>>) -> io::Result<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let scan = scan_of(&head).expect("every request says which scan it is of");
        state.send_modify(|state| {
            state.waiting.insert(scan.clone());
            state.most = state.most.max(state.waiting.len());
            state.open |= state.waiting.len() == SCANS;
        });
        let mut changes = state.subscribe();
        tokio::select! {
            open = changes.wait_for(|state| state.open) => drop(open.expect("the sender is held")),
            // It waits no longer, so it is not at the same moment as those who come now.
            _ = stream.read_buf(&mut head) => {
                state.send_modify(|state| {
                    state.waiting.remove(&scan);
                });
                return Ok(());
            }
        }
        let found = head.starts_with(b"GET /server-status ");
        let (status, body) = if found { ("200 OK", PAGE) } else { ("404 Not Found", "") };
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await?;
    }
}

async fn submit(store: &Store, tenant: TenantId, port: u16) -> BTreeSet<ScanId> {
    let mut submitting = JoinSet::new();
    for number in 0..SCANS {
        let request = ScanRequest {
            stages: [Stage::Check].into(),
            only: [CheckId::new(CHECK)].into(),
            profile: Profile::Deep,
            ..ScanRequest::within("loopback")
        };
        let targets = vec![format!("http://{}:{port}/", address(number)).parse().unwrap()];
        let new = NewScan { request, targets, by: "test".into(), checks: "1".to_owned(), price: None };
        let store = store.clone();
        submitting.spawn(async move { store.submit_scan(tenant, new).await.unwrap().0 });
    }
    submitting.join_all().await.into_iter().collect()
}

/// The most memory that the process has had, in mebibytes.
fn peak_memory(process: u32) -> u64 {
    let status =
        std::fs::read_to_string(Path::new("/proc").join(process.to_string()).join("status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1_024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_scans_stand_side_by_side_in_one_process() {
    let descriptors = scanner::socket::raise_descriptor_limit();
    let needed = 3 * u64::try_from(SCANS).unwrap();
    assert!(
        descriptors > needed,
        "{needed} descriptors are needed, {descriptors} are allowed: see `ulimit -Hn`"
    );
    let directory = tempfile::tempdir().unwrap();
    tokio::task::block_in_place(|| Up::start(directory.path(), &[]).end());
    let location = Location::Sqlite(directory.path().join("rampart-data/rampart.db"));
    let store = Store::open(&location).await.unwrap();
    let tenant = store.tenant_named("default").await.unwrap().id;
    let barrier = Barrier::start().await;
    let scans = submit(&store, tenant, barrier.port).await;
    assert_eq!(scans.len(), SCANS);

    let begun = Instant::now();
    let arguments = ["--concurrency", "1000", "--drain", "1ms"];
    let up = tokio::task::block_in_place(|| Up::start(directory.path(), &arguments));
    let mut last = 0;
    let ended = tokio::time::timeout(PATIENCE, async {
        let running = ScanFilter { running: true, ..ScanFilter::default() };
        let mut look = tokio::time::interval(Duration::from_millis(50));
        while !store.scans(tenant, running.clone(), 1).await.unwrap().is_empty() {
            last = barrier.most();
            look.tick().await;
        }
    });
    ended.await.unwrap_or_else(|_| panic!("at most {last} of {SCANS} scans stood side by side"));
    let (took, peak) = (begun.elapsed(), peak_memory(up.child.id()));
    println!("{SCANS} scans at the same moment, all ended {took:.1?} after the start, {peak} MiB at most");
    tokio::task::block_in_place(|| up.end());

    assert_eq!(barrier.most(), SCANS);
    let records = store.scans(tenant, ScanFilter::default(), 2 * SCANS).await.unwrap();
    assert_eq!(records.iter().map(|record| record.id).collect::<BTreeSet<_>>(), scans);
    for record in records {
        assert!(matches!(record.life, ScanLife::Ended { end: ScanEnd::Complete, .. }), "{record:?}");
        assert_eq!((record.findings, record.open_tasks, record.dead_tasks), (1, 0, 0), "{record:?}");
    }
}
