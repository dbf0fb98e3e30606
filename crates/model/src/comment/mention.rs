//! Whom a text mentions: `@j.doe@acme.test`, as far as the text alone can say. Who of them there is, is the store's to say.
//!
//! A name to log in with may hold any printable sign, and a sentence may go on right behind it: of `@amy,` the name is `amy,` if somebody
//! is called that, and `amy` otherwise. So a mention is several names that it may be, the longest first.

use std::borrow::Cow;

use crate::{UserName, user::LONGEST_NAME};

/// Mentions of one comment, at most; what is more is simply text.
pub const MOST_MENTIONS: usize = 100;
/// Places of a text where a mention may begin that are looked at, at most: far more than mentions, since most of them may name nobody.
const MOST_STARTS: usize = 1_000;
/// Signs that are taken off the end of a name one at a time, at most, before all of them are.
const MOST_TRIMMED: usize = 4;

/// Somebody who is mentioned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// Names that it may be, the longest first; at least one.
    pub names: Vec<UserName>,
}

/// Whom a text mentions, each as often as it does. What stands in code (Markdown's, between backticks or fences) mentions nobody, and
/// neither does what is part of a word: an address of electronic mail, or of a page.
pub fn mentions(text: &str) -> Vec<Mention> {
    starts(&without_code(text)).filter_map(mention).take(MOST_MENTIONS).collect()
}

/// What stands behind each `@` that may begin a mention, as far as a name can reach and one character more: whoever writes nothing but
/// such signs has not each of them walked to the end of the text.
fn starts(text: &str) -> impl Iterator<Item = &str> {
    let starts = text.match_indices('@').filter(|(at, _)| begins_a_word(&text[..*at])).take(MOST_STARTS);
    starts.map(|(at, _)| {
        let behind = &text[at + 1..];
        behind.char_indices().nth(LONGEST_NAME + 1).map_or(behind, |(end, _)| &behind[..end])
    })
}

/// May a mention stand behind that?
fn begins_a_word(before: &str) -> bool {
    // Underscores may be emphasis, or the end of the first part of an address.
    let last = before.trim_end_matches('_').chars().next_back();
    !last.is_some_and(|last| last.is_alphanumeric() || ".%+-@/\\=&".contains(last))
}

/// Signs of which most names are made: behind any other one a sentence goes on.
fn is_usual(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "._%+-@".contains(letter)
}

fn mention(behind: &str) -> Option<Mention> {
    let run =
        |is_part: fn(char) -> bool| behind.find(|letter: char| !is_part(letter)).unwrap_or(behind.len());
    let mut names: Vec<UserName> = Vec::new();
    for end in [run(|letter| letter.is_ascii_graphic() && letter != '`'), run(is_usual)] {
        // A word that goes on in other letters is another word.
        if behind[end..].starts_with(char::is_alphanumeric) {
            continue;
        }
        let whole = &behind[..end];
        let bare = whole.trim_end_matches(|letter: char| !letter.is_ascii_alphanumeric());
        let shortest = bare.len().max(end.saturating_sub(MOST_TRIMMED));
        // What reaches the cut is no name with the signs at its end, but may well be one without them.
        let with_signs = if end > LONGEST_NAME { 0..0 } else { shortest..end + 1 };
        for end in with_signs.rev().chain([bare.len()]) {
            // Without a letter it is nobody, but the name of somebody may well end with signs.
            if let Ok(name) = whole[..end].parse::<UserName>()
                && !bare.is_empty()
                && !names.contains(&name)
            {
                names.push(name);
            }
        }
    }
    (!names.is_empty()).then_some(Mention { names })
}

/// The text with backticks in the place of what is code.
fn without_code(text: &str) -> Cow<'_, str> {
    if !text.contains(['`', '~']) {
        return text.into();
    }
    let mut plain = String::with_capacity(text.len());
    let mut fence: Option<&str> = None;
    let mut paragraph = 0..0;
    let mut place = 0;
    for line in text.split_inclusive('\n') {
        let here = place..place + line.len();
        place = here.end;
        let opening = if fence.is_none() { opened(line) } else { None };
        if fence.is_none() && opening.is_none() && !line.trim().is_empty() {
            // A span of code may go on in the next line, and ends with its paragraph.
            paragraph.end = here.end;
            continue;
        }
        blank_spans(&text[paragraph.clone()], &mut plain);
        paragraph = place..place;
        match fence {
            None if opening.is_none() => plain.push_str(line),
            None => {
                blank(line, &mut plain);
                fence = opening;
            }
            Some(mark) => {
                blank(line, &mut plain);
                fence = Some(mark).filter(|mark| !closes(line, mark));
            }
        }
    }
    blank_spans(&text[paragraph], &mut plain);
    plain.into()
}

