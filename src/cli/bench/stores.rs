//! Fresh stores for servers: SQLite files in the temporary directory, or databases on the PostgreSQL server that was named.

use std::{path::Path, time::Duration};

use crate::{app::bench::BenchDatabase, cli::Failure, config::Config};

/// The value of `--store` for the embedded database.
const SQLITE: &str = "sqlite";
/// The value of `--store` for the PostgreSQL of the settings.
const POSTGRES: &str = "postgres";
const POSTGRES_SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// How long the dropping of one database may take.
const REMOVE_MAX: Duration = Duration::from_secs(30);

/// Makes stores, and takes away again what they left behind.
pub(super) enum Stores {
    Sqlite,
    Postgres { server_url: String, made: Vec<BenchDatabase> },
}

/// Whether a URL has a password in it.
fn has_password(url: &str) -> bool {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next().unwrap_or_default();
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

impl Stores {
    /// Reads `--store`; `postgres` alone means the one of the settings.
    ///
    /// Errors: the value names no store, or the settings name no PostgreSQL.
    pub(super) fn read(argument: &str, config: &Config) -> Result<Self, Failure> {
        let is_postgres = |url: &str| POSTGRES_SCHEMES.iter().any(|scheme| url.starts_with(scheme));
        let postgres = |server_url: &str| Self::Postgres { server_url: server_url.to_owned(), made: Vec::new() };
        match argument {
            SQLITE => Ok(Self::Sqlite),
            POSTGRES => match config.store.url.as_ref().map(|url| url.expose()).filter(|url| is_postgres(url)) {
                Some(url) => Ok(postgres(url)),
                None => Err(Failure::usage("`--store postgres` needs the URL of a server, and the settings have none").with_hint(
                    "set CITADEL__STORE__URL to postgres://USER:PASSWORD@HOST/DATABASE; the benchmark makes databases of its own there",
                )),
            },
            url if is_postgres(url) && has_password(url) => {
                Err(Failure::usage("a password on the command line can be read by every user of this machine")
                    .with_hint("set CITADEL__STORE__URL(_FILE), and give `--store postgres`"))
            }
            url if is_postgres(url) => Ok(postgres(url)),
            // Not repeated in the message: a mistyped URL may hold a password.
            _ => Err(Failure::usage("this `--store` is no store to measure")
                .with_hint("use `sqlite`, `postgres`, or `postgres://USER@HOST/DATABASE`")),
        }
    }

    /// The name for people.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite => SQLITE,
            Self::Postgres { .. } => POSTGRES,
        }
    }

    /// The URL of a new and empty store. A file gets `name` in `directory`.
    ///
    /// Errors: the PostgreSQL server cannot be reached, or its user may not create databases.
    pub(super) async fn fresh(&mut self, directory: &Path, name: &str) -> Result<String, Failure> {
        match self {
            Self::Sqlite => Ok(format!("sqlite://{}", directory.join(name).with_extension("db").display())),
            Self::Postgres { server_url, made } => {
                let database = BenchDatabase::create(server_url).await?;
                let url = database.url();
                made.push(database);
                Ok(url)
            }
        }
    }

    /// Drops every database that was made. Files go with their directory.
    ///
    /// Errors: a database is left behind; the others are dropped all the same.
    pub(super) async fn remove(self) -> Result<(), Failure> {
        let Self::Postgres { made, .. } = self else { return Ok(()) };
        let mut removed = Ok(());
        for database in made {
            let dropped = match tokio::time::timeout(REMOVE_MAX, database.remove()).await {
                Ok(dropped) => dropped.map_err(Failure::from),
                Err(_) => Err(Failure::timeout("the benchmark's database was not dropped in time")
                    .with_hint("drop the databases whose names start with citadel_bench_")),
            };
            removed = removed.and(dropped);
        }
        removed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    #[track_caller]
    fn check(argument: &str, url: Option<&str>, expected: Option<&str>) {
        let mut config = Config::default();
        config.store.url = url.map(|url| Secret::new(url.to_owned()));
        assert_eq!(Stores::read(argument, &config).ok().map(|stores| stores.kind()), expected, "{argument}");
    }

    #[test]
    fn reads_what_a_store_is_called() {
        check("sqlite", None, Some("sqlite"));
        check("postgres://u@h/d", None, Some("postgres"));
        check("postgres://u:p@h/d", None, None);
        check("postgres", Some("postgres://u:p@h/d"), Some("postgres"));
        check("postgres", Some("sqlite://a.db"), None);
        check("postgres", None, None);
        check("mysql://u:p@h/d", None, None);
    }

    #[tokio::test]
    async fn gives_every_server_a_file_of_its_own() {
        let mut stores = Stores::Sqlite;
        assert_eq!(stores.fresh(Path::new("/d"), "main").await.unwrap(), "sqlite:///d/main.db");
        stores.remove().await.unwrap();
    }
}
