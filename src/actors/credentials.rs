//! Credentials: the service that HTTP writes through, and that nodes read from. A service over the store; it has no actor, since every
//! operation is one atomic step of the store. What it hands to HTTP has no values in it: those go to nodes only.
//!
//! Node runs come by the thousand, so what was read is kept for a moment. A write here is seen by every run after it; a write on
//! another node within [`FRESH`].

pub mod authorize;
mod error;
mod grants;
pub mod master_keys;
mod oauth;
mod operator;
mod sealing;

#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use dashmap::DashMap;
use serde_json::{Map, Value};
use tokio::sync::Mutex;

pub use self::{error::CredentialError, operator::OperatorCredentials, sealing::Fields};
use crate::{
    auth::{
        egress::EgressClient,
        keyring::Keyring,
        redaction::{KNOWN_SECRETS, Redactor},
    },
    clock,
    model::{
        audit::Origin,
        change::Change,
        error::{NodeError, codes},
        ids::{CredentialId, WorkflowId, WorkspaceId},
        limits::{NAME_CHARS_MAX, PROSE_CHARS_MAX},
        problem::Problem,
    },
    nodes::{
        credential_types::{self, CredentialType, FIELDS_BYTES_MAX},
        services::{Credential, Credentials},
    },
    store::{
        CredentialChange, CredentialRow, CredentialUser, DeleteCredential, InsertCredential, NewCredential, Store,
        UpdateCredential,
    },
};

/// How long a credential is taken from memory.
const FRESH: Duration = Duration::from_secs(1);
/// Credentials that are kept in memory.
const KEPT_MAX: usize = 10_000;
/// A use is written down at most this often, in milliseconds.
const USED_EVERY_MS: u64 = 60_000;
/// Attempts at a change whose caller does not care which version it changes.
const CHANGES_MAX: u32 = 10;

type Result<T> = std::result::Result<T, CredentialError>;

/// Credentials. Cheap to clone.
#[derive(Clone)]
pub struct CredentialsHandle {
    inner: Arc<Inner>,
}

/// What the service is made of.
pub struct CredentialsParts {
    pub store: Arc<dyn Store>,
    pub keys: Arc<Keyring>,
    pub operator: OperatorCredentials,
    /// The way to the services that grant tokens.
    pub egress: EgressClient,
}

struct Inner {
    parts: CredentialsParts,
    kept: DashMap<(WorkspaceId, String), Kept>,
    /// Counts the writes here: what was read before one is not kept after it.
    writes: AtomicU64,
    /// Held while a grant is renewed, so that one asks for all.
    renewals: DashMap<CredentialId, Arc<Mutex<()>>>,
}

#[derive(Clone)]
struct Kept {
    at: Instant,
    opened: Option<Arc<Opened>>,
}

/// A credential that has been read.
pub(super) struct Opened {
    pub(super) row: CredentialRow,
    pub(super) fields: Fields,
    /// Whether its use has been written down, as far as this reading knows.
    is_noted: AtomicBool,
}

/// A credential to create.
pub struct CredentialDraft {
    pub name: String,
    pub kind: String,
    pub description: Option<String>,
    pub fields: Map<String, Value>,
}

/// What became of a creation.
#[derive(Debug)]
pub enum Created {
    New(CredentialRow),
    /// It was there already, just as it was asked for now.
    Same(CredentialRow),
}

impl CredentialsHandle {
    pub fn new(parts: CredentialsParts) -> Self {
        for (name, credential) in parts.operator.all() {
            keep_out_of_the_log(&format!("credentials.{name}"), credential);
        }
        let inner = Inner { parts, kept: DashMap::new(), writes: AtomicU64::new(0), renewals: DashMap::new() };
        Self { inner: Arc::new(inner) }
    }

