//! Reads the settings of a running server again (SIGHUP) and takes over those that may change: the log filter, the switch of
//! rate limits, the egress policy. Everything or nothing: settings that cannot be read change nothing. The files of the certificate
//! are read again, too.

use std::sync::Arc;

use super::RunningApp;
use crate::{
    actors::audit::{AuditEntry, AuditEvent, AuditHandle, Origin, digest},
    config::{Config, EgressConfig, Loader, Switch, settings::SETTINGS, value_of},
    http::Tls,
    model::ids::WorkspaceId,
    nodes::services::Services,
    telemetry::{LogControl, LogFilter},
};

/// Takes over changed settings.
pub(super) struct Reloader {
    loader: Loader,
    /// What is in force.
    current: Config,
    logs: LogControl,
    limits: Switch,
    services: Arc<Services>,
    audit: AuditHandle,
    tls: Option<Tls>,
}

/// What a look at changed settings has found, by name.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changes {
    taken_over: Vec<&'static str>,
    need_restart: Vec<&'static str>,
}

impl Reloader {
    /// For a server that was started with `current`.
    pub(super) fn new(loader: Loader, current: Config, logs: LogControl, app: &RunningApp) -> Self {
        Self {
            loader,
            current,
            logs,
            limits: app.limits.clone(),
            services: Arc::clone(&app.engine.services),
            audit: app.engine.audit.clone(),
            tls: None,
        }
    }

    /// With the certificate that the server serves with.
    pub(super) fn with_tls(self, tls: Option<Tls>) -> Self {
        Self { tls, ..self }
    }

    /// Reads the settings and takes over what may change. Says in the log what came of it.
    pub(super) fn reload(&mut self) {
        if let Some(tls) = &self.tls {
            tls.look_again();
        }
        match self.try_reload() {
            Ok(Changes { taken_over, need_restart }) if need_restart.is_empty() => {
                tracing::info!(changed = taken_over.join(", "), "settings read again");
            }
            Ok(Changes { taken_over, need_restart }) => {
                let (changed, waiting) = (taken_over.join(", "), need_restart.join(", "));
                tracing::warn!(changed, waiting, "settings read again; some of the changes need a restart");
            }
            Err(error) => tracing::error!(cause = format!("{error:#}"), "the settings cannot be read again: nothing has changed"),
        }
    }

    fn try_reload(&mut self) -> anyhow::Result<Changes> {
        let wanted = self.loader.load()?.config;
        let filter = LogFilter::parse(&wanted.log.filter)?;
        // The last step that can fail comes first.
        self.services.egress.set_lists(&wanted.egress.allow, &wanted.egress.deny)?;
        self.limits.set(wanted.limits.enabled);
        self.logs.set_filter(filter);
        let changes = changes_between(&self.current, &wanted);
        if self.current.egress != wanted.egress {
            let lists = |egress: &EgressConfig| Some(digest(format!("{:?}\n{:?}", egress.allow, egress.deny).as_bytes()));
            let entry = AuditEntry::from(AuditEvent::EgressChanged("settings"))
                .changed(lists(&self.current.egress), lists(&wanted.egress))
                .with("allow", wanted.egress.allow.join(", "))
                .with("deny", wanted.egress.deny.join(", "));
            self.audit.note(&Origin::system(WorkspaceId::DEFAULT), entry);
        }
        self.current.egress = wanted.egress;
        self.current.limits.enabled = wanted.limits.enabled;
        self.current.log.filter = wanted.log.filter;
        Ok(changes)
    }
}

/// What differs. Values of secrets are not compared here: `secrets` stands for all of them.
fn changes_between(current: &Config, wanted: &Config) -> Changes {
    let mut changes = Changes::default();
    for setting in SETTINGS.iter().filter(|setting| value_of(current, setting.key) != value_of(wanted, setting.key)) {
        let list = if setting.reloads { &mut changes.taken_over } else { &mut changes.need_restart };
        list.push(setting.key);
    }
    if changes == Changes::default() && current != wanted {
        changes.need_restart.push("secrets");
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    #[track_caller]
    fn check(change: impl FnOnce(&mut Config), taken_over: &[&str], need_restart: &[&str]) {
        let current = Config::default();
        let mut wanted = current.clone();
        change(&mut wanted);
        let changes = changes_between(&current, &wanted);
        assert_eq!((&changes.taken_over[..], &changes.need_restart[..]), (taken_over, need_restart));
    }

    #[test]
    fn tells_what_changes_at_once_from_what_needs_a_restart() {
        check(|_| {}, &[], &[]);
        check(|config| config.log.filter = "debug".to_owned(), &["log.filter"], &[]);
        check(|config| config.http.listen = "127.0.0.1:1".to_owned(), &[], &["http.listen"]);
        let both = |config: &mut Config| {
            config.limits.enabled = false;
            config.limits.io_slots = 1;
        };
        check(both, &["limits.enabled"], &["limits.io_slots"]);
        check(|config| config.store.url = Some(Secret::new("sqlite://a".to_owned())), &[], &["store.url"]);
    }

    #[test]
    fn notices_a_secret_that_is_another_one() {
        let with = |url: &str| {
            let mut config = Config::default();
            config.store.url = Some(Secret::new(url.to_owned()));
            config
        };
        assert_eq!(changes_between(&with("sqlite://a"), &with("sqlite://b")).need_restart, ["secrets"]);
    }
}
