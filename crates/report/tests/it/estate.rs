//! A realistic scan of a small estate, for tests and for whoever works on how reports look.

use std::{collections::BTreeMap, time::Duration};

use jiff::{Timestamp, ToSpan as _};
use model::{
    Account, Asset, CheckId, Confidence, Endpoint, Evidence, FailReason, Finding, Fingerprint, Ledger,
    Limits, Location, Profile, Protocol, ScanId, Service, Severity, SkipReason, Stage, Summary, Traffic,
    asset::{PortStates, TlsSummary},
    finding::Classification,
};

/// When the sample scan began.
fn began() -> Timestamp {
    "2026-03-12T08:41:07Z".parse().unwrap()
}

/// Everything a report is made of.
pub(crate) struct Estate {
    pub(crate) summary: Summary,
    pub(crate) findings: Vec<Finding>,
    pub(crate) assets: Vec<Asset>,
}

/// One check as the sample knows it, and the places where it matched.
struct Problem {
    id: &'static str,
    name: &'static str,
    severity: Severity,
    confidence: Confidence,
    description: &'static str,
    impact: &'static str,
    remediation: &'static str,
    references: &'static [&'static str],
    cwe: &'static [&'static str],
    score: Option<f64>,
    tags: &'static [&'static str],
    places: Vec<Place>,
}

struct Place {
    location: Location,
    extracted: Vec<(&'static str, &'static str)>,
    request: String,
    response: String,
    matched: Vec<&'static str>,
    reproduce: String,
}

fn url(text: &str) -> Location {
    Location::Url(text.parse().unwrap())
}

fn service(name: Option<&str>, address: &str, port: u16) -> Endpoint {
    Endpoint { name: name.map(|name| name.parse().unwrap()), address: address.parse().unwrap(), port }
}

