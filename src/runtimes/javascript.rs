//! JavaScript: QuickJS in WebAssembly. A fresh guest instance per code run, and one per execution for its expressions
//! ([`GuestSession`]). A call blocks its thread until it is done or a limit ends it: call from a blocking thread.

mod body;
mod guest;
mod run;
mod session;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use wasmtime::{InstancePre, Linker, Module};

pub(super) use self::body::Body;
pub use self::session::{
    EXPRESSION_CPU_MAX, EXPRESSION_MEMORY_BYTES_MAX, EXPRESSION_OUTPUT_BYTES_MAX, EXPRESSION_WALL_MAX, GuestSession,
};
use super::sandbox::{
    EngineError, Sandbox, imports,
    snapshot::{self, Boot},
    state::HostState,
};

/// The guest, before its boot.
const GUEST: &[u8] = include_bytes!(env!("CITADEL_JAVASCRIPT_GUEST"));
/// Memory that the guest may take to boot, in bytes.
const BOOT_MEMORY_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What an instance has on the host's side besides what every language has.
#[derive(Clone, Copy)]
struct Host;

/// The pre-booted guest: made once per process.
pub struct JavaScript {
    sandbox: Arc<Sandbox>,
    guest: InstancePre<HostState<Host>>,
}

impl JavaScript {
    /// Boots, snapshots and compiles the guest, or loads what an earlier process compiled. Takes about a second the first time.
    ///
    /// Errors: [`EngineError`]; none of them passes by itself.
    pub fn new(sandbox: Arc<Sandbox>) -> Result<Self, EngineError> {
        let module: Module = sandbox.load_or_compile("javascript", &[GUEST], || {
            let boot =
                Boot { init_function: "initialize", memory_bytes: BOOT_MEMORY_BYTES_MAX, guest: Host, define: imports::define };
            snapshot::boot(GUEST, boot).map_err(EngineError::web_assembly("boot the JavaScript guest"))
        })?;
        let mut linker = Linker::new(sandbox.engine());
        imports::define(&mut linker).map_err(EngineError::web_assembly("define the guest's imports"))?;
        let guest = linker.instantiate_pre(&module).map_err(EngineError::web_assembly("link the JavaScript guest"))?;
        Ok(Self { sandbox, guest })
    }
}
