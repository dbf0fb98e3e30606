//! What became of a scan of the platform: for `rampart scan show`, and for who waits for it.

use std::time::Duration;

use model::{ScanLife, Stage, Stop, Target, TenantId, scan::ScanEnd, task::Life};
use report::terminal;
use serde::Serialize;
use store::{ObjectKey, ScanRecord, TaskFilter};

use super::{
    length,
    place::{Details, Place},
    print_json, print_table, short_time,
    stops::{Asked, Lifting},
};

/// Gaps and targets in a table.
const IN_TABLE: usize = 5;
/// A scan is reported again when its dead units were brought back: the last task counts.
const REPORT_TASKS: usize = 500;

/// A scan with what its record does not hold.
#[derive(Serialize)]
pub(super) struct Account {
    #[serde(flatten)]
    pub(super) record: ScanRecord,
    /// How many things it could not find out.
    undetermined_count: u64,
    /// The first of them.
    undetermined: Vec<String>,
    first_targets: Vec<Target>,
}

impl Account {
    pub(super) async fn of(place: &Place, record: ScanRecord) -> anyhow::Result<Account> {
        let Details { first_targets, undetermined_count, undetermined } = place.details(record.id).await?;
        Ok(Account { record, undetermined_count, undetermined, first_targets })
    }

    /// What is not known to be without gaps is not.
    pub(super) fn is_without_gaps(&self) -> bool {
        let complete = matches!(self.record.life, ScanLife::Ended { end, .. } if end.is_complete());
        complete && self.undetermined_count == 0
    }

    /// The first gaps, and how many more there are, a line each.
    fn gaps(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.undetermined.iter().take(IN_TABLE).cloned().collect();
        let more = self.undetermined_count.saturating_sub(lines.len() as u64);
        if more > 0 {
            lines.push(format!("{more} more"));
        }
        lines
    }

    pub(super) fn print_json(&self) -> anyhow::Result<()> {
        print_json(self)
    }

    pub(super) async fn show(&self, place: &Place) -> anyhow::Result<()> {
        let scan = &self.record;
        let mut rows = vec![
            ("scan", scan.id.to_string()),
            ("state", state(&scan.life)),
            ("scope", scan.request.scope.clone()),
            ("submitted", format!("{} by {}", short_time(scan.submitted_at), scan.submitted_by)),
            ("deadline", short_time(scan.deadline)),
            ("targets", format!("{} of {} begun{}", scan.begun, scan.targets, self.targets())),
            ("units", format!("{} planned, {} open, {} dead", scan.units, scan.open_tasks, scan.dead_tasks)),
            ("assets", scan.assets.to_string()),
            ("findings", scan.findings.to_string()),
        ];
        let mut gaps = self.gaps().into_iter();
        rows.push(("undetermined", gaps.next().unwrap_or_else(|| self.no_gaps().to_owned())));
        rows.extend(gaps.map(|gap| ("", gap)));
        rows.push((
            "sent",
            format!(
                "{} requests ({} saved by sharing), {} probes, {} queries",
                scan.traffic.requests,
                scan.traffic.shared_requests,
                scan.traffic.probes,
                scan.traffic.queries
            ),
        ));
        rows.push(("worked", length(Duration::from_secs(scan.worked.as_secs()))));
        if let (Some(cost), Some(price)) = (scan.cost, scan.price) {
            let most = scan.request.budget.cost.map(|most| format!(" of at most {most}"));
            rows.push(("cost", format!("{cost}{}, at {price} an hour", most.unwrap_or_default())));
        }
        match scan.life {
            ScanLife::Running => {
                rows.extend(stopped(place, scan).await?.into_iter().map(|stop| ("stopped", stop)));
            }
            ScanLife::Ended { at, .. } => {
                rows.push(("ended", short_time(at)));
                rows.push(("reports", where_reports_are(place, scan).await?));
            }
        }
        let rows: Vec<Vec<String>> =
            rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
        print_table(&["", ""], &rows)
    }

    fn no_gaps(&self) -> &'static str {
        match self.record.life {
            ScanLife::Running => "nothing so far",
            ScanLife::Ended { .. } => "nothing",
        }
    }

    fn targets(&self) -> String {
        let mut words: Vec<String> = self.first_targets.iter().map(ToString::to_string).collect();
        let more = self.record.targets.saturating_sub(words.len() as u64);
        if more > 0 {
            words.push(format!("and {more} more"));
        }
        format!(": {}", words.join(" "))
    }
}

fn state(life: &ScanLife) -> String {
    match life {
        ScanLife::Ended { end: ScanEnd::Budget { exhausted }, .. } => {
            format!("{} ({})", life.word(), exhausted.as_str())
        }
        _ => life.word().to_owned(),
    }
}

/// The emergency stops that hold something of a scan up, as people read them.
pub(super) async fn stopped(place: &Place, scan: &ScanRecord) -> anyhow::Result<Vec<String>> {
    let stops = place.stops().await?;
    if stops.is_empty() {
        return Ok(Vec::new());
    }
    let (tenant, tenants) = (place.tenant().await?, place.tenants().await?);
    let lifting = Lifting { tenants: &tenants, server: place.server(), asked: Asked::Own };
    let told = |stop: &Stop| {
        let (reach, reason) = (lifting.describe(&stop.reach), terminal::sanitise(&stop.reason));
        format!("{reach}, by {}: {reason}; `{}` lifts it", stop.by, lifting.command(stop))
    };
    Ok(stops.iter().filter(|stop| is_held_by(scan, tenant, stop)).map(told).collect())
}

fn is_held_by(scan: &ScanRecord, tenant: TenantId, stop: &Stop) -> bool {
    let stages = scan.request.stages.iter().copied().chain([Stage::Report]);
    stages.into_iter().any(|stage| stop.reach.covers(tenant, Some(scan.id), stage))
}

/// The worker that wrote them knows its directory; from here they can be named if it is the same.
pub(super) async fn where_reports_are(place: &Place, scan: &ScanRecord) -> anyhow::Result<String> {
    let filter = TaskFilter { stage: Some(Stage::Report), ..TaskFilter::of_scan(scan.id) };
    let task = place.tasks(filter, None, REPORT_TASKS).await?.pop();
    match task.map(|task| (task.id, task.task.life)) {
        Some((id, Life::Queued { .. } | Life::Running { .. })) => {
            return Ok(format!("not written yet: `rampart task show {id}`"));
        }
        Some((id, life @ (Life::Dead { .. } | Life::Cancelled))) => {
            return Ok(format!("not written, the task is {}: `rampart task show {id}`", life.word()));
        }
        // A task that is long over is forgotten.
        Some((_, Life::Completed)) | None => {}
    }
    let desk = match place {
        Place::Here(desk) => desk,
        Place::There(client) => {
            return Ok(format!("`rampart scan report {}` brings them from {}", scan.id, client.address()));
        }
    };
    let reports = ObjectKey::reports(desk.tenant().await?, scan.id);
    let data = &desk.configuration.data;
    Ok(match &desk.configuration.objects {
        Some(_) => desk.configuration.objects()?.describe(&reports),
        None if data.join(&reports).is_dir() => data.join(&reports).display().to_string(),
        None => {
            let data = data.display();
            format!(
                "{reports} in the data directory of the worker that wrote them, which is not `{data}` here"
            )
        }
    })
}
