//! Tries out what this machine can do: the launcher makes a sandbox with nothing in it and says how far it came.

use std::{fs, path::Path, time::Duration};

use serde::Serialize;

use super::{
    NativeSettings,
    cgroup::Cgroups,
    plan::{Isolation, Plan, ProcessLimits},
    process::{self, Job, Outcome},
};

/// How long a try may take.
const PROBE_MAX: Duration = Duration::from_secs(5);

/// What was found. **Shape**: `{ full, reduced, landlock, own_proc, control_groups }`; `full` and `reduced` are null where it works, and say
/// otherwise what is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Features {
    /// Why there is no sandbox with namespaces.
    pub full: Option<String>,
    /// Why there is none without them either; not tried where the better one works.
    pub reduced: Option<String>,
    /// The version of Landlock's interface that is enforced.
    pub landlock: Option<u32>,
    /// Whether sandboxes have a `/proc` of their own.
    pub own_proc: bool,
    pub control_groups: ControlGroups,
}

/// Who counts memory, processes and CPU time of all processes of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ControlGroups {
    /// The kernel, in groups of version 2.
    Used,
    /// The launcher, by looking every few milliseconds: no directory of groups is set, or it cannot be used. With the reason.
    Watched { reason: String },
}

impl Features {
    /// The sandbox to use, if there is one.
    pub fn isolation(&self, allow_reduced: bool) -> Option<Isolation> {
        match (&self.full, &self.reduced) {
            (None, _) => Some(Isolation::Full),
            (Some(_), None) if allow_reduced => Some(Isolation::Reduced),
            (Some(_), _) => None,
        }
    }
}

pub(super) fn features(settings: &NativeSettings) -> Features {
    let control_groups = match settings.cgroup.as_deref().map(Cgroups::open) {
        Some(Ok(_)) => ControlGroups::Used,
        Some(Err(reason)) => ControlGroups::Watched { reason },
        None => ControlGroups::Watched { reason: format!("runtimes.cgroup is not set; this machine has {}", cgroups_here()) },
    };
    let mut features = Features { full: None, reduced: None, landlock: None, own_proc: false, control_groups };
    match attempt(settings, Isolation::Full) {
        Ok((landlock, own_proc)) => (features.landlock, features.own_proc) = (landlock, own_proc),
        Err(missing) => {
            features.full = Some(missing);
            match attempt(settings, Isolation::Reduced) {
                Ok((landlock, _)) => features.landlock = landlock,
                Err(missing) => features.reduced = Some(missing),
            }
        }
    }
    features
}

/// Makes a sandbox. Errors: what is missing, as a sentence.
fn attempt(settings: &NativeSettings, isolation: Isolation) -> Result<(Option<u32>, bool), String> {
    let Some(program) = &settings.program else { return Err("this process cannot start itself again".to_owned()) };
    if settings.without_namespaces && isolation == Isolation::Full {
        return Err("the settings go without namespaces".to_owned());
    }
    let limits = ProcessLimits {
        cpu_ms: 1_000,
        memory_bytes: 64 << 20,
        reserved_bytes: 256 << 20,
        tasks_max: 8,
        disk_bytes: 1 << 20,
        disk_files_max: 16,
    };
    let plan = Plan {
        isolation,
        command: Vec::new(),
        env: Vec::new(),
        file: "probe".to_owned(),
        source: String::new(),
        source_directory: None,
        paths: Vec::new(),
        environment: None,
        uid: settings.uid,
        limits,
        cgroup: None,
        input_bytes: Some(0),
        is_waiting: false,
    };
    let job = Job { plan: &plan, input: &[], wall: PROBE_MAX, stdout_bytes_max: 0, stderr_bytes_max: 0 };
    match process::run(program, &job).map_err(|error| format!("the launcher does not start: {error}"))?.outcome {
        Outcome::Ended(ended) => Ok((ended.walls.landlock, ended.walls.has_proc)),
        Outcome::Refused { attempt, detail } => Err(format!("cannot {attempt}: {detail}")),
        Outcome::WallTime | Outcome::OutputLimit => Err("the launcher does not answer".to_owned()),
    }
}

/// What control groups there are, for people.
fn cgroups_here() -> &'static str {
    let root = Path::new("/sys/fs/cgroup");
    match fs::read_to_string(root.join("cgroup.controllers")) {
        Ok(_) => "control groups of version 2",
        Err(_) if root.join("memory").is_dir() => "control groups of version 1 only, which are not used",
        Err(_) => "no control groups",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(full: Option<&str>, reduced: Option<&str>, allow_reduced: bool, expected: Option<Isolation>) {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let control_groups = ControlGroups::Used;
        let features = Features { full: owned(full), reduced: owned(reduced), landlock: None, own_proc: false, control_groups };
        assert_eq!(features.isolation(allow_reduced), expected);
    }

    #[test]
    fn less_isolation_is_for_those_who_ask_for_it() {
        check(None, None, false, Some(Isolation::Full));
        check(None, None, true, Some(Isolation::Full));
        check(Some("no namespaces"), None, false, None);
        check(Some("no namespaces"), None, true, Some(Isolation::Reduced));
        check(Some("no namespaces"), Some("no Landlock"), true, None);
    }
}
