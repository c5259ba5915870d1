//! Large documents outside the database: files named by the SHA-256 of their content, so one that is written twice is one file
//! and a damaged one is noticed. `payload` and the file nodes put them; nothing here knows who refers to a blob.

use std::{fmt, path::Path, sync::Arc};

use bytes::Bytes;
use object_store::{
    Error, ObjectStore, ObjectStoreExt as _, PutPayload, local::LocalFileSystem, memory::InMemory, path::Path as BlobPath,
};
use sha2::{Digest as _, Sha256};

use super::{Result, StoreError};

/// Size of one blob.
pub const BLOB_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The SHA-256 of a blob's content, and so its name.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlobHash(pub [u8; 32]);

impl BlobHash {
    /// The name of this content.
    pub fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }

    /// Reads a name as `Display` writes it: 64 lower-case hex digits.
    pub fn parse(name: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if name.len() != 64 || !name.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        for (byte, digits) in bytes.iter_mut().zip(name.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// Where it lies: two levels of directories keep each one small.
    fn path(self) -> BlobPath {
        let name = self.to_string();
        BlobPath::from(format!("{}/{}/{name}", &name[..2], &name[2..4]))
    }
}

impl fmt::Display for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A blob whose content is not the one that its name promises, or is larger than any that is written.
#[derive(Debug, thiserror::Error)]
#[error("blob {hash} has {bytes} bytes that it did not have when it was written")]
struct Damaged {
    hash: BlobHash,
    bytes: u64,
}

/// The blobs of a server. Clones share them.
#[derive(Debug, Clone)]
pub struct BlobStore {
    objects: Arc<dyn ObjectStore>,
}

impl BlobStore {
    /// Keeps blobs in a directory, which is made if it is not there. A blob is durable when `put` returns.
    ///
    /// Errors: `Unavailable` if the directory cannot be made or read.
    pub async fn open(directory: &Path) -> Result<Self> {
        tokio::fs::create_dir_all(directory).await.map_err(|error| unavailable("making the blob directory", error))?;
        let files =
            LocalFileSystem::new_with_prefix(directory).map_err(|error| unavailable("opening the blob directory", error))?;
        Ok(Self { objects: Arc::new(files.with_fsync(true)) })
    }

    /// Keeps blobs in memory: for tests, and beside the memory store.
    pub fn in_memory() -> Self {
        Self { objects: Arc::new(InMemory::new()) }
    }

    /// Writes a blob whole or not at all. One that is there already is written again: a file that exists may not be durable
    /// yet, one that was put is.
    ///
    /// Errors: `Conflict` above [`BLOB_BYTES_MAX`]; `Unavailable`.
    pub async fn put(&self, content: Bytes) -> Result<BlobHash> {
        if content.len() > BLOB_BYTES_MAX {
            return Err(StoreError::Conflict { constraint: "blob_bytes_max".to_owned() });
        }
        let hash = BlobHash::of(&content);
        let written = self.objects.put(&hash.path(), PutPayload::from_bytes(content)).await;
        written.map_err(|error| unavailable("writing a blob", error))?;
        Ok(hash)
    }

    /// Reads a blob; `None` if there is none of this name.
    ///
    /// Errors: `Corrupt` if it is not what was put; `Unavailable`.
    pub async fn get(&self, hash: BlobHash) -> Result<Option<Bytes>> {
        let found = match self.objects.get(&hash.path()).await {
            Err(Error::NotFound { .. }) => return Ok(None),
            found => found.map_err(|error| unavailable("reading a blob", error))?,
        };
        let bytes = found.meta.size;
        let damaged = || StoreError::Corrupt { what: "blob", source: Box::new(Damaged { hash, bytes }) };
        if usize::try_from(bytes).is_ok_and(|bytes| bytes > BLOB_BYTES_MAX) {
            return Err(damaged());
        }
        let content = found.bytes().await.map_err(|error| unavailable("reading a blob", error))?;
        if BlobHash::of(&content) == hash { Ok(Some(content)) } else { Err(damaged()) }
    }

    /// Whether there is a blob of this name.
    ///
    /// Errors: `Unavailable`.
    pub async fn exists(&self, hash: BlobHash) -> Result<bool> {
        match self.objects.head(&hash.path()).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(unavailable("looking for a blob", error)),
        }
    }

    /// Deletes a blob. One that is not there is no error.
    ///
    /// Errors: `Unavailable`.
    pub async fn delete(&self, hash: BlobHash) -> Result<()> {
        match self.objects.delete(&hash.path()).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(unavailable("deleting a blob", error)),
        }
    }
}

fn unavailable(doing: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Unavailable { doing, source: Box::new(source) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn gives_back_what_was_put_until_it_is_deleted() {
        let directory = tempfile::tempdir().unwrap();
        for blobs in [BlobStore::in_memory(), BlobStore::open(&directory.path().join("blobs")).await.unwrap()] {
            let hash = blobs.put(Bytes::from_static(b"content")).await.unwrap();
            assert_eq!(blobs.put(Bytes::from_static(b"content")).await.unwrap(), hash);
            assert!(blobs.exists(hash).await.unwrap());
            assert_eq!(blobs.get(hash).await.unwrap().as_deref(), Some(&b"content"[..]));
            blobs.delete(hash).await.unwrap();
            blobs.delete(hash).await.unwrap();
            assert!(!blobs.exists(hash).await.unwrap());
            assert_eq!(blobs.get(hash).await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn spreads_files_by_their_hash_and_notices_damage() {
        let directory = tempfile::tempdir().unwrap();
        let blobs = BlobStore::open(directory.path()).await.unwrap();
        let hash = blobs.put(Bytes::from_static(b"abc")).await.unwrap();
        let file = directory.path().join("ba/78").join(hash.to_string());
        assert_eq!(hash.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        std::fs::write(&file, b"abd").unwrap();
        assert!(matches!(blobs.get(hash).await, Err(StoreError::Corrupt { what: "blob", .. })));
    }

    #[test]
    fn a_name_is_read_as_it_is_written() {
        let hash = BlobHash::of(b"abc");
        let name = hash.to_string();
        assert_eq!(BlobHash::parse(&name), Some(hash));
        for wrong in [&name[1..], &name.to_uppercase(), &format!("+{}", &name[1..]), &format!("{name}0"), ""] {
            assert_eq!(BlobHash::parse(wrong), None, "{wrong}");
        }
    }

    #[tokio::test]
    async fn refuses_a_blob_over_the_limit() {
        let blobs = BlobStore::in_memory();
        let refused = blobs.put(Bytes::from(vec![0; BLOB_BYTES_MAX + 1])).await;
        assert!(matches!(refused, Err(StoreError::Conflict { .. })));
        blobs.put(Bytes::from(vec![0; BLOB_BYTES_MAX])).await.unwrap();
    }
}
