//! What the machine is and what processes use of it, read from `/proc`. Where there is no `/proc`, it is not known: `None`.

use std::{
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;

/// Ticks per second of the times in `/proc/PID/stat`: Linux shows 100 to programs on every common architecture.
const TICKS_PER_SECOND: u64 = 100;
/// Fields of `/proc/PID/stat` after the name: where the user's time is. **Source**: proc_pid_stat(5), fields 14 and 15.
const USER_TIME_FIELD: usize = 11;

/// The machine that a benchmark ran on.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Machine {
    pub(super) cores: usize,
    pub(super) cpu_model: Option<String>,
    pub(super) kernel: Option<String>,
    pub(super) memory_bytes: Option<u64>,
    /// Of the data directory: a commit in a file system in memory costs nothing.
    pub(super) filesystem: Option<String>,
    /// Processes that ran or wanted to, on average over the last minute before the benchmark. More than a few tenths: noise.
    pub(super) load_before: Option<f64>,
}

impl Machine {
    /// Looks at this machine; `directory` is where the data will be.
    pub(super) fn read(directory: &Path) -> Self {
        Self {
            cores: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            cpu_model: read("/proc/cpuinfo").and_then(|text| field(&text, "model name").map(str::to_owned)),
            kernel: read("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()),
            memory_bytes: read("/proc/meminfo").and_then(|text| kibibytes(field(&text, "MemTotal")?)),
            filesystem: filesystem_of(directory),
            load_before: read("/proc/loadavg").and_then(|text| text.split(' ').next()?.parse().ok()),
        }
    }
}

/// A process whose use is measured.
#[derive(Debug, Clone)]
pub(super) struct Process(PathBuf);

impl Process {
    pub(super) fn of(id: u32) -> Self {
        Self(PathBuf::from(format!("/proc/{id}")))
    }

    /// This process.
    pub(super) fn this() -> Self {
        Self::of(std::process::id())
    }

    /// The time that its threads have computed so far, in the kernel and outside. **Units**: hundredths of a second are exact.
    pub(super) fn cpu_time(&self) -> Option<Duration> {
        cpu_time(&read(self.0.join("stat"))?)
    }

    /// Memory that it has in RAM.
    pub(super) fn resident_bytes(&self) -> Option<u64> {
        kibibytes(field(&read(self.0.join("status"))?, "VmRSS")?)
    }
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// The value of the first line `name: value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

/// Reads `1234 kB`.
fn kibibytes(text: &str) -> Option<u64> {
    text.strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

/// User and system time of a line of `/proc/PID/stat`. The name before them may hold blanks and parentheses.
fn cpu_time(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut times = fields.split(' ').skip(USER_TIME_FIELD).take(2).map(|ticks| ticks.parse::<u64>().ok());
    let ticks = times.next()?? + times.next()??;
    Some(Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
}

/// The type of the file system that a directory is on: that of the longest mount point above it.
fn filesystem_of(directory: &Path) -> Option<String> {
    let directory = directory.canonicalize().ok()?;
    let mounts = read("/proc/self/mounts")?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let above = mounts.filter(|(point, _)| directory.starts_with(point));
    above.max_by_key(|(point, _)| point.len()).map(|(_, kind)| kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_times_behind_a_strange_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 6 7 20 0 1 0 100 0 0";
        assert_eq!(cpu_time(stat), Some(Duration::from_secs(3)));
        assert_eq!(cpu_time("7 (a) S 1"), None);
    }

    #[test]
    fn reads_sizes_and_fields() {
        let text = "Name:\tcitadel\nVmRSS:\t    1024 kB\n";
        assert_eq!(field(text, "VmRSS").and_then(kibibytes), Some(1_048_576));
        assert_eq!(field(text, "VmSwap"), None);
        assert_eq!(kibibytes("12 MB"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn knows_this_machine_and_this_process() {
        let machine = Machine::read(Path::new("."));
        assert!(machine.cores > 0 && machine.kernel.is_some() && machine.memory_bytes.is_some() && machine.filesystem.is_some());
        assert!(Process::this().cpu_time().is_some() && Process::this().resident_bytes().is_some_and(|bytes| bytes > 0));
        assert!(Process::of(u32::MAX).cpu_time().is_none());
    }
}
