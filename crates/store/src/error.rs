//! What goes wrong between Rampart and its database.

use std::fmt::Display;

use model::{Refusal, Stage, task::Refused};

/// Why something was not stored or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database cannot be reached, or the connection broke: it may or may not have happened. Asking again is safe.
    #[error("the database cannot be reached: {0}")]
    Unavailable(String),
    /// Somebody else was faster; asking again helps.
    #[error("the database is busy: {0}")]
    Busy(String),
    /// Objects cannot be written or read: it may or may not have happened. Asking again is safe.
    #[error("the object storage cannot be used: {0}")]
    Objects(String),
    /// The directory for objects is not there.
    #[error(
        "object storage: the directory `{0}` cannot be used: there is none; `rampart up` and workers make it"
    )]
    NoDirectory(String),
    /// No room on the disk.
    #[error("there is no room for the database: {0}")]
    Full(String),
    /// There is no such thing, or it belongs to somebody else.
    #[error("there is no {kind} `{name}`")]
    Missing {
        /// What was asked for.
        kind: &'static str,
        /// Which.
        name: String,
    },
    /// It is there already.
    #[error("there is a {kind} `{name}` already")]
    Exists {
        /// What was to be made.
        kind: &'static str,
        /// Which.
        name: String,
    },
    /// It is not as somebody has seen it.
    #[error("the {kind} `{name}` has changed meanwhile")]
    Changed {
        /// What was to be changed.
        kind: &'static str,
        /// Which.
        name: String,
    },
    /// It was taken back: its place is kept, and nothing comes into it any more.
    #[error("the {kind} `{name}` was deleted")]
    Deleted {
        /// What was to be changed.
        kind: &'static str,
        /// Which.
        name: String,
    },
    /// What it said before is kept, and is as much as is kept of one.
    #[error("the {kind} `{name}` has {most} earlier texts, and no more are kept: say it in another {kind}")]
    ChangedTooOften {
        /// What was to be changed.
        kind: &'static str,
        /// Which.
        name: String,
        /// Earlier texts, at most.
        most: u64,
    },
    /// Without them nobody could change the tenant any more.
    #[error("`{0}` is the last owner who can log in: make another one first")]
    LastOwner(String),
    /// Whoever has it could do nothing any more.
    #[error("the role `{role}` is that of {by}: give them another one first")]
    RoleInUse {
        /// Which.
        role: String,
        /// What has it: whose it is may be known to others only.
        by: &'static str,
    },
    /// Somebody else says so, and would say it again.
    #[error("{0}: change it there")]
    SaidElsewhere(String),
    /// The command does not fit where the task stands.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The tenant's scope does not allow it.
    #[error("{refusal} (scope `{scope}`)")]
    OutOfScope {
        /// Which scope.
        scope: String,
        /// Why.
        refusal: Refusal,
    },
    /// The scan has a budget of money, and nobody said what the time of workers costs.
    #[error("the scan may cost so much, and there is no price of a worker's hour to count with")]
    NoPrice,
    /// Something else was asked for under the same key.
    #[error("the idempotency key `{0}` was used for another request")]
    KeyTaken(String),
    /// It was made under that key, and is gone: asking again makes no other.
    #[error("what was made under the idempotency key `{0}` is not there any more")]
    KeySpent(String),
    /// It would wait for somebody who is not there.
    #[error("nobody is at work in stage {0}")]
    NoWorker(Stage),
    /// What was asked for cannot be.
    #[error("{0}")]
    Invalid(String),
    /// The schema is older or newer than this program.
    #[error("{0}")]
    Schema(String),
    /// The database holds something that this program did not write.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// A statement failed: a defect.
    #[error("a statement failed: {0}")]
    Statement(String),
}

impl StoreError {
    /// Whether a database that is being started and prepared says so for a while, or a place for objects that somebody else makes.
    pub fn may_be_ready_soon(&self) -> bool {
        matches!(
            self,
            StoreError::Unavailable(_)
                | StoreError::Busy(_)
                | StoreError::Schema(_)
                | StoreError::NoDirectory(_)
        )
    }

    /// An error, unless that thing is as somebody has seen it.
    pub(crate) fn changed_unless(
        is_as_seen: bool,
        kind: &'static str,
        name: impl Display,
    ) -> Result<(), StoreError> {
        match is_as_seen {
            true => Ok(()),
            false => Err(StoreError::Changed { kind, name: name.to_string() }),
        }
    }

    /// Is it worth asking again in a moment?
    pub fn is_passing(&self) -> bool {
        matches!(self, StoreError::Unavailable(_) | StoreError::Busy(_) | StoreError::Objects(_))
    }
}
