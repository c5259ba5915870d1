//! Token buckets that the servers of a cluster share, in Redis. A script there takes from a bucket in one step, by the clock of
//! Redis, so that neither concurrency nor clocks of servers matter. Never what correctness depends on: a Redis that does not answer
//! is left alone for a moment, and callers count for themselves meanwhile.
//! The algorithm is GCRA: a bucket is one number, the time at which it is full again. Source: ITU-T I.371 Annex A.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fred::{
    clients::Client,
    interfaces::{ClientLike, LuaInterface},
    types::{
        Builder,
        config::{Config, ReconnectPolicy, TcpConfig},
    },
};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// Takes one from the bucket `KEYS[1]`, which gets `ARGV[1]` a second and holds `ARGV[2]`. Answers whether there was one, how many
/// are left, and the milliseconds until there is one. Times are microseconds since a day that keeps them small enough for the
/// fractions of a double. A time that lies further ahead than a full bucket can is one of a clock that was set back.
const SCRIPT: &str = r"
local clock = redis.call('TIME')
local now = (clock[1] - 1750000000) * 1000000 + clock[2]
local interval = 1000000 / tonumber(ARGV[1])
local span = tonumber(ARGV[2]) * interval
local full_at = tonumber(redis.call('GET', KEYS[1]) or now)
if full_at < now or full_at > now + span + 1000000 then full_at = now end
full_at = full_at + interval
local missing = full_at - now - span
if missing > 0.001 then return {0, 0, math.ceil(missing / 1000)} end
redis.call('SET', KEYS[1], string.format('%.3f', full_at), 'PX', math.ceil((full_at - now) / 1000))
return {1, math.floor((span - (full_at - now)) / interval + 0.001), 0}
";
/// How long an answer may take: more than a healthy Redis needs, less than a person notices.
const ANSWER_MAX: Duration = Duration::from_millis(100);
/// How long a Redis that did not answer is left alone.
const REST_MS: u64 = 1_000;
/// How long a connection may take to be made, and an answer of any kind may stay away before it counts as broken.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// Pauses between two tries to connect, in milliseconds: from the first to the longest, each twice the one before.
const RECONNECT_MS: (u32, u32, u32) = (100, 5_000, 2);
const SCHEMES: [&str; 2] = ["redis://", "rediss://"];
/// Requests that may wait for a connection.
const WAITING_MAX: usize = 10_000;

/// Why the buckets cannot be shared.
#[derive(Debug, thiserror::Error)]
pub enum SharedBucketsError {
    /// The URL is none of a Redis. Does not show it: it may hold a password.
    #[error("the URL is none of a Redis: write redis://USER:PASSWORD@HOST:PORT/DATABASE, or rediss:// with TLS")]
    Url,
    /// It did not answer, or was left alone since it did not answer a moment ago.
    #[error("Redis does not answer")]
    Silent,
}

/// A bucket to take from.
#[derive(Debug, Clone, Copy)]
pub struct Bucket<'a> {
    /// Unique in the cluster.
    pub key: &'a str,
    pub per_second: f64,
    /// What it holds when it is full.
    pub burst: u32,
}

/// What was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    Granted { remaining: u32 },
    Refused { wait_ms: u64 },
}

/// The buckets of a cluster.
pub struct SharedBuckets {
    client: Client,
    prefix: String,
    /// The script's hash, once Redis has it.
    script: OnceLock<String>,
    began: Instant,
    /// Until when Redis is left alone, in milliseconds since `began`; zero while it answers.
    resting_until: AtomicU64,
    _connection: AbortOnDropHandle<Result<(), fred::error::Error>>,
}

impl SharedBuckets {
    /// Begins to connect; does not wait for it. Every key begins with `prefix`.
    ///
    /// Errors: `Url`.
    pub fn connect(url: &str, prefix: &str) -> Result<Arc<Self>, SharedBucketsError> {
        let mut config = config_of(url)?;
        config.fail_fast = false;
        let (first_ms, longest_ms, factor) = RECONNECT_MS;
        let mut builder = Builder::from_config(config);
        builder
            .with_performance_config(|config| config.default_command_timeout = ANSWER_MAX)
            .with_connection_config(|config| {
                config.connection_timeout = CONNECT_MAX;
                config.internal_command_timeout = CONNECT_MAX;
                config.unresponsive.max_timeout = Some(CONNECT_MAX);
                config.max_command_attempts = 1;
                config.max_command_buffer_len = WAITING_MAX;
                config.tcp = TcpConfig { nodelay: Some(true), ..TcpConfig::default() };
            })
            .set_policy(ReconnectPolicy::new_exponential(0, first_ms, longest_ms, factor));
        let client = builder.build().map_err(|_| SharedBucketsError::Url)?;
        let connection = AbortOnDropHandle::new(client.connect());
        Ok(Arc::new(Self {
            client,
            prefix: prefix.to_owned(),
            script: OnceLock::new(),
            began: Instant::now(),
            resting_until: AtomicU64::new(0),
            _connection: connection,
        }))
    }

