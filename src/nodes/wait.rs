//! `wait`: lets time pass, or waits for a signal, and passes the items on.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Description, NodeType, Outcome, Prepared, PureNode, Runner, Woken,
    budget::Budget,
    context::NodeContext,
    params::{
        self, Param,
        schema::{self, FORMAT_DURATION},
    },
    times,
};
use crate::model::{
    catalog::{EffectClass, NodeShape},
    definition::NodeDefinition,
    duration::DurationMs,
    error::{NodeError, codes},
    event,
    item::{MAIN, Port, PortItems},
    limits::WAIT_MS_MAX,
    problem::Problem,
};

/// Characters of a signal's name.
pub const SIGNAL_CHARS_MAX: usize = 128;
/// The port of items whose wait was not ended by what it waited for.
pub const TIMEOUT: Port = Port::Borrowed("timeout");

/// The node type `wait`.
pub struct Wait;

#[derive(Deserialize)]
struct Params {
    #[serde(rename = "for")]
    duration: Option<Param>,
    until: Option<Param>,
    signal: Option<Param>,
    timeout: Option<Param>,
}

impl NodeType for Wait {
    fn describe(&self) -> Description {
        Description {
            type_name: "wait",
            summary: "Waits for a time or for a signal, at no cost, and passes the items on.",
            params_schema: schema::object(
                &[],
                json!({
                    "for": schema::duration("How long to wait. Expressions here and below are evaluated for the first item."),
                    "until": schema::any(
                        "When to go on: RFC 3339, a date or a date with time in the workflow's zone, or Unix milliseconds. A time that \
                            has passed does not wait.",
                    ),
                    "signal": {
                        "description": "Name of the signal to wait for (`POST /executions/{id}/signal/{name}`). Each item gets its \
                            payload in the field `signal`.",
                        "type": "string", "minLength": 1, "maxLength": SIGNAL_CHARS_MAX,
                    },
                    "timeout": {
                        "description": "How long to wait for the signal; the items leave by `timeout` then.",
                        "type": "string", "format": FORMAT_DURATION,
                    },
                }),
            ),
            verbatim: &[],
        }
    }

    fn prepare(&self, node: &NodeDefinition) -> Result<Prepared, Vec<Problem>> {
        let params: Params = params::read(node)?;
        let runner = match (params.duration, params.until, params.signal, params.timeout) {
            (Some(duration), None, None, None) => WaitNode::For(duration),
            (None, Some(instant), None, None) => WaitNode::Until(instant),
            (None, None, Some(name), timeout) => WaitNode::Signal { name, timeout },
            (_, _, None, Some(_)) => {
                return Err(vec![params::invalid("/params/timeout", "only a wait for a signal has a time-out")]);
            }
            _ => return Err(vec![params::invalid("/params", "one of `for`, `until` and `signal` is needed")]),
        };
        let shape = NodeShape { ports: vec![MAIN, TIMEOUT], ..NodeShape::step(EffectClass::Wait) };
        Ok(Prepared { shape, runner: Runner::Pure(Arc::new(runner)) })
    }
}

enum WaitNode {
    For(Param),
    Until(Param),
    Signal { name: Param, timeout: Option<Param> },
}

impl WaitNode {
    fn instant_ms(ctx: &mut NodeContext<'_>, instant: &Param) -> Result<u64, NodeError> {
        let value = params::evaluate_once(ctx, instant)?;
        let zone = times::zone_of(&ctx.data.timezone);
        let read = times::read_instant_ms(&value, &zone);
        let instant_ms =
            read.ok_or_else(|| params::wrong_type("until", "a point in time such as `2026-01-31T12:00:00Z`", &value))?;
        // A time before 1970 is past, like any other that has gone by.
        let instant_ms = u64::try_from(instant_ms).unwrap_or(0);
        if instant_ms > ctx.now_ms.saturating_add(WAIT_MS_MAX) {
            let message = format!("`until` is more than {} away", DurationMs(WAIT_MS_MAX));
            return Err(NodeError::permanent(codes::INVALID_PARAMETER, message));
        }
        Ok(instant_ms)
    }
}

