//! What every setting means, for people: `citadel init`, `citadel config explain`, `.env.example` and the documentation are made
//! of this table. Names and defaults are read off the structs; a test compares the two, so that none can be forgotten.

/// One setting, as people read about it.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// With dots: `http.listen`.
    pub key: &'static str,
    /// What a value looks like, with its unit.
    pub form: &'static str,
    /// What it does, in a sentence or two without a line break.
    pub text: &'static str,
    /// What a file may say where the default is to say nothing.
    pub example: Option<&'static str>,
    /// Whether it may hold a secret: never shown, and readable from a file.
    pub secret: bool,
    /// Whether a running server reads it again on SIGHUP.
    pub reloads: bool,
}

/// The sections in the order in which they are shown; the first has no name.
pub const SECTIONS: &[(&str, &str)] = &[
    ("", ""),
    ("http", "The HTTP server."),
    ("store", "The database."),
    ("redis", "What the servers of a cluster count together: rates. Unset, each counts for itself."),
    ("node", "This process among its peers."),
    (
        "admin",
        "The first owner, where the first start is unattended: both settings or none. Without them there is a setup token.",
    ),
    ("secrets", "What credentials and other secrets are encrypted with. Without the key they are lost: keep a copy of it."),
    ("egress", "What workflows may reach, beside public addresses. Own and private addresses are refused unless allowed."),
    ("files", "Files that workflows may use."),
    ("runtimes", "Code that runs as processes of this machine's interpreters: Bash, Python with packages, Node.js and others."),
    ("limits", "Limits of this process. Limits of single workflows are fixed."),
    ("retention", "How long finished executions are kept where the workflow does not say, and how long the audit log goes back."),
    ("log", "What is logged on standard error, and how."),
    ("metrics", "Figures for Prometheus."),
    ("env", "What workflows see as `$env`."),
    ("drain", "How a server stops."),
    ("client", "What client commands talk to. A context that `citadel login` made needs neither."),
];

