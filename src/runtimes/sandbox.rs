//! What every WebAssembly guest shares: one engine with its pool of instances, the clock that ends overlong runs, the limits of a
//! store, snapshots of booted guests and the cache of compiled ones. Knows no language.
//!
//! A call into a guest blocks its thread until it is done or a limit ends it: call from a blocking thread.

mod cache;
pub(super) mod compiler;
mod cpu;
pub(super) mod error;
pub(super) mod hot;
pub(super) mod imports;
pub(super) mod interpreter;
pub(super) mod snapshot;
pub(super) mod state;
#[cfg(test)]
mod testing;
mod ticker;
pub(super) mod wasi;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};

pub(super) use self::cache::Compiled;
use self::{
    state::{HostState, Limits, Place},
    ticker::Ticker,
};

/// Largest memory that a guest instance may be allowed, in bytes.
pub const MEMORY_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Memory that an instance may have besides, since it is booted with it, in bytes: Ruby has some 80 MiB.
const BOOTED_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Stack of a guest call in bytes, taken from the calling thread: half of what threads have by default.
const WASM_STACK_BYTES_MAX: usize = 1024 * 1024;
/// Memory of a freed instance that stays mapped for the next one, in bytes: above what a small run touches.
const KEEP_RESIDENT_BYTES: usize = 512 * 1024;
/// Largest snapshot that is mapped copy-on-write instead of being copied into every new instance, in bytes.
const MEMORY_IMAGE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Elements of a guest's function table: QuickJS has some 500, the largest interpreters some 20,000.
const TABLE_ELEMENTS_MAX: usize = 30_000;
/// Core instances, tables and memories that one component may be made of: an interpreter as a component has some thirty.
const INSTANCES_PER_COMPONENT_MAX: u32 = 60;
/// Memories that one component may be made of.
const MEMORIES_PER_COMPONENT_MAX: u32 = 4;
/// Tables of one module.
const TABLES_PER_MODULE_MAX: u32 = 4;
/// What the engine keeps of one core instance or component besides its memories and tables, in bytes.
const INSTANCE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How to make a [`Sandbox`].
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    /// Where compiled guests are kept. Made with mode 0700; whoever can write there can run code as the engine.
    pub cache_dir: PathBuf,
    /// Guest instances that may live at once: code runs, and executions between their first expression and their end.
    pub instances_max: u32,
}

