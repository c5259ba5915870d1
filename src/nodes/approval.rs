//! `approval`: waits for a person's decision, up to a time-out. The decision is a signal that is named after the node's id.
//!
//! The HTTP layer calls [`check_decision`] before it accepts such a signal, so that a slip is answered with its problems and the
//! execution goes on waiting. A decision that gets here in spite of that fails the run as retryable: with a `retry` policy the node
//! asks again.

pub mod decision;

use std::sync::Arc;

use jsonschema::Validator;
use serde::Deserialize;
use serde_json::{Value, json};

use self::decision::Decision;
use super::{
    Description, NodeType, Outcome, Prepared, PureNode, Runner, Woken,
    context::NodeContext,
    params::{
        self, Param,
        schema::{self, FORMAT_DURATION},
    },
    values,
    wait::{self, TIMEOUT},
};
use crate::model::{
    catalog::{EffectClass, NodeShape},
    definition::NodeDefinition,
    error::{NodeError, codes},
    event::Wait,
    item::{Port, PortItems},
    problem::Problem,
};

/// People that one approval may name.
const ASSIGNEES_MAX: usize = 100;
const APPROVED: Port = Port::Borrowed("approved");
const REJECTED: Port = Port::Borrowed("rejected");
/// Tells the wait of an approval from others: `kind` of [`Wait::state`].
const KIND: &str = "approval";

/// The node type `approval`.
pub struct Approval;

#[derive(Deserialize)]
struct Params {
    title: Param,
    form: Option<Value>,
    assignees: Option<Param>,
    timeout: Option<Param>,
}

/// Checks the payload of a signal against the wait that it would end; any payload fits a wait that is no approval.
///
/// Errors: every problem of the payload, with pointers into it.
pub fn check_decision(wait_state: &Value, payload: &Value) -> Result<(), Vec<Problem>> {
    if wait_state["kind"] != KIND {
        return Ok(());
    }
    let form = match &wait_state["form"] {
        Value::Null => None,
        form => Some(decision::compile_form(form).map_err(|detail| vec![Problem::new("", "invalid_form", detail)])?),
    };
    Decision::read(payload, form.as_ref()).map(|_| ())
}

impl NodeType for Approval {
    fn describe(&self) -> Description {
        Description {
            type_name: "approval",
            summary: "Waits for a person: the items leave by `approved`, `rejected` or `timeout`, with the decision in `approval`.",
            params_schema: schema::object(
                &["title"],
                json!({
                    "title": schema::text(
                        "What is to be decided. Expressions here and below are evaluated for the first item. The decision comes as \
                            `POST /executions/{id}/signal/{node id}` with `{ approved, data?, by?, comment? }`.",
                    ),
                    "form": {
                        "description": "JSON Schema of `data`, which an approval must fit; without references.", "type": "object",
                    },
                    "assignees": {
                        "description": "Who is asked: shown, not enforced.",
                        "type": "array", "items": { "type": "string" }, "maxItems": ASSIGNEES_MAX,
                    },
                    "timeout": {
                        "description": "How long to wait; the items leave by `timeout` then.",
                        "type": "string", "format": FORMAT_DURATION,
                    },
                }),
            ),
            verbatim: &["form"],
        }
    }

    fn prepare(&self, node: &NodeDefinition) -> Result<Prepared, Vec<Problem>> {
        let Params { title, form, assignees, timeout } = params::read(node)?;
        let validator = form
            .as_ref()
            .map(decision::compile_form)
            .transpose()
            .map_err(|detail| vec![Problem::new("/params/form", "invalid_form", detail)])?;
        let runner = ApprovalNode { signal: node.id.to_string(), title, form, validator, assignees, timeout };
        let shape = NodeShape { ports: vec![APPROVED, REJECTED, TIMEOUT], ..NodeShape::step(EffectClass::Wait) };
        Ok(Prepared { shape, runner: Runner::Pure(Arc::new(runner)) })
    }
}

struct ApprovalNode {
    /// The node's id.
    signal: String,
    title: Param,
    form: Option<Value>,
    validator: Option<Validator>,
    assignees: Option<Param>,
    timeout: Option<Param>,
}

impl ApprovalNode {
    fn assignees(&self, ctx: &mut NodeContext<'_>) -> Result<Vec<String>, NodeError> {
        let Some(assignees) = &self.assignees else { return Ok(Vec::new()) };
        let value = params::evaluate_once(ctx, assignees)?;
        let wrong = || params::wrong_type("assignees", "an array of up to 100 texts", &value);
        let list = value.as_array().filter(|list| list.len() <= ASSIGNEES_MAX).ok_or_else(wrong)?;
        list.iter().map(|assignee| values::scalar_text(assignee).ok_or_else(wrong)).collect()
    }
}

impl PureNode for ApprovalNode {
    fn run(&self, ctx: &mut NodeContext<'_>) -> Result<Outcome, NodeError> {
        let title = params::text_once(ctx, &self.title, "title")?;
        let state = json!({ "kind": KIND, "title": title, "form": self.form, "assignees": self.assignees(ctx)? });
        let until = wait::deadline_ms(ctx, self.timeout.as_ref())?;
        Ok(Outcome::Wait(Wait { until, signals: vec![self.signal.clone()], state }))
    }

    fn resume(&self, ctx: &mut NodeContext<'_>, woken: &Woken) -> Result<Vec<PortItems>, NodeError> {
        let Some((_, payload)) = woken.signals.first() else {
            return Ok(vec![PortItems::new(TIMEOUT, ctx.pass_all())]);
        };
        let decision = Decision::read(payload, self.validator.as_ref()).map_err(|problems| {
            let told: Vec<String> = problems.iter().map(|problem| format!("`{}` {}", problem.pointer, problem.detail)).collect();
            NodeError::transient(codes::INVALID_INPUT, format!("the decision is not valid: {}", told.join("; ")))
        })?;
        let port = if decision.approved { APPROVED } else { REJECTED };
        wait::pass_with(ctx, port, KIND, &decision.json)
    }

    fn needs_guest(&self) -> bool {
        params::any_needs_guest([&self.title].into_iter().chain(&self.assignees).chain(&self.timeout))
    }
}

#[cfg(test)]
mod tests;
