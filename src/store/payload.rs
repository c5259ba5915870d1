//! How documents are stored: small ones as they are, others compressed, large ones in the blob store. The engine packs every
//! journal row with this, so what fits in a row needs no `await` and no new compression context.

use std::cell::RefCell;

use bytes::Bytes;
use zstd::{
    bulk::{Compressor, Decompressor},
    zstd_safe::get_frame_content_size,
};

use super::{
    Encoding, Payload, Result, StoreError,
    blobs::{BlobHash, BlobStore},
};

/// Documents up to this size are not compressed: there is nothing to win.
pub const RAW_BYTES_MAX: usize = 512;
/// Bytes that a row holds of a document; what is longer once compressed goes to the blob store.
pub const INLINE_BYTES_MAX: usize = 256 * 1024;
/// Size of one document, before it is packed and after it is unpacked.
pub const DOCUMENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Level 1: measured 0.2 to 0.44 of the raw size for run data; level 3 costs more than it saves.
const ZSTD_LEVEL: i32 = 1;

thread_local! {
    /// A context is 1 MB of tables; making one per document would cost more than the compression.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Why a stored document cannot be unpacked.
#[derive(Debug, thiserror::Error)]
enum UnpackError {
    #[error("it is no zstd frame with a size")]
    NoFrame,
    #[error("it would unpack to {bytes} bytes")]
    TooLarge { bytes: u64 },
    #[error("it does not unpack")]
    Broken(#[source] std::io::Error),
    #[error("its hash has {bytes} bytes")]
    NoHash { bytes: usize },
    #[error("its blob {hash} is not there")]
    NoBlob { hash: BlobHash },
}

/// Packs documents into payloads and unpacks them. Clones share the blob store.
#[derive(Debug, Clone)]
pub struct PayloadCodec {
    blobs: BlobStore,
}

impl PayloadCodec {
    /// A codec that keeps large documents in `blobs`.
    pub fn new(blobs: BlobStore) -> Self {
        Self { blobs }
    }

    /// Packs a document that surely fits in a row; gives back one that is longer than [`INLINE_BYTES_MAX`], for [`encode`].
    ///
    /// [`encode`]: Self::encode
    pub fn encode_inline(&self, json: Vec<u8>) -> std::result::Result<Payload, Vec<u8>> {
        if json.len() > INLINE_BYTES_MAX { Err(json) } else { Ok(pack(json)) }
    }

    /// Packs a document. Compresses a long one off the async threads, and has it in the blob store, durable, on return.
    ///
    /// Errors: `Conflict` above [`DOCUMENT_BYTES_MAX`]; `Unavailable`.
    pub async fn encode(&self, json: Vec<u8>) -> Result<Payload> {
        let json = match self.encode_inline(json) {
            Ok(payload) => return Ok(payload),
            Err(json) if json.len() > DOCUMENT_BYTES_MAX => {
                return Err(StoreError::Conflict { constraint: "document_bytes_max".to_owned() });
            }
            Err(json) => json,
        };
        let frame = off_thread("compressing a document", move || frame(&json)).await?;
        if frame.len() <= INLINE_BYTES_MAX {
            return Ok(Payload { encoding: Encoding::Zstd, bytes: frame });
        }
        let hash = self.blobs.put(frame).await?;
        Ok(Payload { encoding: Encoding::Blob, bytes: Bytes::copy_from_slice(&hash.0) })
    }

    /// Unpacks a document that is in its row; `None` if it is in the blob store, for [`decode`].
    ///
    /// Errors: `Corrupt`, also for a document that would be longer than [`DOCUMENT_BYTES_MAX`].
    ///
    /// [`decode`]: Self::decode
    pub fn decode_inline(&self, payload: &Payload) -> Result<Option<Bytes>> {
        match payload.encoding {
            Encoding::Raw => Ok(Some(payload.bytes.clone())),
            Encoding::Zstd => unpack(&payload.bytes).map(Some).map_err(corrupt),
            Encoding::Blob => Ok(None),
        }
    }

    /// Unpacks a document, wherever it is.
    ///
    /// Errors: `Corrupt`, also if its blob is not there; `Unavailable`.
    pub async fn decode(&self, payload: &Payload) -> Result<Bytes> {
        if let Some(document) = self.decode_inline(payload)? {
            return Ok(document);
        }
        let hash = <[u8; 32]>::try_from(&payload.bytes[..]);
        let hash = BlobHash(hash.map_err(|_| corrupt(UnpackError::NoHash { bytes: payload.bytes.len() }))?);
        let frame = self.blobs.get(hash).await?.ok_or_else(|| corrupt(UnpackError::NoBlob { hash }))?;
        off_thread("unpacking a document", move || unpack(&frame)).await?.map_err(corrupt)
    }
}

/// Compresses where that makes the document shorter.
fn pack(json: Vec<u8>) -> Payload {
    if json.len() > RAW_BYTES_MAX {
        let packed = frame(&json);
        if packed.len() < json.len() {
            return Payload { encoding: Encoding::Zstd, bytes: packed };
        }
    }
    Payload { encoding: Encoding::Raw, bytes: Bytes::from(json) }
}

/// One zstd frame that says its size.
fn frame(document: &[u8]) -> Bytes {
    COMPRESSOR.with_borrow_mut(|slot| {
        let compressor = slot.get_or_insert_with(|| Compressor::new(ZSTD_LEVEL).expect("the level is a valid one"));
        Bytes::from(compressor.compress(document).expect("the buffer has zstd's own upper bound"))
    })
}

fn unpack(frame: &[u8]) -> std::result::Result<Bytes, UnpackError> {
    let bytes = get_frame_content_size(frame).ok().flatten().ok_or(UnpackError::NoFrame)?;
    let capacity = usize::try_from(bytes).ok().filter(|bytes| *bytes <= DOCUMENT_BYTES_MAX);
    let capacity = capacity.ok_or(UnpackError::TooLarge { bytes })?;
    DECOMPRESSOR.with_borrow_mut(|slot| {
        let decompressor = slot.get_or_insert_with(|| Decompressor::new().expect("a context needs memory only"));
        decompressor.decompress(frame, capacity).map(Bytes::from).map_err(UnpackError::Broken)
    })
}

async fn off_thread<T: Send + 'static>(doing: &'static str, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|source| StoreError::Unavailable { doing, source: Box::new(source) })
}

