//! The value of a tree.

use std::cell::Cell;

use super::functions::Arguments;
use super::operator::{Binary, equal};
use super::parser::Node;
use super::{Ambient, EvaluationError, Interpolated, Lookup, MAX_LIST, MAX_PRODUCED, MAX_VALUE, Value};

/// The value of a whole expression.
pub(super) fn expression<'a>(
    root: &Node,
    lookup: &Lookup<'_, 'a>,
    ambient: &Ambient,
) -> Result<Value<'a>, EvaluationError> {
    let evaluation = Evaluation::new(lookup, ambient);
    match root {
        // The only expression whose value is not copied: all else may borrow from the tree.
        Node::Variable(name) => evaluation.variable(name),
        root => evaluation.node(root).map(Value::into_owned),
    }
}

/// One evaluation, with what it has made so far.
pub(super) struct Evaluation<'x, 'l, 'a> {
    lookup: &'x Lookup<'l, 'a>,
    ambient: &'x Ambient,
    produced: Cell<usize>,
}

impl<'x, 'l, 'a> Evaluation<'x, 'l, 'a> {
    pub(super) fn new(lookup: &'x Lookup<'l, 'a>, ambient: &'x Ambient) -> Self {
        Evaluation { lookup, ambient, produced: Cell::new(0) }
    }

    pub(super) fn variable(&self, name: &str) -> Result<Value<'a>, EvaluationError> {
        (self.lookup)(name).ok_or_else(|| EvaluationError::UnknownVariable { name: name.to_owned() })
    }

    pub(super) fn node<'e>(&self, node: &'e Node) -> Result<Value<'e>, EvaluationError>
    where
        'a: 'e,
    {
        match node {
            Node::Constant(value) => Ok(value.reborrow()),
            Node::Variable(name) => self.variable(name),
            Node::Text(interpolated) => self.text(interpolated),
            Node::List(elements) => {
                let elements: Result<_, _> = elements.iter().map(|element| self.node(element)).collect();
                Ok(Value::List(elements?))
            }
            Node::Chain { first, rest } => self.chain(first, rest),
            Node::Pattern(regex) => Ok(regex.as_str().into()),
            Node::Prefix { operators, operand } => {
                let operand = self.node(operand)?;
                operators.iter().rev().try_fold(operand, |value, operator| operator.apply(&value))
            }
            Node::Conditional { branches, otherwise } => {
                for (condition, value) in branches {
                    match self.node(condition)? {
                        Value::Bool(true) => return self.node(value),
                        Value::Bool(false) => {}
                        other => {
                            return Err(EvaluationError::Type {
                                operator: "?",
                                expected: "a truth value",
                                found: other.kind().to_owned(),
                            });
                        }
                    }
                }
                otherwise.as_ref().map_or(Ok(Value::Null), |otherwise| self.node(otherwise))
            }
            Node::Call { function, arguments, pattern } => {
                let values: Result<_, _> = arguments.iter().map(|argument| self.node(argument)).collect();
                let arguments = Arguments::new(function, values?, pattern.as_ref(), self.ambient);
                let value = (function.call)(arguments)?;
                self.charge(value)
            }
        }
    }

    fn text<'e>(&self, interpolated: &Interpolated) -> Result<Value<'e>, EvaluationError> {
        let mut rendered = Vec::new();
        interpolated.append_to(&mut rendered, self)?;
        self.charge(Value::from(rendered))
    }

    fn chain<'e>(&self, first: &'e Node, rest: &'e [(Binary, Node)]) -> Result<Value<'e>, EvaluationError>
    where
        'a: 'e,
    {
        let coalesces = matches!(rest.first(), Some((Binary::Coalesce, _)));
        let mut left = match self.node(first) {
            Err(EvaluationError::UnknownVariable { .. }) if coalesces => Value::Null,
            left => left?,
        };
        for (index, (operator, right)) in rest.iter().enumerate() {
            left = match (operator, right) {
                (Binary::And, _) if !operator.flag(&left)? => left,
                (Binary::Or, _) if operator.flag(&left)? => left,
                (Binary::Coalesce, _) if left != Value::Null => left,
                (Binary::Coalesce, right) => match self.node(right) {
                    Err(EvaluationError::UnknownVariable { .. }) if index + 1 < rest.len() => Value::Null,
                    right => right?,
                },
                (Binary::Matches | Binary::NotMatches, Node::Pattern(regex)) => {
                    operator.matching(&left, regex)?
                }
                (Binary::In, Node::List(elements)) => Value::Bool(self.contains(elements, &left)?),
                (operator, right) => {
                    let right = self.node(right)?;
                    self.charge(operator.apply(left, right)?)?
                }
            };
        }
        Ok(left)
    }

    fn contains(&self, elements: &[Node], value: &Value<'_>) -> Result<bool, EvaluationError> {
        for element in elements {
            if equal(value, &self.node(element)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Counts a fresh value against the limits.
    pub(super) fn charge<'e>(&self, value: Value<'e>) -> Result<Value<'e>, EvaluationError> {
        match &value {
            Value::Bytes(bytes) if bytes.len() > MAX_VALUE => {
                return Err(EvaluationError::Limit { what: "a text", limit: MAX_VALUE });
            }
            Value::List(elements) if elements.len() > MAX_LIST => {
                return Err(EvaluationError::Limit { what: "a list", limit: MAX_LIST });
            }
            _ => {}
        }
        let produced = self.produced.get().saturating_add(value.owned_size());
        self.produced.set(produced);
        if produced > MAX_PRODUCED {
            return Err(EvaluationError::Limit { what: "the sum of all values", limit: MAX_PRODUCED });
        }
        Ok(value)
    }
}
