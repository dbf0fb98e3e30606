//! YAML as a tree in which every node knows its place.
//!
//! Values stay text: what a field means, not how it is spelled, decides whether `404` is a number. Size, depth and the
//! expansion of aliases are bounded, so that a hostile file costs no more than a large one.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use crate::diagnostic::{Diagnostic, DiagnosticCode, Position};

/// Longest file that is read, in bytes.
pub const MAX_BYTES: usize = 2 * 1024 * 1024;
/// Deepest nesting.
pub const MAX_DEPTH: usize = 32;
/// Most nodes, aliases expanded.
pub const MAX_NODES: usize = 50_000;
/// Most bytes of text in the tree, aliases expanded.
pub const MAX_EXPANDED: usize = 8 * 1024 * 1024;

/// One value of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it begins.
    pub position: Position,
    /// What it is.
    pub kind: Kind,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A single value.
    Scalar {
        /// Its text, unescaped and unfolded.
        text: String,
        /// Written without quotes, so that `true`, `12` and `null` are not texts.
        plain: bool,
    },
    /// A list.
    Sequence(Vec<Node>),
    /// Keys and values in the order of the file.
    Mapping(Vec<(Key, Node)>),
}

/// A key of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Where it begins.
    pub position: Position,
    /// Its text.
    pub text: String,
}

impl Node {
    /// Nothing, or `null` or `~` without quotes.
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The value of a key, when this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Mapping(entries) => {
                entries.iter().find(|(given, _)| given.text == key).map(|(_, node)| node)
            }
            _ => None,
        }
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// What it is, for messages.
    pub fn describe(&self) -> &'static str {
        match &self.kind {
            _ if self.is_null() => "nothing",
            Kind::Scalar { .. } => "a single value",
            Kind::Sequence(_) => "a list",
            Kind::Mapping(_) => "a mapping",
        }
    }
}

/// Parses a text of one document. The diagnostic's `origin` is empty.
///
/// # Errors
/// When the text is not YAML, has a key twice, or passes one of the limits of this module.
pub fn parse(text: &str) -> Result<Node, Diagnostic> {
    if text.len() > MAX_BYTES {
        let message = format!("the file has {} bytes, more than the {MAX_BYTES} that are read", text.len());
        return Err(Diagnostic::new("", Position::START, DiagnosticCode::Limit, message));
    }
    let last_line = text.lines().count().max(1);
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| {
            let mut at = place(*error.marker());
            at.line = at.line.min(last_line);
            Diagnostic::new("", at, DiagnosticCode::Yaml, format!("not YAML: {}", error.info()))
        })?;
        let at = place(span.start);
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let kind = Kind::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain };
                builder.node(Node { position: at, kind }, anchor)?;
            }
            Event::SequenceStart(anchor, _) => builder.open(at, anchor, Kind::Sequence(Vec::new()))?,
            Event::MappingStart(anchor, _) => builder.open(at, anchor, Kind::Mapping(Vec::new()))?,
            Event::SequenceEnd | Event::MappingEnd => builder.close()?,
            Event::Alias(anchor) => builder.alias(at, anchor)?,
            Event::DocumentStart(_) if builder.root.is_some() => {
                let message = "a second document begins here: a file holds one template".to_owned();
                return Err(Diagnostic::new("", at, DiagnosticCode::Yaml, message));
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => {}
        }
    }
    builder
        .root
        .ok_or_else(|| Diagnostic::new("", Position::START, DiagnosticCode::Yaml, "the file is empty"))
}

fn place(marker: Marker) -> Position {
    Position { line: marker.line().max(1), column: marker.col() + 1 }
}

/// A list or mapping whose end has not been seen.
struct Open {
    node: Node,
    anchor: usize,
    key: Option<Key>,
    keys: HashSet<String>,
    nodes_before: usize,
    bytes_before: usize,
}

struct Anchored {
    node: Node,
    nodes: usize,
    bytes: usize,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    bytes: usize,
    root: Option<Node>,
}

impl Builder {
    fn count(&mut self, at: Position, nodes: usize, bytes: usize) -> Result<(), Diagnostic> {
        self.nodes += nodes;
        self.bytes += bytes;
        if self.nodes > MAX_NODES || self.bytes > MAX_EXPANDED {
            let message = format!(
                "the file grows, with its aliases expanded, past {MAX_NODES} values or {MAX_EXPANDED} bytes"
            );
            return Err(Diagnostic::new("", at, DiagnosticCode::Limit, message));
        }
        Ok(())
    }

