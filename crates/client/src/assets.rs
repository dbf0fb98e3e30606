//! What exists: of one scan, and of all that the tenant's scans have seen.

use jiff::Timestamp;
use model::{
    Asset, AssetId, AssetKind, ScanId,
    list::{AssetCursor, TimeOrder},
    record::KnownAsset,
};
use serde::Deserialize;

use crate::{Client, ClientError, Page};

/// Which assets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssetQuery {
    /// Only what is that.
    pub kind: Option<AssetKind>,
    /// Only what was seen for the first time from then on.
    pub new_since: Option<Timestamp>,
    /// Only what was seen from then on.
    pub seen_since: Option<Timestamp>,
    /// Only what nobody has seen since then.
    pub gone_since: Option<Timestamp>,
    /// Only what has this in it: a name, an address, a part of a URL.
    pub containing: Option<String>,
    /// In which order, by when it was seen for the first time.
    pub order: TimeOrder,
    /// How many, at most; as many as the server usually gives without.
    pub limit: Option<usize>,
    /// Only what comes behind that place in that order.
    pub after: Option<AssetCursor>,
}

#[derive(Deserialize)]
struct Assets {
    assets: Vec<KnownAsset>,
    next: Option<AssetCursor>,
}

#[derive(Deserialize)]
struct AssetsOfScan {
    assets: Vec<Asset>,
    next: Option<AssetId>,
}

impl Client {
    /// What exists, as all scans of the tenant have seen it.
    pub async fn assets(&self, query: &AssetQuery) -> Result<Page<KnownAsset, AssetCursor>, ClientError> {
        let request = self
            .get(&["assets"])
            .query_if("kind", query.kind)
            .query_if("new_since", query.new_since)
            .query_if("seen_since", query.seen_since)
            .query_if("gone_since", query.gone_since)
            .query_if("containing", query.containing.as_ref())
            .query("order", query.order)
            .query_if("limit", query.limit)
            .query_if("after", query.after.as_ref());
        request.answer().await.map(|Assets { assets, next }| Page { items: assets, next })
    }

    /// One thing, as it was seen last.
    pub async fn asset(&self, id: AssetId) -> Result<KnownAsset, ClientError> {
        self.get(&["assets", &id.to_string()]).answer().await
    }

    /// What a scan saw, in no particular order, each once.
    pub async fn assets_of_scan(
        &self,
        scan: ScanId,
        limit: Option<usize>,
        after: Option<AssetId>,
    ) -> Result<Page<Asset, AssetId>, ClientError> {
        let request = self.get(&["scans", &scan.to_string(), "assets"]);
        let request = request.query_if("limit", limit).query_if("after", after);
        request.answer().await.map(|AssetsOfScan { assets, next }| Page { items: assets, next })
    }
}
