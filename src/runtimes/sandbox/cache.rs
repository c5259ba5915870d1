//! Keeps compiled guests between processes: compiling takes seconds, loading a few milliseconds. What is loaded is mapped from its
//! file, so that it costs no memory of its own, and all processes share it.

use std::{
    fs,
    hash::{Hash, Hasher},
    io::{self, Read as _, Write as _},
    path::Path,
};

use sha2::{Digest, Sha256};
use wasmtime::{Engine, Module, component::Component};

use super::{EngineError, compiler};

/// The code that boots guests: snapshots depend on it too.
const BOOT: [&[u8]; 2] = [include_bytes!("snapshot.rs"), include_bytes!("imports.rs")];
/// What the names of compiled guests end with.
const EXTENSION: &str = "cwasm";
/// What the names of their checksums end with: lines as `sha256sum --check` reads them.
const CHECKSUM_EXTENSION: &str = "sha256";
/// Bytes that are read at once to be summed.
const CHUNK_BYTES: usize = 64 * 1024;

/// What wasmtime compiles: a core module or a component.
pub(in crate::runtimes) trait Compiled: Sized + Send {
    fn compile(engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Self>;

    fn serialize(&self) -> wasmtime::Result<Vec<u8>>;

    /// Maps a file.
    ///
    /// # Safety
    ///
    /// The file must hold what [`Self::serialize`] gave, and nobody may write to it from now on.
    #[expect(unsafe_code, reason = "the only way to load compiled code")]
    unsafe fn map(engine: &Engine, path: &Path) -> wasmtime::Result<Self>;
}

macro_rules! compiled {
    ($kind:ty) => {
        #[expect(unsafe_code, reason = "the only way to load compiled code; the caller answers for the file")]
        impl Compiled for $kind {
            fn compile(engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Self> {
                Self::from_binary(engine, wasm)
            }

            fn serialize(&self) -> wasmtime::Result<Vec<u8>> {
                Self::serialize(self)
            }

            unsafe fn map(engine: &Engine, path: &Path) -> wasmtime::Result<Self> {
                // SAFETY: as the caller promises.
                unsafe { Self::deserialize_file(engine, path) }
            }
        }
    };
}

compiled!(Module);
compiled!(Component);

/// The guest of that name, compiled for this engine: loaded, or else compiled from what `make` gives, kept, and loaded.
pub(super) fn load_or_compile<C: Compiled>(
    engine: &Engine,
    directory: &Path,
    name: &str,
    key_parts: &[&[u8]],
    make: impl FnOnce() -> Result<Vec<u8>, EngineError> + Send,
) -> Result<C, EngineError> {
    let path = directory.join(file_name(engine, name, key_parts));
    if let Some(compiled) = load(engine, &path) {
        return Ok(compiled);
    }
    let compiled = compiler::run(|| {
        let compiled = C::compile(engine, &make()?).map_err(EngineError::web_assembly("compile the guest"))?;
        let bytes = compiled.serialize().map_err(EngineError::web_assembly("serialize the compiled guest"))?;
        save(&path, &bytes)
            .and_then(|()| remove_others(directory, name, &path))
            .map_err(|source| EngineError::CacheDirectory { path: path.clone(), source })?;
        Ok::<_, EngineError>(compiled)
    })??;
    // The mapped file takes less memory. Another version of the engine may have removed it again.
    Ok(load(engine, &path).unwrap_or(compiled))
}

fn file_name(engine: &Engine, name: &str, key_parts: &[&[u8]]) -> String {
    format!("{name}-{}.{EXTENSION}", key(engine, key_parts))
}

/// Names what the compiled code depends on: the guest and its boot, wasmtime's version and settings, and the features of this CPU.
fn key(engine: &Engine, parts: &[&[u8]]) -> String {
    struct Sha256Hasher(Sha256);
    impl Hasher for Sha256Hasher {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            unreachable!("only the digest is used")
        }
    }
    let mut hasher = Sha256Hasher(Sha256::new());
    for part in parts.iter().copied().chain(BOOT) {
        hasher.0.update(Sha256::digest(part));
    }
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hex(&hasher.0.finalize()[..16])
}

/// What an earlier process has compiled; `None` if there is nothing, or it is damaged.
fn load<C: Compiled>(engine: &Engine, path: &Path) -> Option<C> {
    let wanted = fs::read_to_string(path.with_extension(CHECKSUM_EXTENSION)).ok()?;
    if checksum_line(path, &sum_of_file(path).ok()?) != wanted {
        return None;
    }
    // SAFETY: the file holds what `Compiled::serialize` returned: only this user can write to the directory (`make_private`), the
    // name holds a hash of everything that the code depends on, wasmtime compares its version and settings itself, and the checksum
    // rules out a torn or rotten file. Nobody writes to it: `save` makes another file of that name.
    #[expect(unsafe_code, reason = "the only way to load compiled code; see SAFETY")]
    let compiled = unsafe { C::map(engine, path) };
    compiled.ok()
}

fn sum_of_file(path: &Path) -> io::Result<String> {
    let (mut file, mut hasher, mut chunk) = (fs::File::open(path)?, Sha256::new(), vec![0; CHUNK_BYTES]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hex(&hasher.finalize())),
            length => hasher.update(&chunk[..length]),
        }
    }
}

fn checksum_line(path: &Path, sum: &str) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!("{sum}  {name}\n")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes beside and renames, so that nobody sees half a file. Under a name of its own: other engines may write the same at once,
/// and who finds the code of the one with the checksum of the other compiles it again.
fn save(path: &Path, compiled: &[u8]) -> io::Result<()> {
    let line = checksum_line(path, &hex(&Sha256::digest(compiled)));
    write_beside(path, compiled)?;
    write_beside(&path.with_extension(CHECKSUM_EXTENSION), line.as_bytes())
}

