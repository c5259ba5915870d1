//! Decides whether a webhook request comes from who it claims: signatures over the **raw** body bytes, Basic and Bearer credentials.
//! Called by the HTTP layer before the body is parsed and before any node runs. Pure: the time comes in as an argument.
//! Every comparison of a secret takes the same time wherever the difference is.

mod hmac_settings;
pub mod params;
pub mod signature;

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use self::signature::SignatureScheme;

/// How far a signed timestamp may be off where the webhook does not say, in milliseconds.
pub const TOLERANCE_MS_DEFAULT: u64 = 300_000;

/// A check with its secrets. Has no `Debug` on purpose.
pub enum Verifier {
    Signature(SignatureScheme),
    Basic(Basic),
    Bearer(Bearer),
}

/// User name and password, as a hash: equal lengths make equal times.
pub struct Basic([u8; 32]);

/// A token, as a hash.
pub struct Bearer([u8; 32]);

/// A request that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What names this delivery, for a store of what has been seen: a time window alone does not stop duplicates.
    /// `None` where the scheme has nothing that differs between deliveries.
    pub message_id: Option<String>,
}

/// Why a request is refused. Never holds what was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the header {header} is missing")]
    Missing { header: String },
    #[error("the header {header} is malformed")]
    Malformed { header: String },
    #[error("the signature or credential does not match")]
    Mismatch,
    #[error("the timestamp is outside the tolerance")]
    Stale,
}

impl Verifier {
    /// A check of `Authorization: Basic`. Source: RFC 7617.
    pub fn basic(username: &str, password: &str) -> Self {
        Self::Basic(Basic(hash(format!("{username}:{password}").as_bytes())))
    }

    /// A check of `Authorization: Bearer`. Source: RFC 6750.
    pub fn bearer(token: &str) -> Self {
        Self::Bearer(Bearer(hash(token.as_bytes())))
    }

    /// Checks one request. `header` finds the value of a header by its name, in any case; `now_ms` is Unix milliseconds.
    ///
    /// Errors: the first check that fails.
    pub fn verify<'h>(&self, header: impl Fn(&str) -> Option<&'h str>, body: &[u8], now_ms: u64) -> Result<Verified, Refused> {
        match self {
            Self::Signature(scheme) => scheme.verify(header, body, now_ms),
            Self::Basic(Basic(expected)) => {
                let given = STANDARD.decode(authorization(header, "basic")?).map_err(|_| malformed("authorization"))?;
                compare_hashes(expected, &given)
            }
            Self::Bearer(Bearer(expected)) => compare_hashes(expected, authorization(header, "bearer")?.as_bytes()),
        }
    }
}

fn compare_hashes(expected: &[u8; 32], given: &[u8]) -> Result<Verified, Refused> {
    let is_equal = expected.ct_eq(&hash(given));
    if is_equal.into() { Ok(Verified { message_id: None }) } else { Err(Refused::Mismatch) }
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The credentials behind the scheme's name, which is written in any case.
fn authorization<'h>(header: impl Fn(&str) -> Option<&'h str>, scheme: &str) -> Result<&'h str, Refused> {
    let value = header("authorization").ok_or_else(|| missing("authorization"))?;
    match value.split_once(' ') {
        Some((name, credentials)) if name.eq_ignore_ascii_case(scheme) => Ok(credentials.trim()),
        Some(_) | None => Err(malformed("authorization")),
    }
}

fn missing(header: &str) -> Refused {
    Refused::Missing { header: header.to_owned() }
}

fn malformed(header: &str) -> Refused {
    Refused::Malformed { header: header.to_owned() }
}

#[cfg(test)]
mod tests;
