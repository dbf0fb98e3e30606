use std::time::Duration;

use model::Profile;
use tokio::net::TcpListener;

use super::*;

fn dialer(scope: Scope, limits: Limits) -> Dialer {
    Dialer::new(scope, limits, CancellationToken::new())
}

fn endpoint(to: SocketAddr) -> Endpoint {
    Endpoint { name: None, address: to.ip(), port: to.port() }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

#[tokio::test]
async fn a_socket_is_opened_within_the_scope_only() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let open = listener.local_addr().unwrap();
    let dialer_here = dialer(Scope::loopback(), Profile::Standard.limits());
    assert!(dialer_here.connect(&endpoint(open), soon()).await.is_ok());

    for address in ["192.0.2.1:80", "169.254.169.254:80", "[2001:db8::1]:80", "0.0.0.0:80", "127.0.0.1:9100"]
    {
        let to: SocketAddr = address.parse().unwrap();
        let connected = dialer_here.connect(&endpoint(to), soon()).await;
        assert!(matches!(connected, Err(DialError::OutOfScope(_))), "{address}: {connected:?}");
        let probed = dialer_here.prober().start(to, None);
        assert!(matches!(probed, Err(DialError::OutOfScope(_))), "{address}: {probed:?}");
        let asked = dialer_here.resolver_socket(to);
        assert!(matches!(asked, Err(DialError::OutOfScope(_))), "{address}: {asked:?}");
    }

    let mut excluding = Scope::loopback();
    excluding.excluded_networks.push("127.0.0.1/32".parse().unwrap());
    let refused = dialer(excluding, Profile::Standard.limits()).connect(&endpoint(open), soon()).await;
    assert!(matches!(refused, Err(DialError::OutOfScope(_))));
}

#[tokio::test]
async fn connections_to_a_host_wait_for_a_place() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = endpoint(listener.local_addr().unwrap());
    let dialer = dialer(Scope::loopback(), Limits { connections_per_host: 2, ..Profile::Standard.limits() });
    let first = dialer.connect(&to, soon()).await.unwrap();
    let _second = dialer.connect(&to, soon()).await.unwrap();
    let third = dialer.connect(&to, Instant::now() + Duration::from_millis(50)).await;
    assert!(matches!(third, Err(DialError::TimedOut)), "{third:?}");
    drop(first);
    assert!(dialer.connect(&to, soon()).await.is_ok());
}

#[tokio::test]
async fn a_stopped_scan_opens_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    let dialer = dialer(Scope::loopback(), Profile::Standard.limits());
    dialer.stop().cancel();
    assert!(matches!(dialer.connect(&endpoint(to), soon()).await, Err(DialError::Stopped)));
    assert!(matches!(dialer.prober().start(to, None), Err(DialError::Stopped)));
    assert!(matches!(dialer.request_turn(to.ip()).await, Err(DialError::Stopped)));
    assert!(matches!(dialer.resolver_socket(to), Err(DialError::Stopped)));
}

#[tokio::test]
async fn probes_tell_open_from_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let open = listener.local_addr().unwrap();
    let freed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = freed.local_addr().unwrap();
    drop(freed);
    let dialer = dialer(Scope::loopback(), Profile::Standard.limits());
    for (to, expected_open) in [(open, true), (closed, false)] {
        let state = match dialer.prober().start(to, None).unwrap() {
            ProbeStart::Pending(probe) => dialer.finish_probe(probe, soon()).await.unwrap(),
            ProbeStart::Decided(end) => end,
            ProbeStart::NoRoom => panic!("there is room for one probe"),
        };
        let expected = if expected_open { ProbeEnd::Open { own_machine: true } } else { ProbeEnd::Closed };
        assert_eq!(state, expected, "{to}");
    }
}
