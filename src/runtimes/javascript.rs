//! JavaScript: QuickJS in WebAssembly. A fresh guest instance per code run, and one per execution for its expressions
//! ([`GuestSession`]). A call blocks its thread until it is done or a limit ends it: call from a blocking thread.

mod body;
mod run;
mod session;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod thrown;

use std::sync::Arc;

pub(super) use self::body::Body;
pub use self::session::{
    EXPRESSION_CPU_MAX, EXPRESSION_MEMORY_BYTES_MAX, EXPRESSION_OUTPUT_BYTES_MAX, EXPRESSION_WALL_MAX, GuestSession,
};
use super::sandbox::{
    EngineError, Sandbox,
    error::GuestError,
    interpreter::{Dialect, Function, Guest, Interpreter, Source},
    state::Limits,
};

/// The guest, before its boot.
const GUEST: &[u8] = include_bytes!(env!("CITADEL_JAVASCRIPT_GUEST"));
const DIALECT: Dialect = Dialect { read_thrown: thrown::read, out_of_memory: "out of memory" };

/// The pre-booted guest: made once per process.
pub struct JavaScript {
    interpreter: Interpreter,
}

/// How a source is compiled. The flags are those of guest.c.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Code: not strict.
    Code,
    /// An expression: strict.
    Expression,
}

impl Mode {
    fn flags(self) -> i32 {
        match self {
            Self::Code => 0,
            Self::Expression => 1,
        }
    }
}

impl JavaScript {
    /// Boots, snapshots and compiles the guest, or loads what an earlier process compiled. Takes about a second the first time.
    ///
    /// Errors: [`EngineError`]; none of them passes by itself.
    pub fn new(sandbox: Arc<Sandbox>) -> Result<Self, EngineError> {
        let source = Source { name: "javascript", wasm: GUEST, dialect: DIALECT };
        Ok(Self { interpreter: Interpreter::new(sandbox, source)? })
    }

    /// A fresh instance: nothing of any other run is in it.
    fn instantiate(&self, limits: Limits) -> Result<Guest, GuestError> {
        self.interpreter.instantiate(limits)
    }
}

/// Compiles a function expression. Its first two lines do not count in the positions of errors: the third is line 1.
fn compile(guest: &mut Guest, source: &str, mode: Mode) -> Result<Function, GuestError> {
    guest.compile(source, mode.flags())
}
