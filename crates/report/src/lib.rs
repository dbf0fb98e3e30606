//! Reports from values: what a scan found, as HTML, JSON, JSON Lines, SARIF, CSV, Markdown and terminal lines.
//!
//! Knows nothing of scanners: it is handed a [`Summary`] and two functions that read findings and assets back, and writes
//! as it reads, so that a report of 100,000 findings needs no more memory than one of ten. What comes from targets is hostile
//! text; each format makes it harmless in its own way (see [`visible`] for what they share).

mod csv;
mod digest;
mod evidence;
pub mod figure;
mod format;
mod html;
mod json;
mod markdown;
mod sarif;
pub mod simulation;
pub mod terminal;
mod verdict;
pub mod visible;
mod words;

use std::io::{self, BufWriter, Write as _};

use model::{Asset, Finding, Summary};

pub use self::{
    format::{Format, FormatError},
    json::{write_asset_line, write_finding_line, write_summary_line},
};

/// Values read back one by one.
pub type Stream<'a, T> = Box<dyn Iterator<Item = Result<T, SourceError>> + 'a>;

/// Where a report's values come from.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The frame.
    pub summary: &'a Summary,
    /// Opens the findings from the start; called up to twice a report. They must come ordered by severity and confidence, both
    /// descending, then by check and location: reports group neighbours.
    pub findings: &'a dyn Fn() -> Result<Stream<'a, Finding>, SourceError>,
    /// Opens the assets from the start, in any order.
    pub assets: &'a dyn Fn() -> Result<Stream<'a, Asset>, SourceError>,
}

/// Findings or assets could not be read back.
#[derive(Debug, thiserror::Error)]
#[error("the scan's findings and assets cannot be read back")]
pub struct SourceError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl SourceError {
    /// Wraps whatever the place they are kept in says.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> SourceError {
        SourceError(cause.into())
    }
}

/// Why a report was not written, or only in part.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// See [`SourceError`].
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The destination did not take it.
    #[error("the report cannot be written")]
    Write(#[from] io::Error),
}

/// Writes one report and flushes. After an error, what was written is not a whole document.
pub fn write(format: Format, source: &Source<'_>, out: &mut dyn io::Write) -> Result<(), ReportError> {
    let mut out = BufWriter::with_capacity(64 << 10, out);
    match format {
        Format::Html => html::write(source, &mut out)?,
        Format::Json => json::write_document(source, &mut out)?,
        Format::JsonLines => json::write_lines(source, &mut out)?,
        Format::Sarif => sarif::write(source, &mut out)?,
        Format::Csv => csv::write(source, &mut out)?,
        Format::Markdown => markdown::write(source, &mut out)?,
    }
    out.flush()?;
    Ok(())
}
