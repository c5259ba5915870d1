//! Servers that this user has logged in to: a file in the user's directory that nobody else can read.

use std::{
    collections::{BTreeMap, btree_map},
    fs::File,
    io::ErrorKind,
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use crate::{app::write_private_file, cli::Failure, config::Config, model::problem::suggestion};

const FILE: &str = "contexts.json";
/// Held while the file is changed.
const LOCK: &str = "contexts.lock";
/// Contexts of one user.
const CONTEXTS_MAX: usize = 1_000;

/// Where the contexts are kept.
#[derive(Debug, Clone)]
pub(in crate::cli) struct ContextFile(Option<PathBuf>);

/// All contexts. **Shape**: `{ current, contexts: { name: { url, credentials } } }`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::cli) struct Contexts {
    pub(in crate::cli) current: Option<String>,
    contexts: BTreeMap<String, Context>,
}

/// One server and how to be let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cli) struct Context {
    pub(in crate::cli) url: String,
    pub(in crate::cli) credentials: Credentials,
}

/// How to be let in. Has no `Debug` that shows it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(in crate::cli) enum Credentials {
    /// A token that does not change.
    Token { token: String },
    /// What a login handed out; Unix milliseconds.
    Session { access_token: String, refresh_token: String, expires_at_ms: u64 },
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind())
    }
}

impl Credentials {
    /// `token` or `session`.
    pub(in crate::cli) fn kind(&self) -> &'static str {
        match self {
            Self::Token { .. } => "token",
            Self::Session { .. } => "session",
        }
    }
}

impl ContextFile {
    /// The file of this process's user.
    pub(in crate::cli) fn of(config: &Config) -> Self {
        Self(config.user_config_dir.clone())
    }

    /// Reads all contexts; none, if there is no file or no user's directory.
    ///
    /// Errors: the file cannot be read.
    pub(in crate::cli) fn read(&self) -> Result<Contexts, Failure> {
        let Some(path) = self.0.as_ref().map(|directory| directory.join(FILE)) else { return Ok(Contexts::default()) };
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Contexts::default()),
            Err(error) => return Err(Failure::error(format!("cannot read {}: {error}", path.display()))),
        };
        serde_json::from_slice(&text).map_err(|error| {
            Failure::error(format!("{} is damaged: {error}", path.display()))
                .with_hint("correct it, or delete it and log in again")
        })
    }

    /// Holds every other process off the file until the answer is dropped.
    ///
    /// Errors: the user has no directory, or it cannot be used.
    pub(in crate::cli) fn lock(&self) -> Result<LockedContexts<'_>, Failure> {
        let Some(directory) = &self.0 else {
            return Err(Failure::error("there is nowhere to keep contexts").with_hint("set HOME or XDG_CONFIG_HOME"));
        };
        let failed = |error: std::io::Error| Failure::error(format!("cannot use {}: {error}", directory.display()));
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(directory).map_err(failed)?;
        let lock = File::options().create(true).append(true).open(directory.join(LOCK)).map_err(failed)?;
        lock.lock().map_err(failed)?;
        Ok(LockedContexts { file: self, directory: directory.clone(), _lock: lock })
    }

    /// Changes the contexts.
    ///
    /// Errors: those of `change`, and of the file.
    pub(in crate::cli) fn update<T>(&self, change: impl FnOnce(&mut Contexts) -> Result<T, Failure>) -> Result<T, Failure> {
        let locked = self.lock()?;
        let mut contexts = locked.read()?;
        let answer = change(&mut contexts)?;
        locked.write(&contexts)?;
        Ok(answer)
    }
}

/// The contexts while no other process can change them.
pub(in crate::cli) struct LockedContexts<'a> {
    file: &'a ContextFile,
    directory: PathBuf,
    _lock: File,
}

