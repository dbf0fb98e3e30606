//! Whoever knows identifiers of another tenant's things knows nothing: each of them, at each place of each operation of the document, is
//! answered as if it were the id of nothing, and changes nothing of what they have.

mod places;
mod things;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use futures_util::StreamExt;
use hyper::Method;
use model::{Authority, Reach, Role};
use serde_json::Value;
use store::NewTenant;
use tokio::sync::RwLock;

use self::{
    places::{Asked, At, Place, nobodys, places},
    things::{Asker, Furnished, Harvest, Known, ONCE, ask, furnish, harvest},
};
use crate::{
    document::{DOCUMENT, stays},
    ground::{Answer, Ground, named},
    live::Follower,
    postgres::Postgres,
    routes::sample,
};

/// In every name and text of the other tenant.
const MARKER: &str = "veiled";
/// And in those of who asks.
const OWN: &str = "plainly";
/// Texts that are shorter are in many answers by chance.
const TELLING: usize = 8;
/// Operations that are tried at the same time.
const AT_ONCE: usize = 8;
/// Of what is long an error tells the beginning. Ids that were made at the same moment have a shorter one in common (RFC 9562, 5.7).
const BEGINNING: usize = 24;

/// An operation of the document, and what is usually sent.
struct Operation {
    method: Method,
    about: &'static Value,
    usual: Asked,
    places: Vec<Place>,
}

impl Operation {
    /// Anybody may ask, whoever they are.
    fn is_open(&self) -> bool {
        self.about["security"] == serde_json::json!([{}])
    }

    /// May a text that stands there be kept with one's own things?
    fn may_keep(&self, place: &Place) -> bool {
        // What a package is called is nobody's secret: whoever asks about it has it among their own tasks.
        let is_kept = || place.is_free() || place.of == "PackageUrl";
        self.names(place) || (matches!(place.at, At::Body { .. }) && is_kept())
    }

    /// Does what stands there become the name of a thing of one's own?
    fn names(&self, place: &Place) -> bool {
        match &place.at {
            At::Path => self.method == Method::PUT && place.is_free(),
            At::Body { steps, .. } => self.method == Method::POST && steps == &["name"] && !self.is_open(),
            At::Query | At::Header => false,
        }
    }

    /// What was made once of a sample cannot be made again.
    fn makes_one(&self) -> bool {
        let is_named = self.places.iter().any(|place| self.names(place));
        self.method == Method::POST && (is_named || self.usual.path.ends_with("/rotate"))
    }

    /// It is about somebody's own password: what stands in it names nothing.
    fn is_proof(&self) -> bool {
        !self.is_open() && self.about["requestBody"].to_string().contains("/PasswordChange")
            || self.usual.path.starts_with("/api/v1/me/second-factor")
    }
}

async fn operations(ground: &Ground) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        for (method, about) in item.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let usual = usual(ground, &method, path).await;
            operations.push(Operation { method, about, usual, places: places(about) });
        }
    }
    operations
}

/// A request that is made of things of one's own.
async fn usual(ground: &Ground, method: &Method, path: &str) -> Asked {
    let (sampled, body) = sample(ground, &format!("{method} {path}")).await;
    let parts = path.split('/').zip(sampled.split('/'));
    let in_path = parts.filter_map(|(part, value)| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        Some((name.to_owned(), value.to_owned()))
    });
    let in_path = in_path.collect();
    Asked { path: path.to_owned(), in_path, query: Vec::new(), headers: Vec::new(), body }
}

/// What another tenant has, and who asks for it.
struct Attempt<'g> {
    ground: &'g Ground,
    own: &'g Furnished,
    /// What the other tenant's things are known by, and nothing of one's own is.
    known: Vec<Known>,
    /// What tells that an answer has something of theirs in it.
    telling: Vec<String>,
    /// Where what is theirs is answered in another way than what is nobody's.
    differences: Mutex<Vec<String>>,
    /// Names of theirs that may have become names of one's own.
    kept: Mutex<BTreeSet<String>>,
    /// Nobody asks while a sample is made, which may change what they ask for.
    sampling: RwLock<()>,
}

