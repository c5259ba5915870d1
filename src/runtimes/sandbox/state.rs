//! What an instance has on the host's side, whatever its language: its limits, its clocks and its console output.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use wasmtime::{Error, ResourceLimiter, Result, UpdateDeadline};

use super::{
    TABLE_ELEMENTS_MAX, cpu,
    error::{GuestError, Thrown},
    ticker::TICK,
};
use crate::{
    clock,
    model::log::{LogLevel, LogLine},
    runtimes::{
        fetch::{Answer, Network},
        grants::Grants,
    },
};

/// What a line of console output costs besides its text, in bytes, so that empty lines are bounded too.
const LOG_LINE_BYTES: usize = 32;

/// Limits of the calls that one instance serves.
#[derive(Debug, Clone, Copy)]
pub(in crate::runtimes) struct Limits {
    pub(in crate::runtimes) wall: Duration,
    pub(in crate::runtimes) cpu: Duration,
    pub(in crate::runtimes) memory_bytes: usize,
    pub(in crate::runtimes) output_bytes: usize,
    pub(in crate::runtimes) log_bytes: usize,
}

impl Limits {
    /// The same limits for a guest that is booted with so much memory, which all of its instances share until they write to it.
    pub(in crate::runtimes) fn beyond(self, booted_bytes: usize) -> Self {
        Self { memory_bytes: self.memory_bytes.saturating_add(booted_bytes), ..self }
    }
}

/// The state of one instance, `guest` being what only its language needs.
pub(in crate::runtimes) struct HostState<T = ()> {
    pub(in crate::runtimes) memory: MemoryLimit,
    pub(in crate::runtimes) deadline: Deadline,
    pub(in crate::runtimes) log: Log,
    network: Network,
    /// What the monotonic clock counts from; it stands still where there is none.
    pub(super) started_at: Option<Instant>,
    pub(in crate::runtimes) guest: T,
}

/// What the calls of an instance have used since it was made or renewed.
#[derive(Debug, Clone, Copy)]
pub(in crate::runtimes) struct Used {
    pub(in crate::runtimes) wall: Duration,
    pub(in crate::runtimes) cpu: Duration,
    pub(in crate::runtimes) memory_bytes_peak: usize,
}

impl Used {
    /// Without the memory that a guest is booted with.
    pub(in crate::runtimes) fn without(self, booted_bytes: usize) -> Self {
        Self { memory_bytes_peak: self.memory_bytes_peak.saturating_sub(booted_bytes), ..self }
    }
}

impl<T> HostState<T> {
    /// `place` is `None` where there is none left: then the instance cannot be made.
    pub(super) fn new(limits: Limits, guest: T, place: Option<Place>) -> Self {
        let mut state = Self::booting(limits, guest);
        state.started_at = Some(Instant::now());
        state.memory.admission = place.map_or(Admission::Refused, |place| Admission::Place { _held: place });
        state
    }

    /// For the instance that is snapshotted. Its clock stands still, so that no clock of a later instance runs behind it.
    pub(super) fn booting(limits: Limits, guest: T) -> Self {
        Self {
            guest,
            memory: MemoryLimit {
                admission: Admission::Boot,
                bytes_max: limits.memory_bytes,
                bytes_now: 0,
                bytes_peak: 0,
                is_refused: false,
            },
            deadline: Deadline::new(limits.wall, limits.cpu),
            log: Log::new(limits.log_bytes),
            network: Network::default(),
            started_at: None,
        }
    }

    /// Opens the way to the network, if the run has one.
    pub(in crate::runtimes) fn grant(&mut self, grants: &Grants) {
        self.network = Network::new(grants.network.clone());
    }

    /// Sends a request of the guest's and waits for the answer, as long as the guest may run.
    pub(in crate::runtimes) fn fetch(&mut self, head: &[u8], body: &[u8]) -> Answer {
        self.network.fetch(head, body, self.deadline.wall_left())
    }

    /// What the guest threw: a refusal that it did not catch counts as that, and not as an error of its own.
    pub(in crate::runtimes) fn thrown(&self, thrown: Thrown) -> GuestError {
        let is_denied = self.network.has_denied(&thrown.message);
        GuestError::Thrown(Thrown { is_denied, ..thrown })
    }

    /// What the monotonic clock shows.
    pub(in crate::runtimes) fn monotonic(&self) -> Duration {
        self.started_at.map_or(Duration::ZERO, |start| start.elapsed())
    }

    pub(in crate::runtimes) fn used(&self) -> Used {
        let wall = self.deadline.wall_used();
        Used { wall, cpu: self.deadline.cpu_used_after(wall), memory_bytes_peak: self.memory.bytes_peak }
    }
}

/// Bounds the memories of an instance together and remembers how much of them was wanted.
pub(in crate::runtimes) struct MemoryLimit {
    /// One of the places that instances of this process may take; without one there is no memory.
    admission: Admission,
    bytes_max: usize,
    bytes_now: usize,
    pub(in crate::runtimes) bytes_peak: usize,
    /// Whether the guest wanted more than it may have since this was last cleared.
    pub(in crate::runtimes) is_refused: bool,
}

