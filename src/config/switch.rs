//! A setting that can be changed while a server runs.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// On or off, shared by whoever changes it and whoever obeys it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Switch(Arc<AtomicBool>);

impl Switch {
    pub fn new(on: bool) -> Self {
        Self(Arc::new(AtomicBool::new(on)))
    }

    pub fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Changes it for everybody who has a clone.
    pub fn set(&self, on: bool) {
        self.0.store(on, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_for_every_clone() {
        let switch = Switch::new(true);
        let obeyed = switch.clone();
        switch.set(false);
        assert!(!obeyed.is_on());
    }
}
