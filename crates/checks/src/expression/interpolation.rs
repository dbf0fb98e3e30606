//! Text with marks: `{{expression}}`, and the older `§name§`.

use memchr::memmem;

use super::evaluate::Evaluation;
use super::lexer::{self, Extent, TokenKind};
use super::parser::{self, Names, Node};
use super::{
    Ambient, EvaluationError, ExpressionError, Lookup, MAX_DEPTH, MAX_INTERPOLATED, MAX_VALUE, Value,
};

/// A text with marks that are replaced by values.
///
/// A mark is `{{expression}}` or `§name§`. What looks like a mark stays as it is where it is no expression, or where it is an
/// expression of constants only: payloads such as `{{7*7}}` are meant for the target. [`Interpolated::literal_marks`] lists
/// both. Values are inserted and never parsed: whatever a target sends, it cannot become an expression.
#[derive(Clone, Debug)]
pub struct Interpolated {
    source: String,
    parts: Vec<Part>,
    variables: Vec<String>,
    literal_marks: Vec<String>,
    height: usize,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Mark(Node),
}

impl Interpolated {
    /// Parses a text with marks.
    ///
    /// # Errors
    /// When the text is too long, or a mark calls a function that is not supported, with a wrong number of arguments or with
    /// a regex that does not compile. Whatever else is wrong inside `{{...}}` leaves it as it is.
    pub fn parse(source: &str) -> Result<Interpolated, ExpressionError> {
        Interpolated::parse_at(source, 0)
    }

    /// [`Interpolated::parse`] inside an expression that is `depth` deep.
    pub(super) fn parse_at(source: &str, depth: usize) -> Result<Interpolated, ExpressionError> {
        if source.len() > MAX_INTERPOLATED {
            return Err(ExpressionError::TooLong { length: source.len(), limit: MAX_INTERPOLATED });
        }
        let mut reader = Reader {
            source,
            depth,
            written: 0,
            unread: 0,
            parts: Vec::new(),
            variables: Names::default(),
            literal_marks: Vec::new(),
            height: 1,
        };
        reader.read()?;
        Ok(Interpolated {
            source: source.to_owned(),
            parts: reader.parts,
            variables: reader.variables.in_order,
            literal_marks: reader.literal_marks,
            height: reader.height,
        })
    }

    /// The text with every mark replaced by its value.
    ///
    /// # Errors
    /// When a variable is unknown (it is named), an expression has no value, or the text would pass [`MAX_VALUE`].
    pub fn render(&self, lookup: &Lookup<'_, '_>, ambient: &Ambient) -> Result<Vec<u8>, EvaluationError> {
        let mut rendered = Vec::with_capacity(self.source.len());
        self.append_to(&mut rendered, &Evaluation::new(lookup, ambient))?;
        Ok(rendered)
    }

    pub(super) fn append_to(
        &self,
        rendered: &mut Vec<u8>,
        evaluation: &Evaluation<'_, '_, '_>,
    ) -> Result<(), EvaluationError> {
        for part in &self.parts {
            let value = match part {
                Part::Text(text) => Value::from(text.as_str()),
                Part::Mark(node) => evaluation.node(node)?,
            };
            let text = value.text();
            if rendered.len().saturating_add(text.len()) > MAX_VALUE {
                return Err(EvaluationError::Limit { what: "a text", limit: MAX_VALUE });
            }
            rendered.extend_from_slice(&text);
        }
        Ok(())
    }

    /// The variables its marks name, each once, in order of appearance.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(String::as_str)
    }

    /// The text, if it has no marks: then it needs no rendering.
    pub fn is_literal(&self) -> Option<&str> {
        let marked = self.parts.iter().any(|part| matches!(part, Part::Mark(_)));
        (!marked).then_some(self.source.as_str())
    }

    /// What looks like a mark and stays as it is, for a lint to point at.
    pub fn literal_marks(&self) -> impl Iterator<Item = &str> {
        self.literal_marks.iter().map(String::as_str)
    }

    /// The text it was parsed from.
    pub fn source(&self) -> &str {
        &self.source
    }

    pub(super) fn height(&self) -> usize {
        self.height
    }
}

/// A mark that was found: what it evaluates, the variables it names, and where it ends.
struct Mark {
    node: Node,
    height: usize,
    variables: Vec<String>,
    end: usize,
}

struct Reader<'s> {
    source: &'s str,
    depth: usize,
    /// Up to here the source is in the parts.
    written: usize,
    /// Up to here literal marks are recorded.
    unread: usize,
    parts: Vec<Part>,
    variables: Names,
    literal_marks: Vec<String>,
    height: usize,
}

