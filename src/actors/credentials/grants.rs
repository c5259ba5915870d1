//! Access tokens of OAuth credentials: kept sealed in the store, so that every node shares one, and renewed a little before they end.
//! One renews at a time: in this process by a lock, among processes by a lease in the store. A renewal that has begun comes to its
//! end, whatever becomes of the node run that asked for it: a refresh token that was used up must not be lost.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use zeroize::Zeroizing;

use super::{
    CredentialError, CredentialsHandle, Opened, Result,
    oauth::{self, Flow, Granted, Proof, TokenError},
    sealing::{self, Fields, Tokens},
};
use crate::{
    clock,
    model::ids::{CredentialId, WorkspaceId},
    store::{CredentialRow, Grant},
};

/// A token is renewed when it has this long to live, in milliseconds: longer than most requests take.
const RENEW_BEFORE_MS: u64 = 30_000;
/// How long a process has the right to renew a token: longer than the request may take.
const LEASE_MS: u64 = 40_000;
/// How long a caller waits for another process's renewal, and how often it looks.
const WAIT_MAX: Duration = Duration::from_secs(45);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// When a token is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Renew {
    WhenItEnds,
    /// Also one that is good: to try whether the service grants another.
    Now,
}

impl CredentialsHandle {
    /// What a node gets of an OAuth credential: `access_token`, and `scope` if the service told one.
    ///
    /// Errors: `Token`, `Unreadable`; those of the store.
    pub(super) async fn access_token(&self, opened: &Arc<Opened>, renew: Renew) -> Result<Fields> {
        if renew == Renew::WhenItEnds
            && let Some(tokens) = self.good_tokens(&opened.row)?
        {
            return Ok(shown(&tokens));
        }
        let (handle, opened) = (self.clone(), Arc::clone(opened));
        #[expect(
            clippy::disallowed_methods,
            reason = "it has to come to its end, also when its caller is aborted: it is bounded"
        )]
        let renewal = tokio::spawn(async move { handle.renew(&opened, renew).await });
        renewal.await.map_err(|_| CredentialError::Token(TokenError::Busy))?
    }

    /// Tries whether the service grants a token. One that it cannot renew is tried by nobody: it is good or it is over.
    ///
    /// Errors: `NotFound`, `Token`, `Unreadable`; those of the store.
    pub async fn try_token(&self, workspace: WorkspaceId, id: CredentialId) -> Result<()> {
        let row = self.find(workspace, id).await?;
        let is_lasting = Flow::of(&row.kind) == Some(Flow::AuthorizationCode)
            && self.good_tokens(&row)?.is_some_and(|tokens| tokens.refresh_token.is_none());
        if is_lasting {
            return Ok(());
        }
        let opened = Arc::new(self.open(row)?);
        self.access_token(&opened, Renew::Now).await.map(drop)
    }

    async fn renew(&self, opened: &Opened, renew: Renew) -> Result<Fields> {
        let (workspace, id) = (opened.row.workspace, opened.row.id);
        let lock = Arc::clone(&self.inner.renewals.entry(id).or_default());
        let renewed = match tokio::time::timeout(WAIT_MAX, lock.lock()).await {
            Ok(_turn) => self.renew_in_turn(opened, renew).await,
            Err(_) => Err(TokenError::Busy.into()),
        };
        drop(lock);
        // Whoever waits holds the lock, too.
        self.inner.renewals.remove_if(&id, |_, lock| Arc::strong_count(lock) == 1);
        self.written(workspace, &opened.row.name);
        renewed
    }

    async fn renew_in_turn(&self, opened: &Opened, renew: Renew) -> Result<Fields> {
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            let row = self.find(opened.row.workspace, opened.row.id).await?;
            let is_renewed = row.grant_rev != opened.row.grant_rev;
            if (is_renewed || renew == Renew::WhenItEnds)
                && let Some(tokens) = self.good_tokens(&row)?
            {
                return Ok(shown(&tokens));
            }
            if self.store().begin_grant(row.id, row.grant_rev, LEASE_MS).await? {
                return match self.ask(&row).await {
                    Ok(fields) => Ok(fields),
                    Err(error) => {
                        if let Err(cause) = self.store().end_grant(row.id, row.grant_rev).await {
                            tracing::warn!(credential = %row.id, %cause, "the right to renew a credential ends by its lease only");
                        }
                        Err(error)
                    }
                };
            }
            if Instant::now() > deadline {
                return Err(TokenError::Busy.into());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Asks the service and keeps what it grants.
    async fn ask(&self, row: &CredentialRow) -> Result<Fields> {
        let fields = sealing::open_fields(self.keys(), row)?;
        let earlier = sealing::open_tokens(self.keys(), row)?;
        let flow = Flow::of(&row.kind).ok_or_else(|| CredentialError::NoAuthorization { kind: row.kind.clone() })?;
        let proof = match (flow, earlier.as_ref().and_then(|tokens| tokens.refresh_token.as_deref())) {
            (Flow::ClientCredentials, _) => Proof::Client,
            (Flow::AuthorizationCode, Some(token)) => Proof::Refresh { token },
            (Flow::AuthorizationCode, None) => return Err(TokenError::NotAuthorized.into()),
        };
        let granted = oauth::request(&self.egress_of(row.workspace), &fields, proof).await?;
        let shown = shown(&granted.tokens);
        // A credential that was changed meanwhile has another number, and these tokens are no longer its own.
        if self.keep((row.workspace, row.id), row.grant_rev, &granted).await? { Ok(shown) } else { Err(CredentialError::Busy) }
    }

    /// Keeps a grant as the one after `rev`. `false` if there is another already.
    pub(super) async fn keep(&self, (workspace, id): (WorkspaceId, CredentialId), rev: u32, granted: &Granted) -> Result<bool> {
        let value = sealing::seal_tokens(self.keys(), (workspace, id, rev.saturating_add(1)), &granted.tokens);
        let life_ms = granted.life.map(|life| u64::try_from(life.as_millis()).unwrap_or(u64::MAX));
        let expires_at = life_ms.map(|life_ms| clock::now_ms().saturating_add(life_ms));
        Ok(self.store().put_grant(id, rev, &Grant { value, expires_at }).await?)
    }

    /// The tokens of a row, if they will be good for a while.
    fn good_tokens(&self, row: &CredentialRow) -> Result<Option<Tokens>> {
        let until = clock::now_ms().saturating_add(RENEW_BEFORE_MS);
        let is_good = row.grant.as_ref().is_some_and(|grant| grant.expires_at.is_none_or(|end| end > until));
        if is_good { sealing::open_tokens(self.keys(), row) } else { Ok(None) }
    }
}

/// What nodes see of tokens: never those that make new ones.
fn shown(tokens: &Tokens) -> Fields {
    let mut fields = Fields::from([("access_token".to_owned(), Zeroizing::new(tokens.access_token.clone()))]);
    if let Some(scope) = &tokens.scope {
        fields.insert("scope".to_owned(), Zeroizing::new(scope.clone()));
    }
    fields
}