/// The marks with which a line begins that could open or close a fence, and what stands behind them.
fn marks(line: &str) -> Option<(&str, &str)> {
    let inside = line.trim_start_matches(' ');
    let sign = inside.chars().next().filter(|sign| matches!(sign, '`' | '~'))?;
    let (marks, behind) = inside.split_at(inside.find(|letter: char| letter != sign).unwrap_or(inside.len()));
    (marks.len() >= 3 && line.len() - inside.len() <= 3).then_some((marks, behind))
}

/// The fence that a line opens.
fn opened(line: &str) -> Option<&str> {
    let (marks, behind) = marks(line)?;
    // Otherwise it is a span of code that ends in its line.
    (!marks.starts_with('`') || !behind.contains('`')).then_some(marks)
}

fn closes(line: &str, fence: &str) -> bool {
    marks(line).is_some_and(|(marks, behind)| marks.starts_with(fence) && behind.trim().is_empty())
}

fn blank(code: &str, plain: &mut String) {
    plain.extend(std::iter::repeat_n('`', code.len()));
}

/// A span begins with some backticks, and ends with as many.
fn blank_spans(paragraph: &str, plain: &mut String) {
    let mut rest = paragraph;
    while let Some(begin) = rest.find('`') {
        let length = run_of_backticks(&rest[begin..]);
        plain.push_str(&rest[..begin]);
        let inside = &rest[begin + length..];
        let code = length + span(inside, length).unwrap_or_default();
        blank(&rest[begin..begin + code], plain);
        rest = &rest[begin + code..];
    }
    plain.push_str(rest);
}

fn run_of_backticks(text: &str) -> usize {
    text.find(|letter: char| letter != '`').unwrap_or(text.len())
}

