//! Credentials of a workspace, their grants, and who names them.

use std::{sync::Arc, time::Duration};

use citadel::{
    model::ids::WorkspaceId,
    store::{
        Activation, CREDENTIALS_MAX, CredentialChange, CredentialRow, CredentialUser, DeleteCredential, Grant, InsertCredential,
        NewCredential, NewWorkflow, Publication, SealedFields, Store, UpdateCredential,
    },
};

use crate::{
    harness::cases,
    samples::{NOON, broken, credential, master_key, new_credential, new_workflow, sealed, stranger, version_using, workflow},
};

cases! {
    stores_a_credential_once,
    changes_and_deletes_the_version_that_the_caller_has_seen,
    new_fields_take_the_grant_away,
    lists_credentials_by_name_type_and_page,
    credentials_limit_obeyed_and_violated,
    two_writers_of_a_credential_are_one,
    one_renews_a_grant_at_a_time,
    the_right_to_renew_a_grant_ends_by_itself,
    remembers_the_latest_use,
    tells_which_workflows_name_a_credential,
}

const HERE: WorkspaceId = WorkspaceId::DEFAULT;

async fn with_key(store: &dyn Store) {
    store.admit_master_key(&master_key(1), &[[1; 8]]).await.unwrap();
}

fn row(number: u128, name: &str) -> CredentialRow {
    let NewCredential { id, workspace, name, kind, description, fields, at } = new_credential(number, name);
    CredentialRow {
        id,
        workspace,
        name,
        kind,
        description,
        version: 1,
        created_at: at,
        updated_at: at,
        used_at: None,
        fields,
        value_version: 1,
        grant_rev: 0,
        grant: None,
    }
}

fn change(text: &str) -> CredentialChange {
    let fields = SealedFields { names: vec!["name".to_owned(), "value".to_owned()], value: sealed(1, text) };
    CredentialChange { description: None, fields: Some(fields), at: NOON + 5 }
}

fn grant(text: &str) -> Grant {
    Grant { value: sealed(1, text), expires_at: Some(NOON + 3_600_000) }
}

async fn stores_a_credential_once(store: Arc<dyn Store>) {
    broken(store.insert_credential(&new_credential(1, "a")).await);
    with_key(&*store).await;
    let inserted = store.insert_credential(&new_credential(1, "a")).await.unwrap();
    assert_eq!(inserted, InsertCredential::Inserted(row(1, "a")));
    assert_eq!(store.insert_credential(&new_credential(2, "a")).await.unwrap(), InsertCredential::Exists);
    broken(store.insert_credential(&new_credential(1, "b")).await);
    broken(store.insert_credential(&NewCredential { workspace: stranger(), ..new_credential(3, "a") }).await);
    assert_eq!(store.find_credential(HERE, credential(1)).await.unwrap(), Some(row(1, "a")));
    assert_eq!(store.find_credential_by_name(HERE, "a").await.unwrap(), Some(row(1, "a")));
    assert_eq!(store.find_credential_by_name(HERE, "A").await.unwrap(), None);
    assert_eq!(store.find_credential(stranger(), credential(1)).await.unwrap(), None);
    assert_eq!(store.find_credential_by_name(stranger(), "a").await.unwrap(), None);
}

async fn changes_and_deletes_the_version_that_the_caller_has_seen(store: Arc<dyn Store>) {
    with_key(&*store).await;
    store.insert_credential(&new_credential(1, "a")).await.unwrap();
    let changed = change("second");
    let fields = changed.fields.clone().unwrap();
    let second = CredentialRow {
        version: 2,
        updated_at: NOON + 5,
        description: None,
        fields,
        value_version: 2,
        grant_rev: 1,
        ..row(1, "a")
    };
    let updated = store.update_credential(HERE, credential(1), 1, &changed).await.unwrap();
    assert_eq!(updated, UpdateCredential::Updated(second.clone()));
    let stale = store.update_credential(HERE, credential(1), 1, &change("third")).await.unwrap();
    assert_eq!(stale, UpdateCredential::Stale { version: 2 });
    let described = CredentialChange { description: Some("new".to_owned()), fields: None, at: NOON + 6 };
    let third = CredentialRow { version: 3, updated_at: NOON + 6, description: Some("new".to_owned()), ..second };
    let updated = store.update_credential(HERE, credential(1), 2, &described).await.unwrap();
    assert_eq!(updated, UpdateCredential::Updated(third.clone()), "the fields stay as they were sealed");
    assert_eq!(store.find_credential(HERE, credential(1)).await.unwrap(), Some(third));
    let foreign = SealedFields { names: Vec::new(), value: sealed(9, "by an unknown key") };
    broken(store.update_credential(HERE, credential(1), 3, &CredentialChange { fields: Some(foreign), ..described }).await);
    for (workspace, number) in [(HERE, 2), (stranger(), 1)] {
        let id = credential(number);
        assert_eq!(store.update_credential(workspace, id, 3, &change("x")).await.unwrap(), UpdateCredential::NotFound);
        assert_eq!(store.delete_credential(workspace, id, None).await.unwrap(), DeleteCredential::NotFound);
    }
    let stale = store.delete_credential(HERE, credential(1), Some(2)).await.unwrap();
    assert_eq!(stale, DeleteCredential::Stale { version: 3 });
    assert_eq!(store.delete_credential(HERE, credential(1), Some(3)).await.unwrap(), DeleteCredential::Deleted);
    assert_eq!(store.find_credential(HERE, credential(1)).await.unwrap(), None);
    store.insert_credential(&new_credential(1, "a")).await.unwrap();
    assert_eq!(store.delete_credential(HERE, credential(1), None).await.unwrap(), DeleteCredential::Deleted);
}

