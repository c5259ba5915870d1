//! Wiring: builds the store, the services and the actor tree from the settings, and takes them down in reverse order.

pub mod bench;
pub mod database;
pub mod definition_file;
pub mod doctor;
pub mod embedded;
pub mod languages;
#[cfg(test)]
mod lost_answers;
pub mod people;
pub mod process;
mod reload;
pub mod runtimes;
mod samples;
pub mod seed;
pub mod serve;
pub mod signals;

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;
use zeroize::Zeroizing;

pub use crate::auth::{keyring::new_master_key, private_file::write_private_file};
use crate::{
    actors::{
        audit::AuditHandle,
        batch_runner::BatchRunner,
        blob_access::BlobAccess,
        children::ChildStarter,
        code_budget::CodeBudget,
        credentials::{CredentialsHandle, CredentialsParts, OperatorCredentials, master_keys::open_keyring},
        engine::{Directory, Ends, Engine, EngineSettings, LiveEvents},
        execution_supervisor::{ExecutionSupervisor, ExecutionSupervisorMsg, nudge},
        executions::ExecutionsHandle,
        followers::Followers,
        journal_lane::{JournalLane, LaneArgs, LaneHandle},
        live::LiveSlots,
        monitor::{EngineMetrics, MonitorHandle},
        places::Places,
        pool::{PoolHandle, PoolLimits},
        quotas::{Quotas, watch_storage},
        scheduler::{Scheduler, SchedulerParts, launch::Launcher},
        schedules::{SchedulesHandle, SchedulesParts},
        shard_keeper::{Ownership, ShardEvent, ShardKeeper, ShardKeeperArgs, fair_share},
        supervisor::{ChildSpec, Meltdown, RootHandle, ServiceRef, SupervisorArgs, Tolerance},
        timekeeper::{Timekeeper, TimekeeperMsg},
        variables::VariablesHandle,
        workflows::{WorkflowsHandle, WorkflowsParts},
    },
    auth::{
        egress::{EgressClient, EgressPolicy},
        keyring::Keyring,
    },
    clock,
    config::{Config, Migrate, Role, Secret, Switch},
    model::ids::{ExecutionId, NodeInstanceId},
    nodes::{
        Pool,
        registry::Registry,
        services::{Credential, Services},
    },
    runtimes::{
        javascript::JavaScript,
        languages::Languages,
        sandbox::{EngineError, Sandbox, SandboxConfig},
    },
    store::{
        Store,
        blobs::BlobStore,
        open::{MigrateMode, OpenOptions, open},
        payload::PayloadCodec,
        shared_buckets::SharedBuckets,
    },
    telemetry,
};

/// What `citadel openapi` prints.
pub use crate::http::openapi_document;

/// Restarts of services within [`MELTDOWN_WINDOW`] before the process gives up.
const ENDS_MAX: usize = 10;
const MELTDOWN_WINDOW: Duration = Duration::from_secs(60);
/// Attempts that may wait for a place of one pool: more than live executions can have in flight by default settings.
const POOL_QUEUE_MAX: usize = 1_000_000;
/// Sandboxes that may live at once, those of expressions among them.
const SANDBOXES_MAX: u32 = 1_000;
/// How long the tree may take to stop.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// Pause between two turns of the metrics' upkeep.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);
/// Pause between two looks whether running executions have come to rest.
const DRAIN_POLL: Duration = Duration::from_millis(20);

/// A running system without its HTTP server.
pub struct RunningApp {
    pub store: Arc<dyn Store>,
    pub registry: Arc<Registry>,
    pub workflows: WorkflowsHandle,
    pub executions: ExecutionsHandle,
    pub schedules: SchedulesHandle,
    pub credentials: CredentialsHandle,
    pub engine: Arc<Engine>,
    /// What secrets are encrypted and tokens are signed with.
    pub keys: Arc<Keyring>,
    /// Whether rates are limited.
    pub limits: Switch,
    /// What the servers of a cluster count together.
    pub shared: Option<Arc<SharedBuckets>>,
    pub monitor: MonitorHandle,
    /// Renders the figures of the process.
    pub metrics: PrometheusHandle,
    root: RootHandle,
    _upkeep: AbortOnDropHandle<()>,
    storage: Option<AbortOnDropHandle<()>>,
}

