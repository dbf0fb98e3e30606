//! What protects the way to the server, and who gets to see a password.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use store::{Location, Store, StoreError};
use testkit::{
    postgres::{Options, Server},
    tcp::TcpServer,
    tls::{Certified, Wanted, acceptor, certify},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
};

use super::rows::{connect, texts};

const PASSWORD: &str = "nobody-may-see-this";

/// A server with a database that is ready, and a user `app`.
async fn server(tls: Option<&Certified>) -> Arc<Server> {
    let tls = tls.map(|certified| (certified.chain_pem.clone(), certified.key_pem.clone()));
    let start = move || {
        let server = Server::start_with(Options { tls, ..Options::default() });
        server.sql("postgres", &format!("CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'"));
        server
    };
    let server = tokio::task::spawn_blocking(start).await.unwrap();
    store::migrate(&server.superuser_url(), &["app".to_owned()]).await.unwrap();
    Arc::new(server)
}

async fn open(host: &str, port: u16, options: &str) -> Result<Store, StoreError> {
    let url = format!("postgres://app:{PASSWORD}@{host}:{port}/postgres{options}");
    Store::open(&Location::Postgres { url, connections: 1, replica: None }).await
}

/// Is the way to the server encrypted? Or why is it not opened.
async fn encrypted(server: &Server, host: &str, options: &str) -> Result<bool, String> {
    let store = open(host, server.address().port(), options).await.map_err(|error| {
        assert!(matches!(error, StoreError::Invalid(_)), "{options}: {error:?}");
        error.to_string()
    })?;
    store.tenants().await.unwrap();
    let superuser = connect(&format!("{}?sslmode=disable", server.superuser_url())).await;
    let sql =
        "SELECT DISTINCT ssl::text FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'app'";
    let found = texts(&superuser, sql).await;
    // Gone before the next is counted.
    drop(store);
    superuser
        .execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = 'app'", &[])
        .await
        .unwrap();
    assert_eq!(found.len(), 1, "{options}: {found:?}");
    Ok(found == ["true"])
}

