//! Reaches into the scope: variables, items and members.

use serde_json::Value;

use super::{
    super::{
        names::inherited,
        number,
        program::{ItemRef, Key, Link, List, Node, Variable},
        value::{Failure, Js},
    },
    Evaluator, Stop,
};
use crate::{model::item::Item, runtimes::scope::Scope};

impl<'a> Evaluator<'a> {
    pub(super) fn variable(&self, variable: Variable) -> Js<'a> {
        let Scope { item, item_index, run_index, data, .. } = *self.scope;
        match variable {
            Variable::Json => item.map_or(Js::Undefined, |item| Js::from(&item.json)),
            Variable::ItemIndex => Js::count(item_index),
            Variable::RunIndex => Js::from(f64::from(run_index)),
            Variable::Execution => Js::from(&data.execution),
            Variable::Workflow => Js::from(&data.workflow),
            Variable::Vars => Js::from(&data.vars),
            Variable::Env => Js::from(&data.env),
        }
    }

    pub(super) fn list_length(&self, list: &List) -> Result<Js<'a>, Failure> {
        Ok(Js::count(match list {
            List::Input => self.scope.items.len(),
            List::Node(id) => {
                let output = self.scope.output_of(id).map_err(Failure::Missing)?;
                output.ports.iter().map(|port| port.items.len()).sum()
            }
        }))
    }

    pub(super) fn item_json(&self, item: &ItemRef, link: Link) -> Result<Js<'a>, Stop> {
        match (self.item(item)?, item, link) {
            (Some(item), _, _) => Ok(Js::from(&item.json)),
            (None, ItemRef::OfNodeOrNone(_), _) => Ok(Js::Undefined),
            (None, _, Link::Optional) => Err(Stop::ChainEnds),
            (None, _, Link::Required) => Err(no_member("json", &Js::Undefined).into()),
        }
    }

    fn item(&self, item: &ItemRef) -> Result<Option<&'a Item>, Failure> {
        let items = self.scope.items;
        let of_node = |id: &str| self.scope.output_of(id).map_err(Failure::Missing);
        Ok(match item {
            ItemRef::Current => self.scope.item,
            ItemRef::OfNode(id) | ItemRef::OfNodeOrNone(id) => self.scope.item_of(id, of_node(id)?),
            ItemRef::First(List::Input) => items.first(),
            ItemRef::First(List::Node(id)) => of_node(id)?.items().next(),
            ItemRef::Last(List::Input) => items.last(),
            ItemRef::Last(List::Node(id)) => of_node(id)?.ports.iter().rev().find_map(|port| port.items.last()),
            ItemRef::At(List::Input, index) => items.get(*index),
            ItemRef::At(List::Node(id), index) => of_node(id)?.items().nth(*index),
        })
    }

    /// The value in front of a `.`, or the end of the chain if there is none and the link is optional.
    pub(super) fn linked(&mut self, object: &'a Node, link: Link) -> Result<Js<'a>, Stop> {
        let object = self.node(object)?;
        if link == Link::Optional && object.is_nullish() { Err(Stop::ChainEnds) } else { Ok(object) }
    }

    pub(super) fn member(&mut self, object: &Js<'a>, key: &'a Key) -> Result<Js<'a>, Stop> {
        Ok(match key {
            Key::Name(name) => named_member(object, name)?,
            Key::Inherited(name) => match inherited(object, name) {
                Some(function) => Js::BuiltIn(function),
                None => named_member(object, name)?,
            },
            Key::Index(index) => indexed_member(object, f64::from(*index))?,
            Key::Number(node) => {
                let index = self.node(node)?.to_number()?;
                indexed_member(object, index)?
            }
        })
    }
}

/// The error of a member of undefined or null.
pub(super) fn no_member(name: &str, object: &Js<'_>) -> Failure {
    let object = if matches!(object, Js::Null) { "null" } else { "undefined" };
    Failure::Type(format!("cannot read property '{name}' of {object}"))
}

/// `object.name`, where no prototype has the name.
fn named_member<'a>(object: &Js<'a>, name: &str) -> Result<Js<'a>, Failure> {
    Ok(match object {
        Js::Undefined | Js::Null => return Err(no_member(name, object)),
        Js::Text(text) if name == "length" => Js::count(text.length()),
        Js::Json(Value::Array(elements)) if name == "length" => Js::count(elements.len()),
        Js::Json(Value::Object(members)) => members.get(name).map_or(Js::Undefined, Js::from),
        Js::Bool(_) | Js::Number { .. } | Js::Text(_) | Js::Json(_) | Js::BuiltIn(_) => Js::Undefined,
    })
}

/// `object[index]`.
fn indexed_member<'a>(object: &Js<'a>, index: f64) -> Result<Js<'a>, Failure> {
    if let Js::Undefined | Js::Null | Js::Json(Value::Object(_)) = object {
        return named_member(object, &number::to_text(index));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the result is compared with what it was made from"
    )]
    let position = index as usize;
    #[expect(clippy::cast_precision_loss, reason = "as above")]
    let is_position = position as f64 == index;
    Ok(match object {
        Js::Json(Value::Array(elements)) if is_position => elements.get(position).map_or(Js::Undefined, Js::from),
        Js::Text(text) if is_position => text.at(position).map_or(Js::Undefined, Js::Text),
        _ => Js::Undefined,
    })
}
