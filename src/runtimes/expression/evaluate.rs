//! Evaluates a program over a scope, without the guest and without copying what is only looked at.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::{
    json_text, number,
    program::{Binary, Function, Logical, Node, Program, TemplatePart},
    text::Text,
    value::{Failure, Js},
};
use crate::runtimes::scope::{Scope, zoned::ZonedTime};

mod access;
mod methods;

/// Bytes of text that one evaluation may make or search, its intermediate results included.
pub(super) const WORK_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The evaluation of one expression.
pub(super) struct Evaluator<'a> {
    scope: &'a Scope<'a>,
    work_bytes_left: usize,
}

/// What ends the evaluation of a chain early.
enum Stop {
    Failed(Failure),
    /// `?.` behind undefined or null.
    ChainEnds,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(scope: &'a Scope<'a>) -> Self {
        Self { scope, work_bytes_left: WORK_BYTES_MAX }
    }

    /// The result as JSON; `None` for undefined. NaN and the infinities become null, as in `JSON.stringify`.
    pub(super) fn result(&mut self, program: &'a Program) -> Result<Option<Value>, Failure> {
        match program {
            Program::Value(node) => Ok(to_json(self.top(node)?)),
            Program::Array(elements) => {
                let element = |element| Ok(self.result(element)?.unwrap_or(Value::Null));
                Ok(Some(Value::Array(elements.iter().map(element).collect::<Result<_, Failure>>()?)))
            }
            Program::Object(members) => {
                let mut object = Map::new();
                for (name, member) in members {
                    match self.result(member)? {
                        Some(value) => object.insert(name.to_string(), value),
                        None => object.shift_remove(&**name),
                    };
                }
                Ok(Some(Value::Object(object)))
            }
            Program::Conditional(condition, results) => {
                let [yes, no] = &**results;
                if self.top(condition)?.is_truthy() { self.result(yes) } else { self.result(no) }
            }
            Program::Now | Program::Today => Ok(Some(Value::String(self.time(program)?))),
        }
    }

    /// Appends the result as a template string shows it: text as it is, null and undefined as nothing, objects as JSON.
    pub(super) fn write_result(&mut self, text: &mut String, program: &'a Program) -> Result<(), Failure> {
        let Program::Value(node) = program else {
            if let Some(value) = self.result(program)? {
                write_value(text, &value);
            }
            return Ok(());
        };
        match self.top(node)? {
            Js::Undefined | Js::Null | Js::BuiltIn(_) => {}
            Js::Bool(value) => text.push_str(if value { "true" } else { "false" }),
            Js::Number { origin: Some(number), .. } => json_text::write_number(text, number),
            Js::Number { value, .. } if value.is_finite() => number::write(text, value),
            Js::Number { .. } => {}
            Js::Text(result) => text.push_str(&result.into_cow()),
            Js::Json(value) => json_text::write(text, value),
        }
        Ok(())
    }

    fn time(&self, program: &Program) -> Result<String, Failure> {
        let zone = &self.scope.data.timezone;
        let time = match program {
            Program::Today => ZonedTime::today(self.scope.now_ms, zone),
            _ => ZonedTime::now(self.scope.now_ms, zone),
        };
        time.map(|time| time.iso).map_err(Failure::Missing)
    }