fn corrupt(error: UnpackError) -> StoreError {
    StoreError::Corrupt { what: "document", source: Box::new(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codec() -> PayloadCodec {
        PayloadCodec::new(BlobStore::in_memory())
    }

    /// Text that compresses about as well as run data.
    fn repetitive(bytes: usize) -> Vec<u8> {
        br#"{"id":123456,"name":"Ada Lovelace"},"#.iter().copied().cycle().take(bytes).collect()
    }

    /// Bytes that do not compress.
    fn noise(bytes: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        std::iter::repeat_with(next).take(bytes).collect()
    }

    #[track_caller]
    fn check(document: Vec<u8>, expected: Encoding) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let codec = codec();
        let payload = runtime.block_on(codec.encode(document.clone())).unwrap();
        assert_eq!(payload.encoding, expected);
        assert!(payload.bytes.len() <= INLINE_BYTES_MAX);
        assert_eq!(runtime.block_on(codec.decode(&payload)).unwrap(), document);
        assert_eq!(codec.decode_inline(&payload).unwrap().is_none(), expected == Encoding::Blob);
    }

    #[test]
    fn packs_by_size_and_by_what_compression_gives() {
        check(Vec::new(), Encoding::Raw);
        check(repetitive(RAW_BYTES_MAX), Encoding::Raw);
        check(repetitive(RAW_BYTES_MAX + 1), Encoding::Zstd);
        check(noise(4096), Encoding::Raw);
        check(noise(INLINE_BYTES_MAX), Encoding::Raw);
        check(repetitive(8 * INLINE_BYTES_MAX), Encoding::Zstd);
        check(noise(INLINE_BYTES_MAX + 1), Encoding::Blob);
        check([noise(INLINE_BYTES_MAX), repetitive(INLINE_BYTES_MAX)].concat(), Encoding::Blob);
    }

    #[test]
    fn gives_a_long_document_back_to_the_slow_path() {
        let long = noise(INLINE_BYTES_MAX + 1);
        assert_eq!(codec().encode_inline(long.clone()), Err(long));
    }

    #[tokio::test]
    async fn unpacking_is_capped() {
        let obeyed = Payload { encoding: Encoding::Zstd, bytes: frame(&vec![0; DOCUMENT_BYTES_MAX]) };
        assert_eq!(codec().decode(&obeyed).await.unwrap().len(), DOCUMENT_BYTES_MAX);
        let violated = Payload { encoding: Encoding::Zstd, bytes: frame(&vec![0; DOCUMENT_BYTES_MAX + 1]) };
        assert!(matches!(codec().decode(&violated).await, Err(StoreError::Corrupt { what: "document", .. })));
        let refused = codec().encode(vec![0; DOCUMENT_BYTES_MAX + 1]).await;
        assert!(matches!(refused, Err(StoreError::Conflict { .. })));
    }

    #[tokio::test]
    async fn reports_damage() {
        for (encoding, bytes) in [
            (Encoding::Zstd, &b"no frame"[..]),
            (Encoding::Zstd, &frame(&repetitive(2_000))[..40]),
            (Encoding::Blob, b"no hash"),
            (Encoding::Blob, &[7; 32]),
        ] {
            let payload = Payload { encoding, bytes: Bytes::copy_from_slice(bytes) };
            assert!(matches!(codec().decode(&payload).await, Err(StoreError::Corrupt { .. })), "{encoding:?}");
        }
    }
}
