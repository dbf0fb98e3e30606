//! What happens when the broker, or the way to it, is lost.

use std::time::{Duration, Instant};

use futures_util::FutureExt;
use model::Stage;
use testkit::proxy::TcpProxy;
use worker::doorbell::{Bell, DoorbellError};

use super::{DEADLINE, Ground, Kind, cases, heard, in_trouble, ring, ring_until_taken, well, within};
use crate::broker::Server;

const CHECK: Bell = Bell::Stage(Stage::Check);
const BOTH: [Bell; 2] = [CHECK, Bell::Stop];

/// What is rung with while the broker is away. It must not take long, and much longer is no matter of a slow machine.
const IMPATIENT: Duration = Duration::from_secs(1);

async fn killed_and_started_again(kind: Kind) {
    let ground = Ground::private(kind);
    let (doorbell, impatient) = (ground.doorbell(), ground.impatient(IMPATIENT));
    let mut listener = ground.doorbell().listen(&BOTH).await;
    let mut idle = ground.doorbell().listen(&[CHECK]).await;
    ring(&doorbell, CHECK, 1).await;
    ring_until_taken(&impatient, CHECK).await;
    assert_eq!(heard(&mut listener).await, CHECK);

    ground.kill(CHECK);
    let begun = Instant::now();
    for bell in BOTH {
        let error = impatient.ring(bell, 1).await.unwrap_err();
        assert!(matches!(error, DoorbellError::Failed { .. } | DoorbellError::Late { .. }), "{error}");
    }
    assert!(begun.elapsed() < DEADLINE / 2, "an answer within {:?}", begun.elapsed());
    // One that begins without a broker.
    let mut late = ground.doorbell().listen(&BOTH).await;
    assert!(late.rung().now_or_never().is_none());
    let _ = in_trouble(&*late).await;
    let _ = in_trouble(&*listener).await;
    assert!(listener.rung().now_or_never().is_none());

    ground.start_again();
    well(&*listener).await;
    well(&*late).await;
    ring_until_taken(&impatient, Bell::Stop).await;
    assert_eq!(heard(&mut listener).await, Bell::Stop);
    assert_eq!(heard(&mut late).await, Bell::Stop);
    for listener in [&mut idle, &mut late, &mut listener] {
        ring_until_taken(&doorbell, CHECK).await;
        while heard(listener).await != CHECK {}
    }
}

/// RabbitMQ writes the name of a new quorum queue down half a second late. One that it has lost the name of is declared and answers
/// nothing any more.
async fn killed_before_it_wrote_down(kind: Kind) {
    let ground = Ground::private(kind);
    let impatient = ground.impatient(IMPATIENT);
    let mut listener = ground.doorbell().listen(&BOTH).await;
    ring_until_taken(&impatient, CHECK).await;
    assert_eq!(heard(&mut listener).await, CHECK);

    ground.kill_before_it_wrote_down(CHECK);
    ground.start_again();
    // A ring that the broker took reached its queue, and somebody hears it in the end.
    let (bell, ()) = tokio::join!(heard(&mut listener), ring_until_taken(&impatient, CHECK));
    assert_eq!(bell, CHECK);
    assert_eq!(listener.trouble(), None);
}

async fn cut_refused_and_stalled(kind: Kind) {
    let mut ground = Ground::new(kind);
    let proxy = TcpProxy::start(ground.address()).await;
    ground.through(proxy.address());
    let (doorbell, impatient) = (ground.doorbell(), ground.impatient(IMPATIENT));
    let mut listener = ground.doorbell().listen(&BOTH).await;
    well(&*listener).await;
    ring_until_taken(&impatient, CHECK).await;
    assert_eq!(heard(&mut listener).await, CHECK);

    proxy.cut().await;
    // The line that it rang on before is gone; it needs no second call.
    ring(&doorbell, CHECK, 1).await;
    assert_eq!(heard(&mut listener).await, CHECK);

    proxy.refuse(true).await;
    proxy.cut().await;
    let error = impatient.ring(CHECK, 1).await.unwrap_err();
    assert!(matches!(error, DoorbellError::Failed { .. }), "{error}");
    let _ = in_trouble(&*listener).await;
    assert!(listener.rung().now_or_never().is_none());
    proxy.refuse(false).await;
    well(&*listener).await;
    ring_until_taken(&impatient, Bell::Stop).await;
    while heard(&mut listener).await != Bell::Stop {}
    ring(&doorbell, CHECK, 1).await;
    while heard(&mut listener).await != CHECK {}

    // Nothing comes through, and nobody says so.
    proxy.stall(true);
    let error = impatient.ring(CHECK, 1).await.unwrap_err();
    assert!(matches!(error, DoorbellError::Late { within: IMPATIENT, .. }), "{error}");
    assert!(listener.rung().now_or_never().is_none());
    let trouble = in_trouble(&*listener).await;
    proxy.stall(false);
    well(&*listener).await;
    println!("noticed a dead line: {trouble}");
    ring_until_taken(&impatient, Bell::Stop).await;
    while heard(&mut listener).await != Bell::Stop {}
}

