//! What happens to a tenant, as whoever follows it live is told. It says that something changed and which thing: what that is like now,
//! whoever needs it asks for.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    CheckId, CommentId, Fingerprint, PackageUrl, Permission, ScanId, Severity, Stop, TaskId, Topic, UserId,
    finding::Verdict, scan::ScanEnd,
};

/// Something that happened, once it is certain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Happening {
    /// A scan was begun.
    ScanBegun {
        /// Which.
        scan: ScanId,
    },
    /// A scan comes to its end: what was planned is given up, or done and nothing after it.
    ScanStopping {
        /// Which.
        scan: ScanId,
        /// How it will have ended.
        end: ScanEnd,
    },
    /// A scan has ended.
    ScanEnded {
        /// Which.
        scan: ScanId,
        /// How.
        end: ScanEnd,
    },
    /// Something was found that was not known before.
    FindingNew {
        /// What.
        finding: Fingerprint,
        /// By which scan.
        scan: ScanId,
        /// By which check.
        check: CheckId,
        /// How bad it is.
        severity: Severity,
        /// Where.
        location: String,
    },
    /// So much was found at once that not each of it is told.
    FindingsMany {
        /// By which scan.
        scan: ScanId,
        /// How many, known before or not.
        count: u64,
    },
    /// Somebody said what they make of a finding.
    FindingDecided {
        /// Of which.
        finding: Fingerprint,
        /// What they make of it.
        #[serde(flatten)]
        verdict: Verdict,
        /// Who.
        by: String,
    },
    /// Somebody said something.
    CommentAdded {
        /// Which comment that is.
        comment: CommentId,
        /// About what.
        #[serde(flatten)]
        on: Topic,
        /// Whom it mentions.
        mentioned: Vec<UserId>,
    },
    /// Somebody says it in other words.
    CommentChanged {
        /// Which comment.
        comment: CommentId,
        /// About what.
        #[serde(flatten)]
        on: Topic,
        /// Whom it mentions that it did not mention before.
        mentioned: Vec<UserId>,
    },
    /// Somebody took back what they, or others, had said.
    CommentDeleted {
        /// Which comment.
        comment: CommentId,
        /// About what.
        #[serde(flatten)]
        on: Topic,
    },
    /// Tasks were cancelled.
    TasksCancelled {
        /// How many.
        count: u64,
    },
    /// Dead tasks were brought back.
    TasksRedriven {
        /// How many.
        count: u64,
    },
    /// Tasks failed for good.
    TasksDead {
        /// How many.
        count: u64,
    },
    /// A package was analysed: there is a result.
    PackageAnalyzed {
        /// By which task.
        task: TaskId,
        /// Which.
        purl: PackageUrl,
    },
    /// A package could not be analysed: its task is dead, which tells why.
    PackageFailed {
        /// Which task.
        task: TaskId,
        /// Of which package.
        purl: PackageUrl,
    },
    /// Somebody ordered an emergency stop.
    StopOrdered {
        /// Which.
        stop: Stop,
    },
    /// Somebody lifted one.
    StopLifted {
        /// Which.
        stop: Stop,
    },
}

/// What kinds of things happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HappeningKind {
    /// A scan was begun.
    ScanBegun,
    /// A scan comes to its end.
    ScanStopping,
    /// A scan has ended.
    ScanEnded,
    /// Something was found that was not known before.
    FindingNew,
    /// So much was found at once that not each of it is told.
    FindingsMany,
    /// Somebody said what they make of a finding.
    FindingDecided,
    /// Somebody said something.
    CommentAdded,
    /// Somebody says it in other words.
    CommentChanged,
    /// Somebody took back what was said.
    CommentDeleted,
    /// Tasks were cancelled.
    TasksCancelled,
    /// Dead tasks were brought back.
    TasksRedriven,
    /// Tasks failed for good.
    TasksDead,
    /// A package was analysed.
    PackageAnalyzed,
    /// A package could not be analysed.
    PackageFailed,
    /// Somebody ordered an emergency stop.
    StopOrdered,
    /// Somebody lifted one.
    StopLifted,
}

/// The word is none for what happens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not what happens: use {words}", words = HappeningKind::ALL.map(HappeningKind::as_str).join(", "))]
pub struct HappeningKindError(String);

