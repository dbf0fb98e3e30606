use proptest::prelude::*;

use super::*;
use crate::{
    Confidence, DomainName, Evidence, Fingerprint, Location, Outcome, Source, finding::Classification,
};

fn check(number: u8) -> CheckId {
    CheckId::new(&format!("check-{number}"))
}

fn finding(number: u8, severity: Severity, evidence: usize) -> Finding {
    let location = Location::Url("http://127.0.0.1/".parse().unwrap());
    Finding {
        fingerprint: Fingerprint::of(&check(number), None, &location),
        check: check(number),
        name: "N".to_owned(),
        severity,
        confidence: Confidence::Firm,
        location,
        addresses: Vec::new(),
        matcher: None,
        extracted: BTreeMap::new(),
        evidence: vec![Evidence { response: "x".repeat(evidence), ..Evidence::default() }],
        description: String::new(),
        impact: String::new(),
        remediation: String::new(),
        references: Vec::new(),
        classification: Classification::default(),
        tags: Vec::new(),
        reproduce: String::new(),
        found_at: jiff::Timestamp::UNIX_EPOCH,
    }
}

fn asset(length: usize) -> Asset {
    let url = format!("http://127.0.0.1/{}", "a".repeat(length)).parse().unwrap();
    Asset::Page { url, status: 200, title: None, content_type: None, length: 0, technologies: Vec::new() }
}

#[derive(Debug, Clone)]
enum Item {
    Finding(u8, Severity, usize),
    Asset(usize),
    Undetermined(usize),
    LeftOut(usize),
    Name(u16),
}

fn item() -> impl Strategy<Value = Item> {
    let severity = proptest::sample::select(Severity::DESCENDING.to_vec());
    prop_oneof![
        (0..5_u8, severity, 0..3_000_usize)
            .prop_map(|(check, severity, size)| Item::Finding(check, severity, size)),
        (0..2_000_usize).prop_map(Item::Asset),
        (0..2_000_usize).prop_map(Item::Undetermined),
        (0..2_000_usize).prop_map(Item::LeftOut),
        any::<u16>().prop_map(Item::Name),
    ]
}

/// What there is, without limits; each check that found something matched on one page and not on another.
fn whole(items: &[Item]) -> UnitResult {
    let mut whole = UnitResult::default();
    for item in items {
        match item {
            Item::Finding(number, severity, size) => whole.findings.push(finding(*number, *severity, *size)),
            Item::Asset(size) => whole.assets.push(asset(*size)),
            Item::Undetermined(size) => whole.undetermined.push("u".repeat(*size)),
            Item::LeftOut(size) => whole.left_out.push("l".repeat(*size)),
            Item::Name(number) => {
                let name: DomainName = format!("n{number}.acme.test").parse().unwrap();
                whole.learned.mentioned.push((name, Source::Page));
            }
        }
    }
    for number in 0..5 {
        whole.ledger.plan(&check(number), 2);
        whole.ledger.end(&check(number), Outcome::NotMatched);
        let found = whole.findings.iter().any(|finding| finding.check == check(number));
        whole.ledger.end(&check(number), if found { Outcome::Matched } else { Outcome::NotMatched });
    }
    whole
}

fn gather(whole: &UnitResult, limits: ResultLimits) -> UnitResult {
    let mut gathering = Gathering::within(limits);
    let UnitResult { assets, findings, undetermined, left_out, ledger, learned, .. } = whole.clone();
    assets.into_iter().for_each(|asset| gathering.asset(asset));
    findings.into_iter().for_each(|finding| gathering.finding(finding));
    undetermined.into_iter().for_each(|why| gathering.undetermined(why));
    left_out.into_iter().for_each(|why| gathering.left_out(why));
    gathering.ledger(ledger);
    gathering.learned(learned);
    gathering.result()
}

fn sizes<T: Serialize>(things: &[T]) -> u64 {
    things.iter().map(size).sum()
}

/// The number in front of a word in what is said to be missing.
fn said(result: &UnitResult, what: &str) -> u64 {
    let Some((_, list)) = result.undetermined.last().and_then(|text| text.split_once(" is left out: "))
    else {
        return 0;
    };
    let found = list.split(", ").find_map(|part| part.strip_suffix(&format!(" {what}")));
    found.map_or(0, |number| number.parse().unwrap())
}

proptest! {
    #[test]
    fn a_result_is_within_its_limits_and_says_what_is_missing(
        items in proptest::collection::vec(item(), 0..80), most in 0..40_u32, bytes in 1_024..100_000_u64
    ) {
        let limits = ResultLimits { items: most, bytes };
        let whole = whole(&items);
        let kept = gather(&whole, limits);
        let total = sizes(&kept.findings) + sizes(&kept.assets) + sizes(&kept.undetermined) + sizes(&kept.left_out)
            + sizes(&kept.learned.found) + sizes(&kept.learned.mentioned);
        prop_assert!(total <= bytes, "{} of {}", total, bytes);
        let note = usize::from(kept.undetermined.last().is_some_and(|text| text.contains("left out: ")));
        for count in [kept.findings.len(), kept.assets.len(), kept.learned.mentioned.len(),
            kept.undetermined.len() + kept.left_out.len() - note] {
            prop_assert!(count <= most as usize);
        }
        // Nothing is lost without a word.
        let missing = |all: usize, kept: usize| (all - kept) as u64;
        prop_assert_eq!(said(&kept, "findings"), missing(whole.findings.len(), kept.findings.len()));
        prop_assert_eq!(said(&kept, "assets"), missing(whole.assets.len(), kept.assets.len()));
        prop_assert_eq!(said(&kept, "names"), missing(whole.learned.mentioned.len(), kept.learned.mentioned.len()));
        let remarks = missing(whole.undetermined.len() + whole.left_out.len(), kept.undetermined.len() - note + kept.left_out.len());
        prop_assert_eq!(said(&kept, "remarks"), remarks);
        prop_assert_eq!(note == 0, kept == whole, "what fits is kept as it is, in its order");
        // And no check passes for one that found nothing, or everything.
        prop_assert!(kept.ledger.balances());
        for number in 0..5 {
            let of = |result: &UnitResult| result.findings.iter().filter(|finding| finding.check == check(number)).count();
            let account = &kept.ledger.checks[&check(number)];
            prop_assert_eq!(account.failed_total() > 0, of(&kept) < of(&whole), "{:?}", account);
        }
    }

    #[test]
    fn what_matters_more_is_never_left_out_for_what_matters_less(items in proptest::collection::vec(item(), 0..80), most in 1..20_u32) {
        let findings: Vec<Item> = items.into_iter().filter(|item| matches!(item, Item::Finding(..))).collect();
        let kept = gather(&whole(&findings), ResultLimits { items: most, bytes: 10_000_000 });
        let mut wanted: Vec<Severity> = whole(&findings).findings.iter().map(|finding| finding.severity).collect();
        wanted.sort_unstable_by(|one, other| other.cmp(one));
        wanted.truncate(most as usize);
        let mut severities: Vec<Severity> = kept.findings.iter().map(|finding| finding.severity).collect();
        severities.sort_unstable_by(|one, other| other.cmp(one));
        prop_assert_eq!(severities, wanted);
    }
}
