//! The file of an installation on one machine, while it goes on.

use std::{io, path::Path};

use rusqlite::{Connection, OpenFlags};

use crate::{BackupError, Kept, Place, Recipients, place::scratch, seal::ending};

/// A copy that is one moment of the database, made by it: <https://www.sqlite.org/lang_vacuum.html#vacuuminto>.
pub(crate) fn copy(
    place: &Place,
    file: &Path,
    key: impl FnOnce(&str) -> String,
    recipients: &Recipients,
) -> Result<Kept, BackupError> {
    let failed = |why: rusqlite::Error| BackupError::file("cannot copy the database", file, why);
    // Beside it: there is room for what is as large, and nobody else may look there.
    let beside = file.parent().map(Path::to_path_buf);
    let directory = scratch(beside.as_ref())?;
    let copy = directory.path().join("rampart.db");
    let from = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
    let to =
        copy.to_str().ok_or_else(|| BackupError::file("the name cannot be used", &copy, "it is no text"))?;
    from.execute("VACUUM INTO ?1", [to]).map_err(failed)?;
    let name = format!("base.sqlite{}", ending(recipients));
    let copied = place.put_sealed(&key(&name), recipients, |sealing| {
        let open = std::fs::File::open(&copy);
        let mut open = open.map_err(|why| BackupError::file("cannot read", &copy, why))?;
        io::copy(&mut open, sealing).map_err(|why| BackupError::file("cannot back up", &copy, why))
    });
    let (plain_bytes, sum) = copied?;
    Ok(Kept::new(name, plain_bytes, sum))
}

/// Is it whole, as far as SQLite sees?
pub(crate) fn check(file: &Path) -> Result<(), BackupError> {
    let failed = |why: rusqlite::Error| BackupError::file("cannot be read as a database", file, why);
    let database = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
    let says: String =
        database.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(failed)?;
    match says.as_str() {
        "ok" => Ok(()),
        _ => Err(BackupError::Damaged(format!("`{}`: {says}", file.display()))),
    }
}

/// Its tables, and rows of all of them.
pub(crate) fn count(file: &Path) -> Result<(u64, u64), BackupError> {
    let failed = |why: rusqlite::Error| BackupError::file("cannot be read as a database", file, why);
    let database = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let mut names = database.prepare(sql).map_err(failed)?;
    let names = names.query_map([], |row| row.get(0)).and_then(Iterator::collect::<Result<Vec<String>, _>>);
    let (names, mut rows) = (names.map_err(failed)?, 0);
    for name in &names {
        let sql = format!("SELECT count(*) FROM \"{}\"", name.replace('"', "\"\""));
        rows += database.query_row(&sql, [], |row| row.get::<_, i64>(0)).map_err(failed)?.unsigned_abs();
    }
    Ok((names.len() as u64, rows))
}
