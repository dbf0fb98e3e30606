//! Which version of a thing somebody has seen: so that nobody overwrites what they have not (RFC 9110, 13.1).

use axum::{
    Json,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use model::{
    comment::CommentRecord,
    record::{RoleRecord, ScheduleRecord, TenantRecord, TenantSettings, UserRecord},
    webhook::WebhookRecord,
};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::problem::{Kind, Problem};

/// What somebody may change.
pub(super) trait Changeable: Serialize {
    /// What of it they change. The rest goes on by itself, and whoever has not seen that overwrites nothing.
    fn version(&self) -> impl Serialize {
        self
    }
}

impl<T: Changeable> Changeable for &T {
    fn version(&self) -> impl Serialize {
        (*self).version()
    }
}

impl Changeable for CommentRecord {}
impl Changeable for RoleRecord {}
impl Changeable for TenantRecord {}
impl Changeable for TenantSettings {}

impl Changeable for UserRecord {
    fn version(&self) -> impl Serialize {
        self.settings()
    }
}

impl Changeable for ScheduleRecord {
    fn version(&self) -> impl Serialize {
        self.settings()
    }
}

impl Changeable for WebhookRecord {
    fn version(&self) -> impl Serialize {
        self.settings()
    }
}

/// A document with its `ETag`.
pub(super) struct Versioned<T>(pub(super) T);

impl<T: Changeable> IntoResponse for Versioned<T> {
    fn into_response(self) -> Response {
        let tag = tag(&self.0);
        let mut response = Json(self.0).into_response();
        if let Ok(tag) = tag.and_then(|tag| Ok(HeaderValue::try_from(tag)?)) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        response
    }
}

/// Two versions have the same tag when they say the same.
fn tag(document: &impl Changeable) -> Result<String, Box<dyn std::error::Error>> {
    let hash = Sha256::digest(serde_json::to_vec(&document.version())?);
    Ok(format!("\"{:032x}\"", hash[..16].iter().fold(0_u128, |tag, byte| tag << 8 | u128::from(*byte))))
}

/// What must be there for somebody who says so: that thing, or none. Nothing when they do not say.
pub(super) fn expected<T: Changeable>(
    headers: &HeaderMap,
    there: Option<T>,
) -> Result<Option<Option<T>>, Problem> {
    // Several lines are one list (RFC 9110, 5.3).
    let asked = |name: HeaderName| {
        let lines = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default());
        let lines: Vec<&str> = lines.collect();
        (!lines.is_empty()).then(|| lines.join(","))
    };
    let (wanted, unwanted) = (asked(header::IF_MATCH), asked(header::IF_NONE_MATCH));
    let (wanted, unwanted) = (wanted.as_deref(), unwanted.as_deref());
    if wanted.is_none() && unwanted.is_none() {
        return Ok(None);
    }
    let names = |tags: &str| there.as_ref().is_some_and(|there| names(tags, there));
    match &there {
        None if wanted.is_some() => Err(Problem::new(Kind::Changed, "it is not there")),
        Some(_) if wanted.is_some_and(|tags| !names(tags)) => {
            Err(Problem::new(Kind::Changed, "somebody has changed it"))
        }
        Some(_) if unwanted.is_some_and(names) => Err(Problem::new(Kind::Changed, "it is there already")
            .hint("leave `If-None-Match` out to change what is there")),
        _ => Ok(Some(there)),
    }
}

/// Do these tags name that version?
fn names(tags: &str, there: &impl Changeable) -> bool {
    tags == "*" || tag(there).is_ok_and(|tag| tags.split(',').any(|one| one.trim() == tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Changeable for &str {}

    #[test]
    fn what_must_be_there_is_compared_with_what_is() {
        let tag = tag(&"seen").unwrap();
        let two = format!("\"other\", {tag}");
        let expected = |name: &'static str, value: &str, there: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            super::expected(&headers, there).map_err(|problem| problem.kind)
        };
        assert_eq!(super::expected(&HeaderMap::new(), Some("seen")).unwrap(), None);
        let mut lines = HeaderMap::new();
        for line in ["\"other\"", &tag] {
            lines.append("if-match", line.parse().unwrap());
        }
        assert_eq!(
            super::expected(&lines, Some("seen")).map_err(|problem| problem.kind),
            Ok(Some(Some("seen")))
        );
        for (name, value, there, wanted) in [
            ("if-match", &tag[..], Some("seen"), Ok(Some(Some("seen")))),
            ("if-match", &two, Some("seen"), Ok(Some(Some("seen")))),
            ("if-match", "*", Some("any"), Ok(Some(Some("any")))),
            ("if-match", &tag, Some("changed"), Err(Kind::Changed)),
            ("if-match", &tag, None, Err(Kind::Changed)),
            ("if-match", "*", None, Err(Kind::Changed)),
            ("if-match", "W/\"weak\"", Some("seen"), Err(Kind::Changed)),
            ("if-none-match", "*", None, Ok(Some(None))),
            ("if-none-match", "*", Some("seen"), Err(Kind::Changed)),
            ("if-none-match", &tag, None, Ok(Some(None))),
            ("if-none-match", &tag, Some("seen"), Err(Kind::Changed)),
            ("if-none-match", &tag, Some("changed"), Ok(Some(Some("changed")))),
        ] {
            assert_eq!(expected(name, value, there), wanted, "{name}: {value} with {there:?}");
        }
    }
}
