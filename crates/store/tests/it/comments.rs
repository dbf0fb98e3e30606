//! What people say about findings and scans: in its order, in earlier words, read by each as far as they say.

use std::time::Duration;

use futures_util::future::join_all;
use model::{
    Author, CommentId, CommentText, Fingerprint, Happening, Place, Role, ScanId, Severity, Token, Topic,
    UserId,
    comment::{CommentRecord, NewComment, Older, Reading},
};
use store::{
    ConversationFilter, FirstPassword, Location, MentionFilter, NewUser, Retention, StoreError, UserRecord,
};

use crate::{
    findings::{finding, scan},
    ground::Ground,
    stored::{audited, forge, rows},
};

crate::contract! {
    what_is_said_keeps_its_place_and_its_earlier_words
    who_is_mentioned_is_told_where
    whoever_cannot_log_in_is_not_mentioned
    each_reads_for_themselves
    however_many_speak_at_once_each_has_a_number
    whoever_waited_takes_no_conversation_back_in_time
    a_page_ends_with_enough_text_and_earlier_texts_end
    what_is_said_of_a_scan_goes_with_it
    whoever_is_forgotten_leaves_what_they_said
}

fn text(text: &str) -> CommentText {
    text.parse().unwrap()
}

fn operator() -> Author {
    Author::Operator { name: "root".to_owned() }
}

fn person(user: &UserRecord) -> Author {
    Author::Person { id: user.id, name: user.name.clone() }
}

async fn user(ground: &Ground, name: &str, role: Role) -> UserRecord {
    let (new, kept) =
        (NewUser { name: name.parse().unwrap(), role }, FirstPassword::Hashed("kept".to_owned()));
    ground.store.create_user(ground.tenant, new, kept, "test").await.unwrap()
}

/// Something to speak about.
pub(crate) async fn found(ground: &Ground) -> (ScanId, Fingerprint) {
    let exposed = finding("git-config", Severity::High);
    let fingerprint = exposed.fingerprint;
    (scan(ground, vec![exposed], &[]).await, fingerprint)
}

async fn said(ground: &Ground, on: Topic, author: &Author, words: &str) -> CommentRecord {
    let new = NewComment { text: text(words), answers: None };
    ground.store.add_comment(ground.tenant, on, new, author.clone(), author.to_string()).await.unwrap()
}

async fn comments(ground: &Ground, on: Topic) -> Vec<CommentRecord> {
    ground.store.comments(ground.tenant, on, 0, 100).await.unwrap()
}

async fn reading(ground: &Ground, user: UserId, on: Topic) -> (u64, u64) {
    let Reading { read_up_to, unread } = ground.store.reading(ground.tenant, user, on).await.unwrap();
    (read_up_to, unread)
}

/// In which conversations something is unread, and how much.
async fn unread(ground: &Ground, user: UserId) -> Vec<(Topic, u64)> {
    let filter = ConversationFilter { unread: true, before: None };
    let found = ground.store.conversations(ground.tenant, Some(user), filter, 100).await.unwrap();
    found.into_iter().map(|record| (record.on, record.unread.unwrap())).collect()
}

/// Which comments mention somebody, and whether they are unread.
async fn mentioned(ground: &Ground, user: UserId) -> Vec<(CommentId, bool)> {
    let filter = MentionFilter::default();
    let found = ground.store.mentions(ground.tenant, user, filter, 100).await.unwrap();
    found.into_iter().map(|mention| (mention.comment.id, mention.unread)).collect()
}

async fn told(ground: &Ground, after: Place) -> Vec<Happening> {
    let told = ground.store.happenings(ground.tenant, after, 100).await.unwrap();
    told.into_iter().map(|(_, happening)| happening.unwrap()).collect()
}