/// Builds and starts everything below the HTTP layer. `on_meltdown` is told when the tree has given up.
///
/// Errors: whatever could not be opened or started, with what it was.
pub async fn start(config: &Config, on_meltdown: impl FnOnce(Meltdown) + Send + 'static) -> anyhow::Result<RunningApp> {
    // First, since everything below registers its figures when it is made.
    let metrics = telemetry::metrics::install();
    tokio::fs::create_dir_all(&config.data_dir)
        .await
        .with_context(|| format!("cannot create the data directory {}", config.data_dir.display()))?;
    let migrate = match config.store.migrate {
        Migrate::Auto => MigrateMode::Auto,
        Migrate::Check => MigrateMode::Check,
        Migrate::Off => MigrateMode::Off,
    };
    let options = OpenOptions { migrate, ..OpenOptions::new(config.store_url()) };
    let store = open(&options).await.context("cannot open the store")?;
    start_on(store, metrics, config, on_meltdown).await
}

/// As [`start`], on a store that is open.
async fn start_on(
    store: Arc<dyn Store>,
    metrics: PrometheusHandle,
    config: &Config,
    on_meltdown: impl FnOnce(Meltdown) + Send + 'static,
) -> anyhow::Result<RunningApp> {
    let setting = config.secrets.master_key.as_ref().map(Secret::expose);
    let keys = open_keyring(&store, setting, &config.master_key_file()).await.context("cannot open the master keys")?;
    let keys = Arc::new(keys);
    let blobs = BlobStore::open(&config.data_dir.join("blobs")).await.context("cannot open the blob store")?;
    let (javascript, languages) = start_languages(config).await?;
    let registry = Arc::new(Registry::with_languages(Arc::clone(&languages)));
    let env = json!(config.env.visible);
    let parts = WorkflowsParts {
        store: Arc::clone(&store),
        registry: Arc::clone(&registry),
        javascript: Arc::clone(&javascript),
        env: env.clone(),
    };
    let workflows = WorkflowsHandle::open(parts).await.context("cannot load the workflows")?;
    let children = ChildStarter::new(workflows.clone());
    let policy = EgressPolicy::new(&config.egress.allow, &config.egress.deny).context("the egress rules cannot be read")?;
    let audit = AuditHandle::new(Arc::clone(&store));
    let egress = EgressClient::new(Arc::new(policy)).context("cannot make an HTTP client")?.watched(Arc::new(audit.clone()));
    let credentials = CredentialsHandle::new(CredentialsParts {
        store: Arc::clone(&store),
        keys: Arc::clone(&keys),
        operator: OperatorCredentials::new(credentials_of(config)),
        egress: egress.clone(),
    });
    let services = Arc::new(Services {
        sql: Arc::default(),
        egress,
        blobs: Arc::new(BlobAccess(blobs.clone())),
        files_root: config.files.root.clone(),
        languages,
        javascript,
        credentials: Arc::new(credentials.clone()),
        children: Arc::clone(&children) as Arc<_>,
    });
    let limits = Switch::new(config.limits.enabled);
    let shared = connect_redis(config)?;
    let quotas = Quotas::new(&config.limits, limits.clone(), shared.clone());
    let figures = Arc::new(EngineMetrics::new(registry.types().map(|description| description.type_name)));
    let codec = PayloadCodec::new(blobs);
    let parts = TreeParts { codec: codec.clone(), services, workflows: workflows.clone(), env, metrics: figures, audit, quotas };
    let (engine, mut specs) = plan_tree(config, Arc::clone(&store), parts);
    let launcher = Launcher { workflows: workflows.clone(), variables: engine.variables.clone(), codec };
    let schedules = schedules_of(&engine, &registry, launcher.clone());
    if config.node.roles.contains(&Role::Scheduler) {
        specs.push(plan_scheduler(&engine, launcher));
    }
    let args = SupervisorArgs {
        children: specs,
        tolerance: Tolerance::Limited { ends_max: ENDS_MAX, window: MELTDOWN_WINDOW },
        stop_within: STOP_WITHIN,
        on_meltdown: Some(Box::new(on_meltdown)),
    };
    let root = RootHandle::start(args).await.context("cannot start the actors")?;
    let executions = ExecutionsHandle::new(Arc::clone(&engine));
    children.connect(&engine);
    let storage = engine.quotas.storage.clone().map(|storage| watch_storage(storage, Arc::clone(&store)));
    let monitor = MonitorHandle::new(Arc::clone(&engine), config.limits.executions_live_max);
    let upkeep = keep_up(metrics.clone());
    Ok(RunningApp {
        store,
        registry,
        workflows,
        executions,
        schedules,
        credentials,
        keys,
        engine,
        limits,
        monitor,
        metrics,
        root,
        _upkeep: upkeep,
        shared,
        storage,
    })
}

