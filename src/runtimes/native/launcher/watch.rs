//! Looks at all processes of a run together, from outside: what they use, and whether that is more than they may. Limits of the
//! operating system are per process, and a control group is not to be had everywhere.

use std::{
    collections::HashSet,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::unistd::Pid;

use super::super::plan::{Exceeded, ProcessLimits};

/// How often a run is looked at: what the limits of all its processes may be exceeded by.
pub(super) const SAMPLE: Duration = Duration::from_millis(20);

/// How often while it waits for work.
pub(super) const SAMPLE_WAITING: Duration = Duration::from_secs(1);

/// Sockets of a run that count for nothing: an event loop has a pair, and so have standard streams of a child.
const SOCKETS_FREE: usize = 8;
/// What each further one counts for: it may hold that much that nobody reads, in no process. **Source**: `net.core.wmem_default` of Linux,
/// which code cannot change (no `setsockopt`), and one more message. **Units**: bytes.
const SOCKET_BYTES: u64 = (208 + 64) * 1024;

/// What a process has used, of `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status {
    /// Its own and that of children it has waited for.
    pub(super) cpu_ms: u64,
    pub(super) threads: u64,
    /// Memory in use, what it shares with others and with files counted fully.
    pub(super) resident_bytes: u64,
}

impl Status {
    pub(super) fn read(process: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
    }

    /// Source: `proc_pid_stat(5)`; the name in brackets may hold anything, so fields count from the last bracket on.
    fn parse(stat: &str) -> Option<Self> {
        let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        let ticks = number(11)? + number(12)? + number(13)? + number(14)?;
        let cpu_ms = ticks * 1_000 / rustix::param::clock_ticks_per_second().max(1);
        let page_bytes = u64::try_from(rustix::param::page_size()).unwrap_or(4_096);
        Some(Self { cpu_ms, threads: number(17)?, resident_bytes: number(21)? * page_bytes })
    }
}

/// What the processes of one run use.
#[derive(Debug, Default)]
pub(super) struct Watch {
    pub(super) cpu_ms: u64,
    pub(super) memory_peak_bytes: u64,
    /// CPU time that was used before it counted.
    cpu_before_ms: u64,
}

impl Watch {
    /// Forgets what was used before.
    pub(super) fn begin_to_count(&mut self) {
        *self = Self { cpu_before_ms: self.cpu_before_ms + self.cpu_ms, ..Self::default() };
    }

    /// Looks at everything that has come from `first`, and tells what is over its limit.
    pub(super) fn sample(&mut self, first: Pid, limits: &ProcessLimits) -> Option<Exceeded> {
        let processes = tree(first.as_raw(), limits.tasks_max);
        let states: Vec<(i32, Status)> =
            processes.into_iter().filter_map(|process| Some((process, Status::read(process)?))).collect();
        let sum = |of: fn(&Status) -> u64| states.iter().map(|(_, status)| of(status)).sum::<u64>();
        self.cpu_ms = self.cpu_ms.max(sum(|status| status.cpu_ms).saturating_sub(self.cpu_before_ms));
        // Without the first one, which is ours.
        let inside = || states.iter().filter(|(process, _)| *process != first.as_raw());
        let in_sockets = held_by_sockets(inside().map(|(process, _)| *process));
        let mut memory_bytes = in_sockets + inside().map(|(_, status)| status.resident_bytes).sum::<u64>();
        if memory_bytes > limits.memory_bytes {
            // Slower, and exact: what several have together counts once, and what files hold does not.
            let own = inside().map(|(process, status)| own_bytes(*process).unwrap_or(status.resident_bytes));
            memory_bytes = in_sockets + own.sum::<u64>();
        }
        self.memory_peak_bytes = self.memory_peak_bytes.max(memory_bytes);
        if memory_bytes > limits.memory_bytes {
            return Some(Exceeded::Memory);
        }
        if self.cpu_ms > limits.cpu_ms {
            return Some(Exceeded::Cpu);
        }
        // The first one comes on top.
        (sum(|status| status.threads) > limits.tasks_max + 1).then_some(Exceeded::Tasks)
    }
}

/// A process and all that came from it, up to a number that no run may have.
pub(super) fn tree(first: i32, tasks_max: u64) -> Vec<i32> {
    let mut found = vec![first];
    let mut next = 0;
    let most = usize::try_from(tasks_max).unwrap_or(usize::MAX).saturating_mul(4);
    while let Some(process) = found.get(next).copied().filter(|_| found.len() < most) {
        next += 1;
        let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else { continue };
        for task in tasks.flatten() {
            found.extend(children(&task.path().join("children")));
        }
    }
    found
}

fn children(path: &Path) -> Vec<i32> {
    let listed = fs::read_to_string(path).unwrap_or_default();
    listed.split_ascii_whitespace().filter_map(|process| process.parse().ok()).collect()
}

/// What the sockets of these processes may hold, each counted once. **Units**: bytes.
fn held_by_sockets(processes: impl Iterator<Item = i32>) -> u64 {
    let open = processes.filter_map(|process| fs::read_dir(format!("/proc/{process}/fd")).ok()).flatten().flatten();
    let targets = open.filter_map(|fd| fs::read_link(fd.path()).ok());
    let sockets: HashSet<PathBuf> = targets.filter(|target| target.as_os_str().as_bytes().starts_with(b"socket:")).collect();
    u64::try_from(sockets.len().saturating_sub(SOCKETS_FREE)).unwrap_or(u64::MAX).saturating_mul(SOCKET_BYTES)
}

/// Memory of a process that is in no file, its part of what it shares counted. **Units**: bytes; the file has KiB.
fn own_bytes(process: i32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
    let value = |name: &str| {
        let line = rollup.lines().find(|line| line.starts_with(name))?;
        line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()
    };
    Some((value("Pss_Anon:")? + value("Pss_Shmem:")?) * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_process_whatever_its_name() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194304 100 0 0 0 20 10 5 5 20 0 3 0 100 1000000 2 0";
        let status = Status::parse(stat).unwrap();
        assert_eq!((status.cpu_ms, status.threads), (400, 3));
        assert_eq!(status.resident_bytes % 2, 0);
        assert_eq!(Status::parse("7 (a"), None);
        assert_eq!(Status::parse("7 (a) S 1"), None);
    }

    #[test]
    fn sees_itself() {
        let own = std::process::id().cast_signed();
        let status = Status::read(own).unwrap();
        assert!(status.threads >= 1 && status.resident_bytes > 1_000_000);
        assert_eq!(tree(own, 10)[0], own);
        assert!(own_bytes(own).unwrap() > 100_000);
        let pairs: Vec<_> = (0..SOCKETS_FREE).map(|_| std::os::unix::net::UnixStream::pair().unwrap()).collect();
        assert!(held_by_sockets([own, own].into_iter()) >= SOCKET_BYTES * 8, "{} pairs", pairs.len());
    }
}
