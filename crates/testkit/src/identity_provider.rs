//! A provider of identities: Canaille (from the Python registry), with people of a test's own; and a browser that logs in there.

use std::{collections::BTreeMap, process::Command, sync::Arc};

use reqwest::{Client, Method, Response, Url, header, redirect::Policy};
use rustls::{ClientConfig, RootCertStore};

use crate::{
    process::{Place, Port, Process},
    tools,
};

const SERVER: &str = include_str!("identity_provider/server.py");
/// Steps of one login, at most.
const STEPS: usize = 10;

/// Somebody who can log in there.
#[derive(Debug, Clone, Copy)]
pub struct Person<'p> {
    /// By what they log in; their address of electronic mail has it, too.
    pub name: &'p str,
    /// Their password.
    pub password: &'p str,
    /// In which they are.
    pub groups: &'p [&'p str],
}

/// The running provider.
#[derive(Debug)]
pub struct Server {
    port: Port,
    secret: String,
    _process: Process,
}

impl Server {
    /// Starts it, with these people, for clients of that name and to where each of them has people sent back. It cannot let somebody in
    /// twice within a second for the same client.
    #[track_caller]
    pub fn start(people: &[Person<'_>], clients: &[(&str, &str)]) -> Server {
        let (place, port): (Arc<Place>, _) = (Place::new("identity-provider"), Port::claim());
        let list = |texts: &[&str]| {
            format!("[{}]", texts.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(","))
        };
        let people = people.iter().map(|Person { name, password, groups }| {
            format!("{{\"name\":{name:?},\"password\":{password:?},\"groups\":{}}}", list(groups))
        });
        let people = format!("[{}]", people.collect::<Vec<_>>().join(","));
        let secret = format!("secret-{}", port.number());
        let mut server = Command::new(tools::program("canaille/bin/python"));
        server.arg(place.file("server.py", SERVER));
        let clients: Vec<String> = clients.iter().map(|(name, redirect)| list(&[name, redirect])).collect();
        let clients = format!("[{}]", clients.join(","));
        server.args([port.number().to_string(), clients, secret.clone(), people]);
        let mut process = Process::start(&place, server);
        process.wait_until(|said| said.contains("ready"));
        Server { port, secret, _process: process }
    }

    /// As it writes it.
    pub fn issuer(&self) -> String {
        format!("http://{}", self.port.address())
    }

    /// Of every client.
    pub fn client_secret(&self) -> &str {
        &self.secret
    }
}

/// Somebody's browser at the provider: it fills in forms, and goes wherever it is sent there.
#[derive(Debug)]
pub struct Browser {
    client: Client,
    cookies: BTreeMap<String, String>,
}

impl Default for Browser {
    fn default() -> Browser {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls =
            tls.expect("the provider has the usual versions").with_root_certificates(RootCertStore::empty());
        let client =
            Client::builder().redirect(Policy::none()).tls_backend_preconfigured(tls.with_no_client_auth());
        Browser { client: client.build().expect("everything it needs is there"), cookies: BTreeMap::new() }
    }
}

impl Browser {
    /// Logs in at the provider, and tells where it sends the browser back to.
    ///
    /// # Panics
    /// When it does not send it back.
    pub async fn log_in(&mut self, at: &str, name: &str, password: &str) -> String {
        let mut url: Url = at.parse().expect("the provider's address is a URL");
        let home = url.origin();
        let mut seen = Vec::new();
        for _ in 0..STEPS {
            let answer = self.ask(Method::GET, &url, None).await;
            let mut next = sent_to(&url, &answer);
            if next.is_none() {
                let page = answer.text().await.expect("a page can be read");
                let field = |name: &str| page.contains(&format!("name=\"{name}\""));
                let mut form = vec![("csrf_token", hidden(&page, "csrf_token"))];
                match (field("login"), field("password")) {
                    (true, _) => form.push(("login", name.to_owned())),
                    (false, true) => form.push(("password", password.to_owned())),
                    (false, false) => panic!("{url} has no form that is known, after {seen:?}:\n{page}"),
                }
                let answer = self.ask(Method::POST, &url, Some(form)).await;
                next = sent_to(&url, &answer);
            }
            let Some(next) = next else { panic!("{url} sends nobody on, after {seen:?}") };
            if next.origin() != home {
                return next.into();
            }
            seen.push(std::mem::replace(&mut url, next).to_string());
        }
        panic!("the provider sends the browser round and round: {seen:?}")
    }

    async fn ask(&mut self, method: Method, url: &Url, form: Option<Vec<(&str, String)>>) -> Response {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = self.client.request(method, url.clone()).header(header::COOKIE, cookies.join("; "));
        request = request.header(header::REFERER, url.as_str());
        if let Some(form) = form {
            let mut body = url.clone();
            body.query_pairs_mut().clear().extend_pairs(form);
            request = request
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(body.query().unwrap_or_default().to_owned());
        }
        let answer = request.send().await.expect("the provider answers");
        for cookie in answer.headers().get_all(header::SET_COOKIE) {
            let pair = cookie.to_str().ok().and_then(|text| text.split(';').next()?.split_once('='));
            if let Some((name, value)) = pair {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }
}

fn sent_to(from: &Url, answer: &Response) -> Option<Url> {
    let place = answer.headers().get(header::LOCATION)?.to_str().ok()?;
    from.join(place).ok()
}

/// What a hidden field of a form holds.
fn hidden(page: &str, name: &str) -> String {
    let after = page.split_once(&format!("name=\"{name}\" value=\"")).map_or("", |(_, after)| after);
    after.split('"').next().unwrap_or_default().to_owned()
}
