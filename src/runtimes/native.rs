//! Code as processes of the machine's own interpreters: Bash, Python with packages, Node.js, and whatever the settings name. Each run is
//! a fresh process in a sandbox that a launcher makes ([`launcher`]); it reads its input as JSON from standard input and writes its
//! output to standard output. Linux only. Everything here blocks its thread.
//!
//! What the machine can do is tried out at start: without namespaces the languages are not there, unless the settings allow the
//! sandbox that does without.

mod cgroup;
mod environments;
mod language;
pub mod launcher;
mod outcome;
mod plan;
mod probe;
mod process;
mod slots;
mod table;
mod waiting;
mod warm;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Serialize;

use self::{cgroup::Cgroups, environments::Environments, language::NativeLanguage, slots::Slots, waiting::Waiting, warm::Host};
pub use self::{
    environments::InstallError,
    plan::Isolation,
    probe::{ControlGroups, Features},
};
use super::languages::Language;
use crate::model::{ids::WorkspaceId, native_language::NativeLanguageSettings};

/// How to make [`Native`].
#[derive(Debug, Clone)]
pub struct NativeSettings {
    /// This program, which is run again as the launcher; `None` switches native languages off.
    pub program: Option<PathBuf>,
    /// Whether the sandbox without namespaces will do where the better one cannot be had.
    pub allow_reduced: bool,
    /// Whether to go without namespaces, as on a machine that gives none.
    pub without_namespaces: bool,
    /// The user and group of processes where the engine is run by root.
    pub uid: u32,
    /// Processes that may run at once.
    pub slots_max: usize,
    /// Interpreters that may wait for work, of all languages and workspaces together.
    pub warm_max: usize,
    /// Files that a run may have, in bytes.
    pub disk_bytes: u64,
    /// A directory of control groups that was delegated to the engine.
    pub cgroup: Option<PathBuf>,
    /// Where installed packages are kept.
    pub directory: PathBuf,
    /// The engine's own files: no sandbox may see them.
    pub data_dir: PathBuf,
    pub languages: BTreeMap<String, NativeLanguageSettings>,
}

/// The native languages of this machine.
pub struct Native {
    languages: Vec<Arc<NativeLanguage>>,
    report: NativeReport,
}

/// What was found out at start. **Shape**: `{ isolation, features, problems }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NativeReport {
    /// What keeps processes apart; `None`: there are no native languages.
    pub isolation: Option<Isolation>,
    pub features: Features,
    /// Sentences about settings that are of no use.
    pub problems: Vec<String>,
}

/// One language for people. **Shape**: `{ name, title, version, missing }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LanguageState {
    pub name: String,
    pub title: String,
    /// What the interpreter says of itself.
    pub version: Option<String>,
    /// Why it cannot be used, where it is in the settings or on the machine.
    pub missing: Option<String>,
}

/// What all native languages share.
struct Shared {
    settings: NativeSettings,
    program: PathBuf,
    isolation: Isolation,
    cgroups: Option<Cgroups>,
    slots: Slots,
    waiting: Arc<Waiting<Host>>,
    environments: Environments,
}

