//! Downloads: what others wrote stands in them, and is never shown as a page of ours.

use axum::http::{HeaderMap, HeaderValue, header};

use crate::problem::{Kind, Problem};

/// Headers of a file of that name, which a browser keeps and does not show (RFC 6266).
pub(super) fn attachment(name: &str) -> Result<HeaderMap, Problem> {
    let value = HeaderValue::try_from(format!("attachment; filename=\"{name}\""));
    let value =
        value.map_err(|_| Problem::new(Kind::Internal, format!("a file cannot be called `{name}`")))?;
    Ok(HeaderMap::from_iter([(header::CONTENT_DISPOSITION, value)]))
}
