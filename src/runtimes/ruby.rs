//! Ruby: the interpreter's own build for WebAssembly, booted with `guests/ruby/guest.rb` and snapshotted when it is installed. It
//! has the standard library, which the build carries in its memory, and neither files nor network nor threads.

mod door;
mod imports;
mod interface;
mod output;

use std::sync::Arc;

use wasmtime::{InstancePre, Linker, Module, Store};

use self::{
    imports::Ended,
    interface::{Host, Interface, RubyState},
};
use super::{
    grants::Grants,
    install::{Installable, Installation},
    installed::{FIRST_LIMITS, Instance, Interpreter, Names, error_of, first_failed},
    sandbox::{
        EngineError, MEMORY_BYTES_MAX, Sandbox,
        error::GuestError,
        hot::{HotPages, Written},
        snapshot::{self, Boot},
        state::{HostState, Limits, Used},
    },
};
use crate::model::log::LogLine;

/// What the guest calls things.
const NAMES: Names = Names { file: "code.rb", memory_error: "NoMemoryError" };
/// What `Citadel.prepare` says of a source that compiles.
const NOTHING_WRONG: &str = "null";
/// A run like most, and its variables: what it writes to, most runs do.
const SAMPLE: &str =
    "input.map { |item| item.merge('total' => item['price'] * (item['count'] || 1)) }.reject { |item| item['name'].empty? }";
const SAMPLE_VARIABLES: &str =
    r#"{ "input": [{ "name": "a", "price": 9.99, "count": 2 }, { "name": "", "price": 1, "tags": [null] }] }"#;
/// The guest, and what its evaluation gives.
const GUEST: &str = concat!(include_str!("../../guests/ruby/guest.rb"), "\n'booted'");
const BOOTED: &str = "booted";

/// Boots the interpreter as its package has it, and returns the module that starts where the boot ended.
pub(super) fn boot(interpreter: &[u8]) -> wasmtime::Result<Vec<u8>> {
    let boot = Boot {
        // The one without arguments; the interpreter's own has some, and is called below.
        init_function: "_initialize",
        memory_bytes: MEMORY_BYTES_MAX,
        guest: Host::default(),
        define: imports::define,
    };
    snapshot::boot_with(interpreter, boot, |store, instance| {
        instance.get_typed_func::<(), ()>(&mut *store, "_initialize")?.call(&mut *store, ())?;
        let interface = Interface::of(store, instance)?;
        interface.initialize(store)?;
        let text = interface.evaluate(store, GUEST)?;
        if text == BOOTED { Ok(()) } else { Err(wasmtime::Error::msg(format!("the guest answered {text}"))) }
    })
}

/// The booted guest.
pub struct Ruby {
    sandbox: Arc<Sandbox>,
    guest: InstancePre<RubyState>,
    /// Memory that an instance has when it begins: the snapshot, which all instances share until they write to it.
    booted_bytes: usize,
    hot: HotPages,
}

impl Interpreter for Ruby {
    const LANGUAGE: Installable = Installable::Ruby;

    type Instance = RubyInstance;

    fn load(sandbox: &Arc<Sandbox>, installation: &Installation) -> Result<Self, EngineError> {
        let module: Module =
            sandbox.load_or_compile_in(&installation.compiled(), "ruby", &[installation.guest_sha256().as_bytes()], || {
                installation.read_guest()
            })?;
        let mut linker = Linker::new(sandbox.engine());
        let linked = imports::define(&mut linker)
            .and_then(|()| linker.define_unknown_imports_as_traps(&module))
            .and_then(|()| linker.instantiate_pre(&module));
        let guest = linked.map_err(EngineError::web_assembly("link Ruby"))?;
        let mut ruby = Self { sandbox: Arc::clone(sandbox), guest, booted_bytes: 0, hot: HotPages::default() };
        let mut first = ruby.instantiate(FIRST_LIMITS).map_err(first_failed)?;
        ruby.booted_bytes = first.used().memory_bytes_peak;
        let written = first.sample().map_err(first_failed)?;
        drop(first);
        let mut second = ruby.instantiate(FIRST_LIMITS).map_err(first_failed)?;
        ruby.hot = HotPages::of(&written, second.interface.memory_mut(&mut second.store));
        Ok(ruby)
    }

    fn instantiate(&self, limits: Limits) -> Result<Self::Instance, GuestError> {
        let mut store = self.sandbox.store(limits.beyond(self.booted_bytes), Host::default());
        let started = self.guest.instantiate(&mut store).and_then(|instance| Interface::of(&mut store, &instance));
        match started {
            Ok(interface) => {
                self.hot.touch(interface.memory_mut(&mut store));
                Ok(RubyInstance { store, interface, limits, booted_bytes: self.booted_bytes })
            }
            Err(error) => Err(GuestError::of_instantiation(error, store.data(), &limits)),
        }
    }
}

pub(super) struct RubyInstance {
    store: Store<RubyState>,
    interface: Interface,
    limits: Limits,
    booted_bytes: usize,
}

impl Instance for RubyInstance {
    fn prepare(&mut self, source: &str, grants: &Grants) -> Result<(), GuestError> {
        self.store.data_mut().grant(grants);
        let arguments = serde_json::to_string(&(source, &grants.env)).expect("texts are JSON");
        let wrong = self.send("prepare", &arguments)?;
        if wrong == NOTHING_WRONG { Ok(()) } else { Err(self.thrown(&wrong)) }
    }

    fn call(&mut self, variables: &str) -> Result<String, GuestError> {
        let answer = self.send("call", variables)?;
        match answer.strip_prefix('[').and_then(|value| value.strip_suffix(']')) {
            Some(value) => Ok(value.to_owned()),
            None => Err(self.thrown(&answer)),
        }
    }

    fn take_log(&mut self) -> (Vec<LogLine>, bool) {
        let HostState { guest, log, .. } = self.store.data_mut();
        guest.output.finish(log);
        log.take()
    }

    fn used(&self) -> Used {
        self.store.data().used().without(self.booted_bytes)
    }
}

impl RubyInstance {
    /// Runs the sample, and tells what it has written to.
    fn sample(&mut self) -> Result<Written, GuestError> {
        self.prepare(SAMPLE, &Grants::default())?;
        self.call(SAMPLE_VARIABLES)?;
        Ok(Written::of(self.interface.memory_mut(&mut self.store)))
    }

    /// Calls a method of the guest's module `Citadel` with a JSON text. Both in one line, so nothing in the text can end it.
    fn send(&mut self, method: &str, json: &str) -> Result<String, GuestError> {
        let source = format!("Citadel.{method}(<<'JSON')\n{json}\nJSON\n");
        self.interface.evaluate(&mut self.store, &source).map_err(|error| {
            if error.is::<Ended>() { GuestError::Exited } else { GuestError::of_trap(error, self.store.data(), &self.limits) }
        })
    }

    fn thrown(&self, json: &str) -> GuestError {
        error_of(json, &NAMES, self.store.data(), &self.limits)
    }
}
