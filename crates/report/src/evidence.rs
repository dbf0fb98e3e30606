//! What to show of a request or a response: the beginning, and what matched with its surroundings.

use std::ops::Range;

use crate::words::counted;

/// Marks shown in one text.
const MARKS: usize = 40;
/// Bytes shown around a match when the text is too long to show whole.
const AROUND: usize = 400;
/// Bytes shown of one long match.
const MATCH: usize = 1_500;

/// A stretch of an excerpt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stretch<'a> {
    /// As it stands in the text.
    Plain(&'a str),
    /// A piece that made the check match.
    Matched(&'a str),
    /// So many bytes of the text are not shown here.
    LeftOut(usize),
}

/// The same as plain text, with a line for what is left out.
pub(crate) fn plain_excerpt(text: &str, matched: &[String], budget: usize) -> String {
    excerpt(text, matched, budget)
        .into_iter()
        .map(|stretch| match stretch {
            Stretch::Plain(part) | Stretch::Matched(part) => part.to_owned(),
            Stretch::LeftOut(bytes) => {
                format!("\n[… {} left out …]\n", counted(bytes as u64, "byte", "bytes"))
            }
        })
        .collect()
}

/// Cuts `text` to about `budget` bytes, keeping its beginning and every piece in `matched` that is found in it.
pub(crate) fn excerpt<'a>(text: &'a str, matched: &[String], budget: usize) -> Vec<Stretch<'a>> {
    let marks = marks(text, matched);
    let mut stretches = Vec::new();
    let mut shown = 0;
    for window in windows(text, &marks, budget) {
        if window.start > shown {
            stretches.push(Stretch::LeftOut(window.start - shown));
        }
        let mut at = window.start;
        for mark in marks.iter().filter(|mark| mark.start < window.end && mark.end > window.start) {
            let (start, end) = (mark.start.max(window.start), mark.end.min(window.end));
            if start > at {
                stretches.push(Stretch::Plain(&text[at..start]));
            }
            stretches.push(Stretch::Matched(&text[start..end]));
            at = end;
        }
        if window.end > at {
            stretches.push(Stretch::Plain(&text[at..window.end]));
        }
        shown = window.end;
    }
    if shown < text.len() {
        stretches.push(Stretch::LeftOut(text.len() - shown));
    }
    stretches
}

/// Where the pieces stand, in order and without overlaps. Every occurrence: which one a matcher meant is not recorded.
fn marks(text: &str, matched: &[String]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for piece in matched.iter().filter(|piece| !piece.is_empty()).take(MARKS) {
        found.extend(
            text.match_indices(piece.as_str()).take(MARKS).map(|(start, _)| start..start + piece.len()),
        );
    }
    merge(found, MARKS)
}

/// Which parts of the text are shown. Bounds are characters' bounds.
fn windows(text: &str, marks: &[Range<usize>], budget: usize) -> Vec<Range<usize>> {
    if text.len() <= budget {
        let whole = 0..text.len();
        return vec![whole];
    }
    let head = if marks.is_empty() { budget } else { budget / 3 };
    let beginning = 0..text.floor_char_boundary(head);
    let mut wanted = vec![beginning];
    let mut left = budget - head;
    for mark in marks {
        let end = mark.end.min(mark.start + MATCH);
        let window = text.ceil_char_boundary(mark.start.saturating_sub(AROUND))
            ..text.floor_char_boundary(end + AROUND);
        let fresh = window
            .len()
            .min(window.end.saturating_sub(wanted.last().map_or(0, |last: &Range<usize>| last.end)));
        if fresh > left && wanted.len() > 1 {
            break;
        }
        left = left.saturating_sub(fresh);
        wanted.push(window);
    }
    merge(wanted, usize::MAX)
}

/// Sorts, joins what overlaps or touches, and keeps the first ones.
fn merge(mut ranges: Vec<Range<usize>>, keep: usize) -> Vec<Range<usize>> {
    ranges.sort_unstable_by_key(|range| (range.start, range.end));
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        if let Some(last) = merged.last_mut().filter(|last| range.start <= last.end) {
            last.end = last.end.max(range.end);
        } else if merged.len() == keep {
            break;
        } else {
            merged.push(range);
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_short_text_is_whole_and_every_occurrence_is_marked() {
        let stretches = excerpt("[core] x [core]", &["[core]".to_owned()], 100);
        assert_eq!(
            stretches,
            [Stretch::Matched("[core]"), Stretch::Plain(" x "), Stretch::Matched("[core]")]
        );
        assert_eq!(
            excerpt("abcd", &["abc".into(), "bcd".into(), String::new()], 9),
            [Stretch::Matched("abcd")]
        );
    }

    #[test]
    fn a_long_text_keeps_its_beginning_and_the_match() {
        let text = format!("HTTP/1.1 200 OK{}needle{}", "x".repeat(50_000), "y".repeat(50_000));
        let stretches = excerpt(&text, &["needle".to_owned()], 3_000);
        let [
            Stretch::Plain(head),
            Stretch::LeftOut(_),
            Stretch::Plain(_),
            Stretch::Matched("needle"),
            Stretch::Plain(_),
            Stretch::LeftOut(_),
        ] = stretches[..]
        else {
            panic!("{stretches:?}");
        };
        assert!(head.starts_with("HTTP/1.1 200 OK") && head.len() == 1_000);
    }

    proptest! {
        #[test]
        fn an_excerpt_accounts_for_every_byte(
            text in "[aäb\u{202e}]{0,300}", matched in proptest::collection::vec("[aäb]{0,4}", 0..4), budget in 0..200usize,
        ) {
            let mut at = 0;
            for stretch in excerpt(&text, &matched, budget) {
                match stretch {
                    Stretch::Plain(part) | Stretch::Matched(part) => {
                        prop_assert_eq!(&text[at..at + part.len()], part);
                        at += part.len();
                    }
                    Stretch::LeftOut(bytes) => at += bytes,
                }
            }
            prop_assert_eq!(at, text.len());
        }
    }
}