/// Every setting but those of credentials, whose names are free.
pub const SETTINGS: &[Setting] = &[
    setting("data_dir", "path", "The directory of the server's files: the embedded database, large payloads, keys."),
    setting("cache_dir", "path", "Where compiled sandboxes are kept over restarts; unset: `cache` in the data directory. Losing it costs time only.")
        .example("/var/cache/citadel"),
    setting("runtimes_dir", "path", "Where `citadel runtimes install` puts languages; unset: `runtimes` in the data directory.")
        .example("/var/lib/citadel/runtimes"),
    setting("http.listen", "ADDRESS:PORT", "Where the server listens. A public address needs TLS: `http.tls`, or a proxy in front."),
    setting("http.public_url", "URL", "The address of this server as browsers see it: where other services send people back to; unset: the address of the request.")
        .example("https://citadel.example.org"),
    setting("http.body_timeout", "duration", "How long the body of a request may take to arrive."),
    setting("http.request_timeout", "duration", "How long a request may take that does not wait for an execution."),
    setting(
        "http.cors_origins",
        "list of origins",
        "Web pages of other origins that may call the API: `https://app.example.org`. None by default; webhooks are for everybody.",
    ),
    setting(
        "http.trusted_proxies",
        "list of addresses, networks",
        "Proxies that are believed what they say about their clients (`X-Forwarded-For`, `X-Forwarded-Proto`): `10.0.0.0/8`.",
    ),
    setting("http.tls.cert", "path", "The server's certificate and those above it, as PEM: then it speaks HTTPS. Read again when it changes, and on SIGHUP.")
        .example("/etc/citadel/cert.pem"),
    setting("http.tls.key", "path", "The private key of the certificate, as PEM. Read again as the certificate is.").example("/etc/citadel/key.pem"),
    setting("store.url", "URL", "The database: `sqlite://PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`; unset: a SQLite file in the data directory.")
        .example("postgres://citadel:PASSWORD@localhost/citadel")
        .secret(),
    setting("store.migrate", "auto, check or off", "What a start does about an older schema: migrate it, refuse to start, or not look."),
    setting("redis.url", "URL", "The Redis of the cluster, `redis://USER:PASSWORD@HOST/DATABASE` or `rediss://` with TLS. Without it, or while it cannot be reached, each server counts for itself.")
        .example("redis://localhost/0")
        .secret(),
    setting("redis.prefix", "text", "What every key begins with: clusters that share a Redis need different ones."),
    setting("node.name", "text", "The name of this process among its peers."),
    setting("node.roles", "list of api, worker, scheduler", "What this process does: serve HTTP, run executions, start them by the time."),
    setting("admin.email", "e-mail address", "The first owner's address.").example("owner@example.org"),
    setting("admin.password", "text", "The first owner's password.").example("a long sentence").secret(),
    setting("secrets.master_key", "text of 32 to 1024 characters", "The master key (`openssl rand -base64 32`), the same on every node; during a rotation the new one and the old ones, with a blank or a line break between; unset: `master.key` in the data directory, which the first start makes.")
        .example("a random text")
        .secret(),
    setting("egress.allow", "list of addresses, networks, host names", "What is allowed although it is private: `10.0.5.0/24`, `*.corp.example`. Wins over `egress.deny`.")
        .reloads(),
    setting("egress.deny", "list of addresses, networks, host names", "What is never allowed although it is public.").reloads(),
    setting("files.root", "path", "The directory of the file and SQLite nodes; unset switches them off.").example("/srv/citadel/files"),
    setting("runtimes.isolation", "full, reduced or off", "What has to keep native code apart: full: namespaces, or there is none; reduced: without them where the machine gives none; off: no native code."),
    setting("runtimes.uid", "number of a user", "The user and group of native code where the server is run by root. Nothing else may belong to it."),
    setting("runtimes.native_slots", "count", "Native processes that may run at once; unset: two per core.").example("4"),
    setting("runtimes.native_warm_max", "count", "Interpreters that may wait for work, of all native languages and workspaces together."),
    setting("runtimes.native_memory_bytes", "bytes", "What the memory limits of native processes that run at once may add up to."),
    setting("runtimes.disk_bytes", "bytes", "Files that one run of native code may have, kept in memory."),
    setting("runtimes.cgroup", "path", "A directory of control groups (version 2) that was delegated to the server; unset: limits are looked after every 20 ms.")
        .example("/sys/fs/cgroup/citadel"),
    setting("limits.enabled", "true or false", "Whether rates are limited (logins, requests); sizes always are.").reloads(),
    setting("limits.requests_per_second", "count", "Requests that a token, or an address without one, may send in the long run."),
    setting("limits.requests_burst", "count", "Requests that a token, or an address without one, may send at once."),
    setting("limits.hooks_per_second", "count", "Requests that one webhook takes in the long run."),
    setting("limits.hooks_burst", "count", "Requests that one webhook takes at once."),
    setting("limits.executions_live_max", "count", "Executions that may be in memory at once; waiting ones are not. One workspace alone gets eight ninths of it, so that there is always room for another."),
    setting(
        "limits.executions_queued_max",
        "count",
        "Executions that may wait in memory because their workflow bounds how many run at once.",
    ),
    setting("limits.io_slots", "count", "Effects that may wait for sockets and files at once."),
    setting("limits.wasm_memory_bytes", "bytes", "What the memory limits of code that runs at once may add up to."),
    setting("limits.wasm_slots", "count", "Sandboxes that may compute at once; unset: one per core.").example("4"),
    setting("limits.lane_depth_max", "count", "Requests that may wait for the journal's next commit."),
    setting("limits.lane_bytes_max", "bytes", "Bytes that may wait for the journal's next commit."),
    setting("limits.http_connections_max", "count", "Connections that the server keeps open; more wait in the operating system's queue."),
    setting("limits.streams_max", "count", "Streams of events that the server keeps open; more are refused."),
    setting("limits.workspace_code_runs_max", "count", "Runs of code that one workspace may have at once in this process, in sandboxes and again in native processes; more wait for their turn. Unset: as many as there are places.")
        .example("2"),
    setting("limits.workspace_code_seconds_per_minute", "count", "Seconds of CPU time that the code of one workspace may use in a minute in this process; more is refused (429 `code_quota`, in an execution a failure that is tried again). Unset: any.")
        .example("60"),
    setting("limits.workspace_executions_max", "count", "Executions of one workspace that may run at once in this process; unset: its fair share of `limits.executions_live_max`.")
        .example("500"),
    setting("limits.workspace_excess", "refuse or queue", "What becomes of executions beyond `limits.workspace_executions_max`: refuse: whoever starts one is refused (429 `executions_quota`), and what follows from running ones goes on; queue: they wait for their turn."),
    setting("limits.workspace_starts_per_minute", "count", "Executions that one workspace may start in a minute, over all servers where they share a Redis (429 `starts_quota`); sub-workflows and schedules are not counted. Unset: any number.")
        .example("6000"),
    setting("limits.workspace_bytes_max", "bytes", "What the executions of one workspace may have stored before no more can be started (429 `storage_quota`). Looked at every two seconds, or less often where a look takes long; sub-workflows and schedules go on. Unset: anything.")
        .example("10737418240"),
    setting("retention.success", "duration", "How long executions are kept that succeeded."),
    setting("retention.failure", "duration", "How long executions are kept that failed or were cancelled."),
    setting("retention.audit", "duration", "How long rows of the audit log are kept."),
    setting("log.format", "auto, pretty, compact or json", "The form of a line; auto: pretty on a terminal, else JSON."),
    setting("log.filter", "filter", "What is logged, in the manner of `RUST_LOG`: `info,citadel=debug`.").reloads(),
    setting("metrics.public", "true or false", "Whether `/metrics` needs no token. Figures name no workflow, but tell how busy the server is."),
    setting("env.allow", "list of names", "Environment variables that expressions may read."),
    setting("drain.readiness_grace", "duration", "How long a server that reports itself as not ready keeps serving, so that balancers notice."),
    setting("drain.timeout", "duration", "How long the rest of a stop may take; after it the process exits with what it has."),
    setting("client.url", "URL", "The server of client commands; unset: the context in use, else `http.listen`.").example("https://citadel.example.org"),
    setting("client.token", "text", "The token of client commands; unset: the context's, else the setup token in the data directory for a server on this machine.")
        .example("ctd_live_...")
        .secret(),
    setting("client.email", "e-mail address", "What `citadel login` logs in with; unset: it asks.").example("owner@example.org"),
    setting("client.password", "text", "The password of `citadel login`; unset: it asks, or reads a line from standard input.")
        .example("a long sentence")
        .secret(),
];

