//! Evaluates a template: every expression in it, here or in the guest.

use serde_json::{Map, Value};

use super::{
    Node, Piece,
    compile::Expression,
    error::ExpressionError,
    evaluate::{self, Evaluator},
    index_segment, key_segment,
    value::Failure,
};
use crate::{
    model::limits::OUTPUT_BYTES_MAX,
    runtimes::{
        javascript::GuestSession,
        sandbox::error::GuestError,
        scope::{
            Scope,
            data::{Input, ScopeData},
        },
    },
};

/// One evaluation of one template.
pub(super) struct Evaluation<'a> {
    scope: &'a Scope<'a>,
    guest: &'a mut GuestSession,
    output_bytes_left: usize,
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(scope: &'a Scope<'a>, guest: &'a mut GuestSession) -> Self {
        Self { scope, guest, output_bytes_left: OUTPUT_BYTES_MAX }
    }

    pub(super) fn value(&mut self, node: &Node) -> Result<Value, ExpressionError> {
        match node {
            Node::Literal(value) => self.charge(value.clone()),
            Node::Whole(expression) => {
                let result = self.expression(expression);
                result.and_then(|value| self.charge(value)).map_err(|error| error.of(expression))
            }
            Node::Joined(pieces) => self.joined(pieces),
            Node::Array(nodes) => {
                let element = |(index, node)| self.value(node).map_err(|error| error.below(&index_segment(index)));
                nodes.iter().enumerate().map(element).collect()
            }
            Node::Object(members) => {
                let member = |(key, node): &(String, Node)| {
                    let value = self.value(node).map_err(|error| error.below(&key_segment(key)))?;
                    Ok((key.clone(), value))
                };
                Ok(Value::Object(members.iter().map(member).collect::<Result<Map<_, _>, ExpressionError>>()?))
            }
        }
    }

    fn joined(&mut self, pieces: &[Piece]) -> Result<Value, ExpressionError> {
        let mut text = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Expression(expression) => self.write(&mut text, expression).map_err(|error| error.of(expression))?,
            }
            if text.len() > self.output_bytes_left {
                return Err(Failure::OutputTooLarge { bytes_max: OUTPUT_BYTES_MAX }.into());
            }
        }
        self.charge(Value::String(text))
    }

    fn expression(&mut self, expression: &Expression) -> Result<Value, ExpressionError> {
        match &expression.program {
            Some(program) => Ok(Evaluator::new(self.scope).result(program)?.unwrap_or(Value::Null)),
            None => in_guest(expression, self.scope, self.guest),
        }
    }

    fn write(&mut self, text: &mut String, expression: &Expression) -> Result<(), ExpressionError> {
        match &expression.program {
            Some(program) => Evaluator::new(self.scope).write_result(text, program)?,
            None => evaluate::write_value(text, &in_guest(expression, self.scope, self.guest)?),
        }
        Ok(())
    }

    /// Counts a value of the output.
    fn charge(&mut self, value: Value) -> Result<Value, ExpressionError> {
        let left = self.output_bytes_left.checked_sub(size_bytes(&value));
        self.output_bytes_left = left.ok_or(Failure::OutputTooLarge { bytes_max: OUTPUT_BYTES_MAX })?;
        Ok(value)
    }
}

/// Roughly the size of a value as JSON.
fn size_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(elements) => elements.iter().map(|element| size_bytes(element) + 1).sum::<usize>() + 2,
        Value::Object(members) => members.iter().map(|(key, member)| key.len() + size_bytes(member) + 4).sum::<usize>() + 2,
    }
}

/// Evaluates an expression in the guest, whether or not it could be evaluated here.
pub(super) fn in_guest(expression: &Expression, scope: &Scope<'_>, guest: &mut GuestSession) -> Result<Value, ExpressionError> {
    let data = ScopeData::new(scope, &expression.variables, Input::None).map_err(GuestError::Scope)?;
    Ok(guest.call(&expression.function, &data)?)
}
