//! Sandboxes: expressions and code. Bytes and JSON in, bytes and JSON out, under limits. Knows nothing of workflows' state.

#[cfg(test)]
mod abuse;
pub mod code;
pub mod expression;
pub mod fetch;
pub mod grants;
pub mod install;
mod installed;
pub mod javascript;
pub mod languages;
pub mod lua;
#[cfg(target_os = "linux")]
pub mod native;
mod python;
mod ruby;
pub mod sandbox;
pub mod scope;
pub mod syntax;
#[cfg(test)]
mod testing;
pub mod typescript;
mod variables;
pub mod wasm;
