//! The discover stage: names, their records, and the names next to them.

mod brute;
mod records;
mod wildcard;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use checks::exchange::Failure;
use futures_util::future::join_all;
use hickory_proto::rr::{RData, RecordType};
use model::{DomainName, Source};
use tokio::sync::mpsc;

use self::brute::{Search, Wildcards};
pub use self::words::{WordList, WordListError};
use crate::dns::{Lookup, Resolver, domain_name};

const ADDRESS_TYPES: [RecordType; 2] = [RecordType::A, RecordType::AAAA];
const TYPES: [RecordType; 8] = [
    RecordType::A,
    RecordType::AAAA,
    RecordType::CNAME,
    RecordType::MX,
    RecordType::NS,
    RecordType::TXT,
    RecordType::SOA,
    RecordType::CAA,
];
/// Service labels (RFC 2782) under which domains usually have SRV records.
const SERVICES: [&str; 16] = [
    "_sip._tcp",
    "_sip._udp",
    "_sips._tcp",
    "_sipfederationtls._tcp",
    "_xmpp-client._tcp",
    "_xmpp-server._tcp",
    "_ldap._tcp",
    "_kerberos._tcp",
    "_kerberos._udp",
    "_kpasswd._tcp",
    "_autodiscover._tcp",
    "_imaps._tcp",
    "_submission._tcp",
    "_caldavs._tcp",
    "_carddavs._tcp",
    "_matrix._tcp",
];
/// Names found below which the most usual words are tried again.
const MOST_LEVELS_DOWN: usize = 64;
/// Names taken from one address's PTR records.
const MOST_POINTERS: usize = 64;

/// A name that exists, and what is known about it. What records say is hostile text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovery {
    /// The name.
    pub name: DomainName,
    /// Its records by type, in presentation form, names without trailing dot. Aliases come with what they lead to.
    pub records: BTreeMap<String, Vec<String>>,
    /// Its addresses, IPv4 first, also those at the end of aliases.
    pub addresses: Vec<IpAddr>,
    /// Where the name was learnt.
    pub source: Source,
    /// Names in its records that the scope allows.
    pub related: Vec<DomainName>,
    /// It is an alias of this name, which does not exist: whoever registers that takes over this one.
    pub dangling: Option<DomainName>,
}

/// How far to look.
#[derive(Debug, Clone)]
pub struct DiscoverOptions {
    /// What to try in front of the domain.
    pub words: WordList,
    /// Try it at all?
    pub brute_force: bool,
    /// Try the most usual words below the names found, too.
    pub recurse: bool,
}

/// What the search was like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiscoverReport {
    /// Does the domain itself exist? None when that could not be found out.
    pub exists: Option<bool>,
    /// Names below which everything seems to exist.
    pub wildcards: Vec<DomainName>,
    /// What could not be found out, and why.
    pub undetermined: Vec<(DomainName, String)>,
}

/// Looks for a domain and what is below it. Everything that exists goes to `found` at once.
pub async fn domain(
    resolver: &Resolver,
    name: &DomainName,
    options: &DiscoverOptions,
    found: mpsc::Sender<Discovery>,
) -> DiscoverReport {
    let mut report = DiscoverReport::default();
    search(resolver, name, options, &found, &mut report).await;
    report
}

async fn search(
    resolver: &Resolver,
    name: &DomainName,
    options: &DiscoverOptions,
    found: &mpsc::Sender<Discovery>,
    report: &mut DiscoverReport,
) {
    let collection = records::collect(resolver, name, Source::Target, &TYPES).await;
    if let Some(failure) = &collection.trouble {
        report.undetermined.push((name.clone(), brute::reason(failure)));
    }
    if collection.is_missing() {
        // Nothing is below a name that does not exist (RFC 8020).
        report.exists = Some(false);
        return;
    }
    if !collection.exists() {
        return;
    }
    report.exists = Some(true);
    // The name exists, so this cannot fail.
    if let Ok(discovery) = collection.complete(resolver).await
        && found.send(discovery).await.is_err()
    {
        return;
    }
    services(resolver, name, found, report).await;
    if !options.brute_force {
        return;
    }
    let mut search =
        Search { resolver, found, report, wildcards: Wildcards::default(), names: BTreeSet::new() };
    search.below(name, &options.words).await;
    if options.recurse {
        let names: Vec<DomainName> = search.names.iter().take(MOST_LEVELS_DOWN).cloned().collect();
        for child in &names {
            if found.is_closed() {
                break;
            }
            search.below(child, &WordList::few()).await;
        }
    }
    let wildcards = search.wildcards.parents();
    report.wildcards = wildcards;
}

/// SRV records under the usual labels. Under a wildcard of that type nothing is told.
async fn services(
    resolver: &Resolver,
    name: &DomainName,
    found: &mpsc::Sender<Discovery>,
    report: &mut DiscoverReport,
) {
    let names: Vec<DomainName> = SERVICES.iter().filter_map(|label| name.child(label).ok()).collect();
    let names: Vec<DomainName> =
        names.into_iter().filter(|name| resolver.dialer().permits_name(name).is_ok()).collect();
    let types = [RecordType::SRV];
    let collections =
        join_all(names.iter().map(|name| records::collect(resolver, name, Source::Record, &types))).await;
    let mut services = Vec::new();
    for (name, collection) in names.into_iter().zip(collections) {
        if let Some(failure) = &collection.trouble {
            report.undetermined.push((name, brute::reason(failure)));
        } else {
            services.extend(collection.with(RecordType::SRV));
        }
    }
    let all_the_same = services.windows(2).all(|pair| pair[0].records == pair[1].records);
    if services.len() == SERVICES.len() && all_the_same {
        return;
    }
    for service in services {
        // Whoever listened has gone: then there is nobody to find anything for.
        if found.send(service).await.is_err() {
            return;
        }
    }
}

/// Looks up one name that was learnt elsewhere, such as in a certificate or on a page. A name that does not exist is a failure.
pub async fn name(resolver: &Resolver, name: &DomainName, source: Source) -> Result<Discovery, Failure> {
    records::collect(resolver, name, source, &ADDRESS_TYPES).await.complete(resolver).await
}

/// The names an address says it has, by its PTR records. The address must be in scope.
pub async fn reverse(resolver: &Resolver, address: IpAddr) -> Result<Vec<DomainName>, Failure> {
    match resolver.lookup_reverse(address).await {
        Lookup::Found(message) => {
            let pointers = message.answers.iter().filter_map(|record| match &record.data {
                RData::PTR(name) => domain_name(&name.0),
                _ => None,
            });
            let mut names: Vec<DomainName> = pointers.take(MOST_POINTERS).collect();
            names.sort();
            names.dedup();
            Ok(names)
        }
        Lookup::Empty | Lookup::Missing | Lookup::Referred(_) => Ok(Vec::new()),
        Lookup::Undetermined(failure) => Err(failure),
    }
}
