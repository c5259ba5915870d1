//! Boots the guest once and snapshots its memory, so that every instance starts with a ready JavaScript context.

use futures_util::FutureExt as _;
use wasmtime::{Config, Engine, Error, Instance, Module, OptLevel, Result, Store, Val};
use wasmtime_wizer::{InstanceState, SnapshotVal, ValType, Wizer};

use super::host::{self, HostState, Limits};

/// Time that the guest may take to boot.
const BOOT_MAX: std::time::Duration = std::time::Duration::from_secs(60);
/// Memory that the guest may take to boot, in bytes.
const BOOT_MEMORY_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Runs the guest's `initialize` and returns the module that starts where it ended.
pub(super) fn boot(wasm: &[u8]) -> Result<Vec<u8>> {
    let mut wizer = Wizer::new();
    wizer.init_func("initialize");
    let (module_context, instrumented) = wizer.instrument(wasm)?;
    // This code runs for a millisecond: compile it fast, not well.
    let engine = Engine::new(Config::new().cranelift_opt_level(OptLevel::None))?;
    let module = Module::new(&engine, instrumented)?;
    let limits = Limits { wall: BOOT_MAX, cpu: BOOT_MAX, memory_bytes: BOOT_MEMORY_BYTES_MAX, output_bytes: 0, log_bytes: 0 };
    let mut store = Store::new(&engine, HostState::booting(limits));
    store.limiter(|state| &mut state.memory);
    let instance = host::linker(&engine)?.instantiate(&mut store, &module)?;
    instance.get_typed_func::<(), ()>(&mut store, "_initialize")?.call(&mut store, ())?;
    instance.get_typed_func::<(), ()>(&mut store, wizer.get_init_func())?.call(&mut store, ())?;
    wizer
        .snapshot(&module_context, &mut BootedGuest { store, instance })
        .now_or_never()
        .ok_or_else(|| Error::msg("the snapshot waits, although nothing in it can"))?
}

/// Shows wizer the state that `initialize` left.
struct BootedGuest {
    store: Store<HostState>,
    instance: Instance,
}

impl InstanceState for BootedGuest {
    async fn global_get(&mut self, name: &str, _type: ValType) -> SnapshotVal {
        let global = self.instance.get_global(&mut self.store, name).expect("wizer asks for globals that it exported");
        match global.get(&mut self.store) {
            Val::I32(value) => SnapshotVal::I32(value),
            Val::I64(value) => SnapshotVal::I64(value),
            Val::F32(value) => SnapshotVal::F32(value),
            Val::F64(value) => SnapshotVal::F64(value),
            other => panic!("the guest has no globals like {other:?}"),
        }
    }

    async fn memory_contents(&mut self, name: &str, contents: impl FnOnce(&[u8]) + Send) {
        let memory = self.instance.get_memory(&mut self.store, name).expect("wizer asks for memories that it exported");
        contents(memory.data(&self.store));
    }
}
