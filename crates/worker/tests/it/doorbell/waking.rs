//! Who is woken by what.

use std::collections::BTreeSet;

use futures_util::FutureExt;
use model::Stage;
use tokio::{sync::mpsc, task::JoinSet};
use worker::doorbell::{Bell, KEPT};

use super::{Ground, Kind, cases, heard, ring, within};

const CHECK: Bell = Bell::Stage(Stage::Check);
const PORTS: Bell = Bell::Stage(Stage::Ports);

async fn a_ring_wakes_a_waiter(kind: Kind) {
    let ground = Ground::new(kind);
    let (here, there) = (ground.doorbell(), ground.doorbell());
    for bell in [CHECK, PORTS, Bell::Stop] {
        let mut listener = here.listen(&[bell]).await;
        let waiting = tokio::spawn(async move { heard(&mut listener).await });
        ring(&there, bell, 1).await;
        assert_eq!(waiting.await.unwrap(), bell);
    }
}

async fn a_ring_before_anybody_listens_is_heard(kind: Kind) {
    let ground = Ground::new(kind);
    let doorbell = ground.doorbell();
    ring(&doorbell, CHECK, 2).await;
    ring(&doorbell, PORTS, 0).await;
    let mut listener = ground.doorbell().listen(&[PORTS, CHECK]).await;
    assert_eq!(heard(&mut listener).await, CHECK);
    assert_eq!(heard(&mut listener).await, CHECK);
    ring(&doorbell, PORTS, 1).await;
    assert_eq!(heard(&mut listener).await, PORTS);
}

async fn only_so_many_rings_are_kept(kind: Kind) {
    let ground = Ground::new(kind);
    let doorbell = ground.doorbell();
    ring(&doorbell, CHECK, 3).await;
    ring(&doorbell, CHECK, usize::MAX).await;
    if kind != Kind::InProcess {
        assert_eq!(ground.queue(CHECK).await.0, KEPT);
        return;
    }
    let mut listener = doorbell.listen(&[CHECK, PORTS]).await;
    for _ in 0..KEPT {
        assert_eq!(heard(&mut listener).await, CHECK);
    }
    ring(&doorbell, PORTS, 1).await;
    assert_eq!(heard(&mut listener).await, PORTS);
}

async fn as_many_are_woken_as_are_rung_for(kind: Kind) {
    const ALL: usize = 6;
    const RUNG: usize = 3;
    let ground = Ground::new(kind);
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut waiting = JoinSet::new();
    for number in 0..ALL {
        let mut listener = ground.doorbell().listen(&[CHECK, Bell::Stop]).await;
        let tell = tell.clone();
        // Who is woken has something to do.
        waiting.spawn(async move {
            tell.send((number, heard(&mut listener).await)).unwrap();
        });
    }
    let doorbell = ground.doorbell();
    ground.until_waiting(CHECK, ALL).await;
    ring(&doorbell, CHECK, RUNG).await;
    let mut woken = BTreeSet::new();
    for _ in 0..RUNG {
        let (number, bell) = within("a waiter is woken", told.recv()).await.unwrap();
        assert_eq!(bell, CHECK);
        woken.insert(number);
    }
    assert_eq!(woken.len(), RUNG);
    // Had more been woken, they would not hear the stop.
    ring(&doorbell, Bell::Stop, 1).await;
    for _ in RUNG..ALL {
        let (number, bell) = within("a waiter hears the stop", told.recv()).await.unwrap();
        assert_eq!((bell, woken.contains(&number)), (Bell::Stop, false));
    }
}

async fn another_stage_is_not_woken(kind: Kind) {
    let ground = Ground::new(kind);
    let doorbell = ground.doorbell();
    let mut ports = ground.doorbell().listen(&[PORTS, Bell::Stop]).await;
    let mut check = ground.doorbell().listen(&[CHECK]).await;
    let waiting = tokio::spawn(async move { heard(&mut ports).await });
    ring(&doorbell, CHECK, 5).await;
    assert_eq!(heard(&mut check).await, CHECK);
    ring(&doorbell, Bell::Stop, 1).await;
    assert_eq!(waiting.await.unwrap(), Bell::Stop);
}

