//! One load on one server: warm-up, the load itself, and what both sides used for it.

use std::{sync::Arc, time::Duration};

use super::{api::Api, child::ServerProcess, fleet::Fleet, fleet::Tally, machine::Process, report};
use crate::cli::Failure;

/// How long a load lasts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    pub(super) warmup: Duration,
    pub(super) duration: Duration,
}

/// What one load has shown.
pub(super) struct Measured {
    pub(super) tally: Tally,
    /// Successful requests of the warm-up, which nothing else counts.
    pub(super) warmup_succeeded: u64,
    pub(super) at_rest: bool,
    pub(super) server_cpu_us_each: Option<f64>,
    pub(super) generator_cpu_us_each: Option<f64>,
}

/// Loads a server with `clients` that send `request`. With an `api`, executions come to rest before and after the load, so that
/// the server's time holds all of their work. `begin` is called between the warm-up and the load.
///
/// Errors: the server takes no connections, or answers nothing at all.
pub(super) async fn measure(
    server: &ServerProcess,
    api: Option<&Api>,
    request: &Arc<[u8]>,
    clients: usize,
    timing: Timing,
    begin: impl FnOnce(),
) -> Result<Measured, Failure> {
    let address = server.address();
    let fleet = blocking(move || Fleet::connect(address, clients)).await?;
    let (fleet, warmup) = drive(fleet, request, timing.warmup).await?;
    rest(api).await?;
    begin();
    let (process, generator) = (server.process(), Process::this());
    let (server_before, generator_before) = (process.cpu_time(), generator.cpu_time());
    let (_, tally) = drive(fleet, request, timing.duration).await?;
    let generator_after = generator.cpu_time();
    let at_rest = rest(api).await?;
    let server_after = process.cpu_time();
    if tally.succeeded() == 0 {
        let detail = format!("no request succeeded with {clients} clients: {:?}", tally.errors);
        return Err(Failure::error(detail).with_hint("`no_answer` means that the server closed the connection or died"));
    }
    Ok(Measured {
        warmup_succeeded: warmup.succeeded(),
        at_rest,
        server_cpu_us_each: report::micros_each(server_before, server_after, tally.succeeded()),
        generator_cpu_us_each: report::micros_each(generator_before, generator_after, tally.requests()),
        tally,
    })
}

async fn rest(api: Option<&Api>) -> Result<bool, Failure> {
    match api {
        Some(api) => api.until_rest().await,
        None => Ok(true),
    }
}

async fn drive(mut fleet: Fleet, request: &Arc<[u8]>, duration: Duration) -> Result<(Fleet, Tally), Failure> {
    let request = Arc::clone(request);
    blocking(move || {
        let tally = fleet.drive(&request, duration)?;
        Ok((fleet, tally))
    })
    .await
}

/// Runs what blocks beside the runtime, so that signals are heard meanwhile.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(Failure::error(format!("the load generator failed: {error}"))
            .with_hint("each client takes a file descriptor here and one in the server: `ulimit -n` says how many there are")),
        Err(error) => Err(Failure::error(format!("the load generator broke down: {error}"))),
    }
}
