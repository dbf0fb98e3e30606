//! Similar pages: after a batch of pages of one shape that all look the same, the others are counted, not fetched.
//!
//! The decision does not depend on how fast answers come: beyond a batch, targets of the shape wait until every page of the
//! batch has been looked at. If nine of ten have the same skeleton the shape is folded, else the next batch goes.

use std::collections::{HashMap, VecDeque};

use model::Charge;

/// A target that waits for its turn.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) target: Box<str>,
    /// Links from a start.
    pub(super) depth: u32,
    /// Redirects that led here.
    pub(super) hops: u32,
    pub(super) shape: u64,
    pub(super) variable: bool,
    /// The room that it takes while it waits.
    pub(super) _held: Charge,
}

/// Decides for every target of a variable shape.
pub(super) struct Folding {
    batch: Option<u32>,
    shapes: HashMap<u64, Shape>,
}

#[derive(Default)]
struct Shape {
    sent: u32,
    looked_at: u32,
    /// How often each skeleton was seen in this batch.
    skeletons: Vec<(u64, u32)>,
    waiting: VecDeque<Entry>,
    folded: bool,
}

/// What becomes of a target.
pub(super) enum Admission {
    /// Fetch it.
    Now(Entry),
    /// It waits for its shape's batch.
    Waits,
    /// Counted only.
    Folded,
}

/// What a finished batch sets free.
#[derive(Default)]
pub(super) struct Settled {
    /// To be queued again, in order.
    pub(super) released: VecDeque<Entry>,
    /// Now counted only.
    pub(super) folded: u64,
}

impl Folding {
    pub(super) fn new(batch: Option<u32>) -> Folding {
        Folding { batch: batch.map(|batch| batch.max(1)), shapes: HashMap::new() }
    }

    pub(super) fn admit(&mut self, entry: Entry) -> Admission {
        let (Some(batch), true) = (self.batch, entry.variable) else { return Admission::Now(entry) };
        let shape = self.shapes.entry(entry.shape).or_default();
        if shape.folded {
            Admission::Folded
        } else if shape.sent < batch {
            shape.sent += 1;
            Admission::Now(entry)
        } else {
            shape.waiting.push_back(entry);
            Admission::Waits
        }
    }

    /// Notes how a page of a variable shape looked.
    pub(super) fn settle(&mut self, shape: u64, skeleton: u64) -> Settled {
        let Some(batch) = self.batch else { return Settled::default() };
        let Some(shape) = self.shapes.get_mut(&shape) else { return Settled::default() };
        shape.looked_at += 1;
        match shape.skeletons.iter_mut().find(|(known, _)| *known == skeleton) {
            Some((_, count)) => *count += 1,
            None => shape.skeletons.push((skeleton, 1)),
        }
        if shape.looked_at < batch {
            return Settled::default();
        }
        let most = shape.skeletons.iter().map(|(_, count)| *count).max().unwrap_or(0);
        let waiting = std::mem::take(&mut shape.waiting);
        if most * 10 >= batch * 9 {
            shape.folded = true;
            shape.skeletons = Vec::new();
            return Settled { folded: waiting.len() as u64, ..Settled::default() };
        }
        (shape.sent, shape.looked_at) = (0, 0);
        shape.skeletons.clear();
        Settled { released: waiting, folded: 0 }
    }

    /// Targets that still wait.
    pub(super) fn waiting(&self) -> u64 {
        self.shapes.values().map(|shape| shape.waiting.len() as u64).sum()
    }
}
