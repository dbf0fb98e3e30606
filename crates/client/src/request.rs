//! One question and its answer: in bounded time, of bounded size, asked again where that is safe.

use std::{error::Error, fmt::Display, time::Duration};

use jiff::{Timestamp, fmt::rfc2822};
use reqwest::{
    Method, Response, StatusCode,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::{CONNECT, Client, ClientError, Problem};

/// How long an answer may take: a server gives one up before that, and says so.
const ANSWER: Duration = Duration::from_secs(45);
/// How long the next piece of a long answer may take.
pub(crate) const PIECE: Duration = Duration::from_secs(30);
/// What an answer may hold that is read as a whole.
const MOST_ANSWER: usize = 64 << 20;
/// What is read of an answer that says what went wrong.
const MOST_PROBLEM: usize = 64 << 10;
/// How often something is asked, in all.
const TRIES: u32 = 4;
/// When a server does not say when to come again.
const USUAL_WAIT: Duration = Duration::from_secs(1);
/// Who is to come again later than that is told so instead.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A question.
#[must_use]
pub(crate) struct Request<'c> {
    client: &'c Client,
    method: Method,
    url: Option<url::Url>,
    /// For people.
    asked: String,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
    /// Asked twice, it happens once.
    repeatable: bool,
    id: String,
}

impl Client {
    pub(crate) fn request(&self, method: Method, path: &[&str]) -> Request<'_> {
        Request {
            client: self,
            asked: format!("{method} /api/v1/{}", path.join("/")),
            url: self.address.of(path),
            repeatable: method == Method::GET,
            method,
            headers: HeaderMap::new(),
            body: None,
            id: Uuid::now_v7().to_string(),
        }
    }

    pub(crate) fn get(&self, path: &[&str]) -> Request<'_> {
        self.request(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &[&str]) -> Request<'_> {
        self.request(Method::POST, path)
    }

    pub(crate) fn delete(&self, path: &[&str]) -> Request<'_> {
        self.request(Method::DELETE, path)
    }

    /// What time it is there, to the second: what is counted from now on is counted by the clock that it is compared with.
    pub async fn clock(&self) -> Result<Timestamp, ClientError> {
        let answer = self.get(&["me"]).send().await?;
        let date = answer.headers().get(header::DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| rfc2822::parse(date).ok());
        Ok(date.map_or_else(Timestamp::now, |date| date.timestamp()))
    }
}

