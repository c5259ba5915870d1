//! The system calls that a sandboxed process may make. What is not listed does not exist (`ENOSYS`), so that programs take another
//! way, as they do on older kernels; what is refused on purpose says so (`EPERM`).

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use super::{Attempt as _, Refusal};

/// The bits of `clone` that make namespaces. `clone3` hides its flags behind a pointer, so that one does not exist.
const CLONE_NAMESPACES: i32 = libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWUTS;

/// Files, memory, time, signals, processes of one's own. No sockets but pairs, no memory outside of what is counted (`memfd_create`,
/// System V), no rights of a supervisor.
#[rustfmt::skip]
const ALLOWED: &[libc::c_long] = &[
    libc::SYS_brk, libc::SYS_capget, libc::SYS_chdir, libc::SYS_clock_getres, libc::SYS_clock_gettime, libc::SYS_clock_nanosleep,
    libc::SYS_close, libc::SYS_close_range, libc::SYS_copy_file_range, libc::SYS_dup, libc::SYS_dup3, libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl, libc::SYS_epoll_pwait, libc::SYS_epoll_pwait2, libc::SYS_eventfd2, libc::SYS_execve, libc::SYS_execveat,
    libc::SYS_exit, libc::SYS_exit_group, libc::SYS_faccessat, libc::SYS_faccessat2, libc::SYS_fadvise64, libc::SYS_fallocate,
    libc::SYS_fchdir, libc::SYS_fchmod, libc::SYS_fchmodat, libc::SYS_fchown, libc::SYS_fchownat, libc::SYS_fcntl,
    libc::SYS_fdatasync, libc::SYS_flock, libc::SYS_fstat, libc::SYS_fstatfs, libc::SYS_fsync, libc::SYS_ftruncate,
    libc::SYS_futex, libc::SYS_get_robust_list, libc::SYS_getcpu, libc::SYS_getcwd, libc::SYS_getdents64, libc::SYS_getegid,
    libc::SYS_geteuid, libc::SYS_getgid, libc::SYS_getgroups, libc::SYS_getitimer, libc::SYS_getpgid, libc::SYS_getpid,
    libc::SYS_getppid, libc::SYS_getpriority, libc::SYS_getrandom, libc::SYS_getresgid, libc::SYS_getresuid, libc::SYS_getrusage,
    libc::SYS_getsid, libc::SYS_gettid, libc::SYS_gettimeofday, libc::SYS_getuid, libc::SYS_getxattr, libc::SYS_fgetxattr,
    libc::SYS_lgetxattr, libc::SYS_inotify_add_watch, libc::SYS_inotify_init1, libc::SYS_inotify_rm_watch, libc::SYS_ioctl,
    libc::SYS_kill, libc::SYS_linkat, libc::SYS_listxattr, libc::SYS_lseek, libc::SYS_madvise, libc::SYS_membarrier,
    libc::SYS_mincore, libc::SYS_mkdirat, libc::SYS_mlock, libc::SYS_mprotect, libc::SYS_mremap, libc::SYS_msync,
    libc::SYS_munlock, libc::SYS_munmap, libc::SYS_nanosleep, libc::SYS_newfstatat, libc::SYS_openat, libc::SYS_openat2,
    libc::SYS_pidfd_open, libc::SYS_pidfd_send_signal, libc::SYS_pipe2, libc::SYS_ppoll, libc::SYS_prctl, libc::SYS_pread64,
    libc::SYS_preadv, libc::SYS_preadv2, libc::SYS_pselect6, libc::SYS_pwrite64, libc::SYS_pwritev,
    libc::SYS_pwritev2, libc::SYS_read, libc::SYS_readahead, libc::SYS_readlinkat, libc::SYS_readv, libc::SYS_recvfrom,
    libc::SYS_recvmmsg, libc::SYS_recvmsg, libc::SYS_renameat, libc::SYS_renameat2, libc::SYS_restart_syscall, libc::SYS_rseq,
    libc::SYS_rt_sigaction, libc::SYS_rt_sigpending, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigsuspend, libc::SYS_rt_sigtimedwait, libc::SYS_rt_tgsigqueueinfo, libc::SYS_sched_get_priority_max,
    libc::SYS_sched_get_priority_min, libc::SYS_sched_getaffinity, libc::SYS_sched_getattr, libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler, libc::SYS_sched_rr_get_interval, libc::SYS_sched_yield,
    libc::SYS_seccomp, libc::SYS_sendfile, libc::SYS_sendmmsg, libc::SYS_sendmsg, libc::SYS_sendto, libc::SYS_set_robust_list,
    libc::SYS_set_tid_address, libc::SYS_setitimer, libc::SYS_setpgid, libc::SYS_setsid,
    libc::SYS_shutdown, libc::SYS_sigaltstack, libc::SYS_splice, libc::SYS_statfs, libc::SYS_statx, libc::SYS_symlinkat,
    libc::SYS_sysinfo, libc::SYS_tgkill, libc::SYS_timer_create, libc::SYS_timer_delete,
    libc::SYS_timer_getoverrun, libc::SYS_timer_gettime, libc::SYS_timer_settime, libc::SYS_timerfd_create,
    libc::SYS_timerfd_gettime, libc::SYS_timerfd_settime, libc::SYS_times, libc::SYS_tkill, libc::SYS_truncate, libc::SYS_umask,
    libc::SYS_uname, libc::SYS_unlinkat, libc::SYS_utimensat, libc::SYS_wait4, libc::SYS_waitid,
    libc::SYS_write, libc::SYS_writev,
];

