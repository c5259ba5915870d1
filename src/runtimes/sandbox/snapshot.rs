//! Boots a guest once and snapshots its memory, so that every instance starts with a ready interpreter.

use std::time::Duration;

use futures_util::FutureExt as _;
use wasmtime::{Config, Engine, Error, Instance, Linker, Module, OptLevel, Result, Store, Val};
use wasmtime_wizer::{InstanceState, SnapshotVal, ValType, Wizer};

use super::state::{HostState, Limits};

/// Time that a guest may take to boot.
const BOOT_MAX: Duration = Duration::from_secs(60);

/// How a guest boots.
pub(in crate::runtimes) struct Boot<'a, T> {
    /// The function that initialises the guest: exported, and gone from the snapshot, as is `_initialize`.
    pub(in crate::runtimes) init_function: &'a str,
    /// Memory that the guest may take to boot, in bytes.
    pub(in crate::runtimes) memory_bytes: usize,
    /// What its language needs besides.
    pub(in crate::runtimes) guest: T,
    /// Defines its imports.
    pub(in crate::runtimes) define: fn(&mut Linker<HostState<T>>) -> Result<()>,
}

/// Runs the guest's `_initialize` and its own initialiser, and returns the module that starts where they ended.
pub(in crate::runtimes) fn boot<T: Send + 'static>(wasm: &[u8], boot: Boot<'_, T>) -> Result<Vec<u8>> {
    let init_function = boot.init_function.to_owned();
    boot_with(wasm, boot, |store, instance| {
        instance.get_typed_func::<(), ()>(&mut *store, "_initialize")?.call(&mut *store, ())?;
        instance.get_typed_func::<(), ()>(&mut *store, &init_function)?.call(&mut *store, ())
    })
}

/// As [`boot`], for a guest that needs more than two calls without arguments.
pub(in crate::runtimes) fn boot_with<T: Send + 'static>(
    wasm: &[u8],
    Boot { init_function, memory_bytes, guest, define }: Boot<'_, T>,
    run: impl FnOnce(&mut Store<HostState<T>>, &Instance) -> Result<()>,
) -> Result<Vec<u8>> {
    let mut wizer = Wizer::new();
    wizer.init_func(init_function);
    let (module_context, instrumented) = wizer.instrument(wasm)?;
    // This code runs for moments only: compile it fast, not well.
    let engine = Engine::new(Config::new().cranelift_opt_level(OptLevel::None).wasm_exceptions(true))?;
    let module = Module::new(&engine, instrumented)?;
    let limits = Limits { wall: BOOT_MAX, cpu: BOOT_MAX, memory_bytes, output_bytes: 0, log_bytes: 0 };
    let mut store = Store::new(&engine, HostState::booting(limits, guest));
    store.limiter(|state| &mut state.memory);
    let mut linker = Linker::new(&engine);
    define(&mut linker)?;
    // What an interpreter imports and does not need.
    linker.define_unknown_imports_as_traps(&module)?;
    let instance = linker.instantiate(&mut store, &module)?;
    run(&mut store, &instance)?;
    wizer
        .snapshot(&module_context, &mut BootedGuest { store, instance })
        .now_or_never()
        .ok_or_else(|| Error::msg("the snapshot waits, although nothing in it can"))?
}

/// Shows wizer the state that the boot left.
struct BootedGuest<T: 'static> {
    store: Store<HostState<T>>,
    instance: Instance,
}

impl<T: Send + 'static> InstanceState for BootedGuest<T> {
    async fn global_get(&mut self, name: &str, _type: ValType) -> SnapshotVal {
        let global = self.instance.get_global(&mut self.store, name).expect("wizer asks for globals that it exported");
        match global.get(&mut self.store) {
            Val::I32(value) => SnapshotVal::I32(value),
            Val::I64(value) => SnapshotVal::I64(value),
            Val::F32(value) => SnapshotVal::F32(value),
            Val::F64(value) => SnapshotVal::F64(value),
            Val::V128(value) => SnapshotVal::V128(value.as_u128()),
            other => panic!("the guest has no globals like {other:?}"),
        }
    }

    async fn memory_contents(&mut self, name: &str, contents: impl FnOnce(&[u8]) + Send) {
        let memory = self.instance.get_memory(&mut self.store, name).expect("wizer asks for memories that it exported");
        contents(memory.data(&self.store));
    }
}
