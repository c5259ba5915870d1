//! The forms that reach into items: `$items()`, `$input`, `$item` and `$node("id")`. Only the `json` of an item and the length of a
//! list are evaluated here.

use oxc::ast::ast::{CallExpression, Expression, MemberExpression};

use super::{
    super::{
        super::variables::node_of_call,
        json_text::array_index,
        number,
        program::{ItemRef, Link, List, Node},
    },
    link,
};

/// `item.json` and `list.length`.
pub(super) fn member(member: &MemberExpression<'_>) -> Option<Node> {
    let MemberExpression::StaticMemberExpression(member) = member else { return None };
    match member.property.name.as_str() {
        "json" => match &member.object {
            Expression::CallExpression(call) if node_of_call(call).is_some() && !call.optional && !member.optional => {
                Some(Node::ItemJson(ItemRef::OfNodeOrNone(node_of_call(call)?.into()), Link::Required))
            }
            object => Some(Node::ItemJson(item(object)?, link(member.optional))),
        },
        "length" if !member.optional => Some(Node::ListLength(list(&member.object)?)),
        _ => None,
    }
}

fn item(expression: &Expression<'_>) -> Option<ItemRef> {
    match expression {
        Expression::Identifier(identifier) if identifier.name == "$item" => Some(ItemRef::Current),
        Expression::StaticMemberExpression(member) if member.property.name == "item" && !member.optional => {
            match owner(&member.object)? {
                List::Input => Some(ItemRef::Current),
                List::Node(id) => Some(ItemRef::OfNode(id)),
            }
        }
        Expression::CallExpression(call) => match method(call)? {
            (list, "first") => Some(ItemRef::First(list)),
            (list, "last") => Some(ItemRef::Last(list)),
            _ => None,
        },
        Expression::ComputedMemberExpression(member) if !member.optional => {
            let Expression::NumericLiteral(index) = &member.expression else { return None };
            let index = array_index(&number::to_text(index.value))?;
            Some(ItemRef::At(list(&member.object)?, usize::try_from(index).ok()?))
        }
        _ => None,
    }
}

fn list(expression: &Expression<'_>) -> Option<List> {
    match expression {
        Expression::CallExpression(call) => match &call.callee {
            Expression::Identifier(callee) if callee.name == "$items" && call.arguments.is_empty() && !call.optional => {
                Some(List::Input)
            }
            _ => method(call).and_then(|(list, name)| if name == "all" { Some(list) } else { None }),
        },
        Expression::StaticMemberExpression(member) if member.property.name == "items" && !member.optional => {
            match owner(&member.object)? {
                List::Node(id) => Some(List::Node(id)),
                List::Input => None,
            }
        }
        _ => None,
    }
}

/// A call without arguments of a method of `$input` or `$node("id")`.
fn method<'a>(call: &CallExpression<'a>) -> Option<(List, &'a str)> {
    let Expression::StaticMemberExpression(callee) = &call.callee else { return None };
    if call.arguments.is_empty() && !call.optional && !callee.optional {
        Some((owner(&callee.object)?, callee.property.name.as_str()))
    } else {
        None
    }
}

/// `$input` or `$node("id")`.
fn owner(expression: &Expression<'_>) -> Option<List> {
    match expression {
        Expression::Identifier(identifier) if identifier.name == "$input" => Some(List::Input),
        Expression::CallExpression(call) if !call.optional => Some(List::Node(node_of_call(call)?.into())),
        _ => None,
    }
}
