//! Who of the interpreters that wait for work may wait, and for whom: each waits for one language of one workspace, and serves no other.
//! Decides only; [`super::warm`] starts and ends processes. Generic over them, so that its rules are tested without any.
//!
//! What waits is bounded in all. A workspace that has more than another one gives way to it, and one that has not run anything for a
//! while to all others; so one that runs much cannot keep the rest cold.

use std::{
    collections::{HashMap, VecDeque},
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::model::ids::WorkspaceId;

/// A workspace that has run nothing for so long keeps what waits for it only while nobody else wants the place.
const IDLE_AFTER: Duration = Duration::from_secs(60);
/// How long nothing is started after an interpreter that did not start: every run would try it again.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// Whom an interpreter waits for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Purpose {
    pub(super) language: String,
    pub(super) workspace: WorkspaceId,
    /// The packages that it has: those of an older list are of no use. They wait until somebody else wants the place.
    pub(super) environment: Option<PathBuf>,
}

/// What waits, by purpose.
pub(super) struct Waiting<H> {
    shares: Mutex<HashMap<Purpose, Share<H>>>,
    /// What may wait, of all purposes together.
    waiting_max: usize,
}

/// Interpreters to start, and what has to end first.
pub(super) struct Room<H> {
    pub(super) places: usize,
    pub(super) displaced: Vec<H>,
}

struct Share<H> {
    waiting: VecDeque<H>,
    starting: usize,
    used_at: Instant,
    failed_at: Option<Instant>,
}

impl<H> Share<H> {
    fn len(&self) -> usize {
        self.waiting.len() + self.starting
    }

    fn is_idle(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.used_at) >= IDLE_AFTER
    }
}

impl<H> Waiting<H> {
    pub(super) fn new(waiting_max: usize) -> Self {
        Self { shares: Mutex::default(), waiting_max }
    }

    /// Takes the one that has waited longest, if one waits for this.
    pub(super) fn take(&self, purpose: &Purpose) -> Option<H> {
        self.lock().get_mut(purpose)?.waiting.pop_front()
    }

    /// Makes room until `wanted` wait for this, as far as there is any. Whoever gets places starts as many, and says of each what became
    /// of it: [`Waiting::put`] or [`Waiting::give_up`].
    pub(super) fn make_room(&self, purpose: &Purpose, wanted: usize, now: Instant) -> Room<H> {
        let mut shares = self.lock();
        shares.retain(|_, share| share.len() > 0 || !share.is_idle(now));
        let new = || Share { waiting: VecDeque::new(), starting: 0, used_at: now, failed_at: None };
        let share = shares.entry(purpose.clone()).or_insert_with(new);
        share.used_at = now;
        let mut room = Room { places: 0, displaced: Vec::new() };
        if share.failed_at.is_some_and(|failed| now.saturating_duration_since(failed) < RETRY_AFTER) {
            return room;
        }
        let mut own = share.len();
        let mut all: usize = shares.values().map(Share::len).sum();
        while own < wanted {
            if all >= self.waiting_max {
                let Some(displaced) = displace(&mut shares, purpose, own, now) else { break };
                room.displaced.push(displaced);
                all -= 1;
            }
            (own, all, room.places) = (own + 1, all + 1, room.places + 1);
        }
        if let Some(share) = shares.get_mut(purpose) {
            share.starting += room.places;
        }
        room
    }

    /// One has started and waits.
    pub(super) fn put(&self, purpose: &Purpose, interpreter: H) {
        if let Some(share) = self.lock().get_mut(purpose) {
            share.starting = share.starting.saturating_sub(1);
            share.failed_at = None;
            share.waiting.push_back(interpreter);
        }
    }

