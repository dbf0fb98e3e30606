//! Targets: read once, checked one by one, kept as a file, streamed from there. A list of a million needs no memory.

use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Read, Write},
    path::PathBuf,
};

use anyhow::{Context, bail};
use model::Target;

use super::{
    journal::Header,
    place::{Place, private_file},
    settings::Settings,
};
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
    /// Networks that are larger than the scope.
    pub(super) cut: Vec<String>,
}

impl Targets {
    /// Streams them. Each was checked when the list was written or, on resuming, read again; one that cannot be read now is
    /// an error in its place.
    pub(super) fn iter(&self) -> anyhow::Result<impl Iterator<Item = Result<Target, String>> + Send + use<>> {
        let file =
            File::open(&self.file).with_context(|| format!("cannot read `{}`", self.file.display()))?;
        let path = self.file.display().to_string();
        let mut broken = false;
        Ok(BufReader::new(file).lines().map_while(move |line| match line {
            _ if broken => None,
            Ok(line) => Some(
                line.parse().map_err(|error| format!("`{line}` in `{path}` is no target any more: {error}")),
            ),
            Err(error) => {
                broken = true;
                Some(Err(format!("the list of targets `{path}` cannot be read any further: {error}")))
            }
        }))
    }
}

struct Collector<'a> {
    settings: &'a Settings,
    /// None when the list is there already.
    out: Option<BufWriter<File>>,
    count: u64,
    first: Vec<String>,
    cut: Vec<String>,
}

impl Collector<'_> {
    fn take(&mut self, text: &str) -> anyhow::Result<()> {
        let target: Target = text.parse()?;
        if let Err(refusal) = self.settings.scope.permits_target(&target) {
            match self.settings.scope.authorised_by {
                Some(_) => bail!("{refusal}"),
                None => bail!(
                    "{refusal}; without a scope file that is loopback alone: write one that you are authorised to write \
                     (`rampart scope template` prints one to begin with), and pass it with --scope"
                ),
            }
        }
        if let Some(out) = &mut self.out {
            writeln!(out, "{target}").context("cannot write the list of targets")?;
        }
        if let Target::Network(network) = &target
            && self.cut.len() < NAMED
            && !self.settings.scope.networks.iter().any(|allowed| allowed.contains(network))
        {
            self.cut.push(format!("{target} is larger than the scope: only what both contain is looked at"));
        }
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(target.to_string());
        }
        Ok(())
    }

    fn take_lines(&mut self, mut reader: impl BufRead, origin: &str) -> anyhow::Result<()> {
        let mut line = Vec::new();
        for number in 1_u64.. {
            line.clear();
            // One more than a line may have shows that it is too long, whatever is still to come.
            let most = LONGEST_LINE as u64 + 1;
            let read = (&mut reader).take(most).read_until(b'\n', &mut line);
            if read.with_context(|| format!("cannot read line {number} of {origin}"))? == 0 {
                break;
            }
            if line.len() > LONGEST_LINE {
                bail!("line {number} of {origin} is longer than {LONGEST_LINE} characters");
            }
            let text = str::from_utf8(&line)
                .with_context(|| format!("line {number} of {origin} is no UTF-8 text"))?;
            let text = target_of(if number == 1 { text.trim_start_matches('\u{feff}') } else { text });
            if text.is_empty() {
                continue;
            }
            self.take(text).with_context(|| format!("line {number} of {origin}"))?;
        }
        Ok(())
    }
}

/// The target of a line, without its comment. A `#` begins one at the start of a line or after white space: within a URL it
/// begins a fragment.
fn target_of(line: &str) -> &str {
    let comment = line
        .char_indices()
        .find(|(at, c)| *c == '#' && !line[..*at].ends_with(|before: char| !before.is_whitespace()));
    line[..comment.map_or(line.len(), |(at, _)| at)].trim()
}

/// Reads every target there is, and refuses the whole scan when one is wrong or out of scope.
pub(super) fn collect(
    arguments: &ScanArguments,
    estate: Option<&Estate>,
    settings: &Settings,
    place: &Place,
    resumed: Option<&Header>,
) -> anyhow::Result<Targets> {
    let file = place.target_list();
    let describe = || format!("cannot write `{}`", file.display());
    if let Some(header) = resumed {
        return read_again(file, header, settings);
    }
    let out = Some(BufWriter::new(private_file(&file).with_context(describe)?));
    let mut collector = Collector { settings, out, count: 0, first: Vec::new(), cut: Vec::new() };
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
        let reader = File::open(list)
            .with_context(|| format!("cannot read the list of targets `{}`", list.display()))?;
        collector.take_lines(BufReader::new(reader), &format!("`{}`", list.display()))?;
    }
    if let Some(out) = &mut collector.out {
        out.flush().with_context(describe)?;
    }
    if collector.count == 0 {
        bail!("there is no target: the list is empty");
    }
    Ok(Targets { file, count: collector.count, first: collector.first, cut: collector.cut })
}

/// The list of the scan that is resumed: the same targets as then, and still in scope.
fn read_again(file: PathBuf, header: &Header, settings: &Settings) -> anyhow::Result<Targets> {
    let origin = format!("`{}`", file.display());
    let reader = File::open(&file).with_context(|| format!("cannot read {origin}"))?;
    let mut collector = Collector { settings, out: None, count: 0, first: Vec::new(), cut: Vec::new() };
    collector.take_lines(BufReader::new(reader), &origin)?;
    if collector.count != header.targets {
        bail!(
            "{origin} has {} targets, the scan began with {}: start it afresh",
            collector.count,
            header.targets
        );
    }
    Ok(Targets { file, count: collector.count, first: collector.first, cut: collector.cut })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_cut_and_fragments_kept() {
        for (line, target) in [
            ("127.0.0.1\r\n", "127.0.0.1"),
            ("  # all of it", ""),
            ("\t#x", ""),
            ("#", ""),
            ("a.test # the first", "a.test"),
            ("a.test\t# the first", "a.test"),
            ("http://a.test/#part # a fragment", "http://a.test/#part"),
        ] {
            assert_eq!(target_of(line), target, "{line:?}");
        }
    }
}
