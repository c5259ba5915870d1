//! Decides what becomes of a schedule's next tick: it fires, is passed over, is held, or is not due. Called by the scheduler and
//! by whoever shows what is to come. When the ticks are is another's knowledge, see [`Ticks`]; time comes in as an argument.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    ids::{ExecutionId, ScheduleId},
    limits::{QUEUED_TICKS_MAX, SCHEDULE_GRACE_MS},
};

/// Pause before a held tick is looked at again, in milliseconds.
const HOLD_MS: u64 = 1_000;
/// Passed ticks that are counted one by one; where there are more, the count stops here.
const PASSED_COUNTED_MAX: u32 = 10_000;
/// First step of the search for the newest past tick, in milliseconds; it doubles.
const SEARCH_STEP_MS: u64 = 1_000;

/// What to do about ticks that were missed: those that nobody could fire within [`SCHEDULE_GRACE_MS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatchUp {
    /// Nothing.
    None,
    /// The newest one fires, unless a tick in time follows it.
    Last,
    /// The newest `max` fire, one after the other.
    All { max: u32 },
}

/// What a tick does while an earlier execution of its schedule has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It fires.
    #[default]
    Allow,
    /// It is passed over.
    Skip,
    /// It waits for the end, in line with at most [`QUEUED_TICKS_MAX`].
    Queue,
    /// It fires, and the earlier executions are cancelled.
    CancelOld,
}

impl Overlap {
    pub const ALL: [Self; 4] = [Self::Allow, Self::Skip, Self::Queue, Self::CancelOld];
}

/// Knows when the ticks of a schedule are.
pub trait Ticks: Send + Sync {
    /// The first tick after a time, in Unix milliseconds; `None` if there is none any more.
    fn next_after(&self, at_ms: u64) -> Option<u64>;
}

/// The next tick of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    /// Unix milliseconds by the schedule: the tick's name.
    pub scheduled_at: u64,
    /// Unix milliseconds from which on it is to be fired.
    pub due_at: u64,
    /// Whether it came due while an earlier execution had not ended, and waits for that (`overlap: queue`).
    pub waits: bool,
}

/// What becomes of a tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing yet: it is not due.
    Sleep,
    /// It fires, and `next` follows.
    Fire { next: Option<Tick> },
    /// It does not fire; `passed` ticks, this one among them, are left out.
    Pass { next: Option<Tick>, passed: u32 },
    /// It waits: this takes its place.
    Hold { tick: Tick },
}

/// Everything that the decisions about one schedule depend on, besides its state.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    pub schedule: ScheduleId,
    pub ticks: &'a dyn Ticks,
    pub catch_up: CatchUp,
    pub overlap: Overlap,
    /// Ticks are delayed by less than this, in milliseconds: by chance, but each always by the same time.
    pub jitter_ms: u64,
}

/// The id of the execution that a tick starts: the same in every process, so that a tick fires once.
pub fn execution_of(schedule: ScheduleId, scheduled_at: u64) -> ExecutionId {
    ExecutionId::from_uuid(Uuid::new_v5(&schedule.uuid(), scheduled_at.to_string().as_bytes()))
}

