//! JSON: one document, or one object a line.
//!
//! Beyond what JSON asks for, strings are written so that they do nothing wherever the text ends up: characters that act
//! (see [`crate::visible`]) and `<`, `>`, `&` are written as `\u` escapes. A terminal, a `<script>` element or an editor shows
//! nothing it should not, and a parser reads exactly the original text.

use std::io;

use model::{Asset, Finding, Summary};
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

use crate::{ReportError, Source, visible::acts};

/// The version of both forms: raised when a consumer of the old one would go wrong.
const SCHEMA: u32 = 1;

/// Writes `{"schema":1,"summary":…,"findings":[…],"assets":[…]}`, a finding and an asset on a line of its own.
pub(crate) fn write_document(source: &Source<'_>, out: &mut dyn io::Write) -> Result<(), ReportError> {
    write!(out, "{{\"schema\":{SCHEMA},\n\"summary\":")?;
    value(source.summary, out)?;
    out.write_all(b",\n\"findings\":[")?;
    let mut separator = "\n";
    for finding in (source.findings)()? {
        out.write_all(separator.as_bytes())?;
        value(&finding?, out)?;
        separator = ",\n";
    }
    out.write_all(b"\n],\n\"assets\":[")?;
    separator = "\n";
    for asset in (source.assets)()? {
        out.write_all(separator.as_bytes())?;
        value(&asset?, out)?;
        separator = ",\n";
    }
    out.write_all(b"\n]}\n")?;
    Ok(())
}

/// Writes the summary, then findings, then assets, each as one line.
pub(crate) fn write_lines(source: &Source<'_>, out: &mut dyn io::Write) -> Result<(), ReportError> {
    write_summary_line(source.summary, out)?;
    for finding in (source.findings)()? {
        write_finding_line(&finding?, out)?;
    }
    for asset in (source.assets)()? {
        write_asset_line(&asset?, out)?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Line<'a, T> {
    schema: u32,
    r#type: &'static str,
    #[serde(flatten)]
    value: &'a T,
}

fn line<T: Serialize>(kind: &'static str, value_: &T, out: &mut dyn io::Write) -> io::Result<()> {
    value(&Line { schema: SCHEMA, r#type: kind, value: value_ }, out)?;
    out.write_all(b"\n")
}

/// One line of JSON Lines, `{"schema":1,"type":"finding",…}`, for findings as they happen.
pub fn write_finding_line(finding: &Finding, out: &mut dyn io::Write) -> io::Result<()> {
    line("finding", finding, out)
}

/// One line of JSON Lines, `{"schema":1,"type":"asset",…}`.
pub fn write_asset_line(asset: &Asset, out: &mut dyn io::Write) -> io::Result<()> {
    line("asset", asset, out)
}

/// One line of JSON Lines, `{"schema":1,"type":"summary",…}`.
pub fn write_summary_line(summary: &Summary, out: &mut dyn io::Write) -> io::Result<()> {
    line("summary", summary, out)
}

/// Any value, on one line.
pub(crate) fn value<T: Serialize + ?Sized>(value: &T, out: &mut dyn io::Write) -> io::Result<()> {
    serialize(value, Harmless(CompactFormatter), out)
}

/// Any value, indented.
pub(crate) fn pretty<T: Serialize + ?Sized>(value: &T, out: &mut dyn io::Write) -> io::Result<()> {
    serialize(value, Harmless(PrettyFormatter::new()), out)
}

fn serialize<T: Serialize + ?Sized>(
    value: &T,
    formatter: impl Formatter,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    value.serialize(&mut serde_json::Serializer::with_formatter(out, formatter)).map_err(io::Error::from)
}

struct Harmless<F>(F);

impl<F: Formatter> Formatter for Harmless<F> {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut written = 0;
        for (at, character) in fragment.char_indices() {
            if matches!(character, '<' | '>' | '&') || acts(character) {
                out.write_all(&fragment.as_bytes()[written..at])?;
                written = at + character.len_utf8();
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}")?;
                }
            }
        }
        out.write_all(&fragment.as_bytes()[written..])
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_array(out)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array(out)
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(out, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array_value(out)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object(out)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object(out)
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(out, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object_value(out)
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object_value(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_do_nothing_anywhere_and_read_back_exactly() {
        let text = "</script>\u{1b}[2J\u{9b}\u{202e}\u{e0041}\u{7f}\u{2028}é漢\"\\\n\0";
        let mut out = Vec::new();
        value(text, &mut out).unwrap();
        let written = String::from_utf8(out).unwrap();
        assert!(
            !written.chars().any(|character| acts(character) || matches!(character, '<' | '>')),
            "{written}"
        );
        assert!(written.contains("é漢"));
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
    }
}
