//! Members of workspaces, their accounts, and what they may do.

use std::sync::Arc;

use citadel::{
    model::{change::Change, ids::WorkspaceId},
    store::{
        AccessRow, ChangeMember, InsertMember, InsertRole, MemberRow, NewRole, PageRequest, RoleChange, SessionRow, Store,
        UserChange, UserRow,
    },
};

use crate::{
    api_keys::key_row,
    harness::cases,
    samples::{NOON, broken, built_in, custom, join, session_row, stranger, user, user_row, workspace_row},
};

cases! {
    an_account_is_made_with_its_first_membership,
    access_is_that_of_the_wanted_workspace_or_of_home,
    access_has_the_permissions_of_a_custom_role,
    nothing_is_open_to_somebody_disabled,
    lists_members_by_id_and_pages,
    members_get_roles_that_are_there,
    a_member_that_goes_takes_its_keys_along_and_moves_home,
    an_account_goes_with_everything_that_is_its_own,
    the_last_owner_stays,
    two_owners_that_go_at_once_leave_one,
}

const HERE: WorkspaceId = WorkspaceId::DEFAULT;

fn member(number: u128, role: &str) -> MemberRow {
    let UserRow { id, email, name, created_at, disabled_at, .. } = user_row(number);
    MemberRow { workspace: HERE, user: id, role: role.to_owned(), created_at, email, name, home: HERE, disabled_at }
}

fn access(workspace: WorkspaceId, role: &str) -> Option<AccessRow> {
    Some(AccessRow { workspace, role: role.to_owned(), permissions: None })
}

async fn disable(store: &dyn Store, number: u128) -> ChangeMember {
    let change = UserChange { name: "gone".to_owned(), disabled_at: Change::To(Some(NOON + 5)) };
    store.update_user(user(number), &change).await.unwrap()
}

async fn an_account_is_made_with_its_first_membership(store: Arc<dyn Store>) {
    join(&*store, 1, "owner").await;
    assert_eq!(store.find_user(user(1)).await.unwrap(), Some(user_row(1)));
    assert_eq!(store.find_member(HERE, user(1)).await.unwrap(), Some(member(1, "owner")));
    let same_email = UserRow { email: user_row(1).email, ..user_row(2) };
    assert_eq!(store.insert_user(&same_email, &built_in("viewer")).await.unwrap(), InsertMember::Exists);
    assert_eq!(store.insert_user(&user_row(2), &custom("nothing")).await.unwrap(), InsertMember::NoRole);
    assert_eq!(store.find_user(user(2)).await.unwrap(), None);
    let same_id = UserRow { email: "other@example.org".to_owned(), ..user_row(1) };
    assert_eq!(broken(store.insert_user(&same_id, &built_in("viewer")).await), "users_key");
    broken(store.insert_user(&UserRow { workspace: stranger(), ..user_row(3) }, &built_in("viewer")).await);
    assert_eq!(store.find_user(user(3)).await.unwrap(), None);
}

async fn access_is_that_of_the_wanted_workspace_or_of_home(store: Arc<dyn Store>) {
    join(&*store, 1, "owner").await;
    join(&*store, 2, "viewer").await;
    let (second, third) = (workspace_row(2), workspace_row(3));
    for workspace in [&third, &second] {
        store.insert_workspace(workspace, user(1)).await.unwrap();
    }
    let insert = async |workspace, role| store.insert_member(workspace, user(2), &built_in(role), NOON + 9).await.unwrap();
    assert_eq!(insert(third.id, "editor").await, InsertMember::Inserted);
    assert_eq!(insert(third.id, "viewer").await, InsertMember::Exists);
    assert_eq!(store.insert_member(HERE, user(9), &built_in("viewer"), NOON).await.unwrap(), InsertMember::NoUser);
    broken(store.insert_member(stranger(), user(2), &built_in("viewer"), NOON).await);

    assert_eq!(store.find_access(user(2), None).await.unwrap(), access(HERE, "viewer"));
    assert_eq!(store.find_access(user(2), Some(third.id)).await.unwrap(), access(third.id, "editor"));
    assert_eq!(store.find_access(user(2), Some(second.id)).await.unwrap(), None);
    assert_eq!(store.find_access(user(9), None).await.unwrap(), None);
    // Home is the first one; without it the longest membership.
    assert_eq!(store.find_access(user(1), None).await.unwrap(), access(HERE, "owner"));
    assert_eq!(store.set_member_role(HERE, user(2), &built_in("owner")).await.unwrap(), ChangeMember::Changed);
    assert_eq!(store.delete_member(HERE, user(1)).await.unwrap(), ChangeMember::Changed);
    assert_eq!(store.find_access(user(1), None).await.unwrap(), access(second.id, "owner"));
}

