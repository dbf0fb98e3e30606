//! What this machine knows about names: its name servers and its own table.

use std::{
    collections::HashMap,
    fs::File,
    io::Read,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
};

use model::DomainName;

/// Longer files are somebody's block list, not a table of names to scan.
const LONGEST_FILE: u64 = 1 << 20;

/// The name servers of resolv.conf(5); this machine's own where it names none.
pub fn system_servers() -> Vec<SocketAddr> {
    let servers = servers(&read(Path::new("/etc/resolv.conf")));
    if servers.is_empty() { vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 53))] } else { servers }
}

fn read(path: &Path) -> String {
    let mut text = String::new();
    // A machine without the file, or with an unreadable one, has nothing to say.
    let read = File::open(path).and_then(|file| file.take(LONGEST_FILE).read_to_string(&mut text));
    if read.is_err() { String::new() } else { text }
}

fn servers(text: &str) -> Vec<SocketAddr> {
    let mut servers = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if words.next() != Some("nameserver") {
            continue;
        }
        // `fe80::1%eth0`: link-local servers are out of every scope anyway.
        let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
        let server = SocketAddr::new(address, 53);
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    servers
}

/// The names of hosts(5).
#[derive(Debug, Default)]
pub(super) struct Hosts(HashMap<DomainName, Vec<IpAddr>>);

impl Hosts {
    pub(super) fn of_this_machine() -> Hosts {
        Hosts::parse(&read(Path::new("/etc/hosts")))
    }

    fn parse(text: &str) -> Hosts {
        let mut hosts: HashMap<DomainName, Vec<IpAddr>> = HashMap::new();
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
            for name in words.filter_map(|word| word.parse::<DomainName>().ok()) {
                let addresses = hosts.entry(name).or_default();
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        Hosts(hosts)
    }

    /// `localhost` and what is below it is this machine whatever the table says (RFC 6761, section 6.3).
    pub(super) fn addresses(&self, name: &DomainName) -> Option<Vec<IpAddr>> {
        if let Some(addresses) = self.0.get(name) {
            return Some(addresses.clone());
        }
        let is_local = name.labels().next_back() == Some("localhost");
        is_local.then(|| vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_and_names_are_read_past_comments_and_rubbish() {
        let text = "# nameserver 192.0.2.1\nsearch example.com\nnameserver 192.0.2.53\nnameserver  2001:db8::53 # x\n\
                    nameserver fe80::1%eth0\nnameserver nonsense\nnameserver 192.0.2.53\noptions edns0\n";
        let expected: Vec<SocketAddr> =
            vec!["192.0.2.53:53".parse().unwrap(), "[2001:db8::53]:53".parse().unwrap()];
        assert_eq!(servers(text), expected);

        let hosts = Hosts::parse(
            "127.0.0.1 localhost\n192.0.2.7 Web.example.com web # the web\nbad line\n192.0.2.8 web\n",
        );
        let name = |text: &str| text.parse::<DomainName>().unwrap();
        let addresses =
            |texts: &[&str]| Some(texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>());
        assert_eq!(hosts.addresses(&name("localhost")), addresses(&["127.0.0.1"]));
        assert_eq!(hosts.addresses(&name("app.localhost")), addresses(&["127.0.0.1", "::1"]));
        assert_eq!(hosts.addresses(&name("web.example.com")), addresses(&["192.0.2.7"]));
        assert_eq!(hosts.addresses(&name("web")), addresses(&["192.0.2.7", "192.0.2.8"]));
        assert_eq!(hosts.addresses(&name("other.example.com")), None);
        assert_eq!(hosts.addresses(&name("notlocalhost")), None);
    }
}
