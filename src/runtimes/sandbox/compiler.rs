//! Where WebAssembly is compiled: on threads that end with that, so that what they took for it goes back to the system.

use std::thread;

use super::EngineError;

/// Stack of one of those threads in bytes: guests boot on it, too.
const STACK_BYTES: usize = 8 * 1024 * 1024;

/// Runs what compiles, on as many threads as there are processors.
///
/// Errors: there are no threads.
pub(in crate::runtimes) fn run<T: Send>(compile: impl FnOnce() -> T + Send) -> Result<T, EngineError> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .stack_size(STACK_BYTES)
        .thread_name(|number| format!("compile-{number}"))
        .build()
        .map_err(|error| EngineError::WebAssembly { attempt: "start the threads that compile", source: error.into() })?;
    Ok(pool.install(compile))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiles_on_a_thread_of_its_own() {
        let name = run(|| thread::current().name().map(str::to_owned)).unwrap();
        assert!(name.is_some_and(|name| name.starts_with("compile-")));
    }
}
