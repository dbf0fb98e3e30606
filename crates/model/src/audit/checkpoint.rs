//! What a chain has come to, signed by somebody who has the key and need not have the database: who makes the chain anew without the
//! key is found out.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::{AuditEntry, AuditKey, AuditKeyId, AuditPublicKey, AuditSignature, Broken, ChainEnd, Seal};
use crate::TenantId;

/// A signed statement of where a chain stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Checkpoint {
    /// Among those of its chain, counted from 1 without a gap.
    pub number: u64,
    /// Of whose chain; of that of what was done to all without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// So many entries, from the first on, were purged: an earlier checkpoint is of the last of them.
    pub purged: u64,
    /// The entry that it is of.
    pub position: u64,
    /// The seal of that entry.
    pub seal: Seal,
    /// When, by the store's clock.
    pub at: Timestamp,
    /// SHA-256 of what the checkpoint before states; zeros for the first.
    pub before: Seal,
    /// With which key it was signed.
    pub key: AuditKeyId,
    /// Of the statement.
    pub signature: AuditSignature,
}

impl Checkpoint {
    /// The next one of a chain that stands at this end.
    pub fn sign(
        key: &AuditKey,
        tenant: Option<TenantId>,
        last: Option<&Checkpoint>,
        purged: u64,
        end: ChainEnd,
        at: Timestamp,
    ) -> Checkpoint {
        let mut checkpoint = Checkpoint {
            number: last.map_or(0, |last| last.number) + 1,
            tenant,
            purged,
            position: end.position,
            seal: end.seal,
            at,
            before: last.map_or(ChainEnd::START.seal, Checkpoint::digest),
            key: key.public().id(),
            signature: AuditSignature::NONE,
        };
        checkpoint.signature = key.sign(&checkpoint.statement());
        checkpoint
    }

    /// What is signed: lines of a word and a value, each with a line feed at its end. The values are as in JSON. No other thing that
    /// a key signs begins with the first line, and no value can hold a line feed.
    pub fn statement(&self) -> String {
        let Checkpoint { number, tenant, purged, position, seal, at, before, key, signature: _ } = self;
        let chain = tenant.map_or_else(|| "installation".to_owned(), |tenant| tenant.to_string());
        format!(
            "rampart audit checkpoint 1\nchain {chain}\nnumber {number}\npurged {purged}\nposition {position}\nseal {seal}\nat {at}\n\
             before {before}\nkey {key}\n"
        )
    }

    /// What the next one names it by.
    pub fn digest(&self) -> Seal {
        Seal(Sha256::digest(self.statement()).into())
    }

    /// Where the chain stood.
    pub fn end(&self) -> ChainEnd {
        ChainEnd { position: self.position, seal: self.seal }
    }

    /// Is it signed with this key, which it names?
    pub fn is_signed_by(&self, key: &AuditPublicKey) -> bool {
        self.key == key.id() && key.has_signed(&self.statement(), self.signature)
    }
}

/// The checkpoints of a chain, walked from the first on.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    tenant: Option<TenantId>,
    keys: BTreeMap<AuditKeyId, AuditPublicKey>,
    last: Option<Checkpoint>,
    last_known: Option<Checkpoint>,
    purge: Option<Checkpoint>,
    unknown: BTreeSet<AuditKeyId>,
    /// By position.
    places: BTreeMap<u64, Signed>,
}

/// What is remembered of a checkpoint.
#[derive(Debug, Clone, Copy)]
struct Signed {
    number: u64,
    seal: Seal,
    /// With a key that is known.
    is_known: bool,
}

impl Checkpoints {
    /// None yet, of a chain whose checkpoints are to be signed with one of these keys.
    pub fn new(tenant: Option<TenantId>, keys: &[AuditPublicKey]) -> Checkpoints {
        let keys = keys.iter().map(|key| (key.id(), *key)).collect();
        let (unknown, places) = (BTreeSet::new(), BTreeMap::new());
        Checkpoints { tenant, keys, last: None, last_known: None, purge: None, unknown, places }
    }

