//! Who gets a place, and when.

use uuid::Uuid;

use super::*;

const WORKFLOW: Uuid = Uuid::from_u128(1);
const OTHER: Uuid = Uuid::from_u128(2);
const WORKSPACE: Uuid = Uuid::from_u128(3);

fn bound(gate: Uuid, limit: usize) -> Bound {
    Bound { gate, version: 1, limit }
}

fn applicant(number: u128, limit: usize, class: Class) -> Applicant {
    let created_at = u64::try_from(number).unwrap();
    let execution = ExecutionId::from_uuid(Uuid::from_u128(number));
    Applicant { bounds: vec![bound(WORKFLOW, limit)], class, created_at, execution }
}

fn new(number: u128) -> Applicant {
    applicant(number, 2, Class::New)
}

/// Whether the place is there by now.
fn has_come(turn: &mut Turn) -> bool {
    turn.coming.as_mut().is_none_or(|coming| coming.try_recv().is_ok())
}

#[test]
fn places_obeyed_and_violated() {
    let places = Places::new(9);
    let (first, second) = (places.enter(&new(1)), places.enter(&new(2)));
    let mut third = places.enter(&new(3));
    assert!(first.has_come() && second.has_come() && !third.has_come());
    assert_eq!(places.queued(), 1);
    drop(first);
    assert!(has_come(&mut third));
    assert_eq!(places.queued(), 0);
}

#[test]
fn they_come_in_the_order_of_their_start_and_what_has_begun_comes_first() {
    let places = Places::new(9);
    let running = [places.enter(&new(1)), places.enter(&new(2))];
    let mut late = places.enter(&new(5));
    let mut early = places.enter(&new(4));
    let mut woken = places.enter(&applicant(9, 2, Class::Resumed));
    drop(running);
    assert_eq!((has_come(&mut woken), has_come(&mut early), has_come(&mut late)), (true, true, false));
    drop(woken);
    assert!(has_come(&mut late));
}

#[test]
fn whoever_leaves_the_queue_holds_nobody_up() {
    let places = Places::new(9);
    let running = [places.enter(&new(1)), places.enter(&new(2))];
    let (second, mut third) = (places.enter(&new(3)), places.enter(&new(4)));
    drop(second);
    assert_eq!(places.queued(), 1);
    drop(running);
    assert!(has_come(&mut third));
    drop(third);
    assert!(places.lock().gates.is_empty(), "nothing is kept of a workflow that rests");
}

#[test]
fn queue_obeyed_and_violated() {
    let places = Places::new(1);
    let running = [places.try_enter(&new(1)).unwrap(), places.try_enter(&new(2)).unwrap()];
    let queued = places.try_enter(&new(3)).unwrap();
    assert!(!queued.has_come() && places.is_full());
    assert!(places.try_enter(&new(4)).is_none());
    assert_eq!(places.queued(), 1, "a refusal leaves nothing behind");
    let other = Applicant { bounds: vec![bound(OTHER, 2)], ..new(5) };
    assert!(places.try_enter(&other).is_some(), "who need not wait is not refused");
    // What comes back from the store was admitted once.
    let recovered = places.enter(&new(6));
    assert_eq!(places.queued(), 2);
    let view = places.view(1_000_000);
    assert_eq!((view.depth, view.depth_max), (2, places.queued_max));
    assert!(view.oldest_wait_ms > 0, "{view:?}");
    drop((running, queued, recovered));
    assert_eq!(places.queued(), 0);
}

#[test]
fn the_newest_version_says_how_many() {
    let places = Places::new(9);
    let _first = places.enter(&applicant(1, 1, Class::New));
    let mut second = places.enter(&applicant(2, 1, Class::New));
    assert!(!second.has_come());
    let newer = vec![Bound { version: 2, ..bound(WORKFLOW, 3) }];
    let third = places.enter(&Applicant { bounds: newer, ..new(3) });
    assert!(has_come(&mut second) && third.has_come());
    let fourth = places.enter(&applicant(4, 1, Class::New));
    assert!(!fourth.has_come(), "an old version does not say more");
}

#[test]
fn a_recovery_keeps_new_ones_waiting_until_all_are_there() {
    let places = Places::new(9);
    let hold = places.hold();
    let mut later = places.enter(&new(5));
    let mut earlier = places.enter(&new(4));
    let resumed = places.enter(&applicant(9, 2, Class::Resumed));
    assert!(resumed.has_come() && !has_come(&mut later) && !has_come(&mut earlier));
    let clone = Arc::clone(&hold);
    drop(hold);
    assert!(!has_come(&mut earlier));
    drop(clone);
    assert!(has_come(&mut earlier) && !has_come(&mut later));
}

#[test]
fn two_bounds_are_both_obeyed() {
    let places = Places::new(9);
    let both = |number, workflow, limit| Applicant { bounds: vec![bound(workflow, limit), bound(WORKSPACE, 2)], ..new(number) };
    let first = places.enter(&both(1, WORKFLOW, 1));
    let second = places.enter(&both(2, OTHER, 9));
    let mut third = places.enter(&both(3, OTHER, 9));
    let mut fourth = places.enter(&both(4, WORKFLOW, 1));
    assert!(first.has_come() && second.has_come());
    assert!(!has_come(&mut third) && !has_come(&mut fourth), "the workspace has two places");
    drop(second);
    assert!(has_come(&mut third) && !has_come(&mut fourth), "the workflow has one place");
    drop(first);
    assert!(has_come(&mut fourth));
    drop((third, fourth));
    assert!(places.lock().gates.is_empty() && places.queued() == 0);
}

#[test]
fn whoever_leaves_between_two_gates_gives_both_back() {
    let places = Places::new(9);
    let both = |number| Applicant { bounds: vec![bound(WORKFLOW, 2), bound(WORKSPACE, 1)], ..new(number) };
    let (first, second, mut third) = (places.enter(&both(1)), places.enter(&both(2)), places.enter(&both(3)));
    assert!(first.has_come() && !second.has_come());
    drop(second);
    assert!(!has_come(&mut third), "it is past the first gate and waits at the second");
    assert!(places.try_enter(&both(4)).is_some(), "there is room in the queue");
    drop(first);
    assert!(has_come(&mut third));
}
