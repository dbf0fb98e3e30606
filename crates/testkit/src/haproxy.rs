//! Debian's HAProxy in front of several servers that speak HTTP: the way in of an installation, as a Gateway of a cluster is.

use std::{
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use crate::process::{Place, Port, Process, command, program};

/// Sends requests to whoever says at `/ready` that they are. What a server that has just gone did not begin to answer goes to another,
/// when it only reads or brings an `Idempotency-Key`.
#[derive(Debug)]
pub struct Server {
    port: Port,
    servers: Vec<Port>,
    _process: Process,
}

impl Server {
    /// In front of so many servers, none of which needs to be there yet.
    #[track_caller]
    #[expect(clippy::disallowed_methods, reason = "a look whether the server of the test is there")]
    pub fn start(servers: usize) -> Server {
        let (place, port): (Arc<Place>, _) = (Place::new("haproxy"), Port::claim());
        let servers: Vec<Port> = (0..servers).map(|_| Port::claim()).collect();
        let lines: String = servers
            .iter()
            .map(|server| {
                format!(
                    "    server of-{} {} check inter 250ms fall 3 rise 1\n",
                    server.number(),
                    server.address()
                )
            })
            .collect();
        let settings = format!(
            "defaults\n    mode http\n    timeout connect 2s\n    timeout client 60s\n    timeout server 60s\n    timeout check 10s\n\
             frontend entry\n    bind {}\n    default_backend gateways\n\
             backend gateways\n    balance roundrobin\n    option httpchk GET /ready\n    option redispatch 1\n    retries 5\n    \
             retry-on conn-failure empty-response\n    \
             http-request disable-l7-retry if METH_POST !{{ req.hdr(idempotency-key) -m found }}\n{lines}",
            port.address(),
        );
        let file = place.file("haproxy.cfg", &settings);
        let mut haproxy = command(&program("haproxy", "haproxy"));
        haproxy.args(["-db", "-f"]).arg(file);
        let mut process = Process::start(&place, haproxy);
        process.wait_until(|_| TcpStream::connect(port.address()).is_ok());
        Server { port, servers, _process: process }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Where each of the servers is to listen.
    pub fn servers(&self) -> Vec<SocketAddr> {
        self.servers.iter().map(Port::address).collect()
    }
}
