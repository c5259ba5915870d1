//! Which database a node means: a SQLite file by `url`, or what its credential says.

use std::path::PathBuf;

use crate::{
    auth::egress::Url,
    model::error::{NodeError, codes},
    nodes::{files_root::FilesRoot, services::Credential},
};

/// A database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Sqlite(PathBuf),
    Postgres(Server),
}

/// A PostgreSQL server and who connects to it. Has no `Display`: it holds a password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) database: String,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) encryption: Encryption,
}

/// `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encryption {
    Disable,
    Prefer,
    Require,
    VerifyFull,
}

const POSTGRES_PORT: u16 = 5432;

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

/// The SQLite file of a URL: `sqlite://data/app.db`, `sqlite:data/app.db`, or the path alone. All relative to the files directory.
///
/// Errors: `invalid_parameter`, `file_denied`.
pub(super) fn of_url(url: &str, root: &FilesRoot) -> Result<Target, NodeError> {
    let path = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:")).unwrap_or(url);
    if path.contains(['?', '#', ':']) {
        return Err(invalid(
            "`url` names a SQLite file inside the files directory, without options; for a server, use a credential",
        ));
    }
    root.locate(path).map(Target::Sqlite)
}

/// The database of a credential. Type `sqlite` has `url`; `postgres` has `url`, or `host`, `port` (5432), `database`, `user`,
/// `password` and `sslmode` (`disable`, `prefer`, `require`, `verify-full`; `prefer` by default).
///
/// Errors: `invalid_parameter`, `file_denied`.
pub(super) fn of_credential(
    credential: &Credential,
    root: impl FnOnce() -> Result<FilesRoot, NodeError>,
) -> Result<Target, NodeError> {
    let field = |name: &str| credential.fields.get(name).map(|value| value.as_str());
    match (credential.kind.as_str(), field("url")) {
        ("sqlite", Some(url)) => of_url(url, &root()?),
        ("sqlite", None) => Err(invalid("the credential has no `url`")),
        ("postgres", Some(url)) => of_postgres_url(url),
        ("postgres", None) => {
            let needed = |name: &str| field(name).ok_or_else(|| invalid(&format!("the credential has no `{name}`")));
            let port =
                field("port").map_or(Ok(POSTGRES_PORT), |port| port.trim().parse().map_err(|_| invalid("`port` is no port")))?;
            Ok(Target::Postgres(Server {
                host: needed("host")?.to_owned(),
                port,
                database: needed("database")?.to_owned(),
                user: needed("user")?.to_owned(),
                password: field("password").unwrap_or_default().to_owned(),
                encryption: encryption(field("sslmode"))?,
            }))
        }
        (other, _) => Err(invalid(&format!("the credential's type is {other}, not sqlite or postgres"))),
    }
}

/// Reads a URL ourselves: the driver's own reader also takes paths of sockets and key files from it.
fn of_postgres_url(text: &str) -> Result<Target, NodeError> {
    let url = Url::parse(text).map_err(|error| invalid(&format!("the credential's `url` cannot be read: {error}")))?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(invalid("the credential's `url` begins with postgres://"));
    }
    let mut mode = None;
    for (key, value) in url.query_pairs() {
        match &*key {
            "sslmode" => mode = Some(value.into_owned()),
            other => return Err(invalid(&format!("the credential's `url` has the unknown option `{other}`"))),
        }
    }
    let user = decoded(url.username())?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| invalid("the credential's `url` has no host"))?;
    let database = decoded(url.path().trim_start_matches('/'))?;
    Ok(Target::Postgres(Server {
        host: host.trim_matches(['[', ']']).to_owned(),
        port: url.port().unwrap_or(POSTGRES_PORT),
        database: if database.is_empty() { user.clone() } else { database },
        user,
        password: decoded(url.password().unwrap_or_default())?,
        encryption: encryption(mode.as_deref())?,
    }))
}

