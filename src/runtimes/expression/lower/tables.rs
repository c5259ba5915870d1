//! Which names and operators are evaluated here, and as what.

use oxc::ast::ast::{BinaryOperator, Expression};

use super::super::program::{Binary, Function, Method, Node, Variable};

/// The value of a free name.
pub(super) fn identifier_node(name: &str) -> Option<Node> {
    Some(match name {
        "undefined" => Node::Undefined,
        "NaN" => Node::Number(f64::NAN),
        "Infinity" => Node::Number(f64::INFINITY),
        "$json" => Node::Variable(Variable::Json),
        "$itemIndex" => Node::Variable(Variable::ItemIndex),
        "$runIndex" => Node::Variable(Variable::RunIndex),
        "$execution" => Node::Variable(Variable::Execution),
        "$workflow" => Node::Variable(Variable::Workflow),
        "$vars" => Node::Variable(Variable::Vars),
        "$env" => Node::Variable(Variable::Env),
        _ => return None,
    })
}

/// A function of `Math` or `JSON`.
pub(super) fn function_of_namespace(object: &Expression<'_>, name: &str) -> Option<Function> {
    let Expression::Identifier(namespace) = object else { return None };
    match (namespace.name.as_str(), name) {
        ("JSON", "stringify") => Some(Function::JsonStringify),
        ("Math", "floor") => Some(Function::MathFloor),
        ("Math", "ceil") => Some(Function::MathCeil),
        ("Math", "round") => Some(Function::MathRound),
        ("Math", "abs") => Some(Function::MathAbs),
        _ => None,
    }
}

/// A method, by its name and the number of its arguments.
pub(super) fn method(name: &str, has_argument: bool) -> Option<Method> {
    match (name, has_argument) {
        ("toUpperCase", false) => Some(Method::ToUpperCase),
        ("toLowerCase", false) => Some(Method::ToLowerCase),
        ("trim", false) => Some(Method::Trim),
        ("trimStart", false) => Some(Method::TrimStart),
        ("trimEnd", false) => Some(Method::TrimEnd),
        ("includes", true) => Some(Method::Includes),
        ("startsWith", true) => Some(Method::StartsWith),
        ("endsWith", true) => Some(Method::EndsWith),
        ("join", _) => Some(Method::Join),
        _ => None,
    }
}

pub(super) fn binary_operator(operator: BinaryOperator) -> Option<Binary> {
    match operator {
        BinaryOperator::Addition => Some(Binary::Add),
        BinaryOperator::Subtraction => Some(Binary::Subtract),
        BinaryOperator::Multiplication => Some(Binary::Multiply),
        BinaryOperator::Division => Some(Binary::Divide),
        BinaryOperator::Remainder => Some(Binary::Remainder),
        BinaryOperator::Equality => Some(Binary::Equal),
        BinaryOperator::Inequality => Some(Binary::NotEqual),
        BinaryOperator::StrictEquality => Some(Binary::StrictEqual),
        BinaryOperator::StrictInequality => Some(Binary::StrictNotEqual),
        BinaryOperator::LessThan => Some(Binary::Less),
        BinaryOperator::LessEqualThan => Some(Binary::LessOrEqual),
        BinaryOperator::GreaterThan => Some(Binary::Greater),
        BinaryOperator::GreaterEqualThan => Some(Binary::GreaterOrEqual),
        // `**` is left out because the C library of the guest may round the last digit otherwise than this machine's.
        BinaryOperator::Exponential
        | BinaryOperator::ShiftLeft
        | BinaryOperator::ShiftRight
        | BinaryOperator::ShiftRightZeroFill
        | BinaryOperator::BitwiseOR
        | BinaryOperator::BitwiseXOR
        | BinaryOperator::BitwiseAnd
        | BinaryOperator::In
        | BinaryOperator::Instanceof => None,
    }
}
