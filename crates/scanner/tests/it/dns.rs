//! The resolver against name servers that answer, misbehave and lie.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use checks::exchange::{DnsRequest, Failure};
use hickory_proto::rr::RecordType;
use model::{DomainName, FailReason, Limits, NamePattern, Profile, Scope, SkipReason};
use scanner::{
    dns::{Chain, Lookup, Resolver},
    socket::Dialer,
};
use testkit::dns::{Behaviour, NameServer};
use tokio_util::sync::CancellationToken;

const ZONE: &str = "
    example.test  SOA
    @             NS     ns
    @             MX     10 mail.example.test.
    @             TXT    \"v=spf1 -all\"
    ns            A      127.0.0.53
    www           A      127.0.0.1
    www           AAAA   ::1
    alias         CNAME  www.example.test.
    chain         CNAME  alias.example.test.
    dangling      CNAME  gone.example.test.
    outside       CNAME  www.elsewhere.test.
    loop          CNAME  pool.example.test.
    pool          CNAME  loop.example.test.
    self          CNAME  self.example.test.
    deep.below    A      127.0.0.7
    broken        RCODE  SERVFAIL
    shy           DROP   2
    shy           A      127.0.0.4
    silent        DROP   1000000
    child         REFER  ns.elsewhere.test.
    rubbish       BYTES  no record at all
    v6only        AAAA   2001:db8::1
";

fn name(text: &str) -> DomainName {
    text.parse().unwrap()
}

fn limits() -> Limits {
    Limits { queries_per_second: 1_000_000, ..Profile::Standard.limits() }
}

fn resolver(servers: &[SocketAddr], limits: Limits) -> Resolver {
    let scope = Scope { resolvers: servers.to_vec(), ..Scope::loopback() };
    Resolver::new(Dialer::new(scope, limits, CancellationToken::new()), servers.to_vec())
}

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn request(name: &str, record_type: &str) -> DnsRequest {
    DnsRequest {
        name: name.to_owned(),
        record_type: record_type.to_owned(),
        class: "IN".to_owned(),
        recursion: true,
    }
}

/// Every name with what became of it: `found`, `empty`, `missing`, `referred` or the reason why not.
async fn work_off(resolver: &Resolver, names: Vec<DomainName>) -> BTreeMap<String, String> {
    let results = Arc::new(Mutex::new(BTreeMap::new()));
    let sink = results.clone();
    let note = move |name: DomainName, lookup: Lookup| {
        let text = match lookup {
            Lookup::Found(message) => format!("{:?}", Chain::follow(&message, &name).addresses),
            Lookup::Empty => "empty".to_owned(),
            Lookup::Missing => "missing".to_owned(),
            Lookup::Referred(_) => "referred".to_owned(),
            Lookup::Undetermined(failure) => format!("undetermined: {failure:?}"),
        };
        let before = sink.lock().unwrap().insert(name.to_string(), text);
        assert_eq!(before, None, "{name} was reported twice");
    };
    resolver.bulk(names.into_iter(), RecordType::A, note).await.unwrap();
    std::mem::take(&mut *results.lock().unwrap())
}

#[tokio::test]
async fn names_lead_to_addresses_through_aliases_in_scope() {
    let server = NameServer::start(ZONE).await;
    let resolver = resolver(&[server.address()], limits());
    for (asked, expected) in [
        ("www.example.test", vec!["127.0.0.1", "::1"]),
        ("chain.example.test", vec!["127.0.0.1", "::1"]),
        ("deep.below.example.test", vec!["127.0.0.7"]),
        ("v6only.example.test", vec!["2001:db8::1"]),
        ("shy.example.test", vec!["127.0.0.4"]),
        ("127.0.0.9", vec!["127.0.0.9"]),
        ("app.localhost", vec!["127.0.0.1", "::1"]),
    ] {
        assert_eq!(resolver.addresses(&name(asked)).await, Ok(addresses(&expected)), "{asked}");
    }
    let before = server.queries();
    assert_eq!(resolver.addresses(&name("chain.example.test")).await, Ok(addresses(&["127.0.0.1", "::1"])));
    assert_eq!(server.queries(), before, "a known name was asked about again");
}

