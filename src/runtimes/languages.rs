//! The languages that code can be written in, behind one interface, and which of them are here. Made once at start.
//!
//! Everything in it blocks its thread until it is done or a limit ends it: call from a blocking thread.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use serde::Serialize;

use super::{
    code::{Code, CodeError, CodeErrorCode, CodeInput, CodeLimits, CodeOutput, CodeRequest, JAVASCRIPT, TYPESCRIPT},
    grants::Grants,
    install::{Installable, InstalledPython, InstalledRuby},
    javascript::JavaScript,
    lua::{LUA, Lua},
    sandbox::{EngineError, Sandbox},
    typescript::TypeScript,
    wasm::{WASM, Wasm},
};
use crate::model::problem::did_you_mean;

/// A language that runs code.
pub trait Language: Send + Sync {
    fn info(&self) -> LanguageInfo;

    /// Why it cannot run code here, as a sentence: a language that can be installed and is not.
    fn complaint(&self) -> Option<String> {
        None
    }

    /// Finds what is wrong with a source that [`Code::parse`] does not know: most languages need their own compiler for that. Runs
    /// nothing of it, and takes no longer than a few seconds.
    ///
    /// Errors: [`CodeErrorCode::Syntax`] with the place; others if the check itself cannot be done.
    fn check(&self, _code: &Code) -> Result<(), CodeError> {
        Ok(())
    }

    /// Prepares to run the same code for several inputs, in mode `each` of a code node. Starts nothing yet.
    fn session<'a>(&'a self, code: &'a Code, limits: CodeLimits, grants: &'a Grants) -> Box<dyn CodeSession + 'a>;
}

/// One sandbox that runs one code for the inputs of one node run. Its limits are for all of them together, except that a sandbox
/// that broke is replaced by a fresh one with fresh limits.
pub trait CodeSession {
    /// Runs the code for one input. The usage is that of the session so far.
    ///
    /// Errors: [`CodeError`]; the session can go on after any of them.
    fn run(&mut self, input: CodeInput<'_>) -> Result<CodeOutput, CodeError>;
}

/// What is published of a language. **Shape**: `{ name, title, version, isolation, grants, notes }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LanguageInfo {
    /// What `language` says.
    pub name: String,
    /// For people: `JavaScript`.
    pub title: String,
    /// Of the language or its interpreter: `QuickJS-NG 0.12`.
    pub version: String,
    pub isolation: Isolation,
    pub grants: GrantsOffered,
    /// Sentences about what is different here.
    pub notes: Vec<String>,
}

/// What keeps code from everything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// A WebAssembly instance in this process.
    WebAssembly,
    /// A process of its own, with everything that this system can take from it.
    Process,
    /// A process of its own on a system that cannot take everything from it: the operator allowed that.
    ProcessReduced,
}

/// Which grants a language can be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub struct GrantsOffered {
    pub env: bool,
    pub network: bool,
}

/// The languages of this process, by name.
#[derive(Default)]
pub struct Languages {
    by_name: BTreeMap<String, Arc<dyn Language>>,
}

impl Languages {
    /// Later languages replace earlier ones of the same name.
    pub fn new(languages: impl IntoIterator<Item = Arc<dyn Language>>) -> Self {
        Self { by_name: languages.into_iter().map(|language| (language.info().name, language)).collect() }
    }

    /// The languages that every binary brings: JavaScript, TypeScript, Lua and the user's WebAssembly.
    ///
    /// Errors: [`EngineError`]; none of them passes by itself.
    pub fn embedded(sandbox: &Arc<Sandbox>, javascript: &Arc<JavaScript>) -> Result<Vec<Arc<dyn Language>>, EngineError> {
        Ok(vec![
            Arc::clone(javascript) as Arc<dyn Language>,
            Arc::new(TypeScript::new(Arc::clone(javascript))),
            Arc::new(Lua::new(Arc::clone(sandbox))?),
            Arc::new(Wasm::new(Arc::clone(sandbox))?),
        ])
    }

