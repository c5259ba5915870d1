//! Finds out whether an expression can be evaluated without the guest, and translates it if so. Whatever is not listed here, because
//! it is rare or because JavaScript's rules for it are long, has no [`Program`] and is left to the guest.

use oxc::ast::ast::{
    Argument, ArrayExpressionElement, CallExpression, ChainElement, Expression, LogicalOperator, MemberExpression,
    ObjectExpression, ObjectPropertyKind, PropertyKey, PropertyKind, StringLiteral, TemplateLiteral, UnaryExpression,
    UnaryOperator,
};

use super::{
    json_text::array_index,
    names::{is_of_every_object, is_of_some_values},
    number,
    program::{Binary, Function, Key, Link, Logical, Node, Program, TemplatePart, Variable},
};

mod items;
mod tables;

/// Levels of a program: it is evaluated by recursion.
const PROGRAM_DEPTH_MAX: usize = 100;

/// Translates a whole expression.
pub(super) fn program(expression: &Expression<'_>) -> Option<Program> {
    Lowering { depth_left: PROGRAM_DEPTH_MAX }.program(expression)
}

#[derive(Clone, Copy)]
struct Lowering {
    depth_left: usize,
}

impl Lowering {
    fn deeper(self) -> Option<Self> {
        Some(Self { depth_left: self.depth_left.checked_sub(1)? })
    }

    fn program(self, expression: &Expression<'_>) -> Option<Program> {
        let inner = self.deeper()?;
        match expression {
            Expression::ParenthesizedExpression(parenthesized) => inner.program(&parenthesized.expression),
            Expression::Identifier(identifier) if identifier.name == "$now" => Some(Program::Now),
            Expression::Identifier(identifier) if identifier.name == "$today" => Some(Program::Today),
            Expression::ArrayExpression(array) => {
                let element = |element: &ArrayExpressionElement<'_>| inner.program(element.as_expression()?);
                Some(Program::Array(array.elements.iter().map(element).collect::<Option<_>>()?))
            }
            Expression::ObjectExpression(object) => inner.object(object),
            Expression::ConditionalExpression(conditional) => {
                let results = [inner.program(&conditional.consequent)?, inner.program(&conditional.alternate)?];
                if let [Program::Value(_), Program::Value(_)] = results {
                    return Some(Program::Value(self.node(expression)?));
                }
                Some(Program::Conditional(inner.node(&conditional.test)?, Box::new(results)))
            }
            _ => Some(Program::Value(self.node(expression)?)),
        }
    }

