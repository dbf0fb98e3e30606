//! The journal: every event of a scan as one line of JSON. The report is made from it, and a scan that was stopped goes on from
//! it. A line that was torn by a crash is cut off.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use model::{Event, Learned, ScanId};
use serde::{Deserialize, Serialize};

use super::place::{journal_in, new_private_file, private_file};
use crate::demo::Network;

/// Bumped when an older journal cannot be gone on with.
const FORMAT: u32 = 2;
const HEADER_FILE: &str = "scan.json";

/// What a resumed scan must know before it begins.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Header {
    format: u32,
    pub(super) scan: ScanId,
    pub(super) started_at: jiff::Timestamp,
    /// The first run's command line, without the program.
    pub(super) arguments: Vec<String>,
    /// Where it was given: paths in it are meant from there.
    pub(super) directory: PathBuf,
    /// How many lines the list of targets has.
    pub(super) targets: u64,
    /// Where the demo estate was, when that is what is scanned.
    pub(super) demo: Option<Network>,
}

impl Header {
    /// Of a scan that begins now.
    pub(super) fn new(
        scan: ScanId,
        arguments: Vec<String>,
        targets: u64,
        demo: Option<Network>,
    ) -> anyhow::Result<Header> {
        let directory = std::env::current_dir().context("cannot tell the current directory")?;
        Ok(Header {
            format: FORMAT,
            scan,
            started_at: jiff::Timestamp::now(),
            arguments,
            directory,
            targets,
            demo,
        })
    }
}

/// An open journal, for writing.
#[derive(Debug)]
pub(super) struct Journal {
    out: BufWriter<File>,
    path: PathBuf,
    _lock: File,
}

impl Journal {
    pub(super) fn header(directory: &Path) -> anyhow::Result<Header> {
        let path = directory.join(HEADER_FILE);
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!("cannot resume from `{}`: `{}` cannot be read", directory.display(), path.display())
        })?;
        let header: Header =
            serde_json::from_str(&text).with_context(|| format!("`{}` is damaged", path.display()))?;
        if header.format != FORMAT {
            bail!("`{}` was written by another version of Rampart: start the scan afresh", path.display());
        }
        Ok(header)
    }

    /// Begins a journal in a directory that has none, before anything else is written there: of two scans that want the same
    /// directory one gets it, and a scan that is there already stays as it is.
    pub(super) fn create(directory: &Path) -> anyhow::Result<Journal> {
        let path = journal_in(directory);
        match new_private_file(&path) {
            Ok(file) => Journal::lock(file, path),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => bail!(
                "`{0}` already holds a scan: go on with it by --resume {0}, or choose another --output",
                directory.display()
            ),
            Err(error) => {
                Err(error).with_context(|| format!("cannot write the journal `{}`", path.display()))
            }
        }
    }

    /// Writes down what resuming needs; from then on the scan can be resumed.
    pub(super) fn write_header(&self, header: &Header) -> anyhow::Result<()> {
        let path = self.path.with_file_name(HEADER_FILE);
        serde_json::to_vec_pretty(header)
            .map_err(anyhow::Error::from)
            .and_then(|text| Ok(private_file(&path)?.write_all(&text)?))
            .with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// Goes on with a journal: cuts off a torn last line, and says which units are done.
    pub(super) fn reopen(directory: &Path) -> anyhow::Result<(Journal, HashMap<String, Learned>)> {
        let path = journal_in(directory);
        let describe = || format!("cannot write the journal `{}`", path.display());
        let file = OpenOptions::new().append(true).open(&path).with_context(describe)?;
        let mut journal = Journal::lock(file, path.clone())?;
        cut_torn_line(&path)?;
        let mut done = HashMap::new();
        for entry in Reader::open(directory)? {
            if let Event::Done { unit, learned, .. } = entry?.event {
                done.insert(unit, learned);
            }
        }
        journal.write(&Event::Resumed)?;
        Ok((journal, done))
    }

    fn lock(file: File, path: PathBuf) -> anyhow::Result<Journal> {
        let describe = || format!("cannot write the journal `{}`", path.display());
        let lock = file.try_clone().with_context(describe)?;
        if lock.try_lock().is_err() {
            bail!("another rampart is at work on `{}`", path.display());
        }
        Ok(Journal { out: BufWriter::with_capacity(1 << 16, file), path, _lock: lock })
    }

    pub(super) fn write(&mut self, event: &Event) -> anyhow::Result<()> {
        let describe = || format!("cannot write the journal `{}`", self.path.display());
        serde_json::to_writer(&mut self.out, event).with_context(describe)?;
        self.out.write_all(b"\n").with_context(describe)
    }

    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        self.out.flush().with_context(|| format!("cannot write the journal `{}`", self.path.display()))
    }
}

fn cut_torn_line(path: &Path) -> anyhow::Result<()> {
    let describe = || format!("cannot repair the journal `{}`", path.display());
    let mut file = OpenOptions::new().read(true).write(true).open(path).with_context(describe)?;
    let mut end = file.seek(SeekFrom::End(0)).with_context(describe)?;
    let mut byte = [0];
    while end > 0 {
        file.seek(SeekFrom::Start(end - 1)).with_context(describe)?;
        file.read_exact(&mut byte).with_context(describe)?;
        if byte[0] == b'\n' {
            break;
        }
        end -= 1;
    }
    file.set_len(end).with_context(describe)
}

/// One event and where its line begins.
pub(super) struct Entry {
    pub(super) offset: u64,
    pub(super) event: Event,
}

/// Reads a journal from the start, or single lines of it.
pub(super) struct Reader {
    reader: BufReader<File>,
    path: PathBuf,
    offset: u64,
    line: Vec<u8>,
}

impl Reader {
    pub(super) fn open(directory: &Path) -> anyhow::Result<Reader> {
        let path = journal_in(directory);
        let file =
            File::open(&path).with_context(|| format!("cannot read the journal `{}`", path.display()))?;
        Ok(Reader { reader: BufReader::with_capacity(1 << 16, file), path, offset: 0, line: Vec::new() })
    }

    /// The event whose line begins there.
    pub(super) fn at(&mut self, offset: u64) -> anyhow::Result<Event> {
        let distance = offset as i64 - self.offset as i64;
        self.reader
            .seek_relative(distance)
            .with_context(|| format!("cannot read the journal `{}`", self.path.display()))?;
        self.offset = offset;
        self.next_entry()?.map(|entry| entry.event).context("the journal became shorter while it was read")
    }

    fn next_entry(&mut self) -> anyhow::Result<Option<Entry>> {
        self.line.clear();
        let describe = || format!("cannot read the journal `{}`", self.path.display());
        let read = self.reader.read_until(b'\n', &mut self.line).with_context(describe)?;
        if read == 0 || self.line.last() != Some(&b'\n') {
            return Ok(None);
        }
        let offset = self.offset;
        self.offset += read as u64;
        let event = serde_json::from_slice(&self.line)
            .with_context(|| format!("the journal `{}` is damaged at byte {offset}", self.path.display()))?;
        Ok(Some(Entry { offset, event }))
    }
}

impl Iterator for Reader {
    type Item = anyhow::Result<Entry>;

    fn next(&mut self) -> Option<anyhow::Result<Entry>> {
        self.next_entry().transpose()
    }
}