async fn wiped(kind: Kind) {
    let ground = Ground::new(kind);
    let doorbell = ground.doorbell();
    let mut listener = ground.doorbell().listen(&BOTH).await;
    ring(&doorbell, CHECK, 1).await;
    ring(&doorbell, Bell::Stop, 1).await;
    assert_eq!(
        [heard(&mut listener).await, heard(&mut listener).await].iter().filter(|b| **b == CHECK).count(),
        1
    );
    ring(&doorbell, CHECK, 7).await;
    ground.wipe(CHECK).await;
    // Nothing is left of what was rung before.
    ring_until_taken(&doorbell, CHECK).await;
    assert_eq!(heard(&mut listener).await, CHECK);
    assert_eq!(ground.queue(CHECK).await.0, 0);
    // Whoever waits while it is wiped.
    let wiping = async {
        ground.until_waiting(CHECK, 1).await;
        ground.wipe(CHECK).await;
        ring_until_taken(&doorbell, CHECK).await;
    };
    let (bell, ()) = tokio::join!(heard(&mut listener), wiping);
    assert_eq!(bell, CHECK);
    within("a stop is heard", async {
        loop {
            // Who listens by an exchange that was deleted must notice first.
            well(&*listener).await;
            ring_until_taken(&doorbell, Bell::Stop).await;
            if let Ok(Bell::Stop) = tokio::time::timeout(IMPATIENT, listener.rung()).await {
                break;
            }
        }
    })
    .await;
}

/// As one that has lost its replicas: it takes connections, and nothing that would be written.
async fn refused_after_the_greeting(kind: Kind) {
    const TRIES: u64 = 7;
    let ground = Ground::private(kind);
    let Server::Redis(server) = &ground.server else { panic!("{kind:?} is no Redis") };
    let mut listener = ground.doorbell().listen(&[CHECK]).await;
    server.ask(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
    // Who does not wait does not look whether there is still a line.
    assert!(tokio::time::timeout(IMPATIENT, listener.rung()).await.is_err());
    let trouble = in_trouble(&*listener).await;
    let refused = || {
        let counted = server.ask(&["INFO", "errorstats"]);
        let count = counted.lines().find_map(|line| line.strip_prefix("errorstat_NOREPLICAS:count="));
        count.map_or(0, |count| count.trim().parse::<u64>().unwrap())
    };
    let (before, begun) = (refused(), Instant::now());
    within(format!("{TRIES} tries after {trouble}"), async {
        while refused() < before + TRIES {
            assert!(listener.trouble().is_some(), "it is not heard");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    // Each try waits longer than the one before.
    assert!(begun.elapsed() > Duration::from_millis(700), "{:?}", begun.elapsed());
    server.ask(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    well(&*listener).await;
    ring_until_taken(&ground.doorbell(), CHECK).await;
    assert_eq!(heard(&mut listener).await, CHECK);
}

async fn another_primary(kind: Kind) {
    let ground = Ground::private(kind);
    let Server::Sentinel(sentinel) = &ground.server else { panic!("{kind:?} has no primary") };
    let doorbell = ground.doorbell();
    let mut listener = ground.doorbell().listen(&BOTH).await;
    let mut waiting = ground.doorbell().listen(&BOTH).await;
    ring(&doorbell, CHECK, 1).await;
    assert_eq!(heard(&mut listener).await, CHECK);
    for lost in [false, true] {
        let before = sentinel.primary().address();
        assert!(waiting.rung().now_or_never().is_none());
        tokio::task::block_in_place(|| match lost {
            false => sentinel.failover(),
            true => sentinel.lose_primary(),
        });
        assert_ne!(sentinel.primary().address(), before);
        well(&*listener).await;
        well(&*waiting).await;
        ring_until_taken(&doorbell, Bell::Stop).await;
        assert_eq!(heard(&mut listener).await, Bell::Stop);
        assert_eq!(heard(&mut waiting).await, Bell::Stop);
        for listener in [&mut listener, &mut waiting] {
            ring_until_taken(&doorbell, CHECK).await;
            while heard(listener).await != CHECK {}
        }
    }
}

cases! {
    Redis: killed_and_started_again cut_refused_and_stalled refused_after_the_greeting wiped;
    RedisTls: killed_and_started_again cut_refused_and_stalled wiped;
    Sentinel: killed_and_started_again wiped another_primary;
    RabbitMq: killed_and_started_again killed_before_it_wrote_down cut_refused_and_stalled wiped;
}
