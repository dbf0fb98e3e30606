//! A chain, walked beside what was signed of it.

use super::{AuditEntry, Broken, ChainEnd, Checkpoints, Verified};

/// The action of who purges.
pub const PURGE: &str = "audit.purge";

/// Somebody who follows a chain from its first entry that is still there, and says in the end what they know of it.
#[derive(Debug)]
pub struct Walk {
    checkpoints: Checkpoints,
    seen: Option<ChainEnd>,
    purge: Option<AuditEntry>,
    is_seen_purged: bool,
}

impl Walk {
    /// Beside these checkpoints. `seen` is a place that somebody has seen: it must be there.
    ///
    /// # Errors
    /// When a checkpoint is of that place, and it was another one.
    pub fn begin(checkpoints: Checkpoints, seen: Option<ChainEnd>) -> Result<Walk, Broken> {
        let purged = |seen: &ChainEnd| seen.position <= checkpoints.beginning().position;
        let is_seen_purged = match seen.filter(purged) {
            None => false,
            Some(seen) => match checkpoints.begin(seen.position) {
                Some(place) if place == seen => false,
                Some(_) => return Err(Broken::Another { position: seen.position }),
                None => true,
            },
        };
        Ok(Walk { checkpoints, seen, purge: None, is_seen_purged })
    }

    /// Where it begins.
    pub fn beginning(&self) -> ChainEnd {
        self.checkpoints.beginning()
    }

    /// This entry leads to that place.
    ///
    /// # Errors
    /// When another one was signed, or seen, there.
    pub fn look(&mut self, entry: &AuditEntry, place: ChainEnd) -> Result<(), Broken> {
        if entry.action == PURGE {
            self.purge = Some(entry.clone());
        }
        if self.seen.is_some_and(|seen| seen.position == place.position && seen != place) {
            return Err(Broken::Another { position: place.position });
        }
        self.checkpoints.compare(place)
    }

    /// There is nothing behind that place.
    ///
    /// # Errors
    /// When more was signed, or seen.
    pub fn end(self, end: ChainEnd) -> Result<Verified, Broken> {
        self.checkpoints.end(end)?;
        if let Some(seen) = self.seen.filter(|seen| seen.position > end.position) {
            end.require(seen)?;
        }
        let Walk { checkpoints, purge, is_seen_purged, seen: _ } = self;
        Ok(Verified { end, checkpoints, purge, is_seen_purged })
    }
}
