//! A drill: the newest backup is restored, brought to a moment, and asked whether it is what it should be. It says how long that
//! took (RTO) and how much was lost (RPO).

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use store::{Location, Store, StoreError};

use crate::{
    BackupError, Keys, Moment, Place, Until,
    place::scratch,
    restore::restore,
    scratch::{Scratch, require_no_root},
    sqlite,
};

/// Who looks at the restored database as every process of Rampart does, without a superuser's rights.
const VISITOR: &str = "rampart_drill";

/// What is to be tried.
pub struct Drill {
    /// What is to be had again.
    pub moment: Moment,
    /// Where the restored database is for as long as the drill takes; where temporary files are without it.
    pub scratch: Option<PathBuf>,
    /// Somebody who may do anything in the restored database.
    pub superuser: String,
    /// How much may be lost.
    pub most_lost: Option<Duration>,
    /// How long it may take.
    pub longest: Option<Duration>,
}

/// What a drill has shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DrillReport {
    /// When it was begun: as if everything had been lost then.
    pub begun: Timestamp,
    /// When it was done.
    pub ended: Timestamp,
    /// Which backup was restored.
    pub backup: String,
    /// From nothing to a database that takes writes, in seconds: the recovery time (RTO).
    pub rto_seconds: f64,
    /// From the last thing that was committed and is there to the moment that was asked for, in seconds: the most that is lost
    /// (RPO). When nothing was written it tells only that; Rampart writes something every few seconds while an orchestrator runs.
    pub rpo_seconds: f64,
    /// Bytes that came from the place.
    pub bytes: u64,
    /// Databases of Rampart that were looked at.
    pub databases: Vec<Looked>,
    /// What is wrong. Nothing is, when there is none.
    pub troubles: Vec<String>,
}

impl DrillReport {
    /// Where it is kept.
    pub(crate) fn key(&self) -> String {
        format!("drills/{}.json", self.begun.strftime("%Y%m%dT%H%M%S.%3fZ"))
    }
}

/// What was seen of one database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looked {
    /// Its name.
    pub database: String,
    /// Its tables.
    pub tables: u64,
    /// Rows of them.
    pub rows: u64,
    /// Chains of the audit whose every seal was checked.
    pub audit_chains: u64,
    /// Entries of them.
    pub audit_entries: u64,
}

/// Restores, looks, and forgets it again. What it has shown is kept in the place, for whoever watches.
pub fn drill(place: &Place, asked: &Drill, keys: &Keys) -> Result<DrillReport, BackupError> {
    let (begun, clock) = (Timestamp::now(), Instant::now());
    let directory = scratch(asked.scratch.as_ref())?;
    let data = directory.path().join("data");
    let catalogue = place.catalogue()?;
    if catalogue.candidates(asked.moment.backup.as_deref(), None)?[0].server().is_some() {
        require_no_root()?;
    }
    let restored = restore(place, &catalogue, &asked.moment, keys, &data)?;
    let mut troubles = Vec::new();
    if let Some(gap) = &restored.gap {
        troubles
            .push(format!("`{gap}` is missing of what was written ahead: nothing after it can be had again"));
    }
    let wanted = match asked.moment.until {
        Until::Newest => begun,
        Until::Time(time) => time,
    };
    let mut databases = Vec::new();
    let (rto, last) = match restored.backup.server() {
        None => {
            let file = data.join("rampart.db");
            sqlite::check(&file)?;
            let rto = clock.elapsed();
            databases.push(look_at_file(place, &file, &mut troubles)?);
            (rto, restored.backup.ended)
        }
        Some(version) => {
            let server = Scratch::start(place, &data, directory.path(), version, &asked.superuser)?;
            let rto = clock.elapsed();
            let last = look_at_server(&server, &mut databases, &mut troubles)?;
            server.end()?;
            (rto, last.unwrap_or(restored.backup.ended))
        }
    };
    let lost = wanted.duration_since(last).as_secs_f64().max(0.0);
    let is_over =
        |most: Option<Duration>, seconds: f64| most.is_some_and(|most| seconds > most.as_secs_f64());
    if is_over(asked.longest, rto.as_secs_f64()) {
        troubles.push(format!("it took {:.1} s", rto.as_secs_f64()));
    }
    if is_over(asked.most_lost, lost) {
        troubles.push(format!("{lost:.1} s are lost"));
    }
    let report = DrillReport {
        begun,
        ended: Timestamp::now(),
        backup: restored.backup.id,
        rto_seconds: rto.as_secs_f64(),
        rpo_seconds: lost,
        bytes: restored.bytes,
        databases,
        troubles,
    };
    let document = serde_json::to_vec_pretty(&report)
        .map_err(|why| BackupError::Invalid(format!("the drill cannot be described: {why}")))?;
    place.put(&report.key(), document)?;
    Ok(report)
}

