use super::*;

const SIZE: u64 = 16 << 20;
const HASH: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + minute * 60).unwrap()
}

fn system() -> System {
    System::of_postgres(7)
}

fn listed(key: String, minute: i64) -> Listed {
    Listed { key, bytes: 100, at: at(minute) }
}

fn wal(name: &str, minute: i64) -> Listed {
    listed(format!("7/wal/{name}.{HASH}.zst.age"), minute)
}

fn segment(timeline: u32, number: u64) -> String {
    Segment { number, timeline }.name(SegmentSize::try_from(SIZE).unwrap())
}

/// It begins in file `from`, and is whole within it.
fn backup(id: &str, minute: i64, from: u64) -> Backup {
    let lsn = |bytes: u64| format!("0/{:X}", from * SIZE + bytes).parse().unwrap();
    let kept = |name: &str| Kept { name: name.to_owned(), bytes: 1, plain_bytes: 1, sha256: HASH.to_owned() };
    let segment_size = SegmentSize::try_from(SIZE).unwrap();
    Backup {
        id: id.to_owned(),
        system: system(),
        begun: at(minute),
        ended: at(minute + 1),
        release: "0".to_owned(),
        recipients: Vec::new(),
        base: kept("base.tar.zst"),
        files: None,
        extent: Some(Extent { server: 15, timeline: 1, from: lsn(0x28), to: lsn(0x138), segment_size }),
    }
}

fn catalogue(backups: &[Backup], mut listing: Vec<Listed>) -> Catalogue {
    for backup in backups {
        listing.push(listed(backup.key("base.tar.zst"), 0));
        listing.push(listed(backup.key("backup.json"), 0));
    }
    let document = |key: &str| {
        let backup = backups.iter().find(|backup| backup.key("backup.json") == key).unwrap();
        Ok(serde_json::to_vec(backup).unwrap())
    };
    Catalogue::read(listing, document).unwrap()
}

#[test]
fn a_chain_goes_on_until_something_is_missing() {
    let one = backup("one", 0, 2);
    let whole: Vec<Listed> = [1, 2, 3, 4].map(|number| wal(&segment(1, number), 10 + number as i64)).into();
    let mut listing = whole.clone();
    listing.push(wal(&format!("{}.partial-{:013}", segment(1, 5), 1), 20));
    listing.push(wal(&format!("{}.partial-{:013}", segment(1, 5), 2), 21));
    let found = catalogue(std::slice::from_ref(&one), listing);
    let chain = found.chain(&one).unwrap();
    let names: Vec<&str> = chain.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, [2, 3, 4, 5].map(|number| segment(1, number)));
    assert_eq!((chain.gap, chain.until), (None, at(21)), "the newest look at what is being written counts");
    assert_eq!(found.replaced().len(), 1);

    let mut holed = whole;
    holed.remove(2);
    let chain = catalogue(std::slice::from_ref(&one), holed).chain(&one).unwrap();
    assert_eq!((chain.gap, chain.until), (Some(segment(1, 3)), at(12)));
}

#[test]
fn a_backup_whose_wal_begins_later_misses_some_and_one_without_any_is_whole_by_itself() {
    let one = backup("one", 0, 2);
    let chain = catalogue(std::slice::from_ref(&one), vec![wal(&segment(1, 3), 5)]).chain(&one).unwrap();
    assert_eq!(chain.gap, Some(segment(1, 2)), "the rest of the file in which it ended");
    let chain = catalogue(std::slice::from_ref(&one), Vec::new()).chain(&one).unwrap();
    assert_eq!((chain.gap, chain.until), (None, at(1)));
}

#[test]
fn another_timeline_goes_on_where_the_one_before_ended() {
    let one = backup("one", 0, 2);
    let names = [segment(1, 2), segment(1, 3), segment(2, 3), segment(2, 4), "00000002.history".to_owned()];
    let chain =
        catalogue(std::slice::from_ref(&one), names.iter().map(|name| wal(name, 9)).collect()).chain(&one);
    let chain = chain.unwrap();
    assert_eq!(chain.gap, None);
    assert_eq!(chain.files.len(), 5);
}

