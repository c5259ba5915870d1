//! Identifiers: a UUID shown with the prefix of its type. Parsing refuses another type's prefix.
//! Ids are drawn outside (see `crate::clock`): the model never creates one from nothing.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// Why a text is not an id of the wanted type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an id that starts with `{prefix}` and goes on with a UUID")]
pub struct InvalidId {
    /// The prefix that the type asks for, with its underscore.
    pub prefix: &'static str,
}

macro_rules! prefixed_ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The text in front of the UUID.
            pub const PREFIX: &'static str = $prefix;

            /// Wraps a UUID that was drawn by the caller.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The bare UUID, as the stores keep it.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let invalid = InvalidId { prefix: $prefix };
                let rest = text.strip_prefix($prefix).ok_or(invalid.clone())?;
                Uuid::try_parse(rest).map(Self).map_err(|_| invalid)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

prefixed_ids! {
    /// A workspace: the tenant that every row belongs to.
    WorkspaceId = "ws_";
    /// A workflow, over all its versions.
    WorkflowId = "wf_";
    /// One run of one workflow version.
    ExecutionId = "exe_";
    /// A schedule: what starts executions by the time.
    ScheduleId = "sch_";
    /// A credential of a workspace.
    CredentialId = "crd_";
    /// A person.
    UserId = "usr_";
    /// What a request was let in by: the setup token, a session or a key; never the secret itself.
    TokenId = "tok_";
    /// A login: a browser's session, or a family of refresh tokens.
    SessionId = "ses_";
    /// An API key; never its secret.
    KeyId = "key_";
    /// An invitation to a workspace.
    InvitationId = "inv_";
    /// A row of an execution's inbox: a signal or a cancel request.
    InboxId = "inb_";
    /// One action on many executions.
    BatchId = "bat_";
    /// A row of the audit log.
    AuditId = "aud_";
    /// One incarnation of a server process.
    NodeInstanceId = "nod_";
}

impl WorkspaceId {
    /// The workspace that exists from the first migration on.
    pub const DEFAULT: Self = Self(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));
}

/// Shards that executions are spread over, for ever: ownership is taken per shard.
pub const SHARD_COUNT: u16 = 256;

impl ExecutionId {
    /// The shard that owns this execution: FNV-1a over the UUID's bytes, below [`SHARD_COUNT`].
    /// The function is part of the stored data's meaning and never changes.
    pub fn shard(self) -> u16 {
        let hash =
            self.0.as_bytes().iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
        u16::try_from((hash ^ (hash >> 16)) & 0xff).expect("masked to eight bits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_and_parses_its_prefix() {
        let id = ExecutionId::from_uuid(Uuid::from_u128(7));
        assert_eq!(id.to_string(), "exe_00000000000000000000000000000007");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn refuses_the_prefix_of_another_type() {
        let workflow = WorkflowId::from_uuid(Uuid::from_u128(7)).to_string();
        assert_eq!(workflow.parse::<ExecutionId>(), Err(InvalidId { prefix: "exe_" }));
    }

    #[test]
    fn spreads_executions_over_every_shard() {
        let seen: std::collections::BTreeSet<u16> =
            (0..20_000).map(|n| ExecutionId::from_uuid(Uuid::from_u128(n)).shard()).collect();
        assert_eq!(seen.len(), usize::from(SHARD_COUNT));
    }
}
