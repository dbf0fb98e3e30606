//! From tokens to a tree.

use std::collections::HashSet;

use regex::bytes::Regex;

use super::functions::{self, Function};
use super::lexer::{self, Extent, Token, TokenKind};
use super::operator::{Binary, Prefix};
use super::{ExpressionError, Interpolated, MAX_DEPTH, MAX_SOURCE, Value};
use crate::pattern;

/// A part of an expression. Operators of one level are one node, however many there are, so that the tree is only as deep
/// as the source nests.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Constant(Value<'static>),
    Variable(String),
    /// A quoted text with marks in it.
    Text(Interpolated),
    List(Vec<Node>),
    /// Operators of one level, grouped from the left.
    Chain {
        first: Box<Node>,
        rest: Vec<(Binary, Node)>,
    },
    /// The constant right side of `=~` or `!~`.
    Pattern(Regex),
    /// Operators before an operand, outermost first.
    Prefix {
        operators: Vec<Prefix>,
        operand: Box<Node>,
    },
    /// `condition ? value : condition ? value : otherwise`.
    Conditional {
        branches: Vec<(Node, Node)>,
        otherwise: Option<Box<Node>>,
    },
    Call {
        function: &'static Function,
        arguments: Vec<Node>,
        /// The function's regex argument, where it is constant.
        pattern: Option<Regex>,
    },
}

/// A node and how deep it is.
pub(super) struct Tree {
    pub(super) node: Node,
    pub(super) height: usize,
}

/// Parses a whole expression; also gives the variables it names.
pub(super) fn parse(source: &str) -> Result<(Node, Vec<String>), ExpressionError> {
    if source.len() > MAX_SOURCE {
        return Err(ExpressionError::TooLong { length: source.len(), limit: MAX_SOURCE });
    }
    let (tokens, end) = lexer::tokens(source, 0, Extent::Whole)?;
    let (tree, variables, _) = parse_tokens(tokens, end, 0)?;
    Ok((tree.node, variables))
}

/// What `parse_tokens` makes: the tree, its variables, and whether anything in it depends on more than constants.
type Parsed = (Tree, Vec<String>, bool);

/// Parses all of `tokens`, which end at byte `end`, at a depth that the surroundings have reached.
pub(super) fn parse_tokens(tokens: Vec<Token>, end: usize, depth: usize) -> Result<Parsed, ExpressionError> {
    let mut parser = Parser { tokens, position: 0, end, depth, variables: Names::default(), calls: false };
    let tree = parser.list()?;
    if parser.position < parser.tokens.len() {
        return Err(parser.unexpected("an operator or the end"));
    }
    let dynamic = parser.calls || !parser.variables.is_empty();
    Ok((tree, parser.variables.in_order, dynamic))
}

struct Parser {
    tokens: Vec<Token>,
    position: usize,
    end: usize,
    depth: usize,
    variables: Names,
    calls: bool,
}

/// Names, each once, in order of appearance.
#[derive(Default)]
pub(super) struct Names {
    pub(super) in_order: Vec<String>,
    seen: HashSet<String>,
}

impl Names {
    pub(super) fn add(&mut self, name: &str) {
        if self.seen.insert(name.to_owned()) {
            self.in_order.push(name.to_owned());
        }
    }

    fn is_empty(&self) -> bool {
        self.in_order.is_empty()
    }
}

impl Parser {
    fn peek(&self) -> Option<&TokenKind> {
        self.tokens.get(self.position).map(|token| &token.kind)
    }

    fn eat(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Some(TokenKind::Symbol(next)) if *next == symbol);
        self.position += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<(), ExpressionError> {
        if self.eat(symbol) { Ok(()) } else { Err(self.unexpected(&format!("`{symbol}`"))) }
    }

