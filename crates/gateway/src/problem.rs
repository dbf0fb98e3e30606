//! What went wrong, as programs and people are told: problem details (RFC 9457).

use std::{collections::BTreeMap, time::Duration};

use axum::{
    extract::rejection::{JsonRejection, PathRejection, QueryRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use store::StoreError;
use utoipa::{
    IntoResponses, ToSchema,
    openapi::{self, ContentBuilder, Ref, RefOr, ResponseBuilder},
};

use crate::caller::Refusal;

/// When somebody should ask again who needs a worker that is not there.
const UNATTENDED: Duration = Duration::from_secs(60);

/// What went wrong. [`crate::request::attend`] writes it into the answer, with the request's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) kind: Kind,
    /// What failed, on which value.
    pub(crate) detail: String,
    /// What to do about it.
    pub(crate) hint: Option<&'static str>,
    /// Who was refused, when somebody was who is known.
    pub(crate) refused: Option<Box<Refusal>>,
    /// Nobody knows who was refused, and the audit tells how often.
    pub(crate) is_strangers: bool,
    /// When to come again, where that is known.
    pub(crate) wait: Option<Duration>,
}

/// Kinds of problems: for programs, who tell them apart by their code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The request cannot be understood.
    Malformed,
    /// It is not said, or not believed, who asks.
    Unauthenticated,
    /// The password is right, and a code is needed beside it.
    SecondFactor,
    /// Who asks may not do that.
    Forbidden,
    /// There is no such thing, or it belongs to somebody else: nobody can tell which.
    Missing,
    /// The thing is there, and cannot be asked for in this way.
    Method,
    /// It does not fit where things stand.
    Conflict,
    /// It is not, or not any more, what somebody said it must be.
    Changed,
    /// The body is larger than what is taken.
    TooLarge,
    /// The body is of a kind that is not taken.
    MediaType,
    /// It is understood, and asks for what cannot be.
    Invalid,
    /// Somebody asks for more than they may in that time.
    TooMany,
    /// There is no room for it now.
    Overloaded,
    /// Nobody is there who would do it.
    NoWorker,
    /// What is needed for an answer is away.
    Unavailable,
    /// It took too long.
    Timeout,
    /// A defect.
    Internal,
}

impl Kind {
    #[cfg(test)]
    const ALL: [Kind; 17] = [
        Kind::Malformed,
        Kind::Unauthenticated,
        Kind::SecondFactor,
        Kind::Forbidden,
        Kind::Missing,
        Kind::Method,
        Kind::Conflict,
        Kind::Changed,
        Kind::TooLarge,
        Kind::MediaType,
        Kind::Invalid,
        Kind::TooMany,
        Kind::Overloaded,
        Kind::NoWorker,
        Kind::Unavailable,
        Kind::Timeout,
        Kind::Internal,
    ];

    /// Its status, its code, and a title that is the same for all of the kind.
    fn told(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Kind::Malformed => (StatusCode::BAD_REQUEST, "malformed", "the request cannot be understood"),
            Kind::Unauthenticated => {
                (StatusCode::UNAUTHORIZED, "unauthenticated", "it is not known who asks")
            }
            Kind::SecondFactor => (StatusCode::UNAUTHORIZED, "second-factor", "a second factor is needed"),
            Kind::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "who asks may not do that"),
            Kind::Missing => (StatusCode::NOT_FOUND, "not-found", "there is no such thing"),
            Kind::Method => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "it cannot be asked for in this way")
            }
            Kind::Conflict => (StatusCode::CONFLICT, "conflict", "it does not fit where things stand"),
            Kind::Changed => (StatusCode::PRECONDITION_FAILED, "changed", "it is not what it must be"),
            Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the body is too large"),
            Kind::MediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "the body is no JSON")
            }
            Kind::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "what is asked for cannot be"),
            Kind::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too-many", "more is asked for than may be"),
            Kind::Overloaded => {
                (StatusCode::SERVICE_UNAVAILABLE, "overloaded", "there is no room for it now")
            }
            Kind::NoWorker => {
                (StatusCode::SERVICE_UNAVAILABLE, "no-worker", "nobody is there who would do it")
            }
            Kind::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "something that is needed is away")
            }
            Kind::Timeout => (StatusCode::GATEWAY_TIMEOUT, "timeout", "it took too long"),
            Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "a defect in Rampart"),
        }
    }

    /// What to do about it, where nobody knows better.
    fn hint(self) -> &'static str {
        match self {
            Kind::Malformed | Kind::Invalid => "/api/v1/ says what each route takes",
            Kind::Unauthenticated => {
                "send a key that is good as `Authorization: Bearer …`, or log in: POST /api/v1/session"
            }
            Kind::SecondFactor => {
                "send the code of the second factor, or one of the recovery codes, as `code`"
            }
            Kind::Forbidden => "whoever manages keys and people gives a role that may",
            Kind::Missing => "it may be gone by now; what belongs to another tenant is not there either",
            Kind::Method => "/api/v1/openapi.json lists every route",
            Kind::Conflict => "look at where it stands now, and ask for what fits that",
            Kind::Changed => "look at it again, and send its new ETag as `If-Match`",
            Kind::TooLarge => "send less at once",
            Kind::MediaType => "send JSON, and `Content-Type: application/json`",
            Kind::TooMany | Kind::Overloaded | Kind::NoWorker | Kind::Unavailable | Kind::Timeout => {
                "wait as long as `Retry-After` says, and ask again"
            }
            Kind::Internal => "tell whoever runs the installation the request_id: its log says what happened",
        }
    }

    fn comes_back(self) -> bool {
        matches!(self, Kind::TooMany | Kind::Overloaded | Kind::NoWorker | Kind::Unavailable | Kind::Timeout)
    }
}

