//! A TCP server that does with each connection what the test says.

use std::{
    future::Future,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// A listening server.
#[derive(Debug)]
pub struct TcpServer {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl TcpServer {
    /// Listens on a free port of 127.0.0.1 and gives every connection, with its number counted from 0, to `talk`. The connection
    /// is closed when `talk` ends; its error is the peer's going away.
    pub async fn start<T, F>(talk: T) -> TcpServer
    where
        T: Fn(TcpStream, usize) -> F + Send + 'static,
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            let mut talks = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                talks.spawn(talk(stream, counter.fetch_add(1, Ordering::SeqCst)));
                while talks.try_join_next().is_some() {}
            }
        });
        TcpServer { address, connections, task }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for TcpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A port on which nothing listens.
pub async fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address")
}

/// Closes the connection with a reset instead of an orderly end.
pub fn reset(stream: TcpStream) -> io::Result<()> {
    // Linger of zero makes the kernel send RST on close (socket(7)).
    stream.set_zero_linger()?;
    drop(stream);
    Ok(())
}

/// Sends `piece` again and again until the peer goes away.
pub async fn endlessly(stream: &mut (impl AsyncWrite + Unpin), piece: &[u8]) -> io::Result<()> {
    loop {
        stream.write_all(piece).await?;
    }
}
