//! What the platform can do, in numbers, for `bench/run platform`: one JSON object a line.
//!
//! - `platform findings DATABASE SIZE…`: findings committed a second, with more and more of them known
//! - `platform start DATABASE DOORBELL SAMPLES`: from the commit of a task to its start in a pool that waits
//! - `platform fairness DATABASE DOORBELL WAITING PLACES TIMES ROUNDS`: ten tasks of one tenant beside the many of another, which
//!   take so many times as long, where so many are done at once
//! - `platform priorities DATABASE OWNER`: what is not urgent, while what is urgent floods; the owner moves the clock on
//! - `platform asking DATABASE DOORBELL TASKS BATCH`: tasks asked for, so many in a transaction; workers may be there or not
//! - `platform churn DATABASE TASKS`: tasks asked for, done and forgotten, and what a claim costs meanwhile
//!
//! `DATABASE` is `sqlite:PATH` or `postgres://…`, prepared and with nothing in it. With the doorbell `none` the pool runs in this
//! process, otherwise workers must be there.
#![expect(clippy::print_stdout, reason = "it is a program that prints")]

mod asking;
mod churn;
mod fairness;
mod findings;
mod ground;
mod start;

use std::{error::Error, process::ExitCode};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["findings", database, sizes @ ..] => findings::measure(database, &numbers(sizes)?).await?,
        ["start", database, doorbell, samples] => {
            start::measure(database, doorbell, samples.parse()?).await?;
        }
        ["fairness", database, doorbell, waiting, places, times, rounds] => {
            let shape = fairness::Shape {
                waiting: waiting.parse()?,
                places: places.parse()?,
                times_as_long: times.parse()?,
                rounds: rounds.parse()?,
            };
            fairness::measure(database, doorbell, shape).await?;
        }
        ["priorities", database, owner] => fairness::measure_priorities(database, owner).await?,
        ["asking", database, doorbell, tasks, batch] => {
            asking::measure(database, doorbell, tasks.parse()?, batch.parse()?).await?;
        }
        ["churn", database, tasks] => churn::measure(database, tasks.parse()?).await?,
        _ => {
            println!("platform findings|start|fairness|priorities|asking|churn DATABASE …: see its source");
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn numbers(words: &[&str]) -> Outcome<Vec<usize>> {
    words.iter().map(|word| Ok(word.parse()?)).collect()
}
