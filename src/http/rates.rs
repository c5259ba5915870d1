//! How many requests a client may send: per token, per address where there is no token, per webhook. The servers of a cluster
//! count together in Redis; without one, or while it does not answer, each counts for itself in token buckets in memory. Every
//! answer says what is left (the headers `RateLimit` and `RateLimit-Policy`).
//! Source: draft-ietf-httpapi-ratelimit-headers-10.

use std::{
    fmt,
    hash::Hash,
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    response::{IntoResponse, Response},
};
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::DefaultKeyedStateStore,
};
use metrics::counter;

use super::{
    AppState,
    error::ApiError,
    extract::{Authenticated, ClientAddress, Denied, presented, refuse_token, wanted_workspace},
    problem,
};
use crate::{
    actors::accounts::TokenError,
    auth::network::client_network,
    config::{LimitsConfig, Switch},
    model::ids::TokenId,
    store::shared_buckets::{Bucket, SharedBuckets, Taken},
};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// Checks between two looks whether buckets can be forgotten.
const CHECKS_PER_CLEANING: u64 = 4_096;

/// The rates of this server. Cheap to clone.
#[derive(Clone)]
pub struct Rates {
    /// Whether anything is limited: the operator may change it while the server runs.
    enabled: Switch,
    buckets: Arc<Buckets>,
}

struct Buckets {
    requests: Limiter<Client>,
    hooks: Limiter<Arc<str>>,
}

/// Whose requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Client {
    Token(TokenId),
    Address(IpAddr),
}

impl Rates {
    /// The rates that the operator wants, while `enabled` is on; counted with others in `shared`.
    pub fn new(config: &LimitsConfig, enabled: Switch, shared: Option<Arc<SharedBuckets>>) -> Self {
        let buckets = Buckets {
            requests: Limiter::new("requests", config.requests_per_second, config.requests_burst, shared.clone()),
            hooks: Limiter::new("hook", config.hooks_per_second, config.hooks_burst, shared),
        };
        Self { enabled, buckets: Arc::new(buckets) }
    }

    /// Counts a request to a published webhook.
    ///
    /// Errors: `rate_limited`.
    pub(super) async fn check_hook(&self, path: &Arc<str>) -> Result<Allowance, ApiError> {
        if self.enabled.is_on() { self.buckets.hooks.check(path).await } else { Ok(Allowance::default()) }
    }

    /// Counts a request without a token.
    ///
    /// Errors: `rate_limited`.
    pub(super) async fn check_address(&self, address: Option<&ClientAddress>) -> Result<Allowance, ApiError> {
        match address.filter(|_| self.enabled.is_on()) {
            Some(ClientAddress(address)) => self.buckets.requests.check(&Client::of(*address)).await,
            None => Ok(Allowance::default()),
        }
    }

    async fn check_token(&self, token: TokenId) -> Result<Allowance, ApiError> {
        self.buckets.requests.check(&Client::Token(token)).await
    }
}

impl Client {
    fn of(address: IpAddr) -> Self {
        Self::Address(client_network(address))
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(token) => write!(f, "token:{token}"),
            Self::Address(address) => write!(f, "address:{address}"),
        }
    }
}

/// Counts the requests of the API, and says whose token it is while it is at it.
pub(super) async fn limit_requests(State(app): State<AppState>, mut request: Request, next: Next) -> Response {
    if !app.rates.enabled.is_on() {
        return next.run(request).await;
    }
    match admit(&app, &mut request).await {
        Ok(allowance) => {
            let mut response = next.run(request).await;
            allowance.write(response.headers_mut());
            response
        }
        Err(refused) => refused.into_response(),
    }
}

