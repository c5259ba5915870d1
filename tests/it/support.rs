//! What the integration tests share: an app in this process, the real binary in another one, a client for both, and a server
//! that workflows can call.

pub(crate) mod client;
mod command;
mod contract;
mod event_stream;
mod people;
mod project;
mod receiver;
mod redis_server;
mod server_process;
mod test_app;
pub(crate) mod workflows;

use std::{path::PathBuf, time::Duration};

pub(crate) use self::{
    client::{Answer, Client},
    command::{Ran, command},
    event_stream::{EventStream, Line},
    people::Person,
    project::{Project, rows},
    receiver::Receiver,
    redis_server::RedisServer,
    server_process::{ServerProcess, citadel},
    test_app::TestApp,
};

/// Longest time that a test waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks at a condition.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Where compiled sandboxes are kept, so that only the first test compiles them.
pub(crate) fn cache_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cache")
}

/// Looks again until `look` finds something; panics after [`PATIENCE`].
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while tokio::time::Instant::now() < deadline {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        panic!("waited in vain for: {what} (at {caller})");
    }
}
