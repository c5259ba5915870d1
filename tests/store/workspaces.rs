//! Workspaces.

use std::sync::Arc;

use citadel::{
    model::ids::WorkspaceId,
    store::{DeleteWorkspace, InsertWorkspace, JoinedWorkspace, PageRequest, Store, WORKSPACES_MAX, WorkspaceRow},
};

use crate::{
    harness::cases,
    invitations::invitation,
    samples::{NOON, broken, built_in, join, new_variable, stranger, user, workspace_row},
};

cases! {
    a_workspace_is_made_with_its_owner,
    lists_the_workspaces_of_a_person_and_pages,
    a_workspace_gets_another_name,
    a_workspace_goes_when_nothing_is_in_it,
    workspaces_limit_obeyed_and_violated,
}

const HERE: WorkspaceId = WorkspaceId::DEFAULT;

async fn a_workspace_is_made_with_its_owner(store: Arc<dyn Store>) {
    join(&*store, 1, "viewer").await;
    let row = workspace_row(2);
    assert_eq!(store.insert_workspace(&row, user(1)).await.unwrap(), InsertWorkspace::Inserted);
    assert_eq!(store.find_workspace(row.id).await.unwrap().as_ref(), Some(&row));
    assert_eq!(store.find_member(row.id, user(1)).await.unwrap().unwrap().role, "owner");
    assert_eq!(broken(store.insert_workspace(&row, user(1)).await), "workspaces_key");
    broken(store.insert_workspace(&workspace_row(3), user(9)).await);
    assert_eq!(store.find_workspace(workspace_row(3).id).await.unwrap(), None);
    let first = WorkspaceRow { id: HERE, name: "default".to_owned(), created_at: 0 };
    assert_eq!(store.find_workspace(HERE).await.unwrap(), Some(first));
}

async fn lists_the_workspaces_of_a_person_and_pages(store: Arc<dyn Store>) {
    join(&*store, 1, "viewer").await;
    join(&*store, 2, "viewer").await;
    for number in [3, 2] {
        store.insert_workspace(&workspace_row(number), user(1)).await.unwrap();
    }
    let list = async |number, after, limit| store.list_workspaces(user(number), after, limit).await.unwrap();
    let owned = |number| JoinedWorkspace { workspace: workspace_row(number), role: "owner".to_owned() };
    let all = list(1, None, 9).await;
    assert_eq!((all.len(), &all[1..]), (3, &[owned(2), owned(3)][..]));
    assert_eq!((all[0].workspace.id, all[0].role.as_str()), (HERE, "viewer"));
    assert_eq!(list(1, Some(HERE), 1).await, [owned(2)]);
    assert_eq!(list(2, Some(HERE), 9).await, []);
    assert_eq!(list(9, None, 9).await, []);
}

async fn a_workspace_gets_another_name(store: Arc<dyn Store>) {
    let renamed = store.rename_workspace(HERE, "Lab").await.unwrap();
    assert_eq!(renamed, Some(WorkspaceRow { id: HERE, name: "Lab".to_owned(), created_at: 0 }));
    assert_eq!(store.find_workspace(HERE).await.unwrap(), renamed);
    assert_eq!(store.rename_workspace(stranger(), "Lab").await.unwrap(), None);
}

async fn a_workspace_goes_when_nothing_is_in_it(store: Arc<dyn Store>) {
    join(&*store, 1, "owner").await;
    let row = workspace_row(2);
    store.insert_workspace(&row, user(1)).await.unwrap();
    join(&*store, 2, "viewer").await;
    // At home in the workspace that goes.
    store.insert_member(row.id, user(2), &built_in("viewer"), NOON).await.unwrap();
    store.delete_member(HERE, user(2)).await.unwrap();
    assert_eq!(store.find_user(user(2)).await.unwrap().unwrap().workspace, row.id);
    let mut open = invitation(1);
    open.workspace = row.id;
    store.insert_invitation(&open, &built_in("viewer")).await.unwrap();

    let mut variable = new_variable("limit", 1);
    variable.workspace = row.id;
    store.insert_variable(&variable).await.unwrap();
    assert_eq!(store.delete_workspace(row.id).await.unwrap(), DeleteWorkspace::InUse);
    store.delete_variable(row.id, "limit", None).await.unwrap();
    assert_eq!(store.delete_workspace(row.id).await.unwrap(), DeleteWorkspace::Deleted);
    assert_eq!(store.delete_workspace(row.id).await.unwrap(), DeleteWorkspace::NotFound);
    assert_eq!(store.find_workspace(row.id).await.unwrap(), None);
    assert_eq!(store.find_user(user(2)).await.unwrap().unwrap().workspace, HERE);
    assert_eq!(store.find_access(user(1), Some(row.id)).await.unwrap(), None);
    assert_eq!(store.find_invitation(&open.hash).await.unwrap(), None);
    assert_eq!(store.list_api_keys(row.id, None, &PageRequest { after: None, limit: 1 }).await.unwrap(), []);
    assert_eq!(store.delete_workspace(HERE).await.unwrap(), DeleteWorkspace::InUse);
}

async fn workspaces_limit_obeyed_and_violated(store: Arc<dyn Store>) {
    join(&*store, 1, "owner").await;
    for number in 1..WORKSPACES_MAX {
        let inserted = store.insert_workspace(&workspace_row(number.into()), user(1)).await.unwrap();
        assert_eq!(inserted, InsertWorkspace::Inserted, "{number}");
    }
    let more = workspace_row(WORKSPACES_MAX.into());
    assert_eq!(store.insert_workspace(&more, user(1)).await.unwrap(), InsertWorkspace::Full);
    store.delete_workspace(workspace_row(7).id).await.unwrap();
    assert_eq!(store.insert_workspace(&more, user(1)).await.unwrap(), InsertWorkspace::Inserted);
}