impl Rules<'_> {
    /// The first tick after a time.
    pub fn first_after(&self, at_ms: u64) -> Option<Tick> {
        self.ticks.next_after(at_ms).map(|scheduled_at| self.tick(scheduled_at))
    }

    /// Whether it matters for a tick that is due if an earlier execution has not ended.
    pub fn looks_at_executions(&self) -> bool {
        self.overlap != Overlap::Allow
    }

    /// What becomes of the next tick. `is_busy` says whether an earlier execution has not ended.
    pub fn decide(&self, tick: Tick, now_ms: u64, is_busy: bool) -> Step {
        if tick.due_at > now_ms {
            return Step::Sleep;
        }
        if let Some(target) = self.passes_to(tick, now_ms) {
            let next = target.map(|scheduled_at| Tick { waits: tick.waits, ..self.tick(scheduled_at) });
            return Step::Pass { next, passed: self.count(tick.scheduled_at, target.unwrap_or(now_ms.saturating_add(1))) };
        }
        match self.overlap {
            Overlap::Skip if is_busy => Step::Pass { next: self.first_after(tick.scheduled_at), passed: 1 },
            Overlap::Queue if is_busy => {
                Step::Hold { tick: Tick { due_at: now_ms.saturating_add(HOLD_MS), waits: true, ..tick } }
            }
            Overlap::Allow | Overlap::Skip | Overlap::Queue | Overlap::CancelOld => {
                let next = self.first_after(tick.scheduled_at);
                // What came due while this one waited has waited, too.
                Step::Fire { next: next.map(|next| Tick { waits: tick.waits && next.scheduled_at <= now_ms, ..next }) }
            }
        }
    }

    /// The tick with its delay. It is never delayed beyond the tick after it, so that they stay in order.
    fn tick(&self, scheduled_at: u64) -> Tick {
        let delay_ms = match self.jitter_ms {
            0 => 0,
            jitter_ms => {
                let room_ms = self.ticks.next_after(scheduled_at).map_or(u64::MAX, |next| next.saturating_sub(scheduled_at));
                mix(self.schedule, scheduled_at) % jitter_ms.min(room_ms).max(1)
            }
        };
        Tick { scheduled_at, due_at: scheduled_at.saturating_add(delay_ms), waits: false }
    }

    /// The tick that takes the place of one that is due, if it is to be passed over; inside, `None` if none follows.
    fn passes_to(&self, tick: Tick, now_ms: u64) -> Option<Option<u64>> {
        if tick.waits {
            return self.newest(QUEUED_TICKS_MAX, tick.scheduled_at, now_ms.saturating_add(1)).map(Some);
        }
        // A tick from here on is in time.
        let in_time_from = now_ms.saturating_sub(SCHEDULE_GRACE_MS).saturating_sub(self.jitter_ms);
        if tick.scheduled_at >= in_time_from {
            return None;
        }
        let in_time = self.ticks.next_after(in_time_from - 1);
        match self.catch_up {
            CatchUp::None => Some(in_time),
            CatchUp::Last if in_time.is_some_and(|at| at <= now_ms) => Some(in_time),
            CatchUp::Last => self.newest(1, tick.scheduled_at, in_time_from).map(Some),
            CatchUp::All { max } => self.newest(max, tick.scheduled_at, in_time_from).map(Some),
        }
    }

    /// The first of the newest `count` ticks before a time; `None` if there are no more than that from the tick `first` on.
    fn newest(&self, count: u32, first: u64, before_ms: u64) -> Option<u64> {
        let mut at = first;
        for _ in 0..count {
            at = self.ticks.next_after(at).filter(|next| *next < before_ms)?;
        }
        let mut newest = before_ms;
        for _ in 0..count {
            newest = self.previous(newest, first);
        }
        Some(newest)
    }

    /// The newest tick before a time, where `floor` is an earlier tick. A search, since ticks are known forwards only.
    fn previous(&self, before_ms: u64, floor: u64) -> u64 {
        let has_tick_from = |at: u64| self.ticks.next_after(at.saturating_sub(1)).is_some_and(|next| next < before_ms);
        let mut step_ms = SEARCH_STEP_MS;
        let mut low = before_ms.saturating_sub(step_ms).max(floor);
        while low > floor && !has_tick_from(low) {
            step_ms = step_ms.saturating_mul(2);
            low = before_ms.saturating_sub(step_ms).max(floor);
        }
        let mut high = before_ms;
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if has_tick_from(middle) {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Ticks from the tick `first` on and before a time, at most [`PASSED_COUNTED_MAX`].
    fn count(&self, first: u64, before_ms: u64) -> u32 {
        let mut count = 0;
        let mut next = Some(first);
        while let Some(at) = next.filter(|at| *at < before_ms && count < PASSED_COUNTED_MAX) {
            count += 1;
            next = self.ticks.next_after(at);
        }
        count
    }
}

/// A number that looks random and depends on its arguments only (SplitMix64).
fn mix(schedule: ScheduleId, scheduled_at: u64) -> u64 {
    let (high, low) = schedule.uuid().as_u64_pair();
    [high, low, scheduled_at].into_iter().fold(0, |state: u64, word| {
        let mut mixed = (state ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

#[cfg(test)]
mod tests;
