//! `Idempotency-Key`: whoever gets no answer asks again under the same one, and nothing is made twice.

use axum::{
    Json,
    extract::FromRequestParts,
    http::{HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::IntoParams;

use super::version::{Changeable, Versioned};
use crate::{
    Gateway,
    problem::{Kind, Problem},
};

/// The longest key.
const LONGEST: usize = 128;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Under which key something is to be made.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub(super) struct Once {
    /// Whoever gets no answer asks again under it: the same request of the same asker is done once within a day.
    #[param(rename = "Idempotency-Key", pattern = "^[!-~]{1,128}$")]
    pub(super) key: Option<String>,
}

impl FromRequestParts<Gateway> for Once {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Gateway) -> Result<Once, Problem> {
        let mut given = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let refused = |detail: String| Err(Problem::new(Kind::Malformed, detail));
        let key = match (given.next(), given.next()) {
            (None, _) => return Ok(Once { key: None }),
            (Some(key), None) => key.as_bytes(),
            (Some(_), Some(_)) => return refused("a request has one Idempotency-Key".to_owned()),
        };
        if !(1..=LONGEST).contains(&key.len()) || !key.iter().all(u8::is_ascii_graphic) {
            return refused(format!("an Idempotency-Key has 1 to {LONGEST} visible characters"));
        }
        Ok(Once { key: Some(key.iter().copied().map(char::from).collect()) })
    }
}

/// Something that was made.
pub(super) struct Made<T> {
    pub(super) status: StatusCode,
    /// Where it is; nowhere, if it has no place of its own.
    pub(super) place: Option<String>,
    /// It was made by this request; otherwise by an earlier one under the same key.
    pub(super) is_new: bool,
    pub(super) body: T,
}

impl<T> Made<T> {
    fn answer(self, shown: impl FnOnce(T) -> Response) -> Response {
        let mut response = shown(self.body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if let Some(place) = self.place.and_then(|place| HeaderValue::try_from(place).ok()) {
            headers.insert(header::LOCATION, place);
        }
        if !self.is_new {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

impl<T: Serialize> IntoResponse for Made<T> {
    fn into_response(self) -> Response {
        self.answer(|body| Json(body).into_response())
    }
}

impl<T: Changeable> IntoResponse for Made<Versioned<T>> {
    fn into_response(self) -> Response {
        self.answer(Versioned::into_response)
    }
}