impl FromStr for HappeningKind {
    type Err = HappeningKindError;

    fn from_str(word: &str) -> Result<HappeningKind, HappeningKindError> {
        let known = HappeningKind::ALL.into_iter().find(|kind| kind.as_str() == word);
        known.ok_or_else(|| HappeningKindError(word.to_owned()))
    }
}

impl HappeningKind {
    /// All of them.
    pub const ALL: [HappeningKind; 16] = [
        HappeningKind::ScanBegun,
        HappeningKind::ScanStopping,
        HappeningKind::ScanEnded,
        HappeningKind::FindingNew,
        HappeningKind::FindingsMany,
        HappeningKind::FindingDecided,
        HappeningKind::CommentAdded,
        HappeningKind::CommentChanged,
        HappeningKind::CommentDeleted,
        HappeningKind::TasksCancelled,
        HappeningKind::TasksRedriven,
        HappeningKind::TasksDead,
        HappeningKind::PackageAnalyzed,
        HappeningKind::PackageFailed,
        HappeningKind::StopOrdered,
        HappeningKind::StopLifted,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            HappeningKind::ScanBegun => "scan_begun",
            HappeningKind::ScanStopping => "scan_stopping",
            HappeningKind::ScanEnded => "scan_ended",
            HappeningKind::FindingNew => "finding_new",
            HappeningKind::FindingsMany => "findings_many",
            HappeningKind::FindingDecided => "finding_decided",
            HappeningKind::CommentAdded => "comment_added",
            HappeningKind::CommentChanged => "comment_changed",
            HappeningKind::CommentDeleted => "comment_deleted",
            HappeningKind::TasksCancelled => "tasks_cancelled",
            HappeningKind::TasksRedriven => "tasks_redriven",
            HappeningKind::TasksDead => "tasks_dead",
            HappeningKind::PackageAnalyzed => "package_analyzed",
            HappeningKind::PackageFailed => "package_failed",
            HappeningKind::StopOrdered => "stop_ordered",
            HappeningKind::StopLifted => "stop_lifted",
        }
    }
}

impl Happening {
    /// What kind of thing that is.
    pub fn kind(&self) -> HappeningKind {
        match self {
            Happening::ScanBegun { .. } => HappeningKind::ScanBegun,
            Happening::ScanStopping { .. } => HappeningKind::ScanStopping,
            Happening::ScanEnded { .. } => HappeningKind::ScanEnded,
            Happening::FindingNew { .. } => HappeningKind::FindingNew,
            Happening::FindingsMany { .. } => HappeningKind::FindingsMany,
            Happening::FindingDecided { .. } => HappeningKind::FindingDecided,
            Happening::CommentAdded { .. } => HappeningKind::CommentAdded,
            Happening::CommentChanged { .. } => HappeningKind::CommentChanged,
            Happening::CommentDeleted { .. } => HappeningKind::CommentDeleted,
            Happening::TasksCancelled { .. } => HappeningKind::TasksCancelled,
            Happening::TasksRedriven { .. } => HappeningKind::TasksRedriven,
            Happening::TasksDead { .. } => HappeningKind::TasksDead,
            Happening::PackageAnalyzed { .. } => HappeningKind::PackageAnalyzed,
            Happening::PackageFailed { .. } => HappeningKind::PackageFailed,
            Happening::StopOrdered { .. } => HappeningKind::StopOrdered,
            Happening::StopLifted { .. } => HappeningKind::StopLifted,
        }
    }

    /// The word for its kind.
    pub fn word(&self) -> &'static str {
        self.kind().as_str()
    }

    /// Who may read the thing that it is about may be told of it.
    pub fn permission(&self) -> Permission {
        match self {
            Happening::ScanBegun { .. } | Happening::ScanStopping { .. } | Happening::ScanEnded { .. } => {
                Permission::ScansRead
            }
            Happening::FindingNew { .. }
            | Happening::FindingsMany { .. }
            | Happening::FindingDecided { .. } => Permission::FindingsRead,
            Happening::CommentAdded { .. }
            | Happening::CommentChanged { .. }
            | Happening::CommentDeleted { .. } => Permission::CommentsRead,
            Happening::TasksCancelled { .. }
            | Happening::TasksRedriven { .. }
            | Happening::TasksDead { .. }
            | Happening::PackageAnalyzed { .. }
            | Happening::PackageFailed { .. } => Permission::TasksRead,
            Happening::StopOrdered { .. } | Happening::StopLifted { .. } => Permission::StopsRead,
        }
    }
}