async fn what_is_said_keeps_its_place_and_its_earlier_words(ground: Ground) {
    let (seen_by, fingerprint) = found(&ground).await;
    let (store, tenant, on, other) =
        (&ground.store, ground.tenant, Topic::Finding(fingerprint), Topic::Scan(seen_by));
    let begin = store.latest_happening(tenant).await.unwrap();
    let amy = user(&ground, "amy", Role::Analyst).await;
    let key = Author::Key { prefix: "0a1b2c3d".parse().unwrap(), name: "pipeline".to_owned() };
    let hostile = "'; DROP TABLE comments; -- \u{202e}{{7*7}}\n\t<script> \\ $1 é";
    let first = said(&ground, on, &person(&amy), hostile).await;
    let elsewhere = said(&ground, other, &key, "about the scan").await;
    let answer = |answers| NewComment { text: text("an answer"), answers: Some(answers) };
    let second = store.add_comment(tenant, on, answer(first.id), operator(), "root").await.unwrap();
    let third = store.add_comment(tenant, on, answer(second.id), key.clone(), "pipeline").await.unwrap();
    assert_eq!(first.text.as_ref().unwrap().as_str(), hostile);
    assert_eq!((&first.by, &second.by, &third.by), (&person(&amy), &operator(), &key));
    assert_eq!([first.number, second.number, third.number, elsewhere.number], [1, 2, 3, 1]);
    assert_eq!((second.answers, third.answers), (Some(first.id), Some(second.id)));
    assert_eq!(comments(&ground, on).await, [first.clone(), second.clone(), third.clone()]);
    assert_eq!(store.comments(tenant, on, 1, 1).await.unwrap(), std::slice::from_ref(&second));
    assert_eq!(store.comment(tenant, elsewhere.id).await.unwrap(), elsewhere);
    for (on, answers, kind) in [
        (other, first.id, "comment"),
        (on, CommentId::new(uuid::Uuid::nil()), "comment"),
        (Topic::Scan(ScanId::from_random(1)), first.id, "scan"),
        (Topic::Finding("00112233445566778899aabbccddeeff".parse().unwrap()), first.id, "finding"),
    ] {
        let refused = store.add_comment(tenant, on, answer(answers), operator(), "root").await;
        assert!(
            matches!(&refused, Err(StoreError::Missing { kind: what, .. }) if *what == kind),
            "{refused:?}"
        );
    }

    ground.advance(Duration::from_secs(60)).await;
    let edit = async |seen, words| store.edit_comment(tenant, first.id, seen, text(words), "amy").await;
    let edited = edit(Some(first.clone()), "second words").await.unwrap();
    assert_eq!((edited.edits, edited.number, edited.written_at), (1, 1, first.written_at));
    assert_eq!(edit(None, "second words").await.unwrap(), edited, "the same words are no other ones");
    let late = edit(Some(first.clone()), "too late").await;
    assert!(matches!(late, Err(StoreError::Changed { kind: "comment", .. })), "{late:?}");
    ground.advance(Duration::from_secs(60)).await;
    let again = edit(None, "third words").await.unwrap();
    let edits = store.comment_edits(tenant, first.id, 0, 10).await.unwrap();
    let texts: Vec<&str> = edits.iter().map(|edit| edit.text.as_str()).collect();
    assert_eq!(texts, [hostile, "second words"]);
    let times = [edits[0].written_at, edits[0].replaced_at, edits[1].written_at, edits[1].replaced_at];
    assert_eq!(times, [first.written_at, times[2], edited.edited_at.unwrap(), again.edited_at.unwrap()]);
    assert_eq!(store.comment_edits(tenant, first.id, 1, 10).await.unwrap(), &edits[1..]);

    let stale = store.delete_comment(tenant, first.id, Some(edited), "admin").await;
    assert!(matches!(stale, Err(StoreError::Changed { .. })), "{stale:?}");
    for _ in 0..2 {
        store.delete_comment(tenant, first.id, None, "admin").await.unwrap();
    }
    let all = comments(&ground, on).await;
    assert_eq!(all.len(), 3, "it keeps its place");
    assert_eq!((&all[0].text, all[0].deleted_by.as_deref(), all[0].edits), (&None, Some("admin"), 0));
    assert_eq!((&all[0].by, &all[1]), (&person(&amy), &second));
    assert_eq!(store.comment_edits(tenant, first.id, 0, 10).await.unwrap(), []);
    let over = edit(None, "again").await;
    assert!(matches!(over, Err(StoreError::Deleted { kind: "comment", .. })), "{over:?}");
    let everything =
        format!("{:?}{:?}", rows(&ground, "comments").await, rows(&ground, "comment_edits").await);
    assert!(!everything.contains("words") && !everything.contains("script"), "{everything}");

    let id = first.id;
    let told = told(&ground, begin).await;
    let mentioned = Vec::new;
    assert_eq!(told[0], Happening::CommentAdded { comment: id, on, mentioned: mentioned() });
    let words: Vec<&str> = told.iter().map(Happening::word).collect();
    assert_eq!(words[1..4], ["comment_added"; 3]);
    assert_eq!(words[4..], ["comment_changed", "comment_changed", "comment_deleted"]);
    assert_eq!(told[4], Happening::CommentChanged { comment: id, on, mentioned: mentioned() });
    assert_eq!(told[6], Happening::CommentDeleted { comment: id, on });
    let (id, length) = (id.to_string(), hostile.chars().count());
    let done = audited(&ground, "comment.").await;
    let of_first: Vec<[&str; 3]> = done
        .iter()
        .filter(|[_, _, subject, _]| *subject == id)
        .map(|[by, action, _, detail]| [by.as_str(), action.as_str(), detail.as_str()])
        .collect();
    let detail = |length| format!("on finding {fingerprint}, {length} characters");
    assert_eq!(
        of_first,
        [
            ["amy", "comment.add", &detail(length)],
            ["amy", "comment.edit", &detail(12)],
            ["amy", "comment.edit", &detail(11)],
            ["admin", "comment.delete", &detail(11)],
        ]
    );
    assert_eq!(done.len(), 7);
    assert!(!format!("{:?}", rows(&ground, "audit").await).contains("words"), "the audit repeats no text");
}