fn get(address: &str, response: &str, matched: &[&'static str]) -> Place {
    let Location::Url(parsed) = url(address) else { unreachable!("a url is a url") };
    let authority = parsed.port().map_or(String::new(), |port| format!(":{port}"));
    let path = &parsed[url::Position::BeforePath..];
    Place {
        location: Location::Url(parsed.clone()),
        extracted: Vec::new(),
        request: format!(
            "GET {path} HTTP/1.1\r\nHost: {}{authority}\r\nUser-Agent: rampart/0.1.0 (scan 5bd1e9955bd1e995; security@shop.test)\r\n\
             Accept: */*\r\nConnection: keep-alive\r\n\r\n",
            parsed.host_str().unwrap(),
        ),
        response: response.replace('\n', "\r\n"),
        matched: matched.to_vec(),
        reproduce: format!("curl -sik --max-time 10 '{address}'"),
    }
}

fn talk(
    endpoint: Endpoint,
    request: &str,
    response: &str,
    matched: &[&'static str],
    extracted: &[(&'static str, &'static str)],
) -> Place {
    let reproduce =
        format!("printf '{}' | nc -w 5 {} {}", request.escape_default(), endpoint.host(), endpoint.port);
    Place {
        location: Location::Service(endpoint),
        extracted: extracted.to_vec(),
        request: request.to_owned(),
        response: response.to_owned(),
        matched: matched.to_vec(),
        reproduce,
    }
}

const GIT: &str = "HTTP/1.1 200 OK\nServer: nginx/1.22.1\nDate: Thu, 12 Mar 2026 08:42:15 GMT\nContent-Type: application/octet-stream\nContent-Length: 266\nConnection: keep-alive\n\n[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n[remote \"origin\"]\n\turl = git@code.shop.test:shop/storefront.git\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n[branch \"main\"]\n\tremote = origin\n\tmerge = refs/heads/main\n";
const REDIS: &str = "$3442\r\n# Server\r\nredis_version:7.0.15\r\nredis_git_sha1:00000000\r\nredis_mode:standalone\r\nos:Linux 6.1.0 x86_64\r\narch_bits:64\r\ntcp_port:6379\r\nuptime_in_days:41\r\nexecutable:/usr/bin/redis-server\r\nconfig_file:/etc/redis/redis.conf\r\n# Clients\r\nconnected_clients:7\r\n# Keyspace\r\ndb0:keys=18233,expires=18102,avg_ttl=1739204\r\n";
const DUMP: &str = "HTTP/1.1 200 OK\nServer: nginx/1.22.1\nContent-Type: application/sql\nContent-Length: 48210331\nAccept-Ranges: bytes\nLast-Modified: Sun, 01 Feb 2026 03:00:11 GMT\n\n-- MariaDB dump 10.19  Distrib 10.11.6-MariaDB, for debian-linux-gnu (x86_64)\n--\n-- Host: localhost    Database: shop\n-- ------------------------------------------------------\n-- Server version\t10.11.6-MariaDB-0+deb12u1\n\nDROP TABLE IF EXISTS `customers`;\nCREATE TABLE `customers` (\n  `id` int(11) NOT NULL AUTO_INCREMENT,\n  `email` varchar(190) NOT NULL,\n";
const INDEX: &str = "HTTP/1.1 200 OK\nServer: nginx/1.22.1\nContent-Type: text/html\n\n<html>\n<head><title>Index of /uploads/</title></head>\n<body>\n<h1>Index of /uploads/</h1><hr><pre><a href=\"../\">../</a>\n<a href=\"2025/\">2025/</a>                            14-Dec-2025 11:20       -\n<a href=\"invoices.zip\">invoices.zip</a>              02-Feb-2026 09:14    1.2M\n</pre><hr></body>\n</html>\n";
const PAGE: &str = "HTTP/1.1 200 OK\nServer: nginx/1.22.1\nContent-Type: text/html; charset=utf-8\nContent-Length: 18234\nX-Powered-By: Express\n\n<!doctype html>\n<html lang=\"en\">\n<head>\n<title>Shop</title>\n";

fn problems() -> Vec<Problem> {
    let db = |name| service(Some(name), "127.0.0.21", 6379);
    vec![
        Problem {
            id: "redis-unauthenticated",
            name: "Redis answers without a password",
            severity: Severity::Critical,
            confidence: Confidence::Certain,
            description: "The key-value service accepts commands from anybody who can reach its port. It answered INFO, which it refuses when a password is set.",
            impact: "Anybody on the network reads and changes every key, and can often write files as the service's user.",
            remediation: "Set `requirepass` (or ACL users) and bind the service to the interface that needs it.\n\nThen restart it and check that `redis-cli -h HOST info` answers NOAUTH.",
            references: &[
                "https://redis.io/docs/latest/operate/oss_and_stack/management/security/",
                "https://cwe.mitre.org/data/definitions/306.html",
            ],
            cwe: &["CWE-306"],
            score: Some(9.8),
            tags: &["redis", "database", "unauthenticated"],
            places: vec![talk(
                db("cache.shop.test"),
                "INFO\r\n",
                REDIS,
                &["redis_version:7.0.15"],
                &[("version", "7.0.15"), ("keys", "18233")],
            )],
        },
        Problem {
            id: "backup-database-dump",
            name: "Database dump in the web root",
            severity: Severity::High,
            confidence: Confidence::Certain,
            description: "A file that looks like the output of a database dump can be downloaded.",
            impact: "Dumps hold whole tables: customers, password hashes, orders.",
            remediation: "Delete the file from the web root, and treat its content as disclosed: change the passwords in it and look at the access log for earlier downloads. Keep backups outside any folder a web server serves.",
            references: &[
                "https://owasp.org/www-project-web-security-testing-guide/",
                "https://cwe.mitre.org/data/definitions/530.html",
            ],
            cwe: &["CWE-530"],
            score: Some(7.5),
            tags: &["exposure", "backup"],
            places: vec![get(
                "http://shop.test:8080/backup/shop.sql",
                DUMP,
                &["-- MariaDB dump", "CREATE TABLE"],
            )],
        },
        Problem {
            id: "git-config-exposed",
            name: "Git repository served by the web server",
            severity: Severity::High,
            confidence: Confidence::Certain,
            description: "The folder .git of a checkout can be read through the web server. Its config file was answered in full.",
            impact: "The whole source with its history can be rebuilt, with every secret that was ever committed.",
            remediation: "Deny /.git in the web server, and deploy an export of the code instead of a checkout.\n\nChange every credential that the history contains.",
            references: &[
                "https://git-scm.com/docs/gitrepository-layout",
                "https://cwe.mitre.org/data/definitions/538.html",
            ],
            cwe: &["CWE-538"],
            score: Some(7.5),
            tags: &["exposure", "git", "source-code"],
            places: [
                "http://shop.test:8080/.git/config",
                "http://admin.shop.test:8080/.git/config",
                "http://staging.shop.test:8081/.git/config",
            ]
            .map(|place| Place {
                extracted: vec![("remote", "git@code.shop.test:shop/storefront.git")],
                ..get(place, GIT, &["[core]", "repositoryformatversion"])
            })
            .into(),
        },
        Problem {
            id: "tls-version-old",
            name: "TLS 1.0 is accepted",
            severity: Severity::Medium,
            confidence: Confidence::Certain,
            description: "The service completes a handshake with a version of TLS that was withdrawn in 2021 (RFC 8996).",
            impact: "Connections can be downgraded to ciphers with known weaknesses; many compliance rules forbid it.",
            remediation: "Allow TLS 1.2 and 1.3 only, for example `ssl_protocols TLSv1.2 TLSv1.3;` in nginx.",
            references: &["https://www.rfc-editor.org/rfc/rfc8996"],
            cwe: &["CWE-327"],
            score: None,
            tags: &["tls"],
            places: vec![
                talk(
                    service(Some("shop.test"), "127.0.0.11", 8443),
                    "ClientHello TLS 1.0",
                    "ServerHello tls10 TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
                    &["tls10"],
                    &[("version", "tls10")],
                ),
                talk(
                    service(Some("mail.shop.test"), "127.0.0.31", 4465),
                    "ClientHello TLS 1.0",
                    "ServerHello tls10 TLS_RSA_WITH_AES_128_CBC_SHA",
                    &["tls10"],
                    &[("version", "tls10")],
                ),
            ],
        },
        Problem {
            id: "directory-listing",
            name: "Directory listing",
            severity: Severity::Medium,
            confidence: Confidence::Firm,
            description: "The web server lists the files of a folder that has no index page.",
            impact: "Files that nobody links to are found by whoever looks.",
            remediation: "Turn listings off (`autoindex off;` in nginx, `Options -Indexes` in Apache).",
            references: &["https://cwe.mitre.org/data/definitions/548.html"],
            cwe: &["CWE-548"],
            score: None,
            tags: &["misconfiguration"],
            places: (1..=8)
                .map(|n| {
                    get(
                        &format!("http://files{n}.shop.test:8080/uploads/"),
                        INDEX,
                        &["<title>Index of /uploads/</title>"],
                    )
                })
                .collect(),
        },
        Problem {
            id: "dangling-cname",
            name: "Name points at something that does not exist",
            severity: Severity::Medium,
            confidence: Confidence::Firm,
            description: "The CNAME of this name leads to a name that does not resolve.",
            impact: "Whoever registers the target serves content under this name.",
            remediation: "Remove the record.",
            references: &["https://cwe.mitre.org/data/definitions/1386.html"],
            cwe: &[],
            score: None,
            tags: &["dns", "takeover"],
            places: vec![Place {
                location: Location::Domain("promo.shop.test".parse().unwrap()),
                extracted: vec![("target", "shop-promo.pages.test")],
                request: "promo.shop.test. IN CNAME".into(),
                response:
                    "promo.shop.test. 300 IN CNAME shop-promo.pages.test.\nshop-promo.pages.test. NXDOMAIN"
                        .into(),
                matched: vec!["NXDOMAIN"],
                reproduce: "dig @127.0.0.53 -p 5353 promo.shop.test CNAME".into(),
            }],
        },
        Problem {
            id: "missing-hsts",
            name: "Strict-Transport-Security is missing",
            severity: Severity::Low,
            confidence: Confidence::Certain,
            description: "The site speaks TLS but does not tell browsers to insist on it (RFC 6797).",
            impact: "The first request of a visit can be intercepted.",
            remediation: "Send `Strict-Transport-Security: max-age=31536000; includeSubDomains` once every subdomain speaks TLS.",
            references: &["https://www.rfc-editor.org/rfc/rfc6797"],
            cwe: &["CWE-319"],
            score: None,
            tags: &["headers"],
            places: ["https://shop.test:8443/", "https://admin.shop.test:8443/"]
                .map(|place| get(place, PAGE, &[]))
                .into(),
        },
        Problem {
            id: "smtp-banner-version",
            name: "Mail server tells its version",
            severity: Severity::Low,
            confidence: Confidence::Tentative,
            description: "The greeting names product and version.",
            impact: "",
            remediation: "Shorten the banner (`smtpd_banner` in Postfix).",
            references: &[],
            cwe: &["CWE-200"],
            score: None,
            tags: &["smtp"],
            places: vec![talk(
                service(Some("mail.shop.test"), "127.0.0.31", 2525),
                "EHLO rampart.invalid\r\n",
                "220 mail.shop.test ESMTP Exim 4.96 Thu, 12 Mar 2026 08:42:31 +0000\r\n250-mail.shop.test Hello\r\n250 HELP\r\n",
                &["Exim 4.96"],
                &[("product", "Exim"), ("version", "4.96")],
            )],
        },
        Problem {
            id: "nginx-detected",
            name: "nginx",
            severity: Severity::Info,
            confidence: Confidence::Certain,
            description: "The web server is nginx.",
            impact: "",
            remediation: "",
            references: &["https://nginx.org/"],
            cwe: &[],
            score: None,
            tags: &["technology"],
            places: [
                "http://shop.test:8080/",
                "http://admin.shop.test:8080/",
                "http://staging.shop.test:8081/",
                "https://shop.test:8443/",
            ]
            .map(|place| Place {
                extracted: vec![("version", "1.22.1")],
                ..get(place, PAGE, &["nginx/1.22.1"])
            })
            .into(),
        },
        Problem {
            id: "robots-txt",
            name: "robots.txt names paths",
            severity: Severity::Info,
            confidence: Confidence::Firm,
            description: "The file lists paths that search engines should leave alone.",
            impact: "",
            remediation: "",
            references: &["https://www.rfc-editor.org/rfc/rfc9309"],
            cwe: &[],
            score: None,
            tags: &["exposure"],
            places: vec![Place {
                extracted: vec![("", "/admin/"), ("", "/backup/"), ("", "/internal/reports/")],
                ..get(
                    "http://shop.test:8080/robots.txt",
                    "HTTP/1.1 200 OK\nContent-Type: text/plain\n\nUser-agent: *\nDisallow: /admin/\nDisallow: /backup/\nDisallow: /internal/reports/\n",
                    &["Disallow: /backup/"],
                )
            }],
        },
    ]
}

fn finding(problem: &Problem, place: &Place, order: i64) -> Finding {
    let check = CheckId::new(problem.id);
    let mut extracted: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in &place.extracted {
        extracted.entry((*name).to_owned()).or_default().push((*value).to_owned());
    }
    let strings = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    Finding {
        fingerprint: Fingerprint::of(&check, None, &place.location),
        check,
        name: problem.name.to_owned(),
        severity: problem.severity,
        confidence: problem.confidence,
        location: place.location.clone(),
        addresses: Vec::new(),
        matcher: None,
        extracted,
        evidence: vec![Evidence {
            request: place.request.clone(),
            response: place.response.clone(),
            matched: strings(&place.matched),
            truncated: place.response.contains("48210331"),
        }],
        description: problem.description.to_owned(),
        impact: problem.impact.to_owned(),
        remediation: problem.remediation.to_owned(),
        references: strings(problem.references),
        classification: Classification {
            cve: Vec::new(),
            cwe: strings(problem.cwe),
            cvss_metrics: problem.score.map(|_| "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N".to_owned()),
            cvss_score: problem.score,
        },
        tags: strings(problem.tags),
        reproduce: place.reproduce.clone(),
        found_at: began() + (60 + order).seconds(),
    }
}

fn assets() -> Vec<Asset> {
    let tls = |version: &str, cipher: &str, name: &str| TlsSummary {
        version: version.into(),
        cipher: cipher.into(),
        subject: Some(name.into()),
        issuer: Some("Shop Internal CA".into()),
        names: vec![name.into(), format!("www.{name}")],
        not_after: Some("2026-04-02T00:00:00Z".parse().unwrap()),
    };
    let listening = |name: &str,
                     address: &str,
                     port,
                     protocol: &'static str,
                     product: Option<&str>,
                     version: Option<&str>,
                     tls| {
        Asset::Service(Service {
            endpoint: service(Some(name), address, port),
            protocol: Protocol(protocol.into()),
            product: product.map(Into::into),
            version: version.map(Into::into),
            cpe: product.zip(version).map(|(product, version)| {
                let product = product.to_ascii_lowercase();
                format!("cpe:2.3:a:{product}:{product}:{version}:*:*:*:*:*:*:*")
            }),
            banner: String::new(),
            tls,
        })
    };
    let mut assets = vec![
        listening("shop.test", "127.0.0.11", 8080, "http", Some("nginx"), Some("1.22.1"), None),
        listening(
            "shop.test",
            "127.0.0.11",
            8443,
            "http",
            Some("nginx"),
            Some("1.22.1"),
            Some(tls("tls13", "TLS_AES_256_GCM_SHA384", "shop.test")),
        ),
        listening("staging.shop.test", "127.0.0.12", 8081, "http", Some("nginx"), Some("1.22.1"), None),
        listening("cache.shop.test", "127.0.0.21", 6379, "redis", Some("Redis"), Some("7.0.15"), None),
        listening("db.shop.test", "127.0.0.22", 5432, "postgresql", Some("PostgreSQL"), None, None),
        listening("mail.shop.test", "127.0.0.31", 2525, "smtp", Some("Exim"), Some("4.96"), None),
        listening(
            "mail.shop.test",
            "127.0.0.31",
            4465,
            "smtp",
            Some("Exim"),
            Some("4.96"),
            Some(tls("tls12", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "mail.shop.test")),
        ),
        listening("shop.test", "127.0.0.11", 2222, "ssh", Some("OpenSSH"), Some("9.2p1"), None),
    ];
    for (address, names, open) in [
        ("127.0.0.11", &["shop.test", "admin.shop.test"][..], &[2222, 8080, 8443][..]),
        ("127.0.0.12", &["staging.shop.test"], &[8081]),
        ("127.0.0.21", &["cache.shop.test"], &[6379]),
        ("127.0.0.22", &["db.shop.test"], &[5432]),
        ("127.0.0.31", &["mail.shop.test"], &[2525, 4465]),
    ] {
        assets.push(Asset::Host {
            address: address.parse().unwrap(),
            names: names.iter().map(|name| name.parse().unwrap()).collect(),
            ports: PortStates {
                open: open.to_vec(),
                closed: 996,
                filtered: 1,
                undetermined: u32::from(address.ends_with("31")),
            },
        });
        for name in names {
            assets.push(Asset::Domain {
                name: name.parse().unwrap(),
                records: BTreeMap::from([("A".to_owned(), vec![address.to_owned()])]),
                source: if *name == "shop.test" { model::Source::Target } else { model::Source::WordList },
                dangling: None,
            });
        }
    }
    for (place, status, title, length) in [
        ("http://shop.test:8080/", 200, "Shop: everything for the kitchen", 18_234),
        ("http://shop.test:8080/login", 200, "Sign in", 4_120),
        ("http://admin.shop.test:8080/", 302, "", 154),
        ("http://shop.test:8080/backup/shop.sql", 200, "", 48_210_331),
        ("http://files1.shop.test:8080/uploads/", 200, "Index of /uploads/", 1_311),
    ] {
        assets.push(Asset::Page {
            url: place.parse().unwrap(),
            status,
            title: Some(title.to_owned()).filter(|title| !title.is_empty()),
            content_type: Some("text/html; charset=utf-8".into()),
            length,
            technologies: if length > 10_000 && length < 20_000 {
                vec!["nginx".into(), "Express".into()]
            } else {
                Vec::new()
            },
        });
    }
    let login: url::Url = "http://shop.test:8080/login".parse().unwrap();
    assets.push(Asset::Form {
        page: login.clone(),
        action: login.clone(),
        method: "POST".into(),
        fields: vec![("email".into(), "email".into()), ("password".into(), "password".into())],
    });
    assets
        .push(Asset::Endpoint { url: "http://shop.test:8080/api/v2/cart".parse().unwrap(), named_in: login });
    assets
}

fn ledger(findings: &[Finding]) -> Ledger {
    let mut ledger = Ledger::default();
    for finding in findings {
        let account = ledger.checks.entry(finding.check.clone()).or_insert_with(|| Account {
            planned: 31,
            not_matched: 31,
            ..Account::default()
        });
        account.not_matched -= 1;
        account.matched += 1;
    }
    for number in 0..120_u64 {
        let failed = if number % 9 == 0 {
            BTreeMap::from([(FailReason::TimedOut, 2), (FailReason::Reset, 1 + number % 3)])
        } else {
            BTreeMap::new()
        };
        let skipped = if number % 11 == 0 {
            BTreeMap::from([(SkipReason::Precondition, 4), (SkipReason::HostUnresponsive, 2)])
        } else {
            BTreeMap::new()
        };
        let mut account = Account { planned: 0, matched: 0, not_matched: 24 + number % 7, failed, skipped };
        account.planned = account.ended();
        ledger.checks.insert(CheckId::new(&format!("panel-{number:03}")), account);
    }
    ledger
}

fn limits() -> Limits {
    Limits { request_deadline: Duration::from_secs(10), ..Profile::Standard.limits() }
}

impl Estate {
    /// Some 25 findings of every severity, and a few things that could not be found out.
    pub(crate) fn full() -> Estate {
        let mut findings = Vec::new();
        for problem in problems() {
            for place in &problem.places {
                findings.push(finding(&problem, place, findings.len() as i64));
            }
        }
        Estate::of(findings, assets())
    }

    /// Everything was looked at, nothing matched.
    pub(crate) fn empty() -> Estate {
        let mut estate = Estate::of(Vec::new(), assets());
        estate.summary.undetermined.clear();
        estate.summary.undetermined_count = 0;
        estate.summary.refused_checks.clear();
        estate
    }

    /// As many findings as wanted, made while they are read.
    pub(crate) fn many(count: u64) -> impl Iterator<Item = Finding> {
        let problems = problems();
        let share = count.div_ceil(problems.len() as u64);
        (0..count).map(move |number| {
            let problem = &problems[(number / share) as usize];
            let mut finding = finding(problem, &problem.places[0], 0);
            finding.location = url(&format!("http://host{}.shop.test:8080/place/{number}", number % 997));
            finding.fingerprint = Fingerprint::of(&finding.check, None, &finding.location);
            finding
        })
    }

    /// The frame around the given findings and assets, with sums that agree.
    pub(crate) fn of(findings: Vec<Finding>, assets: Vec<Asset>) -> Estate {
        let mut by_severity = BTreeMap::new();
        for finding in &findings {
            *by_severity.entry(finding.severity).or_default() += 1;
        }
        let mut kinds = BTreeMap::new();
        for asset in &assets {
            let kind = match asset {
                Asset::Domain { .. } => "domain",
                Asset::Host { .. } => "host",
                Asset::Service(_) => "service",
                Asset::Page { .. } => "page",
                Asset::Form { .. } => "form",
                Asset::Endpoint { .. } => "endpoint",
            };
            *kinds.entry(kind.to_owned()).or_default() += 1;
        }
        let summary = Summary {
            scan: ScanId::from_random(0x5bd1_e995_5bd1_e995),
            tool: "rampart 0.1.0".into(),
            started_at: began(),
            ended_at: began() + 192.seconds(),
            complete: true,
            incomplete_because: None,
            targets: vec!["shop.test".into(), "127.0.0.0/27".into(), "mail.shop.test".into()],
            target_count: 3,
            authorised_by: Some("Dana Reyes, head of infrastructure, ticket SEC-412".into()),
            scope: "names shop.test, *.shop.test; networks 127.0.0.0/8; at any time".into(),
            profile: Profile::Standard,
            limits: limits(),
            stages: Stage::SCANNING.to_vec(),
            checks: 130,
            left_out: vec!["crawl: pages of https://shop.example.com/: the limit of pages: 120 found and not fetched".into()],
            left_out_count: 1,
            refused_checks: vec!["checks/custom/login-spray.yaml:14: `attack` needs tags this scan does not allow (brute force)".into()],
            ledger: ledger(&findings),
            undetermined: vec![
                "ports 127.0.0.31: port 993 was not answered in 3 attempts".into(),
                "crawl http://staging.shop.test:8081/: stopped after 500 pages; raise the profile to see the rest".into(),
            ],
            undetermined_count: 2,
            findings: by_severity,
            assets: kinds,
            traffic: Traffic { requests: 4_812, shared_requests: 2_207, probes: 9_990, queries: 12_405, most_held_bytes: 0 },
        };
        Estate { summary, findings, assets }
    }
}
