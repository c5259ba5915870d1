//! Loads an interpreter once per process, on a thread of its own: that takes a moment, and half a minute where it has to be
//! compiled first. Who needs it meanwhile waits for a while and is then told to come back.

use std::{
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::{Interpreter, unavailable};
use crate::runtimes::{
    code::CodeError,
    install::{Found, Installation},
    sandbox::Sandbox,
};

/// How long a run waits for its interpreter: long enough to load one, too short to compile one. Tests wait for both.
const LOAD_WAIT_MAX: Duration = Duration::from_secs(if cfg!(test) { 300 } else { 5 });

/// The way to one interpreter.
pub(super) struct Loader<I> {
    shared: Arc<Shared<I>>,
}

struct Shared<I> {
    sandbox: Arc<Sandbox>,
    directory: PathBuf,
    state: Mutex<State<I>>,
    is_over: Condvar,
}

enum State<I> {
    Unloaded,
    Loading,
    Ready(Arc<I>),
    /// What the last attempt has met. The next one may go better: what is installed may have been replaced.
    Failed(String),
}

impl<I: Interpreter> Loader<I> {
    pub(super) fn new(sandbox: Arc<Sandbox>, directory: PathBuf) -> Self {
        let state = Mutex::new(State::Unloaded);
        Self { shared: Arc::new(Shared { sandbox, directory, state, is_over: Condvar::new() }) }
    }

    /// The interpreter; loads it if that has not begun.
    pub(super) fn get(&self) -> Result<Arc<I>, CodeError> {
        self.get_within(LOAD_WAIT_MAX)
    }

    /// As [`Self::get`], but waits for as long as it takes.
    pub(super) fn wait(&self) -> Result<Arc<I>, CodeError> {
        self.get_within(Duration::MAX)
    }

    /// Begins to load the interpreter if it is installed and that has not begun.
    pub(super) fn begin(&self) {
        // Whoever needs it is told why it is not there.
        drop(self.begin_locked());
    }

    /// Why nothing is there that could be loaded, as a sentence.
    pub(super) fn complaint(&self) -> Option<String> {
        match &*self.shared.lock() {
            State::Ready(_) | State::Loading => None,
            // The next attempt may go better.
            State::Failed(_) | State::Unloaded => self.find().err().map(|error| error.message),
        }
    }

    fn get_within(&self, wait_max: Duration) -> Result<Arc<I>, CodeError> {
        let started = Instant::now();
        let mut state = self.begin_locked()?;
        loop {
            match &*state {
                State::Ready(interpreter) => return Ok(Arc::clone(interpreter)),
                State::Failed(message) => return Err(unavailable(message.clone())),
                State::Unloaded | State::Loading => {}
            }
            let left = wait_max.saturating_sub(started.elapsed());
            if left.is_zero() {
                let title = I::LANGUAGE.title();
                return Err(unavailable(format!("{title} is being made ready on this machine: try again in a minute")));
            }
            let waited = self.shared.is_over.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Starts the thread that loads, unless that is done or under way.
    fn begin_locked(&self) -> Result<MutexGuard<'_, State<I>>, CodeError> {
        let mut state = self.shared.lock();
        if let State::Unloaded | State::Failed(_) = &*state {
            let installation = self.find()?;
            let shared = Arc::clone(&self.shared);
            let name = format!("load-{}", I::LANGUAGE.name());
            thread::Builder::new()
                .name(name)
                .spawn(move || shared.load(&installation))
                .map_err(|error| unavailable(format!("cannot start the thread that loads {}: {error}", I::LANGUAGE.title())))?;
            *state = State::Loading;
        }
        Ok(state)
    }

    /// What is installed for this version of the program.
    fn find(&self) -> Result<Installation, CodeError> {
        let (title, name) = (I::LANGUAGE.title(), I::LANGUAGE.name());
        match Installation::find(&self.shared.directory, I::LANGUAGE) {
            Ok(Found::Current(installation)) => Ok(installation),
            Ok(Found::Outdated) => Err(unavailable(format!(
                "{title} was installed by another version of Citadel: `citadel runtimes install {name}` brings it up to date"
            ))),
            Ok(Found::Absent) => {
                Err(unavailable(format!("{title} is not installed: `citadel runtimes install {name}` installs it")))
            }
            Err(error) => Err(unavailable(format!("{title} cannot be used: {error}"))),
        }
    }
}

impl<I: Interpreter> Shared<I> {
    fn load(&self, installation: &Installation) {
        let started = Instant::now();
        let loaded = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| I::load(&self.sandbox, installation)));
        let language = I::LANGUAGE.name();
        let state = match loaded {
            Ok(Ok(interpreter)) => {
                tracing::info!(language, duration_ms = started.elapsed().as_millis(), "interpreter loaded");
                State::Ready(Arc::new(interpreter))
            }
            Ok(Err(error)) => {
                tracing::error!(language, cause = &error as &dyn std::error::Error, "cannot load an interpreter");
                State::Failed(format!("{} cannot be loaded: {error}", I::LANGUAGE.title()))
            }
            Err(_) => State::Failed(format!("loading {} panicked", I::LANGUAGE.title())),
        };
        *self.lock() = state;
        self.is_over.notify_all();
    }
}

impl<I> Shared<I> {
    fn lock(&self) -> MutexGuard<'_, State<I>> {
        // Nobody panics while holding it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
