//! One guest instance: compiles functions and calls them over JSON, under the limits that it was made with.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wasmtime::{Memory, Store, TypedFunc};

use super::{Host, JavaScript};
use crate::{
    model::log::LogLine,
    runtimes::sandbox::{
        error::{GuestError, Thrown},
        imports,
        state::{HostState, Limits, Used},
    },
};

/// What `call` of the guest returns when the result is what the function returned, and not what it threw.
const STATUS_OK: i32 = 0;
/// What is before line and column in a frame of the source: guest.c names every source `code.js`.
const FILE_MARK: &str = "code.js:";

/// A live instance. Not to be used again after a [`GuestError`] that [`GuestError::ends_instance`].
pub(in crate::runtimes) struct Guest {
    store: Store<HostState<Host>>,
    memory: Memory,
    reserve: TypedFunc<u32, u32>,
    compile: TypedFunc<(u32, i32), i32>,
    call: TypedFunc<(i32, u32), i32>,
    seal: TypedFunc<(), i32>,
    result: TypedFunc<(), u64>,
    limits: Limits,
    output_bytes_left: usize,
}

/// A function in one instance.
#[derive(Debug, Clone, Copy)]
pub(in crate::runtimes) struct Function(i32);

/// Whether a source is compiled in strict mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::runtimes) enum Mode {
    Sloppy,
    Strict,
}

/// What the guest tells of what was thrown.
#[derive(Debug, Deserialize)]
struct RawThrown {
    name: String,
    message: String,
    stack: String,
}

impl RawThrown {
    /// The stack's frames in the source: not those of the header, of `prelude.js`, or of built-in functions.
    fn frames(&self) -> impl Iterator<Item = (&str, u32, u32)> {
        self.stack.lines().filter_map(|frame| {
            let (_, place) = frame.split_once(FILE_MARK)?;
            let mut numbers = place.trim_end_matches(')').split(':').map(str::parse);
            match (numbers.next()?, numbers.next()?) {
                (Ok(line), Ok(column)) => Some((frame.trim(), line, column)),
                _ => None, // A line that does not count.
            }
        })
    }
}

impl From<RawThrown> for Thrown {
    fn from(raw: RawThrown) -> Self {
        let place = raw.frames().next().map(|(_, line, column)| (line, column));
        let calls: Vec<&str> = raw.frames().map(|(frame, ..)| frame).collect();
        let stack = if calls.is_empty() { None } else { Some(calls.join("\n")) };
        Self { line: place.map(|at| at.0), column: place.map(|at| at.1), stack, name: raw.name, message: raw.message }
    }
}

impl JavaScript {
    /// A fresh instance: nothing of any other run is in it.
    pub(in crate::runtimes) fn instantiate(&self, limits: Limits) -> Result<Guest, GuestError> {
        let mut store = self.sandbox.store(limits, Host);
        let instance =
            self.guest.instantiate(&mut store).map_err(|error| GuestError::of_instantiation(error, store.data(), &limits))?;
        let missing = |error: wasmtime::Error| GuestError::Trapped(error.into());
        Ok(Guest {
            memory: instance.get_memory(&mut store, "memory").expect("the guest exports its memory"),
            reserve: instance.get_typed_func(&mut store, "reserve").map_err(missing)?,
            compile: instance.get_typed_func(&mut store, "compile").map_err(missing)?,
            call: instance.get_typed_func(&mut store, "call").map_err(missing)?,
            seal: instance.get_typed_func(&mut store, "seal").map_err(missing)?,
            result: instance.get_typed_func(&mut store, "result").map_err(missing)?,
            limits,
            output_bytes_left: limits.output_bytes,
            store,
        })
    }
}

impl Guest {
    /// Grants the limits of time and output anew.
    pub(in crate::runtimes) fn renew(&mut self) {
        self.store.data_mut().deadline.restart();
        self.store.set_epoch_deadline(1);
        self.output_bytes_left = self.limits.output_bytes;
    }

    /// Freezes what is global, so that one call cannot change what a later one sees.
    pub(in crate::runtimes) fn seal(&mut self) -> Result<(), GuestError> {
        let sealed = self.seal.call(&mut self.store, ());
        if self.check_trap(sealed)? == STATUS_OK { Ok(()) } else { Err(self.thrown()) }
    }

    /// Compiles a function expression. Its first two lines do not count in the positions of errors: the third is line 1.
    pub(in crate::runtimes) fn compile(&mut self, source: &str, mode: Mode) -> Result<Function, GuestError> {
        let length = self.write(source.as_bytes())?;
        let compiled = self.compile.call(&mut self.store, (length, i32::from(mode == Mode::Strict)));
        let handle = self.check_trap(compiled)?;
        if handle < 0 { Err(self.thrown()) } else { Ok(Function(handle)) }
    }

    /// Calls a function over a scope and takes what it returned, or what its promise was settled with.
    pub(in crate::runtimes) fn call(&mut self, function: Function, scope: &impl Serialize) -> Result<Value, GuestError> {
        let scope = serde_json::to_vec(scope).expect("a scope is made of JSON values");
        let length = self.write(&scope)?;
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

    /// The console output since the last call of this, and whether some of it was dropped.
    pub(in crate::runtimes) fn take_log(&mut self) -> (Vec<LogLine>, bool) {
        self.store.data_mut().log.take()
    }

    pub(in crate::runtimes) fn used(&self) -> Used {
        self.store.data().used()
    }

    /// Current size of the instance's memory; it never shrinks.
    pub(in crate::runtimes) fn memory_bytes(&self) -> usize {
        self.memory.data_size(&self.store)
    }

    /// Writes a text to where the guest wants it, and returns its length.
    fn write(&mut self, text: &[u8]) -> Result<u32, GuestError> {
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
    fn result(&mut self) -> Result<&[u8], GuestError> {
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
        let is_about_memory = thrown.message.starts_with("out of memory") || (thrown.name.is_empty() && thrown.message == "null");
        if self.store.data().memory.is_refused && is_about_memory {
            return GuestError::Memory { bytes_max: self.limits.memory_bytes };
        }
        GuestError::Thrown(thrown.into())
    }

    /// Says which limit a trap means.
    fn check_trap<T>(&self, called: wasmtime::Result<T>) -> Result<T, GuestError> {
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

/// Replaces every lone `\udXXX` in a JSON text; `None` if there is none. `JSON.stringify` writes whole pairs as characters.
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
