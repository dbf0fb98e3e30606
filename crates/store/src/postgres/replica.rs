//! A replica, for reads that may be some seconds old.
//!
//! Each transaction there finds out for itself what it is worth: whether the server still is a replica, of this primary and of this
//! database, how old is what it knows, and how far in the primary's history it has come. Nobody is told so by a cache. What cannot be
//! answered there, for whatever reason, the primary answers.
//!
//! The age is that of the last transaction that was replayed. While nobody writes it grows although nothing is missing: then the
//! primary, which has nothing else to do, answers. A replica that has nothing left to replay only knows that nothing has arrived.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use deadpool_postgres::Object;
use tokio::time::timeout;
use tokio_postgres::SimpleQueryRow;

use super::{Database, Lent, Whose, migrate, tls};
use crate::{InSession, StoreError};

/// How long a transaction there may take to begin.
const BEGIN_WITHIN: Duration = Duration::from_secs(2);
/// How long the answer may take. After that the primary is asked the same.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// How long a replica is left alone that could not be reached, or is none.
const AWAY_FOR: Duration = Duration::from_secs(5);
/// How long one is left alone that is too far behind.
const BEHIND_FOR: Duration = Duration::from_secs(1);

/// What a server says of itself.
const STANDING: &str = "pg_is_in_recovery()::int, (SELECT system_identifier FROM pg_control_system()), \
     (SELECT oid FROM pg_database WHERE datname = current_database()), \
     (extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000)::bigint, \
     (pg_last_wal_replay_lsn() - '0/0')::bigint";
/// How far in the primary's history a replica has come.
const POSITION: &str = "SELECT (pg_last_wal_replay_lsn() - '0/0')::bigint";

/// Where a replica is.
#[derive(Clone, PartialEq, Eq)]
pub struct ReplicaLocation {
    /// As the URL of the primary.
    pub url: String,
    /// What is older than that is not read there.
    pub most_behind: Duration,
}

/// How a replica stands, for whoever looks after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaState {
    /// How old the last transaction is that it knows of; none when it has replayed none since it was started.
    pub age: Option<Duration>,
    /// What the primary has written that the replica has not replayed.
    pub bytes_behind: u64,
    /// What is older than that is not read there.
    pub most_behind: Duration,
}

/// Which server's data, and which database of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    system: String,
    database: String,
}

/// What one transaction found.
struct Standing {
    is_replica: bool,
    identity: Identity,
    age: Option<Duration>,
    position: u64,
}

impl Standing {
    /// Reads what comes after the first `skipped` columns.
    fn read(row: &SimpleQueryRow, skipped: usize) -> Option<Standing> {
        let number = |column: usize| row.get(skipped + column).and_then(|text| text.parse::<i64>().ok());
        Some(Standing {
            is_replica: number(0)? == 1,
            identity: Identity {
                system: row.get(skipped + 1)?.to_owned(),
                database: row.get(skipped + 2)?.to_owned(),
            },
            // Clocks that are apart make it seem younger than nothing.
            age: number(3)
                .map(|milliseconds| Duration::from_millis(milliseconds.try_into().unwrap_or_default())),
            position: number(4).and_then(|position| position.try_into().ok()).unwrap_or_default(),
        })
    }
}

/// Why the primary answers instead.
#[derive(Debug)]
enum Trouble {
    /// It cannot be reached, or takes too long.
    Away(String),
    /// It is no replica of this database.
    Wrong(String),
    /// What it knows is too old.
    Behind(Option<Duration>),
    /// Whoever asks has seen something newer already.
    Older,
    /// It could not answer, or not so that it would be the last word.
    Failed(StoreError),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Trouble {
        match error {
            StoreError::Unavailable(why) => Trouble::Away(why),
            other => Trouble::Failed(other),
        }
    }
}

/// A replica and what is known of it.
#[derive(Debug)]
pub(crate) struct Replica {
    database: Database,
    most_behind: Duration,
    primary: Identity,
    /// Nobody may connect there as somebody for whom row-level security means nothing: asked once.
    powerless: AtomicBool,
    /// Until when it is left alone.
    rests: Mutex<Option<Instant>>,
}

