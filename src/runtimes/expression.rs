//! Templates: JSON values, strings of which may hold `{{ JavaScript expressions }}`.
//!
//! A string that is one whole expression takes the JSON type of its result, undefined becoming null. In any other string results are
//! inserted as text: null and undefined as nothing, arrays and objects as JSON. The common forms are evaluated here, with JavaScript's
//! exact meaning; the others in the guest. One difference is wanted: a whole number of the data that is only passed on keeps its
//! digits beyond 2^53.

mod compile;
mod error;
mod evaluate;
mod evaluation;
mod json_text;
mod lower;
mod names;
mod number;
mod program;
mod scan;
mod text;
mod value;

#[cfg(test)]
mod differential;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::Value;

pub use self::error::{ExpressionError, ExpressionErrorKind, ExpressionPlace};
use self::{compile::Expression, evaluation::Evaluation, scan::Part};
use super::{
    javascript::GuestSession,
    scope::Scope,
    syntax::{Position, SyntaxError},
};
use crate::model::{
    limits::JSON_DEPTH_MAX,
    problem::{Problem, pointer_segment},
};

/// Code of a [`Problem`] with an expression.
const PROBLEM: &str = "invalid_expression";

/// A compiled parameter: any JSON value, strings of which may hold `{{ expressions }}`. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    root: Arc<Node>,
}

#[derive(Debug, PartialEq)]
enum Node {
    /// A value without expressions, however deep.
    Literal(Value),
    /// A string that is one whole expression.
    Whole(Expression),
    /// A string with expressions between texts.
    Joined(Vec<Piece>),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
}

#[derive(Debug, PartialEq)]
enum Piece {
    Text(Box<str>),
    Expression(Expression),
}

impl Template {
    /// Compiles a parameter.
    ///
    /// Errors: every expression that does not parse, with a pointer below `value` and its position in `detail`.
    pub fn compile(value: &Value) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let root = compile_value(value, JSON_DEPTH_MAX, &mut problems);
        if problems.is_empty() { Ok(Self { root: Arc::new(root) }) } else { Err(problems) }
    }

    /// Whether there is no expression in it.
    pub fn is_literal(&self) -> bool {
        self.literal().is_some()
    }

    /// The value, if there is no expression in it.
    pub fn literal(&self) -> Option<&Value> {
        match &*self.root {
            Node::Literal(value) => Some(value),
            Node::Whole(_) | Node::Joined(_) | Node::Array(_) | Node::Object(_) => None,
        }
    }

    /// Whether an evaluation needs the guest.
    pub fn needs_guest(&self) -> bool {
        self.root.needs_guest()
    }

    /// Evaluates every expression over a scope.
    ///
    /// Errors: the first expression that fails, by its kind.
    pub fn evaluate(&self, scope: &Scope<'_>, guest: &mut GuestSession) -> Result<Value, ExpressionError> {
        Evaluation::new(scope, guest).value(&self.root)
    }
}

impl Node {
    fn needs_guest(&self) -> bool {
        match self {
            Self::Literal(_) => false,
            Self::Whole(expression) => expression.program.is_none(),
            Self::Joined(pieces) => pieces.iter().any(|piece| match piece {
                Piece::Text(_) => false,
                Piece::Expression(expression) => expression.program.is_none(),
            }),
            Self::Array(nodes) => nodes.iter().any(Self::needs_guest),
            Self::Object(members) => members.iter().any(|(_, node)| node.needs_guest()),
        }
    }

    fn is_literal(&self) -> bool {
        matches!(self, Self::Literal(_))
    }
}

fn compile_value(value: &Value, depth_left: usize, problems: &mut Vec<Problem>) -> Node {
    let Some(inner) = depth_left.checked_sub(1) else {
        problems.push(Problem::new("", PROBLEM, format!("more than {JSON_DEPTH_MAX} arrays and objects inside each other")));
        return Node::Literal(Value::Null);
    };
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Node::Literal(value.clone()),
        Value::String(text) => compile_text(text).unwrap_or_else(|mut found| {
            problems.append(&mut found);
            Node::Literal(Value::Null)
        }),
        Value::Array(elements) => {
            let compile = |(index, element)| compile_below(element, &index_segment(index), inner, problems);
            let nodes: Vec<Node> = elements.iter().enumerate().map(compile).collect();
            if nodes.iter().all(Node::is_literal) { Node::Literal(value.clone()) } else { Node::Array(nodes) }
        }
        Value::Object(members) => {
            let compile = |(key, member): (&String, _)| (key.clone(), compile_below(member, &key_segment(key), inner, problems));
            let nodes: Vec<(String, Node)> = members.iter().map(compile).collect();
            if nodes.iter().all(|(_, node)| node.is_literal()) { Node::Literal(value.clone()) } else { Node::Object(nodes) }
        }
    }
}

fn compile_below(value: &Value, segment: &str, depth_left: usize, problems: &mut Vec<Problem>) -> Node {
    let known = problems.len();
    let node = compile_value(value, depth_left, problems);
    for problem in &mut problems[known..] {
        problem.pointer.insert_str(0, segment);
    }
    node
}

fn compile_text(text: &str) -> Result<Node, Vec<Problem>> {
    let problem = |error: SyntaxError| {
        let Position { line, column, offset } = error.position;
        Problem::new("", PROBLEM, format!("line {line}, column {column} (offset {offset}): {}", error.message))
    };
    let parts = scan::split(text).map_err(|error| {
        vec![problem(SyntaxError { message: error.to_string(), position: Position::at(text, error.offset()) })]
    })?;
    let mut pieces = Vec::with_capacity(parts.len());
    let mut problems = Vec::new();
    for part in parts {
        match part {
            Part::Text(text) => pieces.push(Piece::Text(text.into())),
            Part::Expression { source, offset } => match Expression::compile(text, source, offset) {
                Ok(expression) => pieces.push(Piece::Expression(expression)),
                Err(error) => problems.push(problem(error)),
            },
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(match <[Piece; 1]>::try_from(pieces) {
        Ok([Piece::Expression(expression)]) => Node::Whole(expression),
        Ok([Piece::Text(_)]) => Node::Literal(Value::String(text.to_owned())),
        Err(pieces) if pieces.is_empty() => Node::Literal(Value::String(String::new())),
        Err(pieces) => Node::Joined(pieces),
    })
}

fn index_segment(index: usize) -> String {
    format!("/{index}")
}

fn key_segment(key: &str) -> String {
    format!("/{}", pointer_segment(key))
}
