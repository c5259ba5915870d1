//! Knows every metered actor of this process: what the admin page, the metrics and the tests' leak check read.
//!
//! The registry is process-wide, against the house rule on globals, since ractor's hook for outgoing messages is given the
//! addressee's id and nothing else. It holds numbers only: nothing may look up an actor here to talk to it.

use std::{
    sync::{Arc, LazyLock, atomic::Ordering::Relaxed},
    time::Duration,
};

use dashmap::DashMap;
use ractor::{ActorCell, ActorId, ActorStatus};
use serde::Serialize;

use super::metering::{KindMeter, Meter};

/// Actors that one snapshot shows; the kinds' totals cover all of them.
pub const ACTORS_SHOWN_MAX: usize = 1_000;

static OBSERVATORY: LazyLock<Observatory> = LazyLock::new(Observatory::default);

#[derive(Default)]
struct Observatory {
    actors: DashMap<ActorId, Observed>,
    /// As many as there are names of kinds in the program.
    kinds: DashMap<&'static str, Arc<KindMeter>>,
}

#[derive(Clone)]
struct Observed {
    cell: ActorCell,
    meter: Arc<Meter>,
}

/// Everything at one moment. **Shape**: `{"actors_live", "actors": [...], "kinds": [...]}`.
#[derive(Debug, Clone, Serialize)]
pub struct Snapshot {
    pub actors_live: usize,
    /// At most [`ACTORS_SHOWN_MAX`], those with the deepest mailboxes first, then the oldest.
    pub actors: Vec<ActorView>,
    /// All kinds since the process started, by name.
    pub kinds: Vec<KindView>,
}

/// One metered actor. Quantiles are since its start and rounded up (see `Histogram`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ActorView {
    /// Unique within this process only.
    pub id: String,
    pub kind: &'static str,
    pub name: Option<String>,
    /// The id of the actor that supervises it.
    pub parent: Option<String>,
    /// `starting`, `running`, `draining`, `stopping` or `stopped`.
    pub status: &'static str,
    /// Messages that wait in the mailbox.
    pub depth: usize,
    /// How long messages waited; absent for short-lived actors and before the first message.
    pub wait_p50_us: Option<u64>,
    pub wait_p99_us: Option<u64>,
    pub handled: u64,
    /// Failures that it reported and survived: a handler's error ends an actor and shows in its kind.
    pub errors: u64,
    /// How long handlers took; absent like the waits.
    pub handle_p50_us: Option<u64>,
    pub handle_p99_us: Option<u64>,
    /// How long the running handler has been at work; absent while idle.
    pub busy_for_ms: Option<u64>,
    pub age_ms: u64,
    /// What it works for, such as an execution's id.
    pub serves: Option<String>,
}

/// All actors of one kind since the process started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KindView {
    pub kind: &'static str,
    pub live: usize,
    pub started: u64,
    /// Messages that wait in the mailboxes of all of them.
    pub depth: usize,
    pub handled: u64,
    /// Failed and panicked handlers, and failures that the actors survived.
    pub errors: u64,
    /// How often a supervisor started one again.
    pub restarts: u64,
    pub wait_p50_us: Option<u64>,
    pub wait_p99_us: Option<u64>,
    pub handle_p50_us: Option<u64>,
    pub handle_p99_us: Option<u64>,
}

/// The present numbers of everything that is metered. Takes time in proportion to the live actors: for people, not for loops.
pub fn snapshot() -> Snapshot {
    // Copied first: reading an actor takes locks of its own, which must not nest in the registry's.
    let mut observed: Vec<Observed> = OBSERVATORY.actors.iter().map(|entry| entry.value().clone()).collect();
    let mut kinds: Vec<KindView> = OBSERVATORY.kinds.iter().map(|entry| kind_view(entry.value(), &observed)).collect();
    kinds.sort_by_key(|view| view.kind);
    let actors_live = observed.len();
    observed.sort_by_cached_key(|actor| (std::cmp::Reverse(actor.meter.depth()), actor.cell.get_id()));
    observed.truncate(ACTORS_SHOWN_MAX);
    Snapshot { actors_live, actors: observed.iter().map(actor_view).collect(), kinds }
}

