//! The binary: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    if let Some(text) = citadel::config::failpoints() {
        citadel::failpoint::configure(&text).expect("CITADEL__FAILPOINTS is well formed");
    }
    citadel::cli::main()
}
