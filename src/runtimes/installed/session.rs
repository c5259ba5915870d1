//! Runs one source for the inputs of one node run, in one instance.

use std::sync::Arc;

use serde_json::Value;

use super::{Instance, Interpreter, loader::Loader};
use crate::runtimes::{
    code::{Code, CodeError, CodeErrorCode, CodeInput, CodeLimits, CodeOutput, Usage},
    grants::Grants,
    languages::CodeSession,
    sandbox::error::GuestError,
};

/// See the module. Its limits are for all of its runs together, except that an instance that broke is replaced by a fresh one.
pub(super) struct Session<'a, I: Interpreter> {
    loader: &'a Loader<I>,
    code: &'a Code,
    limits: CodeLimits,
    grants: &'a Grants,
    live: Option<Live<I::Instance>>,
}

struct Live<T> {
    instance: T,
    output_bytes_left: usize,
}

impl<'a, I: Interpreter> Session<'a, I> {
    pub(super) fn new(loader: &'a Loader<I>, code: &'a Code, limits: CodeLimits, grants: &'a Grants) -> Self {
        Self { loader, code, limits, grants, live: None }
    }

    fn start(&self) -> Result<Live<I::Instance>, CodeError> {
        let interpreter: Arc<I> = self.loader.get()?;
        let mut instance = interpreter.instantiate(self.limits.of_instance())?;
        prepare(&mut instance, self.code, self.grants)?;
        Ok(Live { instance, output_bytes_left: self.limits.output_bytes })
    }
}

impl<I: Interpreter> CodeSession for Session<'_, I> {
    fn run(&mut self, input: CodeInput<'_>) -> Result<CodeOutput, CodeError> {
        let reused = self.live.take();
        let cold = reused.is_none();
        let mut live = match reused {
            Some(live) => live,
            None => self.start()?,
        };
        let result = live.call(self.code, input, self.limits.output_bytes);
        let (logs, logs_truncated) = live.instance.take_log();
        let usage = Usage::of(live.instance.used(), cold);
        if !result.as_ref().is_err_and(GuestError::ends_instance) {
            self.live = Some(live);
        }
        match result {
            Ok(output) => Ok(CodeOutput { output, logs, logs_truncated, usage }),
            Err(error) => Err(CodeError { logs, logs_truncated, usage: Some(usage), ..CodeError::from(error) }),
        }
    }
}

impl<T: Instance> Live<T> {
    fn call(&mut self, code: &Code, input: CodeInput<'_>, bytes_max: usize) -> Result<Value, GuestError> {
        let variables = String::from_utf8(input.variables_to_json(code)).expect("JSON is UTF-8");
        let json = self.instance.call(&variables)?;
        if json.len() > self.output_bytes_left {
            return Err(GuestError::OutputTooLarge { bytes_max });
        }
        self.output_bytes_left -= json.len();
        serde_json::from_str(&json).map_err(GuestError::OutputMalformed)
    }
}

/// Compiles the source in an instance. What is thrown there is an error of the source.
pub(super) fn prepare(instance: &mut impl Instance, code: &Code, grants: &Grants) -> Result<(), CodeError> {
    instance.prepare(code.source(), grants).map_err(|error| match error {
        GuestError::Thrown(_) => CodeError { code: CodeErrorCode::Syntax, ..CodeError::from(error) },
        other => CodeError::from(other),
    })
}
