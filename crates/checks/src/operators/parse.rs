//! Reading matchers and extractors from a template.

use memchr::memmem::Finder;
use regex::bytes::Regex;

use super::{Extractor, ExtractorKind, JsonQuery, Matcher, MatcherKind, Operators, Word, Xpath, decode_hex};
use crate::{
    diagnostic::{DiagnosticCode, Position},
    expression::Expression,
    pattern,
    template::{
        ProtocolKind, Text,
        fields::{Fields, Report},
    },
    yaml::{Kind, Node},
};

/// Most matchers or extractors of a block, and entries of one.
const MAX_ENTRIES: usize = 1_000;

impl Operators {
    pub(crate) fn read(block: &Fields<'_>, protocol: ProtocolKind, report: &Report) -> Operators {
        let all = block.word("matchers-condition", &[("and", true), ("or", false)]).unwrap_or(false);
        let matchers = list(block, "matchers", report);
        let extractors = list(block, "extractors", report);
        let operators = Operators {
            matchers: matchers.iter().filter_map(|node| matcher(node, protocol, report)).collect(),
            extractors: extractors.iter().filter_map(|node| extractor(node, protocol, report)).collect(),
            all,
        };
        if matchers.is_empty() && extractors.is_empty() {
            let message =
                "the request has neither `matchers` nor `extractors`, so nothing would be found".to_owned();
            report.add(block.position(), DiagnosticCode::MissingField, message);
        }
        operators
    }
}

