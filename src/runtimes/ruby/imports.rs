//! What Ruby finds of the system: standard output and standard error, clocks, chance, and the way to the network. WASI's other doors are
//! there, and closed: no files, no arguments, no environment. The doors to a JavaScript host are traps; nothing but the library `js`
//! goes there.

use std::{thread, time::Duration};

use wasmtime::{Caller, Error, FuncType, Linker, Memory, Result, Val, ValType};

use super::{door::DOOR, interface::RubyState, output::Stream};
use crate::{
    clock,
    runtimes::sandbox::{
        imports::{self, memory_of, slice},
        state::HostState,
    },
};

/// The module of WASI preview 1.
const WASI: &str = "wasi_snapshot_preview1";
/// WASI's `errno::success`, `errno::badf` and `errno::inval`.
const SUCCESS: i32 = 0;
const BAD_FILE: i32 = 8;
const INVALID: i32 = 28;
/// WASI's `filetype::character_device`: output is a terminal rather than a file, which may not be rewound.
const CHARACTER_DEVICE: u8 = 2;
/// Bytes that are drawn at once at most.
const RANDOM_BYTES_MAX: usize = 64 * 1024;

/// Bytes that one call writes or reads at most; the rest is the next call's. A call of the host's is not interrupted by a deadline.
const PIECE_BYTES_MAX: usize = 64 * 1024;
/// Entries of a list of texts or subscriptions.
const LIST_ENTRIES_MAX: u32 = 1024;

