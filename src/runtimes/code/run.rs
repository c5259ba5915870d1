//! Runs code in the JavaScript sandbox.

use std::time::Duration;

use serde_json::Value;

use super::{
    CodeError, CodeErrorCode, CodeInput, CodeLimits, CodeOutput, CodeRequest, Usage,
    source::{Code, InputName},
};
use crate::runtimes::{
    javascript::{
        JavaScript, MEMORY_BYTES_MAX,
        guest::{Function, Guest, GuestError, Limits, Mode},
    },
    scope::{
        Scope,
        data::{Input, InputData, ScopeData},
    },
};

impl JavaScript {
    /// Runs code once, in a fresh sandbox. Blocks the thread.
    ///
    /// Errors: [`CodeError`], by the code that says what the caller can do.
    pub fn run(&self, request: &CodeRequest<'_>) -> Result<CodeOutput, CodeError> {
        self.session(request.code, request.limits).run(request.input)
    }

    /// Prepares to run the same code for several inputs in one sandbox: mode `each` of a code node.
    pub fn session<'a>(&'a self, code: &'a Code, limits: CodeLimits) -> CodeSession<'a> {
        CodeSession { javascript: self, code, limits, live: None }
    }
}

/// A sandbox that runs one code for the items of one node run. Its limits are for all of them together, except that a sandbox that
/// broke is replaced by a fresh one with fresh limits.
pub struct CodeSession<'a> {
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

impl CodeSession<'_> {
    /// Runs the code for one input. Blocks the thread.
    ///
    /// Errors: [`CodeError`]; the session can go on after any of them.
    pub fn run(&mut self, input: CodeInput<'_>) -> Result<CodeOutput, CodeError> {
        let name = match input {
            CodeInput::Value(_) => InputName::Only,
            CodeInput::Items(_) => InputName::Input,
            CodeInput::Item(_) => InputName::Json,
        };
        let reused = self.live.take().filter(|live| live.input == name);
        let cold = reused.is_none();
        let mut live = match reused {
            Some(live) => live,
            None => self.start(name)?,
        };
        let result = live.call(self.code, input);
        let (logs, logs_truncated) = live.guest.take_log();
        match result {
            Ok(output) => {
                let usage = live.usage(cold);
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

    fn start(&self, input: InputName) -> Result<Live, CodeError> {
        let limits = Limits {
            wall: Duration::from_millis(self.limits.wall_ms),
            cpu: Duration::from_millis(self.limits.cpu_ms),
            memory_bytes: self.limits.memory_bytes.min(MEMORY_BYTES_MAX),
            output_bytes: self.limits.output_bytes,
            log_bytes: self.limits.log_bytes,
        };
        let mut guest = self.javascript.instantiate(limits)?;
        let function = guest.compile(&self.code.function(input), Mode::Sloppy).map_err(|error| match error {
            // The guest finds a few more errors than the parser does.
            GuestError::Thrown(_) => CodeError { code: CodeErrorCode::Syntax, ..CodeError::from(error) },
            other => CodeError::from(other),
        })?;
        Ok(Live { guest, function, input })
    }
}

impl Live {
    fn call(&mut self, code: &Code, input: CodeInput<'_>) -> Result<Value, GuestError> {
        match input {
            CodeInput::Value(input) => self.guest.call(self.function, &InputData { input }),
            CodeInput::Items(scope) => self.call_over(scope, code, Input::Items),
            CodeInput::Item(scope) => self.call_over(scope, code, Input::Item),
        }
    }

    fn call_over(&mut self, scope: &Scope<'_>, code: &Code, input: Input) -> Result<Value, GuestError> {
        let data = ScopeData::new(scope, code.variables(), input).map_err(GuestError::Scope)?;
        self.guest.call(self.function, &data)
    }

    fn usage(&mut self, cold: bool) -> Usage {
        let used = self.guest.used();
        let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
        Usage { wall_ms: ms(used.wall), cpu_ms: ms(used.cpu), memory_peak_bytes: used.memory_bytes_peak, cold }
    }
}

impl From<GuestError> for CodeError {
    fn from(error: GuestError) -> Self {
        let code = match &error {
            GuestError::Thrown(_) | GuestError::StackOverflow | GuestError::OutputMalformed(_) | GuestError::Scope(_) => {
                CodeErrorCode::Exception
            }
            GuestError::WallTime(_) | GuestError::CpuTime(_) => CodeErrorCode::Timeout,
            GuestError::Memory { .. } => CodeErrorCode::Memory,
            GuestError::OutputTooLarge { .. } => CodeErrorCode::OutputLimit,
            GuestError::NoInstance | GuestError::Trapped(_) => CodeErrorCode::Unavailable,
        };
        let message = error.to_string();
        let (position, stack) = match &error {
            GuestError::Thrown(thrown) => (thrown.position(), thrown.calls()),
            _ => (None, None),
        };
        let (line, column) = (position.map(|at| at.0), position.map(|at| at.1));
        Self { code, message, line, column, stack, logs: Vec::new(), logs_truncated: false }
    }
}