/// How long it is with the backticks that end it, of which there are so many.
fn span(inside: &str, length: usize) -> Option<usize> {
    let mut place = 0;
    while let Some(begin) = inside[place..].find('`') {
        let found = run_of_backticks(&inside[place + begin..]);
        place += begin + found;
        if found == length {
            return Some(place);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The likeliest names of all that are mentioned, as if everybody without signs at the end were there.
    fn likely(text: &str) -> Vec<String> {
        let bare = |names: Vec<UserName>| {
            let found = names.iter().find(|name| {
                name.as_str().chars().all(is_usual)
                    && name.as_str().ends_with(|last: char| last.is_alphanumeric())
            });
            found.map(ToString::to_string).unwrap_or_default()
        };
        mentions(text).into_iter().map(|mention| bare(mention.names)).collect()
    }

    #[test]
    fn who_is_mentioned_is_found_and_nobody_else() {
        for (text, wanted) in [
            ("@amy", &["amy"][..]),
            ("look, @Amy!", &["amy"]),
            ("@j.doe@acme.test", &["j.doe@acme.test"]),
            ("ask @j.doe@acme.test.", &["j.doe@acme.test"]),
            ("(@amy, @bob; @c-d_e+f)", &["amy", "bob", "c-d_e+f"]),
            ("@amy,@bob", &["amy", "bob"]),
            ("@amy @amy", &["amy", "amy"]),
            ("@bob's turn", &["bob"]),
            ("**@amy** _@bob_ [@c](x)", &["amy", "bob", "c"]),
            ("\"@amy\" '@bob' <@c>\n@d\t@e", &["amy", "bob", "c", "d", "e"]),
            ("really?! @amy?!", &["amy"]),
            ("нет@amy", &[]),
            ("да: @amy", &["amy"]),
            // What is no mention.
            ("", &[]),
            ("@", &[]),
            ("@ amy", &[]),
            ("@!?", &[]),
            ("amy@acme.test", &[]),
            ("a.b-@acme.test x_@acme.test", &[]),
            ("mailto:amy@acme.test, 100%@home", &[]),
            ("https://acme.test/@amy?by=@bob&or=x&@c", &[]),
            ("\\@amy", &[]),
            ("@amyř", &[]),
            // In code.
            ("`@amy` @bob", &["bob"]),
            ("``a ` @amy`` @bob", &["bob"]),
            ("`a\n@amy` @bob", &["bob"]),
            ("`@amy", &["amy"]),
            ("` @amy\n\n` @bob", &["amy", "bob"]),
            ("```\n@amy\n```\n@bob", &["bob"]),
            ("```rust\n@amy\n`` @c\n\n~~~\n````\n@bob", &["bob"]),
            ("~~~\n@amy\n```\n~~~ no\n@c\n~~~~  \n@bob", &["bob"]),
            ("   ```\n@amy", &[]),
            ("```x``` @bob", &["bob"]),
            ("~~@amy~~", &["amy"]),
        ] {
            assert_eq!(likely(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn a_name_may_end_with_signs_and_hold_any() {
        let names = |text: &str| -> Vec<String> {
            mentions(text).remove(0).names.iter().map(ToString::to_string).collect()
        };
        assert_eq!(names("@amy!?"), ["amy!?", "amy!", "amy"]);
        assert_eq!(names("@acme\\amy:"), ["acme\\amy:", "acme\\amy", "acme"]);
        assert_eq!(
            names("@amy!!!!!!!!"),
            ["amy!!!!!!!!", "amy!!!!!!!", "amy!!!!!!", "amy!!!!!", "amy!!!!", "amy"]
        );
        // Longer than any name: somebody may be written behind whom nothing was left free.
        assert_eq!(names(&format!("@amy,{}", "x".repeat(300))), ["amy"]);
    }

    #[test]
    fn there_are_only_so_many() {
        assert_eq!(mentions(&"@amy ".repeat(2_000)).len(), MOST_MENTIONS);
    }

    #[test]
    fn no_text_is_walked_again_and_again() {
        for text in
            ["(@".repeat(5_000), "(@x!".repeat(2_500), format!("{}{}", "(@".repeat(2_500), "é".repeat(5_000))]
        {
            let steps: usize = starts(&text).map(|behind| behind.chars().count()).sum();
            assert!(steps <= MOST_STARTS * (LONGEST_NAME + 1), "{steps}");
            assert!(starts(&text).count() <= MOST_STARTS);
        }
        // Who stands behind many signs that name nobody, and before or behind what is longer than a name, is mentioned still.
        assert_eq!(likely(&format!("{}@amy", "(@ ".repeat(900))), ["amy"]);
        for signs in ["!", ".", "-", ")"] {
            assert_eq!(likely(&format!("@amy{}", signs.repeat(5_000))), ["amy"], "{signs}");
        }
        let longest = "a".repeat(LONGEST_NAME);
        for (behind, names) in [("", 1), (" x", 1), ("!", 1), (".!", 1), ("a", 0), ("é", 0)] {
            let found = mentions(&format!("@{longest}{behind}"));
            assert_eq!(found.len(), names, "{behind}");
            assert!(found.iter().all(|mention| mention.names[0].as_str() == longest), "{behind}");
        }
        let signs = format!("@{}!!", &longest[2..]);
        assert_eq!(mentions(&signs)[0].names.len(), 3, "as long as a name may be with its signs");
    }

    proptest! {
        #[test]
        fn any_usual_name_is_found_in_any_place_where_it_can_stand(
            name in "[a-z0-9]([a-z0-9._%+-]{0,20}[a-z0-9])?(@[a-z0-9.-]{0,20}[a-z0-9])?",
            before in "[\\PC&&[^`~@]]{0,20}[ (\\[\"\n]",
            after in "([ \n)\\],;:?'\"*][\\PC&&[^`~@]]{0,20})?",
        ) {
            let text = format!("{before}@{name}{after}");
            let found = mentions(&text);
            prop_assert_eq!(found.len(), 1, "{}", text);
            prop_assert!(found[0].names.iter().any(|found| found.as_str() == name), "{}: {:?}", text, found);
            // The same as the address of somebody, and in code.
            for nobody in [format!("x{text}").replace(&format!("{before}@"), "x@"), format!("```\n{text}"), format!("`{}`", text.replace('\n', " "))] {
                prop_assert_eq!(mentions(&nobody), vec![], "{}", nobody);
            }
        }

        #[test]
        fn every_name_stands_in_the_text_behind_its_sign(text in "[@`~ a\n.é,]{0,60}|.{0,60}") {
            let lower = text.to_ascii_lowercase();
            for mention in mentions(&text) {
                prop_assert!(!mention.names.is_empty());
                for name in mention.names {
                    let written = format!("@{name}");
                    prop_assert!(lower.contains(&written), "{}", name);
                }
            }
            prop_assert_eq!(without_code(&text).len(), text.len());
        }
    }
}
