//! Scans, wherever they are.

use anyhow::{Context, bail};
use client::{Client, ReportFormat, ScanQuery};
use model::{ScanId, ScanLife, ScanRequest, Target, record::ScanRecord, scan::Difference};
use store::{NewScan, ObjectKey, ScanFilter, StoreError, Submission, Terms};

use super::{Place, pages};
use crate::{
    library::Library,
    platform::{Desk, account::where_reports_are, operator, with_way_out},
};

/// Gaps that programs are told.
const NAMED: usize = 20;
/// Targets that are told.
const FIRST: usize = 5;

/// A report on its way here.
pub(in crate::platform) enum Report<'p> {
    Here(store::Download),
    There(client::Download<'p>),
}

impl Report<'_> {
    /// The next piece; none at the end.
    pub(in crate::platform) async fn next(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        Ok(match self {
            Report::Here(download) => download.next().await?,
            Report::There(download) => download.next().await?,
        })
    }
}

/// What the record of a scan does not hold.
pub(in crate::platform) struct Details {
    pub(in crate::platform) first_targets: Vec<Target>,
    /// How many things it could not find out.
    pub(in crate::platform) undetermined_count: u64,
    /// The first of them.
    pub(in crate::platform) undetermined: Vec<String>,
}

impl Details {
    async fn here(desk: &Desk, scan: ScanId) -> anyhow::Result<Details> {
        let tenant = desk.tenant().await?;
        let first_targets = desk.store.targets(tenant, scan, 0, FIRST).await?;
        let (undetermined_count, units) = desk.store.gaps(tenant, scan, NAMED).await?;
        let told = units.into_iter().flat_map(|unit| {
            let about = format!("{}: {}", unit.stage, unit.unit);
            unit.gaps().map(move |gap| format!("{about}: {gap}"))
        });
        Ok(Details { first_targets, undetermined_count, undetermined: told.take(NAMED).collect() })
    }

    async fn there(client: &Client, scan: ScanId) -> anyhow::Result<Details> {
        let first = client.scan_targets(scan, Some(FIRST), None).await?;
        let (undetermined_count, units) = client.undetermined(scan, Some(NAMED), None).await?;
        let told = units.items.into_iter().flat_map(|unit| {
            let about = format!("{}: {}", unit.stage, unit.unit);
            unit.undetermined.into_iter().map(move |gap| format!("{about}: {gap}"))
        });
        let first_targets = first.items.into_iter().map(|target| target.target).collect();
        Ok(Details { first_targets, undetermined_count, undetermined: told.take(NAMED).collect() })
    }
}

impl Place {
    /// The latest first; they may be some seconds old.
    pub(in crate::platform) async fn stale_scans(
        &self,
        running: bool,
        at_most: usize,
    ) -> anyhow::Result<Vec<ScanRecord>> {
        match self {
            Place::Here(desk) => {
                let filter = ScanFilter { running, ..ScanFilter::default() };
                Ok(desk.stale_reads().await?.scans(desk.tenant().await?, filter, at_most).await?)
            }
            Place::There(client) => {
                let ask = async |limit, after| {
                    client
                        .scans(&ScanQuery { running, limit: Some(limit), after, ..ScanQuery::default() })
                        .await
                };
                pages(at_most, None, ask).await
            }
        }
    }

    pub(in crate::platform) async fn scan(&self, id: ScanId) -> anyhow::Result<ScanRecord> {
        Ok(match self {
            Place::Here(desk) => desk.store.scan(desk.tenant().await?, id).await?,
            Place::There(client) => client.scan(id).await?,
        })
    }

    /// It may be some seconds old.
    pub(in crate::platform) async fn stale_scan(&self, id: ScanId) -> anyhow::Result<ScanRecord> {
        match self {
            Place::Here(desk) => Ok(desk.stale_reads().await?.scan(desk.tenant().await?, id).await?),
            Place::There(_) => self.scan(id).await,
        }
    }

