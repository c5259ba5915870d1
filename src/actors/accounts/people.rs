//! Members of a workspace and their accounts. An account is looked after in its home workspace; elsewhere it is a member only.

use super::{
    AccountsService, Caller,
    access::grant,
    normalize_email,
    people_error::{Made, PeopleError, Thing, changed, check_name, id_under, invalid, person, unknown_role},
};
use crate::{
    clock,
    model::{
        change::Change,
        ids::{UserId, WorkspaceId},
    },
    store::{InsertMember, MemberRow, UserChange, UserRow},
};

/// Somebody to make an account for. Has no `Debug`: it holds a password.
pub struct NewUser<'a> {
    pub email: &'a str,
    pub name: &'a str,
    pub password: &'a str,
    pub role: &'a str,
    pub idempotency_key: Option<&'a str>,
}

/// Somebody whom the operator of the server makes an account for. Has no `Debug`: it holds a password.
pub struct Enrolment<'a> {
    pub workspace: WorkspaceId,
    pub email: &'a str,
    pub name: &'a str,
    pub password: &'a str,
    pub role: &'a str,
}

/// An account before and after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedUser {
    pub before: MemberRow,
    pub after: MemberRow,
}

/// What an account is made of, besides its password.
pub(super) struct NewAccount {
    pub(super) id: UserId,
    pub(super) home: WorkspaceId,
    pub(super) email: String,
    pub(super) name: String,
}

impl AccountsService {
    /// Makes an account for the operator of the server, whom no role binds.
    ///
    /// Errors: `Invalid`, `Exists`, `Full`, `Password`, `Store`.
    pub async fn enrol(&self, new: &Enrolment<'_>) -> Result<UserId, PeopleError> {
        let id = UserId::from_uuid(clock::new_uuid());
        let account = NewAccount { id, home: new.workspace, email: check_email(new.email)?, name: check_name(new.name)? };
        let user = self.hash_for(account, new.password).await?;
        self.insert_user(&user, new.role).await?;
        Ok(id)
    }

    /// Makes an account that is at home in the caller's workspace.
    ///
    /// Errors: every variant but `NotFound`, `LastOwner`, `InUse`, `Stale`.
    pub async fn create_user(&self, caller: &Caller, new: &NewUser<'_>) -> Result<Made<MemberRow>, PeopleError> {
        person(caller)?;
        let email = check_email(new.email)?;
        let name = check_name(new.name)?;
        self.check_grant(caller, new.role).await?;
        let id = UserId::from_uuid(id_under(caller.workspace, "user", new.idempotency_key));
        if new.idempotency_key.is_some()
            && let Some(stored) = self.inner.store.find_member(caller.workspace, id).await?
        {
            let is_same = (&stored.email, &stored.name, stored.role.as_str()) == (&email, &name, new.role);
            return if is_same { Ok(Made { made: stored, replayed: true }) } else { Err(PeopleError::KeyMismatch) };
        }
        let user = self.hash_for(NewAccount { id, home: caller.workspace, email, name }, new.password).await?;
        self.insert_user(&user, new.role).await?;
        Ok(Made { made: self.find_member(caller, id).await?, replayed: false })
    }

    /// A member of the caller's workspace.
    ///
    /// Errors: `NotFound`, `Store`.
    pub async fn find_member(&self, caller: &Caller, id: UserId) -> Result<MemberRow, PeopleError> {
        self.inner.store.find_member(caller.workspace, id).await?.ok_or(PeopleError::NotFound(Thing::User))
    }

    /// Members of the caller's workspace above `after`, the oldest account first.
    ///
    /// Errors: those of the store.
    pub async fn list_members(&self, caller: &Caller, after: Option<UserId>, limit: u32) -> Result<Vec<MemberRow>, PeopleError> {
        Ok(self.inner.store.list_members(caller.workspace, after, limit).await?)
    }

