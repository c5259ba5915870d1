//! A guest that is an interpreter of its own: it compiles functions and calls them over JSON, under the limits that its instance was
//! made with. JavaScript and Lua are such guests; `guests/*/guest.c` is the other side of this interface.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wasmtime::{Instance, InstancePre, Linker, Memory, Module, Result, Store, TypedFunc};

use super::{
    EngineError, Sandbox,
    error::{GuestError, Thrown},
    imports,
    snapshot::{self, Boot},
    state::{HostState, Limits},
};
use crate::runtimes::{
    code::{CodeError, CodeOutput, Usage},
    grants::Grants,
};

/// What `call` of the guest returns when the result is what the function returned, and not what it threw.
pub(in crate::runtimes) const STATUS_OK: i32 = 0;
/// Memory that a guest may take to boot, in bytes.
const BOOT_MEMORY_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A pre-booted guest.
pub(in crate::runtimes) struct Interpreter {
    sandbox: Arc<Sandbox>,
    pre: InstancePre<HostState>,
    dialect: Dialect,
}

/// What differs between the guests.
#[derive(Clone, Copy)]
pub(in crate::runtimes) struct Dialect {
    /// Reads what the guest tells of an error.
    pub(in crate::runtimes) read_thrown: fn(RawThrown) -> Thrown,
    /// What errors about memory begin with.
    pub(in crate::runtimes) out_of_memory: &'static str,
}

/// What a guest tells of what was thrown.
#[derive(Debug, Deserialize)]
pub(in crate::runtimes) struct RawThrown {
    #[serde(default)]
    pub(in crate::runtimes) name: String,
    pub(in crate::runtimes) message: String,
    #[serde(default)]
    pub(in crate::runtimes) line: Option<u32>,
    #[serde(default)]
    pub(in crate::runtimes) stack: String,
}

/// Where a guest comes from.
pub(in crate::runtimes) struct Source {
    /// Names it in the cache.
    pub(in crate::runtimes) name: &'static str,
    pub(in crate::runtimes) wasm: &'static [u8],
    pub(in crate::runtimes) dialect: Dialect,
}

impl Interpreter {
    /// Boots, snapshots and compiles the guest, or loads what an earlier process compiled.
    ///
    /// Errors: [`EngineError`]; none of them passes by itself.
    pub(in crate::runtimes) fn new(sandbox: Arc<Sandbox>, source: Source) -> std::result::Result<Self, EngineError> {
        let Source { name, wasm, dialect } = source;
        let module: Module = sandbox.load_or_compile(name, &[wasm], || {
            let boot =
                Boot { init_function: "initialize", memory_bytes: BOOT_MEMORY_BYTES_MAX, guest: (), define: imports::define };
            snapshot::boot(wasm, boot).map_err(EngineError::web_assembly("boot the guest"))
        })?;
        let mut linker = Linker::new(sandbox.engine());
        imports::define(&mut linker).map_err(EngineError::web_assembly("define the guest's imports"))?;
        let pre = linker.instantiate_pre(&module).map_err(EngineError::web_assembly("link the guest"))?;
        Ok(Self { sandbox, pre, dialect })
    }

    /// A fresh instance: nothing of any other run is in it.
    pub(in crate::runtimes) fn instantiate(&self, limits: Limits) -> std::result::Result<Guest, GuestError> {
        let mut store = self.sandbox.store(limits, ());
        let instance =
            self.pre.instantiate(&mut store).map_err(|error| GuestError::of_instantiation(error, store.data(), &limits))?;
        let missing = |error: wasmtime::Error| GuestError::Trapped(error.into());
        Ok(Guest {
            memory: instance.get_memory(&mut store, "memory").expect("the guest exports its memory"),
            reserve: instance.get_typed_func(&mut store, "reserve").map_err(missing)?,
            compile: instance.get_typed_func(&mut store, "compile").map_err(missing)?,
            call: instance.get_typed_func(&mut store, "call").map_err(missing)?,
            result: instance.get_typed_func(&mut store, "result").map_err(missing)?,
            instance,
            limits,
            dialect: self.dialect,
            output_bytes_left: limits.output_bytes,
            store,
        })
    }
}

/// A live instance. Not to be used again after a [`GuestError`] that [`GuestError::ends_instance`].
pub(in crate::runtimes) struct Guest {
    store: Store<HostState>,
    instance: Instance,
    memory: Memory,
    reserve: TypedFunc<u32, u32>,
    compile: TypedFunc<(u32, i32), i32>,
    call: TypedFunc<(i32, u32), i32>,
    result: TypedFunc<(), u64>,
    limits: Limits,
    dialect: Dialect,
    output_bytes_left: usize,
}

/// A function in one instance.
#[derive(Debug, Clone, Copy)]
pub(in crate::runtimes) struct Function(i32);

type Outcome<R> = std::result::Result<R, GuestError>;

impl Guest {
    /// Grants the limits of time and output anew.
    pub(in crate::runtimes) fn renew(&mut self) {
        self.store.data_mut().deadline.restart();
        self.store.set_epoch_deadline(1);
        self.output_bytes_left = self.limits.output_bytes;
    }

    /// Calls an export that takes nothing and returns a status.
    pub(in crate::runtimes) fn call_export(&mut self, name: &str) -> Outcome<()> {
        let function: TypedFunc<(), i32> =
            self.instance.get_typed_func(&mut self.store, name).map_err(|error| GuestError::Trapped(error.into()))?;
        let called = function.call(&mut self.store, ());
        if self.check_trap(called)? == STATUS_OK { Ok(()) } else { Err(self.thrown()) }
    }

