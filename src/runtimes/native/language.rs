//! A native language behind the interface of all languages: from a source, an input and limits to a plan, and from the end of the process to
//! an output or an error.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{
    InstallError, LanguageState, Shared, outcome,
    plan::{CODE_DIRECTORY, ENVIRONMENT_DIRECTORY, Ended, Exceeded, Isolation, Plan, ProcessLimits, WRITABLE_DIRECTORY},
    process::{self, Finished, Job, Outcome},
    slots::Slot,
    table::{LanguageSpec, PROGRAM_DIRECTORIES, Packages},
    waiting::Purpose,
    warm::{self, HOST, HOST_FILE, Host, HostJob, InputLimits},
};
use crate::{
    clock,
    model::ids::WorkspaceId,
    runtimes::{
        code::{Code, CodeError, CodeErrorCode, CodeInput, CodeLimits, CodeOutput, Usage},
        grants::Grants,
        languages::{self, CodeSession, GrantsOffered, Language, LanguageInfo},
        sandbox::MEMORY_BYTES_MAX,
    },
};

/// Bytes of a file system's block: files of a run are counted in it.
const BLOCK_BYTES: u64 = 4_096;
/// What a version run may use.
const VERSION_WALL_MS: u64 = 10_000;
const VERSION_BYTES_MAX: usize = 4 * 1024;
/// CPU time that each process of an interpreter that waits may have at most: what a node may ask for. The launcher looks after the rest.
const HOST_CPU_MS: u64 = 15 * 60_000;

/// One language whose interpreter is here.
pub(super) struct NativeLanguage {
    spec: LanguageSpec,
    program: PathBuf,
    shared: Arc<Shared>,
    /// What the interpreter says of itself, or why it does not start.
    version: OnceLock<Result<String, String>>,
}

impl NativeLanguage {
    pub(super) fn new(spec: LanguageSpec, program: PathBuf, shared: Arc<Shared>) -> Self {
        Self { spec, program, shared, version: OnceLock::new() }
    }

    pub(super) fn name(&self) -> &str {
        &self.spec.name
    }

    /// Whether interpreters of it wait for work.
    pub(super) fn is_kept_warm(&self) -> bool {
        self.spec.warm > 0
    }

    pub(super) fn state(&self) -> LanguageState {
        let version = self.version.get_or_init(|| self.find_version());
        let missing_packages = || self.environment().err().map(|error| error.to_string());
        LanguageState {
            name: self.spec.name.clone(),
            title: self.spec.title.clone(),
            version: version.as_ref().ok().cloned(),
            missing: version.as_ref().err().cloned().or_else(missing_packages),
        }
    }

    /// Starts interpreters until as many wait for a workspace as the settings want. Without namespaces there are none: each has its file
    /// in one.
    pub(super) fn warm_up(&self, workspace: WorkspaceId) {
        if let Ok(environment) = self.environment() {
            self.refill(self.purpose(workspace, environment));
        }
    }

    fn refill(&self, purpose: Purpose) {
        if self.shared.isolation != Isolation::Full || self.shared.cgroups.is_some() {
            return;
        }
        // As much as any work may use; what it really may is said when it comes.
        let limits = CodeLimits { memory_bytes: MEMORY_BYTES_MAX, cpu_ms: HOST_CPU_MS, ..CodeLimits::default() };
        let mut plan = self.plan(&limits, purpose.environment.as_deref(), HOST.to_owned(), None);
        HOST_FILE.clone_into(&mut plan.file);
        let own = format!("/{}", self.spec.file);
        for part in plan.command.iter_mut().filter(|part| part.ends_with(&own)) {
            *part = format!("{CODE_DIRECTORY}/{HOST_FILE}");
        }
        plan.command.extend(self.spec.preload.iter().cloned());
        plan.is_waiting = true;
        warm::refill(&self.shared.waiting, purpose, self.spec.warm, &self.shared.program, plan);
    }

    fn purpose(&self, workspace: WorkspaceId, environment: Option<PathBuf>) -> Purpose {
        Purpose { language: self.spec.name.clone(), workspace, environment }
    }

