//! Roles of a workspace, beside those that every workspace has.

use std::sync::Arc;

use citadel::{
    model::ids::WorkspaceId,
    store::{ChangeMember, DeleteRole, InsertInvitation, InsertRole, NewRole, ROLES_MAX, RoleChange, RoleRow, Store, UpdateRole},
};

use crate::{
    harness::cases,
    invitations::invitation,
    samples::{NOON, broken, built_in, custom, join, stranger, user},
};

cases! {
    stores_a_role_once,
    changes_and_deletes_what_the_caller_has_seen,
    lists_roles_by_name_and_pages,
    a_role_that_somebody_has_stays,
    a_role_is_not_deleted_while_it_is_given,
    roles_limit_obeyed_and_violated,
}

const HERE: WorkspaceId = WorkspaceId::DEFAULT;

fn change(number: u64) -> RoleChange {
    let permissions = vec!["workflow:read".to_owned(), format!("thing:verb{number}")];
    RoleChange { permissions, description: Some(format!("number {number}")), at: NOON + number }
}

fn new(name: &str, number: u64) -> NewRole {
    NewRole { workspace: HERE, name: name.to_owned(), content: change(number) }
}

fn row(name: &str, number: u64) -> RoleRow {
    let RoleChange { permissions, description, at } = change(number);
    RoleRow { workspace: HERE, name: name.to_owned(), version: 1, permissions, description, created_at: at, updated_at: at }
}

async fn stores_a_role_once(store: Arc<dyn Store>) {
    assert_eq!(store.insert_role(&new("deployer", 1)).await.unwrap(), InsertRole::Inserted(row("deployer", 1)));
    assert_eq!(store.insert_role(&new("deployer", 2)).await.unwrap(), InsertRole::Exists);
    assert_eq!(store.find_role(HERE, "deployer").await.unwrap(), Some(row("deployer", 1)));
    assert_eq!(store.find_role(HERE, "Deployer").await.unwrap(), None);
    assert_eq!(store.find_role(stranger(), "deployer").await.unwrap(), None);
    broken(store.insert_role(&NewRole { workspace: stranger(), ..new("deployer", 1) }).await);
}

async fn changes_and_deletes_what_the_caller_has_seen(store: Arc<dyn Store>) {
    store.insert_role(&new("deployer", 1)).await.unwrap();
    let bare = RoleChange { permissions: vec![], description: None, at: NOON + 2 };
    let second = RoleRow { version: 2, permissions: vec![], description: None, updated_at: NOON + 2, ..row("deployer", 1) };
    let updated = store.update_role(HERE, "deployer", Some(1), &bare).await.unwrap();
    assert_eq!(updated, UpdateRole::Updated(second));
    assert_eq!(store.update_role(HERE, "deployer", Some(1), &bare).await.unwrap(), UpdateRole::Stale { version: 2 });
    let whatever = store.update_role(HERE, "deployer", None, &change(3)).await.unwrap();
    assert!(matches!(whatever, UpdateRole::Updated(RoleRow { version: 3, .. })));
    for (workspace, name) in [(HERE, "other"), (stranger(), "deployer")] {
        assert_eq!(store.update_role(workspace, name, None, &bare).await.unwrap(), UpdateRole::NotFound);
        assert_eq!(store.delete_role(workspace, name, None).await.unwrap(), DeleteRole::NotFound);
    }
    assert_eq!(store.delete_role(HERE, "deployer", Some(2)).await.unwrap(), DeleteRole::Stale { version: 3 });
    assert_eq!(store.delete_role(HERE, "deployer", Some(3)).await.unwrap(), DeleteRole::Deleted);
    assert_eq!(store.find_role(HERE, "deployer").await.unwrap(), None);
}

async fn lists_roles_by_name_and_pages(store: Arc<dyn Store>) {
    for name in ["b", "a-b", "a", "c"] {
        store.insert_role(&new(name, 1)).await.unwrap();
    }
    assert_eq!(store.list_roles(HERE, None, 2).await.unwrap(), [row("a", 1), row("a-b", 1)]);
    assert_eq!(store.list_roles(HERE, Some("a-b"), 9).await.unwrap(), [row("b", 1), row("c", 1)]);
    assert_eq!(store.list_roles(stranger(), None, 9).await.unwrap(), []);
}

async fn a_role_that_somebody_has_stays(store: Arc<dyn Store>) {
    join(&*store, 1, "owner").await;
    join(&*store, 2, "viewer").await;
    store.insert_role(&new("deployer", 1)).await.unwrap();
    let give = async |role| store.set_member_role(HERE, user(2), &role).await.unwrap();
    assert_eq!(give(custom("deployer")).await, ChangeMember::Changed);
    assert_eq!(store.delete_role(HERE, "deployer", None).await.unwrap(), DeleteRole::InUse);
    assert_eq!(give(built_in("viewer")).await, ChangeMember::Changed);
    let invited = store.insert_invitation(&invitation(5), &custom("deployer")).await.unwrap();
    assert_eq!(invited, InsertInvitation::Inserted);
    assert_eq!(store.delete_role(HERE, "deployer", None).await.unwrap(), DeleteRole::InUse);
    assert!(store.delete_invitation(HERE, invitation(5).id).await.unwrap());
    assert_eq!(store.delete_role(HERE, "deployer", None).await.unwrap(), DeleteRole::Deleted);
}

async fn a_role_is_not_deleted_while_it_is_given(store: Arc<dyn Store>) {
    join(&*store, 1, "viewer").await;
    for _ in 0..4 {
        store.insert_role(&new("deployer", 1)).await.unwrap();
        let role = custom("deployer");
        let (given, deleted) =
            tokio::join!(store.set_member_role(HERE, user(1), &role), store.delete_role(HERE, "deployer", None));
        let outcomes = (given.unwrap(), deleted.unwrap());
        let fits = [(ChangeMember::Changed, DeleteRole::InUse), (ChangeMember::NoRole, DeleteRole::Deleted)];
        assert!(fits.contains(&outcomes), "{outcomes:?}");
        store.set_member_role(HERE, user(1), &built_in("viewer")).await.unwrap();
        store.delete_role(HERE, "deployer", None).await.unwrap();
    }
}

async fn roles_limit_obeyed_and_violated(store: Arc<dyn Store>) {
    for number in 0..ROLES_MAX {
        let inserted = store.insert_role(&new(&format!("r{number}"), 1)).await.unwrap();
        assert!(matches!(inserted, InsertRole::Inserted(_)), "{number}");
    }
    assert_eq!(store.insert_role(&new("more", 1)).await.unwrap(), InsertRole::Full);
    assert_eq!(store.insert_role(&new("r0", 1)).await.unwrap(), InsertRole::Exists);
    store.delete_role(HERE, "r0", None).await.unwrap();
    assert!(matches!(store.insert_role(&new("more", 1)).await.unwrap(), InsertRole::Inserted(_)));
}
