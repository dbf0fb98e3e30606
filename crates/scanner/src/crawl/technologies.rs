//! What a site is made with, told by headers, cookies, generators, script names and marks in the markup. Pure; the knowledge
//! is data in [`table`].

mod table;

use std::{fmt, sync::LazyLock};

use aho_corasick::AhoCorasick;
use checks::exchange::HttpResponse;
use serde::Serialize;

use self::table::{Rule, Sign, TABLE};
use super::page::PageFacts;

/// Bytes of a body that are searched for marks.
const SEARCHED: usize = 256 << 10;
/// Characters of a version.
const LONGEST_VERSION: usize = 24;

/// Something a site is made with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Technology {
    /// Its usual name.
    pub name: &'static str,
    /// Where the site tells: letters, digits, dots, dashes and underscores only.
    pub version: Option<String>,
    /// CPE 2.3 name (NISTIR 7695), with the version or any.
    pub cpe: Option<String>,
}

impl fmt::Display for Technology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{} {version}", self.name),
            None => f.write_str(self.name),
        }
    }
}

/// The marks of all rules, and the rule each belongs to.
struct Marks {
    automaton: AhoCorasick,
    rules: Vec<usize>,
}

static MARKS: LazyLock<Marks> = LazyLock::new(|| {
    let marks = TABLE.iter().enumerate().flat_map(|(index, rule)| {
        rule.signs
            .iter()
            .filter_map(move |sign| if let Sign::Mark(text) = sign { Some((index, *text)) } else { None })
    });
    let (rules, texts): (Vec<usize>, Vec<&str>) = marks.unzip();
    Marks { automaton: AhoCorasick::new(texts).expect("a few short literals"), rules }
});

/// The technologies of one response, in the order of the table, each once, with the first version that was told.
pub fn technologies(response: &HttpResponse, facts: &PageFacts) -> Vec<Technology> {
    let marked = marked(response);
    let headers: Vec<(String, String)> = response
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), String::from_utf8_lossy(value).to_ascii_lowercase()))
        .collect();
    let scripts: Vec<Script> = facts.scripts.iter().map(|source| Script::new(source)).collect();
    let generators: Vec<String> = facts.generators.iter().map(|text| text.to_ascii_lowercase()).collect();
    let evidence =
        Evidence { headers: &headers, scripts: &scripts, generators: &generators, marked: &marked };
    TABLE.iter().enumerate().filter_map(|(index, rule)| evidence.technology(index, rule)).collect()
}

fn marked(response: &HttpResponse) -> Vec<bool> {
    let mut marked = vec![false; TABLE.len()];
    let is_text = response.header("content-type").is_none_or(|value| {
        let value = value.to_ascii_lowercase();
        value.starts_with(b"text/") || memchr::memmem::find(&value, b"xml").is_some()
    });
    if is_text {
        let body = &response.body[..response.body.len().min(SEARCHED)];
        for found in MARKS.automaton.find_overlapping_iter(body) {
            marked[MARKS.rules[found.pattern().as_usize()]] = true;
        }
    }
    marked
}

struct Evidence<'a> {
    headers: &'a [(String, String)],
    scripts: &'a [Script],
    generators: &'a [String],
    marked: &'a [bool],
}

impl Evidence<'_> {
    fn technology(&self, index: usize, rule: &Rule) -> Option<Technology> {
        let mut seen = self.marked[index];
        let mut version = None;
        for sign in rule.signs {
            let told = self.sign(sign);
            seen |= told.is_some();
            version = version.or(told.flatten());
        }
        seen.then(|| Technology { name: rule.name, cpe: rule.cpe(version.as_deref()), version })
    }

    /// None: no sign of it. Some: seen, perhaps with a version.
    fn sign(&self, sign: &Sign) -> Option<Option<String>> {
        let values = |wanted: &'static str| {
            self.headers.iter().filter(move |(name, _)| name == wanted).map(|(_, value)| value)
        };
        match *sign {
            Sign::Mark(_) => None,
            Sign::Header(name) => values(name).next().map(|_| None),
            Sign::VersionHeader(name) => values(name).next().map(|value| version(value)),
            Sign::Word(name, word) => values(name).find_map(|value| after_word(value, word)),
            Sign::Says(name, word) => values(name).find_map(|value| after_word(value, word)).map(|_| None),
            Sign::Generator(word) => self.generators.iter().find_map(|text| after_word(text, word)),
            Sign::Cookie(prefix) => {
                let prefix = prefix.to_ascii_lowercase();
                values("set-cookie").any(|value| value.starts_with(&prefix)).then_some(None)
            }
            Sign::Script(stem) => self.scripts.iter().find_map(|script| script.is(stem)),
        }
    }
}