/// What an instance's memory stands on.
enum Admission {
    /// The boot of a guest, which no limit counts.
    Boot,
    Place {
        _held: Place,
    },
    Refused,
}

/// One of the places of a process. Given back when it is dropped.
pub(super) struct Place(Arc<AtomicU32>);

impl Place {
    /// A place among `count_max` of those that `taken` counts; `None` if all are taken.
    pub(super) fn take(taken: &Arc<AtomicU32>, count_max: u32) -> Option<Self> {
        let count = |taken: u32| if taken < count_max { Some(taken + 1) } else { None };
        taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count).ok()?;
        Some(Self(Arc::clone(taken)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl MemoryLimit {
    pub(super) fn is_without_place(&self) -> bool {
        matches!(self.admission, Admission::Refused)
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        if self.is_without_place() {
            return Err(Error::msg("too many instances"));
        }
        let bytes = self.bytes_now.saturating_add(desired.saturating_sub(current));
        if bytes > self.bytes_max {
            self.is_refused = true;
            return Ok(false);
        }
        self.bytes_now = bytes;
        self.bytes_peak = self.bytes_peak.max(bytes);
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }
}

/// When the guest has to stop. Looked at on every tick of the engine's clock.
pub(in crate::runtimes) struct Deadline {
    wall_max: Duration,
    cpu_max: Duration,
    started_at: Instant,
    /// The thread's CPU time at the first tick after the start: reading it at the start would cost every short run a system call.
    cpu_at_first_tick: Option<Duration>,
    cpu_before_first_tick: Duration,
    pub(in crate::runtimes) exceeded: Option<Exceeded>,
}

/// The time limit that ended a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::runtimes) enum Exceeded {
    Wall,
    Cpu,
}

impl Deadline {
    fn new(wall_max: Duration, cpu_max: Duration) -> Self {
        Self {
            wall_max,
            cpu_max,
            started_at: Instant::now(),
            cpu_at_first_tick: None,
            cpu_before_first_tick: Duration::ZERO,
            exceeded: None,
        }
    }

    /// Starts both clocks again.
    pub(in crate::runtimes) fn restart(&mut self) {
        *self = Self::new(self.wall_max, self.cpu_max);
    }

    pub(super) fn tick(&mut self) -> UpdateDeadline {
        let wall = self.wall_used();
        if wall >= self.wall_max {
            self.exceeded = Some(Exceeded::Wall);
        } else if self.cpu_at_tick(wall) >= self.cpu_max {
            self.exceeded = Some(Exceeded::Cpu);
        } else {
            return UpdateDeadline::Continue(1);
        }
        UpdateDeadline::Interrupt
    }

    /// What is left of the wall time.
    pub(in crate::runtimes) fn wall_left(&self) -> Duration {
        self.wall_max.saturating_sub(self.wall_used())
    }

    /// Notes that the guest has waited for all of its wall time.
    pub(in crate::runtimes) fn pass(&mut self) {
        self.exceeded = Some(Exceeded::Wall);
    }

    fn wall_used(&self) -> Duration {
        self.started_at.elapsed()
    }

    /// CPU time used, where the system tells it, at most a tick off. A call that never saw a tick used its wall time.
    fn cpu_used_after(&self, wall: Duration) -> Duration {
        match self.cpu_at_first_tick.and_then(|first| Some((first, cpu::thread_time()?))) {
            Some((first, now)) => self.cpu_before_first_tick + now.saturating_sub(first),
            None => wall,
        }
    }

    fn cpu_at_tick(&mut self, wall: Duration) -> Duration {
        if self.cpu_at_first_tick.is_none() {
            self.cpu_at_first_tick = cpu::thread_time();
            // Not all of it, where this thread had to wait for a CPU.
            self.cpu_before_first_tick = wall.min(TICK);
        }
        self.cpu_used_after(wall)
    }
}

/// Console output up to a number of bytes; the rest is dropped.
pub(in crate::runtimes) struct Log {
    lines: Vec<LogLine>,
    bytes_left: usize,
    is_truncated: bool,
}

impl Log {
    pub(in crate::runtimes) fn new(bytes_max: usize) -> Self {
        Self { lines: Vec::new(), bytes_left: bytes_max, is_truncated: false }
    }

    pub(in crate::runtimes) fn write(&mut self, level: LogLevel, text: &[u8]) {
        if self.is_truncated {
            return;
        }
        let bytes = self.bytes_left.saturating_sub(LOG_LINE_BYTES).min(text.len());
        self.is_truncated = bytes < text.len() || self.bytes_left < LOG_LINE_BYTES;
        self.bytes_left = self.bytes_left.saturating_sub(LOG_LINE_BYTES + bytes);
        if bytes == 0 && self.is_truncated && !self.lines.is_empty() {
            return;
        }
        let kept = String::from_utf8_lossy(&text[..bytes]);
        let text = kept.trim_end_matches(char::REPLACEMENT_CHARACTER).to_owned();
        self.lines.push(LogLine { at: clock::now_ms(), level, text });
    }

    /// Gives out the lines so far, and whether any was cut or dropped.
    pub(in crate::runtimes) fn take(&mut self) -> (Vec<LogLine>, bool) {
        (std::mem::take(&mut self.lines), self.is_truncated)
    }
}
