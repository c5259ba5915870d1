//! Secrets at rest: envelope encryption. Each value has a random data key, which a master key wraps, so that a rotation of master
//! keys rewrites headers and no values. What a value belongs to is authenticated with it: a row cannot stand in for another.
//!
//! **Shape**: `version (1) | algorithm (1) | key id (8) | wrapped data key (72) | nonce (24) | text and tag`.

use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use zeroize::Zeroizing;

use super::keyring::{
    KEY_ID_BYTES, KeyId, Keyring, NONCE_BYTES, OpenError, TAG_BYTES, WRAPPED_BYTES, Wrapped, decrypt, draw_key, draw_nonce,
    encrypt,
};

/// The form that this release writes.
const VERSION: u8 = 1;
/// XChaCha20-Poly1305 for the value and for its key.
const XCHACHA20_POLY1305: u8 = 1;
/// Bytes before the wrapped key.
const HEAD_BYTES: usize = 2 + KEY_ID_BYTES;
/// Bytes before the nonce of the value.
const ENVELOPE_BYTES: usize = HEAD_BYTES + WRAPPED_BYTES;
/// Bytes that sealing adds to a text.
pub const OVERHEAD_BYTES: usize = ENVELOPE_BYTES + NONCE_BYTES + TAG_BYTES;

/// Encrypts a text. `context` says what it belongs to (`workspace|row|field|version`), and has to be the same to open it.
pub fn seal(keys: &Keyring, text: &[u8], context: &str) -> Vec<u8> {
    let (data_key, nonce) = (draw_key(), draw_nonce());
    let body = encrypt(&XChaCha20Poly1305::new((&*data_key).into()), &nonce, text, &value_context(context));
    let mut sealed = Vec::with_capacity(OVERHEAD_BYTES + text.len());
    put_envelope(&mut sealed, &keys.wrap(&data_key, &key_context(context)));
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(&body);
    sealed
}

/// Decrypts what [`seal`] made.
///
/// Errors: see [`OpenError`].
pub fn open(keys: &Keyring, sealed: &[u8], context: &str) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (wrapped, value) = split(sealed)?;
    let data_key = keys.unwrap(&wrapped, &key_context(context))?;
    let (nonce, body) = value.split_at(NONCE_BYTES);
    decrypt(&XChaCha20Poly1305::new((&*data_key).into()), nonce, body, &value_context(context))
}

/// The same value with its data key wrapped by the master key in use. The value itself is not touched.
///
/// Errors: see [`OpenError`].
pub fn rewrap(keys: &Keyring, sealed: &[u8], context: &str) -> Result<Vec<u8>, OpenError> {
    let (wrapped, value) = split(sealed)?;
    let data_key = keys.unwrap(&wrapped, &key_context(context))?;
    let mut renewed = Vec::with_capacity(sealed.len());
    put_envelope(&mut renewed, &keys.wrap(&data_key, &key_context(context)));
    renewed.extend_from_slice(value);
    Ok(renewed)
}

/// The master key that a sealed value needs.
///
/// Errors: `UnknownForm`, `Damaged`.
pub fn key_of(sealed: &[u8]) -> Result<KeyId, OpenError> {
    split(sealed).map(|(wrapped, _)| wrapped.key)
}

fn put_envelope(sealed: &mut Vec<u8>, wrapped: &Wrapped) {
    sealed.extend_from_slice(&[VERSION, XCHACHA20_POLY1305]);
    sealed.extend_from_slice(wrapped.key.as_bytes());
    sealed.extend_from_slice(&wrapped.bytes);
}

/// The wrapped key, and the value with its nonce.
fn split(sealed: &[u8]) -> Result<(Wrapped, &[u8]), OpenError> {
    if !sealed.starts_with(&[VERSION, XCHACHA20_POLY1305]) {
        return Err(OpenError::UnknownForm);
    }
    if sealed.len() < OVERHEAD_BYTES {
        return Err(OpenError::Damaged);
    }
    let (envelope, value) = sealed.split_at(ENVELOPE_BYTES);
    let (head, wrapped) = envelope.split_at(HEAD_BYTES);
    let key = KeyId::from_bytes(head[2..].try_into().expect("the head is two bytes and an id"));
    Ok((Wrapped { key, bytes: wrapped.try_into().expect("the envelope is a head and a wrapped key") }, value))
}

fn key_context(context: &str) -> Vec<u8> {
    [&[VERSION, XCHACHA20_POLY1305], b"key|".as_slice(), context.as_bytes()].concat()
}

fn value_context(context: &str) -> Vec<u8> {
    [&[VERSION, XCHACHA20_POLY1305], b"value|".as_slice(), context.as_bytes()].concat()
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
    fn opens_what_it_sealed_where_it_belongs_only() {
        let keys = ring(NEW);
        for text in ["", "hunter2", &"long ".repeat(10_000)] {
            let sealed = seal(&keys, text.as_bytes(), "ws|crd|fields|1");
            assert_eq!(sealed.len(), OVERHEAD_BYTES + text.len());
            assert_eq!(open(&keys, &sealed, "ws|crd|fields|1").unwrap().as_slice(), text.as_bytes());
            for elsewhere in ["ws|other|fields|1", "ws|crd|fields|2", "ws2|crd|fields|1", ""] {
                assert_eq!(open(&keys, &sealed, elsewhere), Err(OpenError::Damaged), "{elsewhere}");
            }
        }
        let twice = [seal(&keys, b"same", "c"), seal(&keys, b"same", "c")];
        assert_ne!(twice[0], twice[1]);
    }

    #[test]
    fn notices_every_changed_and_every_missing_byte() {
        let keys = ring(NEW);
        let sealed = seal(&keys, b"hunter2", "c");
        for at in 0..sealed.len() {
            let mut wrong = sealed.clone();
            wrong[at] ^= 1;
            assert!(open(&keys, &wrong, "c").is_err(), "byte {at}");
            assert!(open(&keys, &sealed[..at], "c").is_err(), "{at} bytes");
        }
    }

    #[test]
    fn rewraps_without_touching_the_value() {
        let (old, both, new) = (ring(OLD), ring(&format!("{NEW} {OLD}")), ring(NEW));
        let sealed = seal(&old, b"hunter2", "c");
        assert_eq!(open(&new, &sealed, "c"), Err(OpenError::NoKey(old.current())));
        let renewed = rewrap(&both, &sealed, "c").unwrap();
        assert_eq!(key_of(&renewed), Ok(new.current()));
        assert_eq!(renewed[ENVELOPE_BYTES..], sealed[ENVELOPE_BYTES..]);
        assert_eq!(open(&new, &renewed, "c").unwrap().as_slice(), b"hunter2");
        assert!(rewrap(&both, &sealed, "elsewhere").is_err());
    }

    #[test]
    fn says_when_a_later_release_wrote_it() {
        let keys = ring(NEW);
        let mut later = seal(&keys, b"hunter2", "c");
        later[0] = VERSION + 1;
        assert_eq!(open(&keys, &later, "c"), Err(OpenError::UnknownForm));
    }
}
