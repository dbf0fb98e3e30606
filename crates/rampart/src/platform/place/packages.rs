//! Analyses of packages, wherever they are.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, bail};
use client::AnalysisRequest;
use model::{PackageAnalysis, PackageUrl, Priority, Stage, TaskId};
use serde_json::Value;
use store::{AskedAnalysis, NewAnalysis, StoreError};

use super::Place;
use crate::platform::operator;

impl Place {
    pub(in crate::platform) async fn analyze_package(
        &self,
        purl: PackageUrl,
        priority: Priority,
        minutes: u32,
    ) -> anyhow::Result<PackageAnalysis> {
        let desk = match self {
            Place::Here(desk) => desk,
            Place::There(client) => {
                let asked = AnalysisRequest { purl, priority, timeout_minutes: Some(minutes) };
                return Ok(client.analyze_package(&asked, None).await?);
            }
        };
        let deadline = Duration::from_secs(u64::from(minutes) * 60);
        let new = NewAnalysis { purl, priority, deadline };
        let asked = desk.store.analyze_package(desk.tenant().await?, new, operator(), None).await;
        let AskedAnalysis { task, is_planned } = asked.map_err(|error| match error {
            StoreError::NoWorker(_) => {
                anyhow::anyhow!(
                    "{error}: no worker of this release analyses packages, `rampart doctor` shows who works"
                )
            }
            error => error.into(),
        })?;
        if is_planned {
            desk.wake([(Stage::Package, 1)].into()).await;
        }
        PackageAnalysis::of(&task.record).context("the task analyses no package")
    }

    pub(in crate::platform) async fn package_analysis(
        &self,
        task: TaskId,
    ) -> anyhow::Result<PackageAnalysis> {
        let analysis = match self {
            Place::Here(desk) => PackageAnalysis::of(&desk.store.task(desk.tenant().await?, task).await?),
            Place::There(client) => client.package_analysis(task).await?,
        };
        analysis.with_context(|| format!("task {task} analyses no package"))
    }

    pub(in crate::platform) async fn package_result(
        &self,
        task: TaskId,
    ) -> anyhow::Result<BTreeMap<String, Value>> {
        let desk = match self {
            Place::Here(desk) => desk,
            Place::There(client) => return Ok(client.package_result(task).await?),
        };
        match desk.store.package_result(desk.tenant().await?, task).await? {
            (_, Some(body)) => Ok(serde_json::from_str(&body)?),
            (PackageAnalysis { purl, failure: Some(why), .. }, None) => {
                bail!("the analysis {task} of {purl} failed: {why}")
            }
            (PackageAnalysis { purl, .. }, None) => {
                bail!(
                    "the analysis {task} of {purl} has no result yet: `rampart task show {task}` tells how far it is"
                )
            }
        }
    }
}
