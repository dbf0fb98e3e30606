//! Identifiers.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// An identifier that nothing but its type tells from another.
macro_rules! uuid_id {
    ($(#[$meta:meta])* $name:ident, $word:literal) => {
        $(#[$meta])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
        )]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// The caller brings time and randomness: this crate has none.
            pub fn new(id: Uuid) -> $name {
                $name(id)
            }

            /// As it is stored.
            pub fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<$name, IdError> {
                text.parse().map($name).map_err(|_| IdError { text: text.to_owned(), kind: $word })
            }
        }
    };
}

/// An identifier that follows from what it names: 128 bits of SHA-256, shown as 32 hexadecimal digits.
macro_rules! digest_id {
    ($(#[$meta:meta])* $name:ident, $error:ident, $word:literal) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name([u8; 16]);

        impl $name {
            /// As it is stored.
            pub fn bytes(self) -> [u8; 16] {
                self.0
            }

            /// As it was stored.
            pub fn from_stored(bytes: [u8; 16]) -> $name {
                $name(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }

        /// The text is not 32 hexadecimal digits.
        #[derive(Debug, thiserror::Error)]
        #[error("`{0}` is not {word}: expected 32 hexadecimal digits", word = $word)]
        pub struct $error(String);

        impl FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<$name, $error> {
                let refuse = || $error(text.to_owned());
                if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return Err(refuse());
                }
                u128::from_str_radix(text, 16).map(|bits| $name(bits.to_be_bytes())).map_err(|_| refuse())
            }
        }

        impl TryFrom<String> for $name {
            type Error = $error;

            fn try_from(text: String) -> Result<$name, $error> {
                text.parse()
            }
        }
    };
}
pub(crate) use digest_id;

/// The text is not a UUID (RFC 9562).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not the id of a {kind}: expected 32 hexadecimal digits as 8-4-4-4-12")]
pub struct IdError {
    text: String,
    kind: &'static str,
}

uuid_id!(
    /// Who owns the data.
    TenantId,
    "tenant"
);
uuid_id!(
    /// One unit of work in the queue. Time-ordered (version 7), so that neighbours in time are neighbours in an index.
    TaskId,
    "task"
);
uuid_id!(
    /// A rule that begins scans.
    ScheduleId,
    "schedule"
);
uuid_id!(
    /// Somebody who may log in.
    UserId,
    "user"
);
uuid_id!(
    /// Somebody who has logged in.
    SessionId,
    "session"
);
uuid_id!(
    /// Something that somebody has said about a finding or a scan.
    CommentId,
    "comment"
);
uuid_id!(
    /// All that is said about one finding, or one scan.
    ConversationId,
    "conversation"
);
uuid_id!(
    /// One place where a tenant is told what happens to it.
    WebhookId,
    "webhook"
);
uuid_id!(
    /// One emergency stop.
    StopId,
    "stop"
);

/// Names one scan: in the User-Agent, the report and the journal. 64 random bits, shown as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ScanId(u64);

impl ScanId {
    /// The caller brings the randomness: this crate has none.
    pub fn from_random(bits: u64) -> ScanId {
        ScanId(bits)
    }

    /// Seeds whatever must be repeatable within one scan.
    pub fn bits(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ScanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl From<ScanId> for String {
    fn from(id: ScanId) -> String {
        id.to_string()
    }
}

/// The text is not 16 hexadecimal digits.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a scan id: expected 16 hexadecimal digits")]
pub struct ScanIdError(String);

impl FromStr for ScanId {
    type Err = ScanIdError;

    fn from_str(text: &str) -> Result<ScanId, ScanIdError> {
        ScanId::try_from(text.to_owned())
    }
}

impl TryFrom<String> for ScanId {
    type Error = ScanIdError;

    fn try_from(text: String) -> Result<ScanId, ScanIdError> {
        if text.len() != 16 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ScanIdError(text));
        }
        u64::from_str_radix(&text, 16).map(ScanId).map_err(|_| ScanIdError(text))
    }
}

/// The id of a check template, such as `git-config-exposed`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CheckId(std::sync::Arc<str>);

impl CheckId {
    /// Any text a template carries as its id.
    pub fn new(id: &str) -> CheckId {
        CheckId(id.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CheckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
