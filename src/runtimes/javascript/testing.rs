//! One engine for all unit tests of the crate: compiling the guest takes seconds in a debug build.

use std::{
    path::Path,
    sync::{Arc, LazyLock},
};

use super::{JavaScript, JavaScriptConfig};

static JAVASCRIPT: LazyLock<Arc<JavaScript>> = LazyLock::new(|| {
    let cache_dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/javascript-cache");
    Arc::new(JavaScript::new(&JavaScriptConfig { cache_dir, instances_max: 64 }).expect("the guest works here"))
});

impl JavaScript {
    /// The engine that all tests share.
    pub(crate) fn for_tests() -> Arc<Self> {
        Arc::clone(&JAVASCRIPT)
    }
}