/// The time `timeout` from now, in Unix milliseconds.
///
/// Errors: as [`params::duration_once`].
pub fn deadline_ms(ctx: &mut NodeContext<'_>, timeout: Option<&Param>) -> Result<Option<u64>, NodeError> {
    let Some(timeout) = timeout else { return Ok(None) };
    Ok(Some(ctx.now_ms.saturating_add(params::duration_once(ctx, timeout, "timeout")?)))
}

/// Every item on one port, with a value added to each under `name`.
///
/// Errors: `output_limit`.
pub fn pass_with(ctx: &NodeContext<'_>, port: Port, name: &str, value: &Value) -> Result<Vec<PortItems>, NodeError> {
    let mut budget = Budget::default();
    let mut passed = Vec::with_capacity(ctx.items().len());
    for (index, item) in ctx.items().iter().enumerate() {
        let mut json = item.json.clone();
        json[name] = value.clone();
        budget.spend_item(&json)?;
        passed.push(ctx.edit(index, json));
    }
    Ok(vec![PortItems::new(port, passed)])
}

impl PureNode for WaitNode {
    fn run(&self, ctx: &mut NodeContext<'_>) -> Result<Outcome, NodeError> {
        let until = match self {
            Self::For(duration) => ctx.now_ms.saturating_add(params::duration_once(ctx, duration, "for")?),
            Self::Until(instant) => Self::instant_ms(ctx, instant)?,
            Self::Signal { name, timeout } => {
                let name = params::text_once(ctx, name, "signal")?;
                if name.is_empty() || name.chars().count() > SIGNAL_CHARS_MAX {
                    let message = format!("`signal` must have 1 to {SIGNAL_CHARS_MAX} characters");
                    return Err(NodeError::permanent(codes::INVALID_PARAMETER, message));
                }
                let until = deadline_ms(ctx, timeout.as_ref())?;
                return Ok(Outcome::Wait(event::Wait { until, signals: vec![name], state: Value::Null }));
            }
        };
        if until <= ctx.now_ms {
            return Ok(Outcome::Done(PortItems::main(ctx.pass_all())));
        }
        Ok(Outcome::Wait(event::Wait { until: Some(until), signals: Vec::new(), state: Value::Null }))
    }

    fn resume(&self, ctx: &mut NodeContext<'_>, woken: &Woken) -> Result<Vec<PortItems>, NodeError> {
        match (self, woken.signals.first()) {
            (Self::For(_) | Self::Until(_), _) => Ok(PortItems::main(ctx.pass_all())),
            (Self::Signal { .. }, Some((_, payload))) => pass_with(ctx, MAIN, "signal", payload),
            (Self::Signal { .. }, None) => Ok(vec![PortItems::new(TIMEOUT, ctx.pass_all())]),
        }
    }

