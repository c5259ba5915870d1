//! What the audit log says: who did what to which thing, when, from where, and how its content changed. Rows are chained: the hash
//! of each covers its fields and the hash of the row before it, so that a row that is changed, moved or missing shows.
//!
//! A row never holds a secret. Contents are there as digests only, and of what is secret not even these: a digest of a short
//! secret can be guessed.

mod chain;
mod event;

use std::{fmt, net::IpAddr, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

pub use self::{
    chain::{HASHED_FIELDS, hashed_text, hashed_text_of},
    event::{ACTIONS, AuditEvent, Target, kinds},
};
use super::ids::{AuditId, ExecutionId, TokenId, UserId, WorkspaceId};

/// Characters of every text of a row; what is longer is cut.
pub const AUDIT_TEXT_CHARS_MAX: usize = 255;
/// Details of a row; more are left out.
pub const AUDIT_DETAILS_MAX: usize = 8;

/// A SHA-256. **Shape**: 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

/// Why a text is no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 hex digits")]
pub struct InvalidDigest;

/// Who did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    User(UserId),
    /// A token that belongs to nobody in particular.
    Token(TokenId),
    /// Somebody without a token.
    Anonymous,
    /// What a workflow does by itself.
    Execution(ExecutionId),
    /// The server: its settings and its clock.
    System,
}

/// Who does something, in which workspace, and where the request for it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub workspace: WorkspaceId,
    pub who: Who,
    /// What the caller showed: the token of a session, or a key.
    pub token: Option<TokenId>,
    pub address: Option<IpAddr>,
    pub request_id: Option<Arc<str>>,
}

/// Something that happened, with what is known about it.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    pub event: AuditEvent,
    pub before: Option<Digest>,
    pub after: Option<Digest>,
    details: Map<String, Value>,
}

/// A row that is to be stored: it has no place in the chain yet. Made by [`AuditRecord::new`], which bounds every text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    pub id: AuditId,
    /// Unix milliseconds.
    pub at: u64,
    pub actor: String,
    pub token: Option<String>,
    pub action: String,
    pub target: Option<String>,
    pub address: Option<String>,
    pub request_id: Option<String>,
    pub before: Option<Digest>,
    pub after: Option<Digest>,
    /// A JSON object as text.
    pub details: String,
}

impl Origin {
    /// What the server does by itself in a workspace.
    pub const fn system(workspace: WorkspaceId) -> Self {
        Self { workspace, who: Who::System, token: None, address: None, request_id: None }
    }

    /// What an execution does.
    pub fn execution(workspace: WorkspaceId, execution: ExecutionId) -> Self {
        Self { who: Who::Execution(execution), ..Self::system(workspace) }
    }

    /// The same origin as somebody who has just proved to be this user.
    #[must_use]
    pub fn by_user(self, workspace: WorkspaceId, user: UserId) -> Self {
        Self { workspace, who: Who::User(user), ..self }
    }

    /// The same origin in another workspace: for what is done to that.
    #[must_use]
    pub fn in_workspace(self, workspace: WorkspaceId) -> Self {
        Self { workspace, ..self }
    }
}

impl AuditEntry {
    /// Adds what the thing was before and what it is now, as digests of its content.
    #[must_use]
    pub fn changed(self, before: Option<Digest>, after: Option<Digest>) -> Self {
        Self { before, after, ..self }
    }

    /// Adds a detail: a short text, a number, or yes or no. Never a secret.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        let value = match value.into() {
            Value::String(text) => Value::String(bounded(&text)),
            plain @ (Value::Null | Value::Bool(_) | Value::Number(_)) => plain,
            other @ (Value::Array(_) | Value::Object(_)) => Value::String(bounded(&other.to_string())),
        };
        if self.details.len() < AUDIT_DETAILS_MAX {
            self.details.insert(name.to_owned(), value);
        }
        self
    }

    /// The details so far.
    pub fn details(&self) -> &Map<String, Value> {
        &self.details
    }
}

impl From<AuditEvent> for AuditEntry {
    fn from(event: AuditEvent) -> Self {
        Self { event, before: None, after: None, details: Map::new() }
    }
}

