//! Languages whose interpreter is installed beside the program ([`super::install`]): found when it is first needed, loaded off the
//! request path, and then run like any other. `python` and `ruby` say how one instance is made and called; the rest is here.

mod loader;
mod session;
#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
mod thrown;

use std::{path::PathBuf, sync::Arc, time::Duration};

pub(super) use self::thrown::{Names, error_of};
use self::{loader::Loader, session::Session};
use super::{
    code::{CHECK_LIMITS, Code, CodeError, CodeErrorCode, CodeLimits},
    grants::Grants,
    install::{Installable, Installation},
    languages::{CodeSession, GrantsOffered, Isolation, Language, LanguageInfo},
    sandbox::{
        EngineError, MEMORY_BYTES_MAX, Sandbox,
        error::GuestError,
        state::{Limits, Used},
    },
};
use crate::model::log::LogLine;

/// An interpreter that is loaded: makes instances.
pub(super) trait Interpreter: Sized + Send + Sync + 'static {
    /// Which of the installable languages it is.
    const LANGUAGE: Installable;

    type Instance: Instance;

    /// Loads what is installed; compiles it first where an earlier process has not.
    fn load(sandbox: &Arc<Sandbox>, installation: &Installation) -> Result<Self, EngineError>;

    /// A fresh instance: nothing of any other run is in it.
    fn instantiate(&self, limits: Limits) -> Result<Self::Instance, GuestError>;
}

/// One instance: runs one source for one or more inputs. Not to be used again after an error that ends it.
pub(super) trait Instance {
    /// Compiles a source, and gives it what it was granted. Errors: [`GuestError::Thrown`] with the place.
    fn prepare(&mut self, source: &str, grants: &Grants) -> Result<(), GuestError>;

    /// Runs the source over an object of variables in JSON; gives JSON.
    fn call(&mut self, variables: &str) -> Result<String, GuestError>;

    /// The output since the last call of this, and whether some of it was dropped.
    fn take_log(&mut self) -> (Vec<LogLine>, bool);

    fn used(&self) -> Used;
}

/// Limits of the instance that shows that a loaded interpreter works, and how much memory its snapshot has.
pub(super) const FIRST_LIMITS: Limits = Limits {
    wall: Duration::from_secs(60),
    cpu: Duration::from_secs(60),
    memory_bytes: MEMORY_BYTES_MAX,
    output_bytes: 0,
    log_bytes: 0,
};

/// Why that instance could not be made.
pub(super) fn first_failed(error: GuestError) -> EngineError {
    EngineError::WebAssembly { attempt: "start the interpreter", source: error.into() }
}

/// A language of this process that may or may not be installed: installing it takes effect at once, removing it with the next start.
pub struct Installed<I> {
    loader: Loader<I>,
}

#[expect(private_bounds, reason = "others name the languages, not how they are made")]
impl<I: Interpreter> Installed<I> {
    /// `directory` is where [`super::install`] puts languages. Nothing is loaded yet.
    pub fn new(sandbox: Arc<Sandbox>, directory: PathBuf) -> Self {
        Self { loader: Loader::new(sandbox, directory) }
    }

    /// Begins to load the interpreter if it is installed, so that the first run need not wait for that.
    pub fn warm_up(&self) {
        self.loader.begin();
    }

    /// Loads the interpreter, however long that takes.
    ///
    /// Errors: [`CodeErrorCode::Unavailable`] if it is not installed or cannot be loaded.
    pub fn load(&self) -> Result<(), CodeError> {
        self.loader.wait().map(drop)
    }
}

impl<I: Interpreter> Language for Installed<I> {
    fn info(&self) -> LanguageInfo {
        LanguageInfo {
            name: I::LANGUAGE.name().to_owned(),
            title: I::LANGUAGE.title().to_owned(),
            version: I::LANGUAGE.version().to_owned(),
            isolation: Isolation::WebAssembly,
            grants: GrantsOffered { env: true, network: true },
            notes: self.loader.complaint().into_iter().collect(),
        }
    }

    fn complaint(&self) -> Option<String> {
        self.loader.complaint()
    }

    fn check(&self, code: &Code) -> Result<(), CodeError> {
        let mut instance = self.loader.get()?.instantiate(CHECK_LIMITS.of_instance())?;
        session::prepare(&mut instance, code, &Grants::default())
    }

    fn session<'a>(&'a self, code: &'a Code, limits: CodeLimits, grants: &'a Grants) -> Box<dyn CodeSession + 'a> {
        Box::new(Session::<I>::new(&self.loader, code, limits, grants))
    }
}

/// A failure of the interpreter as a whole.
fn unavailable(message: impl Into<String>) -> CodeError {
    CodeError::new(CodeErrorCode::Unavailable, message)
}
