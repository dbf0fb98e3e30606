//! XPath on HTML: the part of XPath 1.0 that templates use, on a tree built from hostile bytes.
//!
//! Steps along `/` and `//` by name, `*`, `text()`, `@name`, `.` and `..`, with predicates `[2]`, `[last()]`, `[@a]`,
//! `[@a='b']`, `[text()='b']` and `[contains(@a, 'b')]`. Each step is linear in the document.

use std::collections::BTreeMap;

use html5gum::{DefaultEmitter, Token, Tokenizer};

use super::MAX_EXTRACTED;

/// Longest document that is read, in bytes.
const MAX_DOCUMENT: usize = 2 * 1024 * 1024;
/// Most elements and texts that are read.
const MAX_NODES: usize = 200_000;
/// Deepest nesting; what is deeper counts as children of the last level.
const MAX_DEPTH: usize = 512;
/// Most steps in a path.
const MAX_STEPS: usize = 32;
/// Longest path, in bytes.
const MAX_SOURCE: usize = 4096;

/// A compiled path.
#[derive(Debug, Clone)]
pub struct Xpath {
    steps: Vec<Step>,
}

/// Why a text is no path that can be followed here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct XpathError {
    /// XPath has it, Rampart does not.
    pub unsupported: bool,
    /// What is wrong.
    pub message: String,
}

#[derive(Debug, Clone)]
struct Step {
    /// After `//`.
    deep: bool,
    test: Test,
    predicates: Vec<Predicate>,
}

#[derive(Debug, Clone)]
enum Test {
    Name(String),
    Any,
    Text,
    Attribute(String),
    Itself,
    Parent,
}

#[derive(Debug, Clone)]
enum Predicate {
    Index(usize),
    Last,
    Has(Operand),
    Equals(Operand, String),
    Contains(Operand, String),
}

#[derive(Debug, Clone)]
enum Operand {
    Attribute(String),
    Text,
}

impl Xpath {
    /// Compiles a path.
    ///
    /// # Errors
    /// When it is malformed or uses more of XPath than is supported.
    pub fn parse(source: &str) -> Result<Xpath, XpathError> {
        if source.len() > MAX_SOURCE {
            return Err(XpathError {
                unsupported: false,
                message: format!("longer than {MAX_SOURCE} bytes"),
            });
        }
        let mut rest = source.trim();
        let mut steps = Vec::new();
        while !rest.is_empty() || steps.is_empty() {
            let deep = rest.starts_with("//");
            let after = rest.strip_prefix("//").or_else(|| rest.strip_prefix('/'));
            rest = match after {
                Some(after) => after,
                None if steps.is_empty() => rest,
                None => return Err(unsupported(rest)),
            };
            // A relative path may begin anywhere.
            let deep = deep || (steps.is_empty() && after.is_none());
            let step = step(&mut rest, deep)?;
            steps.push(step);
            if steps.len() > MAX_STEPS {
                let message = format!("more than {MAX_STEPS} steps");
                return Err(XpathError { unsupported: false, message });
            }
        }
        Ok(Xpath { steps })
    }

    /// Texts of the selected nodes, or their attribute of that name.
    pub fn select(&self, document: &[u8], attribute: Option<&str>) -> Vec<Vec<u8>> {
        let tree = Tree::read(document);
        let mut selected: Vec<usize> = vec![0];
        let mut values: Option<Vec<Vec<u8>>> = None;
        for (index, step) in self.steps.iter().enumerate() {
            if let Test::Attribute(name) = &step.test {
                let owners = if step.deep { tree.below(&selected) } else { selected.clone() };
                let found = owners.iter().filter_map(|node| tree.attribute(*node, name));
                values = Some(found.map(|value| value.as_bytes().to_vec()).collect());
                if index + 1 < self.steps.len() {
                    return Vec::new();
                }
                break;
            }
            selected = tree.step(&selected, step);
        }
        let values = values.unwrap_or_else(|| {
            let text = |node: &usize| match attribute {
                Some(name) => tree.attribute(*node, name).map(|value| value.as_bytes().to_vec()),
                None => Some(tree.text(*node).trim().as_bytes().to_vec()),
            };
            selected.iter().take(MAX_EXTRACTED).filter_map(text).collect()
        });
        values.into_iter().take(MAX_EXTRACTED).collect()
    }
}

