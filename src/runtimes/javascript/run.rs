//! Runs code in JavaScript.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Body, JavaScript, Mode, body::InputName, compile};
use crate::runtimes::{
    code::{CHECK_LIMITS, Code, CodeError, CodeErrorCode, CodeInput, CodeLimits, CodeOutput, JAVASCRIPT, Parsed},
    grants::Grants,
    languages::{CodeSession, GrantsOffered, Isolation, Language, LanguageInfo},
    sandbox::{
        error::GuestError,
        interpreter::{Function, Guest},
    },
    scope::{
        Scope,
        data::{Input, InputData, ScopeData},
    },
};

impl JavaScript {
    /// What is published of it.
    pub fn about() -> LanguageInfo {
        LanguageInfo {
            name: JAVASCRIPT.to_owned(),
            title: "JavaScript".to_owned(),
            version: "QuickJS-NG".to_owned(),
            isolation: Isolation::WebAssembly,
            grants: GrantsOffered { env: true, network: true },
            notes: Vec::new(),
        }
    }
}

impl Language for JavaScript {
    fn info(&self) -> LanguageInfo {
        Self::about()
    }

    fn check(&self, code: &Code) -> Result<(), CodeError> {
        let grants = Grants::default();
        let session = JavaScriptSession { javascript: self, code, limits: CHECK_LIMITS, grants: &grants, live: None };
        session.start(session.body()?, InputName::Input).map(|_| ())
    }

    fn session<'a>(&'a self, code: &'a Code, limits: CodeLimits, grants: &'a Grants) -> Box<dyn CodeSession + 'a> {
        Box::new(JavaScriptSession { javascript: self, code, limits, grants, live: None })
    }
}

struct JavaScriptSession<'a> {
    javascript: &'a JavaScript,
    code: &'a Code,
    limits: CodeLimits,
    grants: &'a Grants,
    live: Option<Live>,
}

struct Live {
    guest: Guest,
    function: Function,
    input: InputName,
}

impl CodeSession for JavaScriptSession<'_> {
    fn run(&mut self, input: CodeInput<'_>) -> Result<CodeOutput, CodeError> {
        let name = match input {
            CodeInput::Value(_) => InputName::Only,
            CodeInput::Items(_) => InputName::Input,
            CodeInput::Item(_) => InputName::Json,
        };
        let body = self.body()?;
        let reused = self.live.take().filter(|live| live.input == name);
        let cold = reused.is_none();
        let mut live = match reused {
            Some(live) => live,
            None => self.start(body, name)?,
        };
        let result = live.call(body, input, &self.grants.env);
        let goes_on = !result.as_ref().is_err_and(GuestError::ends_instance);
        let output = live.guest.finish(result, cold);
        self.live = goes_on.then_some(live);
        output
    }
}

impl<'a> JavaScriptSession<'a> {
    fn body(&self) -> Result<&'a Body, CodeError> {
        match self.code.parsed() {
            Parsed::JavaScript(body) => Ok(body),
            Parsed::Text | Parsed::Wasm(_) => {
                Err(CodeError::new(CodeErrorCode::Syntax, format!("this is {}, not JavaScript", self.code.language())))
            }
        }
    }

    fn start(&self, body: &Body, input: InputName) -> Result<Live, CodeError> {
        let mut guest = self.javascript.instantiate(self.limits.of_instance())?;
        guest.grant(self.grants);
        let function = compile(&mut guest, &body.function(input), Mode::Code).map_err(|error| match error {
            // The guest finds a few more errors than the parser does.
            GuestError::Thrown(_) => CodeError { code: CodeErrorCode::Syntax, ..CodeError::from(error) },
            other => CodeError::from(other),
        })?;
        Ok(Live { guest, function, input })
    }
}

impl Live {
    fn call(&mut self, body: &Body, input: CodeInput<'_>, env: &BTreeMap<String, String>) -> Result<Value, GuestError> {
        match input {
            CodeInput::Value(input) => self.guest.call(self.function, &InputData::new(input, body.variables(), env)),
            CodeInput::Items(scope) => self.call_over(scope, body, Input::Items, env),
            CodeInput::Item(scope) => self.call_over(scope, body, Input::Item, env),
        }
    }

    fn call_over(
        &mut self,
        scope: &Scope<'_>,
        body: &Body,
        input: Input,
        env: &BTreeMap<String, String>,
    ) -> Result<Value, GuestError> {
        let data = ScopeData::new(scope, body.variables(), input).map_err(GuestError::Scope)?.with_granted(env);
        self.guest.call(self.function, &data)
    }
}
