//! Makes sure that the WebAssembly guests are there before they are embedded, and says how to build them if they are not.

use std::path::Path;

const LANGUAGES: [&str; 2] = ["javascript", "lua"];

fn main() {
    let root = std::env::current_dir().expect("cargo runs build scripts in the package's directory");
    for language in LANGUAGES {
        let guest = format!("guests/{language}/dist/{language}.wasm");
        println!("cargo::rerun-if-changed={guest}");
        if Path::new(&guest).is_file() {
            let variable = format!("CITADEL_{}_GUEST", language.to_uppercase());
            println!("cargo::rustc-env={variable}={}", root.join(guest).display());
        } else {
            println!("cargo::error={guest} is missing: run `make guests` (or scripts/guests.sh) first");
        }
    }
}
