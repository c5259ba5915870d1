//! The master keys of an installation: what every secret at rest hangs on. Comes from the settings or from a file of the data
//! directory; wraps the data keys of [`sealed`](super::sealed) and derives keys for other purposes. A master key is never stored
//! beside what it protects, never shown, and wiped from memory.

mod source;

use std::fmt;

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

pub use self::source::{KeyringError, new_master_key};
use crate::clock;

/// Bytes of every key that is made here.
pub const KEY_BYTES: usize = 32;
/// Bytes of a key's id. It only has to tell the few keys of one installation apart.
pub const KEY_ID_BYTES: usize = 8;
/// Bytes of a nonce of XChaCha20: long enough to be drawn, so that nodes need no common counter.
pub const NONCE_BYTES: usize = 24;
/// Bytes of a tag of Poly1305.
pub const TAG_BYTES: usize = 16;
/// Bytes of a wrapped data key.
pub const WRAPPED_BYTES: usize = NONCE_BYTES + KEY_BYTES + TAG_BYTES;
/// Keys that a ring holds: the one in use, and those that a rotation has not finished with.
pub const KEYS_MAX: usize = 8;
/// Shortest text of a master key. As hexadecimal digits these are 128 random bits.
pub const KEY_CHARS_MIN: usize = 32;
/// Longest text of a master key.
pub const KEY_CHARS_MAX: usize = 1_024;

/// Names a master key without telling anything about it. **Shape**: 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; KEY_ID_BYTES]);

/// A random key that encrypts one value.
pub type DataKey = Zeroizing<[u8; KEY_BYTES]>;

/// A data key that only its master key opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapped {
    pub key: KeyId,
    pub bytes: [u8; WRAPPED_BYTES],
}

/// Why a wrapped key, or what it encrypts, cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It was wrapped by a master key that this process does not have.
    #[error("needs the master key {0}, which this process does not have")]
    NoKey(KeyId),
    /// It was damaged, or belongs somewhere else.
    #[error("was damaged, or belongs to another row")]
    Damaged,
    /// It has a form that this release does not know.
    #[error("has a form that this release does not know")]
    UnknownForm,
}

/// The master keys, of which the first one is in use; the others only read. Shows ids only.
pub struct Keyring {
    keys: Vec<MasterKey>,
}

/// One master key.
struct MasterKey {
    id: KeyId,
    /// The pseudorandom key of HKDF (RFC 5869, section 2.2) that everything is expanded from.
    root: Zeroizing<[u8; KEY_BYTES]>,
}

impl MasterKey {
    fn new(text: &str) -> Self {
        let (root, _) = Hkdf::<Sha256>::extract(Some(b"citadel master key v1"), text.as_bytes());
        let mut key = Self { id: KeyId([0; KEY_ID_BYTES]), root: Zeroizing::new(root.into()) };
        let digest = key.expand("key id", "");
        key.id.0.copy_from_slice(&digest[..KEY_ID_BYTES]);
        key
    }

    /// The key for a purpose. Purposes of this file and those of others cannot meet: the kind stands before them.
    fn expand(&self, kind: &str, purpose: &str) -> DataKey {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        let expander = Hkdf::<Sha256>::from_prk(&*self.root).expect("the root has the length of a SHA-256");
        expander.expand_multi_info(&[kind.as_bytes(), b":", purpose.as_bytes()], &mut *key).expect("32 bytes are one block");
        key
    }

    fn wrapping(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.expand("wrap", "")).into())
    }
}

impl Keyring {
    /// Reads the keys of a text: one or more, with white space between, the one in use first.
    ///
    /// Errors: see [`KeyringError`].
    pub fn parse(text: &str) -> Result<Self, KeyringError> {
        source::check(text)?;
        Ok(Self { keys: text.split_whitespace().map(MasterKey::new).collect() })
    }

