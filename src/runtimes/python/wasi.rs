//! What a component finds of the system: clocks and chance. WASI's other doors are there, and closed: no files, no addresses, no
//! arguments, no environment, and input that has ended. Without the doors themselves, what interpreters turn into exceptions would
//! be traps.

use wasmtime::{
    Error, Result, StoreContextMut,
    component::{Linker, Resource},
};
use wasmtime_wasi::{
    WasiCtxBuilder, WasiView as _,
    clocks::WasiClocksView as _,
    p2::{
        self, DynPollable,
        bindings::{
            clocks::monotonic_clock::Host as _,
            sync::io::poll::{Host as _, HostPollable as _},
        },
    },
};

use crate::runtimes::sandbox::{state::HostState, wasi::WasiState};

/// The interface that waits, as wasmtime-wasi names it. Where that changes its name, a test of sleeping code fails.
const POLL: &str = "wasi:io/poll@0.2.12";

/// Random bytes that a guest may draw in one call.
const RANDOM_BYTES_MAX: u64 = 64 * 1024;

/// The system of one instance.
pub(super) fn system() -> WasiState {
    // Runs are on threads that may block.
    let mut builder = WasiCtxBuilder::new();
    builder.allow_blocking_current_thread(true).allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
    WasiState::new(builder.max_random_size(RANDOM_BYTES_MAX).build())
}

/// Defines all of WASI 0.2. Whatever waits does so within the deadline of the run: a waiting guest does not see the engine's clock.
pub(super) fn define(linker: &mut Linker<HostState<WasiState>>) -> Result<()> {
    p2::add_to_linker_sync(linker)?;
    linker.allow_shadowing(true);
    let mut poll = linker.instance(POLL)?;
    poll.func_wrap(
        "poll",
        |mut store: StoreContextMut<'_, HostState<WasiState>>, (pollables,): (Vec<Resource<DynPollable>>,)| {
            wait_for(store.data_mut(), pollables).map(|ready| (ready,))
        },
    )?;
    poll.func_wrap(
        "[method]pollable.block",
        |mut store: StoreContextMut<'_, HostState<WasiState>>, (pollable,): (Resource<DynPollable>,)| {
            wait_for(store.data_mut(), vec![pollable]).map(drop)
        },
    )
}

/// Waits until something is ready, and gives the places of what is. Errors: the deadline has passed.
fn wait_for(state: &mut HostState<WasiState>, mut pollables: Vec<Resource<DynPollable>>) -> Result<Vec<u32>> {
    let left_ns = u64::try_from(state.deadline.wall_left().as_nanos()).unwrap_or(u64::MAX);
    let alarm = state.clocks().subscribe_duration(left_ns)?;
    let alarm_place = u32::try_from(pollables.len())?;
    pollables.push(Resource::new_borrow(alarm.rep()));
    let waited = state.ctx().table.poll(pollables);
    state.ctx().table.drop(alarm)?;
    let ready: Vec<u32> = waited?.into_iter().filter(|&place| place != alarm_place).collect();
    if ready.is_empty() {
        state.deadline.pass();
        return Err(Error::msg("the run's time is over"));
    }
    Ok(ready)
}
