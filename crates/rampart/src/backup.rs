//! `rampart backup`: copies, and what can be had again from them.

mod figures;

use std::{process::ExitCode, sync::mpsc::channel};

use anyhow::{Context, bail};
use backup::{
    Archive, ArchiveFigures, Backup, BackupError, BaseBackup, Catalogue, Checked, Drill, DrillReport, Keys,
    Moment, Place, Recipients, Source, Until,
};
use gateway::Watched;
use jiff::Timestamp;
use serde_json::{Value, json};
use store::Location;

use crate::{
    cli::{
        BackupArchiveArguments, BackupCommand, BackupCreateArguments, BackupDrillArguments,
        BackupListArguments, BackupRestoreArguments, BackupVerifyArguments, KeptArguments, MomentArguments,
        OnPlatform, RecipientArguments, print_json, put, say,
    },
    configuration::{Configuration, Process},
    key_file,
    platform::{be_watched, interrupted, print_table, run_role, short_time},
};

pub(crate) fn run(command: &BackupCommand) -> anyhow::Result<ExitCode> {
    match command {
        BackupCommand::Key { file } => {
            let key = backup::make_key();
            key_file::write(file, key.reveal())?;
            say(&format!(
                "`{}` is made: without it nobody reads the backups, so keep it in two places, and in none where the backups are\n",
                file.display()
            ));
            put(&format!("{}\n", key.recipient))?;
            Ok(ExitCode::SUCCESS)
        }
        BackupCommand::Create(asked) => create(&asked.configuration()?, &asked.arguments),
        BackupCommand::Archive(asked) => archive(asked),
        BackupCommand::List(asked) => list(asked),
        BackupCommand::Verify(asked) => verify(asked),
        BackupCommand::Restore(asked) => restore(asked),
        BackupCommand::Drill(asked) => drill(asked),
    }
}

/// Works with a place until it is done or somebody interrupts it, which leaves nothing half done behind.
fn at_place<T: Send + 'static>(
    open: impl FnOnce() -> Result<Place, BackupError> + Send + 'static,
    work: impl FnOnce(&Place) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(async {
        let place = open()?;
        let interrupted = interrupted()?;
        let gives_up = (place.clone(), interrupted.clone());
        tokio::spawn(async move {
            gives_up.1.cancelled().await;
            gives_up.0.give_up();
        });
        let done = tokio::task::spawn_blocking(move || work(&place)).await.context("the work broke off")?;
        match done {
            Err(_) if interrupted.is_cancelled() => bail!("interrupted: nothing of it is left"),
            done => done,
        }
    })
}

fn recipients(asked: &RecipientArguments) -> Result<Recipients, BackupError> {
    Recipients::read(asked.recipients.iter().map(String::as_str))
}

fn keys(asked: &KeptArguments) -> Result<Keys, BackupError> {
    asked.identity.as_deref().map_or_else(|| Ok(Keys::default()), Keys::read)
}

fn moment(asked: &MomentArguments) -> Moment {
    let until = asked.until.map_or(Until::Newest, Until::Time);
    Moment { backup: asked.backup.clone(), until, timeline: asked.timeline }
}

fn create(configuration: &Configuration, asked: &BackupCreateArguments) -> anyhow::Result<ExitCode> {
    let location = configuration.location();
    if let Location::Sqlite(file) = &location
        && !file.exists()
    {
        bail!("there is no database `{}`: --data or --database say where it is", file.display());
    }
    let (recipients, include, keep) = (recipients(&asked.recipients)?, asked.include.clone(), asked.keep);
    let url = asked.place.backups.clone();
    let (made, gone) = at_place(
        move || Place::open_or_make(&url),
        move |place| {
            let made = match &location {
                Location::Sqlite(file) => {
                    backup::create(place, &BaseBackup::Sqlite(file), &include, &recipients)?
                }
                Location::Postgres { url, .. } => {
                    backup::create(place, &BaseBackup::Postgres(&Source::new(url)?), &include, &recipients)?
                }
            };
            let gone = keep.map_or_else(|| Ok(Vec::new()), |keep| backup::remove_outdated(place, keep))?;
            Ok((made, gone))
        },
    )?;
    if asked.json {
        let mut document = described(&made, None);
        document["removed"] = json!(gone);
        print_json(&document)?;
        return Ok(ExitCode::SUCCESS);
    }
    let took = made.ended.duration_since(made.begun).as_secs_f64();
    say(&format!("{} of {} in {took:.1} s\n", size(made.bytes()), size(made.base.plain_bytes)));
    for id in gone {
        say(&format!("removed {id}, which is older than --keep\n"));
    }
    put(&format!("{}\n", made.id))?;
    Ok(ExitCode::SUCCESS)
}

