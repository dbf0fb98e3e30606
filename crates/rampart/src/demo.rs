//! The demo estate: a small company's servers, carelessly configured, inside this process and on loopback only. The scan that
//! follows is the real one; nothing here knows about checks.

mod certificates;
mod dialogues;
mod name_server;
mod old_tls;
mod sites;
mod web;

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::Arc,
};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use tokio::{
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use self::{name_server::Zone, web::Site};

/// The zone that the estate's name server answers for. `.test` is reserved and can be nobody's (RFC 6761).
const ZONE: &str = "acme.test";

/// Second numbers of 127.x.0.0/24 that are tried in turn, so that two demos can run at once.
const NETWORKS: std::ops::RangeInclusive<u8> = 77..=86;

/// The running servers; they end when it is dropped.
pub(crate) struct Estate {
    network: Network,
    name_server: SocketAddr,
    _servers: JoinSet<()>,
}

/// The estate's addresses, 127.x.0.0/24.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Network(u8);

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/24", self.host(0))
    }
}

impl Network {
    /// The host with that last number.
    fn host(self, number: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, self.0, 0, number)
    }
}

impl Estate {
    /// Starts every server in the first network that is free; all of them listen when this returns.
    pub(crate) async fn start() -> anyhow::Result<Estate> {
        let mut last = None;
        for number in NETWORKS {
            match Estate::start_in(Network(number)).await {
                Ok(estate) => return Ok(estate),
                Err(error) if is_in_use(&error) => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        match last {
            Some(error) => Err(error.context("every demo network on loopback is in use")),
            None => bail!("there is no demo network"),
        }
    }

    /// Starts the estate where an earlier one was: a scan that goes on knows hosts by their addresses.
    pub(crate) async fn start_again(network: Network) -> anyhow::Result<Estate> {
        Estate::start_in(network).await.with_context(|| {
            format!("the scan was of the demo estate in {network}, which cannot be started there again (if another demo runs there, let it end first)")
        })
    }

    async fn start_in(network: Network) -> anyhow::Result<Estate> {
        let mut servers = JoinSet::new();
        let name_server = SocketAddr::V4(SocketAddrV4::new(network.host(53), 5353));
        let zone = Arc::new(Zone::new(network)?);
        let datagrams =
            UdpSocket::bind(name_server).await.with_context(|| format!("cannot listen on {name_server}"))?;
        servers.spawn(name_server::serve_datagrams(datagrams, Arc::clone(&zone)));
        let streams = listen(network.host(53), 5353).await?;
        servers.spawn(name_server::serve_streams(streams, zone));

        for (number, port, site) in sites::plain() {
            serve_site(&mut servers, listen(network.host(number), port).await?, site, None);
        }
        for (number, port, site, certificate) in sites::encrypted() {
            let acceptor =
                certificates::acceptor(&certificate).context("cannot make the demo's certificates")?;
            serve_site(&mut servers, listen(network.host(number), port).await?, site, Some(acceptor));
        }
        let old = listen(network.host(12), 8443).await?;
        let certificate =
            Arc::new(certificates::weak_certificate().context("cannot make the demo's certificates")?);
        servers.spawn(accept(old, move |stream| old_tls::answer(stream, Arc::clone(&certificate))));
        for (number, port, dialogue) in dialogues::all() {
            let listener = listen(network.host(number), port).await?;
            servers.spawn(accept(listener, move |stream| dialogues::hold(stream, dialogue)));
        }
        Ok(Estate { network, name_server, _servers: servers })
    }

    /// What to scan.
    pub(crate) fn targets(&self) -> Vec<String> {
        vec![ZONE.to_owned()]
    }

    /// Where its hosts are.
    pub(crate) fn network(&self) -> Network {
        self.network
    }

    /// Who answers for the zone.
    pub(crate) fn name_server(&self) -> SocketAddr {
        self.name_server
    }
}

fn is_in_use(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::AddrInUse)
}

async fn listen(address: Ipv4Addr, port: u16) -> anyhow::Result<TcpListener> {
    TcpListener::bind((address, port)).await.with_context(|| format!("cannot listen on {address}:{port}"))
}

fn serve_site(servers: &mut JoinSet<()>, listener: TcpListener, site: Site, acceptor: Option<TlsAcceptor>) {
    let site = Arc::new(site);
    servers.spawn(accept(listener, move |stream| web::serve(stream, Arc::clone(&site), acceptor.clone())));
}

/// Takes connections until the estate ends. What becomes of one connection is its client's business.
async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let served = serve(stream);
                    connections.spawn(async move {
                        // A scan breaks connections off all the time.
                        let _ = served.await;
                    });
                }
                // Out of descriptors for a moment: the connections below give some back.
                Err(_) => tokio::task::yield_now().await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}
