//! The first process of a sandbox: makes its file system, gives up everything, starts the user's program and waits for it. In a
//! process namespace it is process 1: when it ends, the kernel ends all that is left in there.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::{fd::OwnedFd, unix::process::CommandExt as _, unix::process::ExitStatusExt as _},
    path::Path,
    process::{Command, ExitStatus, Stdio},
};

use nix::{
    sys::{
        prctl,
        resource::{UsageWho, getrusage},
        signal::{Signal, kill},
        stat::{Mode, umask},
        time::TimeValLike as _,
        wait::{WaitStatus, waitpid},
    },
    unistd::{Gid, Pid, Uid, setgroups, sethostname, setresgid, setresuid},
};

use super::{
    super::plan::{Ended, Isolation, Plan, Report, WRITABLE_DIRECTORY, Walls},
    Attempt as _, Refusal, confine,
    files::{self, INNER_ID},
    sys,
};

/// What the first process is given.
pub(super) struct Birth {
    pub(super) plan: Plan,
    /// Says one byte when the parent has prepared everything; its end says that the parent is gone.
    pub(super) go: File,
    /// Takes the report.
    pub(super) report: File,
    pub(super) input: Option<File>,
    pub(super) is_root: bool,
}

/// Runs the program of the plan and reports how it ended.
pub(super) fn live(mut birth: Birth) {
    if birth.go.read_exact(&mut [0]).is_err() {
        return;
    }
    let report = match run(&birth.plan, birth.input.take(), birth.is_root) {
        Ok(ended) => Report::Ended(ended),
        Err(refusal) => refusal.into_report(),
    };
    let text = serde_json::to_vec(&report).expect("a report is plain data");
    // Nobody listens any more: nothing is left to do.
    let _ = birth.report.write_all(&text);
}

fn run(plan: &Plan, input: Option<File>, is_root: bool) -> Result<Ended, Refusal> {
    umask(Mode::from_bits_truncate(0o022));
    let (tasks_before, has_proc) = match plan.isolation {
        Isolation::Full => {
            let pieces = files::take_hold(plan)?;
            leave_groups(is_root)?;
            become_user(INNER_ID)?;
            let has_proc = files::enter(plan, pieces)?;
            sethostname("sandbox").attempt("name the host")?;
            // Of this user namespace, and this process is its only one.
            (1, has_proc)
        }
        Isolation::Reduced => {
            if is_root {
                leave_groups(is_root)?;
                become_user(plan.uid)?;
            }
            (confine::tasks_of(Uid::current().as_raw()), false)
        }
    };
    prctl::set_dumpable(false).attempt("hide from other processes")?;
    // After the change of the user, which forgets it.
    prctl::set_pdeathsig(Signal::SIGKILL).attempt("end with the launcher")?;
    prctl::set_no_new_privs().attempt("give up new privileges")?;
    let landlock = confine::confine(plan, tasks_before)?;
    let walls = Walls { landlock, has_proc };
    match plan.command.split_first() {
        Some((program, arguments)) => start(plan, program, arguments, input, walls),
        None => Ok(Ended { exit_code: Some(0), signal: None, exceeded: None, cpu_ms: 0.0, memory_peak_bytes: 0, walls }),
    }
}

/// Root's groups open files of the machine: a process that kept them would be more than its user. Others have no right to set
/// groups, and keep their own, which are those of the engine's user.
fn leave_groups(is_root: bool) -> Result<(), Refusal> {
    match setgroups(&[]) {
        Err(error) if is_root => Err(Refusal::new("leave the groups of root", error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn become_user(id: u32) -> Result<(), Refusal> {
    let (user, group) = (Uid::from_raw(id), Gid::from_raw(id));
    setresgid(group, group, group).attempt("change the group")?;
    setresuid(user, user, user).attempt("change the user")
}

fn start(plan: &Plan, program: &str, arguments: &[String], input: Option<File>, walls: Walls) -> Result<Ended, Refusal> {
    let directory = match (plan.isolation, &plan.source_directory) {
        (Isolation::Full, _) => Path::new(WRITABLE_DIRECTORY),
        (Isolation::Reduced, Some(directory)) => directory,
        (Isolation::Reduced, None) => Path::new("/"),
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(plan.env.iter().map(|(name, value)| (name, value)))
        .current_dir(directory)
        .stdin(input.map_or_else(Stdio::null, |input| Stdio::from(OwnedFd::from(input))))
        .process_group(0);
    sys::limit_memory_of(&mut command, plan.limits.reserved_bytes);
    if plan.is_waiting {
        // It tells what each of its runs has used, with all that these have started.
        sys::adopt_orphans(&mut command);
    }
    let child = command.spawn().attempt(&format!("start {program}"))?;
    let program = Pid::from_raw(child.id().cast_signed());
    let status = wait_for(program)?;
    if plan.isolation == Isolation::Full {
        // As process 1: all others of this namespace, and none outside. What they have used counts.
        let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
        while waitpid(None, None).is_ok() {}
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).attempt("read what was used")?;
    let cpu_us = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Ended {
        exit_code: status.code(),
        signal: status.signal(),
        exceeded: None,
        cpu_ms: std::time::Duration::from_micros(cpu_us.unsigned_abs()).as_secs_f64() * 1_000.0,
        memory_peak_bytes: usage.max_rss().unsigned_abs() * 1_024,
        walls,
    })
}

/// Waits for the program; takes away the orphans that come to this process meanwhile.
fn wait_for(program: Pid) -> Result<ExitStatus, Refusal> {
    loop {
        let status = waitpid(None, None).attempt("wait for the program")?;
        match status {
            WaitStatus::Exited(process, code) if process == program => return Ok(ExitStatus::from_raw(code << 8)),
            WaitStatus::Signaled(process, signal, _) if process == program => return Ok(ExitStatus::from_raw(signal as i32)),
            // An orphan, or a state that we did not ask for.
            _ => {}
        }
    }
}