    /// Goes on to a checkpoint, if it is the next and is as it was signed. One by a key that nobody knows is remembered as such.
    pub fn follow(&mut self, checkpoint: Checkpoint) -> Result<(), Broken> {
        let wanted = self.count() + 1;
        let number = checkpoint.number;
        if number != wanted {
            return Err(Broken::CheckpointGap { wanted, found: number });
        }
        let before = self.last.as_ref().map_or(ChainEnd::START.seal, Checkpoint::digest);
        let is_next = checkpoint.tenant == self.tenant
            && checkpoint.before == before
            && checkpoint.position > self.last.as_ref().map_or(0, |last| last.position);
        // What is gone stays gone, up to a place that was signed before.
        let purges_more = checkpoint.purged > self.purged();
        let purges_right =
            checkpoint.purged == self.purged() || purges_more && self.places.contains_key(&checkpoint.purged);
        if !is_next || !purges_right {
            return Err(Broken::CheckpointAltered { number });
        }
        let is_known = self.keys.contains_key(&checkpoint.key);
        match self.keys.get(&checkpoint.key) {
            Some(key) if !checkpoint.is_signed_by(key) => return Err(Broken::Forged { number }),
            Some(_) => self.last_known = Some(checkpoint.clone()),
            None => _ = self.unknown.insert(checkpoint.key),
        }
        if purges_more {
            self.purge = Some(checkpoint.clone());
        }
        let signed = Signed { number, seal: checkpoint.seal, is_known };
        self.places.insert(checkpoint.position, signed);
        self.last = Some(checkpoint);
        Ok(())
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.last.as_ref().map_or(0, |last| last.number)
    }

    /// Are these as many as were written?
    pub fn require(&self, wanted: u64) -> Result<(), Broken> {
        let found = self.count();
        if found == wanted { Ok(()) } else { Err(Broken::CheckpointEnd { wanted, found }) }
    }

    /// The last one.
    pub fn last(&self) -> Option<&Checkpoint> {
        self.last.as_ref()
    }

    /// The last one that is signed with a key that is known.
    pub fn last_known(&self) -> Option<&Checkpoint> {
        self.last_known.as_ref()
    }

    /// The first one that says of all entries that are purged that they are.
    pub fn purge(&self) -> Option<&Checkpoint> {
        self.purge.as_ref()
    }

    /// So many entries were purged, from the first on.
    pub fn purged(&self) -> u64 {
        self.purge.as_ref().map_or(0, |purge| purge.purged)
    }

    /// Keys that checkpoints name, and that are not known.
    pub fn unknown(&self) -> &BTreeSet<AuditKeyId> {
        &self.unknown
    }

    /// The number of the one that is of this entry, and whether it is signed with a key that is known.
    pub fn at(&self, position: u64) -> Option<(u64, bool)> {
        self.places.get(&position).map(|signed| (signed.number, signed.is_known))
    }

    /// Where a walk can begin that goes on after this entry: at the beginning of the chain, or where a checkpoint is.
    pub fn begin(&self, position: u64) -> Option<ChainEnd> {
        let signed = self.places.get(&position).map(|signed| ChainEnd { position, seal: signed.seal });
        if position == 0 { Some(ChainEnd::START) } else { signed }
    }

    /// Where what is left of the chain begins.
    pub fn beginning(&self) -> ChainEnd {
        self.begin(self.purged()).expect("what is purged ends at a checkpoint")
    }

    /// Goes with a walk through the chain: is it at this place what was signed?
    pub fn compare(&self, place: ChainEnd) -> Result<(), Broken> {
        match self.places.get(&place.position) {
            Some(signed) if signed.seal != place.seal => {
                Err(Broken::Rewritten { position: place.position, number: signed.number })
            }
            _ => Ok(()),
        }
    }

