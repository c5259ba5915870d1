//! Files that only their owner may read: the owner token, keys.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
};

use crate::clock;

/// Writes a file that only its owner can read (mode 0600), instead of an earlier one. It is there whole or not at all, and
/// durable when this returns.
///
/// Errors: those of the file system.
pub fn write_private_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path has no directory"))?;
    let mut draft = path.as_os_str().to_owned();
    draft.push(".draft");
    match std::fs::remove_file(&draft) {
        // A start that crashed here left its draft.
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    File::open(directory)?.sync_all()
}

/// As [`write_private_file`], but leaves a file alone that is there already, also one that another process makes at this moment.
///
/// Errors: `AlreadyExists`; those of the file system.
pub fn create_private_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path has no directory"))?;
    // Its name is drawn, since two processes may do this at once.
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{:016x}.draft", clock::chance()));
    write_private_file(draft.as_ref(), bytes)?;
    // Unlike a rename, a link does not replace what is there.
    let linked = std::fs::hard_link(&draft, path);
    std::fs::remove_file(&draft)?;
    linked?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn is_for_its_owner_only_and_replaces_an_earlier_one() {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        std::fs::write(&path, "earlier").unwrap();
        std::fs::write(directory.path().join("key.draft"), "left by a crash").unwrap();
        write_private_file(&path, b"secret").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"secret");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn creates_a_file_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        create_private_file(&path, b"first").unwrap();
        let refused = create_private_file(&path, b"second").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "no draft is left");
    }
}