    fn open(&mut self, at: Position, anchor: usize, kind: Kind) -> Result<(), Diagnostic> {
        if self.open.len() >= MAX_DEPTH {
            let message = format!("nested deeper than {MAX_DEPTH} levels");
            return Err(Diagnostic::new("", at, DiagnosticCode::Limit, message));
        }
        let (nodes_before, bytes_before) = (self.nodes, self.bytes);
        self.count(at, 1, 0)?;
        let node = Node { position: at, kind };
        self.open.push(Open { node, anchor, key: None, keys: HashSet::new(), nodes_before, bytes_before });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Diagnostic> {
        let Some(done) = self.open.pop() else { return Ok(()) };
        if done.anchor != 0 {
            let (nodes, bytes) = (self.nodes - done.nodes_before, self.bytes - done.bytes_before);
            // The copy is kept beside the tree, so it counts.
            self.count(done.node.position, nodes, bytes)?;
            self.anchors.insert(done.anchor, Anchored { node: done.node.clone(), nodes, bytes });
        }
        self.attach(done.node)
    }

    fn node(&mut self, node: Node, anchor: usize) -> Result<(), Diagnostic> {
        let bytes = node.text().map_or(0, str::len);
        self.count(node.position, 1, bytes)?;
        if anchor != 0 {
            self.count(node.position, 1, bytes)?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), nodes: 1, bytes });
        }
        self.attach(node)
    }

    fn alias(&mut self, at: Position, anchor: usize) -> Result<(), Diagnostic> {
        let Some(Anchored { nodes, bytes, .. }) = self.anchors.get(&anchor) else {
            let message = "an alias points into the value that contains it";
            return Err(Diagnostic::new("", at, DiagnosticCode::Yaml, message));
        };
        let (nodes, bytes) = (*nodes, *bytes);
        self.count(at, nodes, bytes)?;
        let node = self.anchors.get(&anchor).map(|anchored| anchored.node.clone());
        node.map_or(Ok(()), |node| self.attach(node))
    }

    fn attach(&mut self, node: Node) -> Result<(), Diagnostic> {
        let Some(parent) = self.open.last_mut() else {
            self.root.get_or_insert(node);
            return Ok(());
        };
        match &mut parent.node.kind {
            Kind::Sequence(items) => items.push(node),
            Kind::Mapping(entries) => match parent.key.take() {
                Some(key) => entries.push((key, node)),
                None => {
                    let position = node.position;
                    let Kind::Scalar { text, .. } = node.kind else {
                        let message = "a key of a mapping must be a single value";
                        return Err(Diagnostic::new("", position, DiagnosticCode::Yaml, message));
                    };
                    if !parent.keys.insert(text.clone()) {
                        let message = format!("the key `{text}` is there twice in the same mapping");
                        return Err(Diagnostic::new("", position, DiagnosticCode::DuplicateKey, message));
                    }
                    parent.key = Some(Key { position, text });
                }
            },
            Kind::Scalar { .. } => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_node_and_key_knows_its_place() {
        let root = parse("id: a\ninfo:\n  tags: [x, \"y\"]\n").unwrap();
        let Kind::Mapping(entries) = &root.kind else { panic!("{root:?}") };
        assert_eq!(entries[1].0, Key { position: Position { line: 2, column: 1 }, text: "info".to_owned() });
        let tags = root.get("info").and_then(|info| info.get("tags")).unwrap();
        let Kind::Sequence(items) = &tags.kind else { panic!("{tags:?}") };
        assert_eq!(items[1].position, Position { line: 3, column: 13 });
        assert_eq!(items[0].kind, Kind::Scalar { text: "x".to_owned(), plain: true });
        assert_eq!(items[1].kind, Kind::Scalar { text: "y".to_owned(), plain: false });
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, code, line) in [
            ("", DiagnosticCode::Yaml, 1),
            ("a: [1", DiagnosticCode::Yaml, 1),
            ("a: 1\nb: 2\na: 3\n", DiagnosticCode::DuplicateKey, 3),
            ("a: &x [*x]\n", DiagnosticCode::Yaml, 1),
            ("a: 1\n[1]: 2\n", DiagnosticCode::Yaml, 2),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!((error.code, error.line), (code, line), "{text:?}: {error}");
        }
        let deep = "[".repeat(MAX_DEPTH + 1);
        assert_eq!(parse(&deep).unwrap_err().code, DiagnosticCode::Limit);
        assert_eq!(parse(&"x".repeat(MAX_BYTES + 1)).unwrap_err().code, DiagnosticCode::Limit);
    }

    #[test]
    fn aliases_expand_but_not_without_end() {
        let root = parse("a: &x [1, 2]\nb: *x\n").unwrap();
        assert_eq!(root.get("a").unwrap().kind, root.get("b").unwrap().kind);
        let mut laughs = "a0: &a0 [l, l, l, l, l, l, l, l, l]\n".to_owned();
        for level in 1..20 {
            let before = format!("*a{}, ", level - 1).repeat(9);
            laughs.push_str(&format!("a{level}: &a{level} [{}]\n", before.trim_end_matches(", ")));
        }
        assert_eq!(parse(&laughs).unwrap_err().code, DiagnosticCode::Limit);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[-a-c:?{}\\[\\],&*!|>'\"%@` \n\t#0-9]{0,200}") {
            let _ = parse(&text);
        }
    }
}
