//! Schedules: those that workflows publish and those that stand alone, and their ticks.

use super::{State, take};
use crate::{
    model::{
        ids::{ExecutionId, ScheduleId, WorkflowId, WorkspaceId},
        schedule::Tick,
    },
    store::{
        FireOutcome, FireSchedule, InsertSchedule, MoveSchedule, NewSchedule, PageRequest, PublishedSchedule, Result,
        ScheduleContent, ScheduleCursor, ScheduleRow, ScheduleState, UpdateSchedule, journal::conflict,
    },
};

impl State {
    pub(super) fn insert_schedule(&mut self, schedule: &NewSchedule, schedules_max: u32) -> Result<InsertSchedule> {
        if self.find_workflow(schedule.workspace, schedule.workflow).is_none() {
            return Ok(InsertSchedule::NoWorkflow);
        }
        let alone = self.schedules.values().filter(|row| row.workspace == schedule.workspace && row.version.is_none()).count();
        if alone >= take(schedules_max) {
            return Ok(InsertSchedule::Full);
        }
        if self.schedules.contains_key(&schedule.id) {
            return Err(conflict("schedules_key"));
        }
        let row = ScheduleRow {
            content: schedule.content.clone(),
            paused_at: schedule.paused_at,
            ..new_row(schedule.id, schedule.workspace, schedule.workflow, schedule.created_at)
        };
        self.schedules.insert(row.id, row.clone());
        Ok(InsertSchedule::Inserted(Box::new(row)))
    }

    pub(super) fn update_schedule(
        &mut self,
        workspace: WorkspaceId,
        id: ScheduleId,
        expected_rev: u32,
        content: &ScheduleContent,
        now_ms: u64,
    ) -> UpdateSchedule {
        let Some(row) = self.schedule_mut(workspace, id) else {
            return UpdateSchedule::NotFound;
        };
        if row.version.is_some() {
            return UpdateSchedule::Published;
        }
        if row.rev != expected_rev {
            return UpdateSchedule::Stale { rev: row.rev };
        }
        row.content = content.clone();
        row.rev += 1;
        row.last_error = None;
        row.updated_at = now_ms;
        UpdateSchedule::Updated(Box::new(row.clone()))
    }

    pub(super) fn pause_schedule(&mut self, workspace: WorkspaceId, id: ScheduleId, now_ms: u64) -> Option<ScheduleRow> {
        let row = self.schedule_mut(workspace, id)?;
        if row.paused_at.is_none() {
            row.paused_at = Some(now_ms);
            row.rev += 1;
            row.updated_at = now_ms;
        }
        Some(row.clone())
    }

    pub(super) fn resume_schedule(
        &mut self,
        workspace: WorkspaceId,
        id: ScheduleId,
        expected_rev: u32,
        next: Option<Tick>,
        now_ms: u64,
    ) -> UpdateSchedule {
        let Some(row) = self.schedule_mut(workspace, id) else {
            return UpdateSchedule::NotFound;
        };
        if row.rev != expected_rev {
            return UpdateSchedule::Stale { rev: row.rev };
        }
        row.paused_at = None;
        row.content.next = next;
        row.rev += 1;
        row.updated_at = now_ms;
        UpdateSchedule::Updated(Box::new(row.clone()))
    }

    pub(super) fn delete_schedule(&mut self, workspace: WorkspaceId, id: ScheduleId) -> bool {
        let is_there = self.find_schedule(workspace, id).is_some_and(|row| row.version.is_none());
        if is_there {
            self.schedules.remove(&id);
        }
        is_there
    }

    pub(super) fn find_schedule(&self, workspace: WorkspaceId, id: ScheduleId) -> Option<ScheduleRow> {
        self.schedules.get(&id).filter(|row| row.workspace == workspace).cloned()
    }

