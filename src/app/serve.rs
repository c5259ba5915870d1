//! The server: the running system behind an HTTP listener, its first owner, and its orderly end.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use tokio::{net::TcpListener, sync::oneshot, task::JoinSet};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::{
    RunningApp,
    reload::Reloader,
    samples,
    signals::{ReloadSignal, StopSignals},
    start,
};
use crate::{
    actors::{
        accounts::{AccountsParts, AccountsService, GroupRules, LoginProvider, LoginProviders, SetupToken},
        code_runs::CodeRunsHandle,
        supervisor::Meltdown,
        trial::TrialsHandle,
    },
    auth::{
        keyring::Keyring,
        oidc::{Provider, ProviderSettings},
    },
    config::{Config, Loader, OidcConfig, Switch},
    http::{
        self, AppParts, AppState, CursorKey, Listener, Monitor, Origins, Proxies, Rates, Readiness, RequestTimes, StreamSlots,
        Tls,
    },
    store::Store,
    telemetry::LogControl,
};

/// The setup token's file in the data directory.
const OWNER_TOKEN_FILE: &str = "owner-token";

/// What a server needs besides its settings.
pub struct Surroundings {
    /// Reads the settings again.
    pub loader: Loader,
    pub logs: LogControl,
    /// Whether to install the sample workflows, once per data directory.
    pub with_samples: bool,
}

/// A server that takes requests.
pub struct Announcement {
    pub address: SocketAddr,
    pub is_over_tls: bool,
    /// The kind of the store: `sqlite`, `postgres`, `memory`.
    pub store: &'static str,
    pub owner: FirstOwner,
    /// The file of the master key, if this start has made it.
    pub new_master_key: Option<PathBuf>,
    /// Sample workflows that this start has installed.
    pub samples: usize,
}

/// What this start did about the first owner.
pub enum FirstOwner {
    /// There is one already.
    Exists,
    /// Made from the settings.
    User { email: String },
    /// The token that makes one, and stands for them until then: shown this once.
    Token { text: String, file: PathBuf },
    /// An earlier start has shown that token.
    Waiting { file: PathBuf },
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Everything was put away.
    Drained,
    /// A second signal came before that.
    Forced,
}

/// Serves until a signal asks to stop; `announce` is called once requests are taken.
///
/// Errors: what kept the server from starting, or what it died of.
pub async fn serve(config: &Config, surroundings: Surroundings, announce: impl FnOnce(&Announcement)) -> anyhow::Result<Ended> {
    let Surroundings { loader, logs, with_samples } = surroundings;
    let mut signals = StopSignals::listen().context("cannot listen for signals")?;
    let reload_signal = ReloadSignal::listen().context("cannot listen for signals")?;
    let listen = &config.http.listen;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen} (http.listen)"))?;
    let address = listener.local_addr().context("cannot read the address of the listener")?;
    let tls = load_tls(config)?;
    warn_if_public(address, tls.as_ref());

    let key_file = config.master_key_file();
    let makes_key = config.secrets.master_key.is_none() && !key_file.exists();
    let (told, meltdown) = oneshot::channel();
    let app = start(config, move |cause| drop(told.send(cause))).await?;
    app.engine.services.egress.policy().block_listener(address);
    let state = state_of(&app, config)?;
    let (accounts, ready) = (state.accounts.clone(), state.ready.clone());
    let stop = CancellationToken::new();
    let mut server = JoinSet::new();
    let listener = Listener::new(listener, tls.clone(), Proxies::new(config.http.proxies()));
    server.spawn(http::serve(listener, http::router(state), config.limits.http_connections_max, stop.clone()));
    if let Some(tls) = tls.clone() {
        server.spawn(tls.watch(stop.clone()));
    }

    let owner = first_owner(&accounts, config).await?;
    let samples = if with_samples { samples::install_once(&app.workflows, config).await? } else { 0 };
    ready.set_serving();
    announce(&Announcement {
        address,
        is_over_tls: tls.is_some(),
        store: app.store.kind(),
        owner,
        new_master_key: makes_key.then_some(key_file),
        samples,
    });
    tracing::info!(%address, store = app.store.kind(), "server started");

    let reloader = Reloader::new(loader, config.clone(), logs, &app).with_tls(tls);
    let mut running = Running { app, server, stop, ready, signals: &mut signals, config };
    running.until_asked(meltdown, reload_signal, reloader).await?;
    running.stop().await
}

/// A server that takes requests, and what ends it.
struct Running<'a> {
    app: RunningApp,
    server: JoinSet<()>,
    stop: CancellationToken,
    ready: Readiness,
    signals: &'a mut StopSignals,
    config: &'a Config,
}

