//! Runs one workflow to its end in a system of its own, which is thrown away: no server, no login, nothing left behind.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;

use super::{RunningApp, signals::StopSignals, start};
use crate::{
    actors::{
        engine::LiveEvent,
        executions::{FinishedExecution, StartRequest, Started},
        workflows::WorkflowError,
    },
    config::Config,
    http::{Items, NodeRunBody},
    model::{
        definition::WorkflowDefinition,
        event::{Event, ExecutionError, Recorded},
        execution::{ExecutionStatus, TriggerKind},
        history::node_runs,
        ids::{ExecutionId, WorkspaceId},
        item::Item,
        problem::Problem,
    },
    nodes::plan::CompiledWorkflow,
};

/// Where a run without a time-out is asked again whether it has ended.
const WAIT_STEP: Duration = Duration::from_secs(3_600);
/// Time that the system gets to stop; nothing in it has to outlive it.
const STOP_MAX: Duration = Duration::from_secs(2);

/// A workflow to run.
pub struct Job {
    pub definition: WorkflowDefinition,
    pub input: Value,
    pub timeout: Option<Duration>,
    /// Whether to report every node run instead of the result.
    pub with_nodes: bool,
}

/// What became of a job.
pub enum Report {
    /// The definition has problems.
    Invalid(Vec<Problem>),
    /// The execution ended. `output` is the result or the node runs, as the API shows them.
    Ended { status: ExecutionStatus, error: Option<ExecutionError>, output: Value },
    /// The time was up, or a signal came, before the execution ended.
    GivenUp(GivenUp),
}

/// Why a run was not followed to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenUp {
    Timeout,
    Signal,
}

/// What happened to an attempt of a node, as a progress line shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub node: Arc<str>,
    pub run: u32,
    pub attempt: u32,
    /// How long the attempt took; 0 while it lasts.
    pub duration_ms: u64,
    pub state: StepState,
}

/// What an attempt has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepState {
    Started,
    /// So many more of its items are done.
    Progressed {
        items: usize,
    },
    /// It waits; `wait` says for what.
    Waiting {
        wait: String,
    },
    Succeeded,
    /// `code: message`.
    Failed {
        failure: String,
    },
}

/// Runs a job. `progress` is told of each step.
///
/// Errors: the system could not be started, or broke down.
pub async fn run(mut config: Config, job: Job, progress: impl FnMut(&Step)) -> anyhow::Result<Report> {
    let mut signals = StopSignals::listen().context("cannot listen for signals")?;
    let directory = tempfile::Builder::new().prefix("citadel-run-").tempdir().context("cannot make a temporary directory")?;
    config.use_throwaway_directory(directory.path());
    let app = start(&config, |cause| tracing::error!(slot = cause.slot, cause = cause.cause, "a service fails again and again"))
        .await?;
    let report = run_in(&app, job, &mut signals, progress).await;
    app.stop(STOP_MAX).await;
    report
}

async fn run_in(
    app: &RunningApp,
    job: Job,
    signals: &mut StopSignals,
    mut progress: impl FnMut(&Step),
) -> anyhow::Result<Report> {
    let workspace = WorkspaceId::DEFAULT;
    let created = match app.workflows.create(workspace, job.definition, None).await {
        Ok(created) => created,
        Err(WorkflowError::Invalid(problems)) => return Ok(Report::Invalid(problems)),
        Err(error) => return Err(error.into()),
    };
    let workflow = app.workflows.to_start(workspace, created.workflow.row.id).await?;
    let mut live = app.engine.live_events.subscribe();
    let request = StartRequest {
        workspace,
        workflow: Arc::clone(&workflow),
        trigger: TriggerKind::Manual,
        start_node: None,
        items: Item::list_from_value(job.input),
        business_key: None,
        idempotency: None,
        wait: None,
        trace: None,
    };
    let Started { execution, .. } = app.executions.start(request).await?;
    let deadline = job.timeout.map(|timeout| tokio::time::Instant::now() + timeout);
    let ended = follow(app, execution);
    tokio::pin!(ended);
    let end = loop {
        tokio::select! {
            // What happened is shown before the end is.
            biased;
            received = live.recv() => match received {
                Ok(event) => progress_of(&event, execution).iter().for_each(&mut progress),
                // Missed progress is only missed: the result comes from the journal.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => break ended.await?,
            },
            end = &mut ended => break end?,
            () = until(deadline) => return give_up(app, execution, GivenUp::Timeout).await,
            _ = signals.next() => return give_up(app, execution, GivenUp::Signal).await,
        }
    };
    while let Ok(event) = live.try_recv() {
        progress_of(&event, execution).iter().for_each(&mut progress);
    }
    let output = if job.with_nodes { show_nodes(app, &workflow, execution).await? } else { serde_json::to_value(&end.result)? };
    Ok(Report::Ended { status: end.status, error: end.error, output })
}