/// A token that was not seen lately is looked up in the store: that counts as a request of the address, so that invented tokens
/// get no further than no token at all.
async fn admit(app: &AppState, request: &mut Request) -> Result<Allowance, ApiError> {
    let address = request.extensions().get::<ClientAddress>().copied();
    let Ok(presented) = presented(request.headers(), request.extensions()) else {
        return app.rates.check_address(address.as_ref()).await;
    };
    let wanted = wanted_workspace(request.headers(), request.uri());
    if let Some(caller) = wanted.ok().and_then(|wanted| app.accounts.recall(presented, wanted)) {
        request.extensions_mut().insert(Authenticated(Ok(caller)));
        return app.rates.check_token(caller.token).await;
    }
    let allowance = app.rates.check_address(address.as_ref()).await?;
    let found = match wanted {
        // The deadline of the request begins behind this layer.
        Ok(wanted) => match tokio::time::timeout(app.times.request, app.accounts.authenticate(presented, wanted)).await {
            Ok(found) => found,
            Err(_) => return Err(ApiError::new(&problem::UNAVAILABLE, "nobody could say in time whose token it is")),
        },
        Err(denied) => Err(denied.into()),
    };
    let (authenticated, allowance) = match found {
        Ok(caller) => (Ok(caller), app.rates.check_token(caller.token).await?),
        Err(TokenError::Invalid | TokenError::Reused { .. }) => (Err(Denied::Token), allowance),
        Err(TokenError::Workspace) => (Err(Denied::Workspace), allowance),
        Err(TokenError::KeyElsewhere) => (Err(Denied::KeyElsewhere), allowance),
        Err(error @ TokenError::Store(_)) => return Err(refuse_token(error)),
    };
    request.extensions_mut().insert(Authenticated(authenticated));
    Ok(allowance)
}

/// What a client may still send; nothing is said where nothing is limited.
#[derive(Debug, Clone, Default)]
pub(super) struct Allowance(Option<(HeaderValue, HeaderValue)>);

impl Allowance {
    /// Adds the headers, unless a workflow has set its own.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        if let Some((state, policy)) = &self.0 {
            headers.entry(RATE_LIMIT).or_insert_with(|| state.clone());
            headers.entry(RATE_LIMIT_POLICY).or_insert_with(|| policy.clone());
        }
    }
}

/// A bucket per key, forgotten when it is full again.
struct Limiter<K: Clone + Hash + Eq + fmt::Display> {
    name: &'static str,
    per_second: NonZeroU32,
    burst: NonZeroU32,
    policy: HeaderValue,
    buckets: RateLimiter<K, DefaultKeyedStateStore<K>, DefaultClock, StateInformationMiddleware>,
    checks: AtomicU64,
    /// Where the servers of a cluster count together.
    shared: Option<Arc<SharedBuckets>>,
}

impl<K: Clone + Hash + Eq + fmt::Display> Limiter<K> {
    fn new(name: &'static str, per_second: NonZeroU32, burst: NonZeroU32, shared: Option<Arc<SharedBuckets>>) -> Self {
        let window = burst.get().div_ceil(per_second.get());
        let policy = HeaderValue::try_from(format!("\"{name}\";q={burst};w={window}")).expect("digits are fit for a header");
        let quota = Quota::per_second(per_second).allow_burst(burst);
        let buckets = RateLimiter::keyed(quota).with_middleware();
        Self { name, per_second, burst, policy, buckets, checks: AtomicU64::new(0), shared }
    }

    /// Takes one from the bucket of a key.
    ///
    /// Errors: `rate_limited`.
    async fn check(&self, key: &K) -> Result<Allowance, ApiError> {
        let Some(shared) = &self.shared else { return self.check_here(key) };
        let name = format!("rate:{}:{key}", self.name);
        let bucket = Bucket { key: &name, per_second: f64::from(self.per_second.get()), burst: self.burst.get() };
        match shared.take(bucket).await {
            Ok(Taken::Granted { remaining }) => Ok(self.allowance(remaining)),
            Ok(Taken::Refused { wait_ms }) => Err(self.refuse(Duration::from_millis(wait_ms))),
            // A cluster without its Redis lets more through than it should, and goes on.
            Err(_) => {
                counter!("citadel_rate_limits_unshared_total").increment(1);
                self.check_here(key)
            }
        }
    }

