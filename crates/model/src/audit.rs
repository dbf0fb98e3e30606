//! Who did what: entries that are chained, so that none can be changed, taken out or moved without everything after it saying so.
//!
//! Each entry is sealed with a hash over itself and the seal before it (Schneier and Kelsey, "Secure Audit Logs to Support Computer
//! Forensics", 1999, without their keys). Whoever can write to the database could make a new chain of everything; against that stand
//! checkpoints, which are signed with a key that is not there, and whoever has kept the end of an older one.

mod checkpoint;
mod hexadecimal;
mod key;
mod walk;

use std::{fmt, net::IpAddr, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

pub use self::{
    checkpoint::{Checkpoint, Checkpoints, Verified},
    key::{AuditKey, AuditKeyError, AuditKeyId, AuditPublicKey, AuditSignature, HexadecimalError},
    walk::{PURGE, Walk},
};
use crate::{TenantId, TraceParent};

/// Who does something, and how they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// Who: a person, a key, a schedule.
    pub name: String,
    /// From which address, when they came over a network.
    pub origin: Option<IpAddr>,
    /// By which request, when it was one.
    pub request: Option<String>,
    /// Where in a trace they do it, where traces are kept. The audit does not tell.
    pub trace: Option<TraceParent>,
}

impl From<String> for By {
    /// Somebody on this machine.
    fn from(name: String) -> By {
        By { name, origin: None, request: None, trace: None }
    }
}

impl From<&str> for By {
    fn from(name: &str) -> By {
        By::from(name.to_owned())
    }
}

/// What an entry and everything before it in its chain come to: SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Seal([u8; 32]);

impl fmt::Display for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hexadecimal::write(&self.0, f)
    }
}

impl From<Seal> for String {
    fn from(seal: Seal) -> String {
        seal.to_string()
    }
}

/// The text is no seal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a seal: it has 64 hexadecimal digits")]
pub struct SealError(String);

impl FromStr for Seal {
    type Err = SealError;

    fn from_str(text: &str) -> Result<Seal, SealError> {
        hexadecimal::read(text).map(Seal).ok_or_else(|| SealError(text.to_owned()))
    }
}

impl TryFrom<String> for Seal {
    type Error = SealError;

    fn try_from(text: String) -> Result<Seal, SealError> {
        text.parse()
    }
}

/// Something that somebody did, or was not let do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Greater than that of everything that was written before it, in whatever chain.
    pub id: u64,
    /// In its chain, counted from 1 without a gap.
    pub position: u64,
    /// When, by the store's clock.
    pub at: Timestamp,
    /// To whom, and in whose chain; to all, in one of its own, without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// Who.
    pub by: String,
    /// From which address, when they came over a network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub origin: Option<IpAddr>,
    /// By which request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// What: `scan.submit`.
    pub action: String,
    /// They were not let do it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
    /// With which thing.
    pub subject: String,
    /// What else there is to say.
    pub detail: String,
    /// What it was, when something was changed or taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub before: Option<serde_json::Value>,
    /// What it is, when something was made or changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub after: Option<serde_json::Value>,
    /// What it and everything before it in its chain come to.
    pub seal: Seal,
}

/// Where a chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainEnd {
    /// So many entries.
    pub position: u64,
    /// The seal of the last.
    pub seal: Seal,
}

impl fmt::Display for ChainEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.position, self.seal)
    }
}

impl FromStr for ChainEnd {
    type Err = ChainEndError;

    fn from_str(text: &str) -> Result<ChainEnd, ChainEndError> {
        let (position, seal) = text.split_once(':').ok_or(ChainEndError::Shape)?;
        Ok(ChainEnd { position: position.parse()?, seal: seal.parse()? })
    }
}

/// The text is not the end of a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainEndError {
    /// There is no colon in it.
    #[error("the end of a chain is written as POSITION:SEAL")]
    Shape,
    /// What is before it.
    #[error("the position is no number")]
    Position(#[from] std::num::ParseIntError),
    /// What is behind it.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl ChainEnd {
    /// Of a chain without entries.
    pub const START: ChainEnd = ChainEnd { position: 0, seal: Seal([0; 32]) };

    /// Puts an entry at the end, which gets its position and its seal.
    pub fn append(&mut self, entry: &mut AuditEntry) {
        entry.position = self.position + 1;
        entry.seal = sealed(entry, self.seal);
        *self = ChainEnd { position: entry.position, seal: entry.seal };
    }

    /// Goes on to an entry, if it is the next and is as it was sealed.
    pub fn follow(&mut self, entry: &AuditEntry) -> Result<(), Broken> {
        let next = self.position + 1;
        if entry.position != next {
            return Err(Broken::Gap { wanted: next, found: entry.position });
        }
        if sealed(entry, self.seal) != entry.seal {
            return Err(Broken::Altered { position: next });
        }
        *self = ChainEnd { position: next, seal: entry.seal };
        Ok(())
    }

    /// Is this where the chain was said to end?
    pub fn require(&self, end: ChainEnd) -> Result<(), Broken> {
        if *self == end {
            return Ok(());
        }
        Err(Broken::End { wanted: end.position, found: self.position })
    }
}