/// Looks at every database of Rampart, and says when the last thing was committed that is there.
fn look_at_server(
    server: &Scratch,
    databases: &mut Vec<Looked>,
    troubles: &mut Vec<String>,
) -> Result<Option<Timestamp>, BackupError> {
    let asks = |why: tokio_postgres::Error| BackupError::Invalid(format!("the restored database: {why}"));
    let client = server.connect("postgres")?;
    let (last, names) = server.runtime().block_on(async {
        let row = client.query_one("SELECT pg_last_xact_replay_timestamp()", &[]).await.map_err(asks)?;
        let last: Option<Timestamp> = row.get(0);
        let sql = "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname";
        let rows = client.query(sql, &[]).await.map_err(asks)?;
        let names: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let made = format!(
            "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{VISITOR}') THEN CREATE ROLE {VISITOR} LOGIN; END IF; END $$"
        );
        client.batch_execute(&made).await.map_err(asks)?;
        Ok::<_, BackupError>((last, names))
    })?;
    for name in names {
        let client = server.connect(&name)?;
        // As `rampart migrate` names it.
        let sql = "SELECT to_regclass('public.rampart_steps') IS NOT NULL";
        let is_ours: bool = server.runtime().block_on(client.query_one(sql, &[])).map_err(asks)?.get(0);
        if !is_ours {
            continue;
        }
        let (tables, rows) = server.runtime().block_on(count(&client)).map_err(asks)?;
        server.runtime().block_on(unprotected(&client)).map_err(asks)?.into_iter().for_each(|table| {
            troubles.push(format!("`{name}`: row-level security does not hold for `{table}`"));
        });
        let looked = server.runtime().block_on(async {
            store::migrate(&server.url(None, &name), &[VISITOR.to_owned()]).await?;
            let url = server.url(Some(VISITOR), &name);
            let store = Store::open(&Location::Postgres { url, connections: 2, replica: None }).await?;
            walk_audit(&store, troubles).await
        });
        let (audit_chains, audit_entries) = match looked {
            Ok(walked) => walked,
            Err(error) => {
                troubles.push(format!("`{name}`: {error}"));
                (0, 0)
            }
        };
        databases.push(Looked { database: name, tables, rows, audit_chains, audit_entries });
    }
    if databases.is_empty() {
        troubles.push("no database of Rampart is in it".to_owned());
    }
    Ok(last)
}

/// Every row of every table is read: what cannot be read is said.
async fn count(client: &tokio_postgres::Client) -> Result<(u64, u64), tokio_postgres::Error> {
    let sql = "SELECT quote_ident(nspname) || '.' || quote_ident(relname) FROM pg_class \
               JOIN pg_namespace ON pg_namespace.oid = relnamespace \
               WHERE relkind IN ('r', 'p') AND nspname IN ('rampart', 'public') AND NOT relispartition";
    let names: Vec<String> = client.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect();
    let mut rows = 0;
    for name in &names {
        let counted: i64 = client
            .query_one(
                &format!("SELECT count(*) FROM {name} AS everything WHERE everything IS DISTINCT FROM NULL"),
                &[],
            )
            .await?
            .get(0);
        rows += counted.unsigned_abs();
    }
    Ok((names.len() as u64, rows))
}

/// Tables with a tenant's rows that show everybody everything.
async fn unprotected(client: &tokio_postgres::Client) -> Result<Vec<String>, tokio_postgres::Error> {
    let sql = "SELECT relname::text FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace \
               JOIN pg_attribute ON attrelid = pg_class.oid AND attname = 'tenant_id' AND NOT attisdropped \
               WHERE relkind IN ('r', 'p') AND nspname = 'rampart' AND NOT relispartition \
               AND NOT (relrowsecurity AND relforcerowsecurity AND EXISTS (SELECT FROM pg_policy WHERE polrelid = pg_class.oid)) ORDER BY 1";
    Ok(client.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect())
}

async fn walk_audit(store: &Store, troubles: &mut Vec<String>) -> Result<(u64, u64), StoreError> {
    let (mut chains, mut entries) = (0, 0);
    for (tenant, _) in store.audit_chains().await? {
        match store.verify_audit(tenant, &[], None).await? {
            Ok(verified) => entries += verified.end.position,
            Err(broken) => {
                let whose =
                    tenant.map_or_else(|| "the installation".to_owned(), |tenant| format!("tenant {tenant}"));
                troubles.push(format!("the audit of {whose} is not whole: {broken}"));
            }
        }
        chains += 1;
    }
    Ok((chains, entries))
}

fn look_at_file(
    place: &Place,
    file: &std::path::Path,
    troubles: &mut Vec<String>,
) -> Result<Looked, BackupError> {
    let (tables, rows) = sqlite::count(file)?;
    let (audit_chains, audit_entries) = place.runtime().block_on(async {
        let store = Store::open(&Location::Sqlite(file.to_owned())).await?;
        walk_audit(&store, troubles).await
    })?;
    Ok(Looked { database: "rampart.db".to_owned(), tables, rows, audit_chains, audit_entries })
}
