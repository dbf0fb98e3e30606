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
    let mut frontier = frontier(&Stage::SCANNING);
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
    let mut frontier = frontier(&Stage::SCANNING);
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
    let mut frontier = frontier(&Stage::SCANNING);
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
    let mut frontier = Frontier::new(Stage::SCANNING.into_iter().collect(), scope, 3);
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
    let mut frontier = frontier(&Stage::SCANNING);
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
    let mut frontier = frontier(&Stage::SCANNING);
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

/// A frontier that is made anew for each step, from what was written down of the one before.
#[derive(Default)]
struct Momentary {
    facts: std::collections::HashMap<Subject, Fact>,
    planned: HashSet<UnitKey>,
    names_left: u32,
}

impl Momentary {
    fn begin(&self) -> Frontier {
        Frontier::new(Stage::SCANNING.into_iter().collect(), Scope::loopback(), self.names_left)
    }

    fn recall(&self, frontier: &mut Frontier, subjects: &BTreeSet<Subject>) {
        for subject in subjects {
            if let Some(fact) = self.facts.get(subject) {
                frontier.recall(subject.clone(), fact.clone());
            }
        }
    }

    /// Writes down what is known, and says what is new.
    fn end(&mut self, mut frontier: Frontier, subjects: &BTreeSet<Subject>) -> BTreeSet<String> {
        let knowledge = frontier.knowledge();
        for (subject, _) in &knowledge {
            assert!(subjects.contains(subject), "{subject} was not asked for");
        }
        for subject in subjects {
            self.facts.remove(subject);
        }
        self.facts.extend(knowledge);
        self.names_left = frontier.names_left();
        let units: Vec<Unit> = std::iter::from_fn(|| frontier.next_unit()).collect();
        let new = units.into_iter().filter(|unit| self.planned.insert(unit.key()));
        let new = new.map(|unit| unit.to_string()).collect();
        for forgotten in frontier.forgotten() {
            self.planned.remove(forgotten);
        }
        new
    }

    fn add_target(&mut self, target: &Target) -> BTreeSet<String> {
        let mut frontier = self.begin();
        let mut subjects = BTreeSet::new();
        loop {
            let more = frontier.subjects_of(target);
            if more.is_subset(&subjects) {
                break;
            }
            subjects.extend(more);
            self.recall(&mut frontier, &subjects);
        }
        frontier.add_target(target);
        self.end(frontier, &subjects)
    }

    fn learn(&mut self, unit: &Unit, learned: &Learned) -> BTreeSet<String> {
        let mut frontier = self.begin();
        let subjects = Frontier::subjects(unit, learned);
        self.recall(&mut frontier, &subjects);
        for lookup in Frontier::lookups(learned) {
            if self.planned.contains(&lookup) {
                frontier.has_planned(lookup);
            }
        }
        frontier.learn(unit, learned);
        self.end(frontier, &subjects)
    }
}

mod momentary {
    use proptest::prelude::*;

    use super::*;

    fn name() -> impl Strategy<Value = DomainName> {
        prop_oneof![
            Just("acme.test"),
            Just("www.acme.test"),
            Just("dev.www.acme.test"),
            Just("other.test"),
            Just("a.other.test"),
        ]
        .prop_map(|name| name.parse().unwrap())
    }

    fn address() -> impl Strategy<Value = IpAddr> {
        (1_u8..5).prop_map(|last| IpAddr::from([127, 0, 0, last]))
    }

    fn target() -> impl Strategy<Value = Target> {
        prop_oneof![
            name().prop_map(|name| name.to_string()),
            address().prop_map(|address| address.to_string()),
            (name(), 1_u16..4).prop_map(|(name, port)| format!("{name}:{port}")),
            (name(), 1_u16..4).prop_map(|(name, port)| format!("http://{name}:{port}/app")),
            (address(), 1_u16..4).prop_map(|(address, port)| format!("http://{address}:{port}/")),
        ]
        .prop_map(|target| target.parse().unwrap())
    }

    fn learned() -> impl Strategy<Value = Learned> {
        let found = (name(), proptest::collection::vec(address(), 0..3), any::<bool>(), any::<bool>())
            .prop_map(|(name, addresses, apex, alias)| FoundName {
                name,
                source: Source::Record,
                addresses,
                apex,
                alias,
            });
        let source = prop_oneof![Just(Source::Page), Just(Source::Pointer)];
        let service = (address(), 1_u16..4, any::<bool>()).prop_map(|(address, port, http)| {
            let protocol = if http { Protocol::HTTP } else { Protocol::UNKNOWN };
            Service { protocol, ..web(&address.to_string(), port) }
        });
        (
            proptest::collection::vec(found, 0..3),
            proptest::collection::vec((name(), source), 0..3),
            proptest::collection::vec(1_u16..4, 0..3),
            proptest::option::of(service),
        )
            .prop_map(|(found, mentioned, open, service)| Learned {
                found,
                mentioned,
                open,
                service,
            })
    }

    #[derive(Debug, Clone)]
    enum Step {
        Target(Box<Target>),
        /// Which of the units that wait, and what it teaches.
        Learn(prop::sample::Index, Box<Learned>),
    }

    proptest! {
        #[test]
        fn one_that_is_made_anew_each_time_plans_what_one_that_lives_plans(
            steps in proptest::collection::vec(
                prop_oneof![
                    target().prop_map(|target| Step::Target(Box::new(target))),
                    (any::<prop::sample::Index>(), learned()).prop_map(|(which, learned)| Step::Learn(which, Box::new(learned))),
                ],
                1..25,
            ),
        ) {
            let mut living = frontier(&Stage::SCANNING);
            let mut momentary = Momentary { names_left: 3, ..Momentary::default() };
            let mut waiting: Vec<Unit> = Vec::new();
            for step in &steps {
                let planned = match step {
                    Step::Target(target) => {
                        living.add_target(target);
                        momentary.add_target(target)
                    }
                    Step::Learn(_, _) if waiting.is_empty() => continue,
                    Step::Learn(which, learned) => {
                        let unit = waiting.swap_remove(which.index(waiting.len()));
                        living.learn(&unit, learned);
                        momentary.learn(&unit, learned)
                    }
                };
                let new: Vec<Unit> = std::iter::from_fn(|| living.next_unit()).collect();
                prop_assert_eq!(&planned, &new.iter().map(ToString::to_string).collect(), "{:?}", step);
                prop_assert_eq!(momentary.names_left, living.names_left());
                waiting.extend(new);
            }
        }
    }
}
