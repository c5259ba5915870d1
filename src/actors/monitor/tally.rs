//! Counts events since the start, in the last minute and in the last hour, without a lock and without a clock of its own.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

/// Slots of a ring: seconds of a minute, minutes of an hour.
const SLOTS: usize = 60;
/// Half of a slot's bits say which second or minute it counts, the other half how much.
const HALF_BITS: u32 = 32;
const HALF: u64 = (1 << HALF_BITS) - 1;

/// A counter with a short memory. Costs three atomic additions per event.
#[derive(Debug)]
pub struct Tally {
    total: AtomicU64,
    seconds: Ring,
    minutes: Ring,
}

/// What a tally says. **Shape**: `{ total, last_minute, last_hour }`; the running second and minute count as a part of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    pub total: u64,
    pub last_minute: u64,
    pub last_hour: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self { total: AtomicU64::new(0), seconds: Ring::new(), minutes: Ring::new() }
    }
}

impl Tally {
    /// Counts one event at this time, in Unix milliseconds.
    pub fn count(&self, now_ms: u64) {
        self.count_many(1, now_ms);
    }

    /// Counts several events at once.
    pub fn count_many(&self, events: u32, now_ms: u64) {
        let events = u64::from(events);
        self.total.fetch_add(events, Relaxed);
        self.seconds.count(events, now_ms / 1_000);
        self.minutes.count(events, now_ms / 60_000);
    }

    pub fn read(&self, now_ms: u64) -> Counts {
        Counts {
            total: self.total.load(Relaxed),
            last_minute: self.seconds.sum(now_ms / 1_000),
            last_hour: self.minutes.sum(now_ms / 60_000),
        }
    }
}

impl std::iter::Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |sum, counts| Self {
            total: sum.total + counts.total,
            last_minute: sum.last_minute + counts.last_minute,
            last_hour: sum.last_hour + counts.last_hour,
        })
    }
}

/// Counts of the last [`SLOTS`] units of time. A slot is a number and a count in one word, so that whoever is first in a new
/// unit takes the slot over and adds to it in one step: no event is lost between the two.
#[derive(Debug)]
struct Ring([AtomicU64; SLOTS]);

impl Ring {
    fn new() -> Self {
        Self([const { AtomicU64::new(0) }; SLOTS])
    }

    fn count(&self, events: u64, unit: u64) {
        let stamp = (unit & HALF) << HALF_BITS;
        let add = |slot: u64| Some(stamp | HALF.min(events + if slot & !HALF == stamp { slot & HALF } else { 0 }));
        let slot = &self.0[usize::try_from(unit % 60).expect("below 60")];
        // The function never refuses.
        let _ = slot.fetch_update(Relaxed, Relaxed, add);
    }

    fn sum(&self, unit: u64) -> u64 {
        let is_recent = |slot: &u64| (unit & HALF).wrapping_sub(slot >> HALF_BITS) < 60;
        self.0.iter().map(|slot| slot.load(Relaxed)).filter(is_recent).map(|slot| slot & HALF).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_795_435_200_000;

    #[track_caller]
    fn check(tally: &Tally, now_ms: u64, total: u64, last_minute: u64, last_hour: u64) {
        assert_eq!(tally.read(now_ms), Counts { total, last_minute, last_hour });
    }

    #[test]
    fn forgets_what_is_over() {
        let tally = Tally::default();
        check(&tally, NOON, 0, 0, 0);
        for _ in 0..3 {
            tally.count(NOON);
        }
        tally.count(NOON + 1_000);
        check(&tally, NOON + 1_000, 4, 4, 4);
        check(&tally, NOON + 59_999, 4, 4, 4);
        check(&tally, NOON + 60_000, 4, 1, 4);
        check(&tally, NOON + 61_000, 4, 0, 4);
        check(&tally, NOON + 3_599_999, 4, 0, 4);
        check(&tally, NOON + 3_600_000, 4, 0, 0);
    }

    #[test]
    fn takes_a_slot_over_when_its_time_comes_again() {
        let tally = Tally::default();
        tally.count(NOON);
        tally.count(NOON + 60_000);
        check(&tally, NOON + 60_000, 2, 1, 2);
        tally.count(NOON + 3_600_000);
        check(&tally, NOON + 3_600_000, 3, 1, 2);
    }

    #[test]
    fn loses_nothing_between_threads() {
        let tally = Tally::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000_u64).for_each(|step| tally.count(NOON + step)));
            }
        });
        check(&tally, NOON + 10_000, 40_000, 40_000, 40_000);
    }
}
