//! Brings an execution back from its journal, or gives it up when it crashed its actor too often.

use std::{sync::Arc, time::Duration};

use ractor::ActorProcessingErr;

use super::{
    Activation, Live, Recover,
    error_workflow::{Failure, Settled},
    family::{self, End},
    journal::{Journal, Origin, poisoned},
    past::Past,
    run_data, trace_of,
};
use crate::{
    actors::{
        engine::Engine,
        journal_lane::{Ack, Verdict},
    },
    clock,
    model::{
        after_crash,
        definition::AfterCrash,
        event::{Event, Recorded},
        execution::ExecutionStatus,
        machine::{Effect, Machine},
    },
    nodes::plan::CompiledWorkflow,
    store::{Append, ExecutionRow, JournalRow, StateChange},
};

/// Times that an execution may be resumed at one place of its journal before it is given up.
const ACTIVATIONS_MAX: u32 = 3;
/// How long an execution that leaves memory waits for its count to be cleared.
const CLEAR_WITHIN: Duration = Duration::from_secs(2);

/// Loads an execution. `None` if it has ended, is not there, is not this process's, or was given up just now.
pub(super) async fn load(recover: Recover) -> Result<Option<Live>, ActorProcessingErr> {
    let Recover { id, engine, permit, last_cause, hold } = recover;
    let engine = &engine;
    let Some(row) = engine.store.get_execution(id).await? else { return Ok(None) };
    if row.state.status.is_terminal() || engine.ownership.epoch(id.shard()).is_none() {
        return Ok(None);
    }
    let mut past = Past::read(engine, id).await?;
    let next_seq = past.next_seq;
    // Whatever it waits for or does: what happens next may kill the process. One that leaves memory in order is cleared again.
    let activations = engine.store.record_activation(id, next_seq).await?;
    if activations > ACTIVATIONS_MAX {
        let cause = last_cause.unwrap_or_else(|| "the process died".to_owned());
        // A replay that kills the process must not keep the execution from being given up: it is tried once.
        let replayed = if activations == ACTIVATIONS_MAX + 1 { replay(engine, &row, &mut past).await.ok() } else { None };
        give_up(engine, &row, replayed, &past, &cause).await?;
        return Ok(None);
    }
    let (plan, machine) = replay(engine, &row, &mut past).await?;
    let data = run_data(engine, &plan, id, past.created.as_ref().ok_or("the journal is empty")?);
    let origin = Origin { new: row.new.clone(), parent: past.parent().cloned() };
    let mut journal = Journal::recovered(origin, row.created_at, next_seq, row.state.status);
    journal.pace = past.pace();
    let mut live = Live::with(id, Arc::clone(engine), plan, machine, data, journal);
    (live.is_recovered, live.permit, live.hold) = (true, Some(permit.belongs_to(row.new.workspace)), hold);
    live.activation = Some(Activation { seq: next_seq, count: activations });
    live.trace = past.created.as_ref().and_then(trace_of);
    live.take_up();
    tracing::info!(execution.id = %id, seq = next_seq, replayed_from = past.replayed_from(), "execution resumed");
    Ok(Some(live))
}

/// The machine of an execution, with its plan.
///
/// Errors: the version cannot be read, or the journal does not begin with the creation.
async fn replay(
    engine: &Engine,
    row: &ExecutionRow,
    past: &mut Past,
) -> Result<(Arc<CompiledWorkflow>, Machine), ActorProcessingErr> {
    if !matches!(past.created, Some(Event::Created { .. })) {
        return Err("the journal does not begin with the creation".into());
    }
    let plan = engine.workflows.compiled(row.new.workspace, row.new.workflow, row.new.version).await?;
    let machine = past.replay(engine, row.id, &plan.graph).await?;
    Ok((plan, machine))
}

