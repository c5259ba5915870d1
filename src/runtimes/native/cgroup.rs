//! Control groups, version 2: memory, processes and CPU of a run counted and limited by the kernel itself. Used where the settings name
//! a directory that was delegated to the engine; without it, the launcher looks after the same limits from outside.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::plan::ProcessLimits;
use crate::clock;

/// What a run needs. CPU time has no limit there, only a rate.
const CONTROLLERS: [&str; 2] = ["memory", "pids"];

/// A directory of control groups in which the engine may make others.
#[derive(Debug, Clone)]
pub(super) struct Cgroups {
    directory: PathBuf,
}

/// The control group of one run; dropping it removes it.
pub(super) struct Cgroup {
    pub(super) directory: PathBuf,
}

impl Cgroups {
    /// Errors: a sentence on what is missing.
    pub(super) fn open(directory: &Path) -> Result<Self, String> {
        let file = directory.join("cgroup.controllers");
        let text = fs::read_to_string(&file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        let has = |name: &str| text.split_ascii_whitespace().any(|controller| controller == name);
        if let Some(missing) = CONTROLLERS.iter().find(|name| !has(name)) {
            return Err(format!(
                "{} has no controller `{missing}`: it is not of version 2, or was not delegated",
                directory.display()
            ));
        }
        let control = directory.join("cgroup.subtree_control");
        let wanted = CONTROLLERS.map(|name| format!("+{name}")).join(" ");
        fs::write(&control, wanted).map_err(|error| format!("cannot hand controllers down in {}: {error}", control.display()))?;
        Ok(Self { directory: directory.to_owned() })
    }

    /// Makes the control group of a run.
    pub(super) fn create(&self, limits: &ProcessLimits) -> io::Result<Cgroup> {
        let cgroup = Cgroup { directory: self.directory.join(format!("run-{}", clock::new_uuid())) };
        fs::create_dir(&cgroup.directory)?;
        fs::write(cgroup.directory.join("memory.max"), limits.memory_bytes.to_string())?;
        // Memory that was swapped out would not count.
        fs::write(cgroup.directory.join("memory.swap.max"), "0").or_else(absent)?;
        fs::write(cgroup.directory.join("pids.max"), (limits.tasks_max + 1).to_string())?;
        Ok(cgroup)
    }
}

/// Kernels without swap have no such file.
fn absent(error: io::Error) -> io::Result<()> {
    if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) { Ok(()) } else { Err(error) }
}

impl Cgroup {
    /// Whether the kernel ended a process of the run because there was too much memory in use.
    pub(super) fn has_run_out_of_memory(&self) -> bool {
        let events = fs::read_to_string(self.directory.join("memory.events")).unwrap_or_default();
        let kills = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        kills.is_some_and(|count| count.trim() != "0")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Empty by now: all processes of the run have ended. In a real one the files are no obstacle.
        if let Err(error) = fs::remove_dir(&self.directory) {
            tracing::warn!(%error, directory = %self.directory.display(), "a control group could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_missing() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Cgroups::open(directory.path()).unwrap_err().contains("cannot read"));
        fs::write(directory.path().join("cgroup.controllers"), "cpu pids\n").unwrap();
        assert!(Cgroups::open(directory.path()).unwrap_err().contains("no controller `memory`"));
    }

    #[test]
    fn limits_a_run_and_sees_why_it_was_ended() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("cgroup.controllers"), "cpu memory pids\n").unwrap();
        let cgroups = Cgroups::open(directory.path()).unwrap();
        let limits = ProcessLimits {
            cpu_ms: 1,
            memory_bytes: 1_000_000,
            reserved_bytes: 1,
            tasks_max: 9,
            disk_bytes: 1,
            disk_files_max: 1,
        };
        let cgroup = cgroups.create(&limits).unwrap();
        let read = |name: &str| fs::read_to_string(cgroup.directory.join(name)).unwrap();
        assert_eq!([read("memory.max"), read("memory.swap.max"), read("pids.max")], ["1000000", "0", "10"]);
        assert!(!cgroup.has_run_out_of_memory());
        fs::write(cgroup.directory.join("memory.events"), "oom 1\noom_kill 0\n").unwrap();
        assert!(!cgroup.has_run_out_of_memory());
        fs::write(cgroup.directory.join("memory.events"), "oom 1\noom_kill 1\n").unwrap();
        assert!(cgroup.has_run_out_of_memory());
    }
}