/// What is written: `application/problem+json`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Told {
    /// Names the kind of problem: `urn:rampart:problem:` and its code.
    r#type: String,
    /// The same for all problems of the kind.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// What failed, on which value.
    detail: String,
    /// The kind of problem, in one word.
    code: &'static str,
    /// By which the request is found in logs and in the audit.
    request_id: String,
    /// What to do about it.
    hint: &'static str,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Problem {
        let is_strangers = kind == Kind::Unauthenticated;
        Problem { kind, detail: detail.into(), hint: None, refused: None, is_strangers, wait: None }
    }

    /// What somebody tried to be let in by was not looked at.
    pub(crate) fn of_a_stranger(self) -> Problem {
        Problem { is_strangers: true, ..self }
    }

    pub(crate) fn hint(self, hint: &'static str) -> Problem {
        Problem { hint: Some(hint), ..self }
    }

    /// The answer, for a request with this id.
    pub(crate) fn answer(self, request_id: String) -> Response {
        let (status, code, title) = self.kind.told();
        let told = Told {
            r#type: format!("urn:rampart:problem:{code}"),
            title,
            status: status.as_u16(),
            detail: self.detail,
            code,
            request_id,
            hint: self.hint.unwrap_or(self.kind.hint()),
        };
        let mut response = (status, axum::Json(told)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.kind.comes_back() {
            // In whole seconds: who comes earlier comes in vain.
            let seconds = self.wait.map_or(1, |wait| wait.as_millis().div_ceil(1_000).max(1) as u64);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"rampart\""));
        }
        response
    }
}

impl Problem {
    /// Somebody comes too fast.
    pub(crate) fn too_many(whose: &str, wait: Duration) -> Problem {
        let millis = wait.as_millis();
        let detail = format!("{whose} asks for more than it may; {millis} ms later there is room again");
        Problem { wait: Some(wait), ..Problem::new(Kind::TooMany, detail) }
    }
}