impl Replica {
    /// Refuses a server that is something else. One that does not answer is tried again later.
    pub(crate) async fn open(
        at: &ReplicaLocation,
        connections: usize,
        primary: &Database,
    ) -> Result<Replica, StoreError> {
        let replica = Replica {
            database: Database::pooled(&at.url, connections)?,
            most_behind: at.most_behind,
            primary: primary.identity().await?,
            powerless: AtomicBool::new(false),
            rests: Mutex::new(None),
        };
        match replica.standing().await {
            Ok(standing) => match replica.wrong(&standing) {
                Some(why) => Err(StoreError::Schema(why)),
                None => Ok(replica),
            },
            Err(Trouble::Failed(error)) if !error.is_passing() => Err(error),
            Err(trouble) => {
                replica.note(&trouble);
                Ok(replica)
            }
        }
    }

    /// From now on connections are made as the URL says. Whether that is of use is seen when somebody reads there.
    pub(crate) fn turn_to(&self, url: &str) -> Result<(), StoreError> {
        self.database.turn(tls::server(url)?);
        self.powerless.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// As it says itself, and what the primary has beyond that.
    pub(crate) async fn state(&self, primary: &Database) -> Result<ReplicaState, StoreError> {
        let standing = self.standing().await.map_err(|trouble| match trouble {
            Trouble::Failed(error) => error,
            other => StoreError::Unavailable(self.describe(&other)),
        })?;
        if let Some(why) = self.wrong(&standing) {
            return Err(StoreError::Schema(why));
        }
        // Asked afterwards: what is written in between counts.
        let written = primary.position().await?;
        Ok(ReplicaState {
            age: standing.age,
            bytes_behind: written.saturating_sub(standing.position),
            most_behind: self.most_behind,
        })
    }

    /// The answer, and how far the replica had come when it was given; none when the primary is to answer. `seen` is how far whoever
    /// asks has seen already.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        whose: Whose,
        seen: u64,
        job: impl InSession<T>,
    ) -> Option<(T, u64)> {
        if !self.may_be_asked() {
            return None;
        }
        match self.ask(whose, seen, job).await {
            Ok(answer) => {
                let rested = self.rests.lock().unwrap_or_else(PoisonError::into_inner).take();
                if rested.is_some() {
                    tracing::info!(replica = ?self.database, "the replica answers again");
                }
                Some(answer)
            }
            Err(trouble) => {
                self.note(&trouble);
                None
            }
        }
    }

