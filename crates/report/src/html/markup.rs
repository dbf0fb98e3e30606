//! The only way onto the page: markup is `&'static str`, written in this crate; everything else is escaped.

use std::io;

use url::Url;

use crate::{
    visible::{self, Shape, Shown, pieces},
    words::grouped,
};

/// Something that may stand on the page.
pub(super) trait Piece {
    /// Writes it, escaped unless it is markup of this crate.
    fn put(&self, out: &mut dyn io::Write) -> io::Result<()>;
}

/// Markup. A text that came from anywhere else does not live for `'static`.
impl Piece for &'static str {
    fn put(&self, out: &mut dyn io::Write) -> io::Result<()> {
        out.write_all(self.as_bytes())
    }
}

/// A number, with separators.
impl Piece for u64 {
    fn put(&self, out: &mut dyn io::Write) -> io::Result<()> {
        out.write_all(grouped(*self).as_bytes())
    }
}

/// A number for an attribute of a drawing or an id, as short as it gets.
pub(super) struct Coordinate(pub(super) f64);

impl Piece for Coordinate {
    fn put(&self, out: &mut dyn io::Write) -> io::Result<()> {
        write!(out, "{}", (self.0 * 100.0).round() / 100.0)
    }
}

/// The content of an element.
pub(super) struct Text<'a> {
    text: &'a str,
    shape: Shape,
    limit: usize,
    code: bool,
}

impl Text<'_> {
    /// What stands between backticks becomes code, as in Markdown: for a check's own words.
    pub(super) fn with_code(self) -> Self {
        Text { code: true, ..self }
    }
}

/// One line of text.
pub(super) fn line(text: &str) -> Text<'_> {
    Text { text, shape: Shape::Line, limit: usize::MAX, code: false }
}

/// One line of text, cut after so many characters.
pub(super) fn short(text: &str, limit: usize) -> Text<'_> {
    Text { text, shape: Shape::Line, limit, code: false }
}

/// Text with its newlines.
pub(super) fn block(text: &str) -> Text<'_> {
    Text { text, shape: Shape::Block, limit: usize::MAX, code: false }
}

impl Piece for Text<'_> {
    fn put(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let (kept, left_out) =
            if self.limit == usize::MAX { (self.text, 0) } else { visible::beginning(self.text, self.limit) };
        let mut rest = kept;
        while let Some((before, code, after)) = if self.code { code_span(rest) } else { None } {
            content(before, self.shape, out)?;
            out.write_all(b"<code>")?;
            content(code, Shape::Line, out)?;
            out.write_all(b"</code>")?;
            rest = after;
        }
        content(rest, self.shape, out)?;
        if left_out > 0 {
            write!(out, "<span class=\"cut\">… {} more characters</span>", grouped(left_out as u64))?;
        }
        Ok(())
    }
}

fn content(text: &str, shape: Shape, out: &mut dyn io::Write) -> io::Result<()> {
    for piece in pieces(text, shape) {
        match piece {
            visible::Piece::Seen(seen) => escape(seen, out)?,
            visible::Piece::Acting(character) => {
                write!(out, "<span class=\"acts\">{}</span>", Shown(character))?
            }
        }
    }
    Ok(())
}

/// What is before the first pair of backticks, between them, and after; on one line and not empty.
fn code_span(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('`')?;
    let (code, after) = rest.split_once('`')?;
    (!code.trim().is_empty() && !code.contains('\n')).then_some((before, code, after))
}

/// The value of an attribute in double quotes.
pub(super) struct Attribute<'a>(&'a str);

/// The value of an attribute in double quotes.
pub(super) fn attribute(text: &str) -> Attribute<'_> {
    Attribute(text)
}

impl Piece for Attribute<'_> {
    fn put(&self, out: &mut dyn io::Write) -> io::Result<()> {
        escape(&visible::visible(self.0, Shape::Line), out)
    }
}

/// A link where the text is a web address, the text otherwise. Never `javascript:` or anything else that acts.
pub(super) struct Link<'a>(pub(super) &'a str);

impl Piece for Link<'_> {
    fn put(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let shown = short(self.0, 300);
        match self.0.parse::<Url>() {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.as_str().len() <= 4_000 => {
                put!(
                    out,
                    "<a href=\"",
                    attribute(url.as_str()),
                    "\" rel=\"noopener noreferrer nofollow\" target=\"_blank\">"
                );
                put!(out, shown, "</a>");
            }
            _ => put!(out, shown),
        }
        Ok(())
    }
}

fn escape(text: &str, out: &mut dyn io::Write) -> io::Result<()> {
    let mut written = 0;
    for (at, byte) in text.bytes().enumerate() {
        let entity: &[u8] = match byte {
            b'&' => b"&amp;",
            b'<' => b"&lt;",
            b'>' => b"&gt;",
            b'"' => b"&quot;",
            b'\'' => b"&#39;",
            b'`' => b"&#96;",
            _ => continue,
        };
        out.write_all(&text.as_bytes()[written..at])?;
        out.write_all(entity)?;
        written = at + 1;
    }
    out.write_all(&text.as_bytes()[written..])
}

/// Writes pieces one after the other; returns from the function when one cannot be written.
macro_rules! put {
    ($out:expr, $($piece:expr),+ $(,)?) => {{ $( $crate::html::markup::Piece::put(&$piece, $out)?; )+ }};
}
pub(super) use put;

#[cfg(test)]
mod tests {
    use super::*;

    fn written(piece: &dyn Piece) -> String {
        let mut out = Vec::new();
        piece.put(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn hostile_text_stays_text() {
        let table = [
            ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
            ("\"><img src=x onerror='x'>`&", "&quot;&gt;&lt;img src=x onerror=&#39;x&#39;&gt;&#96;&amp;"),
        ];
        for (given, expected) in table {
            assert_eq!(written(&line(given)), expected);
            assert_eq!(written(&attribute(given)), expected);
        }
        assert_eq!(
            written(&line("a\u{202e}\n")),
            "a<span class=\"acts\">\\u{202e}</span><span class=\"acts\">\\n</span>"
        );
        assert_eq!(written(&block("a\r\nb")), "a\nb");
        assert_eq!(written(&attribute("a\n\u{1b}")), "a\\n\\x1b");
        assert_eq!(
            written(&block("set `a<b` and `x`, not ```").with_code()),
            "set <code>a&lt;b</code> and <code>x</code>, not &#96;&#96;&#96;"
        );
        assert_eq!(written(&line("`a`")), "&#96;a&#96;");
        assert_eq!(written(&short("abcdef", 2)), "ab<span class=\"cut\">… 4 more characters</span>");
    }

    #[test]
    fn only_web_addresses_become_links() {
        for inert in [
            "javascript:alert(1)",
            "data:text/html,x",
            "//a.test",
            "file:///etc/passwd",
            " JaVaScRiPt:x",
            "vbscript:x",
        ] {
            assert!(!written(&Link(inert)).contains("<a"), "{inert}");
        }
        assert_eq!(
            written(&Link("https://a.test/\"onmouseover=x")),
            "<a href=\"https://a.test/%22onmouseover=x\" rel=\"noopener noreferrer nofollow\" target=\"_blank\">\
             https://a.test/&quot;onmouseover=x</a>"
        );
    }
}
