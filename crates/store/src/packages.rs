//! Analyses of packages: asked for, answered from what is known, kept.
//!
//! What is known of a public package has nothing of a tenant in it, but that somebody asks for it has: each tenant has results of its own.

use std::time::Duration;

use model::{
    By, NewTask, PackageUrl, Priority, Stage, TaskId, TenantId, Work,
    package::{FRESH_FOR, PackageAnalysis},
    record::TaskRecord,
};
use serde_json::{Map, Value as Json};

use crate::{
    Store, StoreError,
    audit::Act,
    once::{Made, Once},
    scans::digest,
    session::{Dialect, TenantTx},
    value::json,
};

/// What a result may take, as it is stored.
const MOST_RESULT: usize = 8 << 20;

/// What an analysis says: the form is its own.
pub type PackageResult = Map<String, Json>;

/// An analysis that somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAnalysis {
    /// Of which package.
    pub purl: PackageUrl,
    /// How urgent.
    pub priority: Priority,
    /// How long one try may take.
    pub deadline: Duration,
}

/// What came of asking for an analysis.
#[derive(Debug, Clone, PartialEq)]
pub struct AskedAnalysis {
    /// The task whose result it is, or will be.
    pub task: Made<TaskRecord>,
    /// A worker is to be woken for it: nobody had asked before.
    pub is_planned: bool,
}

impl TenantTx<'_> {
    /// The task that has a fresh result, or that is at it.
    async fn known_analysis(&mut self, purl: &PackageUrl) -> Result<Option<TaskId>, StoreError> {
        let since = self.now.saturating_sub(FRESH_FOR).unwrap_or(jiff::Timestamp::MIN);
        let values = [self.tenant(), digest(purl.as_str()).into(), since.into()];
        let sql = "SELECT task_id FROM package_results WHERE tenant_id = $1 AND purl_key = $2 AND analysed_at > $3 \
                   ORDER BY analysed_at DESC, task_id DESC LIMIT 1";
        if let Some(row) = self.query(sql, &values).await?.first() {
            return Ok(Some(TaskId::new(row.id(0)?)));
        }
        let values = [self.tenant(), purl.as_str().into()];
        let sql = "SELECT task_id FROM tasks WHERE tenant_id = $1 AND stage = 'package' AND unit = $2 \
                   AND state IN ('queued', 'running') AND NOT cancelling ORDER BY task_id LIMIT 1";
        let rows = self.query(sql, &values).await?;
        rows.first().map(|row| row.id(0).map(TaskId::new)).transpose()
    }

    /// Of several who ask for the same at once one asks for it: the others wait here until that is certain. SQLite has one writer anyway.
    async fn hold_package(&mut self, purl: &PackageUrl) -> Result<(), StoreError> {
        if self.dialect() == Dialect::Postgres {
            let sql =
                "SELECT pg_advisory_xact_lock(hashtextextended('package ' || $1 || ' ' || $2, 0))::text";
            self.query(sql, &[self.tenant.to_string().into(), purl.to_string().into()]).await?;
        }
        Ok(())
    }

    async fn ask_for_analysis(
        &mut self,
        new: NewAnalysis,
        by: &By,
        once: Option<&Once>,
        is_served: bool,
    ) -> Result<AskedAnalysis, StoreError> {
        let ours = TaskId::new(uuid::Uuid::now_v7());
        if let Some((once, before)) = self.made_before(once, &ours).await? {
            let task = once.as_it_is(self.one_task(before).await)?;
            return Ok(AskedAnalysis { task, is_planned: false });
        }
        self.hold_package(&new.purl).await?;
        let known = self.known_analysis(&new.purl).await?;
        let id = match known {
            Some(known) => known,
            // Whoever waited for nobody would wait for ever.
            None if !is_served => return Err(StoreError::NoWorker(Stage::Package)),
            None => {
                let NewAnalysis { purl, priority, deadline } = new;
                let act =
                    Act::new(by, "package.analyze", &purl).detail(format!("{priority}, within {deadline:?}"));
                let (request_id, trace) = (by.request.clone(), by.trace);
                let task =
                    NewTask { priority, deadline, request_id, trace, ..NewTask::new(Work::Package { purl }) };
                self.audit(act);
                self.enqueue(&[task]).await?[0].id
            }
        };
        if let Some(once) = once {
            once.made_instead(self.session, self.tenant, &id).await?;
        }
        Ok(AskedAnalysis { task: Made::now(self.one_task(id).await?), is_planned: known.is_none() })
    }

    /// What came of a task, with its end.
    pub(crate) async fn keep_analysis(
        &mut self,
        task: TaskId,
        purl: &PackageUrl,
        result: &PackageResult,
    ) -> Result<(), StoreError> {
        let values = [
            self.tenant(),
            task.as_uuid().into(),
            digest(purl.as_str()).into(),
            json(result)?,
            self.now.into(),
        ];
        let sql = "INSERT INTO package_results (tenant_id, task_id, purl_key, body, analysed_at) VALUES ($1, $2, $3, $4, $5) \
                   ON CONFLICT (tenant_id, task_id) DO UPDATE SET body = excluded.body, analysed_at = excluded.analysed_at";
        self.execute(sql, &values).await.map(drop)
    }
}

/// Why a result cannot be kept, if so: a task with a result that is too large would be tried for ever.
pub(crate) fn too_large(result: &PackageResult) -> Option<String> {
    let size = serde_json::to_vec(result).map_or(usize::MAX, |body| body.len());
    (size > MOST_RESULT).then(|| format!("the result has {size} bytes, and {MOST_RESULT} are kept"))
}

impl Store {
    /// Asks for an analysis of a package: what is known and fresh is answered, what somebody asked for already is not asked for twice.
    ///
    /// # Errors
    /// [`StoreError::NoWorker`] when it would have to be made and nobody is there who does that.
    pub async fn analyze_package(
        &self,
        tenant: TenantId,
        new: NewAnalysis,
        by: impl Into<By>,
        key: Option<String>,
    ) -> Result<AskedAnalysis, StoreError> {
        let by = by.into();
        let asked = (&new.purl, new.priority, new.deadline);
        let once = Once::of(key, &by, "package.analyze", &asked)?;
        let is_served = self.attendance().await?.stages.contains(&Stage::Package);
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move { tx.ask_for_analysis(new, &by, once.as_ref(), is_served).await })
        })
        .await
    }

    /// What the analysis of a package says, as JSON; none as long as it has not said anything.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is no such task, or it analyses no package.
    pub async fn package_result(
        &self,
        tenant: TenantId,
        task: TaskId,
    ) -> Result<(PackageAnalysis, Option<String>), StoreError> {
        self.read_tenant(tenant, move |tx| {
            Box::pin(async move {
                let missing =
                    || StoreError::Missing { kind: "analysis of a package", name: task.to_string() };
                let record = tx.one_task(task).await.map_err(|error| match error {
                    StoreError::Missing { .. } => missing(),
                    error => error,
                })?;
                let analysis = PackageAnalysis::of(&record).ok_or_else(missing)?;
                let sql = "SELECT body FROM package_results WHERE tenant_id = $1 AND task_id = $2";
                let rows = tx.query(sql, &[tx.tenant(), task.as_uuid().into()]).await?;
                let body = rows.first().map(|row| row.text(0).map(str::to_owned)).transpose()?;
                Ok((analysis, body))
            })
        })
        .await
    }
}
