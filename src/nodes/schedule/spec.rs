//! What a schedule says: when its ticks are, and what becomes of those that come late or too early. Read from the parameters of
//! a `schedule` node or from a request, checked, and kept in the store as JSON. Pure.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cadence::Cadence;
use crate::{
    model::{
        definition::NodeDefinition,
        duration::DurationMs,
        ids::ScheduleId,
        limits::{CATCH_UP_TICKS_DEFAULT, SCHEDULE_EVERY_MS_MIN, SCHEDULE_JITTER_MS_MAX, WAIT_MS_MAX},
        problem::{Problem, excerpt},
        schedule::{CatchUp, Overlap, Rules},
    },
    nodes::{params, times},
};

/// A schedule. **Shape**: the parameters of the node type `schedule`, with a time zone for sure. One of `cron`, `every`, `at`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleSpec {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<DurationMs>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    pub timezone: String,
    #[serde(default)]
    pub catch_up: CatchUpMode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catch_up_max: Option<u32>,
    #[serde(default)]
    pub overlap: Overlap,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<DurationMs>,
}

/// The name of a [`CatchUp`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUpMode {
    None,
    /// The default: a nightly report still comes after a night without power, and a tick a second does not come back in floods.
    #[default]
    Last,
    All,
}

impl CatchUpMode {
    pub const ALL: [Self; 3] = [Self::None, Self::Last, Self::All];
}

impl ScheduleSpec {
    /// Reads the parameters of a `schedule` node that have passed the schema.
    ///
    /// Errors: not exactly one of `cron`, `every`, `at`; one that is none; an unknown zone; a value out of its range.
    pub fn read(node: &NodeDefinition, timezone_default: &str) -> Result<Self, Vec<Problem>> {
        let mut with_zone = node.clone();
        with_zone.params.entry("timezone").or_insert_with(|| Value::from(timezone_default));
        let spec: Self = params::read(&with_zone)?;
        let mut problems = spec.check_ranges();
        if let Err(problem) = spec.cadence() {
            problems.push(problem);
        }
        if problems.is_empty() { Ok(spec) } else { Err(problems) }
    }

    /// When the ticks are.
    ///
    /// Errors: the first thing that keeps this from being known. A spec that was read once has none, as long as its zone is known.
    pub fn cadence(&self) -> Result<Cadence, Problem> {
        let zone = times::find_zone(&self.timezone).ok_or_else(|| {
            let detail = format!(
                "there is no time zone `{}`: use a name of the IANA database such as `Europe/Berlin` or `UTC`",
                excerpt(&self.timezone)
            );
            Problem::new("/params/timezone", "unknown_timezone", detail)
        })?;
        match (&self.cron, self.every, &self.at) {
            (Some(cron), None, None) => Cadence::cron(cron, zone)
                .map_err(|error| Problem::new("/params/cron", "invalid_cron", format!("`{}`: {error}", excerpt(cron)))),
            (None, Some(every), None) if every.0 >= SCHEDULE_EVERY_MS_MIN => Ok(Cadence::Every { every_ms: every.0 }),
            (None, Some(_), None) => Err(out_of_range("every", "must not be shorter than", SCHEDULE_EVERY_MS_MIN)),
            (None, None, Some(at)) => {
                let read = times::read_instant_ms(&Value::from(at.as_str()), &zone).and_then(|ms| u64::try_from(ms).ok());
                let detail = "must be a point in time after 1970 such as `2030-01-31T12:00:00` or `2030-01-31T12:00:00Z`";
                read.map(|at_ms| Cadence::At { at_ms }).ok_or_else(|| Problem::new("/params/at", "invalid_format", detail))
            }
            _ => Err(params::invalid("/params", "one of `cron`, `every` and `at` is needed")),
        }
    }

    /// What decides about the ticks of a schedule that says this.
    pub fn rules<'a>(&self, schedule: ScheduleId, cadence: &'a Cadence) -> Rules<'a> {
        let catch_up = match self.catch_up {
            CatchUpMode::None => CatchUp::None,
            CatchUpMode::Last => CatchUp::Last,
            CatchUpMode::All => CatchUp::All { max: self.catch_up_max.unwrap_or(CATCH_UP_TICKS_DEFAULT) },
        };
        Rules { schedule, ticks: cadence, catch_up, overlap: self.overlap, jitter_ms: self.jitter.map_or(0, |jitter| jitter.0) }
    }

    /// As the store keeps it. Two schedules that say the same have the same text.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a schedule has string keys only")
    }

    fn check_ranges(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.every.is_some_and(|every| every.0 > WAIT_MS_MAX) {
            problems.push(out_of_range("every", "must not be longer than", WAIT_MS_MAX));
        }
        if self.jitter.is_some_and(|jitter| jitter.0 > SCHEDULE_JITTER_MS_MAX) {
            problems.push(out_of_range("jitter", "must not be longer than", SCHEDULE_JITTER_MS_MAX));
        }
        if self.catch_up_max.is_some() && self.catch_up != CatchUpMode::All {
            problems.push(params::invalid("/params/catch_up_max", "only `catch_up: all` has a maximum"));
        }
        problems
    }
}

