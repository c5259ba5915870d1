//! Finds out which variables of its workspace (`$vars`) a workflow uses: an execution is given those at its start, and keeps
//! them, so that a replay sees what the first run saw.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::model::definition::WorkflowDefinition;

/// How a source names the variables.
const VARS: &str = "$vars";

/// Which variables a workflow uses. It may use fewer, never more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VariableUse {
    /// Those of these names.
    Named(BTreeSet<String>),
    /// A name is known only while it runs.
    Any,
}

impl VariableUse {
    /// Whether the workflow uses none.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::Named(names) if names.is_empty())
    }

    /// Of `variables`, those that the workflow uses.
    pub fn select(&self, variables: &Map<String, Value>) -> Map<String, Value> {
        match self {
            Self::Any => variables.clone(),
            Self::Named(names) => names.iter().filter_map(|name| Some((name.clone(), variables.get(name)?.clone()))).collect(),
        }
    }
}

/// Looks through every parameter. The text is not parsed: what stands in a comment or beside a template counts, too.
pub(super) fn variable_use(definition: &WorkflowDefinition) -> VariableUse {
    let mut found = Some(BTreeSet::new());
    for (key, value) in definition.nodes.iter().flat_map(|node| &node.params) {
        search_text(key, &mut found);
        search(value, &mut found);
    }
    found.map_or(VariableUse::Any, VariableUse::Named)
}

/// `found` becomes `None` where a name is not known.
fn search(value: &Value, found: &mut Option<BTreeSet<String>>) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(text) => search_text(text, found),
        Value::Array(values) => values.iter().for_each(|value| search(value, found)),
        Value::Object(fields) => {
            for (key, value) in fields {
                search_text(key, found);
                search(value, found);
            }
        }
    }
}

fn search_text(text: &str, found: &mut Option<BTreeSet<String>>) {
    for (place, _) in text.match_indices(VARS) {
        let rest = &text[place + VARS.len()..];
        // `$varsity` is another word.
        if rest.starts_with(is_of_name) {
            continue;
        }
        match (name_of(rest), found.as_mut()) {
            (Some(name), Some(names)) => drop(names.insert(name.to_owned())),
            (None, _) => *found = None,
            (Some(_), None) => {}
        }
    }
}

/// The name in `.name`, `?.name`, `["name"]` or `['name']`; `None` for anything else.
fn name_of(rest: &str) -> Option<&str> {
    let rest = rest.trim_start();
    let rest = rest.strip_prefix("?.").map_or(rest, |after| if after.starts_with('[') { after } else { rest });
    if let Some(member) = rest.strip_prefix("?.").or_else(|| rest.strip_prefix('.')) {
        let member = member.trim_start();
        let end = member.find(|c| !is_of_name(c)).unwrap_or(member.len());
        return (end > 0).then(|| &member[..end]);
    }
    let inner = rest.strip_prefix('[')?.trim_start();
    let quote = inner.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (name, after) = inner[1..].split_once(quote)?;
    (after.trim_start().starts_with(']') && !name.contains('\\')).then_some(name)
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(params: Value, expected: Option<&[&str]>) {
        let definition = json!({ "name": "a", "nodes": [{ "id": "n", "type": "set", "params": params }] });
        let definition: WorkflowDefinition = serde_json::from_value(definition).unwrap();
        let expected =
            expected.map_or(VariableUse::Any, |names| VariableUse::Named(names.iter().map(|name| (*name).to_owned()).collect()));
        assert_eq!(variable_use(&definition), expected);
    }

    #[test]
    fn finds_the_names_wherever_they_stand() {
        check(json!({ "a": "no variables, $varsity, $json.vars" }), Some(&[]));
        check(json!({ "a": "{{ $vars.one + $vars?.two }}", "b": ["{{ $vars['three'] }}"] }), Some(&["one", "three", "two"]));
        check(json!({ "code": "const { x } = { x: $vars [ \"four five\" ] }" }), Some(&["four five"]));
        check(json!({ "fields": { "{{ $vars.key }}": 1 } }), Some(&["key"]));
        check(json!({ "a": "{{ $vars?.['six'] }}" }), Some(&["six"]));
    }

    #[test]
    fn takes_all_where_a_name_is_not_known() {
        for source in ["$vars[$json.key]", "Object.keys($vars)", "$vars", "$vars['a' + 'b']", "$vars['\\x61']", "$vars."] {
            check(json!({ "a": source, "b": "$vars.known" }), None);
        }
    }

    #[test]
    fn selects_what_is_used_and_there() {
        let variables = json!({ "a": 1, "b": 2 });
        let variables = variables.as_object().unwrap();
        let named = |names: &[&str]| VariableUse::Named(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(Value::from(named(&["b", "c"]).select(variables)), json!({ "b": 2 }));
        assert_eq!(VariableUse::Any.select(variables), *variables);
        assert!(named(&[]).is_none() && !VariableUse::Any.is_none());
    }
}
