//! What Ruby's build for WebAssembly exports to its host, as far as it is used here. Source: `rb-abi-guest.wit` of ruby.wasm.

use wasmtime::{Error, Instance, Memory, Result, Store, TypedFunc};

use super::{door::Door, output::Output};
use crate::runtimes::sandbox::{imports::slice, state::HostState};

pub(super) type RubyState = HostState<Host>;

/// What an instance has on the host's side besides what every language has.
#[derive(Default)]
pub(super) struct Host {
    pub(super) output: Output,
    pub(super) door: Door,
}

/// The arguments of the interpreter. `-e` with an empty program, since it would read one from standard input.
const ARGUMENTS: [&str; 3] = ["ruby.wasm", "-EUTF-8", "-e_=0"];

/// The functions of one instance.
pub(super) struct Interface {
    memory: Memory,
    /// `(0, 0, alignment, size) -> address`.
    allocate: TypedFunc<(u32, u32, u32, u32), u32>,
    /// `(list of arguments, length)`.
    initialize: TypedFunc<(u32, u32), ()>,
    /// `(source, length) -> address of (value, state)`.
    evaluate: TypedFunc<(u32, u32), u32>,
    /// `string value -> address of (text, length)`.
    string: TypedFunc<u32, u32>,
}

impl Interface {
    pub(super) fn of(store: &mut Store<RubyState>, instance: &Instance) -> Result<Self> {
        Ok(Self {
            memory: instance.get_memory(&mut *store, "memory").ok_or_else(|| Error::msg("the guest has no memory"))?,
            allocate: instance.get_typed_func(&mut *store, "cabi_realloc")?,
            initialize: instance.get_typed_func(&mut *store, "ruby-init: func(args: list<string>) -> ()")?,
            evaluate: instance
                .get_typed_func(&mut *store, "rb-eval-string-protect: func(str: string) -> tuple<handle<rb-abi-value>, s32>")?,
            string: instance.get_typed_func(&mut *store, "rstring-ptr: func(value: handle<rb-abi-value>) -> string")?,
        })
    }

    /// Starts the interpreter; once, at boot.
    pub(super) fn initialize(&self, store: &mut Store<RubyState>) -> Result<()> {
        let mut list = Vec::new();
        for argument in ARGUMENTS {
            // The interpreter wants texts that end with a zero, which does not count.
            let address = self.put(store, format!("{argument}\0").as_bytes(), 1)?;
            list.extend(address.to_le_bytes());
            list.extend(u32::try_from(argument.len())?.to_le_bytes());
        }
        let address = self.put(store, &list, 4)?;
        self.initialize.call(&mut *store, (address, u32::try_from(ARGUMENTS.len())?))
    }

    /// Evaluates a source whose value is a text. Errors: a trap, or it threw.
    pub(super) fn evaluate(&self, store: &mut Store<RubyState>, source: &str) -> Result<String> {
        let address = self.put(store, source.as_bytes(), 1)?;
        let result = self.evaluate.call(&mut *store, (address, u32::try_from(source.len())?))?;
        let (value, state) = self.pair(store, result)?;
        if state != 0 {
            return Err(Error::msg(format!("Ruby ended in state {state}")));
        }
        let result = self.string.call(&mut *store, value)?;
        let (address, length) = self.pair(store, result)?;
        let text = slice(self.memory.data(&*store), address, length).ok_or_else(outside)?;
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    /// The guest's memory.
    pub(super) fn memory_mut<'a>(&self, store: &'a mut Store<RubyState>) -> &'a mut [u8] {
        self.memory.data_mut(store)
    }

    /// Copies bytes into the guest.
    fn put(&self, store: &mut Store<RubyState>, bytes: &[u8], alignment: u32) -> Result<u32> {
        let address = self.allocate.call(&mut *store, (0, 0, alignment, u32::try_from(bytes.len())?))?;
        self.memory.write(&mut *store, usize::try_from(address)?, bytes)?;
        Ok(address)
    }

    /// Two numbers that lie side by side.
    fn pair(&self, store: &Store<RubyState>, address: u32) -> Result<(u32, u32)> {
        let bytes = slice(self.memory.data(store), address, 8).ok_or_else(outside)?;
        let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Ok((number(0), number(4)))
    }
}

fn outside() -> Error {
    Error::msg("a result outside of the guest's memory")
}
