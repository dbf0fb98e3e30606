//! The forms a report comes in.

use std::{fmt, str::FromStr};

/// One form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// A self-contained page for people.
    Html,
    /// One document with everything.
    Json,
    /// One object a line.
    JsonLines,
    /// SARIF 2.1.0, for code hosts and vulnerability managers.
    Sarif,
    /// Findings as rows, safe to open in a spreadsheet.
    Csv,
    /// For tickets and chats.
    Markdown,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 6] =
        [Format::Html, Format::Json, Format::JsonLines, Format::Sarif, Format::Csv, Format::Markdown];

    /// The word used in options.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Html => "html",
            Format::Json => "json",
            Format::JsonLines => "jsonl",
            Format::Sarif => "sarif",
            Format::Csv => "csv",
            Format::Markdown => "markdown",
        }
    }

    /// The name of the file in a folder of reports.
    pub fn file_name(self) -> &'static str {
        match self {
            Format::Html => "report.html",
            Format::Json => "report.json",
            Format::JsonLines => "findings.jsonl",
            Format::Sarif => "report.sarif",
            Format::Csv => "findings.csv",
            Format::Markdown => "report.md",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The word is not a format.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a report format: use html, json, jsonl, sarif, csv or markdown")]
pub struct FormatError(String);

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(word: &str) -> Result<Format, FormatError> {
        let lower = word.trim().to_ascii_lowercase();
        Format::ALL
            .into_iter()
            .find(|format| format.as_str() == lower)
            .ok_or_else(|| FormatError(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_names_one_format_and_one_file() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse::<Format>().unwrap(), format);
        }
        let files: std::collections::BTreeSet<_> = Format::ALL.into_iter().map(Format::file_name).collect();
        assert_eq!(files.len(), Format::ALL.len());
        assert_eq!(
            "pdf".parse::<Format>().unwrap_err().to_string(),
            "`pdf` is not a report format: use html, json, jsonl, sarif, csv or markdown"
        );
    }
}
