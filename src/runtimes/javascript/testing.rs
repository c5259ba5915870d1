//! One guest for all unit tests of the crate.

use std::sync::{Arc, LazyLock};

use super::JavaScript;
use crate::runtimes::sandbox::Sandbox;

static JAVASCRIPT: LazyLock<Arc<JavaScript>> =
    LazyLock::new(|| Arc::new(JavaScript::new(Sandbox::for_tests()).expect("the guest works here")));

impl JavaScript {
    /// The guest that all tests share.
    pub(crate) fn for_tests() -> Arc<Self> {
        Arc::clone(&JAVASCRIPT)
    }
}
