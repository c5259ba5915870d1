//! HMAC signatures of webhooks. The presets are data: where the signature stands, how it is written, and what is signed.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::{Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;

use super::{Refused, TOLERANCE_MS_DEFAULT, Verified, malformed, missing};

/// Signatures of one request that are tried: several are sent while a secret is being changed.
const SIGNATURES_MAX: usize = 16;
/// Bytes of a message id that is kept.
const MESSAGE_ID_BYTES_MAX: usize = 256;

/// One way to sign, with its key.
pub struct SignatureScheme {
    pub key: Vec<u8>,
    pub algorithm: Algorithm,
    /// The header of the signature, in lower case; so are the others.
    pub header: String,
    pub layout: Layout,
    pub encoding: Encoding,
    pub signed: Vec<Part>,
    pub timestamp_header: Option<String>,
    pub id_header: Option<String>,
    /// How far the timestamp may be off.
    pub tolerance_ms: u64,
}

/// The hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    #[default]
    Sha256,
    Sha384,
    Sha512,
}

/// How signatures are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    #[default]
    Hex,
    Base64,
}

/// How a header holds signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// One signature behind a fixed text.
    Prefixed(String),
    /// `t=<timestamp>,v1=<signature>,v1=<signature>`.
    Fields,
    /// `v1,<signature> v1,<signature>`.
    Versioned,
}

/// A part of what is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Text(String),
    Id,
    Timestamp,
    Body,
}

/// Parses `{timestamp}.{body}`. `None` if the body is not in it, since then it would not be protected.
pub fn parse_parts(template: &str) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = template;
    while !rest.is_empty() {
        let named = [("{id}", Part::Id), ("{timestamp}", Part::Timestamp), ("{body}", Part::Body)];
        match named.into_iter().find_map(|(name, part)| Some((part, rest.strip_prefix(name)?))) {
            Some((part, after)) => {
                parts.push(part);
                rest = after;
            }
            None => {
                let start = usize::from(rest.starts_with('{'));
                let end = rest[start..].find('{').map_or(rest.len(), |position| start + position);
                parts.push(Part::Text(rest[..end].to_owned()));
                rest = &rest[end..];
            }
        }
    }
    if parts.contains(&Part::Body) { Some(parts) } else { None }
}

impl SignatureScheme {
    /// The general scheme: hex SHA-256 of the body, alone in a header.
    pub fn plain(key: Vec<u8>, header: &str) -> Self {
        Self {
            key,
            algorithm: Algorithm::Sha256,
            header: header.to_owned(),
            layout: Layout::Prefixed(String::new()),
            encoding: Encoding::Hex,
            signed: vec![Part::Body],
            timestamp_header: None,
            id_header: None,
            tolerance_ms: TOLERANCE_MS_DEFAULT,
        }
    }

    /// **Source**: docs.github.com, "Validating webhook deliveries". GitHub does not sign the id of a delivery.
    pub fn github(key: Vec<u8>) -> Self {
        Self {
            layout: Layout::Prefixed("sha256=".to_owned()),
            id_header: Some("x-github-delivery".to_owned()),
            ..Self::plain(key, "x-hub-signature-256")
        }
    }

    /// **Source**: docs.stripe.com, "Verify webhook signatures manually".
    pub fn stripe(key: Vec<u8>) -> Self {
        let signed = vec![Part::Timestamp, Part::Text(".".to_owned()), Part::Body];
        Self { layout: Layout::Fields, signed, ..Self::plain(key, "stripe-signature") }
    }

    /// **Source**: api.slack.com, "Verifying requests from Slack".
    pub fn slack(key: Vec<u8>) -> Self {
        let signed = vec![Part::Text("v0:".to_owned()), Part::Timestamp, Part::Text(":".to_owned()), Part::Body];
        Self {
            layout: Layout::Prefixed("v0=".to_owned()),
            signed,
            timestamp_header: Some("x-slack-request-timestamp".to_owned()),
            ..Self::plain(key, "x-slack-signature")
        }
    }

    /// **Source**: shopify.dev, "Deliver webhooks through HTTPS". Shopify does not sign the id of a delivery.
    pub fn shopify(key: Vec<u8>) -> Self {
        Self {
            encoding: Encoding::Base64,
            id_header: Some("x-shopify-webhook-id".to_owned()),
            ..Self::plain(key, "x-shopify-hmac-sha256")
        }
    }

