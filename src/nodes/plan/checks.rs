//! What only a language can tell of the code in a definition: syntax errors of Lua, Python and Ruby, what a WebAssembly binary imports.
//! Asked when a definition is stored or validated; a version that is stored is not asked again.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    model::{
        error::codes,
        problem::{Problem, Problems},
    },
    nodes::{Prepared, Runner, registry::Registry},
    runtimes::{code::Code, languages::Languages},
};

/// The code of one definition, to be checked.
pub struct CodeChecks {
    languages: Option<Arc<Languages>>,
    /// With the position of its node.
    codes: Vec<(usize, Arc<Code>)>,
}

impl CodeChecks {
    /// The code of those nodes that are right in everything else.
    pub(super) fn of(registry: &Registry, prepared: &[Result<Prepared, Vec<Problem>>]) -> Self {
        let languages = registry.languages().cloned();
        let code_of = |(position, prepared): (usize, &Result<Prepared, Vec<Problem>>)| match prepared {
            Ok(Prepared { runner: Runner::Effect(runner), .. }) => runner.code().map(|code| (position, Arc::clone(code))),
            Ok(_) | Err(_) => None,
        };
        Self { languages, codes: prepared.iter().enumerate().filter_map(code_of).collect() }
    }

    /// The same checks by these languages: for a look at a definition without a server.
    pub fn with_languages(self, languages: Arc<Languages>) -> Self {
        Self { languages: Some(languages), ..self }
    }

    /// The names of the languages that are needed.
    pub fn language_names(&self) -> BTreeSet<&str> {
        self.codes.iter().map(|(_, code)| code.language()).collect()
    }

    /// Whether there is nothing to check, or nobody to ask.
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty() || self.languages.is_none()
    }

    /// Checks one after the other, and blocks as long as that takes. What is not begun `within` is not checked.
    pub fn run(&self, within: Duration) -> Vec<Problem> {
        let Some(languages) = &self.languages else { return Vec::new() };
        let started = Instant::now();
        let mut problems = Problems::default();
        for (checked, (position, code)) in self.codes.iter().enumerate() {
            if problems.is_full() {
                break;
            }
            if started.elapsed() >= within {
                tracing::warn!(checked, of = self.codes.len(), "not all code of a definition was checked: it takes too long");
                break;
            }
            if let Err(error) = languages.check(code) {
                problems.report(format!("/nodes/{position}/params/code"), codes::CODE_SYNTAX, error.with_place());
            }
        }
        problems.into_found()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        model::{definition::parse::parse_value, ids::WorkflowId, limits::PROBLEMS_MAX},
        nodes::plan::compile_with_checks,
        runtimes::{
            code::{CodeError, CodeErrorCode, CodeLimits},
            grants::Grants,
            languages::{CodeSession, Language, LanguageInfo},
        },
    };

    fn checks_of(registry: &Registry, codes: &[(&str, &str)]) -> CodeChecks {
        let nodes: Vec<_> = codes
            .iter()
            .enumerate()
            .map(|(place, (language, code))| json!({ "id": format!("n{place}"), "type": "code", "params": { "language": language, "code": code } }))
            .collect();
        let definition = parse_value(json!({ "name": "a", "nodes": nodes })).unwrap();
        compile_with_checks(registry, definition, WorkflowId::from_uuid(uuid::Uuid::nil()), 1).1
    }

    /// The problems of codes, as `pointer detail`.
    fn found(registry: &Registry, codes: &[(&str, &str)]) -> Vec<String> {
        let problems = checks_of(registry, codes).run(Duration::from_secs(600));
        problems.iter().map(|problem| format!("{} {}", problem.pointer, problem.detail)).collect()
    }

    #[test]
    fn every_language_says_where_its_code_is_wrong() {
        let registry = Registry::with_languages(Languages::for_tests());
        let found = found(
            &registry,
            &[
                ("lua", "return 1"),
                ("lua", "local x = 1\nlocal y = = 2"),
                ("python", "x = 1\nreturn ("),
                ("ruby", "x = 1\ny = 1 +"),
                ("javascript", "let a;\nlet a;"),
                ("typescript", "let a: number;\nlet a: string;"),
                // `(module)`: exports nothing to run.
                ("wasm", "AGFzbQEAAAA="),
                ("python", "return undefined_name"),
            ],
        );
        let expected = [
            "/nodes/1/params/code line 2: unexpected symbol near '='",
            "/nodes/2/params/code line 2, column 8: SyntaxError: '(' was never closed",
            "/nodes/3/params/code line 2, column 8: ",
            "/nodes/4/params/code line 2, column ",
            "/nodes/5/params/code line 2, column ",
            "/nodes/6/params/code the module is no command",
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}");
        }
    }

    #[test]
    fn code_without_its_language_is_not_checked() {
        assert!(checks_of(&Registry::builtin(), &[("lua", "= =")]).is_empty());
    }

    /// A language that finds every source wrong, or cannot tell.
    struct Fake(CodeErrorCode);

    impl Language for Fake {
        fn info(&self) -> LanguageInfo {
            let lua = Languages::for_tests().get("lua").unwrap().info();
            LanguageInfo { name: "fake".to_owned(), ..lua }
        }

        fn check(&self, _code: &Code) -> Result<(), CodeError> {
            Err(CodeError::new(self.0, "no"))
        }

        fn session<'a>(&'a self, _: &'a Code, _: CodeLimits, _: &'a Grants) -> Box<dyn CodeSession + 'a> {
            unreachable!("nothing is run")
        }
    }

    fn registry_of(code: CodeErrorCode) -> Registry {
        // The examples of the node are in JavaScript.
        let javascript = crate::runtimes::javascript::JavaScript::for_tests() as Arc<dyn Language>;
        Registry::with_languages(Arc::new(Languages::new([javascript, Arc::new(Fake(code))])))
    }

    #[test]
    fn a_language_that_cannot_tell_now_keeps_nobody_from_saving() {
        for code in [CodeErrorCode::Unavailable, CodeErrorCode::Timeout, CodeErrorCode::Memory] {
            assert_eq!(found(&registry_of(code), &[("fake", "x")]), Vec::<String>::new(), "{code:?}");
        }
        assert_eq!(found(&registry_of(CodeErrorCode::Syntax), &[("fake", "x")]), ["/nodes/0/params/code no"]);
    }

    #[test]
    fn time_and_problems_obeyed_and_violated() {
        let registry = registry_of(CodeErrorCode::Syntax);
        assert_eq!(found(&registry, &[("fake", "x"); PROBLEMS_MAX + 1]).len(), PROBLEMS_MAX);
        assert_eq!(checks_of(&registry, &[("fake", "x")]).run(Duration::ZERO), []);
    }
}
