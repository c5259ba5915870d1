//! The bounds on executions of one workflow, or of one workspace, that run at once. An execution without a place is in memory,
//! hears what is sent to it and can end, but begins nothing. It gives its place back when it rests, even if it stays in memory: an execution that it
//! waits for may need that very place.

use std::sync::atomic::Ordering;

use ractor::ActorRef;

use super::{ExecutionMsg, Live};
use crate::{
    actors::{
        live::LivePermit,
        places::{Applicant, Class, Turn},
    },
    model::{event::Event, machine::Effect},
};

/// How an execution stands with the places of its workflow and its workspace.
pub(super) enum Standing {
    /// There is no bound.
    Free,
    /// It holds no place. A new execution drew its turn before it was stored.
    Outside(Option<Turn>),
    /// It waits for a place, without a permit of the executions that run.
    Queued(Turn),
    /// It holds a place until this is dropped.
    Inside(#[expect(dead_code, reason = "its drop is what counts")] Turn),
}

impl Live {
    /// Whether work waits for a place.
    pub(super) fn is_queued(&self) -> bool {
        match &self.standing {
            Standing::Free | Standing::Inside(_) => false,
            Standing::Outside(_) | Standing::Queued(_) => self.worklist.front().is_some_and(|effect| self.is_work(effect)),
        }
    }

    /// Whether an effect needs a place: what is over before its turn came, and the end itself, do not.
    pub(super) fn is_work(&self, effect: &Effect) -> bool {
        match effect {
            Effect::Run(attempt) | Effect::Resume { attempt, .. } => self.machine.current(attempt).is_some(),
            Effect::Abort(_) | Effect::Finish { .. } => false,
        }
    }

    /// Whether work may begin. If not, asks for a place; it is told when it comes.
    pub(super) fn has_place(&mut self, myself: &ActorRef<ExecutionMsg>) -> bool {
        match &mut self.standing {
            Standing::Free | Standing::Inside(_) => true,
            Standing::Queued(_) => false,
            // The next owner asks.
            Standing::Outside(_) if self.engine.is_draining.load(Ordering::Relaxed) => false,
            Standing::Outside(drawn) => {
                let turn = drawn.take().or_else(|| Some(self.engine.places.enter(&self.applicant()?)));
                turn.is_none_or(|turn| self.take_turn(turn, myself))
            }
        }
    }

    /// This execution, as the places see it; `None` if it has no bound.
    fn applicant(&self) -> Option<Applicant> {
        let bounds = self.engine.bounds(self.journal.workspace(), &self.plan);
        (!bounds.is_empty()).then(|| Applicant {
            bounds,
            class: if self.journal.is_untouched() { Class::New } else { Class::Resumed },
            created_at: self.journal.created_at(),
            execution: self.id,
        })
    }

    /// Goes in if the place is there, else waits for it.
    fn take_turn(&mut self, mut turn: Turn, myself: &ActorRef<ExecutionMsg>) -> bool {
        let coming = turn.take_coming();
        if coming.is_none() && self.permit.is_none() {
            self.permit = self.engine.live.try_return(self.journal.workspace());
        }
        if coming.is_none() && self.permit.is_some() {
            self.go_inside(turn);
            return true;
        }
        // What waits here must not keep others from running.
        self.permit = None;
        self.standing = Standing::Queued(turn);
        let (live, workspace, actor) = (self.engine.live.clone(), self.journal.workspace(), myself.clone());
        #[expect(clippy::disallowed_methods, reason = "it ends with the turn, and a dead actor does not need its answer")]
        tokio::spawn(async move {
            if let Some(coming) = coming
                && coming.await.is_err()
            {
                return;
            }
            let permit = live.comes_back().await.belongs_to(workspace);
            let _ = actor.cast(ExecutionMsg::TurnCame(permit));
        });
        false
    }

    /// The place is there, and a permit to run.
    pub(super) fn turn_came(&mut self, permit: LivePermit) {
        match std::mem::replace(&mut self.standing, Standing::Outside(None)) {
            Standing::Queued(turn) => {
                self.permit = Some(permit);
                self.go_inside(turn);
            }
            other => self.standing = other,
        }
    }

    fn go_inside(&mut self, turn: Turn) {
        self.standing = Standing::Inside(turn);
        if self.journal.is_row_queued() && self.machine.expects(&Event::Admitted) {
            self.happened(Event::Admitted);
        }
    }

    /// Gives the place back while there is nothing to do.
    pub(super) fn step_outside(&mut self) {
        if matches!(self.standing, Standing::Inside(_)) {
            self.standing = Standing::Outside(None);
        }
    }
}
