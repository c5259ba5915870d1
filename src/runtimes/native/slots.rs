//! Bounds how many native processes run at once: each is a program with its own memory.

use std::{
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

/// Places for processes.
pub(super) struct Slots {
    free: Mutex<usize>,
    changed: Condvar,
}

/// One place, until it is dropped.
pub(super) struct Slot<'a>(&'a Slots);

impl Slots {
    pub(super) fn new(slots_max: usize) -> Self {
        Self { free: Mutex::new(slots_max), changed: Condvar::new() }
    }

    /// Waits for a place; `None` if there is none within that time.
    pub(super) fn take(&self, within: Duration) -> Option<Slot<'_>> {
        // A count is right even if a thread panicked elsewhere while it held the lock.
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut free, _) =
            self.changed.wait_timeout_while(free, within, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free = free.checked_sub(1)?;
        Some(Slot(self))
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_obeyed_and_violated() {
        let slots = Slots::new(2);
        let soon = Duration::from_millis(20);
        let (first, second) = (slots.take(soon), slots.take(soon));
        assert!(first.is_some() && second.is_some() && slots.take(soon).is_none());
        drop(first);
        assert!(slots.take(soon).is_some());
    }

    #[test]
    fn who_waits_goes_on_when_a_place_is_free() {
        let slots = Slots::new(1);
        let slot = slots.take(Duration::ZERO).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| slots.take(Duration::from_secs(20)).is_some());
            drop(slot);
            assert!(waiting.join().unwrap());
        });
    }
}
