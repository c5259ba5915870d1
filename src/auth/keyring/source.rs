//! Where master keys come from: the settings, or the file `master.key` of the data directory, which a first start makes.

use std::{io, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use zeroize::Zeroizing;

use super::{KEY_BYTES, KEY_CHARS_MAX, KEY_CHARS_MIN, KEYS_MAX, Keyring};
use crate::{auth::private_file::create_private_file, clock};

/// Longest file of keys, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// Why there are no master keys. Never tells anything about a key but its place.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    #[error("there is no master key in it")]
    Empty,
    #[error("there are more than {KEYS_MAX} master keys in it: old ones can go once `citadel secrets rotate` is done")]
    TooMany,
    #[error(
        "master key {position} has not {KEY_CHARS_MIN} to {KEY_CHARS_MAX} printable ASCII characters: make one with \
         `openssl rand -base64 32`"
    )]
    Form { position: usize },
    #[error("the master key {position} is there twice")]
    Twice { position: usize },
    #[error("cannot use the file {path}")]
    File {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("the file {path} cannot be used: {source}")]
    Content {
        path: String,
        #[source]
        source: Box<KeyringError>,
    },
}

impl Keyring {
    /// The keys of the settings, else those of the file; `None` if there is neither.
    ///
    /// Errors: see [`KeyringError`].
    pub fn load(setting: Option<&str>, file: &Path) -> Result<Option<Self>, KeyringError> {
        if let Some(text) = setting {
            return Self::parse(text).map(Some);
        }
        match read(file) {
            Ok(text) => {
                let parsed = Self::parse(&text);
                parsed
                    .map(Some)
                    .map_err(|error| KeyringError::Content { path: file.display().to_string(), source: Box::new(error) })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(KeyringError::File { path: file.display().to_string(), source }),
        }
    }

    /// Draws a key and keeps it in the file, which only its owner can read. If another process has just made the file, its key
    /// counts.
    ///
    /// Errors: `File`; those of [`load`](Self::load) if there is such a file.
    pub fn create(file: &Path) -> Result<Self, KeyringError> {
        let failed = |source| KeyringError::File { path: file.display().to_string(), source };
        let text = Zeroizing::new(format!("{}\n", *new_master_key()));
        match create_private_file(file, text.as_bytes()) {
            Ok(()) => Self::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match Self::load(None, file)? {
                Some(keys) => Ok(keys),
                None => Err(failed(error)),
            },
            Err(error) => Err(failed(error)),
        }
    }
}

/// Draws the text of a new master key.
pub fn new_master_key() -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    clock::fill_random(&mut *bytes);
    Zeroizing::new(STANDARD_NO_PAD.encode(*bytes))
}

/// Refuses a text that [`Keyring::parse`] cannot take.
pub(super) fn check(text: &str) -> Result<(), KeyringError> {
    let keys: Vec<&str> = text.split_whitespace().collect();
    if keys.is_empty() {
        return Err(KeyringError::Empty);
    }
    if keys.len() > KEYS_MAX {
        return Err(KeyringError::TooMany);
    }
    for (index, key) in keys.iter().enumerate() {
        let position = index + 1;
        if !(KEY_CHARS_MIN..=KEY_CHARS_MAX).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(KeyringError::Form { position });
        }
        if keys[..index].contains(key) {
            return Err(KeyringError::Twice { position });
        }
    }
    Ok(())
}

fn read(file: &Path) -> io::Result<Zeroizing<String>> {
    if std::fs::metadata(file)?.len() > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is too large for master keys"));
    }
    std::fs::read_to_string(file).map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_text(text: &str, expected: &str) {
        let shown = Keyring::parse(text).map_or_else(|error| error.to_string(), |keys| format!("{} keys", keys.ids().count()));
        assert!(shown.contains(expected), "{shown}");
    }

    #[test]
    fn takes_keys_of_the_documented_form() {
        let key = |number: usize| format!("{number:0>KEY_CHARS_MIN$}");
        let keys = |count: usize| (0..count).map(key).collect::<Vec<_>>().join("\n");
        check_text(&keys(1), "1 keys");
        check_text(&format!("  {}\r\n", keys(KEYS_MAX)), "8 keys");
        check_text(&keys(KEYS_MAX + 1), "more than 8");
        check_text(" \n", "no master key");
        check_text(&key(0)[1..], "key 1 has not 32");
        check_text(&"k".repeat(KEY_CHARS_MAX), "1 keys");
        check_text(&"k".repeat(KEY_CHARS_MAX + 1), "key 1 has not 32");
        check_text(&format!("{} {}", key(0), "ä".repeat(40)), "key 2 has not 32");
        check_text(&format!("{} {}", key(0), key(0)), "key 2 is there twice");
        check_text(&new_master_key(), "1 keys");
    }

    #[test]
    fn a_refusal_never_shows_the_key() {
        let error = Keyring::parse("hunter2").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    #[test]
    fn the_settings_win_over_the_file_which_is_made_once() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("master.key");
        assert!(Keyring::load(None, &file).unwrap().is_none());
        let made = Keyring::create(&file).unwrap().current();
        assert_eq!(Keyring::load(None, &file).unwrap().unwrap().current(), made);
        assert_eq!(Keyring::create(&file).unwrap().current(), made, "a file that is there stays");
        let setting = new_master_key();
        let ours = Keyring::parse(&setting).unwrap().current();
        assert_eq!(Keyring::load(Some(&setting), &file).unwrap().unwrap().current(), ours);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_with_its_path() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("master.key");
        let refused = |content: &[u8]| {
            std::fs::write(&file, content).unwrap();
            let error = Keyring::load(None, &file).unwrap_err();
            assert!(error.to_string().contains("master.key"), "{error}");
        };
        refused(b"short");
        refused(b"");
        refused(&[0xff; 64]);
        refused(&vec![b'k'; usize::try_from(FILE_BYTES_MAX).unwrap() + 1]);
    }
}
