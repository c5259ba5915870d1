//! The binary: everything is in the library.

use std::process::ExitCode;

/// A flow makes and drops thousands of small values; measured, this allocator saves about a tenth of the processor per execution.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    if let Some(text) = citadel::config::failpoints() {
        citadel::failpoint::configure(&text).expect("CITADEL__FAILPOINTS is well formed");
    }
    citadel::cli::main()
}
