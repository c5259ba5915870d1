//! The instance that one execution reuses for its expressions.

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde::Serialize;
use serde_json::Value;

use super::{JavaScript, Mode, compile};
use crate::{
    model::limits::OUTPUT_BYTES_MAX,
    runtimes::sandbox::{
        error::GuestError,
        interpreter::{Function, Guest},
        state::Limits,
    },
};

/// Wall time of one evaluation.
pub const EXPRESSION_WALL_MAX: Duration = Duration::from_secs(2);
/// CPU time of one evaluation.
pub const EXPRESSION_CPU_MAX: Duration = Duration::from_millis(250);
/// Memory of the instance that evaluates the expressions of one execution, in bytes.
pub const EXPRESSION_MEMORY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Size of one result as JSON, in bytes.
pub const EXPRESSION_OUTPUT_BYTES_MAX: usize = OUTPUT_BYTES_MAX;
/// An instance that has grown beyond this is replaced before the next evaluation, in bytes.
const RECYCLE_MEMORY_BYTES: usize = 32 * 1024 * 1024;
/// Functions that an instance keeps; it is replaced when there would be more.
const FUNCTIONS_MAX: usize = 2_000;

/// A guest instance that one execution reuses for its expressions, made on first use.
///
/// Expressions cannot change what others see: the built-in objects are frozen, and every evaluation gets its own scope.
pub struct GuestSession {
    javascript: Arc<JavaScript>,
    live: Option<Live>,
}

struct Live {
    guest: Guest,
    /// Compiled once per session, by their source.
    functions: HashMap<Arc<str>, Function>,
}

impl GuestSession {
    /// A session without an instance yet.
    pub fn new(javascript: Arc<JavaScript>) -> Self {
        Self { javascript, live: None }
    }

    /// Gives the instance back to the engine: for an execution that waits. The next evaluation makes another.
    pub fn release(&mut self) {
        self.live = None;
    }

    /// Size of the instance's memory, if there is one.
    #[cfg(test)]
    pub(in crate::runtimes) fn memory_bytes(&self) -> Option<usize> {
        self.live.as_ref().map(|live| live.guest.memory_bytes())
    }

    /// Calls the function of a source over a scope.
    pub(in crate::runtimes) fn call(&mut self, source: &Arc<str>, scope: &impl Serialize) -> Result<Value, GuestError> {
        let mut live = match self.live.take().filter(|live| live.may_go_on(source)) {
            Some(live) => live,
            None => Live::start(&self.javascript)?,
        };
        let result = live.call(source, scope);
        if !result.as_ref().is_err_and(GuestError::ends_instance) {
            self.live = Some(live);
        }
        result
    }
}

impl Live {
    fn start(javascript: &JavaScript) -> Result<Self, GuestError> {
        let mut guest = javascript.instantiate(Limits {
            wall: EXPRESSION_WALL_MAX,
            cpu: EXPRESSION_CPU_MAX,
            memory_bytes: EXPRESSION_MEMORY_BYTES_MAX,
            output_bytes: EXPRESSION_OUTPUT_BYTES_MAX,
            log_bytes: 0,
        })?;
        // Freezes what is global, so that one evaluation cannot change what a later one sees.
        guest.call_export("seal")?;
        Ok(Self { guest, functions: HashMap::new() })
    }

    /// Whether another evaluation fits.
    fn may_go_on(&self, source: &str) -> bool {
        self.guest.memory_bytes() <= RECYCLE_MEMORY_BYTES
            && (self.functions.len() < FUNCTIONS_MAX || self.functions.contains_key(source))
    }

    fn call(&mut self, source: &Arc<str>, scope: &impl Serialize) -> Result<Value, GuestError> {
        self.guest.renew();
        let function = match self.functions.get(source) {
            Some(function) => *function,
            None => {
                let function = compile(&mut self.guest, source, Mode::Expression)?;
                self.functions.insert(Arc::clone(source), function);
                function
            }
        };
        self.guest.call(function, scope)
    }
}