async fn new_fields_take_the_grant_away(store: Arc<dyn Store>) {
    with_key(&*store).await;
    store.insert_credential(&new_credential(1, "a")).await.unwrap();
    assert!(store.put_grant(credential(1), 0, &grant("tokens")).await.unwrap());
    let described = CredentialChange { description: None, fields: None, at: NOON };
    store.update_credential(HERE, credential(1), 1, &described).await.unwrap();
    let kept = store.find_credential(HERE, credential(1)).await.unwrap().unwrap();
    assert_eq!((kept.grant_rev, kept.grant), (1, Some(grant("tokens"))));
    assert!(store.begin_grant(credential(1), 1, 60_000).await.unwrap());
    store.update_credential(HERE, credential(1), 2, &change("second")).await.unwrap();
    let changed = store.find_credential(HERE, credential(1)).await.unwrap().unwrap();
    assert_eq!((changed.grant_rev, changed.grant), (2, None));
    assert!(!store.put_grant(credential(1), 1, &grant("of the old fields")).await.unwrap());
    assert!(store.begin_grant(credential(1), 2, 60_000).await.unwrap(), "the old right to renew is gone");
}

async fn lists_credentials_by_name_type_and_page(store: Arc<dyn Store>) {
    with_key(&*store).await;
    // By bytes: capitals before the underscore before small letters, and those before letters with marks.
    let names = ["B", "Z 9", "_x", "a", "aa", "é"];
    for (number, name) in (1..).zip(["é", "_x", "aa", "Z 9", "a", "B"]) {
        let kind = if name == "aa" { "postgres" } else { "http_bearer" };
        let new = NewCredential { kind: kind.to_owned(), ..new_credential(number, name) };
        store.insert_credential(&new).await.unwrap();
    }
    let mut seen: Vec<String> = Vec::new();
    loop {
        let rows = store.list_credentials(HERE, None, seen.last().map(String::as_str), 2).await.unwrap();
        assert!(rows.len() <= 2);
        if rows.is_empty() {
            break;
        }
        seen.extend(rows.into_iter().map(|row| row.name));
    }
    assert_eq!(seen, names);
    let databases = store.list_credentials(HERE, Some("postgres"), None, 9).await.unwrap();
    assert_eq!(databases.iter().map(|row| &*row.name).collect::<Vec<_>>(), ["aa"]);
    assert_eq!(store.list_credentials(HERE, Some("other"), None, 9).await.unwrap(), []);
    assert_eq!(store.list_credentials(stranger(), None, None, 9).await.unwrap(), []);
}

async fn credentials_limit_obeyed_and_violated(store: Arc<dyn Store>) {
    with_key(&*store).await;
    for number in 0..CREDENTIALS_MAX {
        let inserted = store.insert_credential(&new_credential(number.into(), &format!("c{number}"))).await.unwrap();
        assert!(matches!(inserted, InsertCredential::Inserted(_)), "{number}");
    }
    let more = new_credential(CREDENTIALS_MAX.into(), "more");
    assert_eq!(store.insert_credential(&more).await.unwrap(), InsertCredential::Full);
    let same = new_credential(CREDENTIALS_MAX.into(), "c0");
    assert_eq!(store.insert_credential(&same).await.unwrap(), InsertCredential::Exists);
    store.delete_credential(HERE, credential(0), None).await.unwrap();
    assert!(matches!(store.insert_credential(&more).await.unwrap(), InsertCredential::Inserted(_)));
}

async fn two_writers_of_a_credential_are_one(store: Arc<dyn Store>) {
    with_key(&*store).await;
    store.insert_credential(&new_credential(1, "a")).await.unwrap();
    let (second, third) = (change("left"), change("right"));
    let (left, right) = tokio::join!(
        store.update_credential(HERE, credential(1), 1, &second),
        store.update_credential(HERE, credential(1), 1, &third),
    );
    let outcomes = [left.unwrap(), right.unwrap()];
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, UpdateCredential::Updated(_))).count(), 1, "{outcomes:?}");
    assert!(outcomes.contains(&UpdateCredential::Stale { version: 2 }));
}

