//! For tests: a real HTTP server on the loopback interface, and a resolver that answers what a test wants.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use axum::Router;
use tokio::{net::TcpListener, task::JoinSet};

use super::{EgressClient, EgressPolicy, Lookup};

/// A server that ends with its handle.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    _task: JoinSet<()>,
}

impl TestServer {
    pub(crate) async fn start(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, _task: task }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// Answers per name, each list of addresses once; the last one for ever.
pub(crate) struct FakeLookup(Mutex<BTreeMap<String, Vec<Vec<IpAddr>>>>);

impl FakeLookup {
    pub(crate) fn new(host: &str, answers: &[&[&str]]) -> Arc<Self> {
        let answers = answers.iter().map(|list| list.iter().map(|address| address.parse().unwrap()).collect()).collect();
        Arc::new(Self(Mutex::new(BTreeMap::from([(host.to_owned(), answers)]))))
    }
}

#[async_trait]
impl Lookup for FakeLookup {
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let mut hosts = self.0.lock().unwrap();
        let answers = hosts.get_mut(host).ok_or(io::ErrorKind::NotFound)?;
        Ok(if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() })
    }
}

/// A client that may reach what `allow` says.
pub(crate) fn client(allow: &[&str]) -> EgressClient {
    EgressClient::new(Arc::new(EgressPolicy::new(allow, &[]).unwrap())).unwrap()
}