    fn object(self, object: &ObjectExpression<'_>) -> Option<Program> {
        let member = |property: &ObjectPropertyKind<'_>| {
            let ObjectPropertyKind::ObjectProperty(property) = property else { return None };
            let name = match &property.key {
                PropertyKey::StaticIdentifier(name) => name.name.as_str().into(),
                PropertyKey::StringLiteral(name) => plain(name)?,
                PropertyKey::NumericLiteral(name) => number::to_text(name.value).into(),
                _ => return None,
            };
            // `__proto__: x` sets the prototype.
            let is_plain = property.kind == PropertyKind::Init && !property.method && !property.computed && &*name != "__proto__";
            if is_plain { Some((name, self.program(&property.value)?)) } else { None }
        };
        Some(Program::Object(object.properties.iter().map(member).collect::<Option<_>>()?))
    }

    fn node(self, expression: &Expression<'_>) -> Option<Node> {
        let inner = self.deeper()?;
        match expression {
            Expression::ParenthesizedExpression(parenthesized) => inner.node(&parenthesized.expression),
            Expression::NullLiteral(_) => Some(Node::Null),
            Expression::BooleanLiteral(literal) => Some(Node::Bool(literal.value)),
            Expression::NumericLiteral(literal) => Some(Node::Number(literal.value)),
            Expression::StringLiteral(literal) => Some(Node::Text(plain(literal)?)),
            Expression::TemplateLiteral(template) => inner.template(template),
            Expression::Identifier(identifier) => tables::identifier_node(identifier.name.as_str()),
            Expression::UnaryExpression(unary) => inner.unary(unary),
            Expression::BinaryExpression(binary) => {
                let operands = [inner.node(&binary.left)?, inner.node(&binary.right)?];
                Some(Node::Binary(tables::binary_operator(binary.operator)?, Box::new(operands)))
            }
            Expression::LogicalExpression(logical) => {
                let operator = match logical.operator {
                    LogicalOperator::And => Logical::And,
                    LogicalOperator::Or => Logical::Or,
                    LogicalOperator::Coalesce => Logical::Coalesce,
                };
                Some(Node::Logical(operator, Box::new([inner.node(&logical.left)?, inner.node(&logical.right)?])))
            }
            Expression::ConditionalExpression(conditional) => Some(Node::Conditional(Box::new([
                inner.node(&conditional.test)?,
                inner.node(&conditional.consequent)?,
                inner.node(&conditional.alternate)?,
            ]))),
            Expression::ChainExpression(chain) => {
                let node = match &chain.expression {
                    ChainElement::CallExpression(call) => inner.call(call)?,
                    element => inner.member(element.as_member_expression()?)?,
                };
                Some(Node::Chain(Box::new(node)))
            }
            Expression::CallExpression(call) => inner.call(call),
            _ => inner.member(expression.as_member_expression()?),
        }
    }

    fn template(self, template: &TemplateLiteral<'_>) -> Option<Node> {
        let mut parts = Vec::with_capacity(2 * template.quasis.len());
        for (index, quasi) in template.quasis.iter().enumerate() {
            if quasi.lone_surrogates {
                return None;
            }
            parts.push(TemplatePart::Text(quasi.value.cooked.as_ref()?.as_str().into()));
            if let Some(expression) = template.expressions.get(index) {
                parts.push(TemplatePart::Value(self.node(expression)?));
            }
        }
        Some(Node::Template(parts))
    }

    fn unary(self, unary: &UnaryExpression<'_>) -> Option<Node> {
        let operand = Box::new(self.node(&unary.argument)?);
        match unary.operator {
            UnaryOperator::LogicalNot => Some(Node::Not(operand)),
            UnaryOperator::UnaryNegation => Some(Node::Negate(operand)),
            UnaryOperator::UnaryPlus => Some(Node::ToNumber(operand)),
            UnaryOperator::Typeof => Some(Node::TypeOf(operand)),
            UnaryOperator::BitwiseNot | UnaryOperator::Void | UnaryOperator::Delete => None,
        }
    }

    fn member(self, member: &MemberExpression<'_>) -> Option<Node> {
        if let Some(node) = items::member(member) {
            return Some(node);
        }
        let link = link(member.optional());
        let (object, key) = match member {
            MemberExpression::StaticMemberExpression(member) => (&member.object, name_key(member.property.name.as_str())?),
            MemberExpression::ComputedMemberExpression(member) => (&member.object, self.computed_key(&member.expression)?),
            MemberExpression::PrivateFieldExpression(_) => return None,
        };
        Some(Node::Member(Box::new(self.object_of_member(object)?), key, link))
    }

    /// What is in front of a `.`: a value that is no function, since those have members that are not known here.
    fn object_of_member(self, expression: &Expression<'_>) -> Option<Node> {
        let node = self.node(expression)?;
        if may_give_function(&node) { None } else { Some(node) }
    }

    fn computed_key(self, key: &Expression<'_>) -> Option<Key> {
        match self.node(key)? {
            Node::Text(name) => name_key(&name),
            Node::Number(value) => name_key(&number::to_text(value)),
            node if gives_number(&node) => Some(Key::Number(Box::new(node))),
            _ => None, // Only the evaluation knows whether it names something inherited.
        }
    }

    fn call(self, call: &CallExpression<'_>) -> Option<Node> {
        let argument = match &call.arguments[..] {
            [] => None,
            [Argument::SpreadElement(_)] | [_, _, ..] => return None,
            [argument] => Some(self.node(argument.as_expression()?)?),
        };
        if call.optional {
            return None;
        }
        if let Expression::Identifier(callee) = &call.callee {
            let function = match callee.name.as_str() {
                "String" => Function::String,
                "Number" => Function::Number,
                "Boolean" => Function::Boolean,
                _ => return None,
            };
            return Some(Node::Call(function, Box::new(argument?)));
        }
        let Expression::StaticMemberExpression(callee) = &call.callee else { return None };
        let name = callee.property.name.as_str();
        if let Some(function) = tables::function_of_namespace(&callee.object, name) {
            return if callee.optional { None } else { Some(Node::Call(function, Box::new(argument?))) };
        }
        let method = tables::method(name, argument.is_some())?;
        Some(Node::Method(
            Box::new(self.object_of_member(&callee.object)?),
            method,
            argument.map(Box::new),
            link(callee.optional),
        ))
    }
}

fn link(is_optional: bool) -> Link {
    if is_optional { Link::Optional } else { Link::Required }
}

fn plain(literal: &StringLiteral<'_>) -> Option<Box<str>> {
    if literal.lone_surrogates { None } else { Some(literal.value.as_str().into()) }
}

fn name_key(name: &str) -> Option<Key> {
    match array_index(name) {
        Some(index) => Some(Key::Index(index)),
        None if is_of_every_object(name) => None,
        None if is_of_some_values(name) => Some(Key::Inherited(name.into())),
        None => Some(Key::Name(name.into())),
    }
}

/// Whether a node's value is a number whatever the scope holds.
fn gives_number(node: &Node) -> bool {
    match node {
        Node::Number(_) | Node::Variable(Variable::ItemIndex | Variable::RunIndex) | Node::ListLength(_) => true,
        Node::Negate(_) | Node::ToNumber(_) => true,
        Node::Binary(Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Remainder, _) => true,
        Node::Binary(Binary::Add, operands) => operands.iter().all(gives_number),
        _ => false,
    }
}

/// Whether a node's value can be a function of a prototype.
fn may_give_function(node: &Node) -> bool {
    match node {
        Node::Member(_, Key::Inherited(_), _) => true,
        Node::Chain(node) => may_give_function(node),
        Node::Logical(_, operands) => operands.iter().any(may_give_function),
        Node::Conditional(nodes) => nodes[1..].iter().any(may_give_function),
        _ => false,
    }
}