    pub(super) fn list_schedules(
        &self,
        workspace: WorkspaceId,
        workflow: Option<WorkflowId>,
        page: &PageRequest<ScheduleCursor>,
    ) -> Vec<ScheduleRow> {
        let mut rows: Vec<&ScheduleRow> = self
            .schedules
            .values()
            .filter(|row| row.workspace == workspace && workflow.is_none_or(|workflow| row.workflow == workflow))
            .filter(|row| page.after.is_none_or(|after| (row.created_at, row.id) < (after.created_at, after.id)))
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.created_at, row.id)));
        rows.into_iter().take(take(page.limit)).cloned().collect()
    }

    pub(super) fn due_schedules(&self, until_ms: u64, limit: u32) -> Vec<ScheduleRow> {
        let running = self.schedules.values().filter(|row| row.paused_at.is_none());
        let mut due: Vec<(u64, &ScheduleRow)> =
            running.filter_map(|row| Some((row.content.next?.due_at, row))).filter(|(due_at, _)| *due_at <= until_ms).collect();
        due.sort_by_key(|(due_at, row)| (*due_at, row.id));
        due.into_iter().take(take(limit)).map(|(_, row)| row.clone()).collect()
    }

    pub(super) fn move_schedule(&mut self, step: &MoveSchedule) -> bool {
        let Some(row) = self.in_state(&step.from) else {
            return false;
        };
        row.content.next = step.next;
        row.passed += u64::from(step.passed);
        if step.error.is_some() {
            row.last_error.clone_from(&step.error);
        }
        true
    }

    pub(super) fn fire_schedule(&mut self, fire: &FireSchedule) -> Result<FireOutcome> {
        if self.in_state(&fire.from).is_none() {
            return Ok(FireOutcome::Moved);
        }
        let is_new = self.create_queued(&fire.append, Some(fire.from.id))?;
        let row = self.in_state(&fire.from).expect("found above, under the same lock");
        row.content.next = fire.next;
        row.last_scheduled_at = Some(fire.from.scheduled_at);
        row.last_fired_at = Some(fire.append.created_at);
        row.fired += 1;
        row.last_error = None;
        Ok(if is_new { FireOutcome::Fired } else { FireOutcome::Repeated })
    }

    pub(super) fn list_live_of_schedule(&self, id: ScheduleId, limit: u32) -> Vec<ExecutionId> {
        let own = self.executions.values().filter(|stored| stored.schedule == Some(id));
        let live = own.filter(|stored| !stored.row.state.status.is_terminal());
        live.take(take(limit)).map(|stored| stored.row.id).collect()
    }

    /// Puts the schedules of a version in the place of those that the workflow has published before.
    pub(super) fn publish_schedules(
        &mut self,
        workspace: WorkspaceId,
        workflow: WorkflowId,
        version: u32,
        published: &[PublishedSchedule],
        now_ms: u64,
    ) {
        self.schedules.retain(|id, row| {
            row.workflow != workflow || row.version.is_none() || published.iter().any(|schedule| schedule.id == *id)
        });
        for schedule in published {
            let stored = self.schedules.remove(&schedule.id);
            let mut row = stored.unwrap_or_else(|| ScheduleRow { rev: 0, ..new_row(schedule.id, workspace, workflow, now_ms) });
            let next = if row.content.spec == schedule.spec && row.rev > 0 { row.content.next } else { schedule.next };
            row.content = ScheduleContent { node: Some(schedule.node.clone()), spec: schedule.spec.clone(), input: None, next };
            row.version = Some(version);
            row.rev += 1;
            row.updated_at = now_ms;
            self.schedules.insert(row.id, row);
        }
    }

    fn schedule_mut(&mut self, workspace: WorkspaceId, id: ScheduleId) -> Option<&mut ScheduleRow> {
        self.schedules.get_mut(&id).filter(|row| row.workspace == workspace)
    }

    /// The schedule, if it is in this state and not paused.
    fn in_state(&mut self, state: &ScheduleState) -> Option<&mut ScheduleRow> {
        let row = self.schedules.get_mut(&state.id)?;
        let next_at = row.content.next.map(|next| next.scheduled_at);
        (row.rev == state.rev && row.paused_at.is_none() && next_at == Some(state.scheduled_at)).then_some(row)
    }
}

fn new_row(id: ScheduleId, workspace: WorkspaceId, workflow: WorkflowId, created_at: u64) -> ScheduleRow {
    ScheduleRow {
        id,
        workspace,
        workflow,
        version: None,
        content: ScheduleContent { node: None, spec: bytes::Bytes::new(), input: None, next: None },
        rev: 1,
        paused_at: None,
        last_scheduled_at: None,
        last_fired_at: None,
        fired: 0,
        passed: 0,
        last_error: None,
        created_at,
        updated_at: created_at,
    }
}