    /// What is published of those, where none of them is made: sorted by name.
    pub fn built_in() -> [LanguageInfo; 4] {
        [JavaScript::about(), Lua::about(), TypeScript::about(), Wasm::about()]
    }

    /// Those of the built-in and installable languages that have these names, without the others.
    ///
    /// Errors: as [`Self::embedded`].
    pub fn named(names: &BTreeSet<&str>, sandbox: &Arc<Sandbox>, directory: &Path) -> Result<Self, EngineError> {
        let mut languages: Vec<Arc<dyn Language>> = Vec::new();
        for name in names {
            let sandbox = Arc::clone(sandbox);
            languages.push(match *name {
                JAVASCRIPT => Arc::new(JavaScript::new(sandbox)?),
                TYPESCRIPT => Arc::new(TypeScript::new(Arc::new(JavaScript::new(sandbox)?))),
                LUA => Arc::new(Lua::new(sandbox)?),
                WASM => Arc::new(Wasm::new(sandbox)?),
                name => match Installable::of_name(name) {
                    Some(Installable::Python) => Arc::new(InstalledPython::new(sandbox, directory.to_owned())),
                    Some(Installable::Ruby) => Arc::new(InstalledRuby::new(sandbox, directory.to_owned())),
                    None => continue,
                },
            });
        }
        Ok(Self::new(languages))
    }

    /// The languages that can be installed, whether they are or not. Those that are begin to load.
    pub fn installable(sandbox: &Arc<Sandbox>, directory: &Path) -> [Arc<dyn Language>; 2] {
        let python = InstalledPython::new(Arc::clone(sandbox), directory.to_owned());
        let ruby = InstalledRuby::new(Arc::clone(sandbox), directory.to_owned());
        python.warm_up();
        ruby.warm_up();
        [Arc::new(python), Arc::new(ruby)]
    }

    /// The language of that name.
    pub fn get(&self, name: &str) -> Option<&dyn Language> {
        self.by_name.get(name).map(|language| &**language)
    }

    /// Every language, sorted by name.
    pub fn infos(&self) -> impl Iterator<Item = LanguageInfo> + '_ {
        self.by_name.values().map(|language| language.info())
    }

    /// Has a source checked by its language. One that is not here, or cannot tell now, finds nothing: the run will.
    ///
    /// Errors: [`CodeErrorCode::Syntax`], and no other.
    pub fn check(&self, code: &Code) -> Result<(), CodeError> {
        let Some(language) = self.get(code.language()) else { return Ok(()) };
        match language.check(code) {
            Err(error) if error.code == CodeErrorCode::Syntax => Err(error),
            Err(error) => {
                tracing::debug!(language = code.language(), code = ?error.code, "a source could not be checked");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Runs code once, in a fresh sandbox.
    ///
    /// Errors: [`CodeError`], by the code that says what the caller can do; [`CodeErrorCode::Unavailable`] without that language.
    pub fn run(&self, request: &CodeRequest<'_>) -> Result<CodeOutput, CodeError> {
        let name = request.code.language();
        let language = self.get(name).ok_or_else(|| CodeError::new(CodeErrorCode::Unavailable, self.complaint(name)))?;
        language.session(request.code, request.limits, request.grants).run(request.input)
    }

    /// Why there is no language of that name, as a sentence.
    pub fn complaint(&self, name: &str) -> String {
        let names = self.by_name.keys().map(String::as_str);
        let hint = match did_you_mean(name, names.clone()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("the languages are {}", names.collect::<Vec<_>>().join(", ")),
        };
        format!("`{name}` is not installed here: {hint}")
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! The languages that every test can run.

    use std::sync::LazyLock;

    use super::*;
    use crate::runtimes::installed::testing::languages as installed;

    static LANGUAGES: LazyLock<Arc<Languages>> = LazyLock::new(|| {
        let mut all = Languages::embedded(&Sandbox::for_tests(), &JavaScript::for_tests()).expect("the guests work here");
        all.extend(installed());
        Arc::new(Languages::new(all))
    });

    impl Languages {
        pub(crate) fn for_tests() -> Arc<Self> {
            Arc::clone(&LANGUAGES)
        }
    }
}
