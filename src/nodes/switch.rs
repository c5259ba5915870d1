//! `switch`: sends each item to the port of the first rule that holds, or of its value.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Description, NodeType, Outcome, Prepared, PureNode, Runner,
    budget::Budget,
    conditions::{Condition, ConditionParams, condition_schemas, operator::Rules, pattern::Patterns, rules_schemas},
    context::NodeContext,
    params::{
        self, Param,
        schema::{self, FORMAT_PORT, LITERAL},
    },
    values,
};
use crate::model::{
    catalog::{EffectClass, NodeShape},
    definition::NodeDefinition,
    error::NodeError,
    item::{Port, PortItems},
    problem::Problem,
};

/// Rules or cases of one node.
const RULES_MAX: usize = 100;
/// Characters of a port's name.
const PORT_CHARS_MAX: usize = 64;
const FALLBACK: &str = "fallback";

/// Whether a text may name a port: `error` is taken by `on_error: branch`.
pub fn is_port_name(text: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | ' ' | '.');
    (1..=PORT_CHARS_MAX).contains(&text.chars().count()) && text.chars().all(allowed) && text.trim() == text && text != "error"
}

/// The node type `switch`.
pub struct Switch;

#[derive(Deserialize)]
struct Params {
    rules: Option<Vec<RuleParams>>,
    value: Option<Param>,
    /// Text by text; a map that keeps the order, which is the order of the ports.
    #[serde(default)]
    cases: Map<String, Value>,
    fallback: Option<String>,
    #[serde(default)]
    all_matches: bool,
    #[serde(default = "yes")]
    case_sensitive: bool,
    #[serde(default)]
    loose: bool,
}

#[derive(Deserialize)]
struct RuleParams {
    port: String,
    #[serde(flatten)]
    condition: ConditionParams,
}

fn yes() -> bool {
    true
}

impl NodeType for Switch {
    fn describe(&self) -> Description {
        Description {
            type_name: "switch",
            summary: "Sends each item to the port of the first rule that holds, or of the case that its value is.",
            params_schema: params_schema(),
            verbatim: &[],
        }
    }

    fn prepare(&self, node: &NodeDefinition) -> Result<Prepared, Vec<Problem>> {
        let params: Params = params::read(node)?;
        let rules = Rules { case_sensitive: params.case_sensitive, loose: params.loose };
        let mut ports = PortList::default();
        let choice = match (params.rules, params.value) {
            (Some(list), None) if params.cases.is_empty() => {
                Choice::Rules { rules: compile_rules(list, rules, &mut ports)?, all_matches: params.all_matches }
            }
            (None, Some(value)) if !params.cases.is_empty() => {
                let named = params.cases.iter().filter_map(|(case, port)| Some((fold(case, rules), port.as_str()?)));
                let cases = named.map(|(case, port)| (case, ports.add(port.to_owned()))).collect();
                Choice::Cases { value, cases, rules }
            }
            _ => return Err(vec![params::invalid("/params", "either `rules`, or `value` with `cases`, is needed")]),
        };
        let fallback = ports.add(params.fallback.unwrap_or_else(|| FALLBACK.to_owned()));
        let shape = NodeShape { ports: ports.names.clone(), ..NodeShape::step(EffectClass::Pure) };
        let runner = SwitchNode { choice, fallback, ports: ports.names };
        Ok(Prepared { shape, runner: Runner::Pure(Arc::new(runner)) })
    }
}

fn params_schema() -> Value {
    let port = json!({ "type": "string", "format": FORMAT_PORT, (LITERAL): true });
    let mut rule_properties: Map<String, Value> =
        condition_schemas().into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    rule_properties.insert("port".to_owned(), port.clone());
    let rule = json!({ "type": "object", "required": ["port"], "properties": rule_properties, "additionalProperties": false });
    let mut params = schema::object(
        &[],
        json!({
            "rules": {
                "description": "Conditions in order, each with its port. Rules may share a port.",
                "type": "array", "items": rule, "minItems": 1, "maxItems": RULES_MAX,
            },
            "value": schema::any("What the cases are about, instead of rules. A scalar is compared as text."),
            "cases": {
                "description": "Values and their ports.",
                "type": "object", "additionalProperties": port, "minProperties": 1, "maxProperties": RULES_MAX, (LITERAL): true,
            },
            "fallback": {
                "description": "The port of items that nothing else takes; an item whose port has no edge ends there.",
                "type": "string", "format": FORMAT_PORT, "default": FALLBACK, (LITERAL): true,
            },
            "all_matches": schema::flag("Send an item to the port of every rule that holds, not of the first only."),
        }),
    );
    for (name, rules_schema) in rules_schemas() {
        params["properties"][name] = rules_schema;
    }
    params
}

/// The ports in order of their first mention.
#[derive(Default)]
struct PortList {
    names: Vec<Port>,
}

impl PortList {
    /// The index of a port, which is added if it is new.
    fn add(&mut self, name: String) -> usize {
        if let Some(index) = self.names.iter().position(|port| *port == name) {
            return index;
        }
        self.names.push(Cow::Owned(name));
        self.names.len() - 1
    }
}