fn step(rest: &mut &str, deep: bool) -> Result<Step, XpathError> {
    let whole = *rest;
    let name_end = |text: &str| {
        text.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':' | '.')))
            .unwrap_or(text.len())
    };
    let test = if let Some(after) = rest.strip_prefix("text()") {
        *rest = after;
        Test::Text
    } else if let Some(after) = rest.strip_prefix("..") {
        *rest = after;
        Test::Parent
    } else if let Some(after) = rest.strip_prefix('*') {
        *rest = after;
        Test::Any
    } else if let Some(after) = rest.strip_prefix('@') {
        let (name, after) = after.split_at(name_end(after));
        *rest = after;
        Test::Attribute(name.to_ascii_lowercase())
    } else if rest.starts_with('.') && !rest[1..].starts_with(|c: char| c.is_ascii_alphanumeric()) {
        *rest = &rest[1..];
        Test::Itself
    } else {
        let (name, after) = rest.split_at(name_end(rest));
        *rest = after;
        if name.is_empty() || name.contains("::") || after.starts_with('(') {
            return Err(unsupported(whole));
        }
        Test::Name(name.to_ascii_lowercase())
    };
    let mut predicates = Vec::new();
    while let Some(after) = rest.strip_prefix('[') {
        let end = closing(after).ok_or_else(|| unsupported(whole))?;
        predicates.push(predicate(after[..end].trim())?);
        *rest = &after[end + 1..];
    }
    Ok(Step { deep, test, predicates })
}

/// The bracket that ends a predicate, not one inside quotes.
fn closing(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, ']') => return Some(at),
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    None
}

fn predicate(text: &str) -> Result<Predicate, XpathError> {
    if let Ok(index) = text.parse::<usize>() {
        return Ok(Predicate::Index(index));
    }
    if text == "last()" {
        return Ok(Predicate::Last);
    }
    let operand = |text: &str| {
        let text = text.trim();
        match text.strip_prefix('@') {
            Some(name)
                if !name.is_empty()
                    && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':')) =>
            {
                Some(Operand::Attribute(name.to_ascii_lowercase()))
            }
            _ => matches!(text, "text()" | ".").then_some(Operand::Text),
        }
    };
    let quoted = |text: &str| {
        let text = text.trim();
        let inner = ['\'', '"'].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote));
        inner.filter(|inner| !inner.contains(['\'', '"'])).map(str::to_owned)
    };
    let parsed =
        if let Some(arguments) = text.strip_prefix("contains(").and_then(|rest| rest.strip_suffix(')')) {
            arguments
                .split_once(',')
                .and_then(|(left, right)| Some(Predicate::Contains(operand(left)?, quoted(right)?)))
        } else if let Some((left, right)) = text.split_once('=') {
            operand(left).and_then(|left| Some(Predicate::Equals(left, quoted(right)?)))
        } else {
            operand(text).map(Predicate::Has)
        };
    parsed.ok_or_else(|| unsupported(text))
}

fn unsupported(rest: &str) -> XpathError {
    let rest: String = rest.chars().take(40).collect();
    XpathError {
        unsupported: true,
        message: format!(
            "`{rest}` is not supported; only steps by name, *, text() and @name with simple predicates are"
        ),
    }
}

/// Elements and texts in the order of the document; node 0 is the document itself.
struct Tree {
    nodes: Vec<TreeNode>,
}

struct TreeNode {
    /// Lower case; empty for texts.
    name: String,
    parent: usize,
    /// One after the last descendant.
    end: usize,
    attributes: BTreeMap<String, String>,
    text: String,
}

impl Tree {
    fn read(document: &[u8]) -> Tree {
        let text = String::from_utf8_lossy(&document[..document.len().min(MAX_DOCUMENT)]);
        let node = |name: String, parent: usize| TreeNode {
            name,
            parent,
            end: 0,
            attributes: BTreeMap::new(),
            text: String::new(),
        };
        let mut nodes = vec![node(String::new(), 0)];
        let mut open = vec![0];
        let mut emitter = DefaultEmitter::default();
        emitter.naively_switch_states(true);
        for token in Tokenizer::new_with_emitter(&*text, emitter) {
            let Ok(token) = token;
            if nodes.len() >= MAX_NODES {
                break;
            }
            let parent = open.last().copied().unwrap_or(0);
            match token {
                Token::StartTag(tag) => {
                    let name = String::from_utf8_lossy(&tag.name).to_ascii_lowercase();
                    let mut element = node(name, parent);
                    element.attributes = tag
                        .attributes
                        .iter()
                        .map(|(name, value)| (lossy(name).to_ascii_lowercase(), lossy(&value.value)))
                        .collect();
                    let keeps_open = !tag.self_closing && !is_void(&element.name) && open.len() < MAX_DEPTH;
                    nodes.push(element);
                    if keeps_open {
                        open.push(nodes.len() - 1);
                    }
                }
                Token::EndTag(tag) => {
                    let name = String::from_utf8_lossy(&tag.name).to_ascii_lowercase();
                    if let Some(at) = open.iter().skip(1).rposition(|node| nodes[*node].name == name) {
                        for closed in open.drain(at + 1..) {
                            nodes[closed].end = nodes.len();
                        }
                    }
                }
                Token::String(text) => {
                    let mut child = node(String::new(), parent);
                    child.text = lossy(&text.value);
                    nodes.push(child);
                }
                Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => {}
            }
        }
        let length = nodes.len();
        for still_open in open {
            nodes[still_open].end = length;
        }
        for (index, node) in nodes.iter_mut().enumerate() {
            node.end = node.end.max(index + 1);
        }
        Tree { nodes }
    }

