//! Measures the resolver: `resolve_bulk 127.0.0.1:5300 names.txt` asks a name server about every name of a file and prints
//! names a second, what was answered, and the peak memory.
#![allow(clippy::print_stdout, reason = "it prints what it measured")]

use std::{
    error::Error,
    fs::{self, File},
    io::{BufRead, BufReader},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use hickory_proto::rr::RecordType;
use model::{Limits, Profile, Scope};
use scanner::{
    dns::{Chain, Lookup, Resolver},
    socket::Dialer,
};
use tokio_util::sync::CancellationToken;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(server), Some(file)) = (arguments.next(), arguments.next()) else {
        return Err("usage: resolve_bulk SERVER:PORT FILE".into());
    };
    let server: SocketAddr = server.parse()?;
    let limits = Limits { queries_per_second: u32::MAX, ..Profile::Standard.limits() };
    let scope = Scope { resolvers: vec![server], ..Scope::loopback() };
    let resolver = Resolver::new(Dialer::new(scope, limits, CancellationToken::new()), vec![server]);
    let names =
        BufReader::new(File::open(file)?).lines().map_while(Result::ok).filter_map(|line| line.parse().ok());
    let counts: Arc<[AtomicU64; 5]> = Arc::default();
    let seen = counts.clone();
    let begin = Instant::now();
    let sink = move |name, lookup| {
        let kind = match lookup {
            Lookup::Found(message) if !Chain::follow(&message, &name).addresses.is_empty() => 0,
            Lookup::Found(_) | Lookup::Empty => 1,
            Lookup::Missing => 2,
            Lookup::Referred(_) => 3,
            Lookup::Undetermined(_) => 4,
        };
        seen[kind].fetch_add(1, Ordering::Relaxed);
    };
    if let Err(failure) = resolver.bulk(names, RecordType::A, sink).await {
        return Err(format!("{failure:?}").into());
    }
    let took = begin.elapsed();
    let count = |kind: usize| counts[kind].load(Ordering::Relaxed);
    let all: u64 = (0..5).map(count).sum();
    let queries = resolver.dialer().counters().queries.load(Ordering::Relaxed);
    println!("{all} names in {took:?}: {:.0} names/s, {queries} queries", all as f64 / took.as_secs_f64());
    println!(
        "{} found, {} empty, {} missing, {} referred, {} undetermined",
        count(0),
        count(1),
        count(2),
        count(3),
        count(4)
    );
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("VmHWM: unknown");
    println!("peak memory {}", peak.trim_start_matches("VmHWM:").trim());
    Ok(())
}
