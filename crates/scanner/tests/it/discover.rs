//! Discovery in zones full of names that only seem to exist.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
};

use model::{DomainName, Limits, NamePattern, Profile, Scope, Source};
use scanner::{
    discover::{self, DiscoverOptions, DiscoverReport, Discovery, WordList},
    dns::Resolver,
    socket::Dialer,
};
use testkit::dns::NameServer;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

fn name(text: &str) -> DomainName {
    text.parse().unwrap()
}

fn resolver(server: &NameServer, scope: Scope) -> Resolver {
    let servers = vec![server.address()];
    let scope = Scope { resolvers: servers.clone(), ..scope };
    let limits = Limits { queries_per_second: 1_000_000, ..Profile::Standard.limits() };
    Resolver::new(Dialer::new(scope, limits, CancellationToken::new()), servers)
}

/// Everything found below a domain with these words, as it runs in a task of its own.
async fn search(
    zone: &str,
    domain: &str,
    words: &[&str],
    recurse: bool,
) -> (BTreeMap<String, Discovery>, DiscoverReport) {
    let server = NameServer::start(zone).await;
    let resolver = resolver(&server, Scope::loopback());
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{}", words.join("\n")).unwrap();
    let words = WordList::none().with_file(file.path()).unwrap();
    let options = DiscoverOptions { words, brute_force: true, recurse };
    let (sender, mut found) = mpsc::channel(8);
    let domain = name(domain);
    let search = tokio::spawn(async move { discover::domain(&resolver, &domain, &options, sender).await });
    let mut all = BTreeMap::new();
    while let Some(discovery) = found.recv().await {
        let twice = all.insert(discovery.name.to_string(), discovery);
        assert!(twice.is_none(), "found twice: {twice:?}");
    }
    (all, search.await.unwrap())
}

fn names(found: &BTreeMap<String, Discovery>) -> Vec<&str> {
    found.keys().map(String::as_str).collect()
}

#[tokio::test]
async fn a_domain_comes_with_its_records_and_what_is_below() {
    let zone = "
        example.test     SOA
        @                A      127.0.0.1
        @                NS     ns1.example.test.
        @                MX     10 mail.example.test.
        @                TXT    \"v=spf1 -all\"
        @                CAA    0 issue \"ca.test\"
        ns1              A      127.0.0.53
        www              CNAME  web.example.test.
        web              A      127.0.0.2
        web              AAAA   ::1
        inner.deep       A      127.0.0.3
        forgotten        CNAME  gone.example.test.
        _ldap._tcp       SRV    0 5 389 dc.example.test.
        dc               A      127.0.0.4
        rubbish          BYTES  no record at all
    ";
    let words = ["www", "web", "deep", "forgotten", "ns1", "nothing", "not a label", "rubbish"];
    let (found, report) = search(zone, "example.test", &words, false).await;
    assert_eq!(
        names(&found),
        [
            "_ldap._tcp.example.test",
            "deep.example.test",
            "example.test",
            "forgotten.example.test",
            "ns1.example.test",
            "web.example.test",
            "www.example.test"
        ]
    );
    let domain = &found["example.test"];
    let records = |kind: &str| {
        domain.records.get(kind).map_or(Vec::new(), |records| records.iter().map(String::as_str).collect())
    };
    assert_eq!(domain.source, Source::Target);
    assert_eq!(records("A"), ["127.0.0.1"]);
    assert_eq!(records("MX"), ["10 mail.example.test"]);
    assert_eq!(records("TXT"), ["\"v=spf1 -all\""]);
    assert_eq!(records("CAA"), ["0 issue \"ca.test\""]);
    assert_eq!(records("SOA").len(), 1);
    let related: BTreeSet<&str> = domain.related.iter().map(DomainName::as_str).collect();
    assert_eq!(related, ["mail.example.test", "ns.example.test", "ns1.example.test"].into());

    let www = &found["www.example.test"];
    assert_eq!((www.source, &www.records["CNAME"]), (Source::WordList, &vec!["web.example.test".to_owned()]));
    assert_eq!(www.addresses, ["127.0.0.2".parse::<std::net::IpAddr>().unwrap(), "::1".parse().unwrap()]);
    assert_eq!(www.dangling, None);
    assert_eq!(found["forgotten.example.test"].dangling, Some(name("gone.example.test")));
    assert_eq!(found["_ldap._tcp.example.test"].related, [name("dc.example.test")]);

    assert_eq!((report.exists, report.wildcards.as_slice()), (Some(true), [].as_slice()));
    let undetermined: Vec<&str> = report.undetermined.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(undetermined, ["rubbish.example.test"]);
}

