use proptest::prelude::*;

use super::*;

fn scope(text: &str) -> Scope {
    toml::from_str::<ScopeFile>(text).unwrap().into_scope().unwrap()
}

fn now() -> jiff::Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn ask(scope: &Scope, name: Option<&str>, address: &str, port: u16) -> Result<(), Refusal> {
    let name: Option<DomainName> = name.map(|name| name.parse().unwrap());
    scope.permits(Destination { name: name.as_ref(), address: address.parse().unwrap(), port }, now())
}

const FILE: &str = r#"
authorised_by = "J. Doe, SEC-1"
names = ["example.com", "*.example.com"]
networks = ["192.0.2.0/24", "10.1.0.0/16", "2001:db8::/32"]
[exclude]
names = ["pay.example.com"]
networks = ["10.1.9.0/24", "192.0.2.7"]
ports = "25"
"#;

#[test]
fn without_a_file_only_loopback_passes() {
    let scope = Scope::loopback();
    assert_eq!(ask(&scope, None, "127.9.9.9", 80), Ok(()));
    assert_eq!(ask(&scope, Some("anything.test"), "127.0.0.1", 80), Ok(()));
    assert_eq!(ask(&scope, None, "::1", 443), Ok(()));
    assert_eq!(ask(&scope, None, "::ffff:127.0.0.1", 443), Ok(()));
    for address in ["192.0.2.1", "10.0.0.1", "8.8.8.8", "::2", "fd00::1", "::ffff:10.0.0.1"] {
        assert!(matches!(ask(&scope, None, address, 80), Err(Refusal::Address(_))), "{address}");
        assert!(matches!(ask(&scope, Some("localhost"), address, 80), Err(Refusal::Address(_))), "{address}");
    }
}

#[test]
fn names_bring_their_public_addresses_and_no_others() {
    let scope = scope(FILE);
    assert_eq!(ask(&scope, Some("www.example.com"), "203.0.113.5", 443), Ok(()));
    assert_eq!(ask(&scope, Some("www.example.com"), "10.1.2.3", 443), Ok(()));
    assert!(matches!(
        ask(&scope, Some("www.example.com"), "10.2.0.1", 443),
        Err(Refusal::PrivateAddress { .. })
    ));
    assert!(matches!(
        ask(&scope, Some("www.example.com"), "127.0.0.1", 443),
        Err(Refusal::PrivateAddress { .. })
    ));
    assert!(matches!(ask(&scope, Some("other.test"), "192.0.2.1", 443), Err(Refusal::Name(_))));
    assert!(matches!(ask(&scope, None, "203.0.113.5", 443), Err(Refusal::Address(_))));
}

#[test]
fn addresses_that_embed_others_are_where_their_packets_go() {
    for address in ["64:ff9b::127.0.0.1", "2002:7f00:1::1", "::127.0.0.1"] {
        assert!(matches!(ask(&Scope::loopback(), None, address, 80), Err(Refusal::Address(_))), "{address}");
    }
    let scope = scope(FILE);
    for (address, passes) in [
        ("64:ff9b::203.0.113.5", true),
        ("2002:cb00:7105::1", true),
        ("64:ff9b::10.2.0.1", false),
        ("64:ff9b::10.1.0.1", false),
        ("2002:a02:1::1", false),
        ("::203.0.113.5", false),
        ("2001:0:cb00:7105::1", false),
        ("64:ff9b:1::a9fe:a9fe", false),
        ("fec0::1", false),
        ("2606::1", true),
    ] {
        assert_eq!(ask(&scope, Some("www.example.com"), address, 80).is_ok(), passes, "{address}");
    }
    assert!(matches!(
        ask(&scope, Some("www.example.com"), "64:ff9b::10.1.9.9", 80),
        Err(Refusal::Excluded(_))
    ));
}

#[test]
fn networks_in_mapped_form_mean_ipv4() {
    let scope = scope(
        "authorised_by = \"x\"\nnetworks = [\"10.0.0.0/8\", \"::ffff:192.168.1.0/120\"]\n[exclude]\nnetworks = [\"::ffff:10.1.0.1\"]\n",
    );
    assert!(matches!(ask(&scope, None, "10.1.0.1", 80), Err(Refusal::Excluded(_))));
    assert!(ask(&scope, None, "10.1.0.2", 80).is_ok());
    assert!(ask(&scope, None, "192.168.1.9", 80).is_ok());
    assert!(ask(&scope, None, "192.168.2.9", 80).is_err());
}

