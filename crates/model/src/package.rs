//! Packages of other people's software: what one is called, and where its analysis stands.

use std::{fmt, str::FromStr, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{TaskId, Work, record::TaskRecord, task::Life};

/// How long an analysis is answered to whoever asks again: by then there may be new advisories.
pub const FRESH_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// In its canonical form: it is a key of caches and databases.
const LONGEST: usize = 1_024;

/// A package URL in its canonical form (ECMA-427), such as `pkg:npm/left-pad@1.3.0`. Two that mean the same are the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PackageUrl(String);

/// The text names no package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackageUrlError {
    /// It cannot be read.
    #[error("`{text}` is not a package URL: {why}; expected one such as pkg:npm/left-pad@1.3.0")]
    Unreadable {
        /// What was given.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// Its canonical form would be longer than a key may be.
    #[error("a package URL has at most {LONGEST} characters, as it is written canonically")]
    TooLong,
}

impl PackageUrl {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PackageUrl {
    type Err = PackageUrlError;

    fn from_str(text: &str) -> Result<PackageUrl, PackageUrlError> {
        // Escapes make it three times as long, at most; nobody parses what cannot fit anyway.
        if text.len() > LONGEST {
            return Err(PackageUrlError::TooLong);
        }
        let unreadable = |why: String| PackageUrlError::Unreadable { text: text.to_owned(), why };
        let canonical = |text: &str| {
            let parsed = packageurl::PackageUrl::from_str(text);
            parsed.map(|package| package.to_string()).map_err(|error| unreadable(error.to_string()))
        };
        let once = canonical(text)?;
        // What reads back as something else would be two keys for one package, or one for two.
        if canonical(&once)? != once {
            return Err(unreadable("it has no canonical form".to_owned()));
        }
        match once.len() > LONGEST {
            true => Err(PackageUrlError::TooLong),
            false => Ok(PackageUrl(once)),
        }
    }
}

impl TryFrom<String> for PackageUrl {
    type Error = PackageUrlError;

    fn try_from(text: String) -> Result<PackageUrl, PackageUrlError> {
        text.parse()
    }
}

impl From<PackageUrl> for String {
    fn from(package: PackageUrl) -> String {
        package.0
    }
}

impl fmt::Display for PackageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Where the analysis of a package stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnalysisStatus {
    /// It waits for a worker, for the first time or to be tried again.
    Queued,
    /// A worker is at it.
    Running,
    /// There is a result.
    Completed,
    /// There is none, and nobody tries any more.
    Failed,
}

/// The analysis of a package, as whoever asked for it sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PackageAnalysis {
    /// By which it is asked for again.
    pub task_id: TaskId,
    /// Of which package, in canonical form.
    pub purl: PackageUrl,
    /// Where it stands.
    pub status: AnalysisStatus,
    /// Why there is no result, when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// When somebody asked for it.
    pub created_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

impl PackageAnalysis {
    /// What a task says of it, when it is one.
    pub fn of(task: &TaskRecord) -> Option<PackageAnalysis> {
        let Work::Package { purl } = &task.work else { return None };
        let (status, failure) = match &task.task.life {
            Life::Queued { .. } => (AnalysisStatus::Queued, None),
            Life::Running { .. } => (AnalysisStatus::Running, None),
            Life::Completed => (AnalysisStatus::Completed, None),
            Life::Cancelled => (AnalysisStatus::Failed, Some("it was cancelled".to_owned())),
            Life::Dead { why } => {
                let last = task.task.last_failure.clone();
                (AnalysisStatus::Failed, Some(last.unwrap_or_else(|| why.word().to_owned())))
            }
        };
        let (task_id, created_at, ended_at) = (task.id, task.created_at, task.ended_at);
        Some(PackageAnalysis { task_id, purl: purl.clone(), status, failure, created_at, ended_at })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Facts of the specification (ECMA-427, and the types registered with it).
    #[test]
    fn one_package_has_one_form() {
        for (written, canonical) in [
            ("pkg:npm/left-pad@1.3.0", "pkg:npm/left-pad@1.3.0"),
            ("pkg://npm/left-pad@1.3.0", "pkg:npm/left-pad@1.3.0"),
            ("pkg:NPM/left-pad@1.3.0", "pkg:npm/left-pad@1.3.0"),
            ("pkg:npm/@angular/animation@12.3.1", "pkg:npm/%40angular/animation@12.3.1"),
            ("pkg:npm/%40angular/animation@12.3.1", "pkg:npm/%40angular/animation@12.3.1"),
            ("pkg:PYPI/Django_package@1.11.1.dev1", "pkg:pypi/django-package@1.11.1.dev1"),
            (
                "pkg:GITHUB/Package-url/Purl-Spec@244fd47e07d1004f0aed9c",
                "pkg:github/package-url/purl-spec@244fd47e07d1004f0aed9c",
            ),
            ("pkg:composer/Laravel/Laravel@5.5.0", "pkg:composer/laravel/laravel@5.5.0"),
            (
                "pkg:deb/debian/curl@7.50.3-1?arch=i386&distro=jessie",
                "pkg:deb/debian/curl@7.50.3-1?arch=i386&distro=jessie",
            ),
            (
                "pkg:deb/debian/curl@7.50.3-1?distro=jessie&arch=i386",
                "pkg:deb/debian/curl@7.50.3-1?arch=i386&distro=jessie",
            ),
            (
                "pkg:golang/google.golang.org/genproto#/googleapis/api/annotations/",
                "pkg:golang/google.golang.org/genproto#googleapis/api/annotations",
            ),
            ("pkg:maven/org.apache.commons/io@1.3.4", "pkg:maven/org.apache.commons/io@1.3.4"),
            ("pkg:cargo/rand@0.7.2", "pkg:cargo/rand@0.7.2"),
            ("pkg:gem/jruby-launcher@1.1.2?Platform=java", "pkg:gem/jruby-launcher@1.1.2?platform=java"),
        ] {
            let package: PackageUrl = written.parse().unwrap();
            assert_eq!(package.as_str(), canonical, "{written}");
            assert_eq!(serde_json::to_value(&package).unwrap(), canonical);
        }
    }

    #[test]
    fn what_names_no_package_is_refused() {
        for wrong in [
            "",
            "left-pad",
            "npm/left-pad@1.3.0",
            "http://npm/left-pad@1.3.0",
            "pkg:",
            "pkg:npm",
            "pkg:npm/",
            "pkg:left-pad@1.3.0",
            "pkg:n&g?inx/nginx@0.8.9",
            "pkg:3nginx/nginx@0.8.9",
            "pkg:npm/left-pad?in production=true",
        ] {
            let error = wrong.parse::<PackageUrl>().unwrap_err();
            assert!(error.to_string().contains("pkg:npm/left-pad@1.3.0"), "{wrong}: {error}");
        }
        let long = format!("pkg:npm/{}", "a".repeat(LONGEST));
        assert_eq!(long.parse::<PackageUrl>(), Err(PackageUrlError::TooLong));
        let escaped = format!("pkg:npm/{}", "\u{e9}".repeat(LONGEST / 4));
        assert_eq!(escaped.parse::<PackageUrl>(), Err(PackageUrlError::TooLong), "as it would be written");
    }

    proptest! {
        #[test]
        fn the_canonical_form_is_its_own(
            text in prop_oneof![
                ".{0,60}",
                "pkg:[a-z]{1,8}/[^?#]{0,20}(@[^?#]{0,10})?(\\?[a-z]{1,4}=.{0,8}(&[a-z]{1,4}=.{0,8})?)?(#.{0,20})?",
                "(pkg|PKG):/{0,3}(npm|pypi|github|golang|deb|huggingface|cpan)/.{0,30}",
            ],
        ) {
            if let Ok(package) = text.parse::<PackageUrl>() {
                prop_assert!(package.as_str().is_ascii() && package.as_str().starts_with("pkg:"));
                prop_assert!(!package.as_str().contains(|character: char| character.is_control() || character == ' '));
                prop_assert_eq!(package.as_str().parse::<PackageUrl>(), Ok(package));
            }
        }
    }
}
