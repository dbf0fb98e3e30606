//! Knot with zones as people write them.

use super::{
    audit::{clean_scan, package_version, scan},
    ground::Ground,
    server::{As, Server, program},
    web::{HARDENED, nginx},
};

/// Starts a name server with these zones.
pub(super) fn knot(ground: &Ground, number: u8, port: u16, zones: &[(&str, &str)]) -> Server {
    let home = ground.directory("knot");
    let mut configuration = format!(
        "server:\n    rundir: {home}\n    listen: {{{number}}}@{port}\n    udp-workers: 1\n    tcp-workers: 1\n\
         log:\n  - target: stderr\n    any: warning\n\
         database:\n    storage: {home}\n\
         template:\n  - id: default\n    storage: {home}\n    journal-content: none\n    zonefile-sync: -1\n    \
         semantic-checks: off\nzone:\n",
        home = home.display()
    );
    for (zone, text) in zones {
        let file = ground.file(&format!("{zone}.zone"), text);
        configuration.push_str(&format!("  - domain: {zone}\n    file: {}\n", file.display()));
    }
    let configuration = ground.file("knot.conf", &configuration);
    let program = program("knot", "knotd");
    Server::start(ground, As::Nobody, &program, &[&"-c", &configuration], &[ground.at(number, port)])
}

/// Wildcard at the top, an alias to nowhere, SPF that lets everybody in, no DMARC, no CAA, one name server.
const CARELESS: &str = "\
$ORIGIN careless.test.
@        300 SOA ns1 hostmaster 1 3600 600 86400 300
         300 NS  ns1
         300 MX  10 mail
         300 TXT \"v=spf1 mx +all\"
         300 A   {2}
ns1      300 A   {1}
mail     300 A   {3}
www      300 CNAME @
old-shop 300 CNAME gone.careful.test.
*        300 A   {4}
";

/// The same organisation with everything in order.
const CAREFUL: &str = "\
$ORIGIN careful.test.
@        300 SOA ns1 hostmaster 1 3600 600 86400 300
         300 NS  ns1
         300 NS  ns2
         300 MX  10 mail
         300 TXT \"v=spf1 mx -all\"
         300 CAA 0 issue \"ca.careful.test\"
         300 A   {2}
_dmarc   300 TXT \"v=DMARC1; p=reject; rua=mailto:dmarc@careful.test\"
ns1      300 A   {1}
ns2      300 A   {5}
mail     300 A   {3}
www      300 CNAME @
api      300 A   {2}
deep.dev 300 A   {2}
_imaps._tcp 300 SRV 0 1 993 mail
";

const WORDS: &str =
    "www\nmail\napi\ndev\nold-shop\nshop\nvpn\nadmin\nintranet\nns1\nns2\nftp\nblog\nstaging\n";

#[test]
fn the_names_of_a_zone_are_found_and_nothing_that_is_not_there() {
    let ground = Ground::new();
    let words = ground.file("words.txt", WORDS);
    let _names = knot(&ground, 1, 15_354, &[("careful.test", CAREFUL), ("careless.test", CARELESS)]);
    let resolver = ground.at(1, 15_354).to_string();
    let audit = scan(
        &ground,
        &[
            &"careless.test",
            &"careful.test",
            &"--resolver",
            &resolver,
            &"--words",
            &words,
            &"--stages",
            &"discover,check",
        ],
    );
    audit.assert_findings("zones");
    // `deep.dev` stands in no word list and no record leads to it. Of the words that only the wildcard answers none is a name.
    assert_eq!(
        audit.names,
        [
            "_imaps._tcp.careful.test",
            "api.careful.test",
            "careful.test",
            "careless.test",
            "mail.careful.test",
            "mail.careless.test",
            "ns1.careful.test",
            "ns1.careless.test",
            "ns2.careful.test",
            "old-shop.careless.test",
            "www.careful.test",
            "www.careless.test",
        ]
    );
}

#[test]
fn from_a_name_to_the_sites_below_it() {
    let ground = Ground::new();
    let words = ground.file("words.txt", WORDS);
    let zone = CAREFUL.replace("{3}", "{2}").replace("{5}", "{1}");
    let _names = knot(&ground, 1, 15_355, &[("careful.test", &zone)]);
    ground.file("www/index.html", "<!doctype html><html><title>Careful</title></html>\n");
    ground.file("api/index.html", "<!doctype html><html><title>API</title></html>\n");
    ground.file("api/.env", "DB_PASSWORD=correct-horse\nDB_HOST=db\n");
    let sites = format!(
        "server_tokens off;\nserver {{ listen {{2}}:18083 default_server; return 404; }}\n\
         server {{ listen {{2}}:18083; server_name careful.test www.careful.test; root {{dir}}/www; {HARDENED} }}\n\
         server {{ listen {{2}}:18083; server_name api.careful.test; root {{dir}}/api; {HARDENED} }}\n"
    );
    let _web = nginx(&ground, "sites", &sites, &[(2, 18_083)]);
    let resolver = ground.at(1, 15_355).to_string();
    let audit = scan(
        &ground,
        &[&"careful.test", &"--resolver", &resolver, &"--words", &words, &"--ports", &"15355,18000-18099"],
    );
    audit.assert_findings("from-name-to-site");
    let services: Vec<&str> =
        audit.services.iter().map(|service| service.split_once(' ').unwrap().1).collect();
    let knot = format!("dns Knot DNS {}", package_version("knot"));
    assert_eq!(services.iter().filter(|service| **service == "http nginx -").count(), 1, "{services:?}");
    assert!(services.iter().all(|service| *service == "http nginx -" || *service == knot), "{services:?}");
}

#[test]
fn a_careful_zone_has_no_findings() {
    let ground = Ground::new();
    let _names = knot(&ground, 1, 15_356, &[("careful.test", CAREFUL)]);
    let resolver = ground.at(1, 15_356).to_string();
    let arguments: [&dyn AsRef<std::ffi::OsStr>; 5] =
        [&"careful.test", &"--resolver", &resolver, &"--stages", &"discover,check"];
    let audit = clean_scan(&ground, &arguments);
    assert!(audit.findings.is_empty(), "{:?}", audit.findings);
}
