//! Invitations to workspaces.

use std::sync::Arc;

use citadel::{
    model::{
        change::Change,
        ids::{InvitationId, WorkspaceId},
    },
    store::{AcceptInvitation, INVITATIONS_MAX, InsertInvitation, InvitationRow, Invitee, Store, UserChange, UserRow},
};
use uuid::Uuid;

use crate::{
    harness::cases,
    samples::{NOON, broken, built_in, custom, join, stranger, user, user_row},
};

cases! {
    stores_an_invitation_and_replaces_an_earlier_one,
    lists_and_deletes_invitations,
    an_invitation_makes_an_account_once,
    an_invitation_makes_a_known_person_a_member,
    an_invitation_ends_at_its_time,
    two_that_accept_one_invitation_are_one,
    invitations_end_with_whoever_made_them,
    invitations_limit_obeyed_and_violated,
}

const HERE: WorkspaceId = WorkspaceId::DEFAULT;

/// Invitation `number` to the first workspace, of nobody in particular.
pub(crate) fn invitation(number: u8) -> InvitationRow {
    InvitationRow {
        id: InvitationId::from_uuid(Uuid::from_u128(0x0193_0000_0000_7000_ba00_0000_0000_0000 + u128::from(number))),
        workspace: HERE,
        email: format!("user{number}@example.org"),
        role: "viewer".to_owned(),
        hash: [number; 32],
        invited_by: None,
        created_at: NOON,
        expires_at: NOON + 1_000,
    }
}

async fn invite(store: &dyn Store, row: &InvitationRow) -> InsertInvitation {
    store.insert_invitation(row, &built_in(&row.role)).await.unwrap()
}

async fn stores_an_invitation_and_replaces_an_earlier_one(store: Arc<dyn Store>) {
    join(&*store, 9, "owner").await;
    let first = InvitationRow { invited_by: Some(user(9)), ..invitation(1) };
    assert_eq!(invite(&*store, &first).await, InsertInvitation::Inserted);
    assert_eq!(store.find_invitation(&first.hash).await.unwrap().as_ref(), Some(&first));
    let second = InvitationRow { email: first.email.clone(), role: "editor".to_owned(), ..invitation(2) };
    assert_eq!(invite(&*store, &second).await, InsertInvitation::Inserted);
    assert_eq!(store.find_invitation(&first.hash).await.unwrap(), None);
    assert_eq!(store.find_invitation(&second.hash).await.unwrap().as_ref(), Some(&second));

    let of_a_member = InvitationRow { email: user_row(9).email, ..invitation(3) };
    assert_eq!(invite(&*store, &of_a_member).await, InsertInvitation::Member);
    let no_role = store.insert_invitation(&invitation(4), &custom("nothing")).await.unwrap();
    assert_eq!(no_role, InsertInvitation::NoRole);
    let same_id = InvitationRow { id: second.id, ..invitation(5) };
    assert_eq!(broken(store.insert_invitation(&same_id, &built_in("viewer")).await), "invitations_key");
    let same_hash = InvitationRow { hash: second.hash, ..invitation(6) };
    assert_eq!(broken(store.insert_invitation(&same_hash, &built_in("viewer")).await), "invitations_hash");
    let homeless = InvitationRow { workspace: stranger(), ..invitation(7) };
    broken(store.insert_invitation(&homeless, &built_in("viewer")).await);
    let by_nobody = InvitationRow { invited_by: Some(user(8)), ..invitation(8) };
    broken(store.insert_invitation(&by_nobody, &built_in("viewer")).await);
}

async fn invitations_end_with_whoever_made_them(store: Arc<dyn Store>) {
    join(&*store, 9, "owner").await;
    for number in 6..=8 {
        join(&*store, number, "admin").await;
        assert_eq!(
            invite(&*store, &InvitationRow { invited_by: Some(user(number)), ..invitation(u8::try_from(number).unwrap() - 5) })
                .await,
            InsertInvitation::Inserted
        );
    }
    invite(&*store, &InvitationRow { invited_by: Some(user(9)), ..invitation(5) }).await;
    store.delete_member(HERE, user(6)).await.unwrap();
    store.update_user(user(7), &UserChange { name: String::new(), disabled_at: Change::To(Some(NOON)) }).await.unwrap();
    store.delete_user(user(8)).await.unwrap();
    let left = store.list_invitations(HERE, None, 9).await.unwrap();
    assert_eq!(left.iter().map(|row| row.id).collect::<Vec<_>>(), [invitation(5).id]);
}

