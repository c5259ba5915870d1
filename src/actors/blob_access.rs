//! The blob store, as nodes see it.

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    model::{
        error::{NodeError, codes},
        item::BlobRef,
    },
    nodes::services::Blobs,
    store::blobs::{BlobHash, BlobStore},
};

/// Gives nodes the store's blobs.
pub struct BlobAccess(pub BlobStore);

#[async_trait]
impl Blobs for BlobAccess {
    async fn put(&self, bytes: Bytes) -> Result<BlobRef, NodeError> {
        let size_bytes = u64::try_from(bytes.len()).expect("a size fits");
        let stored = self.0.put(bytes).await;
        let hash = stored.map_err(|error| NodeError::transient(codes::FILE, format!("cannot store a blob: {error}")))?;
        Ok(BlobRef { hash: hash.to_string(), size_bytes, media_type: None, file_name: None })
    }

    async fn get(&self, blob: &BlobRef) -> Result<Bytes, NodeError> {
        let missing = || NodeError::permanent(codes::BLOB_MISSING, format!("the blob {} is not there", blob.hash));
        let hash = BlobHash::parse(&blob.hash).ok_or_else(missing)?;
        let read = self.0.get(hash).await;
        read.map_err(|error| NodeError::transient(codes::FILE, format!("cannot read a blob: {error}")))?.ok_or_else(missing)
    }
}