impl<'g> Attempt<'g> {
    async fn new(
        ground: &'g Ground,
        own: &'g Furnished,
        foreign: &Furnished,
        has: [&Harvest; 2],
    ) -> Attempt<'g> {
        let [mine, theirs] = has;
        let mut common = mine.texts.clone();
        common.extend(document_texts());
        let mut known: Vec<Known> =
            theirs.known.iter().filter(|known| !common.contains(&known.text)).cloned().collect();
        let id = |schema: &str, field: &str, text: String| Known {
            schema: schema.to_owned(),
            field: field.to_owned(),
            text,
        };
        known.push(id("TenantId", "tenant", foreign.tenant.to_string()));
        known.push(id("", "tenant_name", format!("{MARKER}-tenant")));
        known.push(id("", "once", ONCE.to_owned()));
        let place = ground.store.latest_happening(foreign.tenant).await.unwrap();
        known.push(id("", "place", place.to_string()));
        let telling = theirs.texts.difference(&common).filter(|text| text.len() >= TELLING).cloned();
        let telling = telling.chain([MARKER.to_owned(), foreign.tenant.to_string()]).collect();
        Attempt {
            ground,
            own,
            known,
            telling,
            differences: Mutex::default(),
            kept: Mutex::default(),
            sampling: RwLock::default(),
        }
    }

    /// One of each kind that may stand there. Where any text may, what is meant for it, and an id.
    fn values(&self, operation: &Operation, place: &Place) -> Vec<&Known> {
        if place.is_free() || operation.names(place) {
            let named = || self.known.iter().find(|known| known.text == format!("{MARKER}-scope"));
            // What may be kept as one's own comes back: an id of theirs that does would tell of nothing any more.
            let id = self.known.iter().find(|known| known.schema == "ScanId" && !operation.may_keep(place));
            let values: BTreeSet<&Known> = self.meant(place).or_else(named).into_iter().chain(id).collect();
            return values.into_iter().filter(|known| place.fits(&known.text)).collect();
        }
        let mut kinds = BTreeSet::new();
        let kind = |known: &&Known| match known.schema.is_empty() {
            true => known.field.clone(),
            false => known.schema.clone(),
        };
        let fit = self.known.iter().filter(|known| place.fits(&known.text));
        fit.filter(|known| kinds.insert(kind(known))).collect()
    }

    /// What is asked for there.
    fn meant(&self, place: &Place) -> Option<&Known> {
        let (of, field) = match (&place.of[..], &place.field[..]) {
            ("RoleName", _) => ("Role", ""),
            ("", "prefix") => ("KeyPrefix", ""),
            ("", "If-Match" | "If-None-Match") => ("", "etag"),
            ("", "Idempotency-Key") => ("", "once"),
            ("", "Last-Event-ID") => ("", "place"),
            other => other,
        };
        self.known.iter().find(|known| match of {
            "" => known.field == field || known.field == format!("{field}_name"),
            of => known.schema == of,
        })
    }

    /// One for each place, of the kind that is asked for there.
    fn everywhere(&self, operation: &Operation) -> Vec<(Place, String)> {
        let is_one = |place: &&Place| match place.at {
            At::Path | At::Query | At::Body { alone: false, .. } => !operation.names(place),
            At::Header | At::Body { alone: true, .. } => false,
        };
        let meant = |place: &Place| Some((place.clone(), self.meant(place)?.text.clone()));
        operation.places.iter().filter(is_one).filter_map(meant).collect()
    }

    async fn ask(&self, asker: &Asker, operation: &Operation, put: &[(Place, String)]) -> Answer {
        let mut asked = match operation.makes_one() {
            true => {
                let _alone = self.sampling.write().await;
                usual(self.ground, &operation.method, &operation.usual.path).await
            }
            false => operation.usual.clone(),
        };
        let kept = put.iter().filter(|(place, _)| operation.may_keep(place));
        self.kept.lock().unwrap().extend(kept.map(|(_, text)| text.clone()));
        for (place, text) in put {
            place.put(&mut asked, text, operation.about);
        }
        if operation.is_open() {
            // Nobody at one address may try often.
            let [a, b, c]: [u8; 3] = rand::random();
            asked.headers.push(("x-forwarded-for".to_owned(), format!("10.{a}.{b}.{c}")));
        }
        let (uri, method) = (asked.uri(), operation.method.clone());
        let answer = {
            let _beside_others = self.sampling.read().await;
            ask(self.ground, asker, method, &uri, &asked.headers, asked.body.as_ref()).await
        };
        let leaked = self.leaked(&told(&answer, put), put);
        assert!(leaked.is_empty(), "{leaked:?} in {answer:?} to {} {uri}: {asked:?}", operation.method);
        answer
    }

    /// What is told of theirs. A part of what was sent may come back, now or with one's own things later.
    fn leaked(&self, told: &str, put: &[(Place, String)]) -> Vec<&String> {
        let kept = self.kept.lock().unwrap();
        let sent = || put.iter().map(|(_, sent)| sent).chain(&*kept);
        let is_leaked =
            |text: &&String| told.contains(text.as_str()) && !sent().any(|sent| sent.contains(text.as_str()));
        self.telling.iter().filter(is_leaked).collect()
    }

    /// With what is theirs and with what is nobody's.
    async fn compare(&self, asker: &Asker, operation: &Operation, put: Vec<(Place, String)>) {
        let nobodys = put.iter().map(|(place, text)| (place.clone(), nobodys(text))).collect::<Vec<_>>();
        let theirs = self.ask(asker, operation, &put).await;
        let nothing = self.ask(asker, operation, &nobodys).await;
        let route = format!("{} {}", operation.method, operation.usual.path);
        let whole = |answer: &Answer, put: &[(Place, String)]| {
            let mut headers: Vec<&str> = answer.headers.keys().map(|name| name.as_str()).collect();
            // One's own thing, asked for a second time under the key.
            headers.retain(|name| *name != "idempotency-replayed");
            headers.sort_unstable();
            let body = if answer.status.is_success() { String::new() } else { told(answer, put) };
            // What is wrong with a text that is no id is told with a part of it.
            let is_exact = put.iter().all(|(place, _)| !place.is_free()) || body.contains("SENT");
            (
                answer.status,
                answer.body["code"].clone(),
                headers.join(" "),
                if is_exact { body } else { String::new() },
            )
        };
        let (theirs, nothing) = (whole(&theirs, &put), whole(&nothing, &nobodys));
        if theirs != nothing {
            let put: Vec<String> =
                put.iter().map(|(place, text)| format!("{} {text}", place.field)).collect();
            let difference = format!("{route} with {put:?}: {theirs:?} instead of {nothing:?}");
            self.differences.lock().unwrap().push(difference);
        }
    }

    /// At the places that give a name to something of one's own, or at all others.
    async fn try_operation(&self, operation: &Operation, naming: bool) -> usize {
        let mut tried = 0;
        let askers = match operation.is_open() {
            true => vec![Asker { headers: Vec::new() }],
            false => vec![self.own.program.clone(), self.own.person.clone()],
        };
        for (number, asker) in askers.iter().enumerate() {
            // What may be any text is taken in the same way from a person as from a program; and a name is given once.
            let is_tried = |place: &&Place| match operation.names(place) {
                true => naming && number == 0 && !matches!(place.at, At::Body { alone: true, .. }),
                false => !naming && (number == 0 || !place.is_free()),
            };
            for place in operation.places.iter().filter(is_tried) {
                // As a person only what is meant: whatever else stands there, it is looked at in the same way.
                let is_asked = |known: &&Known| number == 0 || self.meant(place) == Some(*known);
                for known in self.values(operation, place).into_iter().filter(is_asked) {
                    let put = vec![(place.clone(), known.text.clone())];
                    match place.is_once() {
                        // What somebody has asked for under a key is their own: each time it is somebody else.
                        true => {
                            let key = self.ground.key(Role::Owner).await;
                            self.compare(&Asker::with(&key), operation, put).await;
                        }
                        false => self.compare(asker, operation, put).await,
                    }
                    tried += 1;
                }
            }
            if naming || number > 0 {
                continue;
            }
            let everywhere = self.everywhere(operation);
            if everywhere.len() > 1 {
                self.compare(asker, operation, everywhere).await;
                tried += 1;
            }
        }
        tried
    }
}

