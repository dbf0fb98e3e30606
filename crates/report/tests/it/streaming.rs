//! Reports are written while findings are read, never after, and nothing is kept.

use std::{cell::Cell, fs, io};

use report::{Format, ReportError, Source, SourceError};

use crate::estate::Estate;

/// How much was written when the last finding was asked for.
struct Counting<'a>(&'a Cell<u64>);

impl io::Write for Counting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.set(self.0.get() + bytes.len() as u64);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Formats with a line for each finding.
const EVERY_FINDING: [Format; 4] = [Format::Json, Format::JsonLines, Format::Sarif, Format::Csv];

#[test]
fn a_finding_is_written_before_the_next_one_is_read() {
    // More than the buffer of one report, so that a finding that is written is also seen here.
    const EACH: usize = 70 << 10;
    const COUNT: u64 = 20;
    let estate = Estate::full();
    for format in EVERY_FINDING {
        let written = Cell::new(0);
        let source = Source {
            summary: &estate.summary,
            findings: &|| {
                Ok(Box::new(Estate::many(COUNT).enumerate().map(|(index, mut finding)| {
                    // CSV keeps 32,000 characters of a cell: three cells make up the size.
                    for text in [&mut finding.description, &mut finding.impact, &mut finding.remediation] {
                        *text = "x".repeat(EACH / 3);
                    }
                    finding.reproduce = "y".repeat(30_000);
                    let size = |count: usize| {
                        count as u64 * if format == Format::Sarif { 30_000 } else { EACH as u64 }
                    };
                    // The buffer may hold one buffer's worth back.
                    let least = size(index).saturating_sub(64 << 10);
                    assert!(
                        written.get() >= least,
                        "{format}: finding {index} read after only {} bytes",
                        written.get()
                    );
                    Ok(finding)
                })))
            },
            assets: &|| Ok(Box::new(estate.assets.iter().cloned().map(Ok))),
        };
        report::write(format, &source, &mut Counting(&written)).unwrap();
    }
}

/// The most memory this process ever held, in bytes; Linux only.
fn most_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
}

#[test]
fn big_evidence_is_not_kept() {
    // 192 MiB of evidence for each report: holding a third of it would show.
    const COUNT: u64 = 768;
    const EVIDENCE: usize = 256 << 10;
    // In a process of its own: what others hold at the same time would count, too.
    if !std::env::args().any(|argument| argument == "--exact") {
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        let output = alone.args(["--exact", "streaming::big_evidence_is_not_kept"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let estate = Estate::full();
    let source = Source {
        summary: &estate.summary,
        findings: &|| {
            Ok(Box::new(Estate::many(COUNT).map(|mut finding| {
                finding.evidence[0].response = "x".repeat(EVIDENCE);
                Ok(finding)
            })))
        },
        assets: &|| Ok(Box::new(estate.assets.iter().cloned().map(Ok))),
    };
    let Some(before) = most_memory() else { return };
    for format in Format::ALL {
        report::write(format, &source, &mut io::sink()).unwrap();
    }
    let grown = most_memory().unwrap() - before;
    assert!(grown < 64 << 20, "{} MiB more", grown >> 20);
}

#[test]
fn a_source_that_breaks_off_ends_the_report_with_its_error() {
    let estate = Estate::full();
    for format in Format::ALL {
        let broken = Source {
            summary: &estate.summary,
            findings: &|| {
                let first = estate.findings.iter().take(2).cloned().map(Ok);
                Ok(Box::new(first.chain(std::iter::once_with(|| {
                    Err(SourceError::new("line 3 of the journal is cut off"))
                }))))
            },
            assets: &|| Ok(Box::new(std::iter::empty())),
        };
        let error = report::write(format, &broken, &mut io::sink()).unwrap_err();
        let ReportError::Source(error) = error else { panic!("{format}: {error:?}") };
        assert_eq!(
            std::error::Error::source(&error).unwrap().to_string(),
            "line 3 of the journal is cut off"
        );
    }
}

#[test]
fn a_full_disk_is_an_error_of_writing() {
    let estate = Estate::full();
    for format in Format::ALL {
        let source = Source {
            summary: &estate.summary,
            findings: &|| Ok(Box::new(estate.findings.iter().cloned().map(Ok))),
            assets: &|| Ok(Box::new(estate.assets.iter().cloned().map(Ok))),
        };
        let mut full: &mut [u8] = &mut [0; 100];
        let error = report::write(format, &source, &mut full).unwrap_err();
        assert!(matches!(error, ReportError::Write(_)), "{format}: {error:?}");
    }
}
