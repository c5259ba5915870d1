//! Knows which settings there are: read off the defaults, so that this list and the structs cannot drift apart.

use serde_json::{Map, Value};

use super::{Config, settings::Setting};
use crate::model::problem::did_you_mean;

/// The table of credentials: names and fields are free.
const CREDENTIALS: &str = "credentials";
/// The tables whose keys are free, with how many of the names of a value are tables: `credentials.NAME`, `runtimes.native.NAME`.
const OPEN_TABLES: [(&[&str], usize); 3] = [(&[CREDENTIALS], 2), (&["runtimes", "native"], 3), (&["auth", "oidc"], 3)];

/// What a dotted name stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A setting with one value.
    Scalar,
    /// A setting with a list.
    List,
    /// A table of settings.
    Table,
}

/// Every known setting, as the tree of the defaults.
pub(super) struct KnownKeys {
    tree: Map<String, Value>,
}

impl KnownKeys {
    pub(super) fn new() -> Self {
        let defaults = serde_json::to_value(Config::default()).expect("settings are plain data");
        match defaults {
            Value::Object(tree) => Self { tree },
            _ => unreachable!("a struct is an object"),
        }
    }

    /// What `key` (`http.listen`) is.
    ///
    /// Errors: the known name that was probably meant, if there is one.
    pub(super) fn find(&self, key: &str) -> Result<Kind, Option<String>> {
        let names: Vec<&str> = key.split('.').collect();
        if let Some(kind) = in_open_table(&names) {
            return Ok(kind);
        }
        let section = names.first().and_then(|section| self.tree.get(*section));
        let found = section.and_then(|section| names.iter().skip(1).try_fold(section, |table, name| table.get(*name)));
        match found {
            Some(Value::Array(_)) => Ok(Kind::List),
            Some(Value::Object(_)) => Ok(Kind::Table),
            Some(_) => Ok(Kind::Scalar),
            None => Err(did_you_mean(key, self.names().iter().map(String::as_str)).map(str::to_owned)),
        }
    }

    /// Whether the value of `key` is not to be shown, and may be read from a file that the environment names.
    pub(super) fn is_secret(key: &str) -> bool {
        Setting::find(key).is_some_and(|setting| setting.secret) || is_credential_field(key) || is_client_secret(key)
    }

    /// The names of all settings, with dots.
    pub(super) fn names(&self) -> Vec<String> {
        names_below("", &self.tree)
    }
}

/// The names of what is in a table and in the tables in it.
fn names_below(prefix: &str, table: &Map<String, Value>) -> Vec<String> {
    let mut names = Vec::new();
    for (key, value) in table {
        match value {
            Value::Object(inner) => names.extend(names_below(&format!("{prefix}{key}."), inner)),
            _ => names.push(format!("{prefix}{key}")),
        }
    }
    names
}

/// What names inside of a table with free keys stand for; `None` outside of those.
pub(super) fn in_open_table(names: &[impl AsRef<str>]) -> Option<Kind> {
    let starts_with =
        |table: &[&str]| names.len() >= table.len() && table.iter().zip(names).all(|(left, right)| *left == right.as_ref());
    let (_, levels) = OPEN_TABLES.iter().find(|(table, _)| starts_with(table))?;
    Some(if names.len() <= *levels { Kind::Table } else { Kind::Scalar })
}

/// The name of a setting that was probably meant.
pub fn suggest(key: &str) -> Option<String> {
    KnownKeys::new().find(key).err().flatten()
}

/// Every field of a credential is secret but its type, which decides what the others are.
fn is_credential_field(key: &str) -> bool {
    let field = key.strip_prefix(CREDENTIALS).and_then(|rest| rest.strip_prefix('.')).and_then(|rest| rest.rsplit_once('.'));
    field.is_some_and(|(_, field)| field != "type")
}

/// What a provider of logins knows this server by.
fn is_client_secret(key: &str) -> bool {
    key.starts_with("auth.oidc.") && key.ends_with(".client_secret")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(key: &str, expected: Result<Kind, Option<&str>>) {
        assert_eq!(KnownKeys::new().find(key), expected.map_err(|hint| hint.map(str::to_owned)), "{key}");
    }

    #[test]
    fn knows_every_setting_of_the_structs() {
        check("data_dir", Ok(Kind::Scalar));
        check("http.listen", Ok(Kind::Scalar));
        check("http.tls", Ok(Kind::Table));
        check("http.tls.cert", Ok(Kind::Scalar));
        check("files.root", Ok(Kind::Scalar));
        check("egress.allow", Ok(Kind::List));
        check("limits", Ok(Kind::Table));
        check("credentials.alerting.token", Ok(Kind::Scalar));
        check("auth.oidc.corp", Ok(Kind::Table));
        check("auth.oidc.corp.issuer", Ok(Kind::Scalar));
        check("runtimes.native.perl", Ok(Kind::Table));
        check("runtimes.native.perl.command", Ok(Kind::Scalar));
        check("runtimes.disk_bytes", Ok(Kind::Scalar));
    }

    #[test]
    fn suggests_the_nearest_name() {
        check("http.listn", Err(Some("http.listen")));
        check("http.tls.cret", Err(Some("http.tls.cert")));
        check("retention.succes", Err(Some("retention.success")));
        check("frobnicate", Err(None));
        check("http.listen.deeper", Err(None));
    }

    #[test]
    fn reads_files_for_secrets_only() {
        assert!(KnownKeys::is_secret("admin.password"));
        assert!(KnownKeys::is_secret("credentials.alerting.token"));
        assert!(KnownKeys::is_secret("client.token"));
        assert!(!KnownKeys::is_secret("credentials.alerting.type"));
        assert!(KnownKeys::is_secret("auth.oidc.corp.client_secret"));
        assert!(!KnownKeys::is_secret("auth.oidc.corp.client_id"));
        assert!(!KnownKeys::is_secret("http.listen"));
    }
}
