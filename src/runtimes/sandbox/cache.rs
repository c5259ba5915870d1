//! Keeps compiled guests between processes: compiling takes seconds, loading a few milliseconds.

use std::{
    fs,
    hash::{Hash, Hasher},
    io::{self, Write as _},
    path::Path,
};

use sha2::{Digest, Sha256};
use wasmtime::{Engine, Module, component::Component};

use super::EngineError;

/// The code that boots guests: snapshots depend on it too.
const BOOT: [&[u8]; 2] = [include_bytes!("snapshot.rs"), include_bytes!("imports.rs")];
/// What the names of compiled guests end with.
const EXTENSION: &str = "cwasm";
/// Bytes of the checksum at the start of a cached file.
const CHECKSUM_BYTES: usize = 32;

/// What wasmtime compiles: a core module or a component.
pub(in crate::runtimes) trait Compiled: Sized {
    fn compile(engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Self>;

    fn serialize(&self) -> wasmtime::Result<Vec<u8>>;

    /// # Safety
    ///
    /// The bytes must come from [`Self::serialize`].
    #[expect(unsafe_code, reason = "the only way to load compiled code")]
    unsafe fn deserialize(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Self>;
}

#[expect(unsafe_code, reason = "the only way to load compiled code; the caller answers for the bytes")]
impl Compiled for Module {
    fn compile(engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Self> {
        Self::from_binary(engine, wasm)
    }

    fn serialize(&self) -> wasmtime::Result<Vec<u8>> {
        Self::serialize(self)
    }

    unsafe fn deserialize(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Self> {
        // SAFETY: as the caller promises.
        unsafe { Self::deserialize(engine, compiled) }
    }
}

#[expect(unsafe_code, reason = "the only way to load compiled code; the caller answers for the bytes")]
impl Compiled for Component {
    fn compile(engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Self> {
        Self::from_binary(engine, wasm)
    }

    fn serialize(&self) -> wasmtime::Result<Vec<u8>> {
        Self::serialize(self)
    }

    unsafe fn deserialize(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Self> {
        // SAFETY: as the caller promises.
        unsafe { Self::deserialize(engine, compiled) }
    }
}

/// The guest of that name, compiled for this engine: loaded, or else compiled from what `make` gives and kept.
pub(super) fn load_or_compile<C: Compiled>(
    engine: &Engine,
    directory: &Path,
    name: &str,
    key_parts: &[&[u8]],
    make: impl FnOnce() -> Result<Vec<u8>, EngineError>,
) -> Result<C, EngineError> {
    let path = directory.join(file_name(engine, name, key_parts));
    if let Some(compiled) = load(engine, &path) {
        return Ok(compiled);
    }
    let compiled = C::compile(engine, &make()?).map_err(EngineError::web_assembly("compile the guest"))?;
    let bytes = compiled.serialize().map_err(EngineError::web_assembly("serialize the compiled guest"))?;
    save(&path, &bytes)
        .and_then(|()| remove_others(directory, name, &path))
        .map_err(|source| EngineError::CacheDirectory { path, source })?;
    Ok(compiled)
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
    hasher.0.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// What an earlier process has compiled; `None` if there is nothing, or it is damaged.
fn load<C: Compiled>(engine: &Engine, path: &Path) -> Option<C> {
    let file = fs::read(path).ok()?;
    let (checksum, compiled) = file.split_at_checked(CHECKSUM_BYTES)?;
    if Sha256::digest(compiled)[..] != *checksum {
        return None;
    }
    // SAFETY: the bytes are what `Compiled::serialize` returned: only this user can write to the directory (`make_private`), the
    // name holds a hash of everything that the code depends on, wasmtime compares its version and settings itself, and the checksum
    // rules out a torn or rotten file.
    #[expect(unsafe_code, reason = "the only way to load compiled code; see SAFETY")]
    let compiled = unsafe { C::deserialize(engine, compiled) };
    compiled.ok()
}

/// Writes beside and renames, so that nobody sees half a file. Under a name of its own: other engines may write the same at once.
fn save(path: &Path, compiled: &[u8]) -> io::Result<()> {
    let directory = path.parent().ok_or(io::ErrorKind::NotADirectory)?;
    let mut unfinished = tempfile::Builder::new().suffix(".new").tempfile_in(directory)?;
    unfinished.write_all(&Sha256::digest(compiled))?;
    unfinished.write_all(compiled)?;
    unfinished.persist(path)?;
    Ok(())
}

/// Removes what other versions of the engine have compiled of this guest. A version that still runs has its own in memory.
pub(super) fn remove_others(directory: &Path, name: &str, kept: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path != kept && is_of(&path, name) {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {} // Removed, by us or by another process.
            }
        }
    }
    Ok(())
}

/// Whether a file holds a compiled guest of that name. Keys have no dash, so that `a-b` is not taken for one of `a`.
fn is_of(path: &Path, name: &str) -> bool {
    path.extension().is_some_and(|extension| extension == EXTENSION)
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
    // A file of ours shows who we are.
    let probe = directory.join(format!("owner.{}", std::process::id()));
    let own = fs::File::create(&probe)?.metadata()?.uid();
    match fs::remove_file(&probe) {
        // Another engine of this process looks at the directory too, and was faster.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        removed => removed?,
    }
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
            fs::write(&path, content).unwrap();
            assert!(load::<Module>(engine, &path).is_none());
        }
        assert!(load::<Module>(engine, &directory.path().join("missing")).is_none());
    }

    #[test]
    fn removes_what_other_versions_have_compiled_of_the_same_guest() {
        let directory = tempfile::tempdir().unwrap();
        let paths = ["guest-1.cwasm", "guest-2.cwasm", "guest-small-1.cwasm", "other-1.cwasm", "guest-1.txt"]
            .map(|name| directory.path().join(name));
        paths.iter().for_each(|path| fs::write(path, "").unwrap());
        remove_others(directory.path(), "guest", &paths[1]).unwrap();
        assert_eq!(paths.map(|path| path.exists()), [false, true, true, true, true]);
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