#[test]
fn what_is_outdated_goes_and_what_is_needed_stays() {
    let backups = [backup("one", 0, 2), backup("two", 100, 4), backup("three", 200, 6)];
    let mut listing: Vec<Listed> = (1..8).map(|number| wal(&segment(1, number), 1)).collect();
    listing.push(wal("00000002.history", 1));
    listing.push(listed("7/base/never/base.tar.zst".to_owned(), -60 * 24 * 8));
    listing.push(listed("7/base/begun/base.tar.zst".to_owned(), 240));
    let found = catalogue(&backups, listing);
    let gone = found.outdated(Duration::from_secs(60 * 150), at(250));
    let files = [1, 2, 3].map(|number| format!("7/wal/{}.{HASH}.zst.age", segment(1, number)));
    let mut expected: Vec<String> =
        ["7/base/one/backup.json", "7/base/one/base.tar.zst", "7/base/never/base.tar.zst"]
            .into_iter()
            .map(str::to_owned)
            .chain(files)
            .collect();
    assert_eq!(gone[0], "7/base/one/backup.json", "first what says that it is whole");
    let mut seen = gone;
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
    let gone = found.outdated(Duration::ZERO, at(10_000));
    assert!(!gone.iter().any(|key| key.contains("/three/")), "the newest stays, whatever its age");
}

#[test]
fn the_newest_drill_and_the_newest_that_passed_stay_whatever_their_age() {
    let drill = |minute, troubles: &[&str]| DrillReport {
        begun: at(minute),
        ended: at(minute + 1),
        backup: "one".to_owned(),
        rto_seconds: 1.0,
        rpo_seconds: 1.0,
        bytes: 1,
        databases: Vec::new(),
        troubles: troubles.iter().map(|trouble| (*trouble).to_owned()).collect(),
    };
    let drills = [drill(0, &[]), drill(10, &[]), drill(20, &["a"]), drill(30, &["b"]), drill(100, &["c"])];
    let listing = drills.iter().map(|drill| listed(drill.key(), 0)).collect();
    let document = |key: &str| {
        let drill = drills.iter().find(|drill| drill.key() == key).unwrap();
        Ok(serde_json::to_vec(drill).unwrap())
    };
    let found = Catalogue::read(listing, document).unwrap();
    let gone = |minutes: u64, now| found.outdated(Duration::from_secs(60 * minutes), at(now));
    assert_eq!(gone(75, 100), [&drills[0], &drills[2]].map(DrillReport::key));
    assert_eq!(gone(0, 10_000), [&drills[0], &drills[2], &drills[3]].map(DrillReport::key));
    assert!(gone(1_000, 200).is_empty());
}

#[test]
fn the_newest_that_was_done_by_then_is_chosen() {
    let found = catalogue(&[backup("one", 0, 2), backup("two", 100, 4)], Vec::new());
    let chosen = |until| {
        found.candidates(None, until).map(|found| found[0].id.clone()).map_err(|error| error.to_string())
    };
    assert_eq!(chosen(None).as_deref(), Ok("two"));
    assert_eq!(chosen(Some(at(101))).as_deref(), Ok("two"));
    assert_eq!(chosen(Some(at(100))).as_deref(), Ok("one"));
    assert!(chosen(Some(at(0))).unwrap_err().contains("no backup was done by"));
    assert!(found.candidates(Some("three"), None).unwrap_err().to_string().contains("no backup `three`"));
}

#[test]
fn names_of_others_are_told_and_left_alone() {
    let strange = ["readme.txt", "7/wal/x.zst", "7/other/x", "7/wal/x.0123.zst.age"];
    let found = catalogue(&[], strange.iter().map(|key| listed((*key).to_owned(), 0)).collect());
    assert_eq!(found.strangers, strange);
    assert!(found.outdated(Duration::ZERO, at(1_000_000)).is_empty());
}
