//! People and their tokens.

use std::sync::Arc;

use citadel::store::{Store, TokenKind, TokenRow, UserRow};

use crate::{
    harness::cases,
    samples::{broken, stranger, token, token_row, user, user_row},
};

cases! {
    the_first_user_is_the_only_one_so_far,
    two_first_users_at_once_are_one,
    finds_users_by_id_and_email,
    finds_a_token_by_its_hash,
    refuses_tokens_that_conflict,
    knows_which_kinds_of_tokens_there_are,
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

async fn finds_users_by_id_and_email(store: Arc<dyn Store>) {
    let homeless = UserRow { workspace: stranger(), ..user_row(1) };
    broken(store.insert_first_user(&homeless).await);
    store.insert_first_user(&user_row(1)).await.unwrap();
    assert_eq!(store.find_user(user(1)).await.unwrap(), Some(user_row(1)));
    assert_eq!(store.find_user_by_email("user1@example.org").await.unwrap(), Some(user_row(1)));
    assert_eq!(store.find_user_by_email("USER1@example.org").await.unwrap(), None);
    assert_eq!(store.find_user_by_email("").await.unwrap(), None);
}

async fn finds_a_token_by_its_hash(store: Arc<dyn Store>) {
    store.insert_first_user(&user_row(1)).await.unwrap();
    let owner = TokenRow { expires_at: None, ..token_row(1, TokenKind::Owner) };
    let access = TokenRow { user: Some(user(1)), ..token_row(2, TokenKind::Access) };
    for row in [&owner, &access] {
        store.insert_token(row).await.unwrap();
        assert_eq!(store.find_token(&row.hash).await.unwrap().as_ref(), Some(row));
    }
    assert_eq!(store.find_token(&[9; 32]).await.unwrap(), None);
    assert!(store.delete_token(token(2)).await.unwrap());
    assert!(!store.delete_token(token(2)).await.unwrap());
    assert_eq!(store.find_token(&access.hash).await.unwrap(), None);
    assert_eq!(store.find_token(&owner.hash).await.unwrap(), Some(owner));
}

async fn refuses_tokens_that_conflict(store: Arc<dyn Store>) {
    store.insert_token(&token_row(1, TokenKind::Access)).await.unwrap();
    let same_id = TokenRow { hash: [8; 32], ..token_row(1, TokenKind::Access) };
    assert_eq!(broken(store.insert_token(&same_id).await), "tokens_key");
    let same_hash = TokenRow { hash: [1; 32], ..token_row(2, TokenKind::Access) };
    assert_eq!(broken(store.insert_token(&same_hash).await), "tokens_hash");
    broken(store.insert_token(&TokenRow { user: Some(user(1)), ..token_row(3, TokenKind::Access) }).await);
    broken(store.insert_token(&TokenRow { workspace: stranger(), ..token_row(4, TokenKind::Access) }).await);
}

async fn knows_which_kinds_of_tokens_there_are(store: Arc<dyn Store>) {
    assert!(!store.has_token(TokenKind::Owner).await.unwrap());
    store.insert_token(&token_row(1, TokenKind::Refresh)).await.unwrap();
    assert!(!store.has_token(TokenKind::Owner).await.unwrap());
    assert!(store.has_token(TokenKind::Refresh).await.unwrap());
    store.insert_token(&token_row(2, TokenKind::Owner)).await.unwrap();
    assert!(store.has_token(TokenKind::Owner).await.unwrap());
}
