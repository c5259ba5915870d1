//! What a process gives up for good before it becomes the user's program: paths (Landlock), resources, capabilities, system calls.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, Scope,
};
use nix::sys::resource::{Resource, setrlimit};

use super::{
    super::plan::{Isolation, Plan, WRITABLE_DIRECTORY},
    Attempt as _, Refusal, calls,
    files::DEVICES,
    sys,
};

/// The newest rules that we know; older kernels enforce those that they know.
const LANDLOCK: ABI = ABI::V6;
/// The oldest version that is enough where it is the only wall: it keeps signals inside (Linux 6.12).
const LANDLOCK_ALONE: u32 = 6;
/// Open files of one process. What pairs of sockets and pipes hold counts for nobody, so there are not too many.
const OPEN_FILES_MAX: u64 = 256;
/// CPU seconds that a process may have beyond the limit of all: that one is looked after from outside, this one is the fallback.
const CPU_SLACK_SECONDS: u64 = 1;

/// Gives up everything. `tasks_before` is how many tasks of this user are there already. Says which version of Landlock is enforced.
pub(super) fn confine(plan: &Plan, tasks_before: u64) -> Result<Option<u32>, Refusal> {
    limit_resources(plan, tasks_before)?;
    let landlock = restrict_paths(plan)?;
    sys::drop_capabilities().attempt("give up capabilities")?;
    calls::restrict()?;
    Ok(landlock)
}

fn limit_resources(plan: &Plan, tasks_before: u64) -> Result<(), Refusal> {
    let limits = &plan.limits;
    let cpu_seconds = limits.cpu_ms.div_ceil(1_000) + CPU_SLACK_SECONDS;
    let disk_bytes = match plan.isolation {
        Isolation::Full => limits.disk_bytes,
        // It can write to no directory; this holds for what it may have been given open.
        Isolation::Reduced => 0,
    };
    let wanted = [
        (Resource::RLIMIT_CPU, cpu_seconds),
        (Resource::RLIMIT_NPROC, tasks_before + limits.tasks_max),
        (Resource::RLIMIT_FSIZE, disk_bytes),
        (Resource::RLIMIT_NOFILE, OPEN_FILES_MAX),
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_MEMLOCK, 0),
        (Resource::RLIMIT_MSGQUEUE, 0),
        (Resource::RLIMIT_SIGPENDING, limits.tasks_max),
    ];
    for (resource, value) in wanted {
        setrlimit(resource, value, value).attempt("limit resources")?;
    }
    Ok(())
}

fn restrict_paths(plan: &Plan) -> Result<Option<u32>, Refusal> {
    let handled = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LANDLOCK))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(LANDLOCK)))
        .and_then(|rules| rules.scope(Scope::from_all(LANDLOCK)))
        .and_then(Ruleset::create);
    let mut rules = handled.attempt("make Landlock rules")?;
    let read = AccessFs::from_read(LANDLOCK);
    let device = AccessFs::ReadFile | AccessFs::WriteFile;
    let mut grants: Vec<(PathBuf, BitFlags<AccessFs>)> = DEVICES.map(|path| (PathBuf::from(path), device)).into();
    match plan.isolation {
        // This `/` is the sandbox's own.
        Isolation::Full => grants.extend([(PathBuf::from("/"), read), (PathBuf::from(WRITABLE_DIRECTORY), writable())]),
        Isolation::Reduced => {
            let directories = plan.paths.iter().chain(&plan.environment).chain(&plan.source_directory);
            grants.extend(directories.map(|path| (path.clone(), read)));
        }
    }
    for (path, access) in grants {
        // Not all machines have all paths.
        let Ok(fd) = PathFd::new(&path) else { continue };
        let access = if path.is_dir() { access } else { access & AccessFs::from_file(LANDLOCK) };
        rules = rules.add_rule(PathBeneath::new(fd, access)).attempt("allow a path")?;
    }
    let status = rules.restrict_self().attempt("enforce Landlock rules")?;
    let version = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => u32::try_from(effective_abi as i32).ok(),
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => None,
    };
    // With a file system of its own Landlock is the second wall.
    if plan.isolation == Isolation::Reduced && version < Some(LANDLOCK_ALONE) {
        let found = version.map_or("none".to_owned(), |version| format!("version {version}"));
        return Err(Refusal::new("enforce Landlock rules", format!("version {LANDLOCK_ALONE} is needed, here is {found}")));
    }
    Ok(version)
}

/// All but devices.
fn writable() -> BitFlags<AccessFs> {
    AccessFs::from_all(LANDLOCK) & !(AccessFs::MakeChar | AccessFs::MakeBlock)
}

/// How many tasks a user has in the whole machine, as far as can be seen.
pub(super) fn tasks_of(uid: u32) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(entries) = std::fs::read_dir("/proc") else { return 0 };
    let own = entries.flatten().filter(|entry| entry.metadata().is_ok_and(|status| status.uid() == uid));
    let tasks = own.filter_map(|entry| Some(super::watch::Status::read(process_of(&entry.path())?)?.threads));
    tasks.sum()
}

fn process_of(path: &Path) -> Option<i32> {
    path.file_name()?.to_str()?.parse().ok()
}
