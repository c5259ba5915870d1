//! The current incarnation of a supervised actor, for everybody who sends to it. The supervisor's start function sets it at
//! every restart; between a death and the restart, sends fail and the sender says "unavailable".

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use ractor::{Actor, ActorRef};

use super::ChildSpec;
use crate::actors::metering::{MeteredMessage, metered};

/// Refers to a service, not to one life of it. Clones see the same incarnation.
pub struct ServiceRef<M>(Arc<ArcSwapOption<ActorRef<M>>>);

impl<M> Clone for ServiceRef<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M> Default for ServiceRef<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M> ServiceRef<M> {
    /// A service that has not started yet.
    pub fn new() -> Self {
        Self(Arc::new(ArcSwapOption::empty()))
    }

    /// Makes `actor` the current incarnation.
    pub fn set(&self, actor: ActorRef<M>) {
        self.0.store(Some(Arc::new(actor)));
    }

    /// The latest incarnation, which may have ended; `None` before the first start.
    pub fn get(&self) -> Option<ActorRef<M>> {
        self.0.load().as_deref().cloned()
    }
}

impl<M: MeteredMessage> ServiceRef<M> {
    /// Specifies a child that is metered and kept in this reference. `make` gives the actor and the arguments of each life.
    pub fn child<A, F>(&self, kind: &'static str, slot: &'static str, make: F) -> ChildSpec
    where
        A: Actor<Msg = M>,
        F: Fn() -> (A, A::Arguments) + Send + Sync + 'static,
    {
        let service = self.clone();
        ChildSpec::new(kind, slot, move |supervisor| {
            let service = service.clone();
            let (actor, args) = make();
            async move {
                let (child, _) = Actor::spawn_linked(None, metered(actor, kind).serving(slot), args, supervisor).await?;
                service.set(child.clone());
                Ok(child.get_cell())
            }
        })
    }
}