impl Reader<'_> {
    fn read(&mut self) -> Result<(), ExpressionError> {
        let source = self.source;
        let mut at = 0;
        // The next place a mark could start: only these two characters can.
        while let Some(found) = source.get(at..).and_then(|rest| rest.find(['{', '§'])) {
            let start = at + found;
            let mark = match &source[start..] {
                rest if rest.starts_with("{{") => self.expression(start + 2)?,
                rest if rest.starts_with('§') => self.named(start + '§'.len_utf8()),
                _ => None,
            };
            at = match mark {
                Some(mark) => self.accept(start, mark),
                None => {
                    self.reject(start);
                    start + source[start..].chars().next().map_or(1, char::len_utf8)
                }
            };
        }
        if self.written < source.len() {
            self.parts.push(Part::Text(source[self.written..].to_owned()));
        }
        Ok(())
    }

    fn accept(&mut self, start: usize, mark: Mark) -> usize {
        if self.written < start {
            self.parts.push(Part::Text(self.source[self.written..start].to_owned()));
        }
        // A refused `{{` whose `}}` lies beyond this mark was not a mark around it, only braces before it.
        if start < self.unread && self.unread < self.source.len() {
            self.literal_marks.pop();
        }
        self.unread = mark.end;
        self.written = mark.end;
        self.height = self.height.max(mark.height);
        self.parts.push(Part::Mark(mark.node));
        for name in &mark.variables {
            self.variables.add(name);
        }
        mark.end
    }

    fn reject(&mut self, start: usize) {
        let rest = &self.source[start..];
        if start < self.unread || !rest.starts_with("{{") {
            return;
        }
        match memmem::find(rest.as_bytes(), b"}}") {
            Some(close) => {
                self.unread = start + close + 2;
                self.literal_marks.push(rest[..close + 2].to_owned());
            }
            None => self.unread = self.source.len(),
        }
    }

    /// The mark whose `{{` ends at `start`, if it is one.
    fn expression(&self, start: usize) -> Result<Option<Mark>, ExpressionError> {
        if let Some(mark) = self.hyphenated(start) {
            return Ok(Some(mark));
        }
        let parsed = lexer::tokens(self.source, start, Extent::Mark).and_then(|(tokens, end)| {
            // Parsing what cannot be an expression anyway is what would make many braces slow.
            let opens = matches!(tokens.first(), Some(token) if token.kind != TokenKind::Symbol("}}"));
            if !opens {
                return Err(ExpressionError::Syntax { offset: start, what: "an empty mark".to_owned() });
            }
            parser::parse_tokens(tokens, end, self.depth).map(|parsed| (parsed, end))
        });
        match parsed {
            Ok(((tree, variables, true), end)) => {
                Ok(Some(Mark { node: tree.node, height: tree.height, variables, end }))
            }
            Ok(((_, _, false), _))
            | Err(
                ExpressionError::Syntax { .. }
                | ExpressionError::UnknownFunction { .. }
                | ExpressionError::TooDeep
                | ExpressionError::TooLong { .. },
            ) => Ok(None),
            Err(
                error @ (ExpressionError::UnsupportedFunction { .. }
                | ExpressionError::Arity { .. }
                | ExpressionError::BadRegex { .. }),
            ) => Err(error),
        }
    }

    /// A mark that is nothing but a name with hyphens, such as `{{interactsh-url}}`: a variable, never a subtraction.
    fn hyphenated(&self, start: usize) -> Option<Mark> {
        let rest = &self.source[start..];
        let name = &rest[..name_length(rest)];
        let closes = rest[name.len()..].starts_with("}}");
        (closes && name.contains('-')).then(|| Mark::variable(name, start + name.len() + 2))
    }

    /// The mark whose `§` ends at `start`, if it is one.
    fn named(&self, start: usize) -> Option<Mark> {
        if self.depth >= MAX_DEPTH {
            return None;
        }
        let rest = &self.source[start..];
        let name = &rest[..name_length(rest)];
        let closes = rest[name.len()..].starts_with('§');
        (closes && !name.is_empty()).then(|| Mark::variable(name, start + name.len() + '§'.len_utf8()))
    }
}

impl Mark {
    fn variable(name: &str, end: usize) -> Mark {
        Mark { node: Node::Variable(name.to_owned()), height: 1, variables: vec![name.to_owned()], end }
    }
}

/// The length of the name, hyphens and dots included, that `text` starts with. Names are short, which keeps this linear.
fn name_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    if !bytes.first().is_some_and(|first| first.is_ascii_alphabetic() || *first == b'_') {
        return 0;
    }
    let belongs = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    bytes.iter().take(256).take_while(belongs).count()
}