async fn access_has_the_permissions_of_a_custom_role(store: Arc<dyn Store>) {
    let permissions = vec!["workflow:read".to_owned(), "workflow:execute".to_owned()];
    let content = RoleChange { permissions: permissions.clone(), description: None, at: NOON };
    let role = NewRole { workspace: HERE, name: "runner".to_owned(), content };
    assert!(matches!(store.insert_role(&role).await.unwrap(), InsertRole::Inserted(_)));
    assert_eq!(store.insert_user(&user_row(1), &custom("runner")).await.unwrap(), InsertMember::Inserted);
    let found = store.find_access(user(1), None).await.unwrap();
    assert_eq!(found, Some(AccessRow { workspace: HERE, role: "runner".to_owned(), permissions: Some(permissions) }));
}

async fn nothing_is_open_to_somebody_disabled(store: Arc<dyn Store>) {
    join(&*store, 1, "owner").await;
    join(&*store, 2, "editor").await;
    assert_eq!(disable(&*store, 2).await, ChangeMember::Changed);
    assert_eq!(store.find_access(user(2), None).await.unwrap(), None);
    let seen = store.find_member(HERE, user(2)).await.unwrap().unwrap();
    assert_eq!((seen.name.as_str(), seen.disabled_at), ("gone", Some(NOON + 5)));
    let renamed = UserChange { name: "renamed".to_owned(), disabled_at: Change::Keep };
    assert_eq!(store.update_user(user(2), &renamed).await.unwrap(), ChangeMember::Changed);
    let seen = store.find_member(HERE, user(2)).await.unwrap().unwrap();
    assert_eq!((seen.name.as_str(), seen.disabled_at), ("renamed", Some(NOON + 5)));
    let back = UserChange { name: "back".to_owned(), disabled_at: Change::To(None) };
    assert_eq!(store.update_user(user(2), &back).await.unwrap(), ChangeMember::Changed);
    assert_eq!(store.find_access(user(2), None).await.unwrap(), access(HERE, "editor"));
    assert_eq!(store.update_user(user(9), &back).await.unwrap(), ChangeMember::NotFound);
}

async fn lists_members_by_id_and_pages(store: Arc<dyn Store>) {
    for number in [3, 1, 2] {
        join(&*store, number, "viewer").await;
    }
    assert_eq!(store.list_members(HERE, None, 2).await.unwrap(), [member(1, "viewer"), member(2, "viewer")]);
    assert_eq!(store.list_members(HERE, Some(user(2)), 2).await.unwrap(), [member(3, "viewer")]);
    assert_eq!(store.list_members(stranger(), None, 2).await.unwrap(), []);
    assert_eq!(store.find_member(stranger(), user(1)).await.unwrap(), None);
}

async fn members_get_roles_that_are_there(store: Arc<dyn Store>) {
    join(&*store, 1, "viewer").await;
    let set = async |number, role| store.set_member_role(HERE, user(number), &role).await.unwrap();
    assert_eq!(set(1, built_in("editor")).await, ChangeMember::Changed);
    assert_eq!(set(1, custom("nothing")).await, ChangeMember::NoRole);
    assert_eq!(set(2, built_in("editor")).await, ChangeMember::NotFound);
    assert_eq!(store.find_member(HERE, user(1)).await.unwrap(), Some(member(1, "editor")));
    let elsewhere = store.set_member_role(stranger(), user(1), &built_in("owner")).await.unwrap();
    assert_eq!(elsewhere, ChangeMember::NotFound);
}

async fn a_member_that_goes_takes_its_keys_along_and_moves_home(store: Arc<dyn Store>) {
    join(&*store, 1, "owner").await;
    join(&*store, 2, "viewer").await;
    let second = workspace_row(2);
    store.insert_workspace(&second, user(1)).await.unwrap();
    store.insert_member(second.id, user(2), &built_in("viewer"), NOON).await.unwrap();
    assert!(store.insert_api_key(&key_row(1, user(2))).await.unwrap());
    assert!(store.insert_api_key(&key_row(2, user(1))).await.unwrap());
    assert_eq!(store.delete_member(HERE, user(2)).await.unwrap(), ChangeMember::Changed);
    assert_eq!(store.delete_member(HERE, user(2)).await.unwrap(), ChangeMember::NotFound);
    let page = PageRequest { after: None, limit: 9 };
    assert_eq!(store.list_api_keys(HERE, None, &page).await.unwrap(), [key_row(2, user(1))]);
    assert_eq!(store.find_user(user(2)).await.unwrap().unwrap().workspace, second.id);
    // There is nowhere to move to: the account stays as it is, and opens nothing.
    assert_eq!(store.delete_member(second.id, user(2)).await.unwrap(), ChangeMember::Changed);
    assert_eq!(store.find_user(user(2)).await.unwrap().unwrap().workspace, second.id);
    assert_eq!(store.find_access(user(2), None).await.unwrap(), None);
}

