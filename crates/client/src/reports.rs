//! Reports of scans.

use std::fmt;

use model::ScanId;
use tokio::time::timeout;

use crate::{Client, ClientError, request::PIECE};

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportFormat {
    /// A page for people.
    Html,
    /// One document with everything.
    Json,
}

/// A report on its way here.
pub struct Download<'c> {
    client: &'c Client,
    path: [String; 4],
    answer: reqwest::Response,
}

impl fmt::Debug for Download<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Download").field(&self.path).finish()
    }
}

impl Download<'_> {
    /// The next piece; none at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        let request = self.client.get(&self.path.each_ref().map(String::as_str));
        let piece = timeout(PIECE, self.answer.chunk()).await.map_err(|_| request.silent(PIECE))?;
        Ok(piece.map_err(|error| request.unreachable(&error))?.map(|piece| piece.to_vec()))
    }
}

impl ReportFormat {
    fn as_str(self) -> &'static str {
        match self {
            ReportFormat::Html => "html",
            ReportFormat::Json => "json",
        }
    }
}

impl Client {
    /// The report of a scan that has ended, piece by piece: it may be large.
    pub async fn report(&self, scan: ScanId, format: ReportFormat) -> Result<Download<'_>, ClientError> {
        let path = ["scans", &scan.to_string(), "reports", format.as_str()].map(str::to_owned);
        let answer = self.get(&path.each_ref().map(String::as_str)).send().await?;
        Ok(Download { client: self, path, answer })
    }
}