/// Begins to connect to the cluster's Redis, if there is one. A server starts without it.
fn connect_redis(config: &Config) -> anyhow::Result<Option<Arc<SharedBuckets>>> {
    let Some(url) = &config.redis.url else { return Ok(None) };
    Ok(Some(SharedBuckets::connect(url.expose(), &config.redis.prefix).context("redis.url")?))
}

/// What the engine is made of, beside its store and the settings.
struct TreeParts {
    codec: PayloadCodec,
    services: Arc<Services>,
    workflows: WorkflowsHandle,
    env: Value,
    metrics: Arc<EngineMetrics>,
    audit: AuditHandle,
    quotas: Quotas,
}

/// Makes the shared engine and says how to start its actors, in the order of their start.
fn plan_tree(config: &Config, store: Arc<dyn Store>, parts: TreeParts) -> (Arc<Engine>, Vec<ChildSpec>) {
    let TreeParts { codec, services, workflows, env, metrics, audit, quotas } = parts;
    let (lane, supervisor, timekeeper, keeper) = (ServiceRef::new(), ServiceRef::new(), ServiceRef::new(), ServiceRef::new());
    let batch_runner = ServiceRef::new();
    let (ownership, node) = (Arc::new(Ownership::new()), NodeInstanceId::from_uuid(clock::new_uuid()));
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let slots = |pool| match pool {
        Pool::Io => config.limits.io_slots,
        Pool::Wasm => config.limits.wasm_slots.unwrap_or(cores),
        Pool::Native => languages::native_slots(config),
    };
    let memory = |pool| match pool {
        Pool::Io => usize::MAX,
        Pool::Wasm => config.limits.wasm_memory_bytes,
        Pool::Native => config.runtimes.native_memory_bytes,
    };
    let mut specs = vec![audit.child()];
    let lane_store = Arc::clone(&store);
    specs.push(lane.child("lane", "lane", move || (JournalLane, LaneArgs { store: Arc::clone(&lane_store) })));
    let mut pools = BTreeMap::new();
    for pool in Pool::ALL {
        let workspace_slots_max = if pool.runs_code() { config.limits.workspace_code_runs_max } else { None };
        let limits = PoolLimits {
            slots_max: slots(pool),
            workspace_slots_max: workspace_slots_max.map_or(usize::MAX, NonZeroUsize::get),
            queue_max: POOL_QUEUE_MAX,
            memory_bytes_max: memory(pool),
        };
        let handle = PoolHandle::new(pool.as_str(), limits);
        specs.push(handle.child());
        pools.insert(pool.as_str(), handle);
    }
    let engine = Arc::new(Engine {
        store: Arc::clone(&store),
        codec,
        services,
        workflows,
        variables: VariablesHandle::new(Arc::clone(&store)),
        audit,
        ownership: Arc::clone(&ownership),
        lane: LaneHandle::new(lane, config.limits.lane_depth_max, config.limits.lane_bytes_max),
        pools,
        directory: Directory::default(),
        places: Places::new(config.limits.executions_queued_max),
        code_budget: CodeBudget::new(config.limits.workspace_code_seconds_per_minute),
        live: LiveSlots::new(config.limits.executions_live_max),
        quotas,
        ends: Ends::default(),
        live_events: LiveEvents::default(),
        followers: Followers::default(),
        supervisor: supervisor.clone(),
        timekeeper: timekeeper.clone(),
        batch_runner: batch_runner.clone(),
        settings: EngineSettings {
            env,
            keep_success: Duration::from_millis(config.retention.success.0),
            keep_failure: Duration::from_millis(config.retention.failure.0),
            keep_audit: Duration::from_millis(config.retention.audit.0),
        },
        metrics,
        is_draining: AtomicBool::new(false),
    });
    let directory = engine.directory.clone();
    let listeners = (supervisor.clone(), timekeeper.clone());
    specs.push(keeper.child("shard_keeper", "shard_keeper", move || {
        let args = ShardKeeperArgs {
            store: Arc::clone(&store),
            owner: node,
            ownership: Arc::clone(&ownership),
            wanted: Arc::new(move |live| fair_share(node, live)),
            busy: busy_shards(directory.clone()),
            on_change: on_shards(listeners.clone()),
        };
        (ShardKeeper, args)
    }));
    let shared = Arc::clone(&engine);
    specs.push(supervisor.child("execution_supervisor", "executions", move || (ExecutionSupervisor, Arc::clone(&shared))));
    let shared = Arc::clone(&engine);
    specs.push(timekeeper.child("timekeeper", "timekeeper", move || (Timekeeper, Arc::clone(&shared))));
    let shared = Arc::clone(&engine);
    specs.push(batch_runner.child("batch_runner", "batches", move || (BatchRunner, Arc::clone(&shared))));
    (engine, specs)
}

