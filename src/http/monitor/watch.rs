//! Lets a bounded number of people watch the actors. Nothing is sampled while nobody watches, and the watchers of one second
//! share one sample, so that they cost the same as one of them.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::actors::observatory::{self, Snapshot};

/// Streams of actors at a time.
pub(in crate::http) const WATCHERS_MAX: usize = 16;
/// A sample that is younger than this is good for the next watcher, too.
const SAMPLE_AGE_MAX: Duration = Duration::from_millis(900);

/// The watchers and their common sample.
#[derive(Clone)]
pub(in crate::http) struct ActorWatch {
    places: Arc<Semaphore>,
    last: Arc<Mutex<Option<Sample>>>,
}

struct Sample {
    at: Instant,
    snapshot: Arc<Snapshot>,
}

/// A place among the watchers, for as long as it is kept.
pub(in crate::http) struct Watcher {
    watch: ActorWatch,
    _place: OwnedSemaphorePermit,
}

impl Default for ActorWatch {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(WATCHERS_MAX)), last: Arc::default() }
    }
}

impl ActorWatch {
    /// Takes a place, if one is free.
    pub(in crate::http) fn join(&self) -> Option<Watcher> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Watcher { watch: self.clone(), _place: place })
    }
}

impl Watcher {
    /// The actors as they were less than a second ago.
    pub(in crate::http) fn sample(&self) -> Arc<Snapshot> {
        let mut last = self.watch.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match &*last {
            Some(sample) if sample.at.elapsed() < SAMPLE_AGE_MAX => Arc::clone(&sample.snapshot),
            Some(_) | None => {
                let snapshot = Arc::new(observatory::snapshot());
                *last = Some(Sample { at: Instant::now(), snapshot: Arc::clone(&snapshot) });
                snapshot
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watchers_limit_obeyed_and_violated() {
        let watch = ActorWatch::default();
        let mut watchers: Vec<Watcher> = (0..WATCHERS_MAX).map(|_| watch.join().unwrap()).collect();
        assert!(watch.join().is_none());
        watchers.pop();
        assert!(watch.join().is_some());
    }

    #[test]
    fn watchers_of_a_second_share_a_sample() {
        let watch = ActorWatch::default();
        let (first, second) = (watch.join().unwrap(), watch.join().unwrap());
        assert!(watch.last.lock().unwrap().is_none(), "nobody has looked yet");
        assert!(Arc::ptr_eq(&first.sample(), &second.sample()));
    }
}