/// All of an answer, without what was sent and without what it is called itself.
fn told(answer: &Answer, put: &[(Place, String)]) -> String {
    let mut body = answer.body.clone();
    if let Some(fields) = body.as_object_mut() {
        fields.remove("request_id");
    }
    let own = ["x-request-id", "content-length", "date"];
    let headers = answer.headers.iter().filter(|(name, _)| !own.contains(&name.as_str()));
    let headers: Vec<String> = headers.map(|(name, value)| format!("{name}: {value:?}")).collect();
    let mut text = format!("{body} {headers:?}");
    for (_, sent) in put {
        // As it stands in JSON, too.
        let written = Value::from(sent.as_str()).to_string();
        text = text.replace(written.trim_matches('"'), "SENT");
        // Of what is too long only the beginning is told.
        for end in (BEGINNING.min(sent.len())..=sent.len()).rev().filter(|end| sent.is_char_boundary(*end)) {
            text = text.replace(&sent[..end], "SENT");
        }
    }
    without_columns(&text)
}

/// Where a mistake stands in a body depends on what stands before it, which is another name in each.
fn without_columns(text: &str) -> String {
    let mut parts = text.split(" column ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + part.trim_start_matches(|character: char| character.is_ascii_digit())
    })
}

/// What the document itself says.
fn document_texts() -> BTreeSet<String> {
    let mut texts = BTreeSet::new();
    things::texts(&DOCUMENT, &mut texts);
    texts
}

