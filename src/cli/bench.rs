//! `citadel bench`: measures a server of this very binary under load, with the limits of the machine beside it.
//!
//! The server, and the one that answers a constant, are processes of their own, so that what they use can be told from what the
//! load generator uses. Everything is in a temporary directory, and gone when the command ends, also by a signal.

mod api;
mod child;
mod connection;
mod fleet;
mod histogram;
mod limits;
mod machine;
mod measure;
mod message;
mod plan;
mod report;
mod scenario;
mod sink;
mod start_cost;
mod stores;
mod table;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, ValueEnum};
use tempfile::TempDir;

use self::{
    api::Api,
    child::{ServerProcess, ServerSettings},
    limits::measure_limits,
    machine::Machine,
    measure::{Measured, measure},
    plan::Plan,
    report::{Cell, Growth, Limits, Load, Memory, Report, Settings, Starts, Versions, millis, ratio},
    scenario::Scenario,
    sink::Sink,
    start_cost::measure_start_cost,
    stores::Stores,
};
use super::{
    Failure,
    output::{note, print},
};
use crate::{
    app::{
        bench::{database_version, serve_constant},
        signals::StopSignals,
    },
    config::{Config, Flags},
};

/// How long a server that is ready is left alone before its idle memory is read.
const IDLE_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(super) struct BenchArguments {
    /// What to measure.
    #[arg(
        long = "scenario",
        value_name = "NAME",
        value_delimiter = ',',
        default_values = ["webhook-3", "effects-3", "start-async", "code-js"]
    )]
    scenarios: Vec<Scenario>,
    /// Numbers of clients, each with one connection that carries one request at a time.
    #[arg(
        long,
        value_name = "NUMBER",
        value_delimiter = ',',
        default_values = ["1", "16", "64", "256"],
        value_parser = clap::value_parser!(u16).range(1..=512)
    )]
    clients: Vec<u16>,
    /// How long each load is measured.
    #[arg(long, default_value = "5", value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// How long each load lasts before it is measured, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = clap::value_parser!(u64).range(0..=60))]
    warmup: u64,
    /// `sqlite`, `postgres` for the server of the settings (databases are made there), or `postgres://USER@HOST/DATABASE`.
    #[arg(long, default_value = "sqlite")]
    store: String,
    /// Finished executions that `start-cost` fills a store with.
    #[arg(long, value_name = "NUMBER", default_value = "200000", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    executions: u64,
    /// Where to make the temporary directory for the data; on the disk to be measured.
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<PathBuf>,
    /// How to print the figures.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    /// Serves a constant instead: what the HTTP stack alone can do.
    #[arg(long, hide = true)]
    serve_constant: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

impl BenchArguments {
    /// Logs would be in the way of the figures.
    pub(super) fn add_flags(&self, flags: &mut Flags) {
        flags.set_default("log.filter", "warn");
    }
}

