//! The commands that a document has, in blocks and in the middle of sentences.

use std::{iter::Peekable, str::Chars};

/// One command, without what it is put together with.
#[derive(Debug)]
pub(super) struct Said {
    /// Of its document.
    pub(super) line: usize,
    pub(super) words: Vec<String>,
    /// In a block it is to be typed as it is; in a sentence it may be the beginning of one.
    pub(super) in_block: bool,
}

/// What begins before a command and is none.
const BEFORE: [&str; 8] = ["do", "then", "if", "while", "until", "time", "sudo", "{"];

/// Every command of these programs in a document.
pub(super) fn of(document: &str, programs: &[&str]) -> Vec<Said> {
    let mut found = Vec::new();
    let mut add = |line: usize, in_block: bool, text: &str| {
        let commands = split(text);
        // In a sentence it may be of a line of a log.
        assert!(
            commands.is_some() || !(in_block || programs.iter().any(|program| text.starts_with(program))),
            "line {line}: a quotation does not end: {text}"
        );
        for words in commands.into_iter().flatten() {
            if let Some(words) = begun(words, programs) {
                found.push(Said { line, words, in_block });
            }
        }
    };
    let lines: Vec<&str> = document.lines().collect();
    let mut at = 0;
    while at < lines.len() {
        let Some(language) = lines[at].trim_start().strip_prefix("```") else {
            let end = (at..lines.len())
                .find(|end| lines[*end].trim().is_empty() || lines[*end].trim_start().starts_with("```"))
                .unwrap_or(lines.len());
            for (number, span) in spans(&lines[at..end].join("\n")) {
                add(at + number + 1, false, &span);
            }
            at = end + usize::from(lines.get(end).is_some_and(|line| line.trim().is_empty()));
            continue;
        };
        let end = (at + 1..lines.len()).find(|end| lines[*end].trim() == "```").expect("blocks end");
        let mut number = at + 1;
        while number < end && language.is_empty() {
            let begin = number;
            let mut text = lines[number].to_owned();
            number += 1;
            if !programs.iter().any(|program| text.contains(program)) {
                continue;
            }
            while number < end && (text.ends_with('\\') || split(&text).is_none()) {
                text = format!("{text}\n{}", lines[number]);
                number += 1;
            }
            add(begin + 1, true, &text);
        }
        at = end + 1;
    }
    found
}

/// What stands between backticks in a paragraph, with the number of its line there.
fn spans(paragraph: &str) -> Vec<(usize, String)> {
    let mut spans = Vec::new();
    let mut line = 0;
    for (number, part) in paragraph.split('`').enumerate() {
        if number % 2 == 1 {
            spans.push((line, part.split_whitespace().collect::<Vec<_>>().join(" ")));
        }
        line += part.matches('\n').count();
    }
    spans
}

/// A command from where one of these programs begins, whoever begins it.
fn begun(mut words: Vec<String>, programs: &[&str]) -> Option<Vec<String>> {
    let is_assignment = |word: &str| {
        word.split_once('=').is_some_and(|(name, _)| name.chars().all(|c| c.is_alphanumeric() || c == '_'))
    };
    let mut begins =
        words.iter().position(|word| !is_assignment(word) && !BEFORE.contains(&word.as_str()))?;
    let is_program = |word: &String| programs.contains(&word.as_str());
    if words[begins] == "xargs" {
        begins = words.iter().position(is_program)?;
    }
    // `rampart audit verify: error: …` is what a program says.
    if !is_program(&words[begins]) || words.iter().any(|word| word == "error:") {
        return None;
    }
    words.drain(..begins);
    Some(words)
}

/// Simple commands, as a shell sees them; nothing when a quotation does not end.
fn split(text: &str) -> Option<Vec<Vec<String>>> {
    let mut commands: Vec<Vec<String>> = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let ends = matches!(c, ' ' | '\t' | '\n' | '|' | ';' | '&' | '(' | ')');
        if ends {
            commands.last_mut()?.extend(word.take());
        }
        match c {
            ' ' | '\t' => {}
            _ if ends => commands.push(Vec::new()),
            '\'' | '"' => quoted(c, &mut rest, word.get_or_insert_default())?,
            '\\' => match rest.next() {
                Some('\n') | None => {}
                Some(c) => word.get_or_insert_default().push(c),
            },
            '#' if word.is_none() => while rest.next_if(|c| *c != '\n').is_some() {},
            '<' if is_placeholder(rest.clone()) => word.get_or_insert_default().push('<'),
            '>' if word.as_ref().is_some_and(|word| word.starts_with('<')) => word.as_mut()?.push('>'),
            '<' | '>' => {
                // `2>`: whose output it is.
                word.take_if(|word| word.parse::<u8>().is_ok());
                commands.last_mut()?.extend(word.take());
                while rest.next_if(|c| matches!(c, '<' | '>' | '&' | ' ')).is_some() {}
                while rest.next_if(|c| !" \n|;&()".contains(*c)).is_some() {}
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    commands.last_mut()?.extend(word);
    Some(commands)
}

fn quoted(quote: char, rest: &mut Peekable<Chars<'_>>, word: &mut String) -> Option<()> {
    loop {
        match rest.next()? {
            c if c == quote => return Some(()),
            '\\' if quote == '"' => word.push(rest.next()?),
            c => word.push(c),
        }
    }
}

/// `<NAME>`, and no file that something is read from.
fn is_placeholder(rest: Peekable<Chars<'_>>) -> bool {
    let name: String = rest.take_while(|c| !c.is_whitespace()).collect();
    name.find('>').is_some_and(|end| end > 0 && name[..end].chars().all(|c| c.is_alphanumeric() || c == '-'))
}

#[test]
fn commands_are_found_where_a_shell_finds_them() {
    let document = "Say `rampart stop\n--reason \"a b\"` or `nothing`.\n\n```\nrampart list | x 2>/dev/null  # rampart no\n\
                    a=1 kubectl get \\\n  pods 'x\ny' >/dev/null && n=$(kubectl -n <NAME> exec p -- rampart doctor) &\n\
                    rampart audit verify: error: it's\n```\n```yaml\nrampart yaml\n```\n\n  ```\n  f | xargs -I N kubectl x N\n  ```\n";
    let said = of(&document.replace("it's", "its"), &["rampart", "kubectl"]);
    let told: Vec<String> =
        said.iter().map(|said| format!("{} {} {}", said.line, said.in_block, said.words.join("_"))).collect();
    assert_eq!(
        told,
        [
            "1 false rampart_stop_--reason_a b",
            "5 true rampart_list",
            "6 true kubectl_get_pods_x\ny",
            "6 true kubectl_-n_<NAME>_exec_p_--_rampart_doctor",
            "16 true kubectl_x_N",
        ]
    );
}
