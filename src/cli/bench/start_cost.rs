//! What a store full of finished executions costs: the same load on a store that begins empty, and on that store after it was
//! given a past. Each cell has a store of its own, since each load leaves executions behind.

use std::time::Instant;

use super::{
    api::Api,
    child::{ServerProcess, ServerSettings},
    fleet::Tally,
    measure::measure,
    plan::Plan,
    report::{Load, StartCost, StartCostCell, ratio},
    scenario::{Installed, Scenario},
    sink::Sink,
    stores::Stores,
};
use crate::{
    app::bench::fill,
    cli::{Failure, output::note},
    model::ids::WorkflowId,
};

/// What is started: with an answer at the end, and without waiting for it.
const SCENARIOS: [Scenario; 2] = [Scenario::Webhook3, Scenario::StartAsync];

/// Measures every cell.
///
/// Errors: a store cannot be filled, or a server does not start or answer.
pub(super) async fn measure_start_cost(plan: &Plan, stores: &mut Stores, sink: &Sink) -> Result<StartCost, Failure> {
    let mut cost = StartCost { executions: plan.executions, fill_seconds: 0.0, cells: Vec::new() };
    for scenario in SCENARIOS {
        for clients in &plan.clients {
            let name = format!("{}-{clients}", scenario.name());
            note(format_args!("start-cost: {name}"));
            let store_url = stores.fresh(&plan.directory, &name).await?;
            let settings = plan.server_settings(&name, store_url);
            let cell = measure_cell(plan, &settings, scenario, *clients, sink, &mut cost.fill_seconds).await?;
            cost.cells.push(cell);
        }
    }
    Ok(cost)
}

async fn measure_cell(
    plan: &Plan,
    settings: &ServerSettings,
    scenario: Scenario,
    clients: usize,
    sink: &Sink,
    fill_seconds: &mut f64,
) -> Result<StartCostCell, Failure> {
    let (server, _) = ServerProcess::start(settings).await?;
    let api = Api::new(server.address(), &settings.data_dir)?;
    let installed = scenario.install(&api, sink.address()).await?;
    let empty = load(plan, &server, &api, &installed, clients).await?;
    server.stop().await;

    let workflow: WorkflowId =
        installed.workflow.parse().map_err(|error| Failure::error(format!("the workflow's id cannot be read: {error}")))?;
    let began = Instant::now();
    fill(&settings.store_url, workflow, plan.executions, |_| {}).await?;
    *fill_seconds += began.elapsed().as_secs_f64();

    let (server, _) = ServerProcess::start(settings).await?;
    let api = Api::new(server.address(), &settings.data_dir)?;
    let full = load(plan, &server, &api, &installed, clients).await?;
    server.stop().await;
    let (empty, full) = (Load::from(&empty), Load::from(&full));
    Ok(StartCostCell { scenario, clients, ratio: ratio(full.requests_per_second, empty.requests_per_second), empty, full })
}

async fn load(plan: &Plan, server: &ServerProcess, api: &Api, installed: &Installed, clients: usize) -> Result<Tally, Failure> {
    installed.prove(server.address()).await?;
    Ok(measure(server, Some(api), &installed.request, clients, plan.timing, || {}).await?.tally)
}
