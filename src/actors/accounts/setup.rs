//! The first owner: made by the settings, or by whoever has the setup token. The token is printed once and kept in a file of the data
//! directory; until there is an owner it stands for them, so that a new server can be tried at once.

use std::io;

use uuid::Uuid;

use super::{AccountsService, TokenPair, Whose, access::grant, login::salt, normalize_email, normalize_name};
use crate::{
    auth::{
        password::PasswordError,
        private_file::write_private_file,
        token::{Label, Token},
    },
    clock,
    model::ids::{TokenId, UserId, WorkspaceId},
    store::{ClaimSetup, InsertMember, SetupState, SetupTokenRow, StoreError, UserRow},
};

/// Of two servers that start at once one makes the token: it has a fixed id.
const SETUP_TOKEN: TokenId = TokenId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0002));

/// What a start has done about the setup token.
pub enum SetupToken {
    /// It has made one.
    New(Token),
    /// There is one, which an earlier start has shown.
    Waiting,
    /// There is an owner: nobody needs it.
    Done,
}

/// A claim to be the first owner. Has no `Debug`: it holds secrets.
pub struct SetupClaim<'a> {
    pub token: &'a str,
    pub email: &'a str,
    pub name: &'a str,
    pub password: &'a str,
}

/// Somebody to be made. Has no `Debug`: it holds a password.
pub struct NewPerson<'a> {
    pub email: &'a str,
    pub name: &'a str,
    pub password: &'a str,
    /// In the default workspace.
    pub role: &'a str,
}

/// Why somebody cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// There is an owner already.
    #[error("there is an owner already")]
    Done,
    #[error("this is not the setup token")]
    Token,
    #[error("the e-mail address is not valid")]
    Email,
    #[error("somebody has this e-mail address")]
    Taken,
    #[error("the name is not valid")]
    Name,
    #[error("the password cannot be used")]
    Password(#[from] PasswordError),
    #[error("cannot keep the setup token")]
    Keep(#[source] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AccountsService {
    /// Makes the setup token of a store without people. Its file is written *before* it is valid, so that a crash cannot lose it.
    ///
    /// Errors: `Keep`, `Store`.
    pub async fn ensure_setup_token(&self) -> Result<SetupToken, SetupError> {
        match self.inner.store.setup_state().await? {
            SetupState::Fresh => {}
            SetupState::Waiting => return Ok(SetupToken::Waiting),
            SetupState::Done => {
                self.remove_setup_file();
                return Ok(SetupToken::Done);
            }
        }
        let mut secret = [0; 32];
        clock::fill_random(&mut secret);
        let token = Token::new(Label::Live, SETUP_TOKEN, &secret);
        write_private_file(&self.inner.setup_file, format!("{}\n", token.expose()).as_bytes()).map_err(SetupError::Keep)?;
        let row = SetupTokenRow { id: SETUP_TOKEN, hash: token.hash(), created_at: clock::now_ms() };
        if self.inner.store.insert_setup_token(&row).await? {
            return Ok(SetupToken::New(token));
        }
        // Another server was faster: it has shown its own.
        self.remove_setup_file();
        Ok(SetupToken::Waiting)
    }

    /// Makes the first owner of a new store. Answers whether this call made it.
    ///
    /// Errors: `Email`, `Password`, `Store`.
    pub async fn ensure_first_user(&self, email: &str, password: &str) -> Result<bool, SetupError> {
        let is_new = match self.inner.store.setup_state().await? {
            SetupState::Fresh | SetupState::Waiting => {
                let user = self.new_user(email, "", password).await?;
                self.inner.store.insert_first_user(&user).await?
            }
            SetupState::Done => false,
        };
        self.remove_setup_file();
        Ok(is_new)
    }

    /// Makes the first owner for whoever has the setup token, and logs them in.
    ///
    /// Errors: every variant but `Keep`.
    pub async fn claim_setup(&self, claim: &SetupClaim<'_>) -> Result<TokenPair, SetupError> {
        if self.inner.store.setup_state().await? == SetupState::Done {
            return Err(SetupError::Done);
        }
        let hash = Token::parse(claim.token).map_err(|_| SetupError::Token)?.hash();
        // Before the password is hashed, which takes a core for a while.
        if self.inner.store.find_setup_token(&hash).await?.is_none() {
            return Err(SetupError::Token);
        }
        let user = self.new_user(claim.email, claim.name, claim.password).await?;
        match self.inner.store.claim_setup(&hash, &user).await? {
            ClaimSetup::Claimed => {}
            ClaimSetup::Unknown => return Err(SetupError::Token),
            ClaimSetup::Done => return Err(SetupError::Done),
            ClaimSetup::Taken => return Err(SetupError::Taken),
        }
        self.inner.cache.clear();
        self.remove_setup_file();
        tracing::info!(user.id = %user.id, "the first owner was made");
        self.begin_family(&user).await?.ok_or(SetupError::Done)
    }

    /// Makes somebody who can log in, for the operator of the server.
    ///
    /// Errors: `Email`, `Name`, `Password`, `Store`.
    pub async fn create_person(&self, person: &NewPerson<'_>) -> Result<(Whose, InsertMember), SetupError> {
        let user = self.new_user(person.email, person.name, person.password).await?;
        Ok((Whose::of(&user), self.inner.store.insert_user(&user, &grant(person.role)).await?))
    }

    /// Somebody in the default workspace who is not stored yet.
    async fn new_user(&self, email: &str, name: &str, password: &str) -> Result<UserRow, SetupError> {
        Ok(UserRow {
            id: UserId::from_uuid(clock::new_uuid()),
            workspace: WorkspaceId::DEFAULT,
            email: normalize_email(email).ok_or(SetupError::Email)?,
            name: normalize_name(name).ok_or(SetupError::Name)?,
            password_hash: self.inner.passwords.hash(password, salt()).await?,
            created_at: clock::now_ms(),
            disabled_at: None,
        })
    }

    /// A token that opens nothing need not lie around.
    fn remove_setup_file(&self) {
        match std::fs::remove_file(&self.inner.setup_file) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(path = %self.inner.setup_file.display(), cause = %error, "the file of the used setup token cannot be deleted");
            }
        }
    }
}