    pub(super) fn install(&self, tell: &mut dyn FnMut(&str)) -> Result<PathBuf, InstallError> {
        self.shared.environments.install(&self.spec, &self.program, tell)
    }

    pub(super) fn remove_packages(&self) -> Result<bool, InstallError> {
        self.shared.environments.remove(&self.spec.name)
    }

    /// The directory of its packages, if it has any.
    fn environment(&self) -> Result<Option<PathBuf>, InstallError> {
        self.shared.environments.find(&self.spec, &self.program)
    }

    fn find_version(&self) -> Result<String, String> {
        let limits = CodeLimits { wall_ms: VERSION_WALL_MS, ..CodeLimits::default() };
        let mut plan = self.plan(&limits, None, String::new(), None);
        plan.command = [path_text(&self.program)].into_iter().chain(self.spec.version.iter().cloned()).collect();
        plan.input_bytes = Some(0);
        let wall = Duration::from_millis(VERSION_WALL_MS);
        let job = Job { plan: &plan, input: &[], wall, stdout_bytes_max: VERSION_BYTES_MAX, stderr_bytes_max: VERSION_BYTES_MAX };
        let finished = process::run(&self.shared.program, &job).map_err(|error| error.to_string())?;
        let said = [&finished.stdout, &finished.stderr.bytes].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let line = said.iter().flat_map(|text| text.lines()).map(str::trim).find(|line| !line.is_empty());
        match (&finished.outcome, line) {
            (Outcome::Ended(Ended { exit_code: Some(0), .. }), Some(line)) => Ok(line.to_owned()),
            (outcome, line) => {
                let said = line.map_or_else(|| format!("{outcome:?}"), str::to_owned);
                Err(format!("{} does not start in the sandbox: {said}", self.program.display()))
            }
        }
    }

    /// What to run. `directory` is where the source lies under reduced isolation.
    fn plan(&self, limits: &CodeLimits, environment: Option<&Path>, source: String, directory: Option<&Path>) -> Plan {
        let isolation = self.shared.isolation;
        let code_directory = directory.filter(|_| isolation == Isolation::Reduced).unwrap_or(Path::new(CODE_DIRECTORY));
        let source_path = path_text(&code_directory.join(&self.spec.file));
        let memory_bytes = u64::try_from(limits.memory_bytes).unwrap_or(u64::MAX);
        let memory_mib = (memory_bytes >> 20).max(1).to_string();
        let filled = |part: &String| part.replace("{source}", &source_path).replace("{memory_mib}", &memory_mib);
        let mut command: Vec<String> = self.spec.command.iter().map(filled).collect();
        command[0] = path_text(&self.program);
        Plan {
            isolation,
            command,
            env: self.variables(environment),
            file: self.spec.file.clone(),
            source,
            source_directory: directory.map(Path::to_owned),
            paths: self.spec.paths.clone(),
            environment: environment.map(Path::to_owned),
            uid: self.shared.settings.uid,
            limits: ProcessLimits {
                cpu_ms: limits.cpu_ms,
                memory_bytes: memory_bytes.saturating_add(self.spec.resident_bytes),
                reserved_bytes: memory_bytes.saturating_add(self.spec.reserved_bytes),
                tasks_max: self.spec.tasks_max,
                disk_bytes: self.shared.settings.disk_bytes,
                disk_files_max: self.shared.settings.disk_bytes.div_ceil(BLOCK_BYTES),
            },
            cgroup: None,
            input_bytes: None,
            is_waiting: false,
        }
    }

    fn variables(&self, environment: Option<&Path>) -> Vec<(String, String)> {
        let mut variables = vec![
            ("PATH".to_owned(), PROGRAM_DIRECTORIES.join(":")),
            ("HOME".to_owned(), WRITABLE_DIRECTORY.to_owned()),
            ("TMPDIR".to_owned(), WRITABLE_DIRECTORY.to_owned()),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ];
        let packages = environment.zip(self.spec.packages).map(|(path, packages)| {
            let seen = match self.shared.isolation {
                Isolation::Full => Path::new(ENVIRONMENT_DIRECTORY),
                Isolation::Reduced => path,
            };
            match packages {
                Packages::Python => ("PYTHONPATH".to_owned(), path_text(seen)),
                Packages::Node => ("NODE_PATH".to_owned(), path_text(&seen.join("node_modules"))),
            }
        });
        variables.extend(packages);
        variables.extend(self.spec.env.clone());
        variables
    }