/// How many metered actors live in this process.
pub fn live_count() -> usize {
    OBSERVATORY.actors.len()
}

/// How many metered actors of one kind live in this process.
pub fn live_count_of(kind: &str) -> usize {
    OBSERVATORY.kinds.get(kind).map_or(0, |kind| kind.live.load(Relaxed))
}

/// Counts a failure that an actor reports and survives. Nothing happens if it is not metered.
pub fn count_error(actor: ActorId) {
    if let Some(meter) = find(actor) {
        meter.count_error();
    }
}

/// Counts that a supervisor started an actor of this kind again.
pub(super) fn count_restart(name: &'static str) {
    kind(name).restarts.fetch_add(1, Relaxed);
}

/// The meter of a live actor.
pub(super) fn find(actor: ActorId) -> Option<Arc<Meter>> {
    OBSERVATORY.actors.get(&actor).map(|observed| Arc::clone(&observed.meter))
}

/// The totals of a kind.
pub(super) fn kind(name: &'static str) -> Arc<KindMeter> {
    if let Some(kind) = OBSERVATORY.kinds.get(name) {
        return Arc::clone(&kind);
    }
    Arc::clone(&OBSERVATORY.kinds.entry(name).or_insert_with(|| Arc::new(KindMeter::new(name))))
}

/// Makes an actor known for as long as the answer is kept.
pub(super) fn register(cell: ActorCell, meter: Arc<Meter>) -> Registration {
    let id = cell.get_id();
    meter.kind.started.fetch_add(1, Relaxed);
    meter.kind.live.fetch_add(1, Relaxed);
    OBSERVATORY.actors.insert(id, Observed { cell, meter });
    Registration(id)
}

/// Keeps an actor known; dropped with the actor's state when it ends, by stop, error, panic or kill.
pub(super) struct Registration(ActorId);

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some((_, observed)) = OBSERVATORY.actors.remove(&self.0) {
            observed.meter.kind.live.fetch_sub(1, Relaxed);
        }
    }
}

fn actor_view(Observed { cell, meter }: &Observed) -> ActorView {
    let own = meter.own.as_deref();
    ActorView {
        id: cell.get_id().to_string(),
        kind: meter.kind.name,
        name: cell.get_name(),
        parent: cell.try_get_supervisor().map(|parent| parent.get_id().to_string()),
        status: status_name(cell.get_status()),
        depth: meter.depth(),
        wait_p50_us: own.and_then(|own| own.wait_us(50)),
        wait_p99_us: own.and_then(|own| own.wait_us(99)),
        handled: meter.handled(),
        errors: meter.errors(),
        handle_p50_us: own.and_then(|own| own.handle_us(50)),
        handle_p99_us: own.and_then(|own| own.handle_us(99)),
        busy_for_ms: meter.busy_for().map(whole_ms),
        age_ms: whole_ms(meter.age()),
        serves: meter.serves.clone(),
    }
}

fn kind_view(kind: &Arc<KindMeter>, observed: &[Observed]) -> KindView {
    KindView {
        kind: kind.name,
        live: kind.live.load(Relaxed),
        started: kind.started.load(Relaxed),
        depth: observed.iter().filter(|actor| Arc::ptr_eq(&actor.meter.kind, kind)).map(|actor| actor.meter.depth()).sum(),
        handled: kind.timings.handled(),
        errors: kind.errors.load(Relaxed),
        restarts: kind.restarts.load(Relaxed),
        wait_p50_us: kind.timings.wait_us(50),
        wait_p99_us: kind.timings.wait_us(99),
        handle_p50_us: kind.timings.handle_us(50),
        handle_p99_us: kind.timings.handle_us(99),
    }
}

fn status_name(status: ActorStatus) -> &'static str {
    match status {
        ActorStatus::Unstarted | ActorStatus::Starting => "starting",
        ActorStatus::Running | ActorStatus::Upgrading => "running",
        ActorStatus::Draining => "draining",
        ActorStatus::Stopping => "stopping",
        ActorStatus::Stopped => "stopped",
    }
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
