//! The master keys: whether there are any, who can read them, and whether other nodes could have them.

use super::Finding;
use crate::{
    auth::keyring::Keyring,
    config::{Config, Secret},
};

const NAME: &str = "master_key";

/// Looks at the keys without making any.
pub(super) fn master_key(config: &Config) -> Finding {
    const HINT: &str = "set secrets.master_key to one or more texts of `openssl rand -base64 32`, or put the file back";
    let (setting, file) = (config.secrets.master_key.as_ref().map(Secret::expose), config.master_key_file());
    let keys = match Keyring::load(setting, &file) {
        Ok(keys) => keys,
        Err(error) => return Finding::problem(NAME, error.to_string(), HINT),
    };
    let is_shared = config.store_url().starts_with("postgres");
    match keys {
        Some(keys) if setting.is_some() => Finding::good(NAME, format!("from the settings, key {}", keys.current())),
        Some(_) if is_open(&file) => Finding::warning(
            NAME,
            format!("others can read {}", file.display()),
            "chmod 600, and rotate the key: docs/credentials.md",
        ),
        Some(_) | None if is_shared => {
            let detail = format!("in {}, which other nodes of this database do not have", file.display());
            Finding::warning(NAME, detail, "set secrets.master_key to the same text on every node")
        }
        Some(keys) => Finding::good(NAME, format!("in {}, key {}: keep a copy of it", file.display(), keys.current())),
        None => Finding::good(NAME, format!("{} is made at the first start: keep a copy of it", file.display())),
    }
}

#[cfg(unix)]
fn is_open(file: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_open(_file: &std::path::Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::{super::State, *};

    #[test]
    fn looks_at_the_key_without_making_one() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config { data_dir: directory.path().to_owned(), ..Config::default() };
        assert_eq!(master_key(&config).state, State::Good);
        assert!(!config.master_key_file().exists());
        Keyring::create(&config.master_key_file()).unwrap();
        assert_eq!(master_key(&config).state, State::Good);
        config.store.url = Some(Secret::new("postgres://db/citadel".to_owned()));
        assert!(master_key(&config).detail.contains("other nodes"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(config.master_key_file(), PermissionsExt::from_mode(0o644)).unwrap();
            assert!(master_key(&config).detail.contains("others can read"));
        }
        config.secrets.master_key = Some(Secret::new("hunter2".to_owned()));
        let refused = master_key(&config);
        assert!(refused.state == State::Problem && !refused.detail.contains("hunter2"), "{refused:?}");
        config.secrets.master_key = Some(Secret::new("k".repeat(40)));
        assert_eq!(master_key(&config).state, State::Good);
    }
}
