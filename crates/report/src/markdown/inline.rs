//! Text as it may stand in Markdown (CommonMark with GitHub's tables).

use crate::visible::{Shape, visible};

/// A check's own words: paragraphs and code between backticks stay, everything else that Markdown or HTML would act on is
/// escaped.
pub(crate) fn prose(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(sentence);
    paragraphs.filter(|paragraph| !paragraph.is_empty()).collect::<Vec<_>>().join("\n\n")
}

/// The same on one line.
pub(crate) fn sentence(text: &str) -> String {
    let line = one_line(text);
    let mut rest = line.as_str();
    let mut written = String::new();
    while let Some((before, inside, after)) = code_span(rest) {
        written.push_str(&escaped(before));
        written.push_str(&code(inside, false));
        rest = after;
    }
    written + &escaped(rest)
}

fn code_span(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('`')?;
    let (inside, after) = rest.split_once('`')?;
    // Next to another backtick it would mean something else.
    let alone = !inside.trim().is_empty() && !after.starts_with('`');
    alone.then_some((before, inside, after))
}

/// Any text on one line, all of it escaped; may stand in a table.
pub(crate) fn phrase(text: &str) -> String {
    escaped(&one_line(text))
}

fn one_line(text: &str) -> String {
    let shown = visible(text, Shape::Block);
    let words: Vec<&str> = shown.split_whitespace().collect();
    words.join(" ")
}

fn escaped(line: &str) -> String {
    let mut text = String::with_capacity(line.len() + line.len() / 8);
    let digits = line.find(|character: char| !character.is_ascii_digit()).unwrap_or(line.len());
    for (at, character) in line.char_indices() {
        match character {
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '&' => text.push_str("&amp;"),
            // Code hosts take `@name` for a mention even when the sign is escaped; a zero-width space ends that.
            '@' => text.push_str("@&#8203;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '!' | '|' | '~' | '$' | '#' => {
                text.extend(['\\', character])
            }
            '-' | '+' | '=' | ':' if at == 0 => text.extend(['\\', character]),
            '.' | ')' if at > 0 && at == digits => text.extend(['\\', character]),
            // A bare `www.` or `scheme://` becomes a link by itself.
            '.' if line[..at].to_ascii_lowercase().ends_with("www") => text.push_str("&#46;"),
            ':' if line[at..].starts_with("://") => text.push_str("&#58;"),
            character => text.push(character),
        }
    }
    text
}

/// Hostile text as a code span: inside one nothing is a link, a mention or HTML. Pipes are escaped, so it may stand in a table
/// when `in_table`; outside one the backslash would be seen.
pub(crate) fn code(text: &str, in_table: bool) -> String {
    let shown = visible(text, Shape::Line);
    if shown.trim().is_empty() {
        return "(empty)".to_owned();
    }
    let fence = "`".repeat(longest_run(&shown) + 1);
    let content = if in_table { shown.replace('|', "\\|") } else { shown.into_owned() };
    let pad = if content.starts_with(['`', ' ']) || content.ends_with(['`', ' ']) { " " } else { "" };
    format!("{fence}{pad}{content}{pad}{fence}")
}

/// Hostile text as a fenced block, the fence longer than any inside. `indent` stands before each line.
pub(crate) fn block(text: &str, language: &str) -> String {
    let shown = visible(text, Shape::Block);
    let fence = "`".repeat((longest_run(&shown) + 1).max(3));
    format!("{fence}{language}\n{}\n{fence}\n", shown.trim_end_matches('\n'))
}

fn longest_run(text: &str) -> usize {
    text.split(|character| character != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_blocks_outgrow_the_backticks_inside() {
        assert_eq!(code("plain", false), "`plain`");
        assert_eq!(code("a``b`", false), "``` a``b` ```");
        assert_eq!(code("a|b\n", true), "`a\\|b\\n`");
        assert_eq!(code(" ", true), "(empty)");
        assert_eq!(block("```\nx\n````", "http"), "`````http\n```\nx\n````\n`````\n");
    }

    #[test]
    fn prose_is_only_text() {
        let table = [
            ("<img src=x> & *b*", "&lt;img src=x&gt; &amp; \\*b\\*"),
            ("1. one\n- two\n\n# three", "1\\. one - two\n\n\\# three"),
            ("- a", "\\- a"),
            ("@everyone [x](y) ![z](w)", "@&#8203;everyone \\[x\\](y) \\!\\[z\\](w)"),
            ("see www.a.test or https://a.test", "see www&#46;a.test or https&#58;//a.test"),
        ];
        for (given, expected) in table {
            assert_eq!(prose(given), expected);
        }
        assert_eq!(phrase("a\n\nb `c`"), "a b \\`c\\`");
        assert_eq!(sentence("set `a|*b*` and ``c`` <d>"), "set `a|*b*` and \\`\\`c\\`\\` &lt;d&gt;");
    }
}
