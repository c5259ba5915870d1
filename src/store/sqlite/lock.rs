//! Keeps a second process out of the database file. The system gives the lock back however the process ends.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use crate::store::{Result, StoreError};

/// Takes the OS lock on `PATH.lock`. Makes the directory and the (empty) database file where they are missing, for their
/// owner's eyes only: SQLite would let everyone read the file, and it holds password hashes.
///
/// Errors: `Locked` if another process has it; `Unavailable`.
pub(super) async fn take(path: &Path) -> Result<File> {
    let path = path.to_owned();
    let shown = path.display().to_string();
    let locking = tokio::task::spawn_blocking(move || take_blocking(&path));
    match locking.await.map_err(|error| unavailable(error.into()))?.map_err(|error| unavailable(error.into()))? {
        Some(lock) => Ok(lock),
        None => Err(StoreError::Locked { path: shown }),
    }
}

fn take_blocking(path: &Path) -> io::Result<Option<File>> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    let lock = open_private(&PathBuf::from(lock_path))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    open_private(path)?;
    Ok(Some(lock))
}

fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn unavailable(source: Box<dyn std::error::Error + Send + Sync>) -> StoreError {
    StoreError::Unavailable { doing: "locking the database", source }
}
