//! Fires the ticks of schedules. Parent: the root supervisor, which starts it again for ever. Children: none; a task per schedule
//! works off what is due. It keeps the next seconds in memory and looks into the store for more; the store's rows are the truth.
//!
//! Every process may have one, and all of them look at the same schedules: whose tick fires is decided by one commit of the store.
//! To spare the losers' work, the owner of the execution's shard goes first, and the others come a moment later.
//! Bounds: [`DUE_ROWS_MAX`] schedules in memory, [`TURNS_AT_ONCE`] turns, [`work::STEPS_PER_TURN`] ticks of one schedule in a row.

pub mod launch;
#[cfg(test)]
mod tests;
mod work;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::{task::JoinSet, time::Instant};

use self::{launch::Launcher, work::Turn};
use super::{monitor::EngineMetrics, observatory};
use crate::{
    clock,
    model::{
        ids::{ExecutionId, ScheduleId},
        schedule::execution_of,
    },
    store::{Result, ScheduleRow, Store},
};

/// Shortest pause between two looks at the store, in milliseconds, and what chance adds to it.
const LOOK_EVERY_MS: u64 = 750;
const LOOK_JITTER_MS: u64 = 500;
/// How far a look sees ahead, in milliseconds: beyond the next one.
const AHEAD_MS: u64 = 2_500;
/// Schedules that one look takes; when they are worked off, the next look follows at once.
const DUE_ROWS_MAX: u32 = 500;
/// Schedules that are worked off at the same time: they must not keep the journal waiting for connections.
const TURNS_AT_ONCE: usize = 4;
/// Longest pause between two ticks of the scheduler, in milliseconds.
const TICK_MS: u64 = 250;
/// How much later a process goes that does not own the execution's shard, in milliseconds.
const BACKUP_MS: u64 = 400;
/// Pause after a failed turn, in milliseconds; it doubles up to the longest.
const PAUSE_MS: u64 = 500;
const PAUSE_MS_MAX: u64 = 30_000;

/// What the scheduler works with. The functions reach the rest of the process; tests have their own.
pub struct SchedulerParts {
    pub store: Arc<dyn Store>,
    pub launcher: Launcher,
    pub metrics: Arc<EngineMetrics>,
    /// Tells the owner of an execution about it, if that is this process.
    pub nudge: Arc<dyn Fn(ExecutionId) + Send + Sync>,
    /// Whether this process owns the execution's shard.
    pub owns: Arc<dyn Fn(ExecutionId) -> bool + Send + Sync>,
    /// Whether the process is on its way out: others fire.
    pub is_draining: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Unix milliseconds.
    pub now_ms: Arc<dyn Fn() -> u64 + Send + Sync>,
}

/// Messages of the scheduler.
pub enum SchedulerMsg {
    /// Timer -> scheduler.
    Tick,
    /// The reading task -> scheduler.
    Read(Result<Vec<ScheduleRow>>),
    /// The working task -> scheduler.
    Worked { id: ScheduleId, turn: Turn },
}

super::metering::metered!(SchedulerMsg);

/// The scheduler's memory.
pub struct SchedulerState {
    parts: Arc<SchedulerParts>,
    rows: HashMap<ScheduleId, ScheduleRow>,
    /// Of the rows, by the Unix milliseconds at which each has its turn.
    turns: BTreeSet<(u64, ScheduleId)>,
    working: HashSet<ScheduleId>,
    /// Schedules whose last turn failed: how often in a row, and until when they have to wait.
    failed: HashMap<ScheduleId, (u32, u64)>,
    /// When the next look is due; `None` while one is under way. Not by the wall's clock, which may be set.
    next_look: Option<Instant>,
    /// Whether the last look took as many as it may.
    has_more: bool,
    /// Aborted when the scheduler ends.
    tasks: JoinSet<()>,
}

/// The actor.
pub struct Scheduler;

impl Actor for Scheduler {
    type Msg = SchedulerMsg;
    type State = SchedulerState;
    type Arguments = Arc<SchedulerParts>;

