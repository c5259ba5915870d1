//! Refresh tokens, each of which is good once. They need no table of their own: a token carries a proof that a server wrote it, so
//! that a used one is told from an invented one, and its successor is derived from it, so that whoever uses it twice in a moment gets
//! the same successor twice. Decides nothing about the session: `Store::rotate_session` does.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{
    keyring::{KEY_BYTES, Keyring},
    token::{Label, MalformedToken, Token},
};
use crate::model::ids::{SessionId, TokenId};

/// Bytes of a token that cannot be guessed.
const RANDOM_BYTES: usize = 16;
/// What the keys are derived for.
const PROOF_PURPOSE: &str = "refresh token proof";
const SUCCESSOR_PURPOSE: &str = "refresh token successor";

/// Writes and reads refresh tokens.
pub struct RefreshTokens {
    /// Of the master key in use first.
    keys: Vec<Keys>,
}

struct Keys {
    proof: Zeroizing<[u8; KEY_BYTES]>,
    successor: Zeroizing<[u8; KEY_BYTES]>,
}

impl RefreshTokens {
    pub fn new(keyring: &Keyring) -> Self {
        let pairs = keyring.derive_each(PROOF_PURPOSE).into_iter().zip(keyring.derive_each(SUCCESSOR_PURPOSE));
        let keys = pairs.map(|((_, proof), (_, successor))| Keys { proof: proof.into(), successor: successor.into() });
        Self { keys: keys.collect() }
    }

    /// The first token of a session.
    pub fn issue(&self, session: SessionId, random: &[u8; RANDOM_BYTES]) -> Token {
        self.keys[0].write(session, random)
    }

    /// Reads a token that a server wrote, whether it has been used or not.
    ///
    /// Errors: [`MalformedToken`], also for one that nobody wrote.
    pub fn read(&self, text: &str) -> Result<(SessionId, Token), MalformedToken> {
        let token = Token::parse(text)?;
        let session = SessionId::from_uuid(token.id());
        let is_ours = token.label() == Label::Refresh && self.keys.iter().any(|keys| keys.wrote(session, &token));
        if is_ours { Ok((session, token)) } else { Err(MalformedToken) }
    }

    /// What may follow a token: one per master key, that of the key in use first.
    pub fn successors(&self, session: SessionId, token: &Token) -> Vec<Token> {
        let successor = |keys: &Keys| {
            let random = mac(&keys.successor, session, token.secret());
            keys.write(session, &random)
        };
        self.keys.iter().map(successor).collect()
    }
}

impl Keys {
    fn write(&self, session: SessionId, random: &[u8; RANDOM_BYTES]) -> Token {
        let mut secret = [0; 2 * RANDOM_BYTES];
        secret[..RANDOM_BYTES].copy_from_slice(random);
        secret[RANDOM_BYTES..].copy_from_slice(&mac(&self.proof, session, random));
        Token::new(Label::Refresh, TokenId::from_uuid(session.uuid()), &secret)
    }

    fn wrote(&self, session: SessionId, token: &Token) -> bool {
        let (random, proof) = token.secret().split_at(RANDOM_BYTES);
        mac(&self.proof, session, random).ct_eq(proof).into()
    }
}

/// The first half of HMAC-SHA-256: 128 bits that cannot be guessed.
fn mac(key: &[u8; KEY_BYTES], session: SessionId, text: &[u8]) -> [u8; RANDOM_BYTES] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(session.uuid().as_bytes());
    mac.update(text);
    let mut half = [0; RANDOM_BYTES];
    half.copy_from_slice(&mac.finalize().into_bytes()[..RANDOM_BYTES]);
    half
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const OLD: &str = "an-old-master-key-of-40-characters-00000";
    const NEW: &str = "a-new-master-key-of-40-characters-000000";
    const SESSION: SessionId = SessionId::from_uuid(Uuid::from_u128(7));

    fn tokens(keys: &str) -> RefreshTokens {
        RefreshTokens::new(&Keyring::parse(keys).unwrap())
    }

    #[test]
    fn knows_what_it_wrote() {
        let tokens = tokens(NEW);
        let first = tokens.issue(SESSION, &[1; RANDOM_BYTES]);
        let (session, read) = tokens.read(first.expose()).unwrap();
        assert_eq!((session, read.hash()), (SESSION, first.hash()));
        let second = tokens.successors(SESSION, &read).remove(0);
        assert!(tokens.read(second.expose()).is_ok());
        let own = TokenId::from_uuid(SESSION.uuid());
        let invented = Token::new(Label::Refresh, own, &[1; 32]);
        assert!(tokens.read(invented.expose()).is_err());
        let of_another = Token::new(Label::Refresh, TokenId::from_uuid(Uuid::from_u128(8)), first.secret());
        assert!(tokens.read(of_another.expose()).is_err());
        let of_another_kind = Token::new(Label::Session, own, first.secret());
        assert!(tokens.read(of_another_kind.expose()).is_err());
    }

    #[test]
    fn has_one_successor_however_often_it_is_asked() {
        let (here, elsewhere) = (tokens(NEW), tokens(NEW));
        let first = here.issue(SESSION, &[1; RANDOM_BYTES]);
        let next = |tokens: &RefreshTokens, token: &Token| tokens.successors(SESSION, token).remove(0);
        assert_eq!(next(&here, &first).expose(), next(&elsewhere, &first).expose());
        assert_ne!(next(&here, &first).hash(), next(&here, &next(&here, &first)).hash());
        assert_ne!(next(&here, &first).hash(), next(&here, &here.issue(SESSION, &[2; RANDOM_BYTES])).hash());
    }

    #[test]
    fn goes_on_through_a_rotation_of_the_master_key() {
        let (before, during, after) = (tokens(OLD), tokens(&format!("{NEW} {OLD}")), tokens(NEW));
        let first = before.issue(SESSION, &[1; RANDOM_BYTES]);
        let (_, read) = during.read(first.expose()).unwrap();
        let after_rotation = during.successors(SESSION, &read);
        assert_eq!(after_rotation.len(), 2);
        assert!(after.read(after_rotation[0].expose()).is_ok() && after.read(first.expose()).is_err());
        // What a node with the old key alone has answered is among them.
        assert_eq!(after_rotation[1].hash(), before.successors(SESSION, &read)[0].hash());
    }
}
