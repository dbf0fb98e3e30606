//! Copies of what Rampart knows, from which it can be had again as it was at any moment.
//!
//! A place for backups has, for each database:
//!
//! | object | what it is |
//! | --- | --- |
//! | `SYSTEM/base/ID/backup.json` | what a backup consists of; written last, so that what is not finished is none |
//! | `SYSTEM/base/ID/base.tar.zst.age` | the whole database, as `pg_basebackup` tells it; of SQLite, its file |
//! | `SYSTEM/base/ID/files.tar.zst.age` | configuration and keys that were named |
//! | `SYSTEM/wal/SEGMENT.SHA256.zst.age` | what was written ahead (WAL), 16 megabytes each unless the server says another |
//! | `SYSTEM/wal/SEGMENT.partial-MILLISECONDS.SHA256.zst.age` | the same of the one that is being written |
//! | `drills/ID.json` | what a drill has shown |
//!
//! Nothing but standard formats (tar, Zstandard, age), so that the usual programs read a backup without this one. SYSTEM is the
//! number that PostgreSQL gives to a cluster of databases when it makes it; `sqlite` for that.
//!
//! PostgreSQL's own programs do what touches its files, and are found on PATH or where Debian puts them. Everything here waits: it
//! is for threads that may, such as those of `spawn_blocking`.

mod archive;
mod base;
mod catalogue;
mod drill;
mod error;
mod following;
mod history;
mod keys;
mod place;
mod postgres;
mod restore;
mod scratch;
mod seal;
mod segment;
mod sqlite;
mod verify;

pub use self::{
    archive::{Archive, ArchiveFigures, Shipped},
    base::{BaseBackup, create, remove_outdated},
    catalogue::{Backup, Catalogue, Chain, Kept, System},
    drill::{Drill, DrillReport, drill},
    error::BackupError,
    keys::{Keys, NewKey, Recipients, make_key},
    place::Place,
    postgres::Source,
    restore::{Moment, Restored, Until, restore, restore_files},
    verify::{Checked, verify},
};