    fn attribute(&self, node: usize, name: &str) -> Option<&str> {
        self.nodes[node].attributes.get(name).map(String::as_str)
    }

    /// All text below a node.
    fn text(&self, node: usize) -> String {
        self.nodes[node..self.nodes[node].end].iter().map(|node| node.text.as_str()).collect()
    }

    /// The nodes and all that is below them, each once, in order.
    fn below(&self, selected: &[usize]) -> Vec<usize> {
        let mut all = Vec::new();
        let mut next = 0;
        for node in selected {
            all.extend((*node).max(next)..self.nodes[*node].end);
            next = next.max(self.nodes[*node].end);
        }
        all
    }

    fn step(&self, selected: &[usize], step: &Step) -> Vec<usize> {
        let tested = |node: usize| match &step.test {
            Test::Name(name) => self.nodes[node].name == *name,
            Test::Any => !self.nodes[node].name.is_empty(),
            Test::Text => node != 0 && self.nodes[node].name.is_empty(),
            Test::Attribute(_) | Test::Itself | Test::Parent => true,
        };
        let mut found: Vec<usize> = match &step.test {
            Test::Itself if step.deep => self.below(selected),
            Test::Itself => selected.to_vec(),
            Test::Parent => selected.iter().map(|node| self.nodes[*node].parent).collect(),
            _ => {
                let mut wanted = vec![step.deep; self.nodes.len()];
                if step.deep {
                    wanted.fill(false);
                    self.below(selected).into_iter().for_each(|node| wanted[node] = true);
                } else {
                    selected.iter().for_each(|node| wanted[*node] = true);
                }
                (1..self.nodes.len())
                    .filter(|node| wanted[self.nodes[*node].parent] && tested(*node))
                    .collect()
            }
        };
        found.sort_unstable();
        found.dedup();
        for predicate in &step.predicates {
            found = self.filter(found, predicate);
        }
        found
    }

    /// Positions count among the selected children of the same parent.
    fn filter(&self, found: Vec<usize>, predicate: &Predicate) -> Vec<usize> {
        let mut groups: BTreeMap<usize, usize> = BTreeMap::new();
        for node in &found {
            *groups.entry(self.nodes[*node].parent).or_default() += 1;
        }
        let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
        let operand = |node: usize, operand: &Operand| match operand {
            Operand::Attribute(name) => self.attribute(node, name).map(str::to_owned),
            Operand::Text => {
                let own = (node + 1..self.nodes[node].end).filter(|child| self.nodes[*child].parent == node);
                Some(own.map(|child| self.nodes[child].text.as_str()).collect())
            }
        };
        let keeps = |node: &usize| {
            let parent = self.nodes[*node].parent;
            let position = seen.entry(parent).or_default();
            *position += 1;
            match predicate {
                Predicate::Index(index) => *position == *index,
                Predicate::Last => groups.get(&parent) == Some(position),
                Predicate::Has(wanted) => operand(*node, wanted).is_some_and(|value| !value.is_empty()),
                Predicate::Equals(wanted, value) => {
                    operand(*node, wanted).is_some_and(|own| own.trim() == value)
                }
                Predicate::Contains(wanted, value) => {
                    operand(*node, wanted).is_some_and(|own| own.contains(value.as_str()))
                }
            }
        };
        found.into_iter().filter(keeps).collect()
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Elements that have no end tag (HTML, section 13.1.2).
fn is_void(name: &str) -> bool {
    matches!(
        name,
        "area"
            | "base"
            | "br"
            | "col"
            | "embed"
            | "hr"
            | "img"
            | "input"
            | "link"
            | "meta"
            | "source"
            | "track"
            | "wbr"
    )
}
