//! The one way to call an actor and wait for its reply: always with a timeout, since a reply may never come. Handles use it;
//! actors do not, so that no cycle of calls can form.

use std::time::Duration;

use ractor::{ActorRef, RpcReplyPort, rpc::CallResult};

use super::metering::MeteredMessage;

/// Why there is no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The actor had ended, or ended without a reply.
    #[error("the actor has ended")]
    Gone,
    /// No reply came in time. The actor may still do what it was asked for.
    #[error("the actor did not reply in time")]
    Timeout,
}

/// Sends the message that `make` builds around a reply port and waits for the reply.
///
/// Errors: see [`AskError`].
#[expect(clippy::disallowed_methods, reason = "the one call, with a timeout")]
pub async fn ask<M: MeteredMessage, R: Send + 'static>(
    actor: &ActorRef<M>,
    make: impl FnOnce(RpcReplyPort<R>) -> M,
    timeout: Duration,
) -> Result<R, AskError> {
    match actor.call(make, Some(timeout)).await {
        Ok(CallResult::Success(reply)) => Ok(reply),
        Ok(CallResult::Timeout) => Err(AskError::Timeout),
        Ok(CallResult::SenderError) | Err(_) => Err(AskError::Gone),
    }
}