async fn lists_and_deletes_invitations(store: Arc<dyn Store>) {
    for number in [2, 1, 3] {
        invite(&*store, &invitation(number)).await;
    }
    let list = async |after, limit| store.list_invitations(HERE, after, limit).await.unwrap();
    assert_eq!(list(None, 2).await, [invitation(1), invitation(2)]);
    assert_eq!(list(Some(invitation(2).id), 2).await, [invitation(3)]);
    assert_eq!(store.list_invitations(stranger(), None, 9).await.unwrap(), []);
    assert!(!store.delete_invitation(stranger(), invitation(1).id).await.unwrap());
    assert!(store.delete_invitation(HERE, invitation(1).id).await.unwrap());
    assert!(!store.delete_invitation(HERE, invitation(1).id).await.unwrap());
}

async fn an_invitation_makes_an_account_once(store: Arc<dyn Store>) {
    invite(&*store, &invitation(1)).await;
    let accept =
        async |row: &InvitationRow, user: UserRow| store.accept_invitation(row, &Invitee::New(user), NOON + 1).await.unwrap();
    assert_eq!(accept(&invitation(1), user_row(1)).await, AcceptInvitation::Accepted);
    assert_eq!(store.find_user(user(1)).await.unwrap(), Some(user_row(1)));
    let joined = store.find_member(HERE, user(1)).await.unwrap().unwrap();
    assert_eq!((joined.role.as_str(), joined.created_at), ("viewer", NOON + 1));
    assert_eq!(store.find_invitation(&invitation(1).hash).await.unwrap(), None);
    assert_eq!(accept(&invitation(1), user_row(2)).await, AcceptInvitation::NotFound);
    // Nothing is used up by an address that has become taken.
    invite(&*store, &invitation(2)).await;
    let taken = UserRow { email: user_row(1).email, ..user_row(2) };
    assert_eq!(accept(&invitation(2), taken).await, AcceptInvitation::Exists);
    assert_eq!(accept(&invitation(2), user_row(2)).await, AcceptInvitation::Accepted);
}

async fn an_invitation_makes_a_known_person_a_member(store: Arc<dyn Store>) {
    join(&*store, 1, "viewer").await;
    store.delete_member(HERE, user(1)).await.unwrap();
    let accept = async |row: &InvitationRow| store.accept_invitation(row, &Invitee::Known(user(1)), NOON + 1).await;
    invite(&*store, &invitation(1)).await;
    assert_eq!(accept(&invitation(1)).await.unwrap(), AcceptInvitation::Accepted);
    assert_eq!(store.find_access(user(1), None).await.unwrap().unwrap().role, "viewer");
    let other_address = InvitationRow { email: "other@example.org".to_owned(), ..invitation(2) };
    invite(&*store, &other_address).await;
    assert_eq!(accept(&other_address).await.unwrap(), AcceptInvitation::Member);
    invite(&*store, &invitation(3)).await;
    broken(store.accept_invitation(&invitation(3), &Invitee::Known(user(7)), NOON + 1).await);
}

async fn an_invitation_ends_at_its_time(store: Arc<dyn Store>) {
    invite(&*store, &invitation(1)).await;
    let accept = async |at| store.accept_invitation(&invitation(1), &Invitee::New(user_row(1)), at).await.unwrap();
    assert_eq!(accept(NOON + 1_000).await, AcceptInvitation::NotFound);
    assert_eq!(accept(NOON + 999).await, AcceptInvitation::Accepted);
    // Expired ones go when another one comes.
    invite(&*store, &invitation(2)).await;
    invite(&*store, &InvitationRow { created_at: NOON + 1_000, expires_at: NOON + 2_000, ..invitation(3) }).await;
    assert_eq!(store.find_invitation(&invitation(2).hash).await.unwrap(), None);
}

async fn two_that_accept_one_invitation_are_one(store: Arc<dyn Store>) {
    invite(&*store, &invitation(1)).await;
    let row = invitation(1);
    let (left, right) = (Invitee::New(user_row(1)), Invitee::New(user_row(2)));
    let (left, right) = tokio::join!(store.accept_invitation(&row, &left, NOON), store.accept_invitation(&row, &right, NOON));
    let outcomes = [left.unwrap(), right.unwrap()];
    assert!(outcomes.contains(&AcceptInvitation::Accepted) && outcomes.contains(&AcceptInvitation::NotFound), "{outcomes:?}");
}

async fn invitations_limit_obeyed_and_violated(store: Arc<dyn Store>) {
    let row = |number: u32| {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&number.to_le_bytes());
        let id = InvitationId::from_uuid(Uuid::from_u128(u128::from(number) + 1));
        InvitationRow { id, hash, email: format!("{number}@example.org"), ..invitation(1) }
    };
    for number in 0..INVITATIONS_MAX {
        assert_eq!(invite(&*store, &row(number)).await, InsertInvitation::Inserted, "{number}");
    }
    assert_eq!(invite(&*store, &row(INVITATIONS_MAX)).await, InsertInvitation::Full);
    let again = InvitationRow { email: row(7).email, ..row(INVITATIONS_MAX) };
    assert_eq!(invite(&*store, &again).await, InsertInvitation::Inserted);
}