    /// So many will not start.
    pub(super) fn give_up(&self, purpose: &Purpose, places: usize, now: Instant) {
        if let Some(share) = self.lock().get_mut(purpose) {
            share.starting = share.starting.saturating_sub(places);
            share.failed_at = Some(now);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Purpose, Share<H>>> {
        // Every change is complete before anything could panic.
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes one away from another purpose, which is idle or has more than `own` and one.
fn displace<H>(shares: &mut HashMap<Purpose, Share<H>>, purpose: &Purpose, own: usize, now: Instant) -> Option<H> {
    let gives_way = |share: &Share<H>| share.is_idle(now) || share.len() > own + 1;
    let others = shares.iter_mut().filter(|(other, share)| *other != purpose && !share.waiting.is_empty() && gives_way(share));
    let (_, share) = others.max_by_key(|(_, share)| (share.is_idle(now), share.len()))?;
    share.waiting.pop_front()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn of(workspace: u128) -> Purpose {
        let workspace = WorkspaceId::from_uuid(Uuid::from_u128(workspace));
        Purpose { language: "python-native".to_owned(), workspace, environment: None }
    }

    /// Starts what it gets places for; the interpreters are named by their workspace. How many were started, who was displaced.
    fn fill(waiting: &Waiting<u128>, workspace: u128, wanted: usize, now: Instant) -> (usize, Vec<u128>) {
        let room = waiting.make_room(&of(workspace), wanted, now);
        (0..room.places).for_each(|_| waiting.put(&of(workspace), workspace));
        (room.places, room.displaced)
    }

    #[test]
    fn none_serves_another_workspace_language_or_set_of_packages() {
        let (waiting, now) = (Waiting::new(8), Instant::now());
        assert_eq!(fill(&waiting, 1, 2, now), (2, vec![]));
        assert_eq!(waiting.take(&of(2)), None);
        assert_eq!(waiting.take(&Purpose { language: "data".to_owned(), ..of(1) }), None);
        assert_eq!(waiting.take(&Purpose { environment: Some("/packages".into()), ..of(1) }), None);
        assert_eq!([waiting.take(&of(1)), waiting.take(&of(1)), waiting.take(&of(1))], [Some(1), Some(1), None]);
    }

    #[test]
    fn waiting_max_obeyed_and_violated() {
        let (waiting, now) = (Waiting::new(3), Instant::now());
        assert_eq!(fill(&waiting, 1, 3, now), (3, vec![]));
        assert_eq!(fill(&waiting, 1, 4, now), (0, vec![]), "there is no room, and nobody to give way");
        assert_eq!(fill(&Waiting::new(0), 1, 4, now), (0, vec![]));
        // Those that start have their places already.
        let starting = Waiting::<u128>::new(3);
        assert_eq!(starting.make_room(&of(1), 2, now).places, 2);
        assert_eq!(starting.make_room(&of(1), 2, now).places, 0);
        assert_eq!(starting.make_room(&of(2), 2, now).places, 1);
    }

    #[test]
    fn who_has_most_gives_way_until_it_is_fair() {
        let (waiting, now) = (Waiting::new(4), Instant::now());
        assert_eq!(fill(&waiting, 1, 4, now), (4, vec![]));
        assert_eq!(fill(&waiting, 2, 4, now), (2, vec![1, 1]));
        assert_eq!(fill(&waiting, 1, 4, now), (0, vec![]), "nothing goes back and forth");
        assert_eq!(fill(&waiting, 3, 1, now).0, 1);
        assert_eq!(fill(&waiting, 4, 1, now).0, 1);
        assert_eq!(fill(&waiting, 5, 1, now), (0, vec![]), "each has one");
    }

    #[test]
    fn who_is_idle_gives_everything() {
        let (waiting, now) = (Waiting::new(2), Instant::now());
        fill(&waiting, 1, 1, now);
        fill(&waiting, 2, 1, now);
        assert_eq!(fill(&waiting, 3, 2, now + IDLE_AFTER / 2), (0, vec![]));
        fill(&waiting, 2, 1, now + IDLE_AFTER / 2);
        assert_eq!(fill(&waiting, 3, 2, now + IDLE_AFTER), (1, vec![1]));
        assert_eq!(waiting.take(&of(1)), None);
        assert_eq!(waiting.take(&of(2)), Some(2));
    }

    #[test]
    fn what_does_not_start_is_not_tried_at_every_run() {
        let (waiting, now) = (Waiting::<u128>::new(2), Instant::now());
        assert_eq!(waiting.make_room(&of(1), 2, now).places, 2);
        waiting.give_up(&of(1), 2, now);
        assert_eq!(fill(&waiting, 1, 2, now + RETRY_AFTER / 2), (0, vec![]));
        assert_eq!(fill(&waiting, 1, 2, now + RETRY_AFTER), (2, vec![]));
    }
}
