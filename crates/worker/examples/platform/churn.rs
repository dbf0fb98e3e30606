//! What tasks leave behind: asked for, claimed, completed and forgotten, as many as in an hour and as fast as it goes.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use model::Stage;
use store::{Ending, Retention, Settlement};

use crate::{
    Outcome,
    ground::{Claimant, exercise, milliseconds, open, percentile, tenant},
};

/// Tasks in one transaction.
const BATCH: usize = 100;
/// Tasks that wait meanwhile.
const WAITING: usize = 10_000;
/// How often is told what it costs.
const PARTS: usize = 12;
/// How often in the hour something is forgotten: an orchestrator does it every ten minutes.
const FORGETS: usize = 6;

pub(crate) async fn measure(database: &str, tasks: usize) -> Outcome<()> {
    let store = open(database).await?;
    let tenant = tenant(&store, "measured").await?;
    let claimant = Claimant::of(Stage::Exercise);
    let ask = async |count: usize| {
        let some = (0..count).map(|_| exercise(Duration::ZERO)).collect();
        store.enqueue(tenant, some).await.map(drop)
    };
    for _ in 0..WAITING / BATCH {
        ask(BATCH).await?;
    }
    let part = tasks / PARTS;
    let mut forgotten = 0;
    for number in 1..=PARTS {
        let begun = Instant::now();
        let mut claims = Vec::new();
        let mut done = 0;
        while done < part {
            ask(BATCH).await?;
            let claim = Instant::now();
            let claimed = claimant.claim(&store, BATCH).await?;
            claims.push(claim.elapsed());
            done += claimed.len();
            let end = |lease| Settlement::silent(lease, Ending::Completed);
            store.settle(claimed.iter().map(|task| end(task.lease)).collect()).await?;
        }
        let worked = begun.elapsed();
        if number % (PARTS / FORGETS) == 0 {
            // What the week before left.
            let retention = Retention { tasks: Duration::ZERO, ..Retention::default() };
            loop {
                let rows = store.forget(retention).await?;
                forgotten += rows;
                if rows == 0 {
                    break;
                }
            }
        }
        claims.sort_unstable();
        println!(
            "{{\"done\": {}, \"per_second\": {:.0}, \"claim_p50\": {:.2}, \"claim_p99\": {:.2}, \"forgotten\": {forgotten}}}",
            number * part,
            part as f64 / worked.as_secs_f64(),
            milliseconds(percentile(&claims, 50)),
            milliseconds(percentile(&claims, 99)),
        );
        // Whoever reads it looks at the tables now.
        std::io::stdout().flush()?;
    }
    Ok(())
}
