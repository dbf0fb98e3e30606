//! What exists, as scans saw it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::{
    Asset, AssetId, AssetKind, ScanId, TenantId,
    list::{AssetCursor, TimeOrder},
    record::KnownAsset,
};

use crate::{
    Store, StoreError,
    list::{Columns, Question},
    value::Row,
};

/// Which of all that scans have seen somebody means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssetFilter {
    /// Only what is that.
    pub kind: Option<AssetKind>,
    /// Only what was seen for the first time from then on.
    pub new_since: Option<Timestamp>,
    /// Only what was seen from then on.
    pub seen_since: Option<Timestamp>,
    /// Only what nobody has seen since then.
    pub gone_since: Option<Timestamp>,
    /// Only what has this in its identity: a name, an address, a part of a URL.
    pub containing: Option<String>,
    /// In which order, by when it was seen for the first time.
    pub order: TimeOrder,
    /// Only what comes behind that place.
    pub after: Option<AssetCursor>,
}

const COLUMNS: Columns = Columns { name: "identity", time: "first_seen", id: "asset_key" };
const ASSET: &str = "asset_key, body, first_seen, last_seen";

fn read(row: &Row) -> Result<KnownAsset, StoreError> {
    Ok(KnownAsset {
        id: AssetId::from_stored(row.key(0)?),
        asset: row.json(1)?,
        first_seen: row.time(2)?,
        last_seen: row.time(3)?,
    })
}

fn place(id: AssetId, first_seen: Timestamp) -> AssetCursor {
    AssetCursor { id, time: first_seen, name: String::new() }
}

impl Store {
    /// What a scan saw, in no particular order, from after a place on; with the place to go on from.
    pub async fn assets(
        &self,
        tenant: TenantId,
        scan: ScanId,
        after: Option<AssetId>,
        at_most: usize,
    ) -> Result<(Vec<Asset>, Option<AssetId>), StoreError> {
        self.read_tenant(tenant, move |tx| {
            Box::pin(async move {
                let mut wanted = Question::new(
                    "assets.tenant_id = $1 AND observations.scan_id = $2",
                    vec![tx.tenant(), scan.to_string().into()],
                );
                wanted.with_any("assets.asset_key > #", after);
                let Question { condition, values } = wanted;
                let sql = format!(
                    "SELECT assets.asset_key, assets.body FROM assets JOIN observations ON \
                     observations.tenant_id = assets.tenant_id AND observations.kind = assets.kind \
                     AND observations.subject = assets.asset_key WHERE {condition} \
                     ORDER BY assets.asset_key LIMIT {at_most}"
                );
                let rows = tx.query(&sql, &values).await?;
                let last = rows.last().map(|row| row.key(0).map(AssetId::from_stored)).transpose()?;
                let assets = rows.iter().map(|row| row.json(1)).collect::<Result<_, _>>()?;
                Ok((assets, last))
            })
        })
        .await
    }

    /// How many things of each kind a scan saw.
    pub async fn asset_counts(
        &self,
        tenant: TenantId,
        scan: ScanId,
    ) -> Result<BTreeMap<String, u64>, StoreError> {
        self.read_tenant(tenant, move |tx| {
            Box::pin(async move {
                let sql = "SELECT kind, count(*) FROM observations WHERE tenant_id = $1 AND scan_id = $2 \
                           AND kind <> 'finding' GROUP BY kind";
                let rows = tx.query(sql, &[tx.tenant(), scan.to_string().into()]).await?;
                rows.iter().map(|row| Ok((row.text(0)?.to_owned(), row.count(1)?))).collect()
            })
        })
        .await
    }

    /// So much of all that the tenant's scans have seen: what is meant, in the order that is meant; and the place to go on from, when there
    /// may be more. Of a large inventory no more than so many are looked at for one answer, which may then be short.
    pub async fn inventory(
        &self,
        tenant: TenantId,
        filter: AssetFilter,
        at_most: usize,
        looks: usize,
    ) -> Result<(Vec<KnownAsset>, Option<AssetCursor>), StoreError> {
        self.read_tenant(tenant, move |tx| {
            Box::pin(async move {
                let AssetFilter { kind, new_since, seen_since, gone_since, containing, order, after } = filter;
                // In the order of the index.
                let mut looked_at = Question::of(tx.tenant());
                looked_at.with_any("first_seen >= #", new_since);
                let order = looked_at.ordered(&COLUMNS, order.into(), after);
                let Question { condition: within, values } = looked_at.clone();
                let mut wanted = Question::new("true", values);
                wanted.with_any("kind = #", kind.map(AssetKind::as_str));
                wanted.with_any("last_seen >= #", seen_since);
                wanted.with_any("last_seen < #", gone_since);
                if let Some(text) = &containing {
                    wanted.containing("identity", text);
                }
                let Question { condition, values } = wanted;
                let sql = format!(
                    "SELECT {ASSET} FROM (SELECT {ASSET}, kind, identity FROM assets WHERE {within} {order} LIMIT {looks}) AS looked_at \
                     WHERE {condition} {order} LIMIT {at_most}"
                );
                let rows = tx.query(&sql, &values).await?;
                let found = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
                if found.len() == at_most {
                    let next = found.last().map(|last| place(last.id, last.first_seen));
                    return Ok((found, next));
                }
                let Question { condition, values } = looked_at;
                let sql = format!(
                    "SELECT asset_key, first_seen FROM assets WHERE {condition} {order} LIMIT 1 OFFSET {}",
                    looks.saturating_sub(1)
                );
                let last = tx.query(&sql, &values).await?;
                let next = last.first().map(|row| {
                    Ok::<_, StoreError>(place(AssetId::from_stored(row.key(0)?), row.time(1)?))
                });
                Ok((found, next.transpose()?))
            })
        })
        .await
    }

    /// One thing of them.
    pub async fn asset(&self, tenant: TenantId, id: AssetId) -> Result<KnownAsset, StoreError> {
        self.read_tenant(tenant, move |tx| {
            Box::pin(async move {
                let sql = format!("SELECT {ASSET} FROM assets WHERE tenant_id = $1 AND asset_key = $2");
                read(&tx.one(&sql, &[tx.tenant(), id.into()], ("asset", id)).await?)
            })
        })
        .await
    }
}
