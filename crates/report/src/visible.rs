//! Characters that act instead of being seen, made visible.
//!
//! Control characters drive terminals, bidirectional controls reorder what a reader sees (CVE-2021-42574), invisible ones make
//! two different texts look the same. Every format shows them as `\x1b` or `\u{202e}`. A backslash that is already there
//! stays as it is: the result is for people, not for decoding.

use std::{borrow::Cow, fmt};

/// Which characters stay as they are although they act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One line: newlines and tabs are shown as `\n` and `\t`.
    Line,
    /// Newlines and tabs stay; `\r\n` counts as a newline.
    Block,
}

/// Does the character do something other than being seen?
pub fn acts(character: char) -> bool {
    character.is_control() || is_unseen(character)
}

/// Format characters, fillers and separators (Unicode 16, general categories Cf, Zl, Zp and default-ignorable letters).
fn is_unseen(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// What stands for a character that acts.
pub(crate) struct Shown(pub(crate) char);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            '\n' => f.write_str("\\n"),
            '\r' => f.write_str("\\r"),
            '\t' => f.write_str("\\t"),
            character if u32::from(character) <= 0xff => write!(f, "\\x{:02x}", u32::from(character)),
            character => write!(f, "\\u{{{:x}}}", u32::from(character)),
        }
    }
}

/// A piece of a text, as [`pieces`] cuts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Only characters that are seen.
    Seen(&'a str),
    /// One that acts.
    Acting(char),
}

/// Cuts a text at the characters that act.
pub(crate) fn pieces(text: &str, shape: Shape) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        if shape == Shape::Block && rest.starts_with("\r\n") {
            rest = &rest[2..];
            return Some(Piece::Seen("\n"));
        }
        let stays =
            |character: char| !acts(character) || shape == Shape::Block && matches!(character, '\n' | '\t');
        if !stays(first) {
            rest = &rest[first.len_utf8()..];
            return Some(Piece::Acting(first));
        }
        let end = rest.find(|character| !stays(character)).unwrap_or(rest.len());
        let (seen, after) = rest.split_at(end);
        rest = after;
        Some(Piece::Seen(seen))
    })
}

/// The whole text with what acts made visible.
pub fn visible(text: &str, shape: Shape) -> Cow<'_, str> {
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for piece in pieces(text, shape) {
        match piece {
            Piece::Seen(seen) => shown.push_str(seen),
            Piece::Acting(character) => shown.push_str(&Shown(character).to_string()),
        }
    }
    Cow::Owned(shown)
}

/// The beginning of a text, at most `characters` of them, and how many are left out.
pub(crate) fn beginning(text: &str, characters: usize) -> (&str, usize) {
    match text.char_indices().nth(characters) {
        Some((end, _)) => (&text[..end], text[end..].chars().count()),
        None => (text, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_shown_and_what_is_seen_stays() {
        let table = [
            ("plain text, naïve 漢字 \\x1b", "plain text, naïve 漢字 \\x1b"),
            ("\u{1b}[31mred\u{7}", "\\x1b[31mred\\x07"),
            ("a\u{202e}b\u{2066}c\u{200b}d\u{feff}", "a\\u{202e}b\\u{2066}c\\u{200b}d\\u{feff}"),
            ("\0\u{7f}\u{9b}", "\\x00\\x7f\\x9b"),
            ("tag \u{e0041} line\u{2028}", "tag \\u{e0041} line\\u{2028}"),
        ];
        for (given, shown) in table {
            assert_eq!(visible(given, Shape::Line), shown);
            assert_eq!(visible(given, Shape::Block), shown);
        }
        assert!(matches!(visible("nothing to do", Shape::Line), Cow::Borrowed(_)));
    }

    #[test]
    fn a_line_has_no_newlines_and_a_block_no_lone_carriage_returns() {
        assert_eq!(visible("a\r\n\tb\rc\n", Shape::Line), "a\\r\\n\\tb\\rc\\n");
        assert_eq!(visible("a\r\n\tb\rc\n", Shape::Block), "a\n\tb\\rc\n");
    }

    #[test]
    fn a_beginning_is_cut_between_characters() {
        assert_eq!(beginning("äöü", 2), ("äö", 1));
        assert_eq!(beginning("äöü", 3), ("äöü", 0));
    }
}
