//! One run of the user's program: a fresh instance for every input, since a command runs once.

use serde_json::{Value, json};
use wasmtime::Store;
use wasmtime_wasi::{I32Exit, p1::WasiP1Ctx};

use super::{Wasm, cache::Program};
use crate::{
    model::log::LogLevel,
    runtimes::{
        code::{Code, CodeError, CodeErrorCode, CodeInput, CodeLimits, CodeOutput, Usage},
        grants::Grants,
        languages::CodeSession,
        sandbox::{
            error::GuestError,
            state::{HostState, Limits, Log, Used},
            wasi::{self, Sink, WasiState, WhenFull},
        },
    },
};

/// The program's name, as it sees it.
const NAME: &str = "code.wasm";
/// The end of the standard error that the message of a failure quotes, in bytes.
const TAIL_BYTES: usize = 1_000;

pub(super) struct WasmSession<'a> {
    pub(super) wasm: &'a Wasm,
    pub(super) code: &'a Code,
    pub(super) limits: CodeLimits,
    pub(super) grants: &'a Grants,
    /// What its runs have used.
    pub(super) used: Option<Usage>,
}

impl CodeSession for WasmSession<'_> {
    fn run(&mut self, input: CodeInput<'_>) -> Result<CodeOutput, CodeError> {
        let program = self.wasm.program(self.code)?;
        let run = Run {
            limits: self.limits.of_instance(),
            stdout: Sink::new(self.limits.output_bytes, WhenFull::End),
            stderr: Sink::new(self.limits.log_bytes, WhenFull::Drop),
        };
        let wasi =
            wasi::Program { name: NAME, stdin: input.to_json(), env: &self.grants.env, stdout: &run.stdout, stderr: &run.stderr };
        let (ended, used) = match &*program {
            Program::Module(pre) => run.module(pre, self.wasm.sandbox.store(run.limits, wasi.module())),
            Program::Component(pre) => run.component(pre, self.wasm.sandbox.store(run.limits, wasi.component())),
        };
        let usage = Usage::of(used, true).after(self.used);
        self.used = Some(usage);
        run.finish(ended, usage)
    }
}

/// How a program ended: with its exit code, if it came to its end.
type Ended = Result<i32, GuestError>;

struct Run {
    limits: Limits,
    stdout: Sink,
    stderr: Sink,
}

impl Run {
    fn module(&self, pre: &wasmtime::InstancePre<HostState<WasiP1Ctx>>, mut store: Store<HostState<WasiP1Ctx>>) -> (Ended, Used) {
        let called = self.within_wall_time(async {
            let instance = pre.instantiate_async(&mut store).await?;
            let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
            start.call_async(&mut store, ()).await
        });
        (self.ended(called, store.data()), store.data().used())
    }

    fn component(
        &self,
        pre: &wasmtime_wasi::p2::bindings::CommandPre<HostState<WasiState>>,
        mut store: Store<HostState<WasiState>>,
    ) -> (Ended, Used) {
        let called = self.within_wall_time(async {
            let command = pre.instantiate_async(&mut store).await?;
            match command.wasi_cli_run().call_run(&mut store).await? {
                Ok(()) => Ok(()),
                Err(()) => Err(I32Exit(1).into()),
            }
        });
        (self.ended(called, store.data()), store.data().used())
    }

    fn within_wall_time(&self, calls: impl Future<Output = wasmtime::Result<()>>) -> Result<wasmtime::Result<()>, GuestError> {
        match wasi::block_on(self.limits.wall, calls) {
            Ok(Some(called)) => Ok(called),
            Ok(None) => Err(GuestError::WallTime(self.limits.wall)),
            Err(error) => Err(GuestError::Trapped(error.into())),
        }
    }

    fn ended<T>(&self, called: Result<wasmtime::Result<()>, GuestError>, state: &HostState<T>) -> Ended {
        let error = match called? {
            Ok(()) => return Ok(0),
            Err(error) => error,
        };
        if let Some(I32Exit(code)) = error.downcast_ref() {
            return Ok(*code);
        }
        Err(match GuestError::of_instantiation(error, state, &self.limits) {
            // There is no interpreter: the code is the program.
            GuestError::Broken(trap) => GuestError::Scope(format!("the program trapped: {trap}")),
            other => other,
        })
    }

    fn finish(self, ended: Ended, usage: Usage) -> Result<CodeOutput, CodeError> {
        let (stderr, is_stderr_cut) = self.stderr.take();
        let (stdout, is_stdout_cut) = self.stdout.take();
        let mut log = Log::new(self.limits.log_bytes);
        for line in stderr.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            log.write(LogLevel::Error, line);
        }
        let (logs, is_log_cut) = log.take();
        let logs_truncated = is_stderr_cut || is_log_cut;
        let failed = |error: CodeError| CodeError { logs: logs.clone(), logs_truncated, usage: Some(usage), ..error };
        if is_stdout_cut {
            return Err(failed(GuestError::OutputTooLarge { bytes_max: self.limits.output_bytes }.into()));
        }
        match ended.map_err(|error| failed(error.into()))? {
            0 => {}
            code => return Err(failed(CodeError::new(CodeErrorCode::Exception, exit_message(code, &stderr)))),
        }
        let output = output_of(&stdout).map_err(|error| failed(GuestError::OutputMalformed(error).into()))?;
        Ok(CodeOutput { output, logs, logs_truncated, usage })
    }
}

fn exit_message(code: i32, stderr: &[u8]) -> String {
    let tail = String::from_utf8_lossy(&stderr[stderr.len().saturating_sub(TAIL_BYTES)..]);
    match tail.trim() {
        "" => format!("the program ended with exit code {code}"),
        tail => format!("the program ended with exit code {code}: {tail}"),
    }
}

/// The output: JSON, or text as `{ stdout }`, or nothing. Errors: JSON that is nested too deeply.
fn output_of(stdout: &[u8]) -> serde_json::Result<Value> {
    if stdout.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Null);
    }
    serde_json::from_slice(stdout).or_else(|error| {
        if error.to_string().starts_with("recursion limit") {
            return Err(error);
        }
        Ok(json!({ "stdout": String::from_utf8_lossy(stdout) }))
    })
}
