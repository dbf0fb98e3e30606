//! Scopes.

use model::{Scope, scope::ScopeFile};
use reqwest::{
    Method,
    header::{self, HeaderMap, HeaderValue},
};
use serde::Deserialize;

use crate::{Client, ClientError, Page, request::Request};

/// A scope and what it is called.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NamedScope {
    /// What it is called.
    pub name: String,
    /// What it allows.
    pub scope: Scope,
}

/// Which version of a thing somebody has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(HeaderValue);

/// A thing, and which version of it that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The thing.
    pub document: T,
    /// Its version; none when the server did not say.
    pub version: Option<Version>,
}

/// What must be there for a change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Expected {
    /// Whatever is.
    #[default]
    Whatever,
    /// Nothing.
    Nothing,
    /// What somebody has seen.
    Seen(Version),
}

#[derive(Deserialize)]
struct Scopes {
    scopes: Vec<NamedScope>,
    next: Option<String>,
}

pub(crate) fn versioned<T>((document, headers): (T, HeaderMap)) -> Versioned<T> {
    Versioned { document, version: headers.get(header::ETAG).cloned().map(Version) }
}

impl Request<'_> {
    /// Only if what is there is what is expected.
    pub(crate) fn expecting(self, expected: Expected) -> Self {
        match expected {
            Expected::Whatever => self,
            Expected::Nothing => self.header(header::IF_NONE_MATCH, HeaderValue::from_static("*")),
            Expected::Seen(Version(version)) => self.header(header::IF_MATCH, version),
        }
    }
}

impl Client {
    /// So many scopes of the tenant by name, from one on.
    pub async fn scopes(
        &self,
        limit: usize,
        after: Option<String>,
    ) -> Result<Page<NamedScope, String>, ClientError> {
        let request = self.get(&["scopes"]).query("limit", limit).query_if("after", after);
        request.answer().await.map(|Scopes { scopes, next }| Page { items: scopes, next })
    }

    /// A scope.
    pub async fn scope(&self, name: &str) -> Result<Versioned<NamedScope>, ClientError> {
        self.get(&["scopes", name]).answer_with_headers().await.map(versioned)
    }

    /// Writes a scope down, in place of the one of that name, if what is there is what is expected.
    pub async fn put_scope(
        &self,
        name: &str,
        written: &ScopeFile,
        expected: Expected,
    ) -> Result<Versioned<NamedScope>, ClientError> {
        let request = self.request(Method::PUT, &["scopes", name]).body(written).expecting(expected);
        request.answer_with_headers().await.map(versioned)
    }

    /// Forgets a scope. Scans that were begun keep what it allowed then.
    pub async fn delete_scope(&self, name: &str) -> Result<(), ClientError> {
        self.delete(&["scopes", name]).done().await
    }
}