    /// Renames, disables or enables an account. Nothing opens for somebody who is disabled; whether they are stays as it is where
    /// `is_disabled` does not say.
    ///
    /// Errors: `NotFound`, `Invalid`, `Above`, `Refused`, `LastOwner`, `Store`.
    pub async fn update_user(
        &self,
        caller: &Caller,
        id: UserId,
        name: &str,
        is_disabled: Option<bool>,
    ) -> Result<ChangedUser, PeopleError> {
        let name = check_name(name)?;
        let before = self.find_looked_after(caller, id).await?;
        let disabled_at = match is_disabled {
            Some(true) if before.disabled_at.is_none() => Change::To(Some(clock::now_ms())),
            Some(false) => Change::To(None),
            Some(true) | None => Change::Keep,
        };
        let outcome = self.inner.store.update_user(id, &UserChange { name, disabled_at }).await?;
        self.inner.cache.clear();
        changed(outcome, Thing::User)?;
        Ok(ChangedUser { before, after: self.find_member(caller, id).await? })
    }

    /// Deletes an account with its memberships, sessions and keys.
    ///
    /// Errors: `NotFound`, `Above`, `Refused`, `LastOwner`, `Store`.
    pub async fn delete_user(&self, caller: &Caller, id: UserId) -> Result<(), PeopleError> {
        self.find_looked_after(caller, id).await?;
        let outcome = self.inner.store.delete_user(id).await?;
        self.inner.cache.clear();
        changed(outcome, Thing::User)
    }

    /// Gives a member another role.
    ///
    /// Errors: `NotFound`, `Invalid`, `Above`, `LastOwner`, `Store`.
    pub async fn set_role(&self, caller: &Caller, id: UserId, role: &str) -> Result<MemberRow, PeopleError> {
        let member = self.find_member(caller, id).await.map_err(as_member)?;
        self.check_rank(caller, &member.role).await?;
        self.check_grant(caller, role).await?;
        let outcome = self.inner.store.set_member_role(caller.workspace, id, &grant(role)).await?;
        self.inner.cache.clear();
        changed(outcome, Thing::Member)?;
        self.find_member(caller, id).await
    }

    /// Takes a member, and its API keys, out of the workspace. The account stays.
    ///
    /// Errors: `NotFound`, `Above`, `LastOwner`, `Store`.
    pub async fn remove_member(&self, caller: &Caller, id: UserId) -> Result<(), PeopleError> {
        let member = self.find_member(caller, id).await.map_err(as_member)?;
        self.check_rank(caller, &member.role).await?;
        let outcome = self.inner.store.delete_member(caller.workspace, id).await?;
        self.inner.cache.clear();
        changed(outcome, Thing::Member)
    }

    async fn insert_user(&self, user: &UserRow, role: &str) -> Result<(), PeopleError> {
        match self.inner.store.insert_user(user, &grant(role)).await? {
            InsertMember::Inserted => Ok(()),
            InsertMember::Exists => Err(PeopleError::Exists(Thing::User)),
            InsertMember::NoRole => Err(unknown_role()),
            InsertMember::NoUser => Err(PeopleError::NotFound(Thing::User)),
            InsertMember::Full => Err(PeopleError::Full(Thing::Member)),
        }
    }

    /// The row of a new account, with the hash of its password.
    pub(super) async fn hash_for(&self, account: NewAccount, password: &str) -> Result<UserRow, PeopleError> {
        let NewAccount { id, home, email, name } = account;
        let mut salt = [0; 16];
        clock::fill_random(&mut salt);
        let password_hash = self.inner.passwords.hash(password, salt).await?;
        Ok(UserRow { id, workspace: home, email, name, password_hash, created_at: clock::now_ms(), disabled_at: None })
    }

    /// A member whose account is looked after in the caller's workspace, and who may not do more than the caller.
    async fn find_looked_after(&self, caller: &Caller, id: UserId) -> Result<MemberRow, PeopleError> {
        let member = self.find_member(caller, id).await?;
        if member.home != caller.workspace {
            return Err(PeopleError::Refused("the account is looked after in another workspace: here it is a member only"));
        }
        self.check_rank(caller, &member.role).await?;
        Ok(member)
    }
}

/// An address as it is stored.
///
/// Errors: `Invalid`.
pub(super) fn check_email(email: &str) -> Result<String, PeopleError> {
    normalize_email(email).ok_or_else(|| invalid("/email", "invalid_email", "this is no e-mail address"))
}

fn as_member(error: PeopleError) -> PeopleError {
    match error {
        PeopleError::NotFound(_) => PeopleError::NotFound(Thing::Member),
        other => other,
    }
}