/// Undoes percent-encoding. A query string is decoded by the same rules but for the plus sign.
fn decoded(text: &str) -> Result<String, NodeError> {
    let query = format!("http://x/?{}=", text.replace('+', "%2B").replace('&', "%26").replace('=', "%3D").replace('#', "%23"));
    let url = Url::parse(&query).map_err(|_| invalid("the credential's `url` is not encoded well"))?;
    Ok(url.query_pairs().next().map(|(name, _)| name.into_owned()).unwrap_or_default())
}

fn encryption(mode: Option<&str>) -> Result<Encryption, NodeError> {
    match mode {
        None | Some("prefer") => Ok(Encryption::Prefer),
        Some("disable") => Ok(Encryption::Disable),
        Some("require") => Ok(Encryption::Require),
        Some("verify-full") => Ok(Encryption::VerifyFull),
        Some(_) => Err(invalid("`sslmode` is disable, prefer, require or verify-full")),
    }
}

fn invalid(message: &str) -> NodeError {
    NodeError::permanent(codes::INVALID_PARAMETER, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(kind: &str, fields: &[(&str, &str)]) -> Result<Target, NodeError> {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned().into())).collect();
        of_credential(&Credential { kind: kind.to_owned(), fields }, || FilesRoot::open(None))
    }

    #[track_caller]
    fn check(target: Result<Target, NodeError>, expected: (&str, u16, &str, &str, &str, Encryption)) {
        let Ok(Target::Postgres(server)) = target else { panic!("{target:?}") };
        let Server { host, port, database, user, password, encryption } = &server;
        assert_eq!((host.as_str(), *port, database.as_str(), user.as_str(), password.as_str(), *encryption), expected);
        assert!(!format!("{server:?}").contains(password.as_str()) || password.is_empty());
    }

    #[test]
    fn reads_a_server_from_fields_or_a_url() {
        let fields = [("host", "db"), ("database", "d"), ("user", "u"), ("password", "pass"), ("sslmode", "require")];
        check(credential("postgres", &fields), ("db", 5432, "d", "u", "pass", Encryption::Require));
        let url = "postgres://u%40x:p%2Fa+s%26%3D%23@[::1]:99/d?sslmode=verify-full";
        check(credential("postgres", &[("url", url)]), ("::1", 99, "d", "u@x", "p/a+s&=#", Encryption::VerifyFull));
        check(credential("postgres", &[("url", "postgresql://u@h")]), ("h", 5432, "u", "u", "", Encryption::Prefer));
    }

    #[test]
    fn refuses_what_could_mean_something_else() {
        for (kind, url) in [
            ("postgres", "postgres:///d?host=/var/run/postgresql"),
            ("postgres", "postgres://u@h/d?host=/var/run"),
            ("postgres", "postgres://u@h/d?sslrootcert=/etc/passwd"),
            ("postgres", "postgres://u@h/d?sslmode=allow"),
            ("postgres", "mysql://u@h/d"),
            ("postgres", "nonsense"),
            ("mysql", "mysql://u@h/d"),
        ] {
            let error = credential(kind, &[("url", url)]).unwrap_err();
            assert_eq!((error.code.as_str(), error.retryable), (codes::INVALID_PARAMETER, false), "{url}");
        }
        assert!(credential("postgres", &[("host", "h")]).unwrap_err().message.contains("`database`"));
    }

    #[test]
    fn keeps_sqlite_inside_the_files_directory() {
        let outside = tempfile::tempdir().unwrap();
        let inside = outside.path().join("files");
        std::fs::create_dir(&inside).unwrap();
        let root = FilesRoot::open(Some(&inside)).unwrap();
        let expected = Target::Sqlite(inside.canonicalize().unwrap().join("app.db"));
        for url in ["sqlite://app.db", "sqlite:app.db", "app.db", "./app.db"] {
            assert_eq!(of_url(url, &root), Ok(expected.clone()), "{url}");
        }
        for url in
            ["sqlite:///etc/app.db", "../app.db", "sqlite::memory:", "app.db?mode=memory", "postgres://h/d", ":memory:", ""]
        {
            assert!(of_url(url, &root).is_err(), "{url}");
        }
    }
}
