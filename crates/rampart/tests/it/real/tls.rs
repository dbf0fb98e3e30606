//! nginx inside TLS, old and modern, with certificates good and bad.

use std::{
    net::{IpAddr, Ipv4Addr},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
    date_time_ymd,
};

use super::{
    audit::{scan, undetermined_scan},
    ground::Ground,
    server::{As, Server, program, run},
    web::{HARDENED, nginx},
};

/// A certificate authority of the test's own.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// A chain, leaf first, and its key, in PEM.
pub(super) struct Issued {
    chain: String,
    key: String,
}

fn date(days_from_now: i64) -> (i32, u8, u8) {
    let seconds = jiff::Timestamp::now().as_second() + days_from_now * 86_400;
    let date = jiff::Timestamp::from_second(seconds).unwrap().to_zoned(jiff::tz::TimeZone::UTC).date();
    (date.year().into(), date.month().try_into().unwrap(), date.day().try_into().unwrap())
}

fn valid(parameters: &mut CertificateParams, from: i64, until: i64) {
    let ((year, month, day), (last_year, last_month, last_day)) = (date(from), date(until));
    parameters.not_before = date_time_ymd(year, month, day);
    parameters.not_after = date_time_ymd(last_year, last_month, last_day);
}

fn leaf(names: &[&str], addresses: &[Ipv4Addr], days: (i64, i64)) -> CertificateParams {
    let mut leaf =
        CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    leaf.subject_alt_names.extend(addresses.iter().map(|address| SanType::IpAddress(IpAddr::V4(*address))));
    leaf.distinguished_name = rcgen::DistinguishedName::new();
    leaf.distinguished_name.push(DnType::CommonName, names.first().copied().unwrap_or("service"));
    valid(&mut leaf, days.0, days.1);
    leaf
}

impl Authority {
    pub(super) fn new() -> Authority {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        parameters.distinguished_name.push(DnType::CommonName, "Authority of the tests");
        valid(&mut parameters, -30, 300);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(parameters, key), certificate }
    }

    /// As good as can be: short-lived, a modern key, names that fit.
    pub(super) fn issue(&self, names: &[&str], addresses: &[Ipv4Addr]) -> Issued {
        self.issue_for(names, addresses, (-10, 70))
    }

    fn issue_for(&self, names: &[&str], addresses: &[Ipv4Addr], days: (i64, i64)) -> Issued {
        let key = KeyPair::generate().unwrap();
        let certificate = leaf(names, addresses, days).signed_by(&key, &self.issuer).unwrap();
        Issued { chain: format!("{}{}", certificate.pem(), self.certificate), key: key.serialize_pem() }
    }
}

fn self_signed(names: &[&str], addresses: &[Ipv4Addr], days: (i64, i64)) -> Issued {
    let key = KeyPair::generate().unwrap();
    let certificate = leaf(names, addresses, days).self_signed(&key).unwrap();
    Issued { chain: certificate.pem(), key: key.serialize_pem() }
}

/// Writes chain and key where a server may read them, the key so that only its user can.
pub(super) fn write_pair(ground: &Ground, name: &str, issued: &Issued) -> (PathBuf, PathBuf) {
    let certificate = ground.file(&format!("{name}.crt"), &issued.chain);
    let key = ground.file(&format!("{name}.key"), &issued.key);
    keep_for_nobody(&key);
    (certificate, key)
}

fn keep_for_nobody(key: &Path) {
    std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o600)).unwrap();
    if nix::unistd::geteuid().is_root() {
        let user = nix::unistd::User::from_name("nobody").unwrap().expect("every system has the user nobody");
        nix::unistd::chown(key, Some(user.uid), None).unwrap();
    }
}

fn site(number: u8, port: u16, pair: &(PathBuf, PathBuf), settings: &str) -> String {
    format!(
        "server {{ listen {{{number}}}:{port} ssl; root {{dir}}/site; server_tokens off; {HARDENED}\n\
         ssl_certificate {}; ssl_certificate_key {}; {settings} }}\n",
        pair.0.display(),
        pair.1.display()
    )
}

const MODERN: &str = "ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers ECDHE+AESGCM;";