const TRAPS: [&str; 10] =
    ["www", "api", "mail", "dev", "nothing", "qqq", "zzz", "deep.er", "www.dev", "nope.dev"];

/// In each zone only the names given are really there.
#[tokio::test]
async fn below_a_wildcard_only_what_answers_differently_is_found() {
    for (wildcard, kind) in [
        ("* A 127.0.9.9", "one address"),
        ("* A 127.0.9.9\n* AAAA ::1", "two types"),
        ("* CNAME parked.example.test.\nparked A 127.0.9.9", "an alias"),
        ("* CNAME nobody.elsewhere.test.", "an alias to elsewhere"),
        ("* CNAME gone.example.test.", "an alias that dangles"),
        ("* POOL 2 127.0.9.1 127.0.9.2 127.0.9.3 127.0.9.4 127.0.9.5", "a pool"),
        ("* CNAME pool.example.test.\npool POOL 1 127.0.9.1 127.0.9.2 127.0.9.3", "an alias to a pool"),
        ("* TXT \"anything\"", "another type"),
        ("* AAAA ::1", "IPv6 only"),
        ("*.dev A 127.0.9.9", "further below"),
        ("* A 127.0.9.9\n*.dev A 127.0.8.8", "two levels"),
        ("* A 127.0.9.9\n*.dev CNAME parked.example.test.\nparked A 127.0.9.9", "two levels, differently"),
    ] {
        let zone = format!(
            "example.test SOA\n{wildcard}\nwww A 127.0.0.1\napi CNAME www.example.test.\ndev A 127.0.0.3\nwww.dev A 127.0.0.4\n"
        );
        let (found, report) = search(&zone, "example.test", &TRAPS, false).await;
        let really = [
            "api.example.test",
            "dev.example.test",
            "example.test",
            "www.dev.example.test",
            "www.example.test",
        ];
        assert_eq!(names(&found), really, "{kind}");
        assert!(report.undetermined.is_empty(), "{kind}: {report:?}");
        assert!(!report.wildcards.is_empty(), "{kind}: {report:?}");
    }
}

#[tokio::test]
async fn a_large_pool_behind_a_wildcard_is_no_host() {
    let pool: String = (1..=60).map(|index| format!(" 127.0.9.{index}")).collect();
    let zone = format!("example.test SOA\n* POOL 3{pool}\nwww A 127.0.0.1\n");
    let words: Vec<String> = (0..300).map(|index| format!("w{index}")).chain(["www".to_owned()]).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (found, report) = search(&zone, "example.test", &words, false).await;
    assert_eq!(names(&found), ["example.test", "www.example.test"]);
    assert_eq!(report.wildcards, [name("example.test")]);
}

#[tokio::test]
async fn failing_and_delegated_names_are_undetermined_and_no_hosts() {
    let (found, report) = search(
        "example.test SOA\n* RCODE SERVFAIL\nwww A 127.0.0.1\n",
        "example.test",
        &["www", "api"],
        false,
    )
    .await;
    assert_eq!(names(&found), ["example.test", "www.example.test"]);
    assert!(
        report.undetermined.iter().any(|(at, why)| *at == name("example.test") && why.contains("fails")),
        "{report:?}"
    );

    let zone = "test SOA\nexample REFER ns.elsewhere.test.\n";
    let (found, report) = search(zone, "example.test", &["www", "api"], false).await;
    assert_eq!(names(&found), ["example.test"]);
    assert_eq!(found["example.test"].records["NS"], ["ns.elsewhere.test"]);
    assert!(report.undetermined.iter().any(|(_, why)| why.contains("delegates")), "{report:?}");
}

