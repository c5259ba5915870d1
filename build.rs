//! Makes sure that the JavaScript guest is there before it is embedded, and says how to build it if it is not.

use std::path::Path;

const GUEST: &str = "guests/javascript/dist/javascript.wasm";

fn main() {
    println!("cargo::rerun-if-changed={GUEST}");
    if Path::new(GUEST).is_file() {
        let root = std::env::current_dir().expect("cargo runs build scripts in the package's directory");
        println!("cargo::rustc-env=CITADEL_JAVASCRIPT_GUEST={}", root.join(GUEST).display());
    } else {
        println!("cargo::error={GUEST} is missing: run `make guests` (or scripts/guests.sh) first");
    }
}
