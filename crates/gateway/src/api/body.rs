//! What requests bring, with problems as answers where it is not right.

use axum::extract::{FromRequest, FromRequestParts};

use crate::problem::Problem;

/// A JSON document.
#[derive(FromRequest)]
#[from_request(via(axum::Json), rejection(Problem))]
pub(super) struct Body<T>(pub(super) T);

/// What stands behind the `?`.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Problem))]
pub(super) struct InQuery<T>(pub(super) T);

/// What stands in the path.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Problem))]
pub(super) struct InPath<T>(pub(super) T);
