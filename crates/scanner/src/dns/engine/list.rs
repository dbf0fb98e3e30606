//! Long lists of names, drawn as fast as they can be asked about and never kept.

use hickory_proto::rr::RecordType;
use model::DomainName;
use tokio::sync::oneshot;

use crate::dns::message::Lookup;

/// A list under way.
pub(in crate::dns) struct List {
    pub(in crate::dns) names: Box<dyn Iterator<Item = DomainName> + Send>,
    pub(in crate::dns) record_type: RecordType,
    pub(in crate::dns) sink: Box<dyn FnMut(DomainName, Lookup) + Send>,
    /// Told when the last answer has gone into the sink; closed when nobody waits any more.
    pub(in crate::dns) done: oneshot::Sender<()>,
}

struct Entry {
    list: List,
    under_way: usize,
    drained: bool,
}

/// All lists, drawn from in turn.
#[derive(Default)]
pub(super) struct Lists {
    entries: Vec<Option<Entry>>,
    turn: usize,
}

impl Lists {
    pub(super) fn add(&mut self, list: List) {
        let entry = Some(Entry { list, under_way: 0, drained: false });
        match self.entries.iter().position(Option::is_none) {
            Some(place) => self.entries[place] = entry,
            None => self.entries.push(entry),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.iter().all(Option::is_none)
    }

    /// Does anybody still wait for this list?
    pub(super) fn is_wanted(&self, place: usize) -> bool {
        self.entries[place].as_ref().is_some_and(|entry| !entry.list.done.is_closed())
    }

    /// The next name, with its list's place and type.
    pub(super) fn draw(&mut self) -> Option<(usize, DomainName, RecordType)> {
        for ahead in 1..=self.entries.len() {
            let place = (self.turn + ahead) % self.entries.len();
            let Some(entry) = &mut self.entries[place] else { continue };
            if entry.drained {
                continue;
            }
            let name = if entry.list.done.is_closed() { None } else { entry.list.names.next() };
            if let Some(name) = name {
                self.turn = place;
                entry.under_way += 1;
                return Some((place, name, entry.list.record_type));
            }
            entry.drained = true;
            self.close_if_done(place);
        }
        None
    }

    /// Hands over what became of a name that was drawn, if anybody still waits for it.
    pub(super) fn deliver(&mut self, place: usize, name: DomainName, lookup: Lookup) {
        let Some(entry) = &mut self.entries[place] else { return };
        if !entry.list.done.is_closed() {
            (entry.list.sink)(name, lookup);
        }
        entry.under_way -= 1;
        self.close_if_done(place);
    }

    /// Draws no more from any list.
    pub(super) fn drain(&mut self) {
        for place in 0..self.entries.len() {
            if let Some(entry) = &mut self.entries[place] {
                entry.drained = true;
                self.close_if_done(place);
            }
        }
    }

    fn close_if_done(&mut self, place: usize) {
        let finished = |entry: &mut Entry| entry.drained && entry.under_way == 0;
        if let Some(entry) = self.entries[place].take_if(finished) {
            let List { names, sink, done, .. } = entry.list;
            // What they hold is whole again when the waiter goes on.
            drop((names, sink));
            // The receiver may have gone; then nobody wants to know.
            let _ = done.send(());
        }
    }
}