/// The service that HTTP asks about schedules.
fn schedules_of(engine: &Arc<Engine>, registry: &Arc<Registry>, launcher: Launcher) -> SchedulesHandle {
    SchedulesHandle::new(SchedulesParts {
        store: Arc::clone(&engine.store),
        workflows: engine.workflows.clone(),
        registry: Arc::clone(registry),
        launcher,
        metrics: Arc::clone(&engine.metrics),
        nudge: nudge_owned(Arc::clone(engine)),
    })
}

/// Says how to start the scheduler.
fn plan_scheduler(engine: &Arc<Engine>, launcher: Launcher) -> ChildSpec {
    let (ownership, draining) = (Arc::clone(&engine.ownership), Arc::clone(engine));
    let parts = Arc::new(SchedulerParts {
        store: Arc::clone(&engine.store),
        launcher,
        metrics: Arc::clone(&engine.metrics),
        nudge: nudge_owned(Arc::clone(engine)),
        owns: Arc::new(move |execution| ownership.epoch(execution.shard()).is_some()),
        is_draining: Arc::new(move || draining.is_draining.load(Ordering::Relaxed)),
        now_ms: Arc::new(clock::now_ms),
    });
    ServiceRef::new().child("scheduler", "scheduler", move || (Scheduler, Arc::clone(&parts)))
}

/// Tells the owner of an execution about it, if that is this process. Another one finds it by itself.
fn nudge_owned(engine: Arc<Engine>) -> Arc<dyn Fn(ExecutionId) + Send + Sync> {
    Arc::new(move |execution| {
        if engine.ownership.epoch(execution.shard()).is_some() {
            nudge(&engine, execution);
        }
    })
}

/// Tells which shards have an execution in memory.
fn busy_shards(directory: Directory) -> Arc<dyn Fn() -> BTreeSet<u16> + Send + Sync> {
    Arc::new(move || directory.all().into_iter().map(|(execution, _)| execution.shard()).collect())
}