/// Why a chain is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// An entry was taken out, put in or moved.
    #[error("entry {wanted} is not there: {found} comes in its place")]
    Gap {
        /// What must come.
        wanted: u64,
        /// What comes.
        found: u64,
    },
    /// An entry, or what is before it, is not what was sealed.
    #[error("entry {position} is not as it was sealed, or what is before it is not")]
    Altered {
        /// Which.
        position: u64,
    },
    /// The chain was made anew: it is whole, and not the one that somebody has seen.
    #[error("entry {position} is sealed otherwise than the one that was seen")]
    Another {
        /// Which.
        position: u64,
    },
    /// The last entries are gone, or others than those that were written.
    #[error("the chain ends with entry {found}, and not as it was written with entry {wanted}")]
    End {
        /// The last that was written.
        wanted: u64,
        /// The last that is there.
        found: u64,
    },
    /// A checkpoint was taken out, put in or moved.
    #[error("checkpoint {wanted} is not there: {found} comes in its place")]
    CheckpointGap {
        /// What must come.
        wanted: u64,
        /// What comes.
        found: u64,
    },
    /// A checkpoint, or the one before, is not what was signed.
    #[error("checkpoint {number} is not as it was made, or the one before it is not")]
    CheckpointAltered {
        /// Which.
        number: u64,
    },
    /// The last checkpoints are gone, or there are more than were made.
    #[error("the last checkpoint is {found}, and not as it was written {wanted}")]
    CheckpointEnd {
        /// The last that was made.
        wanted: u64,
        /// The last that is there.
        found: u64,
    },
    /// Somebody who has not the key has made or changed a checkpoint.
    #[error("checkpoint {number} is not signed with the key that it names")]
    Forged {
        /// Which.
        number: u64,
    },
    /// The chain was made anew: it is whole, and not the one that was signed.
    #[error(
        "entry {position} is sealed otherwise than checkpoint {number} says: what is up to it was made anew"
    )]
    Rewritten {
        /// Which entry.
        position: u64,
        /// Which checkpoint.
        number: u64,
    },
    /// Entries that were signed are gone from the end.
    #[error("the chain ends with entry {found}, and checkpoint {number} is of entry {position}")]
    Cut {
        /// Of which entry it is.
        position: u64,
        /// Which checkpoint.
        number: u64,
        /// The last that is there.
        found: u64,
    },
}

