//! API keys: whose a presented one is, and the making, rotating and deleting of them. A key acts for a person, with what both may do.

use subtle::ConstantTimeEq as _;

use super::{
    AccountsService, Caller, TokenError,
    access::{names_of, permissions_of},
    people_error::{Made, PeopleError, Thing, check_name, id_under, invalid, person, within},
    roles::read_permissions,
};
use crate::{
    auth::{
        permissions::{Permission, PermissionSet},
        token::{Label, Token},
    },
    clock,
    model::{
        change::Change,
        ids::{KeyId, TokenId, UserId, WorkspaceId},
    },
    store::{ApiKeyChange, ApiKeyCursor, ApiKeyRow, KeySecret, PageRequest, RotateApiKey, StoreError},
};

/// How long the use of a key goes unrecorded after a recorded one, in milliseconds.
const USE_RECORDED_MS: u64 = 60_000;
/// How long a replaced secret works where the rotation does not say, in milliseconds.
const GRACE_MS: u64 = 3_600_000;
/// How long a replaced secret works at most, in milliseconds.
pub const GRACE_MS_MAX: u64 = 7 * 86_400_000;

/// What a key is to be.
#[derive(Debug, Clone)]
pub struct KeyDraft<'a> {
    pub name: &'a str,
    /// Everything that the caller may do, where it does not say.
    pub permissions: Option<&'a [String]>,
    pub expires_at: Option<u64>,
}

/// What is to change about a key.
#[derive(Debug, Clone)]
pub struct KeyChange {
    pub name: String,
    /// `None` is everything that the caller may do.
    pub permissions: Change<Option<Vec<String>>>,
    /// `None` is never.
    pub expires_at: Change<Option<u64>>,
}

impl AccountsService {
    /// Whose key it is, and what it may do. A key of somebody who is disabled, or no member any more, opens nothing.
    ///
    /// Errors: every variant.
    pub async fn authenticate_key(&self, token: &Token) -> Result<(Caller, Option<u64>), TokenError> {
        let (id, now_ms) = (KeyId::from_uuid(token.id()), clock::now_ms());
        let row = self.inner.store.get_api_key(id).await?.ok_or(TokenError::Invalid)?;
        let ends_at = good_until(&row, &token.hash(), now_ms).ok_or(TokenError::Invalid)?;
        let access = self.find_access(row.user, Some(row.workspace)).await?.ok_or(TokenError::Invalid)?;
        let unless_after = now_ms.saturating_sub(USE_RECORDED_MS);
        if row.used_at.is_none_or(|used_at| used_at < unless_after) {
            self.inner.store.touch_api_key(id, now_ms, unless_after).await?;
        }
        let caller = Caller {
            workspace: row.workspace,
            user: Some(row.user),
            token: TokenId::from_uuid(id.uuid()),
            session: None,
            permissions: access.permissions.intersect(permissions_of(&row.permissions)),
        };
        Ok((caller, ends_at))
    }