impl Native {
    /// Finds out what this machine can do. Makes a sandbox or two: some milliseconds.
    pub fn new(settings: NativeSettings) -> Self {
        let (specs, mut problems) = table::languages(&settings.languages);
        let features = probe::features(&settings);
        let isolation = features.isolation(settings.allow_reduced);
        let (Some(isolation), Some(program)) = (isolation, settings.program.clone()) else {
            return Self { languages: Vec::new(), report: NativeReport { isolation: None, features, problems } };
        };
        let shared = Arc::new(Shared {
            program,
            isolation,
            cgroups: settings.cgroup.as_deref().and_then(|directory| Cgroups::open(directory).ok()),
            slots: Slots::new(settings.slots_max),
            waiting: Arc::new(Waiting::new(settings.warm_max)),
            environments: Environments::new(settings.directory.join("environments")),
            settings,
        });
        let mut languages = Vec::new();
        for spec in specs {
            let is_wanted = shared.settings.languages.contains_key(&spec.name);
            if let Some(inside) = exposed(&spec.paths, &shared.settings.data_dir) {
                problems.push(format!("`{}` would see the data directory, which is below {}", spec.name, inside.display()));
                continue;
            }
            match table::find_program(&spec.command[0]) {
                Some(program) => languages.push(Arc::new(NativeLanguage::new(spec, program, Arc::clone(&shared)))),
                None if is_wanted => {
                    let places = table::PROGRAM_DIRECTORIES.join(", ");
                    problems.push(format!("`{}`: there is no program `{}` in {places}", spec.name, spec.command[0]));
                }
                // Of the built-in table, and not on this machine.
                None => {}
            }
        }
        Self { languages, report: NativeReport { isolation: Some(isolation), features, problems } }
    }

    /// The languages whose interpreters are here.
    pub fn languages(&self) -> impl Iterator<Item = Arc<dyn Language>> + '_ {
        self.languages.iter().map(|language| Arc::clone(language) as Arc<dyn Language>)
    }

    pub fn report(&self) -> &NativeReport {
        &self.report
    }

    /// Runs every interpreter once, for its version. Takes as long as they take to start.
    pub fn states(&self) -> Vec<LanguageState> {
        self.languages.iter().map(|language| language.state()).collect()
    }

    /// Starts the interpreters that the settings want to have waiting for a workspace, in the background. Its first run does that too.
    pub fn warm_up(&self, workspace: WorkspaceId) {
        for language in self.languages.iter().filter(|language| language.is_kept_warm()) {
            language.warm_up(workspace);
        }
    }

    /// The names of all native languages, by the settings, whether their interpreters are here or not.
    pub fn names(settings: &BTreeMap<String, NativeLanguageSettings>) -> Vec<String> {
        table::languages(settings).0.into_iter().map(|spec| spec.name).collect()
    }

    /// Installs the packages of a language, unless they are there. `tell` gets a line for people now and then.
    ///
    /// Errors: [`InstallError`].
    pub fn install(&self, name: &str, tell: &mut dyn FnMut(&str)) -> Result<PathBuf, InstallError> {
        let language = self.languages.iter().find(|language| language.name() == name);
        language.ok_or_else(|| InstallError::Unknown(name.to_owned()))?.install(tell)
    }

    /// Removes the packages of a language, also those of older lists. Whether there were any. Runs that use them fail.
    ///
    /// Errors: [`InstallError`].
    pub fn remove(&self, name: &str) -> Result<bool, InstallError> {
        let language = self.languages.iter().find(|language| language.name() == name);
        language.ok_or_else(|| InstallError::Unknown(name.to_owned()))?.remove_packages()
    }
}

/// The path of a sandbox that a private directory is below of.
fn exposed(paths: &[PathBuf], private: &Path) -> Option<PathBuf> {
    let private = private.canonicalize().ok()?;
    paths.iter().filter_map(|path| path.canonicalize().ok()).find(|path| private.starts_with(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_sandbox_may_see_the_data_directory() {
        let parent = tempfile::tempdir().unwrap();
        let data = parent.path().join("data");
        std::fs::create_dir(&data).unwrap();
        std::os::unix::fs::symlink(parent.path(), parent.path().join("link")).unwrap();
        let paths = |path: &Path| vec![PathBuf::from("/no/such/path"), path.to_owned()];
        assert!(exposed(&paths(parent.path()), &data).is_some());
        assert!(exposed(&paths(&parent.path().join("link")), &data).is_some());
        assert!(exposed(&paths(&data), &data).is_some());
        assert_eq!(exposed(&paths(&data.join("deeper")), &data), None);
        assert_eq!(exposed(&paths(Path::new("/usr")), &data), None);
    }
}