/// Older forms of the same, which newer architectures do not have.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const ALLOWED_HERE: &[libc::c_long] = &[
    libc::SYS_access, libc::SYS_alarm, libc::SYS_arch_prctl, libc::SYS_chmod, libc::SYS_chown, libc::SYS_creat, libc::SYS_dup2,
    libc::SYS_epoll_create, libc::SYS_epoll_wait, libc::SYS_eventfd, libc::SYS_fork, libc::SYS_futimesat, libc::SYS_getdents,
    libc::SYS_getpgrp, libc::SYS_getrlimit, libc::SYS_inotify_init, libc::SYS_lchown, libc::SYS_link, libc::SYS_lstat,
    libc::SYS_mkdir, libc::SYS_open, libc::SYS_pause, libc::SYS_pipe, libc::SYS_poll, libc::SYS_readlink, libc::SYS_rename,
    libc::SYS_rmdir, libc::SYS_select, libc::SYS_setrlimit, libc::SYS_stat, libc::SYS_symlink, libc::SYS_time, libc::SYS_unlink,
    libc::SYS_utime, libc::SYS_utimes, libc::SYS_vfork,
];
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_HERE: &[libc::c_long] = &[];

/// What code that means harm, or has lost its way, tries first.
#[rustfmt::skip]
const REFUSED: &[libc::c_long] = &[
    libc::SYS_accept, libc::SYS_accept4, libc::SYS_add_key, libc::SYS_bind, libc::SYS_bpf, libc::SYS_chroot, libc::SYS_connect,
    libc::SYS_fsopen, libc::SYS_keyctl, libc::SYS_listen, libc::SYS_mount, libc::SYS_move_mount, libc::SYS_open_tree,
    libc::SYS_perf_event_open, libc::SYS_pivot_root, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev, libc::SYS_ptrace,
    libc::SYS_request_key, libc::SYS_setns, libc::SYS_socket, libc::SYS_umount2, libc::SYS_unshare, libc::SYS_userfaultfd,
];

/// Puts the list into force for this process and all that it starts. Nothing takes it back.
pub(super) fn restrict() -> Result<(), Refusal> {
    // The one that was put into force last wins where both refuse.
    for filter in [allowed()?, refused()?] {
        seccompiler::apply_filter(&filter).attempt("filter system calls")?;
    }
    Ok(())
}

fn allowed() -> Result<BpfProgram, Refusal> {
    let mut rules: Vec<(i64, Vec<SeccompRule>)> = ALLOWED.iter().chain(ALLOWED_HERE).map(|call| (*call, Vec::new())).collect();
    let no_namespaces = masked(0, CLONE_NAMESPACES, 0)?;
    rules.push((libc::SYS_clone, vec![no_namespaces]));
    // Of itself only: without namespaces, other processes of the same user are in reach, the engine among them.
    for call in [libc::SYS_prlimit64, libc::SYS_sched_setaffinity] {
        rules.push((call, vec![masked(0, -1, 0)?]));
    }
    // Memory that is shared and has no file would count for nobody: either is fine, both are not.
    let both = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    let mappings = [0, libc::MAP_SHARED, libc::MAP_ANONYMOUS].map(|value| masked(3, both, value));
    rules.push((libc::SYS_mmap, mappings.into_iter().collect::<Result<_, _>>()?));
    // A pair within the process; other sockets are refused.
    rules.push((libc::SYS_socketpair, vec![masked(0, -1, libc::AF_UNIX)?]));
    compile(rules, SeccompAction::Errno(errno(libc::ENOSYS)), SeccompAction::Allow)
}

fn refused() -> Result<BpfProgram, Refusal> {
    let rules = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    compile(rules, SeccompAction::Allow, SeccompAction::Errno(errno(libc::EPERM)))
}

fn masked(argument: u8, mask: i32, value: i32) -> Result<SeccompRule, Refusal> {
    let operator = SeccompCmpOp::MaskedEq(u64::from(mask.cast_unsigned()));
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, u64::from(value.cast_unsigned()));
    condition.and_then(|condition| SeccompRule::new(vec![condition])).attempt("filter system calls")
}

fn compile(rules: Vec<(i64, Vec<SeccompRule>)>, other: SeccompAction, listed: SeccompAction) -> Result<BpfProgram, Refusal> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH).attempt("filter system calls on this processor")?;
    let filter = SeccompFilter::new(rules.into_iter().collect(), other, listed, architecture);
    filter.and_then(BpfProgram::try_from).attempt("filter system calls")
}

fn errno(number: i32) -> u32 {
    number.cast_unsigned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn compiles_and_lists_nothing_twice() {
        allowed().unwrap();
        refused().unwrap();
        let all: Vec<_> = ALLOWED.iter().chain(ALLOWED_HERE).chain(REFUSED).collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }
}