fn write_beside(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().ok_or(io::ErrorKind::NotADirectory)?;
    let mut unfinished = tempfile::Builder::new().suffix(".new").tempfile_in(directory)?;
    unfinished.write_all(bytes)?;
    unfinished.persist(path)?;
    Ok(())
}

/// Removes what other versions of the engine have compiled of this guest. A version that still runs keeps what it has mapped.
pub(super) fn remove_others(directory: &Path, name: &str, kept: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.file_stem() != kept.file_stem() && is_of(&path, name) {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {} // Removed, by us or by another process.
            }
        }
    }
    Ok(())
}

/// Whether a file holds a compiled guest of that name, or its checksum. Keys have no dash, so that `a-b` is not taken for one of `a`.
fn is_of(path: &Path, name: &str) -> bool {
    path.extension().is_some_and(|extension| extension == EXTENSION || extension == CHECKSUM_EXTENSION)
        && path.file_stem().and_then(|stem| stem.to_str()?.rsplit_once('-')).is_some_and(|(of, _)| of == name)
}

/// Makes the directory, and refuses one that others own or may write to.
pub(super) fn make_private(directory: &Path) -> Result<(), EngineError> {
    let failed = |source| EngineError::CacheDirectory { path: directory.to_owned(), source };
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory).map_err(failed)?;
    #[cfg(unix)]
    if !is_private(directory).map_err(failed)? {
        return Err(EngineError::CacheNotPrivate { path: directory.to_owned() });
    }
    Ok(())
}

/// Whether a directory belongs to this process's user, and only that user can write to it.
#[cfg(unix)]
fn is_private(directory: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let status = fs::metadata(directory)?;
    // A file of ours shows who we are; it has no name that somebody could have prepared.
    let own = tempfile::tempfile_in(directory)?.metadata()?.uid();
    Ok(status.uid() == own && status.mode() & 0o022 == 0)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Sandbox, testing},
        *,
    };

    /// `(module (func (export "run")))`
    const MODULE: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x07\x07\x01\x03run\0\0\x0a\x04\x01\x02\0\x0b";

    #[test]
    fn loads_what_is_whole_and_nothing_else() {
        let sandbox = Sandbox::for_tests();
        let engine = sandbox.engine();
        let directory = tempfile::tempdir().unwrap();
        let compile = |name: &str, made: Option<&'static [u8]>| {
            load_or_compile::<Module>(engine, directory.path(), name, &[MODULE], || {
                Ok(made.expect("it is in the cache").to_vec())
            })
        };
        assert!(compile("guest", Some(MODULE)).is_ok());
        assert!(compile("guest", None).is_ok());
        let path = directory.path().join(file_name(engine, "guest", &[MODULE]));
        let whole = fs::read(&path).unwrap();
        let mut damaged = whole.clone();
        damaged[whole.len() / 2] ^= 1;
        for content in [&damaged[..], &whole[..whole.len() - 1], &whole[..10], &[]] {
            // In another file of that name: what is mapped must not change.
            write_beside(&path, content).unwrap();
            assert!(load::<Module>(engine, &path).is_none());
        }
        write_beside(&path, &whole).unwrap();
        assert!(load::<Module>(engine, &path).is_some());
        fs::remove_file(path.with_extension(CHECKSUM_EXTENSION)).unwrap();
        assert!(load::<Module>(engine, &path).is_none());
        assert!(load::<Module>(engine, &directory.path().join("missing")).is_none());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_was_compiled_is_mapped_from_its_file() {
        let sandbox = Sandbox::for_tests();
        let directory = tempfile::tempdir().unwrap();
        let make = || Ok(MODULE.to_vec());
        let module = load_or_compile::<Module>(sandbox.engine(), directory.path(), "guest", &[MODULE], make).unwrap();
        let path = directory.path().join(file_name(sandbox.engine(), "guest", &[MODULE]));
        let is_mapped = || fs::read_to_string("/proc/self/maps").unwrap().contains(path.to_str().unwrap());
        assert!(is_mapped());
        // Another version of the engine may remove it: what is mapped stays.
        fs::remove_file(&path).unwrap();
        assert!(is_mapped());
        assert!(module.get_export("run").is_some());
        drop(module);
        assert!(!is_mapped());
    }

    #[test]
    fn removes_what_other_versions_have_compiled_of_the_same_guest() {
        let directory = tempfile::tempdir().unwrap();
        let names = ["guest-1.cwasm", "guest-1.sha256", "guest-2.cwasm", "guest-2.sha256", "guest-small-1.cwasm", "guest-1.txt"];
        let paths = names.map(|name| directory.path().join(name));
        paths.iter().for_each(|path| fs::write(path, "").unwrap());
        remove_others(directory.path(), "guest", &paths[2]).unwrap();
        assert_eq!(paths.map(|path| path.exists()), [false, false, true, true, true, true]);
    }

    #[test]
    fn a_key_depends_on_every_part() {
        let sandbox = Sandbox::for_tests();
        let keys = [&[b"ab".as_slice(), b"c"], &[b"a".as_slice(), b"bc"]].map(|parts| key(sandbox.engine(), parts));
        assert_ne!(keys[0], keys[1]);
        assert!(testing::cache_dir().is_dir());
    }

    #[cfg(unix)]
    #[test]
    fn refuses_a_directory_that_others_can_write_to() {
        use std::os::unix::fs::PermissionsExt as _;
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("cache");
        make_private(&directory).unwrap();
        assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o770)).unwrap();
        assert!(matches!(make_private(&directory), Err(EngineError::CacheNotPrivate { .. })));
    }
}