/// The functions that need files: each finds none. The parameters, `i` for `i32` and `I` for `i64`. Source: WASI preview 1.
const WITHOUT_FILES: [(&str, &str); 26] = [
    ("fd_advise", "iIIi"),
    ("fd_close", "i"),
    ("fd_datasync", "i"),
    ("fd_fdstat_set_flags", "ii"),
    ("fd_filestat_get", "ii"),
    ("fd_filestat_set_size", "iI"),
    ("fd_pread", "iiiIi"),
    ("fd_prestat_dir_name", "iii"),
    ("fd_prestat_get", "ii"),
    ("fd_pwrite", "iiiIi"),
    ("fd_readdir", "iiiIi"),
    ("fd_renumber", "ii"),
    ("fd_seek", "iIii"),
    ("fd_sync", "i"),
    ("fd_tell", "ii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiiIIi"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiiIIii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("clock_res_get", "ii"),
];

/// The interpreter has ended itself (`exit!`).
#[derive(Debug, thiserror::Error)]
#[error("the interpreter has ended itself with code {0}")]
pub(super) struct Ended(i32);

/// Defines everything that Ruby imports but the doors to JavaScript.
pub(super) fn define(linker: &mut Linker<RubyState>) -> Result<()> {
    linker.allow_shadowing(true);
    imports::define(linker)?;
    for (name, parameters) in WITHOUT_FILES {
        let parameters = parameters.chars().map(|letter| if letter == 'I' { ValType::I64 } else { ValType::I32 });
        let function = FuncType::new(linker.engine(), parameters, [ValType::I32]);
        linker.func_new(WASI, name, function, |_, _, results| {
            results[0] = Val::I32(BAD_FILE);
            Ok(())
        })?;
    }
    for name in ["args_get", "environ_get"] {
        linker.func_wrap(WASI, name, |_: u32, _: u32| SUCCESS)?;
    }
    for name in ["args_sizes_get", "environ_sizes_get"] {
        linker.func_wrap(WASI, name, sizes_of_nothing)?;
    }
    linker.func_wrap(WASI, "fd_fdstat_get", fd_fdstat_get)?;
    linker.func_wrap(WASI, "fd_read", fd_read)?;
    linker.func_wrap(WASI, "fd_write", fd_write)?;
    linker.func_wrap(WASI, "poll_oneoff", poll_oneoff)?;
    linker.func_wrap(WASI, "proc_exit", |code: i32| -> Result<()> { Err(Ended(code).into()) })?;
    linker.func_wrap(WASI, "random_get", random_get)?;
    define_values(linker)
}

/// The interpreter's values as its host sees them: their addresses are handles enough, since nothing here keeps one.
fn define_values(linker: &mut Linker<RubyState>) -> Result<()> {
    const VALUES: &str = "canonical_abi";
    linker.func_wrap(VALUES, "resource_new_rb-abi-value", |value: u32| value)?;
    linker.func_wrap(VALUES, "resource_get_rb-abi-value", |value: u32| value)?;
    linker.func_wrap(VALUES, "resource_drop_js-abi-value", |_: u32| {})?;
    Ok(())
}

fn sizes_of_nothing(mut caller: Caller<'_, RubyState>, count: u32, bytes: u32) -> Result<i32> {
    for address in [count, bytes] {
        write(&mut caller, address, &0_u32.to_le_bytes())?;
    }
    Ok(SUCCESS)
}

/// The three streams are there.
fn fd_fdstat_get(mut caller: Caller<'_, RubyState>, file: u32, result: u32) -> Result<i32> {
    if file > 2 {
        return Ok(BAD_FILE);
    }
    let mut status = [0; 24];
    status[0] = CHARACTER_DEVICE;
    status[8..].fill(0xff); // The rights: all.
    write(&mut caller, result, &status)?;
    Ok(SUCCESS)
}

/// Fills the first of a list of `(address, length)` with what comes through the door: nobody needs more in one call.
fn fd_read(mut caller: Caller<'_, RubyState>, file: u32, list: u32, count: u32, result: u32) -> Result<i32> {
    if file != DOOR || count == 0 || !caller.data().guest.door.is_open() {
        return Ok(BAD_FILE);
    }
    let memory = memory_of(&mut caller)?;
    let (data, state) = memory.data_and_store_mut(&mut caller);
    let entry = slice(data, list, 8).ok_or_else(outside)?;
    let (start, length) = (usize::try_from(number(entry, 0))?, usize::try_from(number(entry, 4))?);
    let room = data.get_mut(start..).and_then(|rest| rest.get_mut(..length)).ok_or_else(outside)?;
    let mut door = std::mem::take(&mut state.guest.door);
    let piece = door.read(length.min(PIECE_BYTES_MAX), |head, body| state.fetch(head, body));
    room[..piece.len()].copy_from_slice(piece);
    let read = u32::try_from(piece.len())?;
    state.guest.door = door;
    write(&mut caller, result, &read.to_le_bytes())?;
    Ok(SUCCESS)
}

/// Writes a list of `(address, length)` to the log, or through the door.
fn fd_write(mut caller: Caller<'_, RubyState>, file: u32, list: u32, count: u32, result: u32) -> Result<i32> {
    let stream = match file {
        1 => Some(Stream::Output),
        2 => Some(Stream::Error),
        DOOR => None,
        _ => return Ok(BAD_FILE),
    };
    let memory = memory_of(&mut caller)?;
    let (data, HostState { guest, log, .. }) = memory.data_and_store_mut(&mut caller);
    let list = slice(data, list, count.min(LIST_ENTRIES_MAX) * 8).ok_or_else(outside)?;
    let mut written = 0;
    for entry in list.chunks_exact(8) {
        let text = slice(data, number(entry, 0), number(entry, 4)).ok_or_else(outside)?;
        let text = &text[..text.len().min(PIECE_BYTES_MAX - written)];
        match stream {
            Some(stream) => guest.output.write(stream, text, log),
            None => guest.door.write(text),
        }
        written += text.len();
    }
    write(&mut caller, result, &u32::try_from(written)?.to_le_bytes())?;
    Ok(SUCCESS)
}

fn random_get(mut caller: Caller<'_, RubyState>, address: u32, length: u32) -> Result<i32> {
    let length = usize::try_from(length)?;
    if length > RANDOM_BYTES_MAX {
        return Ok(INVALID);
    }
    let mut bytes = vec![0; length];
    clock::fill_random(&mut bytes);
    write(&mut caller, address, &bytes)?;
    Ok(SUCCESS)
}

/// Waits for clocks: until the first of them is due, or the deadline of the run. A waiting guest does not see the engine's clock, and
/// is interrupted as soon as it goes on. Files are ready at once, with an error.
///
/// **Shape**: a subscription has 48 bytes (user data, kind at 8, clock: time in ns at 24, flags at 40), an event 32 (user data, error
/// at 8, kind at 10).
fn poll_oneoff(mut caller: Caller<'_, RubyState>, subscriptions: u32, events: u32, count: u32, result: u32) -> Result<i32> {
    if count == 0 || count > LIST_ENTRIES_MAX {
        return Ok(INVALID);
    }
    let memory = memory_of(&mut caller)?;
    let list = slice(memory.data(&caller), subscriptions, count * 48).ok_or_else(outside)?.to_vec();
    let now_ns = u64::try_from(caller.data().monotonic().as_nanos()).unwrap_or(u64::MAX);
    let waits: Vec<Option<u64>> = list.chunks_exact(48).map(|entry| wait_ns(entry, now_ns)).collect();
    let first_ns = waits.iter().map(|wait| wait.unwrap_or(0)).min().unwrap_or(0);
    thread::sleep(Duration::from_nanos(first_ns).min(caller.data().deadline.wall_left()));
    let mut told = Vec::new();
    let mut due = 0_u32;
    for (entry, wait) in list.chunks_exact(48).zip(waits) {
        let error = match wait {
            Some(ns) if ns > first_ns => continue,
            Some(_) => SUCCESS,
            None => BAD_FILE,
        };
        let mut event = [0_u8; 32];
        event[..8].copy_from_slice(&entry[..8]);
        event[8] = u8::try_from(error)?;
        event[10] = entry[8];
        told.extend(event);
        due += 1;
    }
    write(&mut caller, events, &told)?;
    write(&mut caller, result, &due.to_le_bytes())?;
    Ok(SUCCESS)
}

/// How long a subscription waits for a clock; `None` if it waits for a file.
fn wait_ns(subscription: &[u8], now_ns: u64) -> Option<u64> {
    const CLOCK: u8 = 0;
    const MONOTONIC: u32 = 1;
    const IS_ABSOLUTE: u8 = 1;
    if subscription[8] != CLOCK {
        return None;
    }
    let time_ns = u64::from(number(subscription, 24)) | u64::from(number(subscription, 28)) << 32;
    let start_ns = match (subscription[40] & IS_ABSOLUTE != 0, number(subscription, 16)) {
        (false, _) => 0,
        (true, MONOTONIC) => now_ns,
        (true, _) => clock::now_ms().saturating_mul(1_000_000),
    };
    Some(time_ns.saturating_sub(start_ns))
}

/// The number at an offset of bytes that are known to be long enough.
fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn write(caller: &mut Caller<'_, RubyState>, address: u32, bytes: &[u8]) -> Result<()> {
    let memory: Memory = memory_of(caller)?;
    memory.write(caller, usize::try_from(address)?, bytes)?;
    Ok(())
}

fn outside() -> Error {
    Error::msg("an address outside of the guest's memory")
}
