//! An app in this process: the real engine on SQLite in a temporary directory, behind a real listener.

use std::time::Duration;

use citadel::{
    actors::accounts::SetupToken,
    app::{self, RunningApp},
    config::Config,
    http,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{Client, cache_dir};

/// Time that the engine gets to stop.
const STOP_MAX: Duration = Duration::from_secs(10);

/// A running app. A test has to end with [`TestApp::stop`], so that nothing is left running unseen.
pub(crate) struct TestApp {
    /// With the setup token, or logged in as the owner that the settings name.
    pub(crate) client: Client,
    /// The parts below HTTP; `None` once it has been stopped.
    app: Option<RunningApp>,
    server: JoinSet<()>,
    stop: CancellationToken,
    directory: TempDir,
}

impl TestApp {
    /// Starts an app with the settings that tests want.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts an app whose settings are changed first.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config { cache_dir: Some(cache_dir()), ..Config::default() };
        config.use_throwaway_directory(directory.path());
        config.egress.allow = vec!["127.0.0.1".to_owned()];
        change(&mut config);
        let app = app::start(&config, |meltdown| panic!("a service fails again and again: {meltdown:?}")).await.unwrap();
        let state = app::serve::state_of(&app, &config).unwrap();
        let accounts = state.accounts.clone();
        let owner = config.admin.email.clone().zip(config.admin.password.clone());
        let setup_token = match &owner {
            Some((email, password)) => {
                assert!(accounts.ensure_first_user(email, password.expose()).await.unwrap());
                None
            }
            None => match accounts.ensure_setup_token().await.unwrap() {
                SetupToken::New(token) => Some(token.expose().to_owned()),
                SetupToken::Waiting | SetupToken::Done => panic!("the store is new"),
            },
        };
        state.ready.set_serving();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (stop, mut server) = (CancellationToken::new(), JoinSet::new());
        server.spawn(http::serve(listener, http::router(state), config.limits.http_connections_max, stop.clone()));
        let mut client = Client::new(base, setup_token);
        if let Some((email, password)) = owner {
            let body = json!({ "email": email, "password": password.expose() });
            client = client.with_token(&client.post("/auth/login", &body).await.text("access_token"));
        }
        Self { client, app: Some(app), server, stop, directory }
    }

    /// The parts below HTTP.
    pub(crate) fn running(&self) -> &RunningApp {
        self.app.as_ref().expect("it has not been stopped")
    }

    /// The URL of its database.
    pub(crate) fn database(&self) -> String {
        format!("sqlite://{}", self.directory.path().join("citadel.db").display())
    }

    /// Stops everything in order.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        let app = self.app.take().expect("an app stops once");
        let (_, ended) = tokio::join!(app.stop(STOP_MAX), tokio::time::timeout(STOP_MAX, self.server.join_next()));
        ended.expect("the server ends in time").expect("there is a server").unwrap();
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        assert!(self.app.is_none() || std::thread::panicking(), "a test has to stop its app");
    }
}