/// Measures, and prints the report. Progress goes to standard error.
pub(super) async fn bench(arguments: BenchArguments, config_files: &[PathBuf], config: &Config) -> Result<ExitCode, Failure> {
    if arguments.serve_constant {
        serve_constant(|address| print(format_args!("http={address}"))).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut signals = StopSignals::listen().map_err(|error| Failure::error(format!("cannot listen for signals: {error}")))?;
    let mut stores = Stores::read(&arguments.store, config)?;
    let report = tokio::select! {
        report = Box::pin(measure_all(&arguments, config_files, config, &mut stores)) => report,
        signal = signals.next() => Err(Failure::error(format!("stopped by {signal}"))),
    };
    let removed = stores.remove().await;
    let report = report?;
    match arguments.output {
        Output::Table => print(table::render(&report).trim_end()),
        Output::Json => print(format_args!("{:#}", serde_json::json!(report))),
    }
    removed.map(|()| ExitCode::SUCCESS)
}

async fn measure_all(
    arguments: &BenchArguments,
    config_files: &[PathBuf],
    config: &Config,
    stores: &mut Stores,
) -> Result<Report, Failure> {
    let directory = temporary_directory(arguments.data_dir.as_deref())?;
    let machine = Machine::read(directory.path());
    let plan = Plan::new(arguments, config_files, config, directory.path());
    note("limits of the machine");
    let limits = measure_limits(&plan.directory, stores, &plan.clients, plan.timing).await?;
    let sink = Sink::start().map_err(|error| Failure::error(format!("cannot start the effects' target: {error}")))?;

    let store_url = stores.fresh(&plan.directory, "main").await?;
    let database = database_version(&store_url).await?;
    let settings = plan.server_settings("main", store_url);
    let (server, starts) = start_twice(&settings).await?;
    tokio::time::sleep(IDLE_AFTER).await;
    let mut memory = Memory { idle_bytes: server.process().resident_bytes(), growth: Vec::new() };
    let scenarios = measure_scenarios(&plan, &settings, &server, &sink, &limits, &mut memory).await?;
    server.stop().await;
    let start_cost = match plan.scenarios.contains(&Scenario::StartCost) {
        true => Some(measure_start_cost(&plan, stores, &sink).await?),
        false => None,
    };
    Ok(Report {
        versions: versions(database),
        machine,
        settings: Settings {
            store: stores.kind(),
            scenarios: plan.scenarios,
            clients: plan.clients,
            seconds: arguments.seconds,
            warmup_seconds: arguments.warmup,
            log_filter: plan.log_filter,
        },
        limits,
        starts,
        memory,
        scenarios,
        start_cost,
    })
}

/// Every scenario but `start-cost`, all on one server, so that its memory shows what executions leave behind.
async fn measure_scenarios(
    plan: &Plan,
    settings: &ServerSettings,
    server: &ServerProcess,
    sink: &Sink,
    limits: &Limits,
    memory: &mut Memory,
) -> Result<Vec<Cell>, Failure> {
    let api = Api::new(server.address(), &settings.data_dir)?;
    let (mut cells, mut executions) = (Vec::new(), 0);
    for scenario in plan.scenarios.iter().copied().filter(|scenario| *scenario != Scenario::StartCost) {
        let installed = scenario.install(&api, sink.address()).await?;
        installed.prove(server.address()).await?;
        executions += 1;
        for clients in &plan.clients {
            note(format_args!("{} with {clients} clients", scenario.name()));
            let (before, mut calls_before) = (server.process().resident_bytes(), 0);
            let begin = || calls_before = sink.calls();
            let measured = measure(server, Some(&api), &installed.request, *clients, plan.timing, begin).await?;
            executions += measured.warmup_succeeded + measured.tally.succeeded();
            let after = server.process().resident_bytes();
            memory.growth.push(Growth { executions, resident_bytes: after });
            cells.push(Cell {
                server_resident_before_bytes: before,
                server_resident_after_bytes: after,
                effects: sink.calls() - calls_before,
                ..cell(scenario, *clients, &measured, limits)
            });
        }
    }
    Ok(cells)
}

fn cell(scenario: Scenario, clients: usize, measured: &Measured, limits: &Limits) -> Cell {
    let load = Load::from(&measured.tally);
    let constant = limits.constant.iter().find(|constant| constant.clients == clients);
    Cell {
        scenario,
        clients,
        executions: load.succeeded,
        at_rest: measured.at_rest,
        effects: 0,
        server_cpu_us_per_execution: measured.server_cpu_us_each,
        generator_cpu_us_per_request: measured.generator_cpu_us_each,
        server_resident_before_bytes: None,
        server_resident_after_bytes: None,
        of_constant: constant.map_or(0.0, |constant| ratio(load.requests_per_second, constant.load.requests_per_second)),
        load,
    }
}

/// Starts the server; a second time if the first had to compile the sandbox.
async fn start_twice(settings: &ServerSettings) -> Result<(ServerProcess, Starts), Failure> {
    let is_cold = std::fs::read_dir(&settings.cache_dir).map_or(true, |mut entries| entries.next().is_none());
    note("start of the server");
    let (server, first) = ServerProcess::start(settings).await?;
    if !is_cold {
        return Ok((server, Starts { cold_ms: None, cached_ms: Some(millis(first)) }));
    }
    server.stop().await;
    let (server, second) = ServerProcess::start(settings).await?;
    Ok((server, Starts { cold_ms: Some(millis(first)), cached_ms: Some(millis(second)) }))
}

fn temporary_directory(parent: Option<&Path>) -> Result<TempDir, Failure> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("citadel-bench-");
    let made = match parent {
        Some(parent) => std::fs::create_dir_all(parent).and_then(|()| builder.tempdir_in(parent)),
        None => builder.tempdir(),
    };
    made.map_err(|error| {
        Failure::error(format!("cannot make a temporary directory: {error}")).with_hint("choose another place with --data-dir")
    })
}

fn versions(database: String) -> Versions {
    Versions {
        citadel: env!("CARGO_PKG_VERSION"),
        build: if cfg!(debug_assertions) { "debug" } else { "release" },
        target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        database,
    }
}
