//! A line between a client and its server that can be cut.

use std::{io, net::SocketAddr};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot, watch},
    task::{JoinHandle, JoinSet},
};

use crate::process::Port;

/// Forwards TCP connections from a port of 127.0.0.1 to a server.
#[derive(Debug)]
pub struct TcpProxy {
    port: Port,
    orders: mpsc::UnboundedSender<Order>,
    stalled: watch::Sender<bool>,
    open: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
enum Order {
    Cut(oneshot::Sender<()>),
    Refuse(bool, oneshot::Sender<()>),
}

impl TcpProxy {
    /// Starts forwarding.
    pub async fn start(upstream: SocketAddr) -> TcpProxy {
        let port = Port::claim();
        let listener = TcpListener::bind(port.address()).await.expect("the port was claimed");
        let (orders, taken) = mpsc::unbounded_channel();
        let (stalled, standing) = watch::channel(false);
        let (count, open) = watch::channel(0);
        let line = Line { address: port.address(), upstream, standing, count };
        let task = tokio::spawn(line.forward(listener, taken));
        TcpProxy { port, orders, stalled, open, task }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// How many connections are open through it; changes can be waited for.
    pub fn open(&self) -> watch::Receiver<usize> {
        self.open.clone()
    }

    /// Resets all connections, towards both ends. New ones are welcome.
    pub async fn cut(&self) {
        self.order(Order::Cut).await;
    }

    /// Whether new connections are refused, as if nothing listened. Those which are open stay.
    pub async fn refuse(&self, on: bool) {
        self.order(|done| Order::Refuse(on, done)).await;
    }

    /// Whether nothing is forwarded any more while every connection stays open, and new ones are accepted: a line that has gone dead.
    pub fn stall(&self, on: bool) {
        self.stalled.send_replace(on);
    }

    async fn order(&self, order: impl FnOnce(oneshot::Sender<()>) -> Order) {
        let (done, is_done) = oneshot::channel();
        self.orders.send(order(done)).expect("the proxy runs as long as its value");
        is_done.await.expect("the proxy runs as long as its value");
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Line {
    address: SocketAddr,
    upstream: SocketAddr,
    standing: watch::Receiver<bool>,
    count: watch::Sender<usize>,
}

impl Line {
    async fn forward(self, listener: TcpListener, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut listener = Some(listener);
        let mut talks = JoinSet::new();
        loop {
            let accept = async {
                match &listener {
                    Some(listener) => listener.accept().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                accepted = accept => if let Ok((client, _)) = accepted {
                    talks.spawn(talk(client, self.upstream, self.standing.clone(), Open::new(&self.count)));
                },
                order = orders.recv() => match order {
                    Some(Order::Cut(done)) => {
                        // What a talk holds is reset when the talk is dropped.
                        talks.shutdown().await;
                        let _ = done.send(());
                    }
                    Some(Order::Refuse(on, done)) => {
                        listener = match (on, listener.take()) {
                            (true, _) => None,
                            (false, Some(listener)) => Some(listener),
                            (false, None) => {
                                Some(TcpListener::bind(self.address).await.expect("the port was claimed"))
                            }
                        };
                        let _ = done.send(());
                    }
                    None => return,
                },
                Some(_) = talks.join_next() => {}
            }
        }
    }
}

/// Counts a connection as long as it is open.
struct Open(watch::Sender<usize>);

impl Open {
    fn new(count: &watch::Sender<usize>) -> Open {
        count.send_modify(|open| *open += 1);
        Open(count.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

/// Resets its connection when dropped before it has ended in good order.
struct End {
    stream: TcpStream,
    in_order: bool,
}

impl Drop for End {
    fn drop(&mut self) {
        if !self.in_order {
            // Linger of zero makes the kernel send RST on close (socket(7)).
            let _ = self.stream.set_zero_linger();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's own line to a server on loopback")]
async fn talk(
    client: TcpStream,
    upstream: SocketAddr,
    standing: watch::Receiver<bool>,
    _open: Open,
) -> io::Result<()> {
    let mut client = End { stream: client, in_order: false };
    let mut server = End { stream: TcpStream::connect(upstream).await?, in_order: false };
    // Who closes one direction of these protocols is done with both.
    tokio::select! {
        ended = copy(&client.stream, &server.stream, standing.clone()) => ended?,
        ended = copy(&server.stream, &client.stream, standing) => ended?,
    }
    (client.in_order, server.in_order) = (true, true);
    Ok(())
}

/// Until the end of `from`.
async fn copy(from: &TcpStream, to: &TcpStream, mut standing: watch::Receiver<bool>) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    loop {
        from.readable().await?;
        // The sender lives as long as the proxy.
        let _ = standing.wait_for(|stalled| !stalled).await;
        let read = match from.try_read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        let mut rest = &buffer[..read];
        while !rest.is_empty() {
            to.writable().await?;
            match to.try_write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}
