//! Where a key goes, and where it does not.

use client::{Client, ClientError, Server, Trusted};
use testkit::{
    http::{HttpServer, response},
    tls::{Wanted, acceptor, certify},
};

use crate::{answering, server, tenant};

#[tokio::test]
async fn a_key_is_not_sent_to_another_machine_unencrypted_unless_somebody_says_so() {
    let exposed = server("http://192.0.2.1:8440");
    let refused = Client::new(&exposed).unwrap_err();
    assert!(matches!(refused, ClientError::Exposed { .. }), "{refused:?}");
    assert!(refused.to_string().contains("http://192.0.2.1:8440"), "{refused}");
    Client::new(&Server { in_the_clear: true, ..exposed }).unwrap();
}

#[tokio::test]
async fn a_key_is_not_sent_where_somebody_else_points_to() {
    let (elsewhere, _) = answering(vec![tenant()]).await;
    let place = format!("Location: http://{}/api/v1/tenant", elsewhere.address());
    let (_here, client) = answering(vec![response("307 Temporary Redirect", &[&place], "")]).await;
    let refused = client.tenant().await.unwrap_err();
    assert!(matches!(refused, ClientError::Unexplained { status: 307, .. }), "{refused:?}");
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn a_server_is_believed_by_its_certificate() {
    let certified = certify(&Wanted::default());
    let authority = certified.authority_pem().to_owned();
    let stranger = certify(&Wanted::default()).authority_pem().to_owned();
    let there = HttpServer::start_tls(acceptor(certified), |_| tenant()).await;
    let named_otherwise = certify(&Wanted { names: &["elsewhere.test"], ..Wanted::default() });
    let of_other = named_otherwise.authority_pem().to_owned();
    let other = HttpServer::start_tls(acceptor(named_otherwise), |_| tenant()).await;
    let ask = async |port: u16, pem: &str| {
        let trusted = Trusted::Only(pem.as_bytes().to_vec());
        let server = Server { trusted, ..server(&format!("https://localhost:{port}")) };
        Client::new(&server)?.tenant().await
    };
    let port = there.address().port();
    assert_eq!(ask(port, &authority).await.unwrap().name, "acme");
    for (port, pem) in [(port, &stranger), (other.address().port(), &of_other)] {
        let refused = ask(port, pem).await.unwrap_err();
        assert!(matches!(refused, ClientError::Unreachable { passing: false, .. }), "{refused:?}");
        assert!(refused.to_string().contains("certificate"), "{refused}");
    }
    for pem in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let refused = ask(port, pem).await.unwrap_err();
        assert!(matches!(refused, ClientError::Certificates(_)), "{pem}: {refused:?}");
    }
    assert_eq!((there.seen().len(), other.seen().len()), (1, 0), "nobody else was asked anything");
}
