//! Starts and stops the node actors of an execution.

use std::sync::{Arc, atomic::Ordering};

use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::{ExecutionMsg, Live};
use crate::{
    actors::{
        metering::metered,
        node_run::{NodeActor, NodeArgs, NodeWork},
    },
    clock, failpoint,
    model::{event::Attempt, machine::Effect},
    nodes::Runner,
    runtimes::javascript::GuestSession,
};

impl Live {
    /// Does what had to wait for its commit.
    pub(super) async fn perform(&mut self, effect: Effect, myself: &ActorRef<ExecutionMsg>) -> Result<(), ActorProcessingErr> {
        match effect {
            Effect::Run(attempt) => {
                failpoint!("execution.before_effect");
                self.start_node(attempt, myself).await
            }
            Effect::Abort(attempt) => {
                if let Some(node) = self.nodes.remove(&(attempt.node, attempt.run)) {
                    node.kill();
                }
                Ok(())
            }
            Effect::Finish { status, error } => {
                self.start_error_workflow(status, error, myself);
                Ok(())
            }
            // It is decided at once and never waits for a commit.
            Effect::Resume { .. } => Ok(()),
        }
    }

    /// Starts the node actor of an attempt, unless the attempt is over by now.
    pub(super) async fn start_node(
        &mut self,
        attempt: Attempt,
        myself: &ActorRef<ExecutionMsg>,
    ) -> Result<(), ActorProcessingErr> {
        if self.engine.is_draining.load(Ordering::Relaxed) {
            // Left open: the next owner finds it in the journal and begins it.
            return Ok(());
        }
        let (Some(run), Some(runner)) = (self.machine.current(&attempt), self.plan.runner(&attempt.node)) else {
            return Ok(());
        };
        let work = NodeWork {
            execution: self.id,
            workspace: self.journal.workspace(),
            workflow: self.plan.workflow,
            attempt: attempt.clone(),
            nesting: self.machine.nesting(),
            trace: self.trace,
            inputs: run.inputs.clone(),
            done: run.done.clone(),
            outputs: Arc::clone(self.machine.outputs()),
            data: Arc::clone(&self.data),
            now_ms: clock::now_ms(),
            guest: match runner {
                Runner::Pure(_) => self.guest.take(),
                Runner::Effect(_) | Runner::Engine => None,
            }
            .unwrap_or_else(|| GuestSession::new(Arc::clone(&self.engine.services.javascript))),
            credential: self.plan.credential(&attempt.node).map(str::to_owned),
            timeout_ms: self.plan.graph.node(&attempt.node).map_or(0, |node| node.timeout_ms),
            is_repeated: attempt.attempt > 1,
        };
        let args = NodeArgs { engine: Arc::clone(&self.engine), execution: myself.clone(), runner: runner.clone(), work };
        let actor = metered(NodeActor, "node").serving(self.id).short_lived();
        let (actor, _) = Actor::spawn_linked(None, actor, args, myself.get_cell()).await?;
        self.nodes.insert((attempt.node, attempt.run), actor);
        Ok(())
    }
}
