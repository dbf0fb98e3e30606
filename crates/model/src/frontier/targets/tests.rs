use super::*;

fn of_network(piece: Piece) -> String {
    match piece {
        Piece::OfNetwork(address) => address.to_string(),
        Piece::Nothing(_) => panic!("nothing of it is forbidden"),
        Piece::Whole(target) => panic!("{target} came as a whole"),
    }
}

#[test]
fn a_network_becomes_its_addresses_in_scope_and_the_rest_is_not_walked_through() {
    let scope = Scope {
        networks: vec![
            "10.1.2.0/30".parse().unwrap(),
            "10.1.2.0/31".parse().unwrap(),
            "2001:db8::8/127".parse().unwrap(),
        ],
        excluded_networks: vec!["10.1.2.2/32".parse().unwrap()],
        ..Scope::loopback()
    };
    let addresses = |network: &str| -> Vec<String> {
        pieces(network.parse().unwrap(), &scope, None).map(of_network).collect()
    };
    assert_eq!(addresses("10.0.0.0/8"), ["10.1.2.1"]);
    assert_eq!(addresses("::/0"), ["2001:db8::8", "2001:db8::9"]);
    assert_eq!(addresses("10.1.2.0/31"), ["10.1.2.0", "10.1.2.1"]);
    assert_eq!(addresses("10.1.2.0/24"), ["10.1.2.1"]);
    assert_eq!(addresses("192.0.2.0/24"), Vec::<String>::new());
    // Exclusions are stepped over, not walked through.
    let halved = Scope {
        networks: vec!["2001:db8::/32".parse().unwrap(), "10.0.0.0/8".parse().unwrap()],
        excluded_networks: ["2001:db8::/33", "10.0.0.0/9", "10.128.0.2/31", "10.128.0.5/32"]
            .map(|network| network.parse().unwrap())
            .to_vec(),
        ..Scope::loopback()
    };
    let first = |network: &str, count| -> Vec<String> {
        pieces(network.parse().unwrap(), &halved, None).take(count).map(of_network).collect()
    };
    assert_eq!(first("2001:db8::/32", 2), ["2001:db8:8000::", "2001:db8:8000::1"]);
    assert_eq!(first("10.0.0.0/8", 4), ["10.128.0.0", "10.128.0.1", "10.128.0.4", "10.128.0.6"]);
    assert_eq!(
        pieces("10.0.0.0/8".parse().unwrap(), &halved, None).last().map(of_network).unwrap(),
        "10.255.255.254"
    );
    // A whole /8 is not collected before its first address is taken.
    let all = Scope { networks: vec!["::/0".parse().unwrap()], ..Scope::loopback() };
    assert_eq!(
        pieces("2001:db8::/32".parse().unwrap(), &all, None).nth(1).map(of_network).unwrap(),
        "2001:db8::1"
    );
    // From wherever somebody stopped.
    let after = |address: &str| -> Vec<String> {
        pieces("10.1.2.0/30".parse().unwrap(), &scope, address.parse().ok()).map(of_network).collect()
    };
    assert_eq!(after("10.1.2.0"), ["10.1.2.1"]);
    assert_eq!(after("10.1.2.1"), Vec::<String>::new());
    assert_eq!(after("10.1.2.200"), Vec::<String>::new());
}
