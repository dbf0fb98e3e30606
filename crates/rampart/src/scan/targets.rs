//! Targets: read once, checked one by one, kept as a file, streamed from there. A list of a million needs no memory.

use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    path::PathBuf,
};

use anyhow::{Context, bail};
use model::Target;

use super::{place::Place, settings::Settings};
use crate::{cli::ScanArguments, demo::Estate};

/// How many targets a report names.
const NAMED: usize = 100;
/// Longer lines are no targets.
const LONGEST_LINE: usize = 4_096;

/// The scan's targets, on disk.
pub(super) struct Targets {
    file: PathBuf,
    pub(super) count: u64,
    /// The first of them, for the report.
    pub(super) first: Vec<String>,
}

impl Targets {
    /// Streams them. They were checked when they were written.
    pub(super) fn iter(&self) -> anyhow::Result<impl Iterator<Item = Target> + Send + use<>> {
        let file = File::open(&self.file).with_context(|| format!("cannot read `{}`", self.file.display()))?;
        Ok(BufReader::new(file).lines().map_while(Result::ok).filter_map(|line| line.parse().ok()))
    }
}

struct Collector<'a> {
    settings: &'a Settings,
    out: BufWriter<File>,
    count: u64,
    first: Vec<String>,
}

impl Collector<'_> {
    fn take(&mut self, text: &str) -> anyhow::Result<()> {
        let target: Target = text.parse()?;
        self.settings.scope.permits_target(&target)?;
        writeln!(self.out, "{target}").context("cannot write the list of targets")?;
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(target.to_string());
        }
        Ok(())
    }

    fn take_lines(&mut self, reader: impl BufRead, origin: &str) -> anyhow::Result<()> {
        for (index, line) in reader.lines().enumerate() {
            let number = index + 1;
            let line = line.with_context(|| format!("cannot read line {number} of {origin}"))?;
            // A `#` begins a comment at the start of a line or after a space: within a URL it begins a fragment.
            let text = if line.starts_with('#') { "" } else { line.split(" #").next().unwrap_or_default().trim() };
            if text.is_empty() {
                continue;
            }
            if text.len() > LONGEST_LINE {
                bail!("line {number} of {origin} is longer than {LONGEST_LINE} characters");
            }
            self.take(text).with_context(|| format!("line {number} of {origin}"))?;
        }
        Ok(())
    }
}

/// Reads every target there is, and refuses the whole scan when one is wrong or out of scope.
pub(super) fn collect(
    arguments: &ScanArguments,
    estate: Option<&Estate>,
    settings: &Settings,
    place: &Place,
    resumed: bool,
) -> anyhow::Result<Targets> {
    let file = place.target_list();
    let describe = || format!("cannot write `{}`", file.display());
    if resumed {
        return recount(file);
    }
    let out = BufWriter::new(File::create(&file).with_context(describe)?);
    let mut collector = Collector { settings, out, count: 0, first: Vec::new() };
    if let Some(estate) = estate {
        for target in estate.targets() {
            collector.take(&target)?;
        }
    }
    for target in &arguments.targets {
        if target == "-" {
            collector.take_lines(std::io::stdin().lock(), "standard input")?;
        } else {
            collector.take(target)?;
        }
    }
    for list in &arguments.list {
        if list.as_os_str() == "-" {
            collector.take_lines(std::io::stdin().lock(), "standard input")?;
            continue;
        }
        let reader = File::open(list).with_context(|| format!("cannot read the list of targets `{}`", list.display()))?;
        collector.take_lines(BufReader::new(reader), &format!("`{}`", list.display()))?;
    }
    collector.out.flush().with_context(describe)?;
    if collector.count == 0 {
        bail!("there is no target: the list is empty");
    }
    Ok(Targets { file, count: collector.count, first: collector.first })
}

fn recount(file: PathBuf) -> anyhow::Result<Targets> {
    let reader = File::open(&file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let (mut count, mut first) = (0, Vec::new());
    for line in BufReader::new(reader).lines() {
        let line = line.with_context(|| format!("cannot read `{}`", file.display()))?;
        count += 1;
        if first.len() < NAMED {
            first.push(line);
        }
    }
    Ok(Targets { file, count, first })
}
