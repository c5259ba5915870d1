//! The launcher of native processes: this program, run again by the engine ([`super::process`]) with [`ARGUMENT`], in a process that has
//! one thread and nothing to lose.
//!
//! ```text
//! engine ──control socket──> launcher ──clone──> first process ──exec──> the user's program
//!                            watches, kills       makes the sandbox        and what it starts
//! ```
//!
//! The launcher stays outside of the sandbox: it looks at what all processes inside use together, and ends them when the engine says so,
//! when the engine is gone, or when they exceed a limit. It must never run anything of the user's, nor trust a word from inside.

mod calls;
mod confine;
mod files;
mod first;
mod sys;
mod watch;

use std::{
    fmt::Display,
    fs::{self, File},
    io::{self, Read, Seek as _, Write as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    process::ExitCode,
};

use nix::{
    fcntl::OFlag,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sched::CloneFlags,
    sys::{
        memfd::{MFdFlags, memfd_create},
        signal::{Signal, kill},
        wait::waitpid,
    },
    unistd::{Gid, Pid, Uid, pipe2},
};

use serde::de::DeserializeOwned;

use self::{first::Birth, sys::Forked, watch::Watch};
use super::plan::{Ended, Exceeded, Isolation, PLAN_BYTES_MAX, Plan, Report, Walls};

/// The first argument of a launcher. No command of the command line: those are for people.
pub const ARGUMENT: &str = "native-launcher";
/// The highest: `proc_pid_oom_score_adj(5)`.
const OOM_SCORE: &str = "1000";
/// Largest report of the first process in bytes.
const REPORT_BYTES_MAX: u64 = 64 * 1024;

/// Runs the launcher if this process has been started as one. The first thing in `main`, before there are threads.
pub fn intercept() -> Option<ExitCode> {
    (std::env::args_os().nth(1)? == ARGUMENT).then(launch)
}

/// Why no sandbox could be made.
#[derive(Debug)]
struct Refusal {
    attempt: String,
    detail: String,
}

impl Refusal {
    fn new(attempt: impl Into<String>, detail: impl Display) -> Self {
        Self { attempt: attempt.into(), detail: detail.to_string() }
    }

    fn into_report(self) -> Report {
        Report::Refused { attempt: self.attempt, detail: self.detail }
    }
}

/// Says what was attempted where something fails.
trait Attempt<T> {
    fn attempt(self, what: &str) -> Result<T, Refusal>;
}

impl<T, E: Display> Attempt<T> for Result<T, E> {
    fn attempt(self, what: &str) -> Result<T, Refusal> {
        self.map_err(|error| Refusal::new(what, error))
    }
}

fn launch() -> ExitCode {
    let Ok(control) = io::stdin().as_fd().try_clone_to_owned() else { return ExitCode::FAILURE };
    let control = UnixStream::from(control);
    let report = match supervise(&control) {
        Ok(Some(report)) => report,
        Ok(None) => return ExitCode::SUCCESS,
        Err(refusal) => refusal.into_report(),
    };
    let text = serde_json::to_vec(&report).expect("a report is plain data");
    match (&control).write_all(&text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Reads the plan, runs it and tells how it ended; nothing in the first process, which comes back from here too.
fn supervise(control: &UnixStream) -> Result<Option<Report>, Refusal> {
    sys::close_on_exec_from(3).attempt("keep descriptors private")?;
    let plan: Plan = read_message(control).attempt("read the plan")?;
    let input = plan.input_bytes.map(|bytes| read_input(control, bytes)).transpose()?;
    let (go_read, go_write) = pipe2(OFlag::O_CLOEXEC).attempt("make a pipe")?;
    let (report_read, report_write) = pipe2(OFlag::O_CLOEXEC).attempt("make a pipe")?;
    let is_root = Uid::effective().is_root();
    let namespaces = match plan.isolation {
        Isolation::Full => all_namespaces(),
        Isolation::Reduced => {
            // What loses its parent comes to the launcher, so that none gets away.
            nix::sys::prctl::set_child_subreaper(true).attempt("adopt processes")?;
            CloneFlags::empty()
        }
    };
    let first = match sys::fork(namespaces).attempt("make namespaces (user, mount, process, network)")? {
        Forked::Parent(first) => first,
        Forked::Child => {
            // This end would keep the parent's alive.
            drop((go_write, report_read));
            first::live(Birth { plan, go: go_read.into(), report: report_write.into(), input, is_root });
            return Ok(None);
        }
    };
    drop((go_read, report_write, input));
    let prepared = prepare(&plan, first, is_root).and_then(|()| File::from(go_write).write_all(&[1]).attempt("start"));
    if let Err(refusal) = prepared {
        end(&plan, first);
        return Err(refusal);
    }
    let mut watch = Watch::default();
    let exceeded = watch_over(&plan, first, control, &report_read, &mut watch)?;
    end(&plan, first);
    let mut text = Vec::new();
    File::from(report_read).take(REPORT_BYTES_MAX).read_to_end(&mut text).attempt("read the report")?;
    Ok(Some(conclude(&text, exceeded, &watch)))
}

fn all_namespaces() -> CloneFlags {
    CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP
}

/// A message of the engine: the plan, later perhaps limits.
fn read_message<T: DeserializeOwned>(mut control: &UnixStream) -> io::Result<T> {
    let mut length = [0; 4];
    control.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > PLAN_BYTES_MAX {
        return Err(io::Error::other(format!("it has {length} bytes, more than {PLAN_BYTES_MAX}")));
    }
    let mut text = vec![0; length];
    control.read_exact(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// The input as a file without a name: the program may read it at its leisure, or not at all.
fn read_input(control: &UnixStream, bytes: usize) -> Result<File, Refusal> {
    let mut file = File::from(memfd_create("input", MFdFlags::MFD_CLOEXEC).attempt("keep the input")?);
    let wanted = u64::try_from(bytes).unwrap_or(u64::MAX);
    let copied = io::copy(&mut control.take(wanted), &mut file).attempt("keep the input")?;
    if copied != wanted {
        return Err(Refusal::new("read the input", "the engine is gone"));
    }
    file.rewind().attempt("keep the input")?;
    // For reading only, so that the program cannot use it as memory that nobody counts.
    File::open(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file))).attempt("keep the input")
}

/// What only the parent of the first process can do for it.
fn prepare(plan: &Plan, first: Pid, is_root: bool) -> Result<(), Refusal> {
    // Where the machine runs out of memory, these go first. Best effort: it changes nothing that is promised.
    let _ = fs::write(format!("/proc/{first}/oom_score_adj"), OOM_SCORE);
    if let Some(cgroup) = &plan.cgroup {
        fs::write(cgroup.join("cgroup.procs"), first.to_string()).attempt("enter the cgroup")?;
    }
    if plan.isolation == Isolation::Reduced {
        return Ok(());
    }
    let (uid, gid) = if is_root { (plan.uid, plan.uid) } else { (Uid::effective().as_raw(), Gid::effective().as_raw()) };
    let process = format!("/proc/{first}");
    if !is_root {
        fs::write(format!("{process}/setgroups"), "deny").attempt("map the user")?;
    }
    let inner = files::INNER_ID;
    fs::write(format!("{process}/gid_map"), format!("{inner} {gid} 1")).attempt("map the group")?;
    fs::write(format!("{process}/uid_map"), format!("{inner} {uid} 1")).attempt("map the user")
}

/// Waits until the first process ends, the engine wants an end, or a limit is exceeded.
fn watch_over(
    plan: &Plan,
    first: Pid,
    control: &UnixStream,
    report: &OwnedFd,
    watch: &mut Watch,
) -> Result<Option<Exceeded>, Refusal> {
    let (mut limits, mut is_waiting) = (plan.limits, plan.is_waiting);
    loop {
        // What waits for work runs nothing of the user's.
        let pause = PollTimeout::try_from(if is_waiting { watch::SAMPLE_WAITING } else { watch::SAMPLE }).attempt("wait")?;
        let mut ready = [PollFd::new(report.as_fd(), PollFlags::POLLIN), PollFd::new(control.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ready, pause) {
            // A report, or its end.
            Ok(1..) if ready[0].any() != Some(false) => return Ok(None),
            // A word from the engine, or its end.
            Ok(1..) => match read_message(control) {
                Ok(changed) => {
                    watch.sample(first, &limits);
                    watch.begin_to_count();
                    (limits, is_waiting) = (changed, false);
                }
                Err(_) => return Ok(None),
            },
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(Refusal::new("wait", error)),
        }
        if let Some(exceeded) = watch.sample(first, &limits) {
            return Ok(Some(exceeded));
        }
    }
}

/// Ends the first process and everything that came from it.
fn end(plan: &Plan, first: Pid) {
    match plan.isolation {
        Isolation::Full => {
            let _ = kill(first, Signal::SIGKILL);
        }
        // Again until none is left: one may be born while others end. Those of a dead parent have become ours.
        Isolation::Reduced => {
            let own = std::process::id().cast_signed();
            loop {
                let alive: Vec<i32> = watch::tree(own, plan.limits.tasks_max).into_iter().skip(1).collect();
                if alive.is_empty() {
                    return;
                }
                for process in alive {
                    let _ = kill(Pid::from_raw(process), Signal::SIGKILL);
                }
                let _ = waitpid(None, None);
            }
        }
    }
    let _ = waitpid(first, None);
}

/// What the engine is told, of what the first process has said and of what was seen from outside.
fn conclude(text: &[u8], exceeded: Option<Exceeded>, watch: &Watch) -> Report {
    let seen = Ended {
        exit_code: None,
        signal: None,
        exceeded,
        cpu_ms: std::time::Duration::from_millis(watch.cpu_ms).as_secs_f64() * 1_000.0,
        memory_peak_bytes: watch.memory_peak_bytes,
        walls: Walls::default(),
    };
    match serde_json::from_slice(text) {
        Ok(Report::Ended(ended)) => Report::Ended(Ended {
            exceeded,
            cpu_ms: ended.cpu_ms.max(seen.cpu_ms),
            // The kernel's figure has the launcher in it, which each process was before it became the program: only where it ended
            // before it was looked at.
            memory_peak_bytes: if watch.memory_peak_bytes == 0 { ended.memory_peak_bytes } else { watch.memory_peak_bytes },
            ..ended
        }),
        Ok(refused @ Report::Refused { .. }) => refused,
        Err(_) => Report::Ended(seen),
    }
}
