//! Python and Ruby for all unit tests of the crate, as `scripts/runtimes.sh` has installed them.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use crate::runtimes::{
    install::{InstalledPython, InstalledRuby},
    languages::Language,
    sandbox::Sandbox,
};

static PYTHON: LazyLock<Arc<InstalledPython>> =
    LazyLock::new(|| Arc::new(InstalledPython::new(Sandbox::for_tests(), directory())));
static RUBY: LazyLock<Arc<InstalledRuby>> = LazyLock::new(|| Arc::new(InstalledRuby::new(Sandbox::for_tests(), directory())));

/// Where the tests have their languages.
pub(in crate::runtimes) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/runtimes")
}

/// Python and Ruby, loaded when they are first used.
pub(in crate::runtimes) fn languages() -> [Arc<dyn Language>; 2] {
    [Arc::clone(&PYTHON) as Arc<dyn Language>, Arc::clone(&RUBY) as Arc<dyn Language>]
}

/// One of them, loaded.
pub(in crate::runtimes) fn loaded(name: &str) -> Arc<dyn Language> {
    let [python, ruby] = languages();
    let (loaded, language) = if name == "python" { (PYTHON.load(), python) } else { (RUBY.load(), ruby) };
    loaded.expect("scripts/runtimes.sh installs Python and Ruby");
    language
}
