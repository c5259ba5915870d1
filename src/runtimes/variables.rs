//! Which variables of the scope a source uses: only those are sent to the guest.

use std::collections::{BTreeMap, BTreeSet};

use oxc::{
    ast::ast::{Argument, BindingIdentifier, CallExpression, Expression, IdentifierReference, Program, StaticMemberExpression},
    ast_visit::{Visit, walk},
};

use crate::model::problem::did_you_mean;

/// A variable that a source can find in its scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Variable {
    /// `items`, in code only.
    PlainItems,
    /// `env`, in code only: what the code was granted.
    PlainEnv,
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
const NAMES: [(&str, Variable); 16] = [
    ("items", Variable::PlainItems),
    ("env", Variable::PlainEnv),
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
}

/// A free name that looks like a variable of the scope and is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnknownVariable {
    pub(super) message: String,
    /// Where it is used first, in bytes of the program.
    pub(super) offset: u32,
}

impl Variables {
    /// Errors: the first name with a dollar sign that is neither a variable of the scope nor declared in the source.
    pub(super) fn of_expression(program: &Program<'_>) -> Result<Self, UnknownVariable> {
        Collector::collect(program, |name| name.starts_with('$'))
    }

    /// Errors: as [`Self::of_expression`].
    pub(super) fn of_code(program: &Program<'_>) -> Result<Self, UnknownVariable> {
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

    fn add(&mut self, variable: Variable) {
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
    /// Names with a dollar sign that are no variables of the scope, and where each is used first.
    unknown: BTreeMap<Box<str>, u32>,
    /// Every name that the source declares, in whatever block. A source that uses one elsewhere fails when it runs.
    declared: BTreeSet<Box<str>>,
}

impl Collector {
    fn collect(program: &Program<'_>, is_known: fn(&str) -> bool) -> Result<Variables, UnknownVariable> {
        let mut collector =
            Self { variables: Variables::default(), is_known, unknown: BTreeMap::new(), declared: BTreeSet::new() };
        collector.visit_program(program);
        let Self { variables, unknown, declared, .. } = collector;
        let missing = unknown.into_iter().filter(|(name, _)| !declared.contains(name));
        match missing.min_by_key(|(_, offset)| *offset) {
            Some((name, offset)) => Err(UnknownVariable { message: complaint(&name), offset }),
            None => Ok(variables),
        }
    }
}

/// What is wrong with a name, as a sentence.
fn complaint(name: &str) -> String {
    if name == "$secrets" {
        return "$secrets is not available in expressions and code: use a credential of the node".to_owned();
    }
    let known = NAMES.iter().map(|(known, _)| *known).filter(|known| known.starts_with('$'));
    match did_you_mean(name, known) {
        Some(meant) => format!("there is no variable {name}: did you mean {meant}?"),
        None => format!("there is no variable {name}"),
    }
}

impl<'a> Visit<'a> for Collector {
    fn visit_binding_identifier(&mut self, identifier: &BindingIdentifier<'a>) {
        if identifier.name.starts_with('$') {
            self.declared.insert(identifier.name.as_str().into());
        }
    }

    fn visit_identifier_reference(&mut self, identifier: &IdentifierReference<'a>) {
        let name = identifier.name.as_str();
        match Variable::named(name) {
            Some(variable) if (self.is_known)(name) => self.variables.add(variable),
            None if name.starts_with('$') => {
                self.unknown.entry(name.into()).or_insert(identifier.span.start);
            }
            _ => {}
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