impl AuditRecord {
    /// The row of an entry.
    pub fn new(id: AuditId, at: u64, origin: &Origin, entry: &AuditEntry) -> Self {
        Self {
            id,
            at,
            actor: origin.who.to_string(),
            token: origin.token.map(|token| token.to_string()),
            action: entry.event.action().to_owned(),
            target: entry.event.target().map(|target| bounded(&target)),
            address: origin.address.map(|address| address.to_string()),
            request_id: origin.request_id.as_deref().map(bounded),
            before: entry.before,
            after: entry.after,
            details: Value::Object(entry.details.clone()).to_string(),
        }
    }
}

/// A text of a row: cut to its limit, and without the character that one of the databases cannot keep.
fn bounded(text: &str) -> String {
    let stored = |c| if c == '\0' { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().take(AUDIT_TEXT_CHARS_MAX).map(stored).collect()
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => id.fmt(f),
            Self::Token(id) => id.fmt(f),
            Self::Execution(id) => id.fmt(f),
            Self::Anonymous => f.write_str("anonymous"),
            Self::System => f.write_str("system"),
        }
    }
}

impl Digest {
    /// What the first row of a chain has in the place of the hash of the row before it.
    pub const ZERO: Self = Self([0; 32]);
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 64 || !text.as_bytes().iter().all(is_hex) {
            return Err(InvalidDigest);
        }
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| InvalidDigest)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::model::ids::WorkflowId;

    fn record(entry: &AuditEntry) -> AuditRecord {
        let origin = Origin {
            address: Some("192.0.2.1".parse().unwrap()),
            request_id: Some("r\u{0}1".into()),
            ..Origin::system(WorkspaceId::DEFAULT).by_user(WorkspaceId::DEFAULT, UserId::from_uuid(Uuid::from_u128(1)))
        };
        AuditRecord::new(AuditId::from_uuid(Uuid::from_u128(2)), 3, &origin, entry)
    }

    #[test]
    fn says_who_did_what_to_which_thing_from_where() {
        let id = WorkflowId::from_uuid(Uuid::from_u128(7));
        let entry = AuditEntry::from(AuditEvent::WorkflowActivated(id)).changed(None, Some(Digest([1; 32]))).with("version", 4);
        let found = record(&entry);
        assert_eq!(found.actor, "usr_00000000000000000000000000000001");
        assert_eq!((found.action.as_str(), found.target), ("workflow.activated", Some(id.to_string())));
        assert_eq!((found.address.as_deref(), found.request_id.as_deref()), (Some("192.0.2.1"), Some("r\u{fffd}1")));
        assert_eq!((found.before, found.after), (None, Some(Digest([1; 32]))));
        assert_eq!(found.details, r#"{"version":4}"#);
    }

    #[test]
    fn texts_and_details_obey_and_violate_their_limits() {
        let name = |length| AuditEntry::from(AuditEvent::VariableCreated("x".repeat(length)));
        let target_chars = |length| record(&name(length)).target.unwrap().len();
        assert_eq!(target_chars(AUDIT_TEXT_CHARS_MAX), AUDIT_TEXT_CHARS_MAX);
        assert_eq!(target_chars(AUDIT_TEXT_CHARS_MAX + 1), AUDIT_TEXT_CHARS_MAX);
        let long = name(1).with("text", "ä".repeat(AUDIT_TEXT_CHARS_MAX + 1));
        assert_eq!(long.details()["text"].as_str().unwrap().chars().count(), AUDIT_TEXT_CHARS_MAX);
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let full = names.iter().fold(name(1), |entry, name| entry.with(name, true));
        assert_eq!(full.details().len(), AUDIT_DETAILS_MAX);
        assert_eq!(full.with("more", 1).details().len(), AUDIT_DETAILS_MAX);
    }

    #[test]
    fn shows_and_parses_digests() {
        let digest = Digest(std::array::from_fn(|index| u8::try_from(index * 8 % 256).unwrap()));
        assert_eq!(digest.to_string().parse(), Ok(digest));
        let zero = Digest::ZERO.to_string();
        assert_eq!(zero, "0".repeat(64));
        for text in ["", "0", &zero[1..], &format!("{zero}0"), &zero.replacen('0', "G", 1), &zero.replacen('0', "A", 1)] {
            assert_eq!(text.parse::<Digest>(), Err(InvalidDigest), "{text}");
        }
    }
}