async fn who_is_mentioned_is_told_where(ground: Ground) {
    let on = Topic::Finding(found(&ground).await.1);
    let other = ground.of(ground.another_tenant("other").await);
    let amy = user(&ground, "amy", Role::Analyst).await;
    let mail = user(&ground, "amy@acme.test", Role::Viewer).await;
    let machine = user(&ground, "machine", Role::Scanner).await;
    let stranger = user(&other, "stranger", Role::Owner).await;
    let begin = ground.store.latest_happening(ground.tenant).await.unwrap();
    let words = "@amy@acme.test, see `@amy`: @stranger @nobody @machine";
    let first = said(&ground, on, &operator(), words).await;
    assert_eq!(first.mentions, [mail.id]);
    let second = said(&ground, on, &person(&amy), "@Amy, and @AMY@acme.test! @amy@acme.test").await;
    assert_eq!(second.mentions, [mail.id], "nobody is told of what they say themselves");
    assert_eq!(mentioned(&ground, mail.id).await, [(second.id, true), (first.id, true)]);
    for (id, ground) in [(amy.id, &ground), (machine.id, &ground), (stranger.id, &other)] {
        assert_eq!(mentioned(ground, id).await, []);
    }
    let told_of = |told: &[Happening]| -> Vec<Vec<UserId>> {
        let of = told.iter().map(|happening| match happening {
            Happening::CommentAdded { mentioned, .. } | Happening::CommentChanged { mentioned, .. } => {
                mentioned.clone()
            }
            other => panic!("{other:?}"),
        });
        of.collect()
    };
    assert_eq!(told_of(&told(&ground, begin).await), [vec![mail.id], vec![mail.id]]);

    // One after the other, while one is added.
    let (store, tenant) = (&ground.store, ground.tenant);
    let newest = store.mentions(tenant, mail.id, MentionFilter::default(), 1).await.unwrap().remove(0);
    ground.advance(Duration::from_secs(60)).await;
    let third = said(&ground, on, &operator(), "@amy@acme.test").await;
    let before = Some(Older { than: newest.mentioned_at, id: newest.comment.id.as_uuid() });
    let rest = MentionFilter { before, ..MentionFilter::default() };
    let rest = store.mentions(tenant, mail.id, rest, 10).await.unwrap();
    assert_eq!(rest.iter().map(|mention| mention.comment.id).collect::<Vec<_>>(), [first.id]);

    // What was read mentions somebody anew when it is said in other words.
    let read = store.mark_read(tenant, mail.id, on, second.id).await.unwrap();
    assert_eq!((read.read_up_to, read.unread), (2, 1));
    store.mark_read(tenant, amy.id, on, third.id).await.unwrap();
    let unread = MentionFilter { unread: true, ..MentionFilter::default() };
    let unread = store.mentions(tenant, mail.id, unread, 10).await.unwrap();
    assert_eq!(unread.iter().map(|mention| mention.comment.id).collect::<Vec<_>>(), [third.id]);
    ground.advance(Duration::from_secs(60)).await;
    let begin = store.latest_happening(tenant).await.unwrap();
    let words = text("@amy, @amy@acme.test");
    let edited = store.edit_comment(tenant, first.id, None, words, "root").await.unwrap();
    assert_eq!(edited.mentions.len(), 2);
    assert_eq!(told_of(&told(&ground, begin).await), [vec![amy.id]], "who was mentioned before is not again");
    assert_eq!(mentioned(&ground, amy.id).await, [(first.id, true)]);
    store.mark_read(tenant, amy.id, on, third.id).await.unwrap();
    assert_eq!(mentioned(&ground, amy.id).await, [(first.id, false)]);
    store.edit_comment(tenant, first.id, None, text("nobody"), "root").await.unwrap();
    assert_eq!(mentioned(&ground, amy.id).await, []);
    store.delete_comment(tenant, third.id, None, "root").await.unwrap();
    assert_eq!(mentioned(&ground, mail.id).await, [(second.id, false)]);
}

