//! Reads settings from environment variables: `CITADEL__SECTION__KEY`, and with `_FILE` behind it from a file for secrets.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use ::config::Value;

use super::{
    ConfigError, UnknownSetting,
    keys::{Kind, KnownKeys},
    layers::{Leaf, Origin},
};

/// What the names of environment variables start with.
pub(super) const PREFIX: &str = "CITADEL__";
/// What the name of a variable ends with that holds the path of a secret.
pub(super) const FILE_SUFFIX: &str = "_FILE";
/// The variable that arms fail points.
#[cfg(feature = "failpoints")]
const FAILPOINTS: &str = "CITADEL__FAILPOINTS";
/// Bytes of a file that holds one secret.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;

/// What the environment says about fail points. Not a setting: builds without the feature refuse the variable.
#[cfg(feature = "failpoints")]
pub fn failpoints() -> Option<String> {
    std::env::vars().find_map(|(name, value)| (name == FAILPOINTS).then_some(value))
}

/// The variable of a setting: `CITADEL__HTTP__LISTEN` for `http.listen`.
pub(super) fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.to_ascii_uppercase().replace('.', "__"))
}

/// Reads the variables that start with [`PREFIX`]. Names that no setting has are added to `unknown`.
pub(super) fn read_environment(
    known: &KnownKeys,
    environment: &[(OsString, OsString)],
    unknown: &mut Vec<UnknownSetting>,
) -> Result<Vec<Leaf>, ConfigError> {
    let mut leaves = Vec::new();
    for (name, value) in environment {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        #[cfg(feature = "failpoints")]
        if name == FAILPOINTS {
            continue;
        }
        let Some(value) = value.to_str() else {
            return Err(ConfigError::Variable { name: name.to_owned(), reason: "is not UTF-8" });
        };
        match read_variable(known, name, value)? {
            Ok(leaf) => leaves.push(leaf),
            Err(setting) => unknown.push(setting),
        }
    }
    Ok(leaves)
}

/// Reads one variable. The inner error is a name that no setting has.
fn read_variable(known: &KnownKeys, name: &str, value: &str) -> Result<Result<Leaf, UnknownSetting>, ConfigError> {
    let key = name[PREFIX.len()..].to_ascii_lowercase().replace("__", ".");
    let origin = Origin::Variable(name.to_owned());
    let described = origin.to_string();
    let leaf = |key: &str, value: Value| Leaf { path: key.split('.').map(str::to_owned).collect(), value, origin };
    if let Some(secret) = key.strip_suffix(&FILE_SUFFIX.to_ascii_lowercase()).filter(|key| KnownKeys::is_secret(key)) {
        let text = read_secret(name, Path::new(value))?;
        return Ok(Ok(leaf(secret, Value::new(Some(&described), text))));
    }
    match known.find(&key) {
        Ok(Kind::Scalar) => Ok(Ok(leaf(&key, Value::new(Some(&described), value)))),
        Ok(Kind::List) => Ok(Ok(leaf(&key, Value::new(Some(&described), parse_list(name, value)?)))),
        Ok(Kind::Table) => Err(ConfigError::Variable { name: name.to_owned(), reason: "names a section: add `__` and a key" }),
        Err(meant) => Ok(Err(UnknownSetting {
            name: name.to_owned(),
            origin: "the environment".to_owned(),
            meant: meant.map(|key| variable_of(&key)),
        })),
    }
}

/// Reads a list: a JSON array of strings, or texts with commas between.
fn parse_list(name: &str, text: &str) -> Result<Vec<String>, ConfigError> {
    if text.trim_start().starts_with('[') {
        let reason = "is not a JSON array of strings";
        return serde_json::from_str(text).map_err(|_| ConfigError::Variable { name: name.to_owned(), reason });
    }
    Ok(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect())
}

/// Reads a secret from the file that a variable names; one line break at the end does not belong to it.
fn read_secret(name: &str, path: &Path) -> Result<String, ConfigError> {
    let failed = |source| ConfigError::SecretFile { name: name.to_owned(), path: path.to_owned(), source };
    let size_bytes = std::fs::metadata(path).map_err(failed)?.len();
    if size_bytes > SECRET_FILE_BYTES_MAX {
        return Err(failed(std::io::Error::other("the file is too large for a secret")));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// The allowed variables that are set and readable.
pub(super) fn visible_variables(
    allow: &[String],
    environment: &[(OsString, OsString)],
) -> std::collections::BTreeMap<String, String> {
    let readable = environment.iter().filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)));
    readable
        .filter(|(name, _)| allow.iter().any(|allowed| allowed == name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Where programs of this user keep what they can make again. Source: XDG Base Directory Specification.
pub(super) fn user_cache_dir(environment: &[(OsString, OsString)]) -> Option<PathBuf> {
    user_directory(environment, "XDG_CACHE_HOME", ".cache")
}

/// Where programs of this user keep their settings. Source: XDG Base Directory Specification.
pub(super) fn user_config_dir(environment: &[(OsString, OsString)]) -> Option<PathBuf> {
    user_directory(environment, "XDG_CONFIG_HOME", ".config")
}

fn user_directory(environment: &[(OsString, OsString)], name: &str, in_home: &str) -> Option<PathBuf> {
    let variable = |name: &str| {
        let found = environment.iter().find(|(known, value)| known == name && !value.is_empty());
        found.map(|(_, value)| PathBuf::from(value)).filter(|path| path.is_absolute())
    };
    let directory = variable(name).or_else(|| Some(variable("HOME")?.join(in_home)))?;
    Some(directory.join("citadel"))
}
