//! Every limit of the engine, with its name and its unit. Reaching one is a clear failure, never a crash.

/// Size of one workflow definition as JSON text.
pub const DEFINITION_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Nodes of one workflow.
pub const NODES_MAX: usize = 2_000;
/// Edges of one workflow.
pub const EDGES_MAX: usize = 10_000;
/// Nesting of arrays and objects in a definition or an input.
pub const JSON_DEPTH_MAX: usize = 100;
/// Characters of a node's id.
pub const NODE_ID_CHARS_MAX: usize = 64;
/// Characters of a name: of a workflow, a node, a port, a tag, a credential.
pub const NAME_CHARS_MAX: usize = 200;
/// Characters of a text for people: a description, a note.
pub const PROSE_CHARS_MAX: usize = 20_000;
/// Tags of one workflow.
pub const TAGS_MAX: usize = 50;
/// Characters of a variable's name.
pub const VARIABLE_NAME_CHARS_MAX: usize = 64;
/// Characters of a variable's description.
pub const VARIABLE_DESCRIPTION_CHARS_MAX: usize = 1_000;
/// Bytes of a variable's value as JSON. An execution keeps those that it uses.
pub const VARIABLE_BYTES_MAX: usize = 16 * 1024;
/// Problems reported of one document; mending these shows the rest.
pub const PROBLEMS_MAX: usize = 100;
/// Bytes of a start input or a webhook's JSON body.
pub const INPUT_BYTES_MAX: usize = 1024 * 1024;
/// Items that one node run may put out, over all ports.
pub const ITEMS_MAX: usize = 100_000;
/// Bytes that one node run may put out, as JSON.
pub const OUTPUT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes of results that a retry takes over, as JSON: they are one row of its journal.
pub const REUSED_BYTES_MAX: usize = 48 * 1024 * 1024;
/// Bytes of console output that one attempt records; the rest is dropped, and the record says so.
pub const LOG_BYTES_MAX: usize = 1024 * 1024;
/// Node runs of one execution.
pub const STEPS_MAX: u32 = 100_000;
/// Iterations of one loop node, where the node does not set a smaller number.
pub const LOOP_ITERATIONS_MAX: u32 = 10_000;
/// Children of one node run.
pub const CHILDREN_MAX: usize = 1_000;
/// Children that one execution may wait for at the same time: its end has to reach them all in one commit.
pub const CHILDREN_AWAITED_MAX: usize = 10_000;
/// Sub-workflows inside sub-workflows.
pub const NESTING_MAX: u32 = 16;
/// Effects that one execution may have in flight.
pub const EFFECTS_IN_FLIGHT_MAX: usize = 64;
/// Attempts of one node run.
pub const ATTEMPTS_MAX: u32 = 100;
/// Longest wait of a timer or a signal, in milliseconds (ten years).
pub const WAIT_MS_MAX: u64 = 10 * 365 * 24 * 3_600_000;
/// Wall time of one execution where the workflow sets none, in milliseconds (30 days).
pub const EXECUTION_MS_DEFAULT: u64 = 30 * 24 * 3_600_000;
/// Wall time of one attempt of an effect node where the node sets none, in milliseconds.
pub const NODE_MS_DEFAULT: u64 = 5 * 60_000;
/// Shortest interval of a schedule, in milliseconds.
pub const SCHEDULE_EVERY_MS_MIN: u64 = 1_000;
/// Characters of a cron expression.
pub const CRON_CHARS_MAX: usize = 200;
/// Longest delay by chance of a schedule's ticks, in milliseconds.
pub const SCHEDULE_JITTER_MS_MAX: u64 = 24 * 3_600_000;
/// A tick that fires later than this is a missed one, in milliseconds: long enough for a restart.
pub const SCHEDULE_GRACE_MS: u64 = 60_000;
/// Missed ticks that `catch_up: all` makes up for at most, and where the schedule does not say.
pub const CATCH_UP_TICKS_MAX: u32 = 1_000;
pub const CATCH_UP_TICKS_DEFAULT: u32 = 100;
/// Ticks that wait for the execution before them (`overlap: queue`); older ones are passed over.
pub const QUEUED_TICKS_MAX: u32 = 100;
/// Bytes of the input of a schedule that stands alone, as JSON.
pub const SCHEDULE_INPUT_BYTES_MAX: usize = 64 * 1024;
/// Schedules that stand alone, per workspace.
pub const SCHEDULES_MAX: u32 = 10_000;
/// Coming ticks that one request shows.
pub const NEXT_TICKS_MAX: u32 = 100;
/// Past ticks that one request fires.
pub const BACKFILL_TICKS_MAX: u32 = 1_000;

/// Bytes of a value as compact JSON, without writing it; `None` if it nests deeper than [`JSON_DEPTH_MAX`].
/// Escapes are not counted, so a text of control characters may be up to six times as long.
pub fn json_bytes(value: &serde_json::Value) -> Option<usize> {
    bytes_at_depth(value, 0)
}

fn bytes_at_depth(value: &serde_json::Value, depth: usize) -> Option<usize> {
    use serde_json::Value;
    if depth > JSON_DEPTH_MAX {
        return None;
    }
    Some(match value {
        Value::Null | Value::Bool(_) => 4,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(values) => {
            values.iter().try_fold(2, |sum: usize, value| Some(sum + bytes_at_depth(value, depth + 1)? + 1))?
        }
        Value::Object(fields) => {
            fields.iter().try_fold(2, |sum: usize, (key, value)| Some(sum + key.len() + 4 + bytes_at_depth(value, depth + 1)?))?
        }
    })
}
