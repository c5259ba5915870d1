//! People, and the token that makes the first of them.

use std::sync::Arc;

use citadel::{
    model::ids::WorkspaceId,
    store::{
        AccessRow, ClaimSetup, IdentityRow, JoinedWorkspace, PasswordStep, SetupState, SetupTokenRow, Store, UserRow,
        WorkspaceRow,
    },
};

use crate::{
    harness::cases,
    samples::{broken, join, session, session_row, setup_token, stranger, user, user_row},
};

cases! {
    the_first_user_is_the_only_one_so_far,
    two_first_users_at_once_are_one,
    the_first_user_is_an_owner,
    finds_users_by_id_and_email,
    lists_accounts_by_email,
    there_is_one_setup_token_while_there_is_nobody,
    the_setup_token_makes_one_owner,
    somebody_who_is_no_owner_does_not_take_the_setup_token_away,
    of_claims_at_once_one_wins,
    of_a_claim_and_a_first_user_at_once_one_wins,
    a_new_password_ends_other_sessions,
    a_hash_is_replaced_unless_the_password_has_changed,
    an_identity_belongs_to_one_account,
}

async fn the_first_user_is_the_only_one_so_far(store: Arc<dyn Store>) {
    assert!(store.insert_first_user(&user_row(1)).await.unwrap());
    assert!(!store.insert_first_user(&user_row(2)).await.unwrap());
    assert!(!store.insert_first_user(&user_row(1)).await.unwrap());
    assert_eq!(store.find_user(user(2)).await.unwrap(), None);
}

async fn two_first_users_at_once_are_one(store: Arc<dyn Store>) {
    let rows: Vec<UserRow> = (1..=4).map(user_row).collect();
    let (a, b, c, d) = tokio::join!(
        store.insert_first_user(&rows[0]),
        store.insert_first_user(&rows[1]),
        store.insert_first_user(&rows[2]),
        store.insert_first_user(&rows[3]),
    );
    let inserted = [a, b, c, d].map(Result::unwrap);
    assert_eq!(inserted.iter().filter(|inserted| **inserted).count(), 1, "{inserted:?}");
}

async fn the_first_user_is_an_owner(store: Arc<dyn Store>) {
    assert_eq!(store.list_workspaces(user(1), None, 9).await.unwrap(), []);
    store.insert_first_user(&user_row(1)).await.unwrap();
    let (workspace, role) = (WorkspaceId::DEFAULT, "owner".to_owned());
    let access = AccessRow { workspace, role: role.clone(), permissions: None };
    assert_eq!(store.find_access(user(1), None).await.unwrap(), Some(access));
    let first = WorkspaceRow { id: workspace, name: "default".to_owned(), created_at: 0 };
    let membership = JoinedWorkspace { workspace: first, role };
    assert_eq!(store.list_workspaces(user(1), None, 9).await.unwrap(), [membership]);
    assert_eq!(store.list_workspaces(user(1), None, 0).await.unwrap(), []);
    assert_eq!(store.list_workspaces(user(2), None, 9).await.unwrap(), []);
}

async fn finds_users_by_id_and_email(store: Arc<dyn Store>) {
    let homeless = UserRow { workspace: stranger(), ..user_row(1) };
    broken(store.insert_first_user(&homeless).await);
    let disabled = UserRow { disabled_at: Some(7), ..user_row(1) };
    store.insert_first_user(&disabled).await.unwrap();
    assert_eq!(store.find_user(user(1)).await.unwrap(), Some(disabled.clone()));
    assert_eq!(store.find_user_by_email("user1@example.org").await.unwrap(), Some(disabled));
    assert_eq!(store.find_user_by_email("USER1@example.org").await.unwrap(), None);
    assert_eq!(store.find_user_by_email("").await.unwrap(), None);
}

