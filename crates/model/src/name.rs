//! Domain names (RFC 1035, with underscores as service names use them, RFC 8552).

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// A domain name: lower-case ASCII (A-labels), no trailing dot, at least one label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct DomainName(Arc<str>);

/// Why a text is not a domain name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("a domain name is empty")]
    Empty,
    /// More than 253 characters.
    #[error("domain name `{0}` is longer than 253 characters")]
    TooLong(String),
    /// A label is empty or longer than 63 characters.
    #[error("domain name `{0}` has an empty label or one of more than 63 characters")]
    Label(String),
    /// A character that names do not have.
    #[error(
        "domain name `{name}` has the character {character:?}; write international names in their xn-- form"
    )]
    Character {
        /// The whole text.
        name: String,
        /// What is wrong in it.
        character: char,
    },
}

impl DomainName {
    /// The text, without trailing dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for `self == ancestor` too.
    pub fn is_within(&self, ancestor: &DomainName) -> bool {
        match self.0.strip_suffix(&*ancestor.0) {
            Some("") => true,
            Some(rest) => rest.ends_with('.'),
            None => false,
        }
    }

    /// The name without its first label; none for a single label.
    pub fn parent(&self) -> Option<DomainName> {
        self.0.split_once('.').map(|(_, rest)| DomainName(rest.into()))
    }

    /// `label.self`, if that is a name.
    pub fn child(&self, label: &str) -> Result<DomainName, NameError> {
        format!("{label}.{}", self.0).parse()
    }

    /// The labels, leftmost first.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('.')
    }
}

impl FromStr for DomainName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<DomainName, NameError> {
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.len() > 253 {
            return Err(NameError::TooLong(text.chars().take(80).collect()));
        }
        let odd = |c: &char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        if let Some(character) = name.chars().find(odd) {
            return Err(NameError::Character { name: text.to_owned(), character });
        }
        if name.split('.').any(|label| label.is_empty() || label.len() > 63) {
            return Err(NameError::Label(text.to_owned()));
        }
        Ok(DomainName(name.to_ascii_lowercase().into()))
    }
}

impl TryFrom<String> for DomainName {
    type Error = NameError;

    fn try_from(text: String) -> Result<DomainName, NameError> {
        text.parse()
    }
}

impl From<DomainName> for String {
    fn from(name: DomainName) -> String {
        name.0.to_string()
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Which names a scope means: `example.com` that one name, `*.example.com` every name below it at any depth.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum NamePattern {
    /// Every name there is; only the built-in loopback scope uses it.
    Any,
    /// One name.
    Exact(DomainName),
    /// The names below one, not itself.
    Below(DomainName),
}

impl NamePattern {
    /// Does the pattern mean this name?
    pub fn matches(&self, name: &DomainName) -> bool {
        match self {
            NamePattern::Any => true,
            NamePattern::Exact(exact) => exact == name,
            NamePattern::Below(ancestor) => name != ancestor && name.is_within(ancestor),
        }
    }
}

impl FromStr for NamePattern {
    type Err = NameError;

    fn from_str(text: &str) -> Result<NamePattern, NameError> {
        match text.strip_prefix("*.") {
            Some(rest) => rest.parse().map(NamePattern::Below),
            None => text.parse().map(NamePattern::Exact),
        }
    }
}

/// From how it is stored. What people write goes through [`FromStr`], which knows no pattern for every name.
impl TryFrom<String> for NamePattern {
    type Error = NameError;

    fn try_from(text: String) -> Result<NamePattern, NameError> {
        if text == "*" { Ok(NamePattern::Any) } else { text.parse() }
    }
}

impl From<NamePattern> for String {
    fn from(pattern: NamePattern) -> String {
        pattern.to_string()
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NamePattern::Any => f.write_str("*"),
            NamePattern::Exact(name) => name.fmt(f),
            NamePattern::Below(name) => write!(f, "*.{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DomainName {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_folded_and_checked() {
        assert_eq!(name("WWW.Example.COM.").as_str(), "www.example.com");
        assert_eq!(name("_dmarc.example.com").labels().next(), Some("_dmarc"));
        for bad in
            ["", ".", "a..b", "-", "exa mple.com", "bücher.example", &"a".repeat(64), &"a.".repeat(128)]
        {
            let parsed = bad.parse::<DomainName>();
            assert_eq!(parsed.is_err(), bad != "-", "{bad}: {parsed:?}");
        }
    }

    #[test]
    fn below_means_labels_not_letters() {
        assert!(name("a.b.example.com").is_within(&name("example.com")));
        assert!(name("example.com").is_within(&name("example.com")));
        assert!(!name("notexample.com").is_within(&name("example.com")));
        let below: NamePattern = "*.example.com".parse().unwrap();
        assert!(below.matches(&name("a.b.example.com")));
        assert!(!below.matches(&name("example.com")));
        assert!(!below.matches(&name("badexample.com")));
    }
}