async fn an_account_goes_with_everything_that_is_its_own(store: Arc<dyn Store>) {
    join(&*store, 1, "owner").await;
    join(&*store, 2, "viewer").await;
    store.insert_api_key(&key_row(1, user(2))).await.unwrap();
    let session = SessionRow { user: user(2), ..session_row(1) };
    assert!(store.insert_session(&session, None).await.unwrap());
    assert_eq!(store.delete_user(user(2)).await.unwrap(), ChangeMember::Changed);
    assert_eq!(store.delete_user(user(2)).await.unwrap(), ChangeMember::NotFound);
    assert_eq!(store.find_user(user(2)).await.unwrap(), None);
    assert_eq!(store.find_member(HERE, user(2)).await.unwrap(), None);
    assert_eq!(store.get_api_key(key_row(1, user(2)).id).await.unwrap(), None);
    assert!(!store.delete_session(session.id).await.unwrap());
}

async fn the_last_owner_stays(store: Arc<dyn Store>) {
    join(&*store, 1, "owner").await;
    join(&*store, 2, "admin").await;
    let demote = async |number| store.set_member_role(HERE, user(number), &built_in("viewer")).await.unwrap();
    assert_eq!(demote(1).await, ChangeMember::LastOwner);
    assert_eq!(store.delete_member(HERE, user(1)).await.unwrap(), ChangeMember::LastOwner);
    assert_eq!(store.delete_user(user(1)).await.unwrap(), ChangeMember::LastOwner);
    assert_eq!(disable(&*store, 1).await, ChangeMember::LastOwner);
    assert_eq!(store.set_member_role(HERE, user(1), &built_in("owner")).await.unwrap(), ChangeMember::Changed);
    // An owner who is disabled is none to count on.
    store.set_member_role(HERE, user(2), &built_in("owner")).await.unwrap();
    assert_eq!(disable(&*store, 2).await, ChangeMember::Changed);
    assert_eq!(demote(1).await, ChangeMember::LastOwner);
    assert_eq!(demote(2).await, ChangeMember::Changed);
    // Whoever is an owner anywhere is, too, where the account is looked after elsewhere.
    join(&*store, 3, "viewer").await;
    store.insert_workspace(&workspace_row(2), user(3)).await.unwrap();
    assert_eq!(disable(&*store, 3).await, ChangeMember::LastOwner);
    assert_eq!(store.delete_user(user(3)).await.unwrap(), ChangeMember::LastOwner);
    assert_eq!(store.delete_member(HERE, user(3)).await.unwrap(), ChangeMember::Changed);
}

async fn two_owners_that_go_at_once_leave_one(store: Arc<dyn Store>) {
    for round in 0..4 {
        let (left, right) = (10 * round + 1, 10 * round + 2);
        join(&*store, left, "owner").await;
        join(&*store, right, "owner").await;
        // The one of the round before is in the way.
        if round > 0 {
            for before in [10 * (round - 1) + 1, 10 * (round - 1) + 2] {
                store.delete_user(user(before)).await.unwrap();
            }
        }
        let viewer = built_in("viewer");
        let change = UserChange { name: String::new(), disabled_at: Change::To(Some(NOON)) };
        let outcomes = match round {
            0 => tokio::join!(store.delete_member(HERE, user(left)), store.delete_member(HERE, user(right))),
            1 => tokio::join!(store.delete_user(user(left)), store.set_member_role(HERE, user(right), &viewer)),
            2 => tokio::join!(store.update_user(user(left), &change), store.delete_user(user(right))),
            _ => tokio::join!(store.update_user(user(left), &change), store.update_user(user(right), &change)),
        };
        let outcomes = [outcomes.0.unwrap(), outcomes.1.unwrap()];
        assert!(outcomes.contains(&ChangeMember::LastOwner) && outcomes.contains(&ChangeMember::Changed), "{outcomes:?}");
    }
}
