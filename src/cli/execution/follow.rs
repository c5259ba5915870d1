//! Follows an execution to its end: by its stream of events, which is opened again after the last event where it was cut, or by
//! looking again and again at a server that has no streams.

use std::{io, time::Duration};

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::steps::{Seen, step_of_event};
use crate::{
    cli::{
        Failure,
        client::{Method, Problem},
        progress::Screen,
        remote::{Remote, field},
    },
    model::{duration::DurationMs, execution::ExecutionStatus},
};

/// Pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Pause before a stream that was cut is opened again; it doubles with every failure.
const RECONNECT_MIN: Duration = Duration::from_millis(200);
const RECONNECT_MAX: Duration = Duration::from_secs(5);
/// How long a server that was there may be away: a restart takes that long.
const AWAY_MAX: Duration = Duration::from_secs(120);

/// Follows an execution to its end, and answers what the API shows of it then.
///
/// Errors: it is not there, the server is gone for too long, or `limit` is over (exit code 4): the execution goes on.
pub(in crate::cli) async fn follow(remote: &Remote, id: &str, limit: Option<Duration>) -> Result<Value, Failure> {
    let mut follower = Follower { remote, id, screen: Screen::on_stderr() };
    let Some(limit) = limit else { return follower.until_the_end().await };
    let late = |_| {
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let message = format!("the execution had not ended after {}; it goes on", DurationMs(limit_ms));
        Failure::timeout(message).with_hint(format!("`citadel execution watch {id}` follows it again"))
    };
    tokio::time::timeout(limit, follower.until_the_end()).await.map_err(late)?
}

struct Follower<'a> {
    remote: &'a Remote,
    id: &'a str,
    screen: Screen<io::Stderr>,
}

/// How a stream ended.
enum Cut {
    /// The execution has ended.
    Ended,
    /// The server has no streams, or not for us.
    NoStreams,
    /// It was cut, after some events or before any.
    Again { progressed: bool },
}

impl Follower<'_> {
    async fn until_the_end(&mut self) -> Result<Value, Failure> {
        let (mut last, mut pause) = (None, RECONNECT_MIN);
        let mut reached = Instant::now();
        loop {
            match self.read_stream(&mut last).await {
                Ok(Cut::Ended) => return self.remote.client.get(&["executions", self.id]).await,
                Ok(Cut::NoStreams) => return self.look_again_and_again().await,
                Ok(Cut::Again { progressed }) => {
                    if progressed {
                        (reached, pause) = (Instant::now(), RECONNECT_MIN);
                    }
                }
                // A server that was never there is not waited for.
                Err(failure) if last.is_none() || !failure.is_transient() => return Err(failure),
                Err(_) => {}
            }
            if reached.elapsed() > AWAY_MAX {
                return Err(Failure::error("the server has been away for too long")
                    .with_hint(format!("`citadel execution watch {}` follows the execution again", self.id)));
            }
            sleep(pause).await;
            pause = (pause * 2).min(RECONNECT_MAX);
        }
    }

    /// Reads one stream; `last` is the id of the last event, here and in the end.
    async fn read_stream(&mut self, last: &mut Option<String>) -> Result<Cut, Failure> {
        let call = self.remote.client.api(Method::GET, &["executions", self.id, "events"]).await?;
        let mut stream = match call.stream(last.as_deref()).await? {
            Ok(stream) => stream,
            Err(problem) if has_no_streams(&problem) => return Ok(Cut::NoStreams),
            Err(problem) if problem.status.is_server_error() => return Ok(Cut::Again { progressed: false }),
            Err(problem) => return Err(problem.into_failure(self.remote.client.target())),
        };
        let mut progressed = false;
        while let Some(event) = stream.next().await? {
            match event.name.as_str() {
                "end" => return Ok(Cut::Ended),
                // The server stops, or cannot read: the next stream goes on.
                "moved" | "error" => return Ok(Cut::Again { progressed }),
                _ => {}
            }
            progressed = true;
            if event.id.is_some() {
                last.clone_from(&event.id);
            }
            if let Some(step) = step_of_event(&event) {
                self.screen.show(&step);
            }
        }
        Ok(Cut::Again { progressed })
    }

    async fn look_again_and_again(&mut self) -> Result<Value, Failure> {
        let mut seen = Seen::default();
        loop {
            // The execution first: the runs that are read after its end are the last ones.
            let execution = self.remote.client.get(&["executions", self.id]).await?;
            let runs = self.remote.client.get(&["executions", self.id, "nodes"]).await?;
            for step in seen.steps(runs["items"].as_array().map_or(&[], Vec::as_slice)) {
                self.screen.show(&step);
            }
            let status = field(&execution, "status");
            if ExecutionStatus::ALL.iter().any(|known| known.is_terminal() && known.as_str() == status) {
                return Ok(execution);
            }
            sleep(LOOK_AGAIN).await;
        }
    }
}

/// An older server has no streams; a busy one has no more.
fn has_no_streams(problem: &Problem) -> bool {
    problem.is_unknown_route() || problem.body.code == "too_many_streams"
}
