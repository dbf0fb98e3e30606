//! The web sites of the estate and what is wrong with each.

use std::collections::HashMap;

use super::{
    certificates::CertificateText,
    web::{Page, Site},
};

const HTML: &str = "text/html; charset=utf-8";
const TEXT: &str = "text/plain";
const JSON: &str = "application/json";

fn page(content_type: &'static str, body: &'static str) -> Page {
    Page { status: 200, headers: vec![("Content-Type", content_type)], body: body.as_bytes() }
}

fn site<const N: usize>(
    headers: Vec<(&'static str, &'static str)>,
    pages: [(&'static str, Page); N],
) -> Site {
    Site { headers, pages: HashMap::from(pages), reflects_origin: false }
}

/// Host, port, site, without TLS.
pub(super) fn plain() -> Vec<(u8, u16, Site)> {
    vec![
        (10, 8080, www()),
        (11, 8080, shop()),
        (12, 8080, intranet()),
        (15, 9090, metrics()),
        (16, 8080, api()),
        (17, 8000, files()),
    ]
}

/// Host, port, site, certificate.
pub(super) fn encrypted() -> Vec<(u8, u16, Site, CertificateText)> {
    let expired = CertificateText {
        common_name: "www.acme.test",
        names: &["www.acme.test", "acme.test", "api.acme.test"],
        not_after: (2024, 2, 29),
    };
    vec![(10, 8443, www(), expired)]
}

/// The company's site: a forgotten repository and a database dump.
fn www() -> Site {
    let mut home = page(HTML, include_str!("pages/www.html"));
    home.headers.push(("Set-Cookie", "session=9f2c1b7a; Path=/"));
    site(
        vec![("Server", "nginx/1.18.0")],
        [
            ("/", home),
            ("/about.html", page(HTML, include_str!("pages/about.html"))),
            ("/robots.txt", page(TEXT, "User-agent: *\nDisallow: /drafts/\nSitemap: /sitemap.xml\n")),
            ("/.git/HEAD", page(TEXT, "ref: refs/heads/main\n")),
            ("/.git/config", page(TEXT, include_str!("pages/git-config.txt"))),
            ("/backup.sql", page("application/sql", include_str!("pages/dump.txt"))),
            ("/dump.sql", page("application/sql", include_str!("pages/dump.txt"))),
        ],
    )
}

/// The shop: its settings are readable, PHP talks about itself, and what its pages link to is no better.
fn shop() -> Site {
    site(
        vec![("Server", "Apache/2.4.29 (Ubuntu)"), ("X-Powered-By", "PHP/7.2.24")],
        [
            ("/", page(HTML, include_str!("pages/shop.html"))),
            ("/my-account/", page(HTML, include_str!("pages/account.html"))),
            ("/wp-content/uploads/invoices/", page(HTML, include_str!("pages/uploads.html"))),
            ("/.env", page(TEXT, include_str!("pages/env.txt"))),
            ("/phpinfo.php", page(HTML, include_str!("pages/phpinfo.html"))),
            ("/info.php", page(HTML, include_str!("pages/phpinfo.html"))),
        ],
    )
}

/// A server nobody finished setting up.
fn intranet() -> Site {
    site(
        vec![("Server", "Apache/2.4.57 (Debian)")],
        [
            ("/", page(HTML, include_str!("pages/default.html"))),
            ("/server-status", page(HTML, include_str!("pages/server-status.html"))),
        ],
    )
}

/// Monitoring without a door.
fn metrics() -> Site {
    site(
        vec![],
        [
            (
                "/",
                Page {
                    status: 302,
                    headers: vec![("Location", "/graph")],
                    body: b"<a href=\"/graph\">Found</a>.\n",
                },
            ),
            ("/graph", page(HTML, include_str!("pages/prometheus.html"))),
            ("/metrics", page("text/plain; version=0.0.4; charset=utf-8", include_str!("pages/metrics.txt"))),
            (
                "/api/v1/status/buildinfo",
                page(
                    JSON,
                    r#"{"status":"success","data":{"version":"2.26.0","revision":"3cafc58","branch":"HEAD","goVersion":"go1.16.2"}}"#,
                ),
            ),
        ],
    )
}

/// A folder that somebody shared in a hurry.
fn files() -> Site {
    site(
        vec![("Server", "SimpleHTTP/0.6 Python/3.8.10")],
        [
            ("/", page(HTML, include_str!("pages/listing.html"))),
            ("/prices.csv", page("text/csv", "article,price\nanvil,49.00\n")),
        ],
    )
}

/// An interface that trusts every origin.
fn api() -> Site {
    let mut api = site(
        vec![("Server", "uvicorn")],
        [
            ("/", page(JSON, r#"{"service":"acme-api","version":"0.9.1","documentation":"/openapi.json"}"#)),
            ("/openapi.json", page(JSON, include_str!("pages/openapi.json"))),
        ],
    );
    api.reflects_origin = true;
    api
}
