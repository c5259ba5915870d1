//! One engine for all unit tests of the crate, with its cache in the build directory.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use super::{Sandbox, SandboxConfig};

static SANDBOX: LazyLock<Arc<Sandbox>> = LazyLock::new(|| Sandbox::with_instances(64));

impl Sandbox {
    /// The engine that all tests share.
    pub(crate) fn for_tests() -> Arc<Self> {
        Arc::clone(&SANDBOX)
    }

    /// An engine of its own, with the cache that all share.
    pub(crate) fn with_instances(instances_max: u32) -> Arc<Self> {
        Self::new(&SandboxConfig { cache_dir: cache_dir(), instances_max }).expect("WebAssembly works here")
    }
}

/// Compiling a guest takes seconds in a debug build: what one run of the tests has compiled, the next one loads.
pub(super) fn cache_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/sandbox-cache")
}
