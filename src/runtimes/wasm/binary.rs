//! A WebAssembly binary: as text in a definition, which is decoded and looked at when a workflow is saved, or as it is. Compiled later.

use std::sync::Arc;

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use sha2::{Digest as _, Sha256};

use crate::runtimes::syntax::{Position, SyntaxError};

/// The name of the language.
pub const WASM: &str = "wasm";
/// Size of a binary in bytes.
pub const WASM_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What every binary begins with.
const MAGIC: &[u8] = b"\0asm";
/// What follows in a module. Source: the core specification, 5.5.16.
const VERSION_OF_MODULES: &[u8] = &[1, 0, 0, 0];
/// What follows in a component. Source: the component model, Binary.md.
const VERSION_OF_COMPONENTS: &[u8] = &[0x0d, 0, 1, 0];

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A binary that looks like one.
#[derive(Debug, Clone)]
pub(in crate::runtimes) struct Binary {
    pub(super) kind: Kind,
    pub(super) bytes: Arc<[u8]>,
    pub(super) sha256: [u8; 32],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Module,
    Component,
}

impl Binary {
    /// Decodes base64; white space in it does not count.
    ///
    /// Errors: a sentence, at the beginning of the source.
    pub(in crate::runtimes) fn decode(source: &str) -> Result<Self, SyntaxError> {
        let refused = |message: String| SyntaxError { message, position: Position::at(source, 0) };
        let text: String = source.split_ascii_whitespace().collect();
        let bytes = BASE64.decode(text).map_err(|error| refused(format!("the code is no base64: {error}")))?;
        Self::new(bytes.into()).map_err(refused)
    }

    /// Errors: a sentence.
    pub(in crate::runtimes) fn new(bytes: Arc<[u8]>) -> Result<Self, String> {
        if bytes.len() > WASM_BYTES_MAX {
            return Err(format!("the binary has {} bytes, more than {WASM_BYTES_MAX}", bytes.len()));
        }
        let kind = match bytes.split_at_checked(MAGIC.len()) {
            Some((MAGIC, rest)) if rest.starts_with(VERSION_OF_MODULES) => Kind::Module,
            Some((MAGIC, rest)) if rest.starts_with(VERSION_OF_COMPONENTS) => Kind::Component,
            _ => return Err("the code is no WebAssembly: neither a module nor a component begins like that".to_owned()),
        };
        let sha256 = Sha256::digest(&bytes).into();
        Ok(Self { kind, bytes, sha256 })
    }
}
