//! Names found by trying.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use checks::exchange::Failure;
use futures_util::{StreamExt, stream::FuturesUnordered};
use hickory_proto::rr::RecordType;
use model::{DomainName, Source};
use rand::RngExt;
use tokio::sync::mpsc;

use super::{
    DiscoverReport, Discovery, WordList, records,
    wildcard::{Face, Wildcard},
};
use crate::dns::{Lookup, Resolver};

/// Names looked at closer at a time.
const AT_A_TIME: usize = 32;
/// Characters of a name that nobody can have registered.
const RANDOM_LABEL: usize = 18;
/// Attempts to explain an answer by the wildcard before it is believed.
const DOUBTS: usize = 3;
/// Names that could not be looked up, told one by one.
const MOST_UNDETERMINED: usize = 100;

/// How each parent answers about what does not exist, by record type.
#[derive(Clone, Default)]
pub(super) struct Wildcards(Arc<Mutex<HashMap<(DomainName, RecordType), Wildcard>>>);

impl Wildcards {
    fn entries(&self) -> MutexGuard<'_, HashMap<(DomainName, RecordType), Wildcard>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, parent: &DomainName, record_type: RecordType) -> Option<Manner> {
        self.entries().get(&(parent.clone(), record_type)).map(Manner::of)
    }

    fn explains(&self, name: &DomainName, record_type: RecordType, face: &Face) -> bool {
        let Some(parent) = name.parent() else { return false };
        *face == Face::Missing
            || self.entries().get(&(parent, record_type)).is_some_and(|wildcard| wildcard.explains(face))
    }

    /// Learns how names below a parent are answered, once.
    async fn of(&self, resolver: &Resolver, parent: &DomainName, record_type: RecordType) -> Manner {
        if let Some(known) = self.get(parent, record_type) {
            return known;
        }
        let mut wildcard = Wildcard::default();
        while wildcard.wants_more() {
            wildcard.learn(probe(resolver, parent, record_type).await);
        }
        let manner = Manner::of(&wildcard);
        self.entries().insert((parent.clone(), record_type), wildcard);
        manner
    }

    async fn learn_more(&self, resolver: &Resolver, parent: &DomainName, record_type: RecordType) {
        let face = probe(resolver, parent, record_type).await;
        self.entries().entry((parent.clone(), record_type)).or_default().learn(face);
    }

    /// Parents below which everything seems to exist.
    pub(super) fn parents(&self) -> Vec<DomainName> {
        let entries = self.entries();
        let mut parents: Vec<DomainName> = entries
            .iter()
            .filter(|(_, wildcard)| wildcard.answers())
            .map(|((parent, _), _)| parent.clone())
            .collect();
        parents.sort();
        parents.dedup();
        parents
    }
}

/// How a parent answers about what does not exist, in short.
#[derive(Clone, Copy)]
struct Manner {
    referred: bool,
    failing: bool,
    /// What does not exist seems to.
    answers: bool,
    explains_empty: bool,
}

impl Manner {
    fn of(wildcard: &Wildcard) -> Manner {
        Manner {
            referred: wildcard.referred,
            failing: wildcard.failing,
            answers: wildcard.answers(),
            explains_empty: wildcard.explains(&Face::Empty),
        }
    }
}

async fn probe(resolver: &Resolver, parent: &DomainName, record_type: RecordType) -> Face {
    let label: String = {
        let mut random = rand::rng();
        (0..RANDOM_LABEL).map(|_| char::from(random.random_range(b'a'..=b'z'))).collect()
    };
    match parent.child(&label) {
        Ok(name) => Face::of(&name, &resolver.lookup(&name, record_type).await),
        // The parent is so long that nothing fits in front of it.
        Err(_) => Face::Missing,
    }
}

/// One search below a domain.
pub(super) struct Search<'a> {
    pub(super) resolver: &'a Resolver,
    pub(super) found: &'a mpsc::Sender<Discovery>,
    pub(super) report: &'a mut DiscoverReport,
    pub(super) wildcards: Wildcards,
    /// What has been handed over.
    pub(super) names: BTreeSet<DomainName>,
}