fn archive(asked: &OnPlatform<BackupArchiveArguments>) -> anyhow::Result<ExitCode> {
    let configuration = asked.configuration()?;
    let arguments = &asked.arguments;
    let Location::Postgres { url, .. } = configuration.location() else {
        bail!(
            "SQLite writes nothing ahead that could be kept: make backups as often as you need them (rampart backup create)"
        );
    };
    let (source, recipients) = (Source::new(&url)?, recipients(&arguments.recipients)?);
    run_role(&configuration, Process::Archive, async |_| {
        let interrupted = interrupted()?;
        let place = Place::open_or_make(&arguments.place.backups)?;
        let figures = std::sync::Arc::new(ArchiveFigures::default());
        let mut registry = gateway::registry();
        let (seen, patience) = (figures.clone(), figures::patience(arguments.every));
        figures::register(&mut registry, figures.clone());
        let trouble = move || figures::trouble(&seen.now(), patience, Timestamp::now());
        let watched = Watched::new(registry, None, trouble, interrupted.clone());
        be_watched(&configuration, &arguments.watch, watched).await?;
        let (stop, stopped) = channel();
        tokio::spawn(async move {
            interrupted.cancelled().await;
            // Who listens may have ended by itself.
            stop.send(()).ok();
        });
        let (spool, slot, every) = (arguments.spool.clone(), arguments.slot.clone(), arguments.every);
        let kept = tokio::task::spawn_blocking(move || {
            let archive = Archive {
                place: &place,
                source: &source,
                recipients: &recipients,
                spool: &spool,
                slot: &slot,
                every,
            };
            archive.run(&figures, &stopped)
        });
        kept.await.context("the work broke off")?.context("what is written ahead cannot be kept")?;
        Ok(ExitCode::SUCCESS)
    })
}

