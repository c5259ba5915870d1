//! What the settings say of a native language: `[runtimes.native.NAME]`. Read by `config`, used by `runtimes::native`, which has a
//! built-in table for everything that is not set.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

/// A native language. What is not set is as in the built-in table. **Shape**: a table of the settings with these names.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NativeLanguageSettings {
    /// The built-in language whose line this one begins with; unset: the one of its own name.
    pub extends: Option<String>,
    /// The program and its arguments; `{source}` is the source's path, `{memory_mib}` the memory limit.
    pub command: Option<Vec<String>>,
    /// The name of the source's file: `main.pl`.
    pub file: Option<String>,
    /// Arguments that make the program say its version.
    pub version: Option<Vec<String>>,
    /// More paths that it can read.
    pub paths: Vec<PathBuf>,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// Processes and threads of one run.
    pub tasks_max: Option<u64>,
    /// What it takes for itself, beside the memory limit of the code.
    pub resident_mib: Option<u64>,
    /// What a process of it reserves without using it.
    pub reserved_mib: Option<u64>,
    /// A list of packages: a `requirements.txt` or a `package.json`.
    pub requirements: Option<PathBuf>,
    /// How many interpreters wait for the work of one workspace.
    pub warm: usize,
    /// Modules that those have loaded.
    pub preload: Vec<String>,
}