async fn a_stop_wakes_everybody(kind: Kind) {
    let ground = Ground::new(kind);
    let doorbell = ground.doorbell();
    // From before there was anybody: not for those who come now.
    ring(&doorbell, Bell::Stop, 1).await;
    let mut listeners = Vec::new();
    for bells in [&[Bell::Stop][..], &[CHECK, Bell::Stop], &[Bell::Stop, PORTS]] {
        listeners.push(ground.doorbell().listen(bells).await);
    }
    let mut busy = ground.doorbell().listen(&[CHECK, Bell::Stop]).await;
    let mut waiting = JoinSet::new();
    for mut listener in listeners {
        waiting.spawn(async move {
            let first = heard(&mut listener).await;
            (listener, first)
        });
    }
    ring(&doorbell, Bell::Stop, 0).await;
    while let Some(woken) = waiting.join_next().await {
        let (mut listener, first) = woken.unwrap();
        assert_eq!(first, Bell::Stop);
        // Once only.
        assert!(listener.rung().now_or_never().is_none());
    }
    // Who did not wait hears it afterwards.
    assert_eq!(heard(&mut busy).await, Bell::Stop);
}

async fn other_installations_are_not_heard(kind: Kind) {
    let ground = Ground::new(kind);
    let other = Ground::with(crate::broker::Server::None, ground.url.clone(), None);
    let mut listener = ground.doorbell().listen(&[CHECK, Bell::Stop]).await;
    let foreign = other.impatient(super::DEADLINE);
    ring(&foreign, CHECK, 1).await;
    ring(&foreign, Bell::Stop, 1).await;
    let mut foreign_listener = foreign.listen(&[CHECK]).await;
    assert_eq!(heard(&mut foreign_listener).await, CHECK);
    ring(&ground.doorbell(), CHECK, 1).await;
    assert_eq!(heard(&mut listener).await, CHECK);
}

async fn who_gave_up_takes_nothing_from_others(kind: Kind) {
    let ground = Ground::new(kind);
    let doorbell = ground.doorbell();
    let mut gone = ground.doorbell().listen(&[CHECK, PORTS]).await;
    // First in line at the broker, and then gone.
    tokio::select! {
        bell = gone.rung() => panic!("nobody rang for {bell}"),
        () = ground.until_waiting(CHECK, 1) => {}
    }
    let mut other = ground.doorbell().listen(&[CHECK]).await;
    let waiting = tokio::spawn(async move { heard(&mut other).await });
    ground.until_waiting(CHECK, 2).await;
    ring(&doorbell, CHECK, 1).await;
    assert_eq!(waiting.await.unwrap(), CHECK);
    // It hears again when it waits again.
    ring(&doorbell, CHECK, 1).await;
    assert_eq!(heard(&mut gone).await, CHECK);
}

async fn a_wait_given_up_loses_no_ring(kind: Kind) {
    const RINGS: usize = 40;
    let ground = Ground::new(kind);
    let doorbell = ground.doorbell();
    let mut listener = ground.doorbell().listen(&[CHECK]).await;
    let ringing = tokio::spawn(async move {
        for _ in 0..RINGS {
            ring(&doorbell, CHECK, 1).await;
        }
    });
    let mut count = 0;
    within("every ring is heard", async {
        while count < RINGS {
            tokio::select! {
                bell = listener.rung() => {
                    assert_eq!(bell, CHECK);
                    count += 1;
                }
                () = tokio::task::yield_now() => {}
            }
        }
    })
    .await;
    ringing.await.unwrap();
}

cases! {
    InProcess: a_ring_wakes_a_waiter a_ring_before_anybody_listens_is_heard only_so_many_rings_are_kept
        as_many_are_woken_as_are_rung_for another_stage_is_not_woken a_stop_wakes_everybody
        who_gave_up_takes_nothing_from_others a_wait_given_up_loses_no_ring;
    Redis: a_ring_wakes_a_waiter a_ring_before_anybody_listens_is_heard only_so_many_rings_are_kept
        as_many_are_woken_as_are_rung_for another_stage_is_not_woken a_stop_wakes_everybody
        who_gave_up_takes_nothing_from_others a_wait_given_up_loses_no_ring other_installations_are_not_heard;
    RedisTls: a_ring_wakes_a_waiter a_ring_before_anybody_listens_is_heard only_so_many_rings_are_kept
        as_many_are_woken_as_are_rung_for another_stage_is_not_woken a_stop_wakes_everybody
        who_gave_up_takes_nothing_from_others a_wait_given_up_loses_no_ring;
    Sentinel: a_ring_wakes_a_waiter a_ring_before_anybody_listens_is_heard only_so_many_rings_are_kept
        as_many_are_woken_as_are_rung_for another_stage_is_not_woken a_stop_wakes_everybody
        who_gave_up_takes_nothing_from_others a_wait_given_up_loses_no_ring other_installations_are_not_heard;
    RabbitMq: a_ring_wakes_a_waiter a_ring_before_anybody_listens_is_heard only_so_many_rings_are_kept
        as_many_are_woken_as_are_rung_for another_stage_is_not_woken a_stop_wakes_everybody
        who_gave_up_takes_nothing_from_others a_wait_given_up_loses_no_ring other_installations_are_not_heard;
}
