//! The records of one name.

use std::{collections::BTreeMap, net::IpAddr};

use checks::exchange::Failure;
use futures_util::future::join_all;
use hickory_proto::{
    op::ResponseCode,
    rr::{RData, Record, RecordType},
};
use model::{DomainName, FailReason, Source};

use super::Discovery;
use crate::dns::{Chain, Lookup, Resolver, domain_name, presentation};

/// Related names kept of one name: a zone may name thousands of mail servers.
const MOST_RELATED: usize = 64;
/// Records of one type kept, and characters of each.
const MOST_RECORDS: usize = 256;
const LONGEST_RECORD: usize = 4_096;

/// What was found out about a name so far.
pub(super) struct Collection {
    discovery: Discovery,
    exists: bool,
    missing: bool,
    pub(super) trouble: Option<Failure>,
}

impl Collection {
    pub(super) fn new(name: &DomainName, source: Source) -> Collection {
        let discovery = Discovery {
            name: name.clone(),
            records: BTreeMap::new(),
            addresses: Vec::new(),
            source,
            related: Vec::new(),
            dangling: None,
        };
        Collection { discovery, exists: false, missing: false, trouble: None }
    }

    pub(super) fn add(&mut self, resolver: &Resolver, record_type: RecordType, lookup: Lookup) {
        let message = match lookup {
            Lookup::Found(message) => message,
            Lookup::Empty => return self.exists = true,
            Lookup::Missing => return self.missing = true,
            Lookup::Undetermined(failure) => return self.trouble = Some(failure),
            Lookup::Referred(message) => {
                // The parent's servers name those of the child: the child exists.
                self.exists = true;
                message.authorities.iter().for_each(|record| self.keep(resolver, record));
                return;
            }
        };
        self.exists = true;
        let chain = Chain::follow(&message, &self.discovery.name);
        let of_chain = |record: &Record| {
            domain_name(&record.name).is_some_and(|owner| owner == self.discovery.name)
                || chain.aliases.contains(&record.name)
        };
        let records: Vec<&Record> = message.answers.iter().filter(|record| of_chain(record)).collect();
        for record in records {
            let wanted = [record_type, RecordType::CNAME].contains(&record.record_type());
            if wanted {
                self.keep(resolver, record);
            }
        }
        for address in &chain.addresses {
            if !self.discovery.addresses.contains(address) {
                self.discovery.addresses.push(*address);
            }
        }
        if message.metadata.response_code == ResponseCode::NXDomain && !chain.aliases.is_empty() {
            self.discovery.dangling = chain.end();
        }
    }

    fn keep(&mut self, resolver: &Resolver, record: &Record) {
        let mut data = presentation::data(&record.data);
        if matches!(
            record.data,
            RData::CNAME(_) | RData::NS(_) | RData::PTR(_) | RData::MX(_) | RData::SRV(_)
        ) && data.len() > 1
        {
            data.truncate(data.trim_end_matches('.').len());
        }
        if let Some((end, _)) = data.char_indices().nth(LONGEST_RECORD) {
            data.truncate(end);
        }
        let list = self.discovery.records.entry(record.record_type().to_string()).or_default();
        if list.len() < MOST_RECORDS && !list.contains(&data) {
            list.push(data);
        }
        let target = match &record.data {
            RData::CNAME(name) => &name.0,
            RData::NS(name) => &name.0,
            RData::PTR(name) => &name.0,
            RData::MX(mx) => &mx.exchange,
            RData::SRV(srv) => &srv.target,
            RData::SOA(soa) => &soa.mname,
            _ => return,
        };
        let Some(related) = domain_name(target) else { return };
        let Discovery { name, related: kept, .. } = &mut self.discovery;
        if related != *name
            && kept.len() < MOST_RELATED
            && !kept.contains(&related)
            && resolver.dialer().permits_name(&related).is_ok()
        {
            kept.push(related);
        }
    }

    /// The last alias, when nothing is known of what it leads to.
    fn open_end(&self) -> Option<DomainName> {
        let has_address = !self.discovery.addresses.is_empty();
        let aliases = self.discovery.records.get("CNAME")?;
        if has_address || self.discovery.dangling.is_some() { None } else { aliases.last()?.parse().ok() }
    }

    /// Does the name exist, as far as is known?
    pub(super) fn exists(&self) -> bool {
        self.exists
    }

    pub(super) fn is_missing(&self) -> bool {
        self.missing && !self.exists
    }

    /// What is known, without asking more, if there are records of that type.
    pub(super) fn with(self, record_type: RecordType) -> Option<Discovery> {
        self.discovery.records.contains_key(&record_type.to_string()).then_some(self.discovery)
    }

    /// Asks whether what an alias leads to exists, if the name server did not say and the scope allows to ask.
    pub(super) async fn complete(mut self, resolver: &Resolver) -> Result<Discovery, Failure> {
        if let Some(end) = self.open_end()
            && resolver.dialer().permits_name(&end).is_ok()
        {
            match resolver.lookup(&end, RecordType::A).await {
                Lookup::Missing => self.discovery.dangling = Some(end),
                Lookup::Found(_) | Lookup::Empty => {
                    // A target without addresses is a fact about the target.
                    self.discovery.addresses = resolver.addresses(&end).await.unwrap_or_default();
                }
                Lookup::Referred(_) | Lookup::Undetermined(_) => {}
            }
        }
        self.discovery.addresses.sort_by_key(IpAddr::is_ipv6);
        if self.exists {
            return Ok(self.discovery);
        }
        let name = &self.discovery.name;
        let unknown = || Failure::Failed(FailReason::Unresolved, format!("`{name}` does not exist"));
        Err(self.trouble.unwrap_or_else(unknown))
    }
}

/// Asks for several types at once.
pub(super) async fn collect(
    resolver: &Resolver,
    name: &DomainName,
    source: Source,
    types: &[RecordType],
) -> Collection {
    let lookups = join_all(types.iter().map(|record_type| resolver.lookup(name, *record_type))).await;
    let mut collection = Collection::new(name, source);
    for (record_type, lookup) in types.iter().zip(lookups) {
        collection.add(resolver, *record_type, lookup);
    }
    collection
}
