//! Checks: what can be looked for.

use model::{CheckId, Severity, record::CheckRecord};
use serde::Deserialize;

use crate::{Client, ClientError, Page};

/// Which checks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckQuery {
    /// Only those whose matches are as severe as this, or more.
    pub severity: Option<Severity>,
    /// Only with this tag.
    pub tag: Option<String>,
    /// Only with this in the id or the name, in upper or lower case.
    pub search: Option<String>,
    /// How many, at most; as many as the server usually gives without.
    pub limit: Option<usize>,
    /// Only those after that one.
    pub after: Option<CheckId>,
}

#[derive(Deserialize)]
struct Checks {
    checks: Vec<CheckRecord>,
    next: Option<CheckId>,
}

impl Client {
    /// Checks that the server has, by id.
    pub async fn checks(&self, query: &CheckQuery) -> Result<Page<CheckRecord, CheckId>, ClientError> {
        let request = self
            .get(&["checks"])
            .query_if("severity", query.severity)
            .query_if("tag", query.tag.as_ref())
            .query_if("search", query.search.as_ref())
            .query_if("limit", query.limit)
            .query_if("after", query.after.as_ref());
        request.answer().await.map(|Checks { checks, next }| Page { items: checks, next })
    }

    /// One of them.
    pub async fn check(&self, id: &CheckId) -> Result<CheckRecord, ClientError> {
        self.get(&["checks", id.as_str()]).answer().await
    }
}
