//! Object storage: `s3s-fs`, which speaks S3 and looks at signatures, over a directory.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::oneshot};

use crate::process::{Port, wait_for};

const BUCKET: &str = "rampart";
const KEY: &str = "AKIDTEST";
const SECRET: &str = "s3cret/with+signs";

/// Who is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Whose signature is right.
    Signed,
    /// Everybody: also what speaks the XML interface of Google, which is the same but for the signature.
    Open,
}

/// A server on 127.0.0.1 with one bucket.
#[derive(Debug)]
pub struct Server {
    directory: TempDir,
    port: Port,
    access: Access,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Server {
    /// Starts one.
    #[track_caller]
    pub fn start(access: Access) -> Server {
        let directory = tempfile::tempdir().expect("a directory for objects");
        std::fs::create_dir(directory.path().join(BUCKET)).expect("a bucket is a directory");
        let server = Server { directory, port: Port::claim(), access, running: Mutex::default() };
        server.start_again();
        server
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The URL of its bucket, as Rampart wants it.
    pub fn url(&self) -> String {
        self.url_with(SECRET)
    }

    /// The same with another secret.
    pub fn url_with(&self, secret: &str) -> String {
        let secret = secret.replace('/', "%2F").replace('+', "%2B");
        let endpoint = format!("endpoint=http://{}", self.address());
        match self.access {
            Access::Signed => format!("s3://{KEY}:{secret}@{BUCKET}/some/prefix?{endpoint}"),
            Access::Open => format!("gs://{BUCKET}/some/prefix?credentials=none&{endpoint}"),
        }
    }

    /// Where the objects of [`Server::url`] are.
    pub fn objects(&self) -> PathBuf {
        self.directory.path().join(BUCKET).join("some/prefix")
    }

    /// Nobody answers any more.
    pub fn stop(&self) {
        if let Some(Running { stop, thread }) =
            self.running.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            // It listens to this for as long as it lives.
            let _ = stop.send(());
            // What it has to say it said on standard error.
            let _ = thread.join();
        }
    }

    /// On the same port, with the same objects.
    #[track_caller]
    #[expect(clippy::disallowed_methods, reason = "a test's own line to a server on loopback")]
    pub fn start_again(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_some() {
            return;
        }
        let files = FileSystem::new(self.directory.path()).expect("the directory is there");
        let mut builder = S3ServiceBuilder::new(files);
        if self.access == Access::Signed {
            builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
        }
        let service = builder.build();
        let (stop, stopped) = oneshot::channel();
        let address = self.address();
        let thread = thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::bind(address).await.expect("the port is claimed");
                let serve = async {
                    loop {
                        let Ok((stream, _)) = listener.accept().await else { continue };
                        let service = service.clone();
                        tokio::spawn(async move {
                            let http = Builder::new(TokioExecutor::new());
                            // A client that goes away is its own affair.
                            let _ = http.serve_connection(TokioIo::new(stream), service).await;
                        });
                    }
                };
                tokio::select! {
                    () = serve => {}
                    _ = stopped => {}
                }
            });
        });
        wait_for("the object storage", || std::net::TcpStream::connect(address).ok());
        *running = Some(Running { stop, thread });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
