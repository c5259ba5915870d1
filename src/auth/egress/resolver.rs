//! Resolves names and lets only checked addresses through. It hands the same addresses to the connection that it checked, so a
//! name that changes its answer between two questions (DNS rebinding) gains nothing. Fails closed when no address remains.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{
    ADDRESSES_MAX, CONNECT_MS_MAX,
    policy::{EgressDenied, EgressPolicy},
};

/// Asks for the addresses of a name: the operating system, or a fake in tests.
#[async_trait]
pub trait Lookup: Send + Sync + 'static {
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The operating system's resolver.
pub(super) struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// Why a name has no address to connect to.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResolveError {
    #[error(transparent)]
    Denied(EgressDenied),
    #[error("cannot resolve {host}")]
    Lookup {
        host: String,
        #[source]
        source: io::Error,
    },
}

/// The only resolver of the egress client.
#[derive(Clone)]
pub(super) struct FilteringResolver {
    pub(super) policy: Arc<EgressPolicy>,
    pub(super) lookup: Arc<dyn Lookup>,
}

impl FilteringResolver {
    /// The allowed addresses of a name, at least one.
    ///
    /// Errors: `Lookup` if the name has no address or the answer takes too long; `Denied` if it has only blocked ones.
    pub(super) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let lookup = tokio::time::timeout(Duration::from_millis(CONNECT_MS_MAX), self.lookup.lookup(host));
        let answers = match lookup.await {
            Ok(Ok(answers)) => answers,
            Ok(Err(source)) => return Err(ResolveError::Lookup { host: host.to_owned(), source }),
            Err(_) => return Err(ResolveError::Lookup { host: host.to_owned(), source: io::ErrorKind::TimedOut.into() }),
        };
        let mut refusal = None;
        let mut allowed = Vec::new();
        for address in answers.into_iter().take(ADDRESSES_MAX) {
            match self.policy.check_address(host, address) {
                Ok(()) => allowed.push(address),
                Err(denied) => refusal = refusal.or(Some(denied)),
            }
        }
        match refusal {
            _ if !allowed.is_empty() => Ok(allowed),
            Some(denied) => Err(ResolveError::Denied(denied)),
            None => Err(ResolveError::Lookup { host: host.to_owned(), source: io::ErrorKind::NotFound.into() }),
        }
    }
}

impl Resolve for FilteringResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let addresses = resolver.addresses(name.as_str()).await?;
            // Port 0 stands for the port of the URL.
            Ok(Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}
