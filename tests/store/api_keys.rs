//! API keys.

use std::sync::Arc;

use citadel::{
    model::{
        change::Change,
        ids::{KeyId, UserId, WorkspaceId},
    },
    store::{API_KEYS_MAX, ApiKeyChange, ApiKeyCursor, ApiKeyRow, KeySecret, PageRequest, PreviousSecret, RotateApiKey, Store},
};
use uuid::Uuid;

use crate::{
    harness::cases,
    samples::{NOON, broken, join, stranger, user},
};

cases! {
    finds_a_key_in_its_workspace_and_for_whoever_presents_it,
    lists_keys_newest_first_of_all_or_of_one_person,
    changes_and_deletes_a_key,
    a_rotated_key_keeps_its_earlier_secret_for_a_while,
    records_a_use_once_in_a_while,
    api_keys_limit_obeyed_and_violated,
}

const HERE: WorkspaceId = WorkspaceId::DEFAULT;

fn secret(number: u8) -> KeySecret {
    KeySecret { hash: [number; 32], last_characters: format!("k{number}") }
}

/// Key `number` of a person in the first workspace.
pub(crate) fn key_row(number: u8, user: UserId) -> ApiKeyRow {
    ApiKeyRow {
        id: KeyId::from_uuid(Uuid::from_u128(0x0193_0000_0000_7000_bb00_0000_0000_0000 + u128::from(number))),
        workspace: HERE,
        user,
        name: format!("key {number}"),
        permissions: vec!["workflow:read".to_owned(), "stats:read".to_owned()],
        secret: secret(number),
        previous: None,
        created_at: NOON + u64::from(number),
        expires_at: Some(NOON + 1_000),
        used_at: None,
    }
}

async fn finds_a_key_in_its_workspace_and_for_whoever_presents_it(store: Arc<dyn Store>) {
    join(&*store, 1, "owner").await;
    let bare = ApiKeyRow { permissions: vec![], expires_at: None, ..key_row(1, user(1)) };
    let full = ApiKeyRow {
        previous: Some(PreviousSecret { hash: [9; 32], until: NOON + 5 }),
        used_at: Some(NOON + 6),
        ..key_row(2, user(1))
    };
    for row in [&bare, &full] {
        assert!(store.insert_api_key(row).await.unwrap());
        assert_eq!(store.get_api_key(row.id).await.unwrap().as_ref(), Some(row));
        assert_eq!(store.find_api_key(HERE, row.id).await.unwrap().as_ref(), Some(row));
        assert_eq!(store.find_api_key(stranger(), row.id).await.unwrap(), None);
    }
    assert_eq!(store.get_api_key(key_row(3, user(1)).id).await.unwrap(), None);
    assert_eq!(broken(store.insert_api_key(&bare).await), "api_keys_key");
    broken(store.insert_api_key(&key_row(4, user(9))).await);
    broken(store.insert_api_key(&ApiKeyRow { workspace: stranger(), ..key_row(5, user(1)) }).await);
}

async fn lists_keys_newest_first_of_all_or_of_one_person(store: Arc<dyn Store>) {
    join(&*store, 1, "owner").await;
    join(&*store, 2, "viewer").await;
    let [first, second] = [key_row(1, user(1)), ApiKeyRow { created_at: NOON + 3, ..key_row(2, user(2)) }];
    let third = key_row(3, user(1));
    for row in [&second, &third, &first] {
        store.insert_api_key(row).await.unwrap();
    }
    let list = async |user, after: Option<&ApiKeyRow>, limit| {
        let after = after.map(|row| ApiKeyCursor { created_at: row.created_at, id: row.id });
        store.list_api_keys(HERE, user, &PageRequest { after, limit }).await.unwrap()
    };
    assert_eq!(list(None, None, 2).await, [third.clone(), second.clone()]);
    assert_eq!(list(None, Some(&third), 9).await, [second.clone(), first.clone()]);
    assert_eq!(list(Some(user(1)), None, 9).await, [third.clone(), first]);
    assert_eq!(list(Some(user(2)), Some(&third), 9).await, [second]);
    assert_eq!(store.list_api_keys(stranger(), None, &PageRequest { after: None, limit: 9 }).await.unwrap(), []);
}

