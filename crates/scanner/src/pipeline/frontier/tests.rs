use super::*;

fn frontier(stages: &[Stage]) -> Frontier {
    Frontier::new(stages.iter().copied().collect(), Scope::loopback(), 3)
}

fn units(frontier: &mut Frontier) -> Vec<String> {
    let mut units: Vec<String> =
        std::iter::from_fn(|| frontier.next_unit()).map(|unit| unit.to_string()).collect();
    units.sort();
    units
}

fn found(name: &str, address: &str) -> FoundName {
    FoundName {
        name: name.parse().unwrap(),
        source: Source::WordList,
        addresses: vec![address.parse().unwrap()],
        apex: false,
        alias: false,
    }
}

fn web(address: &str, port: u16) -> Service {
    Service {
        endpoint: Endpoint { name: None, address: address.parse().unwrap(), port },
        protocol: Protocol::HTTP,
        product: None,
        version: None,
        cpe: None,
        banner: String::new(),
        tls: None,
    }
}

#[test]
fn each_stage_feeds_the_next() {
    let mut frontier = frontier(&Stage::ALL);
    frontier.add_target(&"acme.test".parse().unwrap());
    let names = frontier.next_unit().unwrap();
    assert_eq!(names.to_string(), "names below acme.test");
    frontier
        .learn(&names, &Learned { found: vec![found("www.acme.test", "127.0.0.9")], ..Learned::default() });
    let ports = frontier.next_unit().unwrap();
    assert_eq!(ports.to_string(), "ports of 127.0.0.9");
    assert_eq!(
        units(&mut frontier),
        Vec::<String>::new(),
        "nobody asked for the name: it is no zone and no alias"
    );
    frontier.learn(&ports, &Learned { open: vec![8080], ..Learned::default() });
    let identify = frontier.next_unit().unwrap();
    assert_eq!(identify.to_string(), "service 127.0.0.9:8080");
    let mentioned = vec![("dev.acme.test".parse().unwrap(), Source::Certificate)];
    frontier.learn(
        &identify,
        &Learned { service: Some(web("127.0.0.9", 8080)), mentioned, ..Learned::default() },
    );
    assert_eq!(
        units(&mut frontier),
        [
            "checks of http://www.acme.test:8080/ at 127.0.0.9",
            "checks of service 127.0.0.9:8080",
            "name dev.acme.test",
            "pages of http://www.acme.test:8080/ at 127.0.0.9",
        ]
    );
}

#[test]
fn a_further_name_of_a_known_address_brings_its_sites_only() {
    let mut frontier = frontier(&[Stage::Ports, Stage::Check]);
    frontier.add_target(&"a.test".parse().unwrap());
    let name = frontier.next_unit().unwrap();
    frontier.learn(&name, &Learned { found: vec![found("a.test", "127.0.0.9")], ..Learned::default() });
    let ports = Unit::Ports { address: "127.0.0.9".parse().unwrap(), name: None, expected: true };
    frontier.learn(&ports, &Learned { service: Some(web("127.0.0.9", 80)), ..Learned::default() });
    units(&mut frontier);
    frontier.learn(&name, &Learned { found: vec![found("b.test", "127.0.0.9")], ..Learned::default() });
    assert_eq!(units(&mut frontier), ["checks of http://b.test/ at 127.0.0.9"]);
    frontier.learn(&name, &Learned { found: vec![found("b.test", "127.0.0.9")], ..Learned::default() });
    assert_eq!(units(&mut frontier), Vec::<String>::new());
}

#[test]
fn names_that_nobody_asked_for_are_bounded_and_within_the_zone() {
    let mut frontier = frontier(&Stage::ALL);
    frontier.add_target(&"acme.test".parse().unwrap());
    let unit = frontier.next_unit().unwrap();
    let mention = |text: &str| (text.parse().unwrap(), Source::Page);
    let mentioned =
        ["x.other.test", "a.acme.test", "b.acme.test", "a.acme.test", "c.acme.test", "d.acme.test"]
            .map(mention);
    frontier.learn(&unit, &Learned { mentioned: mentioned.to_vec(), ..Learned::default() });
    assert_eq!(units(&mut frontier), ["name a.acme.test", "name b.acme.test", "name c.acme.test"]);
}

#[test]
fn addresses_outside_the_scope_are_not_followed() {
    let mut frontier = frontier(&[Stage::Discover, Stage::Ports]);
    frontier.add_target(&"acme.test".parse().unwrap());
    let unit = frontier.next_unit().unwrap();
    frontier.learn(&unit, &Learned { found: vec![found("acme.test", "192.0.2.1")], ..Learned::default() });
    assert_eq!(units(&mut frontier), Vec::<String>::new());
}

#[test]
fn a_url_is_its_own_site() {
    let mut frontier = frontier(&[Stage::Check]);
    frontier.add_target(&"http://127.0.0.1:8080/app/".parse().unwrap());
    frontier.add_target(&"https://a.test/".parse().unwrap());
    let unit = frontier.next_unit().unwrap();
    assert_eq!(unit.to_string(), "name a.test");
    frontier.learn(&unit, &Learned { found: vec![found("a.test", "127.0.0.2")], ..Learned::default() });
    assert_eq!(
        units(&mut frontier),
        [
            "checks of http://127.0.0.1:8080/app/ at 127.0.0.1",
            "checks of https://a.test/ at 127.0.0.2",
            "checks of name a.test",
        ]
    );
}