/// Why the sandbox, or a language in it, could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The directory of compiled guests cannot be used.
    #[error("cannot use {path} for compiled guests")]
    CacheDirectory {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// Others may write to the directory of compiled guests.
    #[error("{path} must belong to the engine's user alone (mode 0700), since compiled guests are loaded from it")]
    CacheNotPrivate { path: PathBuf },
    /// WebAssembly does not work on this machine, or the guest is damaged.
    #[error("cannot {attempt}")]
    WebAssembly {
        attempt: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The thread that ends overlong runs could not be started.
    #[error("cannot start the sandbox's clock")]
    Ticker(#[source] std::io::Error),
}

impl EngineError {
    pub(super) fn web_assembly(attempt: &'static str) -> impl FnOnce(wasmtime::Error) -> Self {
        move |source| Self::WebAssembly { attempt, source: source.into() }
    }
}

/// The engine that all WebAssembly guests run in: made once per process.
pub struct Sandbox {
    engine: Engine,
    cache_dir: PathBuf,
    instances_max: u32,
    instances: Arc<AtomicU32>,
    /// Stops with the engine.
    _ticker: Ticker,
}

impl Sandbox {
    /// Reserves the pool and starts the clock. Errors: [`EngineError`]; none of them passes by itself.
    pub fn new(config: &SandboxConfig) -> Result<Arc<Self>, EngineError> {
        let engine =
            Engine::new(&engine_config(config.instances_max)).map_err(EngineError::web_assembly("set up WebAssembly"))?;
        cache::make_private(&config.cache_dir)?;
        let ticker = Ticker::start(engine.clone()).map_err(EngineError::Ticker)?;
        Ok(Arc::new(Self {
            engine,
            cache_dir: config.cache_dir.clone(),
            instances_max: config.instances_max,
            instances: Arc::default(),
            _ticker: ticker,
        }))
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// A guest compiled for this engine: what an earlier process has kept under this name and key, or else what `make` gives, which
    /// is then kept instead of whatever else had the name.
    ///
    /// `name` is a file name's beginning, like `javascript`. `key_parts` is everything that the result of `make` depends on.
    pub(super) fn load_or_compile<C: Compiled>(
        &self,
        name: &str,
        key_parts: &[&[u8]],
        make: impl FnOnce() -> Result<Vec<u8>, EngineError> + Send,
    ) -> Result<C, EngineError> {
        cache::load_or_compile(&self.engine, &self.cache_dir, name, key_parts, make)
    }

    /// As [`Self::load_or_compile`], in another directory, which is made private like the one of the settings.
    pub(super) fn load_or_compile_in<C: Compiled>(
        &self,
        directory: &Path,
        name: &str,
        key_parts: &[&[u8]],
        make: impl FnOnce() -> Result<Vec<u8>, EngineError> + Send,
    ) -> Result<C, EngineError> {
        cache::make_private(directory)?;
        cache::load_or_compile(&self.engine, directory, name, key_parts, make)
    }

    /// Removes what is kept under a name in a directory. Errors: it cannot be removed.
    pub(super) fn forget(&self, directory: &Path, name: &str) -> std::io::Result<()> {
        if directory.is_dir() { cache::remove_others(directory, name, directory) } else { Ok(()) }
    }

    /// Instances that live now.
    pub fn instances(&self) -> u32 {
        self.instances.load(Ordering::Relaxed)
    }

    /// A store for one fresh instance under these limits. `guest` is what the language needs besides.
    pub(super) fn store<T: 'static>(&self, limits: Limits, guest: T) -> Store<HostState<T>> {
        let mut store = Store::new(&self.engine, HostState::new(limits, guest, Place::take(&self.instances, self.instances_max)));
        store.limiter(|state| &mut state.memory);
        store.epoch_deadline_callback(|mut context| Ok(context.data_mut().deadline.tick()));
        store.set_epoch_deadline(1);
        store
    }
}

/// The settings of the engine. Changing one changes the keys of the cache.
fn engine_config(instances_max: u32) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    // A component takes a place for each of its parts, and a guest that throws takes a memory for its exceptions.
    let parts_max = instances_max.saturating_mul(4).max(2 * INSTANCES_PER_COMPONENT_MAX);
    pool.total_core_instances(parts_max)
        .total_component_instances(instances_max)
        .total_memories(instances_max.saturating_mul(2))
        .total_tables(parts_max)
        .total_gc_heaps(instances_max)
        .total_stacks(instances_max)
        .max_core_instances_per_component(INSTANCES_PER_COMPONENT_MAX)
        .max_tables_per_component(INSTANCES_PER_COMPONENT_MAX)
        .max_memories_per_component(MEMORIES_PER_COMPONENT_MAX)
        .max_tables_per_module(TABLES_PER_MODULE_MAX)
        .max_core_instance_size(INSTANCE_BYTES_MAX)
        .max_component_instance_size(INSTANCE_BYTES_MAX)
        .max_memory_size(MEMORY_BYTES_MAX + BOOTED_BYTES_MAX)
        .table_elements(TABLE_ELEMENTS_MAX)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(KEEP_RESIDENT_BYTES)
        .pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .memory_init_cow(true)
        .memory_guaranteed_dense_image_size(MEMORY_IMAGE_BYTES_MAX)
        .epoch_interruption(true)
        .wasm_exceptions(true)
        .max_wasm_stack(WASM_STACK_BYTES_MAX);
    config
}
