//! One attempt: the code over the items, and its output as items. Blocks its thread.

use std::sync::Arc;

use serde_json::Value;

use crate::{
    model::{
        error::{NodeError, codes},
        item::Item,
        limits::ITEMS_MAX,
    },
    nodes::{
        context::{EffectContext, Log},
        effects::at_item,
    },
    runtimes::{
        code::{Code, CodeError, CodeInput, CodeLimits, CodeOutput},
        grants::Grants,
        languages::{Language, Languages},
        scope::Scope,
    },
};

/// What an attempt runs.
pub(super) struct Job {
    pub(super) code: Arc<Code>,
    pub(super) limits: CodeLimits,
    pub(super) grants: Grants,
}

impl Job {
    /// One run over all items. As many items as came in are paired with them one by one.
    pub(super) fn run_all(&self, mut ctx: EffectContext) -> Result<Vec<Item>, NodeError> {
        let languages = Arc::clone(&ctx.services.languages);
        let mut session = language(&languages, &self.code)?.session(&self.code, self.limits, &self.grants);
        let output = keep(&ctx.log, session.run(CodeInput::Items(&scope(&ctx, 0)))).map_err(CodeError::into_node_error)?;
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
    pub(super) fn run_each(&self, mut ctx: EffectContext) -> Result<Vec<Item>, NodeError> {
        let languages = Arc::clone(&ctx.services.languages);
        let mut session = language(&languages, &self.code)?.session(&self.code, self.limits, &self.grants);
        let mut items = Vec::new();
        for index in 0..ctx.pure().items().len() {
            let ran = session.run(CodeInput::Item(&scope(&ctx, index)));
            let output = keep(&ctx.log, ran).map_err(|error| at_item(error.into_node_error(), index))?;
            items.extend(values_of(output).into_iter().map(|value| ctx.pure().derive(index, value)));
            check_count(items.len())?;
        }
        Ok(items)
    }
}

/// Errors: `not_installed`: the language was there when the workflow was saved.
fn language<'a>(languages: &'a Languages, code: &Code) -> Result<&'a dyn Language, NodeError> {
    let name = code.language();
    let found = languages.get(name);
    if let Some(complaint) = found.and_then(Language::complaint) {
        return Err(NodeError::permanent(codes::NOT_INSTALLED, complaint));
    }
    found.ok_or_else(|| NodeError::permanent(codes::NOT_INSTALLED, languages.complaint(name)))
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

/// Hands on what the code wrote and used, however it ended, and gives what it returned.
fn keep(log: &Log, ran: Result<CodeOutput, CodeError>) -> Result<Value, CodeError> {
    match ran {
        Ok(CodeOutput { output, logs, logs_truncated, usage }) => {
            log.add(logs, logs_truncated);
            log.used(usage.into());
            Ok(output)
        }
        Err(mut error) => {
            log.add(std::mem::take(&mut error.logs), error.logs_truncated);
            if let Some(usage) = error.usage {
                log.used(usage.into());
            }
            Err(error)
        }
    }
}