impl Search<'_> {
    /// Tries every word in front of `parent` and hands over what exists.
    pub(super) async fn below(&mut self, parent: &DomainName, words: &WordList) {
        let (resolver, wildcards) = (self.resolver, self.wildcards.clone());
        let wildcard = wildcards.of(resolver, parent, RecordType::A).await;
        if wildcard.referred {
            let why = "the name server does not know what is below, it delegates it: name its servers with --resolver";
            self.report.undetermined.push((parent.clone(), why.to_owned()));
            return;
        }
        if wildcard.failing {
            let why = "the name server fails on names that do not exist below; failures there were not taken for names";
            self.report.undetermined.push((parent.clone(), why.to_owned()));
        }
        self.try_words(parent, words, RecordType::A).await;
        // Names seem to exist without addresses: among them, those with an IPv6 address only can still be told.
        if wildcard.answers && wildcard.explains_empty {
            wildcards.of(resolver, parent, RecordType::AAAA).await;
            self.try_words(parent, words, RecordType::AAAA).await;
        }
    }

    async fn try_words(&mut self, parent: &DomainName, words: &WordList, record_type: RecordType) {
        let (resolver, wildcards) = (self.resolver, &self.wildcards);
        let (notable, mut candidates) = mpsc::unbounded_channel();
        let (below, dialer) = (parent.clone(), resolver.dialer().clone());
        // Words that make no name, and names the scope excludes, are nobody's failure.
        let names = words
            .labels()
            .filter_map(move |label| below.child(&label).ok())
            .filter(move |name| dialer.stop().is_cancelled() || dialer.permits_name(name).is_ok());
        let known = wildcards.clone();
        // Runs for every name: what the wildcard explains goes no further.
        let sink = move |name: DomainName, lookup: Lookup| {
            let face = Face::of(&name, &lookup);
            if !known.explains(&name, record_type, &face) {
                // The receiver goes only when nobody wants the names any more.
                let _ = notable.send((name, face, lookup));
            }
        };
        let bulk = resolver.bulk(names, record_type, sink);
        tokio::pin!(bulk);
        let (mut asked, mut open, mut lost) = (true, true, 0);
        let (mut waiting, mut under_way) = (VecDeque::new(), FuturesUnordered::new());
        while asked || open || !waiting.is_empty() || !under_way.is_empty() {
            while under_way.len() < AT_A_TIME
                && let Some((name, face)) = waiting.pop_front()
            {
                under_way.push(examine(resolver, name, face, record_type, wildcards));
            }
            tokio::select! {
                ended = &mut bulk, if asked => {
                    asked = false;
                    if let Err(failure) = ended {
                        self.report.undetermined.push((parent.clone(), reason(&failure)));
                    }
                }
                candidate = candidates.recv(), if open => match candidate {
                    None => open = false,
                    Some((name, Face::Unknown, Lookup::Undetermined(failure))) => {
                        lost += 1;
                        if lost <= MOST_UNDETERMINED {
                            self.report.undetermined.push((name, reason(&failure)));
                        }
                    }
                    Some((name, ..)) if self.names.contains(&name) => {}
                    Some((name, face, _)) => waiting.push_back((name, face)),
                },
                Some(examined) = under_way.next(), if !under_way.is_empty() => match examined {
                    Some(Ok(discovery)) => {
                        // Words may repeat one another.
                        let is_new = self.names.insert(discovery.name.clone());
                        // Whoever listened has gone: then there is nobody to find anything for.
                        if is_new && self.found.send(discovery).await.is_err() {
                            return;
                        }
                    }
                Some(Err((name, failure))) => self.report.undetermined.push((name, reason(&failure))),
                    None => {}
                },
            }
        }
        if lost > MOST_UNDETERMINED {
            let more = lost - MOST_UNDETERMINED;
            self.report
                .undetermined
                .push((parent.clone(), format!("{more} more names below could not be looked up")));
        }
    }
}

/// Is there really something? The records if so.
async fn examine(
    resolver: &Resolver,
    name: DomainName,
    mut face: Face,
    record_type: RecordType,
    wildcards: &Wildcards,
) -> Option<Result<Discovery, (DomainName, Failure)>> {
    // A word with dots has a parent of its own, perhaps below a wildcard itself.
    let parent = name.parent()?;
    let wildcard = wildcards.of(resolver, &parent, record_type).await;
    if wildcards.explains(&name, record_type, &face) {
        return None;
    }
    if wildcard.answers {
        for _ in 0..DOUBTS {
            wildcards.learn_more(resolver, &parent, record_type).await;
            if wildcards.explains(&name, record_type, &face) {
                return None;
            }
            // A pool shows another part of itself to the same question.
            face = Face::of(&name, &resolver.lookup(&name, record_type).await);
            if wildcards.explains(&name, record_type, &face) {
                return None;
            }
        }
    }
    let discovery = records::collect(resolver, &name, Source::WordList, &super::ADDRESS_TYPES)
        .await
        .complete(resolver)
        .await;
    Some(discovery.map_err(|failure| (name, failure)))
}

pub(super) fn reason(failure: &Failure) -> String {
    match failure {
        Failure::Failed(_, why) | Failure::OutOfScope(why) => why.clone(),
        Failure::Skipped(why) => why.to_string(),
    }
}