async fn lists_accounts_by_email(store: Arc<dyn Store>) {
    store.insert_first_user(&user_row(2)).await.unwrap();
    let owner = citadel::store::RoleGrant { name: "owner".to_owned(), is_custom: false };
    for number in [3, 1] {
        store.insert_user(&user_row(number), &owner).await.unwrap();
    }
    assert_eq!(store.list_accounts(None, 9).await.unwrap(), [user_row(1), user_row(2), user_row(3)]);
    assert_eq!(store.list_accounts(None, 1).await.unwrap(), [user_row(1)]);
    assert_eq!(store.list_accounts(Some("user1@example.org"), 9).await.unwrap(), [user_row(2), user_row(3)]);
}

async fn there_is_one_setup_token_while_there_is_nobody(store: Arc<dyn Store>) {
    assert_eq!(store.setup_state().await.unwrap(), SetupState::Fresh);
    assert!(store.insert_setup_token(&setup_token(1)).await.unwrap());
    assert!(!store.insert_setup_token(&setup_token(2)).await.unwrap());
    assert_eq!(store.setup_state().await.unwrap(), SetupState::Waiting);
    assert_eq!(store.find_setup_token(&[1; 32]).await.unwrap(), Some(setup_token(1)));
    assert_eq!(store.find_setup_token(&[2; 32]).await.unwrap(), None);
    store.insert_first_user(&user_row(1)).await.unwrap();
    assert_eq!(store.find_setup_token(&[1; 32]).await.unwrap(), None);
    assert_eq!(store.setup_state().await.unwrap(), SetupState::Done);
    assert!(!store.insert_setup_token(&setup_token(3)).await.unwrap());
}

async fn the_setup_token_makes_one_owner(store: Arc<dyn Store>) {
    assert_eq!(store.claim_setup(&[1; 32], &user_row(1)).await.unwrap(), ClaimSetup::Unknown);
    store.insert_setup_token(&setup_token(1)).await.unwrap();
    assert_eq!(store.claim_setup(&[2; 32], &user_row(1)).await.unwrap(), ClaimSetup::Unknown);
    broken(store.claim_setup(&[1; 32], &UserRow { workspace: stranger(), ..user_row(1) }).await);
    assert_eq!(store.setup_state().await.unwrap(), SetupState::Waiting);
    assert_eq!(store.claim_setup(&[1; 32], &user_row(1)).await.unwrap(), ClaimSetup::Claimed);
    assert_eq!(store.find_access(user(1), None).await.unwrap().unwrap().role, "owner");
    assert_eq!(store.find_setup_token(&[1; 32]).await.unwrap(), None);
    assert_eq!(store.claim_setup(&[1; 32], &user_row(2)).await.unwrap(), ClaimSetup::Done);
    assert_eq!(store.find_user(user(2)).await.unwrap(), None);
}

async fn somebody_who_is_no_owner_does_not_take_the_setup_token_away(store: Arc<dyn Store>) {
    join(&*store, 2, "viewer").await;
    assert_eq!(store.setup_state().await.unwrap(), SetupState::Fresh);
    store.insert_setup_token(&setup_token(1)).await.unwrap();
    join(&*store, 3, "admin").await;
    assert_eq!(store.setup_state().await.unwrap(), SetupState::Waiting);
    assert_eq!(store.find_setup_token(&[1; 32]).await.unwrap(), Some(setup_token(1)));
    let same = UserRow { email: user_row(2).email, ..user_row(1) };
    assert_eq!(store.claim_setup(&[1; 32], &same).await.unwrap(), ClaimSetup::Taken);
    assert!(!store.insert_first_user(&same).await.unwrap());
    assert_eq!(store.claim_setup(&[1; 32], &user_row(1)).await.unwrap(), ClaimSetup::Claimed);
    assert_eq!(store.setup_state().await.unwrap(), SetupState::Done);
    assert_eq!(store.find_access(user(1), None).await.unwrap().unwrap().role, "owner");
}

