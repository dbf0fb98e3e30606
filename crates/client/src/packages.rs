//! Packages of other people's software: their analyses are tasks.

use std::collections::BTreeMap;

use model::{PackageAnalysis, PackageUrl, Priority, TaskId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{Client, ClientError};

/// A package to be analysed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AnalysisRequest {
    /// Which.
    pub purl: PackageUrl,
    /// How urgent.
    pub priority: Priority,
    /// How many minutes one try may take; as many as the server usually gives without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_minutes: Option<u32>,
}

#[derive(Deserialize)]
struct Shown {
    analysis: Option<PackageAnalysis>,
}

impl Client {
    /// Asks for the analysis of a package: one that is known and fresh is completed already. Under a key the same request of the same
    /// asker is the same analysis for a day; without one it gets a key of its own, so that a connection that breaks neither loses nor
    /// doubles it.
    pub async fn analyze_package(
        &self,
        asked: &AnalysisRequest,
        key: Option<&str>,
    ) -> Result<PackageAnalysis, ClientError> {
        let own = Uuid::now_v7().to_string();
        self.post(&["tasks"]).body(asked).once(key.unwrap_or(&own))?.answer().await
    }

    /// The analysis that a task is, as it was within the last second; none when it is another kind of task.
    pub async fn package_analysis(&self, task: TaskId) -> Result<Option<PackageAnalysis>, ClientError> {
        self.get(&["tasks", &task.to_string()]).answer().await.map(|Shown { analysis }| analysis)
    }

    /// What a completed analysis says.
    pub async fn package_result(&self, task: TaskId) -> Result<BTreeMap<String, Value>, ClientError> {
        self.get(&["tasks", &task.to_string(), "result"]).answer().await
    }
}
