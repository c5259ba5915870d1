//! What the tests of actors share.

use std::time::Duration;

use tokio::time::Instant;

/// How long a condition may take to become true: with a paused clock this costs nothing.
const DEADLINE: Duration = Duration::from_secs(60);

/// Waits until `condition` holds.
#[track_caller]
pub(super) fn eventually(what: &str, condition: impl Fn() -> bool) -> impl Future<Output = ()> {
    let (place, what) = (std::panic::Location::caller(), what.to_owned());
    async move {
        let deadline = Instant::now() + DEADLINE;
        while !condition() {
            assert!(Instant::now() < deadline, "never came true: {what} ({place})");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