    /// May a walk end here? Everything that was signed must have come before.
    pub fn end(&self, place: ChainEnd) -> Result<(), Broken> {
        match &self.last {
            Some(last) if last.position > place.position => {
                Err(Broken::Cut { position: last.position, number: last.number, found: place.position })
            }
            _ => Ok(()),
        }
    }
}

/// What is known of a chain that is whole.
#[derive(Debug, Clone)]
pub struct Verified {
    /// Where it ends.
    pub end: ChainEnd,
    /// What was signed of it.
    pub checkpoints: Checkpoints,
    /// The last entry that says what was purged, as far as it is there.
    pub purge: Option<AuditEntry>,
    /// The place that somebody has seen lies among what was purged, and no checkpoint is of it: nobody can tell.
    pub is_seen_purged: bool,
}

impl Verified {
    /// Up to which entry it is signed with a key that is known.
    pub fn signed(&self) -> u64 {
        self.checkpoints.last_known().map_or(0, |last| last.position)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> AuditKey {
        AuditKey::from_random([1; 32])
    }

    /// A chain of so many entries, with a checkpoint at each of these positions.
    fn signed(length: u64, positions: &BTreeSet<u64>) -> (Vec<AuditEntry>, Vec<Checkpoint>) {
        let (mut end, mut checkpoints) = (ChainEnd::START, Vec::<Checkpoint>::new());
        let entries = (1..=length).map(|number| {
            let at = Timestamp::from_microsecond(1_700_000_000_000_000 + number as i64).unwrap();
            let mut entry = AuditEntry {
                id: number,
                position: 0,
                at,
                tenant: None,
                by: "J. Doe".to_owned(),
                origin: None,
                request: None,
                action: "scope.put".to_owned(),
                refused: false,
                subject: number.to_string(),
                detail: String::new(),
                before: None,
                after: None,
                seal: end.seal,
            };
            end.append(&mut entry);
            if positions.contains(&number) {
                checkpoints.push(Checkpoint::sign(&key(), None, checkpoints.last(), 0, end, at));
            }
            entry
        });
        (entries.collect(), checkpoints)
    }

    fn walk(entries: &[AuditEntry], all: &[Checkpoint]) -> Result<Checkpoints, Broken> {
        let mut checkpoints = Checkpoints::new(None, &[key().public()]);
        all.iter().try_for_each(|one| checkpoints.follow(one.clone()))?;
        let mut place = checkpoints.beginning();
        for entry in entries.iter().filter(|entry| entry.position > checkpoints.purged()) {
            place.follow(entry)?;
            checkpoints.compare(place)?;
        }
        checkpoints.end(place)?;
        Ok(checkpoints)
    }

    #[test]
    fn what_is_signed_is_a_text_that_anybody_can_write() {
        let (_, checkpoints) = signed(2, &[1, 2].into());
        let [first, second] = &checkpoints[..] else { panic!("{checkpoints:?}") };
        let (seal, key) = (second.seal, key().public().id());
        let before = first.digest();
        assert_eq!(
            second.statement(),
            format!(
                "rampart audit checkpoint 1\nchain installation\nnumber 2\npurged 0\nposition 2\nseal {seal}\n\
                 at 2023-11-14T22:13:20.000002Z\nbefore {before}\nkey {key}\n"
            )
        );
        let tenant = Some(TenantId::new(uuid::Uuid::from_u128(1)));
        let of_tenant = Checkpoint { tenant, ..second.clone() };
        assert!(of_tenant.statement().contains("\nchain 00000000-0000-0000-0000-000000000001\n"));
        let sent = serde_json::to_string(second).unwrap();
        assert_eq!(serde_json::from_str::<Checkpoint>(&sent).unwrap(), *second);
    }

    /// Each changes one thing that a checkpoint says.
    const EDITS: &[fn(&mut Checkpoint)] = &[
        |checkpoint| checkpoint.tenant = Some(TenantId::new(uuid::Uuid::from_u128(1))),
        |checkpoint| checkpoint.purged = 1,
        |checkpoint| checkpoint.position += 1,
        |checkpoint| checkpoint.seal = ChainEnd::START.seal,
        |checkpoint| checkpoint.at += jiff::SignedDuration::from_micros(1),
        |checkpoint| checkpoint.before = checkpoint.seal,
        |checkpoint| checkpoint.signature = AuditSignature::NONE,
    ];

    #[test]
    fn any_edit_of_a_checkpoint_is_found() {
        let (entries, checkpoints) = signed(6, &[1, 3, 5].into());
        assert_eq!(walk(&entries, &checkpoints).unwrap().last(), checkpoints.last());
        for (number, edit) in EDITS.iter().enumerate() {
            for at in 0..checkpoints.len() {
                let mut edited = checkpoints.clone();
                edit(&mut edited[at]);
                let found = walk(&entries, &edited).unwrap_err();
                let at = at as u64 + 1;
                assert!(
                    [Broken::Forged { number: at }, Broken::CheckpointAltered { number: at }]
                        .contains(&found),
                    "edit {number}: {found:?}"
                );
            }
        }
    }

    #[test]
    fn what_is_purged_ends_where_something_was_signed() {
        let (entries, mut checkpoints) = signed(6, &[2, 4].into());
        let end = ChainEnd { position: 6, seal: entries[5].seal };
        for (purged, found) in [(4, Ok(4)), (3, Err(Broken::CheckpointAltered { number: 3 }))] {
            checkpoints.truncate(2);
            checkpoints.push(Checkpoint::sign(&key(), None, checkpoints.last(), purged, end, entries[5].at));
            assert_eq!(walk(&entries, &checkpoints).map(|walked| walked.purged()), found);
        }
        // And what is gone is gone: nothing signed is behind what was signed before.
        checkpoints[2] = Checkpoint::sign(&key(), None, Some(&checkpoints[1]), 4, end, entries[5].at);
        let further = ChainEnd { position: 7, seal: end.seal };
        let back = Checkpoint::sign(&key(), None, Some(&checkpoints[2]), 2, further, entries[5].at);
        checkpoints.push(back);
        assert_eq!(walk(&entries, &checkpoints).unwrap_err(), Broken::CheckpointAltered { number: 4 });
    }

    proptest! {
        #[test]
        fn a_new_chain_from_anywhere_on_is_found_at_the_next_checkpoint(
            length in 1_u64..12, positions in prop::collection::btree_set(1_u64..12, 1..6), from in any::<prop::sample::Index>(),
        ) {
            let (mut entries, checkpoints) = signed(length, &positions);
            let from = from.index(entries.len());
            entries[from].by = "somebody else".to_owned();
            let mut end = from.checked_sub(1).map_or(ChainEnd::START, |before| ChainEnd {
                position: entries[before].position,
                seal: entries[before].seal,
            });
            entries[from..].iter_mut().for_each(|entry| end.append(entry));
            let next = checkpoints.iter().find(|checkpoint| checkpoint.position > from as u64);
            let found = walk(&entries, &checkpoints).map(|_| ());
            let wanted = next.map_or(Ok(()), |next| {
                Err(Broken::Rewritten { position: next.position, number: next.number })
            });
            prop_assert_eq!(found, wanted);
        }

        #[test]
        fn checkpoints_that_are_taken_out_moved_or_doubled_are_found(
            positions in prop::collection::btree_set(1_u64..12, 2..8), from in any::<prop::sample::Index>(),
            to in any::<prop::sample::Index>(), kind in 0..3,
        ) {
            let (entries, mut checkpoints) = signed(12, &positions);
            let count = checkpoints.len() as u64;
            let from = from.index(checkpoints.len());
            match kind {
                0 => drop(checkpoints.remove(from)),
                1 => {
                    let to = to.index(checkpoints.len());
                    prop_assume!(from != to);
                    checkpoints.swap(from, to);
                }
                _ => checkpoints.insert(from, checkpoints[from].clone()),
            }
            let whole = walk(&entries, &checkpoints).and_then(|walked| walked.require(count));
            prop_assert!(whole.is_err());
        }
    }
}