/// What an administrator of 2005 would have made: a small RSA key signed with SHA-1 for ten years, for no name at all.
fn certificate_of_old(ground: &Ground) -> (PathBuf, PathBuf) {
    let (certificate, key) = (ground.path().join("old.crt"), ground.path().join("old.key"));
    let arguments: [&dyn AsRef<std::ffi::OsStr>; 14] = [
        &"req",
        &"-x509",
        &"-newkey",
        &"rsa:1024",
        &"-sha1",
        &"-nodes",
        &"-days",
        &"3650",
        &"-subj",
        &"/CN=old.acme.test",
        &"-out",
        &certificate,
        &"-keyout",
        &key,
    ];
    run(As::Caller, &program("openssl", "openssl"), &arguments, ground.path());
    keep_for_nobody(&key);
    (certificate, key)
}

fn web_server(ground: &Ground, sites: &str, ports: &[(u8, u16)]) -> Server {
    ground.file("site/index.html", "<!doctype html><html lang=en><title>Acme</title><p>Welcome.</html>\n");
    nginx(ground, "tls", sites, ports)
}

#[test]
fn nginx_with_tls_of_every_age_and_certificates_of_every_kind() {
    let ground = Ground::new();
    let authority = Authority::new();
    let old = certificate_of_old(&ground);
    let modern = write_pair(&ground, "modern", &authority.issue(&["modern.acme.test"], &[ground.address(2)]));
    let expired = write_pair(
        &ground,
        "expired",
        &self_signed(&["expired.acme.test"], &[ground.address(3)], (-400, -10)),
    );
    let soon = write_pair(
        &ground,
        "soon",
        &authority.issue_for(&["soon.acme.test"], &[ground.address(4)], (-80, 7)),
    );
    let early = write_pair(
        &ground,
        "early",
        &authority.issue_for(&["early.acme.test"], &[ground.address(5)], (20, 80)),
    );
    let other = write_pair(&ground, "other", &authority.issue(&["*.other.test", "intranet.corp"], &[]));
    let sites = [
        site(1, 18_443, &old, "ssl_protocols TLSv1 TLSv1.1 TLSv1.2; ssl_ciphers ALL:@SECLEVEL=0;"),
        site(2, 18_443, &modern, MODERN),
        site(3, 18_443, &expired, MODERN),
        site(4, 18_443, &soon, MODERN),
        site(5, 18_443, &early, MODERN),
        site(6, 18_443, &other, MODERN),
    ];
    let ports: Vec<(u8, u16)> = (1..=6).map(|number| (number, 18_443)).collect();
    let _server = web_server(&ground, &sites.concat(), &ports);
    let targets: Vec<String> = (1..=6).map(|number| ground.address(number).to_string()).collect();
    let mut arguments: Vec<&dyn AsRef<std::ffi::OsStr>> = targets.iter().map(|target| target as _).collect();
    arguments.extend([
        &"--ports" as &dyn AsRef<std::ffi::OsStr>,
        &"18400-18499",
        &"--stages",
        &"ports,check",
    ]);
    let audit = scan(&ground, &arguments);
    audit.assert_findings("tls");
    let expected: Vec<String> =
        (1..=6).map(|number| format!("127.91.0.{number}:18443 http+tls nginx -")).collect();
    audit.assert_services(&expected.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Nothing that is still safe to speak: what is inside cannot be looked at, and that must be said.
#[test]
fn nginx_that_speaks_only_old_tls_is_judged_by_its_handshake() {
    let ground = Ground::new();
    let old = certificate_of_old(&ground);
    let sites = site(1, 18_444, &old, "ssl_protocols TLSv1 TLSv1.1; ssl_ciphers ALL:@SECLEVEL=0;");
    let _server = web_server(&ground, &sites, &[(1, 18_444)]);
    let target = format!("{}:18444", ground.address(1));
    let audit = undetermined_scan(&ground, &[&target, &"--stages", &"ports,check"]);
    audit.assert_findings("tls-old-only");
    audit.assert_services(&["127.91.0.1:18444 http+tls nginx -"]);
    // The checks of the site inside have failed; none of them counts as not matched.
    let git = &audit.report["summary"]["ledger"]["git-config"];
    assert_eq!((&git["not_matched"], &git["failed"]["tls"]), (&0.into(), &1.into()), "{git}");
}
