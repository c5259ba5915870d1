//! `workflow`: starts another workflow, one child execution for all items or one per item, and waits for their ends if asked to.
//! A child's id follows from its parent, node, run and item, so a repeated start finds the child that is there already.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Description, EffectNode, NodeType, Outcome, Prepared, Runner, Woken,
    context::{EffectContext, NodeContext, expect_string},
    params::{
        Param, read,
        schema::{any, flag, flag_with_default, object, text},
    },
    services::ChildRequest,
};
use crate::model::{
    catalog::{AwaitedChildren, EffectClass, NodeShape},
    children,
    definition::NodeDefinition,
    error::{NodeError, codes},
    event::Wait,
    execution::ExecutionStatus,
    ids::ExecutionId,
    item::{Item, PortItems},
    limits::{CHILDREN_MAX, NESTING_MAX},
    problem::Problem,
};

#[cfg(test)]
mod tests;

/// The node type.
pub struct SubWorkflow;

#[derive(Debug, Deserialize)]
struct Params {
    workflow: Param,
    input: Option<Param>,
    #[serde(default = "yes")]
    wait: bool,
    #[serde(default)]
    per_item: bool,
}

/// What the wait remembers, and the API shows: `{ children: [{ signal, execution_id, item }] }`.
#[derive(Debug, Serialize, Deserialize)]
struct WaitState {
    children: Vec<Child>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Child {
    signal: String,
    execution_id: ExecutionId,
    /// Index of the input item; none for a child of all items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    item: Option<usize>,
}

/// What a child's end says.
#[derive(Debug, Deserialize)]
struct Ended {
    status: ExecutionStatus,
    #[serde(default)]
    items: Vec<Item>,
    #[serde(default)]
    error: Option<Value>,
}

impl NodeType for SubWorkflow {
    fn describe(&self) -> Description {
        Description {
            type_name: "workflow",
            summary: "Runs another workflow",
            params_schema: object(
                &["workflow"],
                json!({
                    "workflow": text("The id of a workflow, or the name of an active one."),
                    "input": any(
                        "What the child starts with: an object is one item, an array an item each. By default the items themselves."
                    ),
                    "wait": flag_with_default(
                        "Wait for the ends of the children and put out their results. Without it, put out `{ execution_id }` per child.",
                        true,
                    ),
                    "per_item": flag("Start one child per item, instead of one for all of them."),
                }),
            ),
            verbatim: &[],
        }
    }

    fn prepare(&self, node: &NodeDefinition) -> Result<Prepared, Vec<Problem>> {
        let params: Params = read(node)?;
        let children = match (params.wait, params.per_item) {
            (false, _) => AwaitedChildren::None,
            (true, false) => AwaitedChildren::OfAllItems,
            (true, true) => AwaitedChildren::PerItem,
        };
        let shape = NodeShape { children, ..NodeShape::step(EffectClass::Effect) };
        Ok(Prepared { shape, runner: Runner::Effect(Arc::new(Starter(params))) })
    }
}

struct Starter(Params);

#[async_trait]
impl EffectNode for Starter {
    async fn run(&self, mut ctx: EffectContext) -> Result<Outcome, NodeError> {
        let requests = self.requests(&mut ctx)?;
        let mut started = Vec::new();
        for (item, request) in requests {
            let signal = children::signal(&request.key);
            let execution_id = ctx.services.children.start(request).await?;
            started.push(Child { signal, execution_id, item });
        }
        if self.0.wait && !started.is_empty() {
            let signals = started.iter().map(|child| child.signal.clone()).collect();
            return Ok(Outcome::Wait(Wait { until: None, signals, state: json!(WaitState { children: started }) }));
        }
        let items = started.iter().map(|child| output(&ctx.pure(), child.item, json!({ "execution_id": child.execution_id })));
        Ok(Outcome::Done(PortItems::main(items.collect())))
    }