    async fn pre_start(
        &self,
        myself: ActorRef<SchedulerMsg>,
        parts: Arc<SchedulerParts>,
    ) -> std::result::Result<SchedulerState, ActorProcessingErr> {
        myself.cast(SchedulerMsg::Tick)?;
        Ok(SchedulerState {
            parts,
            rows: HashMap::new(),
            turns: BTreeSet::new(),
            working: HashSet::new(),
            failed: HashMap::new(),
            next_look: Some(Instant::now()),
            has_more: false,
            tasks: JoinSet::new(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<SchedulerMsg>,
        msg: SchedulerMsg,
        state: &mut SchedulerState,
    ) -> std::result::Result<(), ActorProcessingErr> {
        while state.tasks.try_join_next().is_some() {}
        match msg {
            SchedulerMsg::Tick => {
                state.look(&myself);
                state.begin_turns(&myself);
                // The next tick is lost only with the actor.
                drop(myself.send_after(state.pause(), || SchedulerMsg::Tick));
            }
            SchedulerMsg::Read(read) => {
                state.read(&myself, read);
                state.begin_turns(&myself);
            }
            SchedulerMsg::Worked { id, turn } => {
                state.worked(&myself, id, turn);
                state.begin_turns(&myself);
                state.look_for_more(&myself);
            }
        }
        Ok(())
    }
}

impl SchedulerState {
    fn now_ms(&self) -> u64 {
        (self.parts.now_ms)()
    }

    /// Reads what is due soon, if it is time to.
    fn look(&mut self, myself: &ActorRef<SchedulerMsg>) {
        if self.next_look.is_none_or(|at| Instant::now() < at) {
            return;
        }
        self.next_look = None;
        let (store, myself) = (Arc::clone(&self.parts.store), myself.clone());
        let until_ms = self.now_ms().saturating_add(AHEAD_MS);
        self.tasks.spawn(async move {
            let _ = myself.cast(SchedulerMsg::Read(store.due_schedules(until_ms, DUE_ROWS_MAX).await));
        });
    }

    /// Looks before it is time to, if there was more than one look takes and that is worked off.
    fn look_for_more(&mut self, myself: &ActorRef<SchedulerMsg>) {
        let now_ms = self.now_ms();
        let is_idle = self.working.is_empty() && self.turns.first().is_none_or(|(at, _)| *at > now_ms);
        if self.has_more && is_idle && self.next_look.is_some() {
            self.has_more = false;
            self.next_look = Some(Instant::now());
            self.look(myself);
        }
    }

    fn read(&mut self, myself: &ActorRef<SchedulerMsg>, read: Result<Vec<ScheduleRow>>) {
        let pause_ms = LOOK_EVERY_MS + clock::chance() % LOOK_JITTER_MS;
        self.next_look = Some(Instant::now() + Duration::from_millis(pause_ms));
        match read {
            Ok(found) => {
                self.has_more = found.len() >= usize::try_from(DUE_ROWS_MAX).expect("a u32 fits");
                let known = std::mem::take(&mut self.rows);
                self.turns.clear();
                for row in found {
                    if self.working.contains(&row.id) {
                        continue;
                    }
                    // The look may have begun before the last turn of a schedule ended.
                    let later = known.get(&row.id).filter(|known| is_later(known, &row)).cloned();
                    self.plan(later.unwrap_or(row), 0);
                }
                let now_ms = self.now_ms();
                self.failed.retain(|id, (_, until_ms)| self.rows.contains_key(id) || *until_ms > now_ms);
            }
            Err(error) => {
                observatory::count_error(myself.get_id());
                tracing::warn!(error = %error, "due schedules not read");
            }
        }
    }

    /// Gives every schedule its turn whose tick is due, as far as there is room.
    fn begin_turns(&mut self, myself: &ActorRef<SchedulerMsg>) {
        let now_ms = self.now_ms();
        if (self.parts.is_draining)() {
            return;
        }
        while self.working.len() < TURNS_AT_ONCE {
            let Some((_, id)) = self.turns.first().copied().filter(|(at, _)| *at <= now_ms) else { return };
            self.turns.pop_first();
            let Some(row) = self.rows.remove(&id) else { continue };
            self.working.insert(id);
            let (parts, myself) = (Arc::clone(&self.parts), myself.clone());
            self.tasks.spawn(async move {
                let turn = work::work_off(&parts, row).await;
                let _ = myself.cast(SchedulerMsg::Worked { id, turn });
            });
        }
    }

    fn worked(&mut self, myself: &ActorRef<SchedulerMsg>, id: ScheduleId, turn: Turn) {
        self.working.remove(&id);
        match turn {
            Turn::Ended(row) => {
                self.failed.remove(&id);
                // What is left of it comes after what others have been waiting with.
                self.plan(*row, self.now_ms());
            }
            Turn::Lost => drop(self.failed.remove(&id)),
            Turn::Failed { row, cause } => {
                observatory::count_error(myself.get_id());
                let until_ms = self.now_ms();
                let (count, until) = self.failed.entry(id).or_insert((0, 0));
                *until = until_ms.saturating_add((PAUSE_MS << (*count).min(6)).min(PAUSE_MS_MAX));
                *count = count.saturating_add(1);
                tracing::warn!(schedule.id = %id, cause, attempt = *count, "schedule not worked off, trying again");
                self.plan(*row, 0);
            }
        }
    }

    /// Remembers a schedule until its turn, which is at `from_ms` or later.
    fn plan(&mut self, row: ScheduleRow, from_ms: u64) {
        let Some(tick) = row.content.next else { return };
        let first = (self.parts.owns)(execution_of(row.id, tick.scheduled_at));
        let due_at = if first { tick.due_at } else { tick.due_at.saturating_add(BACKUP_MS) };
        let paused_until = self.failed.get(&row.id).map_or(0, |(_, until_ms)| *until_ms);
        self.turns.insert((due_at.max(paused_until).max(from_ms), row.id));
        self.rows.insert(row.id, row);
    }

    fn pause(&self) -> Duration {
        let now_ms = self.now_ms();
        let next = self.turns.first().filter(|_| self.working.len() < TURNS_AT_ONCE);
        Duration::from_millis(next.map_or(TICK_MS, |(at, _)| at.saturating_sub(now_ms).clamp(1, TICK_MS)))
    }
}

/// Whether what is known of a schedule is a later state than what was read.
fn is_later(known: &ScheduleRow, read: &ScheduleRow) -> bool {
    let place = |row: &ScheduleRow| row.content.next.map(|tick| (tick.scheduled_at, tick.due_at));
    known.rev == read.rev && place(known) > place(read)
}