#[test]
fn a_network_that_is_excluded_as_a_whole_is_refused_at_once() {
    let scope = scope(
        "authorised_by = \"x\"\nnetworks = [\"10.0.0.0/8\"]\n[exclude]\nnetworks = [\"10.1.0.0/16\"]\n",
    );
    let target = |text: &str| scope.permits_target(&text.parse().unwrap());
    assert!(matches!(target("10.1.2.0/24"), Err(Refusal::Excluded(_))));
    assert_eq!(target("10.0.0.0/8"), Ok(()));
}

#[test]
fn exclusions_win() {
    let scope = scope(FILE);
    for (name, address, port) in [
        (Some("pay.example.com"), "203.0.113.5", 443),
        (None, "192.0.2.7", 443),
        (None, "10.1.9.9", 443),
        (Some("www.example.com"), "10.1.9.9", 443),
    ] {
        assert!(matches!(ask(&scope, name, address, port), Err(Refusal::Excluded(_))), "{name:?} {address}");
    }
    assert_eq!(ask(&scope, None, "192.0.2.8", 25), Err(Refusal::Port(25)));
}

#[test]
fn fragile_ports_need_to_be_named() {
    assert_eq!(ask(&Scope::loopback(), None, "127.0.0.1", 9100), Err(Refusal::Port(9100)));
    let base = "authorised_by = \"x\"\nnetworks = [\"192.0.2.0/24\"]\n";
    assert!(ask(&scope(base), None, "192.0.2.1", 502).is_err());
    assert!(ask(&scope(&format!("{base}ports = \"all\"")), None, "192.0.2.1", 502).is_err());
    for (ports, port, meant) in [
        ("80,502", 502, true),
        ("1-65535,9100", 9100, true),
        ("1-65535,9100", 502, false),
        ("1-1000", 515, false),
        ("80,443,9000-9200", 9100, false),
        ("9100-9107", 9103, true),
    ] {
        let scope = scope(&format!("{base}ports = \"{ports}\""));
        assert_eq!(ask(&scope, None, "192.0.2.1", port).is_ok(), meant, "{ports}: {port}");
    }
}

#[test]
fn some_addresses_pass_no_scope() {
    let everything =
        scope("authorised_by = \"x\"\nnetworks = [\"0.0.0.0/0\", \"::/0\"]\nnames = [\"example.com\"]");
    assert_eq!(ask(&everything, None, "9.9.9.9", 80), Ok(()));
    for address in [
        "169.254.169.254",
        "169.254.1.1",
        "fd00:ec2::254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "0.0.0.0",
        "0.1.2.3",
        "255.255.255.255",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "::",
        "ff02::1",
        "fe80::1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "::169.254.169.254",
        "fd20:ce::254",
    ] {
        let through_a_name = ask(&everything, Some("example.com"), address, 80);
        assert!(matches!(ask(&everything, None, address, 80), Err(Refusal::Never { .. })), "{address}");
        assert!(matches!(through_a_name, Err(Refusal::Never { .. })), "{address}");
    }
}

#[test]
fn windows_open_and_close() {
    let at = |scope: &Scope, time: &str| scope.permits_time(time.parse().unwrap()).is_ok();
    let base = "authorised_by = \"x\"\nnames = [\"example.com\"]\n[window]\n";
    let night = scope(&format!("{base}daily = \"22:00-06:00\"\nutc_offset = \"+02:00\""));
    assert!(at(&night, "2026-03-01T20:00:00Z"));
    assert!(at(&night, "2026-03-01T03:59:00Z"));
    assert!(!at(&night, "2026-03-01T04:00:00Z"));
    assert!(!at(&night, "2026-03-01T19:59:59Z"));
    let period =
        scope(&format!("{base}not_before = \"2026-03-01T00:00:00Z\"\nnot_after = \"2026-03-02T00:00:00Z\""));
    assert!(!at(&period, "2026-02-28T23:59:59Z"));
    assert!(at(&period, "2026-03-01T00:00:00Z"));
    assert!(!at(&period, "2026-03-02T00:00:00Z"));
}

