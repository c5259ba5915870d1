//! `respond`: answers whoever started the execution and waits for it. The items go on.

use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Description, NodeType, Outcome, Prepared, PureNode, Runner,
    context::NodeContext,
    headers::{self, HEADERS_MAX},
    params::{self, Param, schema},
    values,
};
use crate::model::{
    catalog::{EffectClass, NodeShape},
    definition::NodeDefinition,
    error::{NodeError, codes},
    event::Response,
    item::PortItems,
    problem::{Problem, pointer_segment},
};

const STATUS_MIN: u16 = 200;
const STATUS_MAX: u16 = 599;

/// The node type `respond`.
pub struct Respond;

#[derive(Deserialize)]
struct Params {
    status: Option<Param>,
    #[serde(default)]
    headers: Map<String, Value>,
    body: Option<Param>,
}

impl NodeType for Respond {
    fn describe(&self) -> Description {
        Description {
            type_name: "respond",
            summary: "Answers the caller of a webhook with `respond: respond_node`, once; the items go on.",
            params_schema: schema::object(
                &[],
                json!({
                    "status": {
                        "description": "HTTP status. Expressions here and below are evaluated for the first item.",
                        "type": "integer", "minimum": STATUS_MIN, "maximum": STATUS_MAX, "default": STATUS_MIN,
                    },
                    "headers": {
                        "description": "Headers by name; one whose value is null is left out.",
                        "type": "object", "maxProperties": HEADERS_MAX,
                    },
                    "body": {
                        "description": "A text is sent as it is (text/plain unless a header says otherwise), anything else as JSON.",
                        "default": "{{ $json }}",
                    },
                }),
            ),
            verbatim: &[],
        }
    }

    fn prepare(&self, node: &NodeDefinition) -> Result<Prepared, Vec<Problem>> {
        let Params { status, headers, body } = params::read(node)?;
        let mut compiled = Vec::with_capacity(headers.len());
        let mut problems = Vec::new();
        for (name, value) in headers {
            let value = Param::compile(&value, &format!("/params/headers/{}", pointer_segment(&name)))?;
            problems.extend(headers::check([(name.as_str(), value.literal().and_then(Value::as_str))]));
            compiled.push((name, value));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let runner = RespondNode {
            status: status.unwrap_or_else(|| Param::default_of(&json!(STATUS_MIN))),
            headers: compiled,
            body: body.unwrap_or_else(|| Param::default_of(&json!("{{ $json }}"))),
        };
        Ok(Prepared { shape: NodeShape::step(EffectClass::Pure), runner: Runner::Pure(Arc::new(runner)) })
    }
}

struct RespondNode {
    status: Param,
    headers: Vec<(String, Param)>,
    body: Param,
}

impl RespondNode {
    fn status(&self, ctx: &mut NodeContext<'_>) -> Result<u16, NodeError> {
        let value = params::evaluate_once(ctx, &self.status)?;
        let status = u16::try_from(params::expect_count(&value, "status")?).unwrap_or(u16::MAX);
        if (STATUS_MIN..=STATUS_MAX).contains(&status) {
            return Ok(status);
        }
        let message = format!("`status` must be from {STATUS_MIN} to {STATUS_MAX}");
        Err(NodeError::permanent(codes::INVALID_PARAMETER, message))
    }

    fn headers(&self, ctx: &mut NodeContext<'_>) -> Result<BTreeMap<String, String>, NodeError> {
        let mut evaluated = BTreeMap::new();
        for (name, value) in &self.headers {
            let value = params::evaluate_once(ctx, value)?;
            if value.is_null() {
                continue;
            }
            let text = values::scalar_text(&value).ok_or_else(|| params::wrong_type(name, "a text or a number", &value))?;
            headers::check_value(&text)
                .map_err(|error| NodeError::permanent(codes::INVALID_PARAMETER, format!("header `{name}`: {error}")))?;
            evaluated.insert(name.clone(), text);
        }
        Ok(evaluated)
    }
}

impl PureNode for RespondNode {
    fn run(&self, ctx: &mut NodeContext<'_>) -> Result<Outcome, NodeError> {
        let response =
            Response { status: self.status(ctx)?, headers: self.headers(ctx)?, body: params::evaluate_once(ctx, &self.body)? };
        Ok(Outcome::Respond(PortItems::main(ctx.pass_all()), response))
    }

    fn needs_guest(&self) -> bool {
        let headers = self.headers.iter().map(|(_, value)| value);
        params::any_needs_guest([&self.status, &self.body].into_iter().chain(headers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::testing::{by_port, failure, outcome, problems};

    #[track_caller]
    fn check(params: Value, status: u16, headers: &[(&str, &str)], body: Value) {
        let items = json!([{ "n": 1 }, { "n": 2 }]);
        let Ok(Outcome::Respond(ports, response)) = outcome("respond", params, std::slice::from_ref(&items)) else {
            panic!("the node responds")
        };
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(response, Response { status, headers, body });
        assert_eq!(by_port(&ports), json!({ "main": items }));
    }

    #[test]
    fn answers_with_the_first_item_by_default() {
        check(json!({}), 200, &[], json!({ "n": 1 }));
    }

    #[test]
    fn evaluates_status_headers_and_body() {
        let params = json!({
            "status": "{{ 200 + $json.n }}", "headers": { "x-n": "{{ $json.n }}", "x-none": "{{ $json.missing ?? null }}" },
            "body": { "number": "{{ $json.n }}", "fixed": true }
        });
        check(params, 201, &[("x-n", "1")], json!({ "number": 1, "fixed": true }));
        check(json!({ "body": "n={{ $json.n }}" }), 200, &[], json!("n=1"));
    }

    #[test]
    fn refuses_what_is_no_answer() {
        assert_eq!(problems("respond", json!({ "status": 99, "headers": { "a b": 1 } })), ["/params/status out_of_range"]);
        assert_eq!(
            problems("respond", json!({ "headers": { "a b": 1, "Transfer-Encoding": "x", "x": "a\r\nb" } })),
            [
                "/params/headers/a b invalid_header",
                "/params/headers/Transfer-Encoding invalid_header",
                "/params/headers/x invalid_header"
            ]
        );
        assert_eq!(failure("respond", json!({ "status": "{{ 42 }}" }), json!([{}])), codes::INVALID_PARAMETER);
        assert_eq!(failure("respond", json!({ "headers": { "x": "{{ 'a\\nb' }}" } }), json!([{}])), codes::INVALID_PARAMETER);
    }
}