async fn whoever_cannot_log_in_is_not_mentioned(ground: Ground) {
    let on = Topic::Finding(found(&ground).await.1);
    let (store, tenant) = (&ground.store, ground.tenant);
    let gone = user(&ground, "gone", Role::Owner).await;
    user(&ground, "root", Role::Owner).await;
    let new = NewUser { name: "new".parse().unwrap(), role: Role::Viewer };
    let invited = FirstPassword::Invited(Token::from_random([7; 32]));
    let new = store.create_user(tenant, new, invited, "test").await.unwrap();
    let disable = async |disabled| {
        store.change_user(tenant, gone.id, None, None, Some(disabled), "test").await.unwrap();
    };
    disable(true).await;
    let first = said(&ground, on, &operator(), "@gone, @new and @nobody").await;
    assert_eq!(first.mentions, []);
    assert_eq!((mentioned(&ground, gone.id).await, mentioned(&ground, new.id).await), (vec![], vec![]));
    disable(false).await;
    assert_eq!(said(&ground, on, &operator(), "@gone, @new and @nobody").await.mentions, [gone.id]);
}

async fn each_reads_for_themselves(ground: Ground) {
    let (seen_by, fingerprint) = found(&ground).await;
    let (on, of_scan) = (Topic::Finding(fingerprint), Topic::Scan(seen_by));
    let (store, tenant) = (&ground.store, ground.tenant);
    said(&ground, on, &operator(), "before anybody was there").await;
    ground.advance(Duration::from_secs(60)).await;
    let (amy, bob) = (user(&ground, "amy", Role::Analyst).await, user(&ground, "bob", Role::Viewer).await);
    assert_eq!(unread(&ground, amy.id).await, [], "nobody is behind when they come");
    assert_eq!(reading(&ground, amy.id, of_scan).await, (0, 0));
    let second = said(&ground, on, &person(&amy), "mine").await;
    let third = said(&ground, on, &operator(), "a machine's").await;
    ground.advance(Duration::from_secs(60)).await;
    let scans = said(&ground, of_scan, &operator(), "of the scan").await;
    assert_eq!(unread(&ground, amy.id).await, [(of_scan, 1), (on, 1)], "one's own is read");
    assert_eq!(unread(&ground, bob.id).await, [(of_scan, 1), (on, 2)]);
    let mark = async |user: UserId, on, up_to| store.mark_read(tenant, user, on, up_to).await;
    assert_eq!(mark(bob.id, on, second.id).await.unwrap(), Reading { read_up_to: 2, unread: 1 });
    assert_eq!(mark(bob.id, on, third.id).await.unwrap(), Reading { read_up_to: 3, unread: 0 });
    assert_eq!(
        mark(bob.id, on, second.id).await.unwrap(),
        Reading { read_up_to: 3, unread: 0 },
        "never back"
    );
    assert_eq!(reading(&ground, amy.id, on).await, (0, 1), "and nobody else's");
    for wrong in [mark(bob.id, on, scans.id).await, mark(UserId::new(uuid::Uuid::nil()), on, third.id).await]
    {
        assert!(matches!(wrong, Err(StoreError::Missing { .. })), "{wrong:?}");
    }
    store.delete_comment(tenant, third.id, None, "root").await.unwrap();
    assert_eq!(reading(&ground, amy.id, on).await, (0, 0), "what was taken back needs no reading");
    assert_eq!(unread(&ground, bob.id).await, [(of_scan, 1)]);

    // All of them, for whoever asks, one after the other.
    let page = async |reader, before| {
        let filter = ConversationFilter { unread: false, before };
        store.conversations(tenant, reader, filter, 1).await.unwrap()
    };
    let first = page(None, None).await.remove(0);
    assert_eq!((first.on, first.comments, first.unread), (of_scan, 1, None));
    let older = |of: &model::comment::ConversationRecord| Older { than: of.last_at, id: of.id.as_uuid() };
    let last = page(Some(bob.id), Some(older(&first))).await.remove(0);
    assert_eq!((last.on, last.comments, last.unread), (on, 3, Some(0)));
    assert_eq!(page(None, Some(older(&last))).await, []);
}