#[test]
fn a_name_that_an_address_points_back_at_is_looked_up() {
    let mut frontier = frontier(&Stage::ALL);
    frontier.add_target(&"127.0.0.9".parse().unwrap());
    let ports = frontier.next_unit().unwrap();
    let mentioned = vec![("host9.acme.test".parse().unwrap(), Source::Pointer)];
    frontier.learn(&ports, &Learned { mentioned, ..Learned::default() });
    assert_eq!(units(&mut frontier), ["name host9.acme.test"]);
}

#[test]
fn who_wants_names_only_sends_nothing_to_hosts() {
    let mut frontier = frontier(&[Stage::Discover]);
    frontier.add_target(&"acme.test".parse().unwrap());
    let names = frontier.next_unit().unwrap();
    frontier
        .learn(&names, &Learned { found: vec![found("www.acme.test", "127.0.0.9")], ..Learned::default() });
    frontier.add_target(&"127.0.0.8".parse().unwrap());
    assert_eq!(units(&mut frontier), Vec::<String>::new());
}

#[test]
fn a_name_that_is_only_in_scope_brings_its_sites_where_we_look_anyway_and_no_further_hosts() {
    let mut scope = Scope::loopback();
    scope.names.push("*.partner.test".parse().unwrap());
    let mut frontier = Frontier::new(Stage::ALL.into_iter().collect(), scope, 3);
    frontier.add_target(&"127.0.0.9".parse().unwrap());
    let ports = frontier.next_unit().unwrap();
    assert_eq!(ports.to_string(), "ports of 127.0.0.9");
    let mentioned = vec![("www.partner.test".parse().unwrap(), Source::Certificate)];
    frontier.learn(&ports, &Learned { mentioned, service: Some(web("127.0.0.9", 80)), ..Learned::default() });
    let waiting = units(&mut frontier);
    assert!(waiting.contains(&"name www.partner.test".to_owned()), "{waiting:?}");
    let addresses = ["127.0.0.9", "127.0.0.10"].map(|address| address.parse().unwrap()).to_vec();
    let name = FoundName { addresses, ..found("www.partner.test", "127.0.0.9") };
    frontier.learn(&ports, &Learned { found: vec![name], ..Learned::default() });
    assert_eq!(
        units(&mut frontier),
        ["checks of http://www.partner.test/ at 127.0.0.9", "pages of http://www.partner.test/ at 127.0.0.9",]
    );
}

#[test]
fn a_target_that_was_met_before_is_looked_at_all_the_same() {
    let mut frontier = frontier(&Stage::ALL);
    frontier.add_target(&"acme.test".parse().unwrap());
    let names = frontier.next_unit().unwrap();
    let learned =
        Learned { mentioned: vec![("app.acme.test".parse().unwrap(), Source::Page)], ..Learned::default() };
    frontier.learn(&names, &learned);
    let name = frontier.next_unit().unwrap();
    assert_eq!(name.to_string(), "name app.acme.test");
    let ports = frontier.next_unit();
    frontier
        .learn(&name, &Learned { found: vec![found("app.acme.test", "127.0.0.9")], ..Learned::default() });
    assert_eq!(ports, None);
    assert_eq!(units(&mut frontier), ["ports of 127.0.0.9"]);
    for (target, brings) in [
        (
            "http://app.acme.test:8443/login",
            &[
                "checks of http://app.acme.test:8443/login at 127.0.0.9",
                "checks of name app.acme.test",
                "pages of http://app.acme.test:8443/login at 127.0.0.9",
            ][..],
        ),
        ("http://app.acme.test:8443/login", &[]),
        ("app.acme.test:9000", &["service 127.0.0.9:9000"]),
    ] {
        frontier.add_target(&target.parse().unwrap());
        assert_eq!(units(&mut frontier), brings, "{target}");
    }
}

#[test]
fn two_names_of_one_port_are_two_sites_and_a_port_that_was_asked_for_brings_no_others() {
    let mut frontier = frontier(&[Stage::Ports, Stage::Check]);
    for target in ["a.test:80", "b.test:80", "127.0.0.9:81"] {
        frontier.add_target(&target.parse().unwrap());
    }
    let lookups: Vec<Unit> = std::iter::from_fn(|| frontier.next_unit()).collect();
    for port in [80, 81] {
        frontier.learn(&lookups[0], &Learned { service: Some(web("127.0.0.9", port)), ..Learned::default() });
    }
    for name in ["a.test", "b.test"] {
        frontier.learn(&lookups[0], &Learned { found: vec![found(name, "127.0.0.9")], ..Learned::default() });
    }
    let sites: Vec<String> =
        units(&mut frontier).into_iter().filter(|unit| unit.starts_with("checks of http")).collect();
    assert_eq!(
        sites,
        [
            "checks of http://127.0.0.9:81/ at 127.0.0.9",
            "checks of http://a.test/ at 127.0.0.9",
            "checks of http://b.test/ at 127.0.0.9"
        ]
    );
}

#[test]
fn a_silent_address_of_a_network_leaves_nothing_behind_and_is_looked_at_again_when_a_name_leads_there() {
    let mut frontier = frontier(&Stage::ALL);
    for last in 1..=200 {
        frontier.add_address_of_network([127, 0, 5, last].into());
        let unit = frontier.next_unit().unwrap();
        frontier.learn(&unit, &Learned::default());
    }
    assert_eq!((frontier.visited.len(), frontier.hosts.len()), (0, 0));
    frontier.add_target(&"acme.test".parse().unwrap());
    let names = frontier.next_unit().unwrap();
    frontier.learn(&names, &Learned { found: vec![found("acme.test", "127.0.5.7")], ..Learned::default() });
    assert_eq!(units(&mut frontier), ["checks of name acme.test", "ports of 127.0.5.7"]);
}
