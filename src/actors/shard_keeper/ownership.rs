//! Which shards this process owns at this moment, under which epochs. One writer, the shard keeper; read by everything that
//! starts effects or writes the journal. Only spares useless work: safety rests on the epoch that every write carries.

use std::time::Duration;

use arc_swap::ArcSwap;
use serde::Serialize;
use tokio::time::Instant;

use super::{LEASE_MS, MARGIN_MS};
use crate::{
    clock,
    model::ids::{ExecutionId, SHARD_COUNT},
    store::ShardLease,
};

/// Ids drawn in search of one that lands on an owned shard. With one shard of 256, one search in ten million fails.
const DRAWS_MAX: usize = 4_096;

/// The shards by number.
type Epochs = [Option<i64>; SHARD_COUNT as usize];
/// For each shard whether something holds.
type Shards = [bool; SHARD_COUNT as usize];

/// The present ownership.
pub struct Ownership(ArcSwap<Leases>);

/// The leases of all shards. They are renewed together, so they end together.
#[derive(Clone)]
struct Leases {
    epochs: Epochs,
    /// Held, but to be given away once nothing of them is in memory: nothing new begins in them.
    closing: Shards,
    /// When the request was sent that the leases come from: the store counts from a later moment, so this errs on the safe side.
    sent: Instant,
}

/// What a new answer of the store changed. A shard with a new epoch is in both.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) lost: Vec<u16>,
    pub(super) gained: Vec<ShardLease>,
}

/// The ownership at one moment. **Shape**: `{"shards_held", "offered", "lease_left_ms"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OwnershipView {
    pub shards_held: usize,
    /// Whether effects may start: false within the margin before the leases end.
    pub offered: bool,
    pub lease_left_ms: u64,
}

impl Default for Ownership {
    fn default() -> Self {
        Self::new()
    }
}

impl Ownership {
    /// Owns nothing.
    pub fn new() -> Self {
        let closing = [false; SHARD_COUNT as usize];
        Self(ArcSwap::from_pointee(Leases { epochs: [None; SHARD_COUNT as usize], closing, sent: Instant::now() }))
    }

    /// The epoch to act under; `None` if the shard is not owned, or its lease ends within [`MARGIN_MS`].
    pub fn epoch(&self, shard: u16) -> Option<i64> {
        let leases = self.0.load();
        let epoch = leases.epochs.get(usize::from(shard)).copied().flatten()?;
        leases.are_offered().then_some(epoch)
    }

    /// The shards that have an epoch to act under, in order.
    pub fn shards(&self) -> Vec<u16> {
        let leases = self.0.load();
        if leases.are_offered() { leases.held().map(|lease| lease.shard).collect() } else { Vec::new() }
    }

    /// Draws the id of a new execution that this process will own, so that its start needs no other process. `None` if this
    /// process owns nothing at present, or had no luck.
    pub fn draw_execution_id(&self) -> Option<ExecutionId> {
        let leases = self.0.load();
        let is_open = |shard: u16| leases.epochs[usize::from(shard)].is_some() && !leases.closing[usize::from(shard)];
        let mut drawn = (0..DRAWS_MAX).map(|_| ExecutionId::from_uuid(clock::new_uuid()));
        if leases.are_offered() { drawn.find(|id| is_open(id.shard())) } else { None }
    }

    /// For the admin page.
    pub fn snapshot(&self) -> OwnershipView {
        let leases = self.0.load();
        let left = leases.over_at().saturating_duration_since(Instant::now());
        OwnershipView {
            shards_held: leases.held().count(),
            offered: leases.are_offered(),
            lease_left_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Whether no lease is held, not even one within the margin.
    pub(super) fn is_empty(&self) -> bool {
        self.0.load().held().next().is_none()
    }

    /// Whether leases are held whose time is over.
    pub(super) fn is_over(&self) -> bool {
        !self.is_empty() && Instant::now() >= self.0.load().over_at()
    }

    /// Those of `wanted` that are not held.
    pub(super) fn missing(&self, wanted: &[u16]) -> Vec<u16> {
        let leases = self.0.load();
        let is_missing = |shard: &u16| leases.epochs.get(usize::from(*shard)).copied().flatten().is_none();
        wanted.iter().copied().filter(is_missing).collect()
    }

    /// Holds exactly `granted`, by a request sent at `sent`.
    pub(super) fn replace(&self, granted: &[ShardLease], sent: Instant) -> Changes {
        let mut epochs: Epochs = [None; SHARD_COUNT as usize];
        insert(&mut epochs, granted);
        self.set(Leases { epochs, closing: self.0.load().closing, sent })
    }

    /// Holds `granted` too. Leases that were held before end first, and take the new ones along.
    pub(super) fn add(&self, granted: &[ShardLease], sent: Instant) -> Changes {
        let mut leases = self.0.load().as_ref().clone();
        if leases.held().next().is_none() {
            leases.sent = sent;
        }
        insert(&mut leases.epochs, granted);
        self.set(leases)
    }

    /// Begins nothing new in any shard that is not in `wanted`. Answers those of them that are held.
    pub(super) fn close_all_but(&self, wanted: &[u16]) -> Vec<u16> {
        let mut leases = self.0.load().as_ref().clone();
        leases.closing = [true; SHARD_COUNT as usize];
        for shard in wanted {
            if let Some(closing) = leases.closing.get_mut(usize::from(*shard)) {
                *closing = false;
            }
        }
        let closing = leases.held().map(|lease| lease.shard).filter(|shard| leases.closing[usize::from(*shard)]).collect();
        self.set(leases);
        closing
    }

    /// Holds these no more.
    pub(super) fn remove(&self, shards: &[u16]) -> Changes {
        let mut leases = self.0.load().as_ref().clone();
        for shard in shards {
            if let Some(epoch) = leases.epochs.get_mut(usize::from(*shard)) {
                *epoch = None;
            }
        }
        self.set(leases)
    }

    /// Holds nothing any more.
    pub(super) fn clear(&self) -> Changes {
        self.replace(&[], Instant::now())
    }

    fn set(&self, leases: Leases) -> Changes {
        let before = self.0.swap(std::sync::Arc::new(leases.clone()));
        let kept = |leases: &Leases, lease: &ShardLease| leases.epochs[usize::from(lease.shard)] == Some(lease.epoch);
        Changes {
            lost: before.held().filter(|lease| !kept(&leases, lease)).map(|lease| lease.shard).collect(),
            gained: leases.held().filter(|lease| !kept(&before, lease)).collect(),
        }
    }
}

impl Leases {
    fn held(&self) -> impl Iterator<Item = ShardLease> + '_ {
        (0..SHARD_COUNT).zip(&self.epochs).filter_map(|(shard, epoch)| epoch.map(|epoch| ShardLease { shard, epoch }))
    }

    fn over_at(&self) -> Instant {
        self.sent + Duration::from_millis(LEASE_MS)
    }

    fn are_offered(&self) -> bool {
        Instant::now() < self.sent + Duration::from_millis(LEASE_MS - MARGIN_MS)
    }
}

/// Puts leases in their places. The store knows no shard beyond the last one.
fn insert(epochs: &mut Epochs, granted: &[ShardLease]) {
    for lease in granted {
        if let Some(epoch) = epochs.get_mut(usize::from(lease.shard)) {
            *epoch = Some(lease.epoch);
        }
    }
}