impl IntoResponse for Problem {
    /// Only carries it: the request's id is not known here.
    fn into_response(self) -> Response {
        let mut response = self.kind.told().0.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        let kind = match &error {
            StoreError::Missing { .. } => Kind::Missing,
            StoreError::Exists { .. }
            | StoreError::Deleted { .. }
            | StoreError::ChangedTooOften { .. }
            | StoreError::Refused(_)
            | StoreError::KeyTaken(_)
            | StoreError::KeySpent(_)
            | StoreError::LastOwner(_)
            | StoreError::RoleInUse { .. }
            | StoreError::SaidElsewhere(_) => Kind::Conflict,
            StoreError::Changed { .. } => Kind::Changed,
            StoreError::NoWorker(_) => Kind::NoWorker,
            StoreError::OutOfScope { .. }
            | StoreError::NoPrice
            | StoreError::Invalid(_)
            | StoreError::NoDirectory(_) => Kind::Invalid,
            StoreError::Unavailable(_)
            | StoreError::Busy(_)
            | StoreError::Objects(_)
            | StoreError::Full(_)
            | StoreError::Schema(_) => Kind::Unavailable,
            _ => Kind::Internal,
        };
        // What a server says of itself is for whoever runs it.
        let detail = match kind {
            Kind::Unavailable | Kind::Internal => {
                tracing::error!(%error, "a request could not be answered");
                match error {
                    StoreError::Full(_) => {
                        "there is no room for the database: nothing was changed".to_owned()
                    }
                    _ => "the store did not answer as it should".to_owned(),
                }
            }
            _ => error.to_string(),
        };
        match kind {
            // Workers are started by people: who asks again at once asks in vain.
            Kind::NoWorker => Problem {
                hint: Some("whoever runs the installation starts a worker for that stage; ask again then"),
                wait: Some(UNATTENDED),
                ..Problem::new(kind, detail)
            },
            Kind::Unavailable => Problem::new(kind, detail).hint(
                "ask again in a moment; whoever runs the installation finds in its log why it does not answer",
            ),
            _ => Problem::new(kind, detail),
        }
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Problem {
        let kind = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Kind::TooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Kind::MediaType,
            StatusCode::UNPROCESSABLE_ENTITY => Kind::Invalid,
            _ => Kind::Malformed,
        };
        Problem::new(kind, rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Problem {
        Problem::new(Kind::Malformed, rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    /// What is no id is the id of nothing.
    fn from(rejection: PathRejection) -> Problem {
        Problem::new(Kind::Missing, rejection.body_text())
    }
}

/// What any request may meet that says who asks.
pub(crate) struct Anywhere;

/// What a request about one thing may meet besides.
pub(crate) struct AboutOne;

/// What a request that brings something may meet besides.
pub(crate) struct BringsBody;

impl IntoResponses for Anywhere {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        documented(&[
            Kind::Unauthenticated,
            Kind::Forbidden,
            Kind::TooMany,
            Kind::Internal,
            Kind::Overloaded,
            Kind::Timeout,
        ])
    }
}

impl IntoResponses for AboutOne {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        documented(&[Kind::Missing])
    }
}

/// What a request may meet that does not fit where things stand.
pub(crate) struct MayConflict;

impl IntoResponses for MayConflict {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        documented(&[Kind::Conflict])
    }
}

/// What a request may meet that says what must be there.
pub(crate) struct MayHaveChanged;

impl IntoResponses for MayHaveChanged {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        documented(&[Kind::Changed])
    }
}

/// What a request may meet that can be understood and asks for what cannot be.
pub(crate) struct MayBeInvalid;

impl IntoResponses for MayBeInvalid {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        documented(&[Kind::Invalid])
    }
}

/// What a request may meet that says how much it wants.
pub(crate) struct HasQuery;

impl IntoResponses for HasQuery {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        documented(&[Kind::Malformed])
    }
}

impl IntoResponses for BringsBody {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        documented(&[Kind::Malformed, Kind::TooLarge, Kind::MediaType, Kind::Invalid])
    }
}

fn documented(kinds: &[Kind]) -> BTreeMap<String, RefOr<openapi::Response>> {
    let response = |kind: &Kind| {
        let (status, _, title) = kind.told();
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = ResponseBuilder::new().description(title).content("application/problem+json", content);
        (status.as_str().to_owned(), response.into())
    };
    kinds.iter().map(response).collect()
}

pub(crate) async fn no_such_route() -> Problem {
    Problem::new(Kind::Missing, "there is no such route").hint("/api/v1/openapi.json lists every route")
}

pub(crate) async fn no_such_method() -> Problem {
    Problem::new(Kind::Method, "this route has other methods").hint("/api/v1/openapi.json lists every route")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_kinds_have_the_same_code() {
        let codes: BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.told().1).collect();
        assert_eq!(codes.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            let (status, _, title) = kind.told();
            assert!(status.is_client_error() || status.is_server_error());
            assert!(!title.ends_with('.'));
        }
    }

    #[test]
    fn what_the_store_says_of_itself_is_not_repeated() {
        let error = StoreError::Unavailable("password of app@10.0.0.1 is wrong".to_owned());
        let problem = Problem::from(error);
        assert_eq!((problem.kind, problem.detail.contains("password")), (Kind::Unavailable, false));
        let missing = Problem::from(StoreError::Missing { kind: "scan", name: "1".to_owned() });
        assert_eq!((missing.kind, &missing.detail[..]), (Kind::Missing, "there is no scan `1`"));
    }
}