    /// Begins a scan. Which, and whether it is new, if that is known: it may have been asked for under the same key.
    pub(in crate::platform) async fn submit_scan(
        &self,
        request: ScanRequest,
        targets: Vec<Target>,
        key: Option<&str>,
    ) -> anyhow::Result<(ScanId, Option<bool>)> {
        let desk = match self {
            Place::Here(desk) => desk,
            Place::There(client) => {
                let begun = client.submit_scan(&targets, &request, key).await;
                return Ok((begun.context("the scan was not begun")?.id, None));
            }
        };
        Library::require_built_in(&request.only)?;
        let tenant = desk.tenant().await?;
        let Terms { checks, price } = desk.configuration.terms();
        let new = NewScan { request, targets, by: operator().into(), checks, price };
        let begun = desk.store.submit_scan_once(tenant, new, key.map(str::to_owned)).await;
        let Submission { scan, is_new, planned } =
            begun.map_err(with_way_out).context("the scan was not begun")?;
        desk.wake(planned).await;
        Ok((scan, Some(is_new)))
    }

    /// Whether it was going on until then, and how it stands now.
    pub(in crate::platform) async fn cancel_scan(&self, id: ScanId) -> anyhow::Result<(bool, ScanRecord)> {
        match self {
            Place::Here(desk) => {
                let tenant = desk.tenant().await?;
                let reached = desk.store.cancel_scan(tenant, id, operator()).await?;
                if reached {
                    desk.tell_workers().await;
                }
                Ok((reached, desk.store.scan(tenant, id).await?))
            }
            Place::There(client) => {
                let ran = client.scan(id).await?.life == ScanLife::Running;
                Ok((ran, client.cancel_scan(id).await?))
            }
        }
    }

    pub(in crate::platform) async fn difference(
        &self,
        scan: ScanId,
        baseline: ScanId,
    ) -> anyhow::Result<Difference> {
        Ok(match self {
            Place::Here(desk) => desk.store.difference(desk.tenant().await?, scan, baseline).await?,
            Place::There(client) => client.compare_scans(scan, Some(baseline)).await?.difference,
        })
    }

    /// It may be some seconds old.
    pub(in crate::platform) async fn stale_difference(
        &self,
        scan: ScanId,
        baseline: ScanId,
    ) -> anyhow::Result<Difference> {
        match self {
            Place::Here(desk) => {
                Ok(desk.stale_reads().await?.difference(desk.tenant().await?, scan, baseline).await?)
            }
            Place::There(_) => self.difference(scan, baseline).await,
        }
    }

    /// What the record of a scan does not hold.
    pub(in crate::platform) async fn details(&self, scan: ScanId) -> anyhow::Result<Details> {
        match self {
            Place::Here(desk) => Details::here(desk, scan).await,
            Place::There(client) => Details::there(client, scan).await,
        }
    }

    /// The report of a scan that has ended.
    pub(in crate::platform) async fn report(
        &self,
        id: ScanId,
        format: report::Format,
    ) -> anyhow::Result<Report<'_>> {
        let desk = match self {
            Place::Here(desk) => desk,
            Place::There(client) => {
                let format = match format {
                    report::Format::Json => ReportFormat::Json,
                    _ => ReportFormat::Html,
                };
                return Ok(Report::There(client.report(id, format).await?));
            }
        };
        let tenant = desk.tenant().await?;
        let record = desk.store.scan(tenant, id).await?;
        let key = ObjectKey::report(tenant, id, format.file_name());
        let elsewhere = desk.configuration.objects.is_none()
            && !desk.configuration.data.join(ObjectKey::reports(tenant, id)).is_dir();
        if record.life == ScanLife::Running || elsewhere {
            let why = match record.life {
                ScanLife::Running => "it is written when the scan has ended".to_owned(),
                ScanLife::Ended { .. } => where_reports_are(self, &record).await?,
            };
            bail!("there is no report of scan {id} here: {why}");
        }
        match desk.configuration.objects()?.download(&key).await {
            Err(StoreError::Missing { .. }) => {
                let why = where_reports_are(self, &record).await?;
                bail!("there is no report of scan {id}: {why}")
            }
            download => Ok(Report::Here(download?)),
        }
    }
}
