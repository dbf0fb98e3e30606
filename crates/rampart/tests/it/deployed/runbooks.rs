//! What guides and runbooks tell somebody to type is there: commands and options of this program, and of the cluster the objects that are
//! named or asked for by their labels.

mod cluster_objects;
mod commands;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use testkit::tools::root;

use self::{cluster_objects::Installations, commands::Said};
use crate::run::{rampart, text as said};

/// Beside the runbooks themselves.
const GUIDES: [&str; 4] = ["docs/operations.md", "docs/kubernetes.md", "docs/backup.md", "docs/delivery.md"];

/// Every command of these programs, by its document.
fn said_of(programs: &[&str]) -> Vec<(String, Said)> {
    let mut documents: Vec<PathBuf> = fs::read_dir(root().join("docs/operations"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .chain(GUIDES.map(|name| root().join(name)))
        .collect();
    documents.sort();
    let commands = documents.iter().flat_map(|document| {
        let name = document.strip_prefix(root()).unwrap().display().to_string();
        commands::of(&fs::read_to_string(document).unwrap(), programs)
            .into_iter()
            .map(move |said| (name.clone(), said))
    });
    commands.collect()
}

/// What somebody puts something in the place of.
fn is_placeholder(word: &str) -> bool {
    word.contains(['…', '$', '<'])
        || word.contains("...")
        || word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase() || matches!(c, '_' | ':'))
}

/// What the program says of a command that is followed by `--help`: it reads all of it, and does nothing.
struct Asked {
    heard: BTreeMap<Vec<String>, (bool, String)>,
}

impl Asked {
    fn ask(&mut self, words: &[String]) -> &(bool, String) {
        self.heard.entry(words.to_vec()).or_insert_with(|| {
            let directory = tempfile::tempdir().unwrap();
            let output = rampart(directory.path()).args(words).arg("--help").output().unwrap();
            (output.status.success(), said(&output.stdout) + &said(&output.stderr))
        })
    }

    /// What is wrong with a command.
    fn wrong(&mut self, command: &[String], in_block: bool) -> Option<String> {
        let mut words: Vec<String> = command.iter().take_while(|word| *word != "--").cloned().collect();
        words.retain(|word| word != "…" || in_block);
        let help = loop {
            let (taken, told) = self.ask(&words);
            if *taken {
                break told.clone();
            }
            let first = told.lines().next().unwrap_or_default();
            if first.contains("a value is required for") && !in_block {
                return None;
            }
            // A number, or a name out of a list, for which something else stands here.
            let value = first.split("invalid value '").nth(1).and_then(|rest| rest.split('\'').next());
            let Some(value) = value.filter(|value| is_placeholder(value)) else {
                return Some(first.to_owned());
            };
            let at = words.iter().position(|word| word.rsplit('=').next() == Some(value))?;
            words.remove(at);
            if at > 0 && words[at - 1].starts_with("--") {
                words.remove(at - 1);
            }
        };
        if in_block { lacking(&help, command) } else { None }
    }
}

/// What the help wants of a command and is not there: options by their names, the rest by how many there are.
fn lacking(help: &str, command: &[String]) -> Option<String> {
    let usage = help.split("Usage: rampart").nth(1)?.lines().next()?;
    // Or by its variable, which stands at the end of what is said about it.
    let is_given = |option: &str| {
        let begins = |line: &&str| line.trim_start().starts_with(&format!("{option} "));
        let about = help.lines().skip_while(|line| !begins(line)).skip(1);
        let about = about.take_while(|line| !line.trim_start().starts_with('-'));
        let mut told = help.lines().find(begins).into_iter().chain(about);
        command.iter().any(|given| given.split('=').next() == Some(option))
            || told.any(|line| line.contains("[env: RAMPART_"))
    };
    let mut wanted = usage.split_whitespace().peekable();
    let mut plain = 0;
    while let Some(word) = wanted.next() {
        if !word.trim_start_matches('<').starts_with("--") {
            plain += usize::from(!word.starts_with('['));
            continue;
        }
        // `--one <OF>`, or `<--one <OF>|--these>`, of which one is enough.
        let mut options = word.to_owned();
        let value = word.starts_with("--") && wanted.peek().is_some_and(|more| more.starts_with('<'));
        while value && !options.contains(' ') || options.matches('<').count() > options.matches('>').count() {
            options = format!("{options} {}", wanted.next()?);
        }
        let mut each = options.trim_start_matches('<').split('|');
        if !each.any(|option| is_given(option.split([' ', '>']).next().unwrap_or_default())) {
            return Some(format!("lacks {options}"));
        }
    }
    let takes_value =
        |option: &str| help.lines().any(|line| line.trim_start().contains(&format!("{option} <")));
    let mut given = command.iter().peekable();
    let mut there = 0;
    while let Some(word) = given.next() {
        if !word.starts_with('-') || word == "-" {
            there += 1;
        } else if !word.contains('=') && takes_value(word) {
            given.next();
        }
    }
    (there < plain).then(|| format!("lacks something of `rampart{usage}`"))
}

#[test]
fn this_program_takes_what_guides_say() {
    let mut asked = Asked { heard: BTreeMap::new() };
    let (mut wrong, mut options) = (Vec::new(), BTreeSet::new());
    for (document, said) in said_of(&["rampart", "kubectl"]) {
        // Here, or in a pod.
        let inner = said.words.iter().position(|word| word == "--");
        let command = if said.words[0] == "rampart" {
            &said.words[..]
        } else {
            &said.words[inner.map_or(said.words.len(), |at| at + 1)..]
        };
        let Some((_, command)) = command.split_first().filter(|(program, _)| *program == "rampart") else {
            continue;
        };
        if let Some(why) = asked.wrong(command, said.in_block) {
            wrong.push(format!("{document}:{}: `rampart {}`: {why}", said.line, command.join(" ")));
        }
        options.extend(command.iter().filter(|word| word.starts_with("--")).cloned());
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    assert!(asked.heard.len() > 150 && options.len() > 60, "{} and {}", asked.heard.len(), options.len());
}

#[test]
fn what_guides_ask_a_cluster_for_is_there() {
    let said = said_of(&["kubectl"]);
    let created: BTreeSet<&str> =
        said.iter().filter_map(|(_, said)| cluster_objects::creates(&said.words)).collect();
    let installations = Installations::new(created);
    let mut wrong = Vec::new();
    for (document, said) in &said {
        for why in installations.wrong(&said.words[1..]) {
            wrong.push(format!("{document}:{}: `{}`: {why}", said.line, said.words.join(" ")));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    let (names, selectors) = installations.looked_at();
    assert!(names > 80 && selectors > 20, "{} commands, {names} names and {selectors} selectors", said.len());
}
