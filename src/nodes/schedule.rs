//! `schedule`: starts executions by the time. The scheduler reads [`ScheduleSpec`] and hands the item
//! `{ scheduled_at, fired_at }` to the machine. What a schedule without a node says is read by the same rules.

pub mod cadence;
pub mod spec;

use serde_json::{Value, json};

pub use self::spec::ScheduleSpec;
use super::{
    Description, NodeType, Prepared, Runner,
    params::schema::{self, FORMAT_DURATION, LITERAL},
    times,
};
use crate::model::{
    catalog::NodeShape,
    definition::NodeDefinition,
    item::Item,
    limits::{CATCH_UP_TICKS_DEFAULT, CATCH_UP_TICKS_MAX, CRON_CHARS_MAX},
    problem::Problem,
};

/// The name of the node type.
pub const SCHEDULE: &str = "schedule";
/// Zone of a schedule where neither it nor its workflow names one.
pub const TIMEZONE_DEFAULT: &str = "UTC";

const CATCH_UPS: [&str; 3] = ["last", "none", "all"];
const OVERLAPS: [&str; 4] = ["allow", "skip", "queue", "cancel_old"];
/// Characters of a zone's name or of a time; longer texts are neither.
const SHORT_CHARS_MAX: usize = 64;

/// The node type `schedule`.
pub struct Schedule;

impl NodeType for Schedule {
    fn describe(&self) -> Description {
        Description {
            type_name: SCHEDULE,
            summary: "Starts an execution by the time: by a cron expression, every so often, or once.",
            params_schema: params_schema(),
            verbatim: &[],
        }
    }

    fn prepare(&self, node: &NodeDefinition) -> Result<Prepared, Vec<Problem>> {
        ScheduleSpec::read(node, TIMEZONE_DEFAULT)?;
        Ok(Prepared { shape: NodeShape::trigger(), runner: Runner::Engine })
    }
}

/// What an execution starts with that a tick starts: the items of the schedule's input, or one, each with when the tick was to fire
/// and when it did. Fields of the input with these names stay.
pub fn start_items(input: Value, scheduled_at: u64, fired_at: u64) -> Vec<Item> {
    let mut items = Item::list_from_value(input);
    for item in &mut items {
        if let Value::Object(fields) = &mut item.json {
            fields.entry("scheduled_at").or_insert_with(|| times::rfc3339(scheduled_at).into());
            fields.entry("fired_at").or_insert_with(|| times::rfc3339(fired_at).into());
        }
    }
    items
}

fn params_schema() -> Value {
    schema::object(
        &[],
        json!({
            "cron": {
                "description": "A cron expression of 5 fields, or of 6 with seconds in front: `0 9 * * MON-FRI`. Knows `L`, `W` and `#`.",
                "type": "string", "minLength": 1, "maxLength": CRON_CHARS_MAX, (LITERAL): true,
            },
            "every": {
                "description": "An interval of at least 1s. Ticks are at its multiples since 1970 in UTC: `15m` is on the quarter hours.",
                "type": "string", "format": FORMAT_DURATION, (LITERAL): true,
            },
            "at": {
                "description": "One point in time: RFC 3339, or a date with time in the schedule's zone.",
                "type": "string", "minLength": 1, "maxLength": SHORT_CHARS_MAX, (LITERAL): true,
            },
            "timezone": {
                "description": "IANA zone of `cron` and `at`, such as `Europe/Berlin`; else the workflow's, else UTC.",
                "type": "string", "minLength": 1, "maxLength": SHORT_CHARS_MAX, (LITERAL): true,
            },
            "catch_up": schema::choice(
                "What happens to ticks that were missed by more than a minute: the newest fires, none, or all of them.",
                &CATCH_UPS,
            ),
            "catch_up_max": schema::integer(
                "Missed ticks that `catch_up: all` fires, the newest ones.",
                1, CATCH_UP_TICKS_MAX.into(), CATCH_UP_TICKS_DEFAULT.into(),
            ),
            "overlap": schema::choice(
                "What a tick does while an earlier execution of the schedule runs: fire, be left out, wait for its end, or cancel it.",
                &OVERLAPS,
            ),
            "jitter": {
                "description": "Delays each tick by chance, by less than this and never beyond the next tick.",
                "type": "string", "format": FORMAT_DURATION, (LITERAL): true,
            },
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::catalog::Role,
        nodes::testing::{prepare, problems},
    };

    #[test]
    fn is_a_trigger() {
        for params in [
            json!({ "cron": "*/5 * * * *" }),
            json!({ "cron": "0 30 9 * * MON#1", "timezone": "Europe/Berlin", "catch_up": "all", "catch_up_max": 7 }),
            json!({ "every": "1s", "overlap": "skip", "jitter": "500ms" }),
            json!({ "at": "2030-01-01T00:00:00", "catch_up": "none" }),
        ] {
            let prepared = prepare(SCHEDULE, params);
            assert_eq!((prepared.shape.role, prepared.shape.inputs), (Role::Trigger, 0));
            assert!(matches!(prepared.runner, Runner::Engine));
        }
    }

    #[test]
    fn every_start_item_says_when_its_tick_was() {
        let json = |input: Value| start_items(input, 1_000, 2_500).into_iter().map(|item| item.json).collect::<Vec<_>>();
        let times = json!({ "scheduled_at": "1970-01-01T00:00:01.000Z", "fired_at": "1970-01-01T00:00:02.500Z" });
        assert_eq!(json(Value::Null), std::slice::from_ref(&times));
        let items = json(json!([{ "region": "eu", "fired_at": "mine" }, 7]));
        assert_eq!((&items[0]["region"], &items[0]["fired_at"]), (&json!("eu"), &json!("mine")));
        assert_eq!((&items[1]["value"], &items[1]["scheduled_at"]), (&json!(7), &times["scheduled_at"]));
    }

    #[test]
    fn reports_what_the_schema_forbids() {
        assert_eq!(
            problems(SCHEDULE, json!({ "cron": "", "every": "soon", "catch_up": "some", "overlapp": "skip" })),
            [
                "/params/cron empty",
                "/params/every invalid_format",
                "/params/catch_up unknown_value",
                "/params/overlapp unknown_field"
            ]
        );
        assert_eq!(problems(SCHEDULE, json!({ "every": "{{ 1 }}s" })), ["/params/every expression_not_allowed"]);
        assert_eq!(problems(SCHEDULE, json!({ "every": "1s", "catch_up_max": 0 })), ["/params/catch_up_max out_of_range"]);
        let too_many = CATCH_UP_TICKS_MAX + 1;
        assert_eq!(problems(SCHEDULE, json!({ "every": "1s", "catch_up_max": too_many })), ["/params/catch_up_max out_of_range"]);
    }

    #[test]
    fn cron_length_obeyed_and_violated() {
        let cron = |chars: usize| {
            let minutes = vec!["0"; (chars - 8) / 2 + 1].join(",");
            json!({ "cron": format!("{minutes} * * * *") })
        };
        assert_eq!(cron(CRON_CHARS_MAX - 1)["cron"].as_str().unwrap().len(), CRON_CHARS_MAX - 1);
        prepare(SCHEDULE, cron(CRON_CHARS_MAX - 1));
        assert_eq!(problems(SCHEDULE, cron(CRON_CHARS_MAX + 1)), ["/params/cron too_long"]);
    }
}