    /// Makes a key that acts for the caller. Its text is known now and never again: a repeated request gets none.
    ///
    /// Errors: `Invalid`, `Above`, `Refused`, `Full`, `KeyMismatch`, `Store`.
    pub async fn create_key(
        &self,
        caller: &Caller,
        draft: &KeyDraft<'_>,
        idempotency_key: Option<&str>,
    ) -> Result<(Made<ApiKeyRow>, Option<Token>), PeopleError> {
        let user = person(caller)?;
        let name = check_name(draft.name)?;
        let (permissions, expires_at) = (granted(caller, draft.permissions)?, check_end(draft.expires_at)?);
        self.within_life(caller, expires_at).await?;
        let id = KeyId::from_uuid(id_under(caller.workspace, "api-key", idempotency_key));
        let token = draw(id);
        let row = ApiKeyRow {
            id,
            workspace: caller.workspace,
            user,
            name,
            permissions,
            secret: secret_of(&token),
            previous: None,
            created_at: clock::now_ms(),
            expires_at,
            used_at: None,
        };
        match self.inner.store.insert_api_key(&row).await {
            Ok(true) => Ok((Made { made: row, replayed: false }, Some(token))),
            Ok(false) => Err(PeopleError::Full(Thing::ApiKey)),
            Err(StoreError::Conflict { .. }) if idempotency_key.is_some() => {
                let is_same = |stored: &ApiKeyRow| {
                    (stored.user, &stored.name, &stored.permissions, stored.expires_at)
                        == (row.user, &row.name, &row.permissions, row.expires_at)
                };
                let stored = self.inner.store.find_api_key(caller.workspace, id).await?.filter(is_same);
                let made = stored.ok_or(PeopleError::KeyMismatch)?;
                Ok((Made { made, replayed: true }, None))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a key for the operator of the server: it does everything that its owner may.
    ///
    /// Errors: `Full`, `Store`.
    pub async fn issue_key(&self, workspace: WorkspaceId, user: UserId, name: &str) -> Result<Token, PeopleError> {
        let id = KeyId::from_uuid(clock::new_uuid());
        let token = draw(id);
        let row = ApiKeyRow {
            id,
            workspace,
            user,
            name: name.to_owned(),
            permissions: names_of(PermissionSet::ALL),
            secret: secret_of(&token),
            previous: None,
            created_at: clock::now_ms(),
            expires_at: None,
            used_at: None,
        };
        if self.inner.store.insert_api_key(&row).await? { Ok(token) } else { Err(PeopleError::Full(Thing::ApiKey)) }
    }

    /// Keys of the workspace, newest first: all of them, or the caller's own for somebody who may not see the others.
    ///
    /// Errors: those of the store.
    pub async fn list_keys(&self, caller: &Caller, page: &PageRequest<ApiKeyCursor>) -> Result<Vec<ApiKeyRow>, PeopleError> {
        let sees_all = caller.permissions.contains(Permission::KeyRead);
        match (sees_all, caller.user) {
            (true, _) => Ok(self.inner.store.list_api_keys(caller.workspace, None, page).await?),
            (false, Some(user)) => Ok(self.inner.store.list_api_keys(caller.workspace, Some(user), page).await?),
            (false, None) => Ok(Vec::new()),
        }
    }

    /// A key that the caller may see.
    ///
    /// Errors: `NotFound`, `Store`.
    pub async fn find_key(&self, caller: &Caller, id: KeyId) -> Result<ApiKeyRow, PeopleError> {
        let row = self.inner.store.find_api_key(caller.workspace, id).await?;
        let is_seen = |row: &ApiKeyRow| caller.permissions.contains(Permission::KeyRead) || Some(row.user) == caller.user;
        row.filter(is_seen).ok_or(PeopleError::NotFound(Thing::ApiKey))
    }

    /// Changes one of the caller's own keys. What it may do and when it ends stay as they are, unless the change says.
    ///
    /// Errors: `NotFound`, `Invalid`, `Above`, `Refused`, `Store`.
    pub async fn update_key(&self, caller: &Caller, id: KeyId, change: &KeyChange) -> Result<ApiKeyRow, PeopleError> {
        let present = self.find_own_key(caller, id).await?;
        let name = check_name(&change.name)?;
        let permissions = match &change.permissions {
            Change::Keep => Change::Keep,
            Change::To(names) => Change::To(granted(caller, names.as_deref())?),
        };
        let expires_at = match change.expires_at {
            Change::Keep => Change::Keep,
            Change::To(end) => Change::To(check_end(end)?),
        };
        self.within_life(caller, expires_at.over(present.expires_at)).await?;
        let change = ApiKeyChange { name, permissions, expires_at };
        let row = self.inner.store.update_api_key(caller.workspace, id, &change).await?;
        self.inner.cache.clear();
        row.ok_or(PeopleError::NotFound(Thing::ApiKey))
    }

    /// Gives one of the caller's own keys another secret; the earlier one works for a while.
    ///
    /// Errors: `NotFound`, `Invalid`, `Above`, `Refused`, `Store`.
    pub async fn rotate_key(&self, caller: &Caller, id: KeyId, grace_ms: Option<u64>) -> Result<(ApiKeyRow, Token), PeopleError> {
        let grace_ms = grace_ms.unwrap_or(GRACE_MS);
        if grace_ms > GRACE_MS_MAX {
            return Err(invalid("/grace", "invalid_duration", "an earlier secret works for up to 7 days"));
        }
        let row = self.find_own_key(caller, id).await?;
        let token = draw(id);
        let previous_until = clock::now_ms().saturating_add(grace_ms);
        let rotation = RotateApiKey { from: row.secret.hash, to: secret_of(&token), previous_until };
        let rotated = self.inner.store.rotate_api_key(caller.workspace, id, &rotation).await?;
        self.inner.cache.clear();
        let rotated = rotated.ok_or(PeopleError::Refused("somebody else has rotated the key at the same time: look at it"))?;
        Ok((rotated, token))
    }

    /// Deletes a key that the caller sees. Whoever looks after keys stops a leaked one, whosever it is.
    ///
    /// Errors: `NotFound`, `Store`.
    pub async fn delete_key(&self, caller: &Caller, id: KeyId) -> Result<(), PeopleError> {
        self.find_key(caller, id).await?;
        let is_deleted = self.inner.store.delete_api_key(caller.workspace, id).await?;
        self.inner.cache.clear();
        if is_deleted { Ok(()) } else { Err(PeopleError::NotFound(Thing::ApiKey)) }
    }

    /// A key of the caller's own that may not do more than the caller: its new secret, or new permissions, would be worth more than
    /// what the caller came with.
    async fn find_own_key(&self, caller: &Caller, id: KeyId) -> Result<ApiKeyRow, PeopleError> {
        let row = self.find_key(caller, id).await?;
        if Some(row.user) != caller.user {
            return Err(PeopleError::Refused("the key belongs to somebody else: only they change it, you may delete it"));
        }
        let access = self.find_access(row.user, Some(row.workspace)).await?.map(|access| access.permissions);
        within(caller, permissions_of(&row.permissions).intersect(access.unwrap_or_default()))?;
        self.within_life(caller, row.expires_at).await?;
        Ok(row)
    }

    /// Refuses an end that is later than that of the key which the caller came with: it would outlive itself.
    async fn within_life(&self, caller: &Caller, expires_at: Option<u64>) -> Result<(), PeopleError> {
        let own = self.inner.store.find_api_key(caller.workspace, KeyId::from_uuid(caller.token.uuid())).await?;
        match own.and_then(|key| key.expires_at) {
            Some(end) if expires_at.is_none_or(|at| at > end) => {
                Err(invalid("/expires_at", "above", "a key gives nothing that lasts longer than itself"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// What a key is given: permissions by their names, of which the caller has all, or everything that the caller may do.
fn granted(caller: &Caller, names: Option<&[String]>) -> Result<Vec<String>, PeopleError> {
    let permissions = match names {
        Some(names) => read_permissions(caller, names)?,
        None => caller.permissions,
    };
    Ok(names_of(permissions))
}

fn check_end(expires_at: Option<u64>) -> Result<Option<u64>, PeopleError> {
    if expires_at.is_some_and(|at| at <= clock::now_ms()) {
        return Err(invalid("/expires_at", "past", "a key ends in the future"));
    }
    Ok(expires_at)
}

/// Draws the text of a key.
fn draw(id: KeyId) -> Token {
    let mut secret = [0; 32];
    clock::fill_random(&mut secret);
    Token::new(Label::Live, TokenId::from_uuid(id.uuid()), &secret)
}

fn secret_of(token: &Token) -> KeySecret {
    KeySecret { hash: token.hash(), last_characters: token.last_characters().to_owned() }
}

/// Until when a secret opens something: `None` if it is not good now, `Some(None)` if there is no end.
fn good_until(row: &ApiKeyRow, hash: &[u8; 32], now_ms: u64) -> Option<Option<u64>> {
    let is_current: bool = row.secret.hash.ct_eq(hash).into();
    let previous = row.previous.filter(|previous| previous.hash.ct_eq(hash).into());
    let ends_at = match (is_current, previous) {
        (true, _) => row.expires_at,
        (false, Some(previous)) => Some(row.expires_at.map_or(previous.until, |at| at.min(previous.until))),
        (false, None) => return None,
    };
    ends_at.is_none_or(|at| now_ms < at).then_some(ends_at)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::store::PreviousSecret;

    fn row(expires_at: Option<u64>, previous: Option<PreviousSecret>) -> ApiKeyRow {
        ApiKeyRow {
            id: KeyId::from_uuid(Uuid::from_u128(1)),
            workspace: WorkspaceId::DEFAULT,
            user: UserId::from_uuid(Uuid::from_u128(2)),
            name: "deploy".to_owned(),
            permissions: vec![],
            secret: KeySecret { hash: [1; 32], last_characters: "abcd".to_owned() },
            previous,
            created_at: 0,
            expires_at,
            used_at: None,
        }
    }

    #[test]
    fn a_key_is_good_until_it_expires() {
        assert_eq!(good_until(&row(None, None), &[1; 32], u64::MAX), Some(None));
        assert_eq!(good_until(&row(None, None), &[2; 32], 0), None);
        assert_eq!(good_until(&row(Some(10), None), &[1; 32], 9), Some(Some(10)));
        assert_eq!(good_until(&row(Some(10), None), &[1; 32], 10), None);
    }

    #[test]
    fn an_earlier_secret_is_good_for_a_while_and_never_longer_than_the_key() {
        let previous = Some(PreviousSecret { hash: [2; 32], until: 5 });
        assert_eq!(good_until(&row(None, previous), &[2; 32], 4), Some(Some(5)));
        assert_eq!(good_until(&row(None, previous), &[2; 32], 5), None);
        assert_eq!(good_until(&row(Some(3), previous), &[2; 32], 2), Some(Some(3)));
        assert_eq!(good_until(&row(Some(3), previous), &[2; 32], 3), None);
        assert_eq!(good_until(&row(None, previous), &[1; 32], 9), Some(None));
    }
}