    /// The same by what this server has seen.
    fn check_here(&self, key: &K) -> Result<Allowance, ApiError> {
        if self.checks.fetch_add(1, Ordering::Relaxed) % CHECKS_PER_CLEANING == CHECKS_PER_CLEANING - 1 {
            self.buckets.retain_recent();
        }
        match self.buckets.check_key(key) {
            Ok(state) => Ok(self.allowance(state.remaining_burst_capacity())),
            Err(refused) => Err(self.refuse(refused.wait_time_from(self.buckets.clock().now()))),
        }
    }

    fn allowance(&self, remaining: u32) -> Allowance {
        let full_in = (self.burst.get().saturating_sub(remaining)).div_ceil(self.per_second.get());
        let state = HeaderValue::try_from(format!("\"{}\";r={remaining};t={full_in}", self.name));
        Allowance(Some((state.expect("digits are fit for a header"), self.policy.clone())))
    }

    fn refuse(&self, wait: Duration) -> ApiError {
        let detail = format!("{} a second at most, {} at once: see RateLimit-Policy", self.per_second, self.burst);
        let mut headers = HeaderMap::new();
        self.allowance(0).write(&mut headers);
        let mut error = ApiError::new(&problem::RATE_LIMITED, detail)
            .with_retry_after_ms(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        error.headers.extend(headers.into_iter().filter_map(|(name, value)| Some((name?, value))));
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(per_second: u32, burst: u32) -> Limiter<Client> {
        Limiter::new("requests", per_second.try_into().unwrap(), burst.try_into().unwrap(), None)
    }

    fn client(address: &str) -> Client {
        Client::of(address.parse().unwrap())
    }

    #[test]
    fn burst_obeyed_and_violated() {
        let limiter = limiter(1, 3);
        let (one, other) = (client("192.0.2.1"), client("192.0.2.2"));
        for remaining in [2, 1, 0] {
            let mut headers = HeaderMap::new();
            limiter.check_here(&one).unwrap().write(&mut headers);
            assert_eq!(headers[RATE_LIMIT], format!("\"requests\";r={remaining};t={}", 3 - remaining));
            assert_eq!(headers[RATE_LIMIT_POLICY], "\"requests\";q=3;w=3");
        }
        let refused = limiter.check_here(&one).unwrap_err();
        assert_eq!(refused.problem.code, "rate_limited");
        let names: Vec<&str> = refused.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert!(["retry-after", "ratelimit", "ratelimit-policy"].iter().all(|name| names.contains(name)), "{names:?}");
        assert!(limiter.check_here(&other).is_ok(), "another client has a bucket of its own");
    }

    #[test]
    fn forgets_buckets_that_are_full_again() {
        let limiter = limiter(1_000_000, 1);
        for number in 0..=2 * CHECKS_PER_CLEANING {
            let address = std::net::Ipv4Addr::from_bits(u32::try_from(number).unwrap());
            assert!(limiter.check_here(&Client::Address(address.into())).is_ok());
        }
        assert!(limiter.buckets.len() <= usize::try_from(CHECKS_PER_CLEANING).unwrap() + 1, "{}", limiter.buckets.len());
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        assert_eq!(client("2001:db8:1:2:3::4"), client("2001:db8:1:2:ffff::1"));
        assert_ne!(client("2001:db8:1:2::"), client("2001:db8:1:3::"));
        assert_eq!(client("::ffff:192.0.2.1"), client("192.0.2.1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
    }

    #[tokio::test]
    async fn limits_nothing_where_limits_are_off() {
        let enabled = Switch::new(false);
        let rates = Rates::new(&LimitsConfig::default(), enabled.clone(), None);
        let headers = async || {
            let mut headers = HeaderMap::new();
            rates.check_hook(&"a".into()).await.unwrap().write(&mut headers);
            headers
        };
        assert!(headers().await.is_empty());
        enabled.set(true);
        assert_eq!(headers().await.len(), 2);
    }

    #[test]
    fn leaves_the_headers_of_a_workflow_alone() {
        let mut headers = HeaderMap::from_iter([(RATE_LIMIT, HeaderValue::from_static("mine"))]);
        limiter(1, 1).allowance(1).write(&mut headers);
        assert_eq!(headers[RATE_LIMIT], "mine");
    }
}
