//! Sessions: families of refresh tokens, and those of browsers.

use std::sync::Arc;

use citadel::{
    model::change::Change,
    store::{RotateOutcome, RotateSession, SESSIONS_OF_USER_MAX, SessionKind, SessionRow, Store, UserChange, UserRow},
};

use crate::{
    harness::cases,
    samples::{NOON, broken, session, session_row, user, user_row},
};

cases! {
    finds_a_session_until_it_is_deleted,
    lets_in_nobody_who_is_disabled_or_has_another_password,
    sessions_of_a_user_obeyed_and_violated,
    a_refresh_token_is_good_once,
    a_repeated_use_gets_the_same_answer_for_a_moment,
    a_token_that_was_used_before_ends_the_session,
    of_uses_at_once_one_rotates_and_the_others_repeat,
    ends_whether_it_is_used_or_not,
    a_use_moves_the_end,
}

async fn with_user(store: &dyn Store) {
    store.insert_first_user(&user_row(1)).await.unwrap();
}

/// A use of a token of session 1 at some time after noon.
fn step(from: u8, to: u8, after_ms: u64) -> RotateSession {
    let now_ms = NOON + after_ms;
    RotateSession { id: session(1), from: [from; 32], to: [to; 32], now_ms, expires_at: now_ms + 1_000, grace_ms: 100 }
}

fn rotated() -> RotateOutcome {
    RotateOutcome::Rotated { user: user(1) }
}

async fn finds_a_session_until_it_is_deleted(store: Arc<dyn Store>) {
    with_user(&*store).await;
    let console = SessionRow { kind: SessionKind::Console, previous_hash: Some([9; 32]), ..session_row(2) };
    for row in [&session_row(1), &console] {
        assert!(store.insert_session(row, None).await.unwrap());
        assert_eq!(store.find_session(row.id).await.unwrap().as_ref(), Some(row));
    }
    assert_eq!(broken(store.insert_session(&session_row(1), None).await), "sessions_key");
    assert!(store.delete_session(session(1)).await.unwrap());
    assert!(!store.delete_session(session(1)).await.unwrap());
    assert_eq!(store.find_session(session(1)).await.unwrap(), None);
    assert_eq!(store.find_session(session(2)).await.unwrap(), Some(console));
}

async fn lets_in_nobody_who_is_disabled_or_has_another_password(store: Arc<dyn Store>) {
    assert!(!store.insert_session(&session_row(1), None).await.unwrap());
    with_user(&*store).await;
    assert!(!store.insert_session(&session_row(1), Some("other")).await.unwrap());
    assert!(store.insert_session(&session_row(1), Some(&user_row(1).password_hash)).await.unwrap());
    // Somebody else is an owner, too, so that this one can be disabled.
    let owner = citadel::store::RoleGrant { name: "owner".to_owned(), is_custom: false };
    store.insert_user(&UserRow { disabled_at: None, ..user_row(2) }, &owner).await.unwrap();
    let disabled = UserChange { name: String::new(), disabled_at: Change::To(Some(NOON)) };
    store.update_user(user(1), &disabled).await.unwrap();
    assert!(!store.insert_session(&session_row(2), None).await.unwrap());
    assert_eq!(store.find_session(session(1)).await.unwrap(), None);
    assert_eq!(store.rotate_session(&step(1, 2, 0)).await.unwrap(), RotateOutcome::Gone);
    // Whoever is let in again logs in again.
    store.update_user(user(1), &UserChange { disabled_at: Change::To(None), ..disabled }).await.unwrap();
    assert_eq!(store.find_session(session(1)).await.unwrap(), None);
}

async fn sessions_of_a_user_obeyed_and_violated(store: Arc<dyn Store>) {
    with_user(&*store).await;
    let most = u8::try_from(SESSIONS_OF_USER_MAX).unwrap();
    for number in 1..=most {
        store.insert_session(&session_row(number), None).await.unwrap();
    }
    assert!(store.find_session(session(1)).await.unwrap().is_some());
    store.insert_session(&session_row(most + 1), None).await.unwrap();
    assert_eq!(store.find_session(session(1)).await.unwrap(), None);
    for number in [2, most + 1] {
        assert!(store.find_session(session(number.into())).await.unwrap().is_some(), "{number}");
    }
}