    /// Stores a new credential. With `is_repeatable`, one that is there already with the same content is an answer, too.
    ///
    /// Errors: `Invalid`, `TooLarge`, `Exists`, `Full`; those of the store.
    pub async fn create(&self, workspace: WorkspaceId, draft: CredentialDraft, is_repeatable: bool) -> Result<Created> {
        let kind = checked(&draft)?;
        let fields = self.check_fields(kind, &draft.fields)?;
        let id = CredentialId::from_uuid(clock::new_uuid());
        let new = NewCredential {
            id,
            workspace,
            name: draft.name,
            kind: draft.kind,
            description: draft.description,
            fields: sealing::seal_fields(self.keys(), (workspace, id, 1), &fields),
            at: clock::now_ms(),
        };
        let outcome = self.store().insert_credential(&new).await;
        self.written(workspace, &new.name);
        match outcome? {
            InsertCredential::Inserted(row) => Ok(Created::New(row)),
            InsertCredential::Full => Err(CredentialError::Full),
            InsertCredential::Exists if is_repeatable => {
                let stored = self.open_named(workspace, &new.name).await?;
                let is_same = |opened: &Arc<Opened>| {
                    let row = &opened.row;
                    row.version == 1 && row.kind == new.kind && row.description == new.description && opened.fields == fields
                };
                stored.filter(is_same).map(|opened| Created::Same(opened.row.clone())).ok_or(CredentialError::Exists)
            }
            InsertCredential::Exists => Err(CredentialError::Exists),
        }
    }

    /// Changes a credential, if it is at `expected_version`. Without `fields` those stay.
    ///
    /// Errors: `NotFound`, `Stale`, `Invalid`, `TooLarge`; those of the store.
    pub async fn update(
        &self,
        (workspace, id): (WorkspaceId, CredentialId),
        expected_version: Option<u32>,
        description: Change<Option<String>>,
        fields: Option<&Map<String, Value>>,
    ) -> Result<CredentialRow> {
        if let Change::To(text) = &description {
            check_description(text.as_deref())?;
        }
        for _ in 0..CHANGES_MAX {
            let row = self.find(workspace, id).await?;
            if let Some(expected) = expected_version.filter(|expected| *expected != row.version) {
                tracing::debug!(credential = %id, expected, "a change of another version");
                return Err(CredentialError::Stale { version: row.version });
            }
            let kind = credential_types::find(&row.kind);
            let kind = kind.ok_or_else(|| invalid("/type", "unknown_type", credential_types::suggest(&row.kind)))?;
            let fields = fields.map(|fields| self.check_fields(kind, fields)).transpose()?;
            let place = (workspace, id, row.version.saturating_add(1));
            let change = CredentialChange {
                description: description.clone().over(row.description.clone()),
                fields: fields.map(|fields| sealing::seal_fields(self.keys(), place, &fields)),
                at: clock::now_ms(),
            };
            let outcome = self.store().update_credential(workspace, id, row.version, &change).await;
            self.written(workspace, &row.name);
            match outcome? {
                UpdateCredential::Updated(row) => return Ok(row),
                UpdateCredential::NotFound => return Err(CredentialError::NotFound),
                UpdateCredential::Stale { version } if expected_version.is_some() => {
                    return Err(CredentialError::Stale { version });
                }
                // Somebody was faster: once more.
                UpdateCredential::Stale { .. } => {}
            }
        }
        Err(CredentialError::Busy)
    }

    /// Deletes a credential, if it is at `expected_version`, and unless an active workflow names it; `force` deletes it even so.
    ///
    /// Errors: `NotFound`, `Stale`, `InUse`; those of the store.
    pub async fn delete(
        &self,
        (workspace, id): (WorkspaceId, CredentialId),
        expected_version: Option<u32>,
        force: bool,
    ) -> Result<CredentialRow> {
        let row = self.find(workspace, id).await?;
        if !force && let Some(user) = self.first_active_user(workspace, &row.name).await? {
            return Err(CredentialError::InUse { workflow: user.workflow, name: user.name });
        }
        let outcome = self.store().delete_credential(workspace, id, expected_version).await;
        self.written(workspace, &row.name);
        match outcome? {
            DeleteCredential::Deleted => Ok(row),
            DeleteCredential::Stale { version } => Err(CredentialError::Stale { version }),
            DeleteCredential::NotFound => Err(CredentialError::NotFound),
        }
    }

