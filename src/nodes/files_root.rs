//! The directory that file nodes and SQLite nodes may use, and nothing outside of it. Every path is relative to it, is walked
//! component by component, and is compared with it after symbolic links are resolved.
//!
//! Between the check and the opening somebody with access to the directory could still exchange a component. Nodes cannot make
//! symbolic links, so that takes a process of the operator's own.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Component, Path, PathBuf},
};

use uuid::Uuid;

use crate::model::error::{NodeError, codes};

/// Bytes of one file that is read or written.
pub const FILE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes of a path.
const PATH_BYTES_MAX: usize = 1_024;

/// The canonical root.
#[derive(Debug, Clone)]
pub struct FilesRoot(PathBuf);

impl FilesRoot {
    /// Errors: `file_denied` if there is no such directory or none is configured.
    pub fn open(root: Option<&Path>) -> Result<Self, NodeError> {
        let root = root.ok_or_else(|| denied("files are switched off here: set `files.root`"))?;
        root.canonicalize().map(Self).map_err(|error| denied(format!("cannot use the files directory: {error}")))
    }

    /// Reads a regular file.
    ///
    /// Errors: `file_denied` outside of the root; `file_failed` if there is no such file or it is larger than [`FILE_BYTES_MAX`].
    pub fn read(&self, path: &str) -> Result<Vec<u8>, NodeError> {
        let (directory, name) = self.parent(path, MissingParents::Fail)?;
        let real = self.beneath(path, &directory.join(name))?;
        let metadata = fs::metadata(&real).map_err(|error| failed("read", path, &error))?;
        if !metadata.is_file() {
            return Err(denied(format!("`{path}` is not a regular file")));
        }
        let file = File::open(&real).map_err(|error| failed("read", path, &error))?;
        let mut bytes = Vec::new();
        // One byte more than allowed shows that the file is too large, even if it grows meanwhile.
        let limit = u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
        file.take(limit).read_to_end(&mut bytes).map_err(|error| failed("read", path, &error))?;
        check_size(path, bytes.len())?;
        Ok(bytes)
    }

    /// Writes a file as a whole: whoever reads it sees the old content or the new one. Makes missing directories.
    /// A symbolic link of that name is replaced, not followed.
    ///
    /// Errors: `file_denied` outside of the root; `file_failed`.
    pub fn write(&self, path: &str, bytes: &[u8], temporary: Uuid) -> Result<(), NodeError> {
        check_size(path, bytes.len())?;
        let (directory, name) = self.parent(path, MissingParents::Make)?;
        let target = directory.join(name);
        if target.is_dir() {
            return Err(denied(format!("`{path}` is a directory")));
        }
        let scratch = directory.join(format!(".citadel-{}.tmp", temporary.simple()));
        let result = write_all(&scratch, bytes).and_then(|()| fs::rename(&scratch, &target)).and_then(|()| sync(&directory));
        if result.is_err() {
            // Gone already if the rename was done; otherwise it must not stay behind.
            let _ = fs::remove_file(&scratch);
        }
        result.map_err(|error| failed("write", path, &error))
    }

    /// The real path of a file that another library opens. The file need not exist, its directory must.
    ///
    /// Errors: `file_denied` outside of the root; `file_failed` if the directory is missing.
    pub fn locate(&self, path: &str) -> Result<PathBuf, NodeError> {
        let (directory, name) = self.parent(path, MissingParents::Fail)?;
        let target = directory.join(name);
        // A dangling link would be made into a file wherever it points.
        if target.symlink_metadata().is_ok() { self.beneath(path, &target) } else { Ok(target) }
    }

    /// The canonical directory of a path, and the name in it.
    fn parent(&self, path: &str, missing: MissingParents) -> Result<(PathBuf, String), NodeError> {
        let mut names = components(path)?;
        let name = names.pop().ok_or_else(|| denied("the path is empty"))?;
        let mut directory = self.0.clone();
        for component in names {
            let next = directory.join(component);
            if missing == MissingParents::Make && next.symlink_metadata().is_err() {
                // Another writer may make it at the same time.
                match fs::create_dir(&next) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed("write", path, &error)),
                    Ok(()) | Err(_) => {}
                }
            }
            directory = self.beneath(path, &next)?;
        }
        Ok((directory, name))
    }

    /// Resolves symbolic links and checks that the result is still inside.
    fn beneath(&self, path: &str, candidate: &Path) -> Result<PathBuf, NodeError> {
        let real = candidate.canonicalize().map_err(|error| failed("open", path, &error))?;
        if real.starts_with(&self.0) { Ok(real) } else { Err(denied(format!("`{path}` leads out of the files directory"))) }
    }
}

/// What to do where a directory on the way is missing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MissingParents {
    Make,
    Fail,
}

/// The names that a relative path consists of.
fn components(path: &str) -> Result<Vec<String>, NodeError> {
    if path.len() > PATH_BYTES_MAX || path.contains('\0') {
        return Err(denied(format!("a path has at most {PATH_BYTES_MAX} bytes, none of them zero")));
    }
    let mut names = Vec::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => names.push(name.to_string_lossy().into_owned()),
            Component::CurDir => {}
            Component::ParentDir => return Err(denied(format!("`{path}` contains `..`"))),
            Component::RootDir | Component::Prefix(_) => {
                return Err(denied(format!("`{path}` is absolute: paths are relative to the files directory")));
            }
        }
    }
    Ok(names)
}

