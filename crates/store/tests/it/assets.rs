//! What exists is found by when it was seen, however much there is.

use std::{collections::BTreeMap, time::Duration};

use model::{Asset, AssetKind, Source, list::TimeOrder};
use store::{AssetFilter, Ending};

use crate::{findings::almost, ground::Ground};

crate::contract! {
    a_large_inventory_is_looked_through_in_short_pages
}

fn domain(name: &str) -> Asset {
    Asset::Domain {
        name: name.parse().unwrap(),
        records: BTreeMap::new(),
        source: Source::Target,
        dangling: None,
    }
}

async fn seen(ground: &Ground, names: &[&str]) {
    let (_, mut settlement) = almost(ground, Vec::new(), &[]).await;
    let Ending::Unit(result) = &mut settlement.ending else { panic!("{settlement:?}") };
    result.assets = names.iter().map(|name| domain(name)).collect();
    ground.store.settle(vec![settlement]).await.unwrap().remove(0).unwrap();
    ground.advance(Duration::from_secs(60)).await;
}

async fn a_large_inventory_is_looked_through_in_short_pages(ground: Ground) {
    for names in [&["a.test", "b.test"][..], &["c.test"], &["d.test", "wanted.test", "e.test"], &["f.test"]] {
        seen(&ground, names).await;
    }
    seen(&ground, &["a.test"]).await;
    let turned = async |filter: AssetFilter, at_most: usize, looks: usize| {
        let (mut found, mut pages, mut after) = (Vec::new(), 0, None);
        loop {
            let filter = AssetFilter { after, ..filter.clone() };
            let (page, next) = ground.store.inventory(ground.tenant, filter, at_most, looks).await.unwrap();
            pages += 1;
            found.extend(page.into_iter().map(|known| known.asset.identity()));
            after = next;
            if after.is_none() {
                return (found, pages);
            }
        }
    };
    let wanted = AssetFilter { containing: Some("WANTED".to_owned()), ..AssetFilter::default() };
    let one = vec!["domain wanted.test".to_owned()];
    for (looks, pages) in [(100, 1), (7, 2), (3, 3), (2, 4), (1, 8)] {
        assert_eq!(turned(wanted.clone(), 5, looks).await, (one.clone(), pages), "{looks} at once");
        let oldest = AssetFilter { order: TimeOrder::OldestFirst, ..wanted.clone() };
        assert_eq!(turned(oldest, 5, looks).await.0, one, "{looks} at once");
    }
    let (all, _) = turned(AssetFilter::default(), 100, 100).await;
    assert_eq!((all.len(), all[0].as_str()), (7, "domain f.test"), "the newest first, which a.test is not");
    for (at_most, looks) in [(1, 100), (2, 3), (3, 2), (1, 1)] {
        assert_eq!(turned(AssetFilter::default(), at_most, looks).await.0, all, "{at_most} of {looks}");
    }
    let hosts = AssetFilter { kind: Some(AssetKind::Host), ..AssetFilter::default() };
    assert_eq!(turned(hosts, 5, 2).await.0, [""; 0]);

    let (known, _) = ground.store.inventory(ground.tenant, AssetFilter::default(), 100, 100).await.unwrap();
    let again = known.iter().find(|known| known.asset == domain("a.test")).unwrap();
    let gone = AssetFilter { gone_since: Some(again.last_seen), ..AssetFilter::default() };
    assert_eq!(turned(gone, 5, 3).await.0.len(), 6, "all but what was seen again");
    let late = AssetFilter { seen_since: Some(again.last_seen), ..AssetFilter::default() };
    assert_eq!(turned(late, 5, 3).await.0, ["domain a.test"]);
    let new = AssetFilter { new_since: Some(known[0].first_seen), ..AssetFilter::default() };
    assert_eq!(turned(new, 5, 3).await.0, ["domain f.test"]);
    assert_eq!(ground.store.asset(ground.tenant, again.id).await.unwrap(), *again);
}
