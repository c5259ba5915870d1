//! The binary: everything is in the library.

use std::process::ExitCode;

/// A flow makes and drops thousands of small values; measured, this allocator saves about a tenth of the processor per execution.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything that makes a thread: a launcher must have one only.
    #[cfg(target_os = "linux")]
    if let Some(code) = citadel::runtimes::native::launcher::intercept() {
        return code;
    }
    #[cfg(feature = "failpoints")]
    if let Some(text) = citadel::config::failpoints() {
        citadel::failpoint::configure(&text).expect("CITADEL__FAILPOINTS is well formed");
    }
    citadel::cli::main()
}
