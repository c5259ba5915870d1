//! Whose a request is: a session by its access token or its cookie, an API key, or the setup token. Each is looked up in the store
//! every few seconds at least, so that what is taken back opens nothing a moment later.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{AccountsService, Caller, TokenError, Whose, login::CONSOLE_IDLE_MS};
use crate::{
    auth::{
        permissions::PermissionSet,
        token::{Label, Token},
    },
    clock,
    model::ids::{SessionId, TokenId, WorkspaceId},
    store::{SessionKind, SessionRow, StoreError},
};

/// How much of its idle time a console session may have used up before that is written down, in milliseconds.
const TOUCH_AFTER_MS: u64 = 5 * 60_000;

/// What a request carries to say whose it is.
#[derive(Clone, Copy)]
pub enum Presented<'a> {
    /// A key, an access token or the setup token.
    Bearer(&'a str),
    /// The secret of a console session.
    Cookie(&'a str),
}

/// A caller and until when that is true.
struct Found {
    caller: Caller,
    ends_at: Option<u64>,
}

impl AccountsService {
    /// Whose request it is, in the wanted workspace.
    ///
    /// Errors: every variant.
    pub async fn authenticate(&self, presented: Presented<'_>, wanted: Option<WorkspaceId>) -> Result<Caller, TokenError> {
        let (key, now_ms) = (cache_key(presented, wanted), clock::now_ms());
        if let Some(caller) = self.inner.cache.get(&key, now_ms) {
            return Ok(caller);
        }
        let found = match presented {
            Presented::Cookie(text) => self.find_console(text, wanted, now_ms).await?,
            Presented::Bearer(text) => match Token::parse(text) {
                Ok(token) if token.label() == Label::Live => self.find_by_token(&token, wanted).await?,
                // A session and a refresh token are no bearer tokens.
                Ok(_) => return Err(TokenError::Invalid),
                Err(_) => self.find_access_token(text, wanted, now_ms).await?,
            },
        };
        self.inner.cache.put(key, found.caller, found.ends_at, now_ms);
        Ok(found.caller)
    }

    /// Whose request it is, if that was looked up a moment ago: never waits for the store.
    pub fn recall(&self, presented: Presented<'_>, wanted: Option<WorkspaceId>) -> Option<Caller> {
        self.inner.cache.get(&cache_key(presented, wanted), clock::now_ms())
    }

    /// Ends the console session of a secret. Answers whose it was. One that opens nothing belongs to no session.
    ///
    /// Errors: those of the store.
    pub async fn close_console(&self, text: &str) -> Result<Option<Whose>, StoreError> {
        let Ok(token) = Token::parse(text) else { return Ok(None) };
        let id = SessionId::from_uuid(token.id());
        match self.inner.store.find_session(id).await? {
            Some(session) if bool::from(session.hash.ct_eq(&token.hash())) => self.end_session(id).await,
            Some(_) | None => Ok(None),
        }
    }

    /// By the secret in a cookie. Its use keeps the session alive.
    async fn find_console(&self, text: &str, wanted: Option<WorkspaceId>, now_ms: u64) -> Result<Found, TokenError> {
        let token = Token::parse(text).map_err(|_| TokenError::Invalid)?;
        let id = SessionId::from_uuid(token.id());
        let session = self.find_live(id, SessionKind::Console, now_ms).await?;
        if !bool::from(session.hash.ct_eq(&token.hash())) {
            return Err(TokenError::Invalid);
        }
        if session.expires_at.saturating_add(TOUCH_AFTER_MS) < now_ms.saturating_add(CONSOLE_IDLE_MS) {
            self.inner.store.touch_session(id, now_ms.saturating_add(CONSOLE_IDLE_MS)).await?;
        }
        self.find_caller(&session, wanted, session.expires_at).await
    }

    async fn find_access_token(&self, text: &str, wanted: Option<WorkspaceId>, now_ms: u64) -> Result<Found, TokenError> {
        let access = self.inner.access_tokens.read(text, now_ms).map_err(|_| TokenError::Invalid)?;
        let session = self.find_live(access.session, SessionKind::Refresh, now_ms).await?;
        self.find_caller(&session, wanted, access.expires_at).await
    }

    async fn find_by_token(&self, token: &Token, wanted: Option<WorkspaceId>) -> Result<Found, TokenError> {
        let found = match self.inner.store.find_setup_token(&token.hash()).await? {
            Some(row) => {
                let (workspace, permissions) = (WorkspaceId::DEFAULT, PermissionSet::ALL);
                Found { caller: Caller { workspace, user: None, token: row.id, session: None, permissions }, ends_at: None }
            }
            None => {
                let (caller, ends_at) = self.authenticate_key(token).await?;
                Found { caller, ends_at }
            }
        };
        let Some(wanted) = wanted.filter(|wanted| *wanted != found.caller.workspace) else { return Ok(found) };
        // Somebody who is in that workspace is told what is wrong; for others it is not there.
        match found.caller.user {
            Some(user) if self.find_access(user, Some(wanted)).await?.is_some() => Err(TokenError::KeyElsewhere),
            Some(_) | None => Err(TokenError::Workspace),
        }
    }

    /// The session, if it has not ended.
    async fn find_live(&self, id: SessionId, kind: SessionKind, now_ms: u64) -> Result<SessionRow, TokenError> {
        let session = self.inner.store.find_session(id).await?;
        let live = session.filter(|found| found.kind == kind && now_ms < found.expires_at.min(found.ends_at));
        live.ok_or(TokenError::Invalid)
    }

    /// What the user of a session may do in the wanted workspace.
    async fn find_caller(&self, session: &SessionRow, wanted: Option<WorkspaceId>, ends_at: u64) -> Result<Found, TokenError> {
        let access = self.find_access(session.user, wanted).await?.ok_or(TokenError::Workspace)?;
        let caller = Caller {
            workspace: access.workspace,
            user: Some(session.user),
            token: TokenId::from_uuid(session.id.uuid()),
            session: Some(session.id),
            permissions: access.permissions,
        };
        Ok(Found { caller, ends_at: Some(ends_at.min(session.ends_at)) })
    }
}

/// One caller may be another one in another workspace, and a cookie is no bearer token.
fn cache_key(presented: Presented<'_>, wanted: Option<WorkspaceId>) -> [u8; 32] {
    let (kind, text) = match presented {
        Presented::Bearer(text) => (0_u8, text),
        Presented::Cookie(text) => (1, text),
    };
    let mut digest = Sha256::new();
    digest.update([kind, u8::from(wanted.is_some())]);
    digest.update(wanted.map(WorkspaceId::uuid).unwrap_or_default().as_bytes());
    digest.update(text);
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_a_token_apart_from_a_cookie_and_from_another_workspace() {
        let other = WorkspaceId::from_uuid(uuid::Uuid::nil());
        let keys = [
            cache_key(Presented::Bearer("a"), None),
            cache_key(Presented::Cookie("a"), None),
            cache_key(Presented::Bearer("b"), None),
            cache_key(Presented::Bearer("a"), Some(WorkspaceId::DEFAULT)),
            cache_key(Presented::Bearer("a"), Some(other)),
        ];
        for (at, key) in keys.iter().enumerate() {
            assert!(!keys[..at].contains(key), "key {at}");
        }
        assert_eq!(keys[0], cache_key(Presented::Bearer("a"), None));
    }
}
