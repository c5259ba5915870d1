//! Master keys in use, and the rotation of what they seal.

use std::sync::Arc;

use citadel::{
    model::ids::WorkspaceId,
    store::{AdmitMasterKey, Grant, NewCredential, Reseal, SealedFields, SealedPart, Store},
};

use crate::{
    harness::cases,
    samples::{broken, credential, master_key, new_credential, sealed},
};

cases! {
    admits_a_key_beside_those_that_are_held,
    of_two_first_keys_one_is_admitted,
    lists_what_other_keys_have_sealed,
    puts_a_value_in_the_place_of_the_same_one_only,
    retires_keys_that_seal_nothing,
}

async fn admits_a_key_beside_those_that_are_held(store: Arc<dyn Store>) {
    assert_eq!(store.list_master_keys().await.unwrap(), []);
    assert_eq!(store.admit_master_key(&master_key(1), &[[1; 8]]).await.unwrap(), AdmitMasterKey::Admitted);
    assert_eq!(store.admit_master_key(&master_key(1), &[[1; 8]]).await.unwrap(), AdmitMasterKey::Admitted);
    let missing = store.admit_master_key(&master_key(2), &[[2; 8]]).await.unwrap();
    assert_eq!(missing, AdmitMasterKey::Missing([1; 8]));
    assert_eq!(store.list_master_keys().await.unwrap(), [master_key(1)]);
    assert_eq!(store.admit_master_key(&master_key(2), &[[2; 8], [1; 8]]).await.unwrap(), AdmitMasterKey::Admitted);
    assert_eq!(store.list_master_keys().await.unwrap(), [master_key(1), master_key(2)]);
}

async fn of_two_first_keys_one_is_admitted(store: Arc<dyn Store>) {
    let (first, second) = (master_key(1), master_key(2));
    let (left, right) = tokio::join!(store.admit_master_key(&first, &[[1; 8]]), store.admit_master_key(&second, &[[2; 8]]));
    let outcomes = [left.unwrap(), right.unwrap()];
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == AdmitMasterKey::Admitted).count(), 1, "{outcomes:?}");
    assert_eq!(store.list_master_keys().await.unwrap().len(), 1);
}

/// A store with the keys 1 and 2 in use, two credentials of the key 1 and one of the key 2, and a grant of the key 1 for the last.
async fn fill(store: &dyn Store) {
    store.admit_master_key(&master_key(1), &[[1; 8]]).await.unwrap();
    store.admit_master_key(&master_key(2), &[[1; 8], [2; 8]]).await.unwrap();
    for number in 1..=2 {
        store.insert_credential(&new_credential(number, &format!("c{number}"))).await.unwrap();
    }
    let fields = SealedFields { names: Vec::new(), value: sealed(2, "sealed 3") };
    store.insert_credential(&NewCredential { fields, ..new_credential(3, "c3") }).await.unwrap();
    assert!(store.put_grant(credential(3), 0, &Grant { value: sealed(1, "grant"), expires_at: None }).await.unwrap());
    let fields = SealedFields { names: Vec::new(), value: sealed(2, "sealed 4") };
    store.insert_credential(&NewCredential { fields, ..new_credential(4, "c4") }).await.unwrap();
}

fn reseal(number: u128, part: SealedPart, old: &'static str) -> Reseal {
    let new = sealed(2, &format!("{old} anew"));
    Reseal { credential: credential(number), part, old: old.as_bytes().into(), new }
}

async fn lists_what_other_keys_have_sealed(store: Arc<dyn Store>) {
    fill(&*store).await;
    let others = async |key: u8, after: Option<u128>, limit| {
        let rows = store.list_sealed_by_others(&[key; 8], after.map(credential), limit).await.unwrap();
        rows.iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(others(2, None, 9).await, [1, 2, 3].map(credential));
    assert_eq!(others(2, Some(1), 1).await, [credential(2)]);
    assert_eq!(others(1, None, 9).await, [3, 4].map(credential));
}

async fn puts_a_value_in_the_place_of_the_same_one_only(store: Arc<dyn Store>) {
    fill(&*store).await;
    assert!(store.reseal(&reseal(1, SealedPart::Fields, "sealed 1")).await.unwrap());
    assert!(!store.reseal(&reseal(1, SealedPart::Fields, "sealed 1")).await.unwrap(), "it is there already");
    assert!(!store.reseal(&reseal(1, SealedPart::Grant, "sealed 1")).await.unwrap(), "there is no grant");
    assert!(!store.reseal(&reseal(9, SealedPart::Fields, "sealed 1")).await.unwrap());
    let row = store.find_credential(WorkspaceId::DEFAULT, credential(1)).await.unwrap().unwrap();
    assert_eq!((row.fields.value, row.version, row.value_version), (sealed(2, "sealed 1 anew"), 1, 1));
    let unknown = Reseal { new: sealed(9, "x"), ..reseal(2, SealedPart::Fields, "sealed 2") };
    broken(store.reseal(&unknown).await);
    assert!(store.reseal(&reseal(3, SealedPart::Grant, "grant")).await.unwrap());
    let row = store.find_credential(WorkspaceId::DEFAULT, credential(3)).await.unwrap().unwrap();
    assert_eq!((row.grant.unwrap().value, row.grant_rev), (sealed(2, "grant anew"), 1));
}

async fn retires_keys_that_seal_nothing(store: Arc<dyn Store>) {
    fill(&*store).await;
    assert_eq!(store.retire_master_keys(&[2; 8]).await.unwrap(), None);
    for number in [1, 2] {
        let old = if number == 1 { "sealed 1" } else { "sealed 2" };
        assert!(store.reseal(&reseal(number, SealedPart::Fields, old)).await.unwrap());
    }
    assert_eq!(store.retire_master_keys(&[2; 8]).await.unwrap(), None, "a grant is left");
    assert_eq!(store.list_master_keys().await.unwrap().len(), 2);
    assert!(store.reseal(&reseal(3, SealedPart::Grant, "grant")).await.unwrap());
    assert_eq!(store.retire_master_keys(&[2; 8]).await.unwrap(), Some(1));
    assert_eq!(store.retire_master_keys(&[2; 8]).await.unwrap(), Some(0));
    assert_eq!(store.list_master_keys().await.unwrap(), [master_key(2)]);
    broken(store.insert_credential(&new_credential(5, "c5")).await);
}