async fn however_many_speak_at_once_each_has_a_number(ground: Ground) {
    let on = Topic::Finding(found(&ground).await.1);
    let amy = user(&ground, "amy", Role::Analyst).await;
    // Somebody turns the pages meanwhile.
    let turning = async {
        let (mut seen, mut after) = (Vec::new(), 0);
        while seen.len() < 24 {
            let page = ground.store.comments(ground.tenant, on, after, 5).await.unwrap();
            after = page.last().map_or(after, |last| last.number);
            seen.extend(page.iter().map(|comment| comment.number));
        }
        seen
    };
    let author = operator();
    let speaking = join_all(
        (0..24).map(|number| said(&ground, on, &author, if number % 2 == 0 { "@amy" } else { "x" })),
    );
    let (_, seen) = tokio::join!(speaking, turning);
    assert_eq!(seen, (1..=24).collect::<Vec<u64>>());
    assert_eq!(rows(&ground, "conversations").await.len(), 1);
    assert_eq!(mentioned(&ground, amy.id).await.len(), 12);
}

async fn whoever_waited_takes_no_conversation_back_in_time(ground: Ground) {
    let on = Topic::Finding(found(&ground).await.1);
    let first = said(&ground, on, &operator(), "first").await;
    let last_at = async || {
        let filter = ConversationFilter { unread: false, before: None };
        let found = ground.store.conversations(ground.tenant, None, filter, 10).await.unwrap();
        (found[0].comments, found[0].last_at)
    };
    assert_eq!(last_at().await, (1, first.written_at));
    // Somebody who begins later is through before the next one gets the conversation.
    let later = match &ground.location {
        Location::Sqlite(_) => "last_at + 60000000",
        Location::Postgres { .. } => "last_at + interval '1 minute'",
    };
    forge(&ground, &format!("UPDATE conversations SET last_at = {later}")).await.unwrap();
    let minute = Duration::from_secs(60);
    said(&ground, on, &operator(), "began before").await;
    assert_eq!(last_at().await, (2, first.written_at + minute));
    ground.advance(2 * minute).await;
    let third = said(&ground, on, &operator(), "begins after").await;
    assert_eq!(last_at().await, (3, third.written_at));
}

async fn a_page_ends_with_enough_text_and_earlier_texts_end(ground: Ground) {
    let on = Topic::Finding(found(&ground).await.1);
    let (store, tenant) = (&ground.store, ground.tenant);
    // 20,000 bytes each.
    let long = "ü".repeat(10_000);
    let mut last = None;
    for _ in 0..56 {
        last = Some(said(&ground, on, &operator(), &long).await);
    }
    let numbers = async |after, at_most| {
        let page = store.comments(tenant, on, after, at_most).await.unwrap();
        page.iter().map(|comment| comment.number).collect::<Vec<u64>>()
    };
    assert_eq!(numbers(0, 500).await, (1..=53).collect::<Vec<u64>>(), "53 of them are 1 MiB");
    assert_eq!(numbers(53, 500).await, [54, 55, 56]);
    assert_eq!(numbers(1, 51).await, (2..=52).collect::<Vec<u64>>());
    assert_eq!(numbers(56, 500).await, [0; 0]);

    let id = last.unwrap().id;
    let edit = async |words: String| store.edit_comment(tenant, id, None, text(&words), "root").await;
    for number in 0..100 {
        edit(format!("{number:03}{}", &long[..19_980])).await.unwrap();
    }
    let over = edit("once more".to_owned()).await;
    assert!(matches!(over, Err(StoreError::ChangedTooOften { most: 100, .. })), "{over:?}");
    let is = store.comment(tenant, id).await.unwrap();
    assert_eq!((is.edits, &is.text.unwrap().as_str()[..3]), (100, "099"));
    assert_eq!(edit(format!("099{}", &long[..19_980])).await.unwrap().edits, 100, "the same words");
    let edits = async |after| {
        let page = store.comment_edits(tenant, id, after, 500).await.unwrap();
        page.iter().map(|edit| edit.number).collect::<Vec<u64>>()
    };
    assert_eq!(edits(0).await, (1..=53).collect::<Vec<u64>>());
    assert_eq!(edits(53).await, (54..=100).collect::<Vec<u64>>());
    store.delete_comment(tenant, id, None, "root").await.unwrap();
}