async fn of_claims_at_once_one_wins(store: Arc<dyn Store>) {
    store.insert_setup_token(&setup_token(1)).await.unwrap();
    let rows: Vec<UserRow> = (1..=3).map(user_row).collect();
    let hash = [1; 32];
    let (a, b, c) =
        tokio::join!(store.claim_setup(&hash, &rows[0]), store.claim_setup(&hash, &rows[1]), store.claim_setup(&hash, &rows[2]),);
    let claims = [a, b, c].map(Result::unwrap);
    let of = |kind| claims.iter().filter(|claim| **claim == kind).count();
    assert_eq!((of(ClaimSetup::Claimed), of(ClaimSetup::Done)), (1, 2), "{claims:?}");
}

async fn of_a_claim_and_a_first_user_at_once_one_wins(store: Arc<dyn Store>) {
    store.insert_setup_token(&setup_token(1)).await.unwrap();
    let (one, other, hash): (_, _, [u8; 32]) = (user_row(1), user_row(2), [1; 32]);
    let late = SetupTokenRow { hash: [2; 32], ..setup_token(2) };
    let (claim, first, token) =
        tokio::join!(store.claim_setup(&hash, &one), store.insert_first_user(&other), store.insert_setup_token(&late),);
    let (claim, first) = (claim.unwrap(), first.unwrap());
    assert!(!token.unwrap());
    assert!((claim == ClaimSetup::Claimed) != first, "{claim:?} {first}");
    assert_eq!(store.setup_state().await.unwrap(), SetupState::Done);
}

async fn a_new_password_ends_other_sessions(store: Arc<dyn Store>) {
    assert!(!store.set_password(user(1), "new", PasswordStep::default()).await.unwrap());
    store.insert_first_user(&user_row(1)).await.unwrap();
    for number in 1..=2 {
        store.insert_session(&session_row(number), None).await.unwrap();
    }
    assert!(store.set_password(user(1), "new", PasswordStep { keep: Some(session(1)), from: None }).await.unwrap());
    assert_eq!(store.find_user(user(1)).await.unwrap().unwrap().password_hash, "new");
    assert!(store.find_session(session(1)).await.unwrap().is_some());
    assert_eq!(store.find_session(session(2)).await.unwrap(), None);
    let from = |from| PasswordStep { from: Some(from), keep: None };
    assert!(!store.set_password(user(1), "newer", from("another")).await.unwrap());
    assert!(store.set_password(user(1), "newer", from("new")).await.unwrap());
    assert_eq!(store.find_session(session(1)).await.unwrap(), None);
}

async fn a_hash_is_replaced_unless_the_password_has_changed(store: Arc<dyn Store>) {
    store.insert_first_user(&user_row(1)).await.unwrap();
    let old = user_row(1).password_hash;
    assert!(store.rehash_password(user(1), &old, "new").await.unwrap());
    assert!(!store.rehash_password(user(1), &old, "newer").await.unwrap());
    assert!(!store.rehash_password(user(2), "new", "newer").await.unwrap());
    assert_eq!(store.find_user(user(1)).await.unwrap().unwrap().password_hash, "new");
}

async fn an_identity_belongs_to_one_account(store: Arc<dyn Store>) {
    let identity = |subject: &str, number| IdentityRow {
        issuer: "https://id.example".to_owned(),
        subject: subject.to_owned(),
        user: user(number),
        created_at: 7,
    };
    broken(store.insert_identity(&identity("a", 1)).await);
    join(&*store, 1, "owner").await;
    join(&*store, 2, "viewer").await;
    assert_eq!(store.find_identity("https://id.example", "a").await.unwrap(), None);
    assert!(store.insert_identity(&identity("a", 2)).await.unwrap());
    assert!(!store.insert_identity(&identity("a", 1)).await.unwrap());
    assert!(store.insert_identity(&identity("A", 1)).await.unwrap());
    assert_eq!(store.find_identity("https://id.example", "a").await.unwrap(), Some(user(2)));
    assert_eq!(store.find_identity("https://other.example", "a").await.unwrap(), None);
    store.delete_user(user(2)).await.unwrap();
    assert_eq!(store.find_identity("https://id.example", "a").await.unwrap(), None);
}