impl LockedContexts<'_> {
    pub(in crate::cli) fn read(&self) -> Result<Contexts, Failure> {
        self.file.read()
    }

    pub(in crate::cli) fn write(&self, contexts: &Contexts) -> Result<(), Failure> {
        let path = self.directory.join(FILE);
        let text = serde_json::to_vec_pretty(contexts).expect("contexts are plain data");
        write_private_file(&path, &text).map_err(|error| Failure::error(format!("cannot write {}: {error}", path.display())))
    }
}

impl Contexts {
    /// The context that is used where none is named.
    pub(in crate::cli) fn current(&self) -> Option<(&str, &Context)> {
        self.contexts.get_key_value(self.current.as_deref()?).map(|(name, context)| (name.as_str(), context))
    }

    /// Errors: there is none of this name; with what was probably meant.
    pub(in crate::cli) fn get(&self, name: &str) -> Result<&Context, Failure> {
        self.contexts.get(name).ok_or_else(|| self.unknown(name))
    }

    pub(in crate::cli) fn iter(&self) -> btree_map::Iter<'_, String, Context> {
        self.contexts.iter()
    }

    /// Adds or replaces a context and makes it the current one.
    ///
    /// Errors: there are too many.
    pub(in crate::cli) fn put(&mut self, name: &str, context: Context) -> Result<(), Failure> {
        if self.contexts.len() >= CONTEXTS_MAX && !self.contexts.contains_key(name) {
            return Err(Failure::error(format!("there are {CONTEXTS_MAX} contexts")).with_hint("`citadel context remove NAME`"));
        }
        self.contexts.insert(name.to_owned(), context);
        self.current = Some(name.to_owned());
        Ok(())
    }

    /// Replaces how to be let in, without a change of the current context.
    pub(in crate::cli) fn renew(&mut self, name: &str, credentials: Credentials) {
        if let Some(context) = self.contexts.get_mut(name) {
            context.credentials = credentials;
        }
    }

    /// Makes a context the current one.
    ///
    /// Errors: there is none of this name.
    pub(in crate::cli) fn select(&mut self, name: &str) -> Result<(), Failure> {
        self.get(name)?;
        self.current = Some(name.to_owned());
        Ok(())
    }

    /// Errors: there is none of this name.
    pub(in crate::cli) fn remove(&mut self, name: &str) -> Result<(), Failure> {
        if self.contexts.remove(name).is_none() {
            return Err(self.unknown(name));
        }
        self.current = self.current.take().filter(|current| current != name);
        Ok(())
    }

    fn unknown(&self, name: &str) -> Failure {
        let hint = suggestion(name, self.contexts.keys().map(String::as_str));
        Failure::usage(format!("there is no context {name}")).with_hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(url: &str) -> Context {
        Context { url: url.to_owned(), credentials: Credentials::Token { token: "secret".to_owned() } }
    }

    #[test]
    fn keeps_contexts_in_a_file_for_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let file = ContextFile(Some(directory.path().join("citadel")));
        assert_eq!(file.read().unwrap(), Contexts::default());
        file.update(|contexts| contexts.put("a", context("http://a"))).unwrap();
        file.update(|contexts| contexts.put("b", context("http://b"))).unwrap();
        let read = file.read().unwrap();
        assert_eq!(read.current().unwrap(), ("b", &context("http://b")));
        assert!(!format!("{read:?}").contains("secret"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |name: &str| std::fs::metadata(directory.path().join(name)).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode("citadel"), mode("citadel/contexts.json")), (0o700, 0o600));
        }
        file.update(|contexts| contexts.remove("b")).unwrap();
        assert_eq!(file.read().unwrap().current(), None);
        assert!(file.update(|contexts| contexts.select("c")).is_err());
    }

    #[test]
    fn contexts_obeyed_and_violated() {
        let mut contexts = Contexts::default();
        for n in 0..CONTEXTS_MAX {
            contexts.put(&n.to_string(), context("http://a")).unwrap();
        }
        assert!(contexts.put("one more", context("http://a")).is_err());
        contexts.put("0", context("http://b")).unwrap();
    }
}
