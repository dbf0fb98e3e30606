//! `rampart audit verify`: is it what was written, and what was signed? What nobody can tell is undetermined, and never well.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context, bail};
use client::Client;
use model::{
    AuditEntry, TenantId,
    audit::{AuditPublicKey, Broken, ChainEnd, Checkpoint, Checkpoints, Verified, Walk},
};
use serde_json::{Value, json};

use super::{
    super::{place::Place, print_json, put, short_time},
    chain, oldest_first,
};
use crate::{
    cli::{AuditVerifyArguments, say},
    configuration::public_key,
    scan::EXIT_UNDETERMINED,
};

/// How often a chain is looked at, at most, because some of it was purged meanwhile.
const LOOKS: usize = 3;

/// What is told of a chain, or of a part of one.
struct Told {
    /// For people.
    lines: Vec<String>,
    /// For programs.
    document: Value,
    /// What nobody can tell, and why.
    open: Vec<String>,
}

pub(super) async fn verify(place: &Place, asked: &AuditVerifyArguments) -> anyhow::Result<ExitCode> {
    let keys = match place {
        Place::Here(desk) => desk.configuration.audit_public_keys(&asked.signed_by)?,
        // Whoever runs the server could sign anything with a key that it names.
        Place::There(_) => asked.signed_by.iter().map(|file| public_key(file)).collect::<Result<_, _>>()?,
    };
    let tenant = chain(place, asked.installation).await?;
    let told = match &asked.export {
        Some(file) => {
            let checkpoints = match place {
                Place::Here(desk) => desk.store.walk_checkpoints(tenant, &keys).await?,
                Place::There(_) => walk_checkpoints(place, tenant, &keys).await?,
            };
            match checkpoints {
                Ok(checkpoints) => walk_export(file, &checkpoints)?,
                Err(broken) => Err(broken),
            }
        }
        None => {
            let verified = match place {
                Place::Here(desk) => desk.store.verify_audit(tenant, &keys, asked.contains).await?,
                Place::There(client) => walk(place, client, tenant, &keys, asked.contains).await?,
            };
            verified.map(|verified| tell(&verified, &keys, asked.contains))
        }
    };
    let Told { lines, document, open } = match told {
        Ok(told) => told,
        Err(broken) => {
            let reason = broken.to_string();
            match asked.json {
                true => print_json(&json!({ "whole": false, "reason": reason }))?,
                false => put(&format!("not whole: {reason}\n"))?,
            }
            return Ok(ExitCode::FAILURE);
        }
    };
    if asked.json {
        let mut document = document;
        document["undetermined"] = json!(open);
        print_json(&document)?;
    } else {
        let (end, before) = lines.split_last().context("there is always something to tell")?;
        let open = open.iter().map(|why| format!("undetermined: {why}"));
        let lines: Vec<String> = before.iter().cloned().chain(open).chain([end.clone()]).collect();
        put(&(lines.join("\n") + "\n"))?;
        if asked.export.is_none() {
            say(
                "keep the last line elsewhere: with --contains it shows later that nobody made the chain anew\n",
            );
        }
    }
    Ok(if open.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_UNDETERMINED) })
}

/// The checkpoints that a server tells of.
async fn walk_checkpoints(
    place: &Place,
    tenant: Option<TenantId>,
    keys: &[AuditPublicKey],
) -> anyhow::Result<Result<Checkpoints, Broken>> {
    let mut newest_first = place.audit_checkpoints(tenant.is_none(), None, usize::MAX).await?;
    let mut walked = Checkpoints::new(tenant, keys);
    while let Some(checkpoint) = newest_first.pop() {
        if let Err(broken) = walked.follow(checkpoint) {
            return Ok(Err(broken));
        }
    }
    Ok(Ok(walked))
}

/// The same as where the database is, of what a server tells.
async fn walk(
    place: &Place,
    client: &Client,
    tenant: Option<TenantId>,
    keys: &[AuditPublicKey],
    seen: Option<ChainEnd>,
) -> anyhow::Result<Result<Verified, Broken>> {
    let mut looks = 1;
    loop {
        let checkpoints = match walk_checkpoints(place, tenant, keys).await? {
            Ok(checkpoints) => checkpoints,
            Err(broken) => return Ok(Err(broken)),
        };
        let purged = checkpoints.purged();
        let found = match Walk::begin(checkpoints, seen) {
            Ok(walk) => walk_entries(client, tenant, walk).await?,
            Err(broken) => Err(broken),
        };
        // What is purged in the middle of a walk is missing in it, and nothing is wrong with that.
        let is_as_before = async || {
            let now = walk_checkpoints(place, tenant, keys).await?;
            anyhow::Ok(now.is_ok_and(|now| now.purged() == purged))
        };
        if found.is_ok() || looks == LOOKS || is_as_before().await? {
            return Ok(found);
        }
        looks += 1;
    }
}