async fn nothing_leaks(ground: Ground, database: Option<Postgres>) {
    let name = format!("{MARKER}-tenant");
    let other = ground.store.create_tenant(NewTenant::named(&name), "test".to_owned()).await.unwrap().id;
    let own = furnish(&ground, ground.tenant, "own", OWN).await;
    let foreign = furnish(&ground, other, &name, MARKER).await;
    // What is made for samples takes tasks of all tenants: before anything of theirs is looked at.
    let (strangers, others): (Vec<_>, Vec<_>) =
        operations(&ground).await.into_iter().partition(Operation::is_open);
    let theirs = harvest(&ground, &foreign).await;
    let mine = harvest(&ground, &own).await;
    assert!(mine.texts.iter().all(|text| !text.contains(MARKER)));
    let attempt = Attempt::new(&ground, &own, &foreign, [&mine, &theirs]).await;
    let key = ground.key_of(ground.tenant, named("follower")).await;
    let here = tokio::spawn(stays(ground.store.clone()));
    let follower = Follower::new(&ground, &key, None).await;
    let rows = async || match &database {
        Some(database) => database.rows_of(other).await,
        None => String::new(),
    };
    let before = rows().await;
    let mut tried = 0;
    // What gives a name of theirs to something of one's own comes last: it is the name of something then.
    for naming in [false, true] {
        let trying = others.iter().filter(|operation| !operation.is_proof());
        let trying =
            futures_util::stream::iter(trying).map(|operation| attempt.try_operation(operation, naming));
        tried += trying.buffer_unordered(AT_ONCE).fold(0, async |sum, tried| sum + tried).await;
    }
    here.abort();
    assert!(tried > 500, "{tried}");
    assert!(rows().await == before, "the rows of the other tenant have changed");
    let after = harvest(&ground, &foreign).await;
    assert_eq!(changes(&theirs.answers, &after.answers), Vec::<String>::new());

    // Whom a stranger says to be is told of that, and of nothing else.
    for operation in &strangers {
        attempt.try_operation(operation, false).await;
    }
    assert_eq!(*attempt.differences.lock().unwrap(), Vec::<String>::new());
    let after = harvest(&ground, &foreign).await;
    let changed = changes(&theirs.answers, &after.answers);
    assert!(changed.iter().all(|path| path.starts_with("/api/v1/audit")), "{changed:?}");

    // What was told meanwhile, and what is told from a place of theirs on.
    let place = ground.store.latest_happening(other).await.unwrap();
    let later = Follower::new(&ground, &key, Some(&place.to_string())).await;
    let (authority, reach) = (Authority::Installation, Reach::Everything);
    ground.store.order_stop(authority, reach, "the end".to_owned(), "test").await.unwrap();
    for mut follower in [follower, later] {
        loop {
            let (word, _, event) = follower.happened().await;
            let text = event.to_string();
            assert_eq!(attempt.leaked(&text, &[]), Vec::<&String>::new(), "{text}");
            if word == "stop_ordered" && text.contains("the end") {
                break;
            }
        }
    }
}

fn changes(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> Vec<String> {
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    paths.into_iter().filter(|path| before.get(*path) != after.get(*path)).cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaks_from_a_file() {
    nothing_leaks(Ground::of_one_of_many(None).await, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaks_from_a_server() {
    let database = Postgres::new().await;
    let ground = Ground::of_one_of_many(Some(database.store(4).await)).await;
    nothing_leaks(ground, Some(database)).await;
}
