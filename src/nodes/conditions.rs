//! Conditions over one item: an expression that JavaScript takes for true, or a list of comparisons. Shared by `if`, `filter` and
//! `switch`.

pub mod operator;
pub mod partition;
pub mod pattern;

use serde::Deserialize;
use serde_json::{Value, json};

use self::{
    operator::{Operation, Rules},
    pattern::Patterns,
};
use super::{
    context::NodeContext,
    params::{self, Param, schema},
    values,
};
use crate::model::{error::NodeError, problem::Problem};

/// Comparisons that one list may have.
const COMPARISONS_MAX: usize = 100;

/// The parameters `condition` and `conditions`, of which one is given.
#[derive(Deserialize)]
pub struct ConditionParams {
    condition: Option<Value>,
    conditions: Option<ComparisonsParams>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum ComparisonsParams {
    All(Vec<ComparisonParams>),
    Any(Vec<ComparisonParams>),
}

#[derive(Deserialize)]
struct ComparisonParams {
    #[serde(default)]
    left: Value,
    op: Operation,
    #[serde(default)]
    right: Value,
}

/// A condition, compiled.
#[derive(Debug)]
pub struct Condition {
    test: Test,
    rules: Rules,
}

#[derive(Debug)]
enum Test {
    Expression(Param),
    All(Vec<Comparison>),
    Any(Vec<Comparison>),
}

#[derive(Debug)]
struct Comparison {
    left: Param,
    operation: Operation,
    right: Param,
}

/// The schemas of `condition` and `conditions`.
pub fn condition_schemas() -> [(&'static str, Value); 2] {
    let comparison = json!({
        "type": "object", "required": ["left", "op"], "additionalProperties": false,
        "properties": {
            "left": schema::any("What is compared, an expression mostly."),
            "op": operator::schema(),
            "right": schema::any("What it is compared with; not used by operators of one side."),
        },
    });
    let list = json!({ "type": "array", "items": comparison, "minItems": 1, "maxItems": COMPARISONS_MAX });
    [
        (
            "condition",
            json!({ "description": "One whole expression; it holds if JavaScript takes its value for true.", "type": "boolean" }),
        ),
        (
            "conditions",
            json!({
                "description": "Comparisons, of which `all` or `any` must hold.",
                "type": "object", "additionalProperties": false, "minProperties": 1, "maxProperties": 1,
                "properties": { "all": list, "any": list },
            }),
        ),
    ]
}

/// The schemas of the switches that go with conditions.
pub fn rules_schemas() -> [(&'static str, Value); 2] {
    [
        ("case_sensitive", schema::flag_with_default("Whether upper and lower case of texts differ.", true)),
        (
            "loose",
            schema::flag("Convert types before comparing: `\"5\"` equals `5`, `\"true\"` equals `true`, `\"\"` equals null."),
        ),
    ]
}

impl ConditionParams {
    /// Compiles what is given. `pointer` leads to the object that holds it.
    ///
    /// Errors: neither or both are given, text around the expression, a pattern that is none.
    pub fn compile(self, rules: Rules, pointer: &str) -> Result<Condition, Vec<Problem>> {
        let test = match (self.condition, self.conditions) {
            (Some(condition), None) => Test::Expression(compile_expression(&condition, &format!("{pointer}/condition"))?),
            (None, Some(ComparisonsParams::All(list))) => {
                Test::All(compile_list(list, rules, &format!("{pointer}/conditions/all"))?)
            }
            (None, Some(ComparisonsParams::Any(list))) => {
                Test::Any(compile_list(list, rules, &format!("{pointer}/conditions/any"))?)
            }
            (None, None) => {
                return Err(vec![Problem::new(pointer, "missing_field", "one of `condition` and `conditions` is needed")]);
            }
            (Some(_), Some(_)) => {
                return Err(vec![params::invalid(pointer, "`condition` and `conditions` exclude each other")]);
            }
        };
        Ok(Condition { test, rules })
    }
}

/// `{{ $json.a }} > 3` would be a text, and so always true: text around the expression is a mistake.
fn compile_expression(condition: &Value, pointer: &str) -> Result<Param, Vec<Problem>> {
    if let Value::String(text) = condition {
        let trimmed = text.trim();
        if !(trimmed.starts_with("{{") && trimmed.ends_with("}}")) {
            let detail = "text around an expression makes a text, which is always true: put all of it inside `{{ }}`";
            return Err(vec![params::invalid(pointer, detail)]);
        }
    }
    Param::compile(condition, pointer)
}

fn compile_list(list: Vec<ComparisonParams>, rules: Rules, pointer: &str) -> Result<Vec<Comparison>, Vec<Problem>> {
    let mut compiled = Vec::with_capacity(list.len());
    let mut problems = Vec::new();
    for (index, comparison) in list.into_iter().enumerate() {
        match compile_comparison(comparison, rules, &format!("{pointer}/{index}")) {
            Ok(comparison) => compiled.push(comparison),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(compiled) } else { Err(problems) }
}

fn compile_comparison(params: ComparisonParams, rules: Rules, pointer: &str) -> Result<Comparison, Vec<Problem>> {
    let comparison = Comparison {
        left: Param::compile(&params.left, &format!("{pointer}/left"))?,
        operation: params.op,
        right: Param::compile(&params.right, &format!("{pointer}/right"))?,
    };
    // A fixed pattern is checked now, not at the first item.
    if let (true, Some(Value::String(text))) = (params.op.takes_pattern(), comparison.right.literal()) {
        pattern::compile(text, rules.case_sensitive)
            .map_err(|error| vec![params::invalid(&format!("{pointer}/right"), error.to_string())])?;
    }
    Ok(comparison)
}

impl Condition {
    /// Whether the condition holds for the item at `index`. `patterns` is kept over the items of one run.
    ///
    /// Errors: as [`NodeContext::evaluate`]; `invalid_input` where values cannot be compared.
    pub fn holds(&self, ctx: &mut NodeContext<'_>, index: usize, patterns: &mut Patterns) -> Result<bool, NodeError> {
        match &self.test {
            Test::Expression(expression) => Ok(values::is_truthy(&ctx.evaluate(expression, index)?)),
            Test::All(list) => self.list_decides(list, false, ctx, index, patterns).map(|found| !found),
            Test::Any(list) => self.list_decides(list, true, ctx, index, patterns),
        }
    }

    /// Whether one of the comparisons comes out as `wanted`. Stops there.
    fn list_decides(
        &self,
        list: &[Comparison],
        wanted: bool,
        ctx: &mut NodeContext<'_>,
        index: usize,
        patterns: &mut Patterns,
    ) -> Result<bool, NodeError> {
        for Comparison { left, operation, right } in list {
            let (left, right) = (left.value(ctx, index)?, right.value(ctx, index)?);
            let outcome = operation
                .test(&left, &right, self.rules, &ctx.data.timezone, patterns)
                .map_err(|mismatch| mismatch.into_node_error(*operation, index))?;
            if outcome == wanted {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a test needs the JavaScript guest.
    pub fn needs_guest(&self) -> bool {
        match &self.test {
            Test::Expression(expression) => expression.needs_guest(),
            Test::All(list) | Test::Any(list) => {
                list.iter().any(|comparison| comparison.left.needs_guest() || comparison.right.needs_guest())
            }
        }
    }
}

#[cfg(test)]
mod tests;