async fn walk_entries(
    client: &Client,
    tenant: Option<TenantId>,
    mut walk: Walk,
) -> anyhow::Result<Result<Verified, Broken>> {
    let (mut end, mut after) = (walk.beginning(), None);
    loop {
        let page = client.audit(&oldest_first(tenant, after)).await?;
        for entry in &page.items {
            // What was purged may be there still: it is deleted after the checkpoint says so.
            if entry.position <= walk.beginning().position {
                continue;
            }
            if let Err(broken) = end.follow(entry).and_then(|()| walk.look(entry, end)) {
                return Ok(Err(broken));
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(walk.end(end));
        }
    }
}

fn tell(verified: &Verified, keys: &[AuditPublicKey], seen: Option<ChainEnd>) -> Told {
    let Verified { end, checkpoints, purge, is_seen_purged } = verified;
    let purged = checkpoints.purged();
    let mut open = unknown(checkpoints);
    let mut lines = vec![format!("whole: {} entries", end.position - purged)];
    let mut document = json!({
        "whole": true, "position": end.position, "seal": end.seal, "checkpoints": checkpoints.count(),
        "signed": checkpoints.last_known(), "unsigned": end.position - verified.signed(),
    });
    if let Some(told) = checkpoints.purge() {
        let proof = checkpoints.at(purged).map(|(number, _)| number);
        let rule = purge.as_ref().map(|entry| format!(", {}", entry.detail)).unwrap_or_default();
        lines.push(format!(
            "purged: entries 1 to {purged}, at last on {}{rule}; checkpoint {} says so, checkpoint {} is of entry {purged}",
            short_time(told.at),
            told.number,
            proof.unwrap_or_default(),
        ));
        document["purged"] = json!({
            "entries": purged, "at": told.at, "checkpoint": told.number, "of": proof,
            "rule": purge.as_ref().map(|entry| &entry.detail),
        });
    }
    lines.push(signed(checkpoints, end.position - verified.signed()));
    if checkpoints.last_known().is_none() && !keys.is_empty() && end.position > 0 {
        open.push("nothing is signed with a key that is known, although there is one".to_owned());
    }
    if let Some(seen) = seen.filter(|_| *is_seen_purged) {
        open.push(format!("entry {} was purged, and no checkpoint is of it", seen.position));
    }
    lines.push(end.to_string());
    Told { lines, document, open }
}

fn signed(checkpoints: &Checkpoints, after: u64) -> String {
    match checkpoints.last_known() {
        Some(Checkpoint { number, position, at, key, .. }) => format!(
            "signed: up to entry {position}, by checkpoint {number} of {}, with key {key}; {after} after it are not",
            short_time(*at)
        ),
        None if checkpoints.count() == 0 => "signed: nothing, no checkpoint was made".to_owned(),
        None => "signed: nothing with a key that is known".to_owned(),
    }
}

fn unknown(checkpoints: &Checkpoints) -> Vec<String> {
    let say = |key| {
        format!("checkpoints name the key {key}, which is not known: --signed-by names its public half")
    };
    checkpoints.unknown().iter().map(say).collect()
}

/// What somebody has exported, of which nothing needs to be there any more but its checkpoints.
fn walk_export(file: &Path, checkpoints: &Checkpoints) -> anyhow::Result<Result<Told, Broken>> {
    let describe = || format!("cannot read `{}`", file.display());
    let lines = BufReader::new(File::open(file).with_context(describe)?).lines();
    let (mut walk, mut last): (Option<(u64, ChainEnd)>, _) = (None, None);
    for (number, line) in lines.enumerate() {
        let line = line.with_context(describe)?;
        let entry: AuditEntry = serde_json::from_str(&line).with_context(|| {
            format!("line {} of `{}` is no entry of an audit", number + 1, file.display())
        })?;
        let (first, mut place) = match walk {
            Some(walk) => walk,
            None => (entry.position, beginning(checkpoints, entry.position)?),
        };
        if let Err(broken) = place.follow(&entry).and_then(|()| checkpoints.compare(place)) {
            return Ok(Err(broken));
        }
        if let Some((number, true)) = checkpoints.at(place.position) {
            last = Some((number, place.position));
        }
        walk = Some((first, place));
    }
    let Some((first, end)) = walk else { bail!("`{}` holds no entry", file.display()) };
    let mut open = unknown(checkpoints);
    let after = end.position - last.map_or(first - 1, |(_, position)| position);
    let signed = match last {
        Some((number, position)) => {
            format!("signed: up to entry {position}, by checkpoint {number}; {after} after it are not")
        }
        None => {
            open.push("no checkpoint with a key that is known is of one of these entries".to_owned());
            "signed: nothing".to_owned()
        }
    };
    let document = json!({
        "whole": true, "first": first, "position": end.position, "seal": end.seal, "unsigned": after,
        "checkpoint": last.map(|(number, _)| number),
    });
    let whole = format!("whole: entries {first} to {}", end.position);
    Ok(Ok(Told { lines: vec![whole, signed, end.to_string()], document, open }))
}

/// What the first entry of an export goes on from.
fn beginning(checkpoints: &Checkpoints, first: u64) -> anyhow::Result<ChainEnd> {
    let before = first.saturating_sub(1);
    checkpoints.begin(before).with_context(|| {
        format!(
            "the export begins with entry {first}, and nobody can tell what that goes on from, as no checkpoint is of entry {before}: \
             export from the first entry on, or from one that `rampart audit checkpoints` names"
        )
    })
}
