//! HTTP (RFC 9112): GET of the root page. What answers is told by the `Server` field (RFC 9110, 10.2.4), and products that speak
//! HTTP by what else they answer: each has a file of its own under `http/`.

mod clickhouse;
mod couchdb;
mod docker;
mod elasticsearch;
mod grafana;
mod influxdb;
mod jenkins;
mod kubernetes;
mod minio;
mod prometheus;
mod rabbitmq;

use super::engine::{Asker, Opening, Probe, Recognised, lossy, version_at};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "http",
    ports: &[
        80, 81, 591, 2375, 3000, 4567, 5000, 5601, 5984, 7001, 7474, 8000, 8001, 8008, 8069, 8080, 8081,
        8082, 8086, 8088, 8090, 8091, 8123, 8180, 8500, 8800, 8888, 8983, 9000, 9001, 9080, 9090, 9091, 9093,
        9100, 9200, 10_000, 15_672,
    ],
    tls_ports: &[
        443, 832, 981, 1_311, 2_083, 2_087, 2_376, 4_443, 5_986, 6_443, 7_002, 7_443, 8_443, 8_834, 9_443,
        10_250, 10_443,
    ],
    opening: Opening::Compose(get_root),
    recognise,
    #[cfg(test)]
    samples: &[
        SAMPLES,
        clickhouse::SAMPLES,
        couchdb::SAMPLES,
        docker::SAMPLES,
        elasticsearch::SAMPLES,
        grafana::SAMPLES,
        influxdb::SAMPLES,
        jenkins::SAMPLES,
        kubernetes::SAMPLES,
        minio::SAMPLES,
        prometheus::SAMPLES,
        rabbitmq::SAMPLES,
    ],
};

/// Products that speak HTTP, told by their answer to the root page.
const PRODUCTS: &[fn(&Page<'_>) -> Option<Recognised>] = &[
    clickhouse::recognise,
    couchdb::recognise,
    docker::recognise,
    elasticsearch::recognise,
    grafana::recognise,
    influxdb::recognise,
    jenkins::recognise,
    kubernetes::recognise,
    minio::recognise,
    prometheus::recognise,
    rabbitmq::recognise,
];

/// Servers by their name in the `Server` field, with vendor and product of the CPE dictionary.
const SERVERS: &[(&str, (&str, &str))] = &[
    ("Apache", ("apache", "http_server")),
    ("Caddy", ("caddyserver", "caddy")),
    ("gunicorn", ("gunicorn", "gunicorn")),
    ("Jetty", ("eclipse", "jetty")),
    ("lighttpd", ("lighttpd", "lighttpd")),
    ("Microsoft-IIS", ("microsoft", "internet_information_services")),
    ("nginx", ("nginx", "nginx")),
    ("openresty", ("openresty", "openresty")),
    ("Tornado", ("tornadoweb", "tornado")),
    ("Werkzeug", ("palletsprojects", "werkzeug")),
];

/// The beginning of a response; the end may be missing.
struct Page<'a> {
    status: u16,
    /// Names as received.
    headers: Vec<(&'a str, String)>,
    body: String,
}

impl Page<'_> {
    /// The first field of that name; empty when there is none.
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    /// A string member of a JSON body, wherever it stands. Bodies may be cut, so they are not parsed as a whole.
    fn member(&self, name: &str) -> Option<&str> {
        let (_, after) = self.body.split_once(&format!("\"{name}\""))?;
        let value = after.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
        value.split('"').next()
    }
}

fn get_root(asker: &Asker<'_>) -> Vec<u8> {
    let Asker { endpoint, identity } = asker;
    let authority = match endpoint.port {
        80 | 443 => endpoint
            .to_string()
            .trim_end_matches(|last: char| last.is_ascii_digit())
            .trim_end_matches(':')
            .to_owned(),
        _ => endpoint.to_string(),
    };
    let user_agent = &identity.user_agent;
    format!("GET / HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: {user_agent}\r\nAccept: */*\r\nConnection: close\r\n\r\n")
        .into_bytes()
}

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let page = page(answer)?;
    // MongoDB's port says so to people with browsers.
    if page.body.contains("trying to access MongoDB over HTTP") {
        return None;
    }
    PRODUCTS.iter().find_map(|recognise| recognise(&page)).or_else(|| Some(server(page.header("Server"))))
}

fn page(answer: &[u8]) -> Option<Page<'_>> {
    if !answer.starts_with(b"HTTP/1.") {
        return None;
    }
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(answer);
    let body = match parsed {
        Ok(httparse::Status::Complete(length)) => lossy(&answer[length..]).into_owned(),
        _ => String::new(),
    };
    // A status line is enough, whatever is wrong with the fields.
    let status = response.code.or_else(|| std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok())?;
    let named = |header: &httparse::Header<'_>| !header.name.is_empty();
    let headers = response.headers.iter().filter(|header| named(header));
    let headers = headers.map(|header| (header.name, lossy(header.value).into_owned())).collect();
    Some(Page { status, headers, body })
}

/// `nginx/1.22.1`, `Apache/2.4.57 (Debian)`, `Jetty(11.0.13)`, `Werkzeug/2.2.2 Python/3.11.2`.
fn server(field: &str) -> Recognised {
    let field = field.trim();
    let end = field.find(['/', '(', ',']).unwrap_or(field.len());
    let (name, rest) = (field[..end].trim(), field[end..].trim_start_matches(['/', '(']));
    let recognised = Recognised::product(name).version(version_at(rest));
    match SERVERS.iter().find(|(known, _)| *known == name) {
        Some((_, (vendor, product))) => recognised.cpe(vendor, product),
        None => recognised,
    }
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(
        b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nContent-Type: text/html\r\n\r\n<h1>Welcome</h1>",
        "nginx",
        "1.22.1",
        "cpe:2.3:a:nginx:nginx:1.22.1:*:*:*:*:*:*:*",
    ),
    sample(
        b"HTTP/1.1 403 Forbidden\r\nDate: Mon, 03 Jun 2024 10:00:00 GMT\r\nServer: Apache/2.4.57 (Debian)\r\n\r\n",
        "Apache",
        "2.4.57",
        "cpe:2.3:a:apache:http_server:2.4.57:*:*:*:*:*:*:*",
    ),
    sample(
        b"HTTP/1.1 404 Not Found\r\nServer: Jetty(11.0.13)\r\n\r\n",
        "Jetty",
        "11.0.13",
        "cpe:2.3:a:eclipse:jetty:11.0.13:*:*:*:*:*:*:*",
    ),
    sample(
        b"HTTP/1.0 200 OK\r\nServer: SimpleHTTP/0.6 Python/3.11.2\r\n\r\n<ul>",
        "SimpleHTTP",
        "0.6",
        "",
    ),
    sample(b"HTTP/1.1 400 Bad Request\r\n\r\n", "", "", ""),
    sample(b"HTTP/1.1 200 OK\r\nbroken header\r\nServer: x/1\r\n\r\n", "", "", ""),
];