#[tokio::test]
async fn why_a_name_has_no_address_is_said() {
    let server = NameServer::start(ZONE).await;
    let resolver = resolver(&[server.address()], limits());
    for (asked, reason, says) in [
        ("gone.example.test", FailReason::Unresolved, "`gone.example.test` does not exist"),
        (
            "dangling.example.test",
            FailReason::Unresolved,
            "`gone.example.test`, to which `dangling.example.test` leads, does not exist",
        ),
        ("below.example.test", FailReason::Unresolved, "has no address"),
        ("loop.example.test", FailReason::Unresolved, "circle"),
        ("self.example.test", FailReason::Unresolved, "circle"),
        ("broken.example.test", FailReason::Unresolved, "SERVFAIL"),
        ("child.example.test", FailReason::Unresolved, "delegates"),
        ("rubbish.example.test", FailReason::Protocol, "not a DNS message"),
        ("www.elsewhere.test", FailReason::Unresolved, "REFUSED"),
    ] {
        match resolver.addresses(&name(asked)).await {
            Err(Failure::Failed(given, text)) => {
                assert_eq!(given, reason, "{asked}: {text}");
                assert!(text.contains(says), "{asked}: {text}");
            }
            other => panic!("{asked}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn names_out_of_scope_are_never_asked_about() {
    let server = NameServer::start(ZONE).await;
    let scope = Scope {
        names: vec![
            NamePattern::Exact(name("outside.example.test")),
            NamePattern::Below(name("below.example.test")),
        ],
        resolvers: vec![server.address()],
        ..Scope::loopback()
    };
    let resolver =
        Resolver::new(Dialer::new(scope, limits(), CancellationToken::new()), vec![server.address()]);
    for asked in ["outside.example.test", "www.example.test"] {
        let refused = resolver.addresses(&name(asked)).await;
        assert!(matches!(refused, Err(Failure::OutOfScope(_))), "{asked}: {refused:?}");
    }
    let refused = resolver.query(&request("www.example.test", "A")).await;
    assert!(matches!(refused, Err(Failure::OutOfScope(_))), "{refused:?}");
    let names = vec![name("www.example.test"), name("deep.below.example.test")];
    let results = work_off(&resolver, names).await;
    assert!(results["www.example.test"].contains("OutOfScope"), "{results:?}");
    assert_eq!(results["deep.below.example.test"], "[127.0.0.7]");
    let asked = server.asked();
    assert!(asked.iter().all(|asked| !asked.contains("www") && !asked.contains("elsewhere")), "{asked:?}");

    let stranger = NameServer::start(ZONE).await;
    let refused = resolver.dialer().clone();
    let other = Resolver::new(refused, vec![stranger.address()]);
    // Also those who come when it is known already that no server may be asked.
    for _ in 0..2 {
        let answer = other.addresses(&name("deep.below.example.test")).await;
        assert!(matches!(answer, Err(Failure::OutOfScope(_))), "{answer:?}");
        let results = work_off(&other, vec![name("deep.below.example.test")]).await;
        assert!(results["deep.below.example.test"].contains("OutOfScope"), "{results:?}");
    }
    assert_eq!(stranger.queries(), 0);
}

#[tokio::test]
async fn checks_get_the_whole_answer_in_presentation_form() {
    let server = NameServer::start(ZONE).await;
    let resolver = resolver(&[server.address()], limits());
    let response = resolver.query(&request("example.test", "TXT")).await.unwrap();
    assert_eq!((response.rcode.as_str(), response.flags.as_str()), ("NOERROR", "qr aa rd"));
    assert_eq!(response.question, "example.test. IN TXT");
    assert_eq!(response.resolver, Some(server.address()));
    let record = &response.answers[0];
    assert_eq!(
        (record.name.as_str(), record.class.as_str(), record.record_type.as_str()),
        ("example.test.", "IN", "TXT")
    );
    assert_eq!((record.ttl, record.data.as_str()), (60, "\"v=spf1 -all\""));

    let response = resolver.query(&request("example.test", "mx")).await.unwrap();
    assert_eq!(response.answers[0].data, "10 mail.example.test.");
    let response = resolver.query(&request("gone.example.test", "A")).await.unwrap();
    assert_eq!(
        (response.rcode.as_str(), response.answers.len(), response.authority.len()),
        ("NXDOMAIN", 0, 1)
    );
    let response = resolver.query(&request("broken.example.test", "A")).await.unwrap();
    assert_eq!(response.rcode, "SERVFAIL");
    let silent = resolver.query(&request("silent.example.test", "A")).await;
    assert!(matches!(silent, Err(Failure::Failed(FailReason::TimedOut, _))), "{silent:?}");
    let wrong = resolver.query(&request("www.example.test", "NONSENSE")).await;
    assert!(matches!(wrong, Err(Failure::Failed(_, ref text)) if text.contains("NONSENSE")), "{wrong:?}");
}

#[tokio::test]
async fn forged_answers_do_not_count() {
    let behaviour = Behaviour { forgeries: true, copies: 2, ..Behaviour::default() };
    let server = NameServer::behaving(ZONE, behaviour).await;
    let resolver = resolver(&[server.address()], limits());
    for _ in 0..20 {
        assert!(matches!(resolver.lookup(&name("www.example.test"), RecordType::A).await, Lookup::Found(_)));
    }
    let results = work_off(&resolver, vec![name("www.example.test"), name("gone.example.test")]).await;
    assert_eq!(results["www.example.test"], "[127.0.0.1]");
    assert_eq!(results["gone.example.test"], "missing");
}

/// A zone of `count` hosts, and a list that has as many names again that do not exist.
fn many(count: usize) -> (String, Vec<DomainName>, BTreeMap<String, String>) {
    let address = |index: usize| format!("127.0.{}.{}", index / 250, 1 + index % 250);
    let hosts = (0..count).map(|index| format!("h{index} A {}\n", address(index)));
    let zone: String = ["many.test SOA\n".to_owned()].into_iter().chain(hosts).collect();
    let names = (0..count * 2).map(|index| name(&format!("h{index}.many.test"))).collect();
    let expected = (0..count * 2).map(|index| {
        let right = if index < count { format!("[{}]", address(index)) } else { "missing".to_owned() };
        (format!("h{index}.many.test"), right)
    });
    (zone, names, expected.collect())
}

fn agree(given: &BTreeMap<String, String>, expected: &BTreeMap<String, String>) {
    assert_eq!(given.len(), expected.len());
    let wrong: Vec<_> =
        expected.iter().filter(|(name, right)| given.get(*name) != Some(right)).take(5).collect();
    assert!(
        wrong.is_empty(),
        "{wrong:?} expected, not {:?}",
        wrong.iter().map(|(name, _)| &given[*name]).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_list_is_answered_name_by_name() {
    let (zone, names, expected) = many(5_000);
    let server = NameServer::start(&zone).await;
    let resolver = resolver(&[server.address()], limits());
    agree(&work_off(&resolver, names).await, &expected);
    let counted = resolver.dialer().counters().queries.load(Ordering::Relaxed);
    assert!(counted >= server.queries(), "{counted} counted, {} arrived", server.queries());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_fifth_of_all_packets_lost_every_answer_is_right() {
    let (zone, names, expected) = many(400);
    let server = NameServer::behaving(&zone, Behaviour { loss: 0.2, ..Behaviour::default() }).await;
    let resolver = resolver(&[server.address()], Limits { attempts: 25, ..limits() });
    agree(&work_off(&resolver, names).await, &expected);
}

#[tokio::test]
async fn what_cannot_be_found_out_is_never_missing() {
    let server = NameServer::start(ZONE).await;
    let resolver = resolver(&[server.address()], Limits { attempts: 1, ..limits() });
    let asked = ["broken", "silent", "child", "rubbish", "gone", "below"];
    let results =
        work_off(&resolver, asked.iter().map(|label| name(&format!("{label}.example.test"))).collect()).await;
    assert!(results["broken.example.test"].contains("SERVFAIL"), "{results:?}");
    assert!(results["silent.example.test"].contains("TimedOut"), "{results:?}");
    assert!(results["rubbish.example.test"].contains("Protocol"), "{results:?}");
    assert_eq!(results["child.example.test"], "referred");
    assert_eq!(results["gone.example.test"], "missing");
    assert_eq!(results["below.example.test"], "empty");
}

#[tokio::test]
async fn another_server_is_asked_when_one_refuses_or_is_gone() {
    let (zone, names, expected) = many(300);
    let good = NameServer::start(&zone).await;
    let refusing = NameServer::behaving(&zone, Behaviour { refuses: true, ..Behaviour::default() }).await;
    let gone = NameServer::start(&zone).await.address();
    let resolver = resolver(&[gone, refusing.address(), good.address()], limits());
    agree(&work_off(&resolver, names).await, &expected);
    assert!(refusing.queries() < 300, "the refusing server was asked {} times", refusing.queries());
}

#[tokio::test]
async fn a_server_without_edns_is_asked_without() {
    let server = NameServer::behaving(ZONE, Behaviour { without_edns: true, ..Behaviour::default() }).await;
    let resolver = resolver(&[server.address()], Limits { attempts: 1, ..limits() });
    let results = work_off(&resolver, vec![name("www.example.test"), name("gone.example.test")]).await;
    assert_eq!(results["www.example.test"], "[127.0.0.1]");
    assert_eq!(results["gone.example.test"], "missing");
}

#[tokio::test]
async fn what_does_not_fit_a_datagram_comes_over_tcp() {
    let hosts: String = (0..200).map(|index| format!("big A 127.0.1.{index}\n")).collect();
    let server = NameServer::start(&format!("example.test SOA\n{hosts}")).await;
    let resolver = resolver(&[server.address()], limits());
    let response = resolver.query(&request("big.example.test", "A")).await.unwrap();
    assert_eq!(response.answers.len(), 200);
    let results = work_off(&resolver, vec![name("big.example.test")]).await;
    assert_eq!(results["big.example.test"].split(',').count(), 200);
    assert_eq!(server.streams(), 2);
}

#[tokio::test]
async fn an_address_is_asked_for_its_names_when_it_is_in_scope() {
    let zone = "127.in-addr.arpa SOA\n7.0.0 PTR www.example.test.\n";
    let server = NameServer::start(zone).await;
    let resolver = resolver(&[server.address()], limits());
    assert!(matches!(resolver.lookup_reverse("127.0.0.7".parse().unwrap()).await, Lookup::Found(_)));
    assert!(matches!(resolver.lookup_reverse("127.0.0.8".parse().unwrap()).await, Lookup::Missing));
    let before = server.queries();
    let refused = resolver.lookup_reverse("192.0.2.1".parse().unwrap()).await;
    assert!(matches!(refused, Lookup::Undetermined(Failure::OutOfScope(_))), "{refused:?}");
    assert_eq!(server.queries(), before);
}

#[tokio::test]
async fn a_stopped_scan_asks_nothing_more() {
    let server = NameServer::behaving(
        "example.test SOA\n",
        Behaviour { delay: Duration::from_secs(3600), ..Behaviour::default() },
    )
    .await;
    let resolver = resolver(&[server.address()], Limits { queries_per_second: 200, ..limits() });
    let endless = (0u64..).map(|index| name(&format!("h{index}.example.test")));
    let stop = resolver.dialer().stop().clone();
    let stopper = async {
        while server.queries() == 0 {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(resolver.bulk(endless, RecordType::A, |_, _| {}), stopper);
    assert_eq!(ended, Err(Failure::Skipped(SkipReason::Cancelled)));
    let one = resolver.lookup(&name("www.example.test"), RecordType::A).await;
    assert!(matches!(one, Lookup::Undetermined(Failure::Skipped(SkipReason::Cancelled))), "{one:?}");
}

#[tokio::test]
async fn the_cap_on_queries_holds_seen_from_the_server() {
    let server = NameServer::start("example.test SOA\n").await;
    let resolver = resolver(&[server.address()], Limits { queries_per_second: 100, ..limits() });
    let names = (0..150).map(|index| name(&format!("h{index}.example.test")));
    let begin = std::time::Instant::now();
    resolver.bulk(names, RecordType::A, |_, _| {}).await.unwrap();
    let took = begin.elapsed();
    assert!(server.queries() >= 150);
    let most = took.as_secs_f64() * 100.0 + 2.0;
    assert!(server.queries() as f64 <= most, "{} queries in {took:?} at 100 a second", server.queries());
}
