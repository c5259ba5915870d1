//! The JavaScript sandbox: QuickJS in WebAssembly. One engine per process, a fresh guest instance per code run, and one per
//! execution for its expressions ([`GuestSession`]). Bytes and JSON in, bytes and JSON out, under the limits of each call.
//! A call blocks its thread until it is done or a limit ends it: call from a blocking thread.

mod cache;
mod cpu;
pub(super) mod guest;
mod host;
mod session;
mod snapshot;
#[cfg(test)]
mod testing;
mod ticker;

use std::path::PathBuf;

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, InstancePre, PoolingAllocationConfig};

pub use self::session::{
    EXPRESSION_CPU_MAX, EXPRESSION_MEMORY_BYTES_MAX, EXPRESSION_OUTPUT_BYTES_MAX, EXPRESSION_WALL_MAX, GuestSession,
};
use self::{host::HostState, ticker::Ticker};

/// Largest memory that a guest instance may be allowed, in bytes.
pub const MEMORY_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Stack of a guest call in bytes, taken from the calling thread: half of what threads have by default.
const WASM_STACK_BYTES_MAX: usize = 1024 * 1024;
/// Memory of a freed instance that stays mapped for the next one, in bytes: above what a small run touches.
const KEEP_RESIDENT_BYTES: usize = 512 * 1024;
/// Largest snapshot that is mapped copy-on-write instead of being copied into every new instance, in bytes.
const MEMORY_IMAGE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Elements of the guest's function table; QuickJS has some 500, and never adds one.
const TABLE_ELEMENTS_MAX: usize = 2_000;

/// How to make a [`JavaScript`].
#[derive(Debug, Clone)]
pub struct JavaScriptConfig {
    /// Where the compiled guest is kept. Made with mode 0700; whoever can write there can run code as the engine.
    pub cache_dir: PathBuf,
    /// Guest instances that may live at once: code runs, and executions between their first expression and their end.
    pub instances_max: u32,
}

/// Why the sandbox could not be set up.
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
    fn web_assembly(attempt: &'static str) -> impl FnOnce(wasmtime::Error) -> Self {
        move |source| Self::WebAssembly { attempt, source: source.into() }
    }
}

/// The engine with its pre-booted guest: made once per process.
pub struct JavaScript {
    guest: InstancePre<HostState>,
    /// Stops with the engine.
    _ticker: Ticker,
}

impl JavaScript {
    /// Boots, snapshots and compiles the guest, or loads what an earlier process compiled. Takes about a second the first time.
    ///
    /// Errors: [`EngineError`]; none of them passes by itself.
    pub fn new(config: &JavaScriptConfig) -> Result<Self, EngineError> {
        let engine =
            Engine::new(&engine_config(config.instances_max)).map_err(EngineError::web_assembly("set up WebAssembly"))?;
        let module = cache::load_or_compile(&engine, &config.cache_dir)?;
        let linker = host::linker(&engine).map_err(EngineError::web_assembly("define the guest's imports"))?;
        let guest = linker.instantiate_pre(&module).map_err(EngineError::web_assembly("link the JavaScript guest"))?;
        Ok(Self { guest, _ticker: Ticker::start(engine).map_err(EngineError::Ticker)? })
    }
}

/// The settings of the engine. Changing one changes the key of the cache.
fn engine_config(instances_max: u32) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(instances_max)
        .total_memories(instances_max)
        .total_tables(instances_max)
        .max_memory_size(MEMORY_BYTES_MAX)
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
        .max_wasm_stack(WASM_STACK_BYTES_MAX);
    config
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::*;
    use crate::runtimes::{
        code::{Code, CodeErrorCode, CodeInput, CodeLimits},
        expression::{ExpressionErrorKind, Template},
        testing::World,
    };

    #[test]
    fn instances_obeyed_and_violated() {
        let cache_dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/javascript-cache");
        JavaScript::for_tests(); // Has compiled the guest.
        let javascript = std::sync::Arc::new(JavaScript::new(&JavaScriptConfig { cache_dir, instances_max: 1 }).unwrap());
        let code = Code::parse("return 1").unwrap();
        let world = World::new(json!({}), json!({}));
        let template = Template::compile(&json!("{{ [1].map(x => x)[0] }}")).unwrap();

        let mut session = GuestSession::new(std::sync::Arc::clone(&javascript));
        assert_eq!(template.evaluate(&world.scope(), &mut session), Ok(json!(1)));
        let mut run = javascript.session(&code, CodeLimits::default());
        assert_eq!(run.run(CodeInput::Value(&Value::Null)).unwrap_err().code, CodeErrorCode::Unavailable);
        session.release();
        assert!(run.run(CodeInput::Value(&Value::Null)).is_ok());
        assert_eq!(template.evaluate(&world.scope(), &mut session).unwrap_err().kind, ExpressionErrorKind::Unavailable);
        drop(run);
        assert_eq!(template.evaluate(&world.scope(), &mut session), Ok(json!(1)));
    }
}
