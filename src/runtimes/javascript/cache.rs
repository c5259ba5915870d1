//! Keeps the compiled guest between processes: compiling takes a second, loading a few milliseconds.

use std::{
    fs,
    hash::{Hash, Hasher},
    io,
    path::Path,
};

use sha2::{Digest, Sha256};
use wasmtime::{Engine, Module};

use super::{EngineError, snapshot};

/// The guest, before its boot.
const GUEST: &[u8] = include_bytes!(env!("CITADEL_JAVASCRIPT_GUEST"));
/// The code that boots the guest: the snapshot depends on it too.
const BOOT: [&[u8]; 2] = [include_bytes!("snapshot.rs"), include_bytes!("host.rs")];
/// What the names of compiled guests end with.
const EXTENSION: &str = "cwasm";
/// Bytes of the checksum at the start of a cached file.
const CHECKSUM_BYTES: usize = 32;

/// The booted guest, compiled for this engine.
pub(super) fn load_or_compile(engine: &Engine, directory: &Path) -> Result<Module, EngineError> {
    make_private(directory)?;
    let path = directory.join(format!("javascript-{}.{EXTENSION}", key(engine)));
    if let Some(module) = load(engine, &path) {
        return Ok(module);
    }
    let booted = snapshot::boot(GUEST).map_err(EngineError::web_assembly("boot the JavaScript guest"))?;
    let module = Module::new(engine, booted).map_err(EngineError::web_assembly("compile the JavaScript guest"))?;
    let compiled = module.serialize().map_err(EngineError::web_assembly("serialize the compiled guest"))?;
    save(&path, &compiled)
        .and_then(|()| remove_others(directory, &path))
        .map_err(|source| EngineError::CacheDirectory { path, source })?;
    Ok(module)
}

/// Names what the compiled code depends on: the guest and its boot, wasmtime's version and settings, and the features of this CPU.
fn key(engine: &Engine) -> String {
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
    for part in BOOT.into_iter().chain([GUEST]) {
        hasher.0.update(Sha256::digest(part));
    }
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The module of an earlier process; `None` if there is none, or it is damaged.
fn load(engine: &Engine, path: &Path) -> Option<Module> {
    let file = fs::read(path).ok()?;
    let (checksum, compiled) = file.split_at_checked(CHECKSUM_BYTES)?;
    if Sha256::digest(compiled)[..] != *checksum {
        return None;
    }
    // SAFETY: `deserialize` trusts the bytes to be what `Module::serialize` returned. They are: only this user can write to the
    // directory (`make_private`), the name holds a hash of everything that the code depends on, wasmtime compares its version and
    // settings itself, and the checksum rules out a torn or rotten file.
    #[expect(unsafe_code, reason = "the only way to load compiled code; see SAFETY")]
    let module = unsafe { Module::deserialize(engine, compiled) };
    module.ok()
}

/// Writes beside and renames, so that another process never sees half a file.
fn save(path: &Path, compiled: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = Vec::with_capacity(CHECKSUM_BYTES + compiled.len());
    file.extend_from_slice(&Sha256::digest(compiled));
    file.extend_from_slice(compiled);
    fs::write(&unfinished, file)?;
    fs::rename(&unfinished, path)
}

/// Removes the guests that other versions of the engine have compiled. A version that still runs has its own in memory.
fn remove_others(directory: &Path, kept: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path != kept && path.extension().is_some_and(|extension| extension == EXTENSION) {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {} // Removed, by us or by another process.
            }
        }
    }
    Ok(())
}

/// Makes the directory, and refuses one that others own or may write to.
fn make_private(directory: &Path) -> Result<(), EngineError> {
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
    use super::{super::JavaScript, *};

    /// The file that the engine of the tests has made or loaded.
    fn cached(engine: &Engine) -> Vec<u8> {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("target/javascript-cache/javascript-{}.cwasm", key(engine)));
        fs::read(path).unwrap()
    }

    #[test]
    fn loads_what_is_whole_and_nothing_else() {
        let javascript = JavaScript::for_tests();
        let engine = javascript.guest.module().engine();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("guest.cwasm");
        let whole = cached(engine);
        fs::write(&path, &whole).unwrap();
        assert!(load(engine, &path).is_some());
        let mut damaged = whole.clone();
        damaged[whole.len() / 2] ^= 1;
        for content in [&damaged[..], &whole[..whole.len() - 1], &whole[..10], &[]] {
            fs::write(&path, content).unwrap();
            assert!(load(engine, &path).is_none());
        }
        assert!(load(engine, &directory.path().join("missing")).is_none());
        let others = ["old.cwasm", "note.txt"].map(|name| directory.path().join(name));
        others.iter().for_each(|other| fs::write(other, "").unwrap());
        remove_others(directory.path(), &path).unwrap();
        assert_eq!([path.exists(), others[0].exists(), others[1].exists()], [true, false, true]);
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
