//! What a guest instance has on the host's side: its limits, its console output, and the few functions it may call.

use std::time::{Duration, Instant};

use wasmtime::{Caller, Engine, Error, Extern, Linker, Memory, ResourceLimiter, Result, UpdateDeadline};

use super::{TABLE_ELEMENTS_MAX, cpu, ticker::TICK};
use crate::{
    clock,
    model::log::{LogLevel, LogLine},
    runtimes::code::level_from_guest,
};

/// What a line of console output costs besides its text, in bytes, so that empty lines are bounded too.
const LOG_LINE_BYTES: usize = 32;
/// WASI's `errno::badf`: the guest has no files.
const ERRNO_BAD_FILE: i32 = 8;
/// WASI's `errno::inval`.
const ERRNO_INVALID: i32 = 28;

/// Limits of the calls that one instance serves.
#[derive(Debug, Clone, Copy)]
pub(in crate::runtimes) struct Limits {
    pub(in crate::runtimes) wall: Duration,
    pub(in crate::runtimes) cpu: Duration,
    pub(in crate::runtimes) memory_bytes: usize,
    pub(in crate::runtimes) output_bytes: usize,
    pub(in crate::runtimes) log_bytes: usize,
}

/// The state of one instance.
pub(super) struct HostState {
    pub(super) memory: MemoryLimit,
    pub(super) deadline: Deadline,
    pub(super) log: Log,
    /// What the monotonic clock counts from; it stands still where there is none.
    started_at: Option<Instant>,
}

impl HostState {
    pub(super) fn new(limits: Limits) -> Self {
        Self { started_at: Some(Instant::now()), ..Self::booting(limits) }
    }

    /// For the instance that is snapshotted. Its clock stands still, so that no clock of a later instance runs behind it.
    pub(super) fn booting(limits: Limits) -> Self {
        Self {
            memory: MemoryLimit { bytes_max: limits.memory_bytes, bytes_peak: 0, is_refused: false },
            deadline: Deadline::new(limits.wall, limits.cpu),
            log: Log { lines: Vec::new(), bytes_left: limits.log_bytes, is_truncated: false },
            started_at: None,
        }
    }
}

/// Bounds the linear memory and remembers how much of it was wanted.
pub(super) struct MemoryLimit {
    bytes_max: usize,
    pub(super) bytes_peak: usize,
    /// Whether the guest wanted more than it may have since this was last cleared.
    pub(super) is_refused: bool,
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        if desired > self.bytes_max {
            self.is_refused = true;
            return Ok(false);
        }
        self.bytes_peak = self.bytes_peak.max(desired);
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }
}

/// When the guest has to stop. Looked at on every tick of the engine's clock.
pub(super) struct Deadline {
    wall_max: Duration,
    cpu_max: Duration,
    started_at: Instant,
    /// The thread's CPU time at the first tick after the start: reading it at the start would cost every short run a system call.
    cpu_at_first_tick: Option<Duration>,
    cpu_before_first_tick: Duration,
    pub(super) exceeded: Option<Exceeded>,
}

/// The time limit that ended a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exceeded {
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
    pub(super) fn restart(&mut self) {
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

    pub(super) fn wall_used(&self) -> Duration {
        self.started_at.elapsed()
    }

    /// CPU time used, where the system tells it, at most a tick off. A call that never saw a tick used its wall time.
    pub(super) fn cpu_used_after(&self, wall: Duration) -> Duration {
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
pub(super) struct Log {
    lines: Vec<LogLine>,
    bytes_left: usize,
    is_truncated: bool,
}

impl Log {
    fn write(&mut self, level: LogLevel, text: &[u8]) {
        if self.is_truncated {
            return;
        }
        let bytes = self.bytes_left.saturating_sub(LOG_LINE_BYTES).min(text.len());
        self.is_truncated = bytes < text.len() || self.bytes_left < LOG_LINE_BYTES;
        self.bytes_left = self.bytes_left.saturating_sub(LOG_LINE_BYTES + bytes);
        let kept = String::from_utf8_lossy(&text[..bytes]);
        let text = kept.trim_end_matches(char::REPLACEMENT_CHARACTER).to_owned();
        self.lines.push(LogLine { at: clock::now_ms(), level, text });
    }

    /// Gives out the lines so far, and whether any was cut or dropped.
    pub(super) fn take(&mut self) -> (Vec<LogLine>, bool) {
        (std::mem::take(&mut self.lines), self.is_truncated)
    }
}

/// Everything that the guest imports: console, chance, the clock; and files, of which it has none.
pub(super) fn linker(engine: &Engine) -> Result<Linker<HostState>> {
    let mut linker = Linker::new(engine);
    linker.func_wrap("citadel", "log", |mut caller: Caller<'_, HostState>, level: u32, text: u32, length: u32| {
        let memory = memory_of(&mut caller)?;
        let (data, state) = memory.data_and_store_mut(&mut caller);
        let text = slice(data, text, length).ok_or_else(|| Error::msg("console output outside of the guest's memory"))?;
        state.log.write(level_from_guest(level), text);
        Ok(())
    })?;
    linker.func_wrap("citadel", "seed", clock::chance)?;
    linker.func_wrap("wasi_snapshot_preview1", "clock_time_get", clock_time_get)?;
    linker.func_wrap("wasi_snapshot_preview1", "fd_close", |_: i32| ERRNO_BAD_FILE)?;
    linker.func_wrap("wasi_snapshot_preview1", "fd_fdstat_get", |_: i32, _: i32| ERRNO_BAD_FILE)?;
    linker.func_wrap("wasi_snapshot_preview1", "fd_seek", |_: i32, _: i64, _: i32, _: i32| ERRNO_BAD_FILE)?;
    linker.func_wrap("wasi_snapshot_preview1", "fd_write", |_: i32, _: i32, _: i32, _: i32| ERRNO_BAD_FILE)?;
    Ok(linker)
}

/// Clock 0 is the time of day, 1 counts from the start of the instance; both in nanoseconds. Source: WASI preview 1.
fn clock_time_get(mut caller: Caller<'_, HostState>, clock_id: i32, _precision: i64, result: u32) -> Result<i32> {
    let nanoseconds = match clock_id {
        0 => clock::now_ms().saturating_mul(1_000_000),
        1 => caller.data().started_at.map_or(0, |start| u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)),
        _ => return Ok(ERRNO_INVALID),
    };
    let memory = memory_of(&mut caller)?;
    let address = usize::try_from(result)?;
    memory.write(&mut caller, address, &nanoseconds.to_le_bytes())?;
    Ok(0)
}

fn memory_of(caller: &mut Caller<'_, HostState>) -> Result<Memory> {
    caller.get_export("memory").and_then(Extern::into_memory).ok_or_else(|| Error::msg("the guest has no memory"))
}

/// The bytes at an address of the guest; `None` if they are not all inside of its memory.
pub(super) fn slice(data: &[u8], address: u32, length: u32) -> Option<&[u8]> {
    let start = usize::try_from(address).ok()?;
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    data.get(start..end)
}