fn compile_rules(list: Vec<RuleParams>, rules: Rules, ports: &mut PortList) -> Result<Vec<(Condition, usize)>, Vec<Problem>> {
    let mut compiled = Vec::with_capacity(list.len());
    let mut problems = Vec::new();
    for (index, RuleParams { port, condition }) in list.into_iter().enumerate() {
        match condition.compile(rules, &format!("/params/rules/{index}")) {
            Ok(condition) => compiled.push((condition, ports.add(port))),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(compiled) } else { Err(problems) }
}

fn fold(text: &str, rules: Rules) -> String {
    if rules.case_sensitive { text.to_owned() } else { text.to_lowercase() }
}

struct SwitchNode {
    choice: Choice,
    /// Index of a port, as all numbers of ports here.
    fallback: usize,
    ports: Vec<Port>,
}

enum Choice {
    Rules { rules: Vec<(Condition, usize)>, all_matches: bool },
    Cases { value: Param, cases: BTreeMap<String, usize>, rules: Rules },
}

impl SwitchNode {
    /// The ports of the item at `index`, none twice.
    fn ports_of(&self, ctx: &mut NodeContext<'_>, index: usize, patterns: &mut Patterns) -> Result<Vec<usize>, NodeError> {
        let mut found = Vec::new();
        match &self.choice {
            Choice::Rules { rules, all_matches } => {
                for (condition, port) in rules {
                    if found.contains(port) || !condition.holds(ctx, index, patterns)? {
                        continue;
                    }
                    found.push(*port);
                    if !all_matches {
                        break;
                    }
                }
            }
            Choice::Cases { value, cases, rules } => {
                let value = ctx.evaluate(value, index)?;
                let case = if value.is_null() { Some("null".to_owned()) } else { values::scalar_text(&value) };
                found.extend(case.and_then(|case| cases.get(&fold(&case, *rules)).copied()));
            }
        }
        if found.is_empty() {
            found.push(self.fallback);
        }
        Ok(found)
    }
}

impl PureNode for SwitchNode {
    fn run(&self, ctx: &mut NodeContext<'_>) -> Result<Outcome, NodeError> {
        let mut by_port = vec![Vec::new(); self.ports.len()];
        let mut patterns = Patterns::default();
        let mut budget = Budget::default();
        for (index, item) in ctx.items().iter().enumerate() {
            for port in self.ports_of(ctx, index, &mut patterns)? {
                budget.spend_item(&item.json)?;
                by_port[port].push(ctx.pass(index));
            }
        }
        let ports = self.ports.iter().zip(by_port).map(|(port, items)| PortItems::new(port.clone(), items));
        Ok(Outcome::Done(ports.collect()))
    }

    fn needs_guest(&self) -> bool {
        match &self.choice {
            Choice::Rules { rules, .. } => rules.iter().any(|(condition, _)| condition.needs_guest()),
            Choice::Cases { value, .. } => value.needs_guest(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::testing::{prepare, problems, run};

    fn rules() -> Value {
        json!([
            { "port": "large", "condition": "{{ $json.n > 10 }}" },
            { "port": "even", "conditions": { "all": [{ "left": "{{ $json.n % 2 }}", "op": "equals", "right": 0 }] } },
            { "port": "large", "condition": "{{ $json.n === -1 }}" }
        ])
    }

    #[test]
    fn takes_the_first_rule_that_holds() {
        assert_eq!(prepare("switch", json!({ "rules": rules() })).shape.ports, ["large", "even", "fallback"]);
        let items = json!([{ "n": 12 }, { "n": 4 }, { "n": 5 }, { "n": -1 }]);
        let expected = json!({ "large": [{ "n": 12 }, { "n": -1 }], "even": [{ "n": 4 }], "fallback": [{ "n": 5 }] });
        assert_eq!(run("switch", json!({ "rules": rules() }), items), Ok(expected));
    }

    #[test]
    fn takes_every_rule_that_holds_where_asked() {
        let params = json!({ "rules": rules(), "all_matches": true, "fallback": "even" });
        let expected = json!({ "large": [{ "n": 12 }], "even": [{ "n": 12 }, { "n": 5 }] });
        assert_eq!(run("switch", params, json!([{ "n": 12 }, { "n": 5 }])), Ok(expected));
    }

    #[test]
    fn takes_the_case_of_the_value() {
        let cases = json!({ "paid": "ok", "7": "seven", "null": "none", "true": "ok" });
        let params = json!({ "value": "{{ $json.v }}", "cases": cases, "case_sensitive": false });
        let items = json!([{ "v": "PAID" }, { "v": 7 }, {}, { "v": true }, { "v": ["paid"] }]);
        let expected = json!({
            "ok": [{ "v": "PAID" }, { "v": true }], "seven": [{ "v": 7 }], "none": [{}], "fallback": [{ "v": ["paid"] }]
        });
        assert_eq!(run("switch", params, items), Ok(expected));
    }

    #[test]
    fn refuses_ports_and_combinations_that_make_no_sense() {
        assert_eq!(problems("switch", json!({})), ["/params invalid_parameter"]);
        assert_eq!(problems("switch", json!({ "value": 1 })), ["/params invalid_parameter"]);
        assert_eq!(problems("switch", json!({ "rules": rules(), "value": 1 })), ["/params invalid_parameter"]);
        assert_eq!(
            problems("switch", json!({ "rules": [{ "port": "error", "condition": true }], "fallback": "" })),
            ["/params/rules/0/port invalid_format", "/params/fallback invalid_format"]
        );
        assert_eq!(
            problems("switch", json!({ "rules": [{ "port": "a" }, { "port": "b" }] })),
            ["/params/rules/0 missing_field", "/params/rules/1 missing_field"]
        );
    }
}
