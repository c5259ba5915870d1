//! Bounds how many executions of a workflow run at once in this process: `settings.concurrency`. Not an actor: a few maps under
//! one lock, asked when an execution has work to do and told when its [`Turn`] is dropped, however that comes about.
//!
//! What has begun before comes first, so that work in hand gets done; the rest follows in the order of its start. An execution
//! that rests holds no place: it asks again when it is woken. Bounds: [`Places::is_full`] for new executions; those that come
//! back from the store are let in beyond that, since they were admitted once.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use tokio::sync::oneshot;

use crate::model::ids::{ExecutionId, WorkflowId};

/// The places of every workflow that has a bound. Clones share them.
#[derive(Clone)]
pub struct Places {
    inner: Arc<Mutex<Inner>>,
    queued_max: usize,
}

struct Inner {
    gates: HashMap<WorkflowId, Gate>,
    /// Executions that wait, over all workflows.
    queued: usize,
    /// Recoveries under way: see [`Hold`].
    holds: usize,
}

/// The places of one workflow, while anybody holds one or waits for one.
struct Gate {
    /// The newest version that asked, and its bound.
    version: u32,
    limit: usize,
    inside: HashSet<ExecutionId>,
    queue: BTreeMap<Order, oneshot::Sender<()>>,
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

/// An execution that asks for a place.
#[derive(Debug, Clone, Copy)]
pub struct Applicant {
    pub workflow: WorkflowId,
    pub version: u32,
    /// `settings.concurrency` of this version.
    pub limit: u32,
    pub class: Class,
    /// Unix milliseconds.
    pub created_at: u64,
    pub execution: ExecutionId,
}

/// A place, or a place in the queue. Given back when it is dropped.
pub struct Turn {
    places: Places,
    workflow: WorkflowId,
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
        Self { inner: Arc::new(Mutex::new(Inner { gates: HashMap::new(), queued: 0, holds: 0 })), queued_max }
    }

    /// Whether edges must refuse executions that would have to wait.
    pub fn is_full(&self) -> bool {
        self.queued() >= self.queued_max
    }

    /// Executions that wait for a place.
    pub fn queued(&self) -> usize {
        self.lock().queued
    }

    /// What waits for a place, for people and dashboards. Looks at all of it.
    pub fn view(&self, now_ms: u64) -> QueueView {
        let inner = self.lock();
        let oldest = inner.gates.values().flat_map(|gate| gate.queue.keys()).map(|order| order.created_at).min();
        QueueView {
            depth: inner.queued,
            depth_max: self.queued_max,
            oldest_wait_ms: oldest.map_or(0, |created_at| now_ms.saturating_sub(created_at)),
        }
    }

    /// As [`Places::enter`]; `None` if it would have to wait and too many do already.
    pub fn try_enter(&self, applicant: &Applicant) -> Option<Turn> {
        let mut inner = self.lock();
        let may_wait = inner.queued < self.queued_max;
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
        let Applicant { workflow, version, limit, class, created_at, execution } = *applicant;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let empty = || Gate { version, limit, inside: HashSet::new(), queue: BTreeMap::new() };
        let gate = inner.gates.entry(workflow).or_insert_with(empty);
        if version >= gate.version {
            (gate.version, gate.limit) = (version, limit);
        }
        let order = Order { class, created_at, execution };
        let (tell, told) = oneshot::channel();
        gate.queue.insert(order, tell);
        inner.queued += 1;
        inner.admit(workflow);
        let turn = |coming| Turn { places: self.clone(), workflow, order, coming };
        if inner.gates.get(&workflow).is_some_and(|gate| gate.inside.contains(&execution)) {
            return Some(turn(None));
        }
        if !may_wait {
            inner.leave(workflow, &order);
            return None;
        }
        Some(turn(Some(told)))
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
    /// Lets in whoever is next, as far as there is room.
    fn admit(&mut self, workflow: WorkflowId) {
        let Some(gate) = self.gates.get_mut(&workflow) else { return };
        while gate.inside.len() < gate.limit
            && let Some(first) = gate.queue.first_entry()
            && (self.holds == 0 || first.key().class == Class::Resumed)
        {
            let (order, tell) = first.remove_entry();
            self.queued -= 1;
            gate.inside.insert(order.execution);
            // Nobody listens if it was at once, or if the execution is on its way out and gives the place back in a moment.
            let _ = tell.send(());
        }
    }

    fn leave(&mut self, workflow: WorkflowId, order: &Order) {
        let Some(gate) = self.gates.get_mut(&workflow) else { return };
        if gate.queue.remove(order).is_some() {
            self.queued -= 1;
        } else {
            gate.inside.remove(&order.execution);
        }
        self.admit(workflow);
        if self.gates.get(&workflow).is_some_and(|gate| gate.inside.is_empty() && gate.queue.is_empty()) {
            self.gates.remove(&workflow);
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
        self.places.lock().leave(self.workflow, &self.order);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.holds -= 1;
        if inner.holds == 0 {
            let workflows: Vec<WorkflowId> = inner.gates.keys().copied().collect();
            for workflow in workflows {
                inner.admit(workflow);
            }
        }
    }
}
