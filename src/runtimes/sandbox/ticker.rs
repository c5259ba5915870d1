//! Advances the engine's epoch, so that running guests look at their deadlines.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use wasmtime::Engine;

/// How often a running guest looks at its deadline: what a limit may be exceeded by.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// The thread that ticks; ends when this is dropped.
pub(super) struct Ticker {
    is_stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    pub(super) fn start(engine: Engine) -> io::Result<Self> {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let seen_by_thread = Arc::clone(&is_stopped);
        let thread = thread::Builder::new().name("sandbox-clock".to_owned()).spawn(move || {
            while !seen_by_thread.load(Ordering::Relaxed) {
                thread::park_timeout(TICK);
                engine.increment_epoch();
            }
        })?;
        Ok(Self { is_stopped, thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It has no way to panic; and a destructor could do nothing about it.
            let _ = thread.join();
        }
    }
}