fn list<'t>(block: &Fields<'t>, name: &str, report: &Report) -> &'t [Node] {
    match block.get(name) {
        Some(Node { kind: Kind::Sequence(items), position }) => {
            if items.len() > MAX_ENTRIES {
                let message = format!("`{name}` has more than {MAX_ENTRIES} entries");
                report.add(*position, DiagnosticCode::Limit, message);
            }
            &items[..items.len().min(MAX_ENTRIES)]
        }
        Some(node) => {
            report.wrong_type(node, &format!("`{name}`"), "a list");
            &[]
        }
        None => &[],
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Type {
    Word,
    Regex,
    Binary,
    Status,
    Size,
    Dsl,
    Xpath,
    Kval,
    Json,
}

fn matcher(node: &Node, protocol: ProtocolKind, report: &Report) -> Option<Matcher> {
    let fields = Fields::new(node, "matcher", report)?;
    let types = [
        ("word", Type::Word),
        ("regex", Type::Regex),
        ("binary", Type::Binary),
        ("status", Type::Status),
        ("size", Type::Size),
        ("dsl", Type::Dsl),
        ("xpath", Type::Xpath),
    ];
    if fields.get("type").is_none() {
        fields.missing("type");
    }
    let kind = fields.word("type", &types);
    let any_case = fields.flag("case-insensitive");
    let hexadecimal = fields.word("encoding", &[("hex", true)]).unwrap_or(false);
    let all = fields.word("condition", &[("and", true), ("or", false)]).unwrap_or(false);
    // All values are looked for anyway; the flag only says that all be shown.
    fields.accept("match-all");
    let part = part(&fields, protocol, report);
    let matcher = Matcher {
        part,
        all,
        negative: fields.flag("negative"),
        name: fields.text("name").filter(|name| !name.trim().is_empty()),
        internal: fields.flag("internal"),
        kind: MatcherKind::Size(Vec::new()),
    };
    let kind = match kind? {
        Type::Word => {
            let words = entries(&fields, "words", report).into_iter();
            MatcherKind::Words(
                words.filter_map(|(word, at)| self::word(word, at, any_case, hexadecimal, report)).collect(),
            )
        }
        Type::Regex => MatcherKind::Regexes(regexes(&fields, any_case, report)),
        Type::Binary => {
            let binary = entries(&fields, "binary", report).into_iter();
            MatcherKind::Binary(binary.filter_map(|(hex, at)| bytes(hex, at, report)).collect())
        }
        Type::Status => MatcherKind::Status(numbers(&fields, "status", report)),
        Type::Size => MatcherKind::Size(
            numbers(&fields, "size", report).into_iter().map(|size| size as usize).collect(),
        ),
        Type::Dsl => MatcherKind::Dsl(expressions(&fields, report)),
        Type::Xpath | Type::Kval | Type::Json => MatcherKind::Xpath(paths(&fields, report)),
    };
    for (name, other) in types {
        let field = if name == "word" { "words" } else { name };
        if fields.position_of(field) != fields.position() && !matches_kind(&kind, other) {
            let message = format!("a matcher of this type does not use `{field}`");
            report.add(fields.position_of(field), DiagnosticCode::UnknownField, message);
        }
        fields.accept(field);
    }
    fields.finish();
    Some(Matcher { kind, ..matcher })
}

fn matches_kind(kind: &MatcherKind, other: Type) -> bool {
    let own = match kind {
        MatcherKind::Words(_) => Type::Word,
        MatcherKind::Regexes(_) => Type::Regex,
        MatcherKind::Binary(_) => Type::Binary,
        MatcherKind::Status(_) => Type::Status,
        MatcherKind::Size(_) => Type::Size,
        MatcherKind::Dsl(_) => Type::Dsl,
        MatcherKind::Xpath(_) => Type::Xpath,
    };
    own == other
}

fn extractor(node: &Node, protocol: ProtocolKind, report: &Report) -> Option<Extractor> {
    let fields = Fields::new(node, "extractor", report)?;
    let types = [
        ("regex", Type::Regex),
        ("kval", Type::Kval),
        ("json", Type::Json),
        ("xpath", Type::Xpath),
        ("dsl", Type::Dsl),
    ];
    if fields.get("type").is_none() {
        fields.missing("type");
    }
    let kind = fields.word("type", &types);
    let any_case = fields.flag("case-insensitive");
    let part = part(&fields, protocol, report);
    let group = fields.number("group", 0, 1000).unwrap_or(0) as usize;
    let attribute = fields.text("attribute");
    let extractor_name = fields.text("name").filter(|name| !name.trim().is_empty());
    let internal = fields.flag("internal");
    let kind = match kind? {
        Type::Regex => {
            let regexes = regexes(&fields, any_case, report);
            for (index, regex) in regexes.iter().enumerate() {
                if group >= regex.captures_len() {
                    let at = fields.texts("regex").get(index).map_or(fields.position(), |(_, at)| *at);
                    let has = regex.captures_len() - 1;
                    let message = format!("`group: {group}`, but the regex has {has} groups");
                    report.add(at, DiagnosticCode::InvalidValue, message);
                }
            }
            ExtractorKind::Regexes { regexes, group }
        }
        Type::Kval => {
            let keys = entries(&fields, "kval", report).into_iter();
            ExtractorKind::Kval(
                keys.map(|(key, _)| key.trim().to_ascii_lowercase().replace('-', "_")).collect(),
            )
        }
        Type::Json => {
            let queries = entries(&fields, "json", report).into_iter();
            let query = |(source, at): (&str, Position)| match JsonQuery::parse(source) {
                Ok(query) => Some(query),
                Err(error) => {
                    let code =
                        if error.unsupported { DiagnosticCode::Unsupported } else { DiagnosticCode::Pattern };
                    report.add(at, code, format!("in the JSON query `{}`: {}", source.trim(), error.message));
                    None
                }
            };
            ExtractorKind::Json(queries.filter_map(query).collect())
        }
        Type::Xpath => ExtractorKind::Xpath { paths: paths(&fields, report), attribute },
        _ => ExtractorKind::Dsl(expressions(&fields, report)),
    };
    for (name, _) in types {
        fields.accept(name);
    }
    fields.finish();
    Some(Extractor { kind, part, name: extractor_name, internal })
}

/// The part by its one name inside; what stands there when the template says nothing depends on the protocol.
fn part(fields: &Fields<'_>, protocol: ProtocolKind, report: &Report) -> String {
    let given = fields.text("part").unwrap_or_default();
    let given = given.trim();
    if given.starts_with("interactsh") {
        let message = format!("`part: {given}`: callbacks to a server of one's own are not supported");
        report.unsupported(fields.position_of("part"), message);
    }
    match (protocol, given) {
        (ProtocolKind::Http, "") => "body",
        (ProtocolKind::Dns, "" | "body" | "all") => "raw",
        (ProtocolKind::Tcp, "" | "body" | "all") => "data",
        (ProtocolKind::Tls, "" | "body" | "all" | "raw") => "response",
        (_, given) => given,
    }
    .to_owned()
}

fn entries<'t>(fields: &Fields<'t>, name: &str, report: &Report) -> Vec<(&'t str, Position)> {
    let mut entries = fields.texts(name);
    if entries.is_empty() {
        fields.missing(name);
    }
    if entries.len() > MAX_ENTRIES {
        let message = format!("`{name}` has more than {MAX_ENTRIES} entries");
        report.add(fields.position_of(name), DiagnosticCode::Limit, message);
        entries.truncate(MAX_ENTRIES);
    }
    if let Some((_, at)) = entries.iter().find(|(text, _)| text.is_empty()) {
        let message = format!("an entry of `{name}` is empty, and would be found everywhere");
        report.add(*at, DiagnosticCode::InvalidValue, message);
    }
    entries
}

