//! Bounds how many executions of a workflow run at once in this process (`settings.concurrency`), and of a workspace where the
//! operator wants those beyond its quota to wait. Not an actor: a few maps under one lock, asked when an execution has work to do
//! and told when its [`Turn`] is dropped, however that comes about. An execution with two bounds passes one gate after the other,
//! always in the same order, so that no two wait for each other.
//!
//! What has begun before comes first, so that work in hand gets done; the rest follows in the order of its start. An execution
//! that rests holds no place: it asks again when it is woken. Bounds: [`Places::is_full`] for new executions; those that come
//! back from the store are let in beyond that, since they were admitted once.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::model::ids::ExecutionId;

/// The places of every workflow and workspace that has a bound. Clones share them.
#[derive(Clone)]
pub struct Places {
    inner: Arc<Mutex<Inner>>,
    queued_max: usize,
}

struct Inner {
    gates: HashMap<Uuid, Gate>,
    /// Executions that wait, at any gate.
    waiting: HashMap<ExecutionId, Waiting>,
    /// Recoveries under way: see [`Hold`].
    holds: usize,
}

/// The places of one workflow or workspace, while anybody holds one or waits for one.
struct Gate {
    /// The newest version that asked, and its bound.
    version: u32,
    limit: usize,
    inside: HashSet<ExecutionId>,
    queue: BTreeSet<Order>,
}

/// An execution on its way.
struct Waiting {
    bounds: Vec<Bound>,
    /// The bound whose gate it waits at.
    at: usize,
    tell: oneshot::Sender<()>,
}

/// Who comes before whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Order {
    class: Class,
    created_at: u64,
    execution: ExecutionId,
}

/// Whether an execution has begun its work before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    Resumed,
    New,
}

/// A bound on executions that run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// The workflow or workspace that it is about.
    pub gate: Uuid,
    /// A bound of a newer version replaces those of older ones.
    pub version: u32,
    pub limit: usize,
}

/// An execution that asks for a place.
#[derive(Debug, Clone)]
pub struct Applicant {
    /// At least one.
    pub bounds: Vec<Bound>,
    pub class: Class,
    /// Unix milliseconds.
    pub created_at: u64,
    pub execution: ExecutionId,
}

/// A place, or a place in the queue. Given back when it is dropped.
pub struct Turn {
    places: Places,
    gates: Vec<Uuid>,
    order: Order,
    /// Tells when the place is there; `None` if it was at once, or somebody else listens.
    coming: Option<oneshot::Receiver<()>>,
}

/// The executions that wait, at one moment. **Shape**: `{ depth, depth_max, oldest_wait_ms }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct QueueView {
    pub depth: usize,
    pub depth_max: usize,
    /// How long ago the oldest of them was created; zero if there is none.
    pub oldest_wait_ms: u64,
}

/// Keeps new executions waiting while those of earlier lives are being looked for: they come first, in the order of their start.
pub struct Hold(Places);

impl Places {
    /// `queued_max` executions may wait before [`Places::is_full`] says so.
    pub fn new(queued_max: usize) -> Self {
        Self { inner: Arc::new(Mutex::new(Inner { gates: HashMap::new(), waiting: HashMap::new(), holds: 0 })), queued_max }
    }

    /// Whether edges must refuse executions that would have to wait.
    pub fn is_full(&self) -> bool {
        self.queued() >= self.queued_max
    }

    /// Executions that wait for a place.
    pub fn queued(&self) -> usize {
        self.lock().waiting.len()
    }

    /// What waits for a place, for people and dashboards. Looks at all of it.
    pub fn view(&self, now_ms: u64) -> QueueView {
        let inner = self.lock();
        let oldest = inner.gates.values().flat_map(|gate| &gate.queue).map(|order| order.created_at).min();
        QueueView {
            depth: inner.waiting.len(),
            depth_max: self.queued_max,
            oldest_wait_ms: oldest.map_or(0, |created_at| now_ms.saturating_sub(created_at)),
        }
    }

    /// As [`Places::enter`]; `None` if it would have to wait and too many do already.
    pub fn try_enter(&self, applicant: &Applicant) -> Option<Turn> {
        let mut inner = self.lock();
        let may_wait = inner.waiting.len() < self.queued_max;
        let turn = self.enter_within(&mut inner, applicant, may_wait);
        drop(inner);
        turn
    }

