//! Links and forms as they stand in a text, whatever kind of text it is.

use std::fmt;

use super::literal::Likeness;

/// The longest URL that is looked at, in bytes.
pub(super) const LONGEST_URL: usize = 2_048;
/// The most references taken from one response.
pub(super) const MOST_REFERENCES: usize = 20_000;

/// Why something is linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LinkKind {
    /// A person can go there: links, frames, areas, refreshes, redirects.
    Page,
    /// The page needs it: scripts and style sheets.
    Resource,
    /// Images, fonts, sound, video.
    Media,
    /// A text in a script, in JSON or in a `data-` attribute that is a path.
    Script,
    /// A text that may be one: in a comment, or not certainly a path. Reported only.
    Hint,
}

/// A reference as it stands in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawLink {
    /// Why.
    pub kind: LinkKind,
    /// Unresolved.
    pub reference: String,
}

/// How a form is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FormMethod {
    /// Fields in the query.
    Get,
    /// Fields in the body.
    Post,
    /// Not sent.
    Dialog,
}

impl fmt::Display for FormMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            FormMethod::Get => "GET",
            FormMethod::Post => "POST",
            FormMethod::Dialog => "none",
        })
    }
}

pub(super) fn script_kind(likeness: Likeness) -> LinkKind {
    match likeness {
        Likeness::Path => LinkKind::Script,
        Likeness::Perhaps => LinkKind::Hint,
    }
}

pub(super) fn style_kind(imported: bool) -> LinkKind {
    if imported { LinkKind::Resource } else { LinkKind::Media }
}