    /// Whether a URL is one of a Redis.
    ///
    /// Errors: `Url`.
    pub fn check_url(url: &str) -> Result<(), SharedBucketsError> {
        config_of(url).map(|_| ())
    }

    /// Takes one from a bucket, which begins full.
    ///
    /// Errors: `Silent`, at once while Redis is left alone.
    pub async fn take(&self, bucket: Bucket<'_>) -> Result<Taken, SharedBucketsError> {
        let resting_until = self.resting_until.load(Ordering::Relaxed);
        if resting_until != 0 && !self.may_try(resting_until) {
            return Err(SharedBucketsError::Silent);
        }
        match self.run(&bucket).await {
            Ok((granted, remaining, wait_ms)) => {
                if self.resting_until.swap(0, Ordering::Relaxed) != 0 {
                    tracing::info!("redis answers again: rates are counted together");
                }
                let refused = Taken::Refused { wait_ms: u64::try_from(wait_ms).unwrap_or(1) };
                let remaining = u32::try_from(remaining).unwrap_or(0);
                Ok(if granted == 1 { Taken::Granted { remaining } } else { refused })
            }
            Err(error) => {
                if self.resting_until.swap(self.now_ms() + REST_MS, Ordering::Relaxed) == 0 {
                    tracing::warn!(cause = %error, "redis does not answer: every server counts rates for itself");
                }
                Err(SharedBucketsError::Silent)
            }
        }
    }

    /// Whether Redis answers, for those who look after a machine.
    ///
    /// Errors: `Silent`.
    pub async fn ping(&self) -> Result<(), SharedBucketsError> {
        let connected = tokio::time::timeout(CONNECT_MAX, self.client.wait_for_connect()).await;
        connected.map_err(|_| SharedBucketsError::Silent)?.map_err(|_| SharedBucketsError::Silent)?;
        self.client.ping::<String>(None).await.map(|_| ()).map_err(|_| SharedBucketsError::Silent)
    }

    /// Hangs up.
    pub async fn close(&self) {
        // A connection that is broken is closed already.
        let _ = tokio::time::timeout(CONNECT_MAX, self.client.quit()).await;
    }

    /// Whether this caller is the one that tries after a rest: the others go on without Redis until it has an answer.
    fn may_try(&self, resting_until: u64) -> bool {
        let now_ms = self.now_ms();
        let next = now_ms + REST_MS;
        let is_over = now_ms >= resting_until;
        is_over && self.resting_until.compare_exchange(resting_until, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    async fn run(&self, bucket: &Bucket<'_>) -> Result<(i64, i64, i64), fred::error::Error> {
        let key = format!("{}:{}", self.prefix, bucket.key);
        let arguments = [bucket.per_second.to_string(), bucket.burst.to_string()];
        let evaluate =
            async |hash: &str| self.client.evalsha::<(i64, i64, i64), _, _, _>(hash, key.as_str(), arguments.to_vec()).await;
        let Some(hash) = self.script.get() else { return evaluate(&self.load().await?).await };
        match evaluate(hash).await {
            // It was started again.
            Err(error) if error.details().starts_with("NOSCRIPT") => evaluate(&self.load().await?).await,
            evaluated => evaluated,
        }
    }

    /// Gives Redis the script. Its hash is always the same.
    async fn load(&self) -> Result<String, fred::error::Error> {
        let hash: String = self.client.script_load(SCRIPT).await?;
        Ok(self.script.get_or_init(|| hash).clone())
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Reads a URL. The client itself takes any scheme for plain TCP.
fn config_of(url: &str) -> Result<Config, SharedBucketsError> {
    let is_known = SCHEMES.iter().any(|scheme| url.starts_with(scheme));
    Config::from_url(url).ok().filter(|_| is_known).ok_or(SharedBucketsError::Url)
}
