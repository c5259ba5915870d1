//! What the engine tells the launcher of a native process, and what the launcher answers. Both are the same program: the engine runs
//! itself again as the launcher ([`super::launcher`]), so that the two always agree on these shapes.
//!
//! **Shape** on the control socket: the length of the plan (4 bytes, little-endian), the plan as JSON, the input. The answer is a
//! [`Report`] as JSON, and the end of the socket. Its other end says that everything has to end.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where the source lies in a sandbox with a file system of its own.
pub(super) const CODE_DIRECTORY: &str = "/code";
/// Where the packages of an environment lie in there.
pub(super) const ENVIRONMENT_DIRECTORY: &str = "/environment";
/// The only place in there that can be written to.
pub(super) const WRITABLE_DIRECTORY: &str = "/tmp";
/// Largest plan in bytes: a source, and a few hundred paths and variables.
pub(super) const PLAN_BYTES_MAX: usize = 1024 * 1024;

/// How far a process is kept apart from the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// Namespaces with a file system of its own, Landlock where there is one, a list of system calls, limits.
    #[default]
    Full,
    /// The same without namespaces: it shares the machine's file system read-only, as far as Landlock lets it, and can write nowhere.
    Reduced,
}

/// One process to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) isolation: Isolation,
    /// The program, by its absolute path, and its arguments. None: the sandbox is made, and that is all.
    pub(super) command: Vec<String>,
    /// The whole environment of the program.
    pub(super) env: Vec<(String, String)>,
    /// Name of the source's file.
    pub(super) file: String,
    pub(super) source: String,
    /// Where the file lies in the machine's file system, under reduced isolation.
    pub(super) source_directory: Option<PathBuf>,
    /// Paths of the machine that can be read.
    pub(super) paths: Vec<PathBuf>,
    /// A directory of packages, shown as [`ENVIRONMENT_DIRECTORY`].
    pub(super) environment: Option<PathBuf>,
    /// The user and group that an engine run by root gives the process. Others stay who they are.
    pub(super) uid: u32,
    pub(super) limits: ProcessLimits,
    /// A fresh cgroup (version 2) of this process.
    pub(super) cgroup: Option<PathBuf>,
    /// How many bytes of input follow; none: standard input is empty, and the program talks through its standard output, a socket.
    pub(super) input_bytes: Option<usize>,
    /// Whether it waits for work at first: its real limits come when it gets some, as another message of the form of the plan.
    pub(super) is_waiting: bool,
}

/// What all processes of one run may use together, except where it says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProcessLimits {
    pub(super) cpu_ms: u64,
    /// Memory that is really used.
    pub(super) memory_bytes: u64,
    /// Memory that each process may reserve for writing, used or not.
    pub(super) reserved_bytes: u64,
    /// Processes and threads.
    pub(super) tasks_max: u64,
    /// Files in [`WRITABLE_DIRECTORY`], in bytes.
    pub(super) disk_bytes: u64,
    /// Files in there by number.
    pub(super) disk_files_max: u64,
}

/// What the launcher tells the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Report {
    /// The sandbox could not be made: nothing of the user's has run.
    Refused {
        attempt: String,
        detail: String,
    },
    Ended(Ended),
}

/// How the processes of a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Ended {
    /// The exit code of the program, if it ended by itself.
    pub(super) exit_code: Option<i32>,
    /// The signal that ended it.
    pub(super) signal: Option<i32>,
    /// The limit that the launcher ended it for.
    pub(super) exceeded: Option<Exceeded>,
    pub(super) cpu_ms: f64,
    pub(super) memory_peak_bytes: u64,
    pub(super) walls: Walls,
}

/// What the sandbox was made of, beside what it is always made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Walls {
    /// The version of Landlock's interface that is enforced.
    pub(super) landlock: Option<u32>,
    /// Whether it has a `/proc` of its own.
    pub(super) has_proc: bool,
}

/// A limit of [`ProcessLimits`] that the launcher looks after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Exceeded {
    Cpu,
    Memory,
    Tasks,
}
