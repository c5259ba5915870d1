//! People of an installation, for the commands of its operator: on the store itself, for when nobody can log in.

use std::sync::Arc;

use anyhow::Context;

use super::serve::accounts_of;
pub use crate::actors::accounts::NewPerson;
use crate::{
    actors::accounts::{AccountsService, Whose},
    auth::keyring::Keyring,
    clock,
    config::{Config, Migrate, Switch},
    model::{
        audit::{AuditEntry, AuditEvent, AuditRecord, Origin},
        ids::AuditId,
    },
    store::{
        InsertMember, Store, UserRow,
        open::{MigrateMode, OpenOptions, open},
    },
};

/// People that are shown.
const SHOWN_MAX: u32 = 10_000;

/// A person, as an operator sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub id: String,
    pub email: String,
    pub name: String,
    /// In their own workspace; empty where they are no member of it.
    pub role: String,
    pub has_password: bool,
    pub is_disabled: bool,
    /// RFC 3339.
    pub created_at: String,
}

/// What became of a new person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    Done,
    /// Somebody has this e-mail address.
    Exists,
    /// The workspace has no such role.
    NoRole,
}

/// The people of an installation, whose server is not running if its database is embedded.
pub struct People {
    store: Arc<dyn Store>,
    accounts: AccountsService,
}

impl People {
    /// Opens the store of these settings.
    ///
    /// Errors: it cannot be reached, or is used by another process.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        tokio::fs::create_dir_all(&config.data_dir).await.context("cannot create the data directory")?;
        let migrate = match config.store.migrate {
            Migrate::Auto => MigrateMode::Auto,
            Migrate::Check => MigrateMode::Check,
            Migrate::Off => MigrateMode::Off,
        };
        let store = open(&OpenOptions { migrate, ..OpenOptions::new(config.store_url()) }).await;
        let store = store.context("cannot open the store")?;
        // Nothing is signed here.
        let accounts = accounts_of(Arc::clone(&store), Switch::new(false), &Keyring::throwaway(), config);
        Ok(Self { store, accounts })
    }

    /// Everybody, by e-mail address.
    ///
    /// Errors: the store fails.
    pub async fn list(&self) -> anyhow::Result<Vec<Person>> {
        let rows = self.store.list_accounts(None, SHOWN_MAX).await.context("cannot read the accounts")?;
        let mut people = Vec::with_capacity(rows.len());
        for row in rows {
            let member = self.store.find_member(row.workspace, row.id).await.context("cannot read the members")?;
            people.push(shown(row, member.map(|member| member.role).unwrap_or_default()));
        }
        Ok(people)
    }

    /// Makes somebody who can log in.
    ///
    /// Errors: the address, the name or the password is not valid; the store fails.
    pub async fn create(&self, person: &NewPerson<'_>) -> anyhow::Result<Created> {
        let (whose, outcome) = self.accounts.create_person(person).await?;
        Ok(match outcome {
            InsertMember::Inserted => {
                self.record(whose, AuditEntry::from(AuditEvent::UserCreated(whose.user)).with("role", person.role)).await?;
                Created::Done
            }
            InsertMember::Exists => Created::Exists,
            InsertMember::NoRole => Created::NoRole,
            InsertMember::NoUser | InsertMember::Full => anyhow::bail!("the workspace takes no more members"),
        })
    }

    /// Gives somebody another password, and ends all of their sessions. `false` if nobody has this address.
    ///
    /// Errors: the password is not valid; the store fails.
    pub async fn reset_password(&self, email: &str, password: &str) -> anyhow::Result<bool> {
        let Some(whose) = self.accounts.reset_password(email, password).await? else { return Ok(false) };
        self.record(whose, AuditEvent::PasswordReset(whose.user).into()).await?;
        Ok(true)
    }

    /// Writes to the audit log what the operator has done.
    async fn record(&self, whose: Whose, entry: AuditEntry) -> anyhow::Result<()> {
        let (id, entry) = (AuditId::from_uuid(clock::new_uuid()), entry.with("by", "citadel admin"));
        let record = AuditRecord::new(id, clock::now_ms(), &Origin::system(whose.home), &entry);
        let appended = self.store.append_audit(whose.home, &[record]).await;
        appended.map(|_| ()).context("it is done, but the audit log has no row of it")
    }

    /// Puts the store away.
    pub async fn close(self) {
        self.store.close().await;
    }
}

fn shown(row: UserRow, role: String) -> Person {
    Person {
        id: row.id.to_string(),
        email: row.email,
        name: row.name,
        role,
        has_password: !row.password_hash.is_empty(),
        is_disabled: row.disabled_at.is_some(),
        created_at: clock::rfc3339(row.created_at),
    }
}