    /// Compiles a source into a function. What `flags` mean is between the language and its guest.
    pub(in crate::runtimes) fn compile(&mut self, source: &str, flags: i32) -> Outcome<Function> {
        let length = self.write(source.as_bytes())?;
        let compiled = self.compile.call(&mut self.store, (length, flags));
        let handle = self.check_trap(compiled)?;
        if handle < 0 { Err(self.thrown()) } else { Ok(Function(handle)) }
    }

    /// Calls a function over a scope and takes what it returned.
    pub(in crate::runtimes) fn call(&mut self, function: Function, scope: &impl Serialize) -> Outcome<Value> {
        let scope = serde_json::to_vec(scope).expect("a scope is made of JSON values");
        self.call_with_json(function, &scope)
    }

    /// As [`Self::call`], with the scope as JSON.
    pub(in crate::runtimes) fn call_with_json(&mut self, function: Function, scope: &[u8]) -> Outcome<Value> {
        let length = self.write(scope)?;
        let called = self.call.call(&mut self.store, (function.0, length));
        if self.check_trap(called)? != STATUS_OK {
            return Err(self.thrown());
        }
        let bytes_max = self.output_bytes_left;
        let output = self.result()?;
        if output.len() > bytes_max {
            return Err(GuestError::OutputTooLarge { bytes_max: self.limits.output_bytes });
        }
        let (value, bytes) = (output_value(output).map_err(GuestError::OutputMalformed)?, output.len());
        self.output_bytes_left -= bytes;
        Ok(value)
    }

    /// Opens the way to the network, if the run has one.
    pub(in crate::runtimes) fn grant(&mut self, grants: &Grants) {
        self.store.data_mut().grant(grants);
    }

    /// The end of a run: its result with the console output since the last run, and what it used.
    pub(in crate::runtimes) fn finish(
        &mut self,
        result: Outcome<Value>,
        cold: bool,
    ) -> std::result::Result<CodeOutput, CodeError> {
        let (logs, logs_truncated) = self.store.data_mut().log.take();
        let usage = Usage::of(self.store.data().used(), cold);
        match result {
            Ok(output) => Ok(CodeOutput { output, logs, logs_truncated, usage }),
            Err(error) => Err(CodeError { logs, logs_truncated, usage: Some(usage), ..CodeError::from(error) }),
        }
    }

    /// Current size of the instance's memory; it never shrinks.
    pub(in crate::runtimes) fn memory_bytes(&self) -> usize {
        self.memory.data_size(&self.store)
    }

    /// Writes a text to where the guest wants it, and returns its length.
    fn write(&mut self, text: &[u8]) -> Outcome<u32> {
        let too_large = GuestError::Memory { bytes_max: self.limits.memory_bytes };
        let Ok(length) = u32::try_from(text.len()) else { return Err(too_large) };
        let reserved = self.reserve.call(&mut self.store, length);
        let address = self.check_trap(reserved)?;
        if address == 0 {
            return Err(too_large);
        }
        let offset = usize::try_from(address).map_err(|error| GuestError::Trapped(error.into()))?;
        self.memory.write(&mut self.store, offset, text).map_err(|error| GuestError::Trapped(error.into()))?;
        Ok(length)
    }

    /// The guest's last result.
    fn result(&mut self) -> Outcome<&[u8]> {
        let called = self.result.call(&mut self.store, ());
        let packed = self.check_trap(called)?.to_le_bytes();
        let [l0, l1, l2, l3, a0, a1, a2, a3] = packed;
        let (address, length) = (u32::from_le_bytes([a0, a1, a2, a3]), u32::from_le_bytes([l0, l1, l2, l3]));
        imports::slice(self.memory.data(&self.store), address, length)
            .ok_or_else(|| GuestError::Trapped("a result outside of the guest's memory".into()))
    }

    /// The guest's last result, where that is an exception.
    fn thrown(&mut self) -> GuestError {
        let thrown: RawThrown = match self.result().map(serde_json::from_slice) {
            Ok(Ok(thrown)) => thrown,
            Ok(Err(error)) => return GuestError::OutputMalformed(error),
            Err(error) => return error,
        };
        // When not even the error fits into memory, QuickJS throws null.
        let is_about_memory =
            thrown.message.starts_with(self.dialect.out_of_memory) || (thrown.name.is_empty() && thrown.message == "null");
        if self.store.data().memory.is_refused && is_about_memory {
            return GuestError::Memory { bytes_max: self.limits.memory_bytes };
        }
        self.store.data().thrown((self.dialect.read_thrown)(thrown))
    }

    /// Says which limit a trap means.
    fn check_trap<R>(&self, called: Result<R>) -> Outcome<R> {
        called.map_err(|error| GuestError::of_trap(error, self.store.data(), &self.limits))
    }
}

/// Reads the guest's JSON. JavaScript strings may hold halves of surrogate pairs, which become U+FFFD here.
fn output_value(json: &[u8]) -> serde_json::Result<Value> {
    serde_json::from_slice(json).or_else(|error| match well_formed(json) {
        Some(repaired) => serde_json::from_slice(&repaired),
        None => Err(error),
    })
}

/// Replaces every lone `\udXXX` in a JSON text; `None` if there is none. Guests write whole pairs as characters.
fn well_formed(json: &[u8]) -> Option<Vec<u8>> {
    let mut repaired = json.to_vec();
    let mut at = 0;
    let mut is_changed = false;
    while at + 6 <= repaired.len() {
        match &repaired[at..at + 3] {
            [b'\\', b'u', b'd'] if matches!(repaired[at + 3], b'8'..=b'9' | b'a'..=b'f') => {
                repaired[at..at + 6].copy_from_slice(b"\\ufffd");
                is_changed = true;
                at += 6;
            }
            [b'\\', ..] => at += 2,
            _ => at += 1,
        }
    }
    is_changed.then_some(repaired)
}
