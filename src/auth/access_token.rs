//! Access tokens: JWTs (EdDSA) that say whose session they belong to, for minutes. Every node signs and checks them with keys
//! that are derived from the master keys, so that no key is stored. Decides nothing about the session itself: whoever reads one
//! has to look whether the session is still there. Source: RFC 7519, RFC 8037.

use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode,
    jwk::{AlgorithmParameters, Jwk},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::keyring::{KEY_BYTES, Keyring};
use crate::model::ids::{SessionId, UserId};

/// Life of an access token, in milliseconds.
pub const ACCESS_MS: u64 = 10 * 60_000;
/// Longest text that is looked at, in bytes.
const TEXT_BYTES_MAX: usize = 2_048;
const ISSUER: &str = "citadel";
/// What the keys are derived for.
const PURPOSE: &str = "jwt";
/// A private key of Ed25519 in PKCS #8 (version 1), up to its 32 bytes. Source: RFC 8410, section 7.
const PKCS8_HEAD: [u8; 16] = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Signs and checks access tokens.
pub struct AccessTokens {
    /// The one in use first.
    keys: Vec<SigningKey>,
}

struct SigningKey {
    id: String,
    private: EncodingKey,
    public: DecodingKey,
}

/// What an access token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    pub user: UserId,
    pub session: SessionId,
    pub expires_at: u64,
}

/// The text is no access token of this installation, or an old one: a caller is not told which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text is no valid access token")]
pub struct InvalidAccess;

/// The payload. Times are Unix seconds.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: UserId,
    sid: SessionId,
    iat: u64,
    exp: u64,
    jti: Uuid,
}

impl AccessTokens {
    /// Tokens that are signed with the master key in use, and accepted with the older ones, too.
    pub fn new(keyring: &Keyring) -> Self {
        let keys = keyring.derive_each(PURPOSE);
        Self { keys: keys.into_iter().map(|(id, seed)| SigningKey::new(id.to_string(), &seed)).collect() }
    }

    /// Writes a token with the id `id`; it ends [`ACCESS_MS`] after `now_ms`.
    pub fn issue(&self, user: UserId, session: SessionId, id: Uuid, now_ms: u64) -> String {
        let iat = now_ms / 1_000;
        let claims = Claims { iss: ISSUER.to_owned(), sub: user, sid: session, iat, exp: iat + ACCESS_MS / 1_000, jti: id };
        let key = &self.keys[0];
        let header = Header { kid: Some(key.id.clone()), ..Header::new(Algorithm::EdDSA) };
        encode(&header, &claims, &key.private).expect("the claims are plain data and the key is one of Ed25519")
    }

    /// Checks the form, the signature and the time of a token.
    ///
    /// Errors: [`InvalidAccess`].
    pub fn read(&self, text: &str, now_ms: u64) -> Result<Access, InvalidAccess> {
        let access = self.read_expired(text)?;
        if now_ms < access.expires_at { Ok(access) } else { Err(InvalidAccess) }
    }

    /// The same whatever the time: to end the session of a token that has just run out.
    ///
    /// Errors: [`InvalidAccess`].
    pub fn read_expired(&self, text: &str) -> Result<Access, InvalidAccess> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(InvalidAccess);
        }
        let kid = decode_header(text).map_err(|_| InvalidAccess)?.kid;
        let key = self.keys.iter().find(|key| kid.as_deref() == Some(&key.id)).ok_or(InvalidAccess)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        // By the clock of this program, which is one place.
        validation.validate_exp = false;
        let claims = decode::<Claims>(text, &key.public, &validation).map_err(|_| InvalidAccess)?.claims;
        Ok(Access { user: claims.sub, session: claims.sid, expires_at: claims.exp.saturating_mul(1_000) })
    }
}

impl SigningKey {
    fn new(id: String, seed: &[u8; KEY_BYTES]) -> Self {
        let private = EncodingKey::from_ed_der(&[&PKCS8_HEAD[..], seed].concat());
        let jwk = Jwk::from_encoding_key(&private, Algorithm::EdDSA).expect("any 32 bytes are a key of Ed25519");
        let AlgorithmParameters::OctetKeyPair(pair) = &jwk.algorithm else { unreachable!("a key of Ed25519 is an octet pair") };
        let public = DecodingKey::from_ed_components(&pair.x).expect("the library wrote it itself");
        Self { id, private, public }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_435_200_000;
    const OLD: &str = "an-old-master-key-of-40-characters-00000";
    const NEW: &str = "a-new-master-key-of-40-characters-000000";

    fn tokens(keys: &str) -> AccessTokens {
        AccessTokens::new(&Keyring::parse(keys).unwrap())
    }

    fn issue(tokens: &AccessTokens) -> String {
        let (user, session) = (UserId::from_uuid(Uuid::from_u128(1)), SessionId::from_uuid(Uuid::from_u128(2)));
        tokens.issue(user, session, Uuid::from_u128(3), NOW)
    }

    #[test]
    fn says_whose_session_it_is_until_it_ends() {
        let tokens = tokens(NEW);
        let text = issue(&tokens);
        let access = tokens.read(&text, NOW).unwrap();
        assert_eq!((access.user.uuid().as_u128(), access.session.uuid().as_u128()), (1, 2));
        assert_eq!(access.expires_at, NOW + ACCESS_MS);
        assert!(tokens.read(&text, NOW + ACCESS_MS - 1).is_ok());
        assert_eq!(tokens.read(&text, NOW + ACCESS_MS), Err(InvalidAccess));
        assert_eq!(tokens.read_expired(&text), Ok(access));
    }

    #[test]
    fn is_good_through_a_rotation_of_the_master_key() {
        let (before, during, after) = (tokens(OLD), tokens(&format!("{NEW} {OLD}")), tokens(NEW));
        assert!(during.read(&issue(&before), NOW).is_ok() && after.read(&issue(&during), NOW).is_ok());
        assert!(after.read(&issue(&before), NOW).is_err() && before.read(&issue(&after), NOW).is_err());
    }

    #[test]
    fn refuses_what_it_has_not_signed() {
        let tokens = tokens(NEW);
        let text = issue(&tokens);
        let (head, rest) = text.split_once('.').unwrap();
        let (body, signature) = rest.split_once('.').unwrap();
        // {"alg":"none"} and {"alg":"HS256"} with the right key's id would be other heads than this one.
        for wrong in [
            format!("eyJhbGciOiJub25lIn0.{body}."),
            format!("{head}.{body}."),
            format!("{head}.{body}x.{signature}"),
            format!("{head}.{rest}x"),
            "a.b.c".to_owned(),
            String::new(),
            "x".repeat(TEXT_BYTES_MAX + 1),
        ] {
            assert_eq!(tokens.read(&wrong, NOW), Err(InvalidAccess), "{wrong}");
        }
        let hmac = Header { kid: Some(tokens.keys[0].id.clone()), ..Header::new(Algorithm::HS256) };
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: UserId::from_uuid(Uuid::nil()),
            sid: SessionId::from_uuid(Uuid::nil()),
            iat: 0,
            exp: u64::MAX,
            jti: Uuid::nil(),
        };
        let forged = encode(&hmac, &claims, &EncodingKey::from_secret(b"guessed")).unwrap();
        assert_eq!(tokens.read(&forged, NOW), Err(InvalidAccess));
    }
}
