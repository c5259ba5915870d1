//! The system calls of the launcher that no safe crate offers. The only unsafe code of the native sandbox: each function is a thin
//! wrapper with the signature that makes it safe to call.

#![expect(unsafe_code, reason = "system calls without a safe wrapper; each says why it holds")]

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::{ffi::OsStrExt as _, process::CommandExt as _},
    },
    path::Path,
    process::Command,
};

use nix::{
    sched::CloneFlags,
    sys::{
        prctl,
        resource::{Resource, setrlimit},
    },
    unistd::Pid,
};

/// Flag of `close_range(2)`: mark instead of close. Source: `linux/close_range.h`.
const CLOSE_RANGE_CLOEXEC: libc::c_uint = 1 << 2;
/// Source: `linux/capability.h`.
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// In which of the two processes a [`fork`] has returned.
pub(super) enum Forked {
    Parent(Pid),
    Child,
}

/// Continues in a second process, which is in new namespaces of these kinds; without any, it is a plain fork.
///
/// Errors: those of `clone3(2)`, and `InvalidInput` where the process has threads.
pub(super) fn fork(namespaces: CloneFlags) -> io::Result<Forked> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the launcher has more than one thread"));
    }
    // SAFETY: all zeroes is a valid `clone_args`.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = u64::from(namespaces.bits().cast_unsigned());
    arguments.exit_signal = libc::SIGCHLD.cast_unsigned().into();
    // SAFETY: without CLONE_VM and without a stack this is `fork`: the child goes on with a copy of this memory. There is no other
    // thread (checked above) that could have left a lock taken or a structure half-written in that copy. `arguments` lives through
    // the call and its size is given.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>()) };
    match check(pid)? {
        0 => Ok(Forked::Child),
        pid => Ok(Forked::Parent(Pid::from_raw(i32::try_from(pid).map_err(io::Error::other)?))),
    }
}

/// Has every descriptor from `first` on closed by the next `exec`.
pub(super) fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: numbers only; marking changes no descriptor that this process uses.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, CLOSE_RANGE_CLOEXEC) }).map(drop)
}

/// A detached copy of the mounts at and below a path, by the rights of the caller at this moment.
pub(super) fn open_tree(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_RECURSIVE.cast_unsigned();
    // SAFETY: `path` ends with a zero and lives through the call.
    let fd = check(unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) })?;
    // SAFETY: the call has just made this descriptor, and nothing else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).map_err(io::Error::other)?) })
}

/// Takes rights away from a tree of [`open_tree`], with all mounts in it: `attributes` are `MOUNT_ATTR_*`.
pub(super) fn restrict_tree(tree: BorrowedFd<'_>, attributes: u64) -> io::Result<()> {
    let attributes = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
    let size = size_of::<libc::mount_attr>();
    // SAFETY: the path is empty and static, `attributes` lives through the call and its size is given.
    let done =
        unsafe { libc::syscall(libc::SYS_mount_setattr, tree.as_raw_fd(), c"".as_ptr(), flags, &raw const attributes, size) };
    check(done).map(drop)
}

/// Attaches a tree of [`open_tree`] at a path.
pub(super) fn attach_tree(tree: BorrowedFd<'_>, target: &Path) -> io::Result<()> {
    let target = CString::new(target.as_os_str().as_bytes())?;
    // SAFETY: both paths end with a zero and live through the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            target.as_ptr(),
            libc::MOVE_MOUNT_F_EMPTY_PATH,
        )
    };
    check(done).map(drop)
}

/// Limits what a program may reserve of memory, before it begins. This process itself has reserved more: its allocator is generous.
pub(super) fn limit_memory_of(program: &mut Command, bytes: u64) {
    // SAFETY: runs between `fork` and `exec` in a process of one thread, and makes a single system call.
    unsafe {
        program.pre_exec(move || Ok(setrlimit(Resource::RLIMIT_DATA, bytes, bytes)?));
    }
}

/// Has processes that lose their parent come to this program, which waits for them.
pub(super) fn adopt_orphans(program: &mut Command) {
    // SAFETY: as in `limit_memory_of`.
    unsafe {
        program.pre_exec(|| Ok(prctl::set_child_subreaper(true)?));
    }
}

/// Gives up every capability of this process.
pub(super) fn drop_capabilities() -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    let mut header = Header { version: CAPABILITY_VERSION_3, pid: 0 };
    // Two of effective, permitted, inheritable: version 3 has 64 bits of each.
    let none = [[0_u32; 3]; 2];
    // SAFETY: the two structures have the layout of version 3 (`linux/capability.h`) and live through the call.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw mut header, none.as_ptr()) }).map(drop)
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