async fn changes_and_deletes_a_key(store: Arc<dyn Store>) {
    join(&*store, 1, "owner").await;
    let row = key_row(1, user(1));
    store.insert_api_key(&row).await.unwrap();
    let renamed = ApiKeyChange { name: "renamed".to_owned(), permissions: Change::Keep, expires_at: Change::Keep };
    let kept = store.update_api_key(HERE, row.id, &renamed).await.unwrap();
    assert_eq!(kept, Some(ApiKeyRow { name: "renamed".to_owned(), ..row.clone() }));
    let permissions = vec!["stats:read".to_owned()];
    let change =
        ApiKeyChange { name: "other".to_owned(), permissions: Change::To(permissions.clone()), expires_at: Change::To(None) };
    let changed = ApiKeyRow { name: change.name.clone(), permissions, expires_at: None, ..row.clone() };
    assert_eq!(store.update_api_key(stranger(), row.id, &change).await.unwrap(), None);
    assert_eq!(store.update_api_key(HERE, row.id, &change).await.unwrap().as_ref(), Some(&changed));
    assert_eq!(store.get_api_key(row.id).await.unwrap(), Some(changed));
    assert!(!store.delete_api_key(stranger(), row.id).await.unwrap());
    assert!(store.delete_api_key(HERE, row.id).await.unwrap());
    assert!(!store.delete_api_key(HERE, row.id).await.unwrap());
    assert_eq!(store.update_api_key(HERE, row.id, &change).await.unwrap(), None);
}

async fn a_rotated_key_keeps_its_earlier_secret_for_a_while(store: Arc<dyn Store>) {
    join(&*store, 1, "owner").await;
    let row = key_row(1, user(1));
    store.insert_api_key(&row).await.unwrap();
    let rotation = |from: u8, to: u8| RotateApiKey { from: [from; 32], to: secret(to), previous_until: NOON + 7 };
    let rotated =
        ApiKeyRow { secret: secret(2), previous: Some(PreviousSecret { hash: [1; 32], until: NOON + 7 }), ..row.clone() };
    assert_eq!(store.rotate_api_key(stranger(), row.id, &rotation(1, 2)).await.unwrap(), None);
    let (second, third) = (rotation(1, 2), rotation(1, 3));
    let (left, right) = tokio::join!(store.rotate_api_key(HERE, row.id, &second), store.rotate_api_key(HERE, row.id, &third));
    let outcomes = [left.unwrap(), right.unwrap()];
    assert_eq!(outcomes.iter().flatten().count(), 1, "{outcomes:?}");
    if outcomes[0].is_some() {
        assert_eq!(store.get_api_key(row.id).await.unwrap(), Some(rotated));
    }
}

async fn records_a_use_once_in_a_while(store: Arc<dyn Store>) {
    join(&*store, 1, "owner").await;
    let id = key_row(1, user(1)).id;
    assert!(!store.touch_api_key(id, NOON, NOON - 60).await.unwrap());
    store.insert_api_key(&key_row(1, user(1))).await.unwrap();
    assert!(store.touch_api_key(id, NOON, NOON - 60).await.unwrap());
    assert!(!store.touch_api_key(id, NOON + 60, NOON).await.unwrap());
    assert_eq!(store.get_api_key(id).await.unwrap().unwrap().used_at, Some(NOON));
    assert!(store.touch_api_key(id, NOON + 61, NOON + 1).await.unwrap());
    assert_eq!(store.get_api_key(id).await.unwrap().unwrap().used_at, Some(NOON + 61));
}

async fn api_keys_limit_obeyed_and_violated(store: Arc<dyn Store>) {
    join(&*store, 1, "owner").await;
    let row = |number: u32| {
        let id = KeyId::from_uuid(Uuid::from_u128(u128::from(number) + 1));
        ApiKeyRow { id, ..key_row(1, user(1)) }
    };
    for number in 0..API_KEYS_MAX {
        assert!(store.insert_api_key(&row(number)).await.unwrap(), "{number}");
    }
    assert!(!store.insert_api_key(&row(API_KEYS_MAX)).await.unwrap());
    assert!(store.delete_api_key(HERE, row(7).id).await.unwrap());
    assert!(store.insert_api_key(&row(API_KEYS_MAX)).await.unwrap());
}
