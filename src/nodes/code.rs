//! `code`: the user's JavaScript in the sandbox, once for all items or once per item.
//!
//! Code may read the clock and draw random numbers, so it is not pure; without a grant it changes nothing outside, so it may be
//! repeated. A fresh sandbox per node run, one for all items of the run.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Description, EffectNode, NodeType, Outcome, Pool, Prepared, Runner,
    context::{EffectContext, Log},
    effects::at_item,
    params::{
        invalid, read,
        schema::{LITERAL, choice, object},
    },
};
use crate::{
    model::{
        catalog::{EffectClass, NodeShape},
        definition::NodeDefinition,
        error::{NodeError, codes},
        item::{Item, PortItems},
        limits::{ITEMS_MAX, LOG_BYTES_MAX, OUTPUT_BYTES_MAX},
        problem::Problem,
    },
    runtimes::{
        code::{CODE_BYTES_MAX, Code, CodeError, CodeInput, CodeLimits, CodeOutput, JAVASCRIPT},
        grants::Grants,
        languages::{Language, Languages},
        sandbox::MEMORY_BYTES_MAX,
        scope::Scope,
    },
};

#[cfg(test)]
mod tests;

/// Longest wall or CPU time that a node may ask for, in milliseconds.
pub const WALL_MS_MAX: u64 = 15 * 60_000;

/// The node type.
pub struct CodeNode;

#[derive(Debug, Deserialize)]
struct Params {
    #[serde(default = "default_language")]
    language: String,
    code: String,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    limits: CodeLimits,
    #[serde(default)]
    grants: Map<String, Value>,
}

/// How often the code runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    #[default]
    All,
    Each,
}

impl NodeType for CodeNode {
    fn describe(&self) -> Description {
        Description { type_name: "code", summary: "Runs JavaScript over the items", params_schema: schema(), verbatim: &["code"] }
    }

    fn prepare(&self, node: &NodeDefinition) -> Result<Prepared, Vec<Problem>> {
        let params: Params = read(node)?;
        let mut problems = Vec::new();
        if params.language != JAVASCRIPT {
            let detail = format!("`{}` is not installed here: the languages are {JAVASCRIPT}", params.language);
            return Err(vec![Problem::new("/params/language", "not_installed", detail)]);
        }
        if !params.grants.is_empty() {
            problems.push(invalid("/params/grants", "the sandbox has no environment, files or network to grant"));
        }
        let code = Code::parse(&params.language, params.code.as_str())
            .map_err(|error| Problem::new("/params/code", codes::CODE_SYNTAX, error.to_string()));
        match code {
            Ok(code) if problems.is_empty() => {
                let mut limits = params.limits;
                limits.wall_ms = node.timeout.map_or(limits.wall_ms, |timeout| limits.wall_ms.min(timeout.0));
                let runner = Runner::Effect(Arc::new(CodeRunner { code: Arc::new(code), mode: params.mode, limits }));
                Ok(Prepared { shape: NodeShape::step(EffectClass::Idempotent), runner })
            }
            Ok(_) => Err(problems),
            Err(problem) => {
                problems.push(problem);
                Err(problems)
            }
        }
    }
}

struct CodeRunner {
    code: Arc<Code>,
    mode: Mode,
    limits: CodeLimits,
}

#[async_trait]
impl EffectNode for CodeRunner {
    async fn run(&self, ctx: EffectContext) -> Result<Outcome, NodeError> {
        let (code, mode, limits) = (Arc::clone(&self.code), self.mode, self.limits);
        // Not aborted with the attempt: the wall time ends it.
        let work = tokio::task::spawn_blocking(move || match mode {
            Mode::All => run_all(&code, limits, ctx),
            Mode::Each => run_each(&code, limits, ctx),
        });
        let items = match work.await {
            Ok(result) => result?,
            Err(error) => return Err(NodeError::permanent(codes::PANICKED, format!("the sandbox did not end: {error}"))),
        };
        Ok(Outcome::Done(PortItems::main(items)))
    }

    fn pool(&self) -> Pool {
        Pool::Wasm
    }
}

/// One run over all items. As many items as came in are paired with them one by one.
fn run_all(code: &Code, limits: CodeLimits, mut ctx: EffectContext) -> Result<Vec<Item>, NodeError> {
    let (languages, grants) = (Arc::clone(&ctx.services.languages), Grants::default());
    let ran = language(&languages, code)?.session(code, limits, &grants).run(CodeInput::Items(&scope(&ctx, 0)));
    let output = keep_log(&ctx.log, ran).map_err(CodeError::into_node_error)?;
    let values = values_of(output);
    check_count(values.len())?;
    let count = ctx.pure().items().len();
    let is_paired = values.len() == count || count == 1;
    let items = values.into_iter().enumerate().map(|(place, value)| match (is_paired, count) {
        (false, _) => Item::from_value(value),
        (true, 1) => ctx.pure().derive(0, value),
        (true, _) => ctx.pure().derive(place, value),
    });
    Ok(items.collect())
}

