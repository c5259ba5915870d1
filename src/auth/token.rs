//! Opaque tokens: `ctd_<kind>_<22 base62 id>_<43 base62 secret><6 base62 CRC-32>`. The prefix lets secret scanners find leaked
//! ones, the checksum refuses typos without a look at the database. Stores keep the SHA-256 only.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::model::ids::TokenId;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Base62 digits of a UUID.
const ID_DIGITS: usize = 22;
/// Bytes of a secret.
pub const SECRET_BYTES: usize = 32;
/// Base62 digits of 256 bits.
const SECRET_DIGITS: usize = 43;
/// Base62 digits of a CRC-32.
const CHECK_DIGITS: usize = 6;

/// Characters at the end that are shown to people.
const SHOWN_CHARACTERS: usize = 4;

/// What a token is for, as its text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// A key of the API, or the setup token.
    Live,
    /// A browser's session.
    Session,
    Refresh,
    /// An invitation.
    Invite,
}

impl Label {
    const ALL: [Self; 4] = [Self::Live, Self::Session, Self::Refresh, Self::Invite];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Session => "session",
            Self::Refresh => "refresh",
            Self::Invite => "invite",
        }
    }
}

/// The text is not a token of this server: a typo, or something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text is not a well-formed token")]
pub struct MalformedToken;

/// A token with its secret. Has no `Debug` and no `Display` on purpose: see [`Token::expose`].
#[derive(Clone)]
pub struct Token {
    text: String,
    label: Label,
    id: Uuid,
    secret: [u8; SECRET_BYTES],
}

impl Token {
    /// Writes a token for a secret of 32 random bytes.
    pub fn new(label: Label, id: TokenId, secret: &[u8; SECRET_BYTES]) -> Self {
        let id = id.uuid();
        let body = format!("ctd_{}_{}_{}", label.as_str(), base62(id.as_bytes(), ID_DIGITS), base62(secret, SECRET_DIGITS));
        let check = checksum(&body);
        Self { text: body + &check, label, id, secret: *secret }
    }

    /// Checks the form and the checksum of a text that a caller presents.
    ///
    /// Errors: [`MalformedToken`].
    pub fn parse(text: &str) -> Result<Self, MalformedToken> {
        let (label, rest) = text.strip_prefix("ctd_").and_then(|rest| rest.split_once('_')).ok_or(MalformedToken)?;
        let (id, secret) = rest.split_once('_').ok_or(MalformedToken)?;
        let label = Label::ALL.into_iter().find(|known| known.as_str() == label).ok_or(MalformedToken)?;
        let is_ascii = id.is_ascii() && secret.is_ascii();
        if !is_ascii || id.len() != ID_DIGITS || secret.len() != SECRET_DIGITS + CHECK_DIGITS {
            return Err(MalformedToken);
        }
        let (body, check) = text.split_at(text.len() - CHECK_DIGITS);
        if checksum(body) != check {
            return Err(MalformedToken);
        }
        let id = Uuid::from_bytes(number(id).ok_or(MalformedToken)?);
        let secret = number(&secret[..SECRET_DIGITS]).ok_or(MalformedToken)?;
        Ok(Self { text: text.to_owned(), label, id, secret })
    }

    /// The whole text: to be handed to its owner once, never to be logged.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What it is for.
    pub fn label(&self) -> Label {
        self.label
    }

    /// What it is the token of.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// So that people can tell tokens apart.
    pub fn last_characters(&self) -> &str {
        &self.text[self.text.len() - SHOWN_CHARACTERS..]
    }

    /// The part that cannot be guessed.
    pub fn secret(&self) -> &[u8; SECRET_BYTES] {
        &self.secret
    }

    /// What the store keeps. A lookup by it leaks nothing through its time: the secret has 256 random bits.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.text.as_bytes()).into()
    }
}

/// Big-endian base62 with leading zeros, `digits` long.
fn base62(bytes: &[u8], digits: usize) -> String {
    let mut rest = bytes.to_vec();
    let mut text = vec![b'0'; digits];
    for digit in text.iter_mut().rev() {
        let mut remainder: u16 = 0;
        for byte in &mut rest {
            let value = (remainder << 8) | u16::from(*byte);
            *byte = u8::try_from(value / 62).expect("the remainder is below 62, so the quotient is below 256");
            remainder = value % 62;
        }
        *digit = ALPHABET[usize::from(remainder)];
    }
    assert!(rest.iter().all(|byte| *byte == 0), "{digits} digits are too few");
    String::from_utf8(text).expect("the alphabet is ASCII")
}

/// The number that [`base62`] wrote; `None` if it has other digits, or does not fit.
fn number<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    for digit in text.bytes() {
        let mut carry = ALPHABET.iter().position(|known| *known == digit)?;
        for byte in bytes.iter_mut().rev() {
            carry += usize::from(*byte) * ALPHABET.len();
            *byte = u8::try_from(carry % 256).expect("a remainder of 256 is a byte");
            carry /= 256;
        }
        if carry > 0 {
            return None;
        }
    }
    Some(bytes)
}

/// The CRC-32 (IEEE 802.3) of a text, in base62.
fn checksum(text: &str) -> String {
    let mut crc = u32::MAX;
    for byte in text.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    base62(&(!crc).to_be_bytes(), CHECK_DIGITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        Token::new(Label::Live, TokenId::from_uuid(Uuid::from_u128(u128::MAX)), &[0xff; 32])
    }

    #[test]
    fn has_the_documented_form() {
        let text = token().expose().to_owned();
        let parts: Vec<&str> = text.split('_').collect();
        assert_eq!((parts[0], parts[1], parts[2].len(), parts[3].len()), ("ctd", "live", 22, 49));
    }

    #[test]
    fn reads_what_it_wrote() {
        for byte in [0, 1, 0x7f, 0xff] {
            let written = Token::new(Label::Session, TokenId::from_uuid(Uuid::from_bytes([byte; 16])), &[byte; 32]);
            let read = Token::parse(written.expose()).unwrap();
            assert_eq!((read.label(), read.id(), read.secret()), (Label::Session, written.id(), &[byte; 32]));
            assert_eq!(read.hash(), written.hash());
            assert!(read.expose().ends_with(read.last_characters()) && read.last_characters().len() == SHOWN_CHARACTERS);
        }
    }

    #[test]
    fn refuses_numbers_that_are_too_large() {
        let body = format!("ctd_live_{}_{}", "z".repeat(ID_DIGITS), "0".repeat(SECRET_DIGITS));
        assert!(Token::parse(&format!("{body}{}", checksum(&body))).is_err());
        assert_eq!(number::<1>("48"), None);
        assert_eq!(number::<2>("48"), Some([1, 0]));
    }

    #[test]
    fn refuses_every_typo_of_one_character() {
        let text = token().expose().to_owned();
        for at in 0..text.len() {
            let mut wrong = text.clone().into_bytes();
            wrong[at] = if wrong[at] == b'x' { b'y' } else { b'x' };
            assert!(Token::parse(&String::from_utf8(wrong).unwrap()).is_err(), "typo at {at}");
        }
        for wrong in ["", "ctd_", "ctd_live_a_b", &text[1..], &text[..text.len() - 1]] {
            assert!(Token::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn counts_in_base62() {
        assert_eq!(base62(&[0], 2), "00");
        assert_eq!(base62(&[61], 2), "0z");
        assert_eq!(base62(&[1, 0], 2), "48");
        assert_eq!(checksum("123456789"), base62(&0xcbf4_3926_u32.to_be_bytes(), 6));
    }
}