fn file(directory: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = directory.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_encrypts_is_verified_as_far_as_the_url_says() {
    let directory = tempfile::tempdir().unwrap();
    let certified = certify(&Wanted { names: &["127.0.0.1", "db.example"], ..Wanted::default() });
    let root = file(&directory, "root.pem", certified.authority_pem());
    let other = file(&directory, "other one.pem", certify(&Wanted::default()).authority_pem());
    let empty = file(&directory, "empty.pem", "");
    let server = server(Some(&certified)).await;
    let here = "127.0.0.1";
    for (host, options, is) in [
        (here, String::new(), true),
        (here, "?sslmode=prefer".to_owned(), true),
        (here, "?sslmode=disable".to_owned(), false),
        (here, "?sslmode=require".to_owned(), true),
        (here, format!("?sslmode=verify-full&sslrootcert={}", root.display()), true),
        (here, format!("?sslrootcert={}", root.display()), true),
        // Elsewhere, as far as anybody can tell.
        ("db.example", "?hostaddr=127.0.0.1".to_owned(), true),
        (
            "db.example",
            format!("?hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert={}", root.display()),
            true,
        ),
    ] {
        assert_eq!(encrypted(&server, host, &options).await, Ok(is), "{host} {options}");
    }
    for (host, options, why) in [
        (here, format!("?sslrootcert={}", other.display().to_string().replace(' ', "%20")), "certificate"),
        (here, format!("?sslmode=prefer&sslrootcert={}", other.display()), "certificate"),
        ("localhost", format!("?hostaddr=127.0.0.1&sslrootcert={}", root.display()), "certificate"),
        ("other.example", format!("?hostaddr=127.0.0.1&sslrootcert={}", root.display()), "certificate"),
        (here, format!("?sslrootcert={}", empty.display()), "no certificate in it"),
        (here, "?sslmode=verify-full".to_owned(), "sslrootcert=FILE"),
    ] {
        let said = encrypted(&server, host, &options).await.unwrap_err();
        assert!(said.contains(why) && !said.contains(PASSWORD), "{host} {options}: {said}");
    }
    // Whoever migrates goes the same way.
    let url = format!("{}?sslrootcert={}", server.superuser_url(), root.display());
    assert_eq!(store::migrate(&url, &[]).await.unwrap(), Vec::<String>::new());
    let url = format!("{}?sslrootcert={}", server.superuser_url(), other.display());
    store::migrate(&url, &[]).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_encrypt_is_talked_to_on_this_machine_or_when_somebody_wrote_it_out() {
    let server = server(None).await;
    for (host, options) in [
        ("127.0.0.1", ""),
        ("127.0.0.1", "?sslmode=prefer"),
        ("127.0.0.1", "?sslmode=disable"),
        ("db.example", "?hostaddr=127.0.0.1&sslmode=disable"),
    ] {
        assert_eq!(encrypted(&server, host, options).await, Ok(false), "{host} {options}");
    }
    for (host, options) in [
        ("127.0.0.1", "?sslmode=require"),
        ("db.example", "?hostaddr=127.0.0.1"),
        ("db.example", "?hostaddr=127.0.0.1&sslmode=prefer"),
        ("db.example", "?hostaddr=127.0.0.1&sslmode=require"),
    ] {
        let said = encrypted(&server, host, options).await.unwrap_err();
        assert!(said.contains("sslmode=disable"), "{host} {options}: {said}");
    }
}

/// Stands where the database should be: with a certificate of its own, or without any. Tells what it heard after it had asked for a
/// password in clear text, once for each connection.
async fn impostor(certified: Option<Certified>) -> (TcpServer, UnboundedReceiver<Vec<u8>>) {
    let (tell, heard) = unbounded_channel();
    let acceptor = certified.map(acceptor);
    let server = TcpServer::start(move |mut stream, _| {
        let (tell, acceptor) = (tell.clone(), acceptor.clone());
        async move {
            let mut request = [0; 8];
            stream.read_exact(&mut request).await?;
            let mut rest = Vec::new();
            match acceptor {
                None => {
                    stream.write_all(b"N").await?;
                    stream.read_to_end(&mut rest).await?;
                }
                Some(acceptor) => {
                    stream.write_all(b"S").await?;
                    let mut stream = acceptor.accept(stream).await?;
                    let length = stream.read_u32().await?;
                    let mut startup = vec![0; length as usize - 4];
                    stream.read_exact(&mut startup).await?;
                    // AuthenticationCleartextPassword.
                    stream.write_all(&[b'R', 0, 0, 0, 8, 0, 0, 0, 3]).await?;
                    stream.flush().await?;
                    let mut piece = [0; 1024];
                    if let Ok(read) = stream.read(&mut piece).await {
                        rest.extend(&piece[..read]);
                    }
                }
            }
            // Nobody may be waiting any more.
            let _ = tell.send(rest);
            Ok(())
        }
    })
    .await;
    (server, heard)
}

async fn heard_by(certified: Option<Certified>, options: &str) -> (String, String) {
    let (server, mut heard) = impostor(certified).await;
    let address: SocketAddr = server.address();
    let said = open("db.example", address.port(), options).await.unwrap_err().to_string();
    let heard = heard.recv().await.unwrap();
    (said, String::from_utf8_lossy(&heard).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_in_between_gets_the_password() {
    for options in
        ["?hostaddr=127.0.0.1", "?hostaddr=127.0.0.1&sslmode=prefer", "?hostaddr=127.0.0.1&sslmode=require"]
    {
        let (said, heard) = heard_by(None, options).await;
        assert!(heard.is_empty() && said.contains("does not encrypt"), "{options}: {said}; it heard {heard}");
        let (said, heard) = heard_by(Some(certify(&Wanted::default())), options).await;
        assert!(heard.is_empty() && said.contains("may be anybody"), "{options}: {said}; it heard {heard}");
    }
    // And would get it if that were allowed.
    let options = "?hostaddr=127.0.0.1&sslmode=require&channel_binding=prefer";
    let (_, heard) = heard_by(Some(certify(&Wanted::default())), options).await;
    assert!(heard.contains(PASSWORD), "{heard}");
}
