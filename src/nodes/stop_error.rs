//! `stop_error`: ends the execution as failed, with a message of the workflow's own.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use super::{
    Description, NodeType, Outcome, Prepared, PureNode, Runner,
    context::{NodeContext, expect_string},
    params::{self, Param, schema},
};
use crate::model::{
    catalog::{EffectClass, NodeShape},
    definition::NodeDefinition,
    error::{NodeError, codes},
    problem::Problem,
};

/// Characters of a failure's code.
const CODE_CHARS_MAX: usize = 64;
/// Characters of a failure's message; the rest is cut.
const MESSAGE_CHARS_MAX: usize = 4_000;

/// The node type `stop_error`.
pub struct StopError;

#[derive(Deserialize)]
struct Params {
    message: Param,
    code: Option<Param>,
}

impl NodeType for StopError {
    fn describe(&self) -> Description {
        Description {
            type_name: "stop_error",
            summary: "Ends the execution as failed, with a message and a code of your own.",
            params_schema: schema::object(
                &["message"],
                json!({
                    "message": schema::text("What went wrong. Expressions are evaluated for the first item."),
                    "code": {
                        "description": "A stable code in `snake_case` for programs.",
                        "type": "string", "pattern": "^[a-z][a-z0-9_]{0,63}$", "default": codes::STOPPED,
                    },
                }),
            ),
            verbatim: &[],
        }
    }

    fn prepare(&self, node: &NodeDefinition) -> Result<Prepared, Vec<Problem>> {
        let Params { message, code } = params::read(node)?;
        let shape = NodeShape { ports: Vec::new(), ..NodeShape::step(EffectClass::Pure) };
        Ok(Prepared { shape, runner: Runner::Pure(Arc::new(StopErrorNode { message, code })) })
    }
}

struct StopErrorNode {
    message: Param,
    code: Option<Param>,
}

impl StopErrorNode {
    fn failure(&self, ctx: &mut NodeContext<'_>) -> Result<NodeError, NodeError> {
        // Whatever the message evaluates to is told: this node must not fail because of it.
        let message = match params::evaluate_once(ctx, &self.message)? {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        let code = match &self.code {
            Some(code) => expect_string(params::evaluate_once(ctx, code)?, "code")?,
            None => codes::STOPPED.to_owned(),
        };
        if !is_code(&code) {
            return Err(NodeError::permanent(codes::INVALID_PARAMETER, "`code` must be in `snake_case`"));
        }
        Ok(NodeError::permanent(&code, message.chars().take(MESSAGE_CHARS_MAX).collect::<String>()))
    }
}

fn is_code(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    text.len() <= CODE_CHARS_MAX && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(allowed)
}

impl PureNode for StopErrorNode {
    fn run(&self, ctx: &mut NodeContext<'_>) -> Result<Outcome, NodeError> {
        match self.failure(ctx) {
            Ok(error) | Err(error) => Err(error),
        }
    }

    fn needs_guest(&self) -> bool {
        params::any_needs_guest([&self.message].into_iter().chain(&self.code))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::nodes::testing::{prepare, problems, run};

    #[track_caller]
    fn check(params: Value, code: &str, message: &str) {
        let error = run("stop_error", params, json!([{ "id": 7 }, { "id": 8 }])).unwrap_err();
        assert_eq!((error.code.as_str(), error.message.as_str(), error.retryable), (code, message, false));
    }

    #[test]
    fn fails_with_its_message_and_code() {
        check(json!({ "message": "order {{ $json.id }} is broken" }), codes::STOPPED, "order 7 is broken");
        check(json!({ "message": "no", "code": "order_broken" }), "order_broken", "no");
        check(json!({ "message": "{{ $json }}", "code": "c" }), "c", r#"{"id":7}"#);
        assert!(prepare("stop_error", json!({ "message": "no" })).shape.ports.is_empty());
    }

    #[test]
    fn message_limit_violated() {
        check(json!({ "message": "x".repeat(MESSAGE_CHARS_MAX + 1) }), codes::STOPPED, &"x".repeat(MESSAGE_CHARS_MAX));
    }

    #[test]
    fn refuses_a_code_that_is_none() {
        assert_eq!(problems("stop_error", json!({ "message": "m", "code": "Not A Code" })), ["/params/code invalid_format"]);
        let error = run("stop_error", json!({ "message": "m", "code": "{{ 'A b' }}" }), json!([{}])).unwrap_err();
        assert_eq!(error.code, codes::INVALID_PARAMETER);
    }
}
