//! TypeScript: its types are taken out when a workflow is saved, and the rest runs as JavaScript. Nothing checks the types.

mod eraser;
mod strip;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub(super) use self::strip::strip;
use super::{
    code::{Code, CodeError, CodeLimits, TYPESCRIPT},
    grants::Grants,
    javascript::JavaScript,
    languages::{CodeSession, Language, LanguageInfo},
};

/// TypeScript on top of JavaScript.
pub struct TypeScript {
    javascript: Arc<JavaScript>,
}

impl TypeScript {
    pub fn new(javascript: Arc<JavaScript>) -> Self {
        Self { javascript }
    }

    /// What is published of it.
    pub fn about() -> LanguageInfo {
        LanguageInfo {
            name: TYPESCRIPT.to_owned(),
            title: "TypeScript".to_owned(),
            notes: vec![
                "types are taken out, not checked; enums, namespaces, decorators and parameter properties are refused".to_owned(),
            ],
            ..JavaScript::about()
        }
    }
}

impl Language for TypeScript {
    fn info(&self) -> LanguageInfo {
        Self::about()
    }

    fn check(&self, code: &Code) -> Result<(), CodeError> {
        self.javascript.check(code)
    }

    fn session<'a>(&'a self, code: &'a Code, limits: CodeLimits, grants: &'a Grants) -> Box<dyn CodeSession + 'a> {
        self.javascript.session(code, limits, grants)
    }
}