fn list(asked: &BackupListArguments) -> anyhow::Result<ExitCode> {
    let url = asked.place.backups.clone();
    let catalogue = at_place(move || Place::open(&url), |place| Ok(place.catalogue()?))?;
    if asked.json {
        let backups: Vec<Value> =
            catalogue.backups.iter().map(|backup| described(backup, Some(&catalogue))).collect();
        print_json(
            &json!({ "backups": backups, "drills": catalogue.drills, "strangers": catalogue.strangers }),
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    let row = |backup: &Backup| {
        let chain = catalogue.chain(backup);
        let until = chain.as_ref().map_or(backup.ended, |chain| chain.until);
        let gap = chain.as_ref().and_then(|chain| chain.gap.as_ref()).map(|gap| format!("{gap} is missing"));
        vec![
            backup.id.clone(),
            backup.server().map_or_else(|| "SQLite".to_owned(), |version| format!("PostgreSQL {version}")),
            size(backup.bytes()),
            chain.map_or_else(String::new, |chain| size(chain.bytes)),
            if backup.recipients.is_empty() { "no" } else { "yes" }.to_owned(),
            short_time(until),
            gap.unwrap_or_default(),
        ]
    };
    let rows: Vec<Vec<String>> = catalogue.backups.iter().map(row).collect();
    print_table(&["ID", "DATABASE", "SIZE", "SINCE", "ENCRYPTED", "UNTIL", ""], &rows)?;
    if !catalogue.strangers.is_empty() {
        say(&format!("{} objects there are no backups of this program\n", catalogue.strangers.len()));
    }
    Ok(ExitCode::SUCCESS)
}

/// For programs.
fn described(backup: &Backup, catalogue: Option<&Catalogue>) -> Value {
    let mut document = json!({
        "id": backup.id, "system": backup.system, "begun": backup.begun, "ended": backup.ended,
        "server": backup.server(), "bytes": backup.bytes(), "plain_bytes": backup.base.plain_bytes,
        "recipients": backup.recipients, "files": backup.files.is_some(),
    });
    if let Some(chain) = catalogue.and_then(|catalogue| catalogue.chain(backup)) {
        document["since_bytes"] = json!(chain.bytes);
        document["until"] = json!(chain.until);
        document["gap"] = json!(chain.gap);
    }
    document
}

fn verify(asked: &BackupVerifyArguments) -> anyhow::Result<ExitCode> {
    let (url, keys) = (asked.kept.place.backups.clone(), keys(&asked.kept)?);
    let (id, scratch) = (asked.backup.clone(), asked.scratch.clone());
    let checked = at_place(
        move || Place::open(&url),
        move |place| Ok(backup::verify(place, &place.catalogue()?, id.as_deref(), &keys, scratch.as_ref())?),
    )?;
    if checked.is_empty() {
        bail!("there is no backup in this place");
    }
    let troubled = checked.iter().any(|checked| !checked.troubles.is_empty());
    if asked.json {
        let document = |checked: &Checked| {
            json!({
                "id": checked.backup.id, "objects": checked.objects, "bytes": checked.bytes,
                "opened": checked.opened, "troubles": checked.troubles,
            })
        };
        print_json(&checked.iter().map(document).collect::<Vec<_>>())?;
    } else {
        for Checked { backup, objects, bytes, opened, troubles } in &checked {
            let how = if *opened { "opened and whole" } else { "as it was put there" };
            let word = if troubles.is_empty() { how } else { "damaged" };
            put(&format!("{}  {word}: {objects} objects, {}\n", backup.id, size(*bytes)))?;
            for trouble in troubles {
                put(&format!("    {trouble}\n"))?;
            }
        }
        if checked.iter().any(|checked| !checked.opened) {
            say(
                "not opened: with --identity it is seen whether the key fits and each file of the database is whole\n",
            );
        }
    }
    Ok(if troubled { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn restore(asked: &BackupRestoreArguments) -> anyhow::Result<ExitCode> {
    let (url, keys) = (asked.moment.kept.place.backups.clone(), keys(&asked.moment.kept)?);
    let moment = moment(&asked.moment);
    let (into, files) = (asked.into.clone(), asked.files.clone());
    let restored = at_place(
        move || Place::open(&url),
        move |place| {
            let restored = backup::restore(place, &place.catalogue()?, &moment, &keys, &into)?;
            if let Some(files) = files {
                backup::restore_files(place, &restored.backup, &keys, &files)?;
            }
            Ok(restored)
        },
    )?;
    let into = asked.into.display();
    say(&format!(
        "backup {}, and {} files of what was written since: {}\n",
        restored.backup.id,
        restored.wal_files,
        size(restored.bytes)
    ));
    if let Some(gap) = &restored.gap {
        say(&format!("`{gap}` is missing: what was written after it is not in it\n"));
    }
    match restored.backup.server() {
        None => say(&format!("use it with --database sqlite:{into}/rampart.db\n")),
        Some(version) => say(&format!(
            "start PostgreSQL {version} on `{into}`, as the user whose it is: it recovers by itself, and takes writes when it has\n"
        )),
    }
    put(&format!("{}\n", restored.backup.id))?;
    Ok(ExitCode::SUCCESS)
}

fn drill(asked: &BackupDrillArguments) -> anyhow::Result<ExitCode> {
    let (url, keys) = (asked.moment.kept.place.backups.clone(), keys(&asked.moment.kept)?);
    let drill = Drill {
        moment: moment(&asked.moment),
        scratch: asked.scratch.clone(),
        superuser: asked.superuser.clone(),
        most_lost: asked.rpo,
        longest: asked.rto,
    };
    let report = at_place(move || Place::open(&url), move |place| Ok(backup::drill(place, &drill, &keys)?))?;
    match asked.json {
        true => print_json(&report)?,
        false => put(&told(&report))?,
    }
    Ok(if report.troubles.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn told(report: &DrillReport) -> String {
    let mut text = format!(
        "backup {}, {}\nrecovery time (RTO)   {:.1} s\nrecovery point (RPO)  {:.1} s\n",
        report.backup,
        size(report.bytes),
        report.rto_seconds,
        report.rpo_seconds
    );
    for looked in &report.databases {
        text.push_str(&format!(
            "`{}`: {} rows in {} tables; {} audit chains of {} entries are whole\n",
            report::terminal::sanitise(&looked.database),
            looked.rows,
            looked.tables,
            looked.audit_chains,
            looked.audit_entries
        ));
    }
    for trouble in &report.troubles {
        text.push_str(&format!("trouble: {}\n", report::terminal::sanitise(trouble)));
    }
    text
}

/// For people.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 1_000.0 && unit + 1 < UNITS.len() {
        size /= 1_000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{size:.1} {}", UNITS[unit]) }
}