#[test]
fn a_bad_file_says_what_is_wrong() {
    for (text, says) in [
        ("names = [\"a.test\"]", "authorised_by"),
        ("authorised_by = \"x\"\nnetwork = []", "unknown field `network`"),
        ("authorised_by = \"x\"\nnetworks = [\"10.0.0.0/99\"]", "10.0.0.0/99"),
        ("authorised_by = \"x\"\nports = \"70000\"", "70000"),
    ] {
        let error = toml::from_str::<ScopeFile>(text).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    for (text, expected) in [
        ("authorised_by = \" \"\nnames = [\"a.test\"]", ScopeFileError::NobodyAuthorised),
        ("authorised_by = \"x\"", ScopeFileError::Empty),
        (
            "authorised_by = \"x\"\nnames = [\"a.test\"]\n[window]\ndaily = \"night\"",
            ScopeFileError::Daily("night".into()),
        ),
        (
            "authorised_by = \"x\"\nnames = [\"a.test\"]\n[window]\nutc_offset = \"CET\"",
            ScopeFileError::Offset("CET".into()),
        ),
    ] {
        assert_eq!(toml::from_str::<ScopeFile>(text).unwrap().into_scope(), Err(expected));
    }
}

#[test]
fn ceilings_lower_and_never_raise() {
    let limits = crate::Profile::Standard.limits();
    let text = "authorised_by = \"x\"\nnames = [\"a.test\"]\n[limits]\nrequests_per_second = 5\nconnections = 9999999";
    let lowered = scope(text).ceilings.lower(&limits);
    assert_eq!(lowered, crate::Limits { requests_per_second: 5, ..limits });
}

#[test]
fn only_the_named_resolvers_are_asked() {
    let mut scope = Scope::loopback();
    let resolver: SocketAddr = "127.0.0.53:53".parse().unwrap();
    assert_eq!(scope.permits_resolver(resolver), Err(Refusal::Resolver(resolver)));
    scope.resolvers.push(resolver);
    assert_eq!(scope.permits_resolver(resolver), Ok(()));
    let metadata: SocketAddr = "169.254.169.254:53".parse().unwrap();
    scope.resolvers.push(metadata);
    assert!(matches!(scope.permits_resolver(metadata), Err(Refusal::Never { .. })));
}

#[test]
fn a_scope_is_stored_as_it_is_and_a_file_never_means_every_name() {
    let filled = Scope {
        authorised_by: Some("J. Doe".to_owned()),
        names: vec!["example.com".parse().unwrap(), "*.example.com".parse().unwrap()],
        excluded_ports: "25".parse().unwrap(),
        resolvers: vec!["127.0.0.1:53".parse().unwrap()],
        ..Scope::loopback()
    };
    for scope in [Scope::loopback(), filled] {
        let stored = serde_json::to_string(&scope).unwrap();
        assert_eq!(serde_json::from_str::<Scope>(&stored).unwrap(), scope, "{stored}");
    }
    for file in [
        "authorised_by = 'me'\nnames = ['*']",
        "authorised_by = 'me'\nnames = ['a.test']\nexclude.names = ['*']",
    ] {
        let error = toml::from_str::<ScopeFile>(file).unwrap_err().to_string();
        assert!(error.contains("`*`"), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn no_spelling_of_a_forbidden_address_passes(bits in any::<u128>(), v4 in any::<u32>(), form in 0..5u8) {
        let v4 = std::net::Ipv4Addr::from(v4);
        let [a, b, c, d] = v4.octets();
        let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let v6 = |segments: [u16; 8]| IpAddr::V6(std::net::Ipv6Addr::from(segments));
        let address = match form {
            0 => IpAddr::V4(v4),
            1 => v6([0, 0, 0, 0, 0, 0xffff, high, low]),
            2 => v6([0x64, 0xff9b, 0, 0, 0, 0, high, low]),
            3 => v6([0x2002, high, low, 1, 0, 0, 0, 1]),
            _ => IpAddr::V6(std::net::Ipv6Addr::from(bits)),
        };
        let allowed = ask(&Scope::loopback(), None, &address.to_string(), 80).is_ok();
        // Mapped addresses are IPv4 on the wire; packets to the other forms leave this machine.
        prop_assert_eq!(allowed, address.to_canonical().is_loopback(), "{}", address);
    }
}

#[test]
fn a_file_that_is_sent_on_says_the_same() {
    let text = FILE.to_owned()
        + "[window]\nnot_before = \"2026-01-01T00:00:00Z\"\ndaily = \"22:00-06:00\"\nutc_offset = \"+02:00\"\n\
           [limits]\nconnections = 7\n";
    // A fragile port counts where it stands by itself: the text of the ports says more than the set.
    let text = format!("ports = \"1-65535,9100\"\n{text}");
    let file: ScopeFile = toml::from_str(&text).unwrap();
    let sent: ScopeFile = serde_json::from_str(&serde_json::to_string(&file).unwrap()).unwrap();
    assert_eq!(sent, file);
    let scope = sent.into_scope().unwrap();
    assert_eq!(Ok(&scope), file.into_scope().as_ref());
    assert!(scope.ports.contains(9100) && !scope.ports.contains(9101));
}
