//! The JavaScript sandbox. STUB FOR PARALLEL WORK
/// The engine with its pre-booted guest: made once per process.
pub struct JavaScript;
/// A guest instance that one execution reuses for its expressions, made on first use.
pub struct GuestSession;
impl GuestSession {
    pub fn new(_engine: std::sync::Arc<JavaScript>) -> Self {
        Self
    }
}