    fn needs_guest(&self) -> bool {
        match self {
            Self::For(time) | Self::Until(time) => time.needs_guest(),
            Self::Signal { name, timeout } => params::any_needs_guest([name].into_iter().chain(timeout)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::testing::{NOW_MS, failure, outcome, prepare, problems, resume, run};

    #[track_caller]
    fn check_waits(params: Value, until: Option<u64>, signals: &[&str]) {
        let Ok(Outcome::Wait(wait)) = outcome("wait", params, &[json!([{ "s": 30 }])]) else { panic!("the node waits") };
        assert_eq!(wait.until, until);
        assert_eq!(wait.signals, signals);
    }

    #[test]
    fn waits_for_a_time() {
        check_waits(json!({ "for": "1m30s" }), Some(NOW_MS + 90_000), &[]);
        check_waits(json!({ "for": "{{ $json.s }}s" }), Some(NOW_MS + 30_000), &[]);
        check_waits(json!({ "until": "2026-01-02T03:04:06Z" }), Some(NOW_MS + 1_000), &[]);
        check_waits(json!({ "until": "2026-01-02T04:04:06" }), Some(NOW_MS + 1_000), &[]);
        let woken = Woken { state: Value::Null, signals: Vec::new(), timed_out: true };
        assert_eq!(resume("wait", json!({ "for": "1s" }), json!([{ "a": 1 }]), &woken), Ok(json!({ "main": [{ "a": 1 }] })));
    }

    #[test]
    fn does_not_wait_for_what_has_passed() {
        for params in
            [json!({ "for": "0s" }), json!({ "until": "2020-01-01" }), json!({ "until": -5 }), json!({ "until": NOW_MS })]
        {
            assert_eq!(run("wait", params, json!([{ "a": 1 }])), Ok(json!({ "main": [{ "a": 1 }] })));
        }
    }

    #[test]
    fn waits_for_a_signal() {
        assert_eq!(prepare("wait", json!({ "signal": "paid" })).shape.ports, ["main", "timeout"]);
        check_waits(json!({ "signal": "paid" }), None, &["paid"]);
        let params = json!({ "signal": "paid-{{ $json.s }}", "timeout": "1h" });
        check_waits(params.clone(), Some(NOW_MS + 3_600_000), &["paid-30"]);

        let items = json!([{ "s": 30 }, { "s": 31 }]);
        let signals = vec![("paid-30".to_owned(), json!({ "by": "card" }))];
        let woken = Woken { state: Value::Null, signals, timed_out: false };
        let expected = json!([{ "s": 30, "signal": { "by": "card" } }, { "s": 31, "signal": { "by": "card" } }]);
        assert_eq!(resume("wait", params.clone(), items.clone(), &woken), Ok(json!({ "main": expected })));
        let woken = Woken { state: Value::Null, signals: Vec::new(), timed_out: true };
        assert_eq!(resume("wait", params, items.clone(), &woken), Ok(json!({ "timeout": items })));
    }

    #[test]
    fn stops_before_copies_of_a_large_payload_fill_the_memory() {
        let signals = vec![("s".to_owned(), json!("x".repeat(1_000_000)))];
        let woken = Woken { state: Value::Null, signals, timed_out: false };
        let error = resume("wait", json!({ "signal": "s" }), json!(vec![json!({}); 40]), &woken).unwrap_err();
        assert_eq!(error.code, codes::OUTPUT_LIMIT);
    }

    #[test]
    fn longest_wait_obeyed_and_violated() {
        let (longest, longer) = (DurationMs(WAIT_MS_MAX).to_string(), DurationMs(WAIT_MS_MAX + 1).to_string());
        check_waits(json!({ "for": longest }), Some(NOW_MS + WAIT_MS_MAX), &[]);
        assert_eq!(failure("wait", json!({ "for": longer }), json!([{}])), codes::INVALID_PARAMETER);
        check_waits(json!({ "until": NOW_MS + WAIT_MS_MAX }), Some(NOW_MS + WAIT_MS_MAX), &[]);
        assert_eq!(failure("wait", json!({ "until": NOW_MS + WAIT_MS_MAX + 1 }), json!([{}])), codes::INVALID_PARAMETER);
    }

    #[test]
    fn refuses_what_is_no_time_or_name() {
        assert_eq!(failure("wait", json!({ "until": "soon" }), json!([{}])), codes::INVALID_PARAMETER);
        assert_eq!(failure("wait", json!({ "for": "{{ 30 }}" }), json!([{}])), codes::INVALID_PARAMETER);
        assert_eq!(failure("wait", json!({ "signal": "{{ '' }}" }), json!([{}])), codes::INVALID_PARAMETER);
    }

    #[test]
    fn waits_for_one_thing() {
        assert_eq!(problems("wait", json!({})), ["/params invalid_parameter"]);
        assert_eq!(problems("wait", json!({ "for": "1s", "signal": "a" })), ["/params invalid_parameter"]);
        assert_eq!(problems("wait", json!({ "for": "1s", "timeout": "1s" })), ["/params/timeout invalid_parameter"]);
        assert_eq!(
            problems("wait", json!({ "for": "30", "signal": "" })),
            ["/params/for invalid_format", "/params/signal empty"]
        );
    }
}
