//! Gives actors what ractor lacks: the depth of their mailboxes, waiting times, handling times, and a refusal at a full mailbox.
//! A message type opts in by `metered!`, an actor by [`metered()`]; everything else keeps plain `ActorRef`s.
//! Costs one map look-up and two clock readings per message.

mod histogram;
mod meter;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use ractor::{
    Actor, ActorId, ActorProcessingErr, ActorRef, Message, MessagingErr, SupervisionEvent,
    message::{BoxedDowncastErr, BoxedMessage},
};

pub use self::histogram::Distribution;
use self::meter::Stamp;
pub(super) use self::meter::{KindMeter, Meter, RestartReason, Timings};
use super::observatory::{self, Registration};
use crate::model::ids::ExecutionId;

/// Implements `ractor::Message` for a local message type so that its mailbox is metered.
macro_rules! metered_message {
    ($message:ty) => {
        impl ::ractor::Message for $message {
            fn box_message(
                self,
                to: &::ractor::ActorId,
            ) -> ::std::result::Result<::ractor::message::BoxedMessage, ::ractor::message::BoxedDowncastErr> {
                $crate::actors::metering::seal(self, to)
            }

            fn from_boxed(
                boxed: ::ractor::message::BoxedMessage,
            ) -> ::std::result::Result<Self, ::ractor::message::BoxedDowncastErr> {
                $crate::actors::metering::open(boxed)
            }
        }

        impl $crate::actors::metering::MeteredMessage for $message {}
    };
}
pub(crate) use metered_message as metered;

/// A message whose mailbox is metered; implemented by `metered!` only.
pub trait MeteredMessage: Message {}

/// A message with its stamp, as it lies in a mailbox. The stamp is absent if the addressee is not metered (any more).
struct Envelope<M> {
    message: M,
    stamp: Option<Stamp>,
}

impl<M: Send + 'static> Message for Envelope<M> {}

/// Boxes a message, in the sender's thread. For `metered!`.
pub fn seal<M: Send + 'static>(message: M, to: &ActorId) -> Result<BoxedMessage, BoxedDowncastErr> {
    Envelope { message, stamp: observatory::find(*to).map(Stamp::new) }.box_message(to)
}

/// Unboxes a message, in the actor's task just before its handler. For `metered!`.
pub fn open<M: Send + 'static>(boxed: BoxedMessage) -> Result<M, BoxedDowncastErr> {
    let Envelope { message, stamp } = Envelope::from_boxed(boxed)?;
    if let Some(stamp) = stamp {
        stamp.taken_out();
    }
    Ok(message)
}

/// Why a message was not sent. It comes back.
pub enum Refused<M> {
    /// The mailbox is as deep as allowed: try later.
    Full(M),
    /// The actor has ended, or is not metered, so that its mailbox cannot be bounded.
    Gone(M),
}

impl<M> Refused<M> {
    /// The message that was not sent.
    pub fn into_message(self) -> M {
        match self {
            Self::Full(message) | Self::Gone(message) => message,
        }
    }
}

impl<M> fmt::Debug for Refused<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full",
            Self::Gone(_) => "Gone",
        })
    }
}

/// Sends a message unless `depth_max` messages wait already. For every edge where work comes in from outside: mailboxes have
/// no bound of their own. Senders that race may exceed the bound by one message each.
///
/// Errors: see [`Refused`].
pub fn try_cast<M: MeteredMessage>(to: &ActorRef<M>, message: M, depth_max: usize) -> Result<(), Refused<M>> {
    match observatory::find(to.get_id()) {
        None => return Err(Refused::Gone(message)),
        Some(meter) if meter.depth() >= depth_max => return Err(Refused::Full(message)),
        Some(_) => {}
    }
    to.cast(message).map_err(|error| match error {
        MessagingErr::SendErr(message) => Refused::Gone(message),
        MessagingErr::ChannelClosed | MessagingErr::InvalidActorType => unreachable!("a metered actor is local and of this type"),
    })
}

/// Wraps an actor so that it is metered under `kind`, a name such as `execution`.
pub fn metered<A: Actor<Msg: MeteredMessage>>(inner: A, kind: &'static str) -> Metered<A> {
    Metered { inner, kind, serves: None, short_lived: false }
}

/// What an actor works for. Kept as it is and written out only when somebody looks: an execution in memory has two actors and
/// more, and none of them should cost a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    Execution(ExecutionId),
    /// The place of a service, such as a pool's name.
    Slot(&'static str),
}

impl From<ExecutionId> for Served {
    fn from(execution: ExecutionId) -> Self {
        Self::Execution(execution)
    }
}

impl From<&'static str> for Served {
    fn from(slot: &'static str) -> Self {
        Self::Slot(slot)
    }
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Execution(execution) => execution.fmt(f),
            Self::Slot(slot) => f.write_str(slot),
        }
    }
}

/// An actor with its meter. Deregisters when the actor ends, in whatever way.
pub struct Metered<A> {
    inner: A,
    kind: &'static str,
    serves: Option<Served>,
    short_lived: bool,
}

impl<A> Metered<A> {
    /// Says what this actor works for, such as the id of an execution.
    pub fn serving(mut self, what: impl Into<Served>) -> Self {
        self.serves = Some(what.into());
        self
    }

    /// Keeps timings for the kind only: for actors that come and go by the thousand.
    pub fn short_lived(mut self) -> Self {
        self.short_lived = true;
        self
    }
}

/// The state of the wrapped actor with its meter.
pub struct MeteredState<S> {
    inner: S,
    meter: Arc<Meter>,
    /// Taken after `post_stop`: a stopped actor's state lives on in the event to its supervisor until that is handled.
    registration: Option<Registration>,
}

impl<A: Actor<Msg: MeteredMessage>> Actor for Metered<A> {
    type Msg = A::Msg;
    type State = MeteredState<A::State>;
    type Arguments = A::Arguments;

    async fn pre_start(&self, myself: ActorRef<A::Msg>, args: A::Arguments) -> Result<Self::State, ActorProcessingErr> {
        let own = (!self.short_lived).then(Box::<Timings>::default);
        let meter = Arc::new(Meter::new(observatory::kind(self.kind), self.serves, own));
        let registration = observatory::register(myself.get_cell(), Arc::clone(&meter));
        let inner = self.inner.pre_start(myself, args).await?;
        Ok(MeteredState { inner, meter, registration: Some(registration) })
    }

    async fn post_start(&self, myself: ActorRef<A::Msg>, state: &mut Self::State) -> Result<(), ActorProcessingErr> {
        self.inner.post_start(myself, &mut state.inner).await
    }

    async fn handle(&self, myself: ActorRef<A::Msg>, message: A::Msg, state: &mut Self::State) -> Result<(), ActorProcessingErr> {
        let _handling = state.meter.begin();
        let outcome = self.inner.handle(myself, message, &mut state.inner).await;
        if outcome.is_err() {
            state.meter.count_error();
        }
        outcome
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<A::Msg>,
        event: SupervisionEvent,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        self.inner.handle_supervisor_evt(myself, event, &mut state.inner).await
    }

    async fn post_stop(&self, myself: ActorRef<A::Msg>, state: &mut Self::State) -> Result<(), ActorProcessingErr> {
        let outcome = self.inner.post_stop(myself, &mut state.inner).await;
        state.registration.take();
        outcome
    }
}