    fn resume(&self, ctx: &mut NodeContext<'_>, woken: &Woken) -> Result<Vec<PortItems>, NodeError> {
        let state = WaitState::deserialize(&woken.state).map_err(|error| malformed("the wait", &error))?;
        let mut items = Vec::new();
        for child in &state.children {
            let payload = woken.signals.iter().find(|(name, _)| *name == child.signal).map(|(_, payload)| payload);
            let payload = payload.ok_or_else(|| malformed("the wait", &format!("{} did not arrive", child.signal)))?;
            let ended = Ended::deserialize(payload).map_err(|error| malformed("the end of a child", &error))?;
            if ended.status != ExecutionStatus::Succeeded {
                return Err(child_failed(child, &ended));
            }
            items
                .extend(ended.items.into_iter().map(|item| Item { source: output(ctx, child.item, Value::Null).source, ..item }));
        }
        Ok(PortItems::main(items))
    }
}

impl Starter {
    /// The children to start, each with the index of its item if it is for one.
    fn requests(&self, ctx: &mut EffectContext) -> Result<Vec<(Option<usize>, ChildRequest)>, NodeError> {
        if ctx.nesting >= NESTING_MAX {
            let message = format!("sub-workflows are nested more than {NESTING_MAX} deep: does this workflow start itself?");
            return Err(NodeError::permanent(codes::NESTING_LIMIT, message));
        }
        let count = ctx.pure().items().len();
        if count == 0 {
            return Ok(Vec::new());
        }
        if !self.0.per_item {
            return Ok(vec![(None, self.request(ctx, 0, None)?)]);
        }
        if count > CHILDREN_MAX {
            let message = format!("{count} items would start {count} children; one run may start {CHILDREN_MAX}");
            return Err(NodeError::permanent(codes::ITEM_LIMIT, message));
        }
        (0..count).map(|index| Ok((Some(index), self.request(ctx, index, Some(index))?))).collect()
    }

    /// The request of one child. The parameters are evaluated for the item at `index`.
    fn request(&self, ctx: &mut EffectContext, index: usize, item: Option<usize>) -> Result<ChildRequest, NodeError> {
        let workflow = expect_string(ctx.pure().evaluate(&self.0.workflow, index)?, "workflow")?;
        let items = match &self.0.input {
            Some(input) => Item::list_from_value(ctx.pure().evaluate(input, index)?),
            None => {
                let items = ctx.pure().items();
                let chosen = item.map_or(items, |index| &items[index..=index]);
                // A source names a node of the parent: the child has no such node.
                chosen.iter().map(|item| Item { source: None, ..item.clone() }).collect()
            }
        };
        let key = children::key(&ctx.attempt.node, ctx.attempt.run, item);
        Ok(ChildRequest {
            workspace: ctx.workspace,
            parent: ctx.execution,
            nesting: ctx.nesting + 1,
            trace: ctx.trace,
            notify: self.0.wait.then(|| children::signal(&key)),
            key,
            workflow,
            items: Arc::new(items),
        })
    }
}

/// An item made for a child: from its input item, or from the only one that there is.
fn output(ctx: &NodeContext<'_>, item: Option<usize>, json: Value) -> Item {
    match (item, ctx.items()) {
        (Some(index), _) => ctx.derive(index, json),
        (None, [_]) => ctx.derive(0, json),
        (None, _) => Item::from_value(json),
    }
}

fn child_failed(child: &Child, ended: &Ended) -> NodeError {
    let message = format!("the child {} ended as {}", child.execution_id, ended.status.as_str());
    NodeError::permanent(codes::CHILD_FAILED, message).with_details(json!({
        "execution_id": child.execution_id,
        "status": ended.status,
        "error": ended.error,
        "item": child.item,
    }))
}

fn malformed(what: &str, why: &dyn std::fmt::Display) -> NodeError {
    NodeError::permanent(codes::CHILD_FAILED, format!("cannot read {what}: {why}"))
}

fn yes() -> bool {
    true
}
