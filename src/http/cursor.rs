//! Places in lists that a client can hand back but not make up: signed with a key that outlives the process.

use std::{io, path::Path};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

use super::{error::ApiError, problem};
use crate::{auth::private_file::write_private_file, clock};

/// Bytes of the key.
const KEY_BYTES: usize = 32;
/// Bytes of the signature; 128 bits cannot be guessed.
const MAC_BYTES: usize = 16;
/// Bytes of a place: the time, then the id.
const PLACE_BYTES: usize = 24;
/// The key's file in the data directory.
const FILE: &str = "cursor.key";

/// Signs and checks cursors.
#[derive(Clone)]
pub struct CursorKey([u8; KEY_BYTES]);

/// A place in a list that is ordered by time and id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) created_at: u64,
    pub(super) id: Uuid,
}

impl CursorKey {
    /// Takes a key as it is.
    pub fn new(key: [u8; KEY_BYTES]) -> Self {
        Self(key)
    }

    /// Reads the key of a data directory; the first time it draws one and keeps it there (mode 0600).
    ///
    /// Errors: those of the file; `InvalidData` if the file holds something else.
    pub fn load_or_create(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(FILE);
        match std::fs::read(&path) {
            Ok(bytes) => match <[u8; KEY_BYTES]>::try_from(bytes) {
                Ok(key) => Ok(Self(key)),
                Err(_) => Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} is no cursor key", path.display()))),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut key = [0; KEY_BYTES];
                clock::fill_random(&mut key);
                write_private_file(&path, &key)?;
                Ok(Self(key))
            }
            Err(error) => Err(error),
        }
    }

    /// Writes the cursor of a place in the list that `list` names: its path, its workspace and its filters.
    pub(super) fn write(&self, list: &str, place: Place) -> String {
        let mut bytes = Vec::with_capacity(PLACE_BYTES + MAC_BYTES);
        bytes.extend_from_slice(&place.created_at.to_be_bytes());
        bytes.extend_from_slice(place.id.as_bytes());
        let signature = self.mac(list, &bytes).finalize().into_bytes();
        bytes.extend_from_slice(&signature[..MAC_BYTES]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a cursor of the list that `list` names.
    ///
    /// Errors: `invalid_cursor` if it was not written for this list.
    pub(super) fn read(&self, list: &str, cursor: &str) -> Result<Place, ApiError> {
        let invalid = || ApiError::new(&problem::INVALID_CURSOR, "take `next_cursor` of the page before, with the same filters");
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| invalid())?;
        let (place, signature) = bytes.split_at_checked(PLACE_BYTES).ok_or_else(invalid)?;
        if signature.len() != MAC_BYTES {
            return Err(invalid());
        }
        self.mac(list, place).verify_truncated_left(signature).map_err(|_| invalid())?;
        let (created_at, id) = place.split_at(8);
        let created_at = u64::from_be_bytes(created_at.try_into().expect("split at 8 bytes"));
        Ok(Place { created_at, id: Uuid::from_bytes(id.try_into().expect("24 bytes without 8")) })
    }

    fn mac(&self, list: &str, place: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(place);
        mac.update(list.as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { created_at: 1_700_000_000_000, id: Uuid::from_u128(7) };

    #[test]
    fn reads_what_it_wrote_for_the_same_list() {
        let key = CursorKey::new([1; KEY_BYTES]);
        let cursor = key.write("executions?status=failed", PLACE);
        assert_eq!(key.read("executions?status=failed", &cursor).unwrap(), PLACE);
        assert!(key.read("executions", &cursor).is_err());
        assert!(CursorKey::new([2; KEY_BYTES]).read("executions?status=failed", &cursor).is_err());
    }

    #[test]
    fn refuses_every_changed_byte() {
        let key = CursorKey::new([1; KEY_BYTES]);
        let cursor = URL_SAFE_NO_PAD.decode(key.write("", PLACE)).unwrap();
        for at in 0..cursor.len() {
            let mut changed = cursor.clone();
            changed[at] ^= 1;
            assert!(key.read("", &URL_SAFE_NO_PAD.encode(changed)).is_err(), "byte {at}");
        }
        for other in ["", "x", "!!!", &URL_SAFE_NO_PAD.encode([0; 24]), &URL_SAFE_NO_PAD.encode([0; 41])] {
            assert!(key.read("", other).is_err(), "{other}");
        }
    }

    #[test]
    fn keeps_its_key_over_restarts() {
        let directory = tempfile::tempdir().unwrap();
        let cursor = CursorKey::load_or_create(directory.path()).unwrap().write("", PLACE);
        assert_eq!(CursorKey::load_or_create(directory.path()).unwrap().read("", &cursor).unwrap(), PLACE);
        std::fs::write(directory.path().join(FILE), "short").unwrap();
        assert!(CursorKey::load_or_create(directory.path()).is_err());
    }
}
