//! Large documents: in a directory, in what speaks S3, in what speaks as Google does; and evidence that lies there.

use std::{io::Write, path::Path, sync::OnceLock, time::Duration};

use model::{Evidence, Fingerprint, Outcome, ScanId, Severity, Stage, TenantId, finding::EvidenceKind};
use store::{Ending, ObjectKey, Objects, Store, StoreError};
use testkit::{
    http::{HttpServer, response},
    objects::{Access, Server},
    tcp::TcpServer,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    findings::{almost, finding, scan},
    ground::{Ground, Worker, settle},
};

crate::contract! {
    evidence_lies_in_objects_and_is_found_there
    no_result_waits_for_the_object_storage
    no_result_waits_for_an_object_storage_that_stalls
    what_no_finding_names_is_swept_after_a_week_and_nothing_else
    evidence_that_somebody_removed_is_said_to_be_cut
    evidence_from_before_stays_in_the_database
}

/// Blocks while it starts, as does everything else of the kit.
async fn server(access: Access) -> Server {
    tokio::task::spawn_blocking(move || Server::start(access)).await.unwrap()
}

fn files(below: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut directories = vec![below.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => directories.push(entry.path()),
                false => found.push(entry.path().strip_prefix(below).unwrap().display().to_string()),
            }
        }
    }
    found.sort();
    found
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::report(TenantId::new(uuid::Uuid::from_u128(1)), ScanId::from_random(3), name)
}

