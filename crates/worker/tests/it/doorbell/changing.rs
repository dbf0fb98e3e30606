//! A doorbell that becomes another one.

use std::{sync::Arc, time::Duration};

use model::Stage;
use tokio::time::timeout;
use worker::doorbell::{Bell, Changing, Doorbell};

use super::{Ground, Kind, cases, heard, ring, within};

const CHECK: Bell = Bell::Stage(Stage::Check);

async fn who_listens_hears_the_other_one_and_who_rings_rings_there(kind: Kind) {
    let (ground, other) = (Ground::new(kind), Ground::new(Kind::InProcess));
    let (first, second) = (ground.doorbell(), other.doorbell());
    let changing = Arc::new(Changing::new(Arc::clone(&first)));
    let doorbell: Arc<dyn Doorbell> = changing.clone();
    let mut listener = doorbell.listen(&[CHECK]).await;
    ring(&first, CHECK, 1).await;
    assert_eq!(heard(&mut listener).await, CHECK);
    changing.change(Arc::clone(&second));
    // Once for no reason, then for the ring there; also by somebody who always waits for a moment only.
    for _ in 0..2 {
        ring(&doorbell, CHECK, 1).await;
        let hearing = async { while timeout(Duration::from_millis(1), listener.rung()).await.is_err() {} };
        within("a ring", hearing).await;
    }
    assert_eq!(heard(&mut listener).await, CHECK);
    let mut there = second.listen(&[CHECK]).await;
    ring(&doorbell, CHECK, 1).await;
    ring(&doorbell, CHECK, 1).await;
    assert_eq!((heard(&mut listener).await, heard(&mut there).await), (CHECK, CHECK));
    assert_eq!(listener.trouble(), None);
}

cases! {
    InProcess: who_listens_hears_the_other_one_and_who_rings_rings_there;
    Redis: who_listens_hears_the_other_one_and_who_rings_rings_there;
    RabbitMq: who_listens_hears_the_other_one_and_who_rings_rings_there;
}