fn word(source: &str, at: Position, any_case: bool, hexadecimal: bool, report: &Report) -> Option<Word> {
    if hexadecimal {
        return bytes(source, at, report).map(Word::Exact);
    }
    let text = Text::read(source, at, report)?;
    for variable in text.variables() {
        refuse_callback(variable, at, report);
    }
    if !text.is_literal() {
        return Some(Word::Rendered { text, any_case });
    }
    if !any_case {
        return Some(Word::Exact(Finder::new(source.as_bytes()).into_owned()));
    }
    match regex::bytes::RegexBuilder::new(&regex::escape(source)).case_insensitive(true).build() {
        Ok(regex) => Some(Word::AnyCase(regex)),
        Err(error) => {
            report.add(at, DiagnosticCode::Pattern, format!("the word is too large: {error}"));
            None
        }
    }
}

fn bytes(hex: &str, at: Position, report: &Report) -> Option<Finder<'static>> {
    match decode_hex(hex) {
        Some(bytes) => Some(Finder::new(&bytes).into_owned()),
        None => {
            let shown: String = hex.chars().take(60).collect();
            report.add(at, DiagnosticCode::InvalidValue, format!("`{shown}` is not hexadecimal"));
            None
        }
    }
}

fn regexes(fields: &Fields<'_>, any_case: bool, report: &Report) -> Vec<Regex> {
    let compile = |(source, at): (&str, Position)| match pattern::compile(source, any_case) {
        Ok(regex) => Some(regex),
        Err(error) => {
            let shown: String = source.chars().take(120).collect();
            let message = format!("the regex `{shown}` does not compile: {error}");
            report.add(at, DiagnosticCode::Pattern, message);
            None
        }
    };
    entries(fields, "regex", report).into_iter().filter_map(compile).collect()
}

fn expressions(fields: &Fields<'_>, report: &Report) -> Vec<Expression> {
    let parse = |(source, at): (&str, Position)| match Expression::parse(source) {
        Ok(expression) => {
            expression.variables().for_each(|variable| refuse_callback(variable, at, report));
            Some(expression)
        }
        Err(error) => {
            report.expression(at, source, &error);
            None
        }
    };
    entries(fields, "dsl", report).into_iter().filter_map(parse).collect()
}

fn refuse_callback(variable: &str, at: Position, report: &Report) {
    if variable.starts_with("interactsh") {
        let message = format!("`{variable}`: callbacks to a server of one's own are not supported");
        report.unsupported(at, message);
    }
}

fn paths(fields: &Fields<'_>, report: &Report) -> Vec<Xpath> {
    let parse = |(source, at): (&str, Position)| match Xpath::parse(source) {
        Ok(path) => Some(path),
        Err(error) => {
            let code = if error.unsupported { DiagnosticCode::Unsupported } else { DiagnosticCode::Pattern };
            report.add(at, code, format!("in the XPath `{}`: {}", source.trim(), error.message));
            None
        }
    };
    entries(fields, "xpath", report).into_iter().filter_map(parse).collect()
}

fn numbers(fields: &Fields<'_>, name: &str, report: &Report) -> Vec<u32> {
    let parse = |(text, at): (&str, Position)| match text.trim().parse() {
        Ok(number) => Some(number),
        Err(_) => {
            report.add(at, DiagnosticCode::InvalidValue, format!("`{text}` in `{name}` is not a number"));
            None
        }
    };
    entries(fields, name, report).into_iter().filter_map(parse).collect()
}