async fn a_document_comes_back_as_it_was(objects: Objects, directory: &Path) {
    let (small, large) = (key("small"), key("large"));
    let missing = objects.get(&small).await;
    assert!(matches!(&missing, Err(StoreError::Missing { kind: "object", .. })), "{missing:?}");
    for body in ["first", "", "the one after it"] {
        objects.put(&small, body.as_bytes().to_vec()).await.unwrap();
        assert_eq!(objects.get(&small).await.unwrap(), body.as_bytes());
    }
    // More than one part, and no two pieces alike.
    let pieces = || (0..1_500_000_u64).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    let (to, name) = (objects.clone(), large.clone());
    let written = tokio::task::spawn_blocking(move || {
        let mut upload = to.begin(&name).unwrap();
        for piece in pieces() {
            upload.write_all(&piece).unwrap();
        }
        upload.finish().unwrap();
        let mut given_up = to.begin(&key("given up")).unwrap();
        for piece in pieces() {
            given_up.write_all(&piece).unwrap();
        }
    });
    written.await.unwrap();
    assert_eq!(files(directory).len(), 2, "what was given up is gone: {:?}", files(directory));
    let mut read = Vec::new();
    let mut download = objects.download(&large).await.unwrap();
    while let Some(piece) = download.next().await.unwrap() {
        read.extend_from_slice(&piece);
    }
    assert!(read == pieces().flatten().collect::<Vec<u8>>(), "{} bytes", read.len());
    objects.check().await.unwrap();
    assert_eq!(files(directory).len(), 2, "{:?}", files(directory));
    for _ in 0..2 {
        objects.delete(&small).await.unwrap();
    }
    assert_eq!(files(directory).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_keeps_documents() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("file:{}", directory.path().display());
    a_document_comes_back_as_it_was(Objects::open(&url).unwrap(), directory.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_speaks_s3_keeps_documents() {
    let server = server(Access::Signed).await;
    a_document_comes_back_as_it_was(Objects::open(&server.url()).unwrap(), &server.objects()).await;
    let stranger = Objects::open(&server.url_with("guessed")).unwrap();
    let refused = stranger.put(&key("small"), b"x".to_vec()).await;
    assert!(matches!(&refused, Err(StoreError::Objects(why)) if !why.contains("guessed")), "{refused:?}");
    assert!(stranger.check().await.is_err() && stranger.get(&key("large")).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_cannot_be_written_says_why_and_is_asked_no_more() {
    let server = server(Access::Signed).await;
    let objects = Objects::open(&server.url_with("guessed")).unwrap();
    let written = tokio::task::spawn_blocking(move || {
        let mut out = std::io::BufWriter::new(objects.begin(&key("large")).unwrap());
        let failed = (0..12 << 10).find_map(|_| out.write_all(&[7; 1 << 10]).err()).unwrap();
        assert!(failed.to_string().contains("403"), "{failed}");
        assert!(out.flush().unwrap_err().to_string().contains("given up"));
        // Its buffer is written once more here.
        drop(out);
    });
    written.await.unwrap();
    assert_eq!(files(&server.objects()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_left_unfinished_is_removed_when_the_report_is_written_again() {
    let directory = tempfile::tempdir().unwrap();
    let objects = Objects::directory(directory.path()).unwrap();
    objects.put(&key("report.html"), b"whole".to_vec()).await.unwrap();
    let [whole] = &files(directory.path())[..] else { panic!("one file") };
    let beside = |name: &str| directory.path().join(whole.replace("report.html", name));
    let (old, young) = (beside("report.html#1"), beside("report.html#2"));
    for path in [&old, &young] {
        std::fs::write(path, "half").unwrap();
    }
    let before = std::time::SystemTime::now() - Duration::from_secs(2 * 60 * 60);
    std::fs::File::options().write(true).open(&old).unwrap().set_modified(before).unwrap();
    let begun = tokio::task::spawn_blocking(move || drop(objects.begin(&key("report.html")).unwrap()));
    begun.await.unwrap();
    assert!(!old.exists() && young.exists(), "whoever wrote a moment ago may still do so");
    assert!(directory.path().join(whole).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_speaks_as_google_does_keeps_documents() {
    let server = server(Access::Open).await;
    a_document_comes_back_as_it_was(Objects::open(&server.url()).unwrap(), &server.objects()).await;
}

/// A ground whose evidence goes to a server.
async fn with_objects(mut ground: Ground, server: &Server) -> Ground {
    ground.store = ground.store.clone().with_evidence_in(Objects::open(&server.url()).unwrap());
    ground
}

/// For cases that neither stop it nor count what is in it.
fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| Server::start(Access::Signed))
}

const SEEN: [(&str, Outcome); 2] = [("git-config", Outcome::Matched), ("env-file", Outcome::Matched)];

async fn evidence_of(
    store: &Store,
    tenant: TenantId,
    fingerprint: Fingerprint,
) -> Result<Vec<Evidence>, StoreError> {
    Ok(store.finding_documents(tenant, vec![fingerprint]).await?.remove(0).evidence)
}

async fn evidence_lies_in_objects_and_is_found_there(ground: Ground) {
    let server = tokio::task::spawn_blocking(shared).await.unwrap();
    let plain = ground.store.clone();
    let ground = with_objects(ground, server).await;
    let two = [finding("git-config", Severity::High), finding("env-file", Severity::Low)];
    scan(&ground, two.to_vec(), &SEEN).await;
    let fingerprints: Vec<_> = two.iter().map(|finding| finding.fingerprint).collect();
    let documents = ground.store.finding_documents(ground.tenant, fingerprints.clone()).await.unwrap();
    let expected: Vec<_> = two.iter().map(|finding| finding.evidence.clone()).collect();
    assert_eq!(documents.into_iter().map(|finding| finding.evidence).collect::<Vec<_>>(), expected);
    assert_eq!(evidence_of(&ground.store, ground.tenant, fingerprints[0]).await.unwrap(), expected[0]);
    // One object of one unit, in the tenant's own place; none of it in the database.
    let own = server.objects().join("evidence").join(ground.tenant.to_string());
    assert_eq!(files(&own).len(), 1);
    let without = evidence_of(&plain, ground.tenant, fingerprints[0]).await;
    assert!(
        matches!(&without, Err(StoreError::Invalid(why)) if why.contains("object storage")),
        "{without:?}"
    );
    let other = ground.another_tenant("other").await;
    assert_eq!(ground.store.finding_documents(other, fingerprints).await.unwrap(), []);
}

async fn no_result_waits_for_the_object_storage(ground: Ground) {
    let server = server(Access::Signed).await;
    let plain = ground.store.clone();
    let ground = with_objects(ground, &server).await;
    let git = finding("git-config", Severity::High);
    let (_, settlement) = almost(&ground, vec![git.clone()], &SEEN[..1]).await;
    let stop = move || {
        server.stop();
        server
    };
    let server = tokio::task::spawn_blocking(stop).await.unwrap();
    let settled = ground.store.settle(vec![settlement.clone()]).await.unwrap().remove(0).unwrap();
    assert_eq!((settled.state, settled.again), ("completed", false));
    // It is in the database, where everybody finds it.
    for store in [&ground.store, &plain] {
        assert_eq!(evidence_of(store, ground.tenant, git.fingerprint).await.unwrap(), git.evidence);
    }
    let start = move || {
        server.start_again();
        server
    };
    let server = tokio::task::spawn_blocking(start).await.unwrap();
    // Said again by somebody who reaches the storage, it is written there and named by nothing.
    let ground = with_objects(ground, &server).await;
    let settled = ground.store.settle(vec![settlement]).await.unwrap().remove(0).unwrap();
    assert_eq!((settled.state, settled.again), ("completed", true));
    assert_eq!(files(&server.objects()).len(), 1);
    assert_eq!(evidence_of(&plain, ground.tenant, git.fingerprint).await.unwrap(), git.evidence);
    let report = Worker::new(1).claim_of(&ground, &[Stage::Report], 1).await.remove(0);
    settle(&ground, report.lease, Ending::Completed).await.unwrap();
    // The next goes there again.
    let env = finding("env-file", Severity::Low);
    scan(&ground, vec![env.clone()], &SEEN[1..]).await;
    assert_eq!(files(&server.objects()).len(), 2);
    assert!(matches!(evidence_of(&plain, ground.tenant, env.fingerprint).await, Err(StoreError::Invalid(_))));
}

/// Takes connections, says no more than this, and leaves them open.
async fn stalling(says: &'static str) -> TcpServer {
    TcpServer::start(async move |mut stream, _| {
        let mut asked = [0; 1 << 10];
        while stream.read(&mut asked).await? == asked.len() {}
        stream.write_all(says.as_bytes()).await?;
        std::future::pending().await
    })
    .await
}

fn objects_at(server: &TcpServer) -> Objects {
    Objects::open(&format!("s3://key:secret@bucket?endpoint=http://{}", server.address())).unwrap()
}

const STALLS: [&str; 2] = ["", "HTTP/1.1 403 Forbidden\r\nContent-Length: 999\r\n\r\n<Error>"];

async fn no_result_waits_for_an_object_storage_that_stalls(mut ground: Ground) {
    // Far longer than anybody may wait, and shorter than an answer of a storage may take.
    const SOME_SECONDS: Duration = Duration::from_secs(25);
    let plain = ground.store.clone();
    for says in STALLS {
        let server = stalling(says).await;
        ground.store = plain.clone().with_evidence_in(objects_at(&server));
        let git = finding("git-config", Severity::High);
        let (_, settlement) = almost(&ground, vec![git.clone()], &SEEN[..1]).await;
        let settling = tokio::time::timeout(SOME_SECONDS, ground.store.settle(vec![settlement]));
        let settled = settling.await.unwrap().unwrap().remove(0).unwrap();
        assert_eq!((settled.state, settled.again), ("completed", false));
        assert_eq!(evidence_of(&plain, ground.tenant, git.fingerprint).await.unwrap(), git.evidence);
        let report = Worker::new(1).claim_of(&ground, &[Stage::Report], 1).await.remove(0);
        settle(&ground, report.lease, Ending::Completed).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_ever_for_what_an_object_storage_does_not_say() {
    const A_MINUTE: Duration = Duration::from_secs(60);
    let server = stalling(STALLS[1]).await;
    let objects = objects_at(&server);
    let write = |objects: Objects| {
        let mut upload = objects.begin(&key("small")).unwrap();
        upload.write_all(b"small").unwrap();
        upload.finish()
    };
    let to = objects.clone();
    let asked = async { tokio::join!(objects.check(), tokio::task::spawn_blocking(move || write(to))) };
    let (checked, written) = tokio::time::timeout(A_MINUTE, asked).await.unwrap();
    for refused in [checked, written.unwrap()] {
        // What was said is told, as far as it came.
        assert!(
            matches!(&refused, Err(StoreError::Objects(why)) if why.ends_with("403 Forbidden: <Error>")),
            "{refused:?}"
        );
    }
    let ground = Ground::sqlite().await;
    let store = ground.store.clone().with_evidence_in(objects);
    let swept = tokio::time::timeout(A_MINUTE, store.sweep_evidence(Duration::ZERO)).await.unwrap();
    assert!(matches!(&swept, Err(StoreError::Objects(_))), "{swept:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_winded_object_storage_is_not_repeated_at_length() {
    let server = HttpServer::start(|_| response("403 Forbidden", &[], [b'x'; 100 << 10])).await;
    let objects =
        Objects::open(&format!("s3://key:secret@bucket?endpoint=http://{}", server.address())).unwrap();
    let to = objects.clone();
    let write = move || {
        let mut upload = to.begin(&key("small")).unwrap();
        upload.write_all(b"small").unwrap();
        upload.finish()
    };
    let write_much = {
        let to = objects.clone();
        move || (0..64).find_map(|_| to.begin(&key("large")).unwrap().write_all(&[7; 24 << 20]).err())
    };
    let refusals = [
        objects.put(&key("small"), b"small".to_vec()).await.unwrap_err().to_string(),
        objects.get(&key("small")).await.unwrap_err().to_string(),
        objects.delete(&key("small")).await.unwrap_err().to_string(),
        tokio::task::spawn_blocking(write).await.unwrap().unwrap_err().to_string(),
        tokio::task::spawn_blocking(write_much).await.unwrap().unwrap().to_string(),
    ];
    for said in refusals {
        assert!(said.contains("403 Forbidden: xxx") && said.len() < 1_000, "{}: {said}", said.len());
    }
}

async fn what_no_finding_names_is_swept_after_a_week_and_nothing_else(ground: Ground) {
    const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
    let server = server(Access::Signed).await;
    let ground = with_objects(ground, &server).await;
    let git = || vec![finding("git-config", Severity::High)];
    scan(&ground, git(), &SEEN[..1]).await;
    scan(&ground, git(), &SEEN[..1]).await;
    // Another installation's, in the same place.
    let strangers =
        server.objects().join("evidence").join(TenantId::new(uuid::Uuid::from_u128(1)).to_string());
    std::fs::create_dir_all(&strangers).unwrap();
    std::fs::write(strangers.join("some.json"), "{}").unwrap();
    assert_eq!(files(&server.objects()).len(), 3);
    assert_eq!(ground.store.sweep_evidence(WEEK).await.unwrap(), 0, "it is not a week old");
    ground.advance(WEEK + Duration::from_secs(60)).await;
    assert_eq!(ground.store.sweep_evidence(WEEK).await.unwrap(), 1);
    assert_eq!(files(&server.objects()).len(), 2);
    assert!(strangers.join("some.json").exists());
    assert_eq!(
        evidence_of(&ground.store, ground.tenant, git()[0].fingerprint).await.unwrap(),
        git()[0].evidence
    );
    assert_eq!(ground.store.sweep_evidence(WEEK).await.unwrap(), 0);
}

async fn evidence_that_somebody_removed_is_said_to_be_cut(ground: Ground) {
    let server = server(Access::Signed).await;
    let ground = with_objects(ground, &server).await;
    let git = finding("git-config", Severity::High);
    scan(&ground, vec![git.clone()], &SEEN[..1]).await;
    std::fs::remove_dir_all(server.objects().join("evidence")).unwrap();
    let documents = ground.store.finding_documents(ground.tenant, vec![git.fingerprint]).await.unwrap();
    assert!(documents[0].evidence.len() == 1 && documents[0].evidence[0].truncated, "{documents:?}");
    let listed = ground.store.evidence(ground.tenant, git.fingerprint).await.unwrap();
    assert!(matches!(&listed[..], [(record, None)] if record.kind == EvidenceKind::Gone), "{listed:?}");
}

async fn evidence_from_before_stays_in_the_database(ground: Ground) {
    let (git, env) = (finding("git-config", Severity::High), finding("env-file", Severity::Low));
    scan(&ground, vec![git.clone()], &SEEN[..1]).await;
    let plain = ground.store.clone();
    let server = tokio::task::spawn_blocking(shared).await.unwrap();
    let ground = with_objects(ground, server).await;
    scan(&ground, vec![env.clone()], &SEEN[1..]).await;
    let asked = vec![git.fingerprint, env.fingerprint];
    let documents = ground.store.finding_documents(ground.tenant, asked).await.unwrap();
    assert_eq!(
        documents.iter().map(|found| &found.evidence).collect::<Vec<_>>(),
        [&git.evidence, &env.evidence]
    );
    assert_eq!(evidence_of(&plain, ground.tenant, git.fingerprint).await.unwrap(), git.evidence);
    // One by one they are the same, wherever they are.
    for found in [&git, &env] {
        let listed = ground.store.evidence(ground.tenant, found.fingerprint).await.unwrap();
        let was: Vec<Evidence> = listed.into_iter().filter_map(|(_, evidence)| evidence).collect();
        assert_eq!(was, found.evidence);
    }
    // Seen again without it, it is in the database again.
    let mut ground = ground;
    ground.store = plain.clone();
    scan(&ground, vec![env.clone()], &SEEN[1..]).await;
    assert_eq!(evidence_of(&plain, ground.tenant, env.fingerprint).await.unwrap(), env.evidence);
}