impl Rule {
    fn cpe(&self, version: Option<&str>) -> Option<String> {
        let version = version.map_or("*".to_owned(), |version| version.to_ascii_lowercase());
        (!self.cpe.is_empty()).then(|| format!("cpe:2.3:a:{}:{version}:*:*:*:*:*:*:*", self.cpe))
    }
}

/// Finds a whole word, and the version that follows it: `nginx/1.18.0`, `wordpress 6.4`.
fn after_word(text: &str, word: &str) -> Option<Option<String>> {
    let mut from = 0;
    while let Some(offset) = text[from..].find(word) {
        let (start, end) = (from + offset, from + offset + word.len());
        let apart = |byte: Option<&u8>| byte.is_none_or(|byte| !byte.is_ascii_alphanumeric());
        let before = start.checked_sub(1).and_then(|at| text.as_bytes().get(at));
        let rest = &text[end..];
        // `apache-coyote` is not `apache`; `jetty9` and `nginx-1.18` are what they begin with.
        let ends = match rest.as_bytes() {
            [b'-', next, ..] => !next.is_ascii_alphabetic(),
            [next, ..] => !next.is_ascii_alphabetic(),
            [] => true,
        };
        if apart(before) && ends {
            let rest = rest.trim_start_matches(['/', ' ', '-', '_', '(', ':', '@']);
            let rest = rest.strip_prefix("version ").unwrap_or(rest);
            return Some(version(rest.strip_prefix('v').unwrap_or(rest)));
        }
        from = end;
    }
    None
}

/// A version at the very beginning: digits, then what belongs to it.
fn version(text: &str) -> Option<String> {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')))
        .unwrap_or(text.len());
    let version = text[..end.min(LONGEST_VERSION)].trim_end_matches(['.', '-', '_']);
    version.starts_with(|c: char| c.is_ascii_digit()).then(|| version.to_owned())
}

/// The address of a script, taken apart.
struct Script {
    /// Last part of the path, in lower case, without `.js`.
    file: String,
    /// Parts of the path before it, and values of the query.
    around: Vec<String>,
}

/// Parts of a script's file name that say how it was built, not what it is.
const BUILDS: &[&str] = &[
    "min",
    "slim",
    "bundle",
    "prod",
    "production",
    "development",
    "dev",
    "global",
    "esm",
    "umd",
    "core",
    "full",
    "runtime",
    "all",
    "pack",
    "packed",
    "module",
    "cjs",
    "iife",
    "browser",
    "common",
];

impl Script {
    fn new(source: &str) -> Script {
        let lower = source.to_ascii_lowercase();
        let (path, query) = lower.split_once('?').unwrap_or((&lower, ""));
        let (directories, file) = path.rsplit_once('/').unwrap_or(("", path));
        let file = file.strip_suffix(".js").or_else(|| file.strip_suffix(".mjs")).unwrap_or(file);
        let values = query.split('&').filter_map(|pair| pair.split_once('=').map(|(_, value)| value));
        Script {
            file: file.to_owned(),
            around: directories.rsplit('/').chain(values).map(str::to_owned).collect(),
        }
    }

    fn is(&self, stem: &str) -> Option<Option<String>> {
        let rest = self.file.strip_prefix(stem)?;
        let is_build = |part: &str| {
            let hash = part.len() >= 6 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
            part.is_empty()
                || part.starts_with(|c: char| c.is_ascii_digit())
                || hash
                || BUILDS.contains(&part)
        };
        let apart = rest.is_empty()
            || rest.starts_with(['.', '-', '_', '@'])
            || rest.starts_with(|c: char| c.is_ascii_digit());
        if !apart || !rest.split(['.', '-', '_', '@']).all(is_build) {
            return None;
        }
        let in_name = rest.trim_start_matches(['.', '-', '_', '@']);
        let numbers = |text: &str| {
            let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
            let number = text[..end.min(LONGEST_VERSION)].trim_end_matches('.');
            (number.contains('.') && number.starts_with(|c: char| c.is_ascii_digit()))
                .then(|| number.to_owned())
        };
        let around = self.around.iter().find_map(|part| {
            let part = part.rsplit_once('@').map_or(part.as_str(), |(_, version)| version);
            let part = part.strip_prefix(stem).map_or(part, |rest| rest.trim_start_matches(['-', '.']));
            numbers(part.strip_prefix('v').unwrap_or(part))
        });
        Some(numbers(in_name).or(around))
    }
}

#[cfg(test)]
mod tests;
