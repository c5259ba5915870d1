//! Runs code in JavaScript.

use serde_json::Value;

use super::{
    Body, JavaScript,
    body::InputName,
    guest::{Function, Guest, Mode},
};
use crate::runtimes::{
    code::{Code, CodeError, CodeErrorCode, CodeInput, CodeLimits, CodeOutput, JAVASCRIPT, Parsed, Usage},
    grants::Grants,
    languages::{CodeSession, GrantsOffered, Isolation, Language, LanguageInfo},
    sandbox::error::GuestError,
    scope::{
        Scope,
        data::{Input, InputData, ScopeData},
    },
};

impl Language for JavaScript {
    fn info(&self) -> LanguageInfo {
        LanguageInfo {
            name: JAVASCRIPT.to_owned(),
            title: "JavaScript".to_owned(),
            version: "QuickJS-NG".to_owned(),
            isolation: Isolation::WebAssembly,
            grants: GrantsOffered::default(),
            notes: Vec::new(),
        }
    }

    fn session<'a>(&'a self, code: &'a Code, limits: CodeLimits, _grants: &'a Grants) -> Box<dyn CodeSession + 'a> {
        Box::new(JavaScriptSession { javascript: self, code, limits, live: None })
    }
}

struct JavaScriptSession<'a> {
    javascript: &'a JavaScript,
    code: &'a Code,
    limits: CodeLimits,
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
        let Parsed::JavaScript(body) = self.code.parsed() else {
            return Err(CodeError::new(CodeErrorCode::Syntax, format!("this is {}, not JavaScript", self.code.language())));
        };
        let reused = self.live.take().filter(|live| live.input == name);
        let cold = reused.is_none();
        let mut live = match reused {
            Some(live) => live,
            None => self.start(body, name)?,
        };
        let result = live.call(body, input);
        let (logs, logs_truncated) = live.guest.take_log();
        match result {
            Ok(output) => {
                let usage = Usage::of(live.guest.used(), cold);
                self.live = Some(live);
                Ok(CodeOutput { output, logs, logs_truncated, usage })
            }
            Err(error) => {
                if !error.ends_instance() {
                    self.live = Some(live);
                }
                Err(CodeError { logs, logs_truncated, ..CodeError::from(error) })
            }
        }
    }
}

impl JavaScriptSession<'_> {
    fn start(&self, body: &Body, input: InputName) -> Result<Live, CodeError> {
        let mut guest = self.javascript.instantiate(self.limits.of_instance())?;
        let function = guest.compile(&body.function(input), Mode::Sloppy).map_err(|error| match error {
            // The guest finds a few more errors than the parser does.
            GuestError::Thrown(_) => CodeError { code: CodeErrorCode::Syntax, ..CodeError::from(error) },
            other => CodeError::from(other),
        })?;
        Ok(Live { guest, function, input })
    }
}

impl Live {
    fn call(&mut self, body: &Body, input: CodeInput<'_>) -> Result<Value, GuestError> {
        match input {
            CodeInput::Value(input) => self.guest.call(self.function, &InputData { input }),
            CodeInput::Items(scope) => self.call_over(scope, body, Input::Items),
            CodeInput::Item(scope) => self.call_over(scope, body, Input::Item),
        }
    }

    fn call_over(&mut self, scope: &Scope<'_>, body: &Body, input: Input) -> Result<Value, GuestError> {
        let data = ScopeData::new(scope, body.variables(), input).map_err(GuestError::Scope)?;
        self.guest.call(self.function, &data)
    }
}