/// Waits for the end, however long it takes.
async fn follow(app: &RunningApp, execution: ExecutionId) -> anyhow::Result<FinishedExecution> {
    loop {
        if let Some(end) = app.executions.wait(WorkspaceId::DEFAULT, execution, WAIT_STEP).await? {
            return Ok(end);
        }
    }
}

async fn until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Cancels an execution that nobody follows any more, so that its effects in flight are cut off in order.
async fn give_up(app: &RunningApp, execution: ExecutionId, why: GivenUp) -> anyhow::Result<Report> {
    if let Err(error) = app.executions.cancel(WorkspaceId::DEFAULT, execution, None).await {
        tracing::debug!(cause = %error, "the execution could not be cancelled");
    }
    app.executions.wait(WorkspaceId::DEFAULT, execution, STOP_MAX).await?;
    Ok(Report::GivenUp(why))
}

/// Every node run, in the shape of `GET /executions/{id}/nodes?include=data`.
async fn show_nodes(app: &RunningApp, workflow: &CompiledWorkflow, execution: ExecutionId) -> anyhow::Result<Value> {
    let history = app.executions.history(WorkspaceId::DEFAULT, execution).await?.context("the execution is gone")?;
    let runs = node_runs(&workflow.graph, &workflow.definition, &history.events);
    let items = runs.into_iter().map(|run| NodeRunBody::new(run, true)).collect();
    Ok(serde_json::to_value(Items { items })?)
}

/// What happened to nodes in this commit.
fn progress_of(live: &LiveEvent, execution: ExecutionId) -> Vec<Step> {
    if live.execution != execution {
        return Vec::new();
    }
    live.events.iter().filter_map(step_of).collect()
}

fn step_of(recorded: &Recorded) -> Option<Step> {
    let (attempt, started_at, state) = match &recorded.event {
        Event::NodeStarted { attempt } | Event::RetryDue { attempt } => (attempt, None, StepState::Started),
        Event::NodeProgressed { attempt, done } => (attempt, None, StepState::Progressed { items: done.len() }),
        Event::WaitStarted { attempt, started_at, wait } => {
            (attempt, Some(*started_at), StepState::Waiting { wait: wait_text(wait.until.is_some(), &wait.signals) })
        }
        Event::NodeSucceeded { attempt, started_at, .. } => (attempt, Some(*started_at), StepState::Succeeded),
        Event::NodeFailed { attempt, started_at, error, .. } => {
            (attempt, Some(*started_at), StepState::Failed { failure: error.to_string() })
        }
        Event::Created { .. }
        | Event::Admitted
        | Event::NodeReused { .. }
        | Event::AttemptInterrupted { .. }
        | Event::WaitElapsed { .. }
        | Event::SignalReceived { .. }
        | Event::CancelRequested { .. }
        | Event::TimedOut
        | Event::Finished { .. } => return None,
    };
    let duration_ms = started_at.map_or(0, |started_at| recorded.at.saturating_sub(started_at));
    Some(Step { node: Arc::clone(&attempt.node), run: attempt.run, attempt: attempt.attempt, duration_ms, state })
}

/// What a wait waits for.
pub fn wait_text(has_end: bool, signals: &[String]) -> String {
    match (has_end, signals) {
        (true, []) => "for its time".to_owned(),
        (false, signals) => format!("for the signal {}", signals.join(" or ")),
        (true, signals) => format!("for the signal {} or its time", signals.join(" or ")),
    }
}
