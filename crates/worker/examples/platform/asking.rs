//! Tasks that do nothing, asked for by one client, as many in a transaction as is said.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use model::Stage;
use worker::doorbell::{Bell, Settings, connect};

use crate::{
    Outcome,
    ground::{exercise, open, tenant},
};

pub(crate) async fn measure(database: &str, doorbell: &str, count: usize, batch: usize) -> Outcome<()> {
    let store = open(database).await?;
    let tenant = tenant(&store, "asking").await?;
    let doorbell = connect(doorbell, &Settings::default())?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    let begun = Instant::now();
    let mut left = count;
    while left > 0 {
        let some = left.min(batch);
        store.enqueue(tenant, (0..some).map(|_| exercise(Duration::ZERO)).collect()).await?;
        // As who asks does: after each commit.
        doorbell.ring(Bell::Stage(Stage::Exercise), some).await?;
        left -= some;
    }
    println!("{{\"begun\": {since:.3}, \"seconds\": {:.3}}}", begun.elapsed().as_secs_f64());
    Ok(())
}