/// Tells the execution supervisor what was gained and lost, and the timekeeper that there is more to look after.
fn on_shards(
    (supervisor, timekeeper): (ServiceRef<ExecutionSupervisorMsg>, ServiceRef<TimekeeperMsg>),
) -> Arc<dyn Fn(ShardEvent) + Send + Sync> {
    Arc::new(move |event| {
        if let (ShardEvent::Gained(_), Some(timekeeper)) = (&event, timekeeper.get()) {
            let _ = timekeeper.cast(TimekeeperMsg::ShardsGained);
        }
        // Before its first start the supervisor asks for the owned shards by itself.
        let Some(supervisor) = supervisor.get() else { return };
        let message = match event {
            ShardEvent::Gained(leases) => {
                ExecutionSupervisorMsg::Recover { shards: leases.iter().map(|lease| lease.shard).collect() }
            }
            ShardEvent::Lost(shards) => ExecutionSupervisorMsg::Release { shards },
        };
        let _ = supervisor.cast(message);
    })
}

/// Sorts samples into their histograms every few seconds, so that they do not pile up while nobody asks for them.
#[expect(clippy::disallowed_methods, reason = "the app owns the task and aborts it")]
fn keep_up(metrics: PrometheusHandle) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            tokio::time::sleep(METRICS_UPKEEP).await;
            metrics.run_upkeep();
        }
    }))
}

/// Starts the sandbox and its languages on a thread that may block: the first start on a machine compiles those that are built in.
/// Installed ones load behind the start.
async fn start_languages(config: &Config) -> anyhow::Result<(Arc<JavaScript>, Arc<Languages>)> {
    let runtimes_dir = config.runtimes_dir();
    let settings = SandboxConfig { cache_dir: config.cache_dir(), instances_max: SANDBOXES_MAX };
    let started = tokio::task::spawn_blocking(move || {
        let sandbox = Sandbox::new(&settings)?;
        let javascript = Arc::new(JavaScript::new(Arc::clone(&sandbox))?);
        let mut languages = Languages::embedded(&sandbox, &javascript)?;
        languages.extend(Languages::installable(&sandbox, &runtimes_dir));
        Ok::<_, EngineError>((javascript, languages))
    });
    let (javascript, mut languages) = started.await??;
    languages.extend(languages::processes(config).await?);
    Ok((javascript, Arc::new(Languages::new(languages))))
}

fn credentials_of(config: &Config) -> BTreeMap<String, Credential> {
    let credential = |found: &crate::config::CredentialConfig| Credential {
        kind: found.kind.clone(),
        fields: found.fields.iter().map(|(name, value)| (name.clone(), Zeroizing::new(value.expose().to_owned()))).collect(),
    };
    config.credentials.iter().map(|(name, found)| (name.clone(), credential(found))).collect()
}

impl RunningApp {
    /// Refuses new work, lets what runs come to its next node within `timeout`, and stops the tree.
    pub async fn stop(self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        self.executions.drain();
        for (_, actor) in self.engine.directory.all() {
            let _ = actor.cast(crate::actors::execution::ExecutionMsg::Wake);
        }
        while self.executions.live() > 0 && Instant::now() < deadline {
            tokio::time::sleep(DRAIN_POLL).await;
        }
        if self.executions.live() > 0 {
            tracing::warn!(executions = self.executions.live(), "executions were still running at the end of the drain");
        }
        let unwritten = self.engine.audit.flush(STOP_WITHIN).await;
        if unwritten > 0 {
            tracing::error!(rows = unwritten, "rows of the audit log are lost: the store did not take them in time");
        }
        self.root.stop().await;
        if let Some(shared) = &self.shared {
            shared.close().await;
        }
        // It has the store, which is to be free for the next process when this returns.
        if let Some(storage) = self.storage {
            storage.abort();
            drop(storage.await);
        }
        self.store.close().await;
    }
}
