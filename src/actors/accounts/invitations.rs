//! Invitations: a secret for somebody to join a workspace with a role. Whoever hands it over knows the person; it is shown once.

use std::net::IpAddr;

use super::{
    AccountsService, Caller,
    access::grant,
    people::{NewAccount, check_email},
    people_error::{PeopleError, Thing, check_name, invalid, person, unknown_role},
};
use crate::{
    auth::token::{Label, Token},
    clock,
    model::ids::{InvitationId, TokenId, UserId},
    store::{AcceptInvitation, InsertInvitation, InvitationRow, Invitee, MemberRow},
};

/// How long an invitation is open where it does not say, in milliseconds (a week).
const INVITATION_MS: u64 = 7 * 86_400_000;
/// How long an invitation is open at most, in milliseconds.
pub const INVITATION_MS_MAX: u64 = 30 * 86_400_000;

/// Whom to invite.
#[derive(Debug, Clone)]
pub struct NewInvitation<'a> {
    pub email: &'a str,
    pub role: &'a str,
    /// In milliseconds.
    pub life_ms: Option<u64>,
}

/// An answer to an invitation. Has no `Debug`: it holds secrets.
pub struct Acceptance<'a> {
    pub token: &'a str,
    /// Whoever has an account already, and says so.
    pub caller: Option<&'a Caller>,
    /// For a new account.
    pub name: Option<&'a str>,
    /// Of the account that the address has, or for a new one.
    pub password: Option<&'a str>,
    /// Where the answer comes from.
    pub address: IpAddr,
}

impl AccountsService {
    /// Invites somebody to the caller's workspace. An earlier invitation of the same address is worthless then.
    ///
    /// Errors: `Invalid`, `Above`, `Refused`, `Exists` for a member, `Full`, `Store`.
    pub async fn invite(&self, caller: &Caller, new: &NewInvitation<'_>) -> Result<(InvitationRow, Token), PeopleError> {
        let inviter = person(caller)?;
        let email = check_email(new.email)?;
        let life_ms = new.life_ms.unwrap_or(INVITATION_MS);
        if life_ms == 0 || life_ms > INVITATION_MS_MAX {
            return Err(invalid("/expires_in", "invalid_duration", "an invitation is open for up to 30 days"));
        }
        self.check_grant(caller, new.role).await?;
        let id = InvitationId::from_uuid(clock::new_uuid());
        let mut secret = [0; 32];
        clock::fill_random(&mut secret);
        let token = Token::new(Label::Invite, TokenId::from_uuid(id.uuid()), &secret);
        let now_ms = clock::now_ms();
        let row = InvitationRow {
            id,
            workspace: caller.workspace,
            email,
            role: new.role.to_owned(),
            hash: token.hash(),
            invited_by: Some(inviter),
            created_at: now_ms,
            expires_at: now_ms.saturating_add(life_ms),
        };
        match self.inner.store.insert_invitation(&row, &grant(new.role)).await? {
            InsertInvitation::Inserted => Ok((row, token)),
            InsertInvitation::Member => Err(PeopleError::Exists(Thing::Member)),
            InsertInvitation::NoRole => Err(unknown_role()),
            InsertInvitation::Full => Err(PeopleError::Full(Thing::Invitation)),
        }
    }

    /// Invitations of the caller's workspace above `after`, the oldest first.
    ///
    /// Errors: those of the store.
    pub async fn list_invitations(
        &self,
        caller: &Caller,
        after: Option<InvitationId>,
        limit: u32,
    ) -> Result<Vec<InvitationRow>, PeopleError> {
        Ok(self.inner.store.list_invitations(caller.workspace, after, limit).await?)
    }

    /// Takes an invitation back.
    ///
    /// Errors: `NotFound`, `Store`.
    pub async fn delete_invitation(&self, caller: &Caller, id: InvitationId) -> Result<(), PeopleError> {
        let is_deleted = self.inner.store.delete_invitation(caller.workspace, id).await?;
        if is_deleted { Ok(()) } else { Err(PeopleError::NotFound(Thing::Invitation)) }
    }

    /// Joins a workspace: with the account of the invited address, or with a new one.
    ///
    /// Errors: `NotFound`, `Exists` for an account whose password is missing, or that is a member; `Login`, `Invalid`, `Refused`,
    /// `Full`, `Password`, `Store`.
    pub async fn accept_invitation(&self, acceptance: &Acceptance<'_>) -> Result<MemberRow, PeopleError> {
        let not_found = || PeopleError::NotFound(Thing::Invitation);
        let token = Token::parse(acceptance.token).map_err(|_| not_found())?;
        let now_ms = clock::now_ms();
        let invitation = self.inner.store.find_invitation(&token.hash()).await?;
        let invitation = invitation.filter(|row| now_ms < row.expires_at).ok_or_else(not_found)?;
        let (user, invitee) = self.invitee(&invitation, acceptance).await?;
        let outcome = self.inner.store.accept_invitation(&invitation, &invitee, now_ms).await?;
        self.inner.cache.clear();
        match outcome {
            AcceptInvitation::Accepted => {}
            AcceptInvitation::NotFound => return Err(not_found()),
            AcceptInvitation::Exists => return Err(PeopleError::Exists(Thing::User)),
            AcceptInvitation::Member => return Err(PeopleError::Exists(Thing::Member)),
            AcceptInvitation::Full => return Err(PeopleError::Full(Thing::Member)),
        }
        self.inner.store.find_member(invitation.workspace, user).await?.ok_or(PeopleError::NotFound(Thing::Member))
    }

    /// Who joins by it.
    async fn invitee(&self, invitation: &InvitationRow, acceptance: &Acceptance<'_>) -> Result<(UserId, Invitee), PeopleError> {
        let account = self.inner.store.find_user_by_email(&invitation.email).await?;
        let caller = acceptance.caller.map(|caller| caller.user);
        match (caller, account) {
            (Some(Some(caller)), Some(account)) if caller == account.id => Ok((caller, Invitee::Known(caller))),
            (Some(_), _) => Err(PeopleError::Refused("the invitation is for another address: log in as whom it is for")),
            // Whoever has only the invitation must not get into an account that is there. Its password is enough: somebody who is no
            // member of any workspace has no other way to say who they are.
            (None, Some(_)) => {
                let password = acceptance.password.ok_or(PeopleError::Exists(Thing::User))?;
                let user = self.check_login(&invitation.email, password, acceptance.address).await?;
                Ok((user.id, Invitee::Known(user.id)))
            }
            (None, None) => {
                let name = check_name(acceptance.name.ok_or_else(|| missing("/name"))?)?;
                let password = acceptance.password.ok_or_else(|| missing("/password"))?;
                let id = UserId::from_uuid(clock::new_uuid());
                let account = NewAccount { id, home: invitation.workspace, email: invitation.email.clone(), name };
                let user = self.hash_for(account, password).await?;
                Ok((user.id, Invitee::New(user)))
            }
        }
    }
}

fn missing(pointer: &str) -> PeopleError {
    invalid(pointer, "missing", "a new account needs it")
}