async fn what_is_said_of_a_scan_goes_with_it(ground: Ground) {
    let (old, fingerprint) = found(&ground).await;
    let amy = user(&ground, "amy", Role::Analyst).await;
    let first = said(&ground, Topic::Scan(old), &operator(), "@amy: first").await;
    let new = NewComment { text: text("yes"), answers: Some(first.id) };
    ground.store.add_comment(ground.tenant, Topic::Scan(old), new, person(&amy), "amy").await.unwrap();
    ground.store.edit_comment(ground.tenant, first.id, None, text("@amy: edited"), "root").await.unwrap();
    ground.store.mark_read(ground.tenant, amy.id, Topic::Scan(old), first.id).await.unwrap();
    let kept = said(&ground, Topic::Finding(fingerprint), &operator(), "kept").await;
    ground.advance(Duration::from_secs(40 * 24 * 60 * 60)).await;
    let (_, _) = found(&ground).await;
    let retention = Retention { scans: Some(Duration::from_secs(30 * 24 * 60 * 60)), ..Retention::default() };
    while ground.store.forget(retention).await.unwrap() > 0 {}
    // It is there for nobody any more, and its rows still are.
    assert_eq!(rows(&ground, "comments").await.len(), 3);
    let (store, tenant) = (&ground.store, ground.tenant);
    for missing in [
        store.comment(tenant, first.id).await.map(drop),
        store.comment_edits(tenant, first.id, 0, 10).await.map(drop),
        store.comments(tenant, Topic::Scan(old), 0, 10).await.map(drop),
        store.edit_comment(tenant, first.id, None, text("x"), "root").await.map(drop),
        store.delete_comment(tenant, first.id, None, "root").await,
        store.mark_read(tenant, amy.id, Topic::Scan(old), first.id).await.map(drop),
    ] {
        assert!(matches!(missing, Err(StoreError::Missing { .. })), "{missing:?}");
    }
    assert_eq!(mentioned(&ground, amy.id).await, []);
    assert_eq!(unread(&ground, amy.id).await, [(kept.on, 1)]);
    assert_eq!(ground.store.sweep_scans(None).await.unwrap(), 1);
    for (table, count) in
        [("comments", 1), ("conversations", 1), ("comment_edits", 0), ("mentions", 0), ("read_marks", 0)]
    {
        assert_eq!(rows(&ground, table).await.len(), count, "{table}");
    }
}

async fn whoever_is_forgotten_leaves_what_they_said(ground: Ground) {
    let on = Topic::Finding(found(&ground).await.1);
    let (amy, bob) = (user(&ground, "amy", Role::Analyst).await, user(&ground, "bob", Role::Analyst).await);
    let first = said(&ground, on, &person(&amy), "@bob: look").await;
    let second = said(&ground, on, &person(&bob), "@amy: done").await;
    ground.store.mark_read(ground.tenant, amy.id, on, second.id).await.unwrap();
    ground.store.delete_user(ground.tenant, amy.id, None, "test").await.unwrap();
    let all = comments(&ground, on).await;
    assert_eq!((&all[0], &all[1].mentions), (&first, &vec![]));
    assert_eq!((rows(&ground, "mentions").await.len(), rows(&ground, "read_marks").await.len()), (1, 0));
    let again = user(&ground, "amy", Role::Analyst).await;
    assert!(!first.by.is(&person(&again)), "another one has the name, and not what was said");
    assert_eq!(mentioned(&ground, again.id).await, []);
    let gone = ground.store.mentions(ground.tenant, amy.id, MentionFilter::default(), 10).await;
    assert!(matches!(gone, Err(StoreError::Missing { kind: "user", .. })), "{gone:?}");
}
