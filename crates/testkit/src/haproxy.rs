//! Debian's HAProxy in front of several servers that speak HTTP: the way in of an installation, as a Gateway of a cluster is.

use std::{
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use crate::process::{Place, Port, Process, command, program};

/// Sends requests to whoever says at `/ready` that they are.
#[derive(Debug)]
pub struct Server {
    once: Port,
    again: Port,
    servers: Vec<Port>,
    _process: Process,
}

impl Server {
    /// In front of so many servers, none of which needs to be there yet.
    #[track_caller]
    #[expect(clippy::disallowed_methods, reason = "a look whether the server of the test is there")]
    pub fn start(servers: usize) -> Server {
        let place: Arc<Place> = Place::new("haproxy");
        let [once, again] = [(); 2].map(|()| Port::claim());
        let servers: Vec<Port> = (0..servers).map(|_| Port::claim()).collect();
        let lines = |checked: fn(u16) -> String| -> String {
            let line = |server: &Port| {
                let (number, address) = (server.number(), server.address());
                format!("    server of-{number} {address} {}\n", checked(number))
            };
            servers.iter().map(line).collect()
        };
        let checked = lines(|_| "check inter 250ms fastinter 100ms fall 3 rise 1".to_owned());
        let as_the_other = lines(|number| format!("track once/of-{number}"));
        let settings = format!(
            "defaults\n    mode http\n    timeout connect 2s\n    timeout client 60s\n    timeout server 60s\n    timeout check 10s\n    \
             balance roundrobin\n\
             frontend once\n    bind {}\n    default_backend once\n\
             frontend again\n    bind {}\n    default_backend again\n\
             backend once\n    option httpchk GET /ready\n    retries 0\n{checked}\
             backend again\n    option redispatch 1\n    retries 5\n    retry-on conn-failure empty-response\n    \
             http-request disable-l7-retry if METH_POST !{{ req.hdr(idempotency-key) -m found }}\n{as_the_other}",
            once.address(),
            again.address(),
        );
        let file = place.file("haproxy.cfg", &settings);
        let mut haproxy = command(&program("haproxy", "haproxy"));
        haproxy.args(["-db", "-f"]).arg(file);
        let mut process = Process::start(&place, haproxy);
        process.wait_until(|_| {
            [&once, &again].into_iter().all(|port| TcpStream::connect(port.address()).is_ok())
        });
        Server { once, again, servers, _process: process }
    }

    /// Where it sends each request once: whoever asks sees whatever goes wrong.
    pub fn address(&self) -> SocketAddr {
        self.once.address()
    }

    /// Where it sends a request again: what a server that has just gone did not begin to answer goes to another, when it only reads or
    /// brings an `Idempotency-Key`.
    pub fn address_that_asks_again(&self) -> SocketAddr {
        self.again.address()
    }

    /// Where each of the servers is to listen.
    pub fn servers(&self) -> Vec<SocketAddr> {
        self.servers.iter().map(Port::address).collect()
    }
}
