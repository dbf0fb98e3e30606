//! `rampart package`.

use std::{process::ExitCode, time::Duration};

use anyhow::bail;
use model::{PackageAnalysis, Stage, TaskId, package::AnalysisStatus};

use super::{attendance::Watch, operate, place::Place, print_json, put};
use crate::{
    cli::{PackageCommand, say},
    configuration::Whereabouts,
};

/// How often it is looked whether an analysis has ended.
const LOOK: Duration = Duration::from_secs(1);

pub(super) fn package(whereabouts: &Whereabouts, command: &PackageCommand) -> anyhow::Result<ExitCode> {
    operate(whereabouts, async |place| {
        match command {
            PackageCommand::Analyze { purl, wait, priority, timeout, json } => {
                let analysis = place.analyze_package(purl.clone(), *priority, *timeout).await?;
                if *wait {
                    let task = analysis.task_id;
                    say(&format!("task {task}: `rampart task show {task}` tells how far it is\n"));
                    ended(&place, analysis).await?;
                    print_json(&place.package_result(task).await?)?;
                } else if *json {
                    print_json(&analysis)?;
                } else {
                    put(&format!("{}\n", analysis.task_id))?;
                }
            }
            PackageCommand::Result { task } => print_json(&place.package_result(*task).await?)?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Waits for a result.
async fn ended(place: &Place, mut analysis: PackageAnalysis) -> anyhow::Result<()> {
    let mut watch = Watch::begin(place, [Stage::Package].into()).await?;
    let task: TaskId = analysis.task_id;
    loop {
        match analysis.status {
            AnalysisStatus::Completed => return Ok(()),
            AnalysisStatus::Failed => {
                bail!(
                    "the analysis {task} of {} failed: {}",
                    analysis.purl,
                    analysis.failure.unwrap_or_default()
                )
            }
            AnalysisStatus::Queued | AnalysisStatus::Running => {}
        }
        watch.look_again(place).await?;
        tokio::time::sleep(LOOK).await;
        analysis = place.package_analysis(task).await?;
    }
}