fn write_all(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes a rename durable.
fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn check_size(path: &str, bytes: usize) -> Result<(), NodeError> {
    if bytes <= FILE_BYTES_MAX {
        return Ok(());
    }
    Err(NodeError::permanent(codes::FILE, format!("`{path}` is larger than {FILE_BYTES_MAX} bytes")))
}

fn denied(message: impl Into<String>) -> NodeError {
    NodeError::permanent(codes::FILE_DENIED, message)
}

/// Whether it may pass depends on the cause: a missing file is missing again, a full disk may be emptied.
fn failed(doing: &str, path: &str, error: &io::Error) -> NodeError {
    let message = format!("cannot {doing} `{path}`: {error}");
    let is_final = matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory
    );
    if is_final { NodeError::permanent(codes::FILE, message) } else { NodeError::transient(codes::FILE, message) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Place {
        outside: tempfile::TempDir,
        root: FilesRoot,
    }

    /// A root beside a secret.
    fn place() -> Place {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "s").unwrap();
        let inside = outside.path().join("files");
        fs::create_dir(&inside).unwrap();
        Place { root: FilesRoot::open(Some(&inside)).unwrap(), outside }
    }

    fn code<T: std::fmt::Debug>(result: Result<T, NodeError>) -> String {
        result.unwrap_err().code
    }

    #[test]
    fn writes_and_reads_back_and_makes_directories() {
        let Place { root, outside: _outside } = place();
        root.write("a/b/c.txt", b"one", Uuid::nil()).unwrap();
        root.write("a/b/c.txt", b"two", Uuid::nil()).unwrap();
        assert_eq!(root.read("a/./b/c.txt").unwrap(), b"two");
        let names: Vec<_> = fs::read_dir(root.0.join("a/b")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["c.txt"], "no temporary file stays");
    }

    #[test]
    fn refuses_paths_that_lead_out() {
        let Place { root, outside } = place();
        let absolute = outside.path().join("secret");
        for path in ["../secret", "a/../../secret", "..", "", ".", "/etc/passwd", absolute.to_str().unwrap(), "a\0b"] {
            assert_eq!(code(root.read(path)), codes::FILE_DENIED, "{path}");
            assert_eq!(code(root.write(path, b"x", Uuid::nil())), codes::FILE_DENIED, "{path}");
            assert_eq!(code(root.locate(path)), codes::FILE_DENIED, "{path}");
        }
        assert_eq!(fs::read(outside.path().join("secret")).unwrap(), b"s");
    }

    #[test]
    fn refuses_symbolic_links_that_lead_out() {
        let Place { root, outside } = place();
        symlink(outside.path().join("secret"), root.0.join("link")).unwrap();
        symlink(outside.path(), root.0.join("dir")).unwrap();
        symlink(outside.path().join("new"), root.0.join("dangling")).unwrap();
        assert_eq!(code(root.read("link")), codes::FILE_DENIED);
        assert_eq!(code(root.read("dir/secret")), codes::FILE_DENIED);
        assert_eq!(code(root.write("dir/new", b"x", Uuid::nil())), codes::FILE_DENIED);
        assert_eq!(code(root.write("dir/sub/new", b"x", Uuid::nil())), codes::FILE_DENIED);
        assert_eq!(code(root.locate("link")), codes::FILE_DENIED);
        assert!(root.locate("dangling").is_err());
        // A link in the place of the target is replaced; what it pointed to stays as it was.
        root.write("link", b"x", Uuid::nil()).unwrap();
        assert_eq!(fs::read(outside.path().join("secret")).unwrap(), b"s");
        assert_eq!(root.read("link").unwrap(), b"x");
        assert!(!outside.path().join("new").exists());
    }

    #[test]
    fn follows_links_that_stay_inside() {
        let Place { root, outside: _outside } = place();
        root.write("real/a", b"x", Uuid::nil()).unwrap();
        symlink(root.0.join("real"), root.0.join("alias")).unwrap();
        assert_eq!(root.read("alias/a").unwrap(), b"x");
    }

    #[test]
    fn reads_regular_files_only() {
        let Place { root, outside: _outside } = place();
        root.write("dir/a", b"x", Uuid::nil()).unwrap();
        assert_eq!(code(root.read("dir")), codes::FILE_DENIED);
        assert_eq!(code(root.write("dir", b"x", Uuid::nil())), codes::FILE_DENIED);
        assert_eq!(code(root.read("dir/missing")), codes::FILE);
    }

    #[test]
    fn size_limit_obeyed_and_violated() {
        let Place { root, outside: _outside } = place();
        File::create(root.0.join("big")).unwrap().set_len(FILE_BYTES_MAX as u64).unwrap();
        assert_eq!(root.read("big").unwrap().len(), FILE_BYTES_MAX);
        File::create(root.0.join("big")).unwrap().set_len(FILE_BYTES_MAX as u64 + 1).unwrap();
        assert_eq!(code(root.read("big")), codes::FILE);
        assert_eq!(code(root.write("big", &vec![0; FILE_BYTES_MAX + 1], Uuid::nil())), codes::FILE);
    }

    #[test]
    fn is_switched_off_without_a_directory() {
        assert_eq!(code(FilesRoot::open(None)), codes::FILE_DENIED);
        assert_eq!(code(FilesRoot::open(Some(Path::new("/nonexistent/citadel")))), codes::FILE_DENIED);
    }
}
