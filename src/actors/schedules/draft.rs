//! A schedule as somebody writes it, and how it becomes one that can be stored: checked by the rules of the node type.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{CreatedSchedule, ScheduleError, SchedulesHandle};
use crate::{
    actors::scheduler::launch::start_node,
    model::{
        definition::NodeDefinition,
        ids::{ScheduleId, WorkflowId, WorkspaceId},
        limits::{SCHEDULE_INPUT_BYTES_MAX, json_bytes},
        problem::Problem,
    },
    nodes::{
        plan::CompiledWorkflow,
        schedule::{SCHEDULE, ScheduleSpec, TIMEZONE_DEFAULT},
    },
    store::{ScheduleContent, ScheduleRow},
};

/// Where the problems of a node's parameters point to.
const PARAMS: &str = "/params";

/// A schedule as it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleDraft {
    pub workflow: WorkflowId,
    /// As the parameters of a `schedule` node: unchecked.
    pub timing: Map<String, Value>,
    /// The trigger to start at; the workflow's first one where none is given.
    pub start_node: Option<String>,
    /// What its executions get; null for nothing.
    pub input: Value,
    /// Whether it is created paused.
    pub paused: bool,
}

impl SchedulesHandle {
    /// Checks a draft and works out what is stored of it. It begins after `now_ms`.
    ///
    /// Errors: `Workflow`, `Start`, `Invalid`.
    pub(super) async fn content_of(
        &self,
        workspace: WorkspaceId,
        id: ScheduleId,
        draft: &ScheduleDraft,
        now_ms: u64,
    ) -> Result<ScheduleContent, ScheduleError> {
        let workflow = self.parts.workflows.to_start(workspace, draft.workflow).await?;
        start_node(&workflow, draft.start_node.as_deref()).map_err(ScheduleError::Start)?;
        let spec = self.spec_of(&workflow, &draft.timing)?;
        let cadence = spec.cadence().map_err(|problem| ScheduleError::Invalid(vec![in_request(problem)]))?;
        let next = spec.rules(id, &cadence).first_after(now_ms);
        let mut problems = Vec::new();
        if next.is_none() {
            problems.push(Problem::new("/at", "in_the_past", "must be a time to come"));
        }
        if json_bytes(&draft.input).is_none_or(|bytes| bytes > SCHEDULE_INPUT_BYTES_MAX) {
            let detail = format!("may have {SCHEDULE_INPUT_BYTES_MAX} bytes of JSON");
            problems.push(Problem::new("/input", "too_large", detail));
        }
        if !problems.is_empty() {
            return Err(ScheduleError::Invalid(problems));
        }
        let node = draft.start_node.clone();
        Ok(ScheduleContent { node, spec: Bytes::from(spec.to_json()), input: input_of(draft), next })
    }

    /// Answers a repeated creation: with the schedule of the first one, if it was the same request. One that has been changed since
    /// tells nothing about the first request.
    pub(super) async fn replay(&self, first: ScheduleRow, draft: &ScheduleDraft) -> Result<CreatedSchedule, ScheduleError> {
        let workflow = self.parts.workflows.to_start(first.workspace, first.workflow).await?;
        let spec = self.spec_of(&workflow, &draft.timing).map(|spec| Bytes::from(spec.to_json()));
        let is_same = first.workflow == draft.workflow
            && first.content.node == draft.start_node
            && first.content.input == input_of(draft)
            && spec.is_ok_and(|spec| spec == first.content.spec);
        if first.rev == 1 && !is_same {
            return Err(ScheduleError::KeyMismatch);
        }
        Ok(CreatedSchedule { row: first, replayed: true })
    }

    fn spec_of(&self, workflow: &CompiledWorkflow, timing: &Map<String, Value>) -> Result<ScheduleSpec, ScheduleError> {
        let node = json!({ "id": SCHEDULE, "type": SCHEDULE, "params": timing });
        let node: NodeDefinition = serde_json::from_value(node).expect("a node of these three fields can be read");
        let invalid = |problems: Vec<Problem>| ScheduleError::Invalid(problems.into_iter().map(in_request).collect());
        self.parts.registry.prepare(&node).map_err(invalid)?;
        let timezone = workflow.definition.settings.timezone.as_deref().unwrap_or(TIMEZONE_DEFAULT);
        ScheduleSpec::read(&node, timezone).map_err(invalid)
    }
}

/// The input as it is stored.
fn input_of(draft: &ScheduleDraft) -> Option<Bytes> {
    let text = || serde_json::to_vec(&draft.input).expect("a JSON value can be written");
    (!draft.input.is_null()).then(|| Bytes::from(text()))
}

/// The parameters are the fields of the request.
fn in_request(mut problem: Problem) -> Problem {
    if let Some(rest) = problem.pointer.strip_prefix(PARAMS) {
        problem.pointer = rest.to_owned();
    }
    problem
}
