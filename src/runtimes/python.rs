//! Python: CPython as a component that componentize-py has made of `guests/python`, booted. It has the standard library and SQLite,
//! and neither files nor network nor threads.

mod seen;
mod wasi;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use wasmtime::{
    Store, StoreContextMut,
    component::{self, Component, InstancePre, Linker, WasmList, WasmStr},
};
use wasmtime_wasi::I32Exit;

use self::seen::Seen;
use super::{
    code::level_from_guest,
    fetch::{Answer, FETCH_BODY_BYTES_MAX, FETCH_HEAD_BYTES_MAX},
    grants::Grants,
    install::{Installable, Installation},
    installed::{FIRST_LIMITS, Instance, Interpreter, Names, error_of, first_failed},
    sandbox::{
        EngineError, Sandbox,
        error::GuestError,
        hot::{HotPages, Written},
        state::{HostState, Limits, Used},
        wasi::WasiState,
    },
};
use crate::model::log::LogLine;

/// What the guest calls things.
const NAMES: Names = Names { file: "code.py", memory_error: "MemoryError" };

/// A run like most, and its variables: what it writes to, most runs do.
const SAMPLE: &str = "return [{**item, 'total': item['price'] * item['count']} for item in input if item['name'] != '']";
const SAMPLE_VARIABLES: &str = r#"{ "input": [{ "name": "a", "price": 9.99, "count": 2 }, { "name": "", "tags": [null] }] }"#;

/// The booted guest.
pub struct Python {
    sandbox: Arc<Sandbox>,
    guest: InstancePre<HostState<WasiState>>,
    /// Memory that an instance has when it begins: the snapshot, which all instances share until they write to it.
    booted_bytes: usize,
    hot: Arc<HotPages>,
}

impl Interpreter for Python {
    const LANGUAGE: Installable = Installable::Python;

    type Instance = PythonInstance;

    fn load(sandbox: &Arc<Sandbox>, installation: &Installation) -> Result<Self, EngineError> {
        let component: Component =
            sandbox.load_or_compile_in(&installation.compiled(), "python", &[installation.guest_sha256().as_bytes()], || {
                installation.read_guest()
            })?;
        let mut linker = Linker::new(sandbox.engine());
        define(&mut linker).map_err(EngineError::web_assembly("define the imports of Python"))?;
        let guest = linker.instantiate_pre(&component).map_err(EngineError::web_assembly("link Python"))?;
        let mut python = Self { sandbox: Arc::clone(sandbox), guest, booted_bytes: 0, hot: Arc::default() };
        let mut first = python.instantiate(FIRST_LIMITS).map_err(first_failed)?;
        python.booted_bytes = first.used().memory_bytes_peak;
        let written = first.sample().map_err(first_failed)?;
        drop(first);
        let mut second = python.instantiate(FIRST_LIMITS).map_err(first_failed)?;
        python.hot = Arc::new(second.look(|memory| HotPages::of(&written, memory)).map_err(first_failed)?);
        Ok(python)
    }

    fn instantiate(&self, limits: Limits) -> Result<Self::Instance, GuestError> {
        let mut store = self.sandbox.store(limits.beyond(self.booted_bytes), wasi::system());
        match self.guest.instantiate(&mut store) {
            Ok(instance) => {
                Ok(PythonInstance { store, instance, limits, booted_bytes: self.booted_bytes, hot: Arc::clone(&self.hot) })
            }
            Err(error) => Err(GuestError::of_instantiation(error, store.data(), &limits)),
        }
    }
}

/// What guest.wit imports.
fn define(linker: &mut Linker<HostState<WasiState>>) -> wasmtime::Result<()> {
    wasi::define(linker)?;
    linker.root().func_wrap("fetch", fetch)?;
    linker.root().func_wrap("log", |mut store: StoreContextMut<'_, HostState<WasiState>>, (level, line): (u32, WasmStr)| {
        let line = line.to_str(&store)?.into_owned();
        store.data_mut().log.write(level_from_guest(level), line.as_bytes());
        Ok(())
    })
}

/// Sends a request that has a head and a body.
fn fetch(
    mut store: StoreContextMut<'_, HostState<WasiState>>,
    (head, body): (WasmStr, WasmList<u8>),
) -> wasmtime::Result<((String, Vec<u8>),)> {
    // No more is copied than what shows that it is too much.
    let head = head.to_str(&store)?;
    let head = head.as_bytes()[..head.len().min(FETCH_HEAD_BYTES_MAX + 1)].to_vec();
    let body = body.as_le_slice(&store);
    let body = body[..body.len().min(FETCH_BODY_BYTES_MAX + 1)].to_vec();
    let Answer { head, body } = store.data_mut().fetch(&head, &body);
    Ok(((head, body),))
}

pub(super) struct PythonInstance {
    store: Store<HostState<WasiState>>,
    instance: component::Instance,
    limits: Limits,
    booted_bytes: usize,
    hot: Arc<HotPages>,
}

impl Instance for PythonInstance {
    fn prepare(&mut self, source: &str, grants: &Grants) -> Result<(), GuestError> {
        self.store.data_mut().grant(grants);
        let hot = Arc::clone(&self.hot);
        self.prepare_seen(Seen { text: source, look: &|memory| hot.touch(memory) }, &grants.env)
    }

    fn call(&mut self, variables: &str) -> Result<String, GuestError> {
        let called = self
            .instance
            .get_typed_func::<(&str,), (Result<String, String>,)>(&mut self.store, "call")
            .and_then(|call| call.call(&mut self.store, (variables,)));
        self.taken(called)
    }

    fn take_log(&mut self) -> (Vec<LogLine>, bool) {
        self.store.data_mut().log.take()
    }

    fn used(&self) -> Used {
        self.store.data().used().without(self.booted_bytes)
    }
}

impl PythonInstance {
    /// Runs the sample, and tells what it has written to.
    fn sample(&mut self) -> Result<Written, GuestError> {
        self.prepare(SAMPLE, &Grants::default())?;
        self.call(SAMPLE_VARIABLES)?;
        self.look(Written::of)
    }

    /// What can be seen in the memory.
    fn look<R: Default + Send>(&mut self, look: impl Fn(&[u8]) -> R + Send + Sync) -> Result<R, GuestError> {
        let seen = Mutex::new(R::default());
        let keep = |memory: &mut [u8]| *seen.lock().unwrap_or_else(PoisonError::into_inner) = look(memory);
        self.prepare_seen(Seen { text: SAMPLE, look: &keep }, &BTreeMap::new())?;
        Ok(seen.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn prepare_seen(&mut self, source: Seen<'_>, environment: &BTreeMap<String, String>) -> Result<(), GuestError> {
        let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (&**name, &**value)).collect();
        let called = self
            .instance
            .get_typed_func::<(Seen<'_>, &[(&str, &str)]), (Result<(), String>,)>(&mut self.store, "prepare")
            .and_then(|prepare| prepare.call(&mut self.store, (source, &environment)));
        self.taken(called)
    }

    /// What a call gave, or why it gave nothing.
    fn taken<T>(&mut self, called: wasmtime::Result<(Result<T, String>,)>) -> Result<T, GuestError> {
        match called {
            Ok((Ok(value),)) => Ok(value),
            Ok((Err(thrown),)) => Err(self.thrown(&thrown)),
            Err(error) if error.is::<I32Exit>() => Err(GuestError::Exited),
            Err(error) => Err(GuestError::of_trap(error, self.store.data(), &self.limits)),
        }
    }

    fn thrown(&self, json: &str) -> GuestError {
        error_of(json, &NAMES, self.store.data(), &self.limits)
    }
}