    /// Takes an interpreter that waits for the inputs of a session, if there is one; another one takes its place, or its workspace gets
    /// its first.
    fn take_host(&self, job: &Once<'_>) -> Option<Host> {
        if !self.is_kept_warm() {
            return None;
        }
        // Without its packages the run fails, and says why.
        let purpose = self.purpose(job.grants.workspace?, self.environment().ok()?);
        let waited = self.shared.waiting.take(&purpose);
        self.refill(purpose);
        let mut host = waited?;
        let plan = self.plan(&job.limits, None, String::new(), None);
        let env: Vec<(String, String)> = job.grants.env.clone().into_iter().collect();
        let path = format!("{CODE_DIRECTORY}/{}", self.spec.file);
        let host_job = HostJob {
            path: &path,
            source: job.source,
            env: &env,
            output_bytes: job.limits.output_bytes,
            reserved_bytes: plan.limits.reserved_bytes,
        };
        match host.prepare(&host_job, &plan.limits) {
            Ok(()) => Some(host),
            // It has ended while it waited: a fresh one does as well.
            Err(error) => {
                tracing::warn!(%error, language = self.spec.name, "an interpreter that waited for work is gone");
                None
            }
        }
    }

    /// Runs the code for one input in an interpreter that has waited.
    fn run_warm(&self, host: &mut Host, job: &Once<'_>) -> Result<(Finished, Instant), CodeError> {
        let started = Instant::now();
        let _slot = self.slot(job)?;
        let limits = InputLimits {
            wall: Duration::from_millis(job.limits.wall_ms).saturating_sub(started.elapsed()),
            output_bytes: job.limits.output_bytes,
            log_bytes: job.limits.log_bytes,
        };
        let finished = host.run(&job.input, limits);
        Ok((finished.map_err(|error| unavailable(format!("an interpreter failed: {error}")))?, started))
    }

    fn slot(&self, job: &Once<'_>) -> Result<Slot<'_>, CodeError> {
        let slot = self.shared.slots.take(Duration::from_millis(job.limits.wall_ms));
        slot.ok_or_else(|| unavailable("too many native processes are running"))
    }

    /// Runs the code once, in a process of its own.
    fn run_once(&self, job: &Once<'_>) -> Result<(Finished, Instant), CodeError> {
        let environment = self.environment().map_err(|error| unavailable(error.to_string()))?;
        let wall = Duration::from_millis(job.limits.wall_ms);
        let started = Instant::now();
        let _slot = self.slot(job)?;
        let source_directory = match self.shared.isolation {
            Isolation::Full => None,
            Isolation::Reduced => {
                let written = write_source(&self.spec.file, job.source);
                Some(written.map_err(|error| unavailable(format!("cannot write the source: {error}")))?)
            }
        };
        let directories = (environment.as_deref(), source_directory.as_ref().map(TempDir::path));
        let mut plan = self.plan(&job.limits, directories.0, job.source.to_owned(), directories.1);
        plan.env.extend(job.grants.env.clone());
        plan.input_bytes = Some(job.input.len());
        let cgroup = self.shared.cgroups.as_ref().map(|cgroups| cgroups.create(&plan.limits)).transpose();
        let cgroup = cgroup.map_err(|error| unavailable(format!("cannot make a control group: {error}")))?;
        plan.cgroup = cgroup.as_ref().map(|cgroup| cgroup.directory.clone());
        let work = Job {
            plan: &plan,
            input: &job.input,
            wall: wall.saturating_sub(started.elapsed()),
            stdout_bytes_max: job.limits.output_bytes,
            stderr_bytes_max: job.limits.log_bytes,
        };
        let mut finished = process::run(&self.shared.program, &work)
            .map_err(|error| unavailable(format!("the launcher of native processes failed: {error}")))?;
        if let (Outcome::Ended(ended), Some(cgroup)) = (&mut finished.outcome, &cgroup)
            && cgroup.has_run_out_of_memory()
        {
            ended.exceeded = Some(Exceeded::Memory);
        }
        Ok((finished, started))
    }
}

/// One run of a session.
struct Once<'a> {
    source: &'a str,
    input: Vec<u8>,
    limits: CodeLimits,
    grants: &'a Grants,
}

