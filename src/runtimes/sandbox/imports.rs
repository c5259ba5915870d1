//! The imports of guests that need no WASI context: console, chance, the clock, `fetch`; and files, of which they have none.

use wasmtime::{Caller, Error, Extern, Linker, Memory, Result};

use super::state::HostState;
use crate::{
    clock,
    runtimes::{code::level_from_guest, fetch::Answer},
};

/// WASI preview 1.
const WASI: &str = "wasi_snapshot_preview1";
/// WASI's `errno::badf`: the guest has no files.
const ERRNO_BAD_FILE: i32 = 8;
/// WASI's `errno::inval`.
const ERRNO_INVALID: i32 = 28;

/// Defines `citadel.log`, `citadel.seed` and `citadel.fetch`, and as much of WASI preview 1 as C code links without being asked.
pub(in crate::runtimes) fn define<T: 'static>(linker: &mut Linker<HostState<T>>) -> Result<()> {
    linker.func_wrap("citadel", "log", |mut caller: Caller<'_, HostState<T>>, level: u32, text: u32, length: u32| {
        let memory = memory_of(&mut caller)?;
        let (data, state) = memory.data_and_store_mut(&mut caller);
        let text = slice(data, text, length).ok_or_else(|| Error::msg("console output outside of the guest's memory"))?;
        state.log.write(level_from_guest(level), text);
        Ok(())
    })?;
    linker.func_wrap("citadel", "seed", clock::chance)?;
    linker.func_wrap("citadel", "fetch", fetch::<T>)?;
    linker.func_wrap(WASI, "clock_time_get", clock_time_get::<T>)?;
    linker.func_wrap(WASI, "random_get", random_get::<T>)?;
    linker
        .func_wrap(WASI, "proc_exit", |code: i32| -> Result<()> { Err(Error::msg(format!("the guest ended itself: {code}"))) })?;
    linker.func_wrap(WASI, "fd_close", |_: i32| ERRNO_BAD_FILE)?;
    linker.func_wrap(WASI, "fd_fdstat_get", |_: i32, _: i32| ERRNO_BAD_FILE)?;
    linker.func_wrap(WASI, "fd_fdstat_set_flags", |_: i32, _: i32| ERRNO_BAD_FILE)?;
    linker.func_wrap(WASI, "fd_prestat_get", |_: i32, _: i32| ERRNO_BAD_FILE)?;
    linker.func_wrap(WASI, "fd_prestat_dir_name", |_: i32, _: i32, _: i32| ERRNO_BAD_FILE)?;
    linker.func_wrap(WASI, "fd_read", |_: i32, _: i32, _: i32, _: i32| ERRNO_BAD_FILE)?;
    linker.func_wrap(WASI, "fd_renumber", |_: i32, _: i32| ERRNO_BAD_FILE)?;
    linker.func_wrap(WASI, "fd_seek", |_: i32, _: i64, _: i32, _: i32| ERRNO_BAD_FILE)?;
    linker.func_wrap(WASI, "fd_write", |_: i32, _: i32, _: i32, _: i32| ERRNO_BAD_FILE)?;
    linker
        .func_wrap(WASI, "path_open", |_: i32, _: i32, _: i32, _: i32, _: i32, _: i64, _: i64, _: i32, _: i32| ERRNO_BAD_FILE)?;
    Ok(())
}

/// Sends a request that has a head and a body. The answer lies where `reserve` of the guest says: its head, a newline, its body.
/// Returns its length; -1 if the guest has no memory for it.
fn fetch<T: 'static>(
    mut caller: Caller<'_, HostState<T>>,
    head: u32,
    head_length: u32,
    body: u32,
    body_length: u32,
) -> Result<i32> {
    let memory = memory_of(&mut caller)?;
    let (data, state) = memory.data_and_store_mut(&mut caller);
    let request = slice(data, head, head_length).zip(slice(data, body, body_length));
    let (head, body) = request.ok_or_else(|| Error::msg("a request outside of the guest's memory"))?;
    let Answer { head, body } = state.fetch(head, body);
    let answer = [head.as_bytes(), b"\n", &body].concat();
    let (Ok(length), Ok(signed_length)) = (u32::try_from(answer.len()), i32::try_from(answer.len())) else { return Ok(-1) };
    let reserve = caller.get_export("reserve").and_then(Extern::into_func);
    let reserve = reserve.ok_or_else(|| Error::msg("the guest reserves nothing"))?.typed::<u32, u32>(&caller)?;
    let address = reserve.call(&mut caller, length)?;
    if address == 0 {
        return Ok(-1);
    }
    memory.write(&mut caller, usize::try_from(address)?, &answer)?;
    Ok(signed_length)
}

/// Fills a buffer of the guest with chance.
fn random_get<T>(mut caller: Caller<'_, HostState<T>>, buffer: u32, length: u32) -> Result<i32> {
    let memory = memory_of(&mut caller)?;
    let (start, length) = (usize::try_from(buffer)?, usize::try_from(length)?);
    let buffer = memory.data_mut(&mut caller).get_mut(start..).and_then(|rest| rest.get_mut(..length));
    let buffer = buffer.ok_or_else(|| Error::msg("a buffer outside of the guest's memory"))?;
    for chunk in buffer.chunks_mut(size_of::<u64>()) {
        chunk.copy_from_slice(&clock::chance().to_le_bytes()[..chunk.len()]);
    }
    Ok(0)
}

/// Clock 0 is the time of day, 1 counts from the start of the instance; both in nanoseconds. Source: WASI preview 1.
fn clock_time_get<T>(mut caller: Caller<'_, HostState<T>>, clock_id: i32, _precision: i64, result: u32) -> Result<i32> {
    let nanoseconds = match clock_id {
        0 => clock::now_ms().saturating_mul(1_000_000),
        1 => caller.data().started_at.map_or(0, |start| u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)),
        _ => return Ok(ERRNO_INVALID),
    };
    let memory = memory_of(&mut caller)?;
    let address = usize::try_from(result)?;
    memory.write(&mut caller, address, &nanoseconds.to_le_bytes())?;
    Ok(0)
}

/// The memory that a guest exports as `memory`.
pub(in crate::runtimes) fn memory_of<T>(caller: &mut Caller<'_, HostState<T>>) -> Result<Memory> {
    caller.get_export("memory").and_then(Extern::into_memory).ok_or_else(|| Error::msg("the guest has no memory"))
}

/// The bytes at an address of the guest; `None` if they are not all inside of its memory.
pub(in crate::runtimes) fn slice(data: &[u8], address: u32, length: u32) -> Option<&[u8]> {
    let start = usize::try_from(address).ok()?;
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    data.get(start..end)
}