async fn one_renews_a_grant_at_a_time(store: Arc<dyn Store>) {
    with_key(&*store).await;
    store.insert_credential(&new_credential(1, "a")).await.unwrap();
    let (left, right) = tokio::join!(store.begin_grant(credential(1), 0, 60_000), store.begin_grant(credential(1), 0, 60_000));
    assert!(left.unwrap() != right.unwrap(), "one of two has the right");
    assert!(store.end_grant(credential(1), 0).await.unwrap());
    assert!(!store.end_grant(credential(1), 0).await.unwrap());
    assert!(store.begin_grant(credential(1), 0, 60_000).await.unwrap());
    assert!(store.put_grant(credential(1), 0, &grant("first")).await.unwrap());
    assert!(!store.put_grant(credential(1), 0, &grant("late")).await.unwrap());
    assert!(!store.begin_grant(credential(1), 0, 60_000).await.unwrap(), "that grant has been renewed");
    let stored = store.find_credential(HERE, credential(1)).await.unwrap().unwrap();
    assert_eq!((stored.version, stored.grant_rev, stored.grant), (1, 1, Some(grant("first"))));
    assert!(store.begin_grant(credential(1), 1, 60_000).await.unwrap());
    let endless = Grant { expires_at: None, ..grant("second") };
    assert!(store.put_grant(credential(1), 1, &endless).await.unwrap());
    assert_eq!(store.find_credential(HERE, credential(1)).await.unwrap().unwrap().grant, Some(endless));
    broken(store.put_grant(credential(1), 2, &Grant { value: sealed(9, "by an unknown key"), expires_at: None }).await);
    for number in [1, 2] {
        assert!(!store.begin_grant(credential(number), 7, 1).await.unwrap());
        assert!(!store.put_grant(credential(number), 7, &grant("x")).await.unwrap());
        assert!(!store.end_grant(credential(number), 7).await.unwrap());
    }
}

async fn the_right_to_renew_a_grant_ends_by_itself(store: Arc<dyn Store>) {
    with_key(&*store).await;
    store.insert_credential(&new_credential(1, "a")).await.unwrap();
    assert!(store.begin_grant(credential(1), 0, 20).await.unwrap());
    let again = async {
        while !store.begin_grant(credential(1), 0, 60_000).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), again).await.expect("its time is over");
}

async fn remembers_the_latest_use(store: Arc<dyn Store>) {
    with_key(&*store).await;
    store.insert_credential(&new_credential(1, "a")).await.unwrap();
    assert!(store.use_credential(credential(1), NOON).await.unwrap());
    assert!(!store.use_credential(credential(1), NOON - 1).await.unwrap());
    let used = CredentialRow { used_at: Some(NOON), ..row(1, "a") };
    assert_eq!(store.find_credential(HERE, credential(1)).await.unwrap(), Some(used));
    assert!(!store.use_credential(credential(2), NOON).await.unwrap());
}

async fn tells_which_workflows_name_a_credential(store: Arc<dyn Store>) {
    let insert = async |number: u128, credentials: &[&str]| {
        let new = NewWorkflow { version: version_using("w", credentials), ..new_workflow(number, NOON) };
        store.insert_workflow(&new).await.unwrap();
    };
    insert(1, &["a", "a", "b"]).await;
    insert(2, &["a"]).await;
    insert(3, &[]).await;
    let publication = Publication { version: 1, hooks: Vec::new(), schedules: Vec::new(), now_ms: NOON };
    let activated = store.activate_workflow(HERE, workflow(1), &publication).await.unwrap();
    assert!(matches!(activated, Activation::Activated(_)), "{activated:?}");
    store.update_workflow(HERE, workflow(1), 1, &version_using("w", &["b"])).await.unwrap();
    store.update_workflow(HERE, workflow(2), 1, &version_using("w", &["c"])).await.unwrap();
    let users = async |workspace, name: &str| store.list_credential_users(workspace, name, None, 9).await.unwrap();
    let user =
        |number, in_latest, in_active| CredentialUser { workflow: workflow(number), name: "w".to_owned(), in_latest, in_active };
    assert_eq!(users(HERE, "a").await, [user(1, false, true)], "the second workflow has changed, and was never active");
    assert_eq!(users(HERE, "b").await, [user(1, true, true)]);
    assert_eq!(users(HERE, "c").await, [user(2, true, false)]);
    assert_eq!(users(HERE, "d").await, []);
    assert_eq!(users(stranger(), "b").await, []);
    insert(4, &["b"]).await;
    assert_eq!(store.list_credential_users(HERE, "b", None, 1).await.unwrap(), [user(1, true, true)]);
    assert_eq!(store.list_credential_users(HERE, "b", Some(workflow(1)), 9).await.unwrap(), [user(4, true, false)]);
    store.delete_workflow(HERE, workflow(1)).await.unwrap();
    assert_eq!(users(HERE, "b").await, [user(4, true, false)]);
}