impl Language for NativeLanguage {
    fn info(&self) -> LanguageInfo {
        // Known once somebody has asked for the state: starting every interpreter takes too long here.
        let version = self.version.get().cloned().unwrap_or_else(|| Ok(String::new()));
        let mut notes = vec!["reads its input as JSON from standard input and writes its output to standard output".to_owned()];
        notes.extend(version.as_ref().err().cloned());
        notes.extend(self.environment().err().map(|error| error.to_string()));
        LanguageInfo {
            name: self.spec.name.clone(),
            title: self.spec.title.clone(),
            version: version.unwrap_or_default(),
            isolation: match self.shared.isolation {
                Isolation::Full => languages::Isolation::Process,
                Isolation::Reduced => languages::Isolation::ProcessReduced,
            },
            grants: GrantsOffered { env: true, network: false },
            notes,
        }
    }

    fn session<'a>(&'a self, code: &'a Code, limits: CodeLimits, grants: &'a Grants) -> Box<dyn CodeSession + 'a> {
        Box::new(NativeSession { language: self, code, limits, grants, left: limits, used: None, host: None, is_begun: false })
    }
}

/// The runs of one code. Each is a process of its own; wall and CPU time are for all of them together.
struct NativeSession<'a> {
    language: &'a NativeLanguage,
    code: &'a Code,
    limits: CodeLimits,
    grants: &'a Grants,
    /// What is left of the limits.
    left: CodeLimits,
    /// What its runs have used.
    used: Option<Usage>,
    /// An interpreter that has waited for this session.
    host: Option<Host>,
    is_begun: bool,
}

impl CodeSession for NativeSession<'_> {
    fn run(&mut self, input: CodeInput<'_>) -> Result<CodeOutput, CodeError> {
        let job = Once { source: self.code.source(), input: input.to_json(), limits: self.left, grants: self.grants };
        if !self.is_begun {
            self.host = self.language.take_host(&job);
            self.is_begun = true;
        }
        let is_warm = self.host.is_some();
        let ran = match &mut self.host {
            Some(host) => self.language.run_warm(host, &job),
            None => self.language.run_once(&job),
        };
        // Errors name the limits that were set, not what was left of them.
        let result = ran.and_then(|(finished, started)| {
            let concluded = outcome::conclude(&self.language.spec, &self.limits, finished, !is_warm, clock::now_ms());
            concluded.map(|output| (output, started.elapsed()))
        });
        match result {
            Ok((mut output, elapsed)) => {
                let cpu = Duration::from_secs_f64(output.usage.cpu_ms / 1_000.0);
                self.left.wall_ms = self.left.wall_ms.saturating_sub(milliseconds(elapsed));
                self.left.cpu_ms = self.left.cpu_ms.saturating_sub(milliseconds(cpu));
                output.usage = output.usage.after(self.used);
                self.used = Some(output.usage);
                Ok(output)
            }
            Err(mut error) => {
                error.usage = error.usage.map(|usage| usage.after(self.used)).or(self.used);
                self.used = error.usage;
                // A sandbox that broke is replaced by a fresh one, with fresh limits.
                (self.host, self.is_begun, self.left) = (None, false, self.limits);
                Err(error)
            }
        }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Writes the source where any user can read it, since there is no file system of the sandbox's own.
fn write_source(file: &str, source: &str) -> io::Result<TempDir> {
    let directory = tempfile::Builder::new().prefix("citadel-code-").permissions(Permissions::from_mode(0o755)).tempdir()?;
    fs::write(directory.path().join(file), source)?;
    Ok(directory)
}

fn unavailable(message: impl Into<String>) -> CodeError {
    CodeError::new(CodeErrorCode::Unavailable, message)
}

fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
