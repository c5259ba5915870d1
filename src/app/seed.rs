//! A workspace to try things out in: somebody of every role with a key and a password, workflows, a schedule. Called by
//! `citadel db seed`, while no server has the embedded database open.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{RunningApp, samples, serve, start};
use crate::{
    actors::{
        accounts::{AccountsService, Enrolment},
        schedules::ScheduleDraft,
    },
    auth::{permissions::BuiltInRole, token::Token},
    clock,
    config::{Config, Role},
    model::ids::{UserId, WorkspaceId},
    store::{ChangeMember, InsertWorkspace, Store, WorkspaceRow},
};

/// The demonstration workspace has a fixed id, so that there is one of it.
const DEMO: WorkspaceId = WorkspaceId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0003));
/// Bytes of a password's chance.
const PASSWORD_BYTES: usize = 16;
/// How long what was started may take to stop.
const STOP_MAX: Duration = Duration::from_secs(10);

/// What was made. Has no `Debug`: it holds secrets, which are known now and never again.
pub struct Seeded {
    pub workspace: WorkspaceId,
    pub people: Vec<SeededPerson>,
    pub workflows: usize,
}

/// Somebody of the workspace.
pub struct SeededPerson {
    pub role: BuiltInRole,
    pub email: String,
    pub password: String,
    pub key: Token,
}

/// Makes the workspace.
///
/// Errors: it is there already; the store cannot be opened, or fails.
pub async fn seed(config: &Config) -> anyhow::Result<Seeded> {
    let mut config = config.clone();
    // Nothing is to run here, and no shard of a running cluster is to be taken.
    config.node.roles = vec![Role::Api];
    let app = start(&config, |_| {}).await?;
    let seeded = fill(&app, &config).await;
    app.stop(STOP_MAX).await;
    seeded
}

async fn fill(app: &RunningApp, config: &Config) -> anyhow::Result<Seeded> {
    if app.store.find_workspace(DEMO).await.context("cannot look for the workspace")?.is_some() {
        bail!("the demonstration workspace {DEMO} is there already");
    }
    let accounts = serve::state_of(app, config)?.accounts.clone();
    let mut people = vec![make_owner(&*app.store, &accounts).await?];
    for role in BuiltInRole::ALL.into_iter().filter(|role| *role != BuiltInRole::Owner) {
        let (email, password) = (address(role), draw_password());
        let user = enrol(&accounts, DEMO, role, role, &password).await?;
        people.push(SeededPerson { role, email, password, key: make_key(&accounts, user).await? });
    }
    let workflows = add_workflows(app).await?;
    Ok(Seeded { workspace: DEMO, people, workflows })
}

/// An account needs a home before its workspace has an owner: it begins in the first workspace. There it stays as an owner where
/// nobody else is, since a server with people in it makes no first owner any more.
async fn make_owner(store: &dyn Store, accounts: &AccountsService) -> anyhow::Result<SeededPerson> {
    let role = BuiltInRole::Owner;
    let is_first = store.list_members(WorkspaceId::DEFAULT, None, 1).await.context("cannot look for people")?.is_empty();
    let first_role = if is_first { BuiltInRole::Owner } else { BuiltInRole::Viewer };
    let (email, password) = (address(role), draw_password());
    let user = enrol(accounts, WorkspaceId::DEFAULT, role, first_role, &password).await?;
    let row = WorkspaceRow { id: DEMO, name: "demo".to_owned(), created_at: clock::now_ms() };
    let made = store.insert_workspace(&row, user).await.context("cannot make the workspace")?;
    ensure!(made == InsertWorkspace::Inserted, "the server has as many workspaces as it may have");
    if !is_first {
        let left = store.delete_member(WorkspaceId::DEFAULT, user).await.context("cannot move the owner")?;
        ensure!(left == ChangeMember::Changed, "the owner cannot be moved to the workspace");
    }
    Ok(SeededPerson { role, email, password, key: make_key(accounts, user).await? })
}

async fn enrol(
    accounts: &AccountsService,
    workspace: WorkspaceId,
    person: BuiltInRole,
    role: BuiltInRole,
    password: &str,
) -> anyhow::Result<UserId> {
    let (email, name) = (address(person), format!("Demo {}", person.as_str()));
    let enrolment = Enrolment { workspace, email: &email, name: &name, password, role: role.as_str() };
    accounts.enrol(&enrolment).await.with_context(|| format!("cannot make the account {email}"))
}

async fn make_key(accounts: &AccountsService, user: UserId) -> anyhow::Result<Token> {
    accounts.issue_key(DEMO, user, "demo").await.context("cannot make a key")
}

/// The samples of `citadel dev`, one of them every hour.
async fn add_workflows(app: &RunningApp) -> anyhow::Result<usize> {
    let ids = samples::install_into(&app.workflows, DEMO).await?;
    let hello = *ids.first().context("there is a sample")?;
    let Value::Object(timing) = json!({ "every": "1h" }) else { bail!("an object is an object") };
    let draft = ScheduleDraft { workflow: hello, timing, start_node: None, input: Value::Null, paused: false };
    app.schedules.create(DEMO, draft, Some("demo")).await.context("cannot make the schedule")?;
    Ok(ids.len())
}

fn address(role: BuiltInRole) -> String {
    format!("{}@demo.example", role.as_str())
}

fn draw_password() -> String {
    let mut bytes = [0; PASSWORD_BYTES];
    clock::fill_random(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