/// One run per item, in one sandbox with one set of limits.
fn run_each(code: &Code, limits: CodeLimits, mut ctx: EffectContext) -> Result<Vec<Item>, NodeError> {
    let (languages, grants) = (Arc::clone(&ctx.services.languages), Grants::default());
    let mut session = language(&languages, code)?.session(code, limits, &grants);
    let mut items = Vec::new();
    for index in 0..ctx.pure().items().len() {
        let ran = session.run(CodeInput::Item(&scope(&ctx, index)));
        let output = keep_log(&ctx.log, ran).map_err(|error| at_item(error.into_node_error(), index))?;
        items.extend(values_of(output).into_iter().map(|value| ctx.pure().derive(index, value)));
        check_count(items.len())?;
    }
    Ok(items)
}

fn language<'a>(languages: &'a Languages, code: &Code) -> Result<&'a dyn Language, NodeError> {
    let name = code.language();
    languages.get(name).ok_or_else(|| NodeError::permanent(codes::NOT_INSTALLED, languages.complaint(name)))
}

fn scope(ctx: &EffectContext, index: usize) -> Scope<'_> {
    let items = ctx.inputs.first().map_or(&[][..], |input| &input.items);
    Scope {
        item: items.get(index),
        item_index: index,
        items,
        run_index: ctx.attempt.run,
        outputs: &ctx.outputs,
        data: &ctx.data,
        now_ms: ctx.now_ms,
    }
}

/// An array is items, nothing is none, anything else is one.
fn values_of(output: Value) -> Vec<Value> {
    match output {
        Value::Array(values) => values,
        Value::Null => Vec::new(),
        single => vec![single],
    }
}

fn check_count(count: usize) -> Result<(), NodeError> {
    if count <= ITEMS_MAX {
        return Ok(());
    }
    Err(NodeError::permanent(codes::ITEM_LIMIT, format!("the code returned more than {ITEMS_MAX} items")))
}

/// Hands on what the code wrote, however it ended, and gives what it returned.
fn keep_log(log: &Log, ran: Result<CodeOutput, CodeError>) -> Result<Value, CodeError> {
    match ran {
        Ok(CodeOutput { output, logs, logs_truncated, usage }) => {
            // Sizes only: what code prints may be secret.
            tracing::debug!(
                log_lines = logs.len(),
                wall_ms = usage.wall_ms,
                cpu_ms = usage.cpu_ms,
                memory_peak_bytes = usage.memory_peak_bytes,
                cold = usage.cold,
                "code finished"
            );
            log.add(logs, logs_truncated);
            Ok(output)
        }
        Err(mut error) => {
            log.add(std::mem::take(&mut error.logs), error.logs_truncated);
            Err(error)
        }
    }
}

fn default_language() -> String {
    JAVASCRIPT.to_owned()
}

/// JSON Schema of `params`.
fn schema() -> Value {
    let limit = |description: &str, maximum: u64, default: u64| json!({ "description": description, "type": "integer", "minimum": 1, "maximum": maximum, "default": default });
    let default = CodeLimits::default();
    object(
        &["code"],
        json!({
            "language": { "description": "The language of the code.", "type": "string", "default": JAVASCRIPT, (LITERAL): true },
            "code": {
                "description": "A function body that may `return` at top level, or that defines `main(input)`. `input` is the list of the \
                                items' `json`, or one item's in mode `each`; the variables of expressions are there too. A returned \
                                object is one item, an array is items, nothing is no item, anything else becomes `{ value }`.",
                "type": "string", "minLength": 1, "maxLength": CODE_BYTES_MAX,
            },
            "mode": choice("Once for all items, or once for each.", &["all", "each"]),
            "limits": {
                "description": "What the run may use, in mode `each` for all items together.",
                "type": "object",
                "properties": {
                    "wall_ms": limit("Milliseconds of wall time.", WALL_MS_MAX, default.wall_ms),
                    "cpu_ms": limit("Milliseconds of CPU time.", WALL_MS_MAX, default.cpu_ms),
                    "memory_bytes": limit("Bytes of memory.", MEMORY_BYTES_MAX as u64, default.memory_bytes as u64),
                    "output_bytes": limit("Bytes of output as JSON.", OUTPUT_BYTES_MAX as u64, default.output_bytes as u64),
                    "log_bytes": limit("Bytes of console output; more is dropped.", LOG_BYTES_MAX as u64, default.log_bytes as u64),
                },
                "additionalProperties": false,
                (LITERAL): true,
            },
            "grants": {
                "description": "What the code may reach outside of the sandbox. JavaScript can be granted nothing.",
                "type": "object",
                "properties": { "env": {}, "files": {}, "network": {} },
                "additionalProperties": false,
                (LITERAL): true,
            },
        }),
    )
}