/// Every part with its length before it: no two entries that differ are the same bytes. The number that the database gives is not among
/// them.
fn sealed(entry: &AuditEntry, before: Seal) -> Seal {
    let text = |value: &Option<serde_json::Value>| value.as_ref().map(ToString::to_string);
    let mut hash = Sha256::new();
    let mut part = |bytes: Option<&[u8]>| {
        // What is not there is not what is empty.
        hash.update(bytes.map_or(u64::MAX, |bytes| bytes.len() as u64).to_be_bytes());
        hash.update(bytes.unwrap_or_default());
    };
    part(Some(&before.0));
    part(Some(&entry.position.to_be_bytes()));
    part(Some(&entry.at.as_microsecond().to_be_bytes()));
    part(entry.tenant.map(TenantId::as_uuid).as_ref().map(|tenant| &tenant.as_bytes()[..]));
    part(Some(entry.by.as_bytes()));
    part(entry.origin.map(|origin| origin.to_string()).as_deref().map(str::as_bytes));
    part(entry.request.as_deref().map(str::as_bytes));
    part(Some(entry.action.as_bytes()));
    part(Some(&[u8::from(entry.refused)]));
    part(Some(entry.subject.as_bytes()));
    part(Some(entry.detail.as_bytes()));
    part(text(&entry.before).as_deref().map(str::as_bytes));
    part(text(&entry.after).as_deref().map(str::as_bytes));
    Seal(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn entry(number: u64) -> AuditEntry {
        AuditEntry {
            id: number,
            position: 0,
            at: Timestamp::from_microsecond(1_700_000_000_000_000 + number as i64).unwrap(),
            tenant: Some(TenantId::new(uuid::Uuid::from_u128(1))),
            by: "J. Doe".to_owned(),
            origin: Some("192.0.2.1".parse().unwrap()),
            request: Some(format!("request-{number}")),
            action: "scope.put".to_owned(),
            refused: false,
            subject: "office".to_owned(),
            detail: String::new(),
            before: None,
            after: Some(json!({ "ports": "80", "names": ["acme.test"] })),
            seal: ChainEnd::START.seal,
        }
    }

    fn chain(length: u64) -> (Vec<AuditEntry>, ChainEnd) {
        let mut end = ChainEnd::START;
        let entries = (1..=length).map(|number| {
            let mut entry = entry(number);
            end.append(&mut entry);
            entry
        });
        (entries.collect(), end)
    }

    fn walk(entries: &[AuditEntry]) -> Result<ChainEnd, Broken> {
        let mut end = ChainEnd::START;
        entries.iter().try_for_each(|entry| end.follow(entry))?;
        Ok(end)
    }

    #[test]
    fn what_was_written_is_whole_also_after_it_was_sent() {
        let (entries, end) = chain(5);
        assert_eq!(walk(&entries), Ok(end));
        let sent: Vec<String> = entries.iter().map(|entry| serde_json::to_string(entry).unwrap()).collect();
        let read: Vec<AuditEntry> = sent.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(walk(&read), Ok(end));
        assert_eq!(end.seal.to_string().parse(), Ok(end.seal));
        assert_eq!(end.to_string().parse(), Ok(end));
        assert!("0".repeat(63).parse::<Seal>().is_err() && "+".repeat(64).parse::<Seal>().is_err());
    }

    /// Each changes one thing that an entry says.
    const EDITS: &[fn(&mut AuditEntry)] = &[
        |entry| entry.at += jiff::SignedDuration::from_micros(1),
        |entry| entry.tenant = None,
        |entry| entry.tenant = Some(TenantId::new(uuid::Uuid::from_u128(2))),
        |entry| entry.by.push('x'),
        |entry| entry.origin = None,
        |entry| entry.origin = Some("192.0.2.2".parse().unwrap()),
        |entry| entry.request = None,
        |entry| entry.request = Some(String::new()),
        |entry| entry.action = "scope.delete".to_owned(),
        |entry| entry.refused = true,
        |entry| entry.subject.clear(),
        |entry| entry.detail = "harmless".to_owned(),
        |entry| entry.before = Some(json!(null)),
        |entry| entry.after = None,
        |entry| entry.after = Some(json!({ "ports": "81", "names": ["acme.test"] })),
        // What one part loses the next one gets.
        |entry| (entry.subject, entry.detail) = ("off".to_owned(), "ice".to_owned()),
    ];

    #[test]
    fn any_edit_is_found_where_it_was_made() {
        let (entries, _) = chain(4);
        for (number, edit) in EDITS.iter().enumerate() {
            for at in 0..entries.len() {
                let mut edited = entries.clone();
                edit(&mut edited[at]);
                assert_eq!(walk(&edited), Err(Broken::Altered { position: at as u64 + 1 }), "edit {number}");
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_is_taken_out_moved_or_put_in_is_found(
            length in 2_u64..8, from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>(), kind in 0..3,
        ) {
            let (mut entries, end) = chain(length);
            let from = from.index(entries.len());
            match kind {
                0 => drop(entries.remove(from)),
                1 => {
                    let to = to.index(entries.len());
                    prop_assume!(from != to);
                    entries.swap(from, to);
                }
                _ => entries.insert(from, entries[from].clone()),
            }
            let whole = walk(&entries).and_then(|found| found.require(end));
            prop_assert!(whole.is_err(), "{whole:?}");
        }
    }

    #[test]
    fn a_new_chain_of_everything_is_found_by_who_knows_the_old_end() {
        let (mut entries, end) = chain(3);
        let mut forged = ChainEnd::START;
        for entry in &mut entries {
            entry.by = "somebody else".to_owned();
            forged.append(entry);
        }
        assert_eq!(walk(&entries), Ok(forged), "by itself it is whole");
        assert_eq!(forged.require(end), Err(Broken::End { wanted: 3, found: 3 }));
    }
}
