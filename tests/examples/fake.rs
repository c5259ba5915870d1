//! Services that workflows of the tests call: HTTP servers inside the test's process.

use axum::Router;
use tokio::{net::TcpListener, task::JoinSet};

/// A running service; ends when dropped.
pub(crate) struct Fake {
    /// Such as `http://127.0.0.1:40123`.
    pub(crate) url: String,
    _server: JoinSet<()>,
}

impl Fake {
    pub(crate) async fn start(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, _server: server }
    }
}