/// The forms of values that need more than a word.
pub const FORMS: &[(&str, &str)] = &[
    ("duration", "`500ms`, `30s`, `5m`, `1h30m`, `7d` or ISO 8601 (`PT1H30M`)"),
    ("list", "in a file `[\"a\", \"b\"]`, in the environment the same or `a,b`"),
    ("path", "relative ones start at the directory that the process was started in"),
];

const fn setting(key: &'static str, form: &'static str, text: &'static str) -> Setting {
    Setting { key, form, text, example: None, secret: false, reloads: false }
}

impl Setting {
    const fn example(self, example: &'static str) -> Self {
        Self { example: Some(example), ..self }
    }

    const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    const fn reloads(self) -> Self {
        Self { reloads: true, ..self }
    }

    /// The setting with this name.
    pub fn find(key: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }

    /// The section and the name in it: `("http", "listen")`; the section is empty for settings outside of any.
    pub fn place(&self) -> (&'static str, &'static str) {
        self.key.split_once('.').unwrap_or(("", self.key))
    }

    /// The variable of the environment: `CITADEL__HTTP__LISTEN`.
    pub fn variable(&self) -> String {
        super::environment::variable_of(self.key)
    }

    /// The built-in default; null where there is none.
    pub fn default_value(&self) -> serde_json::Value {
        super::value_of(&super::Config::default(), self.key)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::keys::KnownKeys;

    #[test]
    fn explains_every_setting_once() {
        let explained: BTreeSet<&str> = SETTINGS.iter().map(|setting| setting.key).collect();
        assert_eq!(explained.len(), SETTINGS.len(), "a key is there twice");
        let known: BTreeSet<String> = KnownKeys::new().names().into_iter().collect();
        let known: BTreeSet<&str> = known.iter().map(String::as_str).collect();
        assert_eq!(explained, known, "the table and the structs have the same settings");
    }

    #[test]
    fn explains_every_section_once() {
        let sections: BTreeSet<&str> = SECTIONS.iter().map(|(name, _)| *name).collect();
        assert_eq!(sections, SETTINGS.iter().map(|setting| setting.place().0).collect());
        assert_eq!(sections.len(), SECTIONS.len());
    }

    #[test]
    fn has_an_example_exactly_where_there_is_no_default() {
        for setting in SETTINGS {
            assert_eq!(setting.example.is_some(), setting.default_value().is_null(), "{}", setting.key);
        }
    }

    #[test]
    fn names_what_a_server_reads_again() {
        let reloading: Vec<&str> = SETTINGS.iter().filter(|setting| setting.reloads).map(|setting| setting.key).collect();
        assert_eq!(reloading, ["egress.allow", "egress.deny", "limits.enabled", "log.filter"]);
    }
}
