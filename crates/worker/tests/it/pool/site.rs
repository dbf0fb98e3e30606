//! A web site that answers when it is told to, and the check that looks at it: work whose end a test decides.

use std::{collections::BTreeSet, io, sync::Arc};

use testkit::tcp::TcpServer;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
};

use crate::patience::within;

/// One request, one finding.
pub(crate) const CHECK: &str = r#"
id: answers
info:
  name: The site answers
  author: rampart
  severity: low
  description: It says that it answers.
http:
  - method: GET
    path: ["{{BaseURL}}/"]
    matchers:
      - type: word
        words: ["the site answers"]
"#;

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\nContent-Type: text/plain\r\n\r\nthe site answers";

/// Connections by their numbers.
#[derive(Debug, Default)]
struct State {
    asked: BTreeSet<usize>,
    released: BTreeSet<usize>,
    gone: BTreeSet<usize>,
}

pub(crate) struct Site {
    server: TcpServer,
    state: Arc<watch::Sender<State>>,
}

impl Site {
    pub(crate) async fn start() -> Site {
        let state = Arc::<watch::Sender<State>>::default();
        let shared = Arc::clone(&state);
        let server = TcpServer::start(move |stream, number| talk(stream, number, Arc::clone(&shared))).await;
        Site { server, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.server.address())
    }

    /// Waits until something was asked on so many connections.
    pub(crate) async fn until_asked(&self, connections: usize) {
        let asked = |state: &State| state.asked.len() >= connections;
        within("the site is asked", self.state.subscribe().wait_for(asked)).await.unwrap();
    }

    /// Waits until the other end of a connection that was not answered has closed it.
    pub(crate) async fn until_gone(&self, number: usize) {
        let gone = |state: &State| state.gone.contains(&number);
        within("the connection is closed", self.state.subscribe().wait_for(gone)).await.unwrap();
    }

    /// Answers on that connection.
    pub(crate) fn answer(&self, number: usize) {
        self.state.send_modify(|state| {
            state.released.insert(number);
        });
    }
}

async fn talk(mut stream: TcpStream, number: usize, state: Arc<watch::Sender<State>>) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    state.send_modify(|state| {
        state.asked.insert(number);
    });
    let mut changes = state.subscribe();
    tokio::select! {
        released = changes.wait_for(|state| state.released.contains(&number)) => drop(released.expect("the sender is held")),
        _ = stream.read_buf(&mut head) => {
            state.send_modify(|state| {
                state.gone.insert(number);
            });
            return Ok(());
        }
    }
    stream.write_all(ANSWER).await?;
    // Until the other end has had enough.
    while stream.read_buf(&mut head).await? > 0 {}
    Ok(())
}