fn out_of_range(name: &str, rule: &str, limit_ms: u64) -> Problem {
    Problem::new(format!("/params/{name}"), "out_of_range", format!("{rule} {}", DurationMs(limit_ms)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        model::schedule::Ticks,
        nodes::{
            schedule::SCHEDULE,
            testing::{node, problems},
        },
    };

    fn read(params: Value) -> ScheduleSpec {
        ScheduleSpec::read(&node(SCHEDULE, params), "Europe/Berlin").unwrap_or_else(|problems| panic!("{problems:#?}"))
    }

    #[test]
    fn takes_the_workflows_zone_where_it_names_none() {
        assert_eq!(read(json!({ "every": "1m" })).timezone, "Europe/Berlin");
        assert_eq!(read(json!({ "every": "1m", "timezone": "America/New_York" })).timezone, "America/New_York");
        // 2026-01-31 12:00 in Berlin is 11:00 UTC.
        let noon = read(json!({ "at": "2026-01-31T12:00:00" })).cadence().unwrap();
        assert_eq!(noon.next_after(0), Some(1_769_857_200_000));
        assert_eq!(noon.next_after(1_769_857_200_000), None);
    }

    #[test]
    fn keeps_what_it_read() {
        let spec = read(json!({
            "cron": "0 9 * * *", "catch_up": "all", "catch_up_max": 5, "overlap": "cancel_old", "jitter": "1m30s"
        }));
        assert_eq!(serde_json::from_slice::<ScheduleSpec>(&spec.to_json()).unwrap(), spec);
        let schedule = ScheduleId::from_uuid(uuid::Uuid::nil());
        let cadence = spec.cadence().unwrap();
        let rules = spec.rules(schedule, &cadence);
        assert_eq!((rules.catch_up, rules.overlap, rules.jitter_ms), (CatchUp::All { max: 5 }, Overlap::CancelOld, 90_000));
        let plain = read(json!({ "every": "1m" }));
        let cadence = plain.cadence().unwrap();
        let rules = plain.rules(schedule, &cadence);
        assert_eq!((rules.catch_up, rules.overlap, rules.jitter_ms), (CatchUp::Last, Overlap::Allow, 0));
    }

    #[test]
    fn reports_what_does_not_hold_together() {
        assert_eq!(problems(SCHEDULE, json!({})), ["/params invalid_parameter"]);
        assert_eq!(problems(SCHEDULE, json!({ "every": "1m", "cron": "* * * * *" })), ["/params invalid_parameter"]);
        assert_eq!(problems(SCHEDULE, json!({ "cron": "61 * * * *" })), ["/params/cron invalid_cron"]);
        assert_eq!(problems(SCHEDULE, json!({ "cron": "* * * * * * 2030" })), ["/params/cron invalid_cron"]);
        assert_eq!(problems(SCHEDULE, json!({ "cron": "0 0 30 2 *" })), ["/params/cron invalid_cron"]);
        assert_eq!(problems(SCHEDULE, json!({ "at": "tomorrow" })), ["/params/at invalid_format"]);
        assert_eq!(problems(SCHEDULE, json!({ "at": "1969-01-01T00:00:00Z" })), ["/params/at invalid_format"]);
        assert_eq!(
            problems(SCHEDULE, json!({ "every": "1m", "timezone": "Mars/Olympus" })),
            ["/params/timezone unknown_timezone"]
        );
        assert_eq!(problems(SCHEDULE, json!({ "every": "1m", "catch_up_max": 3 })), ["/params/catch_up_max invalid_parameter"]);
    }

    #[test]
    fn intervals_and_delays_obeyed_and_violated() {
        read(json!({ "every": DurationMs(SCHEDULE_EVERY_MS_MIN).to_string() }));
        assert_eq!(problems(SCHEDULE, json!({ "every": "999ms" })), ["/params/every out_of_range"]);
        read(json!({ "every": DurationMs(WAIT_MS_MAX).to_string() }));
        let longer = DurationMs(WAIT_MS_MAX + 1).to_string();
        assert_eq!(problems(SCHEDULE, json!({ "every": longer })), ["/params/every out_of_range"]);
        read(json!({ "every": "1d", "jitter": DurationMs(SCHEDULE_JITTER_MS_MAX).to_string() }));
        let longer = DurationMs(SCHEDULE_JITTER_MS_MAX + 1).to_string();
        assert_eq!(problems(SCHEDULE, json!({ "every": "1d", "jitter": longer })), ["/params/jitter out_of_range"]);
    }
}
