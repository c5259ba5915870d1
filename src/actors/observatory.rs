//! Knows every metered actor of this process: what the admin page, the metrics and the tests' leak check read.
//!
//! The registry is process-wide, against the house rule on globals, since ractor's hook for outgoing messages is given the
//! addressee's id and nothing else. It holds numbers only: nothing may look up an actor here to talk to it.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    sync::{Arc, LazyLock, atomic::Ordering::Relaxed},
    time::Duration,
};

use dashmap::DashMap;
use ractor::{ActorCell, ActorId, ActorStatus};
use serde::Serialize;

use super::metering::{Distribution, KindMeter, Meter, RestartReason};

/// Actors that one snapshot shows; the kinds' totals cover all of them.
pub const ACTORS_SHOWN_MAX: usize = 1_000;
/// A kind with more live actors than this is a crowd. The others are the frame of the tree, which is shown first.
const CROWD_MIN: usize = 100;

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
    /// At most [`ACTORS_SHOWN_MAX`]: the kinds of few actors first; within each part the deepest mailboxes, then the oldest.
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

/// The totals of one kind for time series; see [`KindView`] for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindTotals {
    pub kind: &'static str,
    pub live: usize,
    pub depth: usize,
    /// Messages that were put into mailboxes.
    pub received: u64,
    pub errors: u64,
    /// Why and how often one was started again; every reason is there.
    pub restarts: Vec<(&'static str, u64)>,
    pub wait: Distribution,
    pub handle: Distribution,
}

/// The present numbers of everything that is metered. Takes time in proportion to the live actors: for people, not for loops.
pub fn snapshot() -> Snapshot {
    // Copied first: reading an actor takes locks of its own, which must not nest in the registry's.
    let mut observed: Vec<Observed> = OBSERVATORY.actors.iter().map(|entry| entry.value().clone()).collect();
    let mut kinds: Vec<KindView> = OBSERVATORY.kinds.iter().map(|entry| kind_view(entry.value(), &observed)).collect();
    kinds.sort_by_key(|view| view.kind);
    let actors_live = observed.len();
    sort(&mut observed);
    Snapshot { actors_live, actors: observed.iter().map(actor_view).collect(), kinds }
}

/// One actor and its children, as [`snapshot`] shows them; `None` if it is not metered or has ended.
pub fn view(id: &str) -> Option<(ActorView, Vec<ActorView>)> {
    let id = ActorId::Local(id.strip_prefix("0.")?.parse().ok()?);
    let found = OBSERVATORY.actors.get(&id).map(|entry| entry.value().clone())?;
    let all: Vec<Observed> = OBSERVATORY.actors.iter().map(|entry| entry.value().clone()).collect();
    let is_child = |actor: &Observed| actor.cell.try_get_supervisor().is_some_and(|parent| parent.get_id() == id);
    let mut children: Vec<Observed> = all.into_iter().filter(is_child).collect();
    sort(&mut children);
    Some((actor_view(&found), children.iter().map(actor_view).collect()))
}

/// The totals of every kind, by name.
pub fn totals() -> Vec<KindTotals> {
    let mut depths: BTreeMap<&'static str, usize> = BTreeMap::new();
    for entry in &OBSERVATORY.actors {
        let meter = &entry.value().meter;
        *depths.entry(meter.kind.name).or_default() += meter.depth();
    }
    let mut totals: Vec<KindTotals> = OBSERVATORY.kinds.iter().map(|entry| kind_totals(entry.value(), &depths)).collect();
    totals.sort_by_key(|totals| totals.kind);
    totals
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
pub(super) fn count_restart(name: &'static str, reason: RestartReason) {
    kind(name).count_restart(reason);
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

/// Puts the most telling actors first and leaves out those that are too many.
fn sort(actors: &mut Vec<Observed>) {
    let is_crowd = |actor: &Observed| actor.meter.kind.live.load(Relaxed) > CROWD_MIN;
    actors.sort_by_cached_key(|actor| (is_crowd(actor), Reverse(actor.meter.depth()), actor.cell.get_id()));
    actors.truncate(ACTORS_SHOWN_MAX);
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
        serves: meter.serves.map(|served| served.to_string()),
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
        restarts: kind.restarts().map(|(_, count)| count).sum(),
        wait_p50_us: kind.timings.wait_us(50),
        wait_p99_us: kind.timings.wait_us(99),
        handle_p50_us: kind.timings.handle_us(50),
        handle_p99_us: kind.timings.handle_us(99),
    }
}

fn kind_totals(kind: &Arc<KindMeter>, depths: &BTreeMap<&'static str, usize>) -> KindTotals {
    KindTotals {
        kind: kind.name,
        live: kind.live.load(Relaxed),
        depth: depths.get(kind.name).copied().unwrap_or(0),
        received: kind.received.load(Relaxed),
        errors: kind.errors.load(Relaxed),
        restarts: kind.restarts().map(|(reason, count)| (reason.as_str(), count)).collect(),
        wait: kind.timings.waits(),
        handle: kind.timings.handles(),
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
