//! The programs that were compiled: the latest of them are kept.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use wasmtime::{InstancePre, Module, component::Component};
use wasmtime_wasi::{p1::WasiP1Ctx, p2::bindings::CommandPre};

use super::{
    Wasm,
    binary::{Binary, Kind},
};
use crate::runtimes::{
    code::{CodeError, CodeErrorCode},
    sandbox::{EngineError, compiler, state::HostState, wasi::WasiState},
};

/// Programs that are kept.
const PROGRAMS_MAX: usize = 64;

/// A compiled program, linked.
pub(super) enum Program {
    Module(InstancePre<HostState<WasiP1Ctx>>),
    Component(CommandPre<HostState<WasiState>>),
}

impl Program {
    /// Errors: [`CodeErrorCode::Syntax`] for what does not validate, or imports what is not there, or is no command.
    pub(super) fn compile(wasm: &Wasm, binary: &Binary) -> Result<Self, CodeError> {
        let engine = wasm.sandbox.engine();
        let unavailable = |error: EngineError| CodeError::new(CodeErrorCode::Unavailable, error.to_string());
        let refused = |error: wasmtime::Error| CodeError::new(CodeErrorCode::Syntax, format!("{error:#}"));
        match binary.kind {
            Kind::Module => {
                let compiled = compiler::run(|| Module::from_binary(engine, &binary.bytes)).map_err(unavailable)?;
                let module = compiled.map_err(refused)?;
                if module.get_export("_start").is_none() {
                    let message = "the module is no command: it exports no function `_start`";
                    return Err(CodeError::new(CodeErrorCode::Syntax, message));
                }
                wasm.modules.instantiate_pre(&module).map(Self::Module).map_err(refused)
            }
            Kind::Component => {
                let compiled = compiler::run(|| Component::from_binary(engine, &binary.bytes)).map_err(unavailable)?;
                let component = compiled.map_err(refused)?;
                let pre = wasm.components.instantiate_pre(&component).map_err(refused)?;
                CommandPre::new(pre).map(Self::Component).map_err(refused)
            }
        }
    }
}

/// What a binary was compiled to, or why it was not: compiled once however many runs ask for it at the same time.
type Slot = Arc<OnceLock<Result<Arc<Program>, CodeError>>>;

/// Compiled programs by the hash of their binary, the one that was used last in front.
#[derive(Default)]
pub(super) struct ProgramCache(Mutex<VecDeque<([u8; 32], Slot)>>);

impl ProgramCache {
    pub(super) fn get_or_compile(
        &self,
        binary: &Binary,
        compile: impl FnOnce() -> Result<Program, CodeError>,
    ) -> Result<Arc<Program>, CodeError> {
        // Compiled outside of the lock: that takes seconds.
        self.slot(binary.sha256).get_or_init(|| compile().map(Arc::new)).clone()
    }

    fn slot(&self, key: [u8; 32]) -> Slot {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = slots.iter().position(|(known, _)| *known == key).and_then(|place| slots.remove(place));
        let (_, slot) = found.unwrap_or_else(|| (key, Slot::default()));
        slots.push_front((key, Arc::clone(&slot)));
        slots.truncate(PROGRAMS_MAX);
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_programs_that_were_used_last() {
        let cache = ProgramCache::default();
        let key = |number: usize| [u8::try_from(number).unwrap(); 32];
        let first = cache.slot(key(0));
        assert!(Arc::ptr_eq(&first, &cache.slot(key(0))));
        for number in 1..PROGRAMS_MAX {
            cache.slot(key(number));
        }
        assert!(Arc::ptr_eq(&first, &cache.slot(key(0))));
        for number in 1..=PROGRAMS_MAX {
            cache.slot(key(number));
        }
        assert!(!Arc::ptr_eq(&first, &cache.slot(key(0))));
    }
}
