//! The one HTTP client. Checks every hop of a request against the policy, follows redirects itself, and hands out bodies only
//! under a limit. Called by node types and whoever else has to leave the process; must never be given a proxy, since a proxy
//! resolves names by itself.

use std::{
    error::Error,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use reqwest::{
    Client, Method, StatusCode, Url,
    header::{CONTENT_TYPE, HeaderMap},
};
use tokio::time::Instant;

use super::{
    CONNECT_MS_MAX, IDLE_CONNECTION_MS_MAX, IDLE_CONNECTIONS_PER_HOST_MAX, REDIRECTS_MAX,
    policy::{EgressDenied, EgressPolicy},
    redirect::{next_hop, without_secrets},
    resolver::{FilteringResolver, Lookup, ResolveError, SystemLookup},
    rules::InvalidRule,
    watch::{DenialWatch, OnBehalf},
};

/// The only way to the outside. Cheap to clone.
#[derive(Clone)]
pub struct EgressClient {
    /// Exchanged with the policy's lists: connections that were made under the old ones are not used under the new ones.
    http: Arc<ArcSwap<Client>>,
    resolver: FilteringResolver,
    watch: Option<Arc<dyn DenialWatch>>,
    on_behalf: Option<Arc<OnBehalf>>,
}

/// One request. Mark header values that are secrets as sensitive: they do not follow a redirect to another origin.
#[derive(Debug, Clone)]
pub struct EgressRequest {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<Bytes>,
    /// Wall time of everything: all hops and the reading of the body.
    pub timeout: Duration,
    pub follow_redirects: bool,
}

/// The last hop's answer, its body still to be read.
#[derive(Debug)]
pub struct EgressResponse(reqwest::Response);

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// The policy forbids it; it will forbid it again.
    #[error(transparent)]
    Denied(#[from] EgressDenied),
    #[error("more than {REDIRECTS_MAX} redirects")]
    TooManyRedirects,
    #[error("no answer in time")]
    Timeout(#[source] reqwest::Error),
    /// The name does not resolve, or nobody answers there.
    #[error("cannot connect to {host}")]
    Connect {
        host: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("the body is larger than {limit_bytes} bytes")]
    BodyTooLarge { limit_bytes: usize },
    /// The exchange broke off, or the answer is no HTTP.
    #[error("the exchange with {host} failed")]
    Exchange {
        host: String,
        #[source]
        source: reqwest::Error,
    },
}

/// Why the policy's lists stay as they are.
#[derive(Debug, thiserror::Error)]
pub enum ListsError {
    #[error(transparent)]
    Rule(#[from] InvalidRule),
    #[error("cannot make an HTTP client")]
    Client(#[source] reqwest::Error),
}

impl EgressClient {
    /// A client under a policy, with the names resolved by the operating system.
    ///
    /// Errors: the TLS library finds no root certificates.
    pub fn new(policy: Arc<EgressPolicy>) -> Result<Self, reqwest::Error> {
        Self::with_lookup(policy, Arc::new(SystemLookup))
    }

    /// A client that asks `lookup` for the addresses of names.
    ///
    /// Errors: the TLS library finds no root certificates.
    pub fn with_lookup(policy: Arc<EgressPolicy>, lookup: Arc<dyn Lookup>) -> Result<Self, reqwest::Error> {
        let resolver = FilteringResolver { policy, lookup };
        let http = Arc::new(ArcSwap::from_pointee(connections(&resolver)?));
        Ok(Self { http, resolver, watch: None, on_behalf: None })
    }

    /// The same client, whose refusals somebody is told of.
    #[must_use]
    pub fn watched(self, watch: Arc<dyn DenialWatch>) -> Self {
        Self { watch: Some(watch), ..self }
    }

    /// The same client for somebody in particular, who is named where a connection is refused.
    #[must_use]
    pub fn on_behalf(&self, of: OnBehalf) -> Self {
        Self { on_behalf: Some(Arc::new(of)), ..self.clone() }
    }

    /// Exchanges the operator's lists for everything that is sent from now on, by clones of this client, too. Open connections are
    /// not used again.
    ///
    /// Errors: see [`ListsError`]; then nothing has changed.
    pub fn set_lists<S: AsRef<str>>(&self, allow: &[S], deny: &[S]) -> Result<(), ListsError> {
        let http = connections(&self.resolver).map_err(ListsError::Client)?;
        self.policy().set_lists(allow, deny)?;
        self.http.store(Arc::new(http));
        Ok(())
    }

    /// The policy of this client.
    pub fn policy(&self) -> &EgressPolicy {
        &self.resolver.policy
    }

    /// Sends a request and follows redirects, each of them checked like the first URL.
    ///
    /// Errors: every variant but `BodyTooLarge`.
    pub async fn send(&self, request: EgressRequest) -> Result<EgressResponse, EgressError> {
        let deadline = Instant::now() + request.timeout;
        let EgressRequest { mut method, mut url, mut headers, mut body, follow_redirects, .. } = request;
        let http = self.http.load_full();
        for _ in 0..=REDIRECTS_MAX {
            self.check_url(&url).inspect_err(|denied| self.tell(denied))?;
            let mut builder = http.request(method.clone(), url.clone()).headers(headers.clone());
            if let Some(bytes) = &body {
                builder = builder.body(bytes.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let response = builder.timeout(left).send().await.map_err(|error| self.classify(&url, error))?;
            let hop = next_hop(&method, &url, response.status(), response.headers()).filter(|_| follow_redirects);
            let Some(hop) = hop else {
                return Ok(EgressResponse(response));
            };
            if hop.leaves_origin {
                headers = without_secrets(&headers);
            }
            if !hop.keeps_body {
                body = None;
                headers.remove(CONTENT_TYPE);
            }
            (method, url) = (hop.method, hop.url);
        }
        Err(EgressError::TooManyRedirects)
    }

    /// The addresses that a connection of another protocol may use for this host. Connect to one of them, not to the name.
    ///
    /// Errors: `Denied`, `Connect` if the name does not resolve.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, EgressError> {
        self.policy().check_host(host).inspect_err(|denied| self.tell(denied))?;
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![(address, port).into()]);
        }
        match self.resolver.addresses(host).await {
            Ok(addresses) => Ok(addresses.into_iter().map(|address| (address, port).into()).collect()),
            Err(ResolveError::Denied(denied)) => {
                self.tell(&denied);
                Err(EgressError::Denied(denied))
            }
            Err(error) => Err(EgressError::Connect { host: host.to_owned(), source: Box::new(error) }),
        }
    }

    fn check_url(&self, url: &Url) -> Result<(), EgressDenied> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(EgressDenied::Scheme { scheme: url.scheme().to_owned() });
        }
        self.policy().check_host(url.host_str().ok_or(EgressDenied::NoHost)?)
    }

    /// Counts a refusal, and tells whoever watches. Refusals are rare, so the counter is looked up each time.
    fn tell(&self, denied: &EgressDenied) {
        metrics::counter!("citadel_egress_denied_total").increment(1);
        if let Some(watch) = &self.watch {
            watch.denied(self.on_behalf.as_deref(), denied);
        }
    }

    /// As [`classify`]; a refusal of the resolver is told.
    fn classify(&self, url: &Url, error: reqwest::Error) -> EgressError {
        let error = classify(url, error);
        if let EgressError::Denied(denied) = &error {
            self.tell(denied);
        }
        error
    }
}

/// What keeps connections open. Their addresses have passed the resolver.
fn connections(resolver: &FilteringResolver) -> Result<Client, reqwest::Error> {
    Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .dns_resolver(Arc::new(resolver.clone()))
        .user_agent(concat!("citadel/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_millis(CONNECT_MS_MAX))
        .pool_max_idle_per_host(IDLE_CONNECTIONS_PER_HOST_MAX)
        .pool_idle_timeout(Duration::from_millis(IDLE_CONNECTION_MS_MAX))
        .build()
}

impl EgressResponse {
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    pub fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// The URL that answered, after redirects.
    pub fn url(&self) -> &Url {
        self.0.url()
    }

    /// Reads the whole body, decompressed.
    ///
    /// Errors: `BodyTooLarge` as soon as it is, `Timeout`, `Exchange`.
    pub async fn read(mut self, limit_bytes: usize) -> Result<Bytes, EgressError> {
        let mut body = BytesMut::new();
        loop {
            let chunk = match self.0.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return Ok(body.freeze()),
                Err(error) => return Err(classify(self.0.url(), error)),
            };
            if chunk.len() > limit_bytes - body.len() {
                return Err(EgressError::BodyTooLarge { limit_bytes });
            }
            body.extend_from_slice(&chunk);
        }
    }
}

/// Sorts a failure by what can be done about it, and takes the URL out of its text: the query may hold a secret.
fn classify(url: &Url, error: reqwest::Error) -> EgressError {
    if let Some(denied) = find_denial(&error) {
        return EgressError::Denied(denied);
    }
    let host = url.host_str().unwrap_or_default().to_owned();
    let source = error.without_url();
    if source.is_timeout() {
        EgressError::Timeout(source)
    } else if source.is_connect() {
        EgressError::Connect { host, source: Box::new(source) }
    } else {
        EgressError::Exchange { host, source }
    }
}

/// The resolver's refusal, which the client wraps several times.
fn find_denial(error: &reqwest::Error) -> Option<EgressDenied> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(ResolveError::Denied(denied)) = current.downcast_ref() {
            return Some(denied.clone());
        }
        cause = current.source();
    }
    None
}