    fn unexpected(&self, wanted: &str) -> ExpressionError {
        let offset = self.tokens.get(self.position).map_or(self.end, |token| token.offset);
        let what = match self.peek() {
            None => format!("the expression ends where {wanted} should stand"),
            Some(TokenKind::Symbol(symbol)) => format!("`{symbol}` where {wanted} should stand"),
            Some(TokenKind::Name(name) | TokenKind::Bracketed(name)) => {
                format!("the name `{name}` where {wanted} should stand")
            }
            Some(TokenKind::Number(_)) => format!("a number where {wanted} should stand"),
            Some(TokenKind::Text(_)) => format!("a text where {wanted} should stand"),
        };
        ExpressionError::Syntax { offset, what }
    }

    fn deeper<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, ExpressionError>,
    ) -> Result<T, ExpressionError> {
        if self.depth >= MAX_DEPTH {
            return Err(ExpressionError::TooDeep);
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// Expressions between commas: several are a list, one is itself.
    fn list(&mut self) -> Result<Tree, ExpressionError> {
        let first = self.conditional()?;
        if !self.eat(",") {
            return Ok(first);
        }
        let mut height = first.height;
        let mut elements = vec![first.node];
        loop {
            let element = self.conditional()?;
            height = height.max(element.height);
            elements.push(element.node);
            if !self.eat(",") {
                return above(height, Node::List(elements));
            }
        }
    }

    fn conditional(&mut self) -> Result<Tree, ExpressionError> {
        let mut condition = self.binary(0)?;
        let mut branches = Vec::new();
        let mut height = 0;
        while self.eat("?") {
            let value = self.deeper(Self::conditional)?;
            height = height.max(condition.height).max(value.height);
            branches.push((condition.node, value.node));
            if !self.eat(":") {
                return above(height, Node::Conditional { branches, otherwise: None });
            }
            condition = self.binary(0)?;
        }
        if branches.is_empty() {
            return Ok(condition);
        }
        let otherwise = Some(Box::new(condition.node));
        above(height.max(condition.height), Node::Conditional { branches, otherwise })
    }

    fn binary_operator(&self) -> Option<Binary> {
        match self.peek() {
            Some(TokenKind::Symbol(symbol)) => Binary::from_symbol(symbol),
            Some(TokenKind::Name(name)) if name == "in" || name == "IN" => Some(Binary::In),
            _ => None,
        }
    }

    /// Operands joined by operators of at least `level`.
    fn binary(&mut self, level: u8) -> Result<Tree, ExpressionError> {
        let mut left = self.prefix()?;
        while let Some(operator) = self.binary_operator().filter(|operator| operator.level() >= level) {
            self.position += 1;
            let mut right = self.deeper(|parser| parser.binary(operator.level() + 1))?;
            if matches!(operator, Binary::Matches | Binary::NotMatches)
                && let Some(regex) = constant_pattern(&right.node)?
            {
                right.node = Node::Pattern(regex);
            }
            left = join(left, operator, right)?;
        }
        Ok(left)
    }

    fn prefix(&mut self) -> Result<Tree, ExpressionError> {
        let mut operators = Vec::new();
        while let Some(TokenKind::Symbol(symbol)) = self.peek() {
            let Some(operator) = Prefix::from_symbol(symbol) else { break };
            operators.push(operator);
            self.position += 1;
        }
        let operand = self.operand()?;
        if operators.is_empty() {
            return Ok(operand);
        }
        above(operand.height, Node::Prefix { operators, operand: Box::new(operand.node) })
    }

    fn operand(&mut self) -> Result<Tree, ExpressionError> {
        let Some(token) = self.peek().cloned() else {
            return Err(self.unexpected("a value"));
        };
        if let TokenKind::Symbol("(" | "{{") = token {
            self.position += 1;
            let inner = self.deeper(Self::list)?;
            self.expect(if token == TokenKind::Symbol("(") { ")" } else { "}}" })?;
            return Ok(inner);
        }
        match token {
            TokenKind::Number(number) => self.leaf(Node::Constant(Value::Number(number))),
            TokenKind::Text(bytes) => self.text(bytes),
            TokenKind::Bracketed(name) => {
                self.variables.add(&name);
                self.leaf(Node::Variable(name))
            }
            TokenKind::Name(name) => match name.as_str() {
                "true" => self.leaf(Node::Constant(Value::Bool(true))),
                "false" => self.leaf(Node::Constant(Value::Bool(false))),
                _ if matches!(
                    self.tokens.get(self.position + 1).map(|token| &token.kind),
                    Some(TokenKind::Symbol("("))
                ) =>
                {
                    self.call(&name)
                }
                "in" | "IN" => Err(self.unexpected("a value")),
                _ => {
                    self.variables.add(&name);
                    self.leaf(Node::Variable(name))
                }
            },
            TokenKind::Symbol(_) => Err(self.unexpected("a value")),
        }
    }

    fn leaf(&mut self, node: Node) -> Result<Tree, ExpressionError> {
        self.position += 1;
        Ok(Tree { node, height: 1 })
    }

    /// A quoted text: a constant, unless it has marks.
    fn text(&mut self, bytes: Vec<u8>) -> Result<Tree, ExpressionError> {
        self.position += 1;
        let interpolated = match str::from_utf8(&bytes) {
            Ok(text) => self.deeper(|parser| Interpolated::parse_at(text, parser.depth))?,
            Err(_) => return Ok(Tree { node: Node::Constant(bytes.into()), height: 1 }),
        };
        if interpolated.is_literal().is_some() {
            return Ok(Tree { node: Node::Constant(bytes.into()), height: 1 });
        }
        self.calls = true;
        for name in interpolated.variables() {
            self.variables.add(name);
        }
        above(interpolated.height(), Node::Text(interpolated))
    }

    fn call(&mut self, name: &str) -> Result<Tree, ExpressionError> {
        let function = functions::find(name)?;
        self.calls = true;
        self.position += 2;
        let mut arguments = Vec::new();
        let mut height = 0;
        if !self.eat(")") {
            loop {
                let argument = self.deeper(Self::conditional)?;
                height = height.max(argument.height);
                arguments.push(argument.node);
                if !self.eat(",") {
                    break;
                }
            }
            self.expect(")")?;
        }
        function.check_arity(arguments.len())?;
        let pattern = match function.pattern.and_then(|index| arguments.get(index)) {
            Some(argument) => constant_pattern(argument)?,
            None => None,
        };
        above(height, Node::Call { function, arguments, pattern })
    }
}

/// A node on top of parts that are `height` deep.
fn above(height: usize, node: Node) -> Result<Tree, ExpressionError> {
    if height >= MAX_DEPTH { Err(ExpressionError::TooDeep) } else { Ok(Tree { node, height: height + 1 }) }
}

fn join(left: Tree, operator: Binary, right: Tree) -> Result<Tree, ExpressionError> {
    match left.node {
        Node::Chain { first, mut rest }
            if rest.last().is_some_and(|(last, _)| last.level() == operator.level()) =>
        {
            rest.push((operator, right.node));
            above(right.height, Node::Chain { first, rest })
                .map(|tree| Tree { height: tree.height.max(left.height), ..tree })
        }
        node => above(
            left.height.max(right.height),
            Node::Chain { first: Box::new(node), rest: vec![(operator, right.node)] },
        ),
    }
}

fn constant_pattern(node: &Node) -> Result<Option<Regex>, ExpressionError> {
    let Node::Constant(value @ Value::Bytes(bytes)) = node else { return Ok(None) };
    // A regex of bytes that are no text cannot be spelled in either dialect; the lossy form then matches nothing real.
    let source = String::from_utf8_lossy(bytes);
    match pattern::compile(&source, false) {
        Ok(regex) => Ok(Some(regex)),
        Err(source) => Err(ExpressionError::BadRegex { pattern: value.text_lossy(), source }),
    }
}
