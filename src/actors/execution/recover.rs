//! Brings an execution back from its journal, or gives it up when it crashed its actor too often.

use std::sync::Arc;

use ractor::ActorProcessingErr;

use super::{
    Live,
    journal::{Journal, Origin, poisoned},
    run_data,
};
use crate::{
    actors::{
        engine::Engine,
        journal_lane::{Ack, Verdict},
    },
    clock,
    model::{
        error::{NodeError, codes},
        event::{Event, Recorded},
        execution::ExecutionStatus,
        ids::ExecutionId,
        machine::{Effect, Machine},
    },
    store::{Append, ExecutionRow, JournalRow, StateChange},
};

/// Times that an execution may be resumed at one place of its journal before it is given up.
const ACTIVATIONS_MAX: u32 = 3;
/// Journal rows that one read takes.
const JOURNAL_READ_ROWS: u32 = 500;

/// Loads an execution. `None` if it has ended, is not there, is not this process's, or was given up just now.
pub(super) async fn load(
    engine: &Arc<Engine>,
    id: ExecutionId,
    last_cause: Option<String>,
) -> Result<Option<Live>, ActorProcessingErr> {
    let Some(row) = engine.store.get_execution(id).await? else { return Ok(None) };
    if row.state.status.is_terminal() || engine.ownership.epoch(id.shard()).is_none() {
        return Ok(None);
    }
    let events = read_events(engine, id).await?;
    let next_seq = u32::try_from(events.len())?;
    // A waiting execution left memory by itself and is no suspect, however often it is looked at.
    if row.state.status != ExecutionStatus::Waiting || last_cause.is_some() {
        let activations = engine.store.record_activation(id, next_seq).await?;
        if activations > ACTIVATIONS_MAX {
            let cause = last_cause.unwrap_or_else(|| "the process died".to_owned());
            give_up(engine, &row, &events, &cause).await?;
            return Ok(None);
        }
    }
    let plan = engine.workflows.compiled(row.new.workspace, row.new.workflow, row.new.version).await?;
    let first = events.first().ok_or("the journal is empty")?;
    let parent = match &first.event {
        Event::Created { parent, .. } => parent.clone(),
        _ => return Err("the journal does not begin with the creation".into()),
    };
    let data = run_data(engine, &plan, id, &first.event);
    let mut machine = Machine::new(Arc::clone(&plan.graph));
    for recorded in &events {
        machine.apply(&recorded.event, recorded.at);
    }
    let origin = Origin { new: row.new.clone(), parent };
    let journal = Journal::recovered(origin, row.created_at, next_seq, row.state.status);
    let mut live = Live::with(id, Arc::clone(engine), plan, machine, data, journal);
    live.is_recovered = true;
    live.take_up();
    tracing::info!(execution.id = %id, seq = next_seq, "execution resumed");
    Ok(Some(live))
}

/// Every event of a journal, in order.
///
/// Errors: a gap, or a row that cannot be read.
pub async fn read_events(engine: &Engine, id: ExecutionId) -> Result<Vec<Recorded>, ActorProcessingErr> {
    let mut events: Vec<Recorded> = Vec::new();
    loop {
        let next_seq = u32::try_from(events.len())?;
        let rows = engine.store.load_journal(id, next_seq, JOURNAL_READ_ROWS).await?;
        let Some(last) = rows.last() else { return Ok(events) };
        let is_end = rows.len() < usize::try_from(JOURNAL_READ_ROWS)? || last.count == 0;
        for row in &rows {
            if u32::try_from(events.len())? != row.seq {
                return Err(format!("the journal of {id} has a gap before {}", row.seq).into());
            }
            let bytes = engine.codec.decode(&row.body).await?;
            events.extend(serde_json::from_slice::<Vec<Recorded>>(&bytes)?);
        }
        if is_end {
            return Ok(events);
        }
    }
}

impl Live {
    /// Puts what was open back on the worklist. What a crash cut off is repeated or fails, as its policy says.
    fn take_up(&mut self) {
        for effect in self.machine.outstanding() {
            match effect {
                Effect::Run(attempt) if self.machine.is_interrupted(&attempt) => {
                    let message = "a crash cut the attempt off, and `retry.after_crash` is `fail`";
                    let error = NodeError::permanent(codes::INTERRUPTED, message);
                    let started_at = clock::now_ms();
                    self.happened(Event::NodeFailed { attempt, started_at, error, chance: clock::chance() });
                }
                effect => self.worklist.push_back(effect),
            }
        }
    }
}

/// Ends an execution as `failed: poisoned`, without running anything of it.
async fn give_up(engine: &Engine, row: &ExecutionRow, events: &[Recorded], cause: &str) -> Result<(), ActorProcessingErr> {
    tracing::error!(execution.id = %row.id, cause, "execution given up");
    let epoch = engine.ownership.epoch(row.id.shard()).ok_or("this process does not own the execution's shard any more")?;
    let error = poisoned(cause);
    let at = clock::now_ms();
    let finished = Recorded { at, event: Event::Finished { status: ExecutionStatus::Failed, error: Some(error.clone()) } };
    let body = engine.codec.encode(serde_json::to_vec(&[finished])?).await?;
    let keep_ms = u64::try_from(engine.settings.keep_failure.as_millis()).unwrap_or(u64::MAX);
    let append = Append {
        execution: row.id,
        epoch,
        created_at: row.created_at,
        entry: JournalRow { seq: u32::try_from(events.len())?, count: 1, epoch, at, body },
        create: None,
        state: Some(StateChange {
            status: ExecutionStatus::Failed,
            wake_at: None,
            finished_at: Some(at),
            error_code: Some(error.code),
            expires_at: Some(at.saturating_add(keep_ms)),
        }),
        consumed: Vec::new(),
        notify: None,
    };
    let (tell, told) = tokio::sync::oneshot::channel();
    let ack = Ack::new(move |verdict| {
        // The receiver is awaited right below; it goes only with this whole task.
        let _ = tell.send(verdict);
    });
    engine.lane.append(append, ack);
    match told.await? {
        Verdict::Committed => {
            engine.ends.ended(row.id, ExecutionStatus::Failed);
            Ok(())
        }
        verdict => Err(format!("the end of the execution was not journaled: {verdict:?}").into()),
    }
}
