//! Which variables of the scope a source uses: only those are sent to the guest.

use std::collections::{BTreeMap, BTreeSet};

use oxc::{
    ast::ast::{Argument, CallExpression, Expression, IdentifierReference, Program, StaticMemberExpression},
    ast_visit::{Visit, walk},
};

use crate::model::problem::did_you_mean;

/// A variable that a source can find in its scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Variable {
    /// `items`, in code only.
    PlainItems,
    Json,
    Binary,
    Item,
    Items,
    Input,
    Node,
    ItemIndex,
    RunIndex,
    Execution,
    Workflow,
    Vars,
    Env,
    Now,
    Today,
}

/// Every variable by its name.
const NAMES: [(&str, Variable); 15] = [
    ("items", Variable::PlainItems),
    ("$json", Variable::Json),
    ("$binary", Variable::Binary),
    ("$item", Variable::Item),
    ("$items", Variable::Items),
    ("$input", Variable::Input),
    ("$node", Variable::Node),
    ("$itemIndex", Variable::ItemIndex),
    ("$runIndex", Variable::RunIndex),
    ("$execution", Variable::Execution),
    ("$workflow", Variable::Workflow),
    ("$vars", Variable::Vars),
    ("$env", Variable::Env),
    ("$now", Variable::Now),
    ("$today", Variable::Today),
];

impl Variable {
    pub(super) fn name(self) -> &'static str {
        NAMES.iter().find(|(_, variable)| *variable == self).map_or("", |(name, _)| name)
    }

    fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, variable)| *variable)
    }
}

/// How much of a list of items a source uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Extent {
    /// The one that belongs to the scope's item.
    Current,
    All,
}

/// What a source uses of its scope. It may use less, never more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Variables {
    used: BTreeSet<Variable>,
    /// What `$input` is used for.
    input: Option<Extent>,
    /// The nodes that `$node` is called with.
    nodes: BTreeMap<Box<str>, Extent>,
    /// Whether `$node` is also used with a name that only the evaluation knows.
    any_node: bool,
    /// Names that look like variables of the scope and are none.
    unknown: BTreeSet<Box<str>>,
}

impl Variables {
    pub(super) fn of_expression(program: &Program<'_>) -> Self {
        Collector::collect(program, |name| name.starts_with('$'))
    }

    pub(super) fn of_code(program: &Program<'_>) -> Self {
        Collector::collect(program, |_| true)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Variable> + '_ {
        self.used.iter().copied()
    }

    pub(super) fn has(&self, variable: Variable) -> bool {
        self.used.contains(&variable)
    }

    /// Whether all items of the first input are wanted.
    pub(super) fn has_all_items(&self) -> bool {
        self.has(Variable::Items) || self.has(Variable::PlainItems) || self.input == Some(Extent::All)
    }

    /// Whether the scope's item is wanted.
    pub(super) fn has_item(&self) -> bool {
        [Variable::Json, Variable::Binary, Variable::Item, Variable::Input].into_iter().any(|variable| self.has(variable))
    }

    /// The nodes whose outputs are wanted; `None` for all there are.
    pub(super) fn nodes(&self) -> Option<&BTreeMap<Box<str>, Extent>> {
        if self.any_node { None } else { Some(&self.nodes) }
    }

    /// What is wrong with the names, as a sentence.
    pub(super) fn complaint(&self) -> Option<String> {
        let name = self.unknown.first()?;
        if &**name == "$secrets" {
            return Some("$secrets is not available in expressions: use a credential of the node".to_owned());
        }
        let known = NAMES.iter().map(|(known, _)| *known).filter(|known| known.starts_with('$'));
        Some(match did_you_mean(name, known) {
            Some(meant) => format!("there is no variable {name}: did you mean {meant}?"),
            None => format!("there is no variable {name}"),
        })
    }

    fn add_named(&mut self, name: &str) {
        let Some(variable) = Variable::named(name) else {
            if name.starts_with('$') {
                self.unknown.insert(name.into());
            }
            return;
        };
        self.used.insert(variable);
        self.any_node |= variable == Variable::Node;
        if variable == Variable::Input {
            self.input = Some(Extent::All);
        }
    }

    fn add_node(&mut self, id: &str, extent: Extent) {
        self.used.insert(Variable::Node);
        let known = self.nodes.entry(id.into()).or_insert(extent);
        *known = extent.max(*known);
    }
}

struct Collector {
    variables: Variables,
    /// Whether a free name may be a variable of the scope.
    is_known: fn(&str) -> bool,
}

impl Collector {
    fn collect(program: &Program<'_>, is_known: fn(&str) -> bool) -> Variables {
        let mut collector = Self { variables: Variables::default(), is_known };
        collector.visit_program(program);
        collector.variables
    }
}

impl<'a> Visit<'a> for Collector {
    fn visit_identifier_reference(&mut self, identifier: &IdentifierReference<'a>) {
        if (self.is_known)(identifier.name.as_str()) {
            self.variables.add_named(identifier.name.as_str());
        }
    }

    fn visit_call_expression(&mut self, call: &CallExpression<'a>) {
        match node_of_call(call) {
            Some(id) => self.variables.add_node(id, Extent::All),
            None => walk::walk_call_expression(self, call),
        }
    }

    fn visit_static_member_expression(&mut self, member: &StaticMemberExpression<'a>) {
        let property = member.property.name.as_str();
        match &member.object {
            Expression::Identifier(identifier) if identifier.name == "$input" && property == "item" => {
                self.variables.used.insert(Variable::Input);
                self.variables.input = self.variables.input.max(Some(Extent::Current));
            }
            Expression::CallExpression(call) => match node_of_call(call) {
                Some(id) if matches!(property, "json" | "item" | "binary") => self.variables.add_node(id, Extent::Current),
                _ => walk::walk_static_member_expression(self, member),
            },
            _ => walk::walk_static_member_expression(self, member),
        }
    }
}

/// The id in `$node("id")`, if the call is just that.
pub(super) fn node_of_call<'a>(call: &CallExpression<'a>) -> Option<&'a str> {
    let Expression::Identifier(callee) = &call.callee else { return None };
    match &call.arguments[..] {
        [Argument::StringLiteral(id)] if callee.name == "$node" && !id.lone_surrogates => Some(id.value.as_str()),
        _ => None,
    }
}