#[tokio::test]
async fn below_names_that_were_found_the_usual_words_are_tried_too() {
    let zone = "example.test SOA\nteam A 127.0.0.1\nwww.team A 127.0.0.2\n*.shop A 127.0.9.9\nshop A 127.0.0.3\napi.shop A 127.0.0.4\n";
    let (found, report) = search(zone, "example.test", &["team", "shop"], true).await;
    let really = [
        "api.shop.example.test",
        "example.test",
        "shop.example.test",
        "team.example.test",
        "www.team.example.test",
    ];
    assert_eq!(names(&found), really);
    assert_eq!(report.wildcards, [name("shop.example.test")]);
}

#[tokio::test]
async fn a_domain_that_does_not_exist_is_left_alone() {
    let (found, report) = search("example.test SOA\n", "gone.example.test", &["www"], true).await;
    assert!(found.is_empty());
    assert_eq!((report.exists, report.undetermined.as_slice()), (Some(false), [].as_slice()));
}

#[tokio::test]
async fn excluded_names_are_not_asked_about() {
    let server = NameServer::start(
        "example.test SOA\nwww A 127.0.0.1\nsecret A 127.0.0.2\nmail CNAME secret.example.test.\n",
    )
    .await;
    let scope = Scope {
        names: vec![NamePattern::Exact(name("example.test")), NamePattern::Below(name("example.test"))],
        excluded_names: vec![NamePattern::Exact(name("secret.example.test"))],
        ..Scope::loopback()
    };
    let resolver = resolver(&server, scope);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "www\nsecret\nmail").unwrap();
    let words = WordList::none().with_file(file.path()).unwrap();
    let (sender, mut found) = mpsc::channel(8);
    let options = DiscoverOptions { words, brute_force: true, recurse: false };
    let report = discover::domain(&resolver, &name("example.test"), &options, sender).await;
    let mut given = BTreeMap::new();
    while let Some(discovery) = found.recv().await {
        given.insert(discovery.name.to_string(), discovery.related);
    }
    assert_eq!(given.keys().collect::<Vec<_>>(), ["example.test", "mail.example.test", "www.example.test"]);
    assert_eq!(given["mail.example.test"], []);
    assert_eq!(report.undetermined, []);
    let asked = server.asked();
    assert!(asked.iter().all(|asked| !asked.starts_with("secret")), "{asked:?}");
}

#[tokio::test]
async fn single_names_and_addresses_are_looked_up() {
    let server =
        NameServer::start("test SOA\nexample A 127.0.0.1\nold.example CNAME gone.example.test.\n").await;
    let forward = resolver(&server, Scope::loopback());
    let found = discover::name(&forward, &name("example.test"), Source::Certificate).await.unwrap();
    assert_eq!((found.source, found.addresses.len()), (Source::Certificate, 1));
    let old = discover::name(&forward, &name("old.example.test"), Source::Page).await.unwrap();
    assert_eq!(old.dangling, Some(name("gone.example.test")));
    assert!(discover::name(&forward, &name("none.example.test"), Source::Page).await.is_err());

    let server = NameServer::start(
        "127.in-addr.arpa SOA\n7.0.0 PTR www.example.test.\n7.0.0 PTR mail.example.test.\n",
    )
    .await;
    let backward = resolver(&server, Scope::loopback());
    let names = discover::reverse(&backward, "127.0.0.7".parse().unwrap()).await;
    assert_eq!(names, Ok(vec![name("mail.example.test"), name("www.example.test")]));
    assert_eq!(discover::reverse(&backward, "127.0.0.8".parse().unwrap()).await, Ok(Vec::new()));
    assert!(discover::reverse(&backward, "192.0.2.1".parse().unwrap()).await.is_err());
}