async fn a_refresh_token_is_good_once(store: Arc<dyn Store>) {
    with_user(&*store).await;
    assert_eq!(store.rotate_session(&step(1, 2, 0)).await.unwrap(), RotateOutcome::Gone);
    store.insert_session(&session_row(1), None).await.unwrap();
    assert_eq!(store.rotate_session(&step(1, 2, 500)).await.unwrap(), rotated());
    let expected = SessionRow {
        hash: [2; 32],
        previous_hash: Some([1; 32]),
        rotated_at: NOON + 500,
        expires_at: NOON + 1_500,
        ..session_row(1)
    };
    assert_eq!(store.find_session(session(1)).await.unwrap(), Some(expected));
    assert_eq!(store.rotate_session(&step(2, 3, 1_400)).await.unwrap(), rotated());
}

async fn a_repeated_use_gets_the_same_answer_for_a_moment(store: Arc<dyn Store>) {
    with_user(&*store).await;
    store.insert_session(&session_row(1), None).await.unwrap();
    store.rotate_session(&step(1, 2, 0)).await.unwrap();
    let before = store.find_session(session(1)).await.unwrap();
    let repeated = RotateOutcome::Repeated { user: user(1), hash: [2; 32] };
    assert_eq!(store.rotate_session(&step(1, 9, 99)).await.unwrap(), repeated);
    assert_eq!(store.find_session(session(1)).await.unwrap(), before);
    assert_eq!(store.rotate_session(&step(1, 9, 100)).await.unwrap(), RotateOutcome::Reused { user: user(1) });
    assert_eq!(store.find_session(session(1)).await.unwrap(), None);
}

async fn a_token_that_was_used_before_ends_the_session(store: Arc<dyn Store>) {
    with_user(&*store).await;
    store.insert_session(&session_row(1), None).await.unwrap();
    store.rotate_session(&step(1, 2, 0)).await.unwrap();
    store.rotate_session(&step(2, 3, 1)).await.unwrap();
    // It is not the one before the present one any more.
    assert_eq!(store.rotate_session(&step(1, 2, 2)).await.unwrap(), RotateOutcome::Reused { user: user(1) });
    assert_eq!(store.rotate_session(&step(3, 4, 3)).await.unwrap(), RotateOutcome::Gone);
}

async fn of_uses_at_once_one_rotates_and_the_others_repeat(store: Arc<dyn Store>) {
    with_user(&*store).await;
    store.insert_session(&session_row(1), None).await.unwrap();
    let step = step(1, 2, 0);
    let (a, b, c) = tokio::join!(store.rotate_session(&step), store.rotate_session(&step), store.rotate_session(&step));
    let outcomes = [a, b, c].map(Result::unwrap);
    let repeated = RotateOutcome::Repeated { user: user(1), hash: [2; 32] };
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == rotated()).count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == repeated).count(), 2, "{outcomes:?}");
}

async fn ends_whether_it_is_used_or_not(store: Arc<dyn Store>) {
    with_user(&*store).await;
    for ends_at in [NOON + 60_000, NOON + 500] {
        store.insert_session(&SessionRow { ends_at, ..session_row(1) }, None).await.unwrap();
        let last_ms = (ends_at - NOON).min(1_000);
        assert_eq!(store.rotate_session(&step(1, 2, last_ms)).await.unwrap(), RotateOutcome::Gone);
        assert_eq!(store.rotate_session(&step(1, 2, last_ms - 1)).await.unwrap(), rotated());
        // Never beyond its end.
        assert!(store.find_session(session(1)).await.unwrap().unwrap().expires_at <= ends_at);
        store.delete_session(session(1)).await.unwrap();
    }
}

async fn a_use_moves_the_end(store: Arc<dyn Store>) {
    with_user(&*store).await;
    assert!(!store.touch_session(session(1), NOON + 2_000).await.unwrap());
    store.insert_session(&session_row(1), None).await.unwrap();
    for (until, moves, expected) in [(2_000, true, 2_000), (1_500, false, 2_000), (90_000, true, 60_000), (90_000, false, 60_000)]
    {
        assert_eq!(store.touch_session(session(1), NOON + until).await.unwrap(), moves, "{until}");
        assert_eq!(store.find_session(session(1)).await.unwrap().unwrap().expires_at, NOON + expected);
    }
}