impl Running<'_> {
    /// Waits for a signal that asks to stop; reads settings again when asked to.
    ///
    /// Errors: the server cannot go on.
    async fn until_asked(
        &mut self,
        mut meltdown: oneshot::Receiver<Meltdown>,
        mut reload: ReloadSignal,
        mut reloader: Reloader,
    ) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                signal = self.signals.next() => {
                    tracing::info!(signal, "server stopping");
                    return Ok(());
                }
                () = reload.next() => reloader.reload(),
                Ok(cause) = &mut meltdown => anyhow::bail!("the service {} fails again and again: {}", cause.slot, cause.cause),
                Some(ended) = self.server.join_next() => {
                    ended.context("the HTTP server died")?;
                    anyhow::bail!("the HTTP server ended by itself");
                }
            }
        }
    }

    /// Stops: not ready, grace, drain.
    async fn stop(self) -> anyhow::Result<Ended> {
        self.ready.set_draining();
        let grace = Duration::from_millis(self.config.drain.readiness_grace.0);
        let limit = Duration::from_millis(self.config.drain.timeout.0);
        let Self { app, mut server, stop, signals, .. } = self;
        let drained = async move {
            tokio::time::sleep(grace).await;
            stop.cancel();
            let requests = async { while server.join_next().await.is_some() {} };
            // Together: a request may wait for an execution, and an execution for its next node.
            let both = async { tokio::join!(requests, app.stop(limit)) };
            if tokio::time::timeout(limit, both).await.is_err() {
                tracing::warn!("the drain took too long: what was left is cut off");
            }
        };
        tokio::select! {
            () = drained => {
                tracing::info!("server stopped");
                Ok(Ended::Drained)
            }
            signal = signals.next() => {
                tracing::warn!(signal, "asked to stop a second time: leaving at once");
                Ok(Ended::Forced)
            }
        }
    }
}

/// What the HTTP layer works with. Its readiness says `starting`.
///
/// Errors: the key of cursors cannot be kept.
pub fn state_of(app: &RunningApp, config: &Config) -> anyhow::Result<AppState> {
    Ok(AppState::from(AppParts {
        store: app.store.clone(),
        executions: app.executions.clone(),
        workflows: app.workflows.clone(),
        schedules: app.schedules.clone(),
        variables: app.engine.variables.clone(),
        credentials: app.credentials.clone(),
        audit: app.engine.audit.clone(),
        registry: app.registry.clone(),
        code_runs: CodeRunsHandle::new(app.engine.clone()),
        trials: TrialsHandle::new(app.engine.clone(), app.registry.clone()),
        login_providers: login_providers_of(app, config),
        accounts: accounts_of(app.store.clone(), app.limits.clone(), &app.keys, config),
        blobs: app.engine.services.blobs.clone(),
        cursors: CursorKey::load_or_create(&config.data_dir).context("cannot keep the key of cursors")?,
        ready: Readiness::default(),
        monitor: Monitor::new(app.monitor.clone(), app.metrics.clone(), config.metrics.public),
        streams: StreamSlots::new(config.limits.streams_max),
        rates: Rates::new(&config.limits, app.limits.clone(), app.shared.clone()),
        origins: Origins::new(&config.http.cors_origins),
        times: RequestTimes {
            body: Duration::from_millis(config.http.body_timeout.0),
            request: Duration::from_millis(config.http.request_timeout.0),
        },
        public_url: config.http.public_url.clone(),
    }))
}

/// The accounts of a store.
pub fn accounts_of(store: Arc<dyn Store>, limits: Switch, keyring: &Keyring, config: &Config) -> AccountsService {
    AccountsService::new(AccountsParts { store, limits, keyring, setup_file: setup_file(config) })
}

/// The OpenID providers that people may log in with.
fn login_providers_of(app: &RunningApp, config: &Config) -> LoginProviders {
    let provider = |(name, found): (&String, &OidcConfig)| {
        let settings = ProviderSettings {
            issuer: found.issuer.clone(),
            client_id: found.client_id.clone(),
            client_secret: found.client_secret.as_ref().map(|secret| Zeroizing::new(secret.expose().to_owned())),
            scopes: found.scopes.clone(),
            groups_claim: found.groups_claim.clone(),
        };
        let provider = Provider::new(settings, app.engine.services.egress.clone());
        let rules = GroupRules::new(found.roles.clone(), found.default_role.clone());
        (name.clone(), LoginProvider { label: found.label.clone().unwrap_or_else(|| name.clone()), provider, rules })
    };
    LoginProviders::new(config.auth.oidc.iter().map(provider).collect(), Arc::clone(&app.keys))
}

fn setup_file(config: &Config) -> PathBuf {
    config.data_dir.join(OWNER_TOKEN_FILE)
}

/// Makes the first owner if the settings name one, else the token that makes one.
async fn first_owner(accounts: &AccountsService, config: &Config) -> anyhow::Result<FirstOwner> {
    if let (Some(email), Some(password)) = (&config.admin.email, &config.admin.password) {
        let is_new = accounts.ensure_first_user(email, password.expose()).await.context("cannot make the first owner")?;
        return Ok(if is_new { FirstOwner::User { email: email.clone() } } else { FirstOwner::Exists });
    }
    let file = setup_file(config);
    Ok(match accounts.ensure_setup_token().await.context("cannot make the setup token")? {
        SetupToken::New(token) => FirstOwner::Token { text: token.expose().to_owned(), file },
        SetupToken::Waiting => FirstOwner::Waiting { file },
        SetupToken::Done => FirstOwner::Exists,
    })
}

/// Reads the certificate that the settings name.
///
/// Errors: it cannot be served with.
fn load_tls(config: &Config) -> anyhow::Result<Option<Tls>> {
    let Some((cert, key)) = config.http.tls_files() else { return Ok(None) };
    Ok(Some(Tls::load(cert, key).context("cannot serve HTTPS (http.tls)")?))
}

/// Tokens travel in the clear over plain HTTP.
fn warn_if_public(address: SocketAddr, tls: Option<&Tls>) {
    if tls.is_none() && !address.ip().is_loopback() {
        tracing::warn!(%address, "listening on a public address without TLS: set `http.tls`, or put a proxy with TLS in front");
    }
}