    /// A ring with one new key that is kept nowhere: what it encrypts is lost with the process.
    pub fn throwaway() -> Self {
        Self { keys: vec![MasterKey::new(&new_master_key())] }
    }

    /// The key in use.
    pub fn current(&self) -> KeyId {
        self.keys[0].id
    }

    /// Every key, the one in use first.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.keys.iter().map(|key| key.id)
    }

    /// Whether it can read what this key wrapped.
    pub fn holds(&self, id: KeyId) -> bool {
        self.ids().any(|held| held == id)
    }

    /// A key for a purpose (`tokens`), from the master key in use. Other purposes have other keys, and none tells about another.
    pub fn derive(&self, purpose: &str) -> [u8; KEY_BYTES] {
        *self.keys[0].expand("derive", purpose)
    }

    /// The keys for a purpose from each master key, the one in use first: to accept what was made before a rotation.
    pub fn derive_each(&self, purpose: &str) -> Vec<(KeyId, [u8; KEY_BYTES])> {
        self.keys.iter().map(|key| (key.id, *key.expand("derive", purpose))).collect()
    }

    /// What the store keeps about a key, to see whether a process has the same one: tells nothing about the key.
    /// `None` for a key that is not held.
    pub fn check_value(&self, id: KeyId) -> Option<[u8; KEY_BYTES]> {
        self.find(id).map(|key| *key.expand("check", ""))
    }

    /// Whether a held key is the one that this check value was made of.
    pub fn matches(&self, id: KeyId, check_value: &[u8]) -> bool {
        self.check_value(id).is_some_and(|expected| expected.ct_eq(check_value).into())
    }

    /// Wraps a data key by the master key in use. Only the same `context` opens it again.
    pub fn wrap(&self, data_key: &DataKey, context: &[u8]) -> Wrapped {
        let key = &self.keys[0];
        let mut bytes = [0; WRAPPED_BYTES];
        let (nonce, body) = bytes.split_at_mut(NONCE_BYTES);
        nonce.copy_from_slice(&draw_nonce());
        body.copy_from_slice(&encrypt(&key.wrapping(), nonce, &**data_key, context));
        Wrapped { key: key.id, bytes }
    }

    /// Opens a wrapped data key.
    ///
    /// Errors: see [`OpenError`].
    pub fn unwrap(&self, wrapped: &Wrapped, context: &[u8]) -> Result<DataKey, OpenError> {
        let key = self.find(wrapped.key).ok_or(OpenError::NoKey(wrapped.key))?;
        let (nonce, body) = wrapped.bytes.split_at(NONCE_BYTES);
        let opened = decrypt(&key.wrapping(), nonce, body, context)?;
        let mut data_key = Zeroizing::new([0; KEY_BYTES]);
        data_key.copy_from_slice(&opened);
        Ok(data_key)
    }

    fn find(&self, id: KeyId) -> Option<&MasterKey> {
        self.keys.iter().find(|key| key.id == id)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

impl KeyId {
    /// Takes an id as it is stored.
    pub const fn from_bytes(bytes: [u8; KEY_ID_BYTES]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; KEY_ID_BYTES] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A random data key.
pub(super) fn draw_key() -> DataKey {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    clock::fill_random(&mut *key);
    key
}

/// A random nonce.
pub(super) fn draw_nonce() -> [u8; NONCE_BYTES] {
    let mut nonce = [0; NONCE_BYTES];
    clock::fill_random(&mut nonce);
    nonce
}

/// Encrypts; the tag follows the text. `nonce` has [`NONCE_BYTES`].
pub(super) fn encrypt(cipher: &XChaCha20Poly1305, nonce: &[u8], text: &[u8], context: &[u8]) -> Vec<u8> {
    let nonce = XNonce::try_from(nonce).expect("a nonce has 24 bytes");
    cipher.encrypt(&nonce, Payload { msg: text, aad: context }).expect("no value comes near the 256 GiB that the cipher takes")
}

/// Decrypts what [`encrypt`] made.
///
/// Errors: `Damaged`.
pub(super) fn decrypt(
    cipher: &XChaCha20Poly1305,
    nonce: &[u8],
    text: &[u8],
    context: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let nonce = XNonce::try_from(nonce).map_err(|_| OpenError::Damaged)?;
    let opened = cipher.decrypt(&nonce, Payload { msg: text, aad: context }).map_err(|_| OpenError::Damaged)?;
    Ok(Zeroizing::new(opened))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "an-old-master-key-of-40-characters-00000";
    const NEW: &str = "a-new-master-key-of-40-characters-000000";

    fn ring(text: &str) -> Keyring {
        Keyring::parse(text).unwrap()
    }

    #[test]
    fn opens_what_it_wrapped_in_the_same_context_only() {
        let (keys, data_key) = (ring(NEW), draw_key());
        let wrapped = keys.wrap(&data_key, b"row 1");
        assert_eq!(keys.unwrap(&wrapped, b"row 1").as_ref(), Ok(&data_key));
        assert_eq!(keys.unwrap(&wrapped, b"row 2"), Err(OpenError::Damaged));
        assert_ne!(keys.wrap(&data_key, b"row 1").bytes, wrapped.bytes, "each has a nonce of its own");
    }

    #[test]
    fn notices_every_changed_byte() {
        let keys = ring(NEW);
        let wrapped = keys.wrap(&draw_key(), b"");
        for at in 0..WRAPPED_BYTES {
            let mut wrong = wrapped.clone();
            wrong.bytes[at] ^= 1;
            assert_eq!(keys.unwrap(&wrong, b""), Err(OpenError::Damaged), "byte {at}");
        }
    }

    #[test]
    fn reads_with_older_keys_and_writes_with_the_first() {
        let (before, during, after) = (ring(OLD), ring(&format!("{NEW}\n{OLD}\n")), ring(NEW));
        let data_key = draw_key();
        let wrapped = before.wrap(&data_key, b"");
        assert_eq!(during.unwrap(&wrapped, b"").as_ref(), Ok(&data_key));
        assert_eq!(during.wrap(&data_key, b"").key, after.current());
        assert_eq!(after.unwrap(&wrapped, b""), Err(OpenError::NoKey(before.current())));
        assert_eq!(during.ids().collect::<Vec<_>>(), [after.current(), before.current()]);
    }

    #[test]
    fn derives_a_key_per_purpose_and_master_key() {
        let both = ring(&format!("{NEW} {OLD}"));
        assert_eq!(both.derive("tokens"), ring(NEW).derive("tokens"), "the same on every node");
        assert_ne!(both.derive("tokens"), both.derive("cursors"));
        let each = both.derive_each("tokens");
        assert_eq!(each[0], (both.current(), both.derive("tokens")));
        assert_eq!(each[1].1, ring(OLD).derive("tokens"));
        assert_ne!(Some(both.derive("")), both.check_value(both.current()), "a purpose cannot be a check value");
    }

    #[test]
    fn recognises_its_key_by_the_check_value() {
        let (old, new) = (ring(OLD), ring(NEW));
        let check = old.check_value(old.current()).unwrap();
        assert!(old.matches(old.current(), &check));
        assert!(!new.matches(old.current(), &check), "it does not hold the key");
        assert!(!old.matches(old.current(), &check[1..]));
        assert_eq!(new.check_value(old.current()), None);
    }

    #[test]
    fn shows_ids_only() {
        let keys = ring(NEW);
        let shown = format!("{keys:?}");
        assert_eq!(shown, format!("[{}]", keys.current()));
        assert_eq!(keys.current().to_string().len(), 16);
        assert_eq!(KeyId::from_bytes(*keys.current().as_bytes()), keys.current());
        assert_ne!(Keyring::throwaway().current(), Keyring::throwaway().current());
    }
}