/// Where somebody is in all that happens to a tenant: what comes after it they have not heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The number of what happened last.
    pub position: u64,
    /// When that was: after a while what happened since cannot be told any more.
    pub at: Timestamp,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.position, self.at.as_microsecond())
    }
}

/// That is no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the id of an event: it looks like 23-1766400000000000")]
pub struct PlaceError(String);

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Place, PlaceError> {
        let number =
            |text: &str| text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
        let place = text.split_once('-').and_then(|(position, at)| {
            let at = Timestamp::from_microsecond(number(at)?).ok()?;
            Some(Place { position: u64::try_from(number(position)?).ok()?, at })
        });
        place.ok_or_else(|| PlaceError(text.chars().take(80).collect()))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{Authority, Reach, StopId};

    #[test]
    fn what_happened_is_read_as_it_was_written_by_its_own_word() {
        let (scan, finding) = (ScanId::from_random(1), "00112233445566778899aabbccddeeff".parse().unwrap());
        let stop = Stop {
            id: StopId::new(Uuid::nil()),
            reach: Reach::Everything,
            authority: Authority::Installation,
            reason: "too loud".to_owned(),
            by: "somebody".to_owned(),
            at: Timestamp::UNIX_EPOCH,
        };
        let all = [
            Happening::ScanBegun { scan },
            Happening::ScanStopping { scan, end: ScanEnd::Cancelled },
            Happening::ScanEnded { scan, end: ScanEnd::Failures { units: 2 } },
            Happening::FindingNew {
                finding,
                scan,
                check: CheckId::new("git-config"),
                severity: Severity::High,
                location: "https://acme.test/".to_owned(),
            },
            Happening::FindingsMany { scan, count: 1_000 },
            Happening::FindingDecided {
                finding,
                verdict: Verdict::Accepted { until: Timestamp::UNIX_EPOCH },
                by: "somebody".to_owned(),
            },
            Happening::CommentAdded {
                comment: CommentId::new(Uuid::nil()),
                on: Topic::Finding(finding),
                mentioned: vec![UserId::new(Uuid::max())],
            },
            Happening::CommentChanged {
                comment: CommentId::new(Uuid::nil()),
                on: Topic::Scan(scan),
                mentioned: Vec::new(),
            },
            Happening::CommentDeleted { comment: CommentId::new(Uuid::nil()), on: Topic::Scan(scan) },
            Happening::TasksCancelled { count: 1 },
            Happening::TasksRedriven { count: 1 },
            Happening::TasksDead { count: 1 },
            Happening::PackageAnalyzed {
                task: TaskId::new(Uuid::nil()),
                purl: "pkg:npm/left-pad@1.3.0".parse().unwrap(),
            },
            Happening::PackageFailed {
                task: TaskId::new(Uuid::nil()),
                purl: "pkg:npm/left-pad@1.3.0".parse().unwrap(),
            },
            Happening::StopOrdered { stop: stop.clone() },
            Happening::StopLifted { stop },
        ];
        for happening in all {
            let written = serde_json::to_value(&happening).unwrap();
            assert_eq!(written["event"], happening.word());
            assert_eq!(serde_json::to_value(happening.kind()).unwrap(), happening.word());
            assert_eq!(happening.word().parse(), Ok(happening.kind()));
            assert_eq!(serde_json::from_value::<Happening>(written).unwrap(), happening);
            assert!(happening.permission().as_str().ends_with(".read"));
        }
    }

    #[test]
    fn a_place_is_read_as_it_is_written_and_nothing_else_is() {
        let at = Timestamp::from_microsecond(1_766_400_000_000_001).unwrap();
        let place = Place { position: 12, at };
        assert_eq!(place.to_string(), "12-1766400000000001");
        assert_eq!(place.to_string().parse(), Ok(place));
        for wrong in [
            "",
            "1",
            "1-2-3",
            "a-2",
            "-1-2",
            "1--2",
            "+1-2",
            "1-9223372036854775807",
            "9223372036854775808-1",
        ] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}