impl Live {
    /// Clears the count of activations when the execution leaves memory in order, so that harmless looks at it never add up.
    /// Where it got on meanwhile, the count is at another place already.
    pub(super) async fn left_in_order(&self) {
        let Some(Activation { seq, count }) = self.activation.filter(|found| self.journal.next_seq() == found.seq) else {
            return;
        };
        let clear = self.engine.store.clear_activations(self.id, seq, count);
        match tokio::time::timeout(CLEAR_WITHIN, clear).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(execution.id = %self.id, error = %error, "activation not cleared"),
            Err(_) => tracing::debug!(execution.id = %self.id, "activation not cleared in time"),
        }
    }

    /// Puts what was open back on the worklist. What a crash cut off is repeated, fails, or is asked about, as its policy says.
    fn take_up(&mut self) {
        for effect in self.machine.outstanding() {
            let policy = match &effect {
                Effect::Run(attempt) => self.machine.after_crash(attempt).map(|policy| (policy, attempt.clone())),
                Effect::Resume { .. } | Effect::Abort(_) | Effect::Finish { .. } => None,
            };
            match policy {
                Some((AfterCrash::Fail, attempt)) => {
                    let error = after_crash::interrupted("`retry.after_crash` is `fail`");
                    let event = self.event_of(attempt, clock::now_ms(), Duration::ZERO, Err(error));
                    self.happened(event);
                }
                Some((AfterCrash::Ask, attempt)) => self.happened(Event::AttemptInterrupted { attempt }),
                Some((AfterCrash::Retry, _)) | None => self.worklist.push_back(effect),
            }
        }
    }
}

/// Ends an execution as `failed: poisoned`, without running anything of it. Its error workflow is started, and its family told,
/// as far as the replay went well.
async fn give_up(
    engine: &Arc<Engine>,
    row: &ExecutionRow,
    replayed: Option<(Arc<CompiledWorkflow>, Machine)>,
    past: &Past,
    cause: &str,
) -> Result<(), ActorProcessingErr> {
    tracing::error!(execution.id = %row.id, cause, "execution given up");
    let epoch = engine.ownership.epoch(row.id.shard()).ok_or("this process does not own the execution's shard any more")?;
    let (at, status, error) = (clock::now_ms(), ExecutionStatus::Failed, poisoned(cause));
    let finished = Recorded { at, event: Event::Finished { status, error: Some(error.clone()) } };
    let parent = past.parent();
    let (mut items, mut abandoned) = (Vec::new(), Vec::new());
    if let Some((plan, mut machine)) = replayed {
        let failure = Failure {
            execution: row.id,
            workspace: row.new.workspace,
            plan,
            trigger: row.new.trigger,
            created_at: row.created_at,
            error: Some(error.clone()),
        };
        if failure.settle(engine).await == Settled::LeftOpen {
            return Err("the process is shutting down".into());
        }
        machine.apply(&finished.event, at);
        (items, abandoned) = (machine.result(), machine.abandoned_children().to_vec());
    }
    let end = End { execution: row.id, status, error: Some(&error), items, parent, abandoned: &abandoned };
    let keep_ms = u64::try_from(engine.settings.keep_failure.as_millis()).unwrap_or(u64::MAX);
    let body = engine.codec.encode(serde_json::to_vec(&[finished])?).await?;
    let append = Append {
        execution: row.id,
        epoch,
        created_at: row.created_at,
        entry: JournalRow { seq: past.next_seq, count: 1, epoch, at, body },
        create: None,
        state: Some(StateChange {
            status,
            wake_at: None,
            finished_at: Some(at),
            error_code: Some(error.code.clone()),
            expires_at: Some(at.saturating_add(keep_ms)),
        }),
        consumed: Vec::new(),
        notify: end.messages(&engine.codec).await?,
        snapshot: None,
    };
    let (tell, told) = tokio::sync::oneshot::channel();
    let ack = Ack::new(move |verdict| {
        // The receiver is awaited right below; it goes only with this whole task.
        let _ = tell.send(verdict);
    });
    engine.lane.append(append, ack);
    match told.await? {
        Verdict::Committed => {
            engine.metrics.execution_finished(status, row.created_at, at);
            engine.ends.ended(row.id, status);
            engine.followers.committed(row.id, past.next_seq.saturating_add(1));
            family::nudge_all(engine, row.id, parent, &abandoned);
            Ok(())
        }
        verdict => Err(format!("the end of the execution was not journaled: {verdict:?}").into()),
    }
}