    /// Errors: `NotFound`; those of the store.
    pub async fn find(&self, workspace: WorkspaceId, id: CredentialId) -> Result<CredentialRow> {
        self.store().find_credential(workspace, id).await?.ok_or(CredentialError::NotFound)
    }

    /// Credentials above `after`, by name; of one type, if that is wanted.
    ///
    /// Errors: those of the store.
    pub async fn list(
        &self,
        workspace: WorkspaceId,
        kind: Option<&str>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<CredentialRow>> {
        Ok(self.store().list_credentials(workspace, kind, after, limit).await?)
    }

    /// Workflows above `after` that name a credential in their latest or active version, by id.
    ///
    /// Errors: `NotFound`; those of the store.
    pub async fn users(
        &self,
        (workspace, id): (WorkspaceId, CredentialId),
        after: Option<WorkflowId>,
        limit: u32,
    ) -> Result<Vec<CredentialUser>> {
        let row = self.find(workspace, id).await?;
        Ok(self.store().list_credential_users(workspace, &row.name, after, limit).await?)
    }

    async fn first_active_user(&self, workspace: WorkspaceId, name: &str) -> Result<Option<CredentialUser>> {
        const PAGE: u32 = 200;
        let mut after = None;
        loop {
            let users = self.store().list_credential_users(workspace, name, after, PAGE).await?;
            let Some(last) = users.last() else { return Ok(None) };
            after = Some(last.workflow);
            if let Some(found) = users.into_iter().find(|user| user.in_active) {
                return Ok(Some(found));
            }
        }
    }

    /// The stored credential of this name with its fields, not older than [`FRESH`].
    async fn open_named(&self, workspace: WorkspaceId, name: &str) -> Result<Option<Arc<Opened>>> {
        let key = (workspace, name.to_owned());
        if let Some(kept) = self.inner.kept.get(&key).filter(|kept| kept.at.elapsed() < FRESH) {
            return Ok(kept.opened.clone());
        }
        let (writes, at) = (self.inner.writes.load(Ordering::Acquire), Instant::now());
        let row = self.store().find_credential_by_name(workspace, name).await?;
        let opened = row.map(|row| self.open(row)).transpose()?.map(Arc::new);
        if self.inner.writes.load(Ordering::Acquire) == writes {
            if self.inner.kept.len() >= KEPT_MAX {
                self.inner.kept.retain(|_, kept| kept.at.elapsed() < FRESH);
            }
            self.inner.kept.insert(key, Kept { at, opened: opened.clone() });
        }
        Ok(opened)
    }

    /// Reads the fields of a row. From now on the log does not show them.
    fn open(&self, row: CredentialRow) -> Result<Opened> {
        let fields = sealing::open_fields(self.keys(), &row)?;
        keep_out_of_the_log(&row.id.to_string(), &Credential { kind: row.kind.clone(), fields: fields.clone() });
        Ok(Opened { row, fields, is_noted: AtomicBool::new(false) })
    }

    /// Forgets what was read before a write, whatever became of it: also one that failed may have happened.
    fn written(&self, workspace: WorkspaceId, name: &str) {
        self.inner.writes.fetch_add(1, Ordering::AcqRel);
        self.inner.kept.remove(&(workspace, name.to_owned()));
    }

    /// Writes down that a credential is used, now and then. Nothing depends on it, so a failure is no matter.
    async fn note_use(&self, opened: &Opened) {
        let (row, now_ms) = (&opened.row, clock::now_ms());
        // One of the many that share this reading does it.
        if opened.is_noted.swap(true, Ordering::Relaxed)
            || row.used_at.is_some_and(|used_at| used_at.saturating_add(USED_EVERY_MS) > now_ms)
        {
            return;
        }
        if let Err(error) = self.store().use_credential(row.id, now_ms).await {
            tracing::debug!(credential = %row.id, cause = %error, "the use of a credential is not written down");
        }
    }

    fn check_fields(&self, kind: &CredentialType, given: &Map<String, Value>) -> Result<Fields> {
        let fields = kind.check(given).map_err(CredentialError::Invalid)?;
        let bytes: usize = fields.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > FIELDS_BYTES_MAX { Err(CredentialError::TooLarge { bytes }) } else { Ok(fields) }
    }

    fn store(&self) -> &Arc<dyn Store> {
        &self.inner.parts.store
    }

    /// What sends in the name of a workspace: a refusal is in the log of that one.
    fn egress_of(&self, workspace: WorkspaceId) -> EgressClient {
        self.inner.parts.egress.on_behalf(Origin::system(workspace).into())
    }

    fn keys(&self) -> &Keyring {
        &self.inner.parts.keys
    }
}

#[async_trait]
impl Credentials for CredentialsHandle {
    async fn get(&self, workspace: WorkspaceId, name: &str) -> std::result::Result<Credential, NodeError> {
        let opened = match self.open_named(workspace, name).await {
            Ok(Some(opened)) => opened,
            Ok(None) => {
                let operator = &self.inner.parts.operator;
                return operator.find(name).ok_or_else(|| {
                    let message = format!("there is no credential `{name}`: {}", operator.hint(name));
                    NodeError::permanent(codes::INVALID_PARAMETER, message)
                });
            }
            Err(error) => return Err(error.into_node_error(name)),
        };
        self.note_use(&opened).await;
        let kind = opened.row.kind.clone();
        if oauth::Flow::of(&kind).is_none() {
            return Ok(Credential { kind, fields: opened.fields.clone() });
        }
        let token = self.access_token(&opened, grants::Renew::WhenItEnds).await;
        let credential = Credential { kind, fields: token.map_err(|error| error.into_node_error(name))? };
        keep_out_of_the_log(&format!("{}.token", opened.row.id), &credential);
        Ok(credential)
    }
}

/// From now on the log does not show the secrets of a credential.
fn keep_out_of_the_log(owner: &str, credential: &Credential) {
    let secrets = credential_types::secret_values(credential);
    let secrets: Vec<&str> = secrets.iter().map(|value| value.as_str()).collect();
    KNOWN_SECRETS.learn(owner, &Redactor::shared(&secrets));
}

/// Checks everything of a new credential but its fields.
///
/// Errors: `Invalid`.
fn checked(draft: &CredentialDraft) -> Result<&'static CredentialType> {
    let is_fit = |c: char| !c.is_control();
    let count = draft.name.chars().count();
    if count == 0 || count > NAME_CHARS_MAX || draft.name.trim() != draft.name || !draft.name.chars().all(is_fit) {
        let detail =
            format!("a name has up to {NAME_CHARS_MAX} characters, none of them a control character, no blank at its ends");
        return Err(invalid("/name", "invalid_name", detail));
    }
    check_description(draft.description.as_deref())?;
    credential_types::find(&draft.kind).ok_or_else(|| {
        let detail = format!(
            "there is no type `{}`: {}",
            crate::model::problem::excerpt(&draft.kind),
            credential_types::suggest(&draft.kind)
        );
        invalid("/type", "unknown_type", detail)
    })
}

fn check_description(description: Option<&str>) -> Result<()> {
    if description.is_none_or(|text| text.chars().count() <= PROSE_CHARS_MAX && !text.contains('\0')) {
        return Ok(());
    }
    Err(invalid("/description", "too_long", format!("a description has {PROSE_CHARS_MAX} characters at most")))
}

fn invalid(pointer: &str, code: &str, detail: impl Into<String>) -> CredentialError {
    CredentialError::Invalid(vec![Problem::new(pointer, code, detail)])
}