    /// Takes a place, or a place in the queue.
    pub fn enter(&self, applicant: &Applicant) -> Turn {
        let mut inner = self.lock();
        self.enter_within(&mut inner, applicant, true).expect("it may wait")
    }

    fn enter_within(&self, inner: &mut Inner, applicant: &Applicant, may_wait: bool) -> Option<Turn> {
        let Applicant { bounds, class, created_at, execution } = applicant.clone();
        let order = Order { class, created_at, execution };
        let gates: Vec<Uuid> = bounds.iter().map(|bound| bound.gate).collect();
        let (tell, told) = oneshot::channel();
        let first = bounds.first().copied();
        inner.waiting.insert(execution, Waiting { bounds, at: 0, tell });
        if let Some(first) = first {
            inner.queue(first, order);
            inner.admit(first.gate);
        }
        let has_come = !inner.waiting.contains_key(&execution);
        if !has_come && !may_wait {
            inner.leave(&gates, &order);
            return None;
        }
        Some(Turn { places: self.clone(), gates, order, coming: (!has_come).then_some(told) })
    }

    /// Keeps new executions waiting until the hold and its clones are dropped.
    pub fn hold(&self) -> Arc<Hold> {
        self.lock().holds += 1;
        Arc::new(Hold(self.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change is complete before anything could panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Puts an execution in the queue of a gate.
    fn queue(&mut self, bound: Bound, order: Order) {
        let Bound { gate, version, limit } = bound;
        let empty = || Gate { version, limit, inside: HashSet::new(), queue: BTreeSet::new() };
        let gate = self.gates.entry(gate).or_insert_with(empty);
        if version >= gate.version {
            (gate.version, gate.limit) = (version, limit);
        }
        gate.queue.insert(order);
    }

    /// Lets in whoever is next, as far as there is room; from one gate they come to the next.
    fn admit(&mut self, gate: Uuid) {
        let mut open = vec![gate];
        while let Some(gate) = open.pop() {
            while let Some(order) = self.next_at(gate) {
                if let Some(bound) = self.passed(&order) {
                    self.queue(bound, order);
                    open.push(bound.gate);
                }
            }
        }
    }

    /// Lets one execution in at a gate, if there is room and somebody waits.
    fn next_at(&mut self, gate: Uuid) -> Option<Order> {
        let gate = self.gates.get_mut(&gate)?;
        let first = *gate.queue.first()?;
        let may_go = gate.inside.len() < gate.limit && (self.holds == 0 || first.class == Class::Resumed);
        if !may_go {
            return None;
        }
        gate.queue.pop_first();
        gate.inside.insert(first.execution);
        Some(first)
    }

    /// An execution has passed a gate. Answers the next one; without another it has its place, and is told.
    fn passed(&mut self, order: &Order) -> Option<Bound> {
        let waiting = self.waiting.get_mut(&order.execution)?;
        waiting.at += 1;
        let next = waiting.bounds.get(waiting.at).copied();
        if next.is_none()
            && let Some(waiting) = self.waiting.remove(&order.execution)
        {
            // Nobody listens if it was at once, or if the execution is on its way out and gives the place back in a moment.
            let _ = waiting.tell.send(());
        }
        next
    }

    fn leave(&mut self, gates: &[Uuid], order: &Order) {
        self.waiting.remove(&order.execution);
        for id in gates {
            let Some(gate) = self.gates.get_mut(id) else { continue };
            if !gate.queue.remove(order) {
                gate.inside.remove(&order.execution);
            }
            self.admit(*id);
            if self.gates.get(id).is_some_and(|gate| gate.inside.is_empty() && gate.queue.is_empty()) {
                self.gates.remove(id);
            }
        }
    }
}

impl Turn {
    /// Whether the place was there at once.
    pub fn has_come(&self) -> bool {
        self.coming.is_none()
    }

    /// What tells when the place is there; `None` if it is, or somebody listens already.
    pub fn take_coming(&mut self) -> Option<oneshot::Receiver<()>> {
        self.coming.take()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.places.lock().leave(&self.gates, &self.order);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.holds -= 1;
        if inner.holds == 0 {
            let gates: Vec<Uuid> = inner.gates.keys().copied().collect();
            for gate in gates {
                inner.admit(gate);
            }
        }
    }
}