    async fn ask<T: Send + 'static>(
        &self,
        whose: Whose,
        seen: u64,
        job: impl InSession<T>,
    ) -> Result<(T, u64), Trouble> {
        let client = self.client().await?;
        let mut lent = Lent::new(client);
        // What is dropped on the way takes its connection with it.
        let (now, standing) = timeout(BEGIN_WITHIN, begin(&mut lent, whose)).await.map_err(too_long)??;
        let trouble = if let Some(why) = self.wrong(&standing) {
            Some(Trouble::Wrong(why))
        } else if standing.age.is_none_or(|age| age > self.most_behind) {
            Some(Trouble::Behind(standing.age))
        } else {
            (standing.position < seen).then_some(Trouble::Older)
        };
        if let Some(trouble) = trouble {
            leave(lent).await;
            return Err(trouble);
        }
        match timeout(ANSWER_WITHIN, job(&mut lent, now)).await.map_err(too_slow)? {
            Ok(value) => {
                let row = timeout(BEGIN_WITHIN, lent.commit_asking(POSITION)).await.map_err(too_long)??;
                let position = row.get(0).and_then(|text| text.parse().ok());
                Ok((value, position.unwrap_or(u64::MAX)))
            }
            Err(error) => {
                leave(lent).await;
                Err(error.into())
            }
        }
    }

    async fn standing(&self) -> Result<Standing, Trouble> {
        let client = self.client().await?;
        let mut lent = Lent::new(client);
        let (_, standing) =
            timeout(BEGIN_WITHIN, begin(&mut lent, Whose::Queue)).await.map_err(too_long)??;
        leave(lent).await;
        Ok(standing)
    }

    async fn client(&self) -> Result<Object, Trouble> {
        let connecting = async {
            let client = self.database.client().await?;
            if !self.powerless.load(Ordering::Relaxed) {
                migrate::require_powerless(&client).await?;
                self.powerless.store(true, Ordering::Relaxed);
            }
            Ok::<_, StoreError>(client)
        };
        Ok(timeout(BEGIN_WITHIN, connecting).await.map_err(too_long)??)
    }

    fn wrong(&self, standing: &Standing) -> Option<String> {
        if !standing.is_replica {
            return Some(format!(
                "the replica {:?} takes writes, so it is the replica of nothing: name a server that follows the database, or none",
                self.database
            ));
        }
        (standing.identity != self.primary).then(|| {
            format!(
                "the replica {:?} follows another server, or is another of its databases: name one that follows the database, or none",
                self.database
            )
        })
    }

    /// One at a time tries whether it is there again; nobody else waits for that.
    fn may_be_asked(&self) -> bool {
        let mut rests = self.rests.lock().unwrap_or_else(PoisonError::into_inner);
        match *rests {
            None => true,
            Some(until) if Instant::now() < until => false,
            Some(_) => {
                *rests = Some(Instant::now() + AWAY_FOR);
                true
            }
        }
    }

    fn note(&self, trouble: &Trouble) {
        let rest = match trouble {
            Trouble::Away(_) | Trouble::Wrong(_) => AWAY_FOR,
            Trouble::Behind(_) => BEHIND_FOR,
            Trouble::Older | Trouble::Failed(_) => {
                tracing::debug!(replica = ?self.database, why = self.describe(trouble), "the primary answers instead");
                return;
            }
        };
        let mut rests = self.rests.lock().unwrap_or_else(PoisonError::into_inner);
        let why = self.describe(trouble);
        if rests.replace(Instant::now() + rest).is_none() {
            tracing::warn!(replica = ?self.database, why, "the primary answers what could be read from the replica");
        } else {
            tracing::debug!(replica = ?self.database, why, "the replica still cannot be read");
        }
    }

    fn describe(&self, trouble: &Trouble) -> String {
        match trouble {
            Trouble::Away(why) | Trouble::Wrong(why) => why.clone(),
            Trouble::Behind(Some(age)) => {
                format!("the last it knows of is {age:?} old, and {:?} are the most", self.most_behind)
            }
            Trouble::Behind(None) => "it has replayed nothing since it was started".to_owned(),
            Trouble::Older => "it does not know yet what was seen before".to_owned(),
            Trouble::Failed(error) => error.to_string(),
        }
    }
}

fn too_long(_: tokio::time::error::Elapsed) -> Trouble {
    Trouble::Away("it takes too long to answer".to_owned())
}

/// That the server answers was seen when the transaction began: it is this one question that takes so long, and no other.
fn too_slow(_: tokio::time::error::Elapsed) -> Trouble {
    Trouble::Failed(StoreError::Unavailable(format!(
        "the question was not answered within {ANSWER_WITHIN:?}"
    )))
}

/// Nothing was changed, so nobody need know how it goes.
async fn leave(lent: Lent) {
    let _ = timeout(BEGIN_WITHIN, lent.roll_back()).await;
}

async fn begin(lent: &mut Lent, whose: Whose) -> Result<(jiff::Timestamp, Standing), Trouble> {
    let (now, row) = lent.begin_asking(whose, Some(STANDING)).await?;
    let standing = Standing::read(&row, 1);
    Ok((
        now,
        standing.ok_or_else(|| StoreError::Damaged("the replica does not tell how it stands".to_owned()))?,
    ))
}

impl Database {
    async fn identity(&self) -> Result<Identity, StoreError> {
        let sql = "SELECT (SELECT system_identifier FROM pg_control_system())::text, \
                   (SELECT oid FROM pg_database WHERE datname = current_database())::text";
        let row = self.ask_one(sql).await?;
        Ok(Identity { system: row.get(0), database: row.get(1) })
    }

    /// How far the history of a primary goes.
    async fn position(&self) -> Result<u64, StoreError> {
        let position: i64 = self.ask_one("SELECT (pg_current_wal_lsn() - '0/0')::bigint").await?.get(0);
        Ok(position.try_into().unwrap_or_default())
    }

    /// One question outside of any transaction. Nobody waits for ever for a primary that says nothing any more.
    async fn ask_one(&self, sql: &str) -> Result<tokio_postgres::Row, StoreError> {
        let mut lent = Lent::new(self.client().await?);
        let row = lent.ask(|client| client.query_typed_one(sql, &[])).await?;
        lent.give_back();
        Ok(row)
    }
}
