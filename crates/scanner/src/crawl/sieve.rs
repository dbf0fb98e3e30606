//! From a link to a candidate for a request, or to the reason why it is none. Pure, so that it can be done beside the network.

use std::hash::{BuildHasher, RandomState};

use url::Url;

use super::{
    CrawlOptions, RobotsPolicy, identity,
    link::LinkKind,
    origin::{Origin, target},
    robots::Robots,
    shape, trap,
};

/// Endings of what people look at and listen to.
const MEDIA: &[&str] = &[
    "png", "jpg", "jpeg", "gif", "webp", "avif", "ico", "bmp", "tif", "tiff", "svg", "woff", "woff2", "ttf",
    "otf", "eot", "mp3", "mp4", "m4a", "m4v", "webm", "ogg", "ogv", "oga", "wav", "flac", "avi", "mov",
    "mkv", "wmv", "flv", "mpg", "mpeg",
];
/// Endings of what is fetched, to know that it is there, but only begun.
const BINARY: &[&str] = &[
    "zip", "gz", "tgz", "bz2", "xz", "zst", "7z", "rar", "tar", "iso", "img", "dmg", "exe", "msi", "deb",
    "rpm", "apk", "jar", "war", "ear", "bin", "dll", "so", "pdf", "doc", "docx", "xls", "xlsx", "ppt",
    "pptx", "odt", "ods", "odp", "epub", "sqlite", "db", "mdb", "bak", "dump", "vmdk", "qcow2", "pkg",
];
/// Bytes read of those.
const BEGINNING: usize = 64 << 10;

/// Why a link of the site is not requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// robots.txt says so.
    Disallowed,
    /// Following it may change something.
    StateChanging,
    /// It came out of itself.
    Trap,
    /// An image or the like, and these are not wanted.
    Media,
}

/// A link that was looked at.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// Path and query, as requested.
    pub(super) target: Box<str>,
    /// Equal for targets that are the same page.
    pub(super) key: u64,
    /// Equal for targets of the same shape.
    pub(super) shape: u64,
    /// There can be others of this shape without end.
    pub(super) variable: bool,
    /// The shape is that of a calendar.
    pub(super) calendar: bool,
    /// Equal for targets that differ in their query only; none without one.
    pub(super) queried_path: Option<u64>,
    /// Why it is not requested.
    pub(super) refusal: Option<Refusal>,
}

/// Judges links.
pub(super) struct Sieve {
    pub(super) origin: Origin,
    robots: Robots,
    media: bool,
    hasher: RandomState,
}

impl Sieve {
    pub(super) fn new(origin: Origin, robots: Robots, options: &CrawlOptions) -> Sieve {
        let robots = if options.robots == RobotsPolicy::Obey { robots } else { Robots::allow_all() };
        Sieve { origin, robots, media: options.media, hasher: RandomState::new() }
    }

    /// Equal for equal values, within one crawl.
    pub(super) fn hash(&self, value: impl std::hash::Hash) -> u64 {
        self.hasher.hash_one(value)
    }

    /// Judges a link of the origin.
    pub(super) fn candidate(&self, kind: LinkKind, url: &Url) -> Candidate {
        let target = target(url);
        let shape = shape::shape(target);
        let path = url.path();
        Candidate {
            key: self.hash(identity::identity(target)),
            shape: self.hash(&shape.text),
            variable: shape.variable,
            calendar: shape.calendar,
            queried_path: url.query().map(|_| self.hash(path)),
            refusal: self.refusal(kind, target, path),
            target: target.into(),
        }
    }

    /// The URLs that a person asked for are fetched, whatever rules say.
    pub(super) fn start(&self, url: &Url) -> Candidate {
        Candidate { refusal: None, ..self.candidate(LinkKind::Page, url) }
    }

    fn refusal(&self, kind: LinkKind, target: &str, path: &str) -> Option<Refusal> {
        if !self.media && (kind == LinkKind::Media || has_ending(path, MEDIA)) {
            Some(Refusal::Media)
        } else if trap::is_trap(target) {
            Some(Refusal::Trap)
        } else if trap::may_change_state(target) {
            Some(Refusal::StateChanging)
        } else if !self.robots.allows(target) {
            Some(Refusal::Disallowed)
        } else {
            None
        }
    }
}

/// Body bytes worth reading of a target, at most `cap`.
pub(super) fn worth_reading(target: &str, cap: usize) -> usize {
    let path = target.split('?').next().unwrap_or(target);
    if has_ending(path, BINARY) || has_ending(path, MEDIA) { cap.min(BEGINNING) } else { cap }
}

fn has_ending(path: &str, endings: &[&str]) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.rsplit_once('.')
        .is_some_and(|(_, ending)| endings.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}