    fn top(&mut self, node: &'a Node) -> Result<Js<'a>, Failure> {
        self.node(node).or_else(|stop| match stop {
            Stop::Failed(failure) => Err(failure),
            Stop::ChainEnds => Ok(Js::Undefined), // Not reached: every optional link is in a chain.
        })
    }

    fn node(&mut self, node: &'a Node) -> Result<Js<'a>, Stop> {
        Ok(match node {
            Node::Undefined => Js::Undefined,
            Node::Null => Js::Null,
            Node::Bool(value) => Js::Bool(*value),
            Node::Number(value) => Js::from(*value),
            Node::Text(text) => Js::Text(Text::from(&**text)),
            Node::Variable(variable) => self.variable(*variable),
            Node::ListLength(list) => self.list_length(list)?,
            Node::ItemJson(item, link) => self.item_json(item, *link)?,
            Node::Member(object, key, link) => {
                let object = self.linked(object, *link)?;
                self.member(&object, key)?
            }
            Node::Method(object, method, argument, link) => {
                let object = self.linked(object, *link)?;
                let argument = argument.as_ref().map(|argument| self.node(argument)).transpose()?;
                self.method(object, *method, argument)?
            }
            Node::Call(function, argument) => {
                let argument = self.node(argument)?;
                self.call(*function, argument)?
            }
            Node::Chain(chain) => match self.node(chain) {
                Err(Stop::ChainEnds) => Js::Undefined,
                result => result?,
            },
            Node::Not(operand) => Js::Bool(!self.node(operand)?.is_truthy()),
            Node::Negate(operand) => Js::from(-self.node(operand)?.to_number()?),
            Node::ToNumber(operand) => Js::from(self.node(operand)?.to_number()?),
            Node::TypeOf(operand) => Js::Text(self.node(operand)?.type_name().into()),
            Node::Binary(operator, operands) => {
                let [left, right] = &**operands;
                let (left, right) = (self.node(left)?, self.node(right)?);
                self.binary(*operator, left, right)?
            }
            Node::Logical(operator, operands) => {
                let [left, right] = &**operands;
                let left = self.node(left)?;
                let is_left = match operator {
                    Logical::And => !left.is_truthy(),
                    Logical::Or => left.is_truthy(),
                    Logical::Coalesce => !left.is_nullish(),
                };
                if is_left { left } else { self.node(right)? }
            }
            Node::Conditional(nodes) => {
                let [condition, yes, no] = &**nodes;
                if self.node(condition)?.is_truthy() { self.node(yes)? } else { self.node(no)? }
            }
            Node::Template(parts) => self.template(parts)?,
        })
    }

    fn binary(&mut self, operator: Binary, left: Js<'a>, right: Js<'a>) -> Result<Js<'a>, Failure> {
        Ok(match operator {
            Binary::Add => return self.add(left, right),
            Binary::Subtract => Js::from(left.to_number()? - right.to_number()?),
            Binary::Multiply => Js::from(left.to_number()? * right.to_number()?),
            Binary::Divide => Js::from(left.to_number()? / right.to_number()?),
            Binary::Remainder => Js::from(left.to_number()? % right.to_number()?),
            Binary::Equal => Js::Bool(left.loosely_equals(&right)?),
            Binary::NotEqual => Js::Bool(!left.loosely_equals(&right)?),
            Binary::StrictEqual => Js::Bool(left.strictly_equals(&right)),
            Binary::StrictNotEqual => Js::Bool(!left.strictly_equals(&right)),
            Binary::Less => Js::Bool(compare(left, right)? == Some(Ordering::Less)),
            Binary::LessOrEqual => Js::Bool(compare(left, right)?.is_some_and(Ordering::is_le)),
            Binary::Greater => Js::Bool(compare(left, right)? == Some(Ordering::Greater)),
            Binary::GreaterOrEqual => Js::Bool(compare(left, right)?.is_some_and(Ordering::is_ge)),
        })
    }

    fn add(&mut self, left: Js<'a>, right: Js<'a>) -> Result<Js<'a>, Failure> {
        let (left, right) = (left.into_primitive()?, right.into_primitive()?);
        if !matches!(left, Js::Text(_)) && !matches!(right, Js::Text(_)) {
            return Ok(Js::from(left.to_number()? + right.to_number()?));
        }
        let (left, right) = (left.into_text()?, right.into_text()?);
        self.work(left.size_bytes() + right.size_bytes())?;
        Ok(Js::Text(left.concat(&right)))
    }

    fn template(&mut self, parts: &'a [TemplatePart]) -> Result<Js<'a>, Stop> {
        let mut text = Text::from(String::new());
        for part in parts {
            let part = match part {
                TemplatePart::Text(part) => Text::from(&**part),
                TemplatePart::Value(node) => self.node(node)?.into_text()?,
            };
            self.work(part.size_bytes())?;
            text = text.concat(&part);
        }
        Ok(Js::Text(text))
    }

    fn call(&mut self, function: Function, argument: Js<'a>) -> Result<Js<'a>, Failure> {
        Ok(match function {
            Function::String => Js::Text(argument.into_text()?),
            Function::Number => Js::from(argument.to_number()?),
            Function::Boolean => Js::Bool(argument.is_truthy()),
            Function::JsonStringify => return self.stringify(argument),
            Function::MathFloor => Js::from(argument.to_number()?.floor()),
            Function::MathCeil => Js::from(argument.to_number()?.ceil()),
            Function::MathAbs => Js::from(argument.to_number()?.abs()),
            Function::MathRound => Js::from(round(argument.to_number()?)),
        })
    }

    /// Counts text that is made or searched.
    fn work(&mut self, bytes: usize) -> Result<(), Failure> {
        let left = self.work_bytes_left.checked_sub(bytes);
        self.work_bytes_left = left.ok_or(Failure::TooMuchWork { bytes_max: WORK_BYTES_MAX })?;
        Ok(())
    }
}

/// How two values compare by `<`; `None` where a NaN is in it. Source: ECMA-262, 7.2.12.
fn compare(left: Js<'_>, right: Js<'_>) -> Result<Option<Ordering>, Failure> {
    let (left, right) = (left.into_primitive()?, right.into_primitive()?);
    if let (Js::Text(left), Js::Text(right)) = (&left, &right) {
        return Ok(Some(left.compare(right)));
    }
    Ok(left.to_number()?.partial_cmp(&right.to_number()?))
}

/// `Math.round`: halves go up, also below zero; keeps the sign of a zero.
fn round(value: f64) -> f64 {
    let floor = value.floor();
    let rounded = if value - floor >= 0.5 { floor + 1.0 } else { floor };
    rounded.copysign(value)
}

fn to_json(value: Js<'_>) -> Option<Value> {
    Some(match value {
        Js::Undefined | Js::BuiltIn(_) => return None,
        Js::Null => Value::Null,
        Js::Bool(value) => Value::Bool(value),
        Js::Number { origin: Some(number), .. } => Value::Number(number.clone()),
        Js::Number { value, .. } => number::to_json(value).map_or(Value::Null, Value::Number),
        Js::Text(text) => Value::String(text.into_string()),
        Js::Json(value) => value.clone(),
    })
}

/// Appends JSON as a template string shows it.
pub(super) fn write_value(text: &mut String, value: &Value) {
    match value {
        Value::Null => {}
        Value::String(string) => text.push_str(string),
        other => json_text::write(text, other),
    }
}
