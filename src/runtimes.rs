//! Sandboxes: expressions and code. Bytes and JSON in, bytes and JSON out, under limits. Knows nothing of workflows' state.

pub mod code;
pub mod expression;
pub mod grants;
pub mod javascript;
pub mod languages;
pub mod sandbox;
pub mod scope;
pub mod syntax;
#[cfg(test)]
mod testing;
mod variables;