impl Request<'_> {
    /// Something behind the `?`.
    pub(crate) fn query(mut self, name: &str, value: impl Display) -> Self {
        if let Some(url) = &mut self.url {
            url.query_pairs_mut().append_pair(name, &value.to_string());
        }
        self
    }

    /// The same, if there is one.
    pub(crate) fn query_if<T: Display>(self, name: &str, value: Option<T>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    pub(crate) fn body(mut self, document: &impl Serialize) -> Self {
        let body = serde_json::to_vec(document).expect("what is sent has text keys and finite numbers");
        self.body = Some(body);
        self.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self
    }

    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The same request under the same key happens once, however often it is asked.
    pub(crate) fn once(self, key: &str) -> Result<Self, ClientError> {
        let value = HeaderValue::from_str(key);
        let value = value.map_err(|_| ClientError::Unsendable { what: "idempotency key" })?;
        Ok(Request { repeatable: true, ..self.header(IDEMPOTENCY_KEY, value) })
    }

    /// What it answers.
    pub(crate) async fn answer<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        self.answer_with_headers().await.map(|(answer, _)| answer)
    }

    pub(crate) async fn answer_with_headers<T: DeserializeOwned>(
        self,
    ) -> Result<(T, HeaderMap), ClientError> {
        let answer = self.send().await?;
        let headers = answer.headers().clone();
        let body = self.whole(answer, MOST_ANSWER).await?;
        let document = serde_json::from_slice(&body).map_err(|why| self.unreadable(&why.to_string()))?;
        Ok((document, headers))
    }

    /// That it was done.
    pub(crate) async fn done(self) -> Result<(), ClientError> {
        self.send().await.map(drop)
    }

    /// The head of the answer to it, which was not refused.
    pub(crate) async fn send(&self) -> Result<Response, ClientError> {
        let mut tries = 1;
        loop {
            let (error, wait) = match self.try_once().await {
                Ok(answer) if answer.status().is_success() => return Ok(answer),
                Ok(answer) => self.refused(answer).await,
                Err(failed) => failed,
            };
            match wait {
                Some(wait) if tries < TRIES && wait <= LONGEST_WAIT => sleep(wait).await,
                _ => return Err(error),
            }
            tries += 1;
        }
    }

    /// An answer, or why there is none, and when to ask again if that makes sense.
    async fn try_once(&self) -> Result<Response, (ClientError, Option<Duration>)> {
        let Some(url) = &self.url else {
            let name = self.asked.rsplit('/').next().unwrap_or_default();
            return Err((ClientError::Nameless(name.to_owned()), None));
        };
        let mut request = self
            .client
            .http
            .request(self.method.clone(), url.clone())
            .headers(self.headers.clone())
            .header(header::AUTHORIZATION, self.client.authorization.clone())
            .header(REQUEST_ID, &self.id);
        if let Some(body) = &self.body {
            request = request.body(body.clone());
        }
        match timeout(ANSWER, request.send()).await {
            Ok(Ok(answer)) => Ok(answer),
            // A connection that broke may have brought it there or not.
            Ok(Err(error)) => {
                let broke = !error.is_connect() && !error.is_timeout();
                Err((self.unreachable(&error), (broke && self.repeatable).then_some(Duration::ZERO)))
            }
            Err(_) => Err((self.silent(ANSWER), None)),
        }
    }

    /// Why not, and when to come again, if that makes sense.
    async fn refused(&self, answer: Response) -> (ClientError, Option<Duration>) {
        let status = answer.status();
        let wait = match status {
            // It was not even looked at.
            StatusCode::TOO_MANY_REQUESTS => true,
            StatusCode::SERVICE_UNAVAILABLE => self.repeatable,
            _ => false,
        };
        let wait = wait.then(|| retry_after(answer.headers()).unwrap_or(USUAL_WAIT));
        let unexplained = || ClientError::Unexplained {
            server: self.client.address.clone(),
            asked: self.asked.clone(),
            status: status.as_u16(),
            request_id: self.id.clone(),
        };
        let problem = match self.whole(answer, MOST_PROBLEM).await {
            Ok(body) => serde_json::from_slice::<Problem>(&body).ok(),
            Err(_) => None,
        };
        (problem.map_or_else(unexplained, |problem| ClientError::Refused(Box::new(problem))), wait)
    }

    async fn whole(&self, mut answer: Response, most: usize) -> Result<Vec<u8>, ClientError> {
        let read = async {
            let mut body = Vec::new();
            while let Some(piece) = answer.chunk().await.map_err(|error| self.unreachable(&error))? {
                if body.len() + piece.len() > most {
                    return Err(ClientError::TooLarge {
                        asked: self.asked.clone(),
                        most,
                        request_id: self.id.clone(),
                    });
                }
                body.extend_from_slice(&piece);
            }
            Ok(body)
        };
        timeout(ANSWER, read).await.map_err(|_| self.silent(ANSWER))?
    }

    pub(crate) fn silent(&self, after: Duration) -> ClientError {
        ClientError::Silent {
            server: self.client.address.clone(),
            asked: self.asked.clone(),
            after,
            request_id: self.id.clone(),
        }
    }

    pub(crate) fn unreadable(&self, why: &str) -> ClientError {
        ClientError::Unreadable {
            server: self.client.address.clone(),
            asked: self.asked.clone(),
            why: why.to_owned(),
            request_id: self.id.clone(),
        }
    }

    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        if error.is_timeout() {
            return self.silent(CONNECT);
        }
        ClientError::Unreachable {
            server: self.client.address.clone(),
            why: causes(error).last().map_or_else(|| error.to_string(), ToString::to_string),
            // A wrong certificate is wrong in a moment, too.
            passing: !causes(error).any(|cause| cause.is::<rustls::Error>()),
        }
    }
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| {
        // What an input or output failed of is inside of it, not behind it.
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| cause.source())
    })
}

/// As a number of seconds; nobody here writes the other form, a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
