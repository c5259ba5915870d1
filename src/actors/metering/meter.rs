//! The numbers of one actor and of one kind of actors. Senders and the actor's task write them, the observatory reads them.
//! All are counts for people and dashboards: no decision may rest on them but the refusal of `try_cast`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::{
    Served,
    histogram::{Distribution, Histogram},
};

/// How long messages waited in a mailbox, and how long handlers took.
#[derive(Debug, Default)]
pub(in crate::actors) struct Timings {
    wait: Histogram,
    handle: Histogram,
}

impl Timings {
    pub(in crate::actors) fn wait_us(&self, percent: u64) -> Option<u64> {
        self.wait.quantile_us(percent)
    }

    pub(in crate::actors) fn handle_us(&self, percent: u64) -> Option<u64> {
        self.handle.quantile_us(percent)
    }

    pub(in crate::actors) fn handled(&self) -> u64 {
        self.handle.count()
    }

    pub(in crate::actors) fn waits(&self) -> Distribution {
        self.wait.distribution()
    }

    pub(in crate::actors) fn handles(&self) -> Distribution {
        self.handle.distribution()
    }
}

/// Why a supervisor started an actor again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::actors) enum RestartReason {
    /// A handler failed or panicked.
    Failed,
    /// It had ended by itself.
    Ended,
    /// An earlier start had not succeeded.
    NotStarted,
}

impl RestartReason {
    pub(in crate::actors) const ALL: [Self; 3] = [Self::Failed, Self::Ended, Self::NotStarted];

    pub(in crate::actors) const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Ended => "ended",
            Self::NotStarted => "not_started",
        }
    }
}

/// The totals of all actors of one kind since the process started.
#[derive(Debug)]
pub(in crate::actors) struct KindMeter {
    pub(in crate::actors) name: &'static str,
    pub(in crate::actors) started: AtomicU64,
    pub(in crate::actors) live: AtomicUsize,
    pub(in crate::actors) errors: AtomicU64,
    /// Messages that were put into mailboxes.
    pub(in crate::actors) received: AtomicU64,
    /// By reason, in the order of [`RestartReason::ALL`].
    restarts: [AtomicU64; 3],
    pub(in crate::actors) timings: Timings,
}

impl KindMeter {
    pub(in crate::actors) fn new(name: &'static str) -> Self {
        Self {
            name,
            started: AtomicU64::new(0),
            live: AtomicUsize::new(0),
            errors: AtomicU64::new(0),
            received: AtomicU64::new(0),
            restarts: [const { AtomicU64::new(0) }; 3],
            timings: Timings::default(),
        }
    }

    pub(in crate::actors) fn count_restart(&self, reason: RestartReason) {
        let index = RestartReason::ALL.iter().position(|known| *known == reason).expect("all reasons are listed");
        self.restarts[index].fetch_add(1, Relaxed);
    }

    /// How often one was started again, by reason.
    pub(in crate::actors) fn restarts(&self) -> impl Iterator<Item = (RestartReason, u64)> {
        RestartReason::ALL.into_iter().zip(&self.restarts).map(|(reason, count)| (reason, count.load(Relaxed)))
    }
}

/// The numbers of one actor.
#[derive(Debug)]
pub(in crate::actors) struct Meter {
    pub(in crate::actors) kind: Arc<KindMeter>,
    pub(in crate::actors) serves: Option<Served>,
    /// Absent for short-lived actors: their kind has enough samples, and they are too many for a kilobyte each.
    pub(in crate::actors) own: Option<Box<Timings>>,
    started: Instant,
    depth: AtomicUsize,
    handled: AtomicU64,
    errors: AtomicU64,
    /// When the running handler began, in microseconds after `started`, plus one; zero while the actor is idle.
    busy_since: AtomicU64,
}

impl Meter {
    pub(super) fn new(kind: Arc<KindMeter>, serves: Option<Served>, own: Option<Box<Timings>>) -> Self {
        Self {
            kind,
            serves,
            own,
            started: Instant::now(),
            depth: AtomicUsize::new(0),
            handled: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            busy_since: AtomicU64::new(0),
        }
    }

    /// Messages that were sent and not yet taken out of the mailbox.
    pub(in crate::actors) fn depth(&self) -> usize {
        self.depth.load(Relaxed)
    }

    pub(in crate::actors) fn handled(&self) -> u64 {
        self.handled.load(Relaxed)
    }

    pub(in crate::actors) fn errors(&self) -> u64 {
        self.errors.load(Relaxed)
    }

    pub(in crate::actors) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// How long the running handler has been at work; `None` while the actor is idle.
    pub(in crate::actors) fn busy_for(&self) -> Option<Duration> {
        let began_us = self.busy_since.load(Relaxed).checked_sub(1)?;
        Some(self.age().saturating_sub(Duration::from_micros(began_us)))
    }

    /// Counts a failure, of a handler or one that the actor coped with.
    pub(in crate::actors) fn count_error(&self) {
        self.errors.fetch_add(1, Relaxed);
        self.kind.errors.fetch_add(1, Relaxed);
    }

    /// Starts the clock of one handler. The clock stops when the answer is dropped, however the handler ends.
    pub(super) fn begin(&self) -> Handling<'_> {
        let began_us = u64::try_from(self.age().as_micros()).unwrap_or(u64::MAX - 1);
        self.busy_since.store(began_us + 1, Relaxed);
        Handling { meter: self, began: Instant::now() }
    }

    fn count_wait(&self, waited: Duration) {
        for timings in self.own.as_deref().into_iter().chain([&self.kind.timings]) {
            timings.wait.record(waited);
        }
    }

    fn count_handled(&self, took: Duration) {
        self.busy_since.store(0, Relaxed);
        self.handled.fetch_add(1, Relaxed);
        for timings in self.own.as_deref().into_iter().chain([&self.kind.timings]) {
            timings.handle.record(took);
        }
    }
}

/// A handler at work.
pub(super) struct Handling<'a> {
    meter: &'a Meter,
    began: Instant,
}

impl Drop for Handling<'_> {
    fn drop(&mut self) {
        self.meter.count_handled(self.began.elapsed());
        if std::thread::panicking() {
            self.meter.count_error();
        }
    }
}

/// Rides in a message's box: the message counts as waiting until this is dropped, also when a whole mailbox is discarded.
pub(super) struct Stamp {
    meter: Arc<Meter>,
    sent: Instant,
}

impl Stamp {
    pub(super) fn new(meter: Arc<Meter>) -> Self {
        meter.depth.fetch_add(1, Relaxed);
        meter.kind.received.fetch_add(1, Relaxed);
        Self { meter, sent: Instant::now() }
    }

    /// The message was taken out of the mailbox to be handled.
    pub(super) fn taken_out(self) {
        self.meter.count_wait(self.sent.elapsed());
    }
}

impl Drop for Stamp {
    fn drop(&mut self) {
        self.meter.depth.fetch_sub(1, Relaxed);
    }
}
