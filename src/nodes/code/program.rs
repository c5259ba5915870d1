//! A program in the blob store, for code that is no text: read when the node runs.

use serde::Deserialize;

use crate::{
    model::{
        error::{NodeError, codes},
        item::BlobRef,
    },
    nodes::{
        context::EffectContext,
        params::{Param, evaluate_once},
    },
    runtimes::code::Code,
};

/// As much of a [`BlobRef`] as names a blob.
#[derive(Deserialize)]
struct Named {
    hash: String,
}

/// Errors: `invalid_parameter` for what refers to nothing; `blob_missing`; `code_syntax` for what is no WebAssembly; those of expressions.
pub(super) async fn of_run(reference: &Param, ctx: &mut EffectContext) -> Result<Code, NodeError> {
    let value = evaluate_once(&mut ctx.pure(), reference)?;
    let Ok(Named { hash }) = serde_json::from_value(value) else {
        let message = "`program` has to refer to a blob, as the binary data of an item does: `{ hash }`";
        return Err(NodeError::permanent(codes::INVALID_PARAMETER, message));
    };
    let blob = BlobRef { hash, size_bytes: 0, media_type: None, file_name: None };
    let binary = ctx.services.blobs.get(&blob).await?;
    Code::of_wasm(&binary).map_err(|message| NodeError::permanent(codes::CODE_SYNTAX, message))
}
