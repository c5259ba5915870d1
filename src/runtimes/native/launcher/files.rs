//! The file system of a sandboxed process: made of single paths of the machine, read-only, with a small `/tmp` of its own. The
//! machine's `/` is never in it.

use std::{
    fs, io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::symlink,
    },
    path::{Path, PathBuf},
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    unistd::{chdir, pivot_root},
};

use super::{
    super::plan::{CODE_DIRECTORY, ENVIRONMENT_DIRECTORY, Plan, WRITABLE_DIRECTORY},
    Attempt as _, Refusal, sys,
};

/// The user and group of the process, as it sees them itself.
pub(super) const INNER_ID: u32 = 1000;
/// Devices without a memory and without a way out.
pub(super) const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];
/// Names in `/dev` that programs expect.
const DEVICE_LINKS: [(&str, &str); 5] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/shm", WRITABLE_DIRECTORY),
];
/// Directories of which one is there on every machine, to begin the new file system on: it hides nothing, since all is hidden soon.
const BASES: [&str; 3] = ["/tmp", "/run", "/mnt"];
/// Room for the source and the names of mount points, in bytes.
const ROOT_BYTES: u64 = 8 * 1024 * 1024;

/// A path of the machine, as it will be in the sandbox.
pub(super) struct Piece {
    target: PathBuf,
    kind: Kind,
}

enum Kind {
    Directory(OwnedFd),
    File(OwnedFd),
    /// A symbolic link stays one: `/bin` is one on most machines.
    Link(PathBuf),
}

/// Takes hold of every path that the plan shows. Before the process gives up its user: the packages of an environment may lie where
/// only the engine can look.
pub(super) fn take_hold(plan: &Plan) -> Result<Vec<Piece>, Refusal> {
    let read_only = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
    let mut pieces = Vec::new();
    for path in &plan.paths {
        pieces.extend(piece(path, path, read_only)?);
    }
    if let Some(path) = &plan.environment {
        pieces.extend(piece(path, Path::new(ENVIRONMENT_DIRECTORY), read_only)?);
    }
    for device in DEVICES {
        // Not read-only: a write to /dev/null is welcome.
        pieces.extend(piece(Path::new(device), Path::new(device), libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC)?);
    }
    Ok(pieces)
}

/// `None` for what this machine does not have.
fn piece(path: &Path, target: &Path, attributes: u64) -> Result<Option<Piece>, Refusal> {
    let Ok(status) = fs::symlink_metadata(path) else { return Ok(None) };
    let kind = if status.is_symlink() {
        Kind::Link(fs::read_link(path).attempt("read a link")?)
    } else {
        let tree = sys::open_tree(path).attempt("take hold of a path")?;
        sys::restrict_tree(tree.as_fd(), attributes).attempt("make a path read-only")?;
        if status.is_dir() { Kind::Directory(tree) } else { Kind::File(tree) }
    };
    Ok(Some(Piece { target: target.to_owned(), kind }))
}

/// Puts the pieces together and makes that the process's file system. Says whether it has a `/proc`.
pub(super) fn enter(plan: &Plan, pieces: Vec<Piece>) -> Result<bool, Refusal> {
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).attempt("keep mounts private")?;
    let base = BASES
        .into_iter()
        .map(Path::new)
        .find(|path| path.is_dir())
        .ok_or_else(|| Refusal::new("find a place to mount on", "none of /tmp, /run and /mnt is a directory"))?;
    mount_tmpfs(base, ROOT_BYTES, 4_096)?;
    for piece in pieces {
        place(base, piece).attempt("put a path into place")?;
    }
    let writable = inside(base, WRITABLE_DIRECTORY);
    fs::create_dir(&writable).attempt("make /tmp")?;
    mount_tmpfs(&writable, plan.limits.disk_bytes, plan.limits.disk_files_max)?;
    for (name, target) in DEVICE_LINKS {
        symlink(target, inside(base, name)).attempt("make a link of /dev")?;
    }
    let code = inside(base, CODE_DIRECTORY);
    fs::create_dir(&code).attempt("make the directory of the source")?;
    fs::write(code.join(&plan.file), &plan.source).attempt("write the source")?;
    let has_proc = mount_proc(&inside(base, "/proc")).attempt("make the directory of /proc")?;
    // The new root over the old one, and the old one away: nothing of it is left to name.
    chdir(base).attempt("enter the new root")?;
    pivot_root(".", ".").attempt("change the root")?;
    umount2(".", MntFlags::MNT_DETACH).attempt("leave the old root")?;
    chdir("/").attempt("enter the new root")?;
    let seal = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(None::<&str>, "/", None::<&str>, seal, None::<&str>).attempt("make the root read-only")?;
    Ok(has_proc)
}

fn mount_tmpfs(target: &Path, bytes: u64, files: u64) -> Result<(), Refusal> {
    let options = format!("mode=0755,uid={INNER_ID},gid={INNER_ID},size={bytes},nr_inodes={files}");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), target, Some("tmpfs"), flags, Some(options.as_str())).attempt("mount a tmpfs")
}

/// A container whose own `/proc` is masked cannot have another: most programs do without.
fn mount_proc(target: &Path) -> io::Result<bool> {
    fs::create_dir(target)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    Ok(mount(Some("proc"), target, Some("proc"), flags, Some("subset=pid")).is_ok())
}

fn place(base: &Path, piece: Piece) -> io::Result<()> {
    let target = inside(base, piece.target);
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    match piece.kind {
        Kind::Link(link) => symlink(link, target),
        Kind::Directory(tree) => {
            fs::create_dir_all(&target)?;
            sys::attach_tree(tree.as_fd(), &target)
        }
        Kind::File(tree) => {
            fs::write(&target, "")?;
            sys::attach_tree(tree.as_fd(), &target)
        }
    }
}

fn inside(base: &Path, path: impl AsRef<Path>) -> PathBuf {
    base.join(path.as_ref().strip_prefix("/").unwrap_or(path.as_ref()))
}
