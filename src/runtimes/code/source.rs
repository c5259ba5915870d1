//! The source of a code run: checked as far as that needs no sandbox when a workflow is saved, run later.

use std::sync::Arc;

use crate::runtimes::{
    javascript::Body,
    syntax::{Position, SyntaxError},
    typescript,
    wasm::{Binary, WASM},
};

/// Size of a source in bytes.
pub const CODE_BYTES_MAX: usize = 128 * 1024;

/// The name of JavaScript.
pub const JAVASCRIPT: &str = "javascript";
/// The name of TypeScript.
pub const TYPESCRIPT: &str = "typescript";

/// A source in its language.
#[derive(Debug, Clone)]
pub struct Code {
    language: Arc<str>,
    source: Arc<str>,
    parsed: Parsed,
}

/// What is known of a source without running anything.
#[derive(Debug, Clone)]
pub(in crate::runtimes) enum Parsed {
    /// Nothing: only its language can read it.
    Text,
    JavaScript(Body),
    Wasm(Binary),
}

impl Code {
    /// Parses a source as far as that needs no sandbox. The language need not be installed.
    ///
    /// Errors: the first thing that is wrong, with its place.
    pub fn parse(language: &str, source: impl Into<Arc<str>>) -> Result<Self, SyntaxError> {
        let source = source.into();
        // Binaries have a limit of their own.
        if source.len() > CODE_BYTES_MAX && language != WASM {
            let message = format!("the code has {} bytes, more than {CODE_BYTES_MAX}", source.len());
            return Err(SyntaxError { message, position: Position::at(&source, CODE_BYTES_MAX) });
        }
        let parsed = match language {
            JAVASCRIPT => Parsed::JavaScript(Body::parse(Arc::clone(&source))?),
            TYPESCRIPT => Parsed::JavaScript(Body::parse(typescript::strip(&source)?.into())?),
            WASM => Parsed::Wasm(Binary::decode(&source)?),
            _ => Parsed::Text,
        };
        Ok(Self { language: language.into(), source, parsed })
    }

    /// A WebAssembly binary that is not text.
    ///
    /// Errors: what is wrong with it, as a sentence.
    pub fn of_wasm(binary: &[u8]) -> Result<Self, String> {
        Ok(Self { language: WASM.into(), source: "".into(), parsed: Parsed::Wasm(Binary::new(binary.into())?) })
    }

    pub fn language(&self) -> &str {
        &self.language
    }

    /// The text that the user wrote, if it is text.
    pub fn source(&self) -> &str {
        &self.source
    }

    pub(in crate::runtimes) fn parsed(&self) -> &Parsed {
        &self.parsed
    }

    /// Whether the source may use the variable `items`. A source that only seems to costs time, nothing else.
    pub fn mentions_items(&self) -> bool {
        self.source.contains("items")
    }
}