    /// **Source**: standardwebhooks.com, the specification.
    pub fn standard_webhooks(key: Vec<u8>) -> Self {
        let dot = || Part::Text(".".to_owned());
        Self {
            layout: Layout::Versioned,
            encoding: Encoding::Base64,
            signed: vec![Part::Id, dot(), Part::Timestamp, dot(), Part::Body],
            timestamp_header: Some("webhook-timestamp".to_owned()),
            id_header: Some("webhook-id".to_owned()),
            ..Self::plain(key, "webhook-signature")
        }
    }

    /// Checks a request as [`super::Verifier::verify`] says.
    pub(super) fn verify<'h>(
        &self,
        header: impl Fn(&str) -> Option<&'h str>,
        body: &[u8],
        now_ms: u64,
    ) -> Result<Verified, Refused> {
        let value = header(&self.header).ok_or_else(|| missing(&self.header))?;
        let timestamp = self.timestamp(&header, value)?;
        let id = self.id_header.as_deref().and_then(&header).filter(|id| id.len() <= MESSAGE_ID_BYTES_MAX);
        let expected = self.sign(id, timestamp, body)?;
        let matching = self
            .signatures(value)
            .take(SIGNATURES_MAX)
            .find(|signature| self.decode(signature).is_some_and(|given| given.ct_eq(&expected).into()))
            .ok_or(Refused::Mismatch)?;
        self.check_age(timestamp, now_ms)?;
        // A timestamp makes each signature its own name. Without one, equal bodies have equal signatures, and only an id tells.
        let message_id = id.or(timestamp.and(Some(matching))).map(str::to_owned);
        Ok(Verified { message_id })
    }

    /// The timestamp as it was sent; `None` if the scheme has none.
    fn timestamp<'h>(&self, header: impl Fn(&str) -> Option<&'h str>, value: &'h str) -> Result<Option<&'h str>, Refused> {
        match (&self.layout, &self.timestamp_header) {
            (Layout::Fields, _) => fields(value, "t").next().map(Some).ok_or_else(|| malformed(&self.header)),
            (Layout::Prefixed(_) | Layout::Versioned, Some(name)) => header(name).map(Some).ok_or_else(|| missing(name)),
            (Layout::Prefixed(_) | Layout::Versioned, None) => Ok(None),
        }
    }

    fn check_age(&self, timestamp: Option<&str>, now_ms: u64) -> Result<(), Refused> {
        let Some(text) = timestamp else { return Ok(()) };
        let seconds: u64 = text.parse().map_err(|_| malformed(self.timestamp_header.as_deref().unwrap_or(&self.header)))?;
        let is_near = seconds.saturating_mul(1_000).abs_diff(now_ms) <= self.tolerance_ms;
        if is_near { Ok(()) } else { Err(Refused::Stale) }
    }

    /// The signatures of a header, still encoded.
    fn signatures<'h>(&self, value: &'h str) -> Box<dyn Iterator<Item = &'h str> + 'h> {
        match &self.layout {
            Layout::Prefixed(prefix) => Box::new(value.strip_prefix(prefix.as_str()).into_iter()),
            Layout::Fields => Box::new(fields(value, "v1")),
            Layout::Versioned => Box::new(value.split(' ').filter_map(|entry| entry.strip_prefix("v1,"))),
        }
    }

    fn decode(&self, signature: &str) -> Option<Vec<u8>> {
        match self.encoding {
            Encoding::Hex => decode_hex(signature),
            Encoding::Base64 => STANDARD.decode(signature).ok(),
        }
    }

    fn sign(&self, id: Option<&str>, timestamp: Option<&str>, body: &[u8]) -> Result<Vec<u8>, Refused> {
        let mut message: Vec<&[u8]> = Vec::with_capacity(self.signed.len());
        for part in &self.signed {
            message.push(match part {
                Part::Text(text) => text.as_bytes(),
                Part::Id => id.ok_or_else(|| missing(self.id_header.as_deref().unwrap_or("id")))?.as_bytes(),
                Part::Timestamp => timestamp.ok_or_else(|| malformed(&self.header))?.as_bytes(),
                Part::Body => body,
            });
        }
        Ok(match self.algorithm {
            Algorithm::Sha256 => mac::<Hmac<Sha256>>(&self.key, &message),
            Algorithm::Sha384 => mac::<Hmac<Sha384>>(&self.key, &message),
            Algorithm::Sha512 => mac::<Hmac<Sha512>>(&self.key, &message),
        })
    }
}

fn mac<M: Mac + KeyInit>(key: &[u8], message: &[&[u8]]) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in message {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// The values of one name in `name=value,name=value`.
fn fields<'h>(value: &'h str, name: &'static str) -> impl Iterator<Item = &'h str> {
    value.split(',').filter_map(move |field| field.trim().strip_prefix(name)?.strip_prefix('='))
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}
